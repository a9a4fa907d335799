package broker

import (
	"cmp"
	"maps"
	"slices"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// GET_BROKER_LITE_INFO 200074, GET_PARENT_TOPIC_INFO 200075, GET_LITE_TOPIC_INFO 200076, GET_LITE_CLIENT_INFO 200077,
// GET_LITE_GROUP_INFO 200078, TRIGGER_LITE_DISPATCH 200079.
//
// Behaviour: what there is of lite topics and their consumers on this broker, and a new look by clients at all that they have not
// consumed.
// Differs from Apache: orderInfoCount counts what is in flight now, eventMapSize the clients; the last access of a client is its last
// pop, and when it last got something is told too.

func (b *Broker) getBrokerLiteInfo(*remoting.Request) (*remoting.Answer, error) {
	ttl := map[string]int64{}
	for _, name := range b.topics.names() {
		if t := b.topics.find(name); t != nil && t.isLite() {
			ttl[name] = t.liteTTL()
		}
	}
	cfg, l := b.settings.Load(), b.lites
	offsets := len(b.offsets.all().OffsetTable)
	topics := len(b.store.Topics())
	l.mu.Lock()
	defer l.mu.Unlock()
	return jsonAnswer(protocol.BrokerLiteInfo{StoreType: "default", MaxLmqNum: cfg.LightQueuesMax, CurrentLmqNum: b.store.LightQueues(), LiteSubscriptionCount: l.active,
		OrderInfoCount: len(l.blocks), CqTableSize: topics, OffsetTableSize: offsets, EventMapSize: len(l.clients), TopicMeta: ttl, GroupMeta: b.groups.boundTo()})
}

// liteParent finds the parent of lite topics.
func (b *Broker) liteParent(name string) (*topic, error) {
	t := b.topics.find(name)
	switch {
	case t == nil:
		return nil, protocol.Errorf(protocol.CodeTopicNotExist, "Topic [%s] not exist.", shown(name))
	case !t.isLite():
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "Topic [%s] type not match. Its attribute %s is %q, not %s", name, attrMessageType, t.Attributes[attrMessageType], typeLite)
	}
	return t, nil
}

func (b *Broker) getParentTopicInfo(_ *remoting.Request, h *protocol.TopicHeader) (*remoting.Answer, error) {
	t, err := b.liteParent(h.Topic)
	if err != nil {
		return nil, err
	}
	return jsonAnswer(protocol.ParentTopicInfo{Topic: h.Topic, TTL: t.liteTTL(), Groups: b.groups.boundTo()[h.Topic], LmqNum: b.store.LightQueues(),
		LiteTopicCount: len(b.store.LiteQueues(h.Topic))})
}

func (b *Broker) getLiteTopicInfo(_ *remoting.Request, h *protocol.GetLiteTopicInfoHeader) (*remoting.Answer, error) {
	if _, err := b.liteParent(h.ParentTopic); err != nil {
		return nil, err
	}
	queue := liteQueueName(h.ParentTopic, h.LiteTopic)
	info := protocol.LiteTopicInfo{ParentTopic: h.ParentTopic, LiteTopic: h.LiteTopic, Subscriber: b.lites.subscribersOf(h.ParentTopic, queue),
		ShardingToBroker: b.liteBroker(h.ParentTopic, queue) == b.settings.Load().Name}
	if q := b.store.FindQueue(queue, 0); q != nil && q.MaxOffset() > 0 {
		info.TopicOffset.MinOffset, info.TopicOffset.MaxOffset = max(q.MinOffset(), 0), q.MaxOffset()
		info.TopicOffset.LastUpdateTimestamp, _ = b.store.StoreTime(q, q.MaxOffset()-1)
	}
	return jsonAnswer(info)
}

// subscribersOf returns who gets the messages of a lite topic; a group that wants all lite topics stands there as one client, *.
func (l *lites) subscribersOf(parent, queue string) []protocol.ClientGroup {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := []protocol.ClientGroup{}
	for _, c := range l.subscribers[queue] {
		list = append(list, protocol.ClientGroup{ClientID: c.id, Group: c.group})
	}
	for group := range l.wild[parent] {
		list = append(list, protocol.ClientGroup{ClientID: "*", Group: group})
	}
	slices.SortFunc(list, func(a, b protocol.ClientGroup) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.ClientID, b.ClientID))
	})
	return list
}

// liteGroup finds a group that consumes lite topics.
func (b *Broker) liteGroup(name string) (*group, error) {
	g := b.groups.find(name)
	switch {
	case g == nil:
		return nil, protocol.Errorf(protocol.CodeSubscriptionGroupNotExist, "Group [%s] not exist.", shown(name))
	case g.liteBound() == "":
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "Group [%s] is not a LITE group. It has no attribute %s", name, attrLiteBindTopic)
	}
	return g, nil
}

// liteTopicsMax is how many lite topics of a client one answer names, and how many unless the request says.
const (
	liteTopicsMax = 10000
	liteTopicsAsk = 1000
)

func (b *Broker) getLiteClientInfo(_ *remoting.Request, h *protocol.GetLiteClientInfoHeader) (*remoting.Answer, error) {
	if _, err := b.liteParent(h.ParentTopic); err != nil {
		return nil, err
	}
	g := b.groups.find(h.Group)
	switch {
	case g == nil:
		return nil, protocol.Errorf(protocol.CodeSubscriptionGroupNotExist, "Group [%s] not exist.", shown(h.Group))
	case g.liteBound() != h.ParentTopic:
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "Subscription [%s]-[%s] not match. The group's attribute %s is %q", h.Group, h.ParentTopic, attrLiteBindTopic, g.liteBound())
	}
	most := liteTopicsAsk
	if h.MaxCount != nil {
		most = int(min(max(*h.MaxCount, 0), liteTopicsMax))
	}
	info := protocol.LiteClientInfo{ParentTopic: h.ParentTopic, Group: h.Group, ClientID: h.ClientID, LiteTopicCount: -1, LastAccessTime: -1}
	l := b.lites
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.clients[h.ClientID]; c != nil {
		info.LiteTopicCount = len(c.queues)
		names := slices.Sorted(maps.Keys(c.queues))
		info.LiteTopicSet = names[:min(len(names), most)]
		if !c.asked.IsZero() {
			info.LastAccessTime = c.asked.UnixMilli()
		}
		if !c.consumed.IsZero() {
			info.LastConsumeTime = c.consumed.UnixMilli()
		}
	}
	return jsonAnswer(info)
}

func (b *Broker) getLiteGroupInfo(_ *remoting.Request, h *protocol.GetLiteGroupInfoHeader) (*remoting.Answer, error) {
	g, err := b.liteGroup(h.Group)
	if err != nil {
		return nil, err
	}
	info := protocol.LiteGroupInfo{Group: h.Group, ParentTopic: g.liteBound(), EarliestUnconsumedTimestamp: -1}
	if h.LiteTopic == "" {
		b.liteLags(&info, int(h.TopK))
		return jsonAnswer(info)
	}
	info.LiteTopic = &h.LiteTopic
	q := b.store.FindQueue(liteQueueName(info.ParentTopic, h.LiteTopic), 0)
	if q == nil || q.MaxOffset() == 0 {
		info.TotalLagCount = -1
		return jsonAnswer(info)
	}
	if at := b.offsets.query(h.Group, q.Topic(), 0); at >= 0 {
		info.TotalLagCount = q.MaxOffset() - at
		info.EarliestUnconsumedTimestamp = b.storeTimeOr(q, at)
		info.LiteTopicOffsetWrapper = &protocol.OffsetWrapper{BrokerOffset: q.MaxOffset(), ConsumerOffset: at}
		if at > 0 {
			info.LiteTopicOffsetWrapper.LastTimestamp = b.storeTimeOr(q, at-1)
		}
	}
	return jsonAnswer(info)
}

// liteLags fills in how far a group is behind, and the lite topics where it is most.
func (b *Broker) liteLags(info *protocol.LiteGroupInfo, most int) {
	info.LagCountTopK, info.LagTimestampTopK = []protocol.LiteLag{}, []protocol.LiteLag{}
	for _, topic := range b.offsets.topicsOf(info.Group) {
		_, lite := splitLiteName(topic)
		q := b.store.FindQueue(topic, 0)
		if lite == "" || q == nil {
			continue
		}
		at := b.offsets.query(info.Group, topic, 0)
		if lag := q.MaxOffset() - at; at >= 0 && lag > 0 {
			info.TotalLagCount += lag
			info.LagCountTopK = append(info.LagCountTopK, protocol.LiteLag{LiteTopic: lite, LagCount: lag, EarliestUnconsumedTimestamp: b.storeTimeOr(q, at)})
		}
	}
	slices.SortStableFunc(info.LagCountTopK, func(a, b protocol.LiteLag) int { return cmp.Compare(b.LagCount, a.LagCount) })
	info.LagCountTopK = info.LagCountTopK[:min(len(info.LagCountTopK), max(most, 0))]
	for queue, since := range b.lites.lagsOf(info.ParentTopic, info.Group) {
		_, lite := splitLiteName(queue)
		lag := protocol.LiteLag{LiteTopic: lite, EarliestUnconsumedTimestamp: since}
		if q := b.store.FindQueue(queue, 0); q != nil {
			lag.LagCount = max(q.MaxOffset()-max(b.offsets.query(info.Group, queue, 0), 0), 0)
		}
		info.LagTimestampTopK = append(info.LagTimestampTopK, lag)
	}
	slices.SortFunc(info.LagTimestampTopK, func(a, b protocol.LiteLag) int {
		return cmp.Compare(a.EarliestUnconsumedTimestamp, b.EarliestUnconsumedTimestamp)
	})
	info.LagTimestampTopK = info.LagTimestampTopK[:min(len(info.LagTimestampTopK), max(most, 0))]
	if len(info.LagTimestampTopK) > 0 {
		info.EarliestUnconsumedTimestamp = info.LagTimestampTopK[0].EarliestUnconsumedTimestamp
	}
}

// lagsOf returns the store times of the oldest messages that a group has not consumed, by light queue, as far as they are remembered.
func (l *lites) lagsOf(parent, group string) map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.lags[liteKey{group, parent}])
}

func (l *lites) removeLag(group liteKey, queue string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	dropWithin(l.lags, group, queue)
}

// tookLag notes whether a pop has left messages in a light queue, and since when they wait.
func (l *lites) tookLag(cfg *settings, p *litePop, key liteKey, q *store.Queue, next int64) {
	since := int64(0)
	if cfg.LiteLagTimes && p.count >= int(p.MaxMsgNum) {
		since, _ = l.b.store.StoreTime(q, next)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.clients[p.ClientID]; c != nil {
		c.consumed = c.asked
	}
	if !cfg.LiteLagTimes {
		return
	}
	group := liteKey{key.group, p.Topic}
	if since <= 0 {
		dropWithin(l.lags, group, key.queue)
		return
	}
	lags := within(l.lags, group)
	if lags[key.queue] = since; len(lags) > max(cfg.LiteLagTimesMax, 1) { // the newest goes
		newest := ""
		for queue, at := range lags {
			if newest == "" || at > lags[newest] {
				newest = queue
			}
		}
		delete(lags, newest)
	}
}

func (b *Broker) triggerLiteDispatch(_ *remoting.Request, h *protocol.TriggerLiteDispatchHeader) (*remoting.Answer, error) {
	g, err := b.liteGroup(h.Group)
	if err != nil {
		return nil, err
	}
	l := b.lites
	switch {
	case h.ClientID != "":
		l.tellBehind(h.ClientID)
	case g.isLiteWild():
		l.tellWild(h.Group, g.liteBound())
	default:
		l.mu.Lock()
		var ids []string
		for id, c := range l.clients {
			if c.group == h.Group {
				ids = append(ids, id)
			}
		}
		l.mu.Unlock()
		for _, id := range ids {
			l.tellBehind(id)
		}
	}
	return nil, nil
}
