package admin

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

func (a *Admin) allocateMQ() *cobra.Command {
	var topic, ips string
	c := a.command("allocateMQ", "Show which queues consumers would get", func(ctx context.Context) error {
		route, err := a.names.RouteByTopic(ctx, topic)
		if err != nil {
			return err
		}
		clients := strings.Split(ips, ",")
		result := map[string]any{"result": allocate(readableQueues(topic, route), clients)}
		return a.show(result, func(w io.Writer) {
			text, _ := fastjson.MarshalStandard(result) // strings and numbers
			fmt.Fprintf(w, "%s\n", text)
		})
	})
	required(c, &topic, "topic", "t", "`TOPIC`")
	required(c, &ips, "ipList", "i", "`CLIENTS`, separated by commas")
	return c
}

// queuesMax bounds how many queues of a broker's topic are believed.
const queuesMax = 1 << 16

// readableQueues lists the queues of a topic that can be read; of a static topic the logical ones.
func readableQueues(topic string, route *protocol.TopicRoute) []protocol.MessageQueue {
	var all []protocol.MessageQueue
	if len(route.TopicQueueMappingByBroker) > 0 {
		for _, m := range route.TopicQueueMappingByBroker {
			for id := range m.CurrIDMap {
				all = append(all, protocol.MessageQueue{Topic: topic, BrokerName: logicalBroker(m.Scope), QueueID: id})
			}
		}
	} else {
		for _, q := range route.QueueDatas {
			for id := int32(0); id < min(q.ReadQueueNums, queuesMax) && q.Perm&protocol.PermRead != 0; id++ {
				all = append(all, protocol.MessageQueue{Topic: topic, BrokerName: q.BrokerName, QueueID: id})
			}
		}
	}
	slices.SortFunc(all, compareQueues)
	return slices.Compact(all)
}

// allocate gives each client its share of the queues, as consumers do among themselves with the strategy AVG.
func allocate(queues []protocol.MessageQueue, clients []string) map[string][]protocol.MessageQueue {
	shares := make(map[string][]protocol.MessageQueue)
	each, rest := len(queues)/len(clients), len(queues)%len(clients)
	at := 0
	for i, client := range clients {
		n := each
		if i < rest {
			n++
		}
		share := append([]protocol.MessageQueue{}, queues[at:at+n]...)
		if _, twice := shares[client]; !twice {
			shares[client] = share
		}
		at += n
	}
	return shares
}
