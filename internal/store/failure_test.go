package store

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// faultyStore is a store in memory whose disk can fail.
func faultyStore(t *testing.T, change func(*Config)) (*Store, *logfile.Faults) {
	t.Helper()
	faults := &logfile.Faults{FS: logfile.NewMemory()}
	cfg := memoryConfig(t, faults)
	if change != nil {
		change(&cfg)
	}
	return openTest(t, cfg), faults
}

func TestPut_NothingIsStoredAfterAFailure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sync  bool
		fault logfile.Fault
		level Level
		words []string
	}{
		"fsync":         {true, logfile.Fault{Op: logfile.OpSync, Path: "commitlog"}, Flushed, []string{"cannot flush commit log", "sync"}},
		"fsync, async":  {false, logfile.Fault{Op: logfile.OpSync, Path: "commitlog"}, Flushed, []string{"cannot flush commit log"}},
		"fsync, folder": {true, logfile.Fault{Op: logfile.OpSyncDir, Path: "commitlog"}, Flushed, []string{"cannot sync folder"}},
		"write":         {false, logfile.Fault{Op: logfile.OpWrite, Path: "commitlog"}, Written, []string{"cannot write commit log"}},
		"short write":   {true, logfile.Fault{Op: logfile.OpWrite, Path: "commitlog", Short: 50}, Flushed, []string{"cannot write commit log"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, faults := faultyStore(t, func(cfg *Config) { cfg.SyncFlush = c.sync })
			q := s.Queue("TopicA", 0)
			var want []string
			if c.fault.Op != logfile.OpSyncDir { // the folder is synced only when a file is made
				want = append(want, "before")
				putWait(t, s, Flushed, testPut(q, "before"))
				awaitVisible(t, q, 1)
			}
			c.fault.Err = syscall.EIO
			faults.Inject(c.fault)
			_, err := tryPut(s, c.level, testPut(q, "lost"))
			if !errors.Is(err, syscall.EIO) {
				t.Fatalf("got %v", err)
			}
			for _, w := range append(c.words, "since") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not tell %q", err, w)
				}
			}
			faults.Heal() // a failure is final all the same
			if _, err := tryPut(s, Written, testPut(q, "later")); !errors.Is(err, syscall.EIO) {
				t.Errorf("a later put: got %v", err)
			}
			if err := s.Writable(); !errors.Is(err, syscall.EIO) {
				t.Errorf("writable: got %v", err)
			}
			wantBodies(t, bodies(t, s, q, 0)[:len(want)], want)
			if err := s.Close(); !errors.Is(err, syscall.EIO) {
				t.Errorf("close: got %v", err)
			}
			cfg := s.cfg
			s = openTest(t, cfg)
			got := bodies(t, s, s.Queue("TopicA", 0), 0)
			if len(got) < len(want) {
				t.Errorf("after another start: %q", got)
			}
			putWait(t, s, Flushed, testPut(s.Queue("TopicA", 0), "again"))
			check(t, s.Close())
		})
	}
}

func TestPut_WaitsForSpaceOnADiskWithout(t *testing.T) {
	t.Parallel()
	s, faults := faultyStore(t, nil)
	q := s.Queue("TopicA", 0)
	putWait(t, s, Written, testPut(q, "one"))
	faults.Inject(logfile.Fault{Op: logfile.OpWrite, Path: "commitlog", Short: 7, Err: syscall.ENOSPC})
	for _, body := range []string{"two", "refused"} {
		if _, err := tryPut(s, Written, testPut(q, body)); !errors.Is(err, ErrDiskFull) {
			t.Fatalf("%s: got %v", body, err)
		}
	}
	s.retryWrite()
	if err := s.Writable(); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("still without space: got %v", err)
	}
	wantBodies(t, bodies(t, s, q, 0), []string{"one"})
	faults.Heal()
	s.retryWrite()
	putWait(t, s, Flushed, testPut(q, "three"))
	awaitVisible(t, q, 3)
	wantKept(t, s, q, []string{"one", "two", "three"})
}

// Messages are taken again soon after there is space, whatever the interval of cleaning is.
func TestPut_IsTakenAgainSoonAfterThereIsSpace(t *testing.T) {
	t.Parallel()
	s, faults := faultyStore(t, func(cfg *Config) { cfg.CleanInterval = time.Hour })
	q := s.Queue("TopicA", 0)
	faults.Inject(logfile.Fault{Op: logfile.OpWrite, Path: "commitlog", Err: syscall.ENOSPC})
	if _, err := tryPut(s, Written, testPut(q, "kept")); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("without space: got %v", err)
	}
	faults.Heal()
	awaitVisible(t, q, 1) // what was refused is written in the end
	putWait(t, s, Flushed, testPut(q, "two"))
	wantKept(t, s, q, []string{"kept", "two"})
}

// A patient batch is told what became of it, and not that it failed when it is stored all the same.
func TestPut_WaitsPatientlyForSpace(t *testing.T) {
	t.Parallel()
	for _, level := range []Level{Written, Flushed} {
		for _, heals := range []bool{true, false} {
			var clock atomic.Int64
			clock.Store(time.Now().UnixNano())
			s, faults := faultyStore(t, func(c *Config) { c.now = func() time.Time { return time.Unix(0, clock.Load()) } })
			q := s.Queue("TopicA", 0)
			faults.Inject(logfile.Fault{Op: logfile.OpWrite, Path: "commitlog", Err: syscall.ENOSPC})
			done := make(chan error, 1)
			s.Put(&Batch{Puts: []Put{testPut(q, "patient")}, Wait: level, Patient: true, Done: func(_ *Batch, err error) { done <- err }})
			if level == Flushed {
				s.flushLog()
			}
			if _, err := tryPut(s, level, testPut(q, "refused")); !errors.Is(err, ErrDiskFull) {
				t.Fatalf("got %v", err)
			}
			s.retryWrite()
			clock.Add(int64(time.Hour))
			s.expireFlushes()
			select {
			case err := <-done:
				t.Fatalf("without space: told %v", err)
			default:
			}
			if !heals {
				_ = s.Close()
				if err := <-done; !errors.Is(err, ErrClosed) {
					t.Errorf("closed: told %v", err)
				}
				continue
			}
			faults.Heal()
			s.retryWrite()
			if err := <-done; err != nil {
				t.Errorf("with space: told %v", err)
			}
			awaitVisible(t, q, 1)
			wantKept(t, s, q, []string{"patient"})
		}
	}
}

func TestPut_IsVisibleOnceItsQueueAndIndexCanBeWritten(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]logfile.Fault{
		"an index file is not made":  {Op: logfile.OpCreate, Path: "index", Err: syscall.EMFILE},
		"an index file is too large": {Op: logfile.OpWrite, Path: "index", Err: syscall.ENOSPC},
		"a queue is not written":     {Op: logfile.OpCreate, Path: "consumequeue", Err: syscall.ENFILE},
		"a queue's folder":           {Op: logfile.OpSyncDir, Path: "consumequeue", Err: syscall.EMFILE},
		"the index' folder":          {Op: logfile.OpSyncDir, Path: "index", Err: syscall.EMFILE},
		"the log's folder":           {Op: logfile.OpSyncDir, Path: "commitlog", Err: syscall.EMFILE},
		"the checkpoint":             {Op: logfile.OpOpen, Path: "checkpoint", Err: syscall.EMFILE},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, faults := faultyStore(t, nil)
			q := s.Queue("TopicA", 0)
			faults.Inject(fault)
			want := []string{"one", "two", "three"}
			for _, body := range want {
				putWait(t, s, Written, testPut(q, body))
			}
			_ = s.flushBehind()
			check(t, s.Writable())
			faults.Heal()
			awaitVisible(t, q, 3) // nobody sends anything, nor asks
			wantKept(t, s, q, want)
		})
	}
}

// The checkpoint must not tell of a message that is not in the index yet.
func TestPut_IsIndexedAfterAKillWhenItCouldNotBeBefore(t *testing.T) {
	t.Parallel()
	for _, kill := range []bool{true, false} {
		s, faults := faultyStore(t, func(c *Config) { c.MaxIndexNum = 5 })
		q := s.Queue("TopicA", 0)
		put := func(body string) { putWait(t, s, Written, testPut(q, body)) }
		put("one")
		put("two")
		check(t, s.flushBehind()) // the checkpoint's file is there
		faults.Inject(logfile.Fault{Op: logfile.OpTruncate, Path: "index", Err: syscall.ENOSPC})
		put("three")
		put("four")
		for range 3 {
			_ = s.flushBehind()
		}
		if n := len(s.index.files); n != 1 {
			t.Fatalf("%d index files", n)
		}
		cfg := s.cfg
		if kill {
			cfg.FS = faults.FS.(*logfile.Memory).Kill()
		} else {
			_ = s.Close()
			faults.Heal()
		}
		if entries, err := cfg.FS.List(filepath.Join(cfg.RootDir, "index")); err != nil || len(entries) != 1 {
			t.Errorf("the folder of the index has %v, %v", entries, err)
		}
		s = openTest(t, cfg)
		for _, key := range []string{"one", "two", "three", "four"} {
			if r, err := s.Query(KeyQuery{Topic: "TopicA", Key: "U-" + key, Max: 10, End: 1 << 60}); err != nil || r.Count != 1 {
				t.Errorf("killed: %v; %d messages have the key %s, %v", kill, r.Count, key, err)
			}
		}
		check(t, s.Close())
	}
}

func TestDispatch_IsTriedAgainUpToTheFurthestMark(t *testing.T) {
	t.Parallel()
	s, faults := faultyStore(t, nil)
	q := s.Queue("TopicA", 0)
	faults.Inject(logfile.Fault{Op: logfile.OpCreate, Path: "index", Err: syscall.EMFILE})
	putWait(t, s, Written, testPut(q, "one"))
	if err := s.dispatch(0); !errors.Is(err, syscall.EMFILE) { // by one that has an older mark
		t.Errorf("got %v", err)
	}
	faults.Heal()
	awaitVisible(t, q, 1)
	check(t, s.Close())
}

func TestPut_IsAnsweredOnceTheLogCanBeFlushed(t *testing.T) {
	t.Parallel()
	for _, sync := range []bool{true, false} {
		s, faults := faultyStore(t, func(c *Config) { c.SyncFlush = sync })
		faults.Inject(logfile.Fault{Op: logfile.OpSyncDir, Path: "commitlog", Err: syscall.EMFILE})
		q := s.Queue("TopicA", 0)
		done := make(chan error, 1)
		s.Put(&Batch{Puts: []Put{testPut(q, "one")}, Wait: Flushed, Done: func(_ *Batch, err error) { done <- err }})
		_ = s.Flush() // writes it
		if err := s.Flush(); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("a flush: %v", err)
		}
		if err := s.flushBehind(); !sync && !errors.Is(err, syscall.EMFILE) { // else there is nothing behind it yet
			t.Errorf("the checkpoint: %v", err)
		}
		select {
		case err := <-done:
			t.Errorf("answered with %v", err)
		default:
		}
		faults.Heal()
		check(t, <-done)
		wantBodies(t, bodies(t, s, q, 0), []string{"one"})
		check(t, s.Close())
	}
}

func TestPut_WaitsForTheLogsNextFileToOpen(t *testing.T) {
	t.Parallel()
	s, faults := faultyStore(t, func(c *Config) { c.CommitLogFileSize = 8192 })
	q := s.Queue("TopicA", 0)
	body := strings.Repeat("b", 3000)
	putWait(t, s, Written, testPut(q, body))
	putWait(t, s, Written, testPut(q, body))
	faults.Inject(logfile.Fault{Op: logfile.OpCreate, Path: "commitlog", Err: syscall.EMFILE})
	if _, err := tryPut(s, Written, testPut(q, body)); !errors.Is(err, syscall.EMFILE) || errors.Is(err, ErrDiskFull) {
		t.Fatalf("got %v", err)
	}
	faults.Heal()
	s.retryWrite()
	putWait(t, s, Written, testPut(q, body))
	awaitVisible(t, q, 4)
	check(t, s.Close())
}

func TestPut_IsRefusedWhileTheDiskIsFull(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	s := openTest(t, cfg)
	defer s.Close()
	q := s.Queue("TopicA", 0)
	use := func(percent int64) {
		m.SetUsage(logfile.Usage{Used: percent, Available: 100 - percent})
		s.checkDisks()
	}
	use(90)
	putWait(t, s, Written, testPut(q, "one"))
	use(91)
	_, err := tryPut(s, Written, testPut(q, "two"))
	if !errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), "91 %") {
		t.Errorf("got %v", err)
	}
	wantBodies(t, bodies(t, s, q, 0), []string{"one"})
	use(86) // below the one level and above the other: as it was
	if err := s.Writable(); !errors.Is(err, ErrDiskFull) {
		t.Errorf("at 86 %%: got %v", err)
	}
	use(85)
	putWait(t, s, Written, testPut(q, "three"))
}

func TestPut_TellsAFlushThatTakesTooLong(t *testing.T) {
	t.Parallel()
	s, faults := faultyStore(t, func(c *Config) { c.SyncFlush = true })
	q := s.Queue("TopicA", 0)
	putWait(t, s, Flushed, testPut(q, "one"))
	short := s.live.Load().Live // from now on: a slow machine may need longer for a flush that goes well
	short.SyncFlushTimeout = 20 * time.Millisecond
	s.SetLive(short)
	hold := make(chan struct{})
	faults.Inject(logfile.Fault{Op: logfile.OpSync, Path: "commitlog", Hold: hold})
	for i, want := range []error{ErrFlushTimeout, ErrWriteTimeout} { // the second one would be written by whoever flushes
		b, err := tryPut(s, Flushed, testPut(q, []string{"two", "three"}[i]))
		if !errors.Is(err, want) || b.Puts[0].Err != nil {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
	putWait(t, s, Written, testPut(q, "four")) // does not wait for the flush
	if got := q.MaxOffset(); got != 1 {
		t.Errorf("%d messages are visible that are not flushed", got-1)
	}
	close(hold)
	awaitVisible(t, q, 4)
	wantBodies(t, bodies(t, s, q, 0), []string{"one", "two", "three", "four"})
	check(t, s.Close())
}

// What is not even written in time is not said to be stored.
func TestPut_TellsAWriteThatTakesTooLong(t *testing.T) {
	t.Parallel()
	s, faults := faultyStore(t, func(c *Config) { c.SyncFlush, c.SyncFlushTimeout = true, 20*time.Millisecond })
	q := s.Queue("TopicA", 0)
	hold := make(chan struct{})
	faults.Inject(logfile.Fault{Op: logfile.OpWrite, Path: "commitlog", Hold: hold})
	done := make(chan error, 1)
	go s.Put(&Batch{Puts: []Put{testPut(q, "one")}, Wait: Flushed, Done: func(_ *Batch, err error) { done <- err }})
	if err := <-done; !errors.Is(err, ErrWriteTimeout) || errors.Is(err, ErrFlushTimeout) {
		t.Errorf("got %v", err)
	}
	close(hold)
	awaitVisible(t, q, 1)
	check(t, s.Close())
}

func TestPut_IsBusyWhenTheDiskDoesNotKeepUp(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.CommitLogFileSize = 256 << 20
	faults := &logfile.Faults{FS: logfile.Disk{}}
	cfg.FS = faults
	slow := filepath.Join(cfg.RootDir, "slow-commitlog")
	cfg.CommitLogDirs = []string{filepath.Join(cfg.RootDir, "commitlog"), slow}
	s := openTest(t, cfg)
	s.log.files.Avoid(cfg.CommitLogDirs[:1])
	q := s.Queue("TopicA", 0)
	hold := make(chan struct{})
	faults.Inject(logfile.Fault{Op: logfile.OpWrite, Path: "commitlog", Hold: hold})
	body := make([]byte, 4<<20)
	const n = maxBehind/(4<<20) + 1
	done := make(chan error, n)
	put := func() {
		p := testPut(q, "z")
		p.Body = body
		s.Put(&Batch{Puts: []Put{p}, Done: func(_ *Batch, err error) { done <- err }})
	}
	first := make(chan struct{})
	go func() { put(); close(first) }() // is held writing
	awaitWriting(s)
	for range n - 1 {
		put()
	}
	err := <-done
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "writing to "+slow) || !strings.Contains(err.Error(), "MiB") {
		t.Errorf("got %v", err)
	}
	close(hold)
	<-first
	for range n - 1 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	check(t, s.Close())
}

func TestPut_RefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	s, _ := faultyStore(t, func(c *Config) { c.MaxMessageSize = 1000; c.CommitLogFileSize = 8192 })
	q := s.Queue("TopicA", 0)
	large := testPut(q, strings.Repeat("a", 1001))
	properties := testPut(q, "b")
	properties.Properties = []byte("A\x01" + strings.Repeat("b", 40000))
	file := testPut(q, "c")
	file.Properties = []byte("A\x01" + strings.Repeat("b", 9000))
	b, err := tryPut(s, Written, testPut(q, "one"), large, properties, file, testPut(q, "two"), Put{Queue: s.Queue("a/../b", 0)})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, ErrTooLarge, ErrTooLarge, ErrTooLarge, nil, ErrTopic} {
		if got := b.Puts[i].Err; !errors.Is(got, want) {
			t.Errorf("message %d: got %v, want %v", i, got, want)
		}
	}
	wantBodies(t, bodies(t, s, q, 0), []string{"one", "two"})
	b, err = tryPut(s, Written, large)
	if err != nil || !errors.Is(b.Puts[0].Err, ErrTooLarge) {
		t.Errorf("alone: got %v, %v", err, b.Puts[0].Err)
	}
	check(t, s.Close())
	if _, err := tryPut(s, Written, testPut(q, "three")); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: got %v", err)
	}
}

func TestClose_IsNotCleanWhenQueuesOrIndexAreNotWritten(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"consumequeue", "index", "checkpoint"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			s, faults := faultyStore(t, nil)
			q := s.Queue("TopicA", 0)
			putWait(t, s, Written, testPut(q, "one"), testPut(q, "two"))
			awaitVisible(t, q, 2)
			faults.Inject(logfile.Fault{Op: logfile.OpWrite, Path: path, Err: syscall.ENOSPC})
			if err := s.Close(); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("close: got %v", err)
			}
			if clean, err := s.wasClean(); clean || err != nil {
				t.Errorf("clean: %v, %v", clean, err)
			}
			faults.Heal()
			s = openTest(t, s.cfg)
			wantBodies(t, bodies(t, s, s.Queue("TopicA", 0), 0), []string{"one", "two"})
			if r, err := s.Query(KeyQuery{Topic: "TopicA", Key: "U-two", Max: 10, End: 1 << 60}); err != nil || r.Count != 1 {
				t.Errorf("found %d by key, %v", r.Count, err)
			}
			check(t, s.Close())
			if clean, err := s.wasClean(); !clean || err != nil {
				t.Errorf("clean: %v, %v", clean, err)
			}
		})
	}
}

func TestFlushBehind_BelievesNoSyncAfterOneThatFailed(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]logfile.Fault{
		"queue":        {Op: logfile.OpSync, Path: "consumequeue/"},
		"queue folder": {Op: logfile.OpSyncDir, Path: "consumequeue/"},
		"batch queue":  {Op: logfile.OpSync, Path: "batchconsumequeue/"},
		"index":        {Op: logfile.OpSync, Path: "index/"},
		"index folder": {Op: logfile.OpSyncDir, Path: "index"},
	} {
		for _, why := range []error{syscall.ENOSPC, syscall.EIO} {
			t.Run(name+" "+why.Error(), func(t *testing.T) {
				t.Parallel()
				s, faults := faultyStore(t, nil)
				if name == "batch queue" {
					check(t, s.MakeBatch("TopicA"))
				}
				q := s.Queue("TopicA", 0)
				fault := fault
				fault.Err, fault.Times = why, 1
				faults.Inject(fault)
				putWait(t, s, Written, testPut(q, "one"))
				awaitVisible(t, q, 1)
				for range 2 {
					if err := s.flushBehind(); !errors.Is(err, why) {
						t.Errorf("flush: got %v", err)
					}
				}
				if _, err := tryPut(s, Written, testPut(q, "two")); !errors.Is(err, why) {
					t.Errorf("put: got %v", err)
				}
				if c, err := readCheckpoint(s.cfg.FS, s.checkpointPath()); err != nil || c.logicsTime != 0 {
					t.Errorf("the checkpoint moved: %+v, %v", c, err)
				}
				if err := s.Close(); !errors.Is(err, why) {
					t.Errorf("close: got %v", err)
				}
				s = openTest(t, s.cfg)
				wantBodies(t, bodies(t, s, s.Queue("TopicA", 0), 0), []string{"one"})
				check(t, s.Close())
			})
		}
	}
}

// TestPut_IsWrittenThoughTheFlusherIsWriting puts a message that waits for no flush while flushLoop writes for one that does.
func TestPut_IsWrittenThoughTheFlusherIsWriting(t *testing.T) {
	t.Parallel()
	s, faults := faultyStore(t, nil)
	q := s.Queue("TopicA", 0)
	putWait(t, s, Flushed, testPut(q, "one"))
	hold := make(chan struct{})
	faults.Inject(logfile.Fault{Op: logfile.OpWrite, Path: "commitlog", Hold: hold})
	done := make(chan error, 2)
	put := func(level Level, body string) {
		s.Put(&Batch{Puts: []Put{testPut(q, body)}, Wait: level, Done: func(_ *Batch, err error) { done <- err }})
	}
	put(Flushed, "two")
	awaitWriting(s)
	put(Written, "three")
	close(hold)
	for range 2 {
		select {
		case err := <-done:
			check(t, err)
		case <-time.After(5 * time.Second):
			t.Fatal("a message is not written")
		}
	}
	awaitVisible(t, q, 3)
	wantBodies(t, bodies(t, s, q, 0), []string{"one", "two", "three"})
	check(t, s.Close())
}

// awaitWriting waits until a goroutine writes the log.
func awaitWriting(s *Store) {
	for writing := false; !writing; time.Sleep(time.Millisecond) {
		s.log.mu.Lock()
		writing = s.log.writing
		s.log.mu.Unlock()
	}
}

// TestSettle_FlushesWhereTheDiskIsQuick settles twice while the first one's fsync hangs: only who does it waits.
func TestSettle_FlushesWhereTheDiskIsQuick(t *testing.T) {
	t.Parallel()
	s, faults := faultyStore(t, func(c *Config) { c.SyncFlush = true })
	q := s.Queue("TopicA", 0)
	done := make(chan error, 3)
	add := func(body string) {
		s.Add(&Batch{Puts: []Put{testPut(q, body)}, Wait: Flushed, Done: func(_ *Batch, err error) { done <- err }})
	}
	s.syncTook.Store(1)
	add("one")
	s.Settle()
	select {
	case err := <-done:
		check(t, err)
	default:
		t.Error("it was left to another goroutine")
	}
	hold := make(chan struct{})
	faults.Inject(logfile.Fault{Op: logfile.OpSync, Path: "commitlog", Hold: hold})
	add("two")
	first := make(chan struct{})
	go func() { s.Settle(); close(first) }()
	for s.flushMu.TryLock() { // until it flushes
		s.flushMu.Unlock()
		time.Sleep(time.Millisecond)
	}
	add("three")
	s.Settle() // does not wait
	select {
	case <-first:
		t.Error("it did not wait for the fsync")
	default:
	}
	close(hold)
	<-first
	for range 2 {
		check(t, <-done)
	}
	s.syncTook.Store(int64(time.Second))
	add("four")
	s.Settle()
	check(t, <-done)
	wantBodies(t, bodies(t, s, q, 0), []string{"one", "two", "three", "four"})
	check(t, s.Close())
}

// Nothing that is written behind fills the log while the disk is full.
func TestFlushBehind_TellsOfAFullDiskOnceAndOfItsEnd(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	s, faults := faultyStore(t, func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&text, nil)) })
	q := s.Queue("Topic", 0)
	putWait(t, s, Written, testPut(q, "one"))
	awaitVisible(t, q, 1)
	faults.Inject(logfile.Fault{Op: logfile.OpCreate, Path: "consumequeue", Err: syscall.ENOSPC})
	faults.Inject(logfile.Fault{Op: logfile.OpWrite, Path: "consumequeue", Err: syscall.ENOSPC})
	for range 3 {
		if err := s.flushBehind(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	faults.Heal()
	check(t, s.flushBehind())
	check(t, s.flushBehind())
	check(t, s.Close())
	for _, words := range []string{"cannot write consume queues, index or checkpoint", "consume queues, index and checkpoint are written again"} {
		if n := strings.Count(text.String(), words); n != 1 {
			t.Errorf("%q is told %d times", words, n)
		}
	}
}
