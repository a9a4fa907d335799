package broker

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// END_TRANSACTION 37.
//
// Behaviour: a half message that is committed is stored in its own topic, and an op message tells that it is decided; one that is rolled
// back needs the op message only. All ends of transactions that one read of a connection brought are stored together, the committed
// messages before the op message: what is lost of them in a crash is never the committed message alone, and a committed message
// without its op message is found again (halves.findCommitted).
// Differs from Apache: the first decision counts, a later one changes nothing and is refused (ILLEGAL_OPERATION) when it is another.
// The op message is not put off (transactionOpBatchInterval). An end that decides nothing is answered, if someone waits for an answer.

// divertHalf makes a message wait for the end of its transaction.
func (b *Broker) divertHalf(cfg *settings, p *store.Put) error {
	if cfg.RejectTransactions {
		return protocol.Errorf(protocol.CodeNoPermission, "the broker[%s] sending transaction message is forbidden (rejectTransactionMessage=true)", cfg.BrokerIP1)
	}
	topic := p.Queue.Topic()
	props := make([]byte, 0, len(p.Properties)+len(topic)+96)
	props = message.AppendPropertiesWithout(props, p.Properties, message.PropTransactionID, message.PropRealTopic, message.PropRealQueueID,
		message.PropPreparedQueueOffset)
	uniqKey, _ := message.Property(p.Properties, message.PropUniqKey)
	if len(uniqKey) > 0 {
		props = message.AppendProperty(props, message.PropTransactionID, uniqKey)
	}
	park(p, b.halves.q, props)
	p.SysFlag &^= message.FlagTransaction
	b.halfCounts.add(topic, 1)
	return nil
}

// uncountHalf takes back what divertHalf counted, of a message that was not stored.
func (b *Broker) uncountHalf(p *store.Put, err error) {
	if p.Queue == nil || p.Queue.Topic() != topicHalf || errors.Is(err, store.ErrFlushTimeout) || errors.Is(err, store.ErrWriteTimeout) {
		return
	}
	if topic, ok := message.Property(p.Properties, message.PropRealTopic); ok {
		b.halfCounts.add(string(topic), -1)
	}
}

// endHeader is the header of END_TRANSACTION, read in place.
type endHeader struct {
	group                  []byte
	queueOffset, logOffset int64
	decision               int32 // FlagTransactionCommit, FlagTransactionRollback or 0
	fromCheck              bool
}

func decodeEnd(r *remoting.Request, h *endHeader) error {
	var have uint16
	for i := range r.Fields {
		v := r.Fields[i].Value
		bit, ok := uint16(0), true
		switch string(r.Fields[i].Key) {
		case "producerGroup":
			h.group, bit = v, 1
		case "tranStateTableOffset":
			h.queueOffset, ok = protocol.ParseInt(v)
			bit = 2
		case "commitLogOffset":
			h.logOffset, ok = protocol.ParseInt(v)
			bit = 4
		case "commitOrRollback":
			h.decision, ok = parseInt32(v)
			bit = 8
		case "fromTransactionCheck":
			h.fromCheck = protocol.IsTrue(v)
		}
		if !ok {
			return errNotNumber(r.Fields[i].Key, v)
		}
		have |= bit
	}
	if err := missingField(have, 1<<4-1, "producerGroup", "tranStateTableOffset", "commitLogOffset", "commitOrRollback"); err != nil {
		return err
	}
	switch h.decision {
	case 0, message.FlagTransactionCommit, message.FlagTransactionRollback:
		return nil
	}
	return protocol.Errorf(protocol.CodeSystemError, "commitOrRollback field wrong: %d is none of 0 (unknown), 8 (commit) and 12 (rollback)", h.decision)
}

// endTransaction checks the end of a transaction and puts it into the batch of its connection.
func (b *Broker) endTransaction(ss *session, r *remoting.Request) {
	var h endHeader
	err := decodeEnd(r, &h)
	switch {
	case err != nil:
	case !b.store.Remembers(h.logOffset) && r.Elsewhere():
		return
	case b.halves == nil:
		err = protocol.Errorf(protocol.CodeSlaveNotAvailable, "this broker is a slave (brokerRole=SLAVE) and ends no transactions")
	case h.decision == 0: // it is asked about later
		if !r.IsOneway() { // Apache does not answer, and so does not count it
			r.Conn.Reply(r, &remoting.Answer{})
		}
		return
	default:
		if err = b.addEnd(ss, r, &h); err == nil {
			return
		}
	}
	r.Conn.Reply(r, remoting.ErrorAnswer(err))
}

// ended is the end of a transaction that is being stored.
type ended struct {
	claim
	head    protocol.Head
	asked   remoting.Asked
	commit  bool
	put     int    // of the committed message; -1 when it is there already, or there is none
	topic   string // its own
	waiting bool   // it is counted as undecided
	born    int64  // when the half message was, ms
}

// endBatch is the ends of transactions that one read of a connection brought.
type endBatch struct {
	store.Batch
	b     *Broker
	conn  *remoting.Conn
	ends  []ended
	arena []byte          // half messages, and properties as they are stored
	half  message.Message // the one that is looked at
}

var endBatches = sync.Pool{New: func() any { return new(endBatch) }}

// endBatch returns the batch of a connection.
func (ss *session) endBatch(b *Broker, conn *remoting.Conn, cfg *settings) *endBatch {
	if ss.ends == nil {
		eb := endBatches.Get().(*endBatch)
		if eb.Done == nil {
			eb.Done = eb.done
		}
		eb.b, eb.conn, eb.Wait, eb.Patient = b, conn, cfg.wait(false), true // a decision that was refused must not come into force
		ss.ends = eb
	}
	return ss.ends
}

// addEnd adds the end of a transaction to the connection's batch, or says why it does not count. Nil and no end in the batch
// is a decision that was made before.
func (b *Broker) addEnd(ss *session, r *remoting.Request, h *endHeader) error {
	cfg := b.settings.Load()
	eb := ss.endBatch(b, r.Conn, cfg)
	if err := eb.read(h); err != nil {
		return err
	}
	f := inspectHalf(&eb.half)
	if err := checkEnd(cfg, h, &f, &eb.half); err != nil {
		return err
	}
	commit := h.decision == message.FlagTransactionCommit
	e := ended{head: protocol.ResponseHead(&r.Header, 0, ""), asked: r.Asked(), commit: commit, put: -1, born: eb.half.BornTimestamp}
	var err error
	e.claim, err = b.halves.claim(h.queueOffset, f.root, commit)
	e.waiting = e.before&halfStates == halfOpen
	switch err {
	case nil:
	case errEndedNotKnown:
		if b.halves.findCommitted(&f) { // the broker was killed between it and its op message, which is made up for
			if !commit {
				e.head.Code, e.head.Remark = protocol.CodeIllegalOperation, errEndedUnalike.Error()
			}
			e.commit, e.topic = true, eb.topicOf(&f)
			eb.ends = append(eb.ends, e)
			return nil
		}
	case errEndedLong:
		e.waiting = false
		if err := b.halves.claimEndedLong(&e.claim, &f, commit); err != nil {
			return replyEnded(r, err)
		}
	default:
		return replyEnded(r, err)
	}
	if commit {
		if err := eb.addCommitted(cfg, h, &f, &e); err != nil {
			b.halves.settle(e.claim, halfOpen)
			return err
		}
	}
	e.topic = eb.topicOf(&f)
	eb.ends = append(eb.ends, e)
	return nil
}

// replyEnded answers the end of a transaction that was ended before.
func replyEnded(r *remoting.Request, err error) error {
	switch {
	case errors.Is(err, errEndedAlike):
		r.Conn.Reply(r, &remoting.Answer{Remark: err.Error()})
		return nil
	case errors.Is(err, errEndingNow), errors.Is(err, errEndUnread):
		return &protocol.Error{Code: protocol.CodeSystemBusy, Remark: err.Error()}
	}
	return &protocol.Error{Code: protocol.CodeIllegalOperation, Remark: err.Error()}
}

// claimEndedLong finds out from the log whether a transaction may still be ended of which memory knows nothing more.
func (h *halves) claimEndedLong(c *claim, f *halfFacts, commit bool) error {
	switch committed := h.findCommitted(f); {
	case committed && commit:
		return errEndedAlike
	case committed:
		return errEndedUnalike
	case !commit:
		return errEndedAlike
	case !h.findGivenUp(f):
		return errEndedUnalike
	case !h.claimLate(c.root):
		return errEndingNow
	}
	c.late = true
	return nil
}

// read reads the half message that the end of a transaction is about.
func (eb *endBatch) read(h *endHeader) error {
	b, q := eb.b, eb.b.halves.q
	begin := len(eb.arena)
	get := func() bool {
		eb.arena, _ = b.store.Get(q, h.queueOffset, 1, maxPullBytes, nil, eb.arena[:begin])
		return len(eb.arena) > begin && message.Decode(eb.arena[begin:], &eb.half) == nil && eb.half.LogOffset == h.logOffset
	}
	if h.queueOffset >= 0 && (get() || b.awaitHalf(h) && get()) {
		return nil
	}
	eb.arena = eb.arena[:begin]
	var m message.Message
	rec, err := b.store.MessageAt(h.logOffset)
	if err != nil || message.Decode(rec, &m) != nil || m.Topic != topicHalf {
		return protocol.Errorf(protocol.CodeSystemError, "Find prepared transaction message failed: at log offset %d is no half message", h.logOffset)
	}
	if group, _ := message.Property(m.Properties, message.PropProducerGroup); string(group) != string(h.group) {
		return wrongGroup(group, h)
	}
	return protocol.Errorf(protocol.CodeSystemError, "The transaction state table offset wrong: the half message at log offset %d has the queue offset %d, not %d",
		h.logOffset, m.QueueOffset, h.queueOffset)
}

// awaitHalf waits for a half message that is stored and not visible yet, and says whether it has waited: who sent it may be faster than
// the dispatcher.
func (b *Broker) awaitHalf(h *endHeader) bool {
	for tries := range 1000 {
		if s := b.store.Stats(); h.logOffset < s.Dispatched || h.logOffset >= s.Written {
			return tries > 0 || h.queueOffset < b.halves.q.MaxOffset()
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

func wrongGroup(group []byte, h *endHeader) error {
	return protocol.Errorf(protocol.CodeSystemError, "The producer group wrong: the half message was sent by %q, not by %q", shown(string(group)), shown(string(h.group)))
}

// checkEnd says why a transaction must not be ended so, in Apache's order.
func checkEnd(cfg *settings, h *endHeader, f *halfFacts, m *message.Message) error {
	if !h.fromCheck && len(f.immunity) > 0 {
		most := max(f.immunityMS(cfg), cfg.TransactionTimeout.Milliseconds())
		if age := time.Now().UnixMilli() - m.BornTimestamp; age > most {
			return protocol.Errorf(protocol.CodeIllegalOperation, "the half message is %d ms old and may be ended by its own producer for %d ms only (%s); it waits for its check",
				age, most, message.PropCheckImmunityTime)
		}
	}
	if string(f.group) != string(h.group) {
		return wrongGroup(f.group, h)
	}
	if len(f.topic) == 0 || f.queueID < 0 || f.queueID >= queuesMax {
		return protocol.Errorf(protocol.CodeSystemError, "the half message does not say what it is for: its topic is %q and its queue %d", shown(string(f.topic)), f.queueID)
	}
	return nil
}

// topicOf returns the name of a half message's own topic, without an allocation when the topic is there.
func (eb *endBatch) topicOf(f *halfFacts) string {
	if t := eb.b.topics.get(f.topic); t != nil {
		return t.TopicName
	}
	return string(f.topic)
}

// addCommitted adds the committed message.
func (eb *endBatch) addCommitted(cfg *settings, h *endHeader, f *halfFacts, e *ended) error {
	b, m := eb.b, &eb.half
	begin := len(eb.arena)
	eb.arena = message.AppendPropertiesWithout(eb.arena, m.Properties, message.PropRealTopic, message.PropRealQueueID, message.PropPreparedQueueOffset, message.PropCRC32)
	p := store.Put{Queue: b.queueOf(f.topic, f.queueID)}
	p.Flag, p.ReconsumeTimes, p.BornTimestamp, p.BornHost = m.Flag, m.ReconsumeTimes, m.BornTimestamp, m.BornHost
	p.SysFlag = m.SysFlag&^message.FlagTransaction | message.FlagTransactionCommit
	p.PreparedTransactionOffset = h.logOffset
	p.Body, p.Properties = m.Body, eb.arena[begin:len(eb.arena):len(eb.arena)]
	if f.delayed || f.light {
		var facts propertyFacts
		facts.inspect(p.Properties)
		facts.half = false
		if err := b.place(cfg, &facts, &p); err != nil {
			return err
		}
	}
	if err := b.store.Check(&p); err != nil {
		return sendFailure(cfg, err)
	}
	e.put = len(eb.Puts)
	eb.Puts = append(eb.Puts, p)
	return nil
}

// putEnds hands the connection's ends of transactions to the store.
func (ss *session) putEnds(b *Broker) {
	eb := ss.ends
	ss.ends = nil
	if len(eb.ends) == 0 {
		eb.release()
		return
	}
	offsets := make([]int64, 0, len(eb.ends))
	for i := range eb.ends {
		if !eb.ends[i].late {
			offsets = append(offsets, eb.ends[i].at)
		}
	}
	eb.Puts = b.halves.appendOps(eb.Puts, b.settings.Load(), offsets)
	b.store.Add(&eb.Batch)
}

// appendOps appends op messages that tell of half messages, each of one: brokers before 5.0 take a list for damage, and would ask about all
// that is in it again.
func (h *halves) appendOps(puts []store.Put, cfg *settings, offsets []int64) []store.Put {
	bodies := make([]byte, 0, 20*len(offsets))
	for _, offset := range offsets {
		begin := len(bodies)
		bodies = strconv.AppendInt(bodies, offset, 10)
		p := store.Put{Queue: h.ops}
		p.Body, p.Properties = bodies[begin:len(bodies):len(bodies)], opProperties
		p.BornTimestamp, p.BornHost = time.Now().UnixMilli(), cfg.storeHost
		puts = append(puts, p)
	}
	return puts
}

var opProperties = []byte("TAGS\x01" + opTag + "\x02WAIT\x01true\x02")

// done answers the ends of a batch, in one write.
func (eb *endBatch) done(_ *store.Batch, err error) {
	b, cfg := eb.b, eb.b.settings.Load()
	if errors.Is(err, store.ErrFlushTimeout) {
		err = nil // it is stored, and so it counts
	}
	for i := range eb.Puts {
		if err == nil {
			err = eb.Puts[i].Err
		}
	}
	out := eb.conn.Lock()
	for i := range eb.ends {
		e := &eb.ends[i]
		b.halves.settleEnd(e, err)
		if err != nil {
			a := sendFailure(cfg, err)
			e.head.Code, e.head.Remark = int32(a.Code), a.Remark
		}
		eb.conn.Latencies.Took(e.asked, e.head.Code, 1)
		if e.asked.Oneway {
			continue
		}
		f := protocol.Begin(out, e.head)
		out = f.End(0)
	}
	eb.conn.Unlock(out)
	if err == nil {
		b.counts.moved(kindMoved, eb.Puts)
	} else {
		b.counters.putFailures.Add(int64(len(eb.Puts)))
	}
	conn := eb.conn
	eb.release()
	conn.Flush()
}

func (h *halves) settleEnd(e *ended, err error) {
	switch {
	case err != nil:
		h.settle(e.claim, halfOpen)
		return
	case e.commit:
		h.settle(e.claim, halfCommitted)
		if e.put >= 0 {
			h.b.tallies.add(&metrics.Commits, 1, e.topic)
			h.b.tallies.observe(&metrics.FinishLatency, (time.Now().UnixMilli()-e.born)/1000, e.topic)
		}
	default:
		h.settle(e.claim, halfRolledBack)
		h.b.tallies.add(&metrics.Rollbacks, 1, e.topic)
	}
	if e.waiting {
		h.b.halfCounts.add(e.topic, -1)
	}
}

func (eb *endBatch) release() {
	clear(eb.ends)
	clear(eb.Puts)
	eb.Puts, eb.ends, eb.arena = eb.Puts[:0], eb.ends[:0], eb.arena[:0]
	eb.half = message.Message{Topic: eb.half.Topic}
	eb.b, eb.conn = nil, nil
	if cap(eb.arena) <= 1<<20 && cap(eb.Puts) <= 4096 {
		endBatches.Put(eb)
	}
}
