package broker

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/statefile"
)

// UPDATE_AND_CREATE_STATIC_TOPIC 513.
//
// Behaviour: makes or changes a topic and the mapping of its logical queues (protocol/statictopic.go), both on disk when the answer
// comes. What tools compute is taken after Apache's checks: no older epoch, and what a stretch had once does not change; force skips
// these. Requests about the topic's queues then name logical queues (static.go).
// Differs from Apache: a mapping that is refused leaves the topic as it was, and so does one for another broker.

// mappings are the static topics' mappings, kept in config/topicQueueMapping.json, which is written anew at each change.
type mappings struct {
	path string
	log  *slog.Logger
	any  atomic.Bool // there are some

	mu      sync.RWMutex // protects the fields below; what a mapping has does not change
	byTopic map[string]*protocol.TopicQueueMappingDetail
	version protocol.DataVersion
}

func newMappings(path string, log *slog.Logger) *mappings {
	return &mappings{path: path, log: log, byTopic: map[string]*protocol.TopicQueueMappingDetail{}}
}

func openMappings(path string, log *slog.Logger) (*mappings, error) {
	m := newMappings(path, log)
	return m, readState(path, log, m.load)
}

func (m *mappings) load(data []byte) error {
	var file protocol.TopicQueueMappings
	if err := fastjson.Unmarshal(data, &file); err != nil {
		return err
	}
	for topic, d := range file.TopicQueueMappingInfoMap {
		if d != nil {
			m.byTopic[topic] = d
		}
	}
	m.version = file.DataVersion
	m.any.Store(len(m.byTopic) > 0)
	return nil
}

// find finds a topic's mapping, nil when it is not static.
func (m *mappings) find(topic string) *protocol.TopicQueueMappingDetail {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.byTopic[topic]
}

// all returns every mapping and the table's version.
func (m *mappings) all() (map[string]*protocol.TopicQueueMappingDetail, protocol.DataVersion) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return maps.Clone(m.byTopic), m.version
}

// infos is what NameServers are told of the mappings.
func (m *mappings) infos() map[string]*protocol.TopicQueueMappingInfo {
	m.mu.RLock()
	defer m.mu.RUnlock()
	infos := make(map[string]*protocol.TopicQueueMappingInfo, len(m.byTopic))
	for topic, d := range m.byTopic {
		infos[topic] = d.Info()
	}
	return infos
}

// set keeps a topic's mapping, on disk too; nil removes it.
func (m *mappings) set(topic string, d *protocol.TopicQueueMappingDetail) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d == nil && m.byTopic[topic] == nil {
		return nil
	}
	next := maps.Clone(m.byTopic)
	if d == nil {
		delete(next, topic)
	} else {
		next[topic] = d
	}
	version := m.version.Next(time.Now().UnixMilli())
	data, err := fastjson.MarshalIndent(protocol.TopicQueueMappings{DataVersion: version, TopicQueueMappingInfoMap: next})
	if err != nil {
		return err
	}
	if err := statefile.Write(m.path, data); err != nil {
		return err
	}
	m.byTopic, m.version = next, version
	m.any.Store(len(next) > 0)
	m.log.Info("mapping of a static topic was changed", "topic", topic, "removed", d == nil)
	return nil
}

// mergeMapping checks a new mapping against the old one, which may be nil, and completes it from that.
func mergeMapping(old, d *protocol.TopicQueueMappingDetail, force bool) error {
	for _, queue := range d.HostedQueues {
		if err := queue.Check(); err != nil {
			return err
		}
	}
	if old == nil {
		return nil
	}
	switch {
	case force:
	case d.Epoch < old.Epoch:
		//lint:ignore ST1005 Apache's words
		return fmt.Errorf("Can't accept data with small epoch %d < %d", d.Epoch, old.Epoch)
	case d.Scope != old.Scope:
		//lint:ignore ST1005 Apache's words
		return fmt.Errorf("Can't accept data with unmatched scope %s != %s", d.Scope, old.Scope)
	}
	for id, was := range old.HostedQueues {
		now, ok := d.HostedQueues[id]
		switch {
		case !ok && d.Epoch == old.Epoch && !force:
			//lint:ignore ST1005 Apache's words
			return fmt.Errorf("Cannot accept equal epoch with null data")
		case !ok:
			d.HostedQueues[id] = was
		case !force:
			if err := checkStretches(was, now, d.Epoch == old.Epoch); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkStretches says whether what a stretch had once has changed.
func checkStretches(was, now protocol.LogicQueue, sameEpoch bool) error {
	if len(was) == 0 {
		return nil
	}
	if len(now) == 0 {
		//lint:ignore ST1005 Apache's words
		return fmt.Errorf("The new item list is null or empty")
	}
	for i := range was {
		for j := range now {
			a, b := &was[i], &now[j]
			if a.Gen == b.Gen && (a.Bname != b.Bname || a.QueueID != b.QueueID || a.StartOffset != b.StartOffset || a.LogicOffset != -1 && a.LogicOffset != b.LogicOffset) {
				//lint:ignore ST1005 as Apache begins
				return fmt.Errorf("The item of gen %d was %+v and cannot become %+v", a.Gen, *a, *b)
			}
		}
	}
	a, b := was.Leader(), now.Leader()
	if sameEpoch && (a.Gen != b.Gen || a.Bname != b.Bname || a.QueueID != b.QueueID || a.StartOffset != b.StartOffset) {
		//lint:ignore ST1005 Apache's words
		return fmt.Errorf("The new leader is different but epoch equal")
	}
	return nil
}

func (b *Broker) updateStaticTopic(r *remoting.Request, h *protocol.CreateTopicHeader) (*remoting.Answer, error) {
	var d protocol.TopicQueueMappingDetail
	if err := fastjson.Unmarshal(r.Body, &d); err != nil {
		return nil, err
	}
	if d.HostedQueues == nil {
		d.HostedQueues = map[int32]protocol.LogicQueue{}
	}
	c := protocol.NewTopicConfig(h.Topic)
	c.ReadQueueNums, c.WriteQueueNums, c.Perm, c.TopicFilterType, c.TopicSysFlag = h.ReadQueueNums, h.WriteQueueNums, h.Perm, h.TopicFilterType, h.TopicSysFlag
	if err := b.checkTopic(&c); err != nil {
		return nil, err
	}
	if name := b.settings.Load().Name; d.Bname != name || d.Topic != h.Topic {
		return nil, protocol.Errorf(protocol.CodeSystemError, "the mapping is of topic %s on broker %s, not of %s on %s", shown(d.Topic), shown(d.Bname), h.Topic, name)
	}
	b.log.Info("request to create or change a static topic", "topic", h.Topic, "epoch", d.Epoch, "force", h.Force, "addr", r.Conn.RemoteAddr())
	b.staticMu.Lock()
	defer b.staticMu.Unlock()
	if err := mergeMapping(b.topics.mappings.find(h.Topic), &d, h.Force); err != nil {
		return nil, err
	}
	if err := b.topics.mappings.set(h.Topic, &d); err != nil {
		return nil, err
	}
	if err := b.topics.update(c); err != nil {
		return nil, err
	}
	for _, q := range b.store.Queues(h.Topic) {
		b.holds.release(q, "") // their logical queue may go on elsewhere
	}
	return nil, nil
}
