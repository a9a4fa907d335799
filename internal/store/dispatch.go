package store

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/liftoffmq/liftoff/internal/logging"
	"github.com/liftoffmq/liftoff/internal/message"
)

// scheduleTopic holds delayed messages until they are due; its queues' tags codes are the times of delivery.
const scheduleTopic = "SCHEDULE_TOPIC_XXXX"

// checkMaxTopic holds half messages of transactions that were given up.
const checkMaxTopic = "TRANS_CHECK_MAX_TIME_TOPIC"

// Hooks are what the store calls of its owner.
type Hooks struct {
	// Arrived is called, without any lock, for each message that became visible in a watched queue. nextOffset is the
	// offset behind it. It must not block.
	Arrived func(q *Queue, nextOffset, tagsCode, storeTimestamp int64)
	// Later is called when Settle has something to do, and says whether it will be called soon. It must not block.
	Later func() bool
	// Bits is called for each message when queues have extensions (enableConsumeQueueExt), and returns the bit map to be kept
	// with it, which may be dst grown; Filter.Bits gets it back. It must not block.
	Bits func(m *message.Dispatch, dst []byte) []byte
}

// dispatcher follows the log: it puts each message's place into its queue and the index. It is run by whoever moved the mark
// that messages become visible by, the writer or flushLoop.
type dispatcher struct {
	dispatched atomic.Int64 // all messages before it are in their queues

	mu sync.Mutex // held while dispatching; protects the fields below
	dispatchMark
	checkpointed int64    // the mark dispatched at the last checkpoint
	dirty        []*Queue // have units that are not durable
	record       message.Dispatch
	queue        *Queue // of the message before, for the next is often of the same
	gathered     places
	arrived      []arrival
	bits         []byte // of one message
	wanted       int64  // where dispatched is to come to
	late         bool   // the last try failed
}

// dispatchMark is how far dispatching has come, as the checkpoint tells it.
type dispatchMark struct {
	newest     int64 // log offset where the newest dispatched message begins
	newestTime int64 // its store timestamp
	reached    int64 // log offset behind the newest message that is in a queue
}

type arrival struct {
	queue      *Queue
	nextOffset int64
	tagsCode   int64
	storeTime  int64
}

// places are those of some messages that are dispatched together: what many have in common is done once, and memory that each needs is
// asked for by all at once.
type places struct {
	queue  *Queue      // of units
	from   int64       // queue offset of the first
	units  []timedUnit // next to each other in one queue
	keys   []indexKey
	failed error // of units that were gathered before these
}

type timedUnit struct {
	unit
	tagsCode  int64 // the message's; the unit may have a place in the queue's extension instead
	storeTime int64
}

// gatherMost is how many messages are dispatched together.
const gatherMost = 128

// dispatch makes the messages before to visible. It is tried again, with the next messages or a little later, when an error may pass.
func (s *Store) dispatch(to int64) error {
	d := &s.dispatcher
	d.mu.Lock()
	d.wanted = max(d.wanted, to) // of those that have failed too
	to = d.wanted
	var err error
	for off := d.dispatched.Load(); off < to && err == nil; off = d.dispatched.Load() {
		err = s.dispatchSome(off, to)
	}
	if err != nil {
		err = fmt.Errorf("cannot dispatch message at log offset %d: %w", d.dispatched.Load(), err)
		if !mayPass(err) {
			d.mu.Unlock()
			s.fail(err)
			return err
		}
		if s.lateDispatch.Failed(err) {
			s.logger.Error("messages are stored but not visible for now, trying again", "err", logging.Advised(err))
		}
		s.behindArmed.Store(true)
		wake(s.behindWake)
	} else if d.late {
		if lasted, over := s.lateDispatch.Passed(); over {
			s.logger.Info("messages are visible again", "after", lasted)
		}
	}
	d.late = err != nil
	if len(d.dirty) > 0 {
		s.wakeBehind(to - d.checkpointed)
	}
	arrived := d.arrived
	d.arrived = nil
	d.mu.Unlock()

	for _, a := range arrived {
		s.hooks.Arrived(a.queue, a.nextOffset, a.tagsCode, a.storeTime)
	}
	if arrived != nil {
		d.mu.Lock()
		d.arrived = arrived[:0]
		d.mu.Unlock()
	}
	return err
}

// dispatchSome dispatches the first messages of [off, to), those of one chunk of the tail at most. The chunk stays: it is not dispatched yet.
func (s *Store) dispatchSome(off, to int64) error {
	d := &s.dispatcher
	b := s.log.tail.from(off)
	if b == nil {
		return errors.New("bug: it is not in memory any more")
	}
	newest, newestTime := d.newest, d.newestTime
	var failed error
	for n := 0; n < gatherMost && off < to && len(b) > 0; n++ {
		size, kind := message.Peek(b)
		if kind == message.Blank {
			off += int64(size)
			break
		}
		if failed = message.ReadDispatch(b, &d.record); failed == nil {
			failed = s.gather(&d.record)
		}
		if failed != nil {
			break
		}
		newest, newestTime = d.record.LogOffset, d.record.StoreTimestamp
		off += int64(size)
		b = b[size:]
	}
	if err := s.putGathered(); err != nil {
		return err
	}
	d.newest, d.newestTime = newest, newestTime // not before: the checkpoint tells of it
	d.dispatched.Store(off)
	return failed
}

// gather finds the places of one message in its queue and the index, for putGathered to put them there. They are gathered again
// after a crash or an error, so both ignore what they have already. The caller holds d.mu.
func (s *Store) gather(m *message.Dispatch) error {
	d := &s.dispatcher
	if message.InConsumeQueue(m.SysFlag) {
		q := d.queue
		if q == nil || q.id != m.QueueID || q.topic != string(m.Topic) {
			if q = s.queues.findBytes(m.Topic, m.QueueID); q == nil {
				q = s.queueOf(m)
			}
			d.queue = q
		}
		if q.refused != nil || m.LogOffset < q.emptiedAt {
			return nil
		}
		tagsCode := s.tagsCode(m)
		if err := s.enqueue(q, m, m.QueueOffset, tagsCode); err != nil {
			return err
		}
		if s.cfg.LightQueues && inLight(m) {
			if err := s.dispatchLight(m, tagsCode); err != nil {
				return err
			}
		}
	}
	if s.index != nil {
		d.gathered.keys = appendKeys(d.gathered.keys, m)
	}
	return nil
}

// putGathered puts what was gathered where it belongs. Without an error all of it is there; with one all must be gathered again. The
// caller holds d.mu.
func (s *Store) putGathered() error {
	g := &s.dispatcher.gathered
	err := s.putUnits()
	if g.failed != nil {
		err = g.failed
	}
	if err == nil && len(g.keys) > 0 {
		err = s.index.append(g.keys)
	}
	g.keys, g.failed = g.keys[:0], nil
	return err
}

// queueOf makes the queue of a message.
func (s *Store) queueOf(m *message.Dispatch) *Queue {
	if m.SysFlag&message.FlagInnerBatch != 0 {
		if err := s.MakeBatch(string(m.Topic)); err != nil {
			s.logger.Error("cannot dispatch inner batches", "topic", string(m.Topic), "err", err)
		}
	}
	return s.addQueue(string(m.Topic), m.QueueID)
}

// enqueue gathers a message's place in a queue. The caller holds d.mu.
func (s *Store) enqueue(q *Queue, m *message.Dispatch, queueOffset, tagsCode int64) error {
	g := &s.dispatcher.gathered
	if q.batch != nil {
		u, before := batchUnitOf(m, tagsCode), q.batch.reached.Load()
		err := q.batch.append(u)
		d := &s.dispatcher
		if d.reached = max(d.reached, q.end()); q.end() > before {
			s.noteUnit(q, u.behind(), tagsCode, m.StoreTimestamp)
		}
		return err
	}
	if m.SysFlag&message.FlagInnerBatch != 0 {
		return nil // no plain queue can have it
	}
	if q != g.queue || queueOffset != g.from+int64(len(g.units)) {
		if err := s.putUnits(); err != nil {
			return err
		}
		g.queue, g.from = q, queueOffset
	}
	u := unit{logOffset: m.LogOffset, size: m.Size, tagsCode: tagsCode}
	if q.ext != nil && s.cfg.ConsumeQueueExt {
		u.tagsCode = s.extend(q, m, tagsCode)
	}
	g.units = append(g.units, timedUnit{unit: u, tagsCode: tagsCode, storeTime: m.StoreTimestamp})
	return nil
}

// putUnits puts the units that were gathered into their queue.
func (s *Store) putUnits() error {
	g := &s.dispatcher.gathered
	q, units := g.queue, g.units
	if len(units) == 0 {
		return nil
	}
	g.queue, g.units = nil, units[:0]
	before := q.units.reached.Load()
	err := q.units.append(g.from, units...)
	if err != nil {
		g.failed = err
	}
	after := q.units.reached.Load()
	s.dispatcher.reached = max(s.dispatcher.reached, after)
	for i, u := range units {
		if u.end() > before && u.end() <= after { // it is new
			s.noteUnit(q, g.from+int64(i)+1, u.tagsCode, u.storeTime)
		}
	}
	return err
}

// noteUnit notes what follows from a new unit in a queue, which is visible already.
func (s *Store) noteUnit(q *Queue, behind, tagsCode, storeTime int64) {
	d := &s.dispatcher
	s.dirtied(q)
	if (q.watchers.Load() > 0 || q.lite && s.queues.liteWatchers.Load() > 0) && s.hooks.Arrived != nil {
		d.arrived = append(d.arrived, arrival{q, behind, tagsCode, storeTime})
	}
}

// dirtied notes that a queue has units that are not durable. The caller holds d.mu.
func (s *Store) dirtied(q *Queue) {
	if !q.dirty {
		q.dirty = true
		s.dispatcher.dirty = append(s.dispatcher.dirty, q)
	}
}

// extend keeps in the queue's extension what the unit has no room for, and returns what the unit gets.
func (s *Store) extend(q *Queue, m *message.Dispatch, tagsCode int64) int64 {
	if m.LogOffset < q.units.end() { // there already
		return tagsCode
	}
	d := &s.dispatcher
	d.bits = d.bits[:0]
	if s.hooks.Bits != nil {
		d.bits = s.hooks.Bits(m, d.bits)
	}
	return q.ext.append(extended{tagsCode: tagsCode, storeTime: m.StoreTimestamp, bits: d.bits})
}

// tagsCode is what a queue's unit tells of the message's tags, and for a delayed message when it is due.
func (s *Store) tagsCode(m *message.Dispatch) int64 {
	if m.Delay != nil && string(m.Topic) == scheduleTopic {
		level, err := strconv.Atoi(string(m.Delay))
		levels := s.cfg.DelayLevels
		if err == nil && level > 0 && len(levels) > 0 {
			return m.StoreTimestamp + levels[min(level, len(levels))-1].Milliseconds()
		}
	}
	return message.TagsCode(m.Tags)
}
