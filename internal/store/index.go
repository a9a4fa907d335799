package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// index finds messages by key. It is a row of files, of which the newest is written to; indexfile.go has their format.
//
// For each message it takes, in this order, the keys topic#unique key, topic#key for each of its keys, and topic#T#tags. It
// knows only their hashes, so whoever asks must look at the messages.
type index struct {
	fs     logfile.FS
	dir    string
	shape  indexShape
	logger *slog.Logger
	now    func() time.Time

	flushing sync.Mutex // one flush, truncate or close at a time; taken before mu; protects the field below
	failed   error      // of a sync: what the headers would say of the entries cannot be trusted any more

	mu       sync.Mutex   // protects the fields below; held for memory work and small writes only
	files    []*indexFile // oldest first
	newNames bool         // in dir, not durable
	used     bool         // written to since the last idle
	touched  byte         // what touch has read, so that it is read
}

// indexTrust is what may be believed of index files at open.
type indexTrust struct {
	clean bool  // all: the store was closed
	ours  bool  // what headers say, for we write them last
	until int64 // else full files that end before this time, as the checkpoint says
}

// indexChainMax bounds the entries that one query looks at: a damaged file or a very common key must not hold it for ever.
const indexChainMax = 1 << 20

func (c *Config) indexDir() string { return filepath.Join(c.RootDir, "index") }

func (c *Config) indexShape() indexShape {
	return indexShape{slots: int32(c.MaxHashSlotNum), entries: int32(c.MaxIndexNum)}
}

// openIndex sets s.index when messageIndexEnable is on. clean: the store was closed by its last user.
func (s *Store) openIndex(clean bool) error {
	if !s.cfg.MessageIndexEnable {
		return nil
	}
	if s.cfg.MaxHashSlotNum < 1 || s.cfg.MaxHashSlotNum > math.MaxInt32 || s.cfg.MaxIndexNum < 2 || s.cfg.MaxIndexNum > math.MaxInt32 {
		return fmt.Errorf("cannot open index: maxHashSlotNum %d, maxIndexNum %d", s.cfg.MaxHashSlotNum, s.cfg.MaxIndexNum)
	}
	x := &index{
		fs: s.cfg.FS, dir: s.cfg.indexDir(), logger: s.logger, now: s.now,
		shape: s.cfg.indexShape(),
	}
	if err := x.load(indexTrust{clean: clean, ours: s.checkpoint.ours, until: s.checkpoint.indexTime}); err != nil {
		return err
	}
	s.index = x
	return nil
}

// load finds the files. One that cannot be believed is removed, and unless the store was closed all behind it too: the
// log has what was in them.
func (x *index) load(trust indexTrust) error {
	entries, err := x.fs.List(x.dir)
	if err != nil {
		return fmt.Errorf("cannot list index %q: %w", x.dir, err)
	}
	var doubt error
	for _, e := range entries {
		if e.Dir || !isIndexName(e.Name) {
			continue
		}
		f := &indexFile{path: filepath.Join(x.dir, e.Name), shape: x.shape}
		switch {
		case e.Size == 0:
			doubt = errors.New("it is empty")
		case e.Size != x.shape.size():
			return fmt.Errorf("cannot load %q: %w by maxHashSlotNum and maxIndexNum: it is %d bytes long, configured are %d",
				f.path, logfile.ErrFileSize, e.Size, x.shape.size())
		case doubt == nil || trust.clean:
			if doubt, err = x.loadFile(f, trust); err != nil {
				return err
			}
		}
		if doubt == nil {
			x.files = append(x.files, f)
			continue
		}
		x.tellRemoved(f, doubt)
		if err := x.fs.Remove(f.path); err != nil {
			return fmt.Errorf("cannot remove index %q: %w", f.path, err)
		}
		x.newNames = true
	}
	return nil
}

// tellRemoved tells of a file that is removed. One that is new since the checkpoint is nothing to speak of: recovery reads its messages.
func (x *index) tellRemoved(f *indexFile, because error) {
	if errors.Is(because, errIndexNew) {
		x.logger.Info("index file that was begun after the last checkpoint is made anew from the log", "file", f.path)
		return
	}
	x.logger.Warn("index file cannot be used and is removed: recovery indexes the messages that it reads; if older ones are not found by key then, "+
		"stop the broker and run liftoff store check --repair", "file", f.path, "because", because)
}

var errIndexNew = errors.New("nothing of it is durable")

func isIndexName(name string) bool {
	for _, c := range name {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(name) == 17
}

// loadFile reads a header and brings the slots back to it. doubt says why the file cannot be used.
func (x *index) loadFile(f *indexFile, trust indexTrust) (doubt, err error) {
	file, err := x.fs.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("cannot open index %q: %w", f.path, err)
	}
	f.file = file
	defer func() {
		file.Close()
		f.file = nil
	}()
	var b [indexHeaderSize]byte
	if err := readFull(file, b[:], 0); err != nil {
		return nil, fmt.Errorf("cannot read index %q: %w", f.path, err)
	}
	f.head = readIndexHeader(b[:])
	f.saved = f.head
	h := &f.head
	switch {
	case !h.fits(x.shape):
		return errors.New("its header is damaged"), nil
	case trust.clean:
		return nil, nil
	case h.next == 1:
		return errIndexNew, nil
	case !trust.ours && (h.endTime > trust.until || !f.full()):
		return errors.New("it may lack entries since the store was not closed"), nil
	case trust.ours && len(x.files) > 0 && !x.files[len(x.files)-1].full():
		return errors.New("the file before it is not full"), nil
	}
	last, err := f.fileEntry(h.next - 1)
	if err != nil {
		return nil, err
	}
	if last.logOffset != h.endOffset {
		return fmt.Errorf("its last entry is of log offset %d and not %d", last.logOffset, h.endOffset), nil
	}
	if f.full() {
		return nil, nil
	}
	err = f.cutAt(h.next)
	if errors.Is(err, errIndexUnsound) {
		return err, nil
	}
	return nil, err
}

// indexKey is one key of a message.
type indexKey struct {
	hash                 int32 // as files keep it
	logOffset, storeTime int64
}

// append takes the keys of messages, in the order of the log. What is there already is ignored.
func (x *index) append(keys []indexKey) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.touch(keys)
	newest := x.newestLocked()
	for _, k := range keys {
		if k.logOffset < newest {
			continue
		}
		if k.logOffset == newest { // it may have more keys than are there
			if there, err := x.has(k); err != nil {
				return err
			} else if there {
				continue
			}
		}
		f, err := x.writable()
		if err != nil {
			return err
		}
		if err := f.put(k); err != nil {
			return err
		}
		x.used = true
	}
	return nil
}

// newestLocked is the log offset of the newest message that has a key here, -1 for none. The newest file may be without an entry: it was
// lost, or none could be put.
func (x *index) newestLocked() int64 {
	for i := len(x.files) - 1; i >= max(0, len(x.files)-2); i-- {
		if x.files[i].head.next > 1 {
			return x.files[i].head.endOffset
		}
	}
	return -1
}

// touch reads the slots that keys are going to change. They lie all over 20 MB, so the processor waits for each; here it need not know one to go
// on to the next, and waits for many at once.
func (x *index) touch(keys []indexKey) {
	if len(x.files) == 0 {
		return
	}
	f := x.files[len(x.files)-1]
	if f.mem == nil {
		return
	}
	touched := byte(0)
	for _, k := range keys {
		at := f.shape.slotAt(k.hash % f.shape.slots)
		if p := f.mem.pages[at/indexPage]; p != nil {
			touched += p[at%indexPage]
		}
	}
	x.touched = touched
}

// appendKeys appends the keys of a message, in order.
func appendKeys(dst []indexKey, m *message.Dispatch) []indexKey {
	if m.SysFlag&message.FlagTransaction == message.FlagTransactionRollback {
		return dst
	}
	add := func(hash int32) {
		dst = append(dst, indexKey{hash: indexHash(hash), logOffset: m.LogOffset, storeTime: m.StoreTimestamp})
	}
	topic := message.JavaHash(0, m.Topic)*31 + '#'
	if m.UniqKey != nil {
		add(message.JavaHash(topic, m.UniqKey))
	}
	for keys := m.Keys; len(keys) > 0; {
		key := keys
		if i := bytes.IndexByte(keys, ' '); i >= 0 {
			key, keys = keys[:i], keys[i+1:]
		} else {
			keys = nil
		}
		if len(key) > 0 {
			add(message.JavaHash(topic, key))
		}
	}
	if len(m.Tags) > 0 {
		add(message.JavaHash((topic*31+'T')*31+'#', m.Tags))
	}
	return dst
}

// indexHash is what a file keeps of a hash.
func indexHash(h int32) int32 {
	if h == math.MinInt32 {
		return 0
	}
	return max(h, -h)
}

// has says whether a key of the newest message is there already. Its keys may lie in two files.
func (x *index) has(k indexKey) (bool, error) {
	for i := len(x.files) - 1; i >= max(0, len(x.files)-2); i-- {
		f := x.files[i]
		if err := x.acquire(f); err != nil {
			return false, err
		}
		there, err := f.has(k)
		x.release(f)
		if there || err != nil {
			return there, err
		}
	}
	return false, nil
}

func (f *indexFile) has(k indexKey) (bool, error) {
	n, err := f.slot(k.hash % f.shape.slots)
	for next := f.head.next; err == nil && n > 0 && n < next; {
		var e indexEntry
		if e, err = f.entry(n); err != nil || e.logOffset < k.logOffset {
			break
		}
		if e.hash == k.hash && e.logOffset == k.logOffset {
			return true, nil
		}
		next, n = n, e.prev
	}
	return false, err
}

// writable returns the file to write to, a new one when the newest is full.
func (x *index) writable() (*indexFile, error) {
	if n := len(x.files); n > 0 && !x.files[n-1].full() {
		f := x.files[n-1]
		if f.mem == nil {
			if err := x.acquire(f); err != nil {
				return nil, err
			}
			f.users--
			f.remember(false)
		}
		return f, nil
	}
	f, err := x.create()
	if err != nil {
		return nil, err
	}
	if n := len(x.files); n > 0 {
		before := &x.files[n-1].head
		f.head.beginTime, f.head.endTime = before.endTime, before.endTime
		f.head.beginOffset, f.head.endOffset = before.endOffset, before.endOffset
	}
	f.remember(true)
	x.files = append(x.files, f)
	return f, nil
}

// create makes a file, named by the time and behind all others.
func (x *index) create() (*indexFile, error) {
	if err := x.fs.MkdirAll(x.dir); err != nil {
		return nil, fmt.Errorf("cannot make folder %q: %w", x.dir, err)
	}
	name := indexName(x.now())
	if n := len(x.files); n > 0 {
		// The clock may have gone back. Names are sorted, not read as times.
		if last := filepath.Base(x.files[n-1].path); name <= last {
			name = nextIndexName(last)
		}
	}
	for {
		f := &indexFile{path: filepath.Join(x.dir, name), shape: x.shape, head: indexHeader{next: 1}}
		file, err := x.fs.Create(f.path)
		if errors.Is(err, fs.ErrExist) {
			name = nextIndexName(name)
			continue
		}
		if err == nil {
			if err = file.Truncate(x.shape.size()); err != nil {
				file.Close()
				_ = x.fs.Remove(f.path)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("cannot create index %q: %w", f.path, err)
		}
		f.file = file
		x.newNames = true
		return f, nil
	}
}

func indexName(t time.Time) string {
	b := t.Local().AppendFormat(nil, "20060102150405.000")
	return string(append(b[:14], b[15:]...))
}

func nextIndexName(name string) string {
	n, _ := strconv.ParseInt(name, 10, 64)
	return fmt.Sprintf("%017d", n+1)
}

// acquire opens a file for a reader, release closes it when nobody needs it. The caller holds mu.
func (x *index) acquire(f *indexFile) error {
	if f.file == nil {
		file, err := x.fs.Open(f.path)
		if err != nil {
			return fmt.Errorf("cannot open index %q: %w", f.path, err)
		}
		f.file = file
	}
	f.users++
	return nil
}

func (x *index) release(f *indexFile) {
	f.users--
	x.closeUnused(f)
}

func (x *index) closeUnused(f *indexFile) {
	if f.users == 0 && f.mem == nil && f.file != nil {
		f.file.Close()
		f.file = nil
	}
}

// newest tells the store time and log offset of the newest entry.
func (x *index) newest() (storeTime, logOffset int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.files) == 0 {
		return 0, 0
	}
	h := &x.files[len(x.files)-1].head
	return h.endTime, h.endOffset
}

// fullUntil is the end time of the newest full file that is durable, which is what Apache believes after a crash.
func (x *index) fullUntil() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := len(x.files) - 1; i >= 0; i-- {
		if h := x.files[i].saved; h.next >= x.shape.entries {
			return h.endTime
		}
	}
	return 0
}

// flush makes durable what is in memory.
func (x *index) flush() error {
	x.flushing.Lock()
	defer x.flushing.Unlock()
	if x.failed != nil {
		return x.failed
	}
	x.mu.Lock()
	var files []*indexFile
	for _, f := range x.files {
		if f.mem != nil && !f.isClean() {
			files = append(files, f)
		}
	}
	newNames := x.newNames
	x.newNames = false
	x.mu.Unlock()
	// Names first: a file that counts must not be there without the one before it.
	if newNames {
		if err := logfile.SyncDir(x.fs, x.dir); err != nil {
			x.mu.Lock()
			x.newNames = true
			x.mu.Unlock()
			if errors.Is(err, logfile.ErrSync) {
				x.failed = err
			}
			return err
		}
	}
	for _, f := range files { // in order, for the same reason
		if err := x.flushFile(f); err != nil {
			return err
		}
	}
	return nil
}

// flushFile writes entries, slots and header, each durable before the next begins. The caller holds flushing.
func (x *index) flushFile(f *indexFile) error {
	x.mu.Lock()
	err := f.writePending()
	head := f.head
	x.mu.Unlock()
	if err != nil {
		return err
	}
	writeHead := func() error {
		if _, err := f.file.WriteAt(head.appendTo(make([]byte, 0, indexHeaderSize)), 0); err != nil {
			return fmt.Errorf("cannot write index %q: %w", f.path, err)
		}
		return nil
	}
	sync := func() error {
		if err := f.file.Sync(); err != nil {
			x.failed = fmt.Errorf("%w index %q: %w", logfile.ErrSync, f.path, err)
		}
		return x.failed
	}
	writeSlots := func() error { return x.writeSlots(f, head.next) }
	for _, step := range []func() error{sync, writeSlots, sync, writeHead, sync} {
		if err := step(); err != nil {
			return err
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	f.saved = head
	if f.full() && f.isClean() { // nobody writes to it any more
		f.mem = nil
		x.closeUnused(f)
	}
	return nil
}

// writeSlots writes the pages of the slot table that have changed. The slots lead to no entry from next on.
func (x *index) writeSlots(f *indexFile, next int32) error {
	buf := make([]byte, 0, indexPageRun*indexPage)
	for page := 0; page < f.shape.pages(); {
		x.mu.Lock()
		run, at, behind, err := f.dirtyRun(page, next, buf)
		x.mu.Unlock()
		if err != nil {
			return err
		}
		if len(run) > 0 {
			_, err = f.file.WriteAt(run, at)
		}
		if err != nil {
			x.mu.Lock()
			f.mem.soil(int(at/indexPage), behind)
			x.mu.Unlock()
			return fmt.Errorf("cannot write index %q: %w", f.path, err)
		}
		page = behind
	}
	return nil
}

// idle gives back what the index takes when it was not written to since the last call: 20 MB at the default size.
func (x *index) idle() {
	x.flushing.Lock()
	defer x.flushing.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.files {
		if !x.used && f.mem != nil && f.isClean() {
			f.mem = nil
			x.closeUnused(f)
		}
	}
	x.used = false
}

// truncate takes away the entries of messages at or behind a log offset.
func (x *index) truncate(logOffset int64) error {
	x.flushing.Lock()
	defer x.flushing.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	for n := len(x.files); n > 0; n = len(x.files) {
		f := x.files[n-1]
		if f.head.next > 1 && f.head.endOffset < logOffset {
			return nil
		}
		next, err := x.firstAt(f, logOffset)
		if err != nil {
			return err
		}
		if next > 1 {
			err := x.cut(f, next)
			if !errors.Is(err, errIndexUnsound) {
				return err
			}
			x.tellRemoved(f, err)
		}
		f.mem = nil
		x.closeUnused(f)
		if err := x.fs.Remove(f.path); err != nil {
			return fmt.Errorf("cannot remove index %q: %w", f.path, err)
		}
		x.files = x.files[:n-1]
		x.newNames = true
	}
	return nil
}

// firstAt returns the first entry of a message at or behind a log offset.
func (x *index) firstAt(f *indexFile, logOffset int64) (int32, error) {
	if err := x.acquire(f); err != nil {
		return 0, err
	}
	defer x.release(f)
	n, err := search(1, int64(f.head.next), func(at int64) (bool, error) {
		e, err := f.entry(int32(at))
		return e.logOffset >= logOffset, err
	})
	return int32(n), err
}

// cut makes next the next entry of f. It is done in the file, so all that is in memory is written before.
func (x *index) cut(f *indexFile, next int32) error {
	if err := x.acquire(f); err != nil {
		return err
	}
	defer x.release(f)
	if m := f.mem; m != nil {
		if err := f.writePending(); err != nil {
			return err
		}
		if err := f.file.Sync(); err != nil {
			return fmt.Errorf("cannot sync index %q: %w", f.path, err)
		}
		for n, p := range m.pages {
			if p == nil {
				continue
			}
			from, to := f.pageBounds(n)
			at := int64(n) * indexPage
			if _, err := f.file.WriteAt(p[from-at:to-at], from); err != nil {
				return fmt.Errorf("cannot write index %q: %w", f.path, err)
			}
		}
		f.mem = nil
	}
	if err := f.cutAt(next); err != nil {
		return err
	}
	last, err := f.fileEntry(next - 1)
	if err != nil {
		return err
	}
	f.head.endOffset = last.logOffset
	f.head.endTime = f.head.beginTime + int64(max(0, last.seconds))*1000
	if next == 2 {
		f.head.endTime = f.head.beginTime
	}
	if _, err := f.file.WriteAt(f.head.appendTo(nil), 0); err != nil {
		return fmt.Errorf("cannot write index %q: %w", f.path, err)
	}
	if err := f.file.Sync(); err != nil {
		return fmt.Errorf("cannot sync index %q: %w", f.path, err)
	}
	f.saved = f.head
	return nil
}

// deleteBefore takes away files that know only messages before a log offset, but never the newest file.
func (x *index) deleteBefore(logOffset int64) error {
	x.flushing.Lock()
	defer x.flushing.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.files) > 1 && x.files[0].head.endOffset < logOffset {
		f := x.files[0]
		if err := x.fs.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove index %q: %w", f.path, err)
		}
		x.files = x.files[1:]
		f.mem = nil
		x.closeUnused(f)
	}
	return nil
}

// close makes everything durable and closes the files. Queries must have ended.
func (x *index) close() error {
	err := x.flush()
	x.flushing.Lock()
	defer x.flushing.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.files {
		if f.file != nil {
			f.file.Close()
			f.file = nil
		}
	}
	x.files = nil
	return err
}
