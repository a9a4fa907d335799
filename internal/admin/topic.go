package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

func (a *Admin) topicCommands() []*cobra.Command {
	return []*cobra.Command{a.updateTopic(), a.updateTopicList(), a.deleteTopic(), a.updateTopicPerm(), a.topicRoute(), a.topicStatus(),
		a.topicClusterList(), a.topicList(), a.updateOrderConf(), a.allocateMQ()}
}

// topicAt returns a topic as a broker has it, nil when it has none. A broker before 5.0 only tells of all topics.
func (a *Admin) topicAt(ctx context.Context, addr, topic string) (*protocol.TopicConfigAndMapping, error) {
	t, err := a.pool.TopicConfig(ctx, addr, topic)
	switch {
	case refused(err, protocol.CodeTopicNotExist):
		return nil, nil
	case refused(err, protocol.CodeRequestCodeNotSupported):
		all, err := a.pool.TopicConfigs(ctx, addr)
		if err != nil || all.TopicConfigTable[topic] == nil {
			return nil, err
		}
		return &protocol.TopicConfigAndMapping{TopicConfig: *all.TopicConfigTable[topic]}, nil
	}
	return t, err
}

// topicDifference says what of a topic would be changed: "readQueueNums 16 -> 8".
func topicDifference(from, to *protocol.TopicConfig) string {
	was, is := from.Attributes, maps.Clone(from.Attributes)
	for key, value := range to.Attributes { // changes, such as +a=b and -c
		if name, added := strings.CutPrefix(key, "+"); added {
			if is == nil {
				is = make(map[string]string)
			}
			is[name] = value
		} else {
			delete(is, strings.TrimPrefix(key, "-"))
		}
	}
	return difference(
		[3]string{"readQueueNums", fmt.Sprint(from.ReadQueueNums), fmt.Sprint(to.ReadQueueNums)},
		[3]string{"writeQueueNums", fmt.Sprint(from.WriteQueueNums), fmt.Sprint(to.WriteQueueNums)},
		[3]string{"perm", permText(from.Perm), permText(to.Perm)},
		[3]string{"order", fmt.Sprint(from.Order), fmt.Sprint(to.Order)},
		[3]string{"topicSysFlag", fmt.Sprint(from.TopicSysFlag), fmt.Sprint(to.TopicSysFlag)},
		[3]string{"attributes", attributesText(was), attributesText(is)})
}

// difference lists the values that are not the same: name, from and to of each.
func difference(values ...[3]string) string {
	var list []string
	for _, v := range values {
		if v[1] != v[2] {
			list = append(list, fmt.Sprintf("%s %s -> %s", v[0], v[1], v[2]))
		}
	}
	if len(list) == 0 {
		return "nothing changes"
	}
	return strings.Join(list, ", ")
}

// topicChange is what makes or changes a topic at a broker. What it will overwrite is said first.
func (a *Admin) topicChange(ctx context.Context, m member, t *protocol.TopicConfig) (change, error) {
	old, err := a.topicAt(ctx, m.addr, t.TopicName)
	if err != nil {
		return change{}, err
	}
	what := fmt.Sprintf("create topic %s with %d queues to read and %d to write at %s", t.TopicName, t.ReadQueueNums, t.WriteQueueNums, m)
	if old != nil {
		what = fmt.Sprintf("change topic %s at %s: %s", t.TopicName, m, topicDifference(&old.TopicConfig, t))
	}
	return change{what: what, do: func(ctx context.Context) error {
		return a.pool.CreateTopic(ctx, m.addr, t, attributeText(t.Attributes))
	}}, nil
}

// parseAttributes reads "+key=value,-key".
func parseAttributes(text string) (map[string]string, error) {
	attributes := make(map[string]string)
	if text == "" {
		return attributes, nil
	}
	for one := range strings.SplitSeq(text, ",") {
		key, value, set := strings.Cut(strings.TrimSpace(one), "=")
		switch _, there := attributes[key]; {
		case there:
			return nil, misuse(fmt.Errorf("cannot use attributes %q: key duplication: %s", text, key))
		case set && !strings.HasPrefix(key, "+"):
			return nil, misuse(fmt.Errorf("cannot use attributes %q: add/alter attribute format is wrong: %s; it is +key=value", text, key))
		case !set && !strings.HasPrefix(key, "-"):
			return nil, misuse(fmt.Errorf("cannot use attributes %q: delete attribute format is wrong: %s; it is -key", text, key))
		}
		attributes[key] = value
	}
	return attributes, nil
}

// attributeText is the reverse.
func attributeText(attributes map[string]string) string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		if value := attributes[key]; value != "" {
			key += "=" + value
		}
		list = append(list, key)
	}
	return strings.Join(list, ",")
}

// topicResult is what updateTopic has done.
type topicResult struct {
	Brokers   []string              `json:"brokers"`
	Topic     *protocol.TopicConfig `json:"topic"`
	OrderConf string                `json:"orderConf,omitempty"`
}

func (a *Admin) updateTopic() *cobra.Command {
	var (
		to                 target
		attributes         string
		unit, unitSub, dry bool
		t                  = protocol.NewTopicConfig("")
	)
	c := a.command("updateTopic", "Create or change a topic", func(ctx context.Context) (err error) {
		if t.Attributes, err = parseAttributes(attributes); err != nil {
			return err
		}
		if unit {
			t.TopicSysFlag |= protocol.TopicFlagUnit
		}
		if unitSub {
			t.TopicSysFlag |= protocol.TopicFlagUnitSub
		}
		masters, err := a.masters(ctx, to)
		if err != nil {
			return err
		}
		done := topicResult{Topic: &t}
		changes, err := changesAt(masters, func(m member) (change, error) {
			done.Brokers = append(done.Brokers, m.addr)
			return a.topicChange(ctx, m, &t)
		})
		if err == nil && t.Order {
			var order change
			if done.OrderConf, order, err = a.orderChange(ctx, to, masters, &t); err == nil {
				changes = append(changes, order)
			}
		}
		if err != nil {
			return err
		}
		if err := a.carry(ctx, dry, changes); err != nil || dry {
			return err
		}
		return a.show(done, func(w io.Writer) { printTopicResult(w, to, &done) })
	})
	to.either(c)
	required(c, &t.TopicName, "topic", "t", "`TOPIC`")
	c.Flags().StringVarP(&attributes, "attributes", "a", "", "`ATTRIBUTES` to set and to remove: +a=b,+c=d,-e")
	c.Flags().Int32VarP(&t.ReadQueueNums, "readQueueNums", "r", 8, "`NUMBER` of queues that can be read")
	c.Flags().Int32VarP(&t.WriteQueueNums, "writeQueueNums", "w", 8, "`NUMBER` of queues that can be written to")
	c.Flags().Int32VarP(&t.Perm, "perm", "p", 6, "`PERMISSION`: 2 to write, 4 to read, 6 for both")
	boolFlag(c, &t.Order, "order", "o", false, "whether messages of the topic are in order even while brokers come and go")
	boolFlag(c, &unit, "unit", "u", false, "whether it is a unit topic")
	boolFlag(c, &unitSub, "hasUnitSub", "s", false, "whether it has unit subscribers")
	dryRunFlag(c, &dry)
	return c
}

func printTopicResult(w io.Writer, to target, r *topicResult) {
	if r.Topic.Order && to.broker != "" {
		fmt.Fprintf(w, "set broker orderConf. isOrder=true, orderConf=[%s]\n", r.OrderConf)
	}
	for _, addr := range r.Brokers {
		fmt.Fprintf(w, "create topic to %s success.\n", addr)
	}
	if r.Topic.Order && to.broker == "" {
		fmt.Fprintf(w, "set cluster orderConf. isOrder=true, orderConf=[%s]\n", r.OrderConf)
	}
	fmt.Fprintln(w, topicText(r.Topic))
}

func (a *Admin) updateTopicList() *cobra.Command {
	var to target
	var file string
	var dry bool
	c := a.command("updateTopicList", "Create or change many topics", func(ctx context.Context) error {
		var topics []*protocol.TopicConfig
		if err := readList(file, &topics); err != nil || len(topics) == 0 {
			return err
		}
		masters, err := a.masters(ctx, to)
		if err != nil {
			return err
		}
		if err := a.carryAt(ctx, dry, masters, func(m member) (change, error) {
			all := change{what: fmt.Sprintf("create or change %d topics at %s", len(topics), m), do: func(ctx context.Context) error {
				return a.pool.CreateTopics(ctx, m.addr, topics)
			}}
			for _, t := range topics {
				one, err := a.topicChange(ctx, m, t)
				if err != nil {
					return change{}, err
				}
				all.details = append(all.details, one.what)
			}
			return all, nil
		}); err != nil || dry {
			return err
		}
		return a.show(map[string]any{"brokers": addresses(masters), "topics": topics}, func(w io.Writer) {
			for _, m := range masters {
				fmt.Fprintf(w, "submit batch of topic config to %s success, please check the result later.\n", m.addr)
			}
		})
	})
	to.either(c)
	required(c, &file, "filename", "f", "`FILE` with a list of topics as JSON: [{\"topicName\":\"orders\",\"readQueueNums\":8,\"writeQueueNums\":8,\"perm\":6}]")
	_ = c.MarkFlagFilename("filename", "json")
	dryRunFlag(c, &dry)
	return c
}

// readList reads a file with a list as JSON.
func readList[T any](file string, to *[]T) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the file path %s does not exists", file)
	} else if err != nil {
		return err
	}
	if err := fastjson.Unmarshal(data, to); err != nil {
		return fmt.Errorf("cannot read %q: %w", file, err)
	}
	return nil
}

func addresses(all []member) []string {
	list := []string{}
	for _, m := range all {
		list = append(list, m.addr)
	}
	return list
}

// topicHoldings says what is lost with a topic: "8 queues, 1200 messages, read by g1, g2".
func (a *Admin) topicHoldings(ctx context.Context, addr, topic string, t *protocol.TopicConfig) string {
	text := fmt.Sprintf("%d queues", max(t.ReadQueueNums, t.WriteQueueNums))
	if stats, err := a.pool.TopicStats(ctx, addr, topic); err == nil {
		var messages int64
		for _, q := range stats.OffsetTable {
			messages += q.Value.MaxOffset - q.Value.MinOffset
		}
		text += fmt.Sprintf(", %d messages", messages)
	}
	if groups, err := a.pool.TopicGroups(ctx, addr, topic); err == nil && len(groups) > 0 {
		slices.Sort(groups)
		text += ", read by " + strings.Join(groups, ", ")
	} else if err == nil {
		text += ", read by no group"
	}
	return text
}

// deletion is what removes a topic from a broker.
func (a *Admin) deletion(ctx context.Context, m member, topic string) (_ change, there bool, _ error) {
	t, err := a.topicAt(ctx, m.addr, topic)
	if err != nil {
		return change{}, false, err
	}
	what := fmt.Sprintf("delete topic %s (there is none) at %s", topic, m)
	if t != nil {
		what = fmt.Sprintf("delete topic %s (%s) at %s", topic, a.topicHoldings(ctx, m.addr, topic, &t.TopicConfig), m)
	}
	return change{what: what, do: func(ctx context.Context) error { return a.pool.DeleteTopic(ctx, m.addr, topic) }}, t != nil, nil
}

func (a *Admin) deleteTopic() *cobra.Command {
	var topic, cluster string
	var dry bool
	c := a.command("deleteTopic", "Delete a topic with all its messages", func(ctx context.Context) error {
		masters, err := a.masters(ctx, target{cluster: cluster})
		if err != nil {
			return err
		}
		changes, err := changesAt(masters, func(m member) (change, error) {
			c, _, err := a.deletion(ctx, m, topic)
			return c, err
		})
		if err != nil {
			return err
		}
		changes = append(changes, change{what: fmt.Sprintf("forget topic %s of cluster %s at %s", topic, cluster, a.namesrvAddr), do: func(ctx context.Context) error {
			return a.names.DeleteTopic(ctx, topic, cluster)
		}})
		if err := a.carry(ctx, dry, changes); err != nil || dry {
			return err
		}
		return a.show(map[string]any{"topic": topic, "cluster": cluster, "brokers": addresses(masters)}, func(w io.Writer) {
			fmt.Fprintf(w, "delete topic [%s] from cluster [%s] success.\n", topic, cluster)
			fmt.Fprintf(w, "delete topic [%s] from NameServer success.\n", topic)
		})
	})
	required(c, &topic, "topic", "t", "`TOPIC`")
	required(c, &cluster, "clusterName", "c", "delete it from which cluster: `CLUSTER`")
	dryRunFlag(c, &dry)
	return c
}

// permResult is what updateTopicPerm has done at a broker.
type permResult struct {
	Broker string `json:"broker"`
	From   int32  `json:"from"`
	To     int32  `json:"to"`
}

func (a *Admin) updateTopicPerm() *cobra.Command {
	var to target
	var topic string
	var perm int32
	var dry bool
	c := a.command("updateTopicPerm", "Change what may be done with a topic", func(ctx context.Context) error {
		masters, err := a.masters(ctx, to)
		if err != nil {
			return err
		}
		var done []permResult
		var last *protocol.TopicConfig
		var changes []change
		for _, m := range masters {
			t, err := a.topicAt(ctx, m.addr, topic)
			switch {
			case err != nil:
				return err
			case t == nil && to.broker != "":
				return fmt.Errorf("there is no topic %s at %s", topic, m)
			case t == nil:
				continue
			case t.Perm == perm && to.broker != "":
				return a.show([]permResult{}, func(w io.Writer) { fmt.Fprintln(w, "new perm equals to the old one!") })
			}
			after := t.TopicConfig
			after.Perm, after.Attributes = perm, nil
			done = append(done, permResult{m.addr, t.Perm, perm})
			last = &after
			changes = append(changes, change{what: fmt.Sprintf("change the permission of topic %s from %s to %s at %s", topic, permText(t.Perm), permText(perm), m),
				do: func(ctx context.Context) error { return a.pool.CreateTopic(ctx, m.addr, &after, "") }})
		}
		if len(changes) == 0 {
			return fmt.Errorf("there is no topic %s in cluster %s", topic, to.cluster)
		}
		if err := a.carry(ctx, dry, changes); err != nil || dry {
			return err
		}
		return a.show(done, func(w io.Writer) {
			for _, r := range done {
				fmt.Fprintf(w, "update topic perm from %d to %d in %s success.\n", r.From, r.To, r.Broker)
			}
			if to.broker != "" {
				fmt.Fprintf(w, "%s.\n", topicText(last))
			}
		})
	})
	to.either(c)
	required(c, &topic, "topic", "t", "`TOPIC`")
	c.Flags().Int32VarP(&perm, "perm", "p", 0, "`PERMISSION`: 2 to write, 4 to read, 6 for both")
	need(c, "perm")
	dryRunFlag(c, &dry)
	return c
}
