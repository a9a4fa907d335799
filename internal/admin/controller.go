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

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

func (a *Admin) controllerCommands() []*cobra.Command {
	return []*cobra.Command{a.getSyncStateSet(), a.getControllerMetaData(), a.getControllerConfig(), a.updateControllerConfig(),
		a.electMaster(), a.cleanBrokerMetadata()}
}

// controllerFlag adds -a, which may be a list.
func controllerFlag(c *cobra.Command, addrs *string) {
	required(c, addrs, "controllerAddress", "a", "`ADDRESS` of a controller; where several may be given they are separated by semicolons")
}

// controllers are the addresses of a list.
func controllers(list string) []string {
	var addrs []string
	for addr := range strings.SplitSeq(list, ";") {
		if addr = strings.TrimSpace(addr); addr != "" {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// firstController is the one of a list that is asked.
func firstController(list string) (string, error) {
	addrs := controllers(list)
	if len(addrs) == 0 {
		return "", misuse(errors.New("cannot use an empty list of controllers"))
	}
	return addrs[0], nil
}

func (a *Admin) getSyncStateSet() *cobra.Command {
	var list, cluster, broker string
	var seconds int64
	c := a.command("getSyncStateSet", "Show which brokers have everything that their master has", func(ctx context.Context) error {
		addr, err := firstController(list)
		if err != nil {
			return err
		}
		return every(ctx, seconds, func() error {
			brokers := []string{broker}
			if broker == "" {
				masters, err := a.members(ctx, target{cluster: cluster})
				if err != nil {
					return err
				}
				brokers = nil
				for _, m := range masters {
					brokers = append(brokers, m.name)
				}
				brokers = slices.Compact(brokers)
			}
			states, err := a.pool.SyncStates(ctx, addr, brokers)
			if err != nil {
				return err
			}
			return a.show(states, func(w io.Writer) { printSyncStates(w, states) })
		})
	})
	controllerFlag(c, &list)
	c.Flags().StringVarP(&cluster, "clusterName", "c", "", "`CLUSTER`")
	c.Flags().StringVarP(&broker, "brokerName", "b", "", "`NAME` of the broker")
	c.MarkFlagsOneRequired("clusterName", "brokerName")
	intervalFlag(c, &seconds)
	return c
}

// valueOrNull is a value as Java prints one that may be missing.
func valueOrNull[T any](v *T) string {
	if v == nil {
		return "null"
	}
	return fmt.Sprint(*v)
}

func printSyncStates(w io.Writer, states map[string]*protocol.Replicas) {
	for _, name := range slices.Sorted(maps.Keys(states)) {
		s := states[name]
		fmt.Fprintf(w, "\n#brokerName\t%s\n#MasterBrokerId\t%s\n#MasterAddr\t%s\n#MasterEpoch\t%s\n#SyncStateSetEpoch\t%s\n#SyncStateSetNums\t%d\n",
			name, valueOrNull(s.MasterBrokerID), valueOrNull(s.MasterAddress), valueOrNull(s.MasterEpoch), valueOrNull(s.SyncStateSetEpoch), len(s.InSyncReplicas))
		for _, r := range s.InSyncReplicas {
			fmt.Fprintf(w, "\nInSyncReplica:\t%s\n", replicaText(r))
		}
		for _, r := range s.NotInSyncReplicas {
			fmt.Fprintf(w, "\nNotInSyncReplica:\t%s\n", replicaText(r))
		}
	}
}

func replicaText(r protocol.Replica) string {
	return fmt.Sprintf("ReplicaIdentity{brokerName='%s', brokerId=%d, brokerAddress='%s', alive=%t}", r.BrokerName, r.BrokerID, r.BrokerAddress, r.Alive)
}

func (a *Admin) getControllerMetaData() *cobra.Command {
	var list string
	c := a.command("getControllerMetaData", "Show which controller leads", func(ctx context.Context) error {
		addr, err := firstController(list)
		if err != nil {
			return err
		}
		m, err := a.pool.ControllerMetadata(ctx, addr)
		if err != nil {
			return err
		}
		return a.show(m, func(w io.Writer) {
			fmt.Fprintf(w, "\n#ControllerGroup\t%s\n#ControllerLeaderId\t%s\n#ControllerLeaderAddress\t%s", m.Group, m.LeaderID, m.LeaderAddress)
			for _, peer := range controllers(m.Peers) {
				fmt.Fprintf(w, "\n#Peer:\t%s", peer)
			}
			fmt.Fprintln(w)
		})
	})
	controllerFlag(c, &list)
	return c
}

func (a *Admin) getControllerConfig() *cobra.Command {
	var list string
	c := a.command("getControllerConfig", "Show the configuration of controllers", func(ctx context.Context) error {
		return a.showConfigs(ctx, controllers(list), a.pool.ControllerConfig)
	})
	controllerFlag(c, &list)
	return c
}

func (a *Admin) updateControllerConfig() *cobra.Command {
	var list, key, value string
	var dry bool
	c := a.command("updateControllerConfig", "Set a key of controllers' configuration", func(ctx context.Context) error {
		text := fmt.Sprintf("update controller config success![%s]\n%s : %s\n", strings.Join(controllers(list), ", "), key, value)
		return a.updateConfigs(ctx, dry, controllers(list), text, key, value, a.pool.ControllerConfig, a.pool.UpdateControllerConfig)
	})
	controllerFlag(c, &list)
	required(c, &key, "key", "k", "`KEY`")
	required(c, &value, "value", "v", "`VALUE`")
	dryRunFlag(c, &dry)
	return c
}

// groupNow says what a controller knows of a broker group.
func (a *Admin) groupNow(ctx context.Context, addr, broker string) (*protocol.Replicas, string, error) {
	states, err := a.pool.SyncStates(ctx, addr, []string{broker})
	if err != nil {
		return nil, "", err
	}
	s := states[broker]
	if s == nil {
		return nil, "the controller knows no such broker", nil
	}
	return s, fmt.Sprintf("its master is %s (id %s), with %d of %d brokers in sync", valueOrNull(s.MasterAddress), valueOrNull(s.MasterBrokerID),
		len(s.InSyncReplicas), len(s.InSyncReplicas)+len(s.NotInSyncReplicas)), nil
}

func (a *Admin) electMaster() *cobra.Command {
	var list string
	var dry bool
	var h protocol.ElectMasterHeader
	c := a.command("electMaster", "Make a broker the master of its group", func(ctx context.Context) error {
		addr, err := firstController(list)
		if err != nil {
			return err
		}
		_, now, err := a.groupNow(ctx, addr, h.BrokerName)
		if err != nil {
			return err
		}
		var elected *protocol.ElectMasterResponseHeader
		var group *protocol.BrokerMemberGroup
		elect := change{what: fmt.Sprintf("make the broker with id %d master of %s; %s", h.BrokerID, h.BrokerName, now), do: func(ctx context.Context) (err error) {
			elected, group, err = a.pool.ElectMaster(ctx, addr, h)
			return err
		}}
		if err := a.carry(ctx, dry, []change{elect}); err != nil || dry {
			return err
		}
		return a.show(map[string]any{"elected": elected, "group": group}, func(w io.Writer) {
			fmt.Fprintf(w, "\n#ClusterName\t%s\n#BrokerName\t%s\n#BrokerMasterAddr\t%s\n#MasterEpoch\t%d\n#SyncStateSetEpoch\t%d\n",
				h.ClusterName, h.BrokerName, elected.MasterAddress, elected.MasterEpoch, elected.SyncStateSetEpoch)
			for _, id := range slices.Sorted(maps.Keys(group.BrokerAddrs)) {
				fmt.Fprintf(w, "\t#Broker\t%d\t%s\n", id, group.BrokerAddrs[id])
			}
		})
	})
	controllerFlag(c, &list)
	c.Flags().Int64VarP(&h.BrokerID, "brokerId", "b", 0, "`ID` of the broker that is to be master")
	need(c, "brokerId")
	required(c, &h.BrokerName, "brokerName", "", "`NAME` of the broker")
	short(c, "brokerName", "bn")
	required(c, &h.ClusterName, "clusterName", "c", "`CLUSTER`")
	dryRunFlag(c, &dry)
	return c
}

func (a *Admin) cleanBrokerMetadata() *cobra.Command {
	var list string
	var dry bool
	var h protocol.CleanBrokerDataHeader
	c := a.command("cleanBrokerMetadata", "Let controllers forget brokers", func(ctx context.Context) error {
		ids := controllers(h.BrokerIDs)
		for _, id := range ids {
			if _, err := strconv.ParseInt(id, 10, 64); err != nil {
				return misuse(fmt.Errorf("please set the option <brokerControllerIdsToClean> according to the format: 1;2;3, not %q", h.BrokerIDs))
			}
		}
		if !h.CleanLivingBroker && h.ClusterName == "" {
			return misuse(errors.New("cleanLivingBroker option is false, clusterName option can not be empty; say with -c which cluster they are of, or with -l that living ones go too"))
		}
		addr, err := firstController(list)
		if err != nil {
			return err
		}
		known, now, err := a.groupNow(ctx, addr, h.BrokerName)
		if err != nil {
			return err
		}
		what := "all brokers"
		if len(ids) > 0 {
			what = "the brokers with ids " + strings.Join(ids, ", ")
		}
		forget := change{what: fmt.Sprintf("forget %s of %s at the controllers; %s", what, h.BrokerName, now), do: func(ctx context.Context) error {
			return a.pool.CleanBrokerData(ctx, addr, h)
		}}
		if known != nil {
			for _, r := range slices.Concat(known.InSyncReplicas, known.NotInSyncReplicas) {
				if len(ids) == 0 || slices.Contains(ids, fmt.Sprint(r.BrokerID)) {
					forget.details = append(forget.details, replicaText(r))
				}
			}
		}
		if err := a.carry(ctx, dry, []change{forget}); err != nil || dry {
			return err
		}
		return a.show(map[string]any{"broker": h.BrokerName, "ids": ids}, func(w io.Writer) {
			fmt.Fprintf(w, "clear broker %s metadata from controller success! \n", h.BrokerName)
		})
	})
	controllerFlag(c, &list)
	c.Flags().StringVarP(&h.BrokerIDs, "brokerControllerIdsToClean", "b", "", "`IDS` of brokers to forget: 1;2;3 (default all)")
	required(c, &h.BrokerName, "brokerName", "", "`NAME` of the broker")
	short(c, "brokerName", "bn")
	c.Flags().StringVarP(&h.ClusterName, "clusterName", "c", "", "`CLUSTER`; needed without -l")
	c.Flags().BoolVarP(&h.CleanLivingBroker, "cleanLivingBroker", "l", false, "forget them even when they are alive")
	dryRunFlag(c, &dry)
	return c
}
