package broker

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/statefile"
	"github.com/liftoffmq/liftoff/internal/store"
)

// orders are the queues that groups pop in order: what was taken of each last, and until when it is blocked. A queue is blocked as
// long as a message of what was taken last is neither acknowledged nor visible again; only who asks with the same attempt id may
// take it once more meanwhile. The group's consumer offset moves with the acknowledgements.
//
// They are kept in config/consumerOrderInfo.json, written when consumerOffset.json is. A kill may therefore unblock a queue early,
// as with Apache.
type orders struct {
	path string
	b    *Broker

	mu    sync.Mutex // protects the fields below, and what they point to
	table map[string]map[int32]*orderInfo
	dirty bool
}

// orderInfo is one queue of one group. Part of the format of consumerOrderInfo.json.
type orderInfo struct {
	PopTime       int64           `json:"popTime"`
	Invisible     *int64          `json:"i"`
	Offsets       []int64         `json:"o"`  // the first is an offset, the others are distances from it
	NextVisible   map[int64]int64 `json:"ot"` // by offset, of those whose invisible time was changed
	ConsumedCount map[int64]int   `json:"oc"` // by offset, of those that were delivered before
	LastConsumed  int64           `json:"l"`
	Acked         uint64          `json:"cm"` // bits, by place in Offsets
	AttemptID     *string         `json:"a"`

	setBack int64 // ms: when it was seen last that the clock was set back, 0 for never
}

// orderFile is the content of consumerOrderInfo.json, keys topic@group.
type orderFile struct {
	Count int                             `json:"orderInfoCount"`
	Level string                          `json:"orderedConsumptionLevel"`
	Table map[string]map[int32]*orderInfo `json:"table"`
}

// orderKept is how long a queue that is not popped any more is remembered.
const orderKept = 24 * time.Hour

func openOrders(path string, b *Broker) (*orders, error) {
	o := &orders{path: path, b: b, table: map[string]map[int32]*orderInfo{}}
	return o, readState(path, b.log, o.load)
}

func (o *orders) load(data []byte) error {
	var file orderFile
	if err := fastjson.Unmarshal(data, &file); err != nil {
		return err
	}
	clear(o.table)
	for key, queues := range file.Table {
		for id, info := range queues {
			if info == nil || len(info.Offsets) == 0 || len(info.Offsets) > 64 {
				delete(queues, id)
			}
		}
		if queues != nil {
			o.table[key] = queues
		}
	}
	return nil
}

// newOrderInfo is what a pop has taken.
func newOrderInfo(offsets []int64, popTime, invisible int64, attempt string) *orderInfo {
	i := &orderInfo{PopTime: popTime, Invisible: &invisible, LastConsumed: popTime, ConsumedCount: map[int64]int{}, Offsets: slices.Clone(offsets)}
	for at := range i.Offsets[1:] {
		i.Offsets[at+1] -= i.Offsets[0]
	}
	if attempt != "" {
		i.AttemptID = &attempt
	}
	return i
}

// findLocked returns the queue's information, nil when there is none. o.mu is held.
func (o *orders) findLocked(pq *popQueue) *orderInfo {
	if len(o.table) == 0 {
		return nil
	}
	return o.table[topicAtGroup(pq.group.topic, pq.group.group)][pq.id]
}

// offset is that of the i-th message.
func (i *orderInfo) offset(at int) int64 {
	if at == 0 {
		return i.Offsets[0]
	}
	return i.Offsets[0] + i.Offsets[at]
}

// next is where the consumer offset may be: at the first message that is not acknowledged, if one is left, or behind the last.
func (i *orderInfo) next() (offset int64, left bool) {
	for at := range i.Offsets {
		if i.Acked&(1<<at) == 0 {
			return i.offset(at), true
		}
	}
	return i.offset(len(i.Offsets)-1) + 1, false
}

// show makes the message at an offset visible again at a time in ms.
func (i *orderInfo) show(offset, at int64) {
	if i.NextVisible == nil {
		i.NextVisible = map[int64]int64{}
	}
	i.NextVisible[offset] = at
}

func (i *orderInfo) index(offset int64) int {
	for at := range i.Offsets {
		if i.offset(at) == offset {
			return at
		}
	}
	return -1
}

// blockedUntil is when the queue may be popped again, in ms; not after now when it may be at once. What was taken in the future, for the
// clock was set back since, is visible again when its invisible time from now on is over.
func (i *orderInfo) blockedUntil(now int64) int64 {
	if since := cmp.Or(i.setBack, i.PopTime); now < since && i.Invisible != nil && *i.Invisible > 0 {
		i.setBack = now
		for at := range i.Offsets {
			offset := i.offset(at)
			if until, ok := i.NextVisible[offset]; !ok || until > now+*i.Invisible {
				i.show(offset, now+*i.Invisible)
			}
		}
	}
	for at := range i.Offsets {
		if i.Acked&(1<<at) != 0 {
			continue
		}
		until := i.PopTime
		if i.Invisible != nil {
			until += *i.Invisible
		}
		if changed, ok := i.NextVisible[i.offset(at)]; ok {
			until = changed
		}
		if until > now {
			return until
		}
	}
	return now
}

// isBlocked says whether the queue must not be popped now by who asks with this attempt id.
func (o *orders) isBlocked(pq *popQueue, attempt []byte, invisible, now int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := o.findLocked(pq)
	if i == nil || i.AttemptID != nil && *i.AttemptID == string(attempt) {
		return false
	}
	if i.Invisible == nil || *i.Invisible <= 0 {
		i.Invisible = &invisible
	}
	return i.blockedUntil(now) > now
}

// taken blocks the queue with what the request has taken, and adds to its orderCountInfo how often that was delivered before.
func (o *orders) taken(pq *popQueue, p *popRequest, l *popLook) []byte {
	topic := pq.group.topic
	info := newOrderInfo(l.taken, l.popTime, p.invisible, string(p.attempt))
	o.mu.Lock()
	defer o.mu.Unlock()
	if old := o.findLocked(pq); old != nil {
		info.countFrom(old)
	}
	within(o.table, topicAtGroup(topic, pq.group.group))[pq.id] = info
	o.changedLocked(pq, info)
	return info.appendCounts(l.orders, topic, pq.id)
}

// countFrom counts the deliveries of messages that were taken before.
func (i *orderInfo) countFrom(old *orderInfo) {
	if old.AttemptID != nil && i.AttemptID != nil && *old.AttemptID == *i.AttemptID {
		i.ConsumedCount = old.ConsumedCount // the same attempt, once more
		return
	}
	for at := range i.Offsets {
		if offset := i.offset(at); old.index(offset) >= 0 {
			i.ConsumedCount[offset] = old.ConsumedCount[offset] + 1
		}
	}
}

// appendCounts writes the counts for the answer.
func (i *orderInfo) appendCounts(dst []byte, topic string, queue int32) []byte {
	least := math.MaxInt
	for at := range i.Offsets {
		offset := i.offset(at)
		if n, ok := i.ConsumedCount[offset]; ok {
			dst = appendOrderCount(dst, topic, queue, offset, n)
			least = min(least, n)
		}
	}
	if len(i.ConsumedCount) != len(i.Offsets) {
		least = 0
	}
	return appendQueueCount(dst, topic, queue, least)
}

// changedLocked makes the file be written, and who waits for the queue be woken when it is free.
func (o *orders) changedLocked(pq *popQueue, i *orderInfo) {
	o.dirty = true
	o.b.offsets.touch()
	o.armLocked(pq, i)
}

// armLocked makes who waits for the queue be woken when it is free, and says whether it is not free yet.
func (o *orders) armLocked(pq *popQueue, i *orderInfo) (blocked bool) {
	now := time.Now().UnixMilli()
	until := i.blockedUntil(now)
	pending := &o.b.pops.pending
	if pq.order == nil {
		pq.order = &checkPoint{pq: pq, order: true, heapAt: -1}
	}
	if until > now && o.b.settings.Load().PopOrderNotify {
		pending.arm(pq.order, durationMS(until-now))
		return true
	}
	pending.disarm(pq.order)
	return false
}

// blocking is the message that a queue is blocked by, when it was popped and when it will be visible again, ms; ok is false when the
// queue is not blocked.
func (o *orders) blocking(topic, group string, queue int32, now int64) (offset, since, until int64, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := o.table[topicAtGroup(topic, group)][queue]
	if i == nil {
		return 0, 0, 0, false
	}
	if until = i.blockedUntil(now); until <= now {
		return 0, 0, 0, false
	}
	offset, ok = i.next()
	return offset, i.PopTime, until, ok
}

// How an acknowledgement of an orderly popped message went.
const (
	orderAcked   = iota // the consumer offset may be next
	orderIllegal        // it was not taken
	orderStale          // it was taken by another pop since, or may come again
)

// isFirstLeft says whether a message may be acknowledged of a queue of which nobody knows what was taken, as after a kill: only the first
// that the group has not consumed. Nobody knows of those in front of another whether they are done, and they come again with it.
func isFirstLeft(offset, consumed int64, q *store.Queue) bool {
	return offset == max(consumed, q.MinOffset())
}

// ack sets the bit of a message and returns where the consumer offset may be. pq.mu is held.
func (o *orders) ack(pq *popQueue, offset, popTime int64) (next int64, how int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := o.findLocked(pq)
	if i == nil {
		if !isFirstLeft(offset, o.b.offsets.query(pq.group.group, pq.group.topic, pq.id), pq.q) {
			return 0, orderStale
		}
		return offset + 1, orderAcked
	}
	if popTime != i.PopTime {
		return 0, orderStale
	}
	at := i.index(offset)
	if at < 0 {
		return 0, orderIllegal
	}
	i.Acked |= 1 << at
	o.changedLocked(pq, i)
	next, _ = i.next()
	return next, orderAcked
}

// show makes a message visible again at another time, in ms; what was taken by another pop since stays as it is.
func (o *orders) show(pq *popQueue, offset, popTime, at int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := o.findLocked(pq)
	if i == nil || i.PopTime != popTime || i.index(offset) < 0 {
		return
	}
	i.show(offset, at)
	o.changedLocked(pq, i)
}

// unblock forgets what was taken of a queue.
func (o *orders) unblock(pq *popQueue) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.findLocked(pq) != nil {
		delete(o.table[topicAtGroup(pq.group.topic, pq.group.group)], pq.id)
		o.dirty = true
	}
}

// released wakes who waits for a queue that has become free. One whose other messages are not visible again, or that the wall clock still
// blocks, is waited for.
func (o *orders) released(pq *popQueue) {
	o.mu.Lock()
	i := o.findLocked(pq)
	blocked := i != nil && o.armLocked(pq, i)
	o.mu.Unlock()
	if !blocked {
		o.b.holds.wakeQueue(pq.group, pq.id)
	}
}

// remove forgets a topic of a group.
func (o *orders) remove(topic, group string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.table[topicAtGroup(topic, group)]; ok {
		delete(o.table, topicAtGroup(topic, group))
		o.dirty = true
	}
}

// save writes the file if something has changed.
func (o *orders) save() error {
	data, err := o.encode()
	if err != nil || data == nil {
		return err
	}
	if err = statefile.Write(o.path, data); err != nil {
		o.mu.Lock()
		o.dirty = true
		o.mu.Unlock()
	}
	return err
}

func (o *orders) encode() ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.dirty {
		return nil, nil
	}
	o.dirty = false
	o.cleanLocked()
	return fastjson.MarshalIndent(orderFile{Count: len(o.table), Level: "QUEUE", Table: o.table})
}

// cleanLocked forgets queues of topics and groups that are gone, and those that nobody pops any more.
func (o *orders) cleanLocked() {
	before := time.Now().Add(-orderKept).UnixMilli()
	for key, queues := range o.table {
		topic, group, ok := splitTopicAtGroup(key)
		t := o.b.topics.find(topic)
		if !ok || t == nil || o.b.groups.find(group) == nil {
			delete(o.table, key)
			continue
		}
		for id, i := range queues {
			if id >= t.ReadQueueNums || i.LastConsumed < before {
				delete(queues, id)
			}
		}
		if len(queues) == 0 {
			delete(o.table, key)
		}
	}
}
