package broker

import (
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/store"
)

// Pops and notifications that found no message wait for one in any of several queues: those of the topic, or one of them, and those
// of the group's retry topics. They wait at their popGroup, which asks to be told of messages in these queues as long as somebody
// waits: a message that finds nobody waiting ends that for its queue. Each message wakes one pop of a group, for the others would
// find nothing; one that leaves some wakes the next.
type popWaits struct {
	// Protected by holds.mu.
	pops     []*popRequest // the one that waits longest first
	notes    []*popRequest // notifications
	watching map[*store.Queue]bool
	// forceEvery wakes a pop at each so many messages though its filter does not want them: they are skipped then.
	forceEvery int64
}

// popMargin is how long before its client gives up a held pop is answered.
const popMargin = 50 * time.Millisecond

// holdPop keeps p until a message may be there for it or its time is over; then it is served again.
func (h *holds) holdPop(cfg *settings, p *popRequest, t *topic) int {
	wait := time.Until(p.until) - popMargin
	if wait <= 0 {
		return notHeld
	}
	p.keep()
	if p.sub != nil {
		p.sql = p.sub.size
	}
	pg := p.pg
	h.mu.Lock()
	defer h.mu.Unlock()
	if why := h.mayHoldPopLocked(cfg, &p.held, pg.waitingLocked(p)); why != nowHeld {
		return why
	}
	if pg.watching == nil {
		pg.watching = map[*store.Queue]bool{}
	}
	seen := int64(0)
	for q := range p.queues(cfg, t) {
		h.watchLocked(pg, q)
		seen += q.MaxOffset()
	}
	if seen != p.look.seen {
		return lookAgain
	}
	p.giveRoom()
	p.now = false // who wakes it serves it
	pg.forceEvery = cfg.PopForceNotify
	list := pg.waitList(p)
	*list = append(*list, p)
	h.popsHeld++
	h.pushLocked(&p.held, wait)
	return nowHeld
}

// mayHoldPopLocked is mayHoldLocked for a pop beside so many like it.
func (h *holds) mayHoldPopLocked(cfg *settings, w *held, alike int) int {
	why := h.mayHoldLocked(w)
	if why == nowHeld && (h.popsHeld >= cfg.PopPollingTotal || alike > cfg.PopPollingSize) {
		return pollingFull
	}
	return why
}

// queues are those that walk looks at when it finds nothing.
func (p *popRequest) queues(cfg *settings, t *topic) func(func(*store.Queue) bool) {
	return func(yield func(*store.Queue) bool) {
		each := func(t *topic) bool {
			for id := range t.readQueues() {
				if q := t.queue(id); q != nil && !yield(q) {
					return false
				}
			}
			return true
		}
		if p.queueID >= 0 {
			if q := t.queue(p.queueID); q != nil && !yield(q) {
				return
			}
		} else if !each(t) {
			return
		}
		for i, pg := range p.pg.retry {
			if pg == nil || p.order || !cfg.popsRetry(i == 0) {
				continue
			}
			if t := p.b.topics.find(pg.topic); t != nil && !each(t) {
				return
			}
		}
	}
}

// waitList is where a request waits.
func (w *popWaits) waitList(p *popRequest) *[]*popRequest {
	if p.code == protocol.ReqNotification {
		return &w.notes
	}
	return &w.pops
}

// waitingLocked is how many requests like p wait.
func (w *popWaits) waitingLocked(p *popRequest) (n int) {
	for _, other := range *w.waitList(p) {
		if other.queueID == p.queueID {
			n++
		}
	}
	return n
}

// waitingPops is how many pops of a group wait for a queue, or with -1 for all queues.
func (h *holds) waitingPops(pg *popGroup, queue int32) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range pg.pops {
		if p.queueID == queue {
			n++
		}
	}
	return n
}

// watchLocked makes messages in q be told to pg.
func (h *holds) watchLocked(pg *popGroup, q *store.Queue) {
	if !pg.watching[q] {
		pg.watching[q] = true
		h.pops[q] = append(h.pops[q], pg)
		q.Watch(1)
	}
}

// watchFor makes messages in q be told to those who wait at pg already, for q is new.
func (h *holds) watchFor(pg *popGroup, q *store.Queue) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if q != nil && len(pg.pops)+len(pg.notes) > 0 {
		h.watchLocked(pg, q)
	}
}

func (h *holds) unwatchLocked(pg *popGroup, q *store.Queue) {
	delete(pg.watching, q)
	dropFrom(h.pops, q, pg)
	q.Watch(-1)
}

// keep gives the request bytes of its own, for those it has lie in its connection's read buffer.
func (p *popRequest) keep() {
	if p.asked.Held {
		return
	}
	p.asked.Held = true
	p.buf = ownBytes(p.buf, &p.group, &p.topic, &p.expression, &p.expressionType, &p.attempt)
	p.text = len(p.buf)
}

func (p *popRequest) leaveLocked(h *holds) {
	list := p.pg.waitList(p)
	*list = without(*list, p)
	h.popsHeld--
}

// arrivedForPops wakes who waits for the message in front of nextOffset.
func (h *holds) arrivedForPops(q *store.Queue, nextOffset, tagsCode int64) {
	var room [8]*popRequest
	ready := room[:0]
	h.mu.Lock()
	groups := h.pops[q]
	for i := len(groups) - 1; i >= 0; i-- { // unwatchLocked takes some out
		pg := groups[i]
		if len(pg.pops)+len(pg.notes) == 0 {
			h.unwatchLocked(pg, q)
			continue
		}
		ready = pg.wakeLocked(h, ready, q, nextOffset, tagsCode)
	}
	h.mu.Unlock()
	for _, p := range ready {
		p.resume()
	}
}

// wakeLocked takes those out of the lists that shall look for a message in q: of pops the first that waits for all queues and the
// first that waits for this one, and the last notification.
func (w *popWaits) wakeLocked(h *holds, ready []*popRequest, q *store.Queue, nextOffset, tagsCode int64) []*popRequest {
	force := false
	if n := w.forceEvery; n > 0 {
		force = (nextOffset-1)%n == 0
	}
	wants := func(p *popRequest) bool { return force || p.sub == nil || p.sub.wants(tagsCode) }
	var forAll, forOne *popRequest
	var room [4]*popRequest
	gone := room[:0]
	for _, p := range w.pops {
		switch own := string(p.topic) == q.Topic(); {
		case p.conn.IsClosed():
			gone = append(gone, p)
		case !wants(p):
		case p.queueID < 0:
			if forAll == nil {
				forAll = p
			}
		case p.queueID == q.ID() || !own:
			if forOne == nil {
				forOne = p
			}
		}
		if forAll != nil && forOne != nil {
			break
		}
	}
	for i := len(w.notes) - 1; i >= 0; i-- { // first, for a pop may leave nothing to tell of
		p := w.notes[i]
		if p.conn.IsClosed() {
			gone = append(gone, p)
		} else if wants(p) && (p.queueID < 0 || p.queueID == q.ID() || string(p.topic) != q.Topic()) {
			h.removeLocked(&p.held)
			ready = append(ready, p)
			break
		}
	}
	for _, p := range gone {
		h.removeLocked(&p.held)
	}
	for _, p := range [...]*popRequest{forAll, forOne} {
		if p != nil {
			h.removeLocked(&p.held)
			ready = append(ready, p)
		}
	}
	return ready
}

// wakePops serves pops that wait like one that has left messages, as long as each leaves some. queue is what they wait for, -1 for
// all queues.
func (h *holds) wakePops(pg *popGroup, queue int32) {
	for pg != nil {
		h.mu.Lock()
		var p *popRequest
		for _, other := range pg.pops {
			if other.queueID == queue {
				p = other
				break
			}
		}
		if p != nil {
			h.removeLocked(&p.held)
		}
		h.mu.Unlock()
		if p == nil {
			return
		}
		pg, queue = p.serveWoken()
	}
}

// serveWoken serves a pop that another one wakes, and returns whom it wakes in turn.
func (p *popRequest) serveWoken() (wake *popGroup, queue int32) {
	conn := p.conn
	defer survive(p.b.log, conn, p.asked.Code) // what it does is not the other's doing
	_, wake, queue, _ = p.serveOnce()
	conn.Flush()
	return wake, queue
}

// wakeQueue serves who waits at pg for a queue that may be popped again.
func (h *holds) wakeQueue(pg *popGroup, queue int32) {
	h.wakePops(pg, -1)
	h.wakePops(pg, queue)
}
