package broker

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/store"
)

// What is in flight: messages that were popped and are neither acknowledged nor due again.
//
// A pop takes messages of a queue from its next offset on, and leaves a check point in memory that names them. Acknowledgements set
// bits of it; when all are set it is gone, and nothing was written for any of it. What a kill must not take is kept by the group's
// consumer offset: it stays in front of the first check point of the queue that is neither done nor in the revive log. Each time
// before consumerOffset.json is written, save puts the check points that are there still, and the bits that came since, into
// the revive log, all in one batch; so the offset may move past them. A kill therefore brings back what was acknowledged since
// the last writing of consumerOffset.json (flushConsumerOffsetInterval) and nothing older.
//
// When a check point is due, revive (revive.go) copies what is not acknowledged to the group's retry topic. One whose record is in the
// log waits for that record to come out of the timer, so that the log is never ahead of what was done for it.
//
// At most popCkMaxBufferSize check points stay in memory once they are in the log; for the rest the log alone knows, and is
// asked like Apache's. When as many are not in the log yet, they are saved at once; while they cannot be, pops are refused.
type pops struct {
	b         *Broker
	started   atomic.Int64  // ms: check points of older pops are not in memory
	forgotten atomic.Int64  // ms: nor all of those up to then
	revives   atomic.Uint64 // which revive queue is next

	mu      sync.RWMutex // protects the field below
	byTopic map[string]map[string]*popGroup

	pending pendingPoints
	saveMu  sync.Mutex   // one save at a time
	stuck   atomic.Bool  // the last save has failed
	closed  atomic.Int64 // check points that are closed
}

// popMax is the most messages of a check point, whose bits are 32.
const popMax = 32

// popGroup is a group that pops a topic; its retry topics are other popGroups.
type popGroup struct {
	topic, group string
	retry        [2]*popGroup                // V1, V2; nil for those of retry topics
	out          atomic.Pointer[groupCounts] // found at the first message

	mu     sync.RWMutex // protects the field below
	queues map[int32]*popQueue

	popWaits // hold
}

// popQueue is one queue as one group pops it.
type popQueue struct {
	group *popGroup
	id    int32
	q     *store.Queue
	pops  *pops
	since int64 // the consumer offset when this run first met the queue, -1 for none: it pops what lies behind once more

	mu       sync.Mutex // protects the fields below
	next     int64      // where the next pop begins while line is not empty
	line     []*checkPoint
	points   map[pointKey]*checkPoint
	inFlight int         // messages
	order    *checkPoint // in pending while an orderly pop blocks the queue
}

type pointKey struct{ start, popTime int64 }

// checkPoint is what one pop has taken of one queue, or one message whose invisible time was changed. Protected by its queue's mu.
type checkPoint struct {
	pq                        *popQueue
	start, popTime, invisible int64
	next                      int64   // where the pop after it begins
	offsets                   []int32 // distance of each message from start; none when they follow each other
	n                         uint8
	acked, saved              uint32 // bits of the acknowledged messages; those of them that the log knows
	reviveQueue               int32
	stored                    bool // its record is in the log
	storing                   bool // its record is being put
	tried                     bool // its record was put once, and may be in the log though that failed
	arrived                   bool // its record has come out of the timer
	done                      bool // everything is acknowledged, or was copied to the retry topic
	closed                    bool // the log knows all of it, and it is kept until its record has come
	gone                      bool // forgotten with its topic or group: nothing is done for it any more
	suspend                   bool // is delivered again without counting a try
	order                     bool // no check point: its queue may be popped again when it is due
	tries                     int  // how often its messages could not be copied
	children                  int  // changed ones of its messages that are neither done nor stored: nothing may move past it
	root                      *checkPoint
	key                       *logKey // of one that only the log knows; nil otherwise. Does not change

	passed atomic.Bool // the log's reader need not wait for it any more

	// Protected by pending.mu. due of one that only the log knows is when its messages are, and is the reviver's.
	due           time.Time
	heapAt        int // in pending.byDue; -1 when it is not there any more
	inList        bool
	before, after *checkPoint // in the list
}

func (c *checkPoint) reviveTime() int64 { return c.popTime + c.invisible }

func (c *checkPoint) isBefore(other *checkPoint) bool { return c.due.Before(other.due) }
func (c *checkPoint) moveTo(at int)                   { c.heapAt = at }

// offset is where its i-th message lies.
func (c *checkPoint) offset(i int) int64 {
	if len(c.offsets) == 0 {
		return c.start + int64(i)
	}
	return c.start + int64(c.offsets[i])
}

// index is which of its messages lies at an offset, -1 for none.
func (c *checkPoint) index(offset int64) int {
	d := offset - c.start
	switch {
	case d < 0 || d > math.MaxInt32:
		return -1
	case len(c.offsets) == 0 && d < int64(c.n):
		return int(d)
	case len(c.offsets) == 0:
		return -1
	}
	return slices.Index(c.offsets, int32(d))
}

// all has the bits of all its messages.
func (c *checkPoint) all() uint32 { return uint32(1<<c.n - 1) }

// isSettled says whether the consumer offset may move past it.
func (c *checkPoint) isSettled() bool { return (c.done || c.stored) && c.children == 0 }

func newPops(b *Broker) *pops {
	p := &pops{b: b, byTopic: map[string]map[string]*popGroup{}}
	p.started.Store(time.Now().UnixMilli())
	p.forgotten.Store(b.store.Stats().WriteTime) // until then earlier runs have popped, though the clock was set back
	p.pending.wake = make(chan struct{}, 1)
	p.pending.most = max(b.settings.Load().PopMaxBuffer, saveChunk)
	return p
}

// find returns what a group has popped of a topic, nil when that is nothing.
func (p *pops) find(group, topic []byte) *popGroup {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byTopic[string(topic)][string(group)]
}

// of returns a group and topic, made when it is not there yet.
func (p *pops) of(group, topic []byte) *popGroup {
	if pg := p.find(group, topic); pg != nil {
		return pg
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	g, t := string(group), string(topic)
	pg := p.makeLocked(g, t)
	if pg.retry[0] == nil {
		pg.retry = [2]*popGroup{p.makeLocked(g, popRetryTopic(g, t, popRetryV1)), p.makeLocked(g, popRetryTopic(g, t, popRetryV2))}
	}
	return pg
}

func (p *pops) makeLocked(group, topic string) *popGroup {
	groups := within(p.byTopic, topic)
	pg := groups[group]
	if pg == nil {
		pg = &popGroup{topic: topic, group: group, queues: map[int32]*popQueue{}}
		groups[group] = pg
	}
	return pg
}

// all are all groups and topics, in no order.
func (p *pops) all() (list []*popGroup) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, groups := range p.byTopic {
		list = slices.AppendSeq(list, maps.Values(groups))
	}
	return list
}

// queue returns a queue as the group pops it.
func (pg *popGroup) queue(p *pops, q *store.Queue) *popQueue {
	id := q.ID()
	pg.mu.RLock()
	pq := pg.queues[id]
	pg.mu.RUnlock()
	if pq != nil {
		return pq
	}
	pg.mu.Lock()
	defer pg.mu.Unlock()
	if pq = pg.queues[id]; pq == nil {
		pq = &popQueue{group: pg, id: id, q: q, pops: p, since: p.b.offsets.query(pg.group, pg.topic, id), points: map[pointKey]*checkPoint{}}
		pg.queues[id] = pq
	}
	return pq
}

// findQueue returns a queue that the group has popped, nil if it has not.
func (pg *popGroup) findQueue(id int32) *popQueue {
	if pg == nil {
		return nil
	}
	pg.mu.RLock()
	defer pg.mu.RUnlock()
	return pg.queues[id]
}

// freeTimeLocked is the first time, in ms from popTime on, that no check point at start has: a receipt must name one delivery. pq.mu is held.
func (pq *popQueue) freeTimeLocked(start, popTime int64) int64 {
	for pq.points[pointKey{start, popTime}] != nil {
		popTime++
	}
	return popTime
}

// startedBy makes this run one that has popped at a time in ms: that is before its start when the clock was set back.
func (p *pops) startedBy(popTime int64) {
	for {
		started := p.started.Load()
		if popTime >= started || p.started.CompareAndSwap(started, popTime) {
			return
		}
	}
}

// addLocked adds a check point that a pop has made, at a free time; inLine when the consumer offset must wait for it. pq.mu is held.
func (pq *popQueue) addLocked(c *checkPoint, inLine bool) {
	c.pq = pq
	pq.points[pointKey{c.start, c.popTime}] = c
	pq.pops.startedBy(c.popTime)
	if inLine {
		pq.line = append(pq.line, c)
		pq.next = c.next
	}
	pq.inFlight += int(c.n)
	pq.pops.pending.add(c)
	pq.pops.b.offsets.touch()
}

// ackLocked sets the bit of a message, if the check point has it.
func (pq *popQueue) ackLocked(c *checkPoint, offset int64) {
	i := c.index(offset)
	if i < 0 || c.acked&(1<<i) != 0 {
		return
	}
	c.acked |= 1 << i
	pq.inFlight--
	if c.acked == c.all() {
		pq.finishLocked(c)
	} else if c.stored {
		pq.pops.pending.mark(c)
		pq.pops.b.offsets.touch()
	}
}

// finishLocked is for a check point of which nothing is in flight any more.
func (pq *popQueue) finishLocked(c *checkPoint) {
	c.done = true
	c.passLocked()
	pending := &pq.pops.pending
	if c.stored || c.tried { // until the log knows, it must be found when its record comes
		pending.disarm(c)
		pending.mark(c)
		pq.pops.b.offsets.touch()
	} else {
		pending.remove(c)
		pq.dropLocked(c)
	}
	pq.releaseRootLocked(c)
	pq.settleLocked()
}

// releaseRootLocked lets the check point go that c's message was popped with first.
func (pq *popQueue) releaseRootLocked(c *checkPoint) {
	if root := c.root; root != nil {
		root.children--
		c.root = nil
		root.passLocked()
	}
}

// passLocked lets the log's reader move past a check point of which nothing is left to do.
func (c *checkPoint) passLocked() {
	if c.done && c.arrived && c.children == 0 {
		c.passed.Store(true)
	}
}

// settleLocked moves the consumer offset past the settled check points at the front.
func (pq *popQueue) settleLocked() {
	n := 0
	for n < len(pq.line) && pq.line[n].isSettled() {
		n++
	}
	if n == 0 {
		return
	}
	to := pq.line[n-1].next
	clear(pq.line[:n])
	if pq.line = pq.line[n:]; len(pq.line) == 0 {
		pq.line = nil
	}
	pq.commitLocked(to)
}

// commitLocked moves the consumer offset, never back and not away from a reset.
func (pq *popQueue) commitLocked(to int64) {
	o, pg := pq.pops.b.offsets, pq.group
	if to > o.query(pg.group, pg.topic, pq.id) && !o.hasReset(pg.group, pg.topic, pq.id) {
		o.commitText(pg.group, pg.topic, pq.id, to)
	}
}

// restartLocked makes the next pop begin at the consumer offset. What is in flight stays so.
func (pq *popQueue) restartLocked() { pq.line = nil }

// forget drops what is in flight of a topic (group empty), a group (topic empty) or both.
func (p *pops) forget(topic, group string) {
	gone := slices.DeleteFunc(p.all(), func(pg *popGroup) bool { return topic != "" && pg.topic != topic || group != "" && pg.group != group })
	for _, pg := range gone {
		pg.mu.RLock()
		for _, pq := range pg.queues {
			pq.forget()
		}
		pg.mu.RUnlock()
	}
	for _, pg := range gone {
		p.b.orders.remove(pg.topic, pg.group)
	}
}

func (pq *popQueue) forget() {
	pq.mu.Lock()
	defer pq.mu.Unlock()
	for _, c := range pq.points {
		c.gone, c.done = true, true
		c.passed.Store(true)
		pq.pops.pending.remove(c)
		pq.dropLocked(c)
	}
	pq.line, pq.inFlight = nil, 0
}
