package broker

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// clients are the producers and consumers that have sent a heartbeat. One is forgotten when its connection ends, when it says so,
// and when it was silent for channelExpiredTimeout. What a pull needs (consumerGroup, subscription) takes no lock but the
// table's read lock.
type clients struct {
	settings *atomic.Pointer[settings]
	log      *slog.Logger
	scanned  func() // called at each look for silent clients, with no lock held; for what else should run while there are clients

	emptied func(group string) // called when a group has no consumer any more, with mu held

	mu          sync.RWMutex // protects the fields below and what is in them
	producers   map[string]map[*remoting.Conn]*client
	producerIDs map[string]*remoting.Conn // by client id, the connection that came last of those in producers
	consumers   map[string]*consumerGroup
	conns       map[*remoting.Conn]*memberships
	timer       *time.Timer // set while there are clients
	ended       bool
	expiries    sync.WaitGroup
}

// A client is one producer or consumer of a group.
type client struct {
	id       string
	conn     *remoting.Conn
	language protocol.Language
	version  int32
	seen     time.Time
	subs     map[string]*protocol.SubscriptionData // by topic; nil for producers and until they were told
}

// memberships is where a connection's clients are.
type memberships struct{ producers, consumers []string }

// A consumerGroup is a group that has consumers now.
type consumerGroup struct {
	name  string
	subs  atomic.Pointer[map[string]*subscription] // by topic; the map does not change
	model atomic.Value                             // string

	// Protected by clients.mu.
	members     map[*remoting.Conn]*client
	consumeType string
	fromWhere   string
	fingerprint int32 // of the last heartbeat; 0 when it had none
	beaten      bool  // there was a heartbeat
	told        bool  // some consumer has told its subscriptions
	disagree    bool  // two consumers subscribe differently
}

// expiryScan is the time between two looks for silent clients.
const expiryScan = 10 * time.Second

func newClients(b *Broker) *clients {
	return &clients{settings: &b.settings, log: b.log, emptied: b.filters.unregister, scanned: func() { b.sampleRates(time.Now()) }, producers: map[string]map[*remoting.Conn]*client{}, producerIDs: map[string]*remoting.Conn{},
		consumers: map[string]*consumerGroup{}, conns: map[*remoting.Conn]*memberships{}}
}

// consumerGroup finds a group that has consumers now, nil when it has none.
func (c *clients) consumerGroup(group []byte) *consumerGroup {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.consumers[string(group)]
}

// subscription finds what the group wants of a topic, nil when nothing.
func (g *consumerGroup) subscription(topic []byte) *subscription {
	if subs := g.subs.Load(); subs != nil {
		return (*subs)[string(topic)]
	}
	return nil
}

// subscriptions returns all that the group wants, by topic. The map must not be changed.
func (g *consumerGroup) subscriptions() map[string]*subscription {
	if subs := g.subs.Load(); subs != nil {
		return *subs
	}
	return nil
}

// broadcasting says whether each consumer of the group gets every message.
func (g *consumerGroup) broadcasting() bool { return g.messageModel() == protocol.Broadcasting }

func (g *consumerGroup) messageModel() string {
	m, _ := g.model.Load().(string)
	return m
}

// A registration is what a heartbeat says of one consumer.
type registration struct {
	*protocol.ConsumerData
	who         client
	fingerprint int32
	withoutSub  bool             // the subscriptions are as they were
	notify      bool             // the group's consumers want to be told of each other
	refused     map[string]error // why expressions are not taken, by topic
}

// registerConsumer takes a consumer's heartbeat. It says whether the group's subscriptions may be others than the client believes,
// so that it had better tell them.
func (c *clients) registerConsumer(r registration) (stale bool) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return false
	}
	g := c.consumers[r.GroupName]
	if g == nil {
		g = &consumerGroup{name: r.GroupName, members: map[*remoting.Conn]*client{}}
		c.consumers[r.GroupName] = g
	}
	stale = g.beaten && g.fingerprint != r.fingerprint
	g.beaten, g.fingerprint = true, r.fingerprint
	g.consumeType, g.fromWhere = r.ConsumeType, r.ConsumeFromWhere
	g.model.Store(r.MessageModel)
	changed := c.updateMember(g, &r.who)
	if !r.withoutSub {
		changed = c.updateSubscriptions(g, &r) || changed
		c.compare(g, g.members[r.who.conn], r.SubscriptionDataSet)
		g.told = true
	} else if !g.told {
		stale = true // this broker was started since, say
	}
	var tell []*remoting.Conn
	if changed && r.notify {
		tell = c.toTell(g)
	}
	c.mu.Unlock()
	c.tellChanged(r.GroupName, tell)
	return stale
}

// updateMember notes that a client of the group is alive, and says whether it is new. mu is held.
func (c *clients) updateMember(g *consumerGroup, who *client) bool {
	who.seen = time.Now()
	old := g.members[who.conn]
	if old == nil {
		g.members[who.conn] = who
		m := c.membershipsOf(who.conn)
		m.consumers = append(m.consumers, g.name)
		c.log.Info("consumer connected", "group", g.name, "client", who.id, "addr", who.conn.RemoteAddr(), "model", g.messageModel())
		return true
	}
	if old.id != who.id {
		c.log.Warn("a connection's consumer has another client id now", "group", g.name, "client", who.id, "before", old.id, "addr", who.conn.RemoteAddr())
		g.members[who.conn] = who
		return false
	}
	old.seen = who.seen
	return false
}

// membershipsOf returns the connection's entry, made when there is none. mu is held.
func (c *clients) membershipsOf(conn *remoting.Conn) *memberships {
	m := c.conns[conn]
	if m == nil {
		m = &memberships{}
		c.conns[conn] = m
		c.arm()
	}
	return m
}

// updateSubscriptions makes the group's subscriptions those of its latest heartbeat, and says whether a topic has come or gone. Of
// one topic the newer version counts. mu is held.
func (c *clients) updateSubscriptions(g *consumerGroup, r *registration) (changed bool) {
	old := g.subscriptions()
	var next map[string]*subscription
	edit := func() map[string]*subscription {
		if next == nil {
			if next = maps.Clone(old); next == nil {
				next = map[string]*subscription{}
			}
		}
		return next
	}
	topics := make(map[string]bool, len(r.SubscriptionDataSet))
	for _, s := range r.SubscriptionDataSet {
		if s == nil {
			continue
		}
		topics[s.Topic] = true
		was := old[s.Topic]
		switch {
		case was == nil:
			changed = true
			c.log.Info("group subscribes to a topic", "group", g.name, "topic", s.Topic, "expression", shown(s.SubString), "client", r.who.id)
		case s.SubVersion <= was.SubVersion:
			continue
		case !sameExpression(s, &was.SubscriptionData):
			c.log.Info("group's subscription changed", "group", g.name, "topic", s.Topic, "from", shown(was.SubString), "to", shown(s.SubString), "client", r.who.id)
		}
		sub := newSubscription(*s)
		if sub.refused = r.refused[s.Topic]; sub.refused != nil {
			c.log.Warn("group's expression is not taken, and its pulls of the topic are refused", "group", g.name, "topic", s.Topic, "err", sub.refused, "client", r.who.id)
		}
		edit()[s.Topic] = sub
	}
	for topic := range old {
		if !topics[topic] {
			changed = true
			delete(edit(), topic)
			c.log.Warn("group does not subscribe to a topic any more", "group", g.name, "topic", topic, "client", r.who.id)
		}
	}
	if next != nil {
		g.subs.Store(&next)
	}
	return changed
}

// compare looks whether a consumer's subscriptions are those of the others, when they changed. Consumers of one group that subscribe
// differently lose messages: each gives up what another's filter would have wanted. mu is held.
func (c *clients) compare(g *consumerGroup, m *client, subs []*protocol.SubscriptionData) {
	now := make(map[string]*protocol.SubscriptionData, len(subs))
	for _, s := range subs {
		if s != nil {
			now[s.Topic] = s
		}
	}
	if m.subs != nil && difference(m.subs, now) == "" {
		return
	}
	m.subs = now
	disagree := false
	for _, other := range g.sortedMembers() {
		if other == m || other.subs == nil {
			continue
		}
		if topic := difference(now, other.subs); topic != "" {
			disagree = true
			c.log.Warn("consumers of one group subscribe differently, so messages are lost; give all the same subscriptions or groups of their own",
				"group", g.name, "topic", topic, "client", m.id, "expression", expression(now[topic]),
				"other_client", other.id, "other_expression", expression(other.subs[topic]))
			break // one pair says enough
		}
	}
	if g.disagree && !disagree {
		c.log.Info("consumers of the group subscribe alike again", "group", g.name)
	}
	g.disagree = disagree
}

// difference returns a topic that two consumers subscribe to differently, "" when there is none.
func difference(a, b map[string]*protocol.SubscriptionData) string {
	for _, topic := range slices.Sorted(maps.Keys(a)) {
		if b[topic] == nil || !sameExpression(a[topic], b[topic]) {
			return topic
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(b)) {
		if a[topic] == nil {
			return topic
		}
	}
	return ""
}

func expression(s *protocol.SubscriptionData) string {
	if s == nil {
		return "(not subscribed)"
	}
	return shown(s.SubString)
}

// sortedMembers returns the group's consumers by client id. clients.mu is held.
func (g *consumerGroup) sortedMembers() []*client {
	return slices.SortedFunc(maps.Values(g.members), func(a, b *client) int { return cmp.Compare(a.id, b.id) })
}

// toTell returns whom to tell that the group's consumers have changed. mu is held.
func (c *clients) toTell(g *consumerGroup) []*remoting.Conn {
	if g.broadcasting() || !c.settings.Load().NotifyConsumersChanged {
		return nil
	}
	return slices.Collect(maps.Keys(g.members))
}

// tellChanged makes consumers share their queues anew. No lock is held.
func (c *clients) tellChanged(group string, conns []*remoting.Conn) {
	for _, conn := range conns {
		// A consumer that cannot be told looks again by itself within 20 s.
		_ = conn.Notify(&remoting.Call{Code: protocol.ReqNotifyConsumerIDsChanged, Header: &protocol.ConsumerGroupHeader{ConsumerGroup: group}})
	}
}

// registerProducer takes a producer's heartbeat.
func (c *clients) registerProducer(group string, who client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	who.seen = time.Now()
	members := within(c.producers, group)
	if old := members[who.conn]; old != nil { // it keeps the id that it came with
		old.seen = who.seen
		if c.producerIDs[old.id] == nil { // another with this id came later, and has gone
			c.producerIDs[old.id] = old.conn
		}
		return
	}
	members[who.conn] = &who
	c.producerIDs[who.id] = who.conn
	m := c.membershipsOf(who.conn)
	m.producers = append(m.producers, group)
	c.log.Info("producer connected", "group", group, "client", who.id, "addr", who.conn.RemoteAddr())
}

// unregisterProducer forgets a producer.
func (c *clients) unregisterProducer(group string, conn *remoting.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeProducer(group, conn, "it said so")
}

// unregisterConsumer forgets a consumer and tells the others, if they want to know.
func (c *clients) unregisterConsumer(group string, conn *remoting.Conn, notify bool) {
	c.mu.Lock()
	var tell []*remoting.Conn
	if g := c.removeConsumer(group, conn, "it said so"); g != nil && notify {
		tell = c.toTell(g)
	}
	c.mu.Unlock()
	c.tellChanged(group, tell)
}

// removeProducer forgets a producer. mu is held.
func (c *clients) removeProducer(group string, conn *remoting.Conn, why string) {
	who := c.producers[group][conn]
	if who == nil {
		return
	}
	dropWithin(c.producers, group, conn)
	if m := c.conns[conn]; m != nil {
		m.producers = without(m.producers, group)
		if c.producerIDs[who.id] == conn && !slices.ContainsFunc(m.producers, func(g string) bool { return c.producers[g][conn].id == who.id }) {
			delete(c.producerIDs, who.id)
		}
		c.dropEmpty(conn, m)
	}
	c.log.Info("producer disconnected", "group", group, "client", who.id, "addr", conn.RemoteAddr(), "because", why)
}

// removeConsumer forgets a consumer and returns its group if it was in it. mu is held.
func (c *clients) removeConsumer(group string, conn *remoting.Conn, why string) *consumerGroup {
	g := c.consumers[group]
	if g == nil || g.members[conn] == nil {
		return nil
	}
	who := g.members[conn]
	delete(g.members, conn)
	if len(g.members) == 0 {
		delete(c.consumers, group)
		c.emptied(group)
	}
	if m := c.conns[conn]; m != nil {
		m.consumers = without(m.consumers, group)
		c.dropEmpty(conn, m)
	}
	c.log.Info("consumer disconnected", "group", group, "client", who.id, "addr", conn.RemoteAddr(), "because", why)
	return g
}

func (c *clients) dropEmpty(conn *remoting.Conn, m *memberships) {
	if len(m.producers) == 0 && len(m.consumers) == 0 {
		delete(c.conns, conn)
	}
}

// closed forgets the clients behind a connection that has ended, and tells those who share queues with them.
func (c *clients) closed(conn *remoting.Conn) {
	tell := map[string][]*remoting.Conn{}
	c.mu.Lock()
	if m := c.conns[conn]; m != nil {
		for _, group := range slices.Clone(m.producers) {
			c.removeProducer(group, conn, "its connection ended")
		}
		for _, group := range slices.Clone(m.consumers) {
			if g := c.removeConsumer(group, conn, "its connection ended"); g != nil {
				tell[group] = c.toTell(g)
			}
		}
	}
	c.mu.Unlock()
	for group, conns := range tell {
		c.tellChanged(group, conns)
	}
}

// arm sets the timer of the next look for silent clients. mu is held.
func (c *clients) arm() {
	if c.timer != nil || c.ended {
		return
	}
	c.expiries.Add(1)
	c.timer = time.AfterFunc(expiryScan, func() {
		defer c.expiries.Done()
		c.mu.Lock()
		c.timer = nil
		if len(c.conns) > 0 {
			c.arm()
		}
		c.mu.Unlock()
		c.expire(time.Now().Add(-c.settings.Load().ClientExpiry))
		c.scanned()
	})
}

// expire forgets clients that were last seen before a time, and closes their connections.
func (c *clients) expire(before time.Time) {
	tell := map[string][]*remoting.Conn{}
	silent := map[*remoting.Conn]bool{}
	c.mu.Lock()
	for group, members := range c.producers {
		for conn, who := range members {
			if who.seen.Before(before) {
				c.removeProducer(group, conn, "it was silent for too long")
				silent[conn] = true
			}
		}
	}
	for group, g := range c.consumers {
		expired := false
		for conn, who := range g.members {
			if who.seen.Before(before) {
				c.removeConsumer(group, conn, "it was silent for too long")
				silent[conn] = true
				expired = true
			}
		}
		if expired {
			tell[group] = c.toTell(g)
		}
	}
	c.mu.Unlock()
	for conn := range silent {
		_ = conn.Close()
	}
	for group, conns := range tell {
		c.tellChanged(group, conns)
	}
}

// close forgets nobody, but ends the looking for silent clients.
func (c *clients) close() {
	c.mu.Lock()
	c.ended = true
	if c.timer != nil && c.timer.Stop() {
		c.expiries.Done()
	}
	c.mu.Unlock()
	c.expiries.Wait()
}

// consumerIDs returns the client ids of a group's consumers, sorted.
func (c *clients) consumerIDs(group string) []string {
	var ids []string
	for _, m := range c.consumersOf(group) {
		ids = append(ids, m.id)
	}
	return ids
}

// consumersOf returns a group's consumers, sorted by client id.
func (c *clients) consumersOf(group string) []client {
	c.mu.RLock()
	defer c.mu.RUnlock()
	g := c.consumers[group]
	if g == nil {
		return nil
	}
	list := make([]client, 0, len(g.members))
	for _, m := range g.sortedMembers() {
		list = append(list, *m)
	}
	return list
}

// consumer finds a group's consumer by its client id.
func (c *clients) consumer(group, id string) (client, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if g := c.consumers[group]; g != nil {
		for _, m := range g.members {
			if m.id == id {
				return *m, true
			}
		}
	}
	return client{}, false
}

// producer finds the connection of the producers with a client id, nil when there is none.
func (c *clients) producer(id []byte) *remoting.Conn {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.producerIDs[string(id)]
}

func (m *client) connection() protocol.Connection {
	return protocol.Connection{ClientID: m.id, ClientAddr: m.conn.RemoteAddr().String(), Language: m.language.String(), Version: m.version}
}

// consumerConnections describes a group that has consumers now; ok is false when it has none.
func (c *clients) consumerConnections(group string) (body protocol.ConsumerConnection, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	g := c.consumers[group]
	if g == nil {
		return body, false
	}
	body = protocol.ConsumerConnection{ConsumeType: g.consumeType, MessageModel: g.messageModel(), ConsumeFromWhere: g.fromWhere,
		ConnectionSet: []protocol.Connection{}, SubscriptionTable: map[string]*protocol.SubscriptionData{}}
	for topic, s := range g.subscriptions() {
		body.SubscriptionTable[topic] = &s.SubscriptionData
	}
	for _, m := range g.sortedMembers() {
		body.ConnectionSet = append(body.ConnectionSet, m.connection())
	}
	body.Differences = g.differences()
	return body, true
}

// differences are those of the consumers that subscribe differently from the first. clients.mu is held.
func (g *consumerGroup) differences() (list []protocol.SubscriptionDifference) {
	var first *client
	for _, m := range g.sortedMembers() {
		if first == nil && m.subs != nil {
			first = m
		}
		if m.subs == nil || m == first {
			continue
		}
		if topic := difference(first.subs, m.subs); topic != "" {
			d := protocol.SubscriptionDifference{Topic: topic, ClientID: first.id, OtherClientID: m.id}
			if s := first.subs[topic]; s != nil {
				d.Expression = s.SubString
			}
			if s := m.subs[topic]; s != nil {
				d.OtherExpression = s.SubString
			}
			list = append(list, d)
		}
	}
	return list
}

// producerConnections lists the producers of a group; ok is false when it has none.
func (c *clients) producerConnections(group string) (list []protocol.Connection, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	members, ok := c.producers[group]
	for _, m := range members {
		list = append(list, m.connection())
	}
	slices.SortFunc(list, func(a, b protocol.Connection) int { return cmp.Compare(a.ClientID, b.ClientID) })
	return list, ok
}

// allProducers lists all producers by group.
func (c *clients) allProducers() map[string][]protocol.ProducerInfo {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make(map[string][]protocol.ProducerInfo, len(c.producers))
	for group, members := range c.producers {
		for _, m := range members {
			all[group] = append(all[group], protocol.ProducerInfo{ClientID: m.id, RemoteIP: "/" + m.conn.SocketAddr().String(),
				Language: m.language.String(), Version: m.version, LastUpdateTimestamp: m.seen.UnixMilli()})
		}
	}
	return all
}

// groupsOf returns the groups that subscribe to a topic now.
func (c *clients) groupsOf(topic string) []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var groups []string
	for name, g := range c.consumers {
		if g.subscriptions()[topic] != nil {
			groups = append(groups, name)
		}
	}
	slices.Sort(groups)
	return groups
}

// producersOf returns the connections of a group's producers, in an order that stays while they do.
func (c *clients) producersOf(group string) []*remoting.Conn {
	c.mu.RLock()
	list := make([]*client, 0, len(c.producers[group]))
	for _, p := range c.producers[group] {
		list = append(list, p)
	}
	c.mu.RUnlock()
	slices.SortFunc(list, func(a, b *client) int { return cmp.Compare(a.id, b.id) })
	conns := make([]*remoting.Conn, len(list))
	for i, p := range list {
		conns[i] = p.conn
	}
	return conns
}
