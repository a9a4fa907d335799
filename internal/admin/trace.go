package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// asksAtOnce is how many requests are under way at once when all topics are looked through.
const asksAtOnce = 16

// traceOptions are what `liftoff trace` was told.
type traceOptions struct {
	topic, traceTopic, group string
	max                      int
}

func (a *Admin) traceCommand() *cobra.Command {
	var o traceOptions
	c := &cobra.Command{
		Use:   "trace ID|KEY",
		Short: "Tell one message's whole life",
		Long: `Tell one message's whole life: where and when it was stored, what it waited for, which groups have consumed it and why others have not,
how often it was tried again, where it is a dead letter, and what clients have traced of it.

The message is named by its id (msgId, the unique key), its offset message id, or a key. A key that several messages have lists them.`,
		Example: "  liftoff trace 7F000001A8F118B4AAC2933D1E1B0000\n  liftoff trace order-4711 --topic orders",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := readFlags(c.Flags()); err != nil {
				return err
			}
			if o.max < 1 {
				return misuse(fmt.Errorf("--max=%d is wrong: it must be at least 1", o.max))
			}
			return a.run(c.Context(), func(ctx context.Context) error { return a.trace(ctx, strings.TrimSpace(args[0]), o) })
		},
	}
	c.Flags().StringVarP(&o.topic, "topic", "t", "", "`TOPIC` of the message (default: all are looked through)")
	c.Flags().StringVarP(&o.group, "group", "g", "", "tell of this `GROUP` only")
	c.Flags().StringVar(&o.traceTopic, "trace-topic", defaultTrace, "`TOPIC` that clients write their traces to")
	c.Flags().IntVar(&o.max, "max", 32, "messages to list when several have the key")
	return c
}

func (a *Admin) trace(ctx context.Context, name string, o traceOptions) error {
	masters, err := a.masters(ctx, target{})
	if err != nil {
		return err
	}
	found, err := a.find(ctx, masters, name, o.topic)
	if err != nil {
		return err
	}
	distinct := distinctMessages(found)
	switch {
	case len(distinct) == 0:
		where := "in any topic"
		if o.topic != "" {
			where = "in topic " + o.topic
		}
		return fmt.Errorf("no message has the id or key %q %s: it was never stored, is deleted already, or its broker does not index (messageIndexEnable)", name, where)
	case len(distinct) > 1:
		return a.showMessages(name, distinct, o.max)
	}
	l, err := a.life(ctx, masters, distinct[0], o)
	if err != nil {
		return err
	}
	return a.show(l, l.print)
}

// copyOf is one record that a message has left, and where.
type copyOf struct {
	message.Message
	props  map[string]string
	broker member
}

func newCopy(broker member, m message.Message) copyOf {
	return copyOf{Message: m, props: message.ParseProperties(m.Properties), broker: broker}
}

// id is what users call the message by.
func (c *copyOf) id() string {
	if key := c.props[message.PropUniqKey]; key != "" {
		return key
	}
	return c.offsetID()
}

func (c *copyOf) offsetID() string {
	return string(message.AppendOffsetID(nil, c.StoreHost, c.LogOffset))
}

// topic is the topic that the message was sent to, whatever topic this copy is in.
func (c *copyOf) topic() string {
	for _, topic := range []string{c.props[message.PropRetryTopic], c.props[message.PropDLQOriginTopic], c.props[message.PropRealTopic]} {
		if topic != "" && !isGroupTopic(topic) {
			return topic
		}
	}
	return c.Topic
}

// isGroupTopic tells whether a topic is of a group: its retry or its dead letter topic.
func isGroupTopic(topic string) bool {
	return strings.HasPrefix(topic, retryPrefix) || strings.HasPrefix(topic, dlqPrefix)
}

// find finds the records of what an operator has named.
func (a *Admin) find(ctx context.Context, masters []member, name, topic string) ([]copyOf, error) {
	host, logOffset, notOffset := message.ParseOffsetID(name)
	if notOffset == nil {
		for _, m := range masters {
			if m.addr == host.String() {
				found, err := a.pool.ViewMessage(ctx, m.addr, topic, logOffset)
				if err != nil {
					return nil, fmt.Errorf("cannot read message %s: %w", name, err)
				}
				return []copyOf{newCopy(m, *found)}, nil
			}
		}
	}
	topics := []string{topic}
	if topic == "" {
		all, err := a.names.Topics(ctx)
		if err != nil {
			return nil, err
		}
		topics = slices.DeleteFunc(all, isGroupTopic)
	}
	// What waits has not got to its topic yet.
	for _, waiting := range []string{topicSchedule, topicTimer, topicHalf} {
		if !slices.Contains(topics, waiting) {
			topics = append(topics, waiting)
		}
	}
	found, err := a.query(ctx, masters, topics, name)
	found = slices.DeleteFunc(found, func(c copyOf) bool { return topic != "" && c.topic() != topic })
	if err == nil && len(found) == 0 && notOffset == nil {
		return a.viewAnywhere(ctx, masters, name, topic, logOffset), nil
	}
	return found, err
}

// viewAnywhere reads the message with an offset id from a broker that is known by another name or address than its messages have.
func (a *Admin) viewAnywhere(ctx context.Context, masters []member, id, topic string, logOffset int64) []copyOf {
	for _, m := range masters {
		if found, err := a.pool.ViewMessage(ctx, m.addr, topic, logOffset); err == nil {
			if c := newCopy(m, *found); strings.EqualFold(c.offsetID(), id) {
				return []copyOf{c}
			}
		}
	}
	return nil
}

// query finds the records in topics that have a key, by the order in which they were stored. A broker that does not answer is named and passed
// over: at night the others matter the more. It is an error when none answers.
func (a *Admin) query(ctx context.Context, masters []member, topics []string, key string) ([]copyOf, error) {
	var mu sync.Mutex // protects the two below
	var found []copyOf
	failed := make(map[member]error)
	type question struct {
		broker member
		topic  string
	}
	questions := make(chan question)
	var askers sync.WaitGroup
	for range min(asksAtOnce, len(masters)*len(topics)) {
		askers.Go(func() {
			for q := range questions {
				mu.Lock()
				silent := failed[q.broker] != nil
				mu.Unlock()
				if silent {
					continue
				}
				got, err := a.pool.QueryMessages(ctx, q.broker.addr, &client.Query{Topic: q.topic, Key: key, Max: 64, Begin: time.UnixMilli(0), End: time.UnixMilli(math.MaxInt64)})
				if refused(err, protocol.CodeTopicNotExist) {
					err = nil
				}
				mu.Lock()
				for _, m := range got {
					if c := newCopy(q.broker, m); c.Topic == q.topic && c.hasKey(key) { // Apache's broker compares only hashes
						found = append(found, c)
					}
				}
				if err != nil && failed[q.broker] == nil {
					failed[q.broker] = fmt.Errorf("cannot look for %q at %s: %w", key, q.broker, err)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range masters {
		for _, topic := range topics {
			questions <- question{m, topic}
		}
	}
	close(questions)
	askers.Wait()
	slices.SortFunc(found, func(x, y copyOf) int {
		return cmp.Or(cmp.Compare(x.StoreTimestamp, y.StoreTimestamp), cmp.Compare(x.LogOffset, y.LogOffset), cmp.Compare(x.broker.addr, y.broker.addr))
	})
	for _, m := range masters {
		switch err := failed[m]; {
		case err != nil && len(failed) == len(masters):
			return nil, err
		case err != nil:
			a.say("%v; what it has is not shown", err)
		}
	}
	return found, context.Cause(ctx)
}

// hasKey says whether a key is this record's.
func (c *copyOf) hasKey(key string) bool {
	return c.props[message.PropUniqKey] == key || slices.Contains(strings.Fields(c.props[message.PropKeys]), key)
}

// distinctMessages keeps one record of each message, the first, and of those rather one in the message's own topic.
func distinctMessages(found []copyOf) []copyOf {
	var list []copyOf
	at := make(map[string]int)
	for _, c := range found {
		i, known := at[c.id()]
		switch {
		case !known:
			at[c.id()] = len(list)
			list = append(list, c)
		case list[i].Topic != list[i].topic() && c.Topic == c.topic():
			list[i] = c
		}
	}
	return list
}

// messageLine is a message in a list.
type messageLine struct {
	ID          string `json:"id"`
	Topic       string `json:"topic"`
	Broker      string `json:"broker"`
	QueueID     int32  `json:"queueId"`
	QueueOffset int64  `json:"queueOffset"`
	Stored      int64  `json:"storeTimestamp"`
	Keys        string `json:"keys"`
	Tags        string `json:"tags"`
}

// showMessages lists what has a key that names no single message.
func (a *Admin) showMessages(key string, found []copyOf, most int) error {
	var list []messageLine
	for i := range found[max(0, len(found)-most):] {
		c := &found[max(0, len(found)-most)+i]
		list = append(list, messageLine{c.id(), c.topic(), c.broker.name, c.QueueID, c.QueueOffset, c.StoreTimestamp, c.props[message.PropKeys], c.props[message.PropTags]})
	}
	err := a.show(list, func(w io.Writer) {
		t := newTable("ID", "TOPIC", "BROKER", "QUEUE", "OFFSET", "STORED", "TAGS")
		for _, m := range list {
			t.row(m.ID, m.Topic, m.Broker, m.QueueID, m.QueueOffset, clock(m.Stored), m.Tags)
		}
		t.print(w)
	})
	if len(found) > most {
		a.say("the newest %d of %d messages with the key %s; more with --max", most, len(found), key)
	}
	a.say("%d messages have the key %s; to see the life of one: liftoff trace ID", len(found), key)
	return err
}

// clock is a time in Unix ms as people read it.
func clock(ms int64) string { return time.UnixMilli(ms).Format("2006-01-02 15:04:05.000") }
