package broker

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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
	acks, checkPoints                  atomic.Int64                 // of pops
	putMax, getMax                     atomic.Int64                 // ms of the slowest
	putTimes                           [len(putTimes)]atomic.Uint64 // sends by how long they took
	registers                          [2]requestTimes              // of consumers and producers, at their heartbeats

	history past
}

func (c *counters) past() *past { return &c.history }

// values are in the order of the statistics of the whole broker.
func (c *counters) values(to []uint64) []uint64 {
	put, get := uint64(c.putMessages.Load()), uint64(c.getMessages.Load())
	to = append(to, put, put-uint64(c.putSystem.Load()), get, get-uint64(c.getSystem.Load()), uint64(c.acks.Load()), uint64(c.checkPoints.Load()),
		c.registers[0].ms.Load(), c.registers[0].requests.Load(), c.registers[1].ms.Load(), c.registers[1].requests.Load())
	for i := range c.putTimes {
		to = append(to, c.putTimes[i].Load())
	}
	return to
}

// putTimesAt is where values has the first of putTimes.
const putTimesAt = 10

// putTimes are what runtime information counts sends by: up to so many ms, the last without an end.
var putTimes = [...]struct {
	ms   int64
	name string
}{{0, "[<=0ms]"}, {10, "[0~10ms]"}, {50, "[10~50ms]"}, {100, "[50~100ms]"}, {200, "[100~200ms]"}, {500, "[200~500ms]"}, {1000, "[500ms~1s]"},
	{2000, "[1~2s]"}, {3000, "[2~3s]"}, {4000, "[3~4s]"}, {5000, "[4~5s]"}, {10000, "[5~10s]"}, {math.MaxInt64, "[10s~]"}}

// took counts sends that took so many ms each.
func (c *counters) took(requests, ms int64) {
	i := 0
	for ms > putTimes[i].ms {
		i++
	}
	c.putTimes[i].Add(uint64(requests))
	if ms > c.putMax.Load() {
		c.putMax.Store(ms) // of two at once the smaller may win, as in Apache
	}
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

// byQueue are the times of a topic's queues from number -1 on, which stands for any; nil for one that nothing was counted of.
type byQueue struct {
	queues atomic.Pointer[[]*requestTimes]
	mu     sync.Mutex // one that grows it
}

// of is where a queue's requests are counted.
func (b *byQueue) of(queue int32) *requestTimes {
	queue++
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

// values are the milliseconds and the requests of queue -1, 0, 1 ...
func (b *byQueue) values(to []uint64) []uint64 {
	queues := b.queues.Load()
	if queues == nil {
		return to
	}
	for _, q := range *queues {
		if q == nil {
			to = append(to, 0, 0)
		} else {
			to = append(to, q.ms.Load(), q.requests.Load())
		}
	}
	return to
}

// index is where in values a queue's milliseconds are; its requests follow.
func (*byQueue) index(queue int32) int { return 2 * int(queue+1) }

// topicCounts are of the messages that are stored in a topic, whichever they were sent to.
type topicCounts struct {
	topic  string
	system bool
	in     [messageKinds]volume
	puts   atomic.Uint64 // requests and what was moved
	sizes  [kindMoved]atomic.Pointer[sizes]
	sends  byQueue // by the queue that was named
	parked byLevel // of SCHEDULE_TOPIC_XXXX

	history past
	light   bool // it has no history, for there may be millions
}

func (t *topicCounts) past() *past { return &t.history }

// Where values has what.
const (
	topicMessages = iota
	topicBytes
	topicPuts
	topicSends // first of byQueue
)

func (t *topicCounts) values(to []uint64) []uint64 {
	var messages, bytes uint64
	for i := range t.in {
		messages += t.in[i].messages.Load()
		bytes += t.in[i].bytes.Load()
	}
	return t.sends.values(append(to, messages, bytes, t.puts.Load()))
}

// groupCounts are of the messages of a topic that are given to a group.
type groupCounts struct {
	topic, group string
	popped       string // of a retry topic that is read by pops: the topic that they name
	system       bool   // the topic is
	out          volume
	gets         atomic.Uint64 // that found something
	pops         volume        // of out, those that were popped
	reads        byQueue
	acks         atomic.Uint64 // of pops
	checkPoints  atomic.Uint64
	sentBack     atomic.Uint64
	dead         atomic.Uint64 // of sentBack, those that became dead letters
	gone         atomic.Bool   // another takes its place

	history past
	light   bool
}

func (g *groupCounts) past() *past { return &g.history }

// Where values has what.
const (
	groupMessages = iota
	groupBytes
	groupGets
	groupAcks
	groupCheckPoints
	groupSentBack
	groupDead
	groupReads // first of byQueue
)

func (g *groupCounts) values(to []uint64) []uint64 {
	return g.reads.values(append(to, g.out.messages.Load(), g.out.bytes.Load(), g.gets.Load(), g.acks.Load(), g.checkPoints.Load(), g.sentBack.Load(), g.dead.Load()))
}

// counts are the broker's entries.
type counts struct {
	all      *counters
	isSystem func(topic string) bool
	samples  *samples

	mu     sync.RWMutex // protects the fields below
	topics map[string]*topicCounts
	groups map[topicGroup]*groupCounts
}

type topicGroup struct{ topic, group string }

func newCounts(all *counters, isSystem func(topic string) bool, started time.Time) *counts {
	return &counts{all: all, isSystem: isSystem, samples: newSamples(started), topics: map[string]*topicCounts{}, groups: map[topicGroup]*groupCounts{}}
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
		found = &topicCounts{topic: topic, system: c.isSystem(topic), light: store.IsLight(topic)}
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
		found = &groupCounts{topic: key.topic, group: key.group, popped: poppedTopic(topic, group), system: c.isSystem(topic), light: store.IsLight(topic)}
		c.groups[key] = found
	}
	return found
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
	t.puts.Add(uint64(requests))
	t.sends.of(queue).add(requests, ms)
	if requests > 0 {
		c.all.took(requests, ms/requests)
	}
	c.stored(t, messages, bytes)
}

// park counts a message by its delay level, if it waits for one.
func (c *counts) park(t *topicCounts, p *store.Put) {
	if t.topic == topicSchedule {
		t.parked.of(p.Queue.ID()).add(1, int64(p.Size))
		c.samples.moved(&t.parked, &t.parked.history)
	}
}

// byLevel are delayed messages by the queue of their level; for milliseconds read bytes.
type byLevel struct {
	byQueue
	history past
}

func (l *byLevel) past() *past { return &l.history }

func (c *counts) stored(t *topicCounts, messages, bytes int64) {
	c.all.putMessages.Add(messages)
	c.all.putBytes.Add(bytes)
	if t.system {
		c.all.putSystem.Add(messages)
	}
	c.samples.moved(c.all, &c.all.history)
	if !t.light {
		c.samples.moved(t, &t.history)
	}
}

// sized counts the size of a message that was stored, or of a batch the average.
func (t *topicCounts) sized(kind messageKind, size int64) {
	if kind >= kindMoved {
		return
	}
	of := t.sizes[kind].Load()
	if of == nil {
		t.sizes[kind].CompareAndSwap(nil, new(sizes))
		of = t.sizes[kind].Load()
	}
	of.counts[sizeBucket(size)].Add(1)
	of.sum.Add(uint64(size))
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
		c.park(t, p)
		n := int64(max(p.Inner, 1))
		t.in[kind].add(n, int64(p.Size))
		t.puts.Add(1)
		c.stored(t, n, int64(p.Size))
		t.sized(kind, int64(p.Size)/n)
	}
}

// delivered counts delayed messages as given out by the broker to itself.
func (c *counts) delivered(puts []store.Put) {
	g := c.ofGroup(topicSchedule, scheduleGroup)
	for i := range puts {
		if p := &puts[i]; p.Err == nil {
			g.out.add(1, int64(p.Size))
			g.gets.Add(1)
		}
	}
	c.movedGroup(g)
}

// scheduleGroup is the group that statistics name for what the broker does with delayed messages.
const scheduleGroup = "SCHEDULE_CONSUMER"

// sentBack counts a message that a group has given back, and where it waits, if it does.
func (c *counts) sentBack(topic, group string, puts []store.Put) {
	g := c.ofGroup(topic, group)
	g.sentBack.Add(1)
	if to := puts[0].Queue.Topic(); to == topicSchedule {
		c.moved(kindMoved, puts)
	} else if strings.HasPrefix(to, dlqPrefix) {
		g.dead.Add(1)
	}
	c.movedGroup(g)
}

func (c *counts) movedGroup(g *groupCounts) {
	c.samples.moved(c.all, &c.all.history)
	if !g.light {
		c.samples.moved(g, &g.history)
	}
}

// read counts a request that was given messages.
func (c *counts) read(g *groupCounts, queue int32, ms int64) {
	g.reads.of(queue).add(1, ms)
	if ms > c.all.getMax.Load() {
		c.all.getMax.Store(ms)
	}
}

// got counts messages that were given out of one queue.
func (c *counts) got(g *groupCounts, messages, bytes int64) {
	g.out.add(messages, bytes)
	g.gets.Add(1)
	c.all.getMessages.Add(messages)
	c.all.getBytes.Add(bytes)
	if g.system {
		c.all.getSystem.Add(messages)
	}
	c.movedGroup(g)
}

// acked counts a message that a pop's client has acknowledged.
func (c *counts) acked(g *groupCounts) {
	g.acks.Add(1)
	c.all.acks.Add(1)
	c.movedGroup(g)
}

// checkPoint counts a pop of one queue that waits for acknowledgements.
func (c *counts) checkPoint(g *groupCounts) {
	g.checkPoints.Add(1)
	c.all.checkPoints.Add(1)
}

// registered counts a client that a heartbeat told of.
func (c *counts) registered(producer bool, took time.Duration) {
	i := 0
	if producer {
		i = 1
	}
	c.all.registers[i].add(1, took.Milliseconds())
	c.samples.moved(c.all, &c.all.history)
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
