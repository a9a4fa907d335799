package broker

import (
	"context"
	"strconv"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/store"
)

// The reviver delivers again what was popped and not acknowledged in time: it copies each such message to the pop retry topic of
// its group. It follows the revive log from the offset of the group CID_RMQ_SYS_REVIVE_GROUP, which is that of the last record
// that nothing need be done for any more, and knows each check point that it meets there in one of two ways:
//
//   - It is in memory (inflight.go). Then memory knows what is acknowledged, and it is revived at its time.
//   - It is not, because another broker or an earlier run made it. Then its acknowledgements are in the log too, and it is
//     revived once the log was read past the time at which the last of them must have come.
//
// Copies are put together with an acknowledgement of what was copied, so that a kill does not make them twice. Nothing runs while
// nothing is in flight.
type reviver struct {
	b      *Broker
	queues []*reviveQueue
	saved  time.Time // when check points were last saved before their time
}

// reviveQueue is one queue of the revive log.
type reviveQueue struct {
	q      *store.Queue
	next   int64                  // is read next
	passed int64                  // the consumer offset
	open   []logEntry             // read and not passed
	logged map[logKey]*checkPoint // of open, those that are not in memory
	newest int64                  // ms: the latest time at which a record read was due
	readAt time.Time              // when something was read last
	label  string                 // its number
	unread bool                   // what is at next cannot be read now
}

type logEntry struct {
	offset int64
	c      *checkPoint // nil when nothing need be done
}

const (
	reviveRead      = 64                     // records read at once
	reviveBatch     = 256                    // check points revived together
	reviveBytes     = 4 << 20                // of messages copied together, about
	reviveOpenMax   = 10_000                 // check points of the log in memory before the first of them must be done
	ackLateMS       = 2000                   // an acknowledgement comes out of the timer so much later than it is due at most
	idleLate        = 3 * time.Second        // and so much when nothing behind it tells that the timer has come so far
	timerLate       = 500 * time.Millisecond // a timer that is not behind may be so late
	reviveRetry     = 10 * time.Second
	reviveLookAgain = time.Second
)

func (b *Broker) followRevive(ctx context.Context) {
	cfg := b.settings.Load()
	r := &reviver{b: b}
	woken := make(chan struct{}, 1)
	for id := range int32(cfg.ReviveQueues) {
		q := b.store.Queue(reviveTopic(cfg.Cluster), id)
		defer b.watches.join(woken, q)()
		passed := b.offsets.query(reviveGroup, q.Topic(), id)
		next := min(passed+1, q.MaxOffset()) // an offset that was ahead of the log is its end now, of which nothing was passed
		r.queues = append(r.queues, &reviveQueue{q: q, next: next, passed: passed, logged: map[logKey]*checkPoint{}, readAt: time.Now(), label: strconv.Itoa(int(id))})
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		more, next := r.round()
		if ctx.Err() != nil {
			return
		}
		if more {
			continue
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(max(time.Until(next), time.Millisecond))
		}
		select {
		case <-ctx.Done():
			return
		case <-woken:
		case <-b.pops.pending.wake:
		case <-timer.C:
		}
	}
}

// round does what can be done now. It says whether there is more, and when there will be; never when the time is zero.
func (r *reviver) round() (more bool, next time.Time) {
	soonest := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if pops := r.b.pops; pops.pending.isFull() {
		if again := r.saved.Add(reviveRetry); pops.stuck.Load() && time.Now().Before(again) {
			soonest(again) // what cannot be saved fills the list again, and that wakes us
		} else {
			r.saved = time.Now()
			pops.save()
		}
	}
	for _, rq := range r.queues {
		more = r.read(rq) || more
		if rq.unread {
			soonest(time.Now().Add(reviveRetry))
		}
	}
	due, after := r.b.pops.pending.takeDue(time.Now(), reviveBatch)
	r.reviveAll(due)
	more = more || len(due) > 0
	if !after.IsZero() {
		soonest(after)
	}
	for _, rq := range r.queues {
		did, at := r.reviveLogged(rq)
		more = more || did
		if !at.IsZero() {
			soonest(at)
		}
		r.pass(rq)
	}
	return more, next
}

// read reads on in the log, unless too much of it is open.
func (r *reviver) read(rq *reviveQueue) (more bool) {
	if rq.next >= rq.q.MaxOffset() || len(rq.open) >= reviveOpenMax && !rq.isStuck() {
		return false
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	body, res := r.b.readOn(rq.q, rq.next, reviveRead, maxPullBytes, (*buf)[:0])
	*buf = body[:0]
	rq.unread = res.Err != nil
	if res.NextOffset == rq.next {
		return false
	}
	if res.Status != store.Found {
		r.b.log.Warn("part of the revive log is not there and is passed over", "topic", rq.q.Topic(), "queue_id", rq.q.ID(), "from", rq.next,
			"to", res.NextOffset, "because", res.Status)
	}
	for len(body) > 0 {
		var m message.Message
		if err := message.Decode(body, &m); err != nil {
			break // Get has checked
		}
		body = body[m.Size:]
		rq.open = append(rq.open, logEntry{m.QueueOffset, r.take(rq, &m)})
	}
	rq.next, rq.readAt = res.NextOffset, time.Now()
	return true
}

// isStuck says whether the first open check point waits for the log to be read on.
func (rq *reviveQueue) isStuck() bool {
	c := rq.open[0].c
	return c != nil && !c.passed.Load() && c.key != nil && rq.newest-c.reviveTime() <= ackLateMS
}

// take looks at one record of the log, and returns the check point that it is. What is none and no acknowledgement either, as clients may
// send here, is passed over.
func (r *reviver) take(rq *reviveQueue, m *message.Message) (c *checkPoint) {
	defer endPanic(r.b.log, "a record of the revive log is passed over", "log_offset", m.LogOffset)
	now := r.clockOf(m)
	for _, name := range [...]string{message.PropTimerDeliverMS, message.PropTimerOutMS} {
		if v, ok := message.Property(m.Properties, name); ok {
			if at, err := strconv.ParseInt(string(v), 10, 64); err == nil {
				rq.newest = max(rq.newest, min(at, now+ckAheadMS))
				break
			}
		}
	}
	tag, _ := message.Property(m.Properties, message.PropTags)
	because := "it is neither a check point nor an acknowledgement"
	switch string(tag) {
	case tagCK:
		body, ok := parseCK(m.Body)
		if ok && body.PopTime+body.Invisible > now+r.b.settings.Load().invisibleMax()+ckAheadMS {
			because, ok = "its messages are due later than the timer keeps any", false // all behind it would wait for them
		}
		if ok {
			c = r.takeCK(rq, &body, now)
			r.b.tallies.add(&metrics.PopReviveOut, 1, body.Topic, body.Group, rq.label, reviveCK)
			return c
		}
	case tagAck, tagBatchAck:
		if body, ok := parseAck(tag, m.Body); ok {
			r.takeAck(rq, &body)
			r.b.tallies.add(&metrics.PopReviveOut, 1, body.Topic, body.Group, rq.label, reviveAck)
			return nil
		}
	}
	r.b.log.Warn("a record of the revive log is passed over", "topic", rq.q.Topic(), "queue_id", rq.q.ID(), "offset", m.QueueOffset, "addr", m.BornHost, "because", because)
	return nil
}

// clockOf is what time it is, in ms, by the clock that a record's times are of: the wall clock may have been set back since.
func (r *reviver) clockOf(m *message.Message) int64 {
	now := max(time.Now().UnixMilli(), m.StoreTimestamp)
	if m.BornHost == r.b.settings.Load().storeHost { // no client's clock
		now = max(now, m.BornTimestamp)
	}
	return now
}

// takeCK finds the check point of a record, or makes one when memory does not know it; now is clockOf the record.
func (r *reviver) takeCK(rq *reviveQueue, body *ckBody, now int64) *checkPoint {
	b := r.b
	name := b.settings.Load().Name
	if body.Broker == "" {
		body.Broker = name
	}
	t := b.topics.find(body.Topic)
	if t == nil || t.queue(body.Queue) == nil || b.groups.find(body.Group) == nil {
		return nil // deleted, or the topic has fewer queues
	}
	pq := b.pops.of([]byte(body.Group), []byte(body.Topic)).queue(b.pops, t.queue(body.Queue))
	if body.Broker == name {
		pq.mu.Lock()
		c := pq.points[pointKey{body.Start, body.PopTime}]
		if c != nil {
			c.arrived, c.stored = true, true
			if c.passLocked(); c.done {
				if c.acked == c.saved {
					pq.dropLocked(c)
				}
			} else if !b.pops.pending.isArmed(c) { // it came due, and waits for this
				b.pops.pending.arm(c, 0)
			}
		}
		pq.mu.Unlock()
		if c != nil {
			return c
		}
	}
	key := logKey{body.Topic, body.Group, body.Queue, body.Start, body.PopTime, body.Broker}
	if rq.logged[key] != nil {
		return nil // a record that the timer has delivered twice, as after a kill: the first one stands for it
	}
	c := &checkPoint{pq: pq, start: body.Start, popTime: body.PopTime, invisible: body.Invisible, offsets: body.Diffs, n: uint8(body.Num),
		acked: uint32(body.BitMap), stored: true, arrived: true, suspend: body.Suspend, reviveQueue: rq.q.ID(), key: &key, heapAt: -1}
	c.due = time.Now().Add(durationMS(c.reviveTime() - now))
	c.leaveToQueue()
	rq.logged[key] = c
	return c
}

// leaveToQueue takes those messages for done that an earlier run has popped without moving the consumer offset past them: the queue gives
// them once more.
func (c *checkPoint) leaveToQueue() {
	if c.pq.since < 0 || c.popTime >= c.pq.pops.started.Load() {
		return
	}
	for i := range int(c.n) {
		if c.offset(i) >= c.pq.since {
			c.acked |= 1 << i
		}
	}
}

// takeAck sets bits of a check point that memory does not know.
func (r *reviver) takeAck(rq *reviveQueue, a *ackBody) {
	if a.Broker == "" {
		a.Broker = r.b.settings.Load().Name
	}
	c := rq.logged[logKey{a.Topic, a.Group, a.Queue, a.Start, a.PopTime, a.Broker}]
	if c == nil || c.passed.Load() {
		return
	}
	for _, o := range a.Offsets {
		if i := c.index(o); i >= 0 {
			c.acked |= 1 << i
		}
	}
}

// reviveLogged revives what only the log knows, once all that may have been acknowledged of it must have been read. It says
// when to look again.
func (r *reviver) reviveLogged(rq *reviveQueue) (did bool, again time.Time) {
	var due []*checkPoint
	now := time.Now()
	rq.newest = min(rq.newest, now.UnixMilli()+ckAheadMS) // what came by a clock that was ahead does not tell how far the log is by this one
	for _, e := range rq.open {
		c := e.c
		if c == nil || c.key == nil || c.passed.Load() || r.b.pops.pending.isArmed(c) {
			continue // memory revives it, or it comes due once more
		}
		if c.acked&c.all() == c.all() {
			c.passed.Store(true)
			continue
		}
		left := min(time.UnixMilli(c.reviveTime()).Sub(now), c.due.Sub(now)) // the wall clock may have been set back since
		if rq.newest-now.Add(left).UnixMilli() <= ackLateMS {
			if left += idleLate; rq.next < rq.q.MaxOffset() || left > 0 || now.Sub(rq.readAt) < reviveLookAgain || r.b.timerIsBehind() {
				again = now.Add(max(reviveLookAgain, left))
				break
			}
		}
		if due = append(due, c); len(due) == reviveBatch {
			break
		}
	}
	r.reviveAll(due)
	return len(due) > 0, again
}

// pass moves the consumer offset behind what nothing need be done for any more.
func (r *reviver) pass(rq *reviveQueue) {
	n := 0
	for ; n < len(rq.open); n++ {
		c := rq.open[n].c
		if c == nil {
			continue
		}
		if !c.passed.Load() {
			break
		}
		if c.key != nil {
			delete(rq.logged, *c.key)
		}
	}
	if n == 0 {
		return
	}
	rq.passed = rq.open[n-1].offset
	clear(rq.open[:n])
	if rq.open = rq.open[n:]; len(rq.open) == 0 {
		rq.open = nil
	}
	r.b.offsets.commitText(reviveGroup, rq.q.Topic(), rq.q.ID(), rq.passed)
}

// timerIsBehind says whether the timer has messages that should have left it.
func (b *Broker) timerIsBehind() bool {
	t := b.timers
	if t == nil {
		return false
	}
	due, ok := t.wheel.Next()
	return ok && time.Since(time.UnixMilli(due)) > timerLate || t.taken.offset.Load() < t.queue.MaxOffset()
}
