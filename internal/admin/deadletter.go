package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// letterFilter says which dead letters of a group are meant. A zero field means all.
type letterFilter struct {
	group, topic string
	names        []string // ids or keys
	from, to     string   // when they became dead letters, as on the command line
	begin, end   int64    // the same, Unix ms
}

// readTimes makes times of what was typed.
func (f *letterFilter) readTimes(now time.Time) (err error) {
	if f.begin, err = readTime(f.from, now, 0); err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	if f.end, err = readTime(f.to, now, now.Add(time.Hour).UnixMilli()); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	return nil
}

// readTime reads a time: 2006-01-02, with 15:04 or 15:04:05 behind it, RFC 3339, Unix ms, or how long ago it was, such as 90m.
func readTime(text string, now time.Time, standard int64) (int64, error) {
	if text == "" {
		return standard, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d).UnixMilli(), nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms > 1e11 {
		return ms, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, misuse(fmt.Errorf("%q is not a time such as 2006-01-02, 2006-01-02 15:04:05, 90m (ago) or Unix ms", text))
}

func (f *letterFilter) wants(c *copyOf) bool {
	return c.StoreTimestamp >= f.begin && c.StoreTimestamp <= f.end && (f.topic == "" || c.topic() == f.topic)
}

// deadQueue is a queue of a group's dead letters. Those that come later than it was looked at are left alone.
type deadQueue struct {
	broker      member
	topic       string
	id          int32
	first, next int64 // offsets
}

// deadQueues lists where a group's dead letters lie.
func (a *Admin) deadQueues(ctx context.Context, group string) ([]deadQueue, error) {
	topic := dlqPrefix + group
	route, err := a.names.RouteByTopic(ctx, topic)
	if refused(err, protocol.CodeTopicNotExist) {
		return nil, nil // there never was one
	} else if err != nil {
		return nil, err
	}
	var all []deadQueue
	for _, m := range routeMasters(route) {
		for id := range m.queues {
			q := deadQueue{broker: m.member, topic: topic, id: id}
			if q.first, q.next, err = a.pool.QueueOffsets(ctx, m.addr, topic, id); err != nil {
				return nil, err
			}
			all = append(all, q)
		}
	}
	return all, nil
}

// routeMaster is a master that has queues of a topic, numbered from 0.
type routeMaster struct {
	member
	queues, writable int32
}

func routeMasters(route *protocol.TopicRoute) []routeMaster {
	var all []routeMaster
	for _, d := range route.QueueDatas {
		for _, b := range route.BrokerDatas {
			if addr := b.BrokerAddrs[protocol.MasterID]; b.BrokerName == d.BrokerName && addr != "" {
				all = append(all, routeMaster{member{b.Cluster, b.BrokerName, protocol.MasterID, addr}, d.ReadQueueNums, d.WriteQueueNums})
			}
		}
	}
	slices.SortFunc(all, func(x, y routeMaster) int { return cmp.Compare(x.name, y.name) })
	return all
}

// letters calls do for each dead letter that the filter wants, queue by queue, the oldest first.
func (a *Admin) letters(ctx context.Context, queues []deadQueue, f *letterFilter, do func(*copyOf) error) error {
	if len(f.names) > 0 {
		return a.namedLetters(ctx, queues, f, do)
	}
	for _, q := range queues {
		if err := a.queueLetters(ctx, q, f, do); err != nil {
			return err
		}
	}
	return nil
}

// namedLetters finds those with some ids or keys through the index.
func (a *Admin) namedLetters(ctx context.Context, queues []deadQueue, f *letterFilter, do func(*copyOf) error) error {
	var brokers []member
	for _, q := range queues {
		if !slices.Contains(brokers, q.broker) {
			brokers = append(brokers, q.broker)
		}
	}
	type place struct {
		broker    member
		logOffset int64
	}
	seen := make(map[place]bool)
	for _, name := range f.names {
		found, err := a.query(ctx, brokers, []string{dlqPrefix + f.group}, name)
		if err != nil {
			return err
		}
		for i := range found {
			at := place{found[i].broker, found[i].LogOffset}
			if seen[at] || !f.wants(&found[i]) {
				continue
			}
			seen[at] = true
			if err := do(&found[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Admin) queueLetters(ctx context.Context, q deadQueue, f *letterFilter, do func(*copyOf) error) error {
	offset := q.first
	if f.begin > 0 {
		at, err := a.pool.SearchOffset(ctx, q.broker.addr, q.topic, q.id, f.begin)
		if err != nil {
			return err
		}
		offset = max(offset, at)
	}
	for offset < q.next {
		p, err := a.pool.Pull(ctx, q.broker.addr, &client.Pull{Group: toolsGroup, Topic: q.topic, QueueID: q.id, Offset: offset, Max: 32})
		if refused(err, protocol.CodeNoPermission) {
			return fmt.Errorf("%w\ndead letters of older brokers cannot be read until someone allows it: mqadmin updateTopicPerm -t %s -p 6 -b %s", err, q.topic, q.broker.addr)
		} else if err != nil {
			return err
		}
		for _, m := range p.Messages {
			c := newCopy(q.broker, m)
			if c.QueueOffset >= q.next || c.StoreTimestamp > f.end {
				return nil
			}
			if f.wants(&c) {
				if err := do(&c); err != nil {
					return err
				}
			}
		}
		if p.Next <= offset {
			return nil
		}
		offset = p.Next
	}
	return nil
}

// letter is a dead letter as it is shown and exported.
type letter struct {
	ID          string            `json:"id"`
	Group       string            `json:"group"`
	Topic       string            `json:"originTopic"`
	OriginID    string            `json:"originMessageId"`
	Tries       int32             `json:"tries"`
	Since       int64             `json:"deadSince"` // Unix ms
	Born        int64             `json:"bornTimestamp"`
	BornHost    string            `json:"bornHost"`
	Keys        string            `json:"keys"`
	Tags        string            `json:"tags"`
	Broker      string            `json:"broker"`
	QueueID     int32             `json:"queueId"`
	QueueOffset int64             `json:"queueOffset"`
	Preview     string            `json:"bodyPreview,omitempty"`
	Properties  map[string]string `json:"properties,omitempty"` // when exported, as the two below
	Body        *string           `json:"body,omitempty"`       // when it is text
	BodyBytes   []byte            `json:"bodyBase64,omitempty"` // else, still compressed if it cannot be decompressed
}

func newLetter(c *copyOf) letter {
	return letter{ID: c.id(), Group: strings.TrimPrefix(c.Topic, dlqPrefix), Topic: c.topic(), OriginID: c.props[message.PropOriginMessageID], Tries: c.ReconsumeTimes,
		Since: c.StoreTimestamp, Born: c.BornTimestamp, BornHost: c.BornHost.String(), Keys: c.props[message.PropKeys], Tags: c.props[message.PropTags],
		Broker: c.broker.name, QueueID: c.QueueID, QueueOffset: c.QueueOffset}
}

// whole adds everything that the message has.
func (l *letter) whole(c *copyOf) {
	l.Properties = c.props
	body, err := c.PlainBody()
	if err != nil {
		body = c.Body
	}
	if text := string(body); utf8.ValidString(text) {
		l.Body = &text
	} else {
		l.BodyBytes = body
	}
}
