package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// A batch queue is the index of a queue of a topic with queue.type=BatchCQ, in which one record may hold several messages (an inner
// batch). It has a unit for each record; a record's messages have queue offsets from its base on. Files under
// batchconsumequeue/<topic>/<queueId>/ have 300,000 units each, are made at full length, and are named by the position of their first
// byte, 20 digits.
//
//	 0                8         12              20             28              36         38             42          46
//	+----------------+---------+---------------+--------------+---------------+----------+--------------+-----------+
//	| log offset 8B  | size 4B | tags code 8B  | store time 8B| base offset 8B| count 2B | compacted 4B | 4B        |
//	|                |         |               |              |               |          | -1           | 0         |
//	+----------------+---------+---------------+--------------+---------------+----------+--------------+-----------+
//
// All big-endian. A unit is good when its log offset and base are not negative, and its size and count are positive; the first bad
// one ends the queue. Like a consume queue's, the newest units are in memory only until the store flushes, and recovery dispatches them
// again. A unit is found by its base in a binary search.
type batchQueue struct {
	dir   string
	files *logfile.Log

	lowest  atomic.Int64 // offset of the oldest message that is still there
	next    atomic.Int64 // behind the newest message
	reached atomic.Int64 // log offset behind the newest unit's record

	mu      sync.Mutex // protects the fields below and writes to files
	first   int64      // number of the first unit whose record is still there
	written int64      // units before it are in the files, those from it on are pending
	pending []byte
	hint    int64 // number of the unit that was found last
	dirty   bool  // files were changed since the last sync
	tailed  bool  // nothing but zeros follows written in the files
}

type batchUnit struct {
	logOffset int64
	size      int32
	tagsCode  int64
	storeTime int64
	base      int64
	count     int16
}

const (
	batchUnitSize = 46
	batchMax      = math.MaxInt16 // messages in one record
)

func (u batchUnit) good() bool {
	return u.logOffset >= 0 && u.size > 0 && u.end() > 0 && u.base >= 0 && u.base <= offsetMax && u.count > 0
}

// end is the log offset behind the unit's record, behind the queue offset behind its messages.
func (u batchUnit) end() int64    { return u.logOffset + int64(u.size) }
func (u batchUnit) behind() int64 { return u.base + int64(u.count) }

func (u batchUnit) appendTo(dst []byte) []byte {
	be := binary.BigEndian
	dst = be.AppendUint64(dst, uint64(u.logOffset))
	dst = be.AppendUint32(dst, uint32(u.size))
	dst = be.AppendUint64(dst, uint64(u.tagsCode))
	dst = be.AppendUint64(dst, uint64(u.storeTime))
	dst = be.AppendUint64(dst, uint64(u.base))
	dst = be.AppendUint16(dst, uint16(u.count))
	dst = be.AppendUint32(dst, math.MaxUint32)
	return be.AppendUint32(dst, 0)
}

func readBatchUnit(b []byte) batchUnit {
	be := binary.BigEndian
	_ = b[batchUnitSize-1]
	return batchUnit{logOffset: int64(be.Uint64(b)), size: int32(be.Uint32(b[8:])), tagsCode: int64(be.Uint64(b[12:])),
		storeTime: int64(be.Uint64(b[20:])), base: int64(be.Uint64(b[28:])), count: int16(be.Uint16(b[36:]))}
}

func newBatchQueue(fs logfile.FS, handles *logfile.Handles, dir string, fileSize int64) *batchQueue {
	return &batchQueue{dir: dir, files: logfile.NewLog(fs, handles, fileSize, dir)}
}

// load finds the files and the end of the queue in the last three of them.
func (q *batchQueue) load() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.files.Load(); err != nil {
		return err
	}
	if q.files.Len() == 0 {
		return nil
	}
	perFile := q.files.FileSize() / batchUnitSize
	first, end := q.files.Start()/batchUnitSize, q.files.End()/batchUnitSize
	at := max(first, end-3*perFile)
	q.written = end // so that unit reads all
	var last batchUnit
	chunk := make([]byte, 64*batchUnitSize)
scan:
	for at < end {
		n := min(64, perFile-at%perFile)
		if _, err := q.files.ReadAt(chunk[:n*batchUnitSize], at*batchUnitSize); err != nil {
			return fmt.Errorf("cannot read %q: %w", q.dir, err)
		}
		for i := range n {
			u := readBatchUnit(chunk[i*batchUnitSize:])
			if !u.good() || u.logOffset < last.end() || u.base < last.behind() {
				break scan
			}
			last = u
			at++
		}
	}
	q.first, q.written = first, at
	q.next.Store(last.behind())
	q.reached.Store(last.end())
	q.lowest.Store(last.behind())
	if at > first {
		u, err := q.unit(first)
		if err != nil {
			return err
		}
		q.lowest.Store(u.base)
	}
	return nil
}

// unit reads a unit by its number. mu is held.
func (q *batchQueue) unit(n int64) (batchUnit, error) {
	if n >= q.written {
		return readBatchUnit(q.pending[(n-q.written)*batchUnitSize:]), nil
	}
	var b [batchUnitSize]byte
	if _, err := q.files.ReadAt(b[:], n*batchUnitSize); err != nil {
		return batchUnit{}, fmt.Errorf("cannot read unit %d of %q: %w", n, q.dir, err)
	}
	return readBatchUnit(b[:]), nil
}

func (q *batchQueue) endLocked() int64 { return q.written + int64(len(q.pending)/batchUnitSize) }

// append adds the unit of a record. One that is there already is ignored, so the log may be dispatched again.
func (q *batchQueue) append(u batchUnit) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if u.good() && u.base == 0 && q.next.Load() > 0 && u.logOffset >= q.reached.Load() { // its topic was deleted, as in consumeQueue
		if err := q.destroyLocked(); err != nil {
			return err
		}
	}
	if !u.good() || u.end() <= q.reached.Load() || u.base < q.next.Load() {
		return nil
	}
	if len(q.pending) >= 4096 {
		if err := q.writeLocked(); err != nil && len(q.pending) >= 16*4096 {
			return err
		}
	}
	if q.endLocked() == q.first {
		q.lowest.Store(u.base)
	}
	q.pending = u.appendTo(q.pending)
	q.next.Store(u.behind())
	q.reached.Store(u.end())
	return nil
}

// writeLocked writes what is pending to the files. A file is made durable before the next one is begun.
func (q *batchQueue) writeLocked() error {
	if !q.tailed { // Apache's truncation leaves units behind the end
		if err := clearFrom(q.files, q.written*batchUnitSize); err != nil {
			return fmt.Errorf("cannot clear %q behind its end: %w", q.dir, err)
		}
		q.tailed = true
	}
	for len(q.pending) > 0 {
		pos := q.written * batchUnitSize
		if q.dirty && pos%q.files.FileSize() == 0 { // load looks for the end in the last files only
			if err := q.files.Sync(); err != nil {
				return fmt.Errorf("cannot sync %q: %w", q.dir, err)
			}
		}
		q.dirty = true
		n := min(int64(len(q.pending)), q.files.FileSize()-pos%q.files.FileSize())
		if _, err := q.files.WriteAt(q.pending[:n], pos); err != nil {
			return fmt.Errorf("cannot write %q: %w", q.dir, err)
		}
		q.pending = q.pending[n:]
		q.written += n / batchUnitSize
	}
	q.pending = nil
	return nil
}

// find returns the number of the unit whose record has the message at a queue offset or, where there is none, the next one. mu is
// held.
func (q *batchQueue) find(offset int64) (int64, error) {
	end := q.endLocked()
	for n := max(q.hint, q.first); n < min(q.hint+2, end); n++ { // most read on where they were
		u, err := q.unit(n)
		if err != nil {
			return 0, err
		}
		if u.base <= offset && offset < u.behind() {
			q.hint = n
			return n, nil
		}
	}
	n, err := search(q.first, end, func(n int64) (bool, error) {
		u, err := q.unit(n)
		return u.behind() > offset, err
	})
	q.hint = n
	return n, err
}

// read fills dst with units from the one that has a queue offset on.
func (q *batchQueue) read(offset int64, dst []batchUnit) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, err := q.find(offset)
	end := q.endLocked()
	for i := range dst {
		if err != nil || n+int64(i) >= end {
			return i, err
		}
		dst[i], err = q.unit(n + int64(i))
	}
	return len(dst), err
}

// doubt makes the next flush cover at least so many of the newest units.
func (q *batchQueue) doubt(units int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dirty = true
	q.files.Doubt((q.written - units) * batchUnitSize)
}

// flush writes what is pending and makes it durable.
func (q *batchQueue) flush() error {
	q.mu.Lock()
	err := q.writeLocked()
	dirty := q.dirty
	q.dirty = false
	q.mu.Unlock()
	if err != nil || !dirty {
		return err
	}
	if err := q.files.Sync(); err != nil {
		q.mu.Lock()
		q.dirty = true
		q.mu.Unlock()
		return fmt.Errorf("cannot sync %q: %w", q.dir, err)
	}
	return nil
}

// truncate makes the queue end before the first unit of a record at or behind a log offset.
func (q *batchQueue) truncate(logOffset int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.writeLocked(); err != nil {
		return err
	}
	end, err := search(q.first, q.written, func(n int64) (bool, error) {
		u, err := q.unit(n)
		return u.logOffset >= logOffset, err
	})
	if err != nil {
		return err
	}
	var last batchUnit
	if end > q.first {
		if last, err = q.unit(end - 1); err != nil {
			return err
		}
	}
	if q.files.Len() > 0 {
		if err := clearFrom(q.files, end*batchUnitSize); err != nil {
			return fmt.Errorf("cannot truncate %q: %w", q.dir, err)
		}
		if err := q.files.Sync(); err != nil {
			return fmt.Errorf("cannot sync %q: %w", q.dir, err)
		}
	}
	q.written, q.tailed = end, true
	q.next.Store(last.behind())
	q.reached.Store(last.end())
	q.lowest.Store(min(q.lowest.Load(), last.behind()))
	return nil
}

// deleteBefore takes away files that hold only units of records before a log offset, but never the last file, moves the begin to the
// first message at or behind it, and returns how many files went.
func (q *batchQueue) deleteBefore(logOffset int64) (deleted int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	first, err := search(q.first, q.endLocked(), func(n int64) (bool, error) {
		u, err := q.unit(n)
		return u.logOffset >= logOffset, err
	})
	if err != nil {
		return 0, err
	}
	lowest := q.next.Load()
	if first < q.endLocked() {
		u, err := q.unit(first)
		if err != nil {
			return 0, err
		}
		lowest = u.base
	}
	q.first = first
	q.lowest.Store(lowest)
	for q.files.Len() > 1 && q.files.Start()+q.files.FileSize() <= min(first, q.written)*batchUnitSize {
		if err := q.files.RemoveFirst(); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}

// destroy takes all files away, for a topic that was deleted. The queue begins at 0 again.
func (q *batchQueue) destroy() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.destroyLocked()
}

func (q *batchQueue) destroyLocked() error {
	if err := q.files.RemoveFrom(0); err != nil {
		return err
	}
	q.pending, q.dirty, q.tailed = nil, false, true
	q.first, q.written, q.hint = 0, 0, 0
	q.next.Store(0)
	q.lowest.Store(0)
	q.reached.Store(0)
	return nil
}

// batchUnitOf is the unit of a record in a batch queue.
func batchUnitOf(m *message.Dispatch, tagsCode int64) batchUnit {
	u := batchUnit{logOffset: m.LogOffset, size: m.Size, tagsCode: tagsCode, storeTime: m.StoreTimestamp, base: m.QueueOffset, count: 1}
	if m.InnerNum != nil && m.InnerBase != nil {
		base, err := strconv.ParseInt(string(m.InnerBase), 10, 64)
		count, errCount := strconv.ParseInt(string(m.InnerNum), 10, 16)
		if err == nil && errCount == nil && count > 0 {
			u.base, u.count = base, int16(count)
		}
	}
	return u
}

// getBatch is Get on a queue that holds batches. A record with the wanted offset within comes whole; the client leaves out what lies
// before.
func (g *getter) getBatch() {
	g.r.Status = NoMatchedMessage
	var units [32]batchUnit
	for g.r.NextOffset < g.r.MaxOffset {
		n, err := g.q.batch.read(g.r.NextOffset, units[:])
		if err != nil {
			g.tell("cannot read batch consume queue", err, "offset", g.r.NextOffset)
			if n == 0 {
				g.r.Err = err
			}
		}
		if n == 0 && (err != nil || g.r.NextOffset >= g.q.MaxOffset()) { // the second when it was deleted meanwhile
			break
		}
		began := g.r.NextOffset
		for _, u := range units[:n] {
			if !u.good() || u.behind() <= g.r.NextOffset || u.behind() > g.q.MaxOffset() {
				continue // damaged
			}
			if g.r.NextOffset > g.offset && (u.base-g.offset)*batchUnitSize >= g.maxScan || g.isBatchFull(u) {
				return
			}
			at := g.r.NextOffset
			g.r.NextOffset = u.behind()
			if u.logOffset < g.skipTo || g.filter.Tags != nil && !g.filter.Tags(u.tagsCode) {
				continue
			}
			if g.takeBatch(u); g.r.Err != nil {
				g.r.NextOffset = max(at, u.base)
				return
			}
		}
		if g.r.NextOffset == began {
			g.r.Err = g.s.hole(g.q, began)
			return
		}
	}
}

// isBatchFull says whether one more record would be too much.
func (g *getter) isBatchFull(u batchUnit) bool {
	g.messages += int(u.count) - 1 // isFull asks of one more
	full := g.r.Count > 0 && g.isFull(int(u.size), g.logEnd-u.logOffset <= g.limits.memory)
	g.messages -= int(u.count) - 1
	return full
}

func (g *getter) takeBatch(u batchUnit) {
	defer g.letGo()
	wanted := [1]unit{{logOffset: u.logOffset, size: u.size, tagsCode: u.tagsCode}}
	rec, err := g.look(wanted[:])
	switch {
	case err != nil:
		g.unreadable(u.logOffset, err)
		if !g.s.isGone(u.logOffset, err) {
			g.r.Err = err
			return
		}
		if g.r.Count == 0 {
			g.r.Status = MessageWasRemoving
		}
	case g.filter.Record == nil || g.filter.Record(rec):
		g.keep(rec)
		g.found()
		g.bytes += int(u.size)
		g.messages += int(u.count)
	}
}

// unitAt finds the unit of the message at a queue offset, in a queue of either kind. Its errors are those of storeTime.
func (q *Queue) unitAt(offset int64) (u unit, err error) {
	if offset < q.MinOffset() {
		return unit{}, errCleaned
	}
	if offset >= q.MaxOffset() {
		return unit{}, ErrNoMessage
	}
	n := 0
	if q.batch != nil {
		var units [1]batchUnit
		n, err = q.batch.read(offset, units[:])
		u = unit{logOffset: units[0].logOffset, size: units[0].size, tagsCode: units[0].tagsCode}
	} else {
		var units [1]unit
		n, err = q.units.read(offset, units[:], false)
		if u = units[0]; !u.good() {
			n = 0
		}
	}
	switch {
	case err == nil && n == 1:
		return u, nil
	case offset < q.MinOffset(): // while it was read
		return unit{}, errCleaned
	case err == nil || isLost(err):
		return unit{}, ErrNoMessage
	}
	return unit{}, err
}

// MakeBatch makes a topic's queues batch queues, those that are not there yet. It makes sure that recovery knows their kind, and is to be
// called before the topic is used.
func (s *Store) MakeBatch(topic string) error {
	t := &s.queues
	t.mu.RLock()
	known := t.batch[topic]
	t.mu.RUnlock()
	if known || !IsQueueName(topic) {
		return nil
	}
	t.folders.Lock()
	defer t.folders.Unlock()
	if err := s.cfg.FS.MkdirAll(filepath.Join(s.batchQueueDir(), topic)); err != nil {
		return fmt.Errorf("cannot make the folder of batch consume queues: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.batch[topic] = true
	return nil
}

// refusedQueue is a handle that takes no messages and has none.
func (s *Store) refusedQueue(topic string, id int32, err error) *Queue {
	return &Queue{topic: topic, id: id, refused: err, units: newConsumeQueue(s.cfg.FS, s.handles, "", unitSize)}
}

func (s *Store) batchQueueDir() string { return filepath.Join(s.cfg.RootDir, "batchconsumequeue") }

// ErrInnerBatch says that a record that holds several messages is for a queue that cannot have it.
var ErrInnerBatch = errors.New("the message is an inner batch, but its topic has no batch consume queues")

// makeBaseRoom leaves room behind an inner batch's properties for its base offset, which is known under the append lock only.
func (p *Put) makeBaseRoom() {
	props := message.DeleteProperty(message.DeleteProperty(p.Properties, message.PropInnerBase), message.PropInnerNum)
	room := make([]byte, 0, len(props)+64)
	room = message.AppendProperty(append(room, props...), message.PropInnerNum, strconv.Itoa(p.Inner))
	room = message.AppendProperty(room, message.PropInnerBase, "")
	p.lightAt = len(room) - 1
	p.Properties = room[:p.lightAt+offsetDigits+1]
}

// placeBase gives an inner batch its base offset. The caller holds the append lock.
func (s *Store) placeBase(p *Put) {
	p.Properties = append(strconv.AppendInt(p.Properties[:p.lightAt], p.Queue.next, 10), 2)
	p.Size = int32(p.RecordSize(p.crc))
}
