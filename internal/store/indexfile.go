package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// An index file is a hash table on disk from keys to messages. Files under index/ are named by the local time of their
// making, yyyyMMddHHmmssSSS, and are made at full length.
//
//	 0            8           16            24           32           36           40
//	+------------+-----------+-------------+------------+------------+------------+--------------+----------------+
//	| begin time | end time  | begin log   | end log    | used slots | next entry | slots x 4B   | entries x 20B  |
//	| 8B         | 8B        | offset 8B   | offset 8B  | 4B         | number 4B  |              |                |
//	+------------+-----------+-------------+------------+------------+------------+--------------+----------------+
//	entry:
//	 0         4                12           16         20
//	+---------+----------------+------------+----------+
//	| hash 4B | log offset 8B  | seconds 4B | prev 4B  |   big-endian
//	+---------+----------------+------------+----------+
//
// Entry 0 is never used, so the next entry number of an empty file is 1. A slot holds the number of the newest entry whose
// hash falls on it, modulo the number of slots; prev leads to the one before, 0 ends. Seconds are since the begin time.
// The begin fields are the first entry's, the end fields the newest's; a new file has the end fields of the one before it
// in all four until it has an entry, and its first entry's seconds are counted from there.
//
// A file that is written to is partly in memory: entries that are not in the file yet (pending), and the pages of the slot
// table that were touched. flush writes them in the order that recovery relies on, each durable before the next begins:
// entries, slots, header. So entries before the header's next number are good, and a slot may be ahead of the header
// (then following prev leads to the newest entry that is not), but never behind.
type indexFile struct {
	path  string
	shape indexShape

	// The fields below are protected by index.mu.
	head  indexHeader // as it will be in the file
	saved indexHeader // as it is in the file
	file  logfile.File
	users int          // of file, beside mem
	mem   *indexMemory // nil when all is in the file
}

// indexMemory is what is in memory of a file that is written to.
type indexMemory struct {
	fresh   bool // the slots in the file are all 0, but for those that were written from here
	written int32
	pending []byte             // entries from written on
	ahead   logfile.Ahead      // of written
	pages   []*[indexPage]byte // of the slot table, as in the file; nil: not touched
	dirty   []uint64           // bits, a page each
}

// indexShape is how many of everything a file has.
type indexShape struct {
	slots   int32 // maxHashSlotNum
	entries int32 // maxIndexNum, one of which is never used
}

type indexHeader struct {
	beginTime   int64
	endTime     int64
	beginOffset int64
	endOffset   int64
	usedSlots   int32
	next        int32 // number of the next entry
}

type indexEntry struct {
	hash      int32
	logOffset int64
	seconds   int32
	prev      int32
}

const (
	indexHeaderSize = 40
	indexSlotSize   = 4
	indexEntrySize  = 20
	indexPage       = 4096      // pages are those of the file, so the first begins with the header
	indexPageRun    = 64        // pages written at once
	indexPendingMax = 64 << 10  // then entries are written
	indexAhead      = 256 << 10 // and so much of the file made ready for more
	indexPendingEnd = 256 << 10 // a disk that is full must not stop dispatch at once
)

func (s indexShape) slotAt(slot int32) int64 { return indexHeaderSize + int64(slot)*indexSlotSize }
func (s indexShape) slotsEnd() int64         { return s.slotAt(s.slots) }
func (s indexShape) entryAt(n int32) int64   { return s.slotsEnd() + int64(n)*indexEntrySize }
func (s indexShape) size() int64             { return s.entryAt(s.entries) }
func (s indexShape) pages() int              { return int((s.slotsEnd() + indexPage - 1) / indexPage) }

func (h indexHeader) appendTo(dst []byte) []byte {
	be := binary.BigEndian
	dst = be.AppendUint64(dst, uint64(h.beginTime))
	dst = be.AppendUint64(dst, uint64(h.endTime))
	dst = be.AppendUint64(dst, uint64(h.beginOffset))
	dst = be.AppendUint64(dst, uint64(h.endOffset))
	dst = be.AppendUint32(dst, uint32(h.usedSlots))
	return be.AppendUint32(dst, uint32(h.next))
}

func readIndexHeader(b []byte) indexHeader {
	be := binary.BigEndian
	_ = b[indexHeaderSize-1]
	h := indexHeader{
		beginTime:   int64(be.Uint64(b)),
		endTime:     int64(be.Uint64(b[8:])),
		beginOffset: int64(be.Uint64(b[16:])),
		endOffset:   int64(be.Uint64(b[24:])),
		usedSlots:   int32(be.Uint32(b[32:])),
		next:        int32(be.Uint32(b[36:])),
	}
	if h.next == 0 { // made, and never flushed
		h.next = 1
	}
	return h
}

// fits says whether a header can be that of a file.
func (h indexHeader) fits(s indexShape) bool {
	return h.next >= 1 && h.next <= s.entries && h.usedSlots >= 0 && h.usedSlots <= s.slots &&
		h.beginTime >= 0 && h.endTime >= 0 && h.beginOffset >= 0 && h.endOffset >= h.beginOffset
}

func (e indexEntry) appendTo(dst []byte) []byte {
	be := binary.BigEndian
	var b [indexEntrySize]byte
	be.PutUint32(b[:], uint32(e.hash))
	be.PutUint64(b[4:], uint64(e.logOffset))
	be.PutUint32(b[12:], uint32(e.seconds))
	be.PutUint32(b[16:], uint32(e.prev))
	return append(dst, b[:]...)
}

func readIndexEntry(b []byte) indexEntry {
	be := binary.BigEndian
	_ = b[indexEntrySize-1]
	return indexEntry{
		hash:      int32(be.Uint32(b)),
		logOffset: int64(be.Uint64(b[4:])),
		seconds:   int32(be.Uint32(b[12:])),
		prev:      int32(be.Uint32(b[16:])),
	}
}

func (f *indexFile) full() bool { return f.head.next >= f.shape.entries }

// remember makes the file one that is written to. It must be open.
func (f *indexFile) remember(fresh bool) {
	n := f.shape.pages()
	f.mem = &indexMemory{
		fresh: fresh, written: f.head.next, ahead: logfile.Ahead{Step: indexAhead},
		pages: make([]*[indexPage]byte, n), dirty: make([]uint64, (n+63)/64),
	}
}

// page returns a page of the slot table in memory.
func (f *indexFile) page(n int) ([]byte, error) {
	m := f.mem
	if p := m.pages[n]; p != nil {
		return p[:], nil
	}
	p := new([indexPage]byte)
	if !m.fresh {
		from, to := f.pageBounds(n)
		at := int64(n) * indexPage
		if err := readFull(f.file, p[from-at:to-at], from); err != nil {
			return nil, fmt.Errorf("cannot read index %q: %w", f.path, err)
		}
	}
	m.pages[n] = p
	return p[:], nil
}

// soil marks pages from one on and before another as not in the file.
func (m *indexMemory) soil(from, to int) {
	for n := from; n < to; n++ {
		m.dirty[n/64] |= 1 << (n % 64)
	}
}

// pageBounds are the positions in the file of the slots in a page.
func (f *indexFile) pageBounds(n int) (from, to int64) {
	return max(indexHeaderSize, int64(n)*indexPage), min(f.shape.slotsEnd(), int64(n+1)*indexPage)
}

func readFull(f logfile.File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return err
}

// put adds an entry. The caller has seen that the file is not full.
func (f *indexFile) put(k indexKey) error {
	m := f.mem
	if len(m.pending) >= indexPendingMax && len(m.pending)%indexPendingMax < indexEntrySize {
		if err := f.writePending(); err != nil && len(m.pending) >= indexPendingEnd {
			return err
		}
	}
	at := f.shape.slotAt(k.hash % f.shape.slots)
	n := int(at / indexPage)
	p, err := f.page(n)
	if err != nil {
		return err
	}
	slot := p[at%indexPage:][:indexSlotSize]
	prev := int32(binary.BigEndian.Uint32(slot))
	h := &f.head
	if prev <= 0 || prev >= h.next {
		prev = 0
		h.usedSlots++
	}
	var seconds int64
	if h.beginTime > 0 {
		seconds = min(max(0, (k.storeTime-h.beginTime)/1000), 1<<31-1)
	}
	m.pending = indexEntry{k.hash, k.logOffset, int32(seconds), prev}.appendTo(m.pending)
	binary.BigEndian.PutUint32(slot, uint32(h.next))
	m.soil(n, n+1)
	if h.next == 1 {
		h.beginTime, h.beginOffset, h.endTime = k.storeTime, k.logOffset, k.storeTime
	}
	h.next++
	h.endTime, h.endOffset = max(h.endTime, k.storeTime), k.logOffset // the clock may be set back
	return nil
}

// writePending writes the entries that are not in the file.
func (f *indexFile) writePending() error {
	m := f.mem
	if len(m.pending) == 0 {
		return nil
	}
	from, to := f.shape.entryAt(m.written), f.shape.entryAt(m.written)+int64(len(m.pending))
	if len(m.pending) >= indexPendingMax { // it is busy
		m.ahead.Prepare(f.file, from, to, f.shape.slotsEnd(), f.shape.size())
	}
	if _, err := f.file.WriteAt(m.pending, from); err != nil {
		return fmt.Errorf("cannot write index %q: %w", f.path, err)
	}
	m.written += int32(len(m.pending) / indexEntrySize)
	m.pending = m.pending[:0]
	if cap(m.pending) > 2*indexPendingMax {
		m.pending = nil // it grew while the disk was full
	}
	return nil
}

// slot returns the newest entry of a slot, 0 when there is none. The caller holds index.mu.
func (f *indexFile) slot(slot int32) (int32, error) {
	at := f.shape.slotAt(slot)
	if m := f.mem; m != nil {
		if p := m.pages[at/indexPage]; p != nil {
			return int32(binary.BigEndian.Uint32(p[at%indexPage:])), nil
		}
		if m.fresh {
			return 0, nil
		}
	}
	var b [indexSlotSize]byte
	if err := readFull(f.file, b[:], at); err != nil {
		return 0, fmt.Errorf("cannot read index %q: %w", f.path, err)
	}
	return int32(binary.BigEndian.Uint32(b[:])), nil
}

// pendingEntry returns an entry that is only in memory. The caller holds index.mu.
func (f *indexFile) pendingEntry(n int32) (indexEntry, bool) {
	if m := f.mem; m != nil && n >= m.written && n < f.head.next {
		return readIndexEntry(m.pending[int(n-m.written)*indexEntrySize:]), true
	}
	return indexEntry{}, false
}

// fileEntry reads an entry from the file.
func (f *indexFile) fileEntry(n int32) (indexEntry, error) {
	var b [indexEntrySize]byte
	if err := readFull(f.file, b[:], f.shape.entryAt(n)); err != nil {
		return indexEntry{}, fmt.Errorf("cannot read index %q: %w", f.path, err)
	}
	return readIndexEntry(b[:]), nil
}

// entry returns an entry. The caller holds index.mu.
func (f *indexFile) entry(n int32) (indexEntry, error) {
	if e, ok := f.pendingEntry(n); ok {
		return e, nil
	}
	return f.fileEntry(n)
}

// before follows a slot's chain to the newest entry before next, and says whether the chain is sound.
func (f *indexFile) before(slot, n, next int32) (int32, bool, error) {
	for n >= next {
		if n >= f.shape.entries {
			return 0, false, nil
		}
		e, err := f.entry(n)
		if err != nil {
			return 0, false, err
		}
		if e.hash < 0 || e.hash%f.shape.slots != slot || e.prev >= n {
			return 0, false, nil
		}
		n = e.prev
	}
	return max(0, n), n >= 0, nil
}

// errIndexUnsound says that a file's chains lead nowhere; it must be built again.
var errIndexUnsound = errors.New("chains are broken")

// cutAt makes the entry numbered next the next one to be written: slots that are ahead of it go back, in the file. It looks
// at the whole slot table.
func (f *indexFile) cutAt(next int32) error {
	used, dirty := int32(0), false
	buf := make([]byte, 256<<10)
	for at := int64(indexHeaderSize); at < f.shape.slotsEnd(); {
		b := buf[:min(int64(len(buf)), f.shape.slotsEnd()-at)]
		if err := readFull(f.file, b, at); err != nil {
			return fmt.Errorf("cannot read index %q: %w", f.path, err)
		}
		changed := false
		for i := 0; i < len(b); i += indexSlotSize {
			n := int32(binary.BigEndian.Uint32(b[i:]))
			if n < 0 || n >= next {
				slot := int32((at + int64(i) - indexHeaderSize) / indexSlotSize)
				back, sound, err := f.before(slot, n, next)
				if err != nil {
					return err
				}
				if !sound || n < 0 {
					return fmt.Errorf("index %q: slot %d: %w", f.path, slot, errIndexUnsound)
				}
				n = back
				binary.BigEndian.PutUint32(b[i:], uint32(n))
				changed = true
			}
			if n > 0 {
				used++
			}
		}
		if changed {
			if _, err := f.file.WriteAt(b, at); err != nil {
				return fmt.Errorf("cannot write index %q: %w", f.path, err)
			}
			dirty = true
		}
		at += int64(len(b))
	}
	if dirty {
		// Before other entries take the numbers that slots had.
		if err := f.file.Sync(); err != nil {
			return fmt.Errorf("cannot sync index %q: %w", f.path, err)
		}
	}
	f.head.next, f.head.usedSlots = next, used
	return nil
}

// dirtyRun copies the next run of dirty pages behind from into buf and marks them clean. What a slot says must be durable
// before it, so it is led back to an entry before next. The caller holds index.mu.
func (f *indexFile) dirtyRun(from int, next int32, buf []byte) (run []byte, at int64, behind int, err error) {
	m := f.mem
	first := from
	for first < len(m.pages) && m.dirty[first/64]&(1<<(first%64)) == 0 {
		if m.dirty[first/64] == 0 {
			first = first/64*64 + 63
		}
		first++
	}
	run, behind = buf[:0], first
	for behind < len(m.pages) && behind < first+indexPageRun && m.dirty[behind/64]&(1<<(behind%64)) != 0 {
		lo, hi := f.pageBounds(behind)
		if behind == first {
			at = lo
		}
		base := int64(behind) * indexPage
		begin := len(run)
		run = append(run, m.pages[behind][lo-base:hi-base]...)
		m.dirty[behind/64] &^= 1 << (behind % 64)
		for i := begin; i < len(run); i += indexSlotSize {
			n := int32(binary.BigEndian.Uint32(run[i:]))
			if n < next {
				continue
			}
			slot := int32((lo - indexHeaderSize + int64(i-begin)) / indexSlotSize)
			back, _, err := f.before(slot, n, next)
			if err != nil {
				m.soil(first, behind+1)
				return nil, 0, behind, err
			}
			binary.BigEndian.PutUint32(run[i:], uint32(back))
			m.soil(behind, behind+1) // the page in memory is ahead
		}
		behind++
	}
	return run, at, behind, nil
}

// isClean says whether all that is in memory is in the file.
func (f *indexFile) isClean() bool {
	if f.head != f.saved || len(f.mem.pending) > 0 {
		return false
	}
	for _, bits := range f.mem.dirty {
		if bits != 0 {
			return false
		}
	}
	return true
}
