package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/client"
)

func (a *Admin) queryMsgTraceById() *cobra.Command {
	var f keyFlags
	var id, topic string
	c := a.command("queryMsgTraceById", "Show what clients traced of a message", func(ctx context.Context) error {
		all, err := a.queryMessages(ctx, "", &client.Query{Topic: topic, Key: id, Kind: "K", Max: f.most, Begin: time.UnixMilli(f.begin), End: time.UnixMilli(f.end)})
		if err != nil {
			return err
		}
		var traces []clientTrace
		for _, m := range all {
			traces = append(traces, readTraces(string(m.Body), id, m.BornHost.Addr().String())...)
		}
		return a.show(traces, func(w io.Writer) { printTraces(w, traces) })
	})
	c.Aliases = []string{"QueryMsgTraceById"}
	required(c, &id, "msgId", "i", "`ID` of the message")
	c.Flags().StringVarP(&topic, "traceTopic", "t", defaultTrace, "`TOPIC` that clients trace to")
	f.add(c, "c")
	return c
}

// printTraces prints who has sent the message, and who consumed it, by group.
func printTraces(w io.Writer, all []clientTrace) {
	const columns = "%-10s %-20s %-20s %-20s %-10s %-10s\n"
	row := func(kind string, t *clientTrace) {
		status := "failed"
		if t.Success {
			status = "success"
		}
		fmt.Fprintf(w, columns, kind, t.Group, t.Host, timeText(t.Time, timeSeconds), fmt.Sprintf("%dms", t.CostMS), status)
	}
	var subs []clientTrace
	for i := range all {
		switch t := &all[i]; t.Kind {
		case "Pub":
			fmt.Fprintf(w, columns, "#Type", "#ProducerGroup", "#ClientHost", "#SendTime", "#CostTimes", "#Status")
			row("Pub", t)
			fmt.Fprintln(w)
		case "SubAfter":
			subs = append(subs, *t)
		}
	}
	slices.SortStableFunc(subs, func(x, y clientTrace) int {
		return cmp.Or(strings.Compare(x.Group, y.Group), cmp.Compare(x.Time, y.Time))
	})
	for i := range subs {
		if i == 0 || subs[i].Group != subs[i-1].Group {
			fmt.Fprintf(w, columns, "#Type", "#ConsumerGroup", "#ClientHost", "#ConsumerTime", "#CostTimes", "#Status")
		}
		row("Sub", &subs[i])
		if i == len(subs)-1 || subs[i].Group != subs[i+1].Group {
			fmt.Fprintln(w)
		}
	}
}
