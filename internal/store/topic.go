package store

import (
	"fmt"
	"path/filepath"
	"slices"
)

// Topics returns the names of the topics that have had messages, sorted.
func (s *Store) Topics() []string {
	s.queues.mu.RLock()
	defer s.queues.mu.RUnlock()
	var topics []string
	for topic, queues := range s.queues.topics {
		for _, q := range queues {
			if q.MaxOffset() > 0 {
				topics = append(topics, topic)
				break
			}
		}
	}
	slices.Sort(topics)
	return topics
}

// Queues returns the queues of a topic that have been asked for or stored in, in the order of their numbers.
func (s *Store) Queues(topic string) []*Queue {
	s.queues.mu.RLock()
	defer s.queues.mu.RUnlock()
	var queues []*Queue
	for _, q := range s.queues.topics[topic] {
		queues = append(queues, q)
	}
	slices.SortFunc(queues, func(a, b *Queue) int { return int(a.id) - int(b.id) })
	return queues
}

// DeleteTopic empties the queues of topics: their files go, and a message put later has offset 0 again. The messages stay
// in the log until its files expire, and cannot be found any more but by log offset or key. When it
// returns without an error, a crash does not bring them back.
func (s *Store) DeleteTopic(topics ...string) error {
	deleted := false
	for _, topic := range topics {
		queues := s.Queues(topic)
		if len(queues) == 0 {
			continue
		}
		deleted = true
		if err := s.deleteQueues(topic, queues); err != nil {
			return fmt.Errorf("cannot delete topic %q: %w", topic, err)
		}
	}
	if deleted {
		s.flushBehind() // recovery begins behind the deleted messages from now on
	}
	return nil
}

// Quiet is a queue that nobody stores in, as far as was seen when it ended at End.
type Quiet struct {
	Queue *Queue
	End   int64
}

// DeleteQuiet is DeleteTopic for topics with one queue each, those left out that have got messages since. It returns the deleted ones.
func (s *Store) DeleteQuiet(list []Quiet) (deleted []*Queue, err error) {
	for _, quiet := range list {
		gone, err := s.deleteQuiet(quiet)
		if err != nil {
			return deleted, fmt.Errorf("cannot delete topic %q: %w", quiet.Queue.topic, err)
		}
		if gone {
			deleted = append(deleted, quiet.Queue)
		}
	}
	if len(deleted) > 0 {
		s.flushBehind()
	}
	return deleted, nil
}

func (s *Store) deleteQuiet(quiet Quiet) (gone bool, err error) {
	q := quiet.Queue
	empty := func() bool {
		s.log.mu.Lock()
		defer s.log.mu.Unlock()
		if q.next != quiet.End {
			return false
		}
		s.forgetLocked(q)
		return true
	}
	d := &s.dispatcher
	d.mu.Lock()
	if gone = empty(); gone {
		err = q.destroy()
	}
	d.mu.Unlock()
	if err == nil && gone {
		err = s.cfg.FS.RemoveAll(filepath.Join(s.consumeQueueDir(), q.topic))
	}
	return gone, err
}

// forgetLocked makes a queue begin anew. The caller holds the append lock, and dispatcher.mu until its files are gone.
func (s *Store) forgetLocked(q *Queue) {
	l := &s.log
	q.next = 0
	if q.counted {
		q.counted = false
		l.lights--
	}
	q.emptiedAt = l.appended
}

func (s *Store) deleteQueues(topic string, queues []*Queue) error {
	if err := s.emptyQueues(queues); err != nil || !isFolderName(topic) {
		return err
	}
	if err := s.cfg.FS.RemoveAll(filepath.Join(s.consumeQueueDir(), topic)); err != nil {
		return err
	}
	return s.deleteBatchFolder(topic)
}

func (s *Store) emptyQueues(queues []*Queue) error {
	d, l := &s.dispatcher, &s.log
	d.mu.Lock() // nothing is dispatched between the new offsets and the empty files
	defer d.mu.Unlock()
	l.mu.Lock()
	for _, q := range queues {
		s.forgetLocked(q)
	}
	l.mu.Unlock()
	for _, q := range queues {
		if err := q.destroy(); err != nil {
			return err
		}
	}
	return nil
}

// deleteBatchFolder makes a topic one of plain queues again. Handles that were given out stay what they are until the store is
// opened anew.
func (s *Store) deleteBatchFolder(topic string) error {
	t := &s.queues
	t.mu.Lock()
	batch := t.batch[topic]
	delete(t.batch, topic)
	t.mu.Unlock()
	if !batch {
		return nil
	}
	return s.cfg.FS.RemoveAll(filepath.Join(s.batchQueueDir(), topic))
}
