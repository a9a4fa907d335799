package store

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"weak"
)

// Queue is the handle of one queue of one topic. It stays the same as long as the store is open and somebody has it, also when
// the topic is deleted, so it may be kept. A queue that no message was stored in takes nothing on disk.
type Queue struct {
	topic   string
	id      int32
	units   *consumeQueue
	batch   *batchQueue // instead of units, where queue.type is BatchCQ; else nil
	ext     *queueExt   // what units have no room for; nil without
	refused error       // why nothing can be stored in it
	lite    bool        // it is a lite topic's

	watchers atomic.Int32

	// Protected by the append lock.
	next    int64 // offset of the next message to be stored
	placed  int64 // log offset + 1 of the message that has its newest offset as a light queue
	counted bool  // in commitLog.lights
	loose   bool  // the table may not keep it (loose.go)

	// Protected by dispatcher.mu.
	dirty     bool  // in dispatcher.dirty
	emptiedAt int64 // messages before this log offset were deleted with their topic
}

// Topic is the topic's name.
func (q *Queue) Topic() string { return q.topic }

// ID is the queue's number in its topic.
func (q *Queue) ID() int32 { return q.id }

// Refused says why nothing can be stored in the queue; nil when it can.
func (q *Queue) Refused() error { return q.refused }

// IsLite says whether it is the queue of a lite topic.
func (q *Queue) IsLite() bool { return q.lite }

// MinOffset is the offset of the oldest message that is still there.
func (q *Queue) MinOffset() int64 {
	if q.batch != nil {
		return q.batch.lowest.Load()
	}
	return q.units.min()
}

// MaxOffset is the offset behind the newest message that consumers may see.
func (q *Queue) MaxOffset() int64 {
	if q.batch != nil {
		return q.batch.next.Load()
	}
	return q.units.max()
}

// Watch adds to the number of those who want Hooks.Arrived to be called for the queue. Who adds one looks at MaxOffset
// afterwards: what arrives later than that look is told.
func (q *Queue) Watch(delta int32) { q.watchers.Add(delta) }

// queueTable holds all queues by topic and number.
type queueTable struct {
	mu     sync.RWMutex
	topics map[string]map[int32]*Queue
	loose  map[queueKey]weak.Pointer[Queue] // light queues without messages (loose.go)
	batch  map[string]bool                  // topics whose queues are under batchconsumequeue

	folders sync.Mutex // taken before mu; held while the folder of a batch topic is made or removed

	liteWatchers atomic.Int32
}

// Queue returns the queue's handle, made when it is asked for the first time.
func (s *Store) Queue(topic string, id int32) *Queue {
	t := &s.queues
	t.mu.RLock()
	q, batch := t.topics[topic][id], t.batch[topic]
	t.mu.RUnlock()
	switch {
	case q == nil:
		return s.addQueue(topic, id)
	case batch != (q.batch != nil):
		return s.refusedQueue(topic, id, fmt.Errorf("%w: %q was deleted and made again with another queue.type; the broker must be started anew first", ErrTopic, topic))
	}
	return q
}

// FindQueue returns the queue's handle if it has been asked for or stored in before, else nil.
func (s *Store) FindQueue(topic string, id int32) *Queue { return s.queues.find(topic, id) }

func (t *queueTable) find(topic string, id int32) *Queue {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if q := t.topics[topic][id]; q != nil {
		return q
	}
	return t.looseLocked(topic, id)
}

// findBytes is find without an allocation, for a queue that is not loose.
func (t *queueTable) findBytes(topic []byte, id int32) *Queue {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.topics[string(topic)][id]
}

func (s *Store) addQueue(topic string, id int32) *Queue {
	t := &s.queues
	t.mu.Lock()
	defer t.mu.Unlock()
	if q := t.topics[topic][id]; q != nil {
		return q
	}
	if q := t.looseLocked(topic, id); q != nil {
		t.keepLocked(q) // it stays loose to who puts, which does no harm
		return q
	}
	units := newConsumeQueue(s.cfg.FS, s.handles, queueDir(s.consumeQueueDir(), topic, id), s.cfg.ConsumeQueueFileSize)
	q := &Queue{topic: topic, id: id, lite: hasPrefix(topic, LitePrefix), units: units}
	switch {
	case !IsQueueName(topic):
		q.refused = fmt.Errorf("%w: %q", ErrTopic, topic)
	case !t.batch[topic]:
		if s.cfg.ConsumeQueueExt {
			q.ext = newQueueExt(s, topic, id)
		}
	default:
		q.batch = newBatchQueue(s.cfg.FS, s.handles, queueDir(s.batchQueueDir(), topic, id), s.cfg.BatchConsumeQueueFileSize)
	}
	t.keepLocked(q)
	return q
}

// queueDir is the folder of a queue under that of its kind.
func queueDir(kind, topic string, id int32) string {
	return filepath.Join(kind, topic, strconv.Itoa(int(id)))
}

// IsQueueName says whether a topic of that name, whoever made it up, can have queues: its folder has its name, and lies in the store.
func IsQueueName(topic string) bool {
	return topic != "" && topic != "." && topic != ".." && len(topic) <= 255 && !strings.ContainsAny(topic, "/\\\x00")
}

// end is the log offset behind the newest message that the queue knows of.
func (q *Queue) end() int64 {
	if q.batch != nil {
		return q.batch.reached.Load()
	}
	return q.units.end()
}

// doubt makes the next flush cover at least so many of the newest units.
func (q *Queue) doubt(units int64) error {
	if q.batch != nil {
		q.batch.doubt(units)
		return nil
	}
	return q.units.doubt(units)
}

func (q *Queue) flush() error {
	if q.batch != nil {
		return q.batch.flush()
	}
	if q.ext != nil {
		if err := q.ext.sync(); err != nil {
			return err
		}
	}
	return q.units.flush()
}

func (q *Queue) truncate(logOffset int64) error {
	if q.batch != nil {
		return q.batch.truncate(logOffset)
	}
	if err := q.units.truncate(logOffset); err != nil || q.ext == nil {
		return err
	}
	return q.ext.truncate(q.tagsCodeAt(q.units.max() - 1))
}

func (q *Queue) deleteBefore(logOffset int64) (deleted int, err error) {
	if q.batch != nil {
		return q.batch.deleteBefore(logOffset)
	}
	deleted, err = q.units.deleteBefore(logOffset)
	if err == nil && q.ext != nil {
		err = q.ext.deleteBefore(q.tagsCodeAt(q.units.min()))
	}
	return deleted, err
}

func (q *Queue) destroy() error {
	if q.batch != nil {
		return q.batch.destroy()
	}
	if q.ext != nil {
		if err := q.ext.destroy(); err != nil {
			return err
		}
	}
	return q.units.destroy()
}

// reach is the log offset behind the newest message that is in a queue.
func (t *queueTable) reach() int64 {
	furthest := int64(0)
	for _, q := range t.all() {
		furthest = max(furthest, q.end())
	}
	return furthest
}

// all returns every queue, in no order.
func (t *queueTable) all() []*Queue {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var queues []*Queue
	for _, topic := range t.topics {
		for _, q := range topic {
			queues = append(queues, q)
		}
	}
	return queues
}
