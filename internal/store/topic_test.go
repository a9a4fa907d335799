package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// hookedFS calls hooks before it removes a folder and before it syncs a file.
type hookedFS struct {
	logfile.FS
	removeAll, sync func(path string)
}

func (h *hookedFS) RemoveAll(name string) error {
	if h.removeAll != nil {
		h.removeAll(name)
	}
	return h.FS.RemoveAll(name)
}

func (h *hookedFS) Open(name string) (logfile.File, error)   { return h.file(name)(h.FS.Open(name)) }
func (h *hookedFS) Create(name string) (logfile.File, error) { return h.file(name)(h.FS.Create(name)) }

func (h *hookedFS) file(name string) func(logfile.File, error) (logfile.File, error) {
	return func(f logfile.File, err error) (logfile.File, error) {
		if err != nil {
			return nil, err
		}
		return &hookedFile{f, h, name}, nil
	}
}

type hookedFile struct {
	logfile.File
	fs   *hookedFS
	name string
}

func (f *hookedFile) Sync() error {
	if f.fs.sync != nil {
		f.fs.sync(f.name)
	}
	return f.File.Sync()
}

// meanwhile runs do beside the caller, which goes on when it is done or seems to have to wait for the caller.
func meanwhile(wait *sync.WaitGroup, do func()) {
	done := make(chan struct{})
	wait.Go(func() {
		defer close(done)
		do()
	})
	select {
	case <-done:
	case <-time.After(200 * time.Millisecond):
	}
}

func TestDeleteTopic_DoesNotDisturbTheFlushOfQueues(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"consumequeue", "batchconsumequeue", "consumequeue_ext"} {
		for _, quiet := range []bool{false, true} {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				cfg := testConfig(t)
				hooked := &hookedFS{FS: logfile.Disk{}}
				cfg.FS = hooked
				cfg.ConsumeQueueExt = kind == "consumequeue_ext"
				s := openTest(t, cfg)
				if kind == "batchconsumequeue" {
					check(t, s.MakeBatch("TopicA"))
				}
				q := s.Queue("TopicA", 0)
				putWait(t, s, Flushed, testPut(q, "old"))
				awaitVisible(t, q, 1)
				var once sync.Once
				var deleted sync.WaitGroup
				hooked.sync = func(name string) {
					if !strings.Contains(name, kind+string(filepath.Separator)+"TopicA") {
						return
					}
					once.Do(func() {
						meanwhile(&deleted, func() {
							var err error
							if quiet {
								_, err = s.DeleteQuiet([]Quiet{{q, 1}})
							} else {
								err = s.DeleteTopic("TopicA")
							}
							if err != nil {
								t.Error(err)
							}
						})
					})
				}
				check(t, s.flushBehind())
				deleted.Wait()
				check(t, s.Writable())
				if q.MaxOffset() != 0 {
					t.Errorf("queue has %d messages", q.MaxOffset())
				}
				check(t, s.Close())
			})
		}
	}
}

func TestDeleteTopic_LeavesFilesOfWhatHasComeSince(t *testing.T) {
	t.Parallel()
	for _, quiet := range []bool{false, true} {
		m := logfile.NewMemory()
		hooked := &hookedFS{FS: m}
		cfg := memoryConfig(t, hooked)
		s := openTest(t, cfg)
		q := s.Queue("TopicA", 0)
		putWait(t, s, Written, testPut(q, "old"))
		awaitVisible(t, q, 1)
		var once sync.Once
		var put sync.WaitGroup
		hooked.removeAll = func(name string) {
			if !strings.HasSuffix(name, "TopicA") { // the queue itself is gone then
				return
			}
			once.Do(func() {
				meanwhile(&put, func() {
					putWait(t, s, Written, testPut(q, "new"))
					check(t, s.flushBehind())
				})
			})
		}
		if quiet {
			_, err := s.DeleteQuiet([]Quiet{{q, 1}})
			check(t, err)
		} else {
			check(t, s.DeleteTopic("TopicA"))
		}
		put.Wait()
		cfg.FS = m.Kill()
		killed := openTest(t, cfg)
		again := killed.Queue("TopicA", 0)
		if quiet != (again.MinOffset() == 1) { // who has consumed the old one must not pass over it
			t.Errorf("quiet=%v: the queue begins at %d", quiet, again.MinOffset())
		}
		wantBodies(t, bodies(t, killed, again, again.MinOffset()), []string{"new"})
		check(t, killed.Close())
		check(t, s.Close())
	}
}

func TestDeleteTopic_WaitsForWhatIsNotDispatched(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	faults := &logfile.Faults{FS: m}
	cfg := memoryConfig(t, faults)
	cfg.SyncFlush = true
	s := openTest(t, cfg)
	q := s.Queue("TopicA", 0)
	putWait(t, s, Flushed, testPut(q, "first"))
	check(t, s.flushBehind())
	hold := make(chan struct{})
	faults.Inject(logfile.Fault{Op: logfile.OpSync, Path: "commitlog", Hold: hold})
	putWait(t, s, Written, testPut(q, "second")) // is dispatched when it is flushed
	deleted := make(chan error)
	go func() { deleted <- s.DeleteTopic("TopicA") }()
	select {
	case err := <-deleted:
		t.Errorf("deleted with a message that is not dispatched: %v", err)
	case <-time.After(200 * time.Millisecond):
		close(hold)
		check(t, <-deleted)
	}
	cfg.FS = m.Kill()
	killed := openTest(t, cfg)
	wantBodies(t, bodies(t, killed, killed.Queue("TopicA", 0), 0), nil)
	check(t, killed.Close())
	check(t, s.Close())
}

// TestDeleteTopic_NewMessagesAreKept has the checkpoint stay before the deleted messages, so that they are dispatched again.
func TestDeleteTopic_NewMessagesAreKept(t *testing.T) {
	t.Parallel()
	for name, queue := range map[string]func(s *Store) *Queue{
		"plain": func(s *Store) *Queue { return s.Queue("TopicA", 0) },
		"batch": func(s *Store) *Queue { return batchQueueOf(s, "TopicA", 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := logfile.NewMemory()
			faults := &logfile.Faults{FS: m}
			cfg := memoryConfig(t, faults)
			s := openTest(t, cfg)
			q := queue(s)
			putWait(t, s, Written, testPut(q, "durable"), testPut(q, "durable too"))
			check(t, s.flushBehind())
			putWait(t, s, Written, testPut(q, "old"), testPut(q, "old too"))
			faults.Inject(logfile.Fault{Op: logfile.OpWrite, Path: "checkpoint", After: 1, Err: syscall.ENOSPC}) // not the one before the files go
			if err := s.DeleteTopic("TopicA"); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("without a checkpoint: got %v", err)
			}
			if name == "batch" {
				check(t, s.MakeBatch("TopicA"))
			}
			putWait(t, s, Written, testPut(q, "new"), testPut(q, "new too"), testPut(q, "newest"))
			want := []string{"new", "new too", "newest"}
			for range 3 {
				cfg.FS = m.Kill()
				killed := openTest(t, cfg)
				wantBodies(t, bodies(t, killed, killed.Queue("TopicA", 0), 0), want)
				m = cfg.FS.(*logfile.Memory)
				putWait(t, killed, Written, testPut(killed.Queue("TopicA", 0), "later"))
				want = append(want, "later")
				wantBodies(t, bodies(t, killed, killed.Queue("TopicA", 0), 0), want)
				t.Cleanup(func() { killed.Close() })
			}
			faults.Heal()
			check(t, s.DeleteTopic("TopicA")) // again
			check(t, s.Close())
		})
	}
}

// A topic that cannot be deleted neither keeps the others nor makes them come back.
func TestDeleteTopic_GoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	faults := &logfile.Faults{FS: m}
	cfg := memoryConfig(t, faults)
	s := openTest(t, cfg)
	for _, topic := range []string{"First", "Failing", "Last"} {
		q := s.Queue(topic, 0)
		putWait(t, s, Flushed, testPut(q, "a"), testPut(q, "b"))
		awaitVisible(t, q, 2)
	}
	check(t, s.flushBehind())
	faults.Inject(logfile.Fault{Op: logfile.OpRemove, Path: "Failing", Err: syscall.EIO})
	if err := s.DeleteTopic("First", "Failing", "Last"); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), `"Failing"`) {
		t.Errorf("got %v", err)
	}
	cfg.FS = m.Crash(nil)
	check(t, s.Close())
	s = openTest(t, cfg)
	for _, topic := range []string{"First", "Last"} {
		if end := s.Queue(topic, 0).MaxOffset(); end != 0 {
			t.Errorf("after a power cut %s ends at %d", topic, end)
		}
	}
	check(t, s.Close())
}

func TestDeleteTopic_IsDurable(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	s := openTest(t, cfg)
	q := s.Queue("T", 0)
	putWait(t, s, Flushed, testPut(q, "a"), testPut(q, "b"), testPut(q, "c"))
	awaitVisible(t, q, 3)
	check(t, s.flushBehind())
	check(t, s.DeleteTopic("T"))
	cfg.FS = m.Crash(nil)
	check(t, s.Close())
	s = openTest(t, cfg)
	if end := s.Queue("T", 0).MaxOffset(); end != 0 || len(s.Topics()) > 0 {
		t.Errorf("after a power cut the queue ends at %d, topics %v", end, s.Topics())
	}
	check(t, s.Close())
}

// Files that were removed from outside do not keep a topic from being deleted.
func TestDeleteTopic_GoesOnWhereFilesAreGone(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"consumequeue", "consumequeue_ext", "batchconsumequeue"} {
		for _, open := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s,open=%v", kind, open), func(t *testing.T) {
				t.Parallel()
				m := logfile.NewMemory()
				cfg := memoryConfig(t, m)
				cfg.ConsumeQueueExt, cfg.ConsumeQueueExtFileSize = kind == "consumequeue_ext", 10*(extHead+2)+extEnd
				cfg.ConsumeQueueFileSize, cfg.BatchConsumeQueueFileSize = 10*unitSize, 10*batchUnitSize
				s := openTest(t, cfg)
				if kind == "batchconsumequeue" {
					check(t, s.MakeBatch("Topic"))
				}
				q := s.Queue("Topic", 0)
				for range 50 {
					putWait(t, s, Written, testPut(q, "m"))
				}
				awaitVisible(t, q, 50)
				check(t, s.flushBehind())
				if !open {
					check(t, s.Close())
					s = openTest(t, cfg)
					q = s.Queue("Topic", 0)
				}
				dir := "/store/" + kind + "/Topic/0"
				files, err := m.List(dir)
				check(t, err)
				if len(files) < 5 {
					t.Fatalf("%d files", len(files))
				}
				check(t, m.Remove(filepath.Join(dir, files[2].Name)))
				check(t, s.DeleteTopic("Topic"))
				if left, _ := m.List(dir); q.MaxOffset() != 0 || len(left) != 0 {
					t.Errorf("the queue ends at %d, and %d files are left", q.MaxOffset(), len(left))
				}
				putWait(t, s, Written, testPut(q, "again"))
				awaitVisible(t, q, 1)
				check(t, s.Close())
				s = openTest(t, cfg)
				if got := s.Queue("Topic", 0).MaxOffset(); got != 1 {
					t.Errorf("the queue ends at %d after a start", got)
				}
				check(t, s.Close())
			})
		}
	}
}
