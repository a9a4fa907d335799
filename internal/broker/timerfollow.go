package broker

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/store"
	"github.com/liftoffmq/liftoff/internal/store/timer"
)

// The follower of rmq_sys_wheel_timer. One goroutine does both: it takes new messages of the queue into the wheel, and brings those whose
// time has come to their topics. It sleeps until there is a new message or the next slot is due.
//
//	for {
//		deliver the first slot that is due, and tell the wheel
//		take in some messages of the queue: what is due already goes to its topic, the others into the wheel
//		nothing of both: sleep
//	}
//
// After a crash messages are taken in again from the checkpoint on. Which of them are in the timer log already, the log says; which
// were delivered, the checkpoint's time says. What is delivered twice is the slot that was being delivered, as in Apache.

const (
	takeInMax    = 512     // messages taken in at once
	deliverMax   = 512     // messages put at once
	deliverBytes = 1 << 20 // of records, that are put at once
	timerRetry   = 500 * time.Millisecond
	sleepMax     = time.Minute // the clock may be set meanwhile
)

// begin finds out where to go on.
func (t *timers) begin() {
	low, high := t.queue.MinOffset(), t.queue.MaxOffset()
	c := t.wheel.Begin(low, high)
	t.offset = c.QueueFlushed
	t.taken.end, t.taken.written, t.taken.read = high, c.QueueWritten, c.Read
	t.taken.offset.Store(t.offset)
}

func (b *Broker) followTimers(ctx context.Context) {
	t := b.timers
	if t == nil {
		return
	}
	woken, unwatch := b.watches.watch(t.queue)
	defer unwatch()
	clock := time.NewTimer(0)
	defer clock.Stop()
	for ctx.Err() == nil {
		cfg := b.settings.Load()
		// What was left at the start is taken in first, for it may take away what is due since.
		takes := !cfg.TimerStopEnqueue && !t.farBehind()
		busy := (!takes || t.offset >= t.taken.end) && t.delivers(cfg) && t.deliverDue(ctx)
		if takes {
			busy = t.takeInSafely(ctx) || busy
		}
		if busy {
			continue
		}
		clock.Reset(t.sleep(cfg))
		select {
		case <-ctx.Done():
		case <-woken:
		case <-t.woken:
		case <-clock.C:
		}
	}
}

// delivers says whether slots are delivered now.
func (t *timers) delivers(cfg *settings) bool {
	return !cfg.TimerStopDequeue && !time.Now().Before(t.starts)
}

// sleep is how long nothing will be due.
func (t *timers) sleep(cfg *settings) time.Duration {
	due, ok := t.wheel.Next()
	if !ok || cfg.TimerStopDequeue {
		return math.MaxInt64 // until a message comes
	}
	return min(max(time.Until(time.UnixMilli(due)), time.Until(t.starts), 0), sleepMax)
}

// farBehind says whether slots are so late that new messages would need their places in the wheel.
func (t *timers) farBehind() bool {
	due, ok := t.wheel.Next()
	return ok && time.Since(time.UnixMilli(due)) > t.wheel.Span()
}

// takeInSafely is takeIn; when that panics messages are taken in one by one, and the one that is to blame is passed over.
func (t *timers) takeInSafely(ctx context.Context) (busy bool) {
	log := t.b.log
	if survived(log, "timers are taken in one by one", func() { busy = t.takeIn(ctx, takeInMax) }) {
		return busy
	}
	for range takeInMax {
		at := t.offset
		if !survived(log, "a timer is passed over", func() { busy = t.takeIn(ctx, 1) }, "queue_offset", at) {
			t.passed(at + 1)
			busy = true
		}
		if !busy || t.offset == at {
			break
		}
	}
	return busy
}

// takeIn takes some messages of the queue in, at most so many, and says whether there were any.
func (t *timers) takeIn(ctx context.Context, most int) bool {
	s := t.b.store
	max := t.queue.MaxOffset()
	if t.offset >= max {
		return false
	}
	var buf []byte
	next, unread := t.offset, false
	for n := 0; n < most && next < max; {
		var r store.GetResult
		at := len(buf)
		buf, r = s.Get(t.queue, next, most-n, deliverBytes, nil, buf)
		if len(buf) == at && r.NextOffset <= next {
			break
		}
		next = r.NextOffset
		n += r.Count
		if r.Err != nil {
			unread = true // the store has told it
			break
		}
	}
	if next == t.offset {
		return unread && !pause(ctx, timerRetry)
	}
	if err := t.sort(ctx, buf); err != nil {
		if ctx.Err() == nil {
			t.fails(&t.untaken, "cannot take in timers", err, "queue_offset", t.offset)
			pause(ctx, timerRetry)
		}
		return ctx.Err() == nil
	}
	t.goesOn(&t.untaken, "timers are taken in again")
	t.passed(next)
	return true
}

// passed notes that the messages before a queue offset are taken in.
func (t *timers) passed(next int64) {
	t.offset = next
	t.taken.offset.Store(next)
	t.wheel.Reached(next)
}

// sort puts what is due of some records to its topics, and then the others into the wheel.
func (t *timers) sort(ctx context.Context, buf []byte) error {
	now := time.Now().UnixMilli()
	late := newDelivery(t)
	var entries []timer.Entry
	for len(buf) > 0 {
		var m message.Message
		if err := message.Decode(buf, &m); err != nil {
			return err
		}
		buf = buf[m.Size:]
		f := readTimer(m.Properties)
		if !f.ok {
			t.b.log.Warn("message in the queue of timers has no time or no topic to go to: it is passed over", "log_offset", m.LogOffset, "queue_offset", m.QueueOffset)
			continue
		}
		if t.wasTaken(&m, f.due) {
			continue
		}
		t.taking(&m, &f)
		switch {
		case !t.wheel.IsPast(f.due):
			entries = append(entries, timer.Entry{Due: f.due, LogOffset: m.LogOffset, Size: m.Size, Topic: f.topic, Delete: f.deletes != nil})
		case f.deletes != nil:
			t.b.log.Warn("a message cannot be recalled any more, it is delivered", "uniq_key", string(f.deletes))
		default:
			late.add(&m, &f, math.MaxInt64, now)
		}
	}
	n := len(late.batch.Puts)
	if err := late.put(ctx); err != nil {
		return err
	}
	t.taken.in.Add(int64(len(entries) + n))
	return t.add(ctx, entries)
}

// add puts messages into the wheel. While that fails it is tried again with those that are left: what was delivered or added before
// must not be once more. The only error is that ctx has ended.
func (t *timers) add(ctx context.Context, entries []timer.Entry) error {
	for {
		n, err := t.wheel.Add(time.Now().UnixMilli(), entries...)
		if entries = entries[n:]; len(entries) == 0 && err == nil {
			return nil
		}
		if errors.Is(err, timer.ErrTaken) { // meanwhile
			if err := t.deliverLate(ctx, &entries[0]); err != nil {
				return err
			}
			entries = entries[1:]
			continue
		}
		t.fails(&t.untaken, "cannot take in timers", err, "queue_offset", t.offset, "messages", len(entries))
		if pause(ctx, timerRetry) {
			return ctx.Err()
		}
		// Those that are in the wheel do not wait for the others.
		for until := time.Now().Add(timerRetry); t.offset >= t.taken.end && t.delivers(t.b.settings.Load()) && time.Now().Before(until); {
			if !t.deliverDue(ctx) {
				break
			}
		}
	}
}

// deliverLate delivers a message whose slot was taken before it came there.
func (t *timers) deliverLate(ctx context.Context, e *timer.Entry) error {
	d := newDelivery(t)
	m, f, ok, err := t.readSafely(ctx, &d.buf, []store.Place{{LogOffset: e.LogOffset, Size: e.Size}})
	if err != nil {
		return err
	}
	if ok && !e.Delete {
		d.add(&m, &f, math.MaxInt64, time.Now().UnixMilli())
	}
	return d.put(ctx)
}

// taking counts a message that is being taken in.
func (t *timers) taking(m *message.Message, f *timerFacts) {
	topic := string(f.topic)
	t.b.tallies.add(&metrics.TimerEnqueue, 1, topic)
	t.b.tallies.observe(&metrics.DelayLatency, (f.due-m.BornTimestamp)/1000, topic)
}

// wasTaken says whether a message was taken in before the broker was started.
func (t *timers) wasTaken(m *message.Message, due int64) bool {
	k := &t.taken
	if m.QueueOffset >= k.end {
		k.logged = nil
		return false
	}
	if !k.isLogged {
		var err error
		if k.logged, err = t.wheel.Logged(m.LogOffset); err != nil {
			t.b.log.Error("some timers may be delivered twice", "err", err)
		}
		k.isLogged = true
	}
	if _, found := slices.BinarySearch(k.logged, m.LogOffset); found {
		return true
	}
	return m.QueueOffset < k.written && due < k.read
}

// deliverDue delivers the first slot if it is due and says whether there was one.
func (t *timers) deliverDue(ctx context.Context) bool {
	slot, items, err := t.wheel.Take(time.Now().UnixMilli())
	if err != nil {
		t.fails(&t.unread, "cannot read timers that are due", err)
		return !pause(ctx, timerRetry)
	}
	if slot == 0 {
		return false
	}
	if err := t.deliver(ctx, slot, items); err != nil {
		return false // the broker is being closed, and delivers it after the start
	}
	for {
		if err = t.wheel.Done(slot, t.offset); err == nil || pause(ctx, timerRetry) {
			break
		}
		t.fails(&t.unkept, "cannot keep that timers were delivered", err)
	}
	if err == nil {
		t.goesOn(&t.unkept, "it is kept again which timers were delivered")
	}
	if err := t.wheel.RemoveBefore(t.b.store.LogStart()); err != nil {
		t.b.log.Error("cannot remove old files of the timer log", "err", err)
	}
	return true
}

// deliver brings the messages of a slot to their topics, but for those that others of it take away. Two batches are on their way at a
// time: while one is stored, the next is read.
func (t *timers) deliver(ctx context.Context, slot int64, items []timer.Item) error {
	deleted, err := t.deleted(ctx, items)
	if err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	places := make([]store.Place, len(items))
	for i, it := range items {
		places[i] = store.Place{LogOffset: it.LogOffset, Size: it.Size}
	}
	next, stored := newDelivery(t), newDelivery(t)
	for i := range items {
		if items[i].Delete && !items[i].Roll {
			continue
		}
		m, f, ok, err := t.readSafely(ctx, &next.buf, places[i:])
		if err != nil {
			return err
		}
		if !ok || !items[i].Roll && f.due/t.precision != slot/t.precision {
			continue
		}
		if len(deleted) > 0 && t.takesAway(deleted, &f) {
			t.wheel.Count(f.topic, -1)
			continue
		}
		next.takeOut(&m, &f, &items[i], now)
		if next.full() {
			if err := stored.wait(ctx); err != nil {
				return err
			}
			next.start()
			next, stored = stored, next
			now = time.Now().UnixMilli()
		}
	}
	if err := stored.wait(ctx); err != nil {
		return err
	}
	next.start()
	return next.wait(ctx)
}

// deleted are the unique keys of messages that others of the slot take away. The only error is that ctx ended.
func (t *timers) deleted(ctx context.Context, items []timer.Item) (keys map[string]bool, err error) {
	var buf []byte
	for _, it := range items {
		if !it.Delete || it.Roll {
			continue
		}
		buf = buf[:0]
		_, f, ok, err := t.readSafely(ctx, &buf, []store.Place{{LogOffset: it.LogOffset, Size: it.Size}})
		if err != nil {
			return nil, err
		}
		if ok && f.deletes != nil {
			if keys == nil {
				keys = make(map[string]bool)
			}
			keys[string(f.deletes)] = true
			t.wheel.Count(f.topic, 1) // it was taken from the count before there was anything to take away
		}
	}
	return keys, nil
}

// takesAway says whether one of the keys is that of a message. RocketMQ 5.3 always names the topic, and what it recalled stays recalled.
func (t *timers) takesAway(keys map[string]bool, f *timerFacts) bool {
	return keys[topicDeleteKey(string(f.topic), string(f.uniqKey))] || !t.b.settings.Load().TimerDeleteByTopic && keys[string(f.uniqKey)]
}

// timerDeleteKey is what TIMER_DEL_UNIQKEY must be to take a message away.
func timerDeleteKey(cfg *settings, topic, uniqKey string) string {
	if cfg.TimerDeleteByTopic {
		return topicDeleteKey(topic, uniqKey)
	}
	return uniqKey
}

func topicDeleteKey(topic, uniqKey string) string { return topic + "+" + uniqKey }

// readSafely is read; a message at which it panics is passed over.
func (t *timers) readSafely(ctx context.Context, buf *[]byte, places []store.Place) (m message.Message, f timerFacts, ok bool, err error) {
	read := func() { m, f, ok, err = t.read(ctx, buf, places) }
	if !survived(t.b.log, "a timer that is due is passed over", read, "log_offset", places[0].LogOffset) {
		return m, f, false, nil
	}
	return m, f, ok, err
}

// read reads the message at the first of some places into buf. What is no timer is of another time: the log was cut there and
// written again. One that cannot be read now is tried again until it can, or ctx ends, which is the only error.
func (t *timers) read(ctx context.Context, buf *[]byte, places []store.Place) (m message.Message, f timerFacts, ok bool, _ error) {
	at := len(*buf)
	b, err := t.b.store.RecordAt(places, *buf)
	for err != nil && !errors.Is(err, store.ErrNoMessage) {
		t.fails(&t.unread, "a timer that is due cannot be read now", err, "log_offset", places[0].LogOffset)
		if pause(ctx, timerRetry) {
			return m, f, false, ctx.Err()
		}
		b, err = t.b.store.RecordAt(places, *buf)
	}
	t.goesOn(&t.unread, "timers that are due can be read again")
	if err == nil {
		err = message.Decode(b[at:], &m)
	}
	*buf = b
	if err != nil {
		t.b.log.Error("a timer cannot be delivered, for its message is gone", "log_offset", places[0].LogOffset, "err", err)
		return m, f, false, nil
	}
	f = readTimer(m.Properties)
	return m, f, f.ok && m.Topic == topicTimer, nil
}

// timerFacts are what a message in the queue of timers says of itself.
type timerFacts struct {
	ok      bool
	due     int64
	topic   []byte
	queueID int32
	uniqKey []byte
	deletes []byte // the message that it takes away
	rolls   int64
	light   []byte // the light queues that it is for too
}

func readTimer(props []byte) (f timerFacts) {
	hasDue, hasQueue := false, false
	for name, value := range message.Properties(props) {
		switch string(name) {
		case message.PropTimerOutMS:
			n, err := strconv.ParseInt(string(value), 10, 64)
			f.due, hasDue = n, err == nil && n >= 0 && n < 1<<52
		case message.PropRealTopic:
			f.topic = value
		case message.PropRealQueueID:
			n, err := strconv.ParseInt(string(value), 10, 32)
			f.queueID, hasQueue = int32(n), err == nil && n >= 0 && n < queuesMax
		case message.PropUniqKey:
			f.uniqKey = value
		case message.PropTimerDelUniqKey:
			f.deletes = value
		case message.PropMultiDispatch:
			f.light = value
		case message.PropTimerRollTimes:
			f.rolls, _ = strconv.ParseInt(string(value), 10, 32)
		}
	}
	f.ok = hasDue && hasQueue && len(f.topic) > 0
	return f
}
