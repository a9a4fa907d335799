package namesrv

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// routes holds everything that brokers have registered.
//
//	clusters  cluster name -> names of its broker groups
//	groups    broker name  -> its members by id, and its topics
//	topics    topic name   -> its queues on each broker group
//	live      cluster and address -> when that broker last spoke, and over which connection
//
// A topic that is here has queues on at least one group, and every group that it names is here too. A group that is here
// has a member.
type routes struct {
	mu       sync.RWMutex // protects the fields below, and all that they lead to
	topics   map[string]*topic
	groups   map[string]*group
	clusters map[string]map[string]struct{}
	live     map[brokerKey]*live
	gone     gone

	encoded atomic.Int64 // bytes of encoded routes that topics keep; see topic.encoded
}

// brokerKey is how the brokers of all groups are told apart.
type brokerKey struct{ cluster, addr string }

// live is what is known of one broker besides its group.
type live struct {
	key     brokerKey
	name    string // of its group
	seen    time.Time
	timeout time.Duration // after so much silence it counts as gone
	version protocol.DataVersion
	conn    *remoting.Conn // that it registered over; when it ends the broker is gone
	haAddr  string
	filters []string // its filter servers; brokers of before 5.0 have some
	sum     uint64   // of its last registration; see Server.sum
	decided bool     // that one decided what topics the group has
}

// group is a broker group: a master and its slaves.
type group struct {
	name    string
	cluster string
	zone    string
	acting  bool             // a slave may act as master
	addrs   map[int64]string // by broker id
	topics  map[string]*topic
	// ousted are the addresses in whose place another one came, by broker id: one that comes back fights with it.
	ousted map[int64]string
	// decidedBy is the member whose topics the group's are.
	decidedBy brokerKey
	// incomplete says that the topics may not be what its brokers have: one was taken off or put on by others. The next registration is
	// read, even if it says nothing new.
	incomplete bool
}

func (g *group) minID() int64 {
	if len(g.addrs) == 0 {
		return protocol.MasterID
	}
	return slices.Min(slices.Collect(maps.Keys(g.addrs)))
}

// topic is where one topic is.
type topic struct {
	name     string
	queues   []protocol.QueueData                       // sorted by broker name
	mappings map[string]*protocol.TopicQueueMappingInfo // of a static topic, by broker name; else nil
	// encoded is the route as route queries are answered, by dialect; nil until asked for. It is set under mu held for
	// reading and cleared under mu held for writing, so it is never older than what it shows.
	encoded [dialects]atomic.Pointer[[]byte]
}

// queueOn returns the topic's queues on a group, nil when it has none there.
func (t *topic) queueOn(broker string) *protocol.QueueData {
	if i, ok := t.find(broker); ok {
		return &t.queues[i]
	}
	return nil
}

func (t *topic) find(broker string) (int, bool) {
	return slices.BinarySearchFunc(t.queues, broker, func(q protocol.QueueData, name string) int { return cmp.Compare(q.BrokerName, name) })
}

func (r *routes) init(now time.Time) {
	r.topics = make(map[string]*topic)
	r.groups = make(map[string]*group)
	r.clusters = make(map[string]map[string]struct{})
	r.live = make(map[brokerKey]*live)
	r.gone.started = now
}

// setQueueLocked says how many queues a topic has on a group.
func (r *routes) setQueueLocked(g *group, name string, q protocol.QueueData) {
	t := r.topics[name]
	if t == nil {
		t = &topic{name: name}
		r.topics[name] = t
		r.gone.back(name)
	}
	i, found := t.find(g.name)
	switch {
	case !found:
		t.queues = slices.Insert(t.queues, i, q)
		g.topics[name] = t
	case t.queues[i] != q:
		t.queues[i] = q
	default:
		return
	}
	r.forgetRouteLocked(t)
}

// dropQueueLocked takes a topic off a group, and forgets a topic that is on none any more.
func (r *routes) dropQueueLocked(g *group, t *topic) {
	delete(g.topics, t.name)
	g.incomplete = true
	if i, found := t.find(g.name); found {
		t.queues = slices.Delete(t.queues, i, i+1)
	}
	delete(t.mappings, g.name)
	r.forgetRouteLocked(t)
	if len(t.queues) == 0 {
		delete(r.topics, t.name)
	}
}

// forgetRouteLocked makes the next query for a topic encode its route anew.
func (r *routes) forgetRouteLocked(t *topic) {
	for i := range t.encoded {
		if old := t.encoded[i].Swap(nil); old != nil {
			r.encoded.Add(-int64(len(*old)))
		}
	}
}

// forgetRoutes does so for all topics: what a route shows depends on the configuration.
func (r *routes) forgetRoutes() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.topics {
		r.forgetRouteLocked(t)
	}
}

// distrust makes the next registration of each group be read, even if it says nothing new.
func (r *routes) distrust() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.groups {
		g.incomplete = true
	}
}

// forgetRoute makes the next query for one topic encode its route anew.
func (r *routes) forgetRoute(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.topics[name]; t != nil {
		r.forgetRouteLocked(t)
	}
}

// touch notes that a broker lives, and returns the version of its topics.
func (r *routes) touch(key brokerKey, now time.Time) (version protocol.DataVersion, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.live[key]
	if l == nil {
		return version, false
	}
	l.seen = now
	return l.version, true
}

// silent returns the brokers that were silent for too long.
func (r *routes) silent(now time.Time) []*live {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var found []*live
	for _, l := range r.live {
		if now.Sub(l.seen) > l.timeout {
			found = append(found, l)
		}
	}
	return found
}

// lives returns how many brokers are registered.
func (r *routes) lives() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.live)
}

// over returns the brokers that registered over a connection.
func (r *routes) over(c *remoting.Conn) []*live {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var found []*live
	for _, l := range r.live {
		if l.conn == c {
			found = append(found, l)
		}
	}
	return found
}
