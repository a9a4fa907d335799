package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

func (a *Admin) exportCommands() []*cobra.Command {
	return []*cobra.Command{a.exportMetadata(), a.exportConfigs(), a.exportMetrics(), a.exportMetadataInRocksDB(), a.exportPopRecord(),
		a.dumpCompactionLog(), a.statsAll()}
}

// exportFlag adds -f. The standard is Apache's.
func exportFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVarP(dir, "filePath", "f", filepath.Join(os.TempDir(), "rocketmq", "export"), "`FOLDER` for the file")
	_ = c.MarkFlagDirname("filePath")
}

// export writes a value into a file of a folder, and says so. Text ends with end.
func (a *Admin) export(dir, name string, v any, end string) error {
	text, err := fastjson.MarshalIndent(v)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := writeNew(path, text); err != nil {
		return err
	}
	return a.show(map[string]any{"file": path, "content": v}, func(w io.Writer) { fmt.Fprintf(w, "export %s success%s", path, end) })
}

// isPredefined says whether a group is one that RocketMQ has for itself.
func isPredefined(group string) bool {
	switch group {
	case "DEFAULT_CONSUMER", "DEFAULT_PRODUCER", toolsGroup, "SCHEDULE_CONSUMER", "FILTERSRV_CONSUMER", "__MONITOR_CONSUMER", "CLIENT_INNER_PRODUCER",
		"SELF_TEST_P_GROUP", "SELF_TEST_C_GROUP", "CID_ONS-HTTP-PROXY", "CID_ONSAPI_PERMISSION", "CID_ONSAPI_OWNER", "CID_ONSAPI_PULL", "CID_RMQ_SYS_TRANS":
		return true
	}
	return strings.HasPrefix(group, systemGroups)
}

// userTopics returns the topics of a broker that it does not have for itself; retry and dead letter topics only when special.
func (a *Admin) userTopics(ctx context.Context, addr string, special bool) (*protocol.TopicConfigs, error) {
	all, err := a.pool.TopicConfigs(ctx, addr)
	if err != nil {
		return nil, err
	}
	system, err := a.pool.SystemTopics(ctx, addr)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(all.TopicConfigTable, func(name string, t *protocol.TopicConfig) bool {
		return slices.Contains(system, name) || strings.HasPrefix(name, "rmq_sys_") || isGroupTopic(name) && !special || t.Perm < 0 || t.Perm >= 8
	})
	return &all.TopicConfigs, nil
}

// userGroups returns the groups of a broker that it does not have for itself.
func (a *Admin) userGroups(ctx context.Context, addr string) (*protocol.SubscriptionGroups, error) {
	all, err := a.pool.Groups(ctx, addr)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(all.SubscriptionGroupTable, func(name string, _ *protocol.SubscriptionGroupConfig) bool { return isPredefined(name) })
	return all, nil
}

// metadata is what exportMetadata writes for a cluster: queues of all brokers are added up.
type metadata struct {
	Topics map[string]*protocol.TopicConfig             `json:"topicConfigTable"`
	Groups map[string]*protocol.SubscriptionGroupConfig `json:"subscriptionGroupTable"`
	Time   int64                                        `json:"exportTime"` // Unix ms
}

func (m *metadata) add(topics *protocol.TopicConfigs, groups *protocol.SubscriptionGroups) {
	for name, t := range topics.TopicConfigTable {
		if other := m.Topics[name]; other != nil {
			t.WriteQueueNums += other.WriteQueueNums
			t.ReadQueueNums += other.ReadQueueNums
		}
		m.Topics[name] = t
	}
	for name, g := range groups.SubscriptionGroupTable {
		if other := m.Groups[name]; other != nil {
			g.RetryQueueNums += other.RetryQueueNums
		}
		m.Groups[name] = g
	}
}

func (a *Admin) exportMetadata() *cobra.Command {
	var to target
	var dir string
	var onlyTopics, onlyGroups, special bool
	c := a.command("exportMetadata", "Write topics and groups to a file", func(ctx context.Context) error {
		masters, err := a.masters(ctx, to)
		if err != nil {
			return err
		}
		all := metadata{Topics: map[string]*protocol.TopicConfig{}, Groups: map[string]*protocol.SubscriptionGroupConfig{}, Time: time.Now().UnixMilli()}
		for _, m := range masters {
			topics, err := a.userTopics(ctx, m.addr, special)
			if err != nil {
				return err
			}
			groups, err := a.userGroups(ctx, m.addr)
			switch {
			case err != nil:
				return err
			case to.broker != "" && onlyTopics:
				return a.export(dir, "topic.json", topics, "")
			case to.broker != "" && onlyGroups:
				return a.export(dir, "subscriptionGroup.json", groups, "")
			}
			all.add(topics, groups)
		}
		switch {
		case onlyTopics:
			all.Groups = nil
			return a.export(dir, "topic.json", &all, "\n")
		case onlyGroups:
			all.Topics = nil
			return a.export(dir, "subscriptionGroup.json", &all, "\n")
		}
		return a.export(dir, "metadata.json", &all, "\n")
	})
	to.either(c)
	exportFlag(c, &dir)
	c.Flags().BoolVarP(&onlyTopics, "topic", "t", false, "only topics")
	c.Flags().BoolVarP(&onlyGroups, "subscriptionGroup", "g", false, "only groups")
	c.Flags().BoolVarP(&special, "specialTopic", "s", false, "retry and dead letter topics too")
	return c
}

// exportedKeys are the keys of a broker's configuration that exportConfigs writes.
var exportedKeys = []string{"brokerClusterName", "brokerId", "brokerName", "brokerRole", "fileReservedTime", "filterServerNums", "flushDiskType", "maxMessageSize",
	"messageDelayLevel", "msgTraceTopicName", "slaveReadEnable", "traceOn", "traceTopicEnable", "useTLS", "autoCreateTopicEnable", "autoCreateSubscriptionGroup"}

func (a *Admin) exportConfigs() *cobra.Command {
	var cluster, dir string
	c := a.command("exportConfigs", "Write the configuration of a cluster to a file", func(ctx context.Context) error {
		members, err := a.members(ctx, target{cluster: cluster})
		if err != nil {
			return err
		}
		configs := make(map[string]map[string]string)
		scale := map[string]int{"namesrvSize": len(a.names.Addrs()), "masterBrokerSize": 0, "slaveBrokerSize": 0}
		for _, m := range members {
			if m.id != protocol.MasterID {
				scale["slaveBrokerSize"]++
				continue
			}
			scale["masterBrokerSize"]++
			cfg, err := a.pool.BrokerConfig(ctx, m.addr)
			if err != nil {
				return err
			}
			maps.DeleteFunc(cfg, func(key, _ string) bool { return !slices.Contains(exportedKeys, key) })
			configs[m.name] = cfg
		}
		return a.export(dir, "configs.json", map[string]any{"brokerConfigs": configs, "clusterScale": scale}, "")
	})
	required(c, &cluster, "clusterName", "c", "`CLUSTER`")
	exportFlag(c, &dir)
	return c
}

func (a *Admin) exportMetrics() *cobra.Command {
	var cluster, dir string
	c := a.command("exportMetrics", "Write what a cluster does to a file", func(ctx context.Context) error {
		masters, err := a.masters(ctx, target{cluster: cluster})
		if err != nil {
			return err
		}
		report := make(map[string]any)
		tps := map[string]float64{"totalNormalInTps": 0, "totalNormalOutTps": 0, "totalTransInTps": 0, "totalScheduleInTps": 0}
		day := map[string]int64{"normalOneDayInNum": 0, "normalOneDayOutNum": 0, "transOneDayInNum": 0, "scheduleOneDayInNum": 0}
		for _, m := range masters {
			q, err := a.quota(ctx, m.addr)
			if err != nil {
				return err
			}
			for name, v := range q.tps {
				tps["total"+strings.ToUpper(name[:1])+name[1:]] += v
			}
			for name, v := range q.day {
				day[name] += v
			}
			report[m.name] = q.report
		}
		return a.export(dir, "metrics.json", map[string]any{"evaluateReport": report, "totalData": map[string]any{"totalTps": tps, "totalOneDayNum": day}}, "")
	})
	required(c, &cluster, "clusterName", "c", "`CLUSTER`")
	exportFlag(c, &dir)
	return c
}

// quota is what a broker has and does.
type quota struct {
	tps    map[string]float64
	day    map[string]int64
	report map[string]any
}

func (a *Admin) quota(ctx context.Context, addr string) (*quota, error) {
	info, err := a.pool.RuntimeInfo(ctx, addr)
	if err != nil {
		return nil, err
	}
	cfg, err := a.pool.BrokerConfig(ctx, addr)
	if err != nil {
		return nil, err
	}
	topics, err := a.userTopics(ctx, addr, false)
	if err != nil {
		return nil, err
	}
	groups, err := a.userGroups(ctx, addr)
	if err != nil {
		return nil, err
	}
	between := func(from, to string) int64 {
		begin, _ := strconv.ParseInt(info[from], 10, 64)
		end, _ := strconv.ParseInt(info[to], 10, 64)
		return end - begin
	}
	half := a.statsOf(ctx, addr, client.TopicPutNums, topicHalf)
	scheduled := a.statsOf(ctx, addr, client.TopicPutNums, topicSchedule)
	q := &quota{
		tps: map[string]float64{"normalInTps": firstRate(info, "putTps"), "normalOutTps": firstRate(info, transferredTPS...), "transInTps": half.Minute.TPS, "scheduleInTps": scheduled.Minute.TPS},
		day: map[string]int64{
			"normalOneDayInNum":  between("msgPutTotalYesterdayMorning", "msgPutTotalTodayMorning"),
			"normalOneDayOutNum": between("msgGetTotalYesterdayMorning", "msgGetTotalTodayMorning"),
			"transOneDayInNum":   daySum(half), "scheduleOneDayInNum": daySum(scheduled)},
	}
	env := map[string]any{"cpuNum": cfg["clientCallbackExecutorThreads"]}
	if kib, ok := info["totalMemKBytes"]; ok {
		env["totalMemKBytes"] = kib
	}
	q.report = map[string]any{
		"runtimeEnv": env,
		"runtimeQuota": map[string]any{
			"diskRatio": map[string]any{"commitLogDiskRatio": info["commitLogDiskRatio"], "consumeQueueDiskRatio": info["consumeQueueDiskRatio"]},
			"tps":       q.tps, "oneDayNum": q.day, "messageAverageSize": info["putMessageAverageSize"],
			"topicSize": len(topics.TopicConfigTable), "groupSize": len(groups.SubscriptionGroupTable),
		},
		"runtimeVersion": map[string]any{"rocketmqVersion": protocol.VersionName(protocol.VersionCurrent), "clientInfo": a.clientVersions(ctx, addr, groups)},
	}
	return q, nil
}

// clientVersions lists the languages and versions of the consumers of a broker: JAVA%V5_5_0.
func (a *Admin) clientVersions(ctx context.Context, addr string, groups *protocol.SubscriptionGroups) []string {
	versions := []string{}
	for group := range groups.SubscriptionGroupTable {
		c, err := a.pool.ConsumerConnections(ctx, addr, group)
		if err != nil {
			continue // it has none
		}
		for _, one := range c.ConnectionSet {
			versions = append(versions, one.Language+"%"+protocol.VersionName(one.Version))
		}
	}
	slices.Sort(versions)
	return slices.Compact(versions)
}

// notApplicable is the command of a tool for RocksDB, which nothing of ours uses.
func (a *Admin) notApplicable(name, about, why string) *cobra.Command {
	return a.command(name, about, func(context.Context) error { return errors.New("not applicable: " + why) })
}

func (a *Admin) exportMetadataInRocksDB() *cobra.Command {
	var path, kind, asJSON string
	c := a.notApplicable("exportMetadataInRocksDB", "Not applicable: Liftoff keeps no metadata in RocksDB",
		"Liftoff keeps topics and groups in config/topics.json and config/subscriptionGroup.json, not in RocksDB. Read those files, or ask a broker that runs with exportMetadata; "+
			"for a broker of Apache's, run exportMetadata or rocksDBConfigToJson -b against it")
	required(c, &path, "path", "p", "`FOLDER` of the RocksDB files")
	required(c, &kind, "configType", "t", "topics or subscriptionGroups: `TYPE`")
	c.Flags().StringVarP(&asJSON, "jsonEnable", "j", "", "`BOOL`")
	return c
}

func (a *Admin) exportPopRecord() *cobra.Command {
	var to target
	var dry bool
	c := a.command("exportPopRecord", "Bring what is popped from RocksDB back into the revive log", func(ctx context.Context) error {
		all, err := a.members(ctx, to)
		if err != nil {
			return err
		}
		if to.broker != "" {
			cfg, err := a.pool.BrokerConfig(ctx, to.broker)
			if err != nil {
				return err
			}
			all[0].name = cfg["brokerName"]
		}
		if err := a.carryAt(ctx, dry, all, func(m member) (change, error) {
			return change{what: fmt.Sprintf("move pop records from RocksDB into the revive log at %s; a broker of Liftoff has none there", m), do: func(ctx context.Context) error {
				return a.pool.PopRollback(ctx, m.addr)
			}}, nil
		}); err != nil {
			return err
		}
		return a.show(map[string]any{"brokers": addresses(all), "dryRun": dry}, func(w io.Writer) {
			for _, m := range all {
				fmt.Fprintf(w, "Export broker records, brokerName=%s, brokerAddr=%s, dryRun=%t\n", m.name, m.addr, dry)
			}
		})
	})
	to.either(c)
	boolFlag(c, &dry, "dryRun", "d", false, "only say what would be changed")
	return c
}
