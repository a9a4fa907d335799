package broker

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// Static topics. A request about a logical queue is for the broker that leads it. That one turns the queue and the offset into those of
// the stretch that is meant, and where another broker has it, asks that one, with lo=false; the answer is turned back.

func notLeader(topic string, queue int32, bname string) error {
	return protocol.Errorf(protocol.CodeNotLeaderForQueue, "%s-%d does not exit in request process of current broker %s", shown(topic), queue, bname)
}

// leads returns a logical queue that this broker leads.
func leads(d *protocol.TopicQueueMappingDetail, topic string, id int32) (protocol.LogicQueue, error) {
	queue := d.HostedQueues[id]
	if leader := queue.Leader(); leader == nil || leader.Bname != d.Bname {
		return nil, notLeader(topic, id, d.Bname)
	}
	return queue, nil
}

// isStatic says whether a request is about a static topic's logical queue.
func (b *Broker) isStatic(r *remoting.Request) bool {
	if !b.topics.mappings.any.Load() {
		return false
	}
	topic, _ := r.Get("topic")
	lo, has := r.Get("lo")
	t := b.topics.get(topic)
	return t != nil && t.mapping != nil && (!has || r.IsNull(lo) || protocol.IsTrue(lo))
}

// logicQueue returns the logical queue that a request means and its mapping, none when it means a queue of the broker's own.
func (b *Broker) logicQueue(topic string, id int32, f *protocol.StaticTopicFields) (protocol.LogicQueue, *protocol.TopicQueueMappingDetail, error) {
	t := b.topics.find(topic)
	if t == nil || t.mapping == nil || f.Lo != nil && !*f.Lo {
		return nil, nil, nil
	}
	queue, err := leads(t.mapping, topic, id)
	return queue, t.mapping, err
}

// elsewhere are the fields of a request to the broker that has a stretch.
func elsewhere(item *protocol.LogicQueueMappingItem) protocol.StaticTopicFields {
	no := false
	return protocol.StaticTopicFields{Lo: &no, Bname: item.Bname}
}

// ask asks the master of another broker group.
func (b *Broker) ask(bname, topic string, call *remoting.Call) (*remoting.Response, error) {
	most := b.settings.Load().ForwardTimeout
	until := time.Now().Add(most)
	addr, err := b.masterOf(bname, topic, until, most)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadlineCause(context.Background(), until, fmt.Errorf("broker %s has not answered within %s (forwardTimeout)", bname, most))
	defer cancel()
	return b.registrar.pool.Call(ctx, addr, call)
}

// masterOf asks the NameServers where the master of a broker group of a topic is.
func (b *Broker) masterOf(bname, topic string, until time.Time, most time.Duration) (addr string, err error) {
	servers, err := b.nameServers()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithDeadlineCause(context.Background(), until, fmt.Errorf("no name server has answered within %s (forwardTimeout) where broker %s is", most, bname))
	defer cancel()
	route, err := servers.RouteByTopic(ctx, topic)
	if err != nil {
		return "", err
	}
	for _, d := range route.BrokerDatas {
		if addr := d.BrokerAddrs[0]; d.BrokerName == bname && addr != "" {
			return addr, nil
		}
	}
	return "", fmt.Errorf("no NameServer knows of broker %s", bname)
}

// askOffset asks another broker for an offset. QUERY_NOT_FOUND is -1.
func (b *Broker) askOffset(item *protocol.LogicQueueMappingItem, topic string, code int, header any) (int64, error) {
	answer, err := b.ask(item.Bname, topic, &remoting.Call{Code: code, Header: header})
	if err != nil {
		return 0, err
	}
	if answer.Code == protocol.CodeQueryNotFound {
		return -1, nil
	}
	var h protocol.OffsetHeader
	if err := answer.Err(); err != nil {
		return 0, err
	}
	err = answer.DecodeFields(&h)
	return h.Offset, err
}

// staticConsumerOffset finds how far a group is in a logical queue: in the newest stretch that it is in.
func (b *Broker) staticConsumerOffset(h *protocol.QueryConsumerOffsetHeader, queue protocol.LogicQueue, bname string) (*remoting.Answer, error) {
	for i := len(queue) - 1; i >= 0; i-- {
		item := &queue[i]
		offset, err := b.offsets.query(h.ConsumerGroup, h.Topic, item.QueueID), error(nil)
		if item.Bname != bname {
			no := false
			offset, err = b.askOffset(item, h.Topic, protocol.ReqQueryConsumerOffset, &protocol.QueryConsumerOffsetHeader{ConsumerGroup: h.ConsumerGroup, Topic: h.Topic,
				QueueID: item.QueueID, SetZeroIfNotFound: &no, StaticTopicFields: elsewhere(item)})
		}
		if err != nil {
			return nil, err
		}
		if offset >= 0 && item.LogicOffset >= 0 {
			return &remoting.Answer{Header: protocol.OffsetHeader{Offset: item.Static(offset)}}, nil
		}
	}
	return nil, protocol.Errorf(protocol.CodeQueryNotFound, "Not found, maybe this group consumer boot first")
}

// commitStatic turns a commit into one in the stretch that it lies in. done is true when another broker has taken it.
func (b *Broker) commitStatic(h *protocol.UpdateConsumerOffsetHeader) (done bool, err error) {
	queue, d, err := b.logicQueue(h.Topic, h.QueueID, &h.StaticTopicFields)
	if err != nil || d == nil {
		return false, err
	}
	item := queue.Find(h.CommitOffset)
	if item == nil {
		return false, notLeader(h.Topic, h.QueueID, d.Bname)
	}
	h.QueueID, h.CommitOffset = item.QueueID, item.Physical(h.CommitOffset)
	if item.Bname == d.Bname {
		return false, nil
	}
	h.StaticTopicFields = elsewhere(item)
	answer, err := b.ask(item.Bname, h.Topic, &remoting.Call{Code: protocol.ReqUpdateConsumerOffset, Header: h})
	if err == nil {
		err = answer.Err()
	}
	return true, err
}

// staticMax and staticMin are the ends of a logical queue.
func (b *Broker) staticMax(h *protocol.QueueHeader, queue protocol.LogicQueue, bname string) (int64, error) {
	item := queue.Find(math.MaxInt64)
	if item == nil {
		return 0, notLeader(h.Topic, h.QueueID, bname)
	}
	_, end := b.rangeOf(h.Topic, item.QueueID)
	if item.Bname != bname {
		var err error
		if end, err = b.askOffset(item, h.Topic, protocol.ReqGetMaxOffset, &protocol.QueueHeader{Topic: h.Topic, QueueID: item.QueueID, StaticTopicFields: elsewhere(item)}); err != nil {
			return 0, err
		}
	}
	return item.Static(end), nil
}

func (b *Broker) staticMin(h *protocol.QueueHeader, queue protocol.LogicQueue, bname string) (int64, error) {
	item := queue.Find(0)
	if item == nil {
		return 0, notLeader(h.Topic, h.QueueID, bname)
	}
	least, _ := b.rangeOf(h.Topic, item.QueueID)
	if item.Bname != bname {
		var err error
		if least, err = b.askOffset(item, h.Topic, protocol.ReqGetMinOffset, &protocol.QueueHeader{Topic: h.Topic, QueueID: item.QueueID, StaticTopicFields: elsewhere(item)}); err != nil {
			return 0, err
		}
	}
	return item.StaticWithin(least), nil
}

// staticSearch looks for a time in one stretch after the other, oldest first.
func (b *Broker) staticSearch(h *protocol.SearchOffsetHeader, queue protocol.LogicQueue, bname string, boundary store.Boundary) (int64, error) {
	last := int64(-1)
	for i := range queue {
		item := &queue[i]
		if item.LogicOffset < 0 {
			continue
		}
		offset := int64(0)
		var err error
		if q := b.store.FindQueue(h.Topic, item.QueueID); q != nil && item.Bname == bname {
			offset, err = b.store.OffsetByTime(q, h.Timestamp, boundary)
		}
		if item.Bname != bname {
			ask := *h
			ask.QueueID, ask.StaticTopicFields = item.QueueID, elsewhere(item)
			offset, err = b.askOffset(item, h.Topic, protocol.ReqSearchOffsetByTimestamp, &ask)
		}
		if err != nil {
			return 0, err
		}
		last = item.Static(max(offset, 0))
		if !item.HasEnded() || offset < item.EndOffset {
			break
		}
	}
	return last, nil
}

// staticEarliest is when the oldest message of a logical queue was stored.
func (b *Broker) staticEarliest(h *protocol.QueueHeader, queue protocol.LogicQueue, bname string) (*remoting.Answer, error) {
	item := queue.Find(0)
	if item == nil {
		return nil, notLeader(h.Topic, h.QueueID, bname)
	}
	if item.Bname == bname {
		return b.earliestStoreTime(h.Topic, item.QueueID), nil
	}
	answer, err := b.ask(item.Bname, h.Topic, &remoting.Call{Code: protocol.ReqGetEarliestMsgStoreTime, Header: &protocol.QueueHeader{Topic: h.Topic, QueueID: item.QueueID, StaticTopicFields: elsewhere(item)}})
	if err == nil {
		err = answer.Err()
	}
	var at protocol.TimestampHeader
	if err == nil {
		err = answer.DecodeFields(&at)
	}
	return &remoting.Answer{Header: at}, err
}

// sendToLogic turns the logical queue of a send into one of the broker's own.
func (h *sendHeader) sendToLogic(t *topic) error {
	id := h.queueID
	if id < 0 {
		for hosted, queue := range t.mapping.HostedQueues {
			if leader := queue.Leader(); leader != nil && leader.Bname == t.mapping.Bname {
				id = hosted
				break
			}
		}
	}
	queue, err := leads(t.mapping, t.TopicName, id)
	if err != nil {
		return err
	}
	h.logicID, h.item = id, queue.Leader()
	h.queueID = h.item.QueueID
	return nil
}

// pullFromLogic turns the logical queue and offset of a pull into those of a stretch. elsewhere is true when another broker has it.
func (p *pull) pullFromLogic(t *topic) (elsewhere bool, err error) {
	queue, err := leads(t.mapping, t.TopicName, p.queueID)
	if err != nil {
		return false, err
	}
	item := queue.Find(p.offset)
	if item == nil {
		return false, notLeader(t.TopicName, p.queueID, t.mapping.Bname)
	}
	p.logic, p.item = queue, item
	p.queueID, p.offset, p.commitOffset = item.QueueID, item.Physical(p.offset), item.Physical(p.commitOffset)
	if item.HasEnded() {
		p.maxMsgs = int32(min(int64(p.maxMsgs), item.EndOffset-item.StartOffset))
	}
	return item.Bname != t.mapping.Bname, nil
}

// toLogic turns the result of a pull from a stretch into that of one from the logical queue, and returns the code of the answer.
func (p *pull) toLogic(code int, r *store.GetResult) int {
	item := p.item
	if code != protocol.CodeSuccess {
		isLeader, isFirst := item.Gen == p.logic.Leader().Gen, item.Gen == p.logic.Find(0).Gen
		switch next := p.logic.Next(item); {
		case p.offset < r.MinOffset:
			r.NextOffset = r.MinOffset
			if code = protocol.CodePullRetryImmediately; isFirst {
				code = protocol.CodePullOffsetMoved
			}
		case !isLeader && (p.offset >= r.MaxOffset || item.HasEnded() && p.offset >= item.EndOffset):
			if next == nil {
				code = protocol.CodePullNotFound
				break
			}
			item, code = next, protocol.CodePullRetryImmediately
			p.item = next
			r.NextOffset, r.MinOffset, r.MaxOffset = next.StartOffset, next.StartOffset, next.StartOffset
		case isLeader && p.offset > r.MaxOffset && code == protocol.CodePullOffsetMoved:
			r.NextOffset = r.MaxOffset
		}
	}
	if item.HasEnded() {
		r.NextOffset = min(r.NextOffset, item.EndOffset)
	}
	r.NextOffset = item.Static(r.NextOffset)
	r.MinOffset = item.Static(max(item.StartOffset, r.MinOffset))
	r.MaxOffset = max(item.Static(r.MaxOffset), p.logic.Leader().StaticEnd())
	return code
}

// askElsewhere serves a pull from a stretch that another broker has. It runs beside the connection and ends the pull.
func (p *pull) askElsewhere() {
	b := p.b
	flags, expression, expressionType := p.sysFlag&^(pullSuspend|pullCommitOffset), string(p.expression), string(p.expressionType)
	if p.sysFlag&pullSubscription == 0 { // the other broker knows nothing of this consumer
		if s := b.findSubscription(string(p.group), string(p.topic)); s != nil {
			if s.refused != nil {
				p.refuse(errParse(s.refused, p.group, p.topic, []byte(s.SubString)))
				return
			}
			flags, expression, expressionType = flags|pullSubscription, s.SubString, s.ExpressionType
		}
	}
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	ext := [][2]string{{"consumerGroup", string(p.group)}, {"topic", string(p.topic)}, {"queueId", n(int64(p.queueID))}, {"queueOffset", n(p.offset)},
		{"maxMsgNums", n(int64(p.maxMsgs))}, {"sysFlag", n(int64(flags))}, {"commitOffset", "0"}, {"suspendTimeoutMillis", "0"}, {"subscription", expression},
		{"subVersion", n(p.subVersion)}, {"expressionType", expressionType}, {"lo", "false"}, {"bname", p.item.Bname}}
	answer, err := b.ask(p.item.Bname, string(p.topic), &remoting.Call{Code: protocol.ReqPullMessage, Ext: ext})
	var h protocol.PullResponseHeader
	if err == nil {
		err = answer.DecodeFields(&h)
	}
	if err != nil {
		p.refuse(protocol.Errorf(protocol.CodeSystemError, "cannot pull from broker %s, which has these messages of the static topic: %v", p.item.Bname, err))
		return
	}
	res := store.GetResult{NextOffset: h.NextBeginOffset, MinOffset: h.MinOffset, MaxOffset: h.MaxOffset}
	code := p.toLogic(int(answer.Code), &res)
	g, t := b.groups.get(p.group), b.topics.get(p.topic)
	if g == nil || t == nil {
		p.refuse(protocol.Errorf(protocol.CodeTopicNotExist, "topic[%s] not exist, apply first please!", p.topic))
		return
	}
	p.answer(b.settings.Load(), code, g, t, res, answer.Body)
	p.release()
}

// serveElsewhere has askElsewhere run beside the connection.
func (p *pull) serveElsewhere() {
	p.keep()
	b, conn := p.b, p.conn
	b.runBeside(b.asking, len(p.buf), func(refused error) {
		defer conn.Flush()
		if refused != nil {
			p.refuse(refused)
			return
		}
		p.askElsewhere()
	})
}
