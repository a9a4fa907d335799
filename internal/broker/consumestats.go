package broker

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// GET_CONSUME_STATS 208, QUERY_CONSUME_TIME_SPAN 303, GET_BROKER_CONSUME_STATS 317.
//
// Behaviour: how far a group is in each queue of the topics that it consumes, how many messages a second it was given in the last minute,
// and what lies before it and how long.
// Differs from Apache: 317 tells what was given out as 208 does, and so what is in flight; in Apache both are wrong there. What a group
// that has consumed nothing of a queue waits for is the queue's oldest message. A queue that one consumer has for itself has one field
// more, orderly: whose it is, which message it stands at and since when.

func (b *Broker) getConsumeStats(_ *remoting.Request, h *protocol.GetConsumeStatsHeader) (*remoting.Answer, error) {
	body := protocol.ConsumeStats{OffsetTable: protocol.QueueTable[protocol.OffsetWrapper]{}}
	for _, topic := range b.topicsForStats(h) {
		if t := b.topics.find(topic); t != nil {
			b.addConsumeStats(&body, h.ConsumerGroup, t, t.readQueues())
		}
	}
	return jsonAnswer(body)
}

// addConsumeStats adds how far a group is in the first queues of a topic.
func (b *Broker) addConsumeStats(s *protocol.ConsumeStats, group string, t *topic, queues int32) {
	topic := t.TopicName
	for id := range queues {
		var o protocol.OffsetWrapper
		_, o.BrokerOffset = b.rangeOf(topic, id)
		if o.ConsumerOffset = b.offsets.query(group, topic, id); t.mapping == nil { // else -1 says that a stretch was not consumed
			o.ConsumerOffset = max(o.ConsumerOffset, 0)
		}
		o.PullOffset = max(o.ConsumerOffset, b.offsets.queryPulled(group, topic, id))
		if o.ConsumerOffset > 0 {
			o.LastTimestamp = max(b.storeTime(topic, id, o.ConsumerOffset-1), 0)
		}
		o.Orderly = b.orderly(group, t, id, &o)
		s.OffsetTable = append(s.OffsetTable, protocol.QueueEntry[protocol.OffsetWrapper]{Queue: b.messageQueue(topic, id), Value: o})
	}
	s.ConsumeTPS += b.consumedPerSecond(group, topic)
}

// orderly tells who has a queue for itself, and which message it stands at; nil when nobody has.
func (b *Broker) orderly(group string, t *topic, id int32, o *protocol.OffsetWrapper) *protocol.OrderlyQueue {
	var q *protocol.OrderlyQueue
	if held, ok := b.locks.holder(group, b.messageQueue(t.TopicName, id)); ok {
		q = &protocol.OrderlyQueue{ClientID: held.client, LockedSince: held.since.UnixMilli(), At: o.ConsumerOffset, Since: held.offsetSince.UnixMilli()}
	} else if at, since, until, ok := b.orders.blocking(t.TopicName, group, id, time.Now().UnixMilli()); ok {
		q = &protocol.OrderlyQueue{At: at, Since: since, VisibleAt: until}
	}
	if q == nil || q.At >= o.BrokerOffset {
		return q
	}
	var next [1]store.Entry
	if sq := t.queue(id); sq != nil {
		if n, _, err := b.store.Entries(sq, q.At, next[:]); err == nil && n == 1 {
			q.MsgID = string(message.AppendOffsetIDOf(nil, b.settings.Load().idHost, next[0].LogOffset))
		}
	}
	return q
}

// topicsForStats are the topics that a request for a group's statistics is about: those it lists; else the one it names or all that the
// group has consumed, without those that it does not subscribe to while it is there.
func (b *Broker) topicsForStats(h *protocol.GetConsumeStatsHeader) []string {
	if !isBlank(h.TopicList) {
		list := slices.DeleteFunc(strings.Split(h.TopicList, ";"), func(t string) bool { return t == "" })
		slices.Sort(list)
		return slices.Compact(list)
	}
	topics := []string{h.Topic}
	if isBlank(h.Topic) {
		topics = b.offsets.topicsOf(h.ConsumerGroup)
	}
	g := b.clients.consumerGroup([]byte(h.ConsumerGroup))
	if g == nil || len(g.subscriptions()) == 0 {
		return topics
	}
	return slices.DeleteFunc(topics, func(t string) bool { return g.subscriptions()[t] == nil })
}

func (b *Broker) getBrokerConsumeStats(_ *remoting.Request, h *protocol.GetBrokerConsumeStatsHeader) (*remoting.Answer, error) {
	cfg := b.settings.Load()
	body := protocol.ConsumeStatsList{BrokerAddr: hostPort(cfg.BrokerIP1, cfg.ListenPort)}
	for _, group := range slices.Sorted(maps.Keys(b.groups.all().SubscriptionGroupTable)) {
		stats := []protocol.ConsumeStats{}
		for _, topic := range b.topicsForStats(&protocol.GetConsumeStatsHeader{ConsumerGroup: group}) {
			t := b.topics.find(topic)
			if t == nil || h.IsOrder && !t.Order {
				continue
			}
			s := protocol.ConsumeStats{OffsetTable: protocol.QueueTable[protocol.OffsetWrapper]{}}
			b.addConsumeStats(&s, group, t, t.writeQueues())
			for _, q := range s.OffsetTable {
				body.TotalDiff += q.Value.BrokerOffset - q.Value.ConsumerOffset
				body.TotalInflightDiff += q.Value.PullOffset - q.Value.ConsumerOffset
			}
			stats = append(stats, s)
		}
		body.ConsumeStatsList = append(body.ConsumeStatsList, map[string][]protocol.ConsumeStats{group: stats})
	}
	return jsonAnswer(body)
}

func (b *Broker) queryConsumeTimeSpan(_ *remoting.Request, h *protocol.QueryConsumeTimeSpanHeader) (*remoting.Answer, error) {
	t := b.topics.find(h.Topic)
	if t == nil {
		return nil, protocol.Errorf(protocol.CodeTopicNotExist, "topic[%s] not exist", shown(h.Topic))
	}
	now := time.Now().UnixMilli()
	body := protocol.QueryConsumeTimeSpanBody{ConsumeTimeSpanSet: []protocol.QueueTimeSpan{}}
	for id := range t.writeQueues() {
		first, end := b.rangeOf(h.Topic, id)
		s := protocol.QueueTimeSpan{MessageQueue: b.messageQueue(h.Topic, id), MinTimestamp: -1, MaxTimestamp: -1}
		if end > 0 {
			s.MinTimestamp, s.MaxTimestamp = b.storeTime(h.Topic, id, first), b.storeTime(h.Topic, id, end-1)
		}
		consumed := b.offsets.query(h.Group, h.Topic, id)
		s.ConsumeTimestamp = s.MinTimestamp
		if consumed > 0 {
			s.ConsumeTimestamp = b.storeTime(h.Topic, id, consumed-1)
		}
		if next := max(consumed, first); next < end {
			if stored := b.storeTime(h.Topic, id, next); stored >= 0 {
				s.DelayTime = max(now-stored, 0)
			}
		}
		s.MinText, s.MaxText, s.ConsumeText = timeText(s.MinTimestamp), timeText(s.MaxTimestamp), timeText(s.ConsumeTimestamp)
		body.ConsumeTimeSpanSet = append(body.ConsumeTimeSpanSet, s)
	}
	return jsonAnswer(body)
}

// timeText is a time in ms as Apache's tools show it.
func timeText(ms int64) string {
	t := time.UnixMilli(ms)
	return t.Format("2006-01-02#15:04:05:") + fmt.Sprintf("%03d", t.Nanosecond()/1e6)
}
