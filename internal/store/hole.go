package store

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
)

// ErrHole says that a unit of a consume queue, which was there once, says nothing that can be true: damage, by the disk or by hand. Its message
// is in the log. Nobody who reads the queue gets past it, for a group that did would never get that message: the queue is made anew first.
var ErrHole = errors.New("stop the broker and run `liftoff store check --repair`, which makes the queue anew from the log")

// holes remembers which queues the log has told of.
type holes struct {
	mu   sync.Mutex // protects the field below
	told map[*Queue]time.Time
}

const (
	holeTold  = time.Minute // a queue is told of so often
	holesTold = 1000        // queues that are remembered
)

// hole is the error of who comes to a unit that is none, nil when there is none to be any more: the topic was deleted meanwhile.
func (s *Store) hole(q *Queue, at int64) error {
	if at < q.MinOffset() || at >= q.MaxOffset() {
		return nil
	}
	err := fmt.Errorf("consume queue %s-%d is damaged at offset %d: %w", q.topic, q.id, at, ErrHole)
	h := &s.holes
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.told == nil || len(h.told) > holesTold {
		h.told = map[*Queue]time.Time{}
	}
	now := s.now()
	if last, ok := h.told[q]; !ok || now.Sub(last) >= holeTold {
		h.told[q] = now
		s.logger.Error("messages cannot be read", "topic", q.topic, "queue_id", q.id, "offset", at, "err", err)
	}
	return err
}

// isHole says whether the unit cannot be that of a message of a log that ends at logEnd.
func (u unit) isHole(logEnd int64) bool {
	return !u.good() || u.logOffset > logEnd-int64(u.size) && u.size != fillerSize
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
