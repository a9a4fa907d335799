package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/spf13/cobra"
)

// runningInfo asks a consumer, over the first broker that has its group's retry topic.
func (a *Admin) runningInfo(ctx context.Context, group, clientID string, stacks bool) (*protocol.ConsumerRunningInfo, error) {
	brokers, err := a.brokers(ctx, retryPrefix+group)
	if err != nil {
		return nil, err
	}
	for _, b := range brokers {
		var info *protocol.ConsumerRunningInfo
		if info, err = a.pool.RunningInfo(ctx, b.addr, group, clientID, stacks); err == nil {
			return info, nil
		}
	}
	return nil, cmp.Or(err, fmt.Errorf("no broker has group %s", group))
}

// runningText is the info as Apache's tool prints it.
func runningText(info *protocol.ConsumerRunningInfo) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	p("#Consumer Properties#\n")
	for _, name := range slices.Sorted(maps.Keys(info.Properties)) {
		p("%-40s: %s\n", name, info.Properties[name])
	}
	p("\n\n#Consumer Subscription#\n")
	for i, s := range info.SubscriptionSet {
		p("%03d Topic: %-40s ClassFilter: %-8v SubExpression: %s\n", i+1, s.Topic, s.ClassFilterMode, s.SubString)
	}
	p("\n\n#Consumer Offset#\n%-64s  %-32s  %-4s  %-20s\n", "#Topic", "#Broker Name", "#QID", "#Consumer Offset")
	for _, e := range info.MQTable {
		p("%-32s  %-32s  %-4d  %-20d\n", e.Queue.Topic, e.Queue.BrokerName, e.Queue.QueueID, e.Value.CommitOffset)
	}
	p("\n\n#Consumer MQ Detail#\n%-64s  %-32s  %-4s  %-20s\n", "#Topic", "#Broker Name", "#QID", "#ProcessQueueInfo")
	for _, e := range info.MQTable {
		p("%-64s  %-32s  %-4d  %s\n", e.Queue.Topic, e.Queue.BrokerName, e.Queue.QueueID, processText(&e.Value))
	}
	p("\n\n#Consumer Pop Detail#\n%-32s  %-32s  %-4s  %-20s\n", "#Topic", "#Broker Name", "#QID", "#ProcessQueueInfo")
	for _, e := range info.MQPopTable {
		p("%-32s  %-32s  %-4d  PopProcessQueueInfo [waitAckCount:%d, droped:%v, lastPopTimestamp:%d]\n", e.Queue.Topic, e.Queue.BrokerName, e.Queue.QueueID,
			e.Value.WaitAckCount, e.Value.Dropped, e.Value.LastPopTimestamp)
	}
	p("\n\n#Consumer RT&TPS#\n%-64s  %14s %14s %14s %14s %18s %25s\n", "#Topic", "#Pull RT", "#Pull TPS", "#Consume RT", "#ConsumeOK TPS", "#ConsumeFailed TPS",
		"#ConsumeFailedMsgsInHour")
	for _, topic := range slices.Sorted(maps.Keys(info.StatusTable)) {
		s := info.StatusTable[topic]
		p("%-32s  %14.2f %14.2f %14.2f %14.2f %18.2f %25d\n", topic, s.PullRT, s.PullTPS, s.ConsumeRT, s.ConsumeOKTPS, s.ConsumeFailedTPS, s.ConsumeFailedMsgs)
	}
	if info.UserConsumerInfo != nil {
		p("\n\n#User Consume Info#\n")
		for _, name := range slices.Sorted(maps.Keys(info.UserConsumerInfo)) {
			p("%-40s: %s\n", name, info.UserConsumerInfo[name])
		}
	}
	if info.JStack != "" {
		p("\n\n#Consumer jstack#\n%s", info.JStack)
	}
	return b.String()
}

func processText(q *protocol.ProcessQueueInfo) string {
	return fmt.Sprintf("ProcessQueueInfo [commitOffset=%d, cachedMsgMinOffset=%d, cachedMsgMaxOffset=%d, cachedMsgCount=%d, cachedMsgSizeInMiB=%d, "+
		"transactionMsgMinOffset=%d, transactionMsgMaxOffset=%d, transactionMsgCount=%d, locked=%v, tryUnlockTimes=%d, lastLockTimestamp=%s, droped=%v, "+
		"lastPullTimestamp=%s, lastConsumeTimestamp=%s]", q.CommitOffset, q.CachedMsgMinOffset, q.CachedMsgMaxOffset, q.CachedMsgCount, q.CachedMsgSizeInMiB,
		q.TransactionMsgMinOffset, q.TransactionMsgMaxOffset, q.TransactionMsgCount, q.Locked, q.TryUnlockTimes, timeText(q.LastLockTimestamp, timeDigits), q.Dropped,
		timeText(q.LastPullTimestamp, timeDigits), timeText(q.LastConsumeTimestamp, timeDigits))
}

// queueRow is a queue and what a consumer has of it, for machines.
type queueRow[V any] struct {
	protocol.MessageQueue
	State V `json:"state"`
}

func queueRows[V any](t protocol.QueueTable[V]) []queueRow[V] {
	rows := make([]queueRow[V], len(t))
	for i, e := range t {
		rows[i] = queueRow[V]{e.Queue, e.Value}
	}
	return rows
}

// shownRunning is ConsumerRunningInfo for machines; by queue it is lists, for the wire's form is not JSON.
type shownRunning struct {
	ClientID         string                                   `json:"clientId"`
	Properties       map[string]string                        `json:"properties"`
	SubscriptionSet  []*protocol.SubscriptionData             `json:"subscriptionSet"`
	Queues           []queueRow[protocol.ProcessQueueInfo]    `json:"queues"`
	PopQueues        []queueRow[protocol.PopProcessQueueInfo] `json:"popQueues"`
	StatusTable      map[string]protocol.ConsumerTopicStatus  `json:"statusTable"`
	UserConsumerInfo map[string]string                        `json:"userConsumerInfo,omitempty"`
	JStack           string                                   `json:"jstack,omitempty"`
}

func showRunning(id string, i *protocol.ConsumerRunningInfo) *shownRunning {
	return &shownRunning{id, i.Properties, i.SubscriptionSet, queueRows(i.MQTable), queueRows(i.MQPopTable), i.StatusTable, i.UserConsumerInfo, i.JStack}
}

// running is a consumer and what it says of itself.
type running struct {
	protocol.Connection
	info *protocol.ConsumerRunningInfo
	text string
	path string
}

func (a *Admin) consumerStatus() *cobra.Command {
	var group, clientID, broker string
	var stacks bool
	c := a.command("consumerStatus", "Show what a group's consumers are doing", func(ctx context.Context) error {
		if clientID != "" {
			info, err := a.runningInfo(ctx, group, clientID, stacks)
			if err != nil {
				return err
			}
			sortRunning(info)
			return a.show(showRunning(clientID, info), func(w io.Writer) { io.WriteString(w, runningText(info)) })
		}
		online, err := a.consumersOf(ctx, group, broker)
		if err != nil {
			return err
		}
		var all []running
		dir := strconv.FormatInt(time.Now().UnixMilli(), 10)
		for _, conn := range online.ConnectionSet {
			info, err := a.runningInfo(ctx, group, conn.ClientID, stacks)
			if err != nil {
				a.say("cannot ask %s: %v", conn.ClientID, err)
				continue
			}
			sortRunning(info)
			r := running{conn, info, runningText(info), filepath.Join(dir, filepath.Base(conn.ClientID))}
			if err := a.saveRunning(&r); err != nil {
				return err
			}
			all = append(all, r)
		}
		shown := make([]*shownRunning, len(all))
		for i, r := range all {
			shown[i] = showRunning(r.ClientID, r.info)
		}
		if err := a.show(shown, func(w io.Writer) { printRunning(w, all) }); err != nil {
			return err
		}
		if len(all) < len(online.ConnectionSet) {
			return fmt.Errorf("%d of %d consumers did not say what they are doing", len(online.ConnectionSet)-len(all), len(online.ConnectionSet))
		}
		return nil
	})
	required(c, &group, "consumerGroup", "g", "`GROUP`")
	c.Flags().StringVarP(&clientID, "clientId", "i", "", "`ID` of a consumer; all of the group unless given")
	c.Flags().StringVarP(&broker, "brokerAddr", "b", "", "`ADDRESS` of the broker whose consumers are meant")
	c.Flags().BoolVarP(&stacks, "jstack", "s", false, "show the stacks of their threads too")
	return c
}

// consumersOf are the consumers of a group that a broker knows, or that any knows when addr is empty.
func (a *Admin) consumersOf(ctx context.Context, group, addr string) (*protocol.ConsumerConnection, error) {
	if addr != "" {
		return a.consumersAt(ctx, addr, group)
	}
	return a.consumers(ctx, group)
}

// sortRunning puts everything into the order in which Java keeps it.
func sortRunning(info *protocol.ConsumerRunningInfo) {
	sortQueues(info.MQTable)
	sortQueues(info.MQPopTable)
	slices.SortFunc(info.SubscriptionSet, func(x, y *protocol.SubscriptionData) int {
		return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.SubString, y.SubString))
	})
}

// saveRunning writes the text into a file below the current folder, as Apache's tool does.
func (a *Admin) saveRunning(r *running) error {
	if a.json {
		return nil
	}
	path := filepath.Join(a.folder, r.path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("cannot make a folder for what consumers say: %w", err)
	}
	if err := os.WriteFile(path, []byte(r.text), 0o644); err != nil {
		return fmt.Errorf("cannot write what consumer %s says: %w", r.ClientID, err)
	}
	return nil
}

func printRunning(w io.Writer, all []running) {
	fmt.Fprintf(w, "%-10s %-40s %-20s %s\n", "#Index", "#ClientId", "#Version", "#ConsumerRunningInfoFile")
	for i, r := range all {
		fmt.Fprintf(w, "%-10d %-40s %-20s %s\n", i+1, r.ClientID, protocol.VersionName(r.Version), r.path)
	}
	if len(all) == 0 {
		return
	}
	if !sameSubscriptions(all) {
		fmt.Fprint(w, "\n\nWARN: Different subscription in the same group of consumer!!!")
		return
	}
	fmt.Fprint(w, "\n\nSame subscription in the same group of consumer\n\nRebalance OK\n")
	for _, r := range all {
		io.WriteString(w, stalled(r.ClientID, r.info, time.Now()))
	}
}

// sameSubscriptions is false when push consumers of a group subscribe to different things: then each loses messages. Just after a start it is true.
func sameSubscriptions(all []running) bool {
	first := all[0].info
	began, _ := strconv.ParseInt(first.Properties[protocol.RunningStartTime], 10, 64)
	if first.Properties[protocol.RunningConsumeType] != protocol.ConsumePassively || time.Since(time.UnixMilli(began)) <= 2*time.Minute {
		return true
	}
	same := func(x, y *protocol.SubscriptionData) bool {
		return x.Topic == y.Topic && x.SubString == y.SubString && x.ExpressionType == y.ExpressionType
	}
	for _, r := range all[1:] {
		if !slices.EqualFunc(r.info.SubscriptionSet, first.SubscriptionSet, same) {
			return false
		}
	}
	return true
}

// stalled says which queues of a push consumer do not go on.
func stalled(id string, info *protocol.ConsumerRunningInfo, now time.Time) string {
	if info.Properties[protocol.RunningConsumeType] != protocol.ConsumePassively {
		return ""
	}
	var b strings.Builder
	for _, e := range info.MQTable {
		q, since := &e.Value, func(ms int64) int64 { return now.UnixMilli() - ms }
		switch {
		case info.Properties[protocol.RunningOrderly] == "true":
			if !q.Locked {
				fmt.Fprintf(&b, "%s %s can't lock for a while, %dms\n", id, javaQueue(e.Queue), since(q.LastLockTimestamp))
			} else if q.Dropped && q.TryUnlockTimes > 0 {
				fmt.Fprintf(&b, "%s %s unlock %d times, still failed\n", id, javaQueue(e.Queue), q.TryUnlockTimes)
			}
		case since(q.LastConsumeTimestamp) > time.Minute.Milliseconds() && q.CachedMsgCount > 0:
			fmt.Fprintf(&b, "%s %s can't consume for a while, maybe blocked, %dms\n", id, javaQueue(e.Queue), since(q.LastConsumeTimestamp))
		}
	}
	return b.String()
}
