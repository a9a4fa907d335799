package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// oldStore is a store of some files of the log, of which the first ones are old.
func oldStore(t *testing.T, old int, change func(*Config)) (*Store, *logfile.Memory) {
	t.Helper()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	cfg.DeleteCommitLogFilesInterval, cfg.DeleteConsumeQueueFilesInterval = 0, 0
	cfg.CleanInterval = time.Hour // tests call clean
	cfg.DeleteWhen = fmt.Sprint(time.Now().Add(12 * time.Hour).Hour())
	if change != nil {
		change(&cfg)
	}
	s := openTest(t, cfg)
	for s.Stats().Written < 7*cfg.CommitLogFileSize+1000 {
		putMany(t, s, 100)
	}
	s.flushLog()
	for i := range old {
		m.SetModTime(filepath.Join("/store/commitlog", logfile.FileName(int64(i)*cfg.CommitLogFileSize)), time.Now().Add(-73*time.Hour))
	}
	return s, m
}

func logFiles(s *Store) int { return s.log.files.Len() }

func TestClean_DeletesExpiredFilesAtTheirHour(t *testing.T) {
	t.Parallel()
	s, _ := oldStore(t, 3, nil)
	defer s.Close()
	all := logFiles(s)
	s.clean()
	if logFiles(s) != all {
		t.Fatal("files went at another hour")
	}
	s.live.Load().DeleteWhen = "x;" + fmt.Sprint(time.Now().Hour()) + ";" + fmt.Sprint(time.Now().Add(time.Minute).Hour())
	s.clean()
	if got := logFiles(s); got != all-3 {
		t.Fatalf("%d files are left of %d, 3 were old", got, all)
	}
	for id := range int32(2) {
		q := s.Queue("TopicA", id)
		first, ok := s.StoreTime(q, q.MinOffset())
		if q.MinOffset() == 0 || !ok || first == 0 {
			t.Errorf("queue %d begins at %d, %v", id, q.MinOffset(), ok)
		}
		_, r := s.Get(q, 0, 1, 1000, nil, nil)
		if r.Status != OffsetTooSmall || r.NextOffset != q.MinOffset() {
			t.Errorf("queue %d: %v, next %d", id, r.Status, r.NextOffset)
		}
		_, r = s.Get(q, q.MinOffset(), 1, 1000, nil, nil)
		if r.Status != Found {
			t.Errorf("queue %d: %v at its begin", id, r.Status)
		}
	}
	if _, err := s.MessageAt(0); err == nil {
		t.Error("a deleted message is still there")
	}
	cfg := s.cfg
	cfg.FS = s.cfg.FS.(*logfile.Memory).Kill()
	again := openTest(t, cfg)
	defer again.Close()
	for id := range int32(2) {
		a, b := s.Queue("TopicA", id), again.Queue("TopicA", id)
		if a.MinOffset() != b.MinOffset() || a.MaxOffset() != b.MaxOffset() {
			t.Errorf("queue %d: %d to %d, after a kill %d to %d", id, a.MinOffset(), a.MaxOffset(), b.MinOffset(), b.MaxOffset())
		}
	}
}

func TestClean_FollowsTheDisk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		percent  int64
		forcibly bool
		old      int
		deleted  int
		full     bool
	}{
		{75, true, 2, 0, false},
		{76, true, 2, 2, false}, // expired ones at any hour
		{76, true, 0, 0, false},
		{85, true, 0, 0, false},
		{86, true, 0, 4, false}, // any, up to deleteFileBatchMax
		{86, false, 1, 1, false},
		{90, true, 0, 4, false},
		{91, true, 0, 4, true},
		{91, false, 0, 0, true},
	} {
		t.Run(fmt.Sprintf("%d %% full, forcibly=%v, %d old", c.percent, c.forcibly, c.old), func(t *testing.T) {
			t.Parallel()
			s, m := oldStore(t, c.old, func(cfg *Config) { cfg.CleanFileForcibly, cfg.DeleteFileBatchMax = c.forcibly, 4 })
			defer s.Close()
			before := logFiles(s)
			m.SetUsage(logfile.Usage{Used: c.percent, Available: 100 - c.percent})
			s.clean()
			if got := before - logFiles(s); got != c.deleted {
				t.Errorf("%d files deleted, want %d", got, c.deleted)
			}
			if full := s.Writable() != nil; full != c.full {
				t.Errorf("full is %v", full)
			}
			for range 5 {
				s.clean()
			}
			if logFiles(s) < 1 {
				t.Error("the last file went")
			}
		})
	}
}

func TestSetLive_CountsFromTheNextRoundOn(t *testing.T) {
	t.Parallel()
	s, m := oldStore(t, 0, nil)
	defer s.Close()
	before, set := logFiles(s), s.live.Load().Live
	m.SetUsage(logfile.Usage{Used: 60, Available: 40})
	s.clean()
	if logFiles(s) != before || s.Writable() != nil {
		t.Fatalf("%d files of %d, %v", logFiles(s), before, s.Writable())
	}
	set.FileReservedTime, set.DiskMaxUsedSpaceRatio, set.DiskSpaceWarningLevelRatio = 0, 50, 55
	s.SetLive(set)
	s.clean()
	if logFiles(s) >= before || s.Writable() == nil {
		t.Errorf("%d files of %d, %v", logFiles(s), before, s.Writable())
	}
	set.DiskSpaceWarningLevelRatio = 500 // counts as 90, the most
	s.SetLive(set)
	s.clean()
	if s.Writable() != nil || s.live.Load().DiskSpaceWarningLevelRatio != 90 {
		t.Error(s.Writable())
	}
}

func TestClean_DeletesWhenAsked(t *testing.T) {
	t.Parallel()
	s, _ := oldStore(t, 2, nil)
	defer s.Close()
	before := logFiles(s)
	s.DeleteExpired()
	if got := before - logFiles(s); got != 2 {
		t.Errorf("%d files deleted, want 2", got)
	}
}

// cleanLog counts the errors that were logged.
type cleanLog struct {
	slog.Handler
	errors atomic.Int32
}

func (l *cleanLog) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelError {
		l.errors.Add(1)
	}
	return nil
}

func (l *cleanLog) Enabled(context.Context, slog.Level) bool { return true }

// What could not be deleted goes later, though no file of the log does any more, and is not logged again and again until then.
func TestClean_TriesAgainWhatCouldNotBeDeleted(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]logfile.Fault{
		"queues":          {Path: "/store/consumequeue"},
		"rest of a queue": {Path: "/store/consumequeue/TopicA/0", After: 1},
		"index":           {Path: "/store/index"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fault.Op, fault.Err = logfile.OpRemove, syscall.EMFILE
			var faults *logfile.Faults
			lines := &cleanLog{Handler: slog.DiscardHandler}
			s, m := oldStore(t, 3, func(cfg *Config) {
				faults = &logfile.Faults{FS: cfg.FS}
				cfg.FS, cfg.MaxIndexNum, cfg.Logger = faults, 100, slog.New(lines)
			})
			defer s.Close()
			files := func() (n int) {
				for _, dir := range []string{"/store/index", "/store/consumequeue/TopicA/0", "/store/consumequeue/TopicA/1"} {
					list, err := m.List(dir)
					check(t, err)
					n += len(list)
				}
				return n
			}
			faults.Inject(fault)
			before := files()
			s.DeleteExpired()
			with, said := files(), lines.errors.Load()
			for range 3 {
				s.clean()
			}
			if files() != with || said == 0 || lines.errors.Load() != said {
				t.Errorf("%d files, then %d, while none can be deleted; %d errors, then %d", with, files(), said, lines.errors.Load())
			}
			faults.Heal()
			s.clean()
			if got := files(); got >= with || len(s.notDeleted) > 0 {
				t.Errorf("%d files at first, %d without those of the other kind, %d at last; %v", before, with, got, s.notDeleted)
			}
		})
	}
}

func TestDeleteTopic_StartsAgainFromZero(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	s := openTest(t, cfg)
	defer s.Close()
	putMany(t, s, 300)
	keep := s.Queue("Other", 0)
	putWait(t, s, Written, testPut(keep, "kept"), testPut(s.Queue("TopicA", 0), "last of the log"))
	check(t, s.DeleteTopic("TopicA"))
	check(t, s.DeleteTopic("Unknown"))
	q := s.Queue("TopicA", 0)
	if q.MinOffset() != 0 || q.MaxOffset() != 0 {
		t.Errorf("queue is %d to %d", q.MinOffset(), q.MaxOffset())
	}
	if got := s.Topics(); fmt.Sprint(got) != "[Other]" {
		t.Errorf("topics %v", got)
	}
	for _, when := range []string{"at once", "after a message"} {
		cfg.FS = m.Crash(nil)
		left := openTest(t, cfg)
		if got := bodies(t, left, left.Queue("TopicA", 0), 0); len(got) > 1 || when == "at once" && len(got) > 0 {
			t.Errorf("%s: a power cut brings back %d messages", when, len(got))
		}
		wantBodies(t, bodies(t, left, left.Queue("Other", 0), 0), []string{"kept"})
		check(t, left.Close())
		putWait(t, s, Flushed, testPut(q, "new"))
	}
	wantBodies(t, bodies(t, s, q, 0), []string{"new", "new"})
}

// twoDisks has the consume queues on a partition of their own.
type twoDisks struct {
	*logfile.Memory
	queues atomic.Int64 // percent
}

func (d *twoDisks) Usage(dir string) (logfile.Usage, error) {
	if !strings.Contains(dir, "consumequeue") {
		return d.Memory.Usage(dir)
	}
	return logfile.Usage{Used: d.queues.Load(), Available: 100 - d.queues.Load()}, nil
}

// Either partition has messages refused, both must have room for a while before they are taken again, and the reason is that of the moment.
func TestCheckDisks_OfTwoPartitions(t *testing.T) {
	t.Parallel()
	disks := &twoDisks{Memory: logfile.NewMemory()}
	cfg := memoryConfig(t, disks.Memory)
	cfg.FS, cfg.CleanInterval = disks, time.Hour
	s := openTest(t, cfg)
	defer s.Close()
	for _, step := range []struct {
		log, queues int64
		reason      string // none: messages are taken
	}{
		{90, 90, ""},
		{50, 91, "/store/consumequeue is 91 % full"},
		{50, 88, "/store/consumequeue is 88 % full"},
		{87, 86, "/store/commitlog is 87 % full"},
		{87, 50, "/store/commitlog is 87 % full"},
		{95, 92, "/store/commitlog is 95 % full"},
		{85, 86, "/store/consumequeue is 86 % full"},
		{85, 85, ""},
		{86, 90, ""},
	} {
		disks.SetUsage(logfile.Usage{Used: step.log, Available: 100 - step.log})
		disks.queues.Store(step.queues)
		s.checkDisks()
		switch err := s.Writable(); {
		case step.reason == "" && err != nil:
			t.Errorf("log at %d %%, queues at %d %%: %v", step.log, step.queues, err)
		case step.reason != "" && (!errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), step.reason)):
			t.Errorf("log at %d %%, queues at %d %%: %v, want %s", step.log, step.queues, err, step.reason)
		}
	}
}

// A disk that does not tell how full it is, is logged when that begins and when it is over, not each time that it is asked.
func TestClean_SaysOnceThatADiskDoesNotTell(t *testing.T) {
	t.Parallel()
	faults := &logfile.Faults{FS: logfile.NewMemory()}
	cfg := memoryConfig(t, faults)
	cfg.CleanInterval = time.Hour
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s := openTest(t, cfg)
	said := func(warnings, ends int) {
		t.Helper()
		for range 5 {
			s.checkDisks()
		}
		if got, over := strings.Count(log.String(), "cannot tell how full"), strings.Count(log.String(), "it can be told again"); got != warnings || over != ends {
			t.Errorf("%d warnings and %d ends, want %d and %d: %s", got, over, warnings, ends, log.String())
		}
	}
	said(0, 0)
	faults.Inject(logfile.Fault{Op: logfile.OpUsage, Path: "consumequeue", Err: syscall.EIO})
	said(1, 0)
	faults.Inject(logfile.Fault{Op: logfile.OpUsage, Path: "commitlog", Err: syscall.EIO})
	said(2, 0)
	faults.Heal()
	said(2, 2)
	if !strings.Contains(log.String(), "dir=/store/consumequeue err=") {
		t.Error(log.String())
	}
	check(t, s.Close())
}
