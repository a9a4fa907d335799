package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/liftoffmq/liftoff/internal/logging"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

const (
	// writeRounds is how often the goroutine that settles writes what others have appended before it hands that over.
	writeRounds = 4
	// maxBehind is how much may wait for the disk in memory; then Put refuses.
	maxBehind = 64 << 20
	// aheadSize is how much of the log's file is filled with zeros at once, before messages are written there.
	aheadSize = 128 << 10
	// aheadSync is the same for SYNC_FLUSH: an fsync of what lies in new blocks of a file writes the file's inode too, and waits for that.
	aheadSync = 512 << 10
)

// commitLog is the log and its marks:
//
//	dispatched <= flushed (SyncFlush) or written <= written <= appended
//
// A mark only grows. What lies before it never changes.
type commitLog struct {
	files *logfile.Log
	tail  tail

	written   atomic.Int64 // handed to the kernel; moved by the one goroutine that has writing
	flushed   atomic.Int64 // durable; moved by flushLog
	writeTime atomic.Int64 // store timestamp of the newest written message
	flushTime atomic.Int64 // of the newest flushed one

	mu         sync.Mutex    // the append lock; protects the fields below
	appended   int64         // encoded into the tail
	appendTime int64         // store timestamp of the newest appended message
	writing    bool          // a goroutine is in write, or writeLoop is about to be
	waiting    waiters       // for written
	flushing   waiters       // for flushed
	parts      []part        // of the one who writes
	ahead      logfile.Ahead // of the one who writes, too
	closing    bool          // Put refuses
	stuck      error         // why what is appended cannot be written for now; nil when it can
	late       error         // why what is written cannot be flushed for now; nil when it can
	err        error         // why the log is not written any more

	lights int // light queues that have messages

	putMessages, putBytes int64     // since open
	idle                  sync.Cond // writing was given up
}

// append encodes one message behind all others, which gives it its place in the log and in its queue. The caller holds the
// append lock and has checked the message.
func (s *Store) append(p *Put, now int64) {
	l, m := &s.log, &p.Message
	if p.Queue.loose {
		s.tie(p.Queue)
	}
	switch {
	case p.Light != nil:
		s.placeLight(p)
	case p.Inner != 0:
		s.placeBase(p)
	}
	fileSize := l.files.FileSize()
	if left := fileSize - l.appended%fileSize; int64(m.Size)+message.BlankSize > left {
		c := l.tail.room(l.appended, message.BlankSize, s.keptFrom())
		message.AppendBlank(c.buf[c.used:c.used], int32(left))
		c.used += message.BlankSize
		l.appended += left
	}
	m.LogOffset = l.appended
	m.StoreTimestamp = now
	m.QueueOffset = 0
	if message.InConsumeQueue(m.SysFlag) {
		m.QueueOffset = p.Queue.next
		p.Queue.next += int64(max(p.Inner, 1))
	}
	c := l.tail.room(l.appended, int(m.Size), s.keptFrom())
	m.AppendRecord(c.buf[c.used:c.used:c.used+int(m.Size)], p.crc)
	c.used += int(m.Size)
	l.appended += int64(m.Size)
	l.appendTime = now
	l.putMessages++
	l.putBytes += int64(m.Size)
}

// keptFrom is the offset from which on the tail is needed.
func (s *Store) keptFrom() int64 {
	return min(s.log.written.Load(), s.dispatcher.dispatched.Load())
}

// write writes what is appended, answers and dispatches, as often as there is more. After some rounds it leaves the rest
// to writeLoop, for the caller has work of its own. It is called with the append lock held and writing set, and
// returns with the lock free.
func (s *Store) write(rounds int) {
	l := &s.log
	for l.err == nil && l.written.Load() != l.appended {
		if rounds == 0 {
			l.mu.Unlock()
			s.writeWake <- struct{}{} // never full: whoever sends has writing
			return
		}
		rounds--
		if !s.writeRound() {
			return
		}
		s.wakeFlush()
	}
	l.stopWriting()
	l.mu.Unlock()
}

// stopWriting gives up the right to write. The caller holds the append lock.
func (l *commitLog) stopWriting() {
	l.writing = false
	l.idle.Broadcast()
}

// writeRound writes what is appended now, answers and dispatches. It is called with the append lock held and writing
// set, and returns so; but when nothing can be written for now it returns false, with both given up.
func (s *Store) writeRound() bool {
	l := &s.log
	from, to, newest := l.written.Load(), l.appended, l.appendTime
	l.parts = l.tail.unwritten(l.parts, from, to)
	l.mu.Unlock()

	err := l.writeParts()
	if err != nil && !mayPass(err) {
		s.fail(err)
	}
	l.mu.Lock()
	if err != nil {
		if l.err == nil {
			s.getStuck(err) // frees the lock
			return false
		}
		return true
	}
	l.stuck = nil
	l.writeTime.Store(newest)
	l.written.Store(to)
	done := l.waiting.take(to)
	l.mu.Unlock()

	answer(done, nil)
	if !s.cfg.SyncFlush {
		_ = s.dispatch(to) // which has told it
	}
	l.mu.Lock()
	return true
}

// writeParts writes what write has taken from the tail.
func (l *commitLog) writeParts() error {
	for _, part := range l.parts {
		begin := part.off - part.off%l.files.FileSize()
		l.ahead.Prepare(l.files, part.off, part.off+int64(len(part.data)), begin, begin+l.files.FileSize())
		if _, err := l.files.WriteAt(part.data, part.off); err != nil {
			return fmt.Errorf("cannot write commit log at %d: %w", part.off, err)
		}
	}
	return nil
}

// getStuck gives up writing for now: the disk has no space, or the log's next file cannot be opened. What is appended stays in memory
// and is written when that has passed, but only patient batches still wait for it. It is called with the append lock held and frees it.
func (s *Store) getStuck(err error) {
	l := &s.log
	news := l.stuck == nil
	if l.stuck = fmt.Errorf("%w: %w", ErrDiskFull, err); logfile.IsOutOfFiles(err) {
		l.stuck = fmt.Errorf("nothing can be stored for now: %w", logging.Advised(err))
	}
	told := l.stuck
	written := l.written.Load()
	hasty := func(b *Batch) bool { return b.end > written && !b.Patient }
	waiting, flushing := l.waiting.takeIf(hasty), l.flushing.takeIf(hasty)
	l.stopWriting()
	l.mu.Unlock()
	if news {
		s.logger.Error("messages are refused", "err", told)
		wake(s.refusing)
	}
	answer(waiting, told)
	answer(flushing, told)
}

// retryWrite tries again to write what could not be written.
func (s *Store) retryWrite() {
	l := &s.log
	l.mu.Lock()
	if l.stuck == nil || l.writing || l.err != nil {
		l.mu.Unlock()
		return
	}
	l.writing = true
	s.write(-1)
	if s.Writable() == nil {
		s.logger.Info("messages are taken again")
	}
}

// writeLoop takes over from Puts that have written long enough.
func (s *Store) writeLoop() {
	for {
		select {
		case <-s.stop:
			return
		case <-s.writeWake:
			s.log.mu.Lock()
			s.write(-1)
		}
	}
}

// fail ends the trust in the log: nothing is written to it any more, and everyone who waits is told why. Reads go on.
func (s *Store) fail(err error) {
	l := &s.log
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = fmt.Errorf("%w (since %s nothing is stored)", err, s.now().Format("2006-01-02 15:04:05"))
	told := l.err
	waiting, flushing := l.waiting.all(), l.flushing.all()
	l.mu.Unlock()

	s.logger.Error("store takes no more messages", "err", told)
	answer(waiting, told)
	answer(flushing, told)
}

// mayPass says whether what failed may go well when it is tried again: there was no space, or too many files were open. What a sync could
// not write is forgotten by the kernel, so another one would go well, without it.
func mayPass(err error) bool {
	return !errors.Is(err, logfile.ErrSync) &&
		(errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || logfile.IsOutOfFiles(err))
}

// HasFailed says whether the store takes no more messages until it is opened again. Reads go on.
func (s *Store) HasFailed() bool { return s.failure() != nil }

// failure says why the log is not written any more; nil while it is.
func (s *Store) failure() error {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.err
}
