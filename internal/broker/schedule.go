package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/statefile"
	"github.com/liftoffmq/liftoff/internal/store"
)

// Messages delayed by a level.
//
// A message with DELAY=n waits in queue n-1 of SCHEDULE_TOPIC_XXXX. All messages of a level wait equally long, so that queue is in the
// order of delivery, and the dispatcher notes in its entries when each is due (store.Entry.TagsCode). One loop follows all levels: it
// stands at the time at which the first of the messages in front is due, moves what is due into its own topic, and only then moves
// the level's position. A crash costs what was moved since the positions were last written: that is delivered again, nothing is
// lost and nothing comes early.
//
// The clock. Times are those of the wall clock, as in Apache: the loop looks at it each clockLook while anything waits, so a clock
// set ahead delivers what is then due. A message that is due later than its level's time from now seems to have been stored in the
// future: the clock was set back, or the level was longer then. It must neither come early nor wait for the clock to come round again;
// see ahead.

// schedule is how far the delay levels are delivered, kept in config/delayOffset.json.
type schedule struct {
	b      *Broker
	path   string
	file   behind
	levels []*delayLevel // level n is at n-1; does not change
	top    int           // the highest level that a message is given

	// Of the follower only.
	put      func(*store.Batch)
	woken    chan struct{}
	entries  []store.Entry
	puts     []store.Put
	from     []parked // where each of puts was
	buf      []byte
	failures int
	pause    time.Time // until which nothing is tried after a failure
	progress delayProgress
	stored   int64 // log offset behind what was delivered

	mu      sync.Mutex // protects the fields below
	reached map[int]int64
	version protocol.DataVersion
	changes int64
}

// delayLevel is one level. Only the follower uses the fields behind queue.
type delayLevel struct {
	level int
	delay time.Duration
	queue *store.Queue

	next    int64 // queue offset of the first message that is not delivered
	behind  int64 // what next becomes when this round's messages are stored
	due     int64 // when the message at next is due, ms; 0 when that is not known
	ahead   ahead
	unwatch func() // while the queue is watched because nothing waits in it
}

// ahead are messages before the queue offset until that seem to have been stored in the future. The last of them, due at the time
// newest, waits the whole delay from when that was noticed, and the others as much less as they are older than it. So none comes early,
// and none comes later than its level's time from then.
type ahead struct {
	until  int64
	newest int64     // ms
	at     time.Time // when the newest is delivered, by a clock that nobody sets
}

// parked is where a message waited.
type parked struct {
	level       int
	queueOffset int64
}

const (
	// clockLook is how often the wall clock is looked at while messages wait.
	clockLook = time.Second
	// scheduleBatch and scheduleBytes are how much of one level is moved in one round, so that no level waits long for another.
	scheduleBatch = 1024
	scheduleBytes = 1 << 20
	// schedulePause is the pause after a failure; it doubles with each that follows, up to schedulePauseMax.
	schedulePause    = 100 * time.Millisecond
	schedulePauseMax = time.Second
	// delayLevelsMax bounds the levels that are only known by their queues.
	delayLevelsMax = 1024
	// never is a wait that something else will end.
	never = time.Duration(math.MaxInt64)
)

// delayOffsets is the content of delayOffset.json.
type delayOffsets struct {
	DataVersion *protocol.DataVersion `json:"dataVersion"`
	OffsetTable map[int]int64         `json:"offsetTable"`
}

// openSchedule reads delayOffset.json. Positions are never left outside their queue: a power cut may take messages, and old
// ones are deleted.
func openSchedule(path string, b *Broker) (*schedule, error) {
	s := &schedule{b: b, path: path, put: b.store.Put, woken: make(chan struct{}, 1), reached: map[int]int64{}}
	s.progress.path = strings.TrimSuffix(path, ".json") + ".progress"
	s.file = behind{path: path, write: s.write, log: b.log}
	s.version.Timestamp = time.Now().UnixMilli()
	if err := readState(path, s.b.log, s.load); err != nil {
		return nil, err
	}
	if err := s.takeProgress(); err != nil {
		return nil, err
	}
	cfg := b.settings.Load()
	delays, err := cfg.DelayDurations()
	if err != nil {
		return nil, err
	}
	s.top = len(delays)
	for i, d := range delays {
		s.add(i+1, d)
	}
	// Levels that are no more may have messages. Each entry knows when it is due.
	for _, q := range b.store.Queues(topicSchedule) {
		for level := len(s.levels) + 1; level <= min(int(q.ID())+1, delayLevelsMax) && q.MaxOffset() > 0; level++ {
			s.add(level, delays[len(delays)-1])
		}
	}
	return s, nil
}

// takeProgress goes on where a killed broker was.
func (s *schedule) takeProgress() error {
	kept, err := s.progress.read(s.b.store.Stats().Written)
	if err != nil {
		return err
	}
	for level, at := range kept {
		s.reached[level] = max(s.reached[level], at)
	}
	if len(kept) > 0 {
		if err := s.write(); err != nil {
			return err
		}
	}
	return s.progress.remove() // before the log grows to where it would be believed
}

func (s *schedule) add(level int, delay time.Duration) {
	l := &delayLevel{level: level, delay: delay, queue: s.b.store.Queue(topicSchedule, int32(level-1))}
	l.next = s.reached[level]
	if right := min(max(l.next, l.queue.MinOffset()), l.queue.MaxOffset()); right != l.next {
		s.b.log.Warn("position of a delay level was outside its queue and is set right", "level", level, "from", l.next, "to", right)
		l.next = right
		s.reached[level] = right
	}
	s.levels = append(s.levels, l)
}

func (s *schedule) load(data []byte) error {
	var file delayOffsets
	if err := fastjson.Unmarshal(data, &file); err != nil {
		return err
	}
	if file.OffsetTable != nil {
		s.reached = file.OffsetTable
	}
	if file.DataVersion != nil {
		s.version = *file.DataVersion
	}
	return nil
}

func (s *schedule) close() error {
	if err := s.file.close(); err != nil {
		return err
	}
	return s.progress.remove()
}

// write writes the file. It tells only of deliveries that are as durable as itself: a power cut must not take a message that
// had waited on the disk.
func (s *schedule) write() error {
	data, err := s.encode()
	if err != nil {
		return err
	}
	if err := s.b.store.Flush(); err != nil {
		return fmt.Errorf("cannot flush what it tells of: %w", err)
	}
	return statefile.Write(s.path, data)
}

func (s *schedule) encode() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fastjson.MarshalIndent(delayOffsets{DataVersion: &s.version, OffsetTable: s.reached})
}

// GET_ALL_DELAY_OFFSET 45.
//
// Behaviour: how far each level is delivered, as delayOffset.json has it.
func (b *Broker) getAllDelayOffset(*remoting.Request) (*remoting.Answer, error) {
	b.schedule.mu.Lock()
	defer b.schedule.mu.Unlock()
	return jsonAnswer(delayOffsets{DataVersion: &b.schedule.version, OffsetTable: b.schedule.reached})
}

// positions are how far the levels are delivered.
func (s *schedule) positions() map[int]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.reached)
}

// info adds to runtime information how far each level is and where its queue ends.
func (s *schedule) info(table map[string]string) {
	for level, at := range s.positions() {
		_, end := s.b.rangeOf(topicSchedule, int32(level-1))
		table["scheduleMessageOffset_"+strconv.Itoa(level)] = fmt.Sprintf("%d,%d", at, end)
	}
}

// move sets a level's position.
func (s *schedule) move(l *delayLevel, next int64) {
	l.next, l.due = next, 0
	cfg := s.b.settings.Load()
	s.mu.Lock()
	s.reached[l.level] = next
	if s.changes++; s.changes%max(cfg.DelayOffsetVersionStep, 1) == 0 {
		s.version = s.version.Next(time.Now().UnixMilli())
	}
	s.mu.Unlock()
	s.file.touch(cfg.FlushDelayOffsetInterval)
}

// divertDelayed puts a message into the queue of its delay level. A level above the highest is the highest.
func (b *Broker) divertDelayed(cfg *settings, level int, p *store.Put) error {
	if err := p.Queue.Refused(); err != nil { // now, for nobody could be told later
		return sendFailure(cfg, err)
	}
	level = min(level, b.schedule.top)
	props := make([]byte, 0, len(p.Properties)+len(p.Queue.Topic())+64)
	props = message.AppendPropertiesWithout(props, p.Properties, message.PropDelay, message.PropRealTopic, message.PropRealQueueID,
		message.PropTimerDelaySec, message.PropTimerDelayMS, message.PropTimerDeliverMS) // a level goes before a time
	park(p, b.schedule.levels[level-1].queue, message.AppendProperty(props, message.PropDelay, strconv.Itoa(level)))
	return nil
}

// followSchedule delivers delayed messages until ctx ends.
func (b *Broker) followSchedule(ctx context.Context) {
	s := b.schedule
	defer func() {
		for _, l := range s.levels {
			s.watch(l, false)
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.woken:
		case <-timer.C:
		}
		if wait := s.round(time.Now()); wait != never {
			timer.Reset(min(wait, clockLook))
		} else {
			timer.Stop()
		}
	}
}

// round moves some of what is due in all levels and returns when to look again.
func (s *schedule) round(now time.Time) time.Duration {
	if wait := s.pause.Sub(now); wait > 0 {
		return wait
	}
	s.puts, s.from, s.buf = s.puts[:0], s.from[:0], s.buf[:0]
	wait := never
	for _, l := range s.levels {
		wait = min(wait, s.collect(l, now))
	}
	if err := s.deliver(); err != nil {
		s.failures++
		pause := min(schedulePause<<min(s.failures-1, 10), schedulePauseMax)
		if s.failures == 1 {
			s.b.log.Error("delayed messages cannot be delivered now; it is tried again until they are", "err", err)
		}
		s.pause = now.Add(pause)
		return pause
	}
	if s.failures > 0 {
		s.b.log.Info("delayed messages are delivered again", "failures", s.failures)
		s.failures = 0
	}
	for _, l := range s.levels {
		if l.behind > l.next {
			s.move(l, l.behind)
			wait = 0
		}
	}
	if len(s.puts) > 0 {
		s.keepProgress()
	}
	clear(s.puts) // they hold parts of buf
	if cap(s.buf) > scheduleBytes {
		s.buf = nil
	}
	return wait
}

// collect adds what is due of a level to puts, and returns how long nothing else will be.
func (s *schedule) collect(l *delayLevel, now time.Time) time.Duration {
	l.behind = l.next
	if end := l.queue.MaxOffset(); l.next > end { // the topic was emptied
		s.move(l, end)
		l.behind = end
	}
	if l.next == l.queue.MaxOffset() {
		s.watch(l, true)
		if l.next == l.queue.MaxOffset() {
			return never
		}
	}
	s.watch(l, false)
	if l.due != 0 {
		if wait := s.wait(l, l.next, l.due, now); wait > 0 {
			return wait
		}
	}
	if s.entries == nil {
		s.entries = make([]store.Entry, scheduleBatch)
	}
	n, next, err := s.b.store.Entries(l.queue, l.next, s.entries)
	if err != nil {
		s.b.log.Error("cannot read queue of delayed messages", "level", l.level, "offset", l.next, "err", err)
		return schedulePauseMax
	}
	if n == 0 && next == l.next {
		return schedulePauseMax // deleted this moment
	}
	wait := time.Duration(0)
	due, bytes := 0, 0
	for ; due < n && bytes < scheduleBytes; due++ {
		e := s.entries[due]
		at, err := s.dueOf(l, e)
		if err != nil {
			wait = s.unreadable(l, err)
			break
		}
		if wait = s.wait(l, e.QueueOffset, at, now); wait > 0 {
			if due == 0 {
				l.due = at
			}
			break
		}
		bytes += int(e.Size)
	}
	if due < n {
		next = s.entries[due].QueueOffset
	}
	l.behind = next
	var done int
	s.buf, done, err = s.b.store.Records(l.queue, s.entries[:due], s.buf, func(e store.Entry, record []byte) { s.take(l, e, record) })
	if err != nil {
		l.behind = s.entries[done].QueueOffset
		return s.unreadable(l, err)
	}
	return wait
}

// unreadable says that a message cannot be read now, and returns when to try again.
func (s *schedule) unreadable(l *delayLevel, err error) time.Duration {
	s.b.log.Error("delayed message cannot be read now; it is tried again until it can", "level", l.level, "err", err)
	return schedulePauseMax
}

// dueOf is when a message is due, ms.
func (s *schedule) dueOf(l *delayLevel, e store.Entry) (due int64, err error) {
	if e.TagsCode >= 0 {
		return e.TagsCode, nil
	}
	// The queue's extension, which enableConsumeQueueExt keeps the time in, is not there.
	_, _, err = s.b.store.Records(l.queue, []store.Entry{e}, nil, func(_ store.Entry, record []byte) {
		var d message.Dispatch
		if record != nil && message.ReadDispatch(record, &d) == nil {
			due = d.StoreTimestamp + l.delay.Milliseconds()
		}
	})
	return due, err
}

// wait is how long the message at a queue offset must wait until it is due.
func (s *schedule) wait(l *delayLevel, offset, due int64, now time.Time) time.Duration {
	left := due - now.UnixMilli()
	if left <= 0 {
		return 0
	}
	wait := time.Duration(min(left, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	if wait > l.delay && offset >= l.ahead.until {
		s.noticeAhead(l, offset, due, now)
	}
	if offset < l.ahead.until {
		older := min(max(l.ahead.newest-due, 0), math.MaxInt32*1000)
		wait = min(wait, l.ahead.at.Sub(now)-time.Duration(older)*time.Millisecond)
	}
	return max(wait, 0)
}

// noticeAhead is called with the offset and time of a message that seems to have been stored in the future.
func (s *schedule) noticeAhead(l *delayLevel, offset, due int64, now time.Time) {
	end := l.queue.MaxOffset()
	var last [1]store.Entry
	if n, _, err := s.b.store.Entries(l.queue, end-1, last[:]); err == nil && n == 1 {
		if newest, err := s.dueOf(l, last[0]); err == nil {
			due = max(due, newest)
		}
	}
	l.ahead = ahead{until: max(end, offset+1), newest: due, at: now.Add(l.delay)}
	s.b.log.Warn("delayed messages were stored in the future: the clock was set back, or their level was longer; the newest waits its level's time from now",
		"level", l.level, "delay", l.delay, "messages", end-l.next, "ahead", time.Duration(due-now.UnixMilli())*time.Millisecond)
}

// take adds a message that is due to puts, as it will be in its own topic. It keeps its properties, DELAY too, as in Apache.
func (s *schedule) take(l *delayLevel, e store.Entry, record []byte) {
	if record == nil {
		return // deleted with its file; if not, the store has said so
	}
	var p store.Put
	p.Topic = topicSchedule // so that it is not allocated again
	err := message.Decode(record, &p.Message)
	if err == nil {
		p.Queue, err = s.b.realQueue(p.Properties)
	}
	if err != nil {
		s.b.log.Error("delayed message cannot be delivered and is passed over", "level", l.level, "offset", e.QueueOffset, "log_offset", e.LogOffset, "err", err)
		return
	}
	p.PreparedTransactionOffset = 0
	if light, ok := message.Property(p.Properties, message.PropMultiDispatch); ok {
		if err := s.b.addLight(s.b.settings.Load(), light, &p); err != nil {
			s.b.log.Warn("a delayed message goes to its topic, but not to its light queues", "topic", p.Queue.Topic(), "err", err)
		}
	}
	s.puts = append(s.puts, p)
	s.from = append(s.from, parked{l.level, e.QueueOffset})
}

// deliver stores puts. What cannot be stored for what it is, and never could be, is passed over.
func (s *schedule) deliver() error {
	if len(s.puts) == 0 {
		return nil
	}
	done := make(chan error, 1)
	s.put(&store.Batch{Puts: s.puts, Wait: s.b.settings.Load().wait(false), Done: func(_ *store.Batch, err error) { done <- err }})
	err := <-done
	if err != nil && !errors.Is(err, store.ErrFlushTimeout) {
		return err
	}
	s.b.counts.moved(kindDelay, s.puts)
	s.b.counts.delivered(s.puts)
	for i := range s.puts {
		if p := &s.puts[i]; p.Err != nil {
			s.b.log.Error("delayed message cannot be stored in its topic and is passed over", "topic", p.Queue.Topic(), "queue_id", p.Queue.ID(),
				"level", s.from[i].level, "offset", s.from[i].queueOffset, "err", p.Err)
		}
	}
	return nil
}

// keepProgress is called after each delivery. That it fails costs no more than some deliveries done again after a kill.
func (s *schedule) keepProgress() {
	for i := range s.puts {
		if p := &s.puts[i]; p.Err == nil {
			s.stored = max(s.stored, p.LogOffset+int64(p.Size))
		}
	}
	err := s.progress.write(s.stored, s.levels)
	if err != nil && s.progress.err == nil {
		s.b.log.Warn("cannot keep how far delayed messages are delivered; some will come again after a kill", "err", err)
	}
	s.progress.err = err
}

// watch makes a message that comes into an empty level wake the loop. Where one waits already, another makes no difference.
func (s *schedule) watch(l *delayLevel, on bool) {
	if on == (l.unwatch != nil) {
		return
	}
	if on {
		l.unwatch = s.b.watches.join(s.woken, l.queue)
		return
	}
	l.unwatch()
	l.unwatch = nil
}
