package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// load reads the directory and recovers it: it finds the end of the log, dispatches again what may not be durable in
// queues and index, and takes away what lies behind the end.
func (s *Store) load(ctx context.Context) error {
	l := &s.log
	for _, dir := range append([]string{s.consumeQueueDir()}, s.cfg.CommitLogDirs...) {
		if err := s.cfg.FS.MkdirAll(dir); err != nil {
			return fmt.Errorf("cannot make folder %q: %w", dir, err)
		}
	}
	if err := cannotOpen("commit log", "mappedFileSizeCommitLog", bringBack, l.files.Load()); err != nil {
		return err
	}
	clean, err := s.wasClean()
	if err != nil {
		return err
	}
	if s.checkpoint, err = readCheckpoint(s.cfg.FS, s.checkpointPath()); err != nil {
		s.logger.Warn("checkpoint is not used, recovery takes longer", "err", err)
		s.checkpoint = checkpoint{}
	}
	durable := int64(0) // queues are, up to messages before it
	switch {
	case clean:
		durable = math.MaxInt64
	case s.checkpoint.ours:
		durable = s.checkpoint.logicsOffset
		if s.checkpoint.logicsOffset == 0 { // none is, as is known, and those that are there are all dispatched again
			durable = max(1, l.files.Start())
		}
	}
	if err := s.loadQueues(durable); err != nil {
		return err
	}
	if err := s.checkLogIsThere(); err != nil {
		return err
	}
	if err := s.openIndex(clean); err != nil {
		return err
	}
	if err := s.makeAbort(); err != nil {
		return err
	}
	return s.recover(ctx, clean)
}

// ErrLogIsAway says that files of the log are not where they were.
var ErrLogIsAway = errors.New("files of the commit log are not there")

// checkLogIsThere says that a disk is not mounted, or a path wrong: queues would be deleted or cut otherwise, and groups set back.
func (s *Store) checkLogIsThere() error {
	if files := s.log.files; files.Len() > 0 {
		return s.logIsAway(files.End(), 0)
	}
	return s.logIsAway(0, s.queues.reach())
}

// logIsAway is the error when log files that end at end, 0 for none, cannot be all that the checkpoint, and queues that reach so far, tell of.
func (s *Store) logIsAway(end, reached int64) error {
	cp, dirs := s.checkpoint, strings.Join(s.cfg.CommitLogDirs, ", ")
	const why = "is a disk not mounted, or storePathCommitLog wrong?"
	switch {
	case end == 0 && (reached > 0 || cp.ours && cp.logicsOffset > 0):
		return fmt.Errorf("%w: there is none in %s, and consume queues or the checkpoint tell of messages; %s To begin anew, remove %s, %s and %s",
			ErrLogIsAway, dirs, why, s.consumeQueueDir(), s.batchQueueDir(), s.checkpointPath())
	case cp.ours && cp.logicsOffset > 0 && cp.logicsOffset >= end:
		return fmt.Errorf("%w: those in %s end at log offset %d, and there was a message at %d; %s To go on with what is there, remove %s",
			ErrLogIsAway, dirs, end, cp.logicsOffset, why, s.checkpointPath())
	}
	return nil
}

// loadQueues finds the queues that have files.
func (s *Store) loadQueues(durable int64) error {
	s.queues.batch = map[string]bool{}
	err := s.eachQueueDir(s.batchQueueDir(), func(topic string) { s.queues.batch[topic] = true }, func(q *Queue) error {
		return cannotOpen("batch consume queue", "mapperFileSizeBatchConsumeQueue", makeAnew, q.batch.load())
	})
	if err != nil {
		return err
	}
	err = s.eachQueueDir(s.queueExtDir(), nil, func(q *Queue) error {
		if q.ext == nil && q.batch == nil {
			q.ext = newQueueExt(s, q.topic, q.id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.eachQueueDir(s.consumeQueueDir(), nil, func(q *Queue) error {
		return cannotOpen("consume queue", "mappedFileSizeConsumeQueue", makeAnew, q.units.load(durable, s.factsOf(q)))
	})
}

// eachQueueDir calls do for each queue that has a folder <topic>/<queueId> under dir, and found, if given, for each topic before that.
func (s *Store) eachQueueDir(dir string, found func(topic string), do func(*Queue) error) error {
	return eachFolder(s.cfg.FS, dir, found, func(topic, name string) error {
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil || id < 0 {
			return nil
		}
		return do(s.addQueue(topic, int32(id)))
	})
}

// eachFolder calls do for each folder <topic>/<name> under dir, and found, if given, for each topic before that.
func eachFolder(fs logfile.FS, dir string, found func(topic string), do func(topic, name string) error) error {
	topics, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("cannot list %q: %w", dir, err)
	}
	for _, topic := range topics {
		if !topic.Dir {
			continue
		}
		if found != nil {
			found(topic.Name)
		}
		entries, err := fs.List(filepath.Join(dir, topic.Name))
		if err != nil {
			return fmt.Errorf("cannot list queues of topic %q: %w", topic.Name, err)
		}
		for _, entry := range entries {
			if entry.Dir {
				if err := do(topic.Name, entry.Name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// What may be done about files between which one is missing.
const (
	bringBack = "bring the missing one back from a copy or another replica, for `liftoff store check --repair` cannot make it; to go on without " +
		"all messages up to it, move the files before it elsewhere"
	makeAnew = "`liftoff store check --repair` makes the queue anew from the log"
	leaveOut = "remove the folder consumequeue_ext, it is made anew for new messages and needed for none"
)

// cannotOpen says what could not be opened, which setting it is that does not fit its files, and what to do when one of them is missing; nil
// stays nil.
func cannotOpen(what, setting, missing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, logfile.ErrFileSize):
		err = fmt.Errorf("%w by %s", err, setting)
	case errors.Is(err, logfile.ErrGap):
		err = fmt.Errorf("%w; %s", err, missing)
	}
	return fmt.Errorf("cannot open %s: %w", what, err)
}

// recover finds the end of the log and makes everything end there.
func (s *Store) recover(ctx context.Context, clean bool) error {
	l, d := &s.log, &s.dispatcher
	began := s.now()
	if l.files.Len() == 0 {
		for _, q := range s.queues.all() { // empty ones, of a log that was deleted
			if err := q.destroy(); err != nil {
				return fmt.Errorf("cannot remove queue %s-%d of a deleted commit log: %w", q.topic, q.id, err)
			}
		}
	}
	behind := s.queuesAreBehind(clean)
	if behind {
		s.logger.Warn("consume queues are not what they were and are made anew from the whole commit log", "root", s.consumeQueueDir(),
			"reached", s.queues.reach(), "before", s.checkpoint.reached)
	}
	from, dispatched, err := s.recoverFrom(clean)
	if err != nil {
		return err
	}
	again := from
	if dispatched {
		again++ // all but the message there
	}
	if err := s.recoverExts(clean, again); err != nil {
		return err
	}
	if behind || from == l.files.Start() && !dispatched && !s.checkpoint.ours {
		if err := s.beginAnew(); err != nil && !mayPass(err) {
			return err
		} else if err != nil {
			s.logger.Warn("recovery begins at the log's beginning once more if it is cut short", "err", err)
		}
	}
	kept := progress{store: s, from: from, doubt: !clean, due: began.Add(checkpointInterval)}
	scan := scanner{store: s, clean: clean, off: from}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := s.dispatchAgain(ctx, &scan, &kept, dispatched); err != nil {
		return err
	}
	end := scan.off
	durable, durableTime := end, d.newestTime
	if !clean && s.cfg.SyncFlush { // what is not durable is little, and not visible
		l.files.Doubt(from)
	}
	if at := s.checkpoint.logicsOffset; at > 0 && at >= end {
		if err := s.dropCheckpoint(); err != nil {
			return err
		}
	}
	if err := s.truncate(end, scan.why); err != nil {
		return err
	}
	if !clean && !s.cfg.SyncFlush { // it may be much, and starting need not wait for it
		l.files.Doubt(from)
		durable, durableTime = min(from, end), s.checkpoint.physicTime
	}
	if !clean {
		if err := s.doubtQueues(from, end); err != nil {
			return err
		}
	}
	l.appended, l.appendTime = end, d.newestTime
	l.written.Store(end)
	l.flushed.Store(durable)
	l.writeTime.Store(d.newestTime)
	l.flushTime.Store(durableTime)
	d.dispatched.Store(end)
	d.checkpointed = from
	d.reached = s.queues.reach()
	if err := s.beginQueues(); err != nil {
		return err
	}
	if len(d.dirty) > 0 { // soon, or starts that are killed one after the other would do more of it each time
		wake(s.behindNow)
	}
	if durable < end {
		s.wakeFlush()
	}
	s.logger.Info("store opened", "root", s.cfg.RootDir, "clean", clean, "log_start", l.files.Start(), "log_end", end,
		"recovered_from", from, "messages_recovered", scan.messages, "took", s.now().Sub(began).Round(time.Millisecond))
	return nil
}

// dispatchAgain dispatches what a scan of the log finds, but for the first message if that is known to be dispatched. The caller holds
// d.mu.
func (s *Store) dispatchAgain(ctx context.Context, scan *scanner, kept *progress, dispatched bool) error {
	d := &s.dispatcher
	began := s.now()
	told := began
	for scan.next() {
		if dispatched { // the first one, of the checkpoint; once more would bring back a topic deleted since
			dispatched = false
			d.newest, d.newestTime = scan.record.LogOffset, scan.record.StoreTimestamp
			continue
		}
		err := s.gather(&scan.record)
		if err == nil && scan.messages%gatherMost == 0 {
			err = s.putGathered()
		}
		if err != nil {
			return fmt.Errorf("cannot dispatch messages up to log offset %d again: %w", scan.record.LogOffset, err)
		}
		d.newest, d.newestTime = scan.record.LogOffset, scan.record.StoreTimestamp
		if scan.messages%1024 != 0 {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("cannot finish recovery: %w", err)
		}
		now := s.now()
		if err := kept.keep(scan.off, now); err != nil {
			return err
		}
		if now.Sub(told) >= time.Second {
			told = now
			s.logger.Info("recovering", "log_offset", scan.off, "of", s.log.files.End(),
				"messages", scan.messages, "seconds", int(now.Sub(began).Seconds()))
		}
	}
	if scan.failed != nil {
		return fmt.Errorf("cannot read commit log at %d: %w", scan.off, scan.failed)
	}
	if err := s.putGathered(); err != nil {
		return fmt.Errorf("cannot dispatch messages up to log offset %d again: %w", d.newest, err)
	}
	return nil
}

// beginQueues makes queues give offsets behind what they have, and begin where the log does.
func (s *Store) beginQueues() error {
	l := &s.log
	for _, q := range s.queues.all() {
		q.next = q.MaxOffset()
		if q.next > 0 && IsLight(q.topic) {
			q.counted = true
			l.lights++
		}
		if l.files.Start() > 0 {
			if _, err := q.deleteBefore(l.files.Start()); err != nil {
				return fmt.Errorf("cannot find the begin of queue %s-%d: %w", q.topic, q.id, err)
			}
		}
	}
	return nil
}

// doubtQueues makes the next flush cover what queues have of messages in [from, end): the process that wrote it may have been killed
// before it was durable. The caller holds d.mu.
func (s *Store) doubtQueues(from, end int64) error {
	most := (end-from)/message.MinRecordSize + 1
	for _, q := range s.queues.all() {
		if q.end() <= from {
			continue
		}
		if err := q.doubt(most); err != nil {
			return err
		}
		s.dirtied(q)
	}
	return nil
}

// recoverFiles is how many files of the log are read again for the index's sake, commitLogRecoverMaxNum in Apache.
const recoverFiles = 10

// queuesAreBehind says whether queues lack messages that they had when the checkpoint was written: their files were removed, or older ones
// brought back. Apache's does not tell how far they reached.
func (s *Store) queuesAreBehind(clean bool) bool {
	reached := s.queues.reach()
	if s.checkpoint.ours {
		return reached < s.checkpoint.reached
	}
	return clean && reached == 0 && s.checkpoint.logicsTime > 0
}

// recoverFrom chooses where in the log to begin: before the first message that may not be durable in queues and index. It
// says whether the message there is known to be.
func (s *Store) recoverFrom(clean bool) (from int64, dispatched bool, err error) {
	l := &s.log
	start, end := l.files.Start(), l.files.End()
	at := s.checkpoint.logicsOffset
	if s.queuesAreBehind(clean) {
		return start, false, nil // which of them, nobody knows
	}
	if clean || s.checkpoint.ours {
		// Everything before is durable, in the log too, so the message there proves that log and checkpoint belong together.
		scan := scanner{store: s, clean: true, off: at}
		if at > 0 && at >= start && at < end && scan.next() {
			return at, true, nil
		} else if scan.failed != nil {
			return 0, false, fmt.Errorf("cannot read commit log at the checkpoint, %d: %w", at, scan.failed)
		}
	}
	reached := s.queues.reach()
	// Index files that Apache did not close are removed when the index is opened. Their messages are indexed again as
	// far as it takes few files.
	indexed := end
	if s.index != nil && !clean && !s.checkpoint.ours {
		_, indexed = s.index.newest()
	}
	for first := end - l.files.FileSize(); first > start; first -= l.files.FileSize() {
		if first > indexed && end-first < recoverFiles*l.files.FileSize() {
			continue
		}
		scan := scanner{store: s, clean: true, off: first}
		isThere := scan.next()
		if scan.failed != nil {
			return 0, false, fmt.Errorf("cannot read commit log at %d: %w", first, scan.failed)
		}
		if !isThere || scan.record.StoreTimestamp == 0 {
			continue
		}
		switch {
		case clean && first <= reached,
			!clean && at > 0 && first <= at,
			!clean && !s.checkpoint.ours && at <= 0 && scan.record.StoreTimestamp <= s.checkpoint.logicsTime:
			return first, false, nil
		}
	}
	return start, false, nil
}

// truncate makes log, queues and index end at a log offset. What lay behind it in the same file becomes zeros, so that
// no later recovery, by us or by Apache, takes old bytes behind a new end for messages.
func (s *Store) truncate(end int64, why error) error {
	l := &s.log
	fileSize := l.files.FileSize()
	if end%fileSize != 0 {
		dirt, err := s.dirtBehind(end)
		if err != nil {
			return err
		}
		if dirt {
			s.logger.Warn("bytes behind the last good message of the commit log are discarded", "log_offset", end, "err", why)
			if err := l.files.Zero(end); err != nil {
				return fmt.Errorf("cannot clear commit log behind %d: %w", end, err)
			}
		}
	}
	if err := s.dropFiles((end + fileSize - 1) / fileSize * fileSize); err != nil {
		return err
	}
	if err := l.files.Sync(); err != nil {
		return fmt.Errorf("cannot flush commit log: %w", err)
	}
	for _, q := range s.queues.all() {
		if q.end() > end {
			if err := q.truncate(end); err != nil {
				return fmt.Errorf("cannot truncate queue %s-%d: %w", q.topic, q.id, err)
			}
		}
	}
	if s.index != nil {
		return s.index.truncate(end)
	}
	return nil
}

// dirtBehind says whether anything but zeros follows an offset in its file. It looks only at what was ever written: most of the
// newest file is a hole.
func (s *Store) dirtBehind(off int64) (bool, error) {
	files := s.log.files
	end := (off/files.FileSize() + 1) * files.FileSize()
	buf := make([]byte, 1<<20)
	for off < end {
		next, err := files.NextData(off)
		if err != nil {
			return false, fmt.Errorf("cannot look for data in commit log behind %d: %w", off, err)
		}
		if off = next; off >= end {
			break
		}
		b := buf[:min(end-off, int64(len(buf)))]
		if _, err := files.ReadAt(b, off); err != nil {
			return false, fmt.Errorf("cannot read commit log at %d: %w", off, err)
		}
		if !allZero(b) {
			return true, nil
		}
		off += int64(len(b))
	}
	return false, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// dropFiles removes the log's files from an offset on. One that begins with a good message is no torn tail but the rest
// of a log that was damaged before it: it is put aside, where someone may find it.
func (s *Store) dropFiles(from int64) error {
	files := s.log.files
	for start := files.End() - files.FileSize(); start >= max(from, files.Start()) && files.Len() > 0; start -= files.FileSize() {
		remove := s.cfg.FS.Remove
		scan := scanner{store: s, clean: true, off: start}
		if scan.next() {
			remove = s.putAside
		} else if scan.failed != nil {
			return fmt.Errorf("cannot tell what the commit log has behind its end, at %d: %w", start, scan.failed)
		}
		if err := files.DropFrom(start, remove); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) putAside(path string) error {
	dir := filepath.Join(s.cfg.RootDir, "damaged")
	aside := filepath.Join(dir, filepath.Base(path)+"."+s.now().Format("20060102150405"))
	s.logger.Error("commit log is damaged before a file with good messages, it is put aside", "file", path, "to", aside)
	if err := s.cfg.FS.MkdirAll(dir); err != nil {
		return err
	}
	return s.cfg.FS.Rename(path, aside)
}
