package admin

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

func (a *Admin) switchTimerEngine() *cobra.Command {
	var to target
	var engine string
	c := a.command("switchTimerEngine", "Say what keeps timed messages", func(ctx context.Context) error {
		name, ok := map[string]string{"R": "ROCKSDB_TIMELINE", "F": "FILE_TIME_WHEEL"}[engine]
		if !ok {
			return misuse(fmt.Errorf("switchTimerEngine engineType must be R or F: it is %q", engine))
		}
		return a.eachMaster(ctx, to, func(ctx context.Context, addr string) error {
			if err := a.pool.SwitchTimerEngine(ctx, addr, engine); err != nil {
				return err
			}
			return a.told(addr, "timers in "+name, "switchTimerEngine to %s success, %s\n", name, addr)
		})
	})
	to.either(c)
	required(c, &engine, "engineType", "e", "`ENGINE`: R for RocksDB, F for the timer wheel")
	return c
}

// rocksKinds are the kinds of configuration that a broker may keep in RocksDB.
var rocksKinds = []string{"topics", "subscriptionGroups", "consumerOffsets"}

func (a *Admin) rocksDBConfigToJson() *cobra.Command {
	var to target
	var kinds, path, file, asJSON string
	c := a.command("rocksDBConfigToJson", "Let brokers write what they keep in RocksDB as JSON", func(ctx context.Context) error {
		asked, scope := rocksKinds, ""
		if kinds != "" {
			asked = strings.FieldsFunc(kinds, func(r rune) bool { return r == ';' || r == ',' })
		}
		for _, kind := range asked {
			if !slices.ContainsFunc(rocksKinds, func(known string) bool { return strings.EqualFold(known, kind) }) {
				return misuse(fmt.Errorf("invalid configType %s: it must be topics/subscriptionGroups/consumerOffsets", kind))
			}
		}
		switch {
		case to.cluster != "":
			to.broker, scope = "", "all brokers in cluster"
		case to.broker != "":
			scope = "broker"
		case path != "":
			return fmt.Errorf("cannot read %s: RocksDB is not known here; a broker that keeps it writes it as JSON when it is asked with -b or -c", path)
		default:
			return misuse(fmt.Errorf("rpc mode Invalid args, please input cluster or brokerAddr"))
		}
		if err := a.text("Use [rpc mode] call %s to export to json file \n", scope); err != nil {
			return err
		}
		if err := a.eachMaster(ctx, to, func(ctx context.Context, addr string) error {
			if err := a.pool.ExportRocksConfig(ctx, addr, strings.Join(asked, ";")); err != nil {
				return err
			}
			return a.told(addr, "export of "+strings.Join(asked, ", "), "")
		}); err != nil {
			return err
		}
		return a.text("broker export done.")
	})
	a.nameserverFlag(c)
	to.brokerFlag(c)
	to.clusterFlag(c, "cluster")
	c.Flags().StringVarP(&kinds, "configType", "t", "", "`KIND`: topics, subscriptionGroups or consumerOffsets; all unless given")
	c.Flags().StringVarP(&path, "configPath", "p", "", "`FOLDER` with RocksDB; not known here")
	c.Flags().StringVarP(&file, "exportFile", "e", "", "with -p: `FILE` to write")
	c.Flags().StringVarP(&asJSON, "jsonEnable", "j", "", "with -p: `true` to print JSON")
	return c
}

// nameserverFlag adds the name that -n has in some commands only.
func (a *Admin) nameserverFlag(c *cobra.Command) {
	c.Flags().StringVar(&a.namesrvAddr, "nameserverAddr", a.namesrvAddr, "the same as --namesrvAddr")
}

// Apache's number for a check that failed. Part of the wire format; do not change.
const rocksCheckError = 3

func (a *Admin) checkRocksdbCqWriteProgress() *cobra.Command {
	var to target
	var topic string
	var from int64
	c := a.command("checkRocksdbCqWriteProgress", "Let brokers compare consume queues in RocksDB with those in files", func(ctx context.Context) error {
		if from == 0 {
			from = daysAgo(30).UnixMilli()
		}
		all, err := a.masters(ctx, to)
		if err != nil {
			return err
		}
		for _, m := range all {
			r, err := a.pool.CheckRocksQueues(ctx, m.addr, &protocol.CheckRocksQueueHeader{Topic: topic, CheckStoreTime: from})
			if err != nil {
				return err
			}
			if r.Status == rocksCheckError {
				return fmt.Errorf("%s check error, please check log... errInfo: %s", m.name, r.Result)
			}
			shown := struct {
				Broker string `json:"broker"`
				*protocol.RocksQueueCheck
			}{m.name, r}
			if err := a.show(shown, func(w io.Writer) {
				fmt.Fprintf(w, "%s check doing, please wait and get the result from log... \n", m.name)
			}); err != nil {
				return err
			}
		}
		return nil
	})
	a.nameserverFlag(c)
	to.clusterFlag(c, "cluster")
	c.Flags().StringVarP(&topic, "topic", "t", "", "`TOPIC`; all unless given")
	c.Flags().Int64Var(&from, "checkFrom", 0, "stored from `TIME` on, in ms; 30 days ago unless given")
	short(c, "checkFrom", "cf")
	need(c, "cluster")
	return c
}
