package store

import (
	"sync"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// readCache keeps stretches of the log that were read from its files, for the queues of a topic lie interleaved in the log:
// who reads one of them reads past the messages of the others, and those are soon wanted too.
//
// A stretch is loaded only for who wants several of its records. Where a queue's messages lie far apart, and for a record that ends in the
// next stretch, the file is read. What lies before the written mark never changes, so neither does what is cached. After a while without
// readers the memory is given back, 16 MiB and the spare ones.
//
// What a stretch costs is its copy from the kernel, so the cache has to reach from the last of some readers of a topic to the first: of
// eight that drift apart in 72 MB, 64 stretches had each message copied five times, 128 have it copied three times.
type readCache struct {
	slots [128]cacheSlot // stretch n is in slot n modulo 128, or in none
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

// at is size bytes at a log offset, nil when they are not cached. The caller holds mu shared.
func (slot *cacheSlot) at(off int64, size int) []byte {
	at := off - slot.start
	if at < 0 || int64(size) > int64(len(slot.buf))-at {
		return nil
	}
	return slot.buf[at : at+int64(size)]
}

// load reads the stretch that holds off from the log's files. It may reach as far as end, which lies in the same file. With now it waits
// neither for another reader nor for a disk.
func (slot *cacheSlot) load(files *logfile.Log, off, end int64, now bool) error {
	if !slot.mu.TryLock() {
		if now {
			return logfile.ErrWouldWait
		}
		slot.mu.Lock()
	}
	defer slot.mu.Unlock()
	start := off / cacheChunk * cacheChunk
	if cap(slot.buf) == 0 {
		slot.buf = make([]byte, 0, cacheChunk)
	}
	slot.used = true
	spare := slot.buf
	if now { // it may well fail, and what is there is of use to others
		spare = spareStretches.Get().(*stretch)[:]
	}
	buf := spare[:min(int64(cap(spare)), end-start)]
	if !now {
		slot.buf = slot.buf[:0] // nothing, should the read fail
	}
	_, err := files.Read(buf, start, now)
	if err == nil {
		spare, slot.start, slot.buf = slot.buf, start, buf
	}
	if now {
		spareStretches.Put((*stretch)(spare[:cap(spare)]))
	}
	return err
}

type stretch [cacheChunk]byte

var spareStretches = sync.Pool{New: func() any { return new(stretch) }}

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
