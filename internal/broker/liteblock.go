package broker

import (
	"container/heap"
	"time"
)

// A liteBlock is what a group has taken of a lite topic last: until all of it is acknowledged or its time is over, nobody of the group
// gets more of it, but with the same attempt id. It is in memory only. Protected by lites.mu.
type liteBlock struct {
	key    liteKey
	info   *orderInfo // nil before the first pop is done
	taking bool       // somebody is reading the queue for the group
	missed bool       // somebody else wanted to meanwhile
	due    time.Time  // when its group is told
	heapAt int        // in lites.byDue; -1 when it is not there
}

func (x *liteBlock) isBefore(other *liteBlock) bool { return x.due.Before(other.due) }
func (x *liteBlock) moveTo(at int)                  { x.heapAt = at }

// liteBlockKept is how long what was taken and neither acknowledged nor popped again is remembered.
const liteBlockKept = 24 * time.Hour

// begin lets the caller alone read a queue for a group, if nothing blocks it. done or end must follow.
func (l *lites) begin(key liteKey, attempt string, now int64) (*liteBlock, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.blocks[key]
	switch {
	case x == nil:
		x = &liteBlock{key: key, heapAt: -1}
		l.blocks[key] = x
	case x.taking:
		x.missed = true
		return nil, false
	case x.info != nil && (x.info.AttemptID == nil || *x.info.AttemptID != attempt) && x.info.blockedUntil(now) > now:
		return nil, false // its group is told when that ends
	}
	x.taking = true
	return x, true
}

// end is for a begin that has taken what info says, or nothing with nil. It says whether the queue must be looked at again.
func (l *lites) end(x *liteBlock, info *orderInfo) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x.taking = false
	again, x.missed = x.missed && info == nil, false
	if l.blocks[x.key] != x { // the lite topic or the group has gone
		return false
	}
	switch {
	case info != nil:
		if x.info != nil {
			info.countFrom(x.info)
		}
		x.info = info
		l.armLocked(x)
	case x.info == nil:
		delete(l.blocks, x.key)
	}
	return again
}

// armLocked has the group be told when the block ends.
func (l *lites) armLocked(x *liteBlock) {
	now := time.Now()
	wait := durationMS(x.info.blockedUntil(now.UnixMilli()) - now.UnixMilli())
	x.due = now.Add(wait)
	if x.heapAt >= 0 {
		heap.Remove(&l.byDue, x.heapAt)
	}
	if wait > 0 && !l.closed && l.b.settings.Load().PopOrderNotify {
		heap.Push(&l.byDue, x)
		if x.heapAt == 0 {
			l.timer.Reset(wait)
		}
	}
}

// unblock tells groups of lite topics that are blocked no more.
func (l *lites) unblock() {
	var free []liteKey
	if !l.fires() {
		return
	}
	defer l.firing.Done()
	now := time.Now()
	for len(l.byDue) > 0 && !l.byDue[0].due.After(now) {
		x := heap.Pop(&l.byDue).(*liteBlock)
		if l.armLocked(x); x.heapAt < 0 { // else another of its messages has longer
			free = append(free, x.key)
		}
	}
	if len(l.byDue) > 0 {
		l.timer.Reset(l.byDue[0].due.Sub(now))
	}
	l.mu.Unlock()
	for _, key := range free {
		l.tell(key.group, key.queue)
	}
}

// ack takes an acknowledgement. The consumer offset moves before the block ends, so that nobody pops what was acknowledged. free says
// that the block has ended.
func (l *lites) ack(key liteKey, offset, popTime int64) (how int, free bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.b.offsets.query(key.group, key.queue, 0)
	x := l.blocks[key]
	if x == nil || x.info == nil {
		q := l.b.store.FindQueue(key.queue, 0)
		if q == nil || offset >= q.MaxOffset() || !isFirstLeft(offset, old, q) {
			return orderStale, false
		}
		l.commitLocked(key, old, offset+1)
		return orderAcked, true
	}
	i := x.info
	at := i.index(offset)
	switch {
	case popTime != i.PopTime:
		return orderStale, false
	case at < 0 && offset < old:
		return orderAcked, false
	case at < 0:
		return orderIllegal, false
	}
	i.Acked |= 1 << at
	next, left := i.next()
	l.commitLocked(key, old, next)
	if left {
		l.armLocked(x)
		return orderAcked, x.heapAt < 0
	}
	if x.info = nil; !x.taking {
		l.removeBlockLocked(key)
	}
	return orderAcked, true
}

// commitLocked moves the consumer offset, never back and not away from a reset.
func (l *lites) commitLocked(key liteKey, old, to int64) {
	if to > old && !l.b.offsets.hasReset(key.group, key.queue, 0) {
		l.b.offsets.commitText(key.group, key.queue, 0, to)
	}
}

// showBlock makes a message visible again at a time in ms, or with suspend all that was taken with it, without counting a try.
func (l *lites) showBlock(key liteKey, offset, popTime, at int64, suspend bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.blocks[key]
	if x == nil || x.info == nil || x.info.PopTime != popTime {
		return
	}
	i := x.info
	switch {
	case suspend:
		for offset, n := range i.ConsumedCount {
			i.ConsumedCount[offset] = max(n-1, 0)
		}
		i.NextVisible = nil
		invisible := at - i.PopTime
		i.Invisible = &invisible
	case i.index(offset) < 0:
		return
	default:
		i.show(offset, at)
	}
	l.armLocked(x)
}

func (l *lites) removeBlock(key liteKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removeBlockLocked(key)
}

func (l *lites) removeBlockLocked(key liteKey) {
	if x := l.blocks[key]; x != nil {
		delete(l.blocks, key)
		if x.heapAt >= 0 {
			heap.Remove(&l.byDue, x.heapAt)
		}
	}
}

// appendLiteCounts adds to the field orderCountInfo how often each message that a pop has taken was delivered before: an entry as orderly
// pops have it, or 0.
func (i *orderInfo) appendLiteCounts(dst []byte, topic string) []byte {
	for at := range i.Offsets {
		if n, ok := i.ConsumedCount[i.offset(at)]; ok {
			dst = appendOrderCount(dst, topic, 0, i.offset(at), n)
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, ';')
		}
		dst = append(dst, '0')
	}
	return dst
}
