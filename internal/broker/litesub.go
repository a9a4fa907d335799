package broker

import (
	"slices"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// LITE_SUBSCRIPTION_CTL 200071; NOTIFY_UNSUBSCRIBE_LITE 200073 is what the broker sends.
//
// Behaviour: a client adds lite topics to its subscriptions, takes some away, tells all of them anew, or leaves. With
// lite.sub.model=Exclusive a lite topic belongs to the client of a group that subscribed last, and the one before is told. A
// subscription is kept only where its lite topic's messages are sent to, or are already. A client that says nothing for
// liteSubscriptionCheckTimeoutMills is forgotten.
// Differs from Apache: a client that tells all of its subscriptions is there for that long though it has none; its next message is not
// looked for in lite topics that it has left; unknown actions are refused.

func (b *Broker) controlLiteSubscriptions(r *remoting.Request) (*remoting.Answer, error) {
	if len(r.Body) == 0 {
		return nil, protocol.Errorf(protocol.CodeIllegalOperation, "Request body is null.")
	}
	var body protocol.LiteSubscriptions
	if err := fastjson.Unmarshal(r.Body, &body); err != nil {
		return nil, err
	}
	if len(body.SubscriptionSet) == 0 {
		return nil, protocol.Errorf(protocol.CodeIllegalOperation, "LiteSubscriptionCtlRequestBody is empty.")
	}
	for i := range body.SubscriptionSet {
		s := &body.SubscriptionSet[i]
		if isBlank(s.ClientID) || isBlank(s.Group) || isBlank(s.Topic) {
			continue // as Apache
		}
		if err := b.lites.control(r.Conn, s); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// control does one change.
func (l *lites) control(conn *remoting.Conn, s *protocol.LiteSubscription) error {
	switch s.Action {
	case protocol.LitePartialAdd, protocol.LiteCompleteAdd:
		g := l.b.groups.find(s.Group)
		if g == nil || !g.ConsumeEnable {
			return protocol.Errorf(protocol.CodeIllegalOperation, "Consumer group is not allowed to consume. Group %s does not exist, or its consumeEnable is false", shown(s.Group))
		}
		if s.Action == protocol.LitePartialAdd {
			return l.add(conn, s, g)
		}
		l.set(conn, s, g)
	case protocol.LitePartialRemove:
		l.remove(s)
	case protocol.LiteCompleteRemove:
		l.forget(s.ClientID)
	default:
		return protocol.Errorf(protocol.CodeSystemError, "the action of a subscription is %q, possible are PARTIAL_ADD, PARTIAL_REMOVE, COMPLETE_ADD and COMPLETE_REMOVE", shown(s.Action))
	}
	return nil
}

// queuesOf are the light queues of a subscription's lite topics.
func queuesOf(s *protocol.LiteSubscription) (queues []string) {
	for _, lite := range s.LiteTopicSet {
		if name := liteQueueName(s.Topic, lite); name != "" && store.IsQueueName(name) {
			queues = append(queues, name)
		}
	}
	slices.Sort(queues)
	return slices.Compact(queues)
}

// isLiteHere says whether a subscription to a lite topic is this broker's business: its messages are sent here, or there are some.
func (b *Broker) isLiteHere(topic, queue string) bool {
	if q := b.store.FindQueue(queue, 0); q != nil && q.MaxOffset() > 0 {
		return true
	}
	return b.liteBroker(topic, queue) == b.settings.Load().Name
}

// liteBroker is the broker that producers send a lite topic's messages to: that of one of the parent's queues, by a hash of the name.
func (b *Broker) liteBroker(topic, queue string) string {
	queues := b.writableQueues(topic)
	_, lite := splitLiteName(queue)
	if len(queues) == 0 || lite == "" {
		return b.settings.Load().Name
	}
	return queues[consistentHash(int64(message.JavaHash(0, lite)), len(queues))].BrokerName
}

// consistentHash is the bucket of n that a number falls into: the jump hash of Lamping and Veach, with the generator that Java's producers
// use. Part of the wire.
func consistentHash(input int64, n int) int {
	state, at := uint64(input), 0
	for {
		state = 2862933555777941757*state + 1
		next := float64(at+1) / (float64(int32(state>>33)+1) / (1 << 31))
		if next >= float64(n) {
			return at
		}
		at = int(next)
	}
}

// hereOf leaves those of the light queues that are this broker's business.
func (l *lites) hereOf(topic string, queues []string) []string {
	return slices.DeleteFunc(queues, func(q string) bool { return !l.b.isLiteHere(topic, q) })
}

// add adds lite topics to a client's subscriptions.
func (l *lites) add(conn *remoting.Conn, s *protocol.LiteSubscription, g *group) error {
	most := l.b.settings.Load().LiteSubscriptionsMax
	l.mu.Lock()
	active := l.active
	l.mu.Unlock()
	switch {
	case int64(active) >= most:
		return protocol.Errorf(protocol.CodeLiteSubscriptionQuotaExceeded, "lite subscription quota exceeded %d (maxLiteSubscriptionCount)", most)
	case g.isLiteWild():
		return protocol.Errorf(protocol.CodeIllegalOperation, "subscribe lite operation is not supported for this group: %s has %s and gets all lite topics", g.GroupName, attrLiteWildcard)
	}
	queues := l.hereOf(s.Topic, queuesOf(s))
	exclusive := g.Attributes[attrLiteModel] == liteExclusive
	for _, queue := range queues {
		if exclusive {
			l.exclude(s.ClientID, g, queue)
		}
		l.resetOffset(queue, g.GroupName, s.OffsetOption)
	}
	l.mu.Lock()
	c := l.clientLocked(conn, s)
	for _, queue := range queues {
		l.subscribeLocked(c, queue)
	}
	l.mu.Unlock()
	for _, queue := range queues {
		l.tellIfBehind(c.group, queue)
	}
	return nil
}

// exclude takes a lite topic from the other clients of a group, and tells them. A client that has no other is forgotten.
func (l *lites) exclude(newcomer string, g *group, queue string) {
	l.mu.Lock()
	had := slices.DeleteFunc(slices.Clone(l.subscribers[queue]), func(c *liteClient) bool { return c.group != g.GroupName || c.id == newcomer })
	conns := make([]*remoting.Conn, len(had))
	for i, c := range had {
		conns[i] = c.conn
		if l.unsubscribeLocked(c, queue); len(c.queues) == 0 {
			l.dropLocked(c)
		}
	}
	l.mu.Unlock()
	_, lite := splitLiteName(queue)
	for i, c := range had {
		// A client that cannot be told finds nothing more.
		_ = conns[i].Notify(&remoting.Call{Code: protocol.ReqNotifyUnsubscribeLite, Header: &protocol.NotifyUnsubscribeLiteHeader{LiteTopic: lite, ConsumerGroup: c.group, ClientID: c.id}})
		if g.is(attrLiteResetExclusive) {
			l.resetOffset(queue, g.GroupName, &protocol.LiteOffsetOption{Type: protocol.LiteOffsetPolicy, Value: protocol.LitePolicyMin})
		}
	}
}

// set makes a client subscribe to these lite topics and no others.
func (l *lites) set(conn *remoting.Conn, s *protocol.LiteSubscription, g *group) {
	queues := []string{topicAtGroup(s.Topic, s.Group)} // of a group that wants all; GET_LITE_CLIENT_INFO shows it
	if !g.isLiteWild() {
		queues = l.hereOf(s.Topic, queuesOf(s))
	}
	l.mu.Lock()
	c := l.clientLocked(conn, s)
	for queue := range c.queues {
		if !slices.Contains(queues, queue) {
			l.unsubscribeLocked(c, queue)
		}
	}
	known := make([]bool, len(queues))
	for i, queue := range queues {
		_, known[i] = c.queues[queue]
		l.subscribeLocked(c, queue)
	}
	if g.isLiteWild() {
		l.joinWildLocked(c)
	}
	group, topic, wild := c.group, c.topic, c.wild != nil
	l.mu.Unlock()
	for i, queue := range queues {
		switch {
		case known[i]:
		case wild:
			l.tellWild(group, topic)
		default:
			l.tellIfBehind(group, queue)
		}
	}
}

// remove takes lite topics from a client's subscriptions.
func (l *lites) remove(s *protocol.LiteSubscription) {
	g := l.b.groups.find(s.Group)
	for _, queue := range queuesOf(s) {
		l.mu.Lock()
		c := l.clients[s.ClientID]
		had := c != nil && l.unsubscribeLocked(c, queue)
		l.mu.Unlock()
		if had && g != nil && g.is(attrLiteResetUnsubscribe) {
			l.resetOffset(queue, c.group, &protocol.LiteOffsetOption{Type: protocol.LiteOffsetPolicy, Value: protocol.LitePolicyMin})
		}
	}
}

// clientLocked returns a client, made when it is not there yet. Its group and topic are those that it came with. l.mu is held.
func (l *lites) clientLocked(conn *remoting.Conn, s *protocol.LiteSubscription) *liteClient {
	c := l.clients[s.ClientID]
	if c == nil {
		c = &liteClient{id: s.ClientID, group: s.Group, topic: s.Topic, queues: map[string]bool{}}
		if len(l.clients) == 0 {
			l.b.store.WatchLite(1)
		}
		l.clients[c.id] = c
	}
	c.conn, c.updated = conn, time.Now()
	return c
}

func (l *lites) subscribeLocked(c *liteClient, queue string) {
	if _, has := c.queues[queue]; has {
		return
	}
	c.queues[queue] = false
	l.subscribers[queue] = append(l.subscribers[queue], c)
	l.active++
}

func (l *lites) unsubscribeLocked(c *liteClient, queue string) (had bool) {
	if _, had = c.queues[queue]; !had {
		return false
	}
	c.updated = time.Now()
	delete(c.queues, queue)
	dropFrom(l.subscribers, queue, c)
	l.active--
	if len(c.queues) == 0 {
		c.events = nil
	}
	if c.wild != nil {
		l.leaveWildLocked(c)
	}
	return true
}

func (l *lites) joinWildLocked(c *liteClient) {
	if c.wild != nil {
		return
	}
	groups := within(l.wild, c.topic)
	w := groups[c.group]
	if w == nil {
		w = &liteWild{group: c.group, topic: c.topic, queues: map[string]bool{}}
		groups[c.group] = w
	}
	c.wild, w.clients = w, append(w.clients, c)
}

func (l *lites) leaveWildLocked(c *liteClient) {
	w := c.wild
	c.wild = nil
	if w.clients = without(w.clients, c); len(w.clients) == 0 {
		dropWithin(l.wild, w.topic, w.group)
	}
}

// dropLocked forgets a client.
func (l *lites) dropLocked(c *liteClient) {
	if l.clients[c.id] != c {
		return
	}
	for queue := range c.queues {
		l.unsubscribeLocked(c, queue)
	}
	if delete(l.clients, c.id); len(l.clients) == 0 {
		l.b.store.WatchLite(-1)
	}
}

// forget forgets a client that has left.
func (l *lites) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.clients[id]; c != nil {
		l.dropLocked(c)
	}
}

// forgetGroup forgets the clients of a group that was deleted, and what it has in hand.
func (l *lites) forgetGroup(group string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.clients {
		if c.group == group {
			l.dropLocked(c)
		}
	}
	for key := range l.blocks {
		if key.group == group {
			l.removeBlockLocked(key)
		}
	}
	for key := range l.lags {
		if key.group == group {
			delete(l.lags, key)
		}
	}
}

// abandon ends all subscriptions to a lite topic, which is gone.
func (l *lites) abandon(queue string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range slices.Clone(l.subscribers[queue]) {
		l.unsubscribeLocked(c, queue)
	}
}

// resetOffset sets where a group goes on in a lite topic.
func (l *lites) resetOffset(queue, group string, option *protocol.LiteOffsetOption) {
	if option == nil {
		return
	}
	now, to := l.b.offsets.query(group, queue, 0), int64(-1)
	switch option.Type {
	case protocol.LiteOffsetPolicy:
		switch option.Value {
		case protocol.LitePolicyMin:
			to = 0
		case protocol.LitePolicyMax:
			_, to = l.b.rangeOf(queue, 0)
		}
	case protocol.LiteOffsetAt:
		to = option.Value
	case protocol.LiteOffsetTail:
		if now >= 0 {
			to = max(now-option.Value, 0)
		}
	}
	if to < 0 || to == now {
		return
	}
	l.b.offsets.reset(group, queue, 0, to)
	l.removeBlock(liteKey{group, queue})
}
