package broker

import (
	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// INVOKE_BROKER_TO_RESET_OFFSET 222.
//
// Behaviour: with useServerSideResetOffset the new offset is kept here and each queue's next pull is told to go on there. Without it
// the group's consumers, one of which must be there, are told their new offsets (RESET_CONSUMER_CLIENT_OFFSET 220) and commit them;
// one that would go forward stays unless the request says isForce.
// Differs from Apache: a pull that waits is told at once. Each consumer gets the offsets in the form that its language reads, not in
// that of the one who asked. Nobody is told when one consumer is too old for it.

func (b *Broker) resetOffset(r *remoting.Request, h *protocol.ResetOffsetHeader) (*remoting.Answer, error) {
	b.log.Info("request to reset consumer offsets", "group", h.Group, "topic", h.Topic, "timestamp", h.Timestamp, "force", h.IsForce, "addr", r.Conn.RemoteAddr())
	if b.settings.Load().ServerSideResetOffset {
		return b.resetHere(h)
	}
	return b.resetAtConsumers(h)
}

// resetHere lets the new offsets wait for the next pulls.
func (b *Broker) resetHere(h *protocol.ResetOffsetHeader) (*remoting.Answer, error) {
	t := b.topics.find(h.Topic)
	switch {
	case b.settings.Load().BrokerRole == config.Slave:
		return nil, protocol.Errorf(protocol.CodeSystemError, "Can not reset offset in slave broker")
	case t == nil:
		return nil, protocol.Errorf(protocol.CodeTopicNotExist, "Topic %s does not exist", shown(h.Topic))
	case b.groups.find(h.Group) == nil:
		return nil, protocol.Errorf(protocol.CodeSubscriptionGroupNotExist, "Group %s does not exist", shown(h.Group))
	}
	var body protocol.ResetOffsetBody
	set := func(queue int32, offset int64) {
		body.OffsetTable = append(body.OffsetTable, protocol.QueueEntry[int64]{Queue: b.messageQueue(h.Topic, queue), Value: offset})
	}
	switch {
	case h.QueueID == nil || *h.QueueID < 0:
		for queue := range t.readQueues() {
			to, err := b.offsetAt(h.Topic, queue, h.Timestamp)
			if err != nil {
				return nil, err
			}
			set(queue, to)
		}
	case h.Offset == nil || *h.Offset == -1:
		to, err := b.offsetAt(h.Topic, *h.QueueID, h.Timestamp)
		if err != nil {
			return nil, err
		}
		set(*h.QueueID, to)
	default:
		least, end := b.rangeOf(h.Topic, *h.QueueID)
		if *h.Offset < least || *h.Offset > end+1 {
			return nil, protocol.Errorf(protocol.CodeSystemError, "Target offset %d not in consume queue range [%d-%d]", *h.Offset, least, end)
		}
		set(*h.QueueID, *h.Offset)
	}
	if len(body.OffsetTable) == 0 {
		return nil, protocol.Errorf(protocol.CodeSystemError, "No queues to reset.")
	}
	for _, e := range body.OffsetTable {
		b.offsets.reset(h.Group, h.Topic, e.Queue.QueueID, e.Value)
		if q := b.store.FindQueue(h.Topic, e.Queue.QueueID); q != nil {
			b.holds.release(q, h.Group)
		}
	}
	return jsonAnswer(body)
}

// resetAtConsumers tells the group's consumers their new offsets.
func (b *Broker) resetAtConsumers(h *protocol.ResetOffsetHeader) (*remoting.Answer, error) {
	t := b.topics.find(h.Topic)
	if t == nil {
		return nil, protocol.Errorf(protocol.CodeTopicNotExist, "[reset-offset] reset offset failed, no topic in this broker. topic=%s", shown(h.Topic))
	}
	var body protocol.ResetOffsetBody
	for queue := range t.writeQueues() {
		now := b.offsets.query(h.Group, h.Topic, queue)
		if now == -1 {
			return nil, protocol.Errorf(protocol.CodeSystemError, "THe consumer group <%s> not exist (it has no offset in queue %d of topic %s)", shown(h.Group), queue, h.Topic)
		}
		to, err := b.offsetAt(h.Topic, queue, h.Timestamp)
		if err != nil {
			return nil, err
		}
		if !h.IsForce {
			to = min(to, now)
		}
		body.OffsetTable = append(body.OffsetTable, protocol.QueueEntry[int64]{Queue: b.messageQueue(h.Topic, queue), Value: to})
	}
	consumers := b.clients.consumersOf(h.Group)
	if len(consumers) == 0 {
		return nil, protocol.Errorf(protocol.CodeConsumerNotOnline, "Consumer not online, so can not reset offset, Group: %s Topic: %s Timestamp: %d",
			shown(h.Group), shown(h.Topic), h.Timestamp)
	}
	if old := tooOld(consumers, versionReset); old != nil {
		return nil, notSupported(old)
	}
	forJava, err := fastjson.Marshal(body)
	if err != nil {
		return nil, err
	}
	forCPP, err := fastjson.Marshal(body.ForCPP())
	if err != nil {
		return nil, err
	}
	every := int32(-1)
	header := &protocol.ResetOffsetHeader{Group: h.Group, Topic: h.Topic, QueueID: &every, Timestamp: h.Timestamp}
	for _, who := range consumers {
		call := &remoting.Call{Code: protocol.ReqResetConsumerClientOffset, Header: header, Body: forJava}
		if who.language == protocol.LanguageCPP {
			call.Body = forCPP
		}
		if err := who.conn.Notify(call); err != nil {
			b.log.Warn("consumer could not be told its new offsets", "group", h.Group, "topic", h.Topic, "client", who.id, "err", err)
			continue
		}
		b.log.Info("consumer was told its new offsets", "group", h.Group, "topic", h.Topic, "client", who.id)
	}
	return &remoting.Answer{Body: forJava}, nil
}
