package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// consumers returns the clients of a group, as all brokers know them that have its retry topic, sorted. Nobody is an error with
// CONSUMER_NOT_ONLINE.
func (a *Admin) consumers(ctx context.Context, group string) (*protocol.ConsumerConnection, error) {
	brokers, err := a.brokers(ctx, retryPrefix+group)
	if err != nil {
		return nil, err
	}
	var all *protocol.ConsumerConnection
	for _, b := range brokers {
		some, otherwise := a.pool.ConsumerConnections(ctx, b.addr, group)
		switch {
		case otherwise != nil:
			err = errors.Join(err, otherwise)
		case all == nil:
			all = some
		default:
			all.ConnectionSet = append(all.ConnectionSet, some.ConnectionSet...)
		}
	}
	if all == nil || len(all.ConnectionSet) == 0 {
		return nil, cmp.Or(err, error(protocol.Errorf(protocol.CodeConsumerNotOnline, "Not found the consumer group connection")))
	}
	sortConnections(all)
	return all, nil
}

// consumersAt is consumers as one broker knows them.
func (a *Admin) consumersAt(ctx context.Context, addr, group string) (*protocol.ConsumerConnection, error) {
	all, err := a.pool.ConsumerConnections(ctx, addr, group)
	if err != nil {
		return nil, err
	}
	if len(all.ConnectionSet) == 0 {
		return nil, protocol.Errorf(protocol.CodeConsumerNotOnline, "Not found the consumer group connection")
	}
	sortConnections(all)
	return all, nil
}

// sortConnections sorts by client and leaves out who is connected to several brokers.
func sortConnections(all *protocol.ConsumerConnection) {
	slices.SortStableFunc(all.ConnectionSet, func(x, y protocol.Connection) int { return strings.Compare(x.ClientID, y.ClientID) })
	all.ConnectionSet = slices.CompactFunc(all.ConnectionSet, func(x, y protocol.Connection) bool { return x.ClientID == y.ClientID })
}

// consumeStats returns how far a group is, in one topic or, when topic is empty, in all that it subscribes to. The brokers are those that have the
// group's retry topic or, when there is none, the topic.
func (a *Admin) consumeStats(ctx context.Context, cluster, group, topic string) (*protocol.ConsumeStats, error) {
	routeTopics := []string{retryPrefix + group}
	if topic != "" {
		routeTopics = append(routeTopics, topic, retryPrefix+group+"_"+topic)
		if instead := routeTopicOf(topic, cluster); instead != topic {
			routeTopics = append(routeTopics, instead)
		}
	}
	var brokers []member
	var err error
	for _, routeTopic := range routeTopics {
		if brokers, err = a.brokers(ctx, routeTopic); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	all := &protocol.ConsumeStats{}
	for _, b := range brokers {
		some, err := a.pool.ConsumeStats(ctx, b.addr, group, topic)
		if err != nil {
			return nil, err
		}
		all.OffsetTable = append(all.OffsetTable, some.OffsetTable...)
		all.ConsumeTPS += some.ConsumeTPS
	}
	sortQueues(all.OffsetTable)
	if len(all.OffsetTable) > 0 {
		return all, nil
	}
	online, err := a.consumers(ctx, group)
	switch {
	case err != nil:
		return nil, protocol.Errorf(protocol.CodeConsumerNotOnline, "Not found the consumer group consume stats, because return offset table is empty, maybe the consumer not online")
	case online.MessageModel == protocol.Broadcasting:
		return nil, protocol.Errorf(protocol.CodeBroadcastConsumption, "Not found the consumer group consume stats, because return offset table is empty, the consumer is under the broadcast mode")
	}
	return all, nil
}

// sortQueues sorts by topic, broker and queue.
func sortQueues[V any](t protocol.QueueTable[V]) {
	slices.SortFunc(t, func(x, y protocol.QueueEntry[V]) int { return compareQueues(x.Queue, y.Queue) })
}

// groupsOf are the groups that have retry topics among topics, sorted. What pops has one for each topic too, behind the group's own name.
func groupsOf(topics []string) []string {
	var groups []string
	for _, topic := range topics {
		if group, ok := strings.CutPrefix(topic, retryPrefix); ok {
			group, _, _ = strings.Cut(group, "+")
			groups = append(groups, group)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}
