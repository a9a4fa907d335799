package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

func (a *Admin) queryCq() *cobra.Command {
	var topic, broker, group string
	h := &protocol.QueryConsumeQueueHeader{}
	c := a.command("queryCq", "Show entries of a consume queue", func(ctx context.Context) error {
		h.Topic = topic
		if group != "" {
			h.ConsumerGroup = &group
		}
		if broker == "" {
			all, err := a.brokers(ctx, topic)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				return errors.New("no topic route data")
			}
			broker = all[0].addr
		}
		body, err := a.pool.ConsumeQueue(ctx, broker, h)
		if err != nil {
			return err
		}
		return a.show(body, func(w io.Writer) { printConsumeQueue(w, body, h.Index) })
	})
	required(c, &topic, "topic", "t", "`TOPIC`")
	c.Flags().Int32VarP(&h.QueueID, "queue", "q", 0, "`ID` of the queue")
	c.Flags().Int64VarP(&h.Index, "index", "i", 0, "`OFFSET` in the queue to begin at")
	c.Flags().Int32VarP(&h.Count, "count", "c", 10, "`N` entries")
	c.Flags().StringVarP(&broker, "broker", "b", "", "`ADDRESS` of the broker; the first of the topic unless given")
	c.Flags().StringVarP(&group, "consumer", "g", "", "show what this `GROUP` filters by, too")
	need(c, "queue", "index")
	return c
}

func printConsumeQueue(w io.Writer, body *protocol.ConsumeQueueBody, index int64) {
	const line = "======================================\n"
	if body.SubscriptionData != nil {
		text, _ := fastjson.MarshalStandard(body.SubscriptionData) // it was read from JSON
		o, _ := readObject(text)
		fmt.Fprint(w, "Subscription data: \n")
		o.print(w, 0)
		fmt.Fprint(w, "\n", line)
	}
	if body.FilterData != nil {
		fmt.Fprintf(w, "Filter data: \n%s\n%s", *body.FilterData, line)
	}
	fmt.Fprintf(w, "Queue data: \nmax: %d, min: %d\n%s", body.MaxQueueIndex, body.MinQueueIndex, line)
	for i, e := range body.QueueData {
		fmt.Fprintf(w, "idx: %d\nConsumeQueueData{physicOffset=%d, physicSize=%d, tagsCode=%d, extendDataJson='%s', bitMap='%s', eval=%v, msg='%s'}\n%s", index+int64(i), e.PhysicOffset,
			e.PhysicSize, e.TagsCode, cmp.Or(e.ExtendDataJSON, "null"), cmp.Or(e.BitMap, "null"), e.Eval, cmp.Or(e.Msg, "null"), line)
	}
}
