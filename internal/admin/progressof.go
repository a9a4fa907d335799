package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/spf13/cobra"
)

// progressRow is how far a group is in a queue.
type progressRow struct {
	protocol.MessageQueue
	Group         string `json:"group,omitempty"`
	BrokerOffset  int64  `json:"brokerOffset"`
	Offset        int64  `json:"consumerOffset"`
	ClientIP      string `json:"clientIp,omitempty"`
	Diff          int64  `json:"diff"`
	Inflight      int64  `json:"inflight"`
	LastTimestamp int64  `json:"lastTimestamp"`
}

func progressRows(group string, t protocol.QueueTable[protocol.OffsetWrapper]) []progressRow {
	rows := make([]progressRow, len(t))
	for i, e := range t {
		w := e.Value
		rows[i] = progressRow{MessageQueue: e.Queue, Group: group, BrokerOffset: w.BrokerOffset, Offset: w.ConsumerOffset, Diff: w.BrokerOffset - w.ConsumerOffset,
			Inflight: w.PullOffset - w.ConsumerOffset, LastTimestamp: w.LastTimestamp}
	}
	return rows
}

// groupProgress is how far a group is.
type groupProgress struct {
	Group    string        `json:"group"`
	TPS      float64       `json:"consumeTps"`
	Diff     int64         `json:"diffTotal"`
	Inflight int64         `json:"inflightTotal"`
	Queues   []progressRow `json:"queues"`
}

func (a *Admin) consumerProgress() *cobra.Command {
	var group, topic, cluster string
	var showIP bool
	c := a.command("consumerProgress", "Show how far groups are behind", func(ctx context.Context) error {
		if group == "" {
			return a.allProgress(ctx)
		}
		stats, err := a.consumeStats(ctx, cluster, group, topic)
		if err != nil {
			return err
		}
		g := groupProgress{Group: group, TPS: stats.ConsumeTPS, Queues: progressRows("", stats.OffsetTable)}
		if showIP {
			a.addClients(ctx, group, g.Queues)
		}
		for _, r := range g.Queues {
			g.Diff += r.Diff
			g.Inflight += r.Inflight
		}
		return a.show(g, func(w io.Writer) { g.print(w, showIP) })
	})
	c.Flags().StringVarP(&group, "groupName", "g", "", "`GROUP`; all unless given")
	c.Flags().StringVarP(&topic, "topicName", "t", "", "`TOPIC`; all of the group unless given")
	boolFlag(c, &showIP, "showClientIP", "s", false, "show which client has each queue")
	c.Flags().StringVarP(&cluster, "cluster", "c", "", "for a light queue: the parent `TOPIC`")
	return c
}

func (g *groupProgress) print(w io.Writer, showIP bool) {
	head, line := "%-64s  %-32s  %-4s  %-20s  %-20s  %-20s %-20s%s\n", "%-64s  %-32s  %-4d  %-20d  %-20d  %-20d %-20d %s\n"
	heads := []any{"#Topic", "#Broker Name", "#QID", "#Broker Offset", "#Consumer Offset", "#Diff", "#Inflight", "#LastTime"}
	if showIP {
		head, line = "%-64s  %-32s  %-4s  %-20s  %-20s  %-20s %-20s %-20s%s\n", "%-64s  %-32s  %-4d  %-20d  %-20d  %-20s %-20d %-20d %s\n"
		heads = []any{"#Topic", "#Broker Name", "#QID", "#Broker Offset", "#Consumer Offset", "#Client IP", "#Diff", "#Inflight", "#LastTime"}
	}
	fmt.Fprintf(w, head, heads...)
	for _, r := range g.Queues {
		last := "N/A"
		if r.LastTimestamp != 0 {
			last = timeText(r.LastTimestamp, timeSeconds)
		}
		cells := []any{clip(r.Topic, 64), clip(r.BrokerName, 32), r.QueueID, r.BrokerOffset, r.Offset}
		if showIP {
			cells = append(cells, cmp.Or(r.ClientIP, "N/A"))
		}
		fmt.Fprintf(w, line, append(cells, r.Diff, r.Inflight, last)...)
	}
	fmt.Fprintf(w, "\nConsume TPS: %.2f\nConsume Diff Total: %d\nConsume Inflight Total: %d\n", g.TPS, g.Diff, g.Inflight)
}

// addClients says which client has each queue, as far as consumers tell.
func (a *Admin) addClients(ctx context.Context, group string, rows []progressRow) {
	online, err := a.consumers(ctx, group)
	if err != nil {
		a.say("cannot say which client has which queue: %v", err)
		return
	}
	has := make(map[protocol.MessageQueue]string)
	for _, conn := range online.ConnectionSet {
		info, err := a.runningInfo(ctx, group, conn.ClientID, false)
		if err != nil {
			a.say("cannot ask %s which queues it has: %v", conn.ClientID, err)
			continue
		}
		ip, _, _ := strings.Cut(conn.ClientID, "@")
		for _, e := range info.MQTable {
			has[e.Queue] = ip
		}
	}
	for i := range rows {
		rows[i].ClientIP = has[rows[i].MessageQueue]
	}
}

// groupSummary is a group in a line.
type groupSummary struct {
	Group   string `json:"group"`
	Count   int    `json:"count"` // of consumers
	Version string `json:"version"`
	Type    string `json:"type,omitempty"`
	Model   string `json:"model,omitempty"`
	TPS     int    `json:"tps"`
	Diff    int64  `json:"diffTotal"`
}

// allProgress prints a line for each group that has a retry topic.
func (a *Admin) allProgress(ctx context.Context) error {
	topics, err := a.names.Topics(ctx)
	if err != nil {
		return err
	}
	if err := a.text("%-64s  %-6s  %-24s %-5s  %-14s  %-7s  %s\n", "#Group", "#Count", "#Version", "#Type", "#Model", "#TPS", "#Diff Total"); err != nil {
		return err
	}
	p := a.progress("groups", 0)
	defer p.end()
	for _, group := range groupsOf(topics) {
		s := a.summary(ctx, group)
		p.add(1)
		if err := a.show(s, func(w io.Writer) {
			fmt.Fprintf(w, "%-64s  %-6d  %-24s %-5s  %-14s  %-7d  %d\n", clip(s.Group, 64), s.Count, s.Version, s.Type, s.Model, s.TPS, s.Diff)
		}); err != nil {
			return err
		}
	}
	return nil
}

// summary gathers what is known of a group; who has never consumed has nothing to tell.
func (a *Admin) summary(ctx context.Context, group string) *groupSummary {
	s := &groupSummary{Group: group, Version: "OFFLINE"}
	if stats, err := a.consumeStats(ctx, "", group, ""); err == nil {
		s.TPS = int(stats.ConsumeTPS)
		for _, r := range progressRows("", stats.OffsetTable) {
			s.Diff += r.Diff
		}
	}
	online, err := a.consumers(ctx, group)
	if err != nil {
		return s
	}
	s.Count, s.Type = len(online.ConnectionSet), "PUSH"
	least := online.ConnectionSet[0].Version
	for _, conn := range online.ConnectionSet {
		least = min(least, conn.Version)
	}
	s.Version = protocol.VersionName(least)
	if online.ConsumeType == protocol.ConsumeActively {
		s.Type = "PULL"
	} else if online.ConsumeType == protocol.ConsumePassively {
		s.Model = online.MessageModel
	}
	return s
}

func (a *Admin) brokerConsumeStats() *cobra.Command {
	var broker string
	var timeout, level int64
	var order bool
	c := a.command("brokerConsumeStats", "Show how far all groups of a broker are behind", func(ctx context.Context) error {
		a.pool.Timeout = time.Duration(timeout) * time.Millisecond
		stats, err := a.pool.BrokerConsumeStats(ctx, broker, order)
		if err != nil {
			return err
		}
		rows := []progressRow{}
		for _, byGroup := range stats.ConsumeStatsList {
			for group, all := range byGroup {
				for _, s := range all {
					sortQueues(s.OffsetTable)
					for _, r := range progressRows(group, s.OffsetTable) {
						if r.Diff >= level && r.LastTimestamp > 0 {
							rows = append(rows, r)
						}
					}
				}
			}
		}
		shown := struct {
			Queues []progressRow `json:"queues"`
			Diff   int64         `json:"diffTotal"`
		}{rows, stats.TotalDiff}
		return a.show(shown, func(w io.Writer) {
			fmt.Fprintf(w, "%-64s  %-64s  %-32s  %-4s  %-20s  %-20s  %-20s  %s\n", "#Topic", "#Group", "#Broker Name", "#QID", "#Broker Offset", "#Consumer Offset", "#Diff",
				"#LastTime")
			for _, r := range rows {
				fmt.Fprintf(w, "%-64s  %-64s  %-32s  %-4d  %-20d  %-20d  %-20d  %s\n", clip(r.Topic, 64), r.Group, clip(r.BrokerName, 32), r.QueueID, r.BrokerOffset, r.Offset,
					r.Diff, timeText(r.LastTimestamp, timeSeconds))
			}
			fmt.Fprintf(w, "\nDiff Total: %d\n", stats.TotalDiff)
		})
	})
	required(c, &broker, "brokerAddr", "b", "`ADDRESS` of the broker")
	c.Flags().Int64VarP(&timeout, "timeoutMillis", "t", 50000, "wait so many `MS` for the answer")
	c.Flags().Int64VarP(&level, "level", "l", 0, "only queues in which `N` messages or more are not consumed")
	boolFlag(c, &order, "order", "o", false, "only ordered topics")
	return c
}
