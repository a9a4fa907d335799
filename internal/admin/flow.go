package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// topicFlow is a line of statsAll. Group is empty when nobody consumes the topic.
type topicFlow struct {
	Topic         string  `json:"topic"`
	Group         string  `json:"group"`
	Accumulation  int64   `json:"accumulation"`
	InTPS         float64 `json:"inTps"`
	OutTPS        float64 `json:"outTps"`
	InMsg24Hours  int64   `json:"inMsg24Hour"`
	OutMsg24Hours int64   `json:"outMsg24Hour"`
}

func (a *Admin) statsAll() *cobra.Command {
	var active bool
	var only string
	c := a.command("statsAll", "Show how much comes and goes by topic and group", func(ctx context.Context) error {
		topics, err := a.names.Topics(ctx)
		if err != nil {
			return err
		}
		slices.Sort(topics)
		topics = slices.DeleteFunc(topics, func(topic string) bool {
			return isGroupTopic(topic) || only != "" && topic != only
		})
		flows := []topicFlow{}
		p := a.progress("topics looked at", int64(len(topics)))
		for _, topic := range topics {
			some, err := a.flows(ctx, topic)
			if ctx.Err() != nil {
				return ctx.Err()
			} else if err != nil {
				a.say("%v", err) // the others are worth showing
			}
			flows = append(flows, some...)
			p.add(1)
		}
		p.end()
		if active {
			flows = slices.DeleteFunc(flows, func(f topicFlow) bool { return f.InMsg24Hours == 0 && f.OutMsg24Hours == 0 })
		}
		return a.show(flows, func(w io.Writer) {
			fmt.Fprintf(w, "%-64s  %-64s %12s %11s %11s %14s %14s\n", "#Topic", "#Consumer Group", "#Accumulation", "#InTPS", "#OutTPS", "#InMsg24Hour", "#OutMsg24Hour")
			for _, f := range flows {
				if f.Group == "" {
					fmt.Fprintf(w, "%-64s  %-64s %12d %11.2f %11s %14d %14s\n", clip(f.Topic, 64), "", 0, f.InTPS, "", f.InMsg24Hours, "NO_CONSUMER")
				} else {
					fmt.Fprintf(w, "%-64s  %-64s %12d %11.2f %11.2f %14d %14d\n", clip(f.Topic, 64), clip(f.Group, 64), f.Accumulation, f.InTPS, f.OutTPS, f.InMsg24Hours, f.OutMsg24Hours)
				}
			}
		})
	})
	c.Flags().BoolVarP(&active, "activeTopic", "a", false, "only topics that something was sent to or read from")
	c.Flags().StringVarP(&only, "topic", "t", "", "only this `TOPIC`")
	return c
}

// flows returns the lines of a topic.
func (a *Admin) flows(ctx context.Context, topic string) ([]topicFlow, error) {
	route, err := a.names.RouteByTopic(ctx, topic)
	if err != nil {
		return nil, err
	}
	groups, err := a.routeGroups(ctx, route, topic)
	if err != nil {
		return nil, err
	}
	var masters []string
	in := topicFlow{Topic: topic}
	for _, b := range route.BrokerDatas {
		if addr := b.BrokerAddrs[protocol.MasterID]; addr != "" {
			masters = append(masters, addr)
			s := a.statsOf(ctx, addr, client.TopicPutNums, topic)
			in.InTPS += s.Minute.TPS
			in.InMsg24Hours += daySum(s)
		}
	}
	if len(groups) == 0 {
		return []topicFlow{in}, nil
	}
	var flows []topicFlow
	for _, group := range groups {
		f := in
		f.Group = group
		for _, addr := range masters {
			s := a.statsOf(ctx, addr, client.GroupGetNums, topic+"@"+group)
			f.OutTPS += s.Minute.TPS
			f.OutMsg24Hours += daySum(s)
			if stats, err := a.pool.ConsumeStats(ctx, addr, group, topic); err == nil {
				for _, q := range stats.OffsetTable {
					f.Accumulation += q.Value.BrokerOffset - q.Value.ConsumerOffset
				}
			}
		}
		f.Accumulation = max(f.Accumulation, 0)
		flows = append(flows, f)
	}
	return flows, nil
}

// statsOf returns how a counter grows, zeros for one that a broker does not have.
func (a *Admin) statsOf(ctx context.Context, addr, name, key string) *protocol.BrokerStatsData {
	if s, err := a.pool.BrokerStats(ctx, addr, name, key); err == nil {
		return s
	}
	return &protocol.BrokerStatsData{}
}

// daySum is by how much a counter has grown in a day, or in as much of it as there is.
func daySum(s *protocol.BrokerStatsData) int64 {
	return cmp.Or(s.Day.Sum, s.Hour.Sum, s.Minute.Sum)
}
