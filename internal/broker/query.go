package broker

import (
	"errors"
	"strings"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// QUERY_MESSAGE 12, SEARCH_OFFSET_BY_TIMESTAMP 29, GET_MAX_OFFSET 30, GET_MIN_OFFSET 31, GET_EARLIEST_MSG_STORETIME 32,
// VIEW_MESSAGE_BY_ID 33, QUERY_CONSUME_QUEUE 321.
//
// Behaviour: a query by key answers with stored records, oldest first, at most maxMsgsNumBatch and about 8 MiB. A queue that has never had a
// message is as empty as one that has lost all.
// Differs from Apache: each message found by key is looked at; one of another topic or key whose hash is the same is left out. An
// offset at which no message begins is never answered with bytes.

const queryUniqueMax = 32 // messages of one query by unique key

func (b *Broker) queryMessage(_ *remoting.Request, h *protocol.QueryMessageHeader) (*remoting.Answer, error) {
	q := store.KeyQuery{Topic: h.Topic, Key: h.Key, Begin: h.BeginTimestamp, End: h.EndTimestamp, Max: min(int(h.MaxNum), b.settings.Load().QueryMax)}
	switch {
	case h.UniqueKeyQuery:
		q.Kind, q.Max = store.UniqueKey, queryUniqueMax
	case h.IndexType == "U":
		q.Kind = store.UniqueKey
	case h.IndexType == "T":
		q.Kind = store.TagKey
	}
	var found store.QueryResult
	if q.Max > 0 {
		var err error
		if found, err = b.store.Query(q); err != nil {
			return nil, err
		}
	}
	a := &remoting.Answer{Header: protocol.QueryMessageResponseHeader{IndexLastUpdateTimestamp: found.IndexTime, IndexLastUpdatePhyOffset: found.IndexOffset},
		Body: found.Records}
	if found.Count == 0 {
		a.Code, a.Remark = protocol.CodeQueryNotFound, "can not find message, maybe time range not correct"
	}
	return a, nil
}

func (b *Broker) viewMessage(_ *remoting.Request, h *protocol.ViewMessageHeader) (*remoting.Answer, error) {
	rec, err := b.store.MessageAt(h.Offset)
	if errors.Is(err, store.ErrNoMessage) {
		return nil, protocol.Errorf(protocol.CodeSystemError, "can not find message by the offset, %d", h.Offset)
	}
	return &remoting.Answer{Body: rec}, err
}

func (b *Broker) searchOffset(_ *remoting.Request, h *protocol.SearchOffsetHeader) (*remoting.Answer, error) {
	boundary := store.Lower
	if strings.EqualFold(h.BoundaryType, "upper") {
		boundary = store.Upper
	}
	offset := int64(0)
	if !isBlank(h.LiteTopic) {
		h.Topic = liteQueueName(h.Topic, h.LiteTopic)
	}
	queue, d, err := b.logicQueue(h.Topic, h.QueueID, &h.StaticTopicFields)
	if err == nil && d != nil {
		offset, err = b.staticSearch(h, queue, d.Bname, boundary)
	} else if q := b.store.FindQueue(h.Topic, h.QueueID); err == nil && q != nil {
		offset, err = b.store.OffsetByTime(q, h.Timestamp, boundary)
	}
	return &remoting.Answer{Header: protocol.OffsetHeader{Offset: offset}}, err
}

func (b *Broker) getMaxOffset(_ *remoting.Request, h *protocol.QueueHeader) (*remoting.Answer, error) {
	_, end := b.rangeOf(h.Topic, h.QueueID)
	queue, d, err := b.logicQueue(h.Topic, h.QueueID, &h.StaticTopicFields)
	if err == nil && d != nil {
		end, err = b.staticMax(h, queue, d.Bname)
	}
	return &remoting.Answer{Header: protocol.OffsetHeader{Offset: end}}, err
}

func (b *Broker) getMinOffset(_ *remoting.Request, h *protocol.QueueHeader) (*remoting.Answer, error) {
	least, _ := b.rangeOf(h.Topic, h.QueueID)
	queue, d, err := b.logicQueue(h.Topic, h.QueueID, &h.StaticTopicFields)
	if err == nil && d != nil {
		least, err = b.staticMin(h, queue, d.Bname)
	}
	return &remoting.Answer{Header: protocol.OffsetHeader{Offset: least}}, err
}

func (b *Broker) getEarliestStoreTime(_ *remoting.Request, h *protocol.QueueHeader) (*remoting.Answer, error) {
	queue, d, err := b.logicQueue(h.Topic, h.QueueID, &h.StaticTopicFields)
	if err == nil && d != nil {
		return b.staticEarliest(h, queue, d.Bname)
	}
	return b.earliestStoreTime(h.Topic, h.QueueID), err
}

func (b *Broker) earliestStoreTime(topic string, queue int32) *remoting.Answer {
	timestamp := int64(-1)
	if q := b.store.FindQueue(topic, queue); q != nil {
		if t, ok := b.store.EarliestStoreTime(q); ok {
			timestamp = t
		}
	}
	return &remoting.Answer{Header: protocol.TimestampHeader{Timestamp: timestamp}}
}

// queryConsumeQueueMax is how many entries one QUERY_CONSUME_QUEUE shows.
const queryConsumeQueueMax = 1000

func (b *Broker) queryConsumeQueue(_ *remoting.Request, h *protocol.QueryConsumeQueueHeader) (*remoting.Answer, error) {
	q := b.store.FindQueue(h.Topic, h.QueueID)
	if q == nil {
		return nil, protocol.Errorf(protocol.CodeSystemError, "%d@%s is not exist!", h.QueueID, shown(h.Topic))
	}
	body := protocol.ConsumeQueueBody{MaxQueueIndex: q.MaxOffset(), MinQueueIndex: q.MinOffset()}
	if h.ConsumerGroup != nil {
		text, err := b.filters.json(*h.ConsumerGroup, h.Topic)
		if err != nil {
			return nil, err
		}
		if s := b.findSubscription(*h.ConsumerGroup, h.Topic); s != nil {
			body.SubscriptionData = &s.SubscriptionData
		} else {
			text = *h.ConsumerGroup + "@" + h.Topic + " is not online!"
		}
		body.FilterData = &text
	}
	if h.Index < body.MinQueueIndex || h.Index >= body.MaxQueueIndex {
		remark := protocol.Errorf(0, "Index %d of %d@%s is not exist!", h.Index, h.QueueID, h.Topic).Remark
		return &remoting.Answer{Remark: remark}, nil // without a body, as Apache's
	}
	entries := make([]store.Entry, min(max(int(h.Count), 0), queryConsumeQueueMax))
	n, _, err := b.store.Entries(q, h.Index, entries)
	if err != nil {
		return nil, err
	}
	body.QueueData = make([]protocol.ConsumeQueueData, n)
	for i, e := range entries[:n] {
		body.QueueData[i] = protocol.ConsumeQueueData{PhysicOffset: e.LogOffset, PhysicSize: e.Size, TagsCode: e.TagsCode}
	}
	return jsonAnswer(body)
}

// findSubscription finds what a group wants of a topic now, nil when nothing.
func (b *Broker) findSubscription(group, topic string) *subscription {
	if g := b.clients.consumerGroup([]byte(group)); g != nil {
		return g.subscription([]byte(topic))
	}
	return nil
}
