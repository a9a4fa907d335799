package store

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// indexView reads the entries of all index files in order, beside the log, and follows the chains of each file while it does.
type indexView struct {
	files   []*indexFile
	at      int   // number of the file that is read
	n       int32 // of its next entry
	opened  logfile.File
	buf     []byte // entries of the file from bufAt on
	bufAt   int32
	slots   []int32 // the newest entry of each slot so far
	chained bool    // no chain of this file was told to be broken

	first    int64 // log offset of the first entry that points into the log, -1: none yet
	keys     []indexKey
	missing  int64 // keys of records that no entry has, between the first entry and the last
	lag      int64 // records behind the last entry
	lagFirst int64
	buffered int // see checker.buffers
}

// slotsInMemory bounds the slot table that is followed in memory, 4 bytes each.
const slotsInMemory = 64 << 20

// findShape finds how many slots and entries index files have. The standard shape is the answer when there is none or it fits; else the
// first entry is looked for, which must lie behind the slots.
func findShape(files logfile.FS, dir string, standard indexShape) (shape indexShape, known bool, err error) {
	entries, err := files.List(dir)
	if err != nil {
		return standard, false, fmt.Errorf("cannot list index %q: %w", dir, err)
	}
	size := indexSize(entries)
	if size == 0 || size == standard.size() {
		return standard, true, nil
	}
	for _, e := range entries {
		if e.Size != size || !isIndexName(e.Name) {
			continue
		}
		file, err := files.Open(filepath.Join(dir, e.Name))
		if err != nil {
			return standard, false, fmt.Errorf("cannot open index: %w", err)
		}
		shape, known := shapeOf(file, size)
		file.Close()
		if known {
			return shape, true, nil
		}
	}
	return standard, false, nil
}

// indexSize is the size that most index files have.
func indexSize(entries []logfile.Entry) int64 {
	count, best := map[int64]int{}, int64(0)
	for _, e := range entries {
		if !e.Dir && isIndexName(e.Name) && e.Size > indexHeaderSize {
			if count[e.Size]++; count[e.Size] > count[best] {
				best = e.Size
			}
		}
	}
	return best
}

// shapeOf looks for the first entry of a file.
func shapeOf(file logfile.File, size int64) (indexShape, bool) {
	var b [indexHeaderSize]byte
	if err := readFull(file, b[:], 0); err != nil {
		return indexShape{}, false
	}
	h := readIndexHeader(b[:])
	if h.next < 2 {
		return indexShape{}, false
	}
	buf := make([]byte, 256<<10)
	for pos := int64(indexHeaderSize); pos < size; {
		data, err := file.NextData(pos, size)
		if err == nil && data > pos {
			pos = max(pos, (data-indexHeaderSize)/indexSlotSize*indexSlotSize+indexHeaderSize-indexEntrySize)
		}
		if pos >= size {
			break
		}
		chunk := buf[:min(int64(len(buf)), size-pos)]
		if err := readFull(file, chunk, pos); err != nil {
			return indexShape{}, false
		}
		for i := 0; i+indexEntrySize <= len(chunk); i += indexSlotSize {
			e := readIndexEntry(chunk[i:])
			slots := (pos + int64(i) - indexEntrySize - indexHeaderSize) / indexSlotSize
			rest := size - indexHeaderSize - slots*indexSlotSize
			if e.logOffset != h.beginOffset || e.prev != 0 || e.hash < 0 || slots < 1 || rest%indexEntrySize != 0 || slots > 1<<31-1 || rest/indexEntrySize > 1<<31-1 {
				continue
			}
			shape := indexShape{int32(slots), int32(rest / indexEntrySize)}
			if !h.fits(shape) {
				continue
			}
			if isShape(file, shape, h) {
				return shape, true
			}
		}
		if len(chunk) < len(buf) {
			break
		}
		pos += int64(len(chunk)) - indexEntrySize
	}
	return indexShape{}, false
}

// isShape says whether the last entry is where it would be with a shape, and its slot leads to it.
func isShape(file logfile.File, shape indexShape, h indexHeader) bool {
	var b [indexEntrySize]byte
	if err := readFull(file, b[:], shape.entryAt(h.next-1)); err != nil {
		return false
	}
	last := readIndexEntry(b[:])
	if last.logOffset != h.endOffset || last.hash < 0 {
		return false
	}
	if err := readFull(file, b[:indexSlotSize], shape.slotAt(last.hash%shape.slots)); err != nil {
		return false
	}
	return int32(binary.BigEndian.Uint32(b[:])) >= h.next-1
}

// open finds the files.
func (x *indexView) open(c *checker) error {
	cfg := &c.o.cfg
	dir := cfg.indexDir()
	entries, err := cfg.FS.List(dir)
	if err != nil {
		return fmt.Errorf("cannot list index %q: %w", dir, err)
	}
	x.first = -1
	if !c.o.knowsShape {
		if x.unflushed(c, dir, entries) {
			return nil
		}
		c.problem(Finding{Kind: "index-shape", File: "index", At: -1, What: "how many slots and entries its files have cannot be told from them",
			Means: "they are damaged, or have never been flushed; they were not looked at", Do: "check with -c FILE, which has maxHashSlotNum and maxIndexNum; an empty FILE has the usual ones"})
		return nil
	}
	shape := cfg.indexShape()
	for _, e := range entries {
		if e.Dir || !isIndexName(e.Name) {
			continue
		}
		f := &indexFile{path: filepath.Join(dir, e.Name), shape: shape}
		finding := Finding{Kind: "index-file", File: c.o.name(f.path), At: -1, Means: "messages are not found by key", Do: "--repair makes the index anew from the log"}
		switch {
		case e.Size == 0 && !c.o.clean:
			finding.What, finding.Means, finding.Do = "it is empty", "it was made when the broker was killed", "nothing: the next start removes it"
			c.note(finding)
			continue
		case e.Size != shape.size():
			finding.What = fmt.Sprintf("it is %d bytes long, %d slots and %d entries make %d", e.Size, shape.slots, shape.entries, shape.size())
			finding.Means = "no broker starts on this store, if maxHashSlotNum and maxIndexNum are so"
		default:
			if err := x.header(f, c); err != nil {
				finding.At, finding.What = 0, err.Error()
			}
			c.o.plan.indexBehind = c.o.plan.indexBehind || !c.o.clean && f.head.next == 1
		}
		if finding.What != "" {
			c.o.plan.index = true
			c.problem(finding)
			continue
		}
		x.files = append(x.files, f)
		c.sum.IndexFiles++
		c.sum.IndexEntries += int64(f.head.next - 1)
	}
	x.start()
	return nil
}

// unflushed says whether the store was left by a kill before any index file was written to more than in parts.
func (x *indexView) unflushed(c *checker, dir string, entries []logfile.Entry) bool {
	if c.o.clean {
		return false
	}
	for _, e := range entries {
		if e.Dir || !isIndexName(e.Name) || e.Size < indexHeaderSize {
			continue
		}
		f := &indexFile{path: filepath.Join(dir, e.Name), shape: indexShape{slots: 1, entries: 2}}
		if err := x.header(f, c); err != nil || f.head.next > 1 {
			return false
		}
	}
	c.o.plan.indexBehind = true
	c.note(Finding{Kind: "index-behind", File: "index", At: -1, What: "nothing is in it yet", Means: "the broker was killed before it was written", Do: "nothing: the next start makes it"})
	return true
}

func (x *indexView) header(f *indexFile, c *checker) error {
	file, err := c.o.cfg.FS.Open(f.path)
	if err != nil {
		return fmt.Errorf("cannot open index %q: %w", f.path, err)
	}
	defer file.Close()
	var b [indexHeaderSize]byte
	if err := readFull(file, b[:], 0); err != nil {
		return fmt.Errorf("cannot read index %q: %w", f.path, err)
	}
	f.head = readIndexHeader(b[:])
	if !f.head.fits(f.shape) {
		return fmt.Errorf("its header is damaged: %+v", f.head)
	}
	return nil
}

// start begins with the file numbered at.
func (x *indexView) start() {
	x.n, x.buf, x.bufAt, x.chained = 1, nil, 1, true
	if x.at >= len(x.files) {
		return
	}
	if f := x.files[x.at]; f.shape.slots <= slotsInMemory {
		if len(x.slots) == int(f.shape.slots) {
			clear(x.slots)
		} else {
			x.slots = make([]int32, f.shape.slots)
		}
	}
}

func (x *indexView) close() {
	if x.opened != nil {
		x.opened.Close()
		x.opened = nil
	}
}

// peek is the next entry, and false when there is none.
func (x *indexView) peek(c *checker) (indexEntry, bool) {
	for x.at < len(x.files) {
		f := x.files[x.at]
		if x.n >= f.head.next {
			x.endFile(c)
			continue
		}
		if i := int(x.n-x.bufAt) * indexEntrySize; i < len(x.buf) {
			return readIndexEntry(x.buf[i:]), true
		}
		if err := x.fill(f, c); err != nil {
			c.o.plan.index = true
			c.problem(Finding{Kind: "index-file", File: c.o.name(f.path), At: f.shape.entryAt(x.n), What: err.Error(), Means: "messages are not found by key", Do: "look at the disk; --repair makes the index anew from the log"})
			x.nextFile()
		}
	}
	return indexEntry{}, false
}

func (x *indexView) fill(f *indexFile, c *checker) (err error) {
	if x.opened == nil {
		if x.opened, err = c.o.cfg.FS.Open(f.path); err != nil {
			return fmt.Errorf("cannot open index: %w", err)
		}
	}
	n := min(int(f.head.next-x.n), 3276)
	x.buf = slices.Grow(x.buf[:0], n*indexEntrySize)[:n*indexEntrySize]
	x.bufAt = x.n
	if err := readFull(x.opened, x.buf, f.shape.entryAt(x.n)); err != nil {
		return fmt.Errorf("cannot read index: %w", err)
	}
	return nil
}

func (x *indexView) nextFile() {
	x.close()
	x.at++
	x.start()
}

// take passes over the next entry and follows its chain.
func (x *indexView) take(c *checker, e indexEntry) {
	f := x.files[x.at]
	if x.slots != nil && e.hash >= 0 {
		slot := e.hash % f.shape.slots
		if e.prev != x.slots[slot] && x.chained {
			x.broken(c, f.shape.entryAt(x.n)+16, fmt.Sprintf("entry %d leads to entry %d, the one before it in slot %d is %d", x.n, e.prev, slot, x.slots[slot]))
		}
		x.slots[slot] = x.n
	}
	x.n++
}

func (x *indexView) broken(c *checker, at int64, what string) {
	x.chained = false
	c.o.plan.index = true
	c.problem(Finding{Kind: "index-chain", File: c.o.name(x.files[x.at].path), At: at, What: what, Means: "messages of some keys are not found", Do: "--repair makes the index anew from the log"})
}

// endFile compares the slots with the entries that were read, and goes to the next file.
func (x *indexView) endFile(c *checker) {
	f := x.files[x.at]
	defer x.nextFile()
	if x.slots == nil || !x.chained || f.head.next == 1 {
		return
	}
	if err := x.slotsFit(c, f); err != nil {
		x.broken(c, indexHeaderSize, err.Error())
	}
}

func (x *indexView) slotsFit(c *checker, f *indexFile) error {
	if x.opened == nil {
		var err error
		if x.opened, err = c.o.cfg.FS.Open(f.path); err != nil {
			return fmt.Errorf("cannot open index: %w", err)
		}
	}
	buf := make([]byte, 256<<10)
	for from := int32(0); from < f.shape.slots; {
		n := min(int(f.shape.slots-from), len(buf)/indexSlotSize)
		if err := readFull(x.opened, buf[:n*indexSlotSize], f.shape.slotAt(from)); err != nil {
			return fmt.Errorf("cannot read index: %w", err)
		}
		for i := range n {
			got, want := int32(binary.BigEndian.Uint32(buf[i*indexSlotSize:])), x.slots[from+int32(i)]
			if got == want || !c.o.clean && got >= f.head.next { // the slots may be ahead of the header then
				continue
			}
			if x.chained {
				x.broken(c, f.shape.slotAt(from+int32(i)), fmt.Sprintf("slot %d leads to entry %d, its newest is %d", from+int32(i), got, want))
			}
		}
		from += int32(n)
	}
	return nil
}

// record compares the entries of a record with its keys.
func (x *indexView) record(c *checker, m *message.Dispatch) error {
	if len(x.files) == 0 {
		return nil
	}
	x.keys = appendKeys(x.keys[:0], m)
	if len(x.keys) == 0 {
		return nil
	}
	e, more := x.peek(c)
	for ; more && e.logOffset < m.LogOffset; e, more = x.peek(c) {
		x.stray(c, e)
		x.take(c, e)
	}
	if !more {
		if x.lag == 0 {
			x.lagFirst = m.LogOffset
		}
		x.lag++
		return nil
	}
	keys, found := len(x.keys), 0
	if len(m.Tags) > 0 {
		keys-- // they are in the index since 5.5 only
	}
	for ; more && e.logOffset == m.LogOffset; e, more = x.peek(c) {
		if x.first < 0 {
			x.first = m.LogOffset
		}
		if i := slices.IndexFunc(x.keys, func(k indexKey) bool { return k.hash == e.hash }); i < 0 {
			f := x.files[x.at]
			c.o.plan.index = true
			c.problem(Finding{Kind: "index-entry", File: c.o.name(f.path), At: f.shape.entryAt(x.n), What: fmt.Sprintf("entry %d: the message at log offset %d has no key of hash %d", x.n, e.logOffset, e.hash),
				Means: "a message is not found by one of its keys", Do: "--repair makes the index anew from the log"})
		} else if i < keys {
			found++
		}
		x.take(c, e)
	}
	if x.first >= 0 {
		x.missing += int64(max(0, keys-found))
	}
	return nil
}

// stray tells of an entry that no record with keys belongs to.
func (x *indexView) stray(c *checker, e indexEntry) {
	f := x.files[x.at]
	switch {
	case e.logOffset >= 0 && e.logOffset < c.o.LogStart():
		return // its file of the log was deleted
	case c.isBad(e.logOffset):
		return
	}
	c.o.plan.index = true
	c.problem(Finding{Kind: "index-entry", File: c.o.name(f.path), At: f.shape.entryAt(x.n), What: fmt.Sprintf("entry %d points to log offset %d, where no message with a key begins, or is not in order", x.n, e.logOffset),
		Means: "a message is not found by one of its keys", Do: "--repair makes the index anew from the log"})
}

// finish tells what is left when the log has ended.
func (x *indexView) finish(c *checker) {
	for e, more := x.peek(c); more; e, more = x.peek(c) {
		x.stray(c, e)
		x.take(c, e)
	}
	f := Finding{Kind: "index-missing", File: "index", At: -1, Means: "these messages are not found by key", Do: "--repair makes the index anew from the log"}
	if x.missing > 0 {
		f.What = fmt.Sprintf("%d keys of messages have no entry", x.missing)
		f.Means += "; the index may have been off for a while"
		c.note(f)
	}
	if x.lag == 0 {
		return
	}
	f.Kind, f.What = "index-behind", fmt.Sprintf("%d messages from log offset %d on are not in it", x.lag, x.lagFirst)
	if c.o.clean {
		c.o.plan.index = true
		c.problem(f)
		return
	}
	f.Means, f.Do = "the broker was killed before they were written here", "nothing: the next start puts them there"
	c.o.plan.indexBehind = true
	c.note(f)
}
