package broker

import (
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/store"
)

// topics are the broker's topics, kept in config/topics.json.
//
// A topic that an admin made or changed is on disk before the answer. One made by a send or a heartbeat outlasts a kill when the
// message is acknowledged, and with SYNC_FLUSH a power cut too: just as the message itself.
type topics struct {
	settings  *atomic.Pointer[settings]
	log       *slog.Logger
	open      func(topic string, id int32) *store.Queue
	makeBatch func(topic string) error              // tells the store of queue.type=BatchCQ
	changed   func(changed []*protocol.TopicConfig) // makes the NameServers know them, and waits a moment for it; called with no lock held; nil until there is someone to tell
	altered   func()                                // makes the NameServers hear of what they need not know at once; else as changed
	system    map[string]bool                       // topics that nobody may change, but for those that begin with rmq_sys_; does not change
	mappings  *mappings                             // of static topics
	light     bool                                  // there are topics of light queues; does not change
	file      *saved
	halfGone  []string // topics that were being deleted when the last process ended, or were just deleted; does not change

	changeMu sync.Mutex               // one change at a time, from looking at the table to putting into it
	going    map[string]chan struct{} // topics that are being deleted, see deleting; changeMu protects it

	mu      sync.RWMutex // protects the fields below
	byName  map[string]*topic
	version protocol.DataVersion
}

// A topic is a topic's settings at one moment: nothing in it changes, a change puts another into its place.
type topic struct {
	protocol.TopicConfig
	retry      bool                              // a group's retry topic
	noSend     bool                              // clients must not send to it
	mapping    *protocol.TopicQueueMappingDetail // of a static topic; else nil
	batchQueue bool                              // its queues are of the kind that holds batches
	sysFlag    int32                             // bits that each of its messages has

	open  func(topic string, id int32) *store.Queue
	slots atomic.Pointer[[]atomic.Pointer[store.Queue]] // made at the first use
	in    atomic.Pointer[topicCounts]                   // found at the first use
}

const (
	queuesMax = 65536 // queues of one topic
	slotsMax  = 1024  // queues of one topic that are found without a map
)

func newTopic(c protocol.TopicConfig, open func(string, int32) *store.Queue) *topic {
	t := &topic{TopicConfig: c, open: open, retry: strings.HasPrefix(c.TopicName, retryPrefix), noSend: isNotAllowedSend(c.TopicName),
		batchQueue: c.Attributes[attrQueueType] == "BatchCQ"}
	if c.TopicFilterType == protocol.MultiTag {
		t.sysFlag = message.FlagMultiTags
	}
	return t
}

// queues is how many queues the topic has, whether for reading or for writing.
func (t *topic) queues() int32 { return min(max(t.ReadQueueNums, t.WriteQueueNums, 0), queuesMax) }

// writeQueues is how many queues there are for messages that name none.
func (t *topic) writeQueues() int32 { return min(max(t.WriteQueueNums, 0), queuesMax) }

// readQueues is how many queues may be read.
func (t *topic) readQueues() int32 { return min(max(t.ReadQueueNums, 0), queuesMax) }

// queue returns one of the topic's queues, nil when it has none of that number.
func (t *topic) queue(id int32) *store.Queue {
	if slots := t.slots.Load(); slots != nil && uint(id) < uint(len(*slots)) {
		if q := (*slots)[id].Load(); q != nil {
			return q
		}
	}
	if id < 0 || id >= t.queues() {
		return nil
	}
	q := t.open(t.TopicName, id)
	slots := t.slots.Load()
	if slots == nil {
		made := make([]atomic.Pointer[store.Queue], min(t.queues(), slotsMax))
		if t.slots.CompareAndSwap(nil, &made) {
			slots = &made
		} else {
			slots = t.slots.Load()
		}
	}
	if int(id) < len(*slots) {
		(*slots)[id].Store(q)
	}
	return q
}

// newTopic is newTopic with what is known of the topic elsewhere, and makes its kind of queues known to the store.
func (t *topics) newTopic(c protocol.TopicConfig) *topic {
	made := newTopic(c, t.open)
	made.mapping = t.mappings.find(c.TopicName)
	if made.batchQueue {
		if err := t.makeBatch(c.TopicName); err != nil {
			t.log.Error("topic cannot have its batch consume queues", "topic", c.TopicName, "err", err)
		}
	}
	return made
}

// openTopics reads topics.json and adds the topics that every broker has.
func openTopics(path string, b *Broker) (*topics, error) {
	t := &topics{settings: &b.settings, log: b.log, open: b.store.Queue, makeBatch: b.store.MakeBatch, byName: map[string]*topic{}, going: map[string]chan struct{}{}, system: map[string]bool{}, light: b.settings.Load().LightQueues}
	var err error
	if t.mappings, err = openMappings(filepath.Join(filepath.Dir(path), "topicQueueMapping.json"), b.log); err != nil {
		return nil, err
	}
	t.addSystemTopics()
	t.file, err = openSaved(path, t.log, savedTable{load: t.load, apply: t.apply, encode: t.encode})
	if err != nil {
		return nil, err
	}
	t.halfGone = slices.DeleteFunc(t.halfGone, func(name string) bool { return t.find(name) != nil }) // made again since
	if t.version.Timestamp == 0 {
		t.version.Timestamp = time.Now().UnixMilli()
	}
	return t, nil
}

func (t *topics) close() error { return t.file.close() }

// addSystemTopics makes the topics that Apache makes at each start. Those in the file come on top.
func (t *topics) addSystemTopics() {
	for _, name := range []string{topicAutoCreate, topicSchedule, topicBenchmark, topicHalf, topicTrace, topicOp, topicCheckMax,
		topicSelfTest, topicOffsetMoved, topicRocksOffset, topicRocksHalf, topicRocksOp} {
		t.system[name] = true
	}
	cfg := t.settings.Load()
	add := func(name string, queues, perm int32) {
		c := protocol.NewTopicConfig(name)
		c.ReadQueueNums, c.WriteQueueNums, c.Perm = queues, queues, perm
		t.system[name] = true
		t.byName[name] = t.newTopic(c)
	}
	only := func(enabled bool) int32 {
		if enabled {
			return permInherit | permRead | permWrite
		}
		return permInherit
	}
	const readWrite = permRead | permWrite
	add(topicSelfTest, 1, readWrite)
	if cfg.AutoCreateTopic {
		made := cfg.autoCreateTopic()
		add(topicAutoCreate, made.WriteQueueNums, made.Perm)
	}
	add(topicBenchmark, 1024, readWrite)
	add(cfg.Cluster, 16, only(cfg.ClusterTopic))
	add(cfg.Name, 1, only(cfg.BrokerTopic))
	add(topicOffsetMoved, 1, readWrite)
	add(topicSchedule, 18, readWrite)
	if cfg.TraceTopic {
		add(cfg.TraceTopicName, 1, readWrite)
	}
	add(cfg.Cluster+"_REPLY_TOPIC", 1, readWrite)
	add(reviveTopic(cfg.Cluster), int32(cfg.ReviveQueues), readWrite)
	add(protocol.TopicSyncMemberPrefix+cfg.Name, 1, permInherit)
	for _, name := range []string{topicHalf, topicOp, topicRocksHalf, topicRocksOp} {
		add(name, 1, readWrite)
	}
	if cfg.TimerWheel {
		add(topicTimer, 1, readWrite)
	}
}

// isSystem says whether a topic is the broker's own.
func (t *topics) isSystem(name string) bool {
	return t.system[name] || strings.HasPrefix(name, systemPrefix)
}

func (t *topics) load(data []byte) error {
	var file protocol.TopicConfigs
	if err := fastjson.Unmarshal(data, &file); err != nil {
		return err
	}
	for name, c := range file.TopicConfigTable {
		if c != nil {
			c.TopicName = name
			t.byName[name] = t.newTopic(*c)
		}
	}
	t.version = file.DataVersion
	return nil
}

// topicChange is a line of topics.json.changes.
type topicChange struct {
	DataVersion protocol.DataVersion  `json:"dataVersion"`
	Topic       *protocol.TopicConfig `json:"topic,omitempty"`
	Deleted     string                `json:"deleted,omitempty"`
}

func (t *topics) apply(line []byte) error {
	var c topicChange
	if err := fastjson.Unmarshal(line, &c); err != nil {
		return err
	}
	switch {
	case olderThan(c.DataVersion, t.version): // the file was written by another broker since
	case c.Topic != nil:
		t.byName[c.Topic.TopicName] = t.newTopic(*c.Topic)
		t.version = c.DataVersion
	case c.Deleted != "":
		delete(t.byName, c.Deleted)
		t.version = c.DataVersion
		t.halfGone = append(t.halfGone, c.Deleted)
	default:
		return fmt.Errorf("cannot read change: nothing in it")
	}
	return nil
}

func olderThan(a, b protocol.DataVersion) bool {
	return a.Timestamp < b.Timestamp || a.Timestamp == b.Timestamp && a.Counter < b.Counter
}

func (t *topics) encode() ([]byte, error) {
	t.changeMu.Lock() // a change that is in the file of changes is in the table too
	table, version := t.all()
	t.changeMu.Unlock()
	return fastjson.MarshalIndent(protocol.TopicConfigs{DataVersion: version, TopicConfigTable: table})
}

// get finds a topic, nil when there is none.
func (t *topics) get(name []byte) *topic {
	t.mu.RLock()
	found := t.byName[string(name)]
	t.mu.RUnlock()
	if found == nil && t.light && store.IsLight(name) {
		return lightTopic(string(name), t.open)
	}
	return found
}

// find is get; it copies no name either.
func (t *topics) find(name string) *topic { return t.get([]byte(name)) }

// all returns every topic, which must not be changed, and the table's version.
func (t *topics) all() (map[string]*protocol.TopicConfig, protocol.DataVersion) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	table := make(map[string]*protocol.TopicConfig, len(t.byName))
	for name, topic := range t.byName {
		table[name] = &topic.TopicConfig
	}
	return table, t.version
}

// names are the names of all topics, in no order.
func (t *topics) names() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Collect(maps.Keys(t.byName))
}

// count returns how many topics there are.
func (t *topics) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.byName)
}

// page returns at most n topics in the order of their names from number first on, and the table's version.
func (t *topics) page(first, n int) (map[string]*protocol.TopicConfig, protocol.DataVersion) {
	table, version := t.all()
	for _, name := range offPage(table, first, n) {
		delete(table, name)
	}
	return table, version
}

// dataVersion is the table's version.
func (t *topics) dataVersion() protocol.DataVersion {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.version
}

// bumpVersion makes the table count as changed.
func (t *topics) bumpVersion() {
	t.changeMu.Lock()
	defer t.changeMu.Unlock()
	t.mu.Lock()
	t.version = t.nextLocked()
	t.mu.Unlock()
	t.file.touch()
}

// nextLocked is the version after a change. Its time never goes back, for apply goes by it. mu or changeMu is held.
func (t *topics) nextLocked() protocol.DataVersion {
	return t.version.Next(max(time.Now().UnixMilli(), t.version.Timestamp))
}

// putLocked makes or changes a topic and returns what to give to file.sync. changeMu is held.
func (t *topics) putLocked(c protocol.TopicConfig) (*topic, int64, error) {
	version := t.nextLocked()
	line, err := fastjson.Marshal(topicChange{DataVersion: version, Topic: &c})
	if err != nil {
		return nil, 0, err
	}
	added, err := t.file.add(line)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot make topic %q: %w", c.TopicName, err)
	}
	put := t.newTopic(c)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byName[c.TopicName] = put
	t.version = version
	return put, added, nil
}

// registers is a topic as NameServers are told of it; nil when it is not there, or not one that they hear of.
func (t *topics) registers(name string) (c *protocol.TopicConfig, static bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	found := t.byName[name]
	if found == nil {
		return nil, false
	}
	return &found.TopicConfig, found.mapping != nil
}

// tell makes the NameServers know topics that were made or changed. What it takes is bounded: see registrar.tell.
func (t *topics) tell(changed ...*protocol.TopicConfig) {
	if t.changed != nil && len(changed) > 0 {
		t.changed(changed)
	}
}

// update makes or changes topics for an admin. The keys of their attributes begin with + or -. Either all are changed and on disk, or
// none is.
func (t *topics) update(configs ...protocol.TopicConfig) error {
	puts, last, err := t.updateAll(configs)
	if err != nil {
		return err
	}
	if err := t.file.sync(last); err != nil {
		return err
	}
	t.tell(puts...)
	return nil
}

func (t *topics) updateAll(configs []protocol.TopicConfig) (puts []*protocol.TopicConfig, last int64, err error) {
	if t.light { // they are there anyway, and have no settings
		configs = slices.DeleteFunc(configs, func(c protocol.TopicConfig) bool { return store.IsLight(c.TopicName) })
	}
	names := make([]string, len(configs))
	for i := range configs {
		names[i] = configs[i].TopicName
	}
	if err := t.lockToMake(names...); err != nil {
		return nil, 0, err
	}
	defer t.changeMu.Unlock()
	for i := range configs {
		c := &configs[i]
		var current map[string]string
		old := t.find(c.TopicName)
		if old != nil {
			current = old.Attributes
		}
		if c.Attributes, err = alterAttributes(old == nil, topicAttribute, current, c.Attributes); err != nil {
			return nil, 0, err
		}
	}
	for _, c := range configs {
		put, added, err := t.putLocked(c)
		if err != nil {
			return nil, 0, err
		}
		t.log.Info("topic created or changed", "topic", c.TopicName, "read_queues", c.ReadQueueNums, "write_queues", c.WriteQueueNums,
			"perm", c.Perm, "order", c.Order, "attributes", c.Attributes)
		last = added
		puts = append(puts, &put.TopicConfig)
	}
	return puts, last, nil
}

// setOrder makes topics ordered or not; those that are not there are passed over.
func (t *topics) setOrder(order bool, names ...string) error {
	var puts []*protocol.TopicConfig
	err := func() error {
		t.changeMu.Lock()
		defer t.changeMu.Unlock()
		for _, name := range names {
			old := t.find(name)
			if old == nil || old.Order == order {
				continue
			}
			c := old.TopicConfig
			c.Order = order
			put, _, err := t.putLocked(c)
			if err != nil {
				return err
			}
			t.log.Info("topic's order changed", "topic", name, "order", order)
			puts = append(puts, &put.TopicConfig)
		}
		return nil
	}()
	if t.altered != nil && len(puts) > 0 {
		t.altered() // no route shows it
	}
	return err
}

// delete removes a topic, on disk too, and says whether it was there.
func (t *topics) delete(name string) (bool, error) {
	added, err := t.deleteAdd(name)
	if err != nil || added == 0 {
		return false, err
	}
	t.log.Info("topic deleted", "topic", name)
	return true, t.file.sync(added)
}

func (t *topics) deleteAdd(name string) (int64, error) {
	t.changeMu.Lock()
	defer t.changeMu.Unlock()
	if t.find(name) == nil {
		return 0, nil
	}
	version := t.nextLocked()
	line, err := fastjson.Marshal(topicChange{DataVersion: version, Deleted: name})
	if err != nil {
		return 0, err
	}
	added, err := t.file.add(line)
	if err != nil {
		return 0, fmt.Errorf("cannot delete topic %q: %w", name, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byName, name)
	t.version = version
	return added, nil
}
