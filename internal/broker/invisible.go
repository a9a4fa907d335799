package broker

import (
	"errors"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// CHANGE_MESSAGE_INVISIBLETIME 200053.
//
// Behaviour: a message that is in flight is delivered to the group again so long from now, and has a new receipt.
// Differs from Apache: for a message that is certainly not in flight any more it is refused with NO_MESSAGE.

// changeInvisible makes a message that is in flight visible again at another time.
func (b *Broker) changeInvisible(_ *session, r *remoting.Request) {
	answer, old, err := b.change(r)
	switch {
	case err != nil:
		r.Conn.Reply(r, remoting.ErrorAnswer(err))
	case old != nil:
		d := r.Later()
		b.beside.Go(func() { remoting.Guard(d, func() { b.changeInLog(d, answer, old) }) })
	default:
		r.Conn.Reply(r, &remoting.Answer{Header: answer})
	}
}

// change does it in memory. When the log must be told of the delivery that the message had, it returns the acknowledgement of that.
func (b *Broker) change(r *remoting.Request) (answer *protocol.ChangeInvisibleResponseHeader, old *store.Put, err error) {
	var h ackHeader
	m, err := b.poppedOf(r, &h)
	cfg := b.settings.Load()
	if err == nil {
		err = checkInvisible(cfg, h.invisible)
	}
	if err != nil {
		return nil, nil, err
	}
	if m.lite != "" {
		return b.changeLite(&m, &h), nil, nil
	}
	now := time.Now().UnixMilli()
	answer = &protocol.ChangeInvisibleResponseHeader{PopTime: now, InvisibleTime: h.invisible, ReviveQid: m.reviveQueue}
	if m.reviveQueue == orderlyRevive {
		pq := b.pops.of(m.group, m.name).queue(b.pops, m.queue)
		pq.mu.Lock()
		defer pq.mu.Unlock()
		if m.offset >= b.offsets.query(pq.group.group, pq.group.topic, pq.id) {
			b.orders.show(pq, m.offset, m.popTime, now+h.invisible)
			answer.PopTime, answer.InvisibleTime = m.popTime, now+h.invisible-m.popTime
		}
		return answer, nil, nil
	}
	popTime, inLog, err := b.changePoint(&m, &h, now)
	if err != nil {
		return nil, nil, err
	}
	answer.PopTime = popTime
	if inLog {
		put := b.ackOf(&m, m.offset)
		old = &put
	}
	return answer, old, nil
}

// changeInLog puts the acknowledgement of the old delivery behind the check point of the new one, and answers.
func (b *Broker) changeInLog(r *remoting.Request, answer *protocol.ChangeInvisibleResponseHeader, old *store.Put) {
	reply := &remoting.Answer{Header: answer}
	err := errNotKept
	if !b.pops.save() {
		err = b.putNow(*old)
	}
	if err != nil {
		reply = &remoting.Answer{Code: protocol.CodeSystemError, Remark: "the invisible time could not be changed: " + err.Error()}
	}
	r.Conn.Reply(r, reply)
	r.Conn.Flush()
}

var errNotKept = errors.New("its new check point cannot be stored; the broker's log says why")

// changePoint gives a message a check point of its own, and acknowledges it in the one it had. inLog says that the log must be told of
// that, for memory does not know the old one.
func (b *Broker) changePoint(m *popped, h *ackHeader, now int64) (popTime int64, inLog bool, err error) {
	pq := b.pops.of(m.group, h.topic).queue(b.pops, m.queue)
	pq.mu.Lock()
	defer pq.mu.Unlock()
	old := pq.points[pointKey{m.start, m.popTime}]
	switch i := -1; {
	case string(m.broker) != b.settings.Load().Name:
		old = nil
	case old != nil:
		if i = old.index(m.offset); i < 0 || old.acked&(1<<i) != 0 {
			return 0, false, notInFlight(m)
		}
	case b.pops.isOver(m.popTime):
		return 0, false, notInFlight(m)
	}
	c := &checkPoint{start: m.offset, popTime: pq.freeTimeLocked(m.offset, now), invisible: h.invisible, next: m.offset + 1, n: 1, reviveQueue: m.reviveQueue, suspend: h.suspend}
	if old != nil {
		if root := old.rootOf(pq); root != nil {
			c.root = root
			root.children++
		}
	}
	pq.addLocked(c, false)
	if old != nil {
		pq.ackLocked(old, m.offset)
		b.counts.acked(pq.group.counts(b.counts))
	}
	return c.popTime, old == nil, nil
}

// rootOf is the check point that the consumer offset or the log's reader waits at as long as a message of c is only in memory; nil when
// none does.
func (c *checkPoint) rootOf(pq *popQueue) *checkPoint {
	if c.root != nil {
		return c.root
	}
	if c.stored || c.tried {
		return c
	}
	for _, other := range pq.line {
		if other == c {
			return c
		}
	}
	return nil
}

func notInFlight(m *popped) error {
	return protocol.Errorf(protocol.CodeNoMessage, "the message at offset %d of topic %s, queue %d is not in flight by this receipt handle: it was acknowledged, its time is over, or it has a newer handle",
		m.offset, m.topic.TopicName, m.queue.ID())
}
