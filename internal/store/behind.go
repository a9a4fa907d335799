package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/logging"
)

// The checkpoint moves at the latest after so much of the log or so much time, which bounds recovery.
const (
	checkpointBytes    = 1 << 30
	checkpointInterval = 10 * time.Second
)

// wakeBehind tells behindLoop that something was dispatched, so much since the last checkpoint.
func (s *Store) wakeBehind(bytes int64) {
	if bytes >= checkpointBytes {
		wake(s.behindNow)
	} else if s.behindArmed.CompareAndSwap(false, true) {
		wake(s.behindWake)
	}
}

// behindLoop writes queues, index and checkpoint behind what is dispatched. It sleeps while nothing is dirty.
func (s *Store) behindLoop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for {
		select {
		case <-s.stop:
			return
		case <-s.behindWake:
			timer.Reset(s.behindDelay())
			continue
		case <-s.behindNow:
		case <-timer.C:
		}
		s.behindArmed.Store(false) // before, so that what is dispatched from now on wakes us again
		_ = s.flushBehind()        // which has told it
	}
}

// behindDelay is how long what is dispatched may wait to be written, or what could not be dispatched for another try.
func (s *Store) behindDelay() time.Duration {
	s.dispatcher.mu.Lock()
	late := s.dispatcher.late
	s.dispatcher.mu.Unlock()
	if late {
		return lateInterval
	}
	set := s.live.Load()
	return min(checkpointInterval, max(set.ConsumeQueueFlushThoroughInterval, set.ConsumeQueueFlushInterval))
}

// flushBehind makes durable what is dispatched now, queues and index, and then says so in the checkpoint. An error is dealt with;
// it is for those who count on the checkpoint.
func (s *Store) flushBehind() error {
	s.behindMu.Lock()
	defer s.behindMu.Unlock()
	if s.behindErr != nil {
		return s.behindErr
	}
	dirty, to, mark := s.takeDirty()
	err := s.writeBehind(dirty, to, mark)
	switch {
	case err == nil:
		if lasted, over := s.lateBehind.Passed(); over {
			s.logger.Info("consume queues, index and checkpoint are written again", "after", lasted)
		}
	case mayPass(err):
		if s.lateBehind.Failed(err) {
			s.logger.Warn("cannot write consume queues, index or checkpoint, trying again until they are written", "err", logging.Advised(err))
		}
		d := &s.dispatcher
		d.mu.Lock()
		for _, q := range dirty {
			s.dirtied(q)
		}
		d.mu.Unlock()
		s.wakeBehind(0)
	default:
		s.behindErr = err
		s.fail(fmt.Errorf("cannot write behind the commit log: %w", err))
	}
	return err
}

// takeDirty returns the queues that are to be written, and how far dispatching has come with them.
func (s *Store) takeDirty() (dirty []*Queue, to int64, mark dispatchMark) {
	d := &s.dispatcher
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.late {
		d.mu.Unlock()
		_ = s.dispatch(0) // up to where it was to come; it has told what failed
		d.mu.Lock()
	}
	dirty, d.dirty = d.dirty, nil
	for _, q := range dirty {
		q.dirty = false
	}
	d.checkpointed = d.dispatched.Load()
	return dirty, d.checkpointed, d.dispatchMark
}

// writeBehind makes the log durable, then queues and index, and then the checkpoint, which tells of them.
func (s *Store) writeBehind(dirty []*Queue, to int64, mark dispatchMark) error {
	if s.log.flushed.Load() < to {
		s.flushLog()
	}
	err := s.flushQueues(dirty)
	if err == nil && s.log.flushed.Load() < to {
		err = s.flushFailure() // nil when another flush has just gone well
	}
	if err != nil {
		return err
	}
	if err := s.writeCheckpoint(mark); err != nil {
		return err
	}
	s.checkpointTime.Store(mark.newestTime)
	return nil
}

// flushTogether is how many queues are flushed at once. A file system makes the names and sizes of many files durable with one write to its
// journal, and waits for that once for each flush that comes alone.
const flushTogether = 8

// flushQueues makes queues and the index durable.
func (s *Store) flushQueues(dirty []*Queue) error {
	errs := make([]error, flushTogether)
	var next atomic.Int64
	var all sync.WaitGroup
	for i := range min(flushTogether, len(dirty)) {
		all.Go(func() {
			for n := next.Add(1) - 1; n < int64(len(dirty)); n = next.Add(1) - 1 {
				errs[i] = errors.Join(errs[i], dirty[n].flush())
			}
		})
	}
	all.Wait()
	if s.index != nil {
		errs = append(errs, s.index.flush())
	}
	return errors.Join(errs...)
}
