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
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// A static topic is made of queues that keep their number and offsets while they move between brokers. This is how one is made, made larger and
// moved: each of its brokers gets its part of the mapping, and its other brokers get an empty part so that they know the topic for a static one.

func (a *Admin) staticTopicCommands() []*cobra.Command {
	return []*cobra.Command{a.updateStaticTopic(), a.remappingStaticTopic()}
}

// staticTopicFlags are what both commands take.
type staticTopicFlags struct {
	topic, clusters, brokers, file string
	force, dry                     bool
}

func (f *staticTopicFlags) add(c *cobra.Command) {
	c.Flags().StringVarP(&f.clusters, "clusters", "c", "", "`CLUSTERS` over whose brokers it is spread, separated by commas")
	c.Flags().StringVarP(&f.brokers, "brokers", "b", "", "`NAMES` of the brokers over which it is spread, separated by commas")
	c.MarkFlagsOneRequired("clusters", "brokers")
	required(c, &f.topic, "topic", "t", "`TOPIC`")
	c.Flags().StringVar(&f.file, "mapFile", "", "take the mapping from this `FILE`, as it was written by an earlier run")
	short(c, "mapFile", "mf")
	boolFlag(c, &f.force, "forceReplace", "", false, "whether a newer mapping is overwritten, with -mf")
	short(c, "forceReplace", "fr")
	dryRunFlag(c, &f.dry)
}

// targets are the brokers named by the flags, by name.
func (f *staticTopicFlags) targets(info *protocol.ClusterInfo) ([]string, error) {
	all := names(f.brokers)
	if len(all) == 0 {
		for _, cluster := range names(f.clusters) {
			all = append(all, info.ClusterAddrTable[cluster]...)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("find none brokers, do nothing")
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for _, broker := range all {
		if _, err := master(info, broker); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// master is the address of a broker group's master.
func master(info *protocol.ClusterInfo, broker string) (string, error) {
	if b := info.BrokerAddrTable[broker]; b != nil && b.BrokerAddrs[protocol.MasterID] != "" {
		return b.BrokerAddrs[protocol.MasterID], nil
	}
	return "", fmt.Errorf("can't find addr for broker %s", broker)
}

// mappingsNow asks all brokers that have a master for a topic.
func (a *Admin) mappingsNow(ctx context.Context, topic string, info *protocol.ClusterInfo) (mappings, error) {
	all := make(mappings)
	for broker := range info.BrokerAddrTable {
		addr, err := master(info, broker)
		if err != nil {
			continue
		}
		t, err := a.topicAt(ctx, addr, topic)
		if err != nil {
			return nil, err
		}
		if t != nil {
			all[broker] = t
		}
	}
	return all, nil
}

// keep writes a mapping to a file, so that it can be brought back.
func (f *mappingFile) keep(suffix string) (string, error) {
	text, err := fastjson.MarshalStandard(f)
	if err != nil {
		return "", err
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d%s", f.Topic, f.Epoch, suffix))
	return path, os.WriteFile(path, text, 0o600)
}

// readMapping reads such a file.
func readMapping(path, topic string) (*mappingFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f mappingFile
	if err := fastjson.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", path, err)
	}
	if len(f.Brokers) == 0 {
		return nil, fmt.Errorf("%s: it has no brokerConfigMap", path)
	}
	for broker, t := range f.Brokers {
		if t == nil {
			return nil, fmt.Errorf("%s: broker %s has no part of the topic", path, broker)
		}
	}
	if _, _, err := f.Brokers.check(topic); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	_, err = f.Brokers.queues()
	return &f, err
}

// writing is what gives a broker its part.
func (a *Admin) writing(info *protocol.ClusterInfo, all mappings, broker, why string, force bool) (change, error) {
	addr, err := master(info, broker)
	if err != nil {
		return change{}, err
	}
	t := all[broker]
	leads := 0
	for _, queue := range t.MappingDetail.HostedQueues {
		if leader := queue.Leader(); leader != nil && leader.Bname == broker {
			leads++
		}
	}
	return change{what: fmt.Sprintf("%s at %s (%s): static topic %s, %d of %d queues led there, %d physical queues", why, broker, addr, t.TopicName, leads,
		t.MappingDetail.TotalQueues, t.WriteQueueNums),
		do: func(ctx context.Context) error { return a.pool.CreateStaticTopic(ctx, addr, t, force) }}, nil
}

// changeStatic makes both files and carries the changes.
func (a *Admin) changeStatic(ctx context.Context, f *staticTopicFlags, before, after *mappingFile, changes []change) error {
	if f.dry {
		return a.carry(ctx, true, changes)
	}
	var files []string
	for _, one := range []struct {
		file   *mappingFile
		suffix string
	}{{before, ".before"}, {after, ".after"}} {
		path, err := one.file.keep(one.suffix)
		if err != nil {
			return fmt.Errorf("cannot keep the mapping, so nothing was changed: %w", err)
		}
		files = append(files, path)
	}
	if err := a.carry(ctx, false, changes); err != nil {
		return fmt.Errorf("%w\nthe mapping that was is in %s, the one that should be in %s", err, files[0], files[1])
	}
	return a.show(map[string]any{"before": files[0], "after": files[1], "mapping": after}, func(w io.Writer) {
		second := "new"
		if after.Type == "REMAPPING" {
			second = "old" // so Apache's tool calls it
		}
		fmt.Fprintf(w, "The old mapping data is written to file %s\nThe %s mapping data is written to file %s\n", files[0], second, files[1])
	})
}

// staticNow is what both commands begin with: the brokers there are, those that are named, and how the topic lies on them.
func (a *Admin) staticNow(ctx context.Context, f *staticTopicFlags) (info *protocol.ClusterInfo, targets []string, all mappings, err error) {
	if info, err = a.names.ClusterInfo(ctx); err != nil {
		return nil, nil, nil, err
	}
	if targets, err = f.targets(info); err != nil {
		return nil, nil, nil, err
	}
	all, err = a.mappingsNow(ctx, f.topic, info)
	return info, targets, all, err
}

func (a *Admin) updateStaticTopic() *cobra.Command {
	var f staticTopicFlags
	var queues int32
	c := a.command("updateStaticTopic", "Create a static topic, or give it more queues", func(ctx context.Context) error {
		info, targets, all, err := a.staticNow(ctx, &f)
		if err != nil {
			return err
		}
		before, err := snapshot(f.topic, all)
		if err != nil {
			return err
		}
		after := &mappingFile{Topic: f.topic, Type: "CREATE_OR_UPDATE", MappingIn: []string{}, MappingOut: []string{}}
		if f.file != "" {
			if after, err = readMapping(f.file, f.topic); err != nil {
				return err
			}
		} else {
			if after.Epoch, err = all.grow(f.topic, queues, targets, time.Now()); err != nil {
				return err
			}
			after.Brokers = all
		}
		after.Brokers.addIdle(f.topic, info)
		changes, err := a.writings(info, after.Brokers, slices.Sorted(maps.Keys(after.Brokers)), "set the mapping", f.force && f.file != "")
		if err != nil {
			return err
		}
		return a.changeStatic(ctx, &f, before, after, changes)
	})
	f.add(c)
	c.Flags().Int32Var(&queues, "totalQueueNum", 0, "`NUMBER` of queues in all")
	short(c, "totalQueueNum", "qn")
	need(c, "totalQueueNum")
	return c
}

// snapshot is a mapping as it is, for a file. Its copy is deep.
func snapshot(topic string, all mappings) (*mappingFile, error) {
	epoch := time.Now().UnixMilli()
	if len(all) > 0 {
		var err error
		if epoch, _, err = all.check(topic); err != nil {
			return nil, err
		}
	}
	text, err := fastjson.MarshalStandard(&mappingFile{Topic: topic, Type: "CREATE_OR_UPDATE", Epoch: epoch, Brokers: all, MappingIn: []string{}, MappingOut: []string{}})
	if err != nil {
		return nil, err
	}
	var copied mappingFile
	return &copied, fastjson.Unmarshal(text, &copied)
}

func (a *Admin) writings(info *protocol.ClusterInfo, all mappings, brokers []string, why string, force bool) (changes []change, _ error) {
	for _, broker := range brokers {
		if all[broker] == nil {
			return nil, fmt.Errorf("the mapping has no part for broker %s", broker)
		}
		c, err := a.writing(info, all, broker, why, force)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	return changes, nil
}

func (a *Admin) remappingStaticTopic() *cobra.Command {
	var f staticTopicFlags
	c := a.command("remappingStaticTopic", "Move the queues of a static topic to other brokers", func(ctx context.Context) error {
		info, targets, all, err := a.staticNow(ctx, &f)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return fmt.Errorf("no topic route to do the remapping: no broker has topic %s", f.topic)
		}
		before, err := snapshot(f.topic, all)
		if err != nil {
			return err
		}
		after := &mappingFile{Topic: f.topic, Type: "REMAPPING"}
		if f.file != "" {
			if after, err = readMapping(f.file, f.topic); err != nil {
				return err
			}
		} else {
			if after.Epoch, after.MappingIn, after.MappingOut, err = all.move(f.topic, targets, time.Now()); err != nil {
				return err
			}
			after.Brokers = all
		}
		after.Brokers.addIdle(f.topic, info)
		changes, err := a.remapping(info, after, f.force && f.file != "")
		if err != nil {
			return err
		}
		return a.changeStatic(ctx, &f, before, after, changes)
	})
	f.add(c)
	return c
}

// remapping is the order in which queues move. New leaders come first, without an offset from which on they count; when the old ones have stopped, the
// offset is decided, a whole block behind what they have, and the new leaders are told it. Until then clients wait.
func (a *Admin) remapping(info *protocol.ClusterInfo, after *mappingFile, force bool) ([]change, error) {
	all := after.Brokers
	var others []string
	for _, broker := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(after.MappingIn, broker) && !slices.Contains(after.MappingOut, broker) {
			others = append(others, broker)
		}
	}
	var changes []change
	step := func(brokers []string, why string) error {
		some, err := a.writings(info, all, brokers, why, force)
		changes = append(changes, some...)
		return err
	}
	if err := step(after.MappingIn, "get ready to lead queues"); err != nil {
		return nil, err
	}
	if err := step(after.MappingOut, "stop leading queues"); err != nil {
		return nil, err
	}
	for _, broker := range after.MappingOut {
		addr, err := master(info, broker)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change{what: fmt.Sprintf("decide at which offsets the queues of %s (%s) go on", broker, addr), do: func(ctx context.Context) error {
			return a.decideOffsets(ctx, all, broker, addr)
		}})
	}
	if err := step(after.MappingIn, "lead queues from the offsets decided"); err != nil {
		return nil, err
	}
	if err := step(others, "set the mapping"); err != nil {
		return nil, err
	}
	return changes, nil
}

// decideOffsets gives the new stretches of the queues that a broker has led their first offset.
func (a *Admin) decideOffsets(ctx context.Context, all mappings, broker, addr string) error {
	topic := all[broker].TopicName
	stats, err := a.pool.TopicStats(ctx, addr, topic)
	if err != nil {
		return err
	}
	for id, queue := range all[broker].MappingDetail.HostedQueues {
		if len(queue) < 2 || queue.Leader().LogicOffset > 0 {
			continue
		}
		old := &queue[len(queue)-2]
		at := slices.IndexFunc(stats.OffsetTable, func(e protocol.QueueEntry[protocol.TopicOffset]) bool {
			return e.Queue == protocol.MessageQueue{Topic: topic, BrokerName: old.Bname, QueueID: old.QueueID}
		})
		if at < 0 {
			return fmt.Errorf("cannot get the max offset for old leader %s queue %d", old.Bname, old.QueueID)
		}
		end := stats.OffsetTable[at].Value.MaxOffset
		if end < old.StartOffset {
			return fmt.Errorf("the max offset %d is smaller then the start offset %d of %s queue %d", end, old.StartOffset, old.Bname, old.QueueID)
		}
		next := all[queue.Leader().Bname]
		if next == nil {
			return fmt.Errorf("the mapping has no part for broker %s", queue.Leader().Bname)
		}
		queue = slices.Clone(queue)
		queue.Leader().LogicOffset = roundUp(old.Static(end))
		next.MappingDetail.HostedQueues[id] = queue
	}
	return nil
}

// addStaticStats adds the logical queues of a static topic to the offsets of its brokers' queues.
func (a *Admin) addStaticStats(ctx context.Context, topic string, route *protocol.TopicRoute, stats *protocol.TopicStats) error {
	all := make(mappings)
	for _, b := range route.BrokerDatas {
		t, err := a.topicAt(ctx, b.Pick(), topic)
		if err != nil {
			return err
		}
		if t != nil && t.MappingDetail != nil {
			all[b.BrokerName] = t
		}
	}
	physical := make(map[protocol.MessageQueue]protocol.TopicOffset)
	for _, e := range stats.OffsetTable {
		physical[e.Queue] = e.Value
	}
	for broker, t := range all {
		for id, queue := range t.MappingDetail.HostedQueues {
			if leader := queue.Leader(); leader == nil || leader.Bname != broker {
				continue
			}
			first, last := queue.Find(0), queue.Find(1<<62)
			if first == nil || last == nil {
				continue
			}
			least, there := physical[protocol.MessageQueue{Topic: topic, BrokerName: first.Bname, QueueID: first.QueueID}]
			most, too := physical[protocol.MessageQueue{Topic: topic, BrokerName: last.Bname, QueueID: last.QueueID}]
			if !there || !too {
				continue
			}
			stats.OffsetTable = append(stats.OffsetTable, protocol.QueueEntry[protocol.TopicOffset]{
				Queue: protocol.MessageQueue{Topic: topic, BrokerName: logicalBroker(t.MappingDetail.Scope), QueueID: id},
				Value: protocol.TopicOffset{MinOffset: max(first.StaticWithin(least.MinOffset), 0), MaxOffset: max(last.Static(most.MaxOffset), 0),
					LastUpdateTimestamp: most.LastUpdateTimestamp}})
		}
	}
	return nil
}
