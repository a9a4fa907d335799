package broker

import (
	"math"
	"slices"
	"strings"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// QUERY_CONSUMER_OFFSET 14, UPDATE_CONSUMER_OFFSET 15, GET_ALL_CONSUMER_OFFSET 43, QUERY_CORRECTION_OFFSET 308,
// CLONE_GROUP_OFFSET 314.
//
// Behaviour: a group without an offset in a queue is told to begin at 0 as long as the queue's first message is there and near
// enough to the log's end to be in memory, else that there is none: it then begins where it was configured to. A commit is taken as
// it is, also one that goes back; it is not taken while a reset waits for the queue's next pull.
// Differs from Apache: a commit below 0 or for a queue below 0 is refused. Asking for correction offsets only asks: Apache forgets
// the offsets of the groups to be left out. Copying without a topic copies all topics.

func (b *Broker) queryConsumerOffset(_ *remoting.Request, h *protocol.QueryConsumerOffsetHeader) (*remoting.Answer, error) {
	if queue, d, err := b.logicQueue(h.Topic, h.QueueID, &h.StaticTopicFields); err != nil {
		return nil, err
	} else if d != nil {
		if len(queue) > 1 || queue[0].LogicOffset != 0 {
			return b.staticConsumerOffset(h, queue, d.Bname)
		}
		h.QueueID = queue[0].QueueID // and the same offsets
	}
	if offset := b.offsets.query(h.ConsumerGroup, h.Topic, h.QueueID); offset >= 0 {
		return &remoting.Answer{Header: protocol.OffsetHeader{Offset: offset}}, nil
	}
	if h.SetZeroIfNotFound != nil && !*h.SetZeroIfNotFound {
		return nil, protocol.Errorf(protocol.CodeQueryNotFound, "Not found, do not set to zero, maybe this group boot first")
	}
	if q := b.store.FindQueue(h.Topic, h.QueueID); q != nil && q.MinOffset() <= 0 {
		near, err := b.store.InMemory(q, 0)
		if err != nil {
			return nil, err // "not found" would have the group begin behind the messages that are there
		}
		if near {
			return &remoting.Answer{Header: protocol.OffsetHeader{Offset: 0}}, nil
		}
	}
	return nil, protocol.Errorf(protocol.CodeQueryNotFound, "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first")
}

func (b *Broker) updateConsumerOffset(r *remoting.Request, h *protocol.UpdateConsumerOffsetHeader) (*remoting.Answer, error) {
	if done, err := b.commitStatic(h); done || err != nil {
		return nil, err
	}
	switch {
	case b.groups.find(h.ConsumerGroup) == nil:
		return nil, protocol.Errorf(protocol.CodeSubscriptionGroupNotExist, "Group %s not exist!", shown(h.ConsumerGroup))
	case b.topics.find(h.Topic) == nil:
		return nil, protocol.Errorf(protocol.CodeTopicNotExist, "Topic %s not exist!", shown(h.Topic))
	case h.QueueID < 0 || h.CommitOffset < 0:
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "queueId=%d commitOffset=%d: neither can be below 0, topic is %s", h.QueueID, h.CommitOffset, h.Topic)
	case h.QueueID >= queuesMax: // each would be kept
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "queueId=%d: a topic has %d queues at most, topic is %s", h.QueueID, queuesMax, h.Topic)
	case b.settings.Load().ServerSideResetOffset && b.offsets.hasReset(h.ConsumerGroup, h.Topic, h.QueueID):
		return &remoting.Answer{Remark: "Offset has been previously reset"}, nil
	}
	b.offsets.commit([]byte(h.ConsumerGroup), []byte(h.Topic), h.QueueID, h.CommitOffset, r.Conn)
	return nil, nil
}

func (b *Broker) getAllConsumerOffset(*remoting.Request) (*remoting.Answer, error) {
	return jsonAnswer(b.offsets.all())
}

// queryCorrectionOffset tells how far the slowest of a topic's groups is in each queue.
func (b *Broker) queryCorrectionOffset(_ *remoting.Request, h *protocol.QueryCorrectionOffsetHeader) (*remoting.Answer, error) {
	least := map[int32]int64{}
	leftOut := strings.Split(h.FilterGroups, ",")
	for _, group := range b.offsets.groupsOf(h.Topic) {
		if slices.Contains(leftOut, group) {
			continue
		}
		for queue, offset := range b.offsets.consumedIn(group, h.Topic) {
			if begin, _ := b.rangeOf(h.Topic, queue); offset < begin {
				continue
			}
			if known, ok := least[queue]; !ok || offset < known {
				least[queue] = offset
			}
		}
	}
	for queue, offset := range b.offsets.consumedIn(h.CompareGroup, h.Topic) {
		if known, ok := least[queue]; ok && known > offset {
			least[queue] = math.MaxInt64
		}
	}
	return jsonAnswer(protocol.CorrectionOffsets{CorrectionOffsets: least})
}

// cloneGroupOffset sets a group's offsets to those of another.
func (b *Broker) cloneGroupOffset(r *remoting.Request, h *protocol.CloneGroupOffsetHeader) (*remoting.Answer, error) {
	if err := checkGroupName(h.DestGroup); err != nil {
		return nil, err
	}
	topics := []string{h.Topic}
	if isBlank(h.Topic) {
		topics = b.offsets.topicsOf(h.SrcGroup)
	}
	for _, topic := range topics {
		if b.topics.find(topic) == nil {
			continue
		}
		if g := b.clients.consumerGroup([]byte(h.SrcGroup)); !h.Offline && g != nil && len(g.subscriptions()) > 0 && g.subscription([]byte(topic)) == nil {
			continue // left of a subscription that is over
		}
		b.offsets.clone(h.SrcGroup, h.DestGroup, topic, r.Conn)
	}
	return nil, nil
}

// rangeOf returns a queue's first and next offset, 0 of a queue that has never had a message.
func (b *Broker) rangeOf(topic string, queue int32) (least, end int64) {
	if q := b.store.FindQueue(topic, queue); q != nil {
		return q.MinOffset(), q.MaxOffset()
	}
	return 0, 0
}

// offsetAt returns the offset of the first message not older than a store time, the queue's end for a time below 0.
func (b *Broker) offsetAt(topic string, queue int32, timestamp int64) (int64, error) {
	q := b.store.FindQueue(topic, queue)
	switch {
	case q == nil:
		return 0, nil
	case timestamp < 0:
		return q.MaxOffset(), nil
	}
	return b.store.OffsetByTime(q, timestamp, store.Lower)
}

// messageQueue names one of this broker's queues.
func (b *Broker) messageQueue(topic string, queue int32) protocol.MessageQueue {
	return protocol.MessageQueue{Topic: topic, BrokerName: b.settings.Load().Name, QueueID: queue}
}
