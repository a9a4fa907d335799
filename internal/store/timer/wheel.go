package timer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"path/filepath"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// The timer wheel is one file of two weeks of slots at a precision of a second, the same number at any other. The slot of time T, in
// precisions since 1970, is number T modulo the number of slots.
//
//	 0        8               16             24         28        32
//	+--------+---------------+--------------+----------+---------+
//	| time 8B| first 8B      | last 8B      | number 4B| magic 4B|   big-endian
//	+--------+---------------+--------------+----------+---------+
//
// Time is T: a slot with another time than the one it is asked for is empty. First and last are positions in the timer log; the
// records of the slot are a chain from the last backwards. The number is of messages; one that takes another away counts -1.
// Magic is 0.
const (
	slotSize  = 32
	slotCount = 2 * daysMax * 24 * 3600

	daysMax     = 7  // a wheel of a second's precision holds times that far ahead
	slotsSpared = 60 // of them, so that none is read and written at once
	timeMax     = 1 << 53
)

const (
	pageSize  = 4096
	pageSlots = pageSize / slotSize
	pagesMax  = 4096 // pages in memory before those that are not changed go
	pagesRest = 512  // as many stay after a flush
)

// slot is one slot of the wheel.
type slot struct {
	first, last int64
	number      int32
}

// page is a piece of the wheel in memory.
type page struct {
	data    [pageSize]byte
	dirty   bool // changed since it was written
	writing bool // a flush has a copy that is not in the file yet
}

// wheel is the timer wheel. Times are in ms here, and whole precisions.
type wheel struct {
	fs        logfile.FS
	path      string
	precision int64
	slots     int64        // slotCount, but less in tests
	file      logfile.File // nil until something is written or there is a file
	pages     map[int32]*page
	occupied  []uint64 // a bit for each slot that somebody waits in; nil when there is none
}

func (w *wheel) size() int64 { return w.slots * slotSize }

func (w *wheel) index(t int64) int64 { return t / w.precision % w.slots }

// open opens the file if there is one. A file of another length is none of ours.
func (w *wheel) open() error {
	f, err := w.fs.Open(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot open timer wheel: %w", err)
	}
	size, err := f.Size()
	switch {
	case err != nil:
		return errors.Join(fmt.Errorf("cannot use timer wheel %q: %w", w.path, err), f.Close())
	case size == 0:
		return errors.Join(f.Close(), w.fs.Remove(w.path))
	case size != w.size():
		return errors.Join(fmt.Errorf("cannot use timer wheel %q: it is %d bytes long, a wheel has %d; move it away to have it made anew from timerlog", w.path, size, w.size()), f.Close())
	}
	w.file = f
	return nil
}

// create makes the file when it is not there.
func (w *wheel) create() error {
	if w.file != nil {
		return nil
	}
	f, err := w.fs.Create(w.path)
	if err != nil {
		return fmt.Errorf("cannot make timer wheel: %w", err)
	}
	if err := f.Truncate(w.size()); err != nil {
		return errors.Join(fmt.Errorf("cannot make timer wheel: %w", err), f.Close(), w.fs.Remove(w.path))
	}
	w.file = f
	return w.fs.SyncDir(filepath.Dir(w.path))
}

// page returns a page, from the file when it is not in memory.
func (w *wheel) page(n int32) (*page, error) {
	if p := w.pages[n]; p != nil {
		return p, nil
	}
	p := new(page)
	if w.file != nil {
		if k, err := w.file.ReadAt(p.data[:], int64(n)*pageSize); k < pageSize {
			return nil, fmt.Errorf("cannot read timer wheel: %w", err)
		}
	}
	if len(w.pages) >= pagesMax {
		w.rest(pagesMax / 2)
	}
	if w.pages == nil {
		w.pages = make(map[int32]*page)
	}
	w.pages[n] = p
	return p, nil
}

// rest forgets pages that are in the file, until only so many are left.
func (w *wheel) rest(keep int) {
	for n, p := range w.pages {
		if len(w.pages) <= keep {
			return
		}
		if !p.dirty && !p.writing {
			delete(w.pages, n)
		}
	}
	if len(w.pages) == 0 {
		w.pages = nil
	}
}

// get returns the slot of a time, and false when nobody waits there.
func (w *wheel) get(t int64) (slot, bool, error) {
	i := w.index(t)
	p, err := w.page(int32(i / pageSlots))
	if err != nil {
		return slot{}, false, err
	}
	time, s := readSlot(p.data[i%pageSlots*slotSize:])
	if time != t/w.precision || time == 0 {
		return slot{first: nowhere, last: nowhere}, false, nil
	}
	return s, true, nil
}

func readSlot(b []byte) (time int64, s slot) {
	be := binary.BigEndian
	_ = b[slotSize-1]
	return int64(be.Uint64(b)), slot{first: int64(be.Uint64(b[8:])), last: int64(be.Uint64(b[16:])), number: int32(be.Uint32(b[24:]))}
}

// put sets the slot of a time and notes that somebody waits there.
func (w *wheel) put(t int64, s slot) error {
	i := w.index(t)
	p, err := w.page(int32(i / pageSlots))
	if err != nil {
		return err
	}
	be, b := binary.BigEndian, p.data[i%pageSlots*slotSize:]
	be.PutUint64(b, uint64(t/w.precision))
	be.PutUint64(b[8:], uint64(s.first))
	be.PutUint64(b[16:], uint64(s.last))
	be.PutUint32(b[24:], uint32(s.number))
	p.dirty = true
	w.occupy(i)
	return nil
}

// spans says whether a time has a place of its own in a wheel that is read from a time on.
func (w *wheel) spans(read, t int64) bool { return t >= read && t < read+w.slots*w.precision }

func (w *wheel) occupy(i int64) {
	if w.occupied == nil {
		w.occupied = make([]uint64, (w.slots+63)/64)
	}
	w.occupied[i/64] |= 1 << (i % 64)
}

// leave notes that nobody waits in the slot of a time any more. What is written there stays until the slot is used again.
func (w *wheel) leave(t int64) {
	if i := w.index(t); w.occupied != nil {
		w.occupied[i/64] &^= 1 << (i % 64)
	}
}

// isOccupied says whether somebody waits in the slot of a time, or of one that many slots before or behind.
func (w *wheel) isOccupied(t int64) bool {
	i := w.index(t)
	return w.occupied != nil && w.occupied[i/64]&(1<<(i%64)) != 0
}

// next returns the first time from t on in whose slot somebody waits.
func (w *wheel) next(t int64) (int64, bool) {
	if w.occupied == nil {
		return 0, false
	}
	from := w.index(t)
	if i := w.nextBit(from, w.slots); i >= 0 {
		return t + (i-from)*w.precision, true
	}
	if i := w.nextBit(0, from); i >= 0 {
		return t + (i+w.slots-from)*w.precision, true
	}
	return 0, false
}

// nextBit is the first set bit in [from, end), -1 when there is none.
func (w *wheel) nextBit(from, end int64) int64 {
	for i := from; i < end; {
		if word := w.occupied[i/64] >> (i % 64); word != 0 {
			if at := i + int64(bits.TrailingZeros64(word)); at < end {
				return at
			}
			return -1
		}
		i = (i/64 + 1) * 64
	}
	return -1
}

// loaded is what load saw in the file.
type loaded struct {
	messages   int64 // that wait
	oldest     int64 // lowest position in the timer log of a slot in which somebody waits
	newest     int64 // highest position of any slot below the end, nowhere without one
	newestTime int64 // of its slot
}

// load finds out in which slots of the file somebody waits: those of a time from read on. End is that of the durable timer log.
func (w *wheel) load(read, end int64) (l loaded, err error) {
	l = loaded{oldest: end, newest: nowhere}
	if w.file == nil {
		return l, nil
	}
	buf := make([]byte, 64*pageSize)
	for pos := int64(0); pos < w.size(); {
		next, err := w.file.NextData(pos, w.size())
		if err != nil {
			return l, fmt.Errorf("cannot read timer wheel: %w", err)
		}
		if pos = next / pageSize * pageSize; pos >= w.size() {
			break
		}
		n := min(int64(len(buf)), w.size()-pos)
		if k, err := w.file.ReadAt(buf[:n], pos); int64(k) < n {
			return l, fmt.Errorf("cannot read timer wheel: %w", err)
		}
		for at := int64(0); at < n; at += slotSize {
			time, s := readSlot(buf[at:])
			i := (pos + at) / slotSize
			if time <= 0 || time >= timeMax/w.precision || time%w.slots != i || s.last < 0 {
				continue
			}
			if s.last < end && s.last > l.newest {
				l.newest, l.newestTime = s.last, time*w.precision
			}
			if w.spans(read, time*w.precision) {
				w.occupy(i)
				l.messages += int64(s.number)
				l.oldest = min(l.oldest, max(s.first, 0))
			}
		}
		pos += n
	}
	return l, nil
}

// pageCopy is a changed page, to be written.
type pageCopy struct {
	n    int32
	data [pageSize]byte
}

// changed copies the pages that changed since they were written.
func (w *wheel) changed() []pageCopy {
	var copies []pageCopy
	for n, p := range w.pages {
		if p.dirty {
			p.dirty, p.writing = false, true
			copies = append(copies, pageCopy{n: n, data: p.data})
		}
	}
	return copies
}

// written notes that copies are in the file, or that they could not be written.
func (w *wheel) written(copies []pageCopy, err error) {
	for i := range copies {
		if p := w.pages[copies[i].n]; p != nil {
			p.writing = false
			p.dirty = p.dirty || err != nil
		}
	}
}

// write writes pages and makes them durable.
func (w *wheel) write(copies []pageCopy) error {
	if len(copies) == 0 {
		return nil
	}
	for i := range copies {
		c := &copies[i]
		if _, err := w.file.WriteAt(c.data[:], int64(c.n)*pageSize); err != nil {
			return fmt.Errorf("cannot write timer wheel: %w", err)
		}
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("cannot sync timer wheel: %w", err)
	}
	return nil
}
