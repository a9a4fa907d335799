package timer

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// Config is what a Timer is opened with.
type Config struct {
	FS            logfile.FS
	Logger        *slog.Logger
	RootDir       string
	LogFileSize   int64         // of a file of the timer log, bytes
	Precision     time.Duration // whole milliseconds
	RollWindow    int           // slots that a message is put ahead at most; one that is due later is rolled
	FlushInterval time.Duration
	// Snapshots says that RocketMQ may have left the wheel in files timerwheel.<position in the timer log>.
	Snapshots bool
	// CommitLogEnd is where the commit log ends. What the timer log says of messages behind it was lost with them.
	CommitLogEnd int64
	// Sync makes durable what was stored before, so that no checkpoint outlasts the messages that it says were delivered.
	Sync func() error
	// Topics names topics that messages may wait for, for counting them.
	Topics func() []string

	slots int64        // of the wheel, in tests
	clock func() int64 // ms; in tests that make their own time
}

// Timer is an open timer wheel with its log.
type Timer struct {
	cfg       Config
	precision int64 // ms
	rollAfter int64 // ms
	handles   *logfile.Handles

	mu      sync.Mutex // protects the fields below; one goroutine changes them, but for what Flush does
	log     timerLog
	wheel   wheel
	read    int64 // slots before it were taken; only messages for later ones can be added
	waiting int64 // messages in slots that were not delivered
	check   Checkpoint
	reached int64 // of the queue, taken in before it since Open, or durably before that
	file    checkFile
	metrics metrics
	changed bool // since the last flush
	closed  bool
	stopped bool // told that nothing is flushed any more

	flushMu    sync.Mutex // one flush at a time
	flushTimer *time.Timer
	flushing   sync.WaitGroup
}

// Entry is a message that is to wait.
type Entry struct {
	Due       int64 // ms
	LogOffset int64
	Size      int32
	Topic     []byte // that it goes to
	Delete    bool   // it takes another message away
}

// Item is a message whose time has come.
type Item struct {
	LogOffset int64
	Size      int32
	Roll      bool  // it is not due, and is to be put into the wheel once more
	Delete    bool  // it takes another message away
	Added     int64 // when it was put into the wheel, ms
}

// ErrTaken says that a message was added to a slot that was taken before.
var ErrTaken = errors.New("the slot was taken before")

// floor is the last whole precision at or before a time.
func (t *Timer) floor(ms int64) int64 { return ms / t.precision * t.precision }

// IsPast says whether a message due at a time is too late to be added.
func (t *Timer) IsPast(due int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.floor(due) < t.read
}

// Add puts messages into their slots, at a time in ms. It stops at the first that cannot be added; those before it are.
func (t *Timer) Add(now int64, entries ...Entry) (added int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range entries {
		if err := t.add(t.floor(now), &entries[i]); err != nil {
			return i, err
		}
	}
	t.touch()
	return len(entries), nil
}

func (t *Timer) add(now int64, e *Entry) error {
	due, magic := e.Due, int32(magicDefault)
	if due-now >= t.rollAfter {
		// A message that would have little time left after that is rolled earlier, as in Apache.
		magic |= magicRoll
		window := t.rollAfter / t.precision
		if due-now-t.rollAfter < window/3*t.precision {
			due = now + window/2*t.precision
		} else {
			due = now + t.rollAfter
		}
	}
	if e.Delete {
		magic |= magicDelete
	}
	return t.link(due, record{magic: magic, added: now, wait: int32(due - now), logOffset: e.LogOffset, size: e.Size, topicHash: topicHash(e.Topic)}, e.Topic)
}

// link appends a record and makes it the last of its slot.
func (t *Timer) link(due int64, r record, topic []byte) error {
	at := t.floor(due)
	if at < t.read {
		return ErrTaken
	}
	s, here, err := t.wheel.get(at)
	if err != nil {
		return err
	}
	if !here && t.wheel.isOccupied(at) {
		return fmt.Errorf("the slot of %s has messages that were due two weeks of slots ago and are not delivered yet", time.UnixMilli(at))
	}
	r.prev = s.last
	pos, err := t.log.append(&r)
	if err != nil {
		return err
	}
	if s.first == nowhere {
		s.first = pos
	}
	s.last = pos
	s.number += r.counts()
	if err := t.wheel.put(at, s); err != nil {
		return err
	}
	t.waiting += int64(r.counts())
	t.metrics.add(topic, int64(r.counts()))
	return nil
}

// counts is what a record adds to the messages that wait: one that takes another away takes it from them.
func (r *record) counts() int32 {
	if r.magic&magicDelete != 0 {
		return -1
	}
	return 1
}

// Next returns the time, in ms, at which the next slot is due, and false when nobody waits.
func (t *Timer) Next() (due int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.wheel.next(t.read)
	return at + t.precision, ok
}

// Take returns what waits in the first slot if it is due at a time, oldest first, and that slot's time. Nothing can be added to it
// any more. Done must be told when all of it is delivered; until then the checkpoint has the slot.
func (t *Timer) Take(now int64) (slotTime int64, items []Item, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.wheel.next(t.read)
	if !ok || at+t.precision > now {
		t.skipTo(now)
		return 0, nil, nil
	}
	s, here, err := t.wheel.get(at)
	if err != nil {
		return 0, nil, err
	}
	reader := logReader{log: &t.log}
	for pos := s.last; here && pos != nowhere; {
		r, err := reader.at(pos)
		if err != nil && !isLost(err) {
			return 0, nil, err
		}
		if err != nil {
			// What the records before it say is lost, as is what a damaged commit log says.
			t.cfg.Logger.Error("cannot read the timer log: messages that waited are not delivered", "slot", time.UnixMilli(at), "delivered", len(items), "err", err)
			break
		}
		items = append(items, Item{LogOffset: r.logOffset, Size: r.size, Roll: r.magic&magicRoll != 0, Delete: r.magic&magicDelete != 0, Added: r.added})
		pos = r.prev
	}
	slices.Reverse(items)
	t.read = at + t.precision
	return at, items, nil
}

// skipTo passes over slots in which nobody waits.
func (t *Timer) skipTo(now int64) {
	if to := t.floor(now); to > t.read {
		t.read = to
	}
}

// Done says that everything in the slot of a time is delivered, and the queue taken in up to an offset. It hands the kernel what must
// be known after the end of the process.
func (t *Timer) Done(slotTime, queueOffset int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, here, err := t.wheel.get(slotTime); err == nil && here {
		t.waiting -= int64(s.number)
	}
	t.wheel.leave(slotTime)
	t.check.Read = t.read
	t.touch()
	return t.keep(queueOffset)
}

// Begin returns the checkpoint that was found, within the first and last offset that the queue has now. It is called once, before
// anything is added.
func (t *Timer) Begin(first, end int64) Checkpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.check.QueueFlushed = min(max(t.check.QueueFlushed, first), end)
	t.check.QueueWritten = min(max(t.check.QueueWritten, first), end)
	t.reached = t.check.QueueFlushed
	return t.check
}

// Reached says that the queue is taken in up to an offset, which the next checkpoint will have.
func (t *Timer) Reached(queueOffset int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reached != queueOffset {
		t.reached = queueOffset
		t.touch()
	}
}

// keep writes the records that are only in memory, and then the checkpoint that counts on them. mu is held.
func (t *Timer) keep(queueOffset int64) error {
	t.reached = queueOffset
	t.check.QueueWritten = max(t.check.QueueWritten, t.reached)
	if err := t.log.write(); err != nil {
		return err
	}
	return t.file.write(&t.check)
}

// touch sets the timer of the next flush. mu is held.
func (t *Timer) touch() {
	if t.changed || t.closed {
		return
	}
	t.changed = true
	t.flushing.Add(1)
	t.flushTimer = time.AfterFunc(t.cfg.FlushInterval, func() {
		defer t.flushing.Done()
		if err := t.Flush(); err != nil {
			t.tell(err)
			t.mu.Lock()
			t.touch()
			t.mu.Unlock()
		}
	})
}

// tell says that a flush failed: once, when none can go well any more.
func (t *Timer) tell(err error) {
	final := errors.Is(err, logfile.ErrSync)
	t.mu.Lock()
	told := t.stopped
	t.stopped = told || final
	t.mu.Unlock()
	switch {
	case !final:
		t.cfg.Logger.Error("cannot flush timers", "err", err)
	case !told:
		t.cfg.Logger.Error("timers are not flushed any more: what they have done since is done again after the next start", "err", err)
	}
}

// untouch takes that timer away. mu is held.
func (t *Timer) untouch() {
	if t.flushTimer != nil && t.flushTimer.Stop() {
		t.flushing.Done()
	}
	t.changed = false
}

// Flush makes durable what was added and delivered, and then moves the checkpoint, to where both were when it began.
func (t *Timer) Flush() error {
	t.flushMu.Lock()
	defer t.flushMu.Unlock()
	t.mu.Lock()
	t.untouch()
	err := t.log.write()
	// Not beyond the slots that are closed: others may still get messages, which are late when the queue is taken in late.
	read := min(t.readLocked(t.cfg.clock()), t.read)
	logEnd, queueOffset, written := t.log.end, t.reached, max(t.check.QueueWritten, t.reached)
	var copies []pageCopy
	if err == nil && len(t.wheel.pages) > 0 {
		if err = t.wheel.create(); err == nil {
			copies = t.wheel.changed()
		}
	}
	t.mu.Unlock()
	if err == nil && t.cfg.Sync != nil {
		err = t.cfg.Sync()
	}
	if err == nil {
		err = t.log.files.Sync() // before the wheel, which must not be ahead of it
	}
	if err == nil {
		err = t.wheel.write(copies)
	}
	t.mu.Lock()
	t.wheel.written(copies, err)
	if err == nil {
		t.wheel.rest(pagesRest)
		if t.check.LogFlushed != logEnd || t.check.QueueFlushed != queueOffset {
			t.check.Version = t.check.Version.Next(t.cfg.clock())
		}
		t.check.LogFlushed, t.check.QueueFlushed = logEnd, queueOffset
		durable := t.check
		durable.Read, durable.QueueWritten = read, written
		err = t.moveLocked(&durable)
	}
	t.mu.Unlock()
	if err != nil {
		return err
	}
	return t.metrics.save(false)
}

// moveLocked makes a checkpoint durable, and nothing that was delivered since: for that the kernel gets the one of this moment only
// afterwards. mu is held.
func (t *Timer) moveLocked(durable *Checkpoint) error {
	if err := t.file.write(durable); err != nil {
		return err
	}
	if err := t.file.file.Sync(); err != nil {
		return fmt.Errorf("cannot sync timer checkpoint: %w", err)
	}
	t.check.Read, t.check.QueueWritten = max(t.check.Read, durable.Read), max(t.check.QueueWritten, durable.QueueWritten)
	if t.check == *durable {
		return nil
	}
	return t.file.write(&t.check)
}

// Close makes everything durable. The queue is taken in up to an offset.
func (t *Timer) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	t.untouch()
	unused := t.file.file == nil && t.log.end == 0 && t.reached == 0 // a store that never had a timer gets no files
	t.mu.Unlock()
	t.flushing.Wait()
	var err error
	if !unused {
		err = errors.Join(t.Flush(), t.metrics.save(true))
	}
	return errors.Join(err, t.release())
}

// release closes the files.
func (t *Timer) release() error {
	err := t.log.files.Close()
	for _, f := range []logfile.File{t.wheel.file, t.file.file} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// RemoveBefore removes files of the timer log that speak of deleted messages only: of those before a log offset of the commit log.
func (t *Timer) RemoveBefore(logOffset int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	size := t.log.files.FileSize()
	for t.log.files.Len() > 1 {
		start := t.log.files.Start()
		end := start + size
		if end > t.log.written {
			return nil
		}
		last := start + ((size-blankSize)/recordSize-1)*recordSize
		reader := logReader{log: &t.log}
		r, err := reader.at(last)
		if err != nil && !isLost(err) {
			return err
		}
		if err == nil && r.logOffset >= logOffset {
			return nil
		}
		if err := t.log.files.RemoveFirst(); err != nil {
			return err
		}
		t.log.start = t.log.files.Start()
	}
	return nil
}

// Span is how late slots may be before there is no place in the wheel for what is due later.
func (t *Timer) Span() time.Duration {
	return time.Duration(t.wheel.slots/4*t.precision) * time.Millisecond
}

// Waiting is how many messages wait.
func (t *Timer) Waiting() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(0, t.waiting)
}

// Waits is how many messages wait in the slot of a time.
func (t *Timer) Waits(due int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if due = t.floor(due); due < t.read || !t.wheel.isOccupied(due) {
		return 0
	}
	s, _, err := t.wheel.get(due)
	if err != nil {
		return 0
	}
	return int64(s.number)
}

// Read is the time of the first slot that is not delivered, at a time in ms.
func (t *Timer) Read(now int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.readLocked(now)
}

func (t *Timer) readLocked(now int64) int64 {
	// Slots from the checkpoint on that were taken and not Done keep their mark in the wheel.
	if at, ok := t.wheel.next(t.check.Read); ok && at < now {
		return at
	}
	return max(t.check.Read, t.floor(now))
}

// Checkpoint is the checkpoint of a moment: what would be written now, and what is flushed.
func (t *Timer) Checkpoint(now int64) Checkpoint {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.check
	c.Read = t.readLocked(now)
	c.QueueWritten = max(c.QueueWritten, t.reached)
	return c
}

func (c *Config) paths() (log, wheel, check, metrics string) {
	config := filepath.Join(c.RootDir, "config")
	return filepath.Join(c.RootDir, "timerlog"), filepath.Join(c.RootDir, "timerwheel"), filepath.Join(config, "timercheck"), filepath.Join(config, "timermetrics")
}
