package store

import (
	"slices"
	"weak"
)

// Light queues come and go, with sessions or devices say, and their names do not come again. So one without a message is loose: the table only
// knows its handle, and does not keep it. Whoever has the handle may go on using it, and gets the same when he asks for the queue again;
// when nobody has it any more it is gone. The next message that is put into it ties it to the table again.

// looseMost is how many queues are looked at together, while nothing can be put.
const looseMost = 64

// loosen makes those of the queues loose that are light and have no message, and forgets those that are gone.
func (s *Store) loosen(queues []*Queue) {
	empty := slices.DeleteFunc(queues, func(q *Queue) bool { return q.MaxOffset() > 0 || !IsLight(q.topic) })
	for some := range slices.Chunk(empty, looseMost) {
		s.loosenSome(some)
	}
	s.queues.forgetGone()
}

// forgetGone takes the loose queues out of the table whose handle nobody has any more. Who looks for a queue waits for a few of them at most.
func (t *queueTable) forgetGone() {
	var gone []queueKey
	t.mu.RLock()
	for key, q := range t.loose {
		if q.Value() == nil {
			gone = append(gone, key)
		}
	}
	t.mu.RUnlock()
	for some := range slices.Chunk(gone, looseMost) {
		t.mu.Lock()
		for _, key := range some {
			if q, ok := t.loose[key]; ok && q.Value() == nil {
				delete(t.loose, key)
			}
		}
		if len(t.loose) == 0 {
			t.loose = nil
		}
		t.mu.Unlock()
	}
}

func (s *Store) loosenSome(queues []*Queue) {
	d, l, t := &s.dispatcher, &s.log, &s.queues
	d.mu.Lock()
	defer d.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loose == nil {
		t.loose = map[queueKey]weak.Pointer[Queue]{}
	}
	for _, q := range queues {
		isEmpty := q.next == 0 && q.MaxOffset() == 0 && q.batch == nil && (q.ext == nil || q.ext.files.Len() == 0)
		// Messages of before it was deleted that are not dispatched yet must find the handle that knows of that.
		if !isEmpty || q.emptiedAt > d.dispatched.Load() || t.topics[q.topic][q.id] != q {
			continue
		}
		t.loose[queueKey{q.topic, q.id}] = weak.Make(q)
		if delete(t.topics[q.topic], q.id); len(t.topics[q.topic]) == 0 {
			delete(t.topics, q.topic)
		}
		q.loose = true
		if d.queue == q {
			d.queue = nil
		}
	}
}

// tie makes the table keep a queue again, which gets a message. The caller holds the append lock.
func (s *Store) tie(q *Queue) {
	t := &s.queues
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.loose, queueKey{q.topic, q.id})
	t.keepLocked(q)
	q.loose = false
}

func (t *queueTable) keepLocked(q *Queue) {
	if t.topics == nil {
		t.topics = map[string]map[int32]*Queue{}
	}
	if t.topics[q.topic] == nil {
		t.topics[q.topic] = map[int32]*Queue{}
	}
	t.topics[q.topic][q.id] = q
}

// looseLocked is the handle of a loose queue, nil when there is none.
func (t *queueTable) looseLocked(topic string, id int32) *Queue {
	if len(t.loose) == 0 {
		return nil
	}
	return t.loose[queueKey{topic, id}].Value()
}
