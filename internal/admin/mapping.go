package admin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// blockSize is how far apart the offsets of two stretches of a logical queue are at least: what is written to the old one while the queue moves must
// not reach the offsets of the new one.
const blockSize = 10000

// mappings is what the brokers of a static topic have of it, by their names.
type mappings map[string]*protocol.TopicConfigAndMapping

// mappingFile is how a mapping lies in a file, before and after a change. Apache's tool writes and reads the same.
type mappingFile struct {
	Topic      string   `json:"topic"`
	Type       string   `json:"type"` // CREATE_OR_UPDATE or REMAPPING
	Epoch      int64    `json:"epoch"`
	Brokers    mappings `json:"brokerConfigMap"`
	MappingIn  []string `json:"brokerToMapIn"`
	MappingOut []string `json:"brokerToMapOut"`
}

// logicalBroker is the name of the broker that the queues of a static topic seem to be on.
func logicalBroker(scope string) string {
	return "__syslo__" + strings.TrimPrefix(scope, "__")
}

// check says whether all parts belong together, and returns their epoch and the number of logical queues.
func (all mappings) check(topic string) (epoch int64, queues int32, _ error) {
	epoch, queues = -1, -1
	var first *protocol.TopicQueueMappingDetail
	for _, broker := range slices.Sorted(maps.Keys(all)) {
		d := all[broker].MappingDetail
		switch {
		case d == nil:
			return 0, 0, fmt.Errorf("mapping info should not be null in broker %s: topic %s is an ordinary topic there", broker, topic)
		case d.Bname != broker:
			return 0, 0, fmt.Errorf("the broker name is not equal %s != %s", broker, d.Bname)
		case d.Dirty:
			return 0, 0, fmt.Errorf("the mapping info is dirty in broker %s", broker)
		case all[broker].TopicName != d.Topic:
			return 0, 0, fmt.Errorf("the topic name is inconsistent in broker %s", broker)
		case d.Topic != topic:
			return 0, 0, fmt.Errorf("the topic name is not match for broker %s", broker)
		case first != nil && first.Scope != d.Scope:
			return 0, 0, fmt.Errorf("scope does not match %s != %s in %s", d.Scope, first.Scope, broker)
		case first != nil && first.Epoch != d.Epoch:
			return 0, 0, fmt.Errorf("epoch does not match %d != %d in %s", first.Epoch, d.Epoch, broker)
		case first != nil && first.TotalQueues != d.TotalQueues:
			return 0, 0, fmt.Errorf("total queue number does not match %d != %d in %s", first.TotalQueues, d.TotalQueues, broker)
		}
		first = d
		epoch, queues = d.Epoch, d.TotalQueues
	}
	return epoch, queues, nil
}

// queues returns the logical queues, each from the broker that leads it, and checks that they are whole.
func (all mappings) queues() (map[int32]protocol.LogicQueue, error) {
	queues := make(map[int32]protocol.LogicQueue)
	total := int32(0)
	for _, broker := range slices.Sorted(maps.Keys(all)) {
		d := all[broker].MappingDetail
		if d == nil {
			continue
		}
		total = max(total, d.TotalQueues)
		for id, queue := range d.HostedQueues {
			if err := queue.Check(); err != nil {
				return nil, fmt.Errorf("queue %d at broker %s: %w", id, broker, err)
			}
			if leader := queue.Leader(); leader == nil || leader.Bname != broker {
				continue
			}
			if queues[id] != nil {
				return nil, fmt.Errorf("the queue id %d is duplicated in broker %s", id, broker)
			}
			queues[id] = queue
		}
	}
	if int(total) != len(queues) {
		return nil, fmt.Errorf("the total queue number in config does not match the real hosted queues %d != %d", total, len(queues))
	}
	owner := make(map[string]int32)
	for id := range total {
		if queues[id] == nil {
			return nil, fmt.Errorf("the queue number %d is not in globalIdMap", id)
		}
		for _, item := range queues[id] {
			physical := fmt.Sprintf("%s-%d", item.Bname, item.QueueID)
			if other, twice := owner[physical]; twice {
				return nil, fmt.Errorf("global queue id %d and %d shared the same physical queue %s", id, other, physical)
			}
			owner[physical] = id
		}
	}
	return queues, nil
}

// checkPhysical says whether the brokers have the queues that the mapping is about.
func (all mappings) checkPhysical() error {
	for _, broker := range slices.Sorted(maps.Keys(all)) {
		t := all[broker]
		if t.ReadQueueNums < t.WriteQueueNums {
			return fmt.Errorf("read queues is smaller than write queues at broker %s", broker)
		}
		for _, queue := range t.MappingDetail.HostedQueues {
			for _, item := range queue {
				switch there := all[item.Bname]; {
				case item.StartOffset != 0:
					return errors.New("the start offset does not begin from 0")
				case there == nil:
					return fmt.Errorf("the broker %s of item does not exist", item.Bname)
				case item.QueueID >= there.WriteQueueNums:
					return fmt.Errorf("the physical queue id %d is overflow the write queues of broker %s", item.QueueID, item.Bname)
				}
			}
		}
	}
	return nil
}

// verify is all three checks, and returns the logical queues.
func (all mappings) verify(topic string) (map[int32]protocol.LogicQueue, error) {
	if _, _, err := all.check(topic); err != nil {
		return nil, err
	}
	queues, err := all.queues()
	if err == nil {
		err = all.checkPhysical()
	}
	return queues, err
}

// part returns a broker's part, which it makes when there is none.
func (all mappings) part(topic, broker string) *protocol.TopicConfigAndMapping {
	t := all[broker]
	if t == nil {
		t = &protocol.TopicConfigAndMapping{TopicConfig: protocol.NewTopicConfig(topic), MappingDetail: &protocol.TopicQueueMappingDetail{
			TopicQueueMappingInfo: protocol.TopicQueueMappingInfo{Topic: topic, Bname: broker, Scope: "__global__", CurrIDMap: map[int32]int32{}},
			HostedQueues:          map[int32]protocol.LogicQueue{}}}
		t.ReadQueueNums, t.WriteQueueNums = 0, 0
		all[broker] = t
	}
	if t.MappingDetail.HostedQueues == nil {
		t.MappingDetail.HostedQueues = map[int32]protocol.LogicQueue{}
	}
	return t
}

// addQueue gives a broker one more queue, and returns its number.
func addQueue(t *protocol.TopicConfigAndMapping) int32 {
	t.WriteQueueNums++
	t.ReadQueueNums = max(t.ReadQueueNums+1, t.WriteQueueNums)
	return t.WriteQueueNums - 1
}

// stamp marks all parts as of one new epoch.
func (all mappings) stamp(old int64, queues int32, now time.Time) int64 {
	epoch := max(old+1000, now.UnixMilli())
	for _, t := range all {
		t.MappingDetail.Epoch, t.MappingDetail.TotalQueues = epoch, queues
	}
	return epoch
}

// grow makes the topic have more queues, spread evenly over brokers.
func (all mappings) grow(topic string, want int32, brokers []string, now time.Time) (epoch int64, _ error) {
	old, _, err := all.check(topic)
	if err != nil {
		return 0, err
	}
	queues := make(map[int32]protocol.LogicQueue)
	if len(all) > 0 {
		if queues, err = all.verify(topic); err != nil {
			return 0, err
		}
	}
	switch have := int32(len(queues)); {
	case want < have:
		return 0, fmt.Errorf("cannot decrease the queue num for static topic %d < %d", want, have)
	case want == have:
		return 0, errors.New("the topic queue num is equal the existed queue num, do nothing")
	case want > queuesMax:
		return 0, misuse(fmt.Errorf("cannot make %d queues; at most %d can be", want, queuesMax))
	}
	load := make(map[string]int)
	for _, broker := range brokers {
		load[broker] = 0
	}
	for _, queue := range queues {
		load[queue.Leader().Bname]++
	}
	for id := int32(len(queues)); id < want; id++ {
		broker := leastLoaded(load)
		load[broker]++
		t := all.part(topic, broker)
		t.MappingDetail.HostedQueues[id] = protocol.LogicQueue{{QueueID: addQueue(t), Bname: broker, EndOffset: -1, TimeOfStart: -1, TimeOfEnd: -1}}
	}
	epoch = all.stamp(old, want, now)
	_, err = all.verify(topic)
	return epoch, err
}

// leastLoaded is the broker with the fewest queues, of several the first by name.
func leastLoaded(load map[string]int) string {
	least := ""
	for _, broker := range slices.Sorted(maps.Keys(load)) {
		if least == "" || load[broker] < load[least] {
			least = broker
		}
	}
	return least
}

// move spreads the queues evenly over brokers, and moves as few as that takes. A broker either gets queues or gives some away. It returns who does which.
func (all mappings) move(topic string, brokers []string, now time.Time) (epoch int64, in, out []string, _ error) {
	old, total, err := all.check(topic)
	if err != nil {
		return 0, nil, nil, err
	}
	queues, err := all.verify(topic)
	if err != nil {
		return 0, nil, nil, err
	}
	leads := make(map[string]int)
	for _, queue := range queues {
		leads[queue.Leader().Bname]++
	}
	share := shares(int(total), brokers, leads)
	var homeless []int32
	for _, id := range slices.Sorted(maps.Keys(queues)) {
		if leader := queues[id].Leader().Bname; share[leader] > 0 {
			share[leader]--
		} else {
			homeless = append(homeless, id)
		}
	}
	for _, broker := range slices.Sorted(maps.Keys(share)) {
		for ; share[broker] > 0; share[broker]-- {
			id := homeless[0]
			homeless = homeless[1:]
			from, to := queues[id].Leader(), all.part(topic, broker)
			queue := append(slices.Clone(queues[id]), protocol.LogicQueueMappingItem{Gen: from.Gen + 1, QueueID: addQueue(to), Bname: broker, LogicOffset: -1, EndOffset: -1,
				TimeOfStart: -1, TimeOfEnd: -1})
			to.MappingDetail.HostedQueues[id] = queue
			all[from.Bname].MappingDetail.HostedQueues[id] = queue
			in, out = append(in, broker), append(out, from.Bname)
		}
	}
	slices.Sort(in)
	slices.Sort(out)
	epoch = all.stamp(old, total, now)
	_, err = all.verify(topic)
	return epoch, slices.Compact(in), slices.Compact(out), err
}

// shares is how many of the queues each broker shall lead. Who leads most now gets one more when they cannot all get the same.
func shares(total int, brokers []string, leads map[string]int) map[string]int {
	brokers = slices.Compact(slices.Sorted(slices.Values(brokers)))
	slices.SortStableFunc(brokers, func(x, y string) int { return leads[y] - leads[x] })
	share := make(map[string]int)
	for i, broker := range brokers {
		share[broker] = total / len(brokers)
		if i < total%len(brokers) {
			share[broker]++
		}
	}
	return share
}

// addIdle gives the other brokers of the clusters an empty part.
func (all mappings) addIdle(topic string, info *protocol.ClusterInfo) {
	var any *protocol.TopicQueueMappingDetail
	others := make(map[string]bool)
	for broker, t := range all {
		any = t.MappingDetail
		for _, cluster := range info.ClusterAddrTable {
			if slices.Contains(cluster, broker) {
				for _, other := range cluster {
					others[other] = true
				}
			}
		}
	}
	for other := range others {
		if all[other] == nil {
			d := all.part(topic, other).MappingDetail
			d.Epoch, d.TotalQueues = any.Epoch, any.TotalQueues
		}
	}
}

// roundUp is the offset from which a new stretch counts when the old one ended at an offset: at least half a block behind it.
func roundUp(offset int64) int64 {
	blocks := offset/blockSize + 1
	if offset%blockSize >= blockSize/2 {
		blocks++
	}
	return blocks * blockSize
}
