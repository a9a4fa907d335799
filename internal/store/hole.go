package store

import (
	"fmt"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
)

// A hole is where units of a consume queue, which were there once, say nothing that can be true: damage, by the disk or by hand. Their
// messages are in the log, between those of the units around the hole. So who comes to one has it mended: the log is read there and the
// units are written anew, with fillers for messages that the log does not have. What cannot be mended is passed over, and the log tells it.
type holes struct {
	mu   sync.Mutex // protects the fields below; held while one is mended, which others mostly wait for
	left map[hole]bool
	told map[*Queue]time.Time
}

// hole is the units [from, to) of a queue.
type hole struct {
	q        *Queue
	from, to int64
}

const (
	mendMost  = 1 << 30 // bytes of the log that are read for one hole, which takes about a second
	mendUnits = 1 << 20 // that are mended at once
	holesLeft = 1000    // that are remembered, so that the log is not read for them again
	holeTold  = time.Minute
)

// isHole says whether the unit cannot be that of a message of a log that ends at logEnd.
func (u unit) isHole(logEnd int64) bool {
	return u.size <= 0 || u.logOffset < 0 || u.logOffset > logEnd-int64(u.size) && u.size != fillerSize
}

// mend mends the hole at a queue offset and returns where to go on: there if it has a unit again, else behind it. An error says that it
// cannot be mended now.
func (s *Store) mend(q *Queue, at int64) (next int64, err error) {
	s.holes.mu.Lock()
	defer s.holes.mu.Unlock()
	cuts := q.units.cutsNow()
	h, low, high, err := s.holeAt(q, at)
	if err != nil || h.from == h.to {
		return at, err
	}
	if s.holes.left[h] {
		s.tellHole(h)
		return h.to, nil
	}
	units, err := s.unitsOf(h, low, high)
	if err == nil {
		err = q.units.refill(h.from, units, cuts)
	}
	if err != nil {
		return at, fmt.Errorf("cannot mend queue %s-%d at %d: %w", q.topic, q.id, h.from, err)
	}
	found, filled := 0, 0
	for _, u := range units {
		if u.filler() {
			filled++
		} else if u.size > 0 {
			found++
		}
	}
	if found > 0 {
		s.logger.Warn("units of a consume queue were damaged and are made anew from the log", "topic", q.topic, "queue_id", q.id,
			"from", h.from, "to", h.to, "messages", found)
	}
	if filled > 0 {
		s.logger.Error("units of a consume queue were damaged, and the log does not have all of their messages", "topic", q.topic, "queue_id", q.id,
			"from", h.from, "to", h.to, "missing", filled)
	}
	if found+filled == 0 {
		if len(s.holes.left) >= holesLeft || s.holes.left == nil {
			s.holes.left = map[hole]bool{}
		}
		s.holes.left[h] = true
		s.tellHole(h)
		return h.to, nil
	}
	s.dispatcher.mu.Lock()
	s.dirtied(q)
	s.dispatcher.mu.Unlock()
	s.wakeBehind(0)
	return at, nil
}

// passHole tells that a hole is passed over, not for each who comes to it.
func (s *Store) passHole(h hole) {
	s.holes.mu.Lock()
	defer s.holes.mu.Unlock()
	s.tellHole(h)
}

// tellHole is passHole. The caller holds holes.mu.
func (s *Store) tellHole(h hole) {
	if s.holes.told == nil || len(s.holes.told) > holesLeft {
		s.holes.told = map[*Queue]time.Time{}
	}
	now := s.now()
	if last, ok := s.holes.told[h.q]; ok && now.Sub(last) < holeTold {
		return
	}
	s.holes.told[h.q] = now
	s.logger.Error("consume queue is damaged and messages are passed over; stop the broker and run `liftoff store check --repair` to have them back",
		"topic", h.q.topic, "queue_id", h.q.id, "from", h.from, "to", h.to)
}

// holeAt finds the hole at a queue offset, none when there is a unit, and the part of the log that has its messages.
func (s *Store) holeAt(q *Queue, at int64) (h hole, low, high int64, err error) {
	var units [32]unit
	end := s.log.written.Load()
	h = hole{q, at, at}
	low, high = s.log.files.Start(), end
	for h.to < at+mendUnits {
		n, err := q.units.read(h.to, units[:], false)
		if err != nil && !isLost(err) {
			return h, 0, 0, err
		}
		n = min(n, int(at+mendUnits-h.to))
		i := 0
		for i < n && units[i].isHole(end) {
			i++
		}
		h.to += int64(i)
		if i < n && units[i].logOffset > 0 {
			high = min(high, units[i].logOffset)
		}
		if n == 0 || i < n {
			break
		}
	}
	if h.to == at {
		return h, 0, 0, nil
	}
	for least := q.units.min(); h.from > least && h.from > at-mendUnits; {
		n, err := q.units.read(h.from-1, units[:1], false)
		if err != nil && !isLost(err) {
			return h, 0, 0, err
		}
		if n == 1 && !units[0].isHole(end) {
			low = max(low, units[0].end())
			break
		}
		h.from--
	}
	return h, low, high, nil
}

// unitsOf makes the units of a hole from a part of the log. Those of messages that are not there are fillers if the whole of that part
// could be read, else empty.
func (s *Store) unitsOf(h hole, low, high int64) (units []unit, err error) {
	units = make([]unit, h.to-h.from)
	if high-low > mendMost {
		return units, nil
	}
	s.dispatcher.mu.Lock()
	low = max(low, h.q.emptiedAt)
	s.dispatcher.mu.Unlock()
	scan := scanner{store: s, clean: true, off: low}
	for scan.off < high && scan.next() && scan.record.LogOffset < high {
		m := &scan.record
		if at, ok := h.q.offsetOf(m); ok && at >= h.from && at < h.to {
			units[at-h.from] = unit{logOffset: m.LogOffset, size: m.Size, tagsCode: s.tagsCode(m)}
		}
	}
	if scan.failed != nil {
		return nil, scan.failed
	}
	if scan.off >= high {
		next := high
		for i := len(units) - 1; i >= 0; i-- {
			if units[i].size == 0 {
				units[i] = unit{logOffset: next, size: fillerSize}
			}
			next = units[i].logOffset
		}
	}
	return units, nil
}

// offsetOf is the queue offset that a message of the log has in the queue, as its own or as a light one, if it is in it.
func (q *Queue) offsetOf(m *message.Dispatch) (at int64, ok bool) {
	if !message.InConsumeQueue(m.SysFlag) || m.SysFlag&message.FlagInnerBatch != 0 {
		return 0, false
	}
	if m.QueueID == q.id && string(m.Topic) == q.topic {
		return m.QueueOffset, true
	}
	if q.id == 0 && IsLight(q.topic) && inLight(m) {
		for name, at := range lightOffsets(m) {
			if string(name) == q.topic {
				return at, true
			}
		}
	}
	return 0, false
}

// factsOf is the log as a queue that is loaded asks it; nil without a log, of which the queues are to tell then.
func (s *Store) factsOf(q *Queue) *logFacts {
	files := s.log.files
	if files.Len() == 0 {
		return nil
	}
	return &logFacts{
		end: files.End(),
		has: func(at int64, u unit) bool {
			scan := scanner{store: s, clean: true, small: true, off: u.logOffset}
			if !scan.next() || scan.record.LogOffset != u.logOffset || scan.record.Size != u.size {
				return false
			}
			is, ok := q.offsetOf(&scan.record)
			return ok && is == at
		},
		tell: func(from, to int64) {
			s.logger.Warn("units of a consume queue are damaged, and the log proves that the queue goes on behind them", "topic", q.topic, "queue_id", q.id,
				"from", from, "to", to)
		},
	}
}
