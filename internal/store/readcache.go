package store

import "sync"

// readCache keeps a few stretches of the log that were read from its files, for the queues of a topic lie interleaved in the log:
// who reads one of them reads past the messages of the others, and those are soon wanted too.
//
// A stretch is cacheChunk bytes and a piece more, so that a small record that begins in it ends in it. Stretches are
// loaded only for readers that want several records of one; a queue whose messages lie far apart is read record by record
// and leaves the cache alone. What lies before the written mark never changes, so neither does what is cached. After a while
// without readers the memory is given back.
type readCache struct {
	slots [64]cacheSlot // stretch n is in slot n modulo 64, or in none
}

const (
	cacheChunk  = 128 << 10
	cacheRecord = 16 << 10 // the largest record that is read through the cache
	cacheWanted = 6        // that many records wanted of a stretch make it worth loading
)

type cacheSlot struct {
	mu    sync.RWMutex // protects the fields below
	start int64        // log offset of buf's first byte
	buf   []byte       // nil when there is nothing; its length is what was written when it was loaded
	used  bool         // since the last rest
}

func (c *readCache) slot(off int64) *cacheSlot {
	return &c.slots[uint64(off/cacheChunk)%uint64(len(c.slots))]
}

// copy appends size bytes at off to dst if they are cached.
func (c *readCache) copy(dst []byte, off int64, size int) ([]byte, bool) {
	slot := c.slot(off)
	slot.mu.RLock()
	at := off - slot.start
	ok := at >= 0 && at+int64(size) <= int64(len(slot.buf))
	if ok {
		dst = append(dst, slot.buf[at:at+int64(size)]...)
	}
	slot.mu.RUnlock()
	return dst, ok
}

// load reads the stretch that holds off. It may reach as far as end, which lies in the same file.
func (c *readCache) load(off, end int64, readAt func(b []byte, off int64) (int, error)) error {
	slot := c.slot(off)
	slot.mu.Lock()
	defer slot.mu.Unlock()
	start := off / cacheChunk * cacheChunk
	if cap(slot.buf) == 0 {
		slot.buf = make([]byte, cacheChunk+cacheRecord)
	}
	slot.used = true
	buf := slot.buf[:min(int64(cap(slot.buf)), end-start)]
	slot.buf = slot.buf[:0] // nothing, should the read fail
	if _, err := readAt(buf, start); err != nil {
		return err
	}
	slot.start, slot.buf = start, buf
	return nil
}

// rest gives back what was not loaded anew since the last rest.
func (c *readCache) rest() {
	for i := range c.slots {
		slot := &c.slots[i]
		slot.mu.Lock()
		if !slot.used {
			slot.buf = nil
		}
		slot.used = false
		slot.mu.Unlock()
	}
}
