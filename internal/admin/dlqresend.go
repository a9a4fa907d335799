package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// propResentFrom marks a message that was a dead letter, with the place where that one lies: broker/queue/offset. Who sends again looks for
// it first, so that no dead letter is sent again twice, whoever does it and however often it was interrupted.
const propResentFrom = "DLQ_RESENT_FROM"

// resendOptions are what `liftoff dlq resend` was told.
type resendOptions struct {
	toTopic, again, dryRun bool
	rate                   int
}

func (a *Admin) dlqResend() *cobra.Command {
	var o resendOptions
	c := a.letterCommand("resend", "Send dead letters again, to the group that failed with them", func(ctx context.Context, f *letterFilter) error {
		if o.rate < 0 {
			return misuse(fmt.Errorf("--rate=%d is wrong: it must be at least 0, which is no limit", o.rate))
		}
		return a.resend(ctx, f, o)
	})
	c.Long = `Send dead letters again. They go to the group's retry topic, so that no other group gets them twice, and have all their tries before
them again. With --to-topic they go to the topic that they came from, and so to every group that subscribes to it.

The dead letters stay where they are: a log forgets by age only. A message that was sent again says where from (property
` + propResentFrom + `), and is not sent again once more, so that an interrupted command can be repeated; --again does it nevertheless.`
	c.Example = "  liftoff dlq resend -g billing --from 2h --dry-run\n  liftoff dlq resend -g billing --id 7F000001A8F118B4AAC2933D1E1B0000"
	c.Flags().BoolVar(&o.toTopic, "to-topic", false, "send to the topic that they came from")
	c.Flags().BoolVar(&o.again, "again", false, "send also those that were sent again already")
	c.Flags().IntVar(&o.rate, "rate", 0, "send at most so many a second; 0 is no limit")
	dryRunFlag(c, &o.dryRun)
	need(c, "group")
	return c
}

// resending is one run of resend.
type resending struct {
	a       *Admin
	f       *letterFilter
	o       resendOptions
	targets map[string][]routeMaster // by topic
	turn    int32                    // of the queues
	sent    int
	already int
}

func (a *Admin) resend(ctx context.Context, f *letterFilter, o resendOptions) error {
	queues, err := a.deadQueues(ctx, f.group)
	if err != nil {
		return err
	}
	// A first look says what will be touched; what becomes a dead letter from now on is left alone.
	byTopic := make(map[string]int)
	total := 0
	p := a.progress("dead letters looked at", 0)
	err = a.letters(ctx, queues, f, func(c *copyOf) error {
		byTopic[c.topic()]++
		total++
		p.add(1)
		return nil
	})
	p.end()
	if err != nil {
		return err
	}
	if total == 0 {
		a.say("group %s has no such dead letters: nothing to send", f.group)
		return nil
	}
	r := &resending{a: a, f: f, o: o, targets: make(map[string][]routeMaster)}
	what, err := r.describe(ctx, byTopic, total)
	if err != nil {
		return err
	}
	return a.carry(ctx, o.dryRun, []change{{what: what, do: func(ctx context.Context) error { return r.run(ctx, queues, total) }}})
}

// describe says what will be sent where, and refuses what could not be consumed there.
func (r *resending) describe(ctx context.Context, byTopic map[string]int, total int) (string, error) {
	var from []string
	for topic, n := range byTopic {
		from = append(from, fmt.Sprintf("%d of topic %s", n, topic))
	}
	slices.Sort(from)
	to := "their topics, for every group that subscribes to them"
	if !r.o.toTopic {
		topic := retryPrefix + r.f.group
		if _, err := r.target(ctx, topic); err != nil {
			return "", fmt.Errorf("%w\nthe group has no retry topic; send to the topics that they came from with --to-topic", err)
		}
		if err := r.heard(ctx, topic); err != nil {
			return "", err
		}
		to = topic + ", for this group only"
	} else {
		for topic := range byTopic {
			if _, err := r.target(ctx, topic); err != nil {
				return "", err
			}
		}
	}
	if !r.o.again {
		to += "; those that were sent again already are left out"
	}
	return fmt.Sprintf("send %d dead letters of group %s (%s) to %s", total, r.f.group, strings.Join(from, ", "), to), nil
}

// heard refuses the retry topic when the group has consumers and none of them listens there: those that pop over gRPC do not.
func (r *resending) heard(ctx context.Context, topic string) error {
	connected := false
	for _, m := range r.targets[topic] {
		c, err := r.a.pool.ConsumerConnections(ctx, m.addr, r.f.group)
		if err != nil {
			continue
		}
		if connected = true; c.SubscriptionTable[topic] != nil {
			return nil
		}
	}
	if connected {
		return fmt.Errorf("the consumers of group %s do not listen to %s; send to the topics that the dead letters came from with --to-topic", r.f.group, topic)
	}
	r.a.say("no consumer of group %s is connected: what is sent waits for one", r.f.group)
	return nil
}

// target lists the masters that take messages of a topic.
func (r *resending) target(ctx context.Context, topic string) ([]routeMaster, error) {
	if known, ok := r.targets[topic]; ok {
		return known, nil
	}
	route, err := r.a.names.RouteByTopic(ctx, topic)
	if err != nil {
		return nil, err
	}
	masters := slices.DeleteFunc(routeMasters(route), func(m routeMaster) bool { return m.writable < 1 })
	if len(masters) == 0 {
		return nil, fmt.Errorf("no master takes messages of topic %s", topic)
	}
	r.targets[topic] = masters
	return masters, nil
}

func (r *resending) run(ctx context.Context, queues []deadQueue, total int) error {
	p := r.a.progress("dead letters sent again", int64(total))
	defer p.end()
	var pause time.Duration
	if r.o.rate > 0 {
		pause = time.Second / time.Duration(r.o.rate)
	}
	err := r.a.letters(ctx, queues, r.f, func(c *copyOf) error {
		sent, err := r.one(ctx, c)
		if err != nil {
			return fmt.Errorf("dead letter %s at %s/%d@%d: %w", c.id(), c.broker.name, c.QueueID, c.QueueOffset, err)
		}
		p.add(1)
		if !sent {
			r.already++
			return nil
		}
		r.sent++
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
			return nil
		}
	})
	p.end()
	r.a.say("%d dead letters sent again, %d were already", r.sent, r.already)
	if err != nil {
		return errors.Join(err, errors.New("run the same command once more to go on; what was sent is left out"))
	}
	return nil
}

// one sends a dead letter again, unless that was done.
func (r *resending) one(ctx context.Context, c *copyOf) (sent bool, err error) {
	topic := retryPrefix + r.f.group
	if r.o.toTopic {
		topic = c.topic()
	}
	masters, err := r.target(ctx, topic)
	if err != nil {
		return false, err
	}
	place := fmt.Sprintf("%s/%d/%d", c.broker.name, c.QueueID, c.QueueOffset)
	if !r.o.again {
		if done, err := r.isDone(ctx, c, place); done || err != nil {
			return false, err
		}
	}
	to := masters[int(r.turn)%len(masters)]
	if i := slices.IndexFunc(masters, func(m routeMaster) bool { return m.name == c.broker.name }); i >= 0 {
		to = masters[i] // where it was before
	}
	queue := r.turn / int32(len(masters)) % to.writable
	r.turn = (r.turn + 1) & (1<<30 - 1)
	_, err = r.a.pool.Send(ctx, to.addr, &client.Outgoing{Group: "TOOLS_PRODUCER", Topic: topic, QueueID: queue, BornTimestamp: c.BornTimestamp, Flag: c.Flag,
		SysFlag: c.SysFlag & (message.FlagCompressed | message.FlagMultiTags | message.FlagCompression), Body: c.Body, Properties: r.properties(c, topic, place)})
	return err == nil, err
}

// isDone says whether a dead letter was sent again before, to either place.
func (r *resending) isDone(ctx context.Context, c *copyOf, place string) (bool, error) {
	for _, topic := range []string{retryPrefix + r.f.group, c.topic()} {
		masters, err := r.target(ctx, topic)
		if refused(err, protocol.CodeTopicNotExist) {
			continue
		} else if err != nil {
			return false, err
		}
		var brokers []member
		for _, m := range masters {
			brokers = append(brokers, m.member)
		}
		found, err := r.a.query(ctx, brokers, []string{topic}, c.id())
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(found, func(f copyOf) bool { return f.props[propResentFrom] == place }) {
			return true, nil
		}
	}
	return false, nil
}

// notResent are the properties that belong to a message's past life. What the broker adds by itself is added anew.
var notResent = []string{message.PropMsgRegion, message.PropTraceOn, message.PropCluster, message.PropMinOffset, message.PropMaxOffset, message.PropCRC32,
	message.PropRealTopic, message.PropRealQueueID, message.PropDelay, message.PropTimerDelaySec, message.PropTimerDelayMS, message.PropTimerDeliverMS,
	message.PropTimerOutMS, message.PropTimerEnqueueMS, message.PropTimerDequeueMS, message.PropTimerRollTimes, message.PropTimerRollLabel,
	message.PropTimerDelUniqKey, message.PropTimerDelayLevel, message.PropRetryTopic, message.PropReconsumeTime, message.PropMaxReconsumeTimes,
	message.PropConsumeStartTime, message.PropDLQOriginTopic, message.PropDLQOriginMessageID, message.PropOriginGroup, message.PropFirstPopTime, message.PropPopCK,
	message.PropPopCKOffset, message.PropTransactionPrepared, message.PropProducerGroup, message.PropTransactionCheckTimes, message.PropPreparedQueueOffset,
	message.PropTransOffset, message.PropInnerNum, message.PropInnerBase, message.PropMultiDispatch, message.PropMultiQueueOffset, message.PropForwardQueueID,
	message.PropArriveTime, message.PropPushReplyTime, message.PropWait}

// properties are those of a dead letter that is sent again.
func (r *resending) properties(c *copyOf, topic, place string) map[string]string {
	props := make(map[string]string, len(c.props))
	for name, value := range c.props {
		if !slices.Contains(notResent, name) {
			props[name] = value
		}
	}
	props[message.PropUniqKey] = c.id()
	props[propResentFrom] = place
	if isGroupTopic(topic) {
		props[message.PropRetryTopic] = c.topic() // consumers show it as the topic
	} else {
		delete(props, message.PropOriginMessageID)
	}
	return props
}
