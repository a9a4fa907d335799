package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// queueAt is a queue and where its broker is.
type queueAt struct {
	protocol.MessageQueue
	addr string
}

// queues lists the queues of a topic that allow perm, sorted. Light queues and some of the system have no route of their own: then
// routeTopic names a topic that lies on the same brokers.
func (a *Admin) queues(ctx context.Context, topic, routeTopic string, perm int32) ([]queueAt, error) {
	route, err := a.names.RouteByTopic(ctx, cmp.Or(routeTopic, topic))
	if err != nil {
		return nil, err
	}
	addrs := make(map[string]string)
	for _, b := range route.BrokerDatas {
		addrs[b.BrokerName] = b.Pick()
	}
	var all []queueAt
	for _, d := range route.QueueDatas {
		n := d.ReadQueueNums
		if perm == protocol.PermWrite {
			n = d.WriteQueueNums
		}
		if d.Perm&perm == 0 || addrs[d.BrokerName] == "" {
			continue
		}
		for id := range n {
			all = append(all, queueAt{protocol.MessageQueue{Topic: topic, BrokerName: d.BrokerName, QueueID: id}, addrs[d.BrokerName]})
		}
	}
	slices.SortFunc(all, func(x, y queueAt) int { return compareQueues(x.MessageQueue, y.MessageQueue) })
	return all, nil
}

// brokers lists a broker of each group that has a topic, the master where there is one, sorted by name.
func (a *Admin) brokers(ctx context.Context, topic string) ([]member, error) {
	route, err := a.names.RouteByTopic(ctx, topic)
	if err != nil {
		return nil, err
	}
	var all []member
	for _, b := range route.BrokerDatas {
		if addr := b.Pick(); addr != "" {
			all = append(all, member{cluster: b.Cluster, name: b.BrokerName, addr: addr})
		}
	}
	slices.SortFunc(all, func(x, y member) int { return cmp.Compare(x.name, y.name) })
	return all, nil
}

// brokerNamed is the one of a topic's brokers that has this name.
func (a *Admin) brokerNamed(ctx context.Context, topic, name string) (member, error) {
	all, err := a.brokers(ctx, topic)
	if err != nil {
		return member{}, err
	}
	var names []string
	for _, b := range all {
		if b.name == name {
			return b, nil
		}
		names = append(names, b.name)
	}
	return member{}, fmt.Errorf("the broker[%s] not exist: topic %s is on %s", name, topic, listed(names))
}

// routeTopicOf is the topic whose route leads to a topic: its own, but for light queues and the timer's, which have none, the one that stands for
// it where Apache's tool takes a cluster's name.
func routeTopicOf(topic, instead string) string {
	if instead != "" && (strings.HasPrefix(topic, lightPrefix) || topic == topicTimer) {
		return instead
	}
	return topic
}
