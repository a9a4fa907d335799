package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

func (a *Admin) brokerCommands() []*cobra.Command {
	return []*cobra.Command{a.updateBrokerConfig(), a.getBrokerConfig(), a.brokerStatus(), a.clusterList(), a.producer(),
		a.haStatus(), a.getBrokerEpoch(), a.resetMasterFlushOffset(), a.addBroker(), a.removeBroker(),
		a.clean("cleanExpiredCQ", "Delete consume queue files whose messages are gone", "delete expired consume queue files", (*Admin).cleanQueues),
		a.clean("deleteExpiredCommitLog", "Delete commit log files that are old enough now, not only at night", "delete expired commit log files", (*Admin).cleanLog),
		a.clean("cleanUnusedTopic", "Delete the queues of topics that a broker does not have", "delete the consume queues of topics that are unknown, Liftoff also the consumer offsets in them,", (*Admin).cleanTopics)}
}

func (a *Admin) updateBrokerConfig() *cobra.Command {
	var to target
	var key, value string
	var all, dry bool
	c := a.command("updateBrokerConfig", "Set a key of a broker's configuration", func(ctx context.Context) error {
		find := a.masters
		if all {
			find = a.members
		}
		brokers, err := find(ctx, to)
		if err != nil {
			return err
		}
		changes, err := configChanges(ctx, addresses(brokers), key, value, a.pool.BrokerConfig, a.pool.UpdateBrokerConfig)
		if err != nil {
			return err
		}
		if err := a.carry(ctx, dry, changes); err != nil || dry {
			return err
		}
		return a.show(map[string]any{"brokers": addresses(brokers), "key": key, "value": value}, func(w io.Writer) {
			for _, m := range brokers {
				fmt.Fprintf(w, "update broker config success, %s\n", m.addr)
			}
		})
	})
	to.either(c)
	boolFlag(c, &all, "updateAllBroker", "a", false, "whether slaves are changed too")
	required(c, &key, "key", "k", "`KEY`")
	required(c, &value, "value", "v", "`VALUE`")
	dryRunFlag(c, &dry)
	return c
}

func (a *Admin) getBrokerConfig() *cobra.Command {
	var to target
	c := a.command("getBrokerConfig", "Show the configuration of brokers", func(ctx context.Context) error {
		brokers, err := a.members(ctx, to)
		if err != nil {
			return err
		}
		all := make(map[string]map[string]string)
		for _, m := range brokers {
			if all[m.addr], err = a.pool.BrokerConfig(ctx, m.addr); err != nil {
				return err
			}
		}
		return a.show(all, func(w io.Writer) {
			master := "NO_MASTER"
			for _, m := range brokers {
				if m.id == protocol.MasterID {
					master = m.addr
				}
				switch {
				case to.broker != "":
					fmt.Fprintf(w, "============%s============\n", m.addr)
				case m.id == protocol.MasterID:
					fmt.Fprintf(w, "============Master: %s============\n", m.addr)
				default:
					fmt.Fprintf(w, "============My Master: %s=====Slave: %s============\n", master, m.addr)
				}
				printConfig(w, all[m.addr])
				fmt.Fprintln(w)
			}
		})
	})
	to.either(c)
	return c
}

func (a *Admin) brokerStatus() *cobra.Command {
	var to target
	c := a.command("brokerStatus", "Show what brokers say of themselves", func(ctx context.Context) error {
		brokers, err := a.members(ctx, to)
		if err != nil {
			return err
		}
		all := make(map[string]map[string]string)
		var failed []error
		for _, m := range brokers {
			info, err := a.pool.RuntimeInfo(ctx, m.addr)
			if err != nil {
				failed = append(failed, err)
				continue
			}
			all[m.addr] = info
		}
		err = a.show(all, func(w io.Writer) {
			for _, m := range brokers {
				for _, key := range slices.Sorted(maps.Keys(all[m.addr])) {
					if to.broker == "" {
						fmt.Fprintf(w, "%-24s ", m.addr)
					}
					fmt.Fprintf(w, "%-32s: %s\n", key, all[m.addr][key])
				}
			}
		})
		return errors.Join(append(failed, err)...)
	})
	to.either(c)
	return c
}

// brokerLine is a line of clusterList. Of a broker that does not answer only the first four fields are known.
type brokerLine struct {
	Cluster string            `json:"cluster"`
	Broker  string            `json:"broker"`
	ID      int64             `json:"brokerId"`
	Addr    string            `json:"addr"`
	Info    map[string]string `json:"info"`
}

func (a *Admin) clusterList() *cobra.Command {
	var cluster string
	var more bool
	var seconds int64
	c := a.command("clusterList", "List the brokers of clusters, and how busy they are", func(ctx context.Context) error {
		return every(ctx, seconds, func() error {
			lines, failed, err := a.brokerLines(ctx, cluster)
			if err != nil {
				return err
			}
			err = a.show(lines, func(w io.Writer) {
				if more {
					printTotals(w, lines)
				} else {
					printBrokers(w, lines, time.Now())
				}
			})
			if seconds > 0 && err == nil { // those that come back shall be seen
				for _, f := range failed {
					a.say("%v", f)
				}
				return nil
			}
			return errors.Join(append(failed, err)...)
		})
	})
	c.Flags().BoolVarP(&more, "moreStats", "m", false, "show how many messages came and went yesterday and today")
	c.Flags().StringVarP(&cluster, "clusterName", "c", "", "only this `CLUSTER`")
	intervalFlag(c, &seconds)
	return c
}

// brokerLines asks all brokers, or those of a cluster. A broker that does not answer has a line too, and an error.
func (a *Admin) brokerLines(ctx context.Context, cluster string) (lines []brokerLine, failed []error, _ error) {
	all, err := a.members(ctx, target{cluster: cluster})
	if err != nil {
		return nil, nil, err
	}
	lines = make([]brokerLine, len(all))
	errs := make([]error, len(all))
	room := make(chan struct{}, asksAtOnce) // one that is down holds up none of the others
	var wg sync.WaitGroup
	for i, m := range all {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			lines[i] = brokerLine{Cluster: m.cluster, Broker: m.name, ID: m.id, Addr: m.addr}
			lines[i].Info, errs[i] = a.pool.RuntimeInfo(ctx, m.addr)
		})
	}
	wg.Wait()
	return lines, slices.DeleteFunc(errs, func(err error) bool { return err == nil }), nil
}

// printBrokers prints the table of clusterList. Unknown numbers are 0 and unknown texts are empty, as in Apache's table.
func printBrokers(w io.Writer, lines []brokerLine, now time.Time) {
	const columns = "%-22s  %-22s  %-4v  %-22s %-16s  %16s  %30s  %-22s  "
	fmt.Fprintf(w, columns+"%-11s  %-12s  %-8s  %-10s\n", "#Cluster Name", "#Broker Name", "#BID", "#Addr", "#Version", "#InTPS(LOAD)", "#OutTPS(LOAD)",
		"#Timer(Progress)", "#PCWait(ms)", "#Hour", "#SPACE", "#ACTIVATED")
	for _, l := range lines {
		text := func(key, absent string) string {
			if l.Info == nil {
				return ""
			} else if value, ok := l.Info[key]; ok {
				return value
			}
			return absent
		}
		first := func(keys ...string) float64 { return firstRate(l.Info, keys...) }
		number := func(key string) int64 {
			v, _ := strconv.ParseInt(l.Info[key], 10, 64)
			return v
		}
		hours := 0.0
		if earliest := number("earliestMessageTimeStamp"); earliest > 0 { // -1 without messages
			hours = float64(now.UnixMilli()-earliest) / 1000 / 60 / 60
		}
		fmt.Fprintf(w, columns+"%11s  %-12s  %-8s  %10t\n", l.Cluster, l.Broker, l.ID, l.Addr, text("brokerVersionDesc", "null"),
			fmt.Sprintf("%9.2f(%s,%sms)", first("putTps"), text("sendThreadPoolQueueSize", "null"), text("sendThreadPoolQueueHeadWaitTimeMills", "null")),
			fmt.Sprintf("%9.2f(%s,%sms|%s,%sms)", first(transferredTPS...), text("pullThreadPoolQueueSize", "null"), text("pullThreadPoolQueueHeadWaitTimeMills", "null"),
				text("ackThreadPoolQueueSize", "N"), text("ackThreadPoolQueueHeadWaitTimeMills", "N")),
			fmt.Sprintf("%d-%d(%.1fw, %.1f, %.1f)", number("timerReadBehind"), number("timerOffsetBehind"), float64(number("timerCongestNum"))/10000,
				first("timerEnqueueTps"), first("timerDequeueTps")),
			text("pageCacheLockTimeMills", "null"), fmt.Sprintf("%2.2f", hours), fmt.Sprintf("%.4f", first("commitLogDiskRatio")), l.Info["brokerActive"] == "true")
	}
}

// transferredTPS are the names of one rate, the second that of brokers before 5.0.
var transferredTPS = []string{"getTransferredTps", "getTransferedTps"}

// firstRate is the first number under the first of the keys that is there: of rates over 10 s, 1 min and 10 min the first.
func firstRate(info map[string]string, keys ...string) float64 {
	for _, key := range keys {
		if text, ok := info[key]; ok {
			word, _, _ := strings.Cut(text, " ")
			v, _ := strconv.ParseFloat(word, 64)
			return v
		}
	}
	return 0
}

// printTotals prints the table of clusterList -m.
func printTotals(w io.Writer, lines []brokerLine) {
	const columns = "%-16s  %-32s %14v %14v %14v %14v\n"
	fmt.Fprintf(w, columns, "#Cluster Name", "#Broker Name", "#InTotalYest", "#OutTotalYest", "#InTotalToday", "#OutTotalToday")
	for _, l := range lines {
		between := func(from, to string) int64 {
			begin, _ := strconv.ParseInt(l.Info[from], 10, 64)
			end, _ := strconv.ParseInt(l.Info[to], 10, 64)
			return end - begin
		}
		fmt.Fprintf(w, columns, l.Cluster, l.Broker,
			between("msgPutTotalYesterdayMorning", "msgPutTotalTodayMorning"), between("msgGetTotalYesterdayMorning", "msgGetTotalTodayMorning"),
			between("msgPutTotalTodayMorning", "msgPutTotalTodayNow"), between("msgGetTotalTodayMorning", "msgGetTotalTodayNow"))
	}
}

func (a *Admin) producer() *cobra.Command {
	var addr string
	c := a.command("producer", "Show the producers that are connected to a broker", func(ctx context.Context) error {
		producers, err := a.pool.Producers(ctx, addr)
		if err != nil {
			return err
		}
		return a.show(producers, func(w io.Writer) {
			for _, group := range slices.Sorted(maps.Keys(producers)) {
				if len(producers[group]) == 0 {
					fmt.Fprintf(w, "producer group (%s) instances are empty\n", group)
				}
				for _, p := range producers[group] {
					fmt.Fprintf(w, "producer group (%s) instance : clientId=%s,remoteIP=%s, language=%s, version=%d, lastUpdateTimestamp=%d\n",
						group, p.ClientID, p.RemoteIP, p.Language, p.Version, p.LastUpdateTimestamp)
				}
			}
		})
	})
	required(c, &addr, "broker", "b", "`ADDRESS` of the broker")
	return c
}

func (a *Admin) haStatus() *cobra.Command {
	var to target
	var seconds int64
	c := a.command("haStatus", "Show how far the slaves of brokers are", func(ctx context.Context) error {
		return every(ctx, seconds, func() error {
			brokers, err := a.masters(ctx, to)
			if err != nil {
				return err
			}
			all := make(map[string]*protocol.HAStatus)
			for _, m := range brokers {
				if all[m.addr], err = a.pool.HAStatus(ctx, m.addr); err != nil {
					return err
				}
			}
			return a.show(all, func(w io.Writer) {
				for _, m := range brokers {
					printHAStatus(w, m.addr, all[m.addr])
				}
			})
		})
	})
	to.either(c)
	intervalFlag(c, &seconds)
	return c
}

func printHAStatus(w io.Writer, addr string, s *protocol.HAStatus) {
	if s.Master {
		fmt.Fprintf(w, "\n#MasterAddr\t%s\n#MasterCommitLogMaxOffset\t%d\n#SlaveNum\t%d\n#InSyncSlaveNum\t%d\n", addr, s.MasterCommitLogMaxOffset, len(s.HAConnectionInfo), s.InSyncSlaveNums)
		const columns = "%-32s  %-16v %16v %16v %16s %16v\n"
		fmt.Fprintf(w, columns, "#SlaveAddr", "#SlaveAckOffset", "#Diff", "#TransferSpeed(KB/s)", "#Status", "#TransferFromWhere")
		for _, c := range s.HAConnectionInfo {
			state := "Fall Behind"
			if c.InSync {
				state = "OK"
			}
			fmt.Fprintf(w, columns, c.Addr, c.SlaveAckOffset, c.Diff, fmt.Sprintf("%.2f", float64(c.TransferredByteInSecond)/1024), state, c.TransferFromWhere)
		}
		return
	}
	c := s.HAClientRuntimeInfo
	fmt.Fprintf(w, "\n#MasterAddr\t%s\n#CommitLogMaxOffset\t%d\n#TransferSpeed(KB/s)\t%.2f\n#LastReadTime\t%s\n#LastWriteTime\t%s\n#MasterFlushOffset\t%d\n",
		c.MasterAddr, c.MaxOffset, float64(c.TransferredByteInSecond)/1024, timeText(c.LastReadTimestamp, timeMillis), timeText(c.LastWriteTimestamp, timeMillis), c.MasterFlushOffset)
}

func (a *Admin) getBrokerEpoch() *cobra.Command {
	var cluster, broker string
	var seconds int64
	c := a.command("getBrokerEpoch", "Show which part of their log brokers got under which master", func(ctx context.Context) error {
		return every(ctx, seconds, func() error {
			all, err := a.members(ctx, target{cluster: cluster})
			if err != nil {
				return err
			}
			all = slices.DeleteFunc(all, func(m member) bool { return broker != "" && m.name != broker })
			if len(all) == 0 {
				return fmt.Errorf("the NameServer at %s knows no broker %s", a.namesrvAddr, broker)
			}
			epochs := make(map[string]*protocol.EpochCache)
			for _, m := range all {
				if epochs[m.addr], err = a.pool.EpochCache(ctx, m.addr); err != nil {
					return err
				}
			}
			return a.show(epochs, func(w io.Writer) {
				for _, m := range all {
					printEpochs(w, m.addr, epochs[m.addr])
				}
			})
		})
	})
	c.Flags().StringVarP(&cluster, "clusterName", "c", "", "`CLUSTER`")
	c.Flags().StringVarP(&broker, "brokerName", "b", "", "`NAME` of the broker")
	c.MarkFlagsOneRequired("clusterName", "brokerName")
	intervalFlag(c, &seconds)
	return c
}

func printEpochs(w io.Writer, addr string, e *protocol.EpochCache) {
	fmt.Fprintf(w, "\n#clusterName\t%s\n#brokerName\t%s\n#brokerAddr\t%s\n#brokerId\t%d", e.ClusterName, e.BrokerName, addr, e.BrokerID)
	for i, one := range e.EpochList {
		if i == len(e.EpochList)-1 {
			one.EndOffset = e.MaxOffset
		}
		fmt.Fprintf(w, "\n#Epoch: EpochEntry{epoch=%d, startOffset=%d, endOffset=%d}", one.Epoch, one.StartOffset, one.EndOffset)
	}
	fmt.Fprintln(w)
}

func (a *Admin) resetMasterFlushOffset() *cobra.Command {
	var addr string
	var offset int64
	var dry bool
	c := a.command("resetMasterFlushOffset", "Tell a slave how far its master has flushed", func(ctx context.Context) error {
		now := "it does not say what it is"
		if s, err := a.pool.HAStatus(ctx, addr); err == nil && !s.Master {
			now = fmt.Sprintf("it is %d", s.HAClientRuntimeInfo.MasterFlushOffset)
		}
		set := change{what: fmt.Sprintf("set the offset that the master has flushed to %d at %s; %s", offset, addr, now), do: func(ctx context.Context) error {
			return a.pool.ResetMasterFlushOffset(ctx, addr, offset)
		}}
		if err := a.carry(ctx, dry, []change{set}); err != nil || dry {
			return err
		}
		return a.show(map[string]any{"broker": addr, "offset": offset}, func(w io.Writer) {
			fmt.Fprintf(w, "reset master flush offset to %d success\n", offset)
		})
	})
	required(c, &addr, "brokerAddr", "b", "`ADDRESS` of the slave")
	c.Flags().Int64VarP(&offset, "offset", "o", 0, "`OFFSET` in the log")
	need(c, "offset")
	dryRunFlag(c, &dry)
	return c
}

// clean makes a command that lets brokers delete what is not needed any more: the one at -b, those of -c, or all.
func (a *Admin) clean(name, about, what string, do func(*Admin, context.Context, member) (details []string, run func(context.Context) error)) *cobra.Command {
	var to target
	var dry bool
	c := a.command(name, about, func(ctx context.Context) error {
		brokers, err := a.members(ctx, to)
		if err != nil {
			return err
		}
		if err := a.carryAt(ctx, dry, brokers, func(m member) (change, error) {
			details, run := do(a, ctx, m)
			return change{what: what + " at " + m.String(), details: details, do: run}, nil
		}); err != nil || dry {
			return err
		}
		return a.show(map[string]any{"brokers": addresses(brokers), "success": true}, func(w io.Writer) { fmt.Fprint(w, "success") })
	})
	to.brokerFlag(c)
	to.clusterFlag(c, "cluster")
	c.Flags().Lookup("cluster").Usage = "`CLUSTER`, for each of its brokers; with neither this nor -b, all brokers of all clusters"
	dryRunFlag(c, &dry)
	return c
}

func (a *Admin) cleanQueues(ctx context.Context, m member) ([]string, func(context.Context) error) {
	var details []string
	if info, err := a.pool.RuntimeInfo(ctx, m.addr); err == nil {
		details = append(details, fmt.Sprintf("its log begins at %s; queue files of which all entries are older go", info["commitLogMinOffset"]))
	}
	return details, func(ctx context.Context) error { return a.pool.CleanExpiredConsumeQueue(ctx, m.addr) }
}

func (a *Admin) cleanLog(ctx context.Context, m member) ([]string, func(context.Context) error) {
	var details []string
	info, err := a.pool.RuntimeInfo(ctx, m.addr)
	cfg, err2 := a.pool.BrokerConfig(ctx, m.addr)
	if err == nil && err2 == nil {
		oldest := "unknown"
		if ms, err := strconv.ParseInt(info["earliestMessageTimeStamp"], 10, 64); err == nil && ms > 0 {
			oldest = timeText(ms, timeMillis)
		}
		details = append(details, fmt.Sprintf("files go that were last written to more than %s hours ago (fileReservedTime); its log is from %s to %s, the oldest message of %s",
			cfg["fileReservedTime"], info["commitLogMinOffset"], info["commitLogMaxOffset"], oldest))
	}
	return details, func(ctx context.Context) error { return a.pool.DeleteExpiredCommitLog(ctx, m.addr) }
}

func (a *Admin) cleanTopics(ctx context.Context, m member) ([]string, func(context.Context) error) {
	var details []string
	if topics, err := a.pool.TopicConfigs(ctx, m.addr); err == nil {
		details = append(details, fmt.Sprintf("it has %d topics; the queues of all others go", len(topics.TopicConfigTable)))
	}
	return details, func(ctx context.Context) error { return a.pool.CleanUnusedTopic(ctx, m.addr) }
}

func (a *Admin) addBroker() *cobra.Command {
	var addr, path string
	c := a.command("addBroker", "Start a broker in a broker container", func(ctx context.Context) error {
		if err := a.pool.AddBroker(ctx, addr, path); err != nil {
			return err
		}
		return a.show(map[string]string{"container": addr, "config": path}, func(w io.Writer) { fmt.Fprintf(w, "add broker to %s success\n", addr) })
	})
	required(c, &addr, "brokerContainerAddr", "c", "`ADDRESS` of the container")
	required(c, &path, "brokerConfigPath", "b", "`FILE` with the broker's configuration on the container's machine")
	return c
}

func (a *Admin) removeBroker() *cobra.Command {
	var addr, identity string
	var dry bool
	c := a.command("removeBroker", "Stop a broker of a broker container", func(ctx context.Context) error {
		parts := strings.Split(identity, ":")
		if len(parts) != 3 {
			return misuse(fmt.Errorf("cannot use broker %q: it is cluster:name:id", identity))
		}
		id, err := strconv.ParseInt(strings.TrimSpace(parts[2]), 10, 64)
		if err != nil {
			return misuse(fmt.Errorf("cannot use broker %q: its id %q is not a number", identity, parts[2]))
		}
		if id < 0 {
			return misuse(errors.New("brokerId can't be negative"))
		}
		h := protocol.RemoveBrokerHeader{ClusterName: strings.TrimSpace(parts[0]), BrokerName: strings.TrimSpace(parts[1]), BrokerID: id}
		stop := change{what: fmt.Sprintf("stop broker %s with id %d of cluster %s in the container at %s; its files stay", h.BrokerName, id, h.ClusterName, addr),
			do: func(ctx context.Context) error { return a.pool.RemoveBroker(ctx, addr, h) }}
		if err := a.carry(ctx, dry, []change{stop}); err != nil || dry {
			return err
		}
		return a.show(map[string]string{"container": addr, "broker": identity}, func(w io.Writer) { fmt.Fprintf(w, "remove broker from %s success\n", addr) })
	})
	required(c, &addr, "brokerContainerAddr", "c", "`ADDRESS` of the container")
	required(c, &identity, "brokerIdentity", "b", "`BROKER`: cluster:name:id")
	dryRunFlag(c, &dry)
	return c
}
