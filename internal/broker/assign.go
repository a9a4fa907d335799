package broker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	remote "github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// QUERY_ASSIGNMENT 400.
//
// Behaviour: a consumer that lets brokers share out the queues is told which are its own, on all brokers of the topic, and whether it shall
// pull or pop them (popmode.go). No assignment at all is the answer while the topic's queues or the group's consumers are not known, and
// for a strategy other than AVG and AVG_BY_CIRCLE; the consumer then keeps what it has.

func (b *Broker) queryAssignment(_ *remoting.Request, body *protocol.QueryAssignmentBody) (*remoting.Answer, error) {
	var answer protocol.QueryAssignmentResponse
	mode := b.modeOf(body.Topic, body.ConsumerGroup)
	queues, known := b.shareOf(body, mode)
	if known {
		answer.MessageQueueAssignments = []protocol.MessageQueueAssignment{}
	}
	for _, q := range queues {
		answer.MessageQueueAssignments = append(answer.MessageQueueAssignments, protocol.MessageQueueAssignment{MessageQueue: q, Mode: mode.Mode})
	}
	return jsonAnswer(answer)
}

// shareOf returns the queues that a consumer shall have, and whether that is known.
func (b *Broker) shareOf(body *protocol.QueryAssignmentBody, mode protocol.RequestMode) (queues []protocol.MessageQueue, known bool) {
	all := b.readableQueues(body.Topic)
	if len(all) == 0 {
		return nil, false
	}
	if body.MessageModel == protocol.Broadcasting || !b.settings.Load().ServerLoadBalancer {
		return all, true
	}
	consumers := b.clients.consumerIDs(body.ConsumerGroup)
	if len(consumers) == 0 || body.ClientID == "" {
		return nil, false
	}
	consumers = slices.Compact(consumers)
	at := slices.Index(consumers, body.ClientID)
	var allocate func([]protocol.MessageQueue, int, int) []protocol.MessageQueue
	switch body.StrategyName {
	case "AVG":
		allocate = averageShare
	case "AVG_BY_CIRCLE":
		allocate = circleShare
	default:
		return nil, false
	}
	if mode.Mode == modePop {
		return popShare(all, at, len(consumers), int(mode.PopShareQueueNum), allocate), true
	}
	return allocate(all, at, len(consumers)), true
}

// averageShare gives each of n consumers a run of neighbours, the first ones one more if it does not come out even. The one at -1 gets
// none.
func averageShare(all []protocol.MessageQueue, at, n int) []protocol.MessageQueue {
	if at < 0 {
		return nil
	}
	size, rest := len(all)/n, len(all)%n
	begin := at*size + min(at, rest)
	if at < rest {
		size++
	}
	return all[begin : begin+size]
}

// circleShare deals the queues out one by one.
func circleShare(all []protocol.MessageQueue, at, n int) (share []protocol.MessageQueue) {
	for i := max(at, 0); at >= 0 && i < len(all); i += n {
		share = append(share, all[i])
	}
	return share
}

// popShare returns the queues that a consumer pops: its own and those of the share consumers behind it; all, as queue -1 of each broker,
// when share is 0 or less, or takes in all consumers anyway.
func popShare(all []protocol.MessageQueue, at, n, share int, allocate func([]protocol.MessageQueue, int, int) []protocol.MessageQueue) []protocol.MessageQueue {
	var queues []protocol.MessageQueue
	switch {
	case share <= 0 || share >= n-1:
		known := map[string]bool{}
		for _, q := range all {
			if !known[q.BrokerName] {
				known[q.BrokerName] = true
				q.QueueID = -1
				queues = append(queues, q)
			}
		}
	case n > len(all):
		if at >= 0 {
			queues = append(queues, all[at%len(all)])
		}
	default:
		for i := 0; at >= 0 && i <= share; i++ {
			queues = append(queues, allocate(all, (at+i)%n, n)...)
		}
	}
	return queues
}

// routes remembers for a while which queues a topic has on all brokers, and which NameServer has told it.
type routes struct {
	mu      sync.Mutex // protects the fields below
	byTopic map[string]route
	asking  map[string]chan struct{} // by topic that the NameServers are being asked for; closed when they have answered
	list    string                   // namesrvAddr that servers was made of
	servers *remote.NameServers
}

type route struct {
	queues   []protocol.MessageQueue // that may be read
	writable []protocol.MessageQueue
	until    time.Time // when it is asked for again
}

const (
	routeRetry   = 5 * time.Second // when no NameServer has answered
	routeTimeout = 3 * time.Second
	routesMax    = 10_000
)

// readableQueues returns a topic's queues on all brokers, as the NameServers know them or knew them last; this broker's own when they
// know none.
func (b *Broker) readableQueues(topic string) []protocol.MessageQueue {
	if known := b.routeOf(topic); len(known.queues) > 0 {
		return known.queues
	}
	return b.ownQueues(topic)
}

// writableQueues returns those that producers send to; none when the NameServers know none.
func (b *Broker) writableQueues(topic string) []protocol.MessageQueue {
	return b.routeOf(topic).writable
}

// routeOf is what the NameServers know of a topic, or knew last. One request at a time asks for a topic; others go by what was known
// before, or wait when nothing was.
func (b *Broker) routeOf(topic string) route {
	r := &b.routes
	r.mu.Lock()
	known, has := r.byTopic[topic]
	if time.Now().Before(known.until) {
		r.mu.Unlock()
		return known
	}
	if asking := r.asking[topic]; asking != nil {
		r.mu.Unlock()
		if !has {
			<-asking
			r.mu.Lock()
			known = r.byTopic[topic]
			r.mu.Unlock()
		}
		return known
	}
	done := make(chan struct{})
	if r.asking == nil {
		r.asking = map[string]chan struct{}{}
	}
	r.asking[topic] = done
	r.mu.Unlock()
	defer func() { r.asked(topic, known, done) }()
	asked, ok := b.askRoute(topic)
	pause := routeRetry
	if ok {
		known, pause = asked, b.settings.Load().RouteInterval
	}
	known.until = time.Now().Add(pause)
	return known
}

// asked keeps what came of a question and tells those who wait for it.
func (r *routes) asked(topic string, known route, done chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byTopic == nil || len(r.byTopic) >= routesMax {
		r.byTopic = map[string]route{}
	}
	r.byTopic[topic] = known
	delete(r.asking, topic)
	close(done)
}

// nameServers are those that the broker asks. They stay the same while namesrvAddr does, for they know which of
// them answered last.
func (b *Broker) nameServers() (*remote.NameServers, error) {
	list, r := b.settings.Load().NamesrvAddr, &b.routes
	if list == "" {
		return nil, errors.New("cannot ask a NameServer: namesrvAddr is not set")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.servers == nil || r.list != list {
		servers, err := remote.NewNameServers(b.registrar.pool, list)
		if err != nil {
			return nil, err
		}
		r.servers, r.list = servers, list
	}
	return r.servers, nil
}

// askRoute asks the NameServers; ok is false when none answers.
func (b *Broker) askRoute(topic string) (r route, ok bool) {
	servers, err := b.nameServers()
	if err != nil {
		return r, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), routeTimeout)
	defer cancel()
	found, err := servers.RouteByTopic(ctx, topic)
	var refused *protocol.Error
	if errors.As(err, &refused) {
		return r, true // there is no such topic
	}
	if err != nil {
		return r, false
	}
	masters := map[string]bool{}
	for _, d := range found.BrokerDatas {
		masters[d.BrokerName] = d.BrokerAddrs[0] != ""
	}
	for _, d := range found.QueueDatas {
		if d.Perm&permRead != 0 {
			r.queues = appendQueues(r.queues, topic, d.BrokerName, d.ReadQueueNums)
		}
		if d.Perm&permWrite != 0 && masters[d.BrokerName] {
			r.writable = appendQueues(r.writable, topic, d.BrokerName, d.WriteQueueNums)
		}
	}
	if len(found.TopicQueueMappingByBroker) > 0 {
		r.queues = logicalQueues(topic, found.TopicQueueMappingByBroker)
	}
	slices.SortFunc(r.queues, compareQueues)
	slices.SortFunc(r.writable, compareQueues)
	return r, true
}

// logicalBroker begins the names that stand for brokers in the logical queues of static topics; what follows is the mapping's scope. Part of
// the wire.
const logicalBroker = "__syslo__"

// logicalQueues are a static topic's queues as its consumers know them.
func logicalQueues(topic string, byBroker map[string]*protocol.TopicQueueMappingInfo) (queues []protocol.MessageQueue) {
	total := map[string]int32{}
	for _, info := range byBroker {
		if info != nil && info.Scope != "" {
			total[info.Scope] = max(total[info.Scope], info.TotalQueues)
		}
	}
	for scope, n := range total {
		name := logicalBroker + scope
		if scope == globalScope {
			name = logicalBroker + scope[2:]
		}
		queues = appendQueues(queues, topic, name, n)
	}
	return queues
}

// globalScope is the scope of nearly all mappings. Part of the format.
const globalScope = "__global__"

func compareQueues(a, b protocol.MessageQueue) int {
	return cmp.Or(strings.Compare(a.BrokerName, b.BrokerName), cmp.Compare(a.QueueID, b.QueueID))
}

func (b *Broker) ownQueues(topic string) []protocol.MessageQueue {
	t := b.topics.find(topic)
	if t == nil || t.Perm&permRead == 0 {
		return nil
	}
	return appendQueues(nil, topic, b.settings.Load().Name, t.ReadQueueNums)
}

func appendQueues(queues []protocol.MessageQueue, topic, broker string, n int32) []protocol.MessageQueue {
	for id := range min(max(n, 0), queuesMax) {
		queues = append(queues, protocol.MessageQueue{Topic: topic, BrokerName: broker, QueueID: id})
	}
	return queues
}
