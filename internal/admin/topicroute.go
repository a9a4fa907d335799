package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

func (a *Admin) topicRoute() *cobra.Command {
	var topic string
	var list bool
	c := a.command("topicRoute", "Show on which brokers a topic is", func(ctx context.Context) error {
		route, err := a.names.RouteByTopic(ctx, topic)
		if err != nil {
			return err
		}
		return a.show(route, func(w io.Writer) {
			if list {
				printRoute(w, route)
				return
			}
			text, _ := fastjson.MarshalIndent(route) // it was read from JSON
			fmt.Fprintf(w, "%s\n", text)
		})
	})
	required(c, &topic, "topic", "t", "`TOPIC`")
	c.Flags().BoolVarP(&list, "list", "l", false, "print a table")
	return c
}

// printRoute prints a broker a line, and their sums.
func printRoute(w io.Writer, route *protocol.TopicRoute) {
	const columns = "%-45s %-32s %-50s %-10v %-11v %-5v\n"
	queues := make(map[string]protocol.QueueData)
	for _, q := range route.QueueDatas {
		queues[q.BrokerName] = q
	}
	var sum protocol.QueueData
	fmt.Fprintf(w, columns, "#ClusterName", "#BrokerName", "#BrokerAddrs", "#ReadQueue", "#WriteQueue", "#Perm")
	for _, b := range slices.SortedFunc(slices.Values(route.BrokerDatas), func(x, y *protocol.BrokerData) int { return cmp.Compare(x.BrokerName, y.BrokerName) }) {
		q := queues[b.BrokerName]
		sum.ReadQueueNums += q.ReadQueueNums
		sum.WriteQueueNums += q.WriteQueueNums
		fmt.Fprintf(w, columns, b.Cluster, b.BrokerName, members(b.BrokerAddrs), q.ReadQueueNums, q.WriteQueueNums, q.Perm)
	}
	fmt.Fprintln(w, strings.Repeat("-", 158))
	fmt.Fprintf(w, columns, "Total:", fmt.Sprint(len(queues)), "", sum.ReadQueueNums, sum.WriteQueueNums, "")
}

// members is a map of addresses by broker id as Java prints it: {0=10.0.0.1:10911, 1=10.0.0.2:10911}.
func members(addrs map[int64]string) string {
	var list []string
	for _, id := range slices.Sorted(maps.Keys(addrs)) {
		list = append(list, fmt.Sprintf("%d=%s", id, addrs[id]))
	}
	return "{" + strings.Join(list, ", ") + "}"
}
