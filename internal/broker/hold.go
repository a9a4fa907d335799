package broker

import (
	"container/heap"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// holdMax is the longest time that a pull is held, whatever its client asks for.
const holdMax = 10 * time.Minute

// holds keeps requests that found no message: by queue, for the dispatcher to wake, and by deadline. A waiting request is a
// record in a few lists, not a goroutine; it goes when its connection does (holder.go). One timer stands at the earliest deadline,
// or earlier: it is not moved when that request is answered before, but looks again when it fires. What waits for pops is in
// pophold.go.
type holds struct {
	mu         sync.Mutex // protects the fields below
	byQueue    map[*store.Queue][]*pull
	pops       map[*store.Queue][]*popGroup // who wants to hear of messages in a queue
	popsHeld   int64
	bytes      int64 // that what waits costs
	bytesMost  int64 // that it may cost
	byDeadline heapOf[*held]
	timer      *time.Timer
	fires      time.Time // when the timer does; zero when it is off
	closed     bool
	expiring   sync.WaitGroup
}

// held is a request that may wait: what its answer needs, and what holds needs of it while it does. It lies in the request.
type held struct {
	b     *Broker
	conn  *remoting.Conn
	head  protocol.Head // of the answer
	asked remoting.Asked

	request  waiter // the request itself
	deadline time.Time
	heapAt   int // in holds.byDeadline

	holder     *holder // whose it is
	text       int     // bytes of text that it keeps
	sql        int     // bytes of memory that its own SQL expression takes
	prev, next *held   // in holder
}

func (w *held) isBefore(other *held) bool { return w.deadline.Before(other.deadline) }
func (w *held) moveTo(at int)             { w.heapAt = at }

// How holding a request went.
const (
	nowHeld     = iota
	notHeld     // its time is over, or nothing is held any more
	pollingFull // too many wait
	holderFull  // too many of this connection do
	holdsFull   // too many of all connections do
	lookAgain   // a message has come since it has looked
)

// A waiter is a request that may be held.
type waiter interface {
	// leaveLocked takes it out of the list that arrivals look at; holds.mu is held.
	leaveLocked(*holds)
	// serveAgain serves it when a message may be there, or its time is over.
	serveAgain()
}

// begin is for a request that has just come.
func (w *held) begin(b *Broker, ss *session, r *remoting.Request, request waiter) {
	w.b, w.conn, w.head, w.asked = b, r.Conn, protocol.ResponseHead(&r.Header, 0, ""), r.Asked()
	w.request, w.holder = request, &ss.held
}

// refuse answers the request with an error; the caller or the connection's read loop flushes it.
func (w *held) refuse(err error) {
	a := remoting.ErrorAnswer(err)
	w.head.Code, w.head.Remark = int32(a.Code), a.Remark
	w.conn.Latencies.Took(w.asked, w.head.Code, 1)
	if !w.asked.Oneway {
		f := protocol.Begin(w.conn.Lock(), w.head)
		w.conn.Unlock(f.End(0))
	}
}

// resume serves a request that was held, on a goroutine of others, whom a panic must not reach, and sends the answer.
func (w *held) resume() {
	conn, log, code := w.conn, w.b.log, w.asked.Code // the request may be given back then
	defer survive(log, conn, code)
	w.request.serveAgain()
	conn.Flush()
}

// survive is deferred where a held request is answered: it ends a panic there.
func survive(log *slog.Logger, conn *remoting.Conn, code int32) {
	if e := recover(); e != nil {
		log.Error("panic while answering a held request", "code", code, "addr", conn.RemoteAddr(), "err", fmt.Sprint(e), "stack", string(debug.Stack()))
	}
}

func (h *holds) open() {
	h.byQueue = make(map[*store.Queue][]*pull)
	h.pops = make(map[*store.Queue][]*popGroup)
	h.bytesMost = holdsMost(logfile.PhysicalMemory(), debug.SetMemoryLimit(-1))
	h.timer = time.AfterFunc(time.Hour, h.expire)
	h.timer.Stop()
}

// hold keeps p until a message that it wants is in q or the time is over; then it is served again.
func (h *holds) hold(p *pull, q *store.Queue, sub *subscription, wait time.Duration) {
	p.keep()
	p.queue, p.sub, p.sql = q, sub, sub.size
	switch h.add(p, wait) {
	case holderFull: // an answer without messages would be followed by the next pull at once
		p.refuse(protocol.Errorf(protocol.CodeSystemBusy, "[OVERLOAD]system busy, start flow control for a while: what waits for messages on this connection may cost %d bytes of memory, and does; "+
			"use fewer, shorter expressions or more connections", holderMax))
	case holdsFull:
		p.refuse(protocol.Errorf(protocol.CodeSystemBusy, "[OVERLOAD]system busy, start flow control for a while: what waits for messages on all connections may cost %d bytes of memory, a quarter of what "+
			"there is, and does", h.bytesMost))
	case notHeld:
		p.resume()
	}
}

// again holds a pull that was woken by messages which its filter on records turned out not to want, so that a consumer that wants few
// messages is not answered for each. It says whether it did.
func (h *holds) again(p *pull, next int64) bool {
	wait := time.Until(p.deadline)
	if wait <= 0 {
		return false
	}
	p.offset = next
	return h.add(p, wait) == nowHeld
}

// add puts a pull into the lists. It is not added when nothing is held any more, or there is a message already.
func (h *holds) add(p *pull, wait time.Duration) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if why := h.mayHoldLocked(&p.held); why != nowHeld {
		return why
	}
	p.queueAt = len(h.byQueue[p.queue])
	h.byQueue[p.queue] = append(h.byQueue[p.queue], p)
	h.pushLocked(&p.held, wait)
	p.queue.Watch(1)
	if p.queue.MaxOffset() > p.offset { // came between the look and Watch
		h.removeLocked(&p.held)
		return notHeld
	}
	return nowHeld
}

// pushLocked makes the request be served again after wait at the latest.
func (h *holds) pushLocked(w *held, wait time.Duration) {
	w.deadline = time.Now().Add(wait)
	heap.Push(&h.byDeadline, w)
	w.holder.addLocked(w)
	h.bytes += int64(w.cost())
	if h.fires.IsZero() || w.deadline.Before(h.fires) {
		h.fires = w.deadline
		h.timer.Reset(wait)
	}
}

// keep gives the pull bytes of its own, for those it has lie in its connection's read buffer.
func (p *pull) keep() {
	p.asked.Held = true
	if p.sysFlag&pullSubscription == 0 {
		p.expression, p.expressionType = nil, nil
	}
	p.buf = ownBytes(p.buf, &p.group, &p.topic, &p.lite, &p.expression, &p.expressionType)
	p.text = len(p.buf)
}

// ownBytes copies parts that lie in a connection's read buffer to buf, one behind the other, and returns it.
func ownBytes(buf []byte, parts ...*[]byte) []byte {
	buf = buf[:0]
	for _, part := range parts {
		buf = append(buf, *part...)
	}
	rest := buf
	for _, part := range parts {
		n := len(*part)
		*part, rest = rest[:n:n], rest[n:]
	}
	return buf
}

func (p *pull) serveAgain() {
	if p.conn.IsClosed() { // who waited is gone: what it would take, a reset too, is for others
		p.release()
		return
	}
	p.serve(nil)
}

// arrived serves the pulls that wait for a message in q, which the store has just made visible.
func (h *holds) arrived(q *store.Queue, nextOffset, tagsCode int64) {
	var room [8]*pull
	ready := room[:0]
	h.mu.Lock()
	for _, p := range h.byQueue[q] {
		if p.offset < nextOffset && p.sub.wants(tagsCode) {
			ready = append(ready, p)
		}
	}
	for _, p := range ready {
		h.removeLocked(&p.held)
	}
	groups := h.pops[q]
	h.mu.Unlock()
	for _, p := range ready {
		p.resume()
	}
	if len(groups) > 0 {
		h.arrivedForPops(q, nextOffset, tagsCode)
	}
}

// release serves the pulls that wait for a queue, of one group or, for "", of all, because something has changed for them.
func (h *holds) release(q *store.Queue, group string) {
	var ready []*pull
	h.mu.Lock()
	for _, p := range h.byQueue[q] {
		if group == "" || string(p.group) == group {
			ready = append(ready, p)
		}
	}
	for _, p := range ready {
		h.removeLocked(&p.held)
	}
	h.mu.Unlock()
	for _, p := range ready {
		p.resume()
	}
}

// removeLocked takes a request out of all lists.
func (h *holds) removeLocked(w *held) {
	heap.Remove(&h.byDeadline, w.heapAt)
	w.holder.removeLocked(w)
	h.bytes -= int64(w.cost())
	w.request.leaveLocked(h)
}

func (p *pull) leaveLocked(h *holds) {
	list := h.byQueue[p.queue]
	end := len(list) - 1
	list[p.queueAt] = list[end]
	list[p.queueAt].queueAt = p.queueAt
	list[end] = nil
	list = list[:end]
	h.byQueue[p.queue] = list
	if len(list) == 0 && (cap(list) > 64 || store.IsLight(p.queue.Topic())) { // it would keep a light queue that is gone
		delete(h.byQueue, p.queue)
	}
	p.queue.Watch(-1)
}

// expire serves the requests whose time is over, and sets the timer to the next.
func (h *holds) expire() {
	now := time.Now()
	var over []*held
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	h.expiring.Add(1)
	defer h.expiring.Done()
	for len(h.byDeadline) > 0 && !h.byDeadline[0].deadline.After(now) {
		w := h.byDeadline[0]
		h.removeLocked(w)
		over = append(over, w)
	}
	h.fires = time.Time{}
	if len(h.byDeadline) > 0 {
		h.fires = h.byDeadline[0].deadline
		h.timer.Reset(h.fires.Sub(now))
	}
	h.mu.Unlock()
	for _, w := range over {
		w.resume()
	}
}

// close answers all held requests, as if their time were over: a client that hears nothing would wait for its own timeout
// before it looks for another broker. Nothing is held any more.
func (h *holds) close() {
	h.mu.Lock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
	left := slices.Clone(h.byDeadline)
	for _, w := range left {
		h.removeLocked(w)
	}
	h.mu.Unlock()
	for _, w := range left {
		w.resume()
	}
	h.expiring.Wait()
}
