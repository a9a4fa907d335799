package store

import (
	"errors"
	"fmt"
	"sync"
	"time"
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
