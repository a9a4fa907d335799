package broker

import (
	"math/rand/v2"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/store"
)

// popLook is one walk over the queues of a request.
type popLook struct {
	popTime     int64
	reviveQueue int32
	body        []byte
	count       int
	rest        int64 // messages that are there and were not taken
	seen        int64 // sum of the queues' ends
	has         bool  // of a notification: there is a message
	full        bool  // the messages of another queue did not fit
	cold        bool  // those of one are on the disk, which is not waited for

	starts, offsets, orders []byte // the answer's fields
	taken                   []int64
}

// walk looks for messages: in the topic's queues from a random one on, and in the group's retry topics, which now and then come first.
func (p *popRequest) walk(cfg *settings, t *topic, g *group) {
	b, l := p.b, &p.look
	if p.room == nil {
		p.room = scratch.Get().(*[]byte)
		l.body = *p.room
	}
	*l = popLook{popTime: time.Now().UnixMilli(), body: l.body[:0], starts: l.starts[:0], offsets: l.offsets[:0], orders: l.orders[:0], taken: l.taken[:0]}
	random := rand.IntN(100)
	l.reviveQueue = orderlyRevive
	if !p.order {
		l.reviveQueue = int32((b.pops.revives.Add(1) - 1) % uint64(max(cfg.ReviveQueues, 1)))
	}
	priority := t.Attributes[attrMessageType] == typePriority && !p.order && random < g.priorityFactor()
	probability := cfg.PopRetryFirst
	if priority {
		probability = cfg.PopRetryFirstPriority
	}
	retryFirst := random < probability && p.code != protocol.ReqNotification
	v1 := !cfg.PopRetryV2 || cfg.PopRetryV1Too && random%2 == 0
	if priority {
		random = 0
	}
	if retryFirst && !p.order {
		p.walkRetry(cfg, v1, random)
	}
	if p.queueID < 0 {
		p.walkTopic(cfg, p.pg, t, random, false)
	} else {
		p.fromQueue(cfg, p.pg, t, p.queueID, false)
	}
	if !retryFirst && !p.order {
		p.walkRetry(cfg, v1, random)
	}
	if !p.order && cfg.PopRetryV2 && cfg.PopRetryV1Too && (l.count == 0 || p.code == protocol.ReqNotification) {
		p.walkRetry(cfg, !v1, random) // an answer can tell of one of them only
	}
}

// popsRetry says whether pops look at retry topics of the old name (V1) or of the new one.
func (s *settings) popsRetry(v1 bool) bool {
	return s.PopRetryV2 != v1 || s.PopRetryV2 && s.PopRetryV1Too
}

func (p *popRequest) walkRetry(cfg *settings, v1 bool, random int) {
	pg := p.pg.retry[1]
	if v1 {
		pg = p.pg.retry[0]
	}
	if pg == nil {
		return
	}
	if t := p.b.topics.find(pg.topic); t != nil {
		p.walkTopic(cfg, pg, t, random, true)
	}
}

func (p *popRequest) walkTopic(cfg *settings, pg *popGroup, t *topic, random int, retry bool) {
	n := t.readQueues()
	for i := range n {
		at := i
		if cfg.PopPriorityAscending {
			at = n - 1 - i
		}
		p.fromQueue(cfg, pg, t, (at+int32(random))%n, retry)
	}
}

// fromQueue takes of one queue what the request has room for.
func (p *popRequest) fromQueue(cfg *settings, pg *popGroup, t *topic, id int32, retry bool) {
	q := t.queue(id)
	if q == nil {
		return
	}
	l, b := &p.look, p.b
	end := q.MaxOffset()
	l.seen += end
	pq := pg.queue(b.pops, q)
	pq.mu.Lock()
	defer pq.mu.Unlock()
	if !b.isGroup(p.group) || !b.isThere(pg.topic) {
		return // deleted since the request was checked: what is in flight was forgotten, or will be when we are done
	}
	switch p.code {
	case protocol.ReqNotification:
		l.has = l.has || p.hasLocked(cfg, pq, retry)
		return
	case protocol.ReqPeekMessage:
		p.peekLocked(pq)
		return
	}
	if cfg.PopLimit && int64(pq.inFlight) > cfg.PopLimitMessages && !p.order {
		l.rest += max(end-pq.beginLocked(), 0)
		return
	}
	begin, reset := b.offsets.popFrom(pg.group, pg.topic, id)
	if len(pq.line) > 0 {
		begin = max(begin, pq.next)
	}
	if reset {
		begin = pq.takeResetLocked(cfg, begin)
	}
	if begin < 0 {
		begin = pq.initLocked(cfg, p.initMode)
		pq.commitLocked(begin)
	}
	if p.order && b.orders.isBlocked(pq, p.attempt, p.invisible, time.Now().UnixMilli()) {
		return
	}
	if l.count >= int(p.maxMsgs) || begin == end || l.full || l.cold {
		l.rest += max(end-begin, 0)
		return
	}
	p.takeLocked(cfg, pq, begin, retry)
}

// takeLocked pops the queue from an offset on.
func (p *popRequest) takeLocked(cfg *settings, pq *popQueue, begin int64, retry bool) {
	b, l := p.b, &p.look
	room := int(p.maxMsgs) - l.count
	at := len(l.body)
	body, res := p.get(pq.q, begin, room, &p.sub.filter, l.body)
	if res.Status == store.OffsetTooSmall || res.Status == store.OffsetOverflowBadly || res.Status == store.OffsetFoundNull {
		b.log.Warn("offset of a pop is corrected", "topic", pq.group.topic, "group", pq.group.group, "queue_id", pq.id, "from", begin,
			"to", res.NextOffset, "because", res.Status, "addr", p.conn.RemoteAddr())
		begin = res.NextOffset
		pq.restartLocked()
		b.offsets.commitKnown([]byte(pq.group.group), []byte(pq.group.topic), pq.id, begin, p.conn)
		body, res = p.get(pq.q, begin, room, &p.sub.filter, l.body)
	}
	popTime := pq.freeTimeLocked(begin, l.popTime)
	if l.count == 0 {
		l.popTime = popTime
	}
	if l.cold || l.overflows(body) || popTime != l.popTime { // an answer has one time
		l.rest += max(res.MaxOffset-begin, 0)
		return
	}
	l.body = body
	l.rest += max(res.MaxOffset-res.NextOffset, 0)
	if res.Count == 0 {
		if res.NextOffset > begin {
			pq.skipLocked(res.NextOffset)
		}
		return
	}
	pq.group.got(b.counts, &res)
	l.taken = l.taken[:0]
	for rec := body[at:]; len(rec) > 0; {
		size, _ := message.Peek(rec)
		l.taken = append(l.taken, pq.offsetOf(rec))
		rec = rec[size:]
	}
	if p.order {
		l.orders = b.orders.taken(pq, p, l)
		pq.commitLocked(begin)
	} else {
		pq.addLocked(p.checkPoint(begin, res.NextOffset), true)
		b.counts.checkPoint(p.pg.counts(b.counts))
	}
	l.starts = appendStartOffset(l.starts, pq.group.topic, pq.id, begin)
	l.offsets = appendOffsets(l.offsets, pq.group.topic, pq.id, l.taken)
	l.count += res.Count
	if retry && !cfg.PopActualRetryTopic {
		r := receipt{start: begin, popTime: l.popTime, invisible: p.invisible, reviveQueue: l.reviveQueue, broker: []byte(cfg.Name)}
		l.body = asNormal(l.body, at, &r, string(p.topic))
	}
}

// checkPoint is that of what the request has taken of a queue from an offset on.
func (p *popRequest) checkPoint(begin, next int64) *checkPoint {
	l := &p.look
	c := &checkPoint{start: begin, popTime: l.popTime, invisible: p.invisible, next: next, n: uint8(len(l.taken)), reviveQueue: l.reviveQueue}
	if l.taken[len(l.taken)-1]-begin != int64(len(l.taken)-1) {
		c.offsets = make([]int32, len(l.taken))
		for i, o := range l.taken {
			c.offsets[i] = int32(o - begin)
		}
	}
	return c
}

// get is Store.Get, if the request may wait for the disk. Otherwise nothing is read of a queue that lies there: what is taken of others is
// an answer, and without any the request is served anew elsewhere, so nothing may be done before that must not be done twice.
func (p *popRequest) get(q *store.Queue, offset int64, n int, filter *store.Filter, dst []byte) ([]byte, store.GetResult) {
	if !p.now {
		return p.b.store.Get(q, offset, n, maxPullBytes, filter, dst)
	}
	body, res, ok := p.b.store.GetNow(q, offset, n, maxPullBytes, filter, dst)
	if !ok {
		p.look.cold = true
		return dst, store.GetResult{MaxOffset: res.MaxOffset}
	}
	return body, res
}

// overflows says whether what was taken of another queue makes the answer too large. It is left where it is then.
func (l *popLook) overflows(body []byte) bool {
	l.full = l.count > 0 && len(body) > maxPullBytes
	return l.full
}

// peekLocked shows what a pop of the queue would take.
func (p *popRequest) peekLocked(pq *popQueue) {
	l, b := &p.look, p.b
	begin := pq.beginLocked()
	if begin < 0 {
		begin = pq.q.MinOffset()
	}
	l.rest += max(pq.q.MaxOffset()-begin, 0)
	room := int(min(p.maxMsgs, popMax)) - l.count
	if room <= 0 || l.full || l.cold {
		return
	}
	body, res := p.get(pq.q, begin, room, nil, l.body)
	if res.Status == store.OffsetTooSmall || res.Status == store.OffsetOverflowBadly {
		body, res = p.get(pq.q, res.NextOffset, room, nil, l.body)
	}
	if l.cold || l.overflows(body) {
		return
	}
	l.body = body
	l.count += res.Count
	if res.Count > 0 {
		pq.group.got(b.counts, &res)
	}
}

// hasLocked says whether a pop of the queue would find a message, as far as the queue's tags codes tell. pq.mu is held.
func (p *popRequest) hasLocked(cfg *settings, pq *popQueue, retry bool) bool {
	if p.order && p.b.orders.isBlocked(pq, p.attempt, 0, time.Now().UnixMilli()) {
		return false
	}
	begin := pq.beginLocked()
	if begin < 0 {
		begin = pq.q.MinOffset()
	}
	rest := pq.q.MaxOffset() - begin
	if rest <= 0 || retry || !cfg.NotificationFilter || p.sub == nil || p.sub.filter.Tags == nil || rest >= int64(cfg.NotificationFilterMax) {
		return rest > 0
	}
	body, res := p.get(pq.q, begin, 1, &p.sub.filter, p.look.body[:0])
	p.look.body = body[:0]
	_, kind := message.Peek(body)
	return res.Count > 0 && kind == message.Record
}

// beginLocked is where the next pop of the queue begins, -1 when that is not known. pq.mu is held.
func (pq *popQueue) beginLocked() int64 {
	consumed := pq.pops.b.offsets.query(pq.group.group, pq.group.topic, pq.id)
	if len(pq.line) == 0 {
		return consumed
	}
	return max(pq.next, consumed)
}

// takeResetLocked returns where a reset wants the pops to begin, once; otherwise when they shall not look at resets.
func (pq *popQueue) takeResetLocked(cfg *settings, otherwise int64) int64 {
	o, pg := pq.pops.b.offsets, pq.group
	to, ok := o.takeReset([]byte(pg.group), []byte(pg.topic), pq.id)
	if !ok || !cfg.ServerSideResetOffset {
		return otherwise
	}
	pq.restartLocked()
	pq.pops.b.orders.unblock(pq)
	o.commitText(pg.group, pg.topic, pq.id, to)
	return to
}

// Where a group begins that has consumed nothing of a queue. Part of the wire format.
const popFromMin = 0

// initLocked is where a group begins in a queue: at its oldest message, or at its newest.
func (pq *popQueue) initLocked(cfg *settings, mode int32) int64 {
	if mode == popFromMin || retryFlag(pq.group.topic) != flagNormal {
		return pq.q.MinOffset()
	}
	return pq.pops.b.popFromMax(cfg, pq.q)
}

// popFromMax is where a group begins in a queue of which it wants what is new.
func (b *Broker) popFromMax(cfg *settings, q *store.Queue) int64 {
	if cfg.PopInitInMemory && q.MinOffset() <= 0 && q.MaxOffset() > 0 {
		if near, _ := b.store.InMemory(q, 0); near {
			return 0
		}
	}
	return max(q.MaxOffset()-1, 0)
}

// offsetOf is the offset that a record has in the queue.
func (pq *popQueue) offsetOf(rec []byte) int64 {
	if store.IsLight(pq.group.topic) {
		return lightOffset(rec, pq.group.topic)
	}
	return message.QueueOffsetOf(rec)
}

// skipLocked moves the queue past messages that the group does not want. pq.mu is held.
func (pq *popQueue) skipLocked(to int64) {
	if n := len(pq.line); n > 0 {
		pq.line[n-1].next, pq.next = to, to
		return
	}
	pq.commitLocked(to)
}

// got counts what a pop or a peek has taken of a queue.
func (pg *popGroup) got(c *counts, res *store.GetResult) {
	g := pg.counts(c)
	c.got(g, int64(res.Count), int64(res.Bytes))
	g.pops.add(int64(res.Count), int64(res.Bytes))
}

// asNormal gives the records of a retry topic from at on the name of the topic that was popped, and their receipt, which clients
// could not make of the answer's header. One that has no room for that stays under the name of its retry topic, for which they can.
func asNormal(body []byte, at int, r *receipt, topic string) []byte {
	records := append([]byte(nil), body[at:]...)
	body = body[:at]
	for len(records) > 0 {
		var m message.Message
		if err := message.Decode(records, &m); err != nil {
			return body // the store has checked
		}
		record := records[:m.Size]
		records = records[m.Size:]
		if _, has := message.Property(m.Properties, message.PropPopCK); !has {
			m.Properties = message.AppendProperty(m.Properties[:len(m.Properties):len(m.Properties)], message.PropPopCK, appendReceipt(nil, r, m.Topic, m.QueueID, m.QueueOffset))
		}
		m.Topic = topic
		if _, err := m.Check(false); err != nil {
			body = append(body, record...)
			continue
		}
		body = m.AppendRecord(body, false)
	}
	return body
}
