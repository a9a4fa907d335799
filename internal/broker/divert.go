package broker

import (
	"fmt"
	"strconv"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/store"
)

// Messages that are not for their own topic yet.
//
// A half message, one that is due at a time and one that is delayed by a level are stored in a queue of the system, with their own
// topic and queue in two properties (REAL_TOPIC, REAL_QID). A follower (follow.go) reads that queue and puts each message into its
// own topic when it is time. So each is on the one road of a message twice, and whatever ends in Store.Put may be diverted:
// what clients send (addSingle) and what the broker puts itself (putNow). But half messages come from clients only: a committed message
// keeps the property that made it one.

// isDiverted says whether divert has something to do.
func (f *propertyFacts) isDiverted() bool { return f.half || f.timer || f.delay != nil }

// place decides on the queues of a message: another for now than its own, and light ones. An error refuses the message.
func (b *Broker) place(cfg *settings, f *propertyFacts, p *store.Put) error {
	if f.isDiverted() {
		if err := b.divert(cfg, f, p); err != nil {
			return err
		}
	}
	if f.light == nil {
		return nil
	}
	return b.addLight(cfg, f.light, p)
}

// divert changes where a message is stored if it is not for its own topic yet. It may give p another queue, other properties and flags;
// p.Queue is the message's own so far. An error refuses the message.
func (b *Broker) divert(cfg *settings, f *propertyFacts, p *store.Put) error {
	level, err := f.delayLevel()
	if err != nil {
		return err
	}
	kind := p.SysFlag & message.FlagTransaction
	switch {
	case f.half && (p.ReconsumeTimes <= 0 || level <= 0): // old clients try a message again with the properties it had
		return b.divertHalf(cfg, p)
	case kind == message.FlagTransactionPrepared || kind == message.FlagTransactionRollback:
		return nil
	case level > 0:
		return b.divertDelayed(cfg, level, p)
	case f.timer:
		return b.divertTimer(cfg, p)
	}
	return nil
}

// park gives a message a queue of the system, with these properties and its own topic and queue in two more.
func park(p *store.Put, q *store.Queue, props []byte) {
	var room [12]byte
	props = message.AppendProperty(props, message.PropRealTopic, p.Queue.Topic())
	p.Properties = message.AppendProperty(props, message.PropRealQueueID, strconv.AppendInt(room[:0], int64(p.Queue.ID()), 10))
	p.Queue = q
}

// realQueue is where a message goes that waits in a queue of the system.
func (b *Broker) realQueue(props []byte) (*store.Queue, error) {
	topic, _ := message.Property(props, message.PropRealTopic)
	text, _ := message.Property(props, message.PropRealQueueID)
	id, ok := parseInt32(text)
	switch {
	case len(topic) == 0 || !ok || id < 0 || id >= queuesMax:
		return nil, fmt.Errorf("its own queue is not told: %s=%q %s=%q", message.PropRealTopic, topic, message.PropRealQueueID, text)
	case string(topic) == topicHalf || string(topic) == topicSchedule:
		return nil, fmt.Errorf("a delayed message of topic %s cannot be", topic)
	}
	return b.queueOf(topic, id), nil
}

// queueOf is a queue of a topic, also of one that was deleted or has fewer than it had.
func (b *Broker) queueOf(topic []byte, id int32) *store.Queue {
	if t := b.topics.get(topic); t != nil {
		if q := t.queue(id); q != nil {
			return q
		}
	}
	return b.store.Queue(string(topic), id)
}

// delayLevel is the message's delay level; 0 or less is none.
func (f *propertyFacts) delayLevel() (int, error) {
	if f.delay == nil {
		return 0, nil
	}
	level, err := strconv.ParseInt(string(f.delay), 10, 32)
	if err != nil {
		return 0, protocol.Errorf(protocol.CodeSystemError, "For input string: %q (property DELAY is not a number from 1 up, or not one of 32 bits)", f.delay)
	}
	return int(level), nil
}
