package store

import (
	"slices"
	"sync"
)

const (
	chunkSize = 256 << 10
	// tailKept is how much of the log stays in memory when all of it is written and dispatched.
	tailKept = 4 << 20
)

// tail is the newest part of the log in memory, in chunks of 256 KiB. A record lies in one chunk, and a chunk in one file, so that it is
// written at once; a record larger than a chunk has a chunk of its own size.
//
// Only the appender writes to chunks, behind what is there, under the append lock; what lies before a mark that was read
// atomically never changes. So mu protects only the list: a reader holds it shared while it copies, the appender holds it when
// it adds a chunk or takes one away.
type tail struct {
	fileSize int64 // of the log's files

	mu     sync.RWMutex
	chunks []*chunk // ascending, the last one is appended to
	size   int      // bytes of all chunks
	free   [][]byte // of chunkSize
}

type chunk struct {
	start int64
	buf   []byte
	used  int // bytes of buf that are filled; the appender's own
}

func (c *chunk) end() int64 { return c.start + int64(c.used) }

// room returns the chunk to which size bytes at off are to be appended. What lies before kept and is more than tailKept
// behind goes.
func (t *tail) room(off int64, size int, kept int64) *chunk {
	if n := len(t.chunks); n > 0 {
		c := t.chunks[n-1]
		if c.end() == off && off%t.fileSize != 0 && c.used+size <= len(c.buf) {
			return c
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trimLocked(kept)
	c := &chunk{start: off}
	if n := len(t.free); size <= chunkSize && n > 0 {
		c.buf = t.free[n-1]
		t.free[n-1] = nil
		t.free = t.free[:n-1]
	} else {
		c.buf = make([]byte, max(size, chunkSize))
	}
	t.size += len(c.buf)
	t.chunks = append(t.chunks, c)
	return c
}

// trimLocked drops the oldest chunks.
func (t *tail) trimLocked(kept int64) {
	n := 0
	for ; n < len(t.chunks) && t.size > tailKept; n++ {
		c := t.chunks[n]
		if c.end() > kept {
			break
		}
		t.size -= len(c.buf)
		if len(c.buf) == chunkSize && len(t.free) < 4 {
			t.free = append(t.free, c.buf)
		}
	}
	t.chunks = append(t.chunks[:0], t.chunks[n:]...)
	clear(t.chunks[len(t.chunks):cap(t.chunks)])
}

// unwritten returns the parts of chunks that hold [from, to), in dst if there is room. The caller holds the append lock.
func (t *tail) unwritten(dst []part, from, to int64) []part {
	dst = dst[:0]
	for i := len(t.chunks) - 1; i >= 0; i-- {
		c := t.chunks[i]
		if c.end() <= from {
			break
		}
		begin := max(from, c.start)
		dst = append(dst, part{off: begin, data: c.buf[begin-c.start : min(to-c.start, int64(c.used))]})
	}
	slices.Reverse(dst)
	return dst
}

// part is a stretch of the log in memory.
type part struct {
	off  int64
	data []byte
}

// fromLocked returns what is in memory of the chunk that holds off, from there on, and nil when off is not in memory. The bytes
// are valid as long as the caller keeps the chunk from going: it holds mu, or has not moved the mark past it yet.
func (t *tail) fromLocked(off int64) []byte {
	low, high := 0, len(t.chunks)
	for low < high { // the last chunk that starts at or before off
		if mid := (low + high) / 2; t.chunks[mid].start <= off {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		return nil
	}
	c := t.chunks[low-1]
	end := int64(len(c.buf))
	if low < len(t.chunks) {
		end = min(end, t.chunks[low].start-c.start) // the rest was never used for these offsets
	}
	if at := off - c.start; at < end {
		return c.buf[at:end]
	}
	return nil
}

// from is fromLocked for who keeps the chunk from going by its mark.
func (t *tail) from(off int64) []byte {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.fromLocked(off)
}

// read appends size bytes at off to dst, which must lie before the written mark. It reports whether they are in memory.
func (t *tail) read(dst []byte, off int64, size int) ([]byte, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	b := t.fromLocked(off)
	if len(b) < size {
		return dst, false
	}
	return append(dst, b[:size]...), true
}

// start is the oldest offset in memory, and end when nothing is.
func (t *tail) start(end int64) int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.chunks) == 0 {
		return end
	}
	return t.chunks[0].start
}
