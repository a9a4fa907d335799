package broker

import (
	"math/bits"

	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/store"
)

// saveChunk is how many records of the revive log are put together.
const saveChunk = 512

// savePops is what must be done before the consumer offsets are written.
func (b *Broker) savePops() (again bool) {
	again = b.pops.save()
	if err := b.orders.save(); err != nil {
		b.log.Error("cannot write what is popped in order", "file", b.orders.path, "err", err)
		again = true
	}
	return again
}

// unsaved is a check point that the log does not know as it is.
type unsaved struct {
	*checkPoint
	acked uint32 // the bits that this save tells the log
}

// save brings the revive log up to date with what is in flight, so that the consumer offsets may move past it; then it moves
// them. It says whether something could not be saved and must be later. It blocks for the disk.
//
// Of a message whose invisible time was changed the old check point is acknowledged in the log only when the new one is there. So check
// points come first, and acknowledgements as they were before the list of check points was taken: what was changed since waits.
func (p *pops) save() (again bool) {
	p.saveMu.Lock()
	defer p.saveMu.Unlock()
	var list []unsaved
	for _, c := range p.pending.takeUnsaved() {
		c.pq.mu.Lock()
		list = append(list, unsaved{c, c.acked})
		c.pq.mu.Unlock()
	}
	acks := list
	for _, c := range p.pending.takeUnsaved() {
		list = append(list, unsaved{c, 0})
	}
	if len(list) == 0 {
		return false
	}
	cfg := p.b.settings.Load()
	err := p.putAll(reviveCK, list, func(c unsaved) (store.Put, bool) { return p.ckToSave(cfg, c.checkPoint) }, (*popQueue).storedLocked)
	if err == nil {
		err = p.putAll(reviveAck, acks, func(c unsaved) (store.Put, bool) { return p.acksToSave(cfg, c) }, (*popQueue).savedLocked)
	}
	if err != nil {
		p.b.log.Error("cannot keep what is in flight; consumer offsets wait for it", "topic", reviveTopic(cfg.Cluster), "err", err)
	}
	p.stuck.Store(err != nil)
	for _, c := range list {
		p.retrySave(c.checkPoint)
	}
	if err == nil {
		p.thinOut(list, cfg.PopMaxBuffer)
	}
	return err != nil
}

// Kinds of records of the revive log, as metrics name them.
const (
	reviveCK  = "CK"
	reviveAck = "ACK"
)

// putAll puts what next makes of each check point, and tells then about those that were put.
func (p *pops) putAll(kind string, list []unsaved, next func(unsaved) (store.Put, bool), then func(*popQueue, unsaved)) error {
	var puts []store.Put
	var of []unsaved
	flush := func() error {
		if len(puts) == 0 {
			return nil
		}
		if err := p.b.putNow(puts...); err != nil {
			return err
		}
		for _, c := range of {
			p.b.tallies.add(&metrics.PopReviveIn, 1, c.pq.group.topic, c.pq.group.group, kind, "PUT_OK")
		}
		for _, c := range of {
			c.pq.mu.Lock()
			then(c.pq, c)
			c.pq.mu.Unlock()
		}
		puts, of = puts[:0], of[:0]
		return nil
	}
	for _, c := range list {
		c.pq.mu.Lock()
		put, ok := next(c)
		c.pq.mu.Unlock()
		if !ok {
			continue
		}
		puts, of = append(puts, put), append(of, c)
		if len(puts) == saveChunk {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// ckToSave makes the record of a check point that the log does not know. Its queue's mu is held.
func (p *pops) ckToSave(cfg *settings, c *checkPoint) (store.Put, bool) {
	if c.stored || c.done || c.gone {
		return store.Put{}, false
	}
	c.storing, c.tried = true, true
	return p.b.ckPut(cfg, c), true
}

// storedLocked is for a check point whose record is in the log now.
func (pq *popQueue) storedLocked(c unsaved) {
	c.storing, c.stored = false, true
	pq.releaseRootLocked(c.checkPoint)
	pq.settleLocked()
}

// acksToSave makes the record of the acknowledgements of a check point that the log does not know. Its queue's mu is held.
func (p *pops) acksToSave(cfg *settings, c unsaved) (store.Put, bool) {
	left := c.acked &^ c.saved
	if !c.stored && !(c.tried && c.done) || left == 0 || c.gone {
		return store.Put{}, false
	}
	return p.b.ackPut(cfg, c.reviveQueue, c.ackBody(cfg, left), c.reviveTime()), true
}

// ackBody is an acknowledgement of the messages of these bits.
func (c *checkPoint) ackBody(cfg *settings, bits uint32) *ackBody {
	pg := c.pq.group
	a := &ackBody{Start: c.start, Group: pg.group, Topic: pg.topic, Queue: c.pq.id, PopTime: c.popTime, Broker: cfg.Name}
	if c.key != nil {
		a.Broker = c.key.broker
	}
	for i := range int(c.n) {
		if bits&(1<<i) != 0 {
			a.Offsets = append(a.Offsets, c.offset(i))
		}
	}
	return a
}

// savedLocked is for a check point of which the log knows more bits now.
func (pq *popQueue) savedLocked(c unsaved) {
	c.saved |= c.acked
	if c.done && c.checkPoint.acked == c.saved {
		pq.closeLocked(c.checkPoint)
	}
}

// closeLocked is for a check point of which the log knows all. Until its record has come out of the timer it is kept, for memory knows that
// nothing need be done for it, and the log does so only when all acknowledgements have come out too. There may be popCkMaxBufferSize
// of them; for others, and those whose record may never come, the reviver waits for these.
func (pq *popQueue) closeLocked(c *checkPoint) {
	switch p := pq.pops; {
	case c.arrived || !c.stored || p.closed.Load() >= int64(p.pending.most):
		pq.dropLocked(c)
	case !c.closed:
		c.closed = true
		p.closed.Add(1)
	}
}

// dropLocked forgets a check point.
func (pq *popQueue) dropLocked(c *checkPoint) {
	if k := (pointKey{c.start, c.popTime}); pq.points[k] == c {
		delete(pq.points, k)
	}
	if c.closed {
		c.closed = false
		pq.pops.closed.Add(-1)
	}
}

// retrySave makes the next save look at a check point of which the log does not know all after this one: it has changed since, or could not
// be put.
func (p *pops) retrySave(c *checkPoint) {
	pq := c.pq
	pq.mu.Lock()
	defer pq.mu.Unlock()
	c.storing = false
	switch {
	case c.gone:
	case c.done && !c.stored && !c.tried: // the log never heard of it
		pq.dropLocked(c)
		p.pending.remove(c)
	case !c.stored && !c.done || c.acked != c.saved:
		p.pending.mark(c)
		p.b.offsets.touch()
	}
}

// thinOut lets check points go that the log knows, as many as there are too many in memory.
func (p *pops) thinOut(list []unsaved, most int) {
	for over := p.pending.size() - most; over > 0 && len(list) > 0; list = list[1:] {
		c, pq := list[0].checkPoint, list[0].pq
		pq.mu.Lock()
		if c.stored && !c.done && !c.arrived && c.acked == c.saved {
			p.pending.remove(c)
			pq.dropLocked(c)
			pq.inFlight -= bits.OnesCount32(c.all() &^ c.acked) // whose acknowledgements are not heard of here
			p.forgotten.Store(max(p.forgotten.Load(), c.popTime))
			over--
		}
		pq.mu.Unlock()
	}
}
