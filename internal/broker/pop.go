package broker

import (
	"strconv"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// POP_MESSAGE 200050, PEEK_MESSAGE 200052.
//
// Behaviour: a pop takes messages from one queue of a topic or from all, and from the group's pop retry topics. They are the
// popping client's for the invisible time; what is not acknowledged by then is delivered again (revive.go). With order a
// queue is popped by one client at a time, in order (poporder.go). What finds nothing is held (pophold.go). A peek shows the same
// messages and takes none.
// Differs from Apache: what is in flight is in memory first (inflight.go), a held pop is answered when the message is there, and an
// invisible time that the timer cannot keep is refused.

// popRequest is one request that looks for messages of a group: a pop, a peek, or a notification.
type popRequest struct {
	held
	code int

	group, topic, expression, expressionType, attempt []byte
	queueID, maxMsgs, initMode                        int32
	invisible, pollMS                                 int64
	until                                             time.Time // it may wait
	order                                             bool

	buf  []byte  // what the byte slices above lie in while held
	room *[]byte // of scratch, that look.body lies in; nil while held
	now  bool    // it is served where nobody may wait for the disk
	sub  *subscription
	pg   *popGroup

	look popLook
}

var popRequests = sync.Pool{New: func() any { return new(popRequest) }}

// decodePop reads the header of any of the three in place.
func decodePop(r *remoting.Request, p *popRequest) error {
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
		case "maxMsgNums":
			p.maxMsgs, ok = parseInt32(v)
			bit = 8
		case "invisibleTime":
			p.invisible, ok = protocol.ParseInt(v)
			bit = 16
		case "pollTime":
			p.pollMS, ok = protocol.ParseInt(v)
			bit = 32
		case "bornTime":
			_, ok = protocol.ParseInt(v) // by another clock
			bit = 64
		case "initMode":
			p.initMode, ok = parseInt32(v)
			bit = 128
		case "exp":
			p.expression = v
		case "expType":
			p.expressionType = v
		case "order":
			p.order = protocol.IsTrue(v)
		case "attemptId":
			p.attempt = v
		}
		if !ok {
			return errNotNumber(r.Fields[i].Key, v)
		}
		have |= bit
	}
	need := uint16(255)
	switch p.code {
	case protocol.ReqPeekMessage:
		need = 1 | 2 | 4 | 8
	case protocol.ReqNotification:
		need = 1 | 2 | 4 | 32 | 64
	}
	if err := missingField(have, need, "consumerGroup", "topic", "queueId", "maxMsgNums", "invisibleTime", "pollTime", "bornTime", "initMode"); err != nil {
		return err
	}
	p.until = pollUntil(r, p.pollMS)
	return nil
}

// popMessage serves a pop, a peek or a notification that has just come.
func (b *Broker) popMessage(ss *session, r *remoting.Request) {
	if ss.cold > 0 && r.Elsewhere() {
		return
	}
	p := popRequests.Get().(*popRequest)
	p.begin(b, ss, r, p)
	p.code = int(r.Code)
	if err := decodePop(r, p); err != nil {
		p.refuse(err)
		return
	}
	begun := r.Age()
	p.now = !r.MayWait()
	elsewhere := p.serve()
	if ss.cold = max(ss.cold-1, 0); elsewhere || r.Age()-begun > time.Millisecond {
		ss.cold = coldPops
	}
	if elsewhere {
		r.Elsewhere()
	}
}

// coldPops is how many pops follow one that has waited for the disk before a connection's pops are taken to be quick again.
const coldPops = 32

// release gives the request back. Nobody may use it afterwards.
func (p *popRequest) release() {
	p.giveRoom()
	l := &p.look
	*p = popRequest{buf: p.buf[:0], look: popLook{starts: l.starts[:0], offsets: l.offsets[:0], orders: l.orders[:0], taken: l.taken[:0]}}
	popRequests.Put(p)
}

// giveRoom gives back what records were read into: many requests wait, and few read.
func (p *popRequest) giveRoom() {
	if p.room == nil {
		return
	}
	if cap(p.look.body) <= 512<<10 {
		*p.room = p.look.body[:0]
	}
	scratch.Put(p.room)
	p.room, p.look.body = nil, nil
}

// refuse ends the request with an error.
func (p *popRequest) refuse(err error) {
	p.held.refuse(err)
	p.release()
}

// reply writes the answer and gives the request back; the caller or the connection's read loop flushes it.
func (p *popRequest) reply(fields func(*protocol.Frame), body []byte) {
	p.conn.Latencies.Took(p.asked, p.head.Code, 1)
	if !p.asked.Oneway {
		out := p.conn.Lock()
		f := protocol.Begin(out, p.head)
		fields(&f)
		out = f.End(len(body))
		p.conn.Unlock(append(out, body...))
	}
	p.release()
}

// popLate is how long past its time a pop may be served.
const popLate = 500 * time.Millisecond

// pollUntil is until when a pop that has come may wait of pollMS. Its bornTime does not count: the client's clock may be minutes behind this
// one, or ahead.
func pollUntil(r *remoting.Request, pollMS int64) time.Time {
	return time.Now().Add(min(durationMS(pollMS), holdMax) - r.Age())
}

// check finds what the request is about, and says why it must not be served.
func (p *popRequest) check(cfg *settings) (*topic, *group, error) {
	b, doing := p.b, "peeking"
	if p.code == protocol.ReqPopMessage {
		doing = "pop"
		if err := p.checkPop(cfg); err != nil {
			return nil, nil, err
		}
	}
	if err := cfg.checkRead(doing); err != nil {
		return nil, nil, err
	}
	t, err := b.readableTopic(p.topic, "peeking")
	if err != nil {
		return nil, nil, err
	}
	if p.queueID >= t.readQueues() {
		return nil, nil, illegalQueue(protocol.CodeInvalidParameter, t, p.topic, p.queueID, p.conn)
	}
	g, err := b.consumingGroup(cfg, p.group)
	if err != nil {
		return nil, nil, err
	}
	return t, g, nil
}

// errPopLate refuses a pop whose client has given up by now.
func errPopLate(cfg *settings, late time.Duration) error {
	return protocol.Errorf(protocol.CodePollingTimeout, "the broker[%s] pop message is timeout too much: its pollTime was over %d ms ago", cfg.BrokerIP1, late.Milliseconds())
}

func (p *popRequest) checkPop(cfg *settings) error {
	if late := time.Since(p.until); late > popLate && p.pollMS > 0 && !p.asked.Held {
		return errPopLate(cfg, late)
	}
	if p.maxMsgs > popMax {
		return protocol.Errorf(protocol.CodeInvalidParameter, "the broker[%s] pop message's num is greater than %d: maxMsgNums=%d", cfg.BrokerIP1, popMax, p.maxMsgs)
	}
	if !cfg.TimerWheel {
		return protocol.Errorf(protocol.CodeSystemError, "the broker[%s] pop message is forbidden because timerWheelEnable is false", cfg.BrokerIP1)
	}
	if cfg.BrokerRole == config.Slave {
		return protocol.Errorf(protocol.CodeNoPermission, "the broker[%s] pop message is forbidden: it is a slave (brokerRole=SLAVE)", cfg.BrokerIP1)
	}
	if p.b.pops.stuck.Load() && p.b.pops.pending.isFull() {
		return protocol.Errorf(protocol.CodeSystemBusy, "[REJECTREQUEST]system busy, start flow control for a while: what is in flight cannot be stored, and is more than %d pops (popCkMaxBufferSize)", p.b.pops.pending.most)
	}
	return checkInvisible(cfg, p.invisible)
}

// checkInvisible refuses an invisible time that the timer, which the revive log goes through, would not keep.
func checkInvisible(cfg *settings, ms int64) error {
	if most := cfg.invisibleMax(); ms > most {
		return protocol.Errorf(protocol.CodeInvalidParameter, "invisibleTime=%d ms is longer than the broker can keep: %d ms (timerMaxDelaySec)", ms, most)
	}
	return nil
}

// subscription is what the request wants: everything when it brings no expression, or a notification's has no type. SQL needs no
// enablePropertyFilter here, as in Apache.
func (p *popRequest) subscription() (*subscription, error) {
	if len(p.expression) == 0 || p.code == protocol.ReqNotification && len(p.expressionType) == 0 {
		return everything, nil
	}
	return p.b.subscriptionOf(p.group, p.topic, p.expression, p.expressionType)
}

// serve answers the request, or holds it. When it leaves messages that others may want, they are woken. It says whether it has done neither, for
// the request must be served where it may wait for the disk.
func (p *popRequest) serve() (elsewhere bool) {
	b, pg, queue, elsewhere := p.serveOnce()
	if pg != nil {
		b.holds.wakePops(pg, queue)
	}
	return elsewhere
}

func (p *popRequest) serveAgain() { p.serve() }

// serveOnce is serve without waking others: it returns whom to wake.
func (p *popRequest) serveOnce() (b *Broker, wake *popGroup, queue int32, elsewhere bool) {
	b = p.b
	if p.asked.Held && p.conn.IsClosed() { // who waited is gone, and must not take messages from others
		return b, p.pg, p.queueID, false
	}
	cfg := b.settings.Load()
	t, g, err := p.check(cfg)
	if err == nil && p.sub == nil {
		p.sub, err = p.subscription()
	}
	if err != nil {
		p.refuse(err)
		return b, nil, 0, false
	}
	if p.pg == nil {
		p.pg = b.pops.of(p.group, p.topic)
	}
	l := &p.look
	p.walk(cfg, t, g)
	for l.count == 0 && !l.has && !l.cold && p.code != protocol.ReqPeekMessage {
		why := b.holds.holdPop(cfg, p, t)
		if why == nowHeld { // somebody else may be serving it already
			return b, nil, 0, false
		}
		if why == notHeld {
			p.head.Code = protocol.CodePollingTimeout
			break
		}
		if why == pollingFull || why == holderFull || why == holdsFull {
			p.head.Code = protocol.CodePollingFull
			break
		}
		p.walk(cfg, t, g)
	}
	if l.cold && l.count == 0 && !l.has {
		p.release()
		return b, nil, 0, true
	}
	if l.count > 0 && l.rest > 0 && p.code == protocol.ReqPopMessage {
		wake, queue = p.pg, p.queueID
	}
	if l.cold && wake != nil { // they would wait for the disk
		pg, queue := wake, queue
		b.beside.Go(func() {
			defer endPanic(b.log, "pops that wait are not woken")
			b.holds.wakePops(pg, queue)
		})
		wake = nil
	}
	p.answer()
	return b, wake, queue, false
}

// answer writes what the walk has found.
func (p *popRequest) answer() {
	l := &p.look
	if l.count > 0 {
		p.b.counts.read(p.pg.counts(p.b.counts), p.queueID, time.Now().UnixMilli()-l.popTime)
	}
	if p.code == protocol.ReqNotification {
		full := p.head.Code == protocol.CodePollingFull
		p.head.Code = protocol.CodeSuccess
		p.reply(func(f *protocol.Frame) {
			f.Str("hasMsg", strconv.FormatBool(l.has))
			f.Str("pollingFull", strconv.FormatBool(full))
		}, nil)
		return
	}
	p.head.Remark = store.Found.String()
	if l.count == 0 {
		p.head.Remark = store.NoMessageInQueue.String()
		if p.code == protocol.ReqPeekMessage {
			p.head.Code = protocol.CodePullNotFound
		}
	}
	p.reply(func(f *protocol.Frame) {
		f.Int("popTime", l.popTime)
		f.Int("invisibleTime", p.invisible)
		f.Int("reviveQid", int64(l.reviveQueue))
		f.Int("restNum", l.rest)
		if p.code == protocol.ReqPeekMessage {
			return
		}
		f.Plain("startOffsetInfo", l.starts)
		f.Plain("msgOffsetInfo", l.offsets)
		if p.order {
			f.Plain("orderCountInfo", l.orders)
		}
	}, l.body)
}

// invisibleMax is the longest invisible time, in ms.
func (s *settings) invisibleMax() int64 { return s.TimerMaxDelay.Milliseconds() }
