package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
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
// returns without an error, a crash does not bring them back. A topic that cannot be deleted does not keep the others.
func (s *Store) DeleteTopic(topics ...string) error {
	var failed error
	deleted := false
	for _, topic := range topics {
		queues := s.Queues(topic)
		if len(queues) == 0 {
			continue
		}
		deleted = true // some of it at least
		if err := s.deleteQueues(topic, queues); err != nil {
			failed = errors.Join(failed, fmt.Errorf("cannot delete topic %q: %w", topic, err))
		}
	}
	if deleted {
		failed = errors.Join(failed, s.passDeleted())
	}
	return failed
}

// Quiet is a queue that nobody stores in, as far as was seen when it ended at End.
type Quiet struct {
	Queue *Queue
	End   int64
}

// DeleteQuiet is DeleteTopic for topics with one queue each, those left out that have got messages since. It returns the deleted
// ones, with an error too. They go on with the offsets that they had, to which consumer offsets fit, until BeginAnew.
func (s *Store) DeleteQuiet(list []Quiet) (deleted []Quiet, err error) {
	for _, quiet := range list {
		gone, failed := s.deleteQuiet(quiet)
		if failed != nil {
			err = fmt.Errorf("cannot delete topic %q: %w", quiet.Queue.topic, failed)
			break
		}
		if gone {
			deleted = append(deleted, quiet)
		}
	}
	if len(deleted) > 0 {
		err = errors.Join(err, s.passDeleted())
	}
	return deleted, err
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
		q.next = quiet.End
		return true
	}
	defer s.stopDispatch()()
	if err := s.forgetReach(q); err != nil {
		return false, err
	}
	if !empty() {
		return false, nil
	}
	if err := s.destroyQueues(q); err != nil {
		return true, err
	}
	return true, s.cfg.FS.RemoveAll(filepath.Join(s.consumeQueueDir(), q.topic))
}

// BeginAnew gives the messages to come of a queue that DeleteQuiet has deleted offsets from 0 on, unless some have come since.
func (s *Store) BeginAnew(deleted Quiet) {
	q := deleted.Queue
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if q.next == deleted.End && q.MaxOffset() == 0 {
		q.next = 0
	}
}

// stopDispatch stops what changes the files of queues, until resume is called: files that go must not be those of a message
// that has come since, and nobody must be about to sync them.
func (s *Store) stopDispatch() (resume func()) {
	s.behindMu.Lock()
	s.dispatcher.mu.Lock()
	return func() {
		s.dispatcher.mu.Unlock()
		s.behindMu.Unlock()
	}
}

// passDeleted makes durable that the files of queues are gone, and moves the checkpoint behind their messages: recovery would dispatch
// them again, for it does not know that.
func (s *Store) passDeleted() error {
	var err error
	for _, dir := range []string{s.consumeQueueDir(), s.batchQueueDir()} {
		if failed := logfile.SyncDir(s.cfg.FS, dir); !errors.Is(failed, fs.ErrNotExist) {
			err = errors.Join(err, failed)
		}
	}
	if err == nil {
		err = s.catchUp()
	}
	if err == nil {
		err = s.flushBehind()
	}
	if err != nil {
		return fmt.Errorf("the queues are deleted, but a crash may bring messages back: %w", err)
	}
	return nil
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
	defer s.stopDispatch()() // nothing is dispatched between the new offsets and the empty files
	if err := s.forgetReach(queues...); err != nil {
		return err
	}
	if err := s.emptyQueues(queues); err != nil || !IsQueueName(topic) {
		return err
	}
	if err := s.cfg.FS.RemoveAll(filepath.Join(s.consumeQueueDir(), topic)); err != nil {
		return err
	}
	return s.deleteBatchFolder(topic)
}

// emptyQueues makes queues begin anew. The caller has stopped the dispatch.
func (s *Store) emptyQueues(queues []*Queue) error {
	l := &s.log
	l.mu.Lock()
	for _, q := range queues {
		s.forgetLocked(q)
	}
	l.mu.Unlock()
	return s.destroyQueues(queues...)
}

// forgetReach makes the checkpoint not tell how far queues reach, before that of them goes which reaches so far: queues would be missed at a
// start in the middle of it. The next checkpoint tells it again. The caller has stopped the dispatch.
func (s *Store) forgetReach(queues ...*Queue) error {
	cp := s.checkpoint
	if !cp.ours || cp.reached == 0 || !slices.ContainsFunc(queues, func(q *Queue) bool { return q.end() >= cp.reached }) {
		return nil
	}
	cp.reached = 0
	if err := cp.write(s.cfg.FS, s.checkpointPath()); err != nil {
		return err
	}
	s.checkpoint = cp
	return nil
}

// destroyQueues removes the files of queues. The caller has stopped the dispatch.
func (s *Store) destroyQueues(queues ...*Queue) error {
	d := &s.dispatcher
	var err error
	furthest := false
	for _, q := range queues {
		furthest = furthest || d.reached > 0 && q.end() == d.reached
		if err = q.destroy(); err != nil {
			break
		}
	}
	switch {
	case err != nil:
		d.reached = 0 // what is left of its files, nobody knows
	case furthest:
		d.reached = s.queues.reach()
	}
	return err
}

// deleteBatchFolder makes a topic one of plain queues again. Handles that were given out stay what they are until the store is
// opened anew.
func (s *Store) deleteBatchFolder(topic string) error {
	t := &s.queues
	t.folders.Lock()
	defer t.folders.Unlock()
	t.mu.Lock()
	batch := t.batch[topic]
	delete(t.batch, topic)
	t.mu.Unlock()
	if !batch {
		return nil
	}
	return s.cfg.FS.RemoveAll(filepath.Join(s.batchQueueDir(), topic))
}
