package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// restoreOptions are what `liftoff restore` was told.
type restoreOptions struct {
	target
	only      []string
	from      string
	dryRun    bool
	backwards bool
	beyond    bool
}

// restoreParts are what --only may name.
var restoreParts = []string{"topics", "groups", "offsets", "modes", "kv"}

func (a *Admin) restoreCommand() *cobra.Command {
	var o restoreOptions
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Bring a cluster's topics, groups and offsets back from a file",
		Long: `Bring back what liftoff backup has written: topics, groups, consumer offsets, message request modes and the KV configuration of the NameServer. What is
the same already is left. Nothing is ever deleted, and no offset goes backwards unless --backwards says so. Each broker in the file is
restored to the broker of the same name. Configurations and delay offsets in the file are for people and are not restored.`,
		Example: "  liftoff restore cluster.json --dry-run\n  liftoff restore cluster.json --only topics,groups\n  liftoff restore cluster.json --from broker-a -b 10.0.0.7:10911",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := readFlags(c.Flags()); err != nil {
				return err
			}
			for _, part := range o.only {
				if !slices.Contains(restoreParts, part) {
					return misuse(fmt.Errorf("--only=%s is wrong: it must be of %s", part, strings.Join(restoreParts, ", ")))
				}
			}
			return a.run(c.Context(), func(ctx context.Context) error { return a.restore(ctx, args[0], o) })
		},
	}
	o.clusterFlag(c, "clusterName")
	o.brokerFlag(c)
	dryRunFlag(c, &o.dryRun)
	c.Flags().StringSliceVar(&o.only, "only", restoreParts, "restore only these `PARTS`: "+strings.Join(restoreParts, ", "))
	c.Flags().StringVar(&o.from, "from", "", "restore only the `BROKER` of this name in the file; with -b to a broker of any name")
	c.Flags().BoolVar(&o.backwards, "backwards", false, "set offsets back, too: messages are consumed again")
	c.Flags().BoolVar(&o.beyond, "beyond-end", false, "set offsets though they are behind the end of their queue, which has fewer messages than in the file")
	return c
}

// restorer collects what is to be changed.
type restorer struct {
	a       *Admin
	o       restoreOptions
	changes []change
	left    map[string]int // things that are the same, by kind
}

func (a *Admin) restore(ctx context.Context, path string, o restoreOptions) error {
	b, err := readBackup(path, a.In)
	if err != nil {
		return err
	}
	r := restorer{a: a, o: o, left: map[string]int{}}
	pairs, err := r.pairs(ctx, b)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		if err := r.broker(ctx, p.from, p.to); err != nil {
			return err
		}
	}
	if r.wants("kv") && o.broker == "" {
		if err := r.kv(ctx, &b.Namesrv); err != nil {
			return err
		}
	}
	for _, kind := range sorted(r.left) {
		a.say("%d %s are the same already and left", r.left[kind], kind)
	}
	if len(r.changes) == 0 {
		a.say("there is nothing to restore")
		return nil
	}
	return a.carry(ctx, o.dryRun, r.changes)
}

func (r *restorer) wants(part string) bool { return slices.Contains(r.o.only, part) }

// restored is a broker of the file and the one that it is restored to.
type restored struct {
	from *brokerBackup
	to   member
}

func (r *restorer) pairs(ctx context.Context, b *backup) ([]restored, error) {
	var from []*brokerBackup
	var names []string
	for i := range b.Brokers {
		names = append(names, b.Brokers[i].Name)
		if r.o.from == "" || b.Brokers[i].Name == r.o.from {
			from = append(from, &b.Brokers[i])
		}
	}
	if len(from) == 0 {
		return nil, fmt.Errorf("the file has no broker %s; it has %s", r.o.from, listed(names))
	}
	masters, err := r.a.masters(ctx, r.o.target)
	if err != nil {
		return nil, err
	}
	if r.o.broker != "" {
		if len(from) > 1 {
			return nil, fmt.Errorf("the file has several brokers (%s): say with --from which one -b is to have", listed(names))
		}
		return []restored{{from[0], masters[0]}}, nil
	}
	var pairs []restored
	for _, f := range from {
		i := slices.IndexFunc(masters, func(m member) bool { return m.name == f.Name })
		if i < 0 {
			r.a.say("%s is in the file but not in the cluster, and left; --from %s -b ADDRESS restores it to another broker", f.Name, f.Name)
			continue
		}
		pairs = append(pairs, restored{f, masters[i]})
	}
	if len(pairs) == 0 {
		return nil, errors.New("no broker of the file is in the cluster")
	}
	return pairs, nil
}

// add plans a change.
func (r *restorer) add(do func(context.Context) error, format string, args ...any) {
	r.changes = append(r.changes, change{what: fmt.Sprintf(format, args...), do: do})
}

func (r *restorer) broker(ctx context.Context, from *brokerBackup, to member) error {
	topics, err := r.a.pool.TopicConfigs(ctx, to.addr)
	if err != nil {
		return err
	}
	if r.wants("topics") {
		system, err := r.a.pool.SystemTopics(ctx, to.addr)
		if err != nil {
			return err
		}
		r.topics(from, to, topics, append(system, from.Name, from.Cluster))
	}
	if r.wants("groups") {
		if err := r.groups(ctx, from, to); err != nil {
			return err
		}
	}
	if r.wants("modes") {
		if err := r.modes(ctx, from, to); err != nil {
			return err
		}
	}
	if r.wants("offsets") {
		return r.offsets(ctx, from, to, topics)
	}
	return nil
}

// topics plans topics. Those that brokers make for themselves are left to them, also those of later versions that the broker does not know:
// brokers refuse to have them made.
func (r *restorer) topics(from *brokerBackup, to member, have *protocol.TopicConfigsAndMappings, system []string) {
	for _, name := range sorted(from.Topics) {
		want, now := from.Topics[name], have.TopicConfigTable[name]
		if slices.Contains(system, name) || strings.HasPrefix(name, "rmq_sys_") || strings.HasPrefix(name, "RMQ_SYS_ROCKSDB_") || want == nil {
			continue
		}
		want.TopicName = cmp.Or(want.TopicName, name)
		if mapping := from.StaticTopics[name]; mapping != nil {
			r.staticTopic(want, mapping, to, have.TopicQueueMappingDetailMap[name] != nil)
			continue
		}
		attributes := topicAttributes(want, now)
		do := func(ctx context.Context) error { return r.a.pool.CreateTopic(ctx, to.addr, want, attributes) }
		switch {
		case now == nil:
			r.add(do, "create topic %s at %s (%d read queues, %d write queues, perm %d)", name, to, want.ReadQueueNums, want.WriteQueueNums, want.Perm)
		case sameTopic(want, now):
			r.left["topics"]++
		default:
			r.add(do, "change topic %s at %s: %s", name, to, differences(now, want))
		}
	}
}

func (r *restorer) staticTopic(want *protocol.TopicConfig, mapping *protocol.TopicQueueMappingDetail, to member, there bool) {
	if there {
		r.left["static topics"]++
		return
	}
	r.add(func(ctx context.Context) error {
		return r.a.pool.CreateStaticTopic(ctx, to.addr, &protocol.TopicConfigAndMapping{TopicConfig: *want, MappingDetail: mapping}, false)
	}, "create static topic %s at %s", want.TopicName, to)
}

func sameTopic(a, b *protocol.TopicConfig) bool {
	return a.ReadQueueNums == b.ReadQueueNums && a.WriteQueueNums == b.WriteQueueNums && a.Perm == b.Perm && a.Order == b.Order &&
		a.TopicSysFlag == b.TopicSysFlag && cmp.Or(a.TopicFilterType, protocol.SingleTag) == cmp.Or(b.TopicFilterType, protocol.SingleTag) && maps.Equal(a.Attributes, b.Attributes)
}

// topicAttributes is what brings attributes from what there is to what is wanted: +name=value and -name.
func topicAttributes(want, now *protocol.TopicConfig) string {
	var parts []string
	have := map[string]string{}
	if now != nil {
		have = now.Attributes
	}
	for _, name := range sorted(want.Attributes) {
		if have[name] != want.Attributes[name] {
			parts = append(parts, "+"+name+"="+want.Attributes[name])
		}
	}
	for _, name := range sorted(have) {
		if _, wanted := want.Attributes[name]; !wanted {
			parts = append(parts, "-"+name)
		}
	}
	return strings.Join(parts, ",")
}

// differences names the fields that differ between two structs of one type.
func differences(now, want any) string {
	a, b := reflect.Indirect(reflect.ValueOf(now)), reflect.Indirect(reflect.ValueOf(want))
	var parts []string
	for i := range a.NumField() {
		x, y := a.Field(i).Interface(), b.Field(i).Interface()
		if !reflect.DeepEqual(x, y) && fmt.Sprint(x) != fmt.Sprint(y) {
			name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
			parts = append(parts, fmt.Sprintf("%s %v becomes %v", name, x, y))
		}
	}
	return strings.Join(parts, ", ")
}

// isSystemGroup says whether brokers and clients made a group for themselves.
func isSystemGroup(group string) bool {
	return strings.HasPrefix(group, systemGroups) || strings.HasPrefix(group, "CID_ONSAPI_") || slices.Contains(
		[]string{toolsGroup, "FILTERSRV_CONSUMER", "SELF_TEST_C_GROUP", "SELF_TEST_P_GROUP", "__MONITOR_CONSUMER", "CLIENT_INNER_PRODUCER", "CLIENT_INNER_PRODUCER_GROUP", "CID_SYS_RMQ_TRANS"}, group)
}

func (r *restorer) groups(ctx context.Context, from *brokerBackup, to member) error {
	have, err := r.a.pool.Groups(ctx, to.addr)
	if err != nil {
		return err
	}
	for _, name := range sorted(from.Groups) {
		want, now := from.Groups[name], have.SubscriptionGroupTable[name]
		if want == nil || isSystemGroup(name) {
			continue
		}
		want.GroupName = cmp.Or(want.GroupName, name)
		do := func(ctx context.Context) error { return r.a.pool.CreateGroup(ctx, to.addr, groupChange(want, now)) }
		switch {
		case now == nil:
			r.add(do, "create group %s at %s", name, to)
		case differences(now, want) == "":
			r.left["groups"]++
		default:
			r.add(do, "change group %s at %s: %s", name, to, differences(now, want))
		}
	}
	for _, group := range sorted(from.Forbidden) {
		for _, topic := range sorted(from.Forbidden[group]) {
			want, now := from.Forbidden[group][topic], have.ForbiddenTable[group][topic]
			if want&forbiddenRead == now&forbiddenRead {
				continue
			}
			readable := want&forbiddenRead == 0
			what := "forbid group %s to read topic %s at %s"
			if readable {
				what = "allow group %s to read topic %s at %s"
			}
			r.add(func(ctx context.Context) error { return r.a.pool.ForbidGroup(ctx, to.addr, group, topic, readable) }, what, group, topic, to)
		}
	}
	return nil
}

// forbiddenRead is the bit of what a group is forbidden in a topic that says reading.
const forbiddenRead = protocol.PermRead

// groupChange is a group as a request has it: attributes begin with + there.
func groupChange(want, now *protocol.SubscriptionGroupConfig) *protocol.SubscriptionGroupConfig {
	g := *want
	g.Attributes = map[string]string{}
	for name, value := range want.Attributes {
		if now == nil || now.Attributes[name] != value {
			g.Attributes["+"+name] = value
		}
	}
	return &g
}

func (r *restorer) modes(ctx context.Context, from *brokerBackup, to member) error {
	if len(from.RequestModes) == 0 {
		return nil
	}
	have, err := r.a.pool.RequestModes(ctx, to.addr)
	if err != nil {
		return err
	}
	for _, want := range from.RequestModes {
		now := have[want.Topic][want.ConsumerGroup]
		if now.Mode == want.Mode && now.PopShareQueueNum == want.PopShareQueueNum {
			r.left["message request modes"]++
			continue
		}
		r.add(func(ctx context.Context) error { return r.a.pool.SetRequestMode(ctx, to.addr, &want) },
			"let group %s consume topic %s by %s at %s", want.ConsumerGroup, want.Topic, want.Mode, to)
	}
	return nil
}

// offsets plans consumer offsets: forwards, and within what the queues have.
func (r *restorer) offsets(ctx context.Context, from *brokerBackup, to member, topics *protocol.TopicConfigsAndMappings) error {
	have, err := r.a.pool.AllConsumerOffsets(ctx, to.addr)
	if err != nil {
		return err
	}
	ends := map[string]map[int32]int64{}
	for _, key := range sorted(from.Offsets) {
		topic, group, ok := strings.Cut(key, "@")
		if !ok || isSystemGroup(group) {
			continue
		}
		for _, queue := range sorted(from.Offsets[key]) {
			want := from.Offsets[key][queue]
			now, known := have[key][queue]
			if known && now == want {
				r.left["offsets"]++
				continue
			}
			where := fmt.Sprintf("offset of group %s in %s queue %d at %s", group, topic, queue, to)
			if known && now > want && !r.o.backwards {
				r.a.say("leaves %s at %d: the file has %d, and going back is for --backwards to say", where, now, want)
				continue
			}
			if ends[topic] == nil {
				if ends[topic], err = r.ends(ctx, to, topic, topics.TopicConfigTable[topic] != nil); err != nil {
					return err
				}
			}
			if end := ends[topic][queue]; want > end && !r.o.beyond {
				r.a.say("leaves %s: the file has %d, the queue ends at %d; --beyond-end sets it nevertheless", where, want, end)
				continue
			}
			do := func(ctx context.Context) error { return r.a.pool.CommitOffset(ctx, to.addr, group, topic, queue, want) }
			if known {
				r.add(do, "set %s from %d to %d", where, now, want)
			} else {
				r.add(do, "set %s to %d, it has none", where, want)
			}
		}
	}
	return nil
}

// ends are the offsets behind the newest messages of a topic's queues.
func (r *restorer) ends(ctx context.Context, to member, topic string, known bool) (map[int32]int64, error) {
	ends := map[int32]int64{}
	if !known {
		return ends, nil
	}
	stats, err := r.a.pool.TopicStats(ctx, to.addr, topic)
	if err != nil {
		return nil, err
	}
	for _, e := range stats.OffsetTable {
		ends[e.Queue.QueueID] = e.Value.MaxOffset
	}
	return ends, nil
}

func (r *restorer) kv(ctx context.Context, from *namesrvBackup) error {
	for _, namespace := range sorted(from.KV) {
		have, err := r.a.names.KVNamespace(ctx, namespace)
		if err != nil && !refused(err, protocol.CodeQueryNotFound) {
			return err
		}
		for _, key := range sorted(from.KV[namespace]) {
			want := from.KV[namespace][key]
			now, known := have[key]
			if known && now == want {
				r.left["KV values"]++
				continue
			}
			do := func(ctx context.Context) error { return r.a.names.PutKVConfig(ctx, namespace, key, want) }
			if known {
				r.add(do, "change %s of %s in the NameServer from %q to %q", key, namespace, now, want)
			} else {
				r.add(do, "put %s=%s of %s into the NameServer", key, want, namespace)
			}
		}
	}
	return nil
}

// sorted are the keys of a map, in order.
func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
