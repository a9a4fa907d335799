package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
)

// life is what is known of one message. Times are Unix ms.
type life struct {
	ID         string            `json:"id"`
	Topic      string            `json:"topic"`
	Keys       string            `json:"keys"`
	Tags       string            `json:"tags"`
	BornHost   string            `json:"bornHost"`
	Born       int64             `json:"bornTimestamp"`
	BodySize   int               `json:"bodySize"`
	Body       string            `json:"bodyPreview"`
	Properties map[string]string `json:"properties"`
	Stored     []stay            `json:"stored"` // in its own topic; several when it was sent or sent again several times
	Steps      []step            `json:"steps"`
	Groups     []groupLife       `json:"groups"`
	Traces     []clientTrace     `json:"clientTraces"`
}

// stay is where a record of it lies.
type stay struct {
	Topic       string `json:"topic"`
	Broker      string `json:"broker"`
	Addr        string `json:"brokerAddr"`
	QueueID     int32  `json:"queueId"`
	QueueOffset int64  `json:"queueOffset"`
	LogOffset   int64  `json:"logOffset"`
	Size        int32  `json:"size"`
	Stored      int64  `json:"storeTimestamp"`
	OffsetID    string `json:"offsetMessageId"`
}

// step is one thing that has happened to it, as far as the log tells.
type step struct {
	Time  int64  `json:"time"`
	What  string `json:"what"`
	Until int64  `json:"until,omitempty"` // when a wait ends
	Where stay   `json:"where"`
	Group string `json:"group,omitempty"`
	Try   int32  `json:"try,omitempty"` // of a group, from 1 for the first time that it comes again
}

func stayOf(c *copyOf) stay {
	return stay{Topic: c.Topic, Broker: c.broker.name, Addr: c.broker.addr, QueueID: c.QueueID, QueueOffset: c.QueueOffset, LogOffset: c.LogOffset,
		Size: c.Size, Stored: c.StoreTimestamp, OffsetID: c.offsetID()}
}

// life gathers what brokers know of a message, of which one record was found.
func (a *Admin) life(ctx context.Context, masters []member, found copyOf, o traceOptions) (*life, error) {
	l := &lifeReader{a: a, masters: masters, topic: found.topic(), id: found.id(), levels: make(map[string][]time.Duration)}
	if err := l.read(ctx, found, o); err != nil {
		return nil, err
	}
	first := l.first()
	r := &life{ID: l.id, Topic: l.topic, Keys: first.props[message.PropKeys], Tags: first.props[message.PropTags], BornHost: first.BornHost.String(),
		Born: first.BornTimestamp, BodySize: len(first.Body), Body: preview(first), Properties: first.props}
	for i := range l.copies {
		c := &l.copies[i]
		if c.Topic == l.topic {
			r.Stored = append(r.Stored, stayOf(c))
		}
		r.Steps = append(r.Steps, l.step(ctx, c))
	}
	for _, g := range l.groups {
		r.Groups = append(r.Groups, l.group(ctx, g))
	}
	var err error
	r.Traces, err = l.traces(ctx, o.traceTopic)
	return r, err
}

// lifeReader reads a life.
type lifeReader struct {
	a         *Admin
	masters   []member
	topic, id string
	copies    []copyOf // all records, as they were stored one after the other
	groups    []string
	levels    map[string][]time.Duration // the delay levels of a broker, by address
}

// deadTopicsMax is how many topics of dead letters are looked through.
const deadTopicsMax = 500

// read finds all records of the message.
func (l *lifeReader) read(ctx context.Context, found copyOf, o traceOptions) error {
	l.groups = nil
	for _, m := range l.masters {
		if groups, err := l.a.pool.TopicGroups(ctx, m.addr, l.topic); err == nil { // what does not answer is told of below
			l.groups = append(l.groups, groups...)
		}
	}
	topics := []string{l.topic, topicSchedule, topicTimer, topicHalf, topicCheckMax}
	// A group may have failed with it and have no offset in its topic any more.
	all, err := l.a.names.Topics(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(t string) bool { return !strings.HasPrefix(t, dlqPrefix) })
	all = all[:min(len(all), deadTopicsMax)]
	topics = append(topics, all...)
	copies, err := l.a.query(ctx, l.masters, topics, l.id)
	if err != nil {
		return err
	}
	for _, c := range append(copies, found) {
		l.groups = append(l.groups, groupOf(c.props[message.PropRealTopic], l.topic), groupOf(c.Topic, l.topic), c.props[message.PropOriginGroup])
	}
	slices.Sort(l.groups)
	l.groups = slices.DeleteFunc(slices.Compact(l.groups), func(g string) bool {
		return g == "" || o.group != "" && g != o.group || strings.HasPrefix(g, systemGroups)
	})
	topics = nil
	for _, g := range l.groups {
		topics = append(topics, dlqPrefix+g)
		topics = append(topics, retryTopics(g, l.topic)...)
	}
	topics = slices.DeleteFunc(topics, func(t string) bool { return slices.Contains(all, t) })
	more, err := l.a.query(ctx, l.masters, topics, l.id)
	l.copies = append(copies, more...)
	if !slices.ContainsFunc(l.copies, func(c copyOf) bool { return c.LogOffset == found.LogOffset && c.broker == found.broker }) {
		l.copies = append(l.copies, found) // the index does not have it, or it has no id
	}
	slices.SortStableFunc(l.copies, func(x, y copyOf) int {
		return cmp.Or(cmp.Compare(x.StoreTimestamp, y.StoreTimestamp), cmp.Compare(x.broker.addr, y.broker.addr), cmp.Compare(x.LogOffset, y.LogOffset))
	})
	return err
}

// retryTopics are the topics in which a group's messages of a topic come again: when it pulls, and when it pops (older and newer brokers).
func retryTopics(group, topic string) []string {
	return []string{retryPrefix + group, retryPrefix + group + "_" + topic, retryPrefix + group + "+" + topic}
}

// groupOf is the group of a retry or dead letter topic; empty when the topic is another.
func groupOf(name, topic string) string {
	if group, ok := strings.CutPrefix(name, dlqPrefix); ok {
		return group
	}
	group, ok := strings.CutPrefix(name, retryPrefix)
	if !ok {
		return ""
	}
	for _, of := range []string{"_" + topic, "+" + topic} {
		if g, popped := strings.CutSuffix(group, of); popped {
			return g
		}
	}
	return group
}

// first is the record that says most of what its producer has sent.
func (l *lifeReader) first() *copyOf {
	for i := range l.copies {
		if l.copies[i].Topic == l.topic {
			return &l.copies[i]
		}
	}
	return &l.copies[0]
}

// step tells what a record means.
func (l *lifeReader) step(ctx context.Context, c *copyOf) step {
	s := step{Time: c.StoreTimestamp, Where: stayOf(c), Group: groupOf(c.Topic, l.topic)}
	next := c.props[message.PropRealTopic]
	if s.Group == "" {
		s.Group = groupOf(next, l.topic)
	}
	forGroup := ""
	if s.Group != "" {
		s.Try = c.ReconsumeTimes
		forGroup = fmt.Sprintf(" for try %d by group %s", s.Try, s.Group)
	}
	switch {
	case c.Topic == topicSchedule:
		s.Until = l.due(ctx, c)
		s.What = fmt.Sprintf("waits at delay level %d%s", c.QueueID+1, forGroup)
	case c.Topic == topicTimer:
		s.Until, _ = strconv.ParseInt(c.props[message.PropTimerOutMS], 10, 64)
		s.What = "waits in the timer" + forGroup
		if n := c.props[message.PropTimerRollTimes]; n != "" && n != "0" {
			s.What = fmt.Sprintf("waits on in the timer, for the %sth time", n) + forGroup
		}
	case c.Topic == topicHalf:
		s.What = "is a half message of producer group " + c.props[message.PropProducerGroup] + ": " + l.decision(ctx, c)
	case c.Topic == topicCheckMax:
		s.What = "was given up: its producers never said what became of its transaction"
	case c.props[propResentFrom] != "" && c.ReconsumeTimes == 0:
		s.What = "was sent again, from dead letter " + c.props[propResentFrom]
	case strings.HasPrefix(c.Topic, dlqPrefix):
		s.What = fmt.Sprintf("became a dead letter of group %s after %d tries", s.Group, c.ReconsumeTimes)
	case s.Group != "":
		s.What = fmt.Sprintf("came again, try %d by group %s", s.Try, s.Group)
	case c.PreparedTransactionOffset > 0:
		s.What = "was committed"
	case c.StoreTimestamp-c.BornTimestamp > 0 && (c.props[message.PropTimerDequeueMS] != "" || c.props[message.PropTimerOutMS] != "" || c.props[message.PropDelay] != ""):
		s.What = "was delivered to its topic"
	default:
		s.What = "was stored"
	}
	return s
}

// due is when a message at a delay level goes on.
func (l *lifeReader) due(ctx context.Context, c *copyOf) int64 {
	levels, known := l.levels[c.broker.addr]
	if !known {
		if cfg, err := l.a.pool.BrokerConfig(ctx, c.broker.addr); err == nil {
			table := config.Store{DelayLevels: cfg["messageDelayLevel"]}
			levels, _ = table.DelayDurations() // none when they are not known
		}
		l.levels[c.broker.addr] = levels
	}
	if int(c.QueueID) >= len(levels) {
		return 0
	}
	return c.StoreTimestamp + levels[c.QueueID].Milliseconds()
}

// decision is what has become of a half message.
func (l *lifeReader) decision(ctx context.Context, half *copyOf) string {
	for i := range l.copies {
		c := &l.copies[i]
		switch {
		case c.Topic == topicCheckMax:
			return "it was given up"
		case c.Topic == topicHalf && c.LogOffset > half.LogOffset && c.broker == half.broker:
			return "it was stored again to be asked about"
		case c.PreparedTransactionOffset > 0 && c.broker == half.broker:
			return "its transaction was committed"
		}
	}
	checked := ""
	if n := half.props[message.PropTransactionCheckTimes]; n != "" {
		checked = ", asked about " + n + " times"
	}
	passed, known, err := l.a.pool.ConsumerOffset(ctx, half.broker.addr, "CID_RMQ_SYS_TRANS", topicHalf, half.QueueID)
	switch {
	case err != nil:
		return "what became of its transaction is not known" + checked
	case known && passed > half.QueueOffset:
		return "its transaction was rolled back" + checked
	}
	return "its transaction is not known to be decided" + checked
}

// traces reads what clients have traced.
func (l *lifeReader) traces(ctx context.Context, topic string) ([]clientTrace, error) {
	found, err := l.a.query(ctx, l.masters, []string{topic}, l.id)
	if err != nil {
		return nil, err
	}
	var all []clientTrace
	for _, c := range found {
		body, err := c.PlainBody()
		if err != nil {
			continue
		}
		all = append(all, readTraces(string(body), l.id, c.BornHost.Addr().String())...)
	}
	all = joinTraces(all)
	slices.SortStableFunc(all, func(x, y clientTrace) int { return cmp.Compare(x.Time, y.Time) })
	return all, nil
}
