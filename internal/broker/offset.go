package broker

import (
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// QUERY_CONSUMER_OFFSET 14, UPDATE_CONSUMER_OFFSET 15, GET_ALL_CONSUMER_OFFSET 43.
//
// Behaviour: a group without an offset in a queue is told to begin at 0 as long as the queue's first message is there and near
// enough to the log's end to be in memory, else that there is none: it then begins where it was configured to. A commit is taken as
// it is, also one that goes back; it is not taken while a reset waits for the queue's next pull.
// Differs from Apache: a commit below 0 or for a queue below 0 is refused.

func (b *Broker) queryConsumerOffset(_ *remoting.Request, h *protocol.QueryConsumerOffsetHeader) (*remoting.Answer, error) {
	if offset := b.offsets.query(h.ConsumerGroup, h.Topic, h.QueueID); offset >= 0 {
		return &remoting.Answer{Header: protocol.OffsetHeader{Offset: offset}}, nil
	}
	if h.SetZeroIfNotFound != nil && !*h.SetZeroIfNotFound {
		return nil, protocol.Errorf(protocol.CodeQueryNotFound, "Not found, do not set to zero, maybe this group boot first")
	}
	if q := b.store.FindQueue(h.Topic, h.QueueID); q != nil && q.MinOffset() <= 0 && b.store.InMemory(q, 0) {
		return &remoting.Answer{Header: protocol.OffsetHeader{Offset: 0}}, nil
	}
	return nil, protocol.Errorf(protocol.CodeQueryNotFound, "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first")
}

func (b *Broker) updateConsumerOffset(r *remoting.Request, h *protocol.UpdateConsumerOffsetHeader) (*remoting.Answer, error) {
	switch {
	case b.groups.find(h.ConsumerGroup) == nil:
		return nil, protocol.Errorf(protocol.CodeSubscriptionGroupNotExist, "Group %s not exist!", shown(h.ConsumerGroup))
	case b.topics.find(h.Topic) == nil:
		return nil, protocol.Errorf(protocol.CodeTopicNotExist, "Topic %s not exist!", shown(h.Topic))
	case h.QueueID < 0 || h.CommitOffset < 0:
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "queueId=%d commitOffset=%d: neither can be below 0, topic is %s", h.QueueID, h.CommitOffset, h.Topic)
	case b.settings.Load().ServerSideResetOffset && b.offsets.hasReset(h.ConsumerGroup, h.Topic, h.QueueID):
		return &remoting.Answer{Remark: "Offset has been previously reset"}, nil
	}
	b.offsets.commit([]byte(h.ConsumerGroup), []byte(h.Topic), h.QueueID, h.CommitOffset, r.Conn)
	return nil, nil
}

func (b *Broker) getAllConsumerOffset(*remoting.Request) (*remoting.Answer, error) {
	return jsonAnswer(b.offsets.all())
}

// resetOffset is INVOKE_BROKER_TO_RESET_OFFSET 222 as far as it is done here: the new offset waits for each queue's next pull. With
// useServerSideResetOffset=false Apache tells the consumers instead.
func (b *Broker) resetOffset(r *remoting.Request, h *protocol.ResetOffsetHeader) (*remoting.Answer, error) {
	t := b.topics.find(h.Topic)
	switch {
	case t == nil:
		return nil, protocol.Errorf(protocol.CodeTopicNotExist, "Topic %s does not exist", shown(h.Topic))
	case b.groups.find(h.Group) == nil:
		return nil, protocol.Errorf(protocol.CodeSubscriptionGroupNotExist, "Group %s does not exist", shown(h.Group))
	}
	b.log.Info("request to reset consumer offsets", "group", h.Group, "topic", h.Topic, "timestamp", h.Timestamp, "addr", r.Conn.RemoteAddr())
	var body protocol.ResetOffsetBody
	set := func(queue int32, offset int64) {
		body.OffsetTable = append(body.OffsetTable, protocol.QueueEntry[int64]{Queue: b.messageQueue(h.Topic, queue), Value: offset})
	}
	switch {
	case h.QueueID == nil || *h.QueueID < 0:
		for queue := range min(t.ReadQueueNums, queuesMax) {
			set(queue, b.offsetAt(h.Topic, queue, h.Timestamp))
		}
	case h.Offset == nil || *h.Offset == -1:
		set(*h.QueueID, b.offsetAt(h.Topic, *h.QueueID, h.Timestamp))
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
	}
	return jsonAnswer(body)
}

// rangeOf returns a queue's first and next offset, 0 of a queue that has never had a message.
func (b *Broker) rangeOf(topic string, queue int32) (least, end int64) {
	if q := b.store.FindQueue(topic, queue); q != nil {
		return q.MinOffset(), q.MaxOffset()
	}
	return 0, 0
}

// offsetAt returns the offset of the first message not older than a store time, the queue's end for a time below 0.
func (b *Broker) offsetAt(topic string, queue int32, timestamp int64) int64 {
	q := b.store.FindQueue(topic, queue)
	switch {
	case q == nil:
		return 0
	case timestamp < 0:
		return q.MaxOffset()
	}
	return b.store.OffsetByTime(q, timestamp, store.Lower)
}

// messageQueue names one of this broker's queues.
func (b *Broker) messageQueue(topic string, queue int32) protocol.MessageQueue {
	return protocol.MessageQueue{Topic: topic, BrokerName: b.settings.Load().Name, QueueID: queue}
}
