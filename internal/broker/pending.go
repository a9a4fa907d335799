package broker

import (
	"container/heap"
	"math"
	"sync"
	"time"
)

// pendingPoints are the check points that something must be done for: at their time, or before the next save. Their time comes by a clock
// that nobody sets: who does not acknowledge for the invisible time has had it, whatever the wall clock says by then.
type pendingPoints struct {
	mu    sync.Mutex // protects the fields below
	byDue heapOf[*checkPoint]
	first *checkPoint // of those that the log does not know as they are
	last  *checkPoint
	fresh int           // of check points in the list
	most  int           // of those, before a save is wanted early
	wakes time.Time     // when the reviver believes that the first is due; zero when none is
	wake  chan struct{} // holds something when one is due earlier than the reviver believes
}

// add puts a new check point into both lists.
func (p *pendingPoints) add(c *checkPoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.due = time.Now().Add(durationMS(c.invisible))
	p.pushLocked(c)
	p.linkLocked(c)
}

// durationMS is a time in ms that may be any number, as it comes from clients.
func durationMS(ms int64) time.Duration {
	return time.Duration(min(max(ms, 0), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

// arm makes c come due after a while, or at another time than before.
func (p *pendingPoints) arm(c *checkPoint, in time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(c)
	c.due = time.Now().Add(in)
	p.pushLocked(c)
}

func (p *pendingPoints) pushLocked(c *checkPoint) {
	heap.Push(&p.byDue, c)
	if p.wakes.IsZero() || c.due.Before(p.wakes) {
		p.wakes = c.due
		p.wakeLocked()
	}
}

func (p *pendingPoints) dropLocked(c *checkPoint) {
	if c.heapAt >= 0 {
		heap.Remove(&p.byDue, c.heapAt)
	}
}

// disarm makes c not come due any more.
func (p *pendingPoints) disarm(c *checkPoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(c)
}

// isArmed says whether c comes due.
func (p *pendingPoints) isArmed(c *checkPoint) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.heapAt >= 0
}

// mark makes the next save look at c.
func (p *pendingPoints) mark(c *checkPoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.inList {
		p.linkLocked(c)
	}
}

func (p *pendingPoints) linkLocked(c *checkPoint) {
	c.inList, c.before, c.after = true, p.last, nil
	if p.last != nil {
		p.last.after = c
	} else {
		p.first = c
	}
	p.last = c
	if p.fresh++; p.fresh == p.most {
		p.wakeLocked()
	}
}

func (p *pendingPoints) wakeLocked() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// isAny says whether the log does not know all.
func (p *pendingPoints) isAny() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first != nil
}

// isFull says whether a save should not wait for its time.
func (p *pendingPoints) isFull() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most > 0 && p.fresh >= p.most
}

func (p *pendingPoints) unlinkLocked(c *checkPoint) {
	if !c.inList {
		return
	}
	if c.before != nil {
		c.before.after = c.after
	} else {
		p.first = c.after
	}
	if c.after != nil {
		c.after.before = c.before
	} else {
		p.last = c.before
	}
	c.inList, c.before, c.after = false, nil, nil
	p.fresh--
}

// remove takes c out of both lists.
func (p *pendingPoints) remove(c *checkPoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(c)
	p.unlinkLocked(c)
}

// takeUnsaved empties the list of those that the log does not know as they are.
func (p *pendingPoints) takeUnsaved() (list []*checkPoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.first != nil {
		list = append(list, p.first)
		p.unlinkLocked(p.first)
	}
	return list
}

// takeDue takes at most n that are due out of the heap, and says when the next one is; zero when there is none.
func (p *pendingPoints) takeDue(now time.Time, n int) (list []*checkPoint, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.byDue) > 0 && !p.byDue[0].due.After(now) && len(list) < n {
		c := p.byDue[0]
		p.dropLocked(c)
		list = append(list, c)
	}
	p.wakes = time.Time{}
	if len(p.byDue) > 0 {
		p.wakes = p.byDue[0].due
	}
	return list, p.wakes
}

// size is how many check points are in memory.
func (p *pendingPoints) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byDue)
}
