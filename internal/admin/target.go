package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// target is which brokers a command is for: the one at an address, or those of a cluster.
type target struct {
	broker  string // host:port
	cluster string
}

// brokerFlag adds -b.
func (t *target) brokerFlag(c *cobra.Command) {
	c.Flags().StringVarP(&t.broker, "brokerAddr", "b", "", "`ADDRESS` of the broker")
}

// clusterFlag adds -c under the long name that the command has for it.
func (t *target) clusterFlag(c *cobra.Command, name string) {
	c.Flags().StringVarP(&t.cluster, name, "c", "", "`CLUSTER`, for each of its masters")
}

// either adds both, of which one must be given.
func (t *target) either(c *cobra.Command) {
	t.brokerFlag(c)
	t.clusterFlag(c, "clusterName")
	c.MarkFlagsOneRequired("brokerAddr", "clusterName")
}

// member is one broker of a broker group.
type member struct {
	cluster string
	name    string // of the group; empty when only the address was given
	id      int64
	addr    string
}

func (m member) String() string {
	if m.name == "" {
		return m.addr
	}
	return fmt.Sprintf("%s (%s)", m.name, m.addr)
}

// masters lists the masters that t names, sorted by name. The broker at an address is taken for one.
func (a *Admin) masters(ctx context.Context, t target) ([]member, error) {
	all, err := a.members(ctx, t)
	return slices.DeleteFunc(all, func(m member) bool { return m.id != protocol.MasterID }), err
}

// members lists the brokers that t names, masters and slaves, sorted by name and id. A zero t names all clusters.
func (a *Admin) members(ctx context.Context, t target) ([]member, error) {
	if t.broker != "" {
		return []member{{addr: t.broker}}, nil
	}
	info, err := a.names.ClusterInfo(ctx)
	if err != nil {
		return nil, err
	}
	clusters := slices.Sorted(maps.Keys(info.ClusterAddrTable))
	if t.cluster != "" {
		if !slices.Contains(clusters, t.cluster) {
			return nil, fmt.Errorf("the NameServer at %s knows no cluster %s; it knows %s", a.namesrvAddr, t.cluster, listed(clusters))
		}
		clusters = []string{t.cluster}
	}
	var all []member
	for _, cluster := range clusters {
		for _, name := range slices.Sorted(slices.Values(info.ClusterAddrTable[cluster])) {
			b := info.BrokerAddrTable[name]
			if b == nil {
				continue
			}
			for _, id := range slices.Sorted(maps.Keys(b.BrokerAddrs)) {
				all = append(all, member{cluster, name, id, b.BrokerAddrs[id]})
			}
		}
	}
	return all, nil
}

// listed is a list for a sentence.
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
