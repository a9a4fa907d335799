package broker

import (
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
	}
	return again
}

// save brings the revive log up to date with what is in flight, so that the consumer offsets may move past it; then it moves
// them. It says whether something could not be saved and must be later. It blocks for the disk.
func (p *pops) save() (again bool) {
	p.saveMu.Lock()
	defer p.saveMu.Unlock()
	list := p.pending.takeUnsaved()
	if len(list) == 0 {
		return false
	}
	cfg := p.b.settings.Load()
	// Check points first: of a message whose invisible time was changed the old check point is acknowledged in the log only when
	// the new one is there.
	err := p.putAll(reviveCK, list, func(c *checkPoint) (store.Put, bool) { return p.ckToSave(cfg, c) }, (*popQueue).storedLocked)
	if err == nil {
		err = p.putAll(reviveAck, list, func(c *checkPoint) (store.Put, bool) { return p.acksToSave(cfg, c) }, (*popQueue).savedLocked)
	}
	if err != nil {
		p.b.log.Error("cannot keep what is in flight; consumer offsets wait for it", "topic", reviveTopic(cfg.Cluster), "err", err)
		p.stuck.Store(true)
		for _, c := range list {
			p.retrySave(c)
		}
		return true
	}
	p.stuck.Store(false)
	p.thinOut(list, cfg.PopMaxBuffer)
	return false
}

// Kinds of records of the revive log, as metrics name them.
const (
	reviveCK  = "CK"
	reviveAck = "ACK"
)

// putAll puts what next makes of each check point, and tells then about those that were put.
func (p *pops) putAll(kind string, list []*checkPoint, next func(*checkPoint) (store.Put, bool), then func(*popQueue, *checkPoint, uint32)) error {
	var puts []store.Put
	var of []*checkPoint
	var bits []uint32
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
		for i, c := range of {
			c.pq.mu.Lock()
			then(c.pq, c, bits[i])
			c.pq.mu.Unlock()
		}
		puts, of, bits = puts[:0], of[:0], bits[:0]
		return nil
	}
	for _, c := range list {
		c.pq.mu.Lock()
		put, ok := next(c)
		acked := c.acked
		c.pq.mu.Unlock()
		if !ok {
			continue
		}
		puts, of, bits = append(puts, put), append(of, c), append(bits, acked)
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
	c.storing = true
	return p.b.ckPut(cfg, c), true
}

// storedLocked is for a check point whose record is in the log now.
func (pq *popQueue) storedLocked(c *checkPoint, _ uint32) {
	c.storing, c.stored = false, true
	pq.releaseRootLocked(c)
	pq.settleLocked()
}

// acksToSave makes the record of the acknowledgements of a check point that the log does not know. Its queue's mu is held.
func (p *pops) acksToSave(cfg *settings, c *checkPoint) (store.Put, bool) {
	if !c.stored || c.acked == c.saved || c.gone {
		return store.Put{}, false
	}
	return p.b.ackPut(cfg, c.reviveQueue, c.ackBody(cfg, c.acked&^c.saved), c.reviveTime()), true
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

// savedLocked is for a check point of which the log knows these bits now.
func (pq *popQueue) savedLocked(c *checkPoint, bits uint32) {
	c.saved |= bits
	switch {
	case c.acked != c.saved:
		pq.pops.pending.mark(c)
		pq.pops.b.offsets.touch()
	case c.done:
		delete(pq.points, pointKey{c.start, c.popTime})
	}
}

// retrySave puts a check point back after a failure.
func (p *pops) retrySave(c *checkPoint) {
	pq := c.pq
	pq.mu.Lock()
	defer pq.mu.Unlock()
	c.storing = false
	switch {
	case c.gone:
	case c.done && !c.stored: // the log never heard of it
		delete(pq.points, pointKey{c.start, c.popTime})
		p.pending.remove(c)
	case !c.stored || c.acked != c.saved:
		p.pending.mark(c)
	}
}

// thinOut lets check points go that the log knows, as many as there are too many in memory.
func (p *pops) thinOut(list []*checkPoint, most int) {
	for over := p.pending.size() - most; over > 0 && len(list) > 0; list = list[1:] {
		c, pq := list[0], list[0].pq
		pq.mu.Lock()
		if c.stored && !c.done && !c.arrived && c.acked == c.saved {
			p.pending.remove(c)
			delete(pq.points, pointKey{c.start, c.popTime})
			p.forgotten.Store(max(p.forgotten.Load(), c.popTime))
			over--
		}
		pq.mu.Unlock()
	}
}
