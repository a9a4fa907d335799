package store

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/logging"
)

// ErrDiskFull says that nothing is stored until space on the disk is free again.
var ErrDiskFull = errors.New("disk is full")

const (
	// firstClean is when the first files may go after the store was opened.
	firstClean = time.Minute
	// restInterval is how long something must be unused to give back what it takes.
	restInterval = time.Minute
	// manualRounds is how many rounds of cleaning one DeleteExpired asks for.
	manualRounds = 20
)

// diskUse is how full the disks are and what follows from that.
type diskUse struct {
	ratio float64 // of the commit log's emptiest partition
	path  string  // its folder
}

// refusedInterval is how soon it is looked again whether there is space, while messages are refused for want of it.
const refusedInterval = time.Second

// cleanLoop watches the disks and deletes files that are expired or in the way, every CleanInterval.
func (s *Store) cleanLoop() {
	opened := s.now()
	rested, cleaned := opened, opened
	timer := time.NewTimer(s.live.Load().CleanInterval)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.refusing:
			timer.Reset(s.cleanDelay())
			continue
		case <-timer.C:
		}
		s.retryWrite()
		now := s.now()
		if now.Sub(opened) >= firstClean && now.Sub(cleaned) >= s.live.Load().CleanInterval {
			cleaned = now
			s.clean()
		} else {
			s.checkDisks()
		}
		if s.now().Sub(rested) >= restInterval {
			rested = s.now()
			s.rest()
		}
		timer.Reset(s.cleanDelay())
	}
}

// cleanDelay is how long cleanLoop may sleep.
func (s *Store) cleanDelay() time.Duration {
	s.log.mu.Lock()
	refused := s.log.stuck != nil || s.full.Load() != nil
	s.log.mu.Unlock()
	interval := s.live.Load().CleanInterval
	if refused {
		return min(interval, refusedInterval)
	}
	return interval
}

// rest gives back the memory and open files of queues and of the index that nobody has used for a while.
func (s *Store) rest() {
	queues := s.queues.all()
	for _, q := range queues {
		q.units.idle()
	}
	s.loosen(queues)
	if s.index != nil {
		s.index.idle()
	}
	s.cache.rest()
}

// diskRatios asks how full the partitions of the log and of the consume queues are; -1 is unknown.
func (s *Store) diskRatios() (log diskUse, queues float64) {
	log.ratio = 100
	for _, dir := range s.cfg.CommitLogDirs {
		if r := s.diskRatio(dir); r < log.ratio {
			log = diskUse{ratio: r, path: dir}
		}
	}
	return log, s.diskRatio(s.consumeQueueDir())
}

// diskRatio is how full the disk of a folder is, -1 when that cannot be told. It is asked every second at times.
func (s *Store) diskRatio(dir string) float64 {
	usage, err := s.cfg.FS.Usage(dir)
	if err != nil {
		if t, _ := s.unmeasured.LoadOrStore(dir, new(logging.Trouble)); t.(*logging.Trouble).Failed(err) {
			s.logger.Warn("cannot tell how full the disk is; until it can be told, only a write that fails shows that it is full, and expired files go at any hour",
				"dir", dir, "err", err)
		}
		return -1
	}
	if t, was := s.unmeasured.LoadAndDelete(dir); was {
		lasted, _ := t.(*logging.Trouble).Passed()
		s.logger.Info("it can be told again how full the disk is", "dir", dir, "after", lasted)
	}
	return usage.Ratio()
}

// checkDisks refuses or takes messages by how full the disks are. It says whether files should go though it is not the
// hour, and whether even those that are not expired.
func (s *Store) checkDisks() (toDelete, atOnce bool) {
	log, queues := s.diskRatios()
	set := s.live.Load()
	warning := float64(set.DiskSpaceWarningLevelRatio) / 100
	forcibly := float64(set.DiskSpaceCleanForciblyRatio) / 100
	wanted := float64(set.DiskMaxUsedSpaceRatio) / 100

	switch {
	case log.ratio > warning:
		s.markFull(log.path, log.ratio)
	case queues > warning:
		s.markFull(s.consumeQueueDir(), queues)
	case log.ratio > forcibly && log.ratio >= queues: // it stays as it is until there is room for a while
		s.stayFull(log.path, log.ratio)
	case queues > forcibly:
		s.stayFull(s.consumeQueueDir(), queues)
	default:
		s.markOK()
	}
	s.avoidFullDirs(forcibly)
	if log.ratio > forcibly || queues > forcibly {
		return true, true
	}
	return log.ratio > wanted || queues > wanted || log.ratio < 0 || queues < 0, false
}

// avoidFullDirs keeps new files of the log out of folders whose partition is nearly full, as long as there are others.
func (s *Store) avoidFullDirs(ratio float64) {
	if len(s.cfg.CommitLogDirs) < 2 {
		return
	}
	var full []string
	for _, dir := range s.cfg.CommitLogDirs {
		if s.diskRatio(dir) > ratio {
			full = append(full, dir)
		}
	}
	s.log.files.Avoid(full)
}

func (s *Store) markFull(dir string, ratio float64) {
	err := s.errFull(dir, ratio)
	if s.full.Swap(&err) == nil {
		s.logger.Error("messages are refused", "err", err)
		wake(s.refusing)
	}
}

// stayFull goes on refusing messages if they are refused, for a partition as it is now.
func (s *Store) stayFull(dir string, ratio float64) {
	if was := s.full.Load(); was != nil {
		err := s.errFull(dir, ratio)
		s.full.CompareAndSwap(was, &err)
	}
}

func (s *Store) errFull(dir string, ratio float64) error {
	set := s.live.Load()
	return fmt.Errorf("%w: the partition of %s is %.0f %% full, diskSpaceWarningLevelRatio is %d (messages are taken again at %d %%, diskSpaceCleanForciblyRatio)",
		ErrDiskFull, dir, ratio*100, set.DiskSpaceWarningLevelRatio, set.DiskSpaceCleanForciblyRatio)
}

func (s *Store) markOK() {
	if s.full.Swap(nil) != nil {
		s.logger.Info("disk has space again, messages are taken")
	}
}

// DeleteExpired has expired files deleted at any hour for the next rounds, beginning now.
func (s *Store) DeleteExpired() {
	s.manualRounds.Store(manualRounds)
	s.clean()
}

// DeleteBehind deletes files of consume queues and of the index that only point to deleted files of the log.
func (s *Store) DeleteBehind() {
	s.cleanMu.Lock()
	defer s.cleanMu.Unlock()
	s.deleteBehind()
}

// clean deletes what is due, once.
func (s *Store) clean() {
	s.cleanMu.Lock()
	defer s.cleanMu.Unlock()
	toDelete, atOnce := s.checkDisks()
	manual := s.manualRounds.Load() > 0
	if manual {
		s.manualRounds.Add(-1)
	}
	if s.isHourToDelete() || toDelete || manual {
		n := s.deleteLogFiles(atOnce && s.live.Load().CleanFileForcibly)
		if n == 0 && atOnce {
			s.logger.Warn("disk is nearly full, and no file of the commit log may be deleted")
		}
		if n > 0 {
			s.checkDisks()
		}
	}
	s.deleteBehind()
}

// isHourToDelete says whether the local hour is one of DeleteWhen.
func (s *Store) isHourToDelete() bool {
	hour := s.now().Hour()
	return slices.ContainsFunc(strings.Split(s.live.Load().DeleteWhen, ";"), func(when string) bool {
		h, err := strconv.Atoi(strings.TrimSpace(when))
		return err == nil && h == hour
	})
}

// deleteLogFiles deletes the oldest files of the log that are expired, or any when the disk is full, but never the last one.
func (s *Store) deleteLogFiles(atOnce bool) int {
	l := &s.log
	files, err := l.files.Files()
	if err != nil {
		s.logger.Error("cannot delete expired files", "err", err)
		return 0
	}
	n, set := 0, s.live.Load()
	for _, f := range files {
		end := f.Start + l.files.FileSize()
		expired := !s.now().Before(f.ModTime.Add(set.FileReservedTime))
		// What is not visible or durable yet is never deleted, nor the file that is written.
		if n == set.DeleteFileBatchMax || end >= l.flushed.Load() || end > s.dispatcher.dispatched.Load() || !expired && !atOnce {
			break
		}
		if n > 0 && !s.pause(set.DeleteCommitLogFilesInterval) {
			break
		}
		if err := l.files.RemoveFirst(); err != nil {
			if s.undeleted.Failed(err) {
				s.logger.Error("cannot delete expired file, it is tried again", "err", err)
			}
			break
		}
		if lasted, over := s.undeleted.Passed(); over {
			s.logger.Info("expired files are deleted again", "after", lasted)
		}
		s.logger.Info("commit log file deleted", "file", f.Path, "expired", expired, "modified", f.ModTime)
		n++
	}
	return n
}

// deleteBehind deletes what only points to deleted files of the log. What cannot be deleted is tried again the next time; why is logged
// when it was not so the last time.
func (s *Store) deleteBehind() {
	start := s.log.files.Start()
	if start <= s.cleanedTo {
		return
	}
	known := s.notDeleted
	s.notDeleted = map[string]bool{}
	failed := func(what string, err error, args ...any) {
		if why := err.Error(); !s.notDeleted[why] {
			s.notDeleted[why] = true
			if !known[why] {
				s.logger.Error(what, append(args, "err", err)...)
			}
		}
	}
	for _, q := range s.queues.all() {
		n, err := q.deleteBefore(start)
		if err != nil {
			failed("cannot delete consume queue files, it is tried again", err, "topic", q.topic, "queue_id", q.id)
		}
		if n > 0 && !s.pause(s.live.Load().DeleteConsumeQueueFilesInterval) {
			return
		}
	}
	if s.index != nil {
		if err := s.index.deleteBefore(start); err != nil {
			failed("cannot delete index files, it is tried again", err)
		}
	}
	if len(s.notDeleted) > 0 {
		return
	}
	s.cleanedTo = start
	if len(known) > 0 {
		s.logger.Info("consume queue and index files that could not be deleted are deleted now")
	}
}

// pause waits and reports whether the store is still open.
func (s *Store) pause(d time.Duration) bool {
	select {
	case <-s.stop:
		return false
	case <-time.After(d):
		return true
	}
}
