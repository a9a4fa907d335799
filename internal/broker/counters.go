package broker

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/liftoffmq/liftoff/internal/store"
)

// What the broker has done since it started, as plain counters: of the whole broker, of each topic that messages were stored in, and of
// each topic and group that messages were given out of and to. Statistics (brokerstats.go) and metrics read them; nobody else writes.
//
// An entry is made at the first message and hangs on what its messages go through anyway (topic.in, groupOffsets.out, popGroup.out), so
// that counting is a few additions and no search. It ends with its topic or group.

// counters are those of the whole broker. A message that is stored twice, delayed and then in its own topic, counts twice.
type counters struct {
	putMessages, putBytes, putFailures atomic.Int64
	putSystem                          atomic.Int64 // of putMessages, those in topics of the system
	getMessages, getBytes              atomic.Int64
	getSystem                          atomic.Int64
	acks, checkPoints                  atomic.Int64 // of pops
}

// messageKind is what a message was sent as. messages_in counts the first four; what the broker itself moved into a topic, after a
// time or the end of a transaction, is in the topic's statistics only.
type messageKind uint8

const (
	kindNormal messageKind = iota
	kindFIFO
	kindDelay
	kindTransaction
	kindMoved
	messageKinds
)

// String is the kind as metrics have it.
func (k messageKind) String() string {
	return [messageKinds]string{"normal", "fifo", "delay", "transaction", "moved"}[k]
}

// kind is what the message is sent as.
func (f *propertyFacts) kind() messageKind {
	switch {
	case f.half:
		return kindTransaction
	case f.ordered:
		return kindFIFO
	case f.delay != nil || f.timer:
		return kindDelay
	}
	return kindNormal
}

// volume is a number of messages and their size as records.
type volume struct{ messages, bytes atomic.Uint64 }

func (v *volume) add(messages, bytes int64) {
	v.messages.Add(uint64(messages))
	v.bytes.Add(uint64(bytes))
}

// requestTimes is how many requests there were and how long they took in all.
type requestTimes struct{ requests, ms atomic.Uint64 }

func (r *requestTimes) add(requests, ms int64) {
	r.requests.Add(uint64(requests))
	if ms > 0 {
		r.ms.Add(uint64(ms))
	}
}

// byQueue are the times of a topic's queues; nil for one that nothing was counted of.
type byQueue struct {
	queues atomic.Pointer[[]*requestTimes]
	mu     sync.Mutex // one that grows it
}

// of is where a queue's requests are counted.
func (b *byQueue) of(queue int32) *requestTimes {
	if queues := b.queues.Load(); queues != nil && uint(queue) < uint(len(*queues)) && (*queues)[queue] != nil {
		return (*queues)[queue]
	}
	return b.make(queue)
}

func (b *byQueue) make(queue int32) *requestTimes {
	queue = min(max(queue, 0), queuesMax)
	b.mu.Lock()
	defer b.mu.Unlock()
	var grown []*requestTimes
	if old := b.queues.Load(); old != nil {
		grown = slices.Clone(*old)
	}
	if n := int(queue) + 1; n > len(grown) {
		grown = append(grown, make([]*requestTimes, n-len(grown))...)
	}
	if grown[queue] == nil {
		grown[queue] = new(requestTimes)
	}
	b.queues.Store(&grown)
	return grown[queue]
}

// all are the times by queue, nil where there are none.
func (b *byQueue) all() []*requestTimes {
	if queues := b.queues.Load(); queues != nil {
		return *queues
	}
	return nil
}

// topicCounts are of the messages that are stored in a topic, whichever they were sent to.
type topicCounts struct {
	topic  string
	system bool
	in     [messageKinds]volume
	sends  byQueue
}

// groupCounts are of the messages of a topic that are given to a group.
type groupCounts struct {
	topic, group string
	popped       string // of a retry topic that is read by pops: the topic that they name
	system       bool   // the topic is
	out          volume
	reads        byQueue
	acks         atomic.Uint64 // of pops
	checkPoints  atomic.Uint64
	sentBack     atomic.Uint64
	gone         atomic.Bool // another takes its place
}

// counts are the broker's entries.
type counts struct {
	all      *counters
	isSystem func(topic string) bool

	mu     sync.RWMutex // protects the fields below
	topics map[string]*topicCounts
	groups map[topicGroup]*groupCounts
}

type topicGroup struct{ topic, group string }

func newCounts(all *counters, isSystem func(topic string) bool) *counts {
	return &counts{all: all, isSystem: isSystem, topics: map[string]*topicCounts{}, groups: map[topicGroup]*groupCounts{}}
}

// of is a topic's entry.
func (c *counts) of(topic string) *topicCounts {
	c.mu.RLock()
	found := c.topics[topic]
	c.mu.RUnlock()
	if found != nil {
		return found
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if found = c.topics[topic]; found == nil {
		found = &topicCounts{topic: topic, system: c.isSystem(topic)}
		c.topics[topic] = found
	}
	return found
}

// ofGroup is the entry of a topic and a group.
func (c *counts) ofGroup(topic, group string) *groupCounts {
	key := topicGroup{topic, group}
	c.mu.RLock()
	found := c.groups[key]
	c.mu.RUnlock()
	if found != nil {
		return found
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if found = c.groups[key]; found == nil {
		key = topicGroup{strings.Clone(topic), strings.Clone(group)}
		found = &groupCounts{topic: key.topic, group: key.group, popped: poppedTopic(topic, group), system: c.isSystem(topic)}
		c.groups[key] = found
	}
	return found
}

// poppedTopic is the topic whose pops read a retry topic, "" where the topic is none of theirs.
func poppedTopic(topic, group string) string {
	rest, ok := strings.CutPrefix(topic, retryPrefix+group)
	if !ok || len(rest) < 2 || rest[0] != '_' && rest[0] != '+' {
		return ""
	}
	return rest[1:]
}

// find finds a topic's entry, nil when there is none.
func (c *counts) find(topic string) *topicCounts {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.topics[topic]
}

// findGroup finds the entry of a topic and a group, nil when there is none.
func (c *counts) findGroup(topic, group string) *groupCounts {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.groups[topicGroup{topic, group}]
}

// eachTopic are the entries of all topics, in no order.
func (c *counts) eachTopic() []*topicCounts {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Collect(maps.Values(c.topics))
}

// eachGroup are the entries of all topics and groups, in no order.
func (c *counts) eachGroup() []*groupCounts {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Collect(maps.Values(c.groups))
}

// forgetTopic drops what was counted of a topic, for it was deleted.
func (c *counts) forgetTopic(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.topics, topic)
	c.forgetLocked(func(key topicGroup) bool { return key.topic == topic })
}

// forgetGroup drops what was counted of a group, for it was deleted.
func (c *counts) forgetGroup(group string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked(func(key topicGroup) bool { return key.group == group })
}

func (c *counts) forgetLocked(which func(topicGroup) bool) {
	for key, g := range c.groups {
		if which(key) {
			g.gone.Store(true)
			delete(c.groups, key)
		}
	}
}

// put counts messages that were stored: by how many requests to which queue, and how long they took.
func (c *counts) put(t *topicCounts, kind messageKind, messages, bytes int64, queue int32, requests, ms int64) {
	t.in[kind].add(messages, bytes)
	if requests > 0 {
		t.sends.of(queue).add(requests, ms)
	}
	c.all.putMessages.Add(messages)
	c.all.putBytes.Add(bytes)
	if t.system {
		c.all.putSystem.Add(messages)
	}
}

// moved counts messages that the broker itself has put somewhere, as far as they are stored.
func (c *counts) moved(kind messageKind, puts []store.Put) {
	var t *topicCounts
	for i := range puts {
		p := &puts[i]
		if p.Err != nil {
			continue
		}
		if topic := p.Queue.Topic(); t == nil || t.topic != topic {
			t = c.of(topic)
		}
		c.put(t, kind, int64(max(p.Inner, 1)), int64(p.Size), p.Queue.ID(), 0, 0)
	}
}

// sentBack counts a message that a group has given back, and where it waits, if it does.
func (c *counts) sentBack(topic, group string, puts []store.Put) {
	c.ofGroup(topic, group).sentBack.Add(1)
	if puts[0].Queue.Topic() == topicSchedule {
		c.moved(kindMoved, puts)
	}
}

// got counts messages that were given out by one request, which took that long.
func (c *counts) got(g *groupCounts, messages, bytes int64, queue int32, ms int64) {
	g.out.add(messages, bytes)
	g.reads.of(queue).add(1, ms)
	c.all.getMessages.Add(messages)
	c.all.getBytes.Add(bytes)
	if g.system {
		c.all.getSystem.Add(messages)
	}
}

// counts is the entry of what is popped.
func (pg *popGroup) counts(c *counts) *groupCounts {
	if out := pg.out.Load(); out != nil && !out.gone.Load() {
		return out
	}
	out := c.ofGroup(pg.topic, pg.group)
	pg.out.Store(out)
	return out
}

// countsOf is the topic's entry in the table, found once.
func (t *topic) countsOf(c *counts) *topicCounts {
	if in := t.in.Load(); in != nil {
		return in
	}
	in := c.of(t.TopicName)
	t.in.Store(in)
	return in
}
