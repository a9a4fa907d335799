package broker

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// POP_MESSAGE 200050, PEEK_MESSAGE 200052.
//
// Behaviour: a pop takes messages from one queue of a topic or from all, and from the group's pop retry topics. They are the
// popping client's for the invisible time; what is not acknowledged by then is delivered again (revive.go). With order a
// queue is popped by one client at a time, in order (poporder.go). What finds nothing is held (pophold.go). A peek shows the same
// messages and takes none.
// Differs from Apache: what is in flight is in memory first (inflight.go), a held pop is answered when the message is there, and an
// invisible time that the timer cannot keep is refused.

// popRequest is one request that looks for messages of a group: a pop, a peek, or a notification.
type popRequest struct {
	held
	code int

	group, topic, expression, expressionType, attempt []byte
	queueID, maxMsgs, initMode                        int32
	invisible, pollMS, bornTime                       int64
	order                                             bool

	buf  []byte  // what the byte slices above lie in while held
	room *[]byte // of scratch, that look.body lies in; nil while held
	kept bool
	sub  *subscription
	pg   *popGroup

	look popLook
}

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

	starts, offsets, orders []byte // the answer's fields
	taken                   []int64
}

var popRequests = sync.Pool{New: func() any { return new(popRequest) }}

// decodePop reads the header of any of the three in place.
func decodePop(r *remoting.Request, p *popRequest) error {
	var have uint16
	for i := range r.Fields {
		v := r.Fields[i].Value
		bit, ok := uint16(0), true
		switch string(r.Fields[i].Key) {
		case "consumerGroup":
			p.group, bit = v, 1
		case "topic":
			p.topic, bit = v, 2
		case "queueId":
			p.queueID, ok = parseInt32(v)
			bit = 4
		case "maxMsgNums":
			p.maxMsgs, ok = parseInt32(v)
			bit = 8
		case "invisibleTime":
			p.invisible, ok = protocol.ParseInt(v)
			bit = 16
		case "pollTime":
			p.pollMS, ok = protocol.ParseInt(v)
			bit = 32
		case "bornTime":
			p.bornTime, ok = protocol.ParseInt(v)
			bit = 64
		case "initMode":
			p.initMode, ok = parseInt32(v)
			bit = 128
		case "exp":
			p.expression = v
		case "expType":
			p.expressionType = v
		case "order":
			p.order = string(v) == "true"
		case "attemptId":
			p.attempt = v
		}
		if !ok {
			return errNotNumber(r.Fields[i].Key, v)
		}
		have |= bit
	}
	need := uint16(255)
	switch p.code {
	case protocol.ReqPeekMessage:
		need = 1 | 2 | 4 | 8
	case protocol.ReqNotification:
		need = 1 | 2 | 4 | 32 | 64
	}
	if err := missingField(have, need, "consumerGroup", "topic", "queueId", "maxMsgNums", "invisibleTime", "pollTime", "bornTime", "initMode"); err != nil {
		return err
	}
	if p.bornTime == 0 {
		p.bornTime = time.Now().UnixMilli()
	}
	return nil
}

// popMessage serves a pop, a peek or a notification that has just come.
func (b *Broker) popMessage(ss *session, r *remoting.Request) {
	if ss.cold > 0 && r.Elsewhere() {
		return
	}
	p := popRequests.Get().(*popRequest)
	p.begin(b, ss, r, p)
	p.code = int(r.Code)
	if err := decodePop(r, p); err != nil {
		p.refuse(err)
		return
	}
	begun := r.Age()
	p.serve()
	if ss.cold = max(ss.cold-1, 0); r.Age()-begun > time.Millisecond {
		ss.cold = coldPops
	}
}

// coldPops is how many pops follow one that has waited for the disk before a connection's pops are taken to be quick again.
const coldPops = 32

// release gives the request back. Nobody may use it afterwards.
func (p *popRequest) release() {
	p.giveRoom()
	l := &p.look
	*p = popRequest{buf: p.buf[:0], look: popLook{starts: l.starts[:0], offsets: l.offsets[:0], orders: l.orders[:0], taken: l.taken[:0]}}
	popRequests.Put(p)
}

// giveRoom gives back what records were read into: many requests wait, and few read.
func (p *popRequest) giveRoom() {
	if p.room == nil {
		return
	}
	if cap(p.look.body) <= 512<<10 {
		*p.room = p.look.body[:0]
	}
	scratch.Put(p.room)
	p.room, p.look.body = nil, nil
}

// refuse ends the request with an error.
func (p *popRequest) refuse(err error) {
	p.held.refuse(err)
	p.release()
}

// reply writes the answer and gives the request back; the caller or the connection's read loop flushes it.
func (p *popRequest) reply(fields func(*protocol.Frame), body []byte) {
	p.conn.Latencies.Took(p.asked, p.head.Code, 1)
	if !p.asked.Oneway {
		out := p.conn.Lock()
		f := protocol.Begin(out, p.head)
		fields(&f)
		out = f.End(len(body))
		p.conn.Unlock(append(out, body...))
	}
	p.release()
}

// popLate is how long past its time a pop may come in.
const popLate = 500 * time.Millisecond

// check finds what the request is about, and says why it must not be served.
func (p *popRequest) check(cfg *settings) (*topic, *group, error) {
	b, doing := p.b, "peeking"
	if p.code == protocol.ReqPopMessage {
		doing = "pop"
		if err := p.checkPop(cfg); err != nil {
			return nil, nil, err
		}
	}
	if err := cfg.checkRead(doing); err != nil {
		return nil, nil, err
	}
	t, err := b.readableTopic(p.topic, "peeking")
	if err != nil {
		return nil, nil, err
	}
	if p.queueID >= t.readQueues() {
		return nil, nil, illegalQueue(protocol.CodeInvalidParameter, t, p.topic, p.queueID, p.conn)
	}
	g, err := b.consumingGroup(cfg, p.group)
	if err != nil {
		return nil, nil, err
	}
	return t, g, nil
}

func (p *popRequest) checkPop(cfg *settings) error {
	if late := time.Since(time.UnixMilli(p.bornTime + p.pollMS)); late > popLate && p.pollMS > 0 && !p.kept {
		return protocol.Errorf(protocol.CodePollingTimeout, "the broker[%s] pop message is timeout too much: it came %d ms after its bornTime + pollTime", cfg.BrokerIP1, late.Milliseconds())
	}
	if p.maxMsgs > popMax {
		return protocol.Errorf(protocol.CodeInvalidParameter, "the broker[%s] pop message's num is greater than %d: maxMsgNums=%d", cfg.BrokerIP1, popMax, p.maxMsgs)
	}
	if !cfg.TimerWheel {
		return protocol.Errorf(protocol.CodeSystemError, "the broker[%s] pop message is forbidden because timerWheelEnable is false", cfg.BrokerIP1)
	}
	if cfg.BrokerRole == config.Slave {
		return protocol.Errorf(protocol.CodeNoPermission, "the broker[%s] pop message is forbidden: it is a slave (brokerRole=SLAVE)", cfg.BrokerIP1)
	}
	if p.b.pops.stuck.Load() && p.b.pops.pending.isFull() {
		return protocol.Errorf(protocol.CodeSystemBusy, "[REJECTREQUEST]system busy, start flow control for a while: what is in flight cannot be stored, and is more than %d pops (popCkMaxBufferSize)", p.b.pops.pending.most)
	}
	return checkInvisible(cfg, p.invisible)
}

// checkInvisible refuses an invisible time that the timer, which the revive log goes through, would not keep.
func checkInvisible(cfg *settings, ms int64) error {
	if most := cfg.invisibleMax(); ms > most {
		return protocol.Errorf(protocol.CodeInvalidParameter, "invisibleTime=%d ms is longer than the broker can keep: %d ms (timerMaxDelaySec)", ms, most)
	}
	return nil
}

// serve answers the request, or holds it. When it leaves messages that others may want, they are woken.
func (p *popRequest) serve() {
	if b, pg, queue := p.serveOnce(); pg != nil {
		b.holds.wakePops(pg, queue)
	}
}

func (p *popRequest) serveAgain() { p.serve() }

// serveOnce is serve without waking others: it returns whom to wake.
func (p *popRequest) serveOnce() (b *Broker, wake *popGroup, queue int32) {
	b = p.b
	if p.kept && p.conn.IsClosed() { // who waited is gone, and must not take messages from others
		return b, p.pg, p.queueID
	}
	cfg := b.settings.Load()
	t, g, err := p.check(cfg)
	if err == nil && p.sub == nil {
		p.sub, err = b.subscriptionOf(p.group, p.topic, p.expression, p.expressionType)
	}
	if err != nil {
		p.refuse(err)
		return b, nil, 0
	}
	if p.pg == nil {
		p.pg = b.pops.of(p.group, p.topic)
	}
	l := &p.look
	p.walk(cfg, t, g)
	for l.count == 0 && !l.has && p.code != protocol.ReqPeekMessage {
		why := b.holds.holdPop(cfg, p, t)
		if why == nowHeld { // somebody else may be serving it already
			return b, nil, 0
		}
		if why == notHeld {
			p.head.Code = protocol.CodePollingTimeout
			break
		}
		if why == pollingFull || why == holderFull || why == holdsFull {
			p.head.Code = protocol.CodePollingFull
			break
		}
		p.walk(cfg, t, g)
	}
	if l.count > 0 && l.rest > 0 && p.code == protocol.ReqPopMessage {
		wake, queue = p.pg, p.queueID
	}
	p.answer()
	return b, wake, queue
}

// answer writes what the walk has found.
func (p *popRequest) answer() {
	l := &p.look
	if l.count > 0 {
		p.b.counts.read(p.pg.counts(p.b.counts), p.queueID, time.Now().UnixMilli()-l.popTime)
	}
	if p.code == protocol.ReqNotification {
		full := p.head.Code == protocol.CodePollingFull
		p.head.Code = protocol.CodeSuccess
		p.reply(func(f *protocol.Frame) {
			f.Str("hasMsg", strconv.FormatBool(l.has))
			f.Str("pollingFull", strconv.FormatBool(full))
		}, nil)
		return
	}
	p.head.Remark = store.Found.String()
	if l.count == 0 {
		p.head.Remark = store.NoMessageInQueue.String()
		if p.code == protocol.ReqPeekMessage {
			p.head.Code = protocol.CodePullNotFound
		}
	}
	p.reply(func(f *protocol.Frame) {
		f.Int("popTime", l.popTime)
		f.Int("invisibleTime", p.invisible)
		f.Int("reviveQid", int64(l.reviveQueue))
		f.Int("restNum", l.rest)
		if p.code == protocol.ReqPeekMessage {
			return
		}
		f.Plain("startOffsetInfo", l.starts)
		f.Plain("msgOffsetInfo", l.offsets)
		if p.order {
			f.Plain("orderCountInfo", l.orders)
		}
	}, l.body)
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
	if p.order && b.orders.isBlocked(pq, p.attempt, p.invisible, l.popTime) {
		return
	}
	if l.count >= int(p.maxMsgs) || begin == end || l.full {
		l.rest += max(end-begin, 0)
		return
	}
	p.takeLocked(cfg, pq, begin, retry)
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

// takeLocked pops the queue from an offset on.
func (p *popRequest) takeLocked(cfg *settings, pq *popQueue, begin int64, retry bool) {
	b, l := p.b, &p.look
	room := int(p.maxMsgs) - l.count
	at := len(l.body)
	body, res := b.store.Get(pq.q, begin, room, maxPullBytes, &p.sub.filter, l.body)
	if res.Status == store.OffsetTooSmall || res.Status == store.OffsetOverflowBadly || res.Status == store.OffsetFoundNull {
		b.log.Warn("offset of a pop is corrected", "topic", pq.group.topic, "group", pq.group.group, "queue_id", pq.id, "from", begin,
			"to", res.NextOffset, "because", res.Status, "addr", p.conn.RemoteAddr())
		begin = res.NextOffset
		pq.restartLocked()
		b.offsets.commit([]byte(pq.group.group), []byte(pq.group.topic), pq.id, begin, p.conn)
		body, res = b.store.Get(pq.q, begin, room, maxPullBytes, &p.sub.filter, l.body)
	}
	if l.overflows(body) {
		l.rest += max(res.MaxOffset-begin, 0)
		return
	}
	l.body = body
	if res.Count > 0 {
		pq.group.got(b.counts, &res)
	}
	l.rest += max(res.MaxOffset-res.NextOffset, 0)
	if res.Count == 0 {
		if res.NextOffset > begin {
			pq.skipLocked(res.NextOffset)
		}
		return
	}
	l.taken = l.taken[:0]
	for rec := body[at:]; len(rec) > 0; {
		size, _ := message.Peek(rec)
		l.taken = append(l.taken, pq.offsetOf(rec))
		rec = rec[size:]
	}
	popTime := l.popTime
	if p.order {
		l.orders = b.orders.taken(pq, p, l)
		pq.commitLocked(begin)
	} else {
		c := &checkPoint{start: begin, popTime: popTime, invisible: p.invisible, next: res.NextOffset, n: uint8(len(l.taken)), reviveQueue: l.reviveQueue}
		if l.taken[len(l.taken)-1]-begin != int64(len(l.taken)-1) {
			c.offsets = make([]int32, len(l.taken))
			for i, o := range l.taken {
				c.offsets[i] = int32(o - begin)
			}
		}
		pq.addLocked(c, true)
		b.counts.checkPoint(p.pg.counts(b.counts))
	}
	l.starts = appendStartOffset(l.starts, pq.group.topic, pq.id, begin)
	l.offsets = appendOffsets(l.offsets, pq.group.topic, pq.id, l.taken)
	l.count += res.Count
	if retry && !cfg.PopActualRetryTopic {
		r := receipt{start: begin, popTime: popTime, invisible: p.invisible, reviveQueue: l.reviveQueue, broker: []byte(cfg.Name)}
		l.body = asNormal(l.body, at, &r, string(p.topic))
	}
}

// overflows says whether what was taken of another queue makes the answer too large. It is left where it is then.
func (l *popLook) overflows(body []byte) bool {
	l.full = l.count > 0 && len(body) > maxPullBytes
	return l.full
}

// got counts what a pop or a peek has taken of a queue.
func (pg *popGroup) got(c *counts, res *store.GetResult) {
	g := pg.counts(c)
	c.got(g, int64(res.Count), int64(res.Bytes))
	g.pops.add(int64(res.Count), int64(res.Bytes))
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
		if m.Check(false) != nil {
			body = append(body, record...)
			continue
		}
		body = m.AppendRecord(body, false)
	}
	return body
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
	if room <= 0 || l.full {
		return
	}
	body, res := b.store.Get(pq.q, begin, room, maxPullBytes, nil, l.body)
	if res.Status == store.OffsetTooSmall || res.Status == store.OffsetOverflowBadly {
		body, res = b.store.Get(pq.q, res.NextOffset, room, maxPullBytes, nil, l.body)
	}
	if l.overflows(body) {
		return
	}
	l.body = body
	l.count += res.Count
	if res.Count > 0 {
		pq.group.got(b.counts, &res)
	}
}

// invisibleMax is the longest invisible time, in ms.
func (s *settings) invisibleMax() int64 { return s.TimerMaxDelay.Milliseconds() }
