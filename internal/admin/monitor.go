package admin

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// undone is what a group has not consumed yet of a topic.
type undone struct {
	Group     string `json:"consumerGroup"`
	Topic     string `json:"topic"`
	Total     int64  `json:"undoneMsgsTotal"`
	SingleMQ  int64  `json:"undoneMsgsSingleMQ"`       // of the queue with most
	DelayTime int64  `json:"undoneMsgsDelayTimeMills"` // how far the last message is behind the last consumed one, at most
}

// String prints it as Java prints UndoneMsgs.
func (u *undone) String() string {
	return fmt.Sprintf("UndoneMsgs [consumerGroup=%s, topic=%s, undoneMsgsTotal=%d, undoneMsgsSingleMQ=%d, undoneMsgsDelayTimeMills=%d]", u.Group, u.Topic, u.Total, u.SingleMQ,
		u.DelayTime)
}

// stalledConsumer is a consumer of which some queues do not go on.
type stalledConsumer struct {
	Group    string `json:"consumerGroup"`
	ClientID string `json:"clientId,omitempty"`
	What     string `json:"what"`
}

func (a *Admin) startMonitoring() *cobra.Command {
	var interval int64
	var rounds int
	c := a.command("startMonitoring", "Say again and again which groups are behind and which consumers stand still", func(ctx context.Context) error {
		return again(ctx, interval, rounds, func() error { return a.monitor(ctx) })
	})
	c.Flags().Int64Var(&interval, "interval", 60, "wait `SECONDS` before the next round")
	roundsFlag(c, &rounds)
	return c
}

// monitor is one round over all groups.
func (a *Admin) monitor(ctx context.Context) error {
	const mark = "[MONITOR] "
	if err := a.text("%s=========================================beginRound\n", mark); err != nil {
		return err
	}
	topics, err := a.names.Topics(ctx)
	if err != nil {
		return err
	}
	for _, group := range groupsOf(topics) {
		online, err := a.consumers(ctx, group)
		if err != nil {
			continue // nobody consumes: nothing to watch
		}
		if stats, err := a.consumeStats(ctx, "", group, ""); err == nil {
			for _, u := range a.undone(ctx, group, stats) {
				if err := a.show(u, func(w io.Writer) { fmt.Fprintf(w, "%sreportUndoneMsgs: %s\n", mark, u) }); err != nil {
					return err
				}
			}
		}
		for _, s := range a.stalled(ctx, group, online) {
			if err := a.show(s, func(w io.Writer) {
				client := ""
				if s.ClientID != "" {
					client = "ClientId: " + s.ClientID + ", "
				}
				fmt.Fprintf(w, "%s [NOTIFY] reportConsumerRunningInfo: ConsumerGroup: %s, %s%s\n", mark, s.Group, client, s.What)
			}); err != nil {
				return err
			}
		}
	}
	return a.text("%s=========================================endRound\n", mark)
}

// undone sums up by topic.
func (a *Admin) undone(ctx context.Context, group string, stats *protocol.ConsumeStats) []*undone {
	var all []*undone
	for _, e := range stats.OffsetTable { // sorted by topic
		if n := len(all); n == 0 || all[n-1].Topic != e.Queue.Topic {
			all = append(all, &undone{Group: group, Topic: e.Queue.Topic})
		}
		u, diff := all[len(all)-1], max(e.Value.BrokerOffset-e.Value.ConsumerOffset, 0)
		u.Total += diff
		u.SingleMQ = max(u.SingleMQ, diff)
		if e.Value.LastTimestamp <= 0 || diff == 0 {
			continue
		}
		b, err := a.brokerNamed(ctx, e.Queue.Topic, e.Queue.BrokerName)
		if err != nil {
			continue
		}
		r, err := a.readQueue(ctx, queueAt{e.Queue, b.addr}, protocol.SubscribeAll, e.Value.BrokerOffset-1, 1)
		if err == nil && len(r.found) > 0 {
			u.DelayTime = max(u.DelayTime, r.found[0].StoreTimestamp-e.Value.LastTimestamp)
		}
	}
	return all
}

// stalled asks a group's consumers what they are doing.
func (a *Admin) stalled(ctx context.Context, group string, online *protocol.ConsumerConnection) []*stalledConsumer {
	var all []running
	for _, conn := range online.ConnectionSet {
		if info, err := a.runningInfo(ctx, group, conn.ClientID, false); err == nil {
			sortRunning(info)
			all = append(all, running{Connection: conn, info: info})
		}
	}
	var found []*stalledConsumer
	if len(all) > 0 && !sameSubscriptions(all) {
		found = append(found, &stalledConsumer{Group: group, What: "Subscription different"})
	}
	for _, r := range all {
		if what := stalled(r.ClientID, r.info, time.Now()); what != "" {
			found = append(found, &stalledConsumer{group, r.ClientID, strings.TrimSuffix(what, "\n")})
		}
	}
	return found
}
