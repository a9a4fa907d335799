package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// A consume queue is the index of one queue: unit n tells where the queue's nth message lies. Files under
// consumequeue/<topic>/<queueId>/ have 300,000 units each, are made at full length, and are named by the position of
// their first byte in the queue, 20 digits.
//
//	 0                8         12               20
//	+----------------+---------+----------------+
//	| log offset 8B  | size 4B | tags code 8B   |   big-endian
//	+----------------+---------+----------------+
//
// A unit is good when its log offset is not negative and its size is positive; the first bad one ends the queue, unless the log proves
// units behind it. Where a queue does not begin at the start of a file, or an offset in it was never given to a message, a filler stands:
// log offset 0 or that of the next message, size fillerSize.
//
// The newest units are in memory only (pending) and written behind: when there are pendingMax bytes of them, when the
// store flushes, at close. They can be had from the log again, so recovery dispatches the log from the checkpoint on, and
// append ignores what is there. Nothing but a few numbers is kept for a queue that nobody uses: its files are listed when
// it is, and idle forgets them.
type consumeQueue struct {
	fs       logfile.FS
	handles  *logfile.Handles
	dir      string
	fileSize int64

	// Queue offsets: lowest <= written <= next. Changed under mu, read by anyone.
	lowest  atomic.Int64 // of the oldest unit whose message is still there
	next    atomic.Int64 // behind the newest unit
	reached atomic.Int64 // log offset behind the newest unit's message

	mu      sync.Mutex   // protects the fields below and writes to files
	written int64        // units before it are in the files, those from it to next are pending
	pending []byte       // as they will be in the file; nil for a quiet queue
	files   *logfile.Log // nil until used
	busy    bool         // pending was full since the last flush
	used    bool         // since the last idle
	dirty   bool         // files were changed since the last sync
	syncing bool         // files are being synced
	tailed  bool         // nothing but zeros follows written in the files

	// Units that were read from a file ahead of who reads the queue in turn.
	readTo    int64  // where the last read has ended
	ahead     []byte // as in the file; nil when there are none
	aheadFrom int64  // the queue offset of the first
	cuts      int    // how often units in the files were taken away
}

// unit is one entry of a consume queue.
type unit struct {
	logOffset int64
	size      int32
	tagsCode  int64
}

const (
	unitSize   = 20
	fillerSize = math.MaxInt32 // no record is so large
	offsetMax  = 1 << 55       // of a message in its queue, so that positions do not overflow

	pendingMin = 8 * unitSize
	pendingMax = 4096 / unitSize * unitSize
	// aheadUnits are read at once for who takes many units, and goes on where he was.
	aheadUnits = 128
	aheadLeast = 8
	// A disk that is full must not stop dispatch at once, for it may have space again soon.
	pendingFull = 16 * pendingMax
)

func (u unit) good() bool   { return u.logOffset >= 0 && u.size > 0 }
func (u unit) filler() bool { return u.size == fillerSize }

// end is the log offset behind the unit's message.
func (u unit) end() int64 {
	if u.filler() {
		return u.logOffset
	}
	return u.logOffset + int64(u.size)
}

func (u unit) appendTo(dst []byte) []byte {
	dst = append(dst, make([]byte, unitSize)...)
	u.put(dst[len(dst)-unitSize:])
	return dst
}

// put writes the unit at the front of b.
func (u unit) put(b []byte) {
	_ = b[unitSize-1]
	binary.BigEndian.PutUint64(b, uint64(u.logOffset))
	binary.BigEndian.PutUint32(b[8:], uint32(u.size))
	binary.BigEndian.PutUint64(b[12:], uint64(u.tagsCode))
}

func readUnit(b []byte) unit {
	_ = b[unitSize-1]
	return unit{
		logOffset: int64(binary.BigEndian.Uint64(b)),
		size:      int32(binary.BigEndian.Uint32(b[8:])),
		tagsCode:  int64(binary.BigEndian.Uint64(b[12:])),
	}
}

// newConsumeQueue returns an empty queue; load finds what is in dir. A file holds whole units.
func newConsumeQueue(fs logfile.FS, handles *logfile.Handles, dir string, fileSize int64) *consumeQueue {
	return &consumeQueue{fs: fs, handles: handles, dir: dir, fileSize: fileSize}
}

// min is the offset of the oldest unit whose message is still there; max is the offset behind the newest one.
func (q *consumeQueue) min() int64 { return q.lowest.Load() }
func (q *consumeQueue) max() int64 { return q.next.Load() }

// end is the log offset behind the newest unit's message, 0 when there is none.
func (q *consumeQueue) end() int64 { return q.reached.Load() }

func (q *consumeQueue) perFile() int64 { return q.fileSize / unitSize }

// filesLocked lists the files when they are not known.
func (q *consumeQueue) filesLocked() (*logfile.Log, error) {
	q.used = true
	if q.files == nil {
		files := logfile.NewLog(q.fs, q.handles, q.fileSize, q.dir)
		if err := files.Load(); err != nil {
			return nil, err
		}
		q.files = files
	}
	return q.files, nil
}

// clearFrom makes everything from a position on read as zeros. The file that holds it stays, so that an empty queue still
// tells its offset.
func clearFrom(files *logfile.Log, pos int64) error {
	size := files.FileSize()
	if err := files.RemoveFrom(max(pos/size*size+1, files.Start()+1)); err != nil {
		return err
	}
	if pos >= files.End() {
		return nil
	}
	return files.Zero(max(pos, files.Start()))
}

// readFiles reads units from one file into dst, up to the file's end.
func readFiles(files *logfile.Log, at int64, dst []unit) (int, error) {
	return readUnits(files, at, dst, false)
}

func readUnits(files *logfile.Log, at int64, dst []unit, now bool) (int, error) {
	perFile := files.FileSize() / unitSize
	n := int(min(int64(len(dst)), perFile-at%perFile))
	if n == 0 {
		return 0, nil
	}
	// The bytes are read into the end of dst itself and decoded from its front: a unit in memory takes more than one in
	// the file, so what is decoded never overwrites what is not. It saves a buffer.
	const inMemory = int(unsafe.Sizeof(unit{}))
	raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst))), n*inMemory)[n*(inMemory-unitSize):]
	if _, err := files.Read(raw, at*unitSize, now); err != nil {
		clear(dst[:n])
		return 0, err
	}
	readUnitsOf(raw, dst[:n])
	return n, nil
}

// readUnitsOf reads what dst has room for.
func readUnitsOf(b []byte, dst []unit) {
	for i := range dst {
		dst[i] = readUnit(b[i*unitSize:])
	}
}

// cutLocked is called when units in the files are taken away.
func (q *consumeQueue) cutLocked() {
	q.ahead = nil
	q.cuts++
}

// searchFiles returns the first queue offset in [lo, hi) whose unit is found, or hi. From it on all must be. For a damaged unit the next good
// one speaks.
func (q *consumeQueue) searchFiles(files *logfile.Log, lo, hi int64, found func(unit) bool) (int64, error) {
	for lo < hi {
		mid := lo + (hi-lo)/2
		at := mid
		var u [1]unit
		for ; at < hi; at++ {
			if _, err := readFiles(files, at, u[:]); err != nil {
				return lo, err
			}
			if u[0].good() {
				break
			}
		}
		if at == hi || found(u[0]) {
			hi = mid
		} else {
			lo = at + 1
		}
	}
	return lo, nil
}

func search(lo, hi int64, found func(at int64) (bool, error)) (int64, error) {
	for lo < hi {
		mid := lo + (hi-lo)/2
		is, err := found(mid)
		if err != nil {
			return lo, err
		}
		if is {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo, nil
}

// append adds the units of messages with queue offsets from first on. A message that is there already is ignored, so the log may
// be dispatched again. Offset 0 behind others says that the topic was deleted and made anew between them: recovery met messages
// of the deleted one. One goroutine at a time appends.
func (q *consumeQueue) append(first int64, units ...timedUnit) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, u := range units {
		if at := first + int64(i); at == q.next.Load() && at > 0 && u.logOffset >= q.reached.Load() {
			return q.addLocked(units[i:]...) // almost always all of them
		} else if err := q.appendLocked(at, u); err != nil {
			return err
		}
	}
	return nil
}

func (q *consumeQueue) appendLocked(queueOffset int64, u timedUnit) error {
	next := q.next.Load()
	if queueOffset == 0 && next > 0 && u.logOffset >= q.reached.Load() {
		if err := q.destroyLocked(); err != nil {
			return err
		}
		next = 0
	}
	empty := next == q.lowest.Load() && q.reached.Load() == 0
	if u.end() <= q.reached.Load() || queueOffset < next && !empty {
		return nil
	}
	if queueOffset != next && queueOffset <= offsetMax {
		if empty {
			if err := q.beginLocked(queueOffset); err != nil {
				return err
			}
		} else if queueOffset-next <= q.perFile() {
			// Units were lost with a damaged file: those before the checkpoint are not dispatched again.
			for ; next < queueOffset; next++ {
				if err := q.addLocked(timedUnit{unit: unit{logOffset: u.logOffset, size: fillerSize}}); err != nil {
					return err
				}
			}
		}
		// Further away it is the message's offset that is damaged. It takes the next place, as in Apache.
	}
	return q.addLocked(u)
}

// addLocked makes units the newest ones. They are visible at once.
func (q *consumeQueue) addLocked(units ...timedUnit) error {
	for len(units) > 0 {
		have := len(q.pending)
		if have >= pendingMax && have%pendingMax == 0 {
			if err := q.writeLocked(); err != nil && have >= pendingFull {
				return err
			}
			q.busy = true
			have = len(q.pending)
		}
		n := min(len(units), (pendingMax-have%pendingMax)/unitSize)
		if size := have + n*unitSize; size > cap(q.pending) {
			more := make([]byte, have, max(pendingMin, size, min(pendingMax, 2*cap(q.pending))))
			copy(more, q.pending)
			q.pending = more
		}
		q.pending = q.pending[:have+n*unitSize]
		for i, u := range units[:n] {
			u.put(q.pending[have+i*unitSize:])
		}
		q.next.Add(int64(n))
		q.reached.Store(units[n-1].end())
		units = units[n:]
	}
	return nil
}

// beginLocked makes an empty queue begin at an offset.
func (q *consumeQueue) beginLocked(queueOffset int64) error {
	files, err := q.filesLocked()
	if err != nil {
		return err
	}
	q.cutLocked()
	// An empty file that is left of older units does not hold the offset.
	if err := files.RemoveFrom(0); err != nil {
		return err
	}
	first := queueOffset - queueOffset%q.perFile()
	q.dirty, q.tailed = true, true
	if err := fill(files, first, queueOffset); err != nil {
		return fmt.Errorf("cannot write %q: %w", q.dir, err)
	}
	q.written = queueOffset
	q.next.Store(queueOffset)
	q.lowest.Store(queueOffset)
	return nil
}

// fill writes fillers from the start of a file to an offset in it.
func fill(files *logfile.Log, from, to int64) error {
	const chunk = 3276 // units, 64 KiB
	b := bytes.Repeat(unit{size: fillerSize}.appendTo(nil), int(min(chunk, to-from)))
	for from < to {
		n := min(chunk, to-from)
		if _, err := files.WriteAt(b[:n*unitSize], from*unitSize); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// writeLocked writes what is pending to the files.
func (q *consumeQueue) writeLocked() error {
	if len(q.pending) == 0 {
		return nil
	}
	files, err := q.filesLocked()
	if err != nil {
		return err
	}
	q.dirty = true
	if !q.tailed {
		// A power cut may have left units behind a lost page, and Apache's truncation leaves them. They must not
		// become the queue's again when it has grown up to them.
		if err := clearFrom(files, q.written*unitSize); err != nil {
			return fmt.Errorf("cannot clear %q behind its end: %w", q.dir, err)
		}
		q.tailed = true
	}
	done := 0
	for done < len(q.pending) {
		pos := q.written * unitSize
		n := min(int64(len(q.pending)-done), q.fileSize-pos%q.fileSize)
		if _, err := files.WriteAt(q.pending[done:done+int(n)], pos); err != nil {
			q.pending = append(q.pending[:0], q.pending[done:]...)
			return fmt.Errorf("cannot write %q: %w", q.dir, err)
		}
		done += int(n)
		q.written += n / unitSize
	}
	q.pending = q.pending[:0]
	if cap(q.pending) > pendingMax {
		q.pending = nil // it grew while the disk was full
	}
	return nil
}

// read fills dst with units from an offset on, as many as there are up to the end of a file, with at most one read of it.
// Fillers are units too. With now it does not wait for a disk.
func (q *consumeQueue) read(queueOffset int64, dst []unit, now bool) (int, error) {
	q.mu.Lock()
	q.used = true
	next, written := q.next.Load(), q.written
	if queueOffset < 0 || queueOffset >= next || len(dst) == 0 {
		q.mu.Unlock()
		return 0, nil
	}
	n := int(min(int64(len(dst)), next-queueOffset))
	inFiles := int(min(int64(n), max(0, written-queueOffset)))
	if left := q.perFile() - queueOffset%q.perFile(); int64(inFiles) > left {
		inFiles, n = int(left), int(left)
	}
	for i := inFiles; i < n; i++ {
		dst[i] = readUnit(q.pending[(queueOffset+int64(i)-written)*unitSize:])
	}
	inTurn := queueOffset == q.readTo
	q.readTo = queueOffset + int64(n)
	if from := queueOffset - q.aheadFrom; inFiles > 0 && from >= 0 && from+int64(inFiles) <= int64(len(q.ahead)/unitSize) {
		readUnitsOf(q.ahead[from*unitSize:], dst[:inFiles])
		inFiles = 0
	}
	if inFiles == 0 {
		q.mu.Unlock()
		return n, nil
	}
	if now && q.files == nil {
		q.mu.Unlock()
		return 0, logfile.ErrWouldWait
	}
	files, err := q.filesLocked()
	ahead, cuts, more := q.ahead, q.cuts, 0
	if inTurn && inFiles >= aheadLeast {
		more = int(min(aheadUnits, written-queueOffset, q.perFile()-queueOffset%q.perFile()))
		q.ahead = nil
	}
	q.mu.Unlock()
	switch {
	case err != nil:
	case more > inFiles:
		if cap(ahead) == 0 {
			ahead = make([]byte, aheadUnits*unitSize)
		}
		ahead = ahead[:more*unitSize]
		if _, err = files.Read(ahead, queueOffset*unitSize, now); err != nil {
			break
		}
		readUnitsOf(ahead, dst[:inFiles])
		q.mu.Lock()
		if q.cuts == cuts {
			q.ahead, q.aheadFrom = ahead, queueOffset
		}
		q.mu.Unlock()
	default:
		_, err = readUnits(files, queueOffset, dst[:inFiles], now)
	}
	if now && errors.Is(err, logfile.ErrWouldWait) {
		return 0, err
	}
	if err != nil {
		if queueOffset < q.min() || queueOffset >= q.max() { // deleted meanwhile
			return 0, nil
		}
		return 0, fmt.Errorf("cannot read unit %d of %q: %w", queueOffset, q.dir, err)
	}
	return n, nil
}

// doubt makes the next flush cover at least so many of the newest units.
func (q *consumeQueue) doubt(units int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	files, err := q.filesLocked()
	if err != nil {
		return fmt.Errorf("cannot open %q: %w", q.dir, err)
	}
	q.dirty = true
	files.Doubt((q.written - units) * unitSize)
	return nil
}

// flush writes what is pending, and makes all that is written durable.
func (q *consumeQueue) flush() error {
	q.mu.Lock()
	err := q.writeLocked()
	if err == nil && !q.busy {
		q.pending = nil
	}
	q.busy = false
	if err != nil || !q.dirty {
		q.mu.Unlock()
		return err
	}
	files := q.files // they know what is to be synced
	q.dirty, q.syncing = false, true
	q.mu.Unlock()
	err = files.Sync()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.syncing = false
	if err != nil {
		q.dirty = q.dirty || q.files == files // else they were destroyed meanwhile
		return fmt.Errorf("cannot sync %q: %w", q.dir, err)
	}
	return nil
}

// idle gives back what a queue takes that was not used since the last call.
func (q *consumeQueue) idle() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.used {
		q.idleLocked()
	}
	q.used = false
}

// idleLocked forgets the files when they have everything.
func (q *consumeQueue) idleLocked() {
	if len(q.pending) > 0 || q.dirty || q.syncing {
		return
	}
	q.forgetLocked()
}

func (q *consumeQueue) forgetLocked() {
	q.pending, q.ahead = nil, nil
	if q.files != nil {
		q.files.Close()
		q.files = nil
	}
}

// truncate makes the queue end before the first unit of a message at or behind a log offset.
func (q *consumeQueue) truncate(logOffset int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.writeLocked(); err != nil {
		return err
	}
	files, err := q.filesLocked()
	if err != nil {
		return err
	}
	lowest := q.lowest.Load()
	end, err := q.searchFiles(files, lowest, q.written, func(u unit) bool { return u.logOffset >= logOffset })
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", q.dir, err)
	}
	reached := int64(0)
	if end > lowest {
		var last [1]unit
		if _, err := readFiles(files, end-1, last[:]); err != nil {
			return fmt.Errorf("cannot read %q: %w", q.dir, err)
		}
		reached = last[0].end()
	}
	q.cutLocked()
	if files.Len() > 0 {
		q.dirty = true
		if err := clearFrom(files, end*unitSize); err != nil {
			return fmt.Errorf("cannot truncate %q: %w", q.dir, err)
		}
		q.tailed = true
		if err := files.Sync(); err != nil {
			return fmt.Errorf("cannot sync %q: %w", q.dir, err)
		}
		q.dirty = false
	}
	q.written = end
	q.next.Store(end)
	q.reached.Store(reached)
	return nil
}

// deleteBefore takes away files that hold only units of messages before a log offset, but never the last file, moves min
// to the first unit of a message at or behind it, and returns how many files went.
func (q *consumeQueue) deleteBefore(logOffset int64) (deleted int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	lowest, next := q.lowest.Load(), q.next.Load()
	if lowest >= next {
		return 0, nil
	}
	if q.reached.Load() <= logOffset { // nothing of it is left; its offset must not be forgotten
		lowest = next
	}
	if was := q.used; !was {
		defer func() { // this is no use by anyone
			q.used = was
			q.idleLocked()
		}()
	}
	files, err := q.filesLocked()
	if err != nil {
		return 0, err
	}
	if begin := files.Start() / unitSize; lowest < begin { // some files went, and then one could not
		lowest = begin
		q.lowest.Store(lowest)
	}
	if lowest < min(q.written, next) {
		var first [1]unit
		if _, err := readFiles(files, lowest, first[:]); err != nil {
			return 0, fmt.Errorf("cannot read %q: %w", q.dir, err)
		}
		if first[0].logOffset >= logOffset {
			return 0, nil
		}
	}
	for files.Len() > 1 {
		var last [1]unit
		first := files.Start() / unitSize
		behind := first + q.perFile()
		if behind > q.written {
			break
		}
		for at := behind - 1; at >= first && !last[0].good(); at-- { // for a damaged one the one before speaks
			if _, err := readFiles(files, at, last[:]); err != nil {
				return deleted, fmt.Errorf("cannot read %q: %w", q.dir, err)
			}
		}
		if last[0].logOffset >= logOffset {
			break
		}
		if err := files.RemoveFirst(); err != nil {
			return deleted, err
		}
		deleted++
	}
	lowest = max(lowest, files.Start()/unitSize)
	if lowest < next {
		// Those that are only pending are the newest; when they are all that is left, the search ends at the first.
		lowest, err = q.searchFiles(files, lowest, max(lowest, q.written), func(u unit) bool { return u.logOffset >= logOffset })
		if err != nil {
			return deleted, fmt.Errorf("cannot read %q: %w", q.dir, err)
		}
		for lowest >= q.written && lowest < next && readUnit(q.pending[(lowest-q.written)*unitSize:]).logOffset < logOffset {
			lowest++
		}
	}
	q.lowest.Store(lowest)
	return deleted, nil
}

// destroy takes all files away, for a topic that was deleted. The queue begins at 0 again.
func (q *consumeQueue) destroy() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.destroyLocked()
}

func (q *consumeQueue) destroyLocked() error {
	if files, err := q.filesLocked(); err == nil {
		q.cutLocked()
		if err := files.RemoveFrom(0); err != nil {
			return err
		}
	} else { // some were removed or cut off from outside: the folder goes with what is there, or all stays as it is
		if err := q.fs.RemoveAll(q.dir); err != nil {
			return fmt.Errorf("cannot remove %q: %w", q.dir, err)
		}
		q.cutLocked()
	}
	q.dirty, q.tailed = false, true
	q.forgetLocked()
	q.written = 0
	q.next.Store(0)
	q.lowest.Store(0)
	q.reached.Store(0)
	if err := q.fs.RemoveAll(q.dir); err != nil {
		return fmt.Errorf("cannot remove %q: %w", q.dir, err)
	}
	return nil
}

// close closes the files. What is pending must have been flushed.
func (q *consumeQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.files != nil {
		q.files.Close()
	}
}
