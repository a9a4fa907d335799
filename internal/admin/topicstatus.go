package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

func (a *Admin) topicStatus() *cobra.Command {
	var topic, routeOf string
	c := a.command("topicStatus", "Show how many messages the queues of a topic have", func(ctx context.Context) error {
		stats, err := a.topicStats(ctx, topic, routeOf)
		if err != nil {
			return err
		}
		return a.show(struct {
			OffsetTable []queueStatus `json:"queues"`
			TopicPutTPS float64       `json:"topicPutTps"`
		}{queueStatuses(stats), stats.TopicPutTPS}, func(w io.Writer) { printTopicStatus(w, stats) })
	})
	required(c, &topic, "topic", "t", "`TOPIC`")
	c.Flags().StringVarP(&routeOf, "cluster", "c", "", "`CLUSTER`, or parent topic of a light topic, whose brokers are asked")
	return c
}

// queueStatus is a queue's offsets as JSON that any program can read.
type queueStatus struct {
	protocol.MessageQueue
	protocol.TopicOffset
}

func queueStatuses(stats *protocol.TopicStats) []queueStatus {
	list := []queueStatus{}
	for _, q := range stats.OffsetTable {
		list = append(list, queueStatus{q.Queue, q.Value})
	}
	return list
}

// topicStats puts together what all brokers of a topic have of it. With routeOf, the brokers of that topic are asked.
func (a *Admin) topicStats(ctx context.Context, topic, routeOf string) (*protocol.TopicStats, error) {
	routeOf = cmp.Or(routeOf, topic)
	route, err := a.names.RouteByTopic(ctx, routeOf)
	if err != nil {
		return nil, err
	}
	var all protocol.TopicStats
	for _, b := range route.BrokerDatas {
		addr := b.Pick()
		if addr == "" {
			continue
		}
		stats, err := a.pool.TopicStats(ctx, addr, topic)
		if err != nil {
			return nil, err
		}
		all.OffsetTable = append(all.OffsetTable, stats.OffsetTable...)
		all.TopicPutTPS += stats.TopicPutTPS
	}
	if len(route.TopicQueueMappingByBroker) > 0 && routeOf == topic {
		if err := a.addStaticStats(ctx, topic, route, &all); err != nil {
			return nil, err
		}
	}
	if len(all.OffsetTable) == 0 {
		return nil, fmt.Errorf("topic %s: Not found the topic stats info", topic)
	}
	return &all, nil
}

func printTopicStatus(w io.Writer, stats *protocol.TopicStats) {
	const columns = "%-32s  %-4v  %-20v  %-20v    %s\n"
	fmt.Fprintf(w, columns, "#Broker Name", "#QID", "#Min Offset", "#Max Offset", "#Last Updated")
	for _, q := range sortedQueues(stats.OffsetTable) {
		updated := ""
		if q.Value.LastUpdateTimestamp > 0 {
			updated = timeText(q.Value.LastUpdateTimestamp, timeMillis)
		}
		fmt.Fprintf(w, columns, clip(q.Queue.BrokerName, 32), q.Queue.QueueID, q.Value.MinOffset, q.Value.MaxOffset, updated)
	}
	fmt.Fprintf(w, "\nTopic Put TPS: %s\n", javaDouble(stats.TopicPutTPS))
}

// sortedQueues is a table in the order of its queues.
func sortedQueues[V any](t protocol.QueueTable[V]) protocol.QueueTable[V] {
	t = slices.Clone(t)
	sortQueues(t)
	return t
}

// compareQueues orders queues by topic, broker and number.
func compareQueues(x, y protocol.MessageQueue) int {
	return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.BrokerName, y.BrokerName), cmp.Compare(x.QueueID, y.QueueID))
}

func (a *Admin) topicClusterList() *cobra.Command {
	var topic string
	c := a.command("topicClusterList", "Show which clusters have a topic", func(ctx context.Context) error {
		info, err := a.names.ClusterInfo(ctx)
		if err != nil {
			return err
		}
		route, err := a.names.RouteByTopic(ctx, topic)
		if err != nil {
			return err
		}
		clusters := clustersOf(info, route)
		return a.show(clusters, func(w io.Writer) {
			for _, name := range clusters {
				fmt.Fprintln(w, name)
			}
		})
	})
	required(c, &topic, "topic", "t", "`TOPIC`")
	return c
}

// clustersOf lists the clusters whose brokers are in a route.
func clustersOf(info *protocol.ClusterInfo, route *protocol.TopicRoute) []string {
	clusters := []string{}
	for _, name := range slices.Sorted(maps.Keys(info.ClusterAddrTable)) {
		if slices.ContainsFunc(route.BrokerDatas, func(b *protocol.BrokerData) bool { return slices.Contains(info.ClusterAddrTable[name], b.BrokerName) }) {
			clusters = append(clusters, name)
		}
	}
	return clusters
}

// listedTopic is a line of topicList -c.
type listedTopic struct {
	Cluster string   `json:"cluster"`
	Topic   string   `json:"topic"`
	Groups  []string `json:"groups"`
}

func (a *Admin) topicList() *cobra.Command {
	var withClusters bool
	c := a.command("topicList", "List all topics", func(ctx context.Context) error {
		topics, err := a.names.Topics(ctx)
		if err != nil {
			return err
		}
		slices.Sort(topics)
		if withClusters {
			return a.listTopics(ctx, topics)
		}
		return a.show(topics, func(w io.Writer) {
			for _, topic := range topics {
				fmt.Fprintln(w, topic)
			}
		})
	})
	c.Flags().BoolVarP(&withClusters, "clusterModel", "c", false, "show the cluster and the groups of each topic")
	return c
}

func (a *Admin) listTopics(ctx context.Context, topics []string) error {
	info, err := a.names.ClusterInfo(ctx)
	if err != nil {
		return err
	}
	list := []listedTopic{}
	p := a.progress("topics looked at", int64(len(topics)))
	for _, topic := range topics {
		p.add(1)
		if isGroupTopic(topic) {
			continue
		}
		one := listedTopic{Topic: topic, Groups: []string{}}
		if route, err := a.names.RouteByTopic(ctx, topic); err == nil {
			if clusters := clustersOf(info, route); len(clusters) > 0 {
				one.Cluster = clusters[0]
			}
			if groups, err := a.routeGroups(ctx, route, topic); err == nil {
				one.Groups = append(one.Groups, groups...)
			}
		}
		list = append(list, one)
	}
	p.end()
	return a.show(list, func(w io.Writer) {
		fmt.Fprintf(w, "%-20s  %-48s  %-48s\n", "#Cluster Name", "#Topic", "#Consumer Group")
		for _, t := range list {
			groups := t.Groups
			if len(groups) == 0 {
				groups = []string{""}
			}
			for _, group := range groups {
				fmt.Fprintf(w, "%-20s  %-64s  %-64s\n", clip(t.Cluster, 20), clip(t.Topic, 64), clip(group, 64))
			}
		}
	})
}

// routeGroups are the groups of a topic as the first broker of its route that has an address knows them.
func (a *Admin) routeGroups(ctx context.Context, route *protocol.TopicRoute, topic string) ([]string, error) {
	for _, b := range route.BrokerDatas {
		if addr := b.Pick(); addr != "" {
			groups, err := a.pool.TopicGroups(ctx, addr, topic)
			slices.Sort(groups)
			return groups, err
		}
	}
	return nil, nil
}
