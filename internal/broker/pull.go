package broker

import (
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// PULL_MESSAGE 11, LITE_PULL_MESSAGE 361.
//
// Behaviour: answers with stored records of one queue from an offset on. With nothing new and the suspend flag the request
// is held (hold.go) until a message that it wants is there or its time is over. With the commit flag the consumer's
// offset comes along.
// Differs from Apache: a held request is answered when the message is there, not at the next scan.

// Bits of a pull's sysFlag. Part of the wire format; do not change.
const (
	pullCommitOffset = 1 << 0
	pullSuspend      = 1 << 1
	pullSubscription = 1 << 2
)

// pull is one pull request. It owns its bytes only once it is held (keep).
type pull struct {
	held

	group, topic, expression, expressionType []byte
	queueID, maxMsgs, sysFlag                int32
	offset, commitOffset, suspendMS          int64
	subVersion                               int64
	own                                      bool   // the queue is meant as the broker's own though the topic be static
	lite                                     []byte // the topic's lite topic that is meant; empty for none

	// Of a static topic: the logical queue that the client named, and the stretch of it that queueID and offset are in.
	logic protocol.LogicQueue
	item  *protocol.LogicQueueMappingItem

	buf []byte // what the byte slices above lie in while held

	// While held, protected by holds.mu.
	queue   *store.Queue
	queueAt int // in holds.byQueue
	sub     *subscription
}

var pulls = sync.Pool{New: func() any { return new(pull) }}

// decodePull reads the header in place.
func decodePull(r *remoting.Request, p *pull) error {
	var have uint16
	for i := range r.Fields {
		v := r.Fields[i].Value
		bit, ok := uint16(0), true
		switch string(r.Fields[i].Key) {
		case "consumerGroup":
			p.group, bit = v, 1
		case "topic":
			p.topic, bit = v, 2
		case "queueId":
			p.queueID, ok = parseInt32(v)
			bit = 4
		case "queueOffset":
			p.offset, ok = protocol.ParseInt(v)
			bit = 8
		case "maxMsgNums":
			p.maxMsgs, ok = parseInt32(v)
			bit = 16
		case "sysFlag":
			p.sysFlag, ok = parseInt32(v)
			bit = 32
		case "commitOffset":
			p.commitOffset, ok = protocol.ParseInt(v)
			bit = 64
		case "suspendTimeoutMillis":
			p.suspendMS, ok = protocol.ParseInt(v)
			bit = 128
		case "subVersion":
			p.subVersion, ok = protocol.ParseInt(v)
		case "lo":
			p.own = !r.IsNull(v) && !protocol.IsTrue(v)
		case "liteTopic":
			p.lite = v
		case "subscription":
			p.expression = v
		case "expressionType":
			p.expressionType = v
		}
		if !ok {
			return errNotNumber(r.Fields[i].Key, v)
		}
		have |= bit
	}
	need := uint16(1<<6 - 1)
	if p.sysFlag&pullCommitOffset != 0 {
		need |= 64
	}
	if p.sysFlag&pullSuspend != 0 {
		need |= 128
	}
	return missingField(have, need, "consumerGroup", "topic", "queueId", "queueOffset", "maxMsgNums", "sysFlag", "commitOffset", "suspendTimeoutMillis")
}

// pullMessage serves a pull that has just come.
func (b *Broker) pullMessage(ss *session, r *remoting.Request) {
	p := pulls.Get().(*pull)
	p.begin(b, ss, r, p)
	if err := decodePull(r, p); err != nil {
		p.refuse(err)
		return
	}
	p.serve(r)
}

// release gives the pull back. Nobody may use it afterwards.
func (p *pull) release() {
	*p = pull{buf: p.buf[:0]}
	pulls.Put(p)
}

// refuse ends the pull with an error.
func (p *pull) refuse(err error) {
	p.held.refuse(err)
	p.release()
}

// check finds what the pull is about, and says why it must not be served.
func (p *pull) check(cfg *settings) (*group, *topic, *subscription, error) {
	b := p.b
	if err := cfg.checkRead("pulling"); err != nil {
		return nil, nil, nil, err
	}
	if p.asked.Code == protocol.ReqLitePullMessage && !cfg.LitePull {
		return nil, nil, nil, protocol.Errorf(protocol.CodeNoPermission, "the broker[%s] for lite pull consumer is forbidden (litePullMessageEnable=false)", cfg.BrokerIP1)
	}
	g, err := b.consumingGroup(cfg, p.group)
	if err != nil {
		return nil, nil, nil, err
	}
	t, err := b.readableTopic(p.topic, "pulling")
	if err != nil {
		return nil, nil, nil, err
	}
	if t.mapping != nil && p.item == nil && !p.own {
		if elsewhere, err := p.pullFromLogic(t); err != nil || elsewhere {
			return g, t, nil, err
		}
	}
	if p.queueID < 0 || p.queueID >= t.readQueues() {
		return nil, nil, nil, illegalQueue(protocol.CodeInvalidParameter, t, p.topic, p.queueID, p.conn)
	}
	sub, err := p.subscription(g)
	if err == nil && cfg.RejectPullConsumers {
		err = b.rejectPuller(p.group, p.conn)
	}
	return g, t, sub, err
}

// subscription is what the consumer wants: told with the pull, or at its heartbeat.
func (p *pull) subscription(g *group) (*subscription, error) {
	b := p.b
	if p.sysFlag&pullSubscription != 0 {
		if !isTagType(p.expressionType) {
			if err := b.checkSQL(string(p.expressionType)); err != nil {
				return nil, err
			}
		}
		return b.subscriptionOf(p.group, p.topic, p.expression, p.expressionType)
	}
	cg := b.clients.consumerGroup(p.group)
	if cg == nil {
		return nil, protocol.Errorf(protocol.CodeSubscriptionNotExist, "the consumer's group info not exist: no consumer of group %s has sent a heartbeat", p.group)
	}
	if !g.ConsumeBroadcastEnable && cg.broadcasting() {
		return nil, protocol.Errorf(protocol.CodeNoPermission, "the consumer group[%s] can not consume by broadcast way", p.group)
	}
	if g.forbidden(p.topic) {
		return nil, protocol.Errorf(protocol.CodeNoPermission, "the consumer group[%s] is forbidden for topic[%s]", p.group, p.topic)
	}
	sub := cg.subscription(p.topic)
	if sub == nil {
		return nil, protocol.Errorf(protocol.CodeSubscriptionNotExist, "the consumer's subscription not exist: group %s does not subscribe to topic %s; do its consumers subscribe to different topics?", p.group, p.topic)
	}
	if sub.SubVersion < p.subVersion {
		return nil, protocol.Errorf(protocol.CodeSubscriptionNotLatest, "the consumer's subscription not latest")
	}
	if sub.refused != nil {
		return nil, errParse(sub.refused, p.group, p.topic, []byte(sub.SubString))
	}
	if sub.IsTag() {
		return sub, nil
	}
	return b.sqlSubscription(p.group, p.topic, p.subVersion)
}

// scratch holds records between the store and the connection, so that no lock of a connection waits for a disk.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// maxPullBytes bounds the messages of one answer, if there is more than one, to what clients read unless told otherwise: a client that is
// sent more closes its connection, and asks for the same again.
const maxPullBytes = protocol.MaxFrame - 64<<10

// serve answers the pull, or holds it, which is allowed only when it has just come, with r.
func (p *pull) serve(r *remoting.Request) {
	b, cfg := p.b, p.b.settings.Load()
	mayHold := r != nil
	g, t, sub, err := p.check(cfg)
	if err != nil {
		p.refuse(err)
		return
	}
	if sub == nil {
		p.serveElsewhere()
		return
	}
	q := t.queue(p.queueID)
	if len(p.lite) > 0 {
		if q, err = b.liteQueueOf(t, p.lite, p.queueID); err != nil {
			p.refuse(err)
			return
		}
	}
	begun := time.Now()
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	body, res, reset, ok := p.get(cfg, r, q, &sub.filter, (*buf)[:0])
	if !ok {
		r.Elsewhere()
		p.release()
		return
	}
	code := pullCode(res.Status, p.offset)
	out := b.offsets.setPulled(p.group, p.topic, p.queueID, res.NextOffset)
	if p.item != nil {
		code = p.toLogic(code, &res)
	}
	if p.sysFlag&pullCommitOffset != 0 && p.commitOffset >= 0 && mayHold && !reset && cfg.BrokerRole != config.Slave {
		b.offsets.commitKnown(p.group, p.topic, p.queueID, p.commitOffset, p.conn)
	}
	if res.Err != nil && res.Count == 0 {
		p.refuse(protocol.Errorf(protocol.CodeSystemError, "messages of topic %s, queue %d cannot be read from offset %d on, the client may try again: %s",
			t.TopicName, p.queueID, res.NextOffset, res.Err))
		return
	}
	if code == protocol.CodePullNotFound && mayHold && p.sysFlag&pullSuspend != 0 {
		wait := time.Duration(p.suspendMS) * time.Millisecond
		if !cfg.LongPolling {
			wait = cfg.ShortPolling
		}
		b.holds.hold(p, q, sub, min(max(wait, 0), holdMax))
		return
	}
	if res.Status == store.NoMatchedMessage && !mayHold && sub.filter.Record != nil && b.holds.again(p, res.NextOffset) {
		return
	}
	if code == protocol.CodeSuccess {
		b.counts.read(out, p.queueID, time.Since(begun).Milliseconds())
		b.counts.got(out, int64(res.Count), int64(len(body)))
	}
	p.answer(cfg, code, g, t, res, body)
	if body != nil && cap(body) <= 512<<10 {
		*buf = body[:0]
	}
	p.release()
}

// get reads what the pull asks for, unless a reset wants it to go on elsewhere. ok is false when that would wait for the disk, and r must not.
func (p *pull) get(cfg *settings, r *remoting.Request, q *store.Queue, filter *store.Filter, buf []byte) (body []byte, res store.GetResult, reset, ok bool) {
	s := p.b.store
	to, reset := p.b.offsets.takeReset(p.group, p.topic, p.queueID)
	switch {
	case reset && cfg.ServerSideResetOffset:
		return nil, store.GetResult{Status: store.OffsetReset, NextOffset: to, MinOffset: q.MinOffset(), MaxOffset: q.MaxOffset()}, true, true
	case reset || r == nil || r.MayWait():
		body, res = s.Get(q, p.offset, int(p.maxMsgs), maxPullBytes, filter, buf)
		return body, res, reset, true
	}
	body, res, ok = s.GetNow(q, p.offset, int(p.maxMsgs), maxPullBytes, filter, buf)
	return body, res, false, ok
}

// pullCode is Apache's code for how a Get went.
func pullCode(s store.GetStatus, offset int64) int {
	switch s {
	case store.Found:
		return protocol.CodeSuccess
	case store.MessageWasRemoving, store.NoMatchedMessage:
		return protocol.CodePullRetryImmediately
	case store.NoMatchedLogicQueue, store.NoMessageInQueue:
		if offset != 0 {
			return protocol.CodePullOffsetMoved
		}
		return protocol.CodePullNotFound
	case store.OffsetFoundNull, store.OffsetOverflowOne:
		return protocol.CodePullNotFound
	}
	return protocol.CodePullOffsetMoved // overflow badly, too small, reset
}

// answer writes the answer; the caller or the connection's read loop flushes it.
func (p *pull) answer(cfg *settings, code int, g *group, t *topic, res store.GetResult, body []byte) {
	if code == protocol.CodePullOffsetMoved {
		p.b.log.Info("offset of a pull is corrected", "topic", t.TopicName, "queue_id", p.queueID, "group", string(p.group),
			"from", p.offset, "to", res.NextOffset, "because", res.Status, "min", res.MinOffset, "max", res.MaxOffset, "addr", p.conn.RemoteAddr())
	}
	p.conn.Latencies.Took(p.asked, int32(code), 1)
	if p.asked.Oneway {
		return
	}
	suggest := int64(0)
	if cfg.SlaveRead {
		suggest = g.BrokerID
		if res.SuggestSlave {
			suggest = g.WhichBrokerWhenConsumeSlowly
		}
	}
	p.head.Code, p.head.Remark = int32(code), res.Status.String()
	out := p.conn.Lock()
	f := protocol.Begin(out, p.head)
	f.Int("suggestWhichBrokerId", suggest)
	f.Int("groupSysFlag", int64(g.GroupSysFlag))
	f.Int("nextBeginOffset", res.NextOffset)
	f.Int("maxOffset", res.MaxOffset)
	f.Int("minOffset", res.MinOffset)
	f.Int("topicSysFlag", int64(t.TopicSysFlag))
	if p.item != nil {
		f.Int("offsetDelta", p.item.LogicOffset-p.item.StartOffset)
	}
	out = f.End(len(body))
	p.conn.Unlock(append(out, body...))
}
