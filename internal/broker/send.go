package broker

import (
	"fmt"
	"math"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// SEND_MESSAGE 10, SEND_MESSAGE_V2 310, SEND_BATCH_MESSAGE 320.
//
// Behaviour: the message is stored at the end of its queue and answered with its id and queue offset once the kernel has
// it (ASYNC_FLUSH) or the disk has (SYNC_FLUSH). All sends that one read of a connection brought are stored together and
// answered together. A batch is stored as a whole or not at all. An unknown topic is made after the default topic
// that the client names, if that may be inherited.
// Differs from Apache: a refusal names the value, the limit and the resource, behind Apache's own words.

// sendMessage checks a message and puts it into the batch of its connection.
func (b *Broker) sendMessage(ss *session, r *remoting.Request) {
	if err := b.send(ss, r); err != nil {
		b.refuseSend(r, err)
	}
}

func (b *Broker) send(ss *session, r *remoting.Request) error {
	var h sendHeader
	if err := decodeSend(r, &h); err != nil {
		return err
	}
	cfg := b.settings.Load()
	t, err := b.sendTopic(cfg, r, &h)
	if err != nil || t == nil { // nil: it is asked once more where a topic may be made
		return err
	}
	if t.retry {
		if t, err = b.sendToRetry(cfg, r, &h, t); err != nil {
			return err
		}
	}
	if err := h.chooseQueue(t); err != nil {
		return err
	}
	if r.Code == protocol.ReqSendBatchMessage || h.batch {
		return b.addBatch(cfg, ss, r, &h, t)
	}
	return b.addSingle(cfg, ss, r, &h, t)
}

// sendTopic finds the topic of a send and says why it must not be sent to. It is nil, without an error, for a request that is to be
// served elsewhere.
func (b *Broker) sendTopic(cfg *settings, r *remoting.Request, h *sendHeader) (*topic, error) {
	if cfg.AcceptSendsFrom > 0 && time.Now().UnixMilli() < cfg.AcceptSendsFrom {
		return nil, protocol.Errorf(protocol.CodeSystemError, "broker unable to service, until %s (startAcceptSendRequestTimeStamp=%d)",
			time.UnixMilli(cfg.AcceptSendsFrom).Format(time.DateTime), cfg.AcceptSendsFrom)
	}
	if cfg.BrokerRole == config.Slave {
		return nil, protocol.Errorf(protocol.CodeSystemBusy, "[REJECTREQUEST]system busy, start flow control for a while: this broker is a slave (brokerRole=SLAVE) and takes no messages")
	}
	t := b.topics.get(h.topic)
	if (t == nil || t.retry) && r.Elsewhere() {
		return nil, nil
	}
	if t == nil {
		var err error
		if t, err = b.topics.createForSend(string(h.topic), string(h.defaultTopic), h.defaultQueues, h.unitMode, r.Conn.RemoteAddr().String()); err != nil {
			return nil, err
		}
	}
	if cfg.Permission&permWrite == 0 && t.Order {
		return nil, protocol.Errorf(protocol.CodeNoPermission, "the broker[%s] sending message is forbidden (brokerPermission=%d)", cfg.BrokerIP1, cfg.Permission)
	}
	if t.noSend {
		return nil, protocol.Errorf(protocol.CodeNoPermission, "Sending message to topic[%s] is forbidden.", t.TopicName)
	}
	if t.mapping != nil {
		if err := h.sendToLogic(t); err != nil {
			return nil, err
		}
	}
	if queues := max(t.WriteQueueNums, t.ReadQueueNums); h.queueID >= queues {
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "request queueId[%d] is illegal, topic[%s] has writeQueueNums=%d readQueueNums=%d Producer: %s",
			h.queueID, t.TopicName, t.WriteQueueNums, t.ReadQueueNums, r.Conn.RemoteAddr())
	}
	return t, nil
}

// addSingle adds one message to the connection's batch.
func (b *Broker) addSingle(cfg *settings, ss *session, r *remoting.Request, h *sendHeader, t *topic) error {
	var facts propertyFacts
	facts.inspect(h.properties)
	if facts.inner {
		return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal: it has the property %s but is not an inner batch", message.PropInnerNum)
	}
	if facts.lite != nil {
		h.addLite(&facts, t)
	}
	if facts.priority != nil {
		h.prioritize(facts.priority, t)
	}
	if facts.rewrite {
		h.properties = withoutBrokerProperties(h.properties)
	}
	sb := ss.batch(b, r.Conn, cfg.wait(facts.noWait))
	props, uniqKey := sb.properties(cfg, h, len(facts.uniqKey) > 0)
	p := sb.add(t, h, ss)
	p.Body, p.Properties = r.Body, props
	if err := b.place(cfg, &facts, p); err != nil {
		sb.drop(len(sb.Puts) - 1)
		return err
	}
	s := sb.expect(r, h, t, len(sb.Puts)-1)
	s.uniqKey, s.kind, s.timer = uniqKey, facts.kind(), facts.timer
	if facts.isDiverted() {
		s.in = b.counts.of(p.Queue.Topic())
	}
	if facts.half { // its offset is the one that ends the transaction
		s.item = nil
	}
	return nil
}

// addBatch adds the messages of a batch request, all or none. They carry no broker properties, as in Apache.
func (b *Broker) addBatch(cfg *settings, ss *session, r *remoting.Request, h *sendHeader, t *topic) error {
	switch {
	case len(h.topic) > 127:
		return protocol.Errorf(protocol.CodeMessageIllegal, "message topic length too long %d", len(h.topic))
	case t.retry:
		return protocol.Errorf(protocol.CodeMessageIllegal, "batch request does not support retry group %s", h.topic)
	case len(r.Body) > cfg.MaxMessageSize:
		return illegal(cfg, fmt.Errorf("message body size exceeded: the batch has %d bytes, maxMessageSize is %d", len(r.Body), cfg.MaxMessageSize))
	}
	var facts propertyFacts
	facts.inspect(h.properties)
	if err := facts.checkBatch(t); err != nil {
		return err
	}
	sb := ss.batch(b, r.Conn, cfg.wait(facts.noWait))
	first := len(sb.Puts)
	if err := sb.addEntries(cfg, ss, r.Body, h, t); err != nil {
		sb.drop(first)
		return err
	}
	n := len(sb.Puts) - first
	if n == 0 {
		return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal: the batch is empty")
	}
	if t.batchQueue && len(facts.uniqKey) > 0 {
		sb.drop(first)
		return sb.addInner(cfg, ss, r, h, t, n, facts.kind())
	}
	start := len(sb.arena)
	sb.arena = append(sb.arena, facts.uniqKey...)
	s := sb.expect(r, h, t, first)
	s.uniqKey, s.kind = sb.arena[start:len(sb.arena):len(sb.arena)], facts.kind()
	return nil
}

// checkBatch refuses what a batch as a whole cannot be.
func (f *propertyFacts) checkBatch(t *topic) error {
	level, err := f.delayLevel()
	switch {
	case err != nil:
		return err
	case level > 0:
		return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal: it is a batch, which cannot be delayed (%s=%d)", message.PropDelay, level)
	case f.inner && !t.batchQueue:
		return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal: it has the property %s but is not an inner batch", message.PropInnerNum)
	}
	return nil
}

// addEntries adds the messages of a batch's body up to the first that cannot be.
func (sb *sendBatch) addEntries(cfg *settings, ss *session, body []byte, h *sendHeader, t *topic) error {
	first := len(sb.Puts)
	var m message.BatchEntry
	var f propertyFacts
	for len(body) > 0 {
		n := len(sb.Puts) - first
		var err error
		if body, err = message.NextInBatch(body, &m); err != nil {
			return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal, message %d of the batch: %v", n, err)
		}
		if len(m.Properties) > message.MaxProperties {
			return illegal(cfg, fmt.Errorf("message %d of the batch has properties of %d bytes", n, len(m.Properties)))
		}
		f.inspect(m.Properties)
		if f.light != nil && f.rewrite {
			return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal: message %d of the batch gives itself offsets in light queues (%s)", n, message.PropMultiQueueOffset)
		}
		if f.isDiverted() {
			return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal: message %d of the batch is delayed, timed or transactional, which a batch cannot be", n)
		}
		p := sb.add(t, h, ss)
		p.Flag, p.Body, p.Properties = m.Flag, m.Body, m.Properties
	}
	return nil
}

// addInner adds a batch as one record, an inner batch, which its consumers take apart. It gets the broker's properties.
func (sb *sendBatch) addInner(cfg *settings, ss *session, r *remoting.Request, h *sendHeader, t *topic, n int, kind messageKind) error {
	if n > math.MaxInt16 {
		return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal: the batch has %d messages, an inner batch can have %d", n, math.MaxInt16)
	}
	h.properties = withoutBrokerProperties(h.properties)
	props, uniqKey := sb.properties(cfg, h, true)
	p := sb.add(t, h, ss)
	p.SysFlag |= message.FlagInnerBatch | message.FlagNeedUnwrap
	p.Body, p.Properties, p.Inner = r.Body, props, n
	s := sb.expect(r, h, t, len(sb.Puts)-1)
	s.uniqKey, s.inner, s.kind = uniqKey, true, kind
	return nil
}

func illegal(cfg *settings, err error) *protocol.Error {
	return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal, maybe msg body or properties length not matched. msg body length limit %dB, msg properties length limit 32KB. (%v)",
		cfg.MaxMessageSize, err)
}

// refuseSend answers a send that was not stored.
func (b *Broker) refuseSend(r *remoting.Request, err error) {
	cfg := b.settings.Load()
	b.counters.putFailures.Add(1)
	a := remoting.ErrorAnswer(err)
	a.Ext = [][2]string{{"TRACE_ON", cfg.traceOn}, {"MSG_REGION", cfg.RegionID}}
	r.Conn.Reply(r, a)
}
