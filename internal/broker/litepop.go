package broker

import (
	"slices"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// POP_LITE_MESSAGE 200070; ACK_MESSAGE and CHANGE_MESSAGE_INVISIBLETIME with liteTopic.
//
// Behaviour: a pop takes messages of any of the lite topics that its client subscribes to. What is taken of one blocks it for the group
// until all of it is acknowledged or its time is over, so each lite topic is consumed in order. There is no retry topic: what was
// not acknowledged comes again, from the first such message on. What finds nothing waits.
// Differs from Apache: orderCountInfo has an entry for each message; Apache leaves out those that come for the first time beside others,
// and clients then take none.

// litePop is one request for messages of lite topics.
type litePop struct {
	protocol.PopLiteHeader
	held

	until   time.Time // it may wait
	popTime int64
	body    []byte
	count   int
	orders  []byte // the field orderCountInfo
	offsets []int64
	full    bool // the messages of another lite topic did not fit
}

// popLiteMessage serves a pop that has just come.
func (b *Broker) popLiteMessage(ss *session, r *remoting.Request) {
	if r.Elsewhere() {
		return
	}
	p := new(litePop)
	p.begin(b, ss, r, p)
	if err := r.DecodeFields(&p.PopLiteHeader); err != nil {
		p.refuse(err)
		return
	}
	p.until = pollUntil(r, p.PollTime)
	p.serve()
}

// check says why the pop must not be served.
func (p *litePop) check(cfg *settings) error {
	b := p.b
	if late := time.Since(p.until); late > popLate && p.PollTime > 0 && !p.asked.Held {
		return errPopLate(cfg, late)
	}
	if err := cfg.checkRead("pop"); err != nil {
		return err
	}
	if p.MaxMsgNum > popMax {
		return protocol.Errorf(protocol.CodeInvalidParameter, "the broker[%s] pop message's num is greater than %d: maxMsgNum=%d", cfg.BrokerIP1, popMax, p.MaxMsgNum)
	}
	t := b.topics.find(p.Topic)
	switch {
	case t == nil:
		return protocol.Errorf(protocol.CodeTopicNotExist, "topic [%s] not exist, apply first please!", shown(p.Topic))
	case t.Perm&permRead == 0:
		return protocol.Errorf(protocol.CodeNoPermission, "the topic [%s] peeking message is forbidden (perm=%d)", p.Topic, t.Perm)
	case !t.isLite():
		return protocol.Errorf(protocol.CodeInvalidParameter, "the topic [%s] message type not match: its attribute %s is %q, not %s", p.Topic, attrMessageType, t.Attributes[attrMessageType], typeLite)
	}
	g := b.groups.find(p.ConsumerGroup)
	switch {
	case g == nil:
		return protocol.Errorf(protocol.CodeSubscriptionGroupNotExist, "subscription group [%s] not exist", shown(p.ConsumerGroup))
	case !g.ConsumeEnable:
		return protocol.Errorf(protocol.CodeNoPermission, "subscription group no permission, %s (consumeEnable=false)", p.ConsumerGroup)
	case g.liteBound() != p.Topic:
		return protocol.Errorf(protocol.CodeInvalidParameter, "subscription bind topic not match, %s: its attribute %s is %q", p.ConsumerGroup, attrLiteBindTopic, g.liteBound())
	}
	return nil
}

// serve answers the pop, or holds it.
func (p *litePop) serve() {
	b := p.b
	if p.asked.Held && p.conn.IsClosed() { // who waited is gone, and must not take messages from others
		return
	}
	cfg := b.settings.Load()
	if err := p.check(cfg); err != nil {
		p.refuse(err)
		return
	}
	room := scratch.Get().(*[]byte)
	defer scratch.Put(room)
	p.body = (*room)[:0]
	for p.walk(cfg); p.count == 0; p.walk(cfg) {
		switch b.holds.holdLite(cfg, p) {
		case nowHeld: // somebody else may be serving it already
			return
		case notHeld:
			p.head.Code = protocol.CodePollingTimeout
		case pollingFull, holderFull, holdsFull:
			p.head.Code = protocol.CodePollingFull
		case lookAgain:
			continue
		}
		break
	}
	p.answer()
	if cap(p.body) <= 512<<10 {
		*room = p.body[:0]
	}
}

func (p *litePop) serveAgain() { p.serve() }

// answer writes what the walk has found.
func (p *litePop) answer() {
	p.head.Remark = store.NoMessageInQueue.String()
	if p.count > 0 {
		p.head.Remark = store.Found.String()
		c := p.b.counts
		c.got(c.ofGroup(p.Topic, p.ConsumerGroup), int64(p.count), int64(len(p.body)))
	}
	p.conn.Latencies.Took(p.asked, p.head.Code, 1)
	if p.asked.Oneway {
		return
	}
	f := protocol.Begin(p.conn.Lock(), p.head)
	f.Int("popTime", p.popTime)
	f.Int("invisibleTime", p.InvisibleTime)
	f.Int("reviveQid", orderlyRevive)
	f.Plain("orderCountInfo", p.orders)
	p.conn.Unlock(append(f.End(len(p.body)), p.body...))
}

// walk takes messages of the lite topics that the client was told of. Each is looked at once.
func (p *litePop) walk(cfg *settings) {
	l := p.b.lites
	p.popTime, p.body, p.count, p.orders, p.full = time.Now().UnixMilli(), p.body[:0], 0, p.orders[:0], false
	var seen []string
	for p.count < int(p.MaxMsgNum) {
		queue, ok := l.next(p)
		if !ok {
			return
		}
		if slices.Contains(seen, queue) {
			l.tell(p.ConsumerGroup, queue) // for the next pop
			return
		}
		seen = append(seen, queue)
		if p.take(cfg, queue); p.full {
			l.tell(p.ConsumerGroup, queue)
			return
		}
	}
}

// next is the light queue that a pop shall look at next.
func (l *lites) next(p *litePop) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.clients[p.ClientID]
	if c == nil || c.group != p.ConsumerGroup || c.topic != p.Topic {
		return "", false
	}
	c.asked = time.Now()
	return c.nextLocked()
}

// take takes messages of one light queue, if the group is not blocked there.
func (p *litePop) take(cfg *settings, queue string) {
	b := p.b
	q := b.store.FindQueue(queue, 0)
	if q == nil || q.MaxOffset() == 0 {
		return
	}
	key := liteKey{p.ConsumerGroup, queue}
	x, ok := b.lites.begin(key, p.AttemptID, time.Now().UnixMilli())
	if !ok {
		return
	}
	var info *orderInfo
	defer func() {
		if b.lites.end(x, info) {
			b.lites.tell(key.group, key.queue)
		}
	}()
	begin := b.liteOffset(cfg, key, q, x)
	res := p.read(q, begin)
	if res.Count == 0 {
		if res.Err != nil {
			b.lites.tellLater(key, begin, res.Err)
		}
		return
	}
	info = newOrderInfo(p.offsets, p.popTime, p.InvisibleTime, p.AttemptID)
	p.count += res.Count
	p.orders = b.lites.appendCounts(p.orders, x, info)
	b.lites.tookLag(cfg, p, key, q, res.NextOffset)
}

// appendCounts adds how often each message was delivered before.
func (l *lites) appendCounts(dst []byte, x *liteBlock, info *orderInfo) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if x.info != nil {
		info.countFrom(x.info)
	}
	return info.appendLiteCounts(dst, x.key.queue)
}

// read reads messages of a light queue from an offset on, and notes their offsets in it.
func (p *litePop) read(q *store.Queue, begin int64) store.GetResult {
	b, at := p.b, len(p.body)
	body, res := b.store.Get(q, begin, int(p.MaxMsgNum)-p.count, maxPullBytes, nil, p.body)
	switch res.Status {
	case store.OffsetTooSmall, store.OffsetOverflowBadly, store.OffsetFoundNull, store.NoMatchedMessage, store.MessageWasRemoving, store.NoMatchedLogicQueue:
		if res.Err != nil { // it must be read from there
			break
		}
		b.log.Warn("offset of a pop is corrected", "topic", q.Topic(), "group", p.ConsumerGroup, "from", begin, "to", res.NextOffset, "because", res.Status, "addr", p.conn.RemoteAddr())
		b.offsets.commitText(p.ConsumerGroup, q.Topic(), 0, res.NextOffset)
		begin = res.NextOffset
		body, res = b.store.Get(q, begin, int(p.MaxMsgNum)-p.count, maxPullBytes, nil, p.body)
	}
	if p.full = p.count > 0 && len(body) > maxPullBytes; p.full {
		return store.GetResult{} // they are left where they are
	}
	p.body, p.offsets = body, p.offsets[:0]
	for i := range res.Count {
		offset := begin + int64(i)
		size, _ := message.Peek(body[at:])
		if res.NextOffset-begin != int64(res.Count) { // some are gone
			offset = lightOffset(body[at:], q.Topic())
		}
		p.offsets = append(p.offsets, offset)
		at += int(size)
	}
	return res
}

// liteOffset is where a group goes on in a light queue. A reset ends the block.
func (b *Broker) liteOffset(cfg *settings, key liteKey, q *store.Queue, x *liteBlock) int64 {
	offset, reset := b.offsets.popFrom(key.group, key.queue, 0)
	if offset < 0 {
		// What came while the lite topic expired lies behind what it had before.
		if offset = q.MinOffset(); offset == 0 {
			offset = b.popFromMax(cfg, q)
		}
		b.offsets.commitText(key.group, key.queue, 0, offset)
	}
	if reset {
		if to, ok := b.offsets.takeReset([]byte(key.group), []byte(key.queue), 0); ok {
			b.lites.mu.Lock()
			x.info = nil
			b.lites.mu.Unlock()
			b.offsets.commitText(key.group, key.queue, 0, to)
			offset = to
		}
	}
	return offset
}

// holdLite keeps p until its client is told of a lite topic or its time is over; then it is served again.
func (h *holds) holdLite(cfg *settings, p *litePop) int {
	wait := time.Until(p.until) - popMargin
	if wait <= 0 {
		return notHeld
	}
	l := p.b.lites
	p.text = len(p.ClientID) + len(p.ConsumerGroup) + len(p.Topic) + len(p.AttemptID)
	h.mu.Lock()
	defer h.mu.Unlock()
	list := l.waiting[p.ClientID]
	if why := h.mayHoldPopLocked(cfg, &p.held, len(list)); why != nowHeld {
		return why
	}
	l.mu.Lock()
	c := l.clients[p.ClientID]
	events := c != nil && c.group == p.ConsumerGroup && c.topic == p.Topic && c.hasEventsLocked()
	l.mu.Unlock()
	if events && p.MaxMsgNum > 0 { // one that wants no messages would look for ever
		return lookAgain
	}
	p.asked.Held, p.body = true, nil
	l.waiting[p.ClientID] = append(list, p)
	h.popsHeld++
	h.pushLocked(&p.held, wait)
	return nowHeld
}

func (p *litePop) leaveLocked(h *holds) {
	dropFrom(p.b.lites.waiting, p.ClientID, p)
	h.popsHeld--
}

// poppedLite checks what a request names of a message that was popped from a lite topic.
func (b *Broker) poppedLite(r *remoting.Request, h *ackHeader, m popped) (popped, error) {
	isAck := r.Code == protocol.ReqAckMessage
	if isAck {
		if g := b.groups.findBytes(h.group); g == nil || g.liteBound() != m.topic.TopicName {
			return m, protocol.Errorf(protocol.CodeInvalidParameter, "group type or bind topic not match. Group %s is not bound to topic %s (%s)", h.group, h.topic, attrLiteBindTopic)
		}
	}
	m.lite = liteQueueName(m.topic.TopicName, string(h.lite))
	_, end := b.rangeOf(m.lite, 0)
	if h.offset > end {
		return m, protocol.Errorf(protocol.CodeNoMessage, "ack offset illegal. The lite topic %s ends at %d, the offset is %d", shown(string(h.lite)), end, h.offset)
	}
	var err error
	if m.receipt, err = parseReceipt(h.extraInfo); err != nil {
		return m, err
	}
	if isAck && (h.queueID != 0 || m.reviveQueue != orderlyRevive) {
		return m, protocol.Errorf(protocol.CodeInvalidParameter, "ack queue illegal. queueId=%d and revive queue %d, both of a lite topic are always 0 and %d", h.queueID, m.reviveQueue, orderlyRevive)
	}
	m.group, m.name, m.offset = h.group, h.topic, h.offset
	return m, nil
}

// ackLite acknowledges a message that was popped from a lite topic.
func (b *Broker) ackLite(m *popped) error {
	key := liteKey{string(m.group), m.lite}
	how, free := b.lites.ack(key, m.offset, m.popTime)
	if how == orderIllegal {
		return protocol.Errorf(protocol.CodeMessageIllegal, "ack offset illegal. The message at offset %d of %s is not in flight for group %s", m.offset, m.lite, key.group)
	}
	if free {
		b.lites.tellIfBehind(key.group, key.queue)
	}
	return nil
}

// changeLite changes when a message that was popped from a lite topic is visible again.
func (b *Broker) changeLite(m *popped, h *ackHeader) *protocol.ChangeInvisibleResponseHeader {
	key := liteKey{string(m.group), m.lite}
	if m.offset < b.offsets.query(key.group, key.queue, 0) {
		return &protocol.ChangeInvisibleResponseHeader{}
	}
	at := time.Now().UnixMilli() + h.invisible
	b.lites.showBlock(key, m.offset, m.popTime, at, h.suspend)
	return &protocol.ChangeInvisibleResponseHeader{PopTime: m.popTime, InvisibleTime: at - m.popTime, ReviveQid: m.reviveQueue}
}
