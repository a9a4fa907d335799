package broker

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime/debug"
	"strconv"
	"strings"
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
	idleLateMS      = 3000                   // and so much when nothing behind it tells that the timer has come so far
	timerLate       = 500 * time.Millisecond // a timer that is not behind may be so late
	reviveRetry     = 10 * time.Second
	reviveLookAgain = time.Second
)

func (b *Broker) followRevive(ctx context.Context) {
	cfg := b.settings.Load()
	r := &reviver{b: b}
	var queues []*store.Queue
	for id := range int32(cfg.ReviveQueues) {
		q := b.store.Queue(reviveTopic(cfg.Cluster), id)
		passed := b.offsets.query(reviveGroup, q.Topic(), id)
		next := min(passed+1, q.MaxOffset()) // an offset that was ahead of the log is its end now, of which nothing was passed
		r.queues = append(r.queues, &reviveQueue{q: q, next: next, passed: passed, logged: map[logKey]*checkPoint{}, readAt: time.Now(), label: strconv.Itoa(int(id))})
		queues = append(queues, q)
	}
	woken := make(chan struct{}, 1)
	for _, q := range queues {
		defer b.watches.join(woken, q)()
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
	due, after := r.b.pops.pending.takeDue(time.Now().UnixMilli(), reviveBatch)
	r.reviveAll(due)
	more = more || len(due) > 0
	if after > 0 {
		soonest(time.UnixMilli(after))
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
	body, res := r.b.store.Get(rq.q, rq.next, reviveRead, maxPullBytes, nil, (*buf)[:0])
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
	defer r.survive("a record of the revive log", "log_offset", m.LogOffset)
	for _, name := range [...]string{message.PropTimerDeliverMS, message.PropTimerOutMS} {
		if v, ok := message.Property(m.Properties, name); ok {
			if at, err := strconv.ParseInt(string(v), 10, 64); err == nil {
				rq.newest = max(rq.newest, min(at, time.Now().UnixMilli()+ckAheadMS))
				break
			}
		}
	}
	tag, _ := message.Property(m.Properties, message.PropTags)
	because := "it is neither a check point nor an acknowledgement"
	switch string(tag) {
	case tagCK:
		body, ok := parseCK(m.Body)
		if ok && body.PopTime+body.Invisible > time.Now().UnixMilli()+r.b.settings.Load().invisibleMax()+ckAheadMS {
			because, ok = "its messages are due later than the timer keeps any", false // all behind it would wait for them
		}
		if ok {
			c = r.takeCK(rq, &body)
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

// survive, deferred, ends a panic: one record must not stop all others, now and at each start.
func (r *reviver) survive(what string, keys ...any) {
	if e := recover(); e != nil {
		r.b.log.Error("panic: "+what+" is passed over", append(keys, "err", fmt.Sprint(e), "stack", string(debug.Stack()))...)
	}
}

// takeCK finds the check point of a record, or makes one when memory does not know it.
func (r *reviver) takeCK(rq *reviveQueue, body *ckBody) *checkPoint {
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
			} else if c.reviveTime() <= time.Now().UnixMilli() {
				b.pops.pending.arm(c, c.reviveTime())
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
	c.leaveToQueue()
	rq.logged[key] = c
	return c
}

// leaveToQueue takes those messages for done that an earlier run has popped without moving the consumer offset past them: the queue gives
// them once more.
func (c *checkPoint) leaveToQueue() {
	if c.pq.since < 0 || c.popTime >= c.pq.pops.started {
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
	for _, e := range rq.open {
		c := e.c
		if c == nil || c.key == nil || c.passed.Load() || r.b.pops.pending.isArmed(c) {
			continue // memory revives it, or it comes due once more
		}
		if c.acked&c.all() == c.all() {
			c.passed.Store(true)
			continue
		}
		if rq.newest-c.reviveTime() <= ackLateMS {
			quiet := max(now.UnixMilli()-c.reviveTime(), 0)
			if rq.next < rq.q.MaxOffset() || quiet < idleLateMS || now.Sub(rq.readAt) < reviveLookAgain || r.b.timerIsBehind() {
				again = now.Add(max(reviveLookAgain, time.UnixMilli(c.reviveTime()+idleLateMS).Sub(now)))
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

// reviveAll revives check points that are due, together.
func (r *reviver) reviveAll(due []*checkPoint) {
	var puts []store.Put
	var of []*checkPoint
	var retried []struct {
		topicGroup
		n int64
	}
	bytes := 0
	flush := func() {
		if len(of) > 0 {
			err := r.b.putAsIs(puts)
			if err == nil {
				r.b.counts.moved(kindMoved, puts)
				for i := range retried {
					r.b.tallies.add(&metrics.PopReviveRetry, retried[i].n, retried[i].topic, retried[i].group, "PUT_OK")
				}
			}
			r.finish(of, err)
		}
		puts, of, retried, bytes = nil, nil, nil, 0
	}
	cfg := r.b.settings.Load()
	for _, c := range due {
		if c.order {
			r.b.orders.released(c.pq)
			continue
		}
		copies, ok := r.copies(cfg, c)
		if !ok {
			continue
		}
		of = append(of, c)
		puts = append(puts, copies...)
		n := int64(0)
		for i := range copies {
			bytes += len(copies[i].Body)
			if strings.HasPrefix(copies[i].Queue.Topic(), retryPrefix) {
				n++
			}
		}
		if n > 0 {
			retried = append(retried, struct {
				topicGroup
				n int64
			}{topicGroup{c.pq.group.topic, c.pq.group.group}, n})
		}
		if bytes > reviveBytes {
			flush()
		}
	}
	flush()
}

// copies makes what is put for a check point; ok is false when nothing is to be done for it now.
func (r *reviver) copies(cfg *settings, c *checkPoint) (puts []store.Put, ok bool) {
	b, pq := r.b, c.pq
	defer r.survive("a check point", "topic", pq.group.topic, "group", pq.group.group, "queue_id", pq.id, "offset", c.start)
	ok = true // of one that is passed over
	pq.mu.Lock()
	left, untold := c.all()&^c.acked, c.all()&^c.saved
	waits := c.done || c.gone || c.storing || c.stored && !c.arrived // for its record; then it comes due again
	if c.storing {
		b.pops.pending.arm(c, time.Now().Add(100*time.Millisecond).UnixMilli())
	}
	pq.mu.Unlock()
	if waits {
		return nil, false
	}
	pg := pq.group
	normal := popNormalTopic(pg.topic, pg.group)
	t := b.topics.find(normal)
	if t == nil || b.groups.find(pg.group) == nil {
		b.log.Warn("popped messages are not delivered again: their topic or group is gone", "topic", pg.topic, "group", pg.group, "queue_id", pq.id,
			"messages", bits.OnesCount32(left))
		return nil, true
	}
	retry, err := b.popRetryTopicFor(cfg, pg, t)
	if err != nil {
		b.log.Error("cannot deliver popped messages again", "topic", pg.topic, "group", pg.group, "err", err)
		b.pops.pending.arm(c, time.Now().Add(reviveRetry).UnixMilli())
		return nil, false
	}
	for i := range int(c.n) {
		if left&(1<<i) != 0 {
			copies, err := r.copy(cfg, c, retry, c.offset(i))
			if err != nil {
				b.log.Error("cannot read a popped message to deliver it again; it is tried once more", "topic", pg.topic, "group", pg.group, "queue_id", pq.id,
					"offset", c.offset(i), "in", reviveRetry, "err", err)
				b.pops.pending.arm(c, time.Now().Add(reviveRetry).UnixMilli())
				return nil, false
			}
			puts = append(puts, copies...)
		}
	}
	if c.stored && left != 0 {
		ack := b.ackPut(cfg, c.reviveQueue, c.ackBody(cfg, untold), c.reviveTime())
		ack.Properties = message.DeleteProperty(ack.Properties, message.PropTimerDeliverMS) // now, whatever the clock says
		puts = append(puts, ack)
	}
	return puts, true
}

// copy makes the copy of one message for the retry topic, none when it is not there any more. A record that holds several becomes as many,
// for retry topics have plain queues.
func (r *reviver) copy(cfg *settings, c *checkPoint, retry *topic, offset int64) ([]store.Put, error) {
	rec, res := r.b.store.Get(c.pq.q, offset, 1, maxPullBytes, nil, nil)
	if res.Err != nil && res.Count == 0 {
		return nil, res.Err
	}
	var m message.Message
	isThere := res.Status == store.Found && message.Decode(rec, &m) == nil
	inner := isThere && m.SysFlag&message.FlagInnerBatch != 0
	if !isThere || res.NextOffset != offset+1 && !(inner && m.QueueOffset == offset) {
		r.b.log.Warn("popped message is not delivered again: it is not there any more", "topic", c.pq.group.topic, "group", c.pq.group.group,
			"queue_id", c.pq.id, "offset", offset, "because", res.Status)
		return nil, nil
	}
	id := int32(0)
	if cfg.PopSeparateRetry && c.pq.id < retry.WriteQueueNums {
		id = c.pq.id
	}
	to := retry.queue(id)
	if to == nil { // an admin took its queues away: it waits there until it has some again
		to = r.b.store.Queue(retry.TopicName, id)
	}
	put := store.Put{Queue: to}
	put.Flag, put.SysFlag, put.BornTimestamp, put.BornHost = m.Flag, m.SysFlag, m.BornTimestamp, cfg.storeHost
	put.ReconsumeTimes = m.ReconsumeTimes
	if !c.suspend {
		put.ReconsumeTimes++
	}
	if inner && m.SysFlag&message.FlagCompressed == 0 {
		if puts := r.apart(c, put, m.Body); puts != nil {
			return puts, nil
		}
	}
	put.SysFlag &^= message.FlagInnerBatch
	put.Body, put.Properties = m.Body, m.Properties
	return r.add(nil, c, put, m.ReconsumeTimes == 0), nil
}

// add adds a copy that still has its message's properties to those that are put together, if it can be stored: one that cannot
// must not keep back the others. first says that the message is popped for the first time.
func (r *reviver) add(puts []store.Put, c *checkPoint, put store.Put, first bool) []store.Put {
	original := put.Properties
	put.Properties = c.retried(original, first)
	err := r.b.store.Check(&put)
	if err != nil { // it may be for those that it gets; those it had before did fit
		put.Properties = original
		err = r.b.store.Check(&put)
	}
	if err != nil {
		r.b.log.Error("popped message cannot be stored in its retry topic and is dropped", "topic", c.pq.group.topic, "group", c.pq.group.group,
			"queue_id", c.pq.id, "offset", c.start, "err", err)
		return puts
	}
	return append(puts, put)
}

// retried are the properties of a copy; first says that the message is popped for the first time.
func (c *checkPoint) retried(props []byte, first bool) []byte {
	if _, has := message.Property(props, message.PropFirstPopTime); !has || first {
		props = message.SetProperty(props, message.PropFirstPopTime, strconv.FormatInt(c.popTime, 10))
	}
	return message.SetProperty(props, message.PropOriginGroup, c.pq.group.group)
}

// apart makes a put of each message that a body holds, nil when it holds none.
func (r *reviver) apart(c *checkPoint, like store.Put, body []byte) (puts []store.Put) {
	if len(body) == 0 {
		return nil
	}
	puts = []store.Put{}
	like.SysFlag &^= message.FlagInnerBatch | message.FlagNeedUnwrap
	for len(body) > 0 {
		var entry message.BatchEntry
		rest, err := message.NextInBatch(body, &entry)
		if err != nil {
			return nil
		}
		put := like
		put.Flag, put.Body, put.Properties = entry.Flag, entry.Body, entry.Properties
		puts, body = r.add(puts, c, put, true), rest
	}
	return puts
}

// finish is for check points whose messages were copied, or could not be.
func (r *reviver) finish(of []*checkPoint, err error) {
	for _, c := range of {
		c.pq.mu.Lock()
		switch {
		case err != nil:
			c.tries++
			r.b.pops.pending.arm(c, time.Now().Add(reviveRetry).UnixMilli())
		case !c.done:
			if c.key == nil { // others were never counted
				c.pq.inFlight -= bits.OnesCount32(c.all() &^ c.acked)
			}
			c.acked = c.all()
			if c.stored {
				c.saved = c.acked
			}
			c.pq.finishLocked(c)
			if c.stored {
				c.pq.dropLocked(c)
			}
		}
		c.pq.mu.Unlock()
	}
	if err != nil {
		r.b.log.Error("cannot deliver popped messages again; it is tried once more", "check_points", len(of), "in", reviveRetry, "err", err)
	}
}

// popRetryTopicFor is the topic that messages of pg are copied to, made when it is not there.
func (b *Broker) popRetryTopicFor(cfg *settings, pg *popGroup, normal *topic) (*topic, error) {
	name, queues := pg.topic, int32(1)
	if !strings.HasPrefix(name, retryPrefix) {
		separator := popRetryV1
		if cfg.PopRetryV2 {
			separator = popRetryV2
		}
		name = popRetryTopic(pg.group, pg.topic, separator)
	}
	if cfg.PopSeparateRetry {
		queues = max(normal.writeQueues(), 1)
	}
	t := b.topics.find(name)
	if t != nil && (!cfg.PopSeparateRetry || t.WriteQueueNums >= queues) {
		return t, nil
	}
	var err error
	if t == nil {
		t, err = b.topics.createRetry(name, queues, false, 0)
	} else {
		c := t.TopicConfig
		c.ReadQueueNums, c.WriteQueueNums, c.Attributes = max(c.ReadQueueNums, queues), queues, nil
		if err = b.topics.update(c); err == nil {
			t = b.topics.find(name)
		}
	}
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, errors.New("the retry topic " + name + " was deleted while it was made")
	}
	main := b.pops.of([]byte(pg.group), []byte(normal.TopicName))
	for id := range queues {
		if b.offsets.query(pg.group, name, id) < 0 {
			b.offsets.commitText(pg.group, name, id, 0)
		}
		b.holds.watchFor(main, t.queue(id))
	}
	return t, nil
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
