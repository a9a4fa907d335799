package broker

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// SEND_MESSAGE 10, SEND_MESSAGE_V2 310, SEND_BATCH_MESSAGE 320.
//
// Behaviour: the message is stored at the end of its queue and answered with its id and queue offset once the kernel has
// it (ASYNC_FLUSH) or the disk has (SYNC_FLUSH). All sends that one read of a connection brought are stored together and
// answered together. A batch is stored as a whole or not at all. An unknown topic is made after the default topic
// that the client names, if that may be inherited.
// Differs from Apache: a refusal names the value, the limit and the resource, behind Apache's own words.

// sendHeader is a send request's header, read in place.
type sendHeader struct {
	group, topic, defaultTopic, properties []byte
	defaultQueues, queueID, sysFlag, flag  int32
	reconsumeTimes, maxReconsume           int32
	bornTimestamp                          int64
	unitMode, batch, hasMaxReconsume       bool

	logicID int32                           // the queue that the client named, of a static topic
	item    *protocol.LogicQueueMappingItem // where that one's messages go; nil where the topic is not static
}

// decodeSend reads the header of either form: one-letter names (310, 320) or long ones (10).
func decodeSend(r *remoting.Request, h *sendHeader) error {
	var have uint16
	const required = 1<<8 - 1 // a to h
	for i := range r.Fields {
		key, v := r.Fields[i].Key, r.Fields[i].Value
		letter := byte(0)
		if len(key) == 1 {
			letter = key[0]
		} else if r.Code == protocol.ReqSendMessage || r.Code == protocol.ReqSendReplyMessage {
			letter = sendLetter(key)
		}
		ok := true
		switch letter {
		case 'a':
			h.group = v
		case 'b':
			h.topic = v
		case 'c':
			h.defaultTopic = v
		case 'd':
			h.defaultQueues, ok = parseInt32(v)
		case 'e':
			h.queueID, ok = parseInt32(v)
		case 'f':
			h.sysFlag, ok = parseInt32(v)
		case 'g':
			h.bornTimestamp, ok = protocol.ParseInt(v)
		case 'h':
			h.flag, ok = parseInt32(v)
		case 'i':
			h.properties = v
		case 'j':
			h.reconsumeTimes, ok = parseInt32(v)
		case 'k':
			h.unitMode = string(v) == "true"
		case 'l':
			h.maxReconsume, ok = parseInt32(v)
			h.hasMaxReconsume = ok
		case 'm':
			h.batch = string(v) == "true"
		default:
			continue
		}
		if !ok {
			if r.IsNull(v) {
				continue
			}
			return errNotNumber(sendNames[letter-'a'], v)
		}
		have |= 1 << (letter - 'a')
	}
	return missingField(have, required, sendNames[:]...)
}

// sendNames are the long names of the letters a, b, c ...
var sendNames = [...]string{"producerGroup", "topic", "defaultTopic", "defaultTopicQueueNums", "queueId", "sysFlag",
	"bornTimestamp", "flag", "properties", "reconsumeTimes", "unitMode", "maxReconsumeTimes", "batch"}

func sendLetter(key []byte) byte {
	for i, n := range sendNames {
		if n == string(key) {
			return byte('a' + i)
		}
	}
	return 0
}

// sendMessage checks a message and puts it into the batch of its connection.
func (b *Broker) sendMessage(ss *session, r *remoting.Request) {
	var h sendHeader
	if err := decodeSend(r, &h); err != nil {
		b.refuseSend(r, err)
		return
	}
	cfg := b.settings.Load()
	t, err := b.sendTopic(cfg, r, &h)
	if err != nil {
		b.refuseSend(r, err)
		return
	}
	if t == nil {
		return // it is asked once more where a topic may be made
	}
	if t.retry {
		if t, err = b.sendToRetry(cfg, r, &h, t); err != nil {
			b.refuseSend(r, err)
			return
		}
	}
	if err := h.chooseQueue(t); err != nil {
		b.refuseSend(r, err)
		return
	}
	if r.Code == protocol.ReqSendBatchMessage || h.batch {
		err = b.addBatch(cfg, ss, r, &h, t)
	} else {
		err = b.addSingle(cfg, ss, r, &h, t)
	}
	if err != nil {
		b.refuseSend(r, err)
	}
}

// sendTopic finds the topic of a send and says why it must not be sent to. It is nil, without an error, for a request that is to be
// served elsewhere.
func (b *Broker) sendTopic(cfg *settings, r *remoting.Request, h *sendHeader) (*topic, error) {
	if cfg.AcceptSendsFrom > 0 && time.Now().UnixMilli() < cfg.AcceptSendsFrom {
		return nil, protocol.Errorf(protocol.CodeSystemError, "broker unable to service, until %s (startAcceptSendRequestTimeStamp=%d)",
			time.UnixMilli(cfg.AcceptSendsFrom).Format(time.DateTime), cfg.AcceptSendsFrom)
	}
	if cfg.BrokerRole == config.Slave {
		return nil, protocol.Errorf(protocol.CodeSystemBusy, "[REJECTREQUEST]system busy, start flow control for a while: this broker is a slave (brokerRole=SLAVE) and takes no messages")
	}
	t := b.topics.get(h.topic)
	if (t == nil || t.retry) && r.Elsewhere() {
		return nil, nil
	}
	if t == nil {
		var err error
		if t, err = b.topics.createForSend(string(h.topic), string(h.defaultTopic), h.defaultQueues, h.unitMode, r.Conn.RemoteAddr().String()); err != nil {
			return nil, err
		}
	}
	if cfg.Permission&permWrite == 0 && t.Order {
		return nil, protocol.Errorf(protocol.CodeNoPermission, "the broker[%s] sending message is forbidden (brokerPermission=%d)", cfg.BrokerIP1, cfg.Permission)
	}
	if t.noSend {
		return nil, protocol.Errorf(protocol.CodeNoPermission, "Sending message to topic[%s] is forbidden.", t.TopicName)
	}
	if t.mapping != nil {
		if err := h.sendToLogic(t); err != nil {
			return nil, err
		}
	}
	if queues := max(t.WriteQueueNums, t.ReadQueueNums); h.queueID >= queues {
		return nil, protocol.Errorf(protocol.CodeInvalidParameter, "request queueId[%d] is illegal, topic[%s] has writeQueueNums=%d readQueueNums=%d Producer: %s",
			h.queueID, t.TopicName, t.WriteQueueNums, t.ReadQueueNums, r.Conn.RemoteAddr())
	}
	return t, nil
}

// chooseQueue finds a queue for a send that names none, and says why there is none to send to.
func (h *sendHeader) chooseQueue(t *topic) error {
	if h.queueID < 0 {
		n := t.writeQueues()
		if n == 0 { // Apache fails to divide by it
			return protocol.Errorf(protocol.CodeSystemError, "topic[%s] has no queues to send to, writeQueueNums=%d (the request names none, queueId=%d); give it some with updateTopic",
				t.TopicName, t.WriteQueueNums, h.queueID)
		}
		h.queueID = rand.Int32N(n)
	}
	if h.queueID >= t.queues() { // a dead-letter topic without queues, or one with more than there can be
		return protocol.Errorf(protocol.CodeInvalidParameter, "request queueId[%d] is illegal, topic[%s] has writeQueueNums=%d readQueueNums=%d, of which at most %d are used; change that with updateTopic",
			h.queueID, t.TopicName, t.WriteQueueNums, t.ReadQueueNums, queuesMax)
	}
	return nil
}

// sent is what a send's answer needs once its messages are stored.
type sent struct {
	head     protocol.Head
	asked    remoting.Asked
	queueID  int32
	first, n int                             // its messages in the batch's Puts
	uniqKey  []byte                          // lies in the batch's arena
	item     *protocol.LogicQueueMappingItem // of a static topic's logical queue, which is queueID then
	inner    bool                            // it was a batch and is one record
	in       *topicCounts                    // of where it is stored
	kind     messageKind
	timer    bool // the message may be recalled
}

// sendBatch is the messages that one read of a connection brought and that wait for the same mark.
type sendBatch struct {
	store.Batch
	b     *Broker
	conn  *remoting.Conn
	sends []sent
	arena []byte // properties as they are stored
	ids   []byte // for the answer that is being written
}

var sendBatches = sync.Pool{New: func() any { return new(sendBatch) }}

// batch returns the batch that a message with this level belongs to. A change of level puts the messages before it, so that
// the connection's order stays.
func (ss *session) batch(b *Broker, conn *remoting.Conn, wait store.Level) *sendBatch {
	if ss.sends != nil && ss.sends.Wait != wait {
		ss.put(b)
	}
	if ss.sends == nil {
		sb := sendBatches.Get().(*sendBatch)
		if sb.Done == nil {
			sb.Done = sb.done
		}
		sb.b, sb.conn, sb.Wait = b, conn, wait
		ss.sends = sb
	}
	return ss.sends
}

// put hands the connection's batch to the store. Its bytes are copied before Add returns; its answers come with done.
func (ss *session) put(b *Broker) {
	sb := ss.sends
	ss.sends = nil
	b.store.Add(&sb.Batch)
}

// propertyFacts are what the broker must know of a message's properties, found in one walk.
type propertyFacts struct {
	uniqKey []byte
	noWait  bool
	rewrite bool // has properties that the broker sets or removes itself

	priority []byte // nil when there is none

	// The message is diverted (divert.go).
	half  bool
	timer bool   // has a time at which it is due, and did not wait for it yet
	delay []byte // its delay level; nil when there is none

	ordered bool // has a sharding key

	lite  []byte // the lite topic that it is for; nil when there is none
	inner bool   // says how many messages it has, as inner batches do
	light []byte // the light queues that it is for too (light.go); nil when there are none
}

func inspect(props []byte) (f propertyFacts) {
	waited := false
	for name, value := range message.Properties(props) {
		switch len(name) {
		case 4:
			f.noWait = f.noWait || string(name) == message.PropWait && string(value) == "false"
		case 5:
			if string(name) == message.PropDelay && string(value) != "0" {
				f.delay = value
			}
		case 6:
			f.rewrite = f.rewrite || string(name) == message.PropPopCK
		case 7, 10:
			f.rewrite = f.rewrite || string(name) == message.PropCluster || string(name) == message.PropMsgRegion
		case 8:
			switch string(name) {
			case message.PropUniqKey:
				f.uniqKey = value
			case message.PropTraceOn:
				f.rewrite = true
			case message.PropTransactionPrepared:
				if string(value) == "true" {
					f.half = true
				}
			}
		case 12:
			waited = waited || string(name) == message.PropTimerOutMS
			if string(name) == message.PropLiteTopic {
				f.lite = value
			}
		case 9:
			f.inner = f.inner || string(name) == message.PropInnerNum
		case 13:
			f.ordered = f.ordered || string(name) == message.PropShardingKey
		case 18:
			if string(name) == message.PropPriority {
				f.priority = value
			}
		case 20:
			if string(name) == message.PropMultiDispatch {
				f.light = value
			}
		case 24:
			f.rewrite = f.rewrite || string(name) == message.PropMultiQueueOffset
		case 14, 15, 16:
			switch string(name) {
			case message.PropTimerDelaySec, message.PropTimerDelayMS, message.PropTimerDeliverMS:
				f.timer = true
			}
		}
	}
	f.timer = f.timer && !waited
	return f
}

// toldID is the queue that the client is told: the one that it named, where the broker's own is another.
func (h *sendHeader) toldID() int32 {
	if h.item != nil {
		return h.logicID
	}
	return h.queueID
}

// addSingle adds one message to the connection's batch.
func (b *Broker) addSingle(cfg *settings, ss *session, r *remoting.Request, h *sendHeader, t *topic) error {
	facts := inspect(h.properties)
	if facts.inner {
		return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal: it has the property %s but is not an inner batch", message.PropInnerNum)
	}
	if facts.lite != nil {
		h.addLite(&facts, t)
	}
	if facts.priority != nil {
		h.prioritize(facts.priority, t)
	}
	if facts.rewrite {
		h.properties = withoutBrokerProperties(h.properties)
	}
	sb := ss.batch(b, r.Conn, cfg.wait(facts.noWait))
	props, uniqKey := sb.properties(cfg, h, len(facts.uniqKey) > 0)
	p := sb.add(t, h, ss)
	p.Body, p.Properties = r.Body, props
	if err := b.place(cfg, &facts, p); err != nil {
		sb.drop(len(sb.Puts) - 1)
		return err
	}
	s := sb.expect(r, h, t, len(sb.Puts)-1)
	s.uniqKey, s.kind, s.timer = uniqKey, facts.kind(), facts.timer
	if facts.isDiverted() {
		s.in = b.counts.of(p.Queue.Topic())
	}
	if facts.half { // its offset is the one that ends the transaction
		s.item = nil
	}
	return nil
}

// properties are what a message is stored with: its own, a unique key if it has none, and the broker's.
func (sb *sendBatch) properties(cfg *settings, h *sendHeader, hasKey bool) (props, uniqKey []byte) {
	start := len(sb.arena)
	sb.arena = endProperties(append(sb.arena, h.properties...), start)
	if !hasKey {
		var room [64]byte
		sb.arena = message.AppendProperty(sb.arena, message.PropUniqKey, sb.b.uniqKeys.Append(room[:0], time.Now()))
	}
	sb.arena = append(sb.arena, cfg.properties...)
	props = sb.arena[start:len(sb.arena):len(sb.arena)]
	uniqKey, _ = message.Property(props, message.PropUniqKey)
	return props, uniqKey
}

// expect has a send be answered when its messages are stored, which are those from first on.
func (sb *sendBatch) expect(r *remoting.Request, h *sendHeader, t *topic, first int) *sent {
	sb.sends = append(sb.sends, sent{head: protocol.ResponseHead(&r.Header, 0, ""), asked: r.Asked(), queueID: h.toldID(), item: h.item,
		first: first, n: len(sb.Puts) - first, in: t.countsOf(sb.b.counts)})
	return &sb.sends[len(sb.sends)-1]
}

// add appends one message with all but its body and properties.
func (sb *sendBatch) add(t *topic, h *sendHeader, ss *session) *store.Put {
	if len(sb.Puts) < cap(sb.Puts) {
		sb.Puts = sb.Puts[:len(sb.Puts)+1]
	} else {
		sb.Puts = append(sb.Puts, store.Put{})
	}
	p := &sb.Puts[len(sb.Puts)-1]
	p.Queue = t.queue(h.queueID)
	p.Flag, p.SysFlag, p.ReconsumeTimes = h.flag, h.sysFlag|t.sysFlag, h.reconsumeTimes
	p.BornTimestamp, p.BornHost = h.bornTimestamp, ss.peer
	p.PreparedTransactionOffset, p.Err, p.Light, p.Inner = 0, nil, nil, 0
	return p
}

// propertyEnd ends a property in the list of them. Part of the format; do not change.
const propertyEnd = 0x02

// endProperties makes the properties from start on end with their separator, which some clients leave out.
func endProperties(arena []byte, start int) []byte {
	if len(arena) > start && arena[len(arena)-1] != propertyEnd {
		arena = append(arena, propertyEnd)
	}
	return arena
}

// withoutBrokerProperties removes what the broker sets itself, for a message that has been through a broker before.
func withoutBrokerProperties(props []byte) []byte {
	return message.AppendPropertiesWithout(make([]byte, 0, len(props)), props,
		message.PropCluster, message.PropMsgRegion, message.PropTraceOn, message.PropPopCK, message.PropMultiQueueOffset)
}

// addBatch adds the messages of a batch request, all or none. They carry no broker properties, as in Apache.
func (b *Broker) addBatch(cfg *settings, ss *session, r *remoting.Request, h *sendHeader, t *topic) error {
	switch {
	case len(h.topic) > 127:
		return protocol.Errorf(protocol.CodeMessageIllegal, "message topic length too long %d", len(h.topic))
	case t.retry:
		return protocol.Errorf(protocol.CodeMessageIllegal, "batch request does not support retry group %s", h.topic)
	case len(r.Body) > cfg.MaxMessageSize:
		return illegal(cfg, fmt.Errorf("message body size exceeded: the batch has %d bytes, maxMessageSize is %d", len(r.Body), cfg.MaxMessageSize))
	}
	facts := inspect(h.properties)
	sb := ss.batch(b, r.Conn, cfg.wait(facts.noWait))
	first := len(sb.Puts)
	if err := sb.addEntries(cfg, ss, r.Body, h, t); err != nil {
		sb.drop(first)
		return err
	}
	n := len(sb.Puts) - first
	if n == 0 {
		return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal: the batch is empty")
	}
	if t.batchQueue && len(facts.uniqKey) > 0 {
		sb.drop(first)
		return sb.addInner(cfg, ss, r, h, t, n, facts.kind())
	}
	start := len(sb.arena)
	sb.arena = append(sb.arena, facts.uniqKey...)
	s := sb.expect(r, h, t, first)
	s.uniqKey, s.kind = sb.arena[start:len(sb.arena):len(sb.arena)], facts.kind()
	return nil
}

// drop takes messages away again, from one on.
func (sb *sendBatch) drop(first int) {
	clear(sb.Puts[first:])
	sb.Puts = sb.Puts[:first]
}

// addEntries adds the messages of a batch's body up to the first that cannot be.
func (sb *sendBatch) addEntries(cfg *settings, ss *session, body []byte, h *sendHeader, t *topic) error {
	first := len(sb.Puts)
	var m message.BatchEntry
	for len(body) > 0 {
		n := len(sb.Puts) - first
		var err error
		if body, err = message.NextInBatch(body, &m); err != nil {
			return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal, message %d of the batch: %v", n, err)
		}
		if len(m.Properties) > message.MaxProperties {
			return illegal(cfg, fmt.Errorf("message %d of the batch has properties of %d bytes", n, len(m.Properties)))
		}
		f := inspect(m.Properties)
		if f.light != nil && f.rewrite {
			return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal: message %d of the batch gives itself offsets in light queues (%s)", n, message.PropMultiQueueOffset)
		}
		if f.isDiverted() {
			return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal: message %d of the batch is delayed, timed or transactional, which a batch cannot be", n)
		}
		p := sb.add(t, h, ss)
		p.Flag, p.Body, p.Properties = m.Flag, m.Body, m.Properties
	}
	return nil
}

// addInner adds a batch as one record, an inner batch, which its consumers take apart. It gets the broker's properties.
func (sb *sendBatch) addInner(cfg *settings, ss *session, r *remoting.Request, h *sendHeader, t *topic, n int, kind messageKind) error {
	if n > math.MaxInt16 {
		return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal: the batch has %d messages, an inner batch can have %d", n, math.MaxInt16)
	}
	h.properties = withoutBrokerProperties(h.properties)
	props, uniqKey := sb.properties(cfg, h, true)
	p := sb.add(t, h, ss)
	p.SysFlag |= message.FlagInnerBatch | message.FlagNeedUnwrap
	p.Body, p.Properties, p.Inner = r.Body, props, n
	s := sb.expect(r, h, t, len(sb.Puts)-1)
	s.uniqKey, s.inner, s.kind = uniqKey, true, kind
	return nil
}

// done answers the sends of a batch, in one write.
func (sb *sendBatch) done(_ *store.Batch, err error) {
	b, cfg := sb.b, sb.b.settings.Load()
	out := sb.conn.Lock()
	for i := range sb.sends {
		s := &sb.sends[i]
		puts := sb.Puts[s.first : s.first+s.n]
		failure := err
		for j := range puts {
			if puts[j].Err != nil {
				failure = puts[j].Err
			}
			if failure != nil {
				b.uncountHalf(&puts[j], failure)
			}
		}
		if failure != nil {
			a := sendFailure(cfg, failure)
			s.head.Code, s.head.Remark = int32(a.Code), a.Remark
		}
		if !s.asked.Oneway {
			out = sb.appendSent(out, cfg, s, puts)
		}
	}
	sb.conn.Unlock(out)
	sb.took()
	sb.count(err)
	conn := sb.conn
	sb.release()
	conn.Flush()
}

// took counts how long the sends took. Those that were answered alike, mostly all, are counted at once.
func (sb *sendBatch) took() {
	for i := 0; i < len(sb.sends); {
		first, n := &sb.sends[i], 1
		for i+n < len(sb.sends) && sb.sends[i+n].asked == first.asked && sb.sends[i+n].head.Code == first.head.Code {
			n++
		}
		sb.conn.Latencies.Took(first.asked, first.head.Code, int64(n))
		i += n
	}
}

// count counts what became of the sends. Those that follow each other into one queue are counted at once.
func (sb *sendBatch) count(err error) {
	b := sb.b
	if err != nil && !errors.Is(err, store.ErrFlushTimeout) {
		b.counters.putFailures.Add(int64(len(sb.Puts)))
		return
	}
	ms := int64(0)
	if len(sb.Puts) > 0 {
		ms = max(time.Now().UnixMilli()-sb.Puts[0].StoreTimestamp, 0)
	}
	var run *sent
	var messages, bytes, requests int64
	for i := range sb.sends {
		s := &sb.sends[i]
		n, size := sb.stored(s)
		if s.kind == kindDelay && n > 0 {
			b.counts.park(s.in, &sb.Puts[s.first])
		}
		if n == 0 {
			b.counters.putFailures.Add(int64(s.n))
			continue
		}
		if run != nil && (s.in != run.in || s.kind != run.kind || s.queueID != run.queueID) {
			b.counts.put(run.in, run.kind, messages, bytes, run.queueID, requests, requests*ms)
			messages, bytes, requests = 0, 0, 0
		}
		run, messages, bytes, requests = s, messages+n, bytes+size, requests+1
		s.in.sized(s.kind, size/n)
	}
	if run != nil {
		b.counts.put(run.in, run.kind, messages, bytes, run.queueID, requests, requests*ms)
	}
}

// stored is how many messages of a send are stored, and the size of their records.
func (sb *sendBatch) stored(s *sent) (messages, bytes int64) {
	for i := s.first; i < s.first+s.n; i++ {
		p := &sb.Puts[i]
		if p.Err != nil {
			return 0, 0
		}
		messages += int64(max(p.Inner, 1))
		bytes += int64(p.Size)
	}
	return messages, bytes
}

func (sb *sendBatch) release() {
	clear(sb.sends) // they hold slices of the arena
	for i := range sb.Puts {
		p := &sb.Puts[i]
		p.Body, p.Properties, p.Queue, p.Light = nil, nil, nil, nil
	}
	sb.Puts, sb.sends, sb.arena = sb.Puts[:0], sb.sends[:0], sb.arena[:0]
	sb.b, sb.conn = nil, nil
	if cap(sb.arena) <= 1<<20 && cap(sb.Puts) <= 4096 {
		sendBatches.Put(sb)
	}
}

// appendSent writes one send's answer.
func (sb *sendBatch) appendSent(out []byte, cfg *settings, s *sent, puts []store.Put) []byte {
	stored := s.head.Code == protocol.CodeSuccess || s.head.Code == protocol.CodeFlushDiskTimeout
	f := protocol.Begin(out, s.head)
	if stored {
		f.Int("queueId", int64(s.queueID))
		if len(s.uniqKey) > 0 {
			f.Bytes("transactionId", s.uniqKey)
			if s.inner {
				f.Bytes("batchUniqId", s.uniqKey)
			}
		}
		sb.ids = sb.ids[:0]
		for i := range puts {
			if i > 0 {
				sb.ids = append(sb.ids, ',')
			}
			sb.ids = message.AppendOffsetIDOf(sb.ids, cfg.idHost, puts[i].LogOffset)
		}
		f.Plain("msgId", sb.ids)
	}
	f.Str("TRACE_ON", cfg.traceOn)
	f.Str("MSG_REGION", cfg.RegionID)
	if stored && s.timer {
		if sb.ids = appendRecallHandle(sb.ids[:0], puts[0].Properties, cfg.Name); len(sb.ids) > 0 {
			f.Plain("recallHandle", sb.ids)
		}
	}
	if stored {
		offset := puts[0].QueueOffset
		if s.item != nil {
			offset = s.item.StaticWithin(offset)
		}
		f.Int("queueOffset", offset)
	}
	return f.End(0)
}

// sendFailure maps what the store says to Apache's code, and tells the cause.
func sendFailure(cfg *settings, err error) *protocol.Error {
	switch {
	case errors.Is(err, store.ErrFlushTimeout) || errors.Is(err, store.ErrWriteTimeout):
		return &protocol.Error{Code: protocol.CodeFlushDiskTimeout, Remark: err.Error()}
	case errors.Is(err, store.ErrTooLarge):
		return illegal(cfg, err)
	case errors.Is(err, store.ErrInnerBatch):
		return &protocol.Error{Code: protocol.CodeMessageIllegal, Remark: "the message is illegal: " + err.Error()}
	case errors.Is(err, store.ErrTopic):
		return &protocol.Error{Code: protocol.CodeInvalidParameter, Remark: err.Error()}
	case errors.Is(err, store.ErrBusy):
		return protocol.Errorf(protocol.CodeSystemBusy, "[PC_SYNCHRONIZED]broker busy, start flow control for a while: %v", err)
	}
	return protocol.Errorf(protocol.CodeServiceNotAvailable, "service not available now: %v", err)
}

func illegal(cfg *settings, err error) *protocol.Error {
	return protocol.Errorf(protocol.CodeMessageIllegal, "the message is illegal, maybe msg body or properties length not matched. msg body length limit %dB, msg properties length limit 32KB. (%v)",
		cfg.MaxMessageSize, err)
}

// refuseSend answers a send that was not stored.
func (b *Broker) refuseSend(r *remoting.Request, err error) {
	cfg := b.settings.Load()
	b.counters.putFailures.Add(1)
	a := remoting.ErrorAnswer(err)
	a.Ext = [][2]string{{"TRACE_ON", cfg.traceOn}, {"MSG_REGION", cfg.RegionID}}
	r.Conn.Reply(r, a)
}
