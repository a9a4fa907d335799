package broker

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/bits"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// ACK_MESSAGE 200051, BATCH_ACK_MESSAGE 200151; what they have in common with CHANGE_MESSAGE_INVISIBLETIME (invisible.go).
//
// Behaviour: an acknowledged message is not delivered to the group again. The receipt (receipt.go) says which delivery is meant; one of an
// earlier delivery changes nothing about the later one. What was popped before this broker's start is looked for in the revive log, so a
// client may go from an Apache broker to this one and back with messages in hand.
// Differs from Apache: a receipt that cannot be one is refused with INVALID_PARAMETER.

// ackHeader is the header of ACK_MESSAGE and CHANGE_MESSAGE_INVISIBLETIME, read in place.
type ackHeader struct {
	group, topic, extraInfo []byte
	lite                    []byte // the topic's lite topic; empty for none
	queueID                 int32
	offset, invisible       int64
	suspend                 bool
}

func decodeAck(r *remoting.Request, h *ackHeader) error {
	var have uint16
	for i := range r.Fields {
		v := r.Fields[i].Value
		bit, ok := uint16(0), true
		switch string(r.Fields[i].Key) {
		case "consumerGroup":
			h.group, bit = v, 1
		case "topic":
			h.topic, bit = v, 2
		case "queueId":
			h.queueID, ok = parseInt32(v)
			bit = 4
		case "extraInfo":
			h.extraInfo, bit = v, 8
		case "offset":
			h.offset, ok = protocol.ParseInt(v)
			bit = 16
		case "invisibleTime":
			h.invisible, ok = protocol.ParseInt(v)
			bit = 32
		case "suspend":
			h.suspend = protocol.IsTrue(v)
		case "liteTopic":
			h.lite = bytes.TrimSpace(v)
		}
		if !ok {
			return errNotNumber(r.Fields[i].Key, v)
		}
		have |= bit
	}
	need := uint16(31)
	if r.Code == protocol.ReqChangeMessageInvisibleTime {
		need = 63
	}
	return missingField(have, need, "consumerGroup", "topic", "queueId", "extraInfo", "offset", "invisibleTime")
}

// A popped is a message that a client has in hand, as its receipt says.
type popped struct {
	receipt
	group  []byte
	name   []byte // of the topic
	topic  *topic
	queue  *store.Queue
	offset int64
	lite   string // the light queue of a lite topic; empty for none
}

// ackQueue finds the queue of a request.
func (b *Broker) ackQueue(r *remoting.Request, topic []byte, queueID int32) (*topic, *store.Queue, error) {
	t, err := b.existingTopic(topic)
	if err != nil {
		return nil, nil, err
	}
	q := t.queue(queueID)
	if q == nil || queueID >= t.ReadQueueNums {
		return nil, nil, illegalQueue(protocol.CodeMessageIllegal, t, topic, queueID, r.Conn)
	}
	return t, q, nil
}

// poppedOf checks what a request names.
func (b *Broker) poppedOf(r *remoting.Request, h *ackHeader) (m popped, err error) {
	if err = decodeAck(r, h); err != nil {
		return m, err
	}
	if m.topic, m.queue, err = b.ackQueue(r, h.topic, h.queueID); err != nil {
		return m, err
	}
	if len(h.lite) > 0 {
		return b.poppedLite(r, h, m)
	}
	last := m.queue.MaxOffset()
	if r.Code == protocol.ReqChangeMessageInvisibleTime {
		last-- // Apache's acknowledgements may be one behind the end
	}
	if first := m.queue.MinOffset(); h.offset < first || h.offset > last {
		return m, protocol.Errorf(protocol.CodeNoMessage, "offset is illegal, key:%s@%d, commit:%d, store:%d~%d", h.topic, h.queueID, h.offset, first, m.queue.MaxOffset())
	}
	if m.receipt, err = parseReceipt(h.extraInfo); err != nil {
		return m, err
	}
	m.group, m.name, m.offset = h.group, h.topic, h.offset
	return m, b.checkReceipt(&m)
}

// checkReceipt refuses receipts that no pop can have made.
func (b *Broker) checkReceipt(m *popped) error {
	cfg := b.settings.Load()
	switch {
	case m.reviveQueue != orderlyRevive && int(m.reviveQueue) >= cfg.ReviveQueues:
		return protocol.Errorf(protocol.CodeInvalidParameter, "the receipt handle (extraInfo) is forged or of another broker: its revive queue is %d, reviveQueueNum is %d", m.reviveQueue, cfg.ReviveQueues)
	case m.offset < m.start:
		return protocol.Errorf(protocol.CodeInvalidParameter, "the receipt handle (extraInfo) is forged: the message at offset %d cannot have been popped from %d on", m.offset, m.start)
	}
	return nil
}

// ackMessage takes the acknowledgement of one message.
func (b *Broker) ackMessage(_ *session, r *remoting.Request) {
	var h ackHeader
	m, err := b.poppedOf(r, &h)
	switch {
	case err != nil:
	case m.lite != "":
		err = b.ackLite(&m)
	case m.reviveQueue == orderlyRevive:
		err = b.ackOrderly(r.Conn, &m)
	case !b.ackInMemory(&m):
		b.ackInLog(r, &m)
		return
	}
	if err != nil {
		r.Conn.Reply(r, remoting.ErrorAnswer(err))
		return
	}
	head := protocol.ResponseHead(&r.Header, 0, "")
	r.Conn.Latencies.Took(r.Asked(), protocol.CodeSuccess, 1)
	if !r.IsOneway() {
		f := protocol.Begin(r.Conn.Lock(), head)
		r.Conn.Unlock(f.End(0))
	}
}

// ackInMemory acknowledges a message that is in flight here, or was. It says false when only the log can know.
func (b *Broker) ackInMemory(m *popped) bool {
	if string(m.broker) != b.settings.Load().Name {
		return false
	}
	if pq := b.pops.find(m.group, m.name).findQueue(m.queue.ID()); pq != nil {
		pq.mu.Lock()
		defer pq.mu.Unlock()
		if c := pq.points[pointKey{m.start, m.popTime}]; c != nil {
			pq.ackLocked(c, m.offset)
			b.counts.acked(pq.group.counts(b.counts))
			return true
		}
	}
	return b.pops.isOver(m.popTime)
}

// isOver says whether what was popped at a time in ms and is not in memory cannot be in flight any more. What was popped in the future, for
// the clock was set back since, an earlier run may have popped.
func (p *pops) isOver(popTime int64) bool {
	return popTime >= p.started.Load() && popTime > p.forgotten.Load() && popTime <= time.Now().UnixMilli()
}

// ackInLog puts an acknowledgement into the revive log, and answers when it is there.
func (b *Broker) ackInLog(r *remoting.Request, m *popped) {
	b.answerWhenKept(r, []store.Put{b.ackOf(m, m.offset)})
}

// ackOf counts an acknowledgement, of messages of the pop that m is of, and is the record of it for the revive log.
func (b *Broker) ackOf(m *popped, offsets ...int64) store.Put {
	topic, group := m.topic.TopicName, string(m.group)
	for range offsets {
		b.counts.acked(b.counts.ofGroup(topic, group))
	}
	b.tallies.add(&metrics.PopReviveIn, 1, topic, group, reviveAck, "PUT_OK")
	return b.ackPut(b.settings.Load(), m.reviveQueue, &ackBody{Start: m.start, Group: group, Topic: topic, Queue: m.queue.ID(),
		PopTime: m.popTime, Broker: string(m.broker), Offsets: offsets}, m.popTime+m.invisible)
}

// answerWhenKept stores acknowledgements and answers their request then.
func (b *Broker) answerWhenKept(r *remoting.Request, puts []store.Put) {
	later := r.Later()
	b.putThen(puts, func(err error) {
		reply := &remoting.Answer{}
		if err != nil {
			e := sendFailure(b.settings.Load(), err)
			reply.Code, reply.Remark = e.Code, "the acknowledgement could not be kept: "+e.Remark
		}
		later.Conn.Reply(later, reply)
		later.Conn.Flush()
	})
}

// ackOrderly acknowledges a message that was popped in order.
func (b *Broker) ackOrderly(from committer, m *popped) error {
	pg := b.pops.of(m.group, m.name)
	pq := pg.queue(b.pops, m.queue)
	pq.mu.Lock()
	free, err := pq.ackOrderlyLocked(from, m)
	pq.mu.Unlock()
	if err == nil {
		b.counts.acked(pg.counts(b.counts))
	}
	if free {
		b.holds.wakeQueue(pg, pq.id)
	}
	return err
}

func (pq *popQueue) ackOrderlyLocked(from committer, m *popped) (free bool, err error) {
	b, pg := pq.pops.b, pq.group
	old := b.offsets.query(pg.group, pg.topic, pq.id)
	if m.offset < old {
		return false, nil
	}
	next, how := b.orders.ack(pq, m.offset, m.popTime)
	switch how {
	case orderIllegal:
		return false, protocol.Errorf(protocol.CodeMessageIllegal, "offset is illegal, key:%s@%s@%d, old:%d, commit:%d, next:-1, %s",
			pg.topic, pg.group, pq.id, old, m.offset, from.RemoteAddr())
	case orderStale:
		return false, nil
	}
	if next != old && !b.offsets.hasReset(pg.group, pg.topic, pq.id) {
		b.offsets.commitKnown(m.group, []byte(pg.topic), pq.id, next, from)
	}
	return !b.orders.isBlocked(pq, nil, m.invisible, time.Now().UnixMilli()), nil
}

// batchAckBody is the body of BATCH_ACK_MESSAGE.
type batchAckBody struct {
	Broker string     `json:"brokerName"`
	Acks   []batchAck `json:"acks"`
}

// batchAck acknowledges messages of one pop of one queue: bit i of the set is the message at start + i.
type batchAck struct {
	Group       string `json:"c"`
	Topic       string `json:"t"`
	Retry       string `json:"r"` // retry flag
	Start       int64  `json:"so"`
	Queue       int32  `json:"q"`
	ReviveQueue int32  `json:"rq"`
	PopTime     int64  `json:"pt"`
	Invisible   int64  `json:"it"`
	Bits        string `json:"b"` // base64 of the set's bytes, the lowest first
}

// batchAckMax is how many messages one entry may acknowledge; a pop has popMax.
const batchAckMax = 4096

// batchAck takes acknowledgements of many messages. As with Apache what cannot be acknowledged is passed over.
func (b *Broker) batchAck(_ *session, r *remoting.Request) {
	puts, err := b.ackBatches(r)
	switch {
	case err != nil:
		r.Conn.Reply(r, remoting.ErrorAnswer(err))
	case len(puts) > 0:
		b.answerWhenKept(r, puts)
	default:
		r.Conn.Reply(r, &remoting.Answer{})
	}
}

// ackBatches takes the entries of a request, and returns what the log must be told.
func (b *Broker) ackBatches(r *remoting.Request) (puts []store.Put, err error) {
	var body batchAckBody
	if len(r.Body) > 0 {
		if err := fastjson.Unmarshal(r.Body, &body); err != nil {
			return nil, protocol.Errorf(protocol.CodeInvalidParameter, "the body of the acknowledgements cannot be read: %v", err)
		}
	}
	if len(body.Acks) == 0 {
		return nil, protocol.Errorf(protocol.CodeNoMessage, "there is no acknowledgement in the request")
	}
	for i := range body.Acks {
		more, err := b.ackBatch(r, &body, &body.Acks[i])
		if err != nil {
			return nil, fmt.Errorf("acknowledgement %d of %d: %w", i+1, len(body.Acks), err)
		}
		puts = append(puts, more...)
	}
	return puts, nil
}

// ackBatch takes one entry, and returns what the log must be told.
func (b *Broker) ackBatch(r *remoting.Request, body *batchAckBody, a *batchAck) ([]store.Put, error) {
	cfg := b.settings.Load()
	name := a.Topic
	switch a.Retry {
	case string(flagNormal):
	case string(flagRetryV1):
		name = popRetryTopic(a.Group, a.Topic, popRetryV1)
	case string(flagRetryV2):
		name = popRetryTopic(a.Group, a.Topic, popRetryV2)
	default:
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "its retry flag (r) is %q, possible are 0, 1 and 2", shown(a.Retry))
	}
	t, q, err := b.ackQueue(r, []byte(name), a.Queue)
	if err != nil {
		return nil, nil // as Apache: it was deleted meanwhile
	}
	if body.Broker == "" {
		body.Broker = cfg.Name
	}
	m := popped{receipt: receipt{start: a.Start, popTime: a.PopTime, invisible: a.Invisible, reviveQueue: a.ReviveQueue, broker: []byte(body.Broker)},
		group: []byte(a.Group), name: []byte(name), topic: t, queue: q, offset: a.Start}
	if a.Start < 0 || a.ReviveQueue < 0 {
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "its start offset %d or revive queue %d is negative", a.Start, a.ReviveQueue)
	}
	if err := b.checkReceipt(&m); err != nil {
		return nil, err
	}
	set, err := base64.StdEncoding.DecodeString(a.Bits)
	if err != nil || len(set) > batchAckMax/8 {
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "its bit set (b) is no base64, or of more than %d messages", batchAckMax)
	}
	var left []int64
	for i, v := range set {
		for ; v != 0; v &= v - 1 {
			m.offset = a.Start + int64(i*8+bits.TrailingZeros8(v))
			if m.offset < q.MinOffset() || m.offset > q.MaxOffset() {
				continue
			}
			if a.ReviveQueue == orderlyRevive {
				if err := b.ackOrderly(r.Conn, &m); err != nil {
					return nil, err
				}
			} else if !b.ackInMemory(&m) {
				left = append(left, m.offset)
			}
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	return []store.Put{b.ackOf(&m, left...)}, nil
}
