package admin

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// completeTimeout bounds how long the shell waits for names from the cluster.
const completeTimeout = time.Second

// completions lets the shell complete the names of topics, groups, clusters and brokers, which are asked for when the tabulator is hit.
func (a *Admin) completions(root *cobra.Command) {
	for _, c := range root.Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if _, has := c.GetFlagCompletionFunc(f.Name); has {
				return
			}
			if names := a.namesFor(f); names != nil {
				_ = c.RegisterFlagCompletionFunc(f.Name, a.complete(names))
			}
		})
	}
}

// namesFor is what lists the names that a flag may have, nil when that is not known.
func (a *Admin) namesFor(f *pflag.Flag) func(context.Context) ([]string, error) {
	switch f.Name {
	case "topic", "topicName", "parentTopic":
		return a.topicNames
	case "group", "groupName", "consumerGroup", "srcGroup", "destGroup":
		return a.groupNames
	case "cluster", "clusterName", "clusters":
		return a.clusterNames
	case "brokerName", "brokers":
		return a.brokerNames
	case "brokerAddr", "broker":
		if strings.Contains(f.Usage, "`ADDRESS`") {
			return a.brokerAddresses
		}
		return a.brokerNames
	}
	return nil
}

// complete makes a completion of names. Whatever goes wrong, the shell just has nothing to offer.
func (a *Admin) complete(names func(context.Context) ([]string, error)) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		parent := c.Context()
		if parent == nil {
			parent = context.Background()
		}
		ctx, cancel := context.WithTimeout(parent, completeTimeout)
		defer cancel()
		var found []string
		_ = a.run(ctx, func(ctx context.Context) (err error) {
			found, err = names(ctx)
			return err
		})
		found = slices.DeleteFunc(found, func(name string) bool { return !strings.HasPrefix(name, begun) })
		slices.Sort(found)
		return slices.Compact(found), cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *Admin) topicNames(ctx context.Context) ([]string, error) { return a.names.Topics(ctx) }

func (a *Admin) clusterNames(ctx context.Context) ([]string, error) {
	info, err := a.names.ClusterInfo(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Collect(maps.Keys(info.ClusterAddrTable)), nil
}

func (a *Admin) brokerNames(ctx context.Context) ([]string, error) {
	info, err := a.names.ClusterInfo(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Collect(maps.Keys(info.BrokerAddrTable)), nil
}

func (a *Admin) brokerAddresses(ctx context.Context) ([]string, error) {
	all, err := a.members(ctx, target{})
	return addresses(all), err
}

// groupNames are those that the masters know. One that does not answer hides no other's.
func (a *Admin) groupNames(ctx context.Context) ([]string, error) {
	all, err := a.members(ctx, target{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range all {
		if m.id != protocol.MasterID {
			continue
		}
		if groups, err := a.pool.Groups(ctx, m.addr); err == nil {
			names = slices.AppendSeq(names, maps.Keys(groups.SubscriptionGroupTable))
		}
	}
	return names, nil
}
