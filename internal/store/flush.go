package store

import (
	"fmt"
	"time"

	"github.com/liftoffmq/liftoff/internal/logging"
)

const (
	pageSize = 4096
	// lateInterval is the time between tries to flush or to dispatch what could not be.
	lateInterval = 500 * time.Millisecond
)

// awaitFlush puts a batch on the list of those that wait for flushed. The caller holds the append lock.
func (s *Store) awaitFlush(b *Batch) {
	l := &s.log
	timeout := s.live.Load().SyncFlushTimeout
	b.deadline = s.now().Add(timeout)
	if l.flushing.first == nil {
		s.flushTimer.Reset(timeout)
	}
	l.flushing.push(b)
	s.flushWanted.Store(true)
}

// expireFlushes answers batches that have waited too long; flushLoop itself may be what they wait for.
func (s *Store) expireFlushes() {
	l := &s.log
	now, timeout := s.now(), s.live.Load().SyncFlushTimeout
	l.mu.Lock()
	to := l.written.Load()
	expired := func(b *Batch) bool { return !b.deadline.After(now) }
	written := l.flushing.takeIf(func(b *Batch) bool { return expired(b) && b.end <= to })
	unwritten := l.flushing.takeIf(func(b *Batch) bool { return expired(b) && !b.Patient })
	var soonest time.Time // of those that go on waiting
	for b := l.flushing.first; b != nil; b = b.next {
		if expired(b) {
			b.deadline = now.Add(timeout)
		}
		if soonest.IsZero() || b.deadline.Before(soonest) {
			soonest = b.deadline
		}
	}
	if !soonest.IsZero() {
		s.flushTimer.Reset(soonest.Sub(now))
	}
	l.mu.Unlock()
	answer(written, ErrFlushTimeout)
	answer(unwritten, ErrWriteTimeout)
}

// wakeFlush tells flushLoop that something was written. Without waiters, once is enough until it has flushed.
func (s *Store) wakeFlush() {
	if s.cfg.SyncFlush || s.flushWanted.Load() || s.flushArmed.CompareAndSwap(false, true) {
		wake(s.flushWake)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// flushLoop makes the log durable: at once when someone waits for it, else by time. It sleeps while nothing is dirty.
func (s *Store) flushLoop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	last := s.now()
	for {
		select {
		case <-s.stop:
			return
		case <-s.flushWake:
		case <-timer.C:
		}
		if s.cfg.SyncFlush || s.flushWanted.Load() {
			s.flushLog()
			last = s.now()
			if err := s.flushFailure(); err != nil && mayPass(err) {
				timer.Reset(lateInterval)
			} else if !s.cfg.SyncFlush {
				timer.Reset(s.live.Load().FlushInterval)
			}
			continue
		}
		flushed, written := s.log.flushed.Load(), s.log.written.Load()
		pages := written/pageSize - flushed/pageSize
		set := s.live.Load()
		if pages >= int64(set.FlushLeastPages) || s.now().Sub(last) >= set.FlushThoroughInterval {
			s.flushLog()
			last = s.now()
		}
		if s.log.flushed.Load() == s.log.written.Load() {
			s.flushArmed.Store(false)
			if s.log.flushed.Load() == s.log.written.Load() {
				continue
			}
			s.flushArmed.Store(true)
		}
		timer.Reset(set.FlushInterval)
	}
}

// flushQuick is how long an fsync takes on a disk that does not wake another goroutine for it: it costs more than the fsync, and
// the requests that come meanwhile share the next one.
const flushQuick = time.Millisecond

// flush makes durable what is appended, here if that may be waited for and is quick, else by flushLoop.
func (s *Store) flush(here bool) {
	took := s.syncTook.Load()
	if !here || took == 0 || took > int64(flushQuick) || !s.flushMu.TryLock() {
		wake(s.flushWake)
		return
	}
	s.flushLocked()
	s.flushMu.Unlock()
	s.answerFlushed()
}

// flushLog makes durable what is written now.
func (s *Store) flushLog() {
	s.flushMu.Lock()
	s.flushLocked()
	s.flushMu.Unlock()
	s.answerLater()
}

// flushLocked is flushLog but for the answers, which are left to answerFlushed. The caller holds flushMu.
func (s *Store) flushLocked() {
	l := &s.log
	s.flushWanted.Store(false)
	s.writeForFlush()
	newest, to := l.writeTime.Load(), l.written.Load()
	if to > l.flushed.Load() {
		if s.failure() != nil {
			return // everyone has been told
		}
		began := s.now()
		err := l.files.Sync()
		if err != nil {
			err = fmt.Errorf("cannot flush commit log: %w", err)
		}
		if s.flushIsLate(err); err != nil {
			return
		}
		took := s.now().Sub(began)
		s.fsync.Observe(took.Microseconds())
		s.syncTook.Store((7*s.syncTook.Load() + int64(max(took, 1))) / 8)
		l.flushTime.Store(newest)
		l.flushed.Store(to)
	}
	l.mu.Lock()
	done := l.flushing.take(to)
	if l.flushing.first != nil {
		s.flushWanted.Store(true)
		if l.written.Load() > to {
			wake(s.flushWake) // its writer may have seen no one waiting
		}
	}
	l.mu.Unlock()
	s.flushedMu.Lock()
	s.flushed.pushAll(done)
	s.flushedMu.Unlock()
	if s.cfg.SyncFlush {
		_ = s.dispatch(to) // which has told it
	}
}

// answerLater leaves the answering to who calls Settle, if somebody does: a goroutine of the connections finds what the answers lead to
// together when it has written them all, and the next flush has it together.
func (s *Store) answerLater() {
	s.flushedMu.Lock()
	none := s.flushed.first == nil
	s.flushedMu.Unlock()
	if none {
		return
	}
	s.unsettled.Store(true)
	if s.hooks.Later == nil || !s.hooks.Later() {
		s.answerFlushed()
	}
}

// answerFlushed answers the batches that were flushed.
func (s *Store) answerFlushed() {
	s.flushedMu.Lock()
	done := s.flushed.all()
	s.flushedMu.Unlock()
	answer(done, nil)
}

// Flush makes durable what was stored before, for a file that tells of it.
func (s *Store) Flush() error {
	to := s.log.written.Load()
	s.flushLog()
	if s.log.flushed.Load() < to {
		return s.flushFailure()
	}
	return nil
}

// catchUp waits until everything that is appended now is durable and dispatched.
func (s *Store) catchUp() error {
	to, err := s.awaitWritten()
	if err == nil {
		err = s.Flush()
	}
	if err != nil {
		return err
	}
	return s.dispatch(to)
}

// awaitWritten waits until everything that is appended now is written, and returns the log offset behind it.
func (s *Store) awaitWritten() (to int64, err error) {
	l := &s.log
	written := make(chan error, 1)
	l.mu.Lock()
	to = l.appended
	switch {
	case l.written.Load() == to:
		written <- nil
	case l.err != nil:
		written <- l.err
	case l.stuck != nil:
		written <- l.stuck
	default:
		l.waiting.push(&Batch{end: to, Done: func(_ *Batch, err error) { written <- err }})
		if !l.writing {
			l.writing = true
			s.write(writeRounds)
			return to, <-written
		}
	}
	l.mu.Unlock()
	return to, <-written
}

// flushIsLate takes note of how a flush of the log went, which is tried again when its error may pass.
func (s *Store) flushIsLate(err error) {
	l := &s.log
	if err != nil && !mayPass(err) {
		s.fail(err)
		return
	}
	l.mu.Lock()
	before := l.late
	l.late = err
	if err != nil && l.flushing.first != nil {
		s.flushWanted.Store(true)
	}
	l.mu.Unlock()
	switch {
	case err != nil:
		if s.lateFlush.Failed(err) {
			s.logger.Error("messages are not durable for now, trying again", "err", logging.Advised(err))
		}
		if before == nil {
			wake(s.flushWake) // flushLoop goes on from here, whoever it was that failed
		}
	case before != nil:
		if lasted, over := s.lateFlush.Passed(); over {
			s.logger.Info("messages are durable again", "after", lasted)
		}
	}
}

// flushFailure says why what is written is not flushed; nil when nothing has failed.
func (s *Store) flushFailure() error {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if s.log.err != nil {
		return s.log.err
	}
	return s.log.late
}

// writeForFlush writes what is appended, unless another goroutine is at it, which then wakes us when it has: batches that
// wait for flushed leave the writing to the one who flushes, so that one write and one fsync serve all that came during the
// fsync before.
func (s *Store) writeForFlush() {
	l := &s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writing || l.err != nil || l.written.Load() == l.appended {
		return
	}
	l.writing = true
	switch {
	case !s.writeRound():
		l.mu.Lock() // for the deferred call
	case l.waiting.first != nil && l.err == nil: // came meanwhile, and found somebody writing
		s.writeWake <- struct{}{} // never full: whoever sends has writing
	default:
		l.stopWriting()
	}
}
