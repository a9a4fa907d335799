package logfile

import (
	"fmt"
	"sync"
)

// Handles keeps the files of many logs open, at most about max at once; the one that was used longest ago is closed first.
// A file with unsynced writes is synced before it is closed, for a later open might not be told that they failed; it is
// closed only when there are twice as many.
type Handles struct {
	max int

	mu   sync.Mutex // protects the fields below and those of segments
	open int
	ends segment // ring: ends.next is the newest use, ends.prev the oldest
}

// NewHandles returns a cache of at most max open files.
func NewHandles(max int) *Handles {
	h := &Handles{max: max}
	h.ends.next, h.ends.prev = &h.ends, &h.ends
	return h
}

// Open is the number of open files.
func (h *Handles) Open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}

// acquire returns the open file of s, which stays open until release. With now it does not wait for one that is not open.
func (h *Handles) acquire(s *segment, now bool) (File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.file == nil {
		if now {
			return nil, ErrWouldWait
		}
		f, err := s.fs.Open(s.path)
		if err != nil {
			return nil, fmt.Errorf("cannot open %q: %w", s.path, err)
		}
		s.file = f
		h.open++
		h.pushFront(s)
		h.evict(s)
	} else if h.ends.next != s {
		h.unlink(s)
		h.pushFront(s)
	}
	s.users++
	return s.file, nil
}

func (h *Handles) release(s *segment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.users--
	if s.removed && s.users == 0 {
		h.closeLocked(s)
	}
}

// adopt takes the open file of a new segment.
func (h *Handles) adopt(s *segment, f File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.file = f
	h.open++
	h.pushFront(s)
	h.evict(s)
}

// forget closes the file of a removed segment, at the latest when its last reader has done.
func (h *Handles) forget(s *segment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.removed = true
	if s.users == 0 {
		h.closeLocked(s)
	}
}

func (h *Handles) close(s *segment) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.users > 0 || s.file == nil {
		return nil
	}
	h.syncLocked(s)
	h.closeLocked(s)
	return s.failed
}

// syncLocked syncs a file that is going to be closed. The kernel tells a failure once; Log.Sync tells it on.
func (h *Handles) syncLocked(s *segment) {
	if !s.dirty.Load() {
		return
	}
	if err := s.file.Sync(); err != nil {
		s.failed = fmt.Errorf("%w %q: %w", ErrSync, s.path, err)
		return
	}
	s.dirty.Store(false) // not before: Log.Sync would go well meanwhile. Nobody writes, for nobody uses it
}

func (h *Handles) closeLocked(s *segment) {
	if s.file == nil {
		return
	}
	s.file.Close()
	s.file = nil
	h.open--
	h.unlink(s)
}

// evict closes files that nobody uses until there are few enough. keep is not closed.
func (h *Handles) evict(keep *segment) {
	for s := h.ends.prev; h.open > h.max && s != &h.ends; {
		older := s
		s = s.prev
		// A sync takes long and everyone waits for mu, so a dirty file goes only when it must.
		if older.users > 0 || older == keep || older.dirty.Load() && h.open <= 2*h.max {
			continue
		}
		h.syncLocked(older)
		h.closeLocked(older)
	}
}

func (h *Handles) pushFront(s *segment) {
	s.prev, s.next = &h.ends, h.ends.next
	s.prev.next, s.next.prev = s, s
}

func (h *Handles) unlink(s *segment) {
	s.prev.next, s.next.prev = s.next, s.prev
	s.prev, s.next = nil, nil
}

// fail notes that a sync of s failed.
func (h *Handles) fail(s *segment, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.failed = fmt.Errorf("%w %q: %w", ErrSync, s.path, err)
	return s.failed
}

// failed is the error of a sync of s.
func (h *Handles) failed(s *segment) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return s.failed
}
