package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// How a group stands to a message.
const (
	stateConsumed = "consumed"     // it has gone past it
	stateNotYet   = "not yet"      // it has not come to it
	stateFetched  = "in hand"      // a consumer has fetched it and not committed yet
	stateRetrying = "to be tried"  // it failed and comes again
	stateDead     = "dead letter"  // it failed for good
	statePassed   = "passed over"  // the group does not want it: its tag
	stateWaiting  = "not in topic" // it waits, or its transaction is not decided
	stateUnknown  = "unknown"
)

// groupLife is how a group stands to the message.
type groupLife struct {
	Group       string   `json:"group"`
	State       string   `json:"state"`
	Why         []string `json:"why"`
	Tries       int32    `json:"tries"`            // how often it came again
	Offset      int64    `json:"offset"`           // where the group goes on in the queue of the message; -1 when it has not begun
	QueueOffset int64    `json:"queueOffset"`      // where the message lies there
	Behind      int64    `json:"behind"`           // messages of that queue that the group has not consumed
	Last        int64    `json:"lastConsumed"`     // store time of the last message of the queue that it consumed; 0 unknown
	Consumers   []string `json:"consumers"`        // clients that are connected
	Broker      string   `json:"broker,omitempty"` // whose queue it is
	QueueID     int32    `json:"queueId"`
}

func (g *groupLife) because(format string, args ...any) {
	g.Why = append(g.Why, fmt.Sprintf(format, args...))
}

// group says how a group stands to the message.
func (l *lifeReader) group(ctx context.Context, name string) groupLife {
	g := groupLife{Group: name, Offset: -1, QueueOffset: -1, State: stateWaiting, Why: []string{}, Consumers: []string{}}
	var dead, again, waits *copyOf // the newest of each
	var own *copyOf                // the newest in the topic itself
	for i := range l.copies {
		c := &l.copies[i]
		switch {
		case c.Topic == l.topic:
			own = c
		case c.Topic == dlqPrefix+name:
			dead = c
		case groupOf(c.Topic, l.topic) == name:
			again = c
			g.Tries = max(g.Tries, c.ReconsumeTimes)
		case groupOf(c.props[message.PropRealTopic], l.topic) == name:
			waits = c
		}
	}
	at := own
	if again != nil && (dead == nil || again.StoreTimestamp > dead.StoreTimestamp) {
		at = again
	}
	conns := l.connections(ctx, name, &g)
	if at != nil {
		g.Broker, g.QueueID, g.QueueOffset = at.broker.name, at.QueueID, at.QueueOffset
		l.offsets(ctx, at, conns, &g)
	}
	switch {
	case waits != nil && (again == nil || again.ReconsumeTimes < waits.ReconsumeTimes) && (dead == nil || dead.StoreTimestamp < waits.StoreTimestamp):
		g.State, g.Tries = stateRetrying, waits.ReconsumeTimes
		g.because("it failed; try %d comes %s", waits.ReconsumeTimes, when(l.due(ctx, waits)))
	case dead != nil && (own == nil || dead.StoreTimestamp >= own.StoreTimestamp) && at != again:
		g.State, g.Tries = stateDead, dead.ReconsumeTimes
		g.Why = []string{fmt.Sprintf("since %s in %s, queue %d at offset %d of %s; to send it again: liftoff dlq resend -g %s --id %s",
			clock(dead.StoreTimestamp), dead.Topic, dead.QueueID, dead.QueueOffset, dead.broker.name, name, l.id)}
	case at == again && again != nil && g.State != stateConsumed:
		g.because("it is in %s and waits for %s", again.Topic, again.try())
	case at == again && again != nil:
		g.because("at %s", again.try())
	case own == nil:
		g.because("it has not got to its topic")
	}
	return g
}

// try names the time that a record in a retry topic stands for.
func (c *copyOf) try() string {
	if c.ReconsumeTimes == 0 {
		return "its first try after it was sent again"
	}
	return fmt.Sprintf("try %d", c.ReconsumeTimes)
}

// connections lists the group's consumers that are connected, and what they subscribe to.
func (l *lifeReader) connections(ctx context.Context, group string, g *groupLife) *protocol.ConsumerConnection {
	var any *protocol.ConsumerConnection
	for _, m := range l.masters {
		c, err := l.a.pool.ConsumerConnections(ctx, m.addr, group)
		if err != nil {
			continue
		}
		any = c
		for _, one := range c.ConnectionSet {
			g.Consumers = append(g.Consumers, one.ClientID)
		}
	}
	slices.Sort(g.Consumers)
	g.Consumers = slices.Compact(g.Consumers)
	return any
}

// offsets compares where the group is with where the record lies, and says why it is not further.
func (l *lifeReader) offsets(ctx context.Context, at *copyOf, conns *protocol.ConsumerConnection, g *groupLife) {
	pulled := int64(-1)
	stats, err := l.a.pool.ConsumeStats(ctx, at.broker.addr, g.Group, at.Topic)
	next := int64(-1)
	var orderly *protocol.OrderlyQueue // this and held only brokers of Liftoff tell
	if err == nil {
		for _, e := range stats.OffsetTable {
			if e.Queue.Topic == at.Topic && e.Queue.QueueID == at.QueueID {
				g.Offset, g.Last, next, pulled, orderly = e.Value.ConsumerOffset, e.Value.LastTimestamp, e.Value.BrokerOffset, e.Value.PullOffset, e.Value.Orderly
			}
		}
	}
	if next < 0 { // the group does not subscribe to the topic any more, or has not begun
		offset, known, err := l.a.pool.ConsumerOffset(ctx, at.broker.addr, g.Group, at.Topic, at.QueueID)
		if err == nil && known {
			g.Offset = offset
		}
		if _, next, err = l.a.pool.QueueOffsets(ctx, at.broker.addr, at.Topic, at.QueueID); err != nil {
			g.State = stateUnknown
			g.because("%v", err)
			return
		}
	}
	g.Behind = max(0, next-max(g.Offset, 0))
	sub := l.subscription(conns, at.Topic)
	var held *protocol.QueueState
	if state, err := l.a.pool.QueueState(ctx, at.broker.addr, &protocol.QueueStateHeader{ConsumerGroup: g.Group, Topic: at.Topic, QueueID: at.QueueID, Offset: at.QueueOffset}); err == nil {
		held = state
	}
	switch {
	case held != nil && held.Acknowledged:
		g.State = stateConsumed
		g.because("it was popped at %s and is acknowledged", clock(held.PopTime))
	case held != nil && held.PopTime > 0:
		g.State = stateFetched
		g.because("it was popped at %s, and comes again %s unless it is acknowledged", clock(held.PopTime), when(held.PopExpires))
	case conns != nil && conns.MessageModel == protocol.Broadcasting:
		g.State = stateUnknown
		g.because("it broadcasts: each consumer keeps its own offsets")
	case g.Offset > at.QueueOffset && !wants(sub, at):
		g.State = statePassed
		g.because("it subscribes to %s, and the tag is %q", sub.SubString, at.props[message.PropTags])
	case g.Offset > at.QueueOffset:
		g.State = stateConsumed
		if held == nil && conns != nil && conns.ConsumeType == consumePop {
			g.because("its consumers pop: one may have it in hand still")
		}
	case pulled > at.QueueOffset:
		g.State = stateFetched
		g.because("a consumer has fetched it and has not committed yet")
		explainHold(held, orderly, g)
		l.explainLag(ctx, at, conns, g, sub)
	default:
		g.State = stateNotYet
		explainHold(held, orderly, g)
		l.explainLag(ctx, at, conns, g, sub)
	}
}

// explainHold says who has the queue of a record for itself, and what is in hand.
func explainHold(held *protocol.QueueState, orderly *protocol.OrderlyQueue, g *groupLife) {
	switch {
	case orderly == nil:
	case orderly.ClientID != "":
		g.because("client %s has the queue for itself, to consume it in order, since %s, and stands at offset %d since %s",
			orderly.ClientID, clock(orderly.LockedSince), orderly.At, clock(orderly.Since))
	default:
		g.because("the queue is popped in order, and waits for the message at offset %d, popped at %s, until %s at most",
			orderly.At, clock(orderly.Since), clock(orderly.VisibleAt))
	}
	if held != nil && held.InFlight > 0 {
		g.because("%d messages of the queue are popped and not acknowledged", held.InFlight)
	}
}

// consumePop is the type of consumers that pop.
const consumePop = "CONSUME_POP"

// subscription is what the group wants of a topic; nil when that is not known.
func (l *lifeReader) subscription(conns *protocol.ConsumerConnection, topic string) *protocol.SubscriptionData {
	if conns == nil {
		return nil
	}
	return conns.SubscriptionTable[topic]
}

// wants says whether a subscription by tags wants a record, as far as that can be said from outside.
func wants(sub *protocol.SubscriptionData, at *copyOf) bool {
	if sub == nil || isGroupTopic(at.Topic) || sub.ExpressionType != "" && sub.ExpressionType != protocol.ExpressionTag || strings.TrimSpace(sub.SubString) == protocol.SubscribeAll || sub.SubString == "" {
		return true
	}
	for tag := range strings.SplitSeq(sub.SubString, "||") {
		if strings.TrimSpace(tag) == at.props[message.PropTags] {
			return true
		}
	}
	return false
}

// explainLag says why a group has not come to a record.
func (l *lifeReader) explainLag(ctx context.Context, at *copyOf, conns *protocol.ConsumerConnection, g *groupLife, sub *protocol.SubscriptionData) {
	if before := at.QueueOffset - max(g.Offset, 0); before > 0 {
		g.because("%d messages of its queue are before it", before)
	}
	if cfg := l.groupConfig(ctx, at.broker, g.Group); cfg != nil && !cfg.ConsumeEnable {
		g.because("consuming is switched off for the group (consumeEnable=false)")
	}
	if conns != nil {
		for _, d := range conns.Differences {
			g.because("its consumers subscribe differently, and so lose messages: topic %s, %s wants %q, %s wants %q", d.Topic, d.ClientID, d.Expression, d.OtherClientID, d.OtherExpression)
		}
	}
	switch {
	case conns == nil:
		g.because("no consumer of the group is connected")
	case sub == nil && !isGroupTopic(at.Topic):
		g.because("its %d consumers do not subscribe to the topic", len(g.Consumers))
	case !wants(sub, at):
		g.because("it will be passed over: the group subscribes to %s, and the tag is %q", sub.SubString, at.props[message.PropTags])
	case g.Offset < 0:
		g.because("the group has not committed an offset of this queue")
	default:
		l.oldest(ctx, at, g)
	}
}

// oldest says how long the group has been at where it is: since the message that it would consume next was stored, at most.
func (l *lifeReader) oldest(ctx context.Context, at *copyOf, g *groupLife) {
	p, err := l.a.pool.Pull(ctx, at.broker.addr, &client.Pull{Group: toolsGroup, Topic: at.Topic, QueueID: at.QueueID, Offset: g.Offset, Max: 1})
	if err != nil || len(p.Messages) == 0 || p.Messages[0].QueueOffset != g.Offset {
		return
	}
	c := newCopy(at.broker, p.Messages[0])
	if g.Offset == at.QueueOffset {
		g.because("it is the next that the group consumes, stored %s ago", ago(c.StoreTimestamp))
		return
	}
	g.because("the group is at message %s, stored %s ago: to see what holds it up: liftoff trace %s -g %s", c.id(), ago(c.StoreTimestamp), c.id(), g.Group)
}

// groupConfig is a group's configuration at a broker; nil when it is not to be had.
func (l *lifeReader) groupConfig(ctx context.Context, m member, group string) *protocol.SubscriptionGroupConfig {
	r, err := l.a.pool.Call(ctx, m.addr, &remoting.Call{Code: protocol.ReqGetSubscriptionGroupConfig, Header: &protocol.GroupHeader{Group: group}})
	if err != nil || r.Code != protocol.CodeSuccess {
		return nil
	}
	var cfg protocol.SubscriptionGroupConfig
	if cfg.UnmarshalJSON(r.Body) != nil {
		return nil
	}
	return &cfg
}

// ago is how long ago a time in Unix ms was.
func ago(ms int64) time.Duration {
	d := time.Since(time.UnixMilli(ms))
	if d > time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}

// when is a time in Unix ms that may lie ahead.
func when(ms int64) string {
	switch d := time.Until(time.UnixMilli(ms)); {
	case ms == 0:
		return "at a time that is not known"
	case d > 0:
		return fmt.Sprintf("at %s, in %s", clock(ms), d.Round(time.Second))
	}
	return "now, it was due at " + clock(ms)
}
