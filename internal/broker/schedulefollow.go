package broker

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store"
)

// The follower of the delay levels' queues.

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
	if done, err = s.takeAll(l, s.entries[:due]); err != nil {
		l.behind = s.entries[done].QueueOffset
		return s.unreadable(l, err)
	}
	return wait
}

// takeAll takes messages that are due, up to one that cannot be read now. When that panics they are taken one by one, and the one that
// is to blame is passed over.
func (s *schedule) takeAll(l *delayLevel, entries []store.Entry) (done int, err error) {
	take := func(e store.Entry, record []byte) { s.take(l, e, record) }
	puts, buf := len(s.puts), s.buf
	if survived(s.b.log, "delayed messages are taken one by one", func() { s.buf, done, err = s.b.store.Records(l.queue, entries, buf, take) }) {
		return done, err
	}
	s.puts, s.from = s.puts[:puts], s.from[:puts]
	for i := range entries {
		puts, buf = len(s.puts), s.buf
		one := func() { s.buf, _, err = s.b.store.Records(l.queue, entries[i:i+1], buf, take) }
		if !survived(s.b.log, "delayed message is passed over", one, "level", l.level, "offset", entries[i].QueueOffset, "log_offset", entries[i].LogOffset) {
			s.puts, s.from = s.puts[:puts], s.from[:puts]
		} else if err != nil {
			return i, err
		}
	}
	return len(entries), nil
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
