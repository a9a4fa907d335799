package broker

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// lites are the consumers of lite topics. A lite topic is the light queue %LMQ%$parent$lite of a topic whose message.type is LITE; it is
// there as soon as it has a message (light.go), and goes when it had none for long enough (liteexpire.go). Clients subscribe to lite
// topics for a group that is bound to the parent (litesub.go) and pop whatever is there in any of them, each in order (litepop.go).
//
// A message is told to all clients that subscribe to its lite topic: each has a list of lite topics to look at, in which one is
// at most once, and of each group one client that waits is woken. Whoever looks first takes what is there and blocks the lite topic
// for its group; the others find nothing. When that ends with messages left the group is told again. A group with the attribute
// lite.sub.wildcard has one such list for all its clients, and is told of every lite topic of its parent.
//
// All of it is in memory only, as with Apache: clients tell their subscriptions again, and what was popped and not acknowledged
// comes once more after a restart. The groups' offsets are in consumerOffset.json like others.
type lites struct {
	b *Broker

	mu          sync.Mutex // protects the fields below; taken inside holds.mu, never held while disks are read
	clients     map[string]*liteClient
	subscribers map[string][]*liteClient        // by the name of the light queue
	wild        map[string]map[string]*liteWild // by parent topic and group
	active      int                             // subscriptions
	blocks      map[liteKey]*liteBlock
	byDue       heapOf[*liteBlock]
	timer       *time.Timer
	lags        map[liteKey]map[string]int64 // store time of the oldest message not consumed, by parent topic and group, and light queue
	unread      map[liteKey]struct{}         // could not be read when their groups were told
	retry       *time.Timer                  // tells them once more; set while there are any
	closed      bool
	firing      sync.WaitGroup

	waiting map[string][]*litePop // by client; protected by holds.mu
}

// liteKey is a group and one of its light queues.
type liteKey struct{ group, queue string }

// liteClient is a client that subscribes to lite topics of one parent. Protected by lites.mu.
type liteClient struct {
	id, group, topic string
	conn             *remoting.Conn
	updated          time.Time
	queues           map[string]bool // by light queue, whether it is in events
	events           []string        // light queues to look at, the one told first first; those it left meanwhile too
	wild             *liteWild       // of a group that wants all lite topics; nil otherwise
	asked, consumed  time.Time       // when it last popped; when it last got something
}

// liteWild is what all clients of a group look at that wants all lite topics of its parent. Protected by lites.mu.
type liteWild struct {
	group, topic string
	clients      []*liteClient
	queues       map[string]bool // those in events
	events       []string
}

func newLites(b *Broker) *lites {
	l := &lites{b: b, clients: map[string]*liteClient{}, subscribers: map[string][]*liteClient{}, wild: map[string]map[string]*liteWild{},
		blocks: map[liteKey]*liteBlock{}, unread: map[liteKey]struct{}{}, lags: map[liteKey]map[string]int64{}, waiting: map[string][]*litePop{}}
	l.timer = time.AfterFunc(time.Hour, l.unblock)
	l.timer.Stop()
	l.retry = time.AfterFunc(time.Hour, l.tellUnread)
	l.retry.Stop()
	return l
}

// fires locks l for a timer's function, which ends with firing.Done, unless l is closed.
func (l *lites) fires() bool {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	l.firing.Add(1)
	return true
}

// close ends the timers. Nobody pops any more.
func (l *lites) close() {
	l.mu.Lock()
	l.closed = true
	l.timer.Stop()
	l.retry.Stop()
	l.mu.Unlock()
	l.firing.Wait()
}

// liteQueueName is the name of a lite topic's light queue; "" when there can be none. Part of the format.
func liteQueueName(parent, lite string) string {
	if parent == "" || lite == "" {
		return ""
	}
	return store.LitePrefix + parent + "$" + lite
}

// liteQueueOf is the queue that a pull of a lite topic means; one that is not there yet is made, to wait for.
func (b *Broker) liteQueueOf(t *topic, lite []byte, id int32) (*store.Queue, error) {
	name := liteQueueName(t.TopicName, string(lite))
	if !store.IsQueueName(name) {
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "topic %s cannot have a lite topic %q: its queue would be the folder %s", t.TopicName, shown(string(lite)), shown(name))
	}
	return b.store.Queue(name, id), nil
}

// isThere says whether a topic is there, of a lite one whether its parent is.
func (b *Broker) isThere(topic string) bool {
	if parent, _ := splitLiteName(topic); parent != "" {
		topic = parent
	}
	return b.topics.find(topic) != nil
}

// splitLiteName takes the name of a lite topic's light queue apart; both are empty when it is none.
func splitLiteName(queue string) (parent, lite string) {
	rest, ok := strings.CutPrefix(queue, store.LitePrefix)
	if !ok {
		return "", ""
	}
	parent, lite, _ = strings.Cut(rest, "$")
	if parent == "" || lite == "" || strings.Contains(lite, "$") {
		return "", ""
	}
	return parent, lite
}

// Attributes of topics and groups that are about lite topics. Part of the format.
const (
	attrLiteExpiration       = "lite.topic.expiration" // minutes
	attrLiteBindTopic        = "lite.bind.topic"
	attrLiteModel            = "lite.sub.model"
	attrLiteResetExclusive   = "lite.sub.reset.offset.exclusive"
	attrLiteResetUnsubscribe = "lite.sub.reset.offset.unsubscribe"
	attrLiteWildcard         = "lite.sub.wildcard"

	typeLite      = "LITE"
	liteExclusive = "Exclusive"
)

func (t *topic) isLite() bool { return t.Attributes[attrMessageType] == typeLite }

// liteTTL is how many minutes a lite topic of this parent outlives its last message; not above 0 when it stays.
func (t *topic) liteTTL() int64 {
	n, err := strconv.ParseInt(t.Attributes[attrLiteExpiration], 10, 64)
	if err != nil || !t.isLite() {
		return -1
	}
	return n
}

func (g *group) liteBound() string { return g.Attributes[attrLiteBindTopic] }

// boundTo returns the groups that consume lite topics, by parent topic, sorted.
func (g *groups) boundTo() map[string][]string {
	g.mu.RLock()
	defer g.mu.RUnlock()
	bound := map[string][]string{}
	for name, group := range g.byName {
		if topic, ok := group.Attributes[attrLiteBindTopic]; ok {
			bound[topic] = append(bound[topic], name)
		}
	}
	for _, names := range bound {
		slices.Sort(names)
	}
	return bound
}

func (g *group) isLiteWild() bool {
	_, ok := g.Attributes[attrLiteWildcard]
	return ok
}

// is says whether an attribute of the group is true.
func (g *group) is(attribute string) bool { return strings.EqualFold(g.Attributes[attribute], "true") }

// tell has the subscribers of a lite topic look at it: those of one group, or with "" of all.
func (l *lites) tell(group, queue string) {
	var room [8]*liteClient
	l.mu.Lock()
	told := room[:0]
	for _, c := range l.subscribers[queue] {
		if group == "" || c.group == group {
			c.tellLocked(queue)
			told = append(told, c)
		}
	}
	if len(l.wild) > 0 {
		parent, _ := splitLiteName(queue)
		for _, w := range l.wild[parent] {
			if group == "" || w.group == group {
				w.tellLocked(queue)
				told = append(told, w.clients...)
			}
		}
	}
	l.mu.Unlock()
	if len(told) > 0 {
		l.wake(told)
	}
}

func (c *liteClient) tellLocked(queue string) {
	if pending, subscribed := c.queues[queue]; subscribed && !pending {
		c.queues[queue] = true
		c.events = append(c.events, queue)
	}
}

func (w *liteWild) tellLocked(queue string) {
	if !w.queues[queue] {
		w.queues[queue] = true
		w.events = append(w.events, queue)
	}
}

// nextLocked takes the light queue out that the client shall look at first.
func (c *liteClient) nextLocked() (queue string, ok bool) {
	if w := c.wild; w != nil {
		if len(w.events) == 0 {
			return "", false
		}
		queue, w.events = w.events[0], w.events[1:]
		delete(w.queues, queue)
		return queue, true
	}
	for len(c.events) > 0 {
		queue, c.events = c.events[0], c.events[1:]
		if _, subscribed := c.queues[queue]; subscribed {
			c.queues[queue] = false
			return queue, true
		}
	}
	return "", false
}

func (c *liteClient) hasEventsLocked() bool {
	if c.wild != nil { // as nextLocked
		return len(c.wild.events) > 0
	}
	return len(c.events) > 0
}

// wake serves one waiting pop of each group of the clients.
func (l *lites) wake(told []*liteClient) {
	var room [4]*litePop
	ready := room[:0]
	h := &l.b.holds
	h.mu.Lock()
	for _, c := range told {
		for list := l.waiting[c.id]; len(list) > 0 && list[0].conn.IsClosed(); list = l.waiting[c.id] {
			h.removeLocked(&list[0].held)
		}
		list := l.waiting[c.id]
		if len(list) == 0 || slices.ContainsFunc(ready, func(p *litePop) bool { return p.ConsumerGroup == c.group }) {
			continue
		}
		ready = append(ready, list[0])
		h.removeLocked(&list[0].held)
	}
	h.mu.Unlock()
	for _, p := range ready {
		p.resume()
	}
}

// tellBehind has a client look at all of its lite topics that have messages its group has not consumed.
func (l *lites) tellBehind(id string) {
	l.mu.Lock()
	c := l.clients[id]
	var queues []string
	if c != nil {
		for queue := range c.queues {
			queues = append(queues, queue)
		}
	}
	l.mu.Unlock()
	if c == nil {
		return
	}
	if c.wild != nil {
		l.tellWild(c.group, c.topic)
		return
	}
	for _, queue := range queues {
		l.tellIfBehind(c.group, queue)
	}
}

// tellWild does the same for a group that wants all lite topics.
func (l *lites) tellWild(group, topic string) {
	for _, q := range l.b.store.LiteQueues(topic) {
		l.tellIfBehind(group, q.Topic())
	}
}

// liteRetry is the pause before what could not be read is read once more.
const liteRetry = time.Second

// tellLater has a group look at a lite topic again that cannot be read now: who was told of it has forgotten it. One of those that are
// told together is logged.
func (l *lites) tellLater(key liteKey, offset int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if len(l.unread) == 0 {
		l.b.log.Error("messages of a lite topic cannot be read now; it is tried once more, as are others", "topic", key.queue, "group", key.group,
			"offset", offset, "in", liteRetry, "err", err)
		l.retry.Reset(liteRetry)
	}
	l.unread[key] = struct{}{}
}

func (l *lites) tellUnread() {
	if !l.fires() {
		return
	}
	defer l.firing.Done()
	keys := l.unread
	l.unread = map[liteKey]struct{}{}
	l.mu.Unlock()
	for key := range keys {
		l.tellIfBehind(key.group, key.queue)
	}
}

func (l *lites) tellIfBehind(group, queue string) {
	if _, end := l.b.rangeOf(queue, 0); end > max(l.b.offsets.query(group, queue, 0), 0) {
		l.tell(group, queue)
	}
}
