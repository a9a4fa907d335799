package admin

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

func (a *Admin) groupCommands() []*cobra.Command {
	return []*cobra.Command{a.updateSubGroup(), a.updateSubGroupList(), a.deleteSubGroup(), a.setConsumeMode(), a.getConsumerConfig()}
}

// groupPlan is what makes or changes a group at a broker. What it will overwrite is said first.
func groupPlan(m member, known *protocol.SubscriptionGroups, g *protocol.SubscriptionGroupConfig) string {
	old := known.SubscriptionGroupTable[g.GroupName]
	if old == nil {
		return fmt.Sprintf("create group %s at %s", g.GroupName, m)
	}
	var values [][3]string
	after := groupFields(g)
	for i, f := range groupFields(old) {
		if f.name != "attributes" && f.name != "subscriptionDataSet" { // these stay, or are changes themselves
			values = append(values, [3]string{f.name, f.value, after[i].value})
		}
	}
	if len(g.Attributes) > 0 {
		values = append(values, [3]string{"attributes", attributesText(old.Attributes), "with " + attributeText(g.Attributes)})
	}
	return fmt.Sprintf("change group %s at %s: %s", g.GroupName, m, difference(values...))
}

func (a *Admin) updateSubGroup() *cobra.Command {
	var (
		to                 target
		policy, attributes string
		dry                bool
		g                  = protocol.NewSubscriptionGroupConfig("")
	)
	c := a.command("updateSubGroup", "Create or change a consumer group", func(ctx context.Context) (err error) {
		if g.Attributes, err = parseAttributes(attributes); err != nil {
			return err
		}
		if policy != "" {
			if err := parsePolicy(policy, &g.GroupRetryPolicy); err != nil {
				return err
			}
		}
		masters, err := a.masters(ctx, to)
		if err != nil {
			return err
		}
		if err := a.carryAt(ctx, dry, masters, func(m member) (change, error) {
			known, err := a.pool.Groups(ctx, m.addr)
			if err != nil {
				return change{}, err
			}
			return change{what: groupPlan(m, known, &g), do: func(ctx context.Context) error { return a.pool.CreateGroup(ctx, m.addr, &g) }}, nil
		}); err != nil || dry {
			return err
		}
		return a.show(map[string]any{"brokers": addresses(masters), "group": &g}, func(w io.Writer) {
			for _, m := range masters {
				fmt.Fprintf(w, "create subscription group to %s success.\n", m.addr)
			}
			fmt.Fprint(w, groupText(&g))
		})
	})
	to.either(c)
	required(c, &g.GroupName, "groupName", "g", "`GROUP`")
	boolFlag(c, &g.ConsumeEnable, "consumeEnable", "s", true, "whether the group may consume")
	boolFlag(c, &g.ConsumeFromMinEnable, "consumeFromMinEnable", "m", false, "whether a new consumer may begin with the oldest message")
	boolFlag(c, &g.ConsumeBroadcastEnable, "consumeBroadcastEnable", "d", false, "whether each client may get all messages")
	boolFlag(c, &g.ConsumeMessageOrderly, "consumeMessageOrderly", "o", false, "whether messages are consumed in order")
	c.Flags().Int32VarP(&g.RetryQueueNums, "retryQueueNums", "q", 1, "`NUMBER` of queues of the retry topic")
	c.Flags().Int32VarP(&g.RetryMaxTimes, "retryMaxTimes", "r", 16, "how many `TIMES` a message comes again")
	c.Flags().StringVarP(&policy, "groupRetryPolicy", "p", "", "when messages come again, as `JSON`: "+
		`{"type":"EXPONENTIAL","exponentialRetryPolicy":{"initial":5000,"max":7200000,"multiplier":2}} or {"type":"CUSTOMIZED","customizedRetryPolicy":{"next":[1000,5000,10000]}}`)
	c.Flags().Int64VarP(&g.BrokerID, "brokerId", "i", 0, "`ID` of the broker to consume from")
	c.Flags().Int64VarP(&g.WhichBrokerWhenConsumeSlowly, "whichBrokerWhenConsumeSlowly", "w", 1, "`ID` of the broker to consume from when far behind")
	boolFlag(c, &g.NotifyConsumerIDsChangedEnable, "notifyConsumerIdsChanged", "a", true, "whether clients are told when others come and go")
	c.Flags().StringVar(&attributes, "attributes", "", "`ATTRIBUTES` to set and to remove: +a=b,+c=d,-e")
	dryRunFlag(c, &dry)
	return c
}

// parsePolicy reads a retry policy as the broker will.
func parsePolicy(text string, to *protocol.GroupRetryPolicy) error {
	if err := fastjson.Unmarshal([]byte(text), to); err != nil {
		return misuse(fmt.Errorf("cannot use the retry policy: %w", err))
	}
	if to.Type != "EXPONENTIAL" && to.Type != "CUSTOMIZED" {
		return misuse(fmt.Errorf("cannot use the retry policy: its type %q must be EXPONENTIAL or CUSTOMIZED", to.Type))
	}
	var exponential struct{ Initial, Max, Multiplier int64 }
	var customized struct{ Next []int64 }
	if to.ExponentialRetryPolicy != nil {
		if err := fastjson.Unmarshal(to.ExponentialRetryPolicy, &exponential); err != nil {
			return misuse(fmt.Errorf("cannot use the retry policy: %w", err))
		}
	}
	if to.CustomizedRetryPolicy != nil {
		if err := fastjson.Unmarshal(to.CustomizedRetryPolicy, &customized); err != nil {
			return misuse(fmt.Errorf("cannot use the retry policy: %w", err))
		}
	}
	return nil
}

func (a *Admin) updateSubGroupList() *cobra.Command {
	var to target
	var file string
	var dry bool
	c := a.command("updateSubGroupList", "Create or change many consumer groups", func(ctx context.Context) error {
		var groups []*protocol.SubscriptionGroupConfig
		if err := readList(file, &groups); err != nil || len(groups) == 0 {
			return err
		}
		masters, err := a.masters(ctx, to)
		if err != nil {
			return err
		}
		if err := a.carryAt(ctx, dry, masters, func(m member) (change, error) {
			known, err := a.pool.Groups(ctx, m.addr)
			if err != nil {
				return change{}, err
			}
			all := change{what: fmt.Sprintf("create or change %d groups at %s", len(groups), m), do: func(ctx context.Context) error {
				return a.pool.CreateGroups(ctx, m.addr, groups)
			}}
			for _, g := range groups {
				all.details = append(all.details, groupPlan(m, known, g))
			}
			return all, nil
		}); err != nil || dry {
			return err
		}
		return a.show(map[string]any{"brokers": addresses(masters), "groups": groups}, func(w io.Writer) {
			what := "group"
			if to.broker == "" {
				what = "subscription group"
			}
			for _, m := range masters {
				fmt.Fprintf(w, "submit batch of %s config to %s success, please check the result later.\n", what, m.addr)
			}
		})
	})
	to.either(c)
	required(c, &file, "filename", "f", "`FILE` with a list of groups as JSON: [{\"groupName\":\"billing\",\"retryMaxTimes\":16}]")
	_ = c.MarkFlagFilename("filename", "json")
	dryRunFlag(c, &dry)
	return c
}

// groupHoldings says what a group is at a broker: how many clients it has, and how far behind it is.
func (a *Admin) groupHoldings(ctx context.Context, addr, group string) string {
	text := "no clients"
	if c, err := a.pool.ConsumerConnections(ctx, addr, group); err == nil && len(c.ConnectionSet) > 0 {
		text = fmt.Sprintf("%d clients are connected", len(c.ConnectionSet))
	}
	if stats, err := a.pool.ConsumeStats(ctx, addr, group, ""); err == nil {
		var behind int64
		for _, q := range stats.OffsetTable {
			behind += max(q.Value.BrokerOffset-q.Value.ConsumerOffset, 0)
		}
		text += fmt.Sprintf(", offsets of %d queues, %d messages not consumed", len(stats.OffsetTable), behind)
	}
	return text
}

func (a *Admin) deleteSubGroup() *cobra.Command {
	var to target
	var group string
	var offsets, dry bool
	c := a.command("deleteSubGroup", "Delete a consumer group; from a cluster, with its retry and dead letter topics", func(ctx context.Context) error {
		masters, err := a.masters(ctx, to)
		if err != nil {
			return err
		}
		changes, err := changesAt(masters, func(m member) (change, error) {
			what := fmt.Sprintf("delete group %s (%s) at %s", group, a.groupHoldings(ctx, m.addr, group), m)
			if offsets {
				what += ", with its offsets"
			}
			return change{what: what, do: func(ctx context.Context) error { return a.pool.DeleteGroup(ctx, m.addr, group, offsets) }}, nil
		})
		if err == nil && to.broker == "" {
			var topics []change
			topics, err = a.groupTopicDeletions(ctx, to, group)
			changes = append(changes, topics...)
		}
		if err != nil {
			return err
		}
		if err := a.carry(ctx, dry, changes); err != nil || dry {
			return err
		}
		return a.show(map[string]any{"group": group, "brokers": addresses(masters), "offsets": offsets}, func(w io.Writer) {
			for _, m := range masters {
				in := ""
				if to.broker == "" {
					in = fmt.Sprintf(" in cluster [%s]", to.cluster)
				}
				fmt.Fprintf(w, "delete subscription group [%s] from broker [%s]%s success.\n", group, m.addr, in)
			}
		})
	})
	to.either(c)
	required(c, &group, "groupName", "g", "`GROUP`")
	boolFlag(c, &offsets, "removeOffset", "r", false, "whether its offsets are deleted too")
	dryRunFlag(c, &dry)
	return c
}

// groupTopicDeletions removes the retry and the dead letter topic of a group from a cluster.
func (a *Admin) groupTopicDeletions(ctx context.Context, to target, group string) (changes []change, _ error) {
	members, err := a.members(ctx, to)
	if err != nil {
		return nil, err
	}
	for _, topic := range []string{retryPrefix + group, dlqPrefix + group} {
		found := false
		for _, m := range members {
			c, there, err := a.deletion(ctx, m, topic)
			if err != nil {
				return nil, err
			}
			if there {
				found, changes = true, append(changes, c)
			}
		}
		if found {
			changes = append(changes, change{what: fmt.Sprintf("forget topic %s at %s", topic, a.namesrvAddr), do: func(ctx context.Context) error {
				return a.names.DeleteTopic(ctx, topic, "")
			}})
		}
	}
	return changes, nil
}

func (a *Admin) setConsumeMode() *cobra.Command {
	var to target
	var mode protocol.RequestMode
	c := a.command("setConsumeMode", "Let a group pull or pop a topic", func(ctx context.Context) error {
		if mode.Mode != "PULL" && mode.Mode != "POP" {
			return misuse(fmt.Errorf("cannot use mode %q: it must be PULL or POP", mode.Mode))
		}
		masters, err := a.masters(ctx, to)
		if err != nil {
			return err
		}
		if err := a.carryAt(ctx, false, masters, func(m member) (change, error) {
			return change{what: fmt.Sprintf("let group %s %s topic %s at %s", mode.ConsumerGroup, strings.ToLower(mode.Mode), mode.Topic, m),
				do: func(ctx context.Context) error { return a.pool.SetRequestMode(ctx, m.addr, &mode) }}, nil
		}); err != nil {
			return err
		}
		return a.show(map[string]any{"brokers": addresses(masters), "mode": &mode}, func(w io.Writer) {
			for _, m := range masters {
				fmt.Fprintf(w, "set consume mode to %s success.\n", m.addr)
			}
			fmt.Fprintf(w, "topic[%s] group[%s] consume mode[%s] popShareQueueNum[%d]", mode.Topic, mode.ConsumerGroup, mode.Mode, mode.PopShareQueueNum)
		})
	})
	to.either(c)
	required(c, &mode.Topic, "topicName", "t", "`TOPIC`")
	required(c, &mode.ConsumerGroup, "groupName", "g", "`GROUP`")
	required(c, &mode.Mode, "mode", "m", "`MODE`: PULL or POP")
	c.Flags().Int32VarP(&mode.PopShareQueueNum, "popShareQueueNum", "q", 0, "how many `CLIENTS` may pop a queue beside its own; -1 for all")
	return c
}

// consumerConfig is a group as a broker has it.
type consumerConfig struct {
	Cluster string                            `json:"cluster"`
	Broker  string                            `json:"broker"`
	Group   *protocol.SubscriptionGroupConfig `json:"group"`
}

func (a *Admin) getConsumerConfig() *cobra.Command {
	var group string
	c := a.command("getConsumerConfig", "Show the settings of a consumer group", func(ctx context.Context) error {
		info, err := a.names.ClusterInfo(ctx)
		if err != nil {
			return err
		}
		found := []consumerConfig{}
		for _, name := range slices.Sorted(maps.Keys(info.BrokerAddrTable)) {
			known, err := a.pool.Groups(ctx, info.BrokerAddrTable[name].Pick())
			if err != nil {
				return err
			}
			if g := known.SubscriptionGroupTable[group]; g != nil {
				found = append(found, consumerConfig{info.BrokerAddrTable[name].Cluster, name, g})
			}
		}
		if len(found) == 0 {
			return fmt.Errorf("no broker that the NameServer at %s knows has group %s", a.namesrvAddr, group)
		}
		return a.show(found, func(w io.Writer) {
			for _, one := range found {
				fmt.Fprintf(w, "=============================%s:%s=============================\n", one.Cluster, one.Broker)
				for _, f := range groupFields(one.Group) {
					value := f.value
					if value == "null" {
						value = ""
					}
					fmt.Fprintf(w, "%-40s=  %s\n", f.name, value)
				}
			}
		})
	})
	required(c, &group, "groupName", "g", "`GROUP`")
	return c
}
