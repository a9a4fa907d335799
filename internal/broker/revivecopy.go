package broker

import (
	"errors"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/store"
)

// reviveAll revives check points that are due, together.
func (r *reviver) reviveAll(due []*checkPoint) {
	var puts []store.Put
	var of []*checkPoint
	retried := map[topicGroup]int64{}
	bytes := 0
	flush := func() {
		if len(of) > 0 {
			err := r.b.putAsIs(puts)
			if err == nil {
				r.b.counts.moved(kindMoved, puts)
				for key, n := range retried {
					r.b.tallies.add(&metrics.PopReviveRetry, n, key.topic, key.group, "PUT_OK")
				}
			}
			r.finish(of, err)
		}
		clear(retried)
		puts, of, bytes = nil, nil, 0
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
		for i := range copies {
			bytes += len(copies[i].Body)
			if strings.HasPrefix(copies[i].Queue.Topic(), retryPrefix) {
				retried[topicGroup{c.pq.group.topic, c.pq.group.group}]++
			}
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
	defer endPanic(r.b.log, "a check point is passed over", "topic", pq.group.topic, "group", pq.group.group, "queue_id", pq.id, "offset", c.start)
	ok = true // of one that is passed over
	pq.mu.Lock()
	left, untold, arrived := c.all()&^c.acked, c.all()&^c.saved, c.arrived
	isBack := time.Now().UnixMilli() < c.reviveTime()-ckAheadMS               // the clock was set back: its record comes later, and the acknowledgement behind it
	waits := c.done || c.gone || c.storing || c.stored && !arrived && !isBack // for its record; then it comes due again
	if c.storing {
		b.pops.pending.arm(c, 100*time.Millisecond)
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
		b.pops.pending.arm(c, reviveRetry)
		return nil, false
	}
	for i := range int(c.n) {
		if left&(1<<i) != 0 {
			copies, err := r.copy(cfg, c, retry, c.offset(i))
			if err != nil {
				b.log.Error("cannot read a popped message to deliver it again; it is tried once more", "topic", pg.topic, "group", pg.group, "queue_id", pq.id,
					"offset", c.offset(i), "in", reviveRetry, "err", err)
				b.pops.pending.arm(c, reviveRetry)
				return nil, false
			}
			puts = append(puts, copies...)
		}
	}
	if c.stored && left != 0 {
		ack := b.ackPut(cfg, c.reviveQueue, c.ackBody(cfg, untold), c.reviveTime())
		if arrived {
			ack.Properties = message.DeleteProperty(ack.Properties, message.PropTimerDeliverMS) // now, whatever the clock says
		} else if err := b.divertTimer(cfg, &ack); err != nil {
			b.log.Error("cannot deliver popped messages again", "topic", pg.topic, "group", pg.group, "err", err)
			b.pops.pending.arm(c, reviveRetry)
			return nil, false
		}
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
			r.b.pops.pending.arm(c, reviveRetry)
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
