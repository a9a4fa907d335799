package broker

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// CONSUMER_SEND_MSG_BACK 36, and sends to a retry topic.
//
// A consumer that cannot consume a message gives it back by its log offset. A copy goes into the group's retry topic, delayed by a level
// that grows with each try, or into its dead-letter topic when it was tried often enough. Clients that cannot reach 36 send the copy
// to the retry topic themselves, and so do consumers of ordered messages when they give up.
//
// Behaviour: the copy keeps body, tags, keys and first id. RETRY_TOPIC and ORIGIN_MESSAGE_ID tell where the first one is, and the reconsume
// times how often it was tried. It is answered when the copy is as safe as flushDiskType asks.
// Differs from Apache: a message that no consumer can have seen (half, delayed, timed) is refused; a dead letter also has
// DLQ_ORIGIN_TOPIC and DLQ_ORIGIN_MESSAGE_ID, which clients over gRPC show; with SYNC_FLUSH the answer waits for the disk.

const (
	retryLevelFirst = 3 // delay level of the first try again
	dlqQueues       = 1
)

// sendBack stores the copy and answers when that is done.
func (b *Broker) sendBack(_ *session, r *remoting.Request) {
	if r.Elsewhere() { // the message may lie far back, and the retry topic may have to be made
		return
	}
	var h protocol.SendBackHeader
	err := r.DecodeFields(&h)
	var put *store.Put
	if err == nil {
		put, err = b.copyForRetry(r, &h)
	}
	if err != nil {
		// Some clients do not look at the answer: the message is not consumed and not tried again then.
		b.log.Warn("message given back by a consumer is refused", "group", shown(h.Group), "log_offset", h.Offset, "addr", r.Conn.RemoteAddr(), "err", err)
	}
	if err != nil || put == nil {
		remoting.Respond(r, func(*remoting.Request) (*remoting.Answer, error) { return nil, err })
		return
	}
	cfg := b.settings.Load()
	late := r.Later()
	puts := []store.Put{*put}
	back, _ := message.Property(put.Properties, message.PropRetryTopic)
	b.putThen(puts, func(err error) {
		if err != nil {
			err = sendFailure(cfg, err)
		} else {
			b.counts.sentBack(string(back), h.Group, puts)
		}
		remoting.Respond(late, func(*remoting.Request) (*remoting.Answer, error) { return nil, err })
		late.Conn.Flush()
	})
}

// mayGiveBack finds the group of who gives a message back and its retry topic, or says why none is taken. The topic is nil when the group
// wants none back.
func (b *Broker) mayGiveBack(h *protocol.SendBackHeader) (*group, *topic, error) {
	cfg := b.settings.Load()
	if cfg.BrokerRole == config.Slave {
		return nil, nil, protocol.Errorf(protocol.CodeSystemError, "no master available along with %s (this broker is a slave)", cfg.BrokerIP1)
	}
	g := b.groups.get([]byte(h.Group))
	if g == nil {
		return nil, nil, groupMissing(cfg, h.Group)
	}
	if cfg.Permission&permWrite == 0 {
		return nil, nil, protocol.Errorf(protocol.CodeNoPermission, "the broker[%s] sending message is forbidden (brokerPermission=%d)", cfg.BrokerIP1, cfg.Permission)
	}
	if g.RetryQueueNums <= 0 {
		return g, nil, nil
	}
	flag := int32(0)
	if h.UnitMode {
		flag = protocol.TopicFlagUnitSub
	}
	t, err := b.retryTopic(retryPrefix+h.Group, g.RetryQueueNums, flag)
	if err == nil && t.Perm&permWrite == 0 {
		err = protocol.Errorf(protocol.CodeNoPermission, "the topic[%s] sending message is forbidden (perm=%d)", t.TopicName, t.Perm)
	}
	return g, t, err
}

// copyForRetry makes what is to be stored of a message that was given back; nil when it is just forgotten.
func (b *Broker) copyForRetry(r *remoting.Request, h *protocol.SendBackHeader) (*store.Put, error) {
	g, t, err := b.mayGiveBack(h)
	if err != nil || t == nil {
		return nil, err
	}
	p, err := b.givenBack(h)
	if err != nil {
		return nil, err
	}
	most := g.RetryMaxTimes
	if h.MaxReconsumeTimes != nil && r.Version >= protocol.VersionV3_4_9 {
		most = *h.MaxReconsumeTimes
	}
	level, queue := h.DelayLevel, rand.Int32N(g.RetryQueueNums)
	dead := p.ReconsumeTimes >= most || level < 0
	switch {
	case dead:
		if t, err = b.retryTopic(dlqPrefix+h.Group, dlqQueues, 0); err != nil {
			return nil, err
		}
		level, queue = 0, 0
		b.countDead(h.Group, h.OriginTopic)
		b.log.Debug("message becomes a dead letter", "group", h.Group, "log_offset", p.LogOffset, "reconsume_times", p.ReconsumeTimes, "at_most", most,
			"delay_level", h.DelayLevel, "addr", r.Conn.RemoteAddr())
	case level == 0:
		level = int32(min(retryLevelFirst+int64(p.ReconsumeTimes), int64(b.schedule.top)))
	}
	p.Properties = retryProperties(&p.Message, level, dead)
	p.ReconsumeTimes++
	p.PreparedTransactionOffset = 0
	if p.Queue = t.queue(queue); p.Queue == nil { // the topic has fewer than the group says
		p.Queue = t.queue(0)
	}
	if p.Queue == nil {
		return nil, protocol.Errorf(protocol.CodeSystemError, "topic[%s] has no queues", t.TopicName)
	}
	return p, nil
}

func groupMissing(cfg *settings, group string) error {
	return protocol.Errorf(protocol.CodeSubscriptionGroupNotExist, "subscription group not exist, %s (%s)", shown(group), whyNoGroup(cfg, group))
}

// retryTopic returns a group's retry or dead-letter topic, made if it is not there. A dead-letter topic takes messages without the
// permission to write, too: nobody else writes there, and those that are out of tries have no other place.
func (b *Broker) retryTopic(name string, queues, flag int32) (*topic, error) {
	t := b.topics.find(name)
	if t == nil {
		var err error
		if t, err = b.topics.createRetry(name, min(queues, queuesMax), false, flag); err != nil {
			return nil, protocol.Errorf(protocol.CodeSystemError, "topic[%s] not exist (%v)", name, err)
		}
	}
	return t, nil
}

// givenBack finds the message at the offset that a consumer says.
func (b *Broker) givenBack(h *protocol.SendBackHeader) (*store.Put, error) {
	refuse := func(why string) error {
		return protocol.Errorf(protocol.CodeSystemError, "look message by offset failed, %d (%s)", h.Offset, why)
	}
	rec, err := b.store.MessageAt(h.Offset)
	if errors.Is(err, store.ErrNoMessage) {
		return nil, refuse("no message begins there; it may have expired")
	}
	if err != nil {
		return nil, err
	}
	p := new(store.Put)
	if err := message.Decode(rec, &p.Message); err != nil {
		return nil, err
	}
	if p.Topic == topicHalf || p.Topic == topicOp || p.Topic == topicSchedule || p.Topic == topicTimer || !message.InConsumeQueue(p.SysFlag) {
		return nil, refuse("what is there waits in a queue of the system and was not delivered to any consumer")
	}
	return p, nil
}

// retryProperties are the properties of the copy. m is the message that was given back.
func retryProperties(m *message.Message, level int32, dead bool) []byte {
	props := make([]byte, 0, len(m.Properties)+len(m.Topic)+128)
	props = message.AppendPropertiesWithout(props, m.Properties, message.PropRetryTopic, message.PropOriginMessageID,
		message.PropWait, message.PropDelay, message.PropCRC32, message.PropTransactionPrepared,
		message.PropTimerDelaySec, message.PropTimerDelayMS, message.PropTimerDeliverMS) // its own time is over
	retryTopic, ok := message.Property(m.Properties, message.PropRetryTopic)
	if !ok {
		retryTopic = []byte(m.Topic)
	}
	originID, _ := message.Property(m.Properties, message.PropOriginMessageID)
	if len(bytes.TrimSpace(originID)) == 0 {
		originID = message.AppendOffsetID(nil, m.StoreHost, m.LogOffset)
	}
	props = message.AppendProperty(props, message.PropRetryTopic, retryTopic)
	props = message.AppendProperty(props, message.PropOriginMessageID, originID)
	props = message.AppendProperty(props, message.PropWait, "false")
	props = message.AppendProperty(props, message.PropDelay, strconv.Itoa(int(level)))
	if dead {
		props = appendDeadLetter(props)
	}
	return props
}

// appendDeadLetter makes a dead letter's properties tell where it is from, unless they do.
func appendDeadLetter(props []byte) []byte {
	if _, told := message.Property(props, message.PropDLQOriginTopic); told {
		return props
	}
	topic, _ := message.Property(props, message.PropRetryTopic)
	id, ok := message.Property(props, message.PropUniqKey)
	if !ok {
		id, _ = message.Property(props, message.PropOriginMessageID)
	}
	if len(topic) > 0 {
		props = message.AppendProperty(props, message.PropDLQOriginTopic, topic)
	}
	if len(id) > 0 {
		props = message.AppendProperty(props, message.PropDLQOriginMessageID, id)
	}
	return props
}

// sendToRetry is for a send to a retry topic. When the message was tried often enough, or the group consumes in order, so that only
// what it has given up comes here, the send goes to the dead-letter topic, which is returned.
func (b *Broker) sendToRetry(cfg *settings, r *remoting.Request, h *sendHeader, t *topic) (*topic, error) {
	name := groupOfRetry(t.TopicName)
	g := b.groups.get([]byte(name))
	if g == nil {
		return nil, groupMissing(cfg, name)
	}
	most := g.RetryMaxTimes
	if h.hasMaxReconsume && r.Version >= protocol.VersionV3_4_9 {
		most = h.maxReconsume
	}
	if h.reconsumeTimes <= most && !b.locks.has(name) {
		return t, nil
	}
	dlq, err := b.retryTopic(dlqPrefix+name, dlqQueues, 0)
	if err != nil {
		return nil, err
	}
	h.queueID = 0
	b.countDead(string(h.group), string(h.topic))
	h.properties = appendDeadLetter(message.SetProperty(h.properties, message.PropDelay, "-1"))
	b.log.Debug("message becomes a dead letter", "group", name, "reconsume_times", h.reconsumeTimes, "at_most", most, "addr", r.Conn.RemoteAddr())
	return dlq, nil
}

// countDead counts a message of a topic that becomes a dead letter of a group.
func (b *Broker) countDead(group, topic string) {
	b.tallies.add(&metrics.SendToDLQ, 1, group, topic, strconv.FormatBool(b.topics.isSystem(topic) || isSystemGroup(group)))
}

// groupOfRetry is the group of a retry topic. Those of the second form end in + and a topic.
func groupOfRetry(topic string) string {
	name := strings.TrimPrefix(topic, retryPrefix)
	if group, of, two := strings.Cut(name, popRetryV2); two && of != "" && !strings.Contains(of, popRetryV2) {
		return group
	}
	return name
}
