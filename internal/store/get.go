package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/liftoffmq/liftoff/internal/logging"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// GetStatus is how a Get went. The names are Apache's GetMessageStatus.
type GetStatus uint8

// Every Get ends with one of these.
const (
	Found GetStatus = iota
	NoMatchedMessage
	MessageWasRemoving
	OffsetFoundNull
	OffsetOverflowBadly
	OffsetOverflowOne
	OffsetTooSmall
	NoMatchedLogicQueue
	NoMessageInQueue
	OffsetReset
)

var getStatusNames = [...]string{"FOUND", "NO_MATCHED_MESSAGE", "MESSAGE_WAS_REMOVING", "OFFSET_FOUND_NULL",
	"OFFSET_OVERFLOW_BADLY", "OFFSET_OVERFLOW_ONE", "OFFSET_TOO_SMALL", "NO_MATCHED_LOGIC_QUEUE", "NO_MESSAGE_IN_QUEUE", "OFFSET_RESET"}

func (g GetStatus) String() string { return getStatusNames[g] }

// GetResult is what a Get says beside the records.
type GetResult struct {
	Status     GetStatus
	NextOffset int64 // where the caller goes on
	MinOffset  int64
	MaxOffset  int64
	Count      int // of records
	Bytes      int
	// Err is why what comes at NextOffset cannot be read now, though it is there: it is no reason to pass over it.
	Err error
	// SuggestSlave says that the messages lie so far behind the log's end that a slave had better serve them.
	SuggestSlave bool
}

var noFilter Filter

const (
	maxPullSize     = 128 << 20
	recordLogOffset = 28 // where a record has its own log offset
)

func logOffsetOf(rec []byte) int64 { return int64(binary.BigEndian.Uint64(rec[recordLogOffset:])) }

// Filter says which messages a Get is for. A nil function wants all.
type Filter struct {
	Tags   func(tagsCode int64) bool // by the tags code in the queue's unit
	Record func(record []byte) bool  // by the record itself, which is only read when the others want it
	// Bits decides by what Hooks.Bits said when the message was stored, as far as the queue has an extension that tells it.
	Bits func(storeTimestamp int64, bits []byte) bool
}

// Get appends to dst the records of a queue from an offset on, at most maxMsgs and about maxBytes, but always one if there
// is one. A nil filter takes all. The limits of messages in memory
// and on disk apply as in Apache: how far a message lies behind the log's end counts as where it is.
func (s *Store) Get(q *Queue, offset int64, maxMsgs, maxBytes int, filter *Filter, dst []byte) ([]byte, GetResult) {
	dst, r, _ := s.get(q, offset, maxMsgs, maxBytes, filter, dst, false)
	return dst, r
}

// GetNow is Get for who must not wait for a disk: it is not ok when that would be needed.
func (s *Store) GetNow(q *Queue, offset int64, maxMsgs, maxBytes int, filter *Filter, dst []byte) (_ []byte, r GetResult, ok bool) {
	return s.get(q, offset, maxMsgs, maxBytes, filter, dst, true)
}

func (s *Store) get(q *Queue, offset int64, maxMsgs, maxBytes int, filter *Filter, dst []byte, now bool) ([]byte, GetResult, bool) {
	if q == nil {
		return dst, GetResult{Status: NoMatchedLogicQueue}, true
	}
	r := GetResult{NextOffset: offset, MinOffset: q.MinOffset(), MaxOffset: q.MaxOffset()}
	switch {
	case r.MaxOffset == 0:
		r.Status, r.NextOffset = NoMessageInQueue, 0
	case offset < r.MinOffset:
		r.Status, r.NextOffset = OffsetTooSmall, r.MinOffset
	case offset == r.MaxOffset:
		r.Status = OffsetOverflowOne
	case offset > r.MaxOffset:
		r.Status, r.NextOffset = OffsetOverflowBadly, r.MaxOffset
	default:
		if filter == nil {
			filter = &noFilter
		}
		if now && (q.batch != nil || q.ext != nil) { // what these have on the disk is waited for
			return dst, r, false
		}
		g := s.getter(q, dst)
		g.now = now
		g.r, g.offset, g.filter = r, offset, filter
		g.maxMsgs, g.maxBytes = maxMsgs, min(max(maxBytes, 100), maxPullSize)
		g.maxScan = max(int64(g.limits.MaxFilterMessageSize), int64(maxMsgs)*unitSize)
		if q.batch != nil {
			g.getBatch()
		} else {
			g.run()
		}
		g.r.Bytes = len(g.dst) - len(dst)
		dst, r = g.dst, g.r
		g.free()
	}
	if now && errors.Is(r.Err, logfile.ErrWouldWait) {
		if r.Count == 0 {
			return dst, r, false
		}
		r.Err = nil // what there is will do
	}
	s.counters.got(&r)
	return dst, r, true
}

// getter is one Get that has something to read. It takes units of the queue that are wanted by their tags code, reads
// the records of some of them together, and goes on until a limit is met.
type getter struct {
	s        *Store
	q        *Queue
	r        GetResult
	offset   int64
	filter   *Filter
	dst      []byte
	maxMsgs  int
	maxBytes int
	maxScan  int64
	logEnd   int64
	tailFrom int64 // log offset from which on records may be in memory
	limits   *live
	now      bool // what must be waited for cannot be read
	touched  byte // of what touch has read, so that it is read

	pulled   int64 // log offset of the last unit looked at
	skipTo   int64 // units that point before it are passed over, their file is gone
	units    []unit
	wanted   [wantedMax]unit
	wantedAt [wantedMax]int64 // their queue offsets
	wantedN  int
	bytes    int // of the records got and wanted
	messages int

	holding *sync.RWMutex // what the record looked at lies in, held shared; nil for none
	inPlace bool          // it lies behind dst, in the same array

	ext     []byte // a stretch of the queue's extension, in extBuf
	extFrom int64  // the address where it begins
	extBuf  []byte
}

const (
	wantedMax = 32      // records that are looked at together
	unitsMax  = 256     // units that are read together
	cacheLine = 64      // bytes that a processor fetches at once
	holdMax   = 4 << 10 // so large a record is the last that is copied before others get the lock of what it lies in
)

// getter returns one that appends to dst, to be given back with free. Without a queue it can only read.
func (s *Store) getter(q *Queue, dst []byte) *getter {
	g := s.getters.Get().(*getter)
	*g = getter{s: s, q: q, dst: dst, logEnd: s.log.written.Load(), limits: s.live.Load(), extBuf: g.extBuf, units: g.units}
	if g.units == nil {
		g.units = make([]unit, unitsMax)
	}
	g.tailFrom = s.log.tail.start(g.logEnd)
	return g
}

func (g *getter) free() {
	g.q, g.filter, g.dst = nil, nil, nil
	g.s.getters.Put(g)
}

func (g *getter) run() {
	g.r.Status = NoMatchedMessage
	for files := 0; g.r.Count == 0 && g.r.Err == nil && g.r.NextOffset < g.r.MaxOffset && files < max(1, g.limits.TravelCQFileNumWhenGetMessage); files++ {
		g.scanFile()
		g.take()
	}
	g.r.SuggestSlave = g.logEnd-g.pulled > g.limits.memory
}

// scanFile looks at the units from NextOffset to the end of their file or to a limit.
func (g *getter) scanFile() {
	perFile := g.s.cfg.ConsumeQueueFileSize / unitSize
	end := min(g.r.MaxOffset, (g.r.NextOffset/perFile+1)*perFile)
	units := g.units[:wantedMax] // as many as a consumer asks for
	for first := true; g.r.NextOffset < end && !g.hasEnough() && g.r.Err == nil; first = false {
		at := g.r.NextOffset
		n, err := g.q.units.read(at, units[:min(int64(len(units)), end-at)], g.now)
		units = g.units // who looks at more than that wants few
		if err != nil || n == 0 {
			if err != nil && !errors.Is(err, logfile.ErrWouldWait) {
				g.tell("cannot read consume queue", err, "offset", at)
			}
			if err != nil && !isLost(err) {
				g.r.Err = err
				return
			}
			if first && g.r.Count == 0 {
				g.r.Status, g.r.NextOffset = OffsetFoundNull, (at/perFile+1)*perFile
			}
			return
		}
		for i, u := range units[:n] {
			if u.isHole(g.logEnd) && u.isHole(g.s.log.written.Load()) {
				g.r.Err = g.s.hole(g.q, at+int64(i))
				return
			}
			if !g.scanUnit(at+int64(i), u) {
				return
			}
		}
	}
}

// scanUnit looks at one unit and reports whether to go on.
func (g *getter) scanUnit(at int64, u unit) bool {
	if u.filler() {
		g.r.NextOffset = at + 1
		return (at-g.offset)*unitSize < g.maxScan
	}
	inMemory := g.logEnd-u.logOffset <= g.limits.memory
	if (at-g.offset)*unitSize >= g.maxScan || g.isFull(int(u.size), inMemory) && (!g.sift() || g.isFull(int(u.size), inMemory)) {
		return false
	}
	if g.r.Err != nil { // of a record that sift has read
		return false
	}
	g.pulled = u.logOffset
	g.r.NextOffset = at + 1
	if u.logOffset < g.skipTo {
		return true
	}
	if isExtAddress(u.tagsCode) {
		if !g.wantsExtended(u.tagsCode) {
			return true
		}
	} else if g.filter.Tags != nil && !g.filter.Tags(u.tagsCode) {
		return true
	}
	g.wanted[g.wantedN], g.wantedAt[g.wantedN] = u, at
	g.wantedN++
	g.bytes += int(u.size)
	g.messages++
	if g.wantedN == len(g.wanted) {
		g.take()
	}
	return g.r.Err == nil
}

// wantsExtended asks the filter about a message whose unit points to the queue's extension. Where that is gone every message is wanted,
// as in Apache: the consumer looks at its tag too.
func (g *getter) wantsExtended(address int64) bool {
	f := g.filter
	if f.Tags == nil && f.Bits == nil || g.q.ext == nil {
		return true
	}
	e, ok := g.extended(address)
	return !ok || (f.Tags == nil || f.Tags(e.tagsCode)) && (f.Bits == nil || f.Bits(e.storeTime, e.bits))
}

// extended reads an entry of the queue's extension, and what is next to it for the next one.
func (g *getter) extended(address int64) (extended, bool) {
	for range 2 {
		if at := address - g.extFrom; at >= 0 && at < int64(len(g.ext)) {
			if e, size, ok := readExtended(g.ext[at:]); ok && at+int64(size) <= int64(len(g.ext)) {
				return e, true
			}
		}
		if cap(g.extBuf) < extSizeMax {
			g.extBuf = make([]byte, extSizeMax)
		}
		g.extFrom, g.ext = address, g.q.ext.readStretch(address, g.extBuf[:extStretch])
		if len(g.ext) >= extHead {
			if _, size, ok := readExtended(g.ext); ok && size > len(g.ext) {
				g.ext = g.q.ext.readStretch(address, g.extBuf[:size])
			}
		}
	}
	return extended{}, false
}

// hasEnough says whether isFull would be true of any message, so that no more units need be read.
func (g *getter) hasEnough() bool {
	c := g.limits
	most := min(g.maxMsgs, max(c.MaxTransferCountOnMessageInMemory, c.MaxTransferCountOnMessageInDisk))
	return g.messages > 0 && g.messages >= most && (!g.sift() || g.messages > 0 && g.messages >= most)
}

// sift looks at the records wanted so far, if that may make room for others: when some may prove not to be wanted.
func (g *getter) sift() bool {
	if g.filter.Record == nil || g.wantedN == 0 {
		return false
	}
	g.take()
	return true
}

// isFull says whether one more record would be too much.
func (g *getter) isFull(size int, inMemory bool) bool {
	if g.messages == 0 {
		return false
	}
	c := g.limits
	bytes, count := c.MaxTransferBytesOnMessageInDisk, c.MaxTransferCountOnMessageInDisk
	if inMemory {
		bytes, count = c.MaxTransferBytesOnMessageInMemory, c.MaxTransferCountOnMessageInMemory
	}
	return g.messages+1 > g.maxMsgs || g.messages+1 > count ||
		g.bytes+size > g.maxBytes || g.bytes+size > bytes || g.bytes >= g.maxBytes
}

// take reads the wanted records, up to one that cannot be read now.
func (g *getter) take() {
	wanted := g.wanted[:g.wantedN]
	g.wantedN = 0
	defer g.letGo()
	for i, u := range wanted {
		switch rec, err := g.look(wanted[i:]); {
		case err != nil:
			g.unreadable(u.logOffset, err)
			if !g.s.isGone(u.logOffset, err) {
				g.r.NextOffset, g.r.Err = g.wantedAt[i], err
				return
			}
			g.missing(u)
		case g.filter.Record != nil && !g.filter.Record(rec):
			g.bytes -= int(u.size)
			g.messages--
		default:
			g.keep(rec)
			g.found()
			if len(rec) > holdMax {
				g.letGo()
			}
		}
	}
}

// record appends the first of the wanted records to dst, and nothing when it cannot be had; ErrDamaged says that it is not there.
func (g *getter) record(wanted []unit) error {
	defer g.letGo()
	rec, err := g.look(wanted)
	if err == nil {
		g.keep(rec)
	}
	return err
}

// keep appends the record looked at to dst.
func (g *getter) keep(rec []byte) {
	if g.inPlace {
		g.dst = g.dst[:len(g.dst)+len(rec)]
	} else {
		g.dst = append(g.dst, rec...)
	}
}

// look finds the first of the wanted records, whose bytes stay until the next look or letGo.
func (g *getter) look(wanted []unit) ([]byte, error) {
	rec, err := g.find(wanted)
	if err == nil && !isRecordOf(rec, wanted[0]) {
		err = fmt.Errorf("no record of %d bytes: %w", wanted[0].size, message.ErrDamaged)
	}
	return rec, err
}

// find looks in the log's tail in memory, in the cache, and then reads the file, more of it if more of that is wanted.
func (g *getter) find(wanted []unit) ([]byte, error) {
	l, c, u := &g.s.log, &g.s.cache, wanted[0]
	size := int(u.size)
	g.inPlace = false
	if u.logOffset >= g.tailFrom {
		g.hold(&l.tail.mu, true)
		if b := l.tail.fromLocked(u.logOffset); len(b) >= size {
			return b[:size], nil
		}
	}
	end := g.logEnd
	if u.logOffset > end-int64(size) {
		end = l.written.Load() // the unit may be newer than the read
	}
	if u.logOffset < 0 || u.logOffset > end-int64(size) {
		return nil, fmt.Errorf("it would end behind the log's end, %d: %w", end, message.ErrDamaged)
	}
	fileSize := l.files.FileSize()
	if size > cacheRecord || fileSize%cacheChunk != 0 || u.logOffset%cacheChunk+int64(size) > cacheChunk {
		return g.read(u)
	}
	slot := c.slot(u.logOffset)
	first := g.holding != &slot.mu
	if !g.hold(&slot.mu, !g.now) {
		return nil, logfile.ErrWouldWait // another reader loads it
	}
	if b := slot.at(u.logOffset, size); b != nil {
		if first {
			g.touch(slot, wanted[1:])
		}
		return b, nil
	}
	stretch, n := u.logOffset/cacheChunk, 0
	for n < len(wanted) && wanted[n].logOffset/cacheChunk == stretch {
		n++
	}
	if n < cacheWanted {
		return g.read(u)
	}
	g.letGo()
	if err := slot.load(l.files, u.logOffset, min((u.logOffset/fileSize+1)*fileSize, end), g.now); err != nil {
		return nil, err
	}
	if !g.hold(&slot.mu, !g.now) {
		return nil, logfile.ErrWouldWait
	}
	if b := slot.at(u.logOffset, size); b != nil {
		g.touch(slot, wanted[1:])
		return b, nil
	}
	return g.read(u) // another reader has the slot already
}

// touch reads a little of each of the wanted records that a stretch holds, where a filter will look at them: their beginning and their end.
// The processor fetches many at once that way, and one after another when they are looked at. What is copied whole needs none of it.
func (g *getter) touch(slot *cacheSlot, wanted []unit) {
	if g.filter == nil || g.filter.Record == nil {
		return
	}
	var sum byte
	for _, u := range wanted {
		b := slot.at(u.logOffset, int(u.size))
		if len(b) < 3*cacheLine {
			continue
		}
		end := b[len(b)-3*cacheLine:]
		sum += b[0] + b[cacheLine] + end[0] + end[cacheLine] + end[2*cacheLine] + end[3*cacheLine-1]
	}
	g.touched = sum
}

// read reads one record from the file, to where it would be kept.
func (g *getter) read(u unit) ([]byte, error) {
	g.letGo()
	at := len(g.dst)
	dst, err := g.s.readLog(g.dst, u.logOffset, int(u.size), g.now)
	g.dst, g.inPlace = dst[:at], true
	return dst[at:], err
}

// hold holds a lock until the next hold or letGo, and says whether it could be had, which it always can by waiting.
func (g *getter) hold(mu *sync.RWMutex, wait bool) bool {
	if g.holding == mu {
		return true
	}
	g.letGo()
	if !mu.TryRLock() {
		if !wait {
			return false
		}
		mu.RLock()
	}
	g.holding = mu
	return true
}

func (g *getter) letGo() {
	if g.holding != nil {
		g.holding.RUnlock()
		g.holding = nil
	}
}

func (g *getter) found() {
	g.r.Count++
	g.r.Status = Found
	g.skipTo = 0
}

// missing passes over a record that cannot be read, and over the rest of its file when that is gone.
func (g *getter) missing(u unit) {
	g.bytes -= int(u.size)
	g.messages--
	if g.r.Count == 0 {
		g.r.Status = MessageWasRemoving
	}
	if fileSize := g.s.cfg.CommitLogFileSize; u.logOffset < g.s.log.files.Start() {
		g.skipTo = (u.logOffset/fileSize + 1) * fileSize
	}
}

func (g *getter) unreadable(logOffset int64, err error) {
	if errors.Is(err, logfile.ErrWouldWait) {
		return
	}
	if logOffset >= g.s.log.files.Start() { // else it was deleted, which is no news
		g.tell("cannot read message", err, "log_offset", logOffset)
	}
}

// tell logs what cannot be read. That no file can be opened keeps all from being read, so it is told now and then.
func (g *getter) tell(what string, err error, where string, at int64) {
	if logfile.IsOutOfFiles(err) && !g.s.unread.Failed(err) {
		return
	}
	g.s.logger.Error(what, "topic", g.q.topic, "queue_id", g.q.id, where, at, "err", logging.Advised(err))
}

// isGone says whether an error of reading a record means that it is not there any more, or never was. Any other may be over soon: the
// process has too many open files, the disk had a hiccup.
func (s *Store) isGone(logOffset int64, err error) bool {
	return isLost(err) || logOffset < s.log.files.Start()
}

// isLost says whether an error means that the files do not have what was asked for.
func isLost(err error) bool {
	return errors.Is(err, message.ErrDamaged) || errors.Is(err, logfile.ErrOutside) || errors.Is(err, io.EOF)
}

// isRecordOf says whether b begins with the record that a unit points to.
func isRecordOf(b []byte, u unit) bool {
	size, kind := message.Peek(b)
	return kind == message.Record && size == int(u.size) && len(b) >= size && logOffsetOf(b) == u.logOffset
}
