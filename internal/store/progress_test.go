package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// written is what a test has stored in a queue.
type written struct {
	queue  string
	bodies []string
	ends   []int64 // log offsets behind them
}

// putForProgress stores enough messages for a recovery to keep its progress a few times, in four queues of which the last gets few.
func putForProgress(t *testing.T, s *Store) []*written {
	t.Helper()
	check(t, s.MakeBatch("Batch"))
	all := []*written{{queue: "Plain"}, {queue: "Other"}, {queue: "Batch"}, {queue: "Quiet"}}
	for n := range 75 {
		for i, w := range all {
			var puts []Put
			for k := range []int{100, 60, 30, 1}[i] {
				w.bodies = append(w.bodies, fmt.Sprint(n, " ", k))
				puts = append(puts, testPut(s.Queue(w.queue, 0), w.bodies[len(w.bodies)-1]))
			}
			for _, p := range putWait(t, s, Written, puts...) {
				w.ends = append(w.ends, p.LogOffset+int64(p.Size))
			}
		}
	}
	return all
}

// hastyClock lets 10 s go by whenever it is asked, so that recovery has always something to keep.
func hastyClock() func() time.Time {
	var ticks atomic.Int64
	began := time.Now()
	return func() time.Time { return began.Add(time.Duration(ticks.Add(1)) * checkpointInterval) }
}

// A recovery that begins at the log's beginning, as without a checkpoint, goes on from where it was when it was killed, or the power was cut,
// and whatever its checkpoint tells of is there.
func TestRecover_GoesOnFromWhereItWasKilled(t *testing.T) {
	t.Parallel()
	for _, syncFlush := range []bool{false, true} {
		for _, how := range []string{"no checkpoint", "no queues", "queues not flushed"} {
			t.Run(fmt.Sprintf("%s,sync=%v", how, syncFlush), func(t *testing.T) {
				t.Parallel()
				testProgress(t, how, syncFlush)
			})
		}
	}
}

func testProgress(t *testing.T, how string, syncFlush bool) {
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	cfg.SyncFlush, cfg.CommitLogFileSize = syncFlush, 1<<20
	cfg.ConsumeQueueFileSize, cfg.BatchConsumeQueueFileSize = 2000*unitSize, 1000*batchUnitSize
	cfg.MaxHashSlotNum, cfg.MaxIndexNum = 1000, 20000
	cfg.FlushInterval, cfg.FlushThoroughInterval = time.Hour, time.Hour
	s := openTest(t, cfg)
	all := putForProgress(t, s)
	for _, w := range all {
		awaitVisible(t, s.Queue(w.queue, 0), int64(len(w.bodies)))
	}
	if check(t, s.Flush()); how != "queues not flushed" {
		check(t, s.flushBehind())
	}
	killed := m.Kill()
	check(t, s.Close())
	if how == "no checkpoint" {
		check(t, killed.Remove("/store/checkpoint"))
		check(t, killed.SyncDir("/store"))
	}
	if how == "no queues" {
		check(t, killed.RemoveAll("/store/consumequeue"))
		check(t, killed.RemoveAll("/store/batchconsumequeue"))
		check(t, killed.MkdirAll("/store/batchconsumequeue/Batch"))
		check(t, killed.SyncDir("/store/batchconsumequeue"))
		check(t, killed.SyncDir("/store"))
		killed = killed.Crash(nil) // or another one would bring some of them back
	}

	type cut struct {
		fs    *logfile.Memory
		power bool // and not only the process
	}
	var mu sync.Mutex // the store's loops sync too
	var left []cut
	over, seen := false, int64(0)
	r := rand.New(rand.NewPCG(1, 0))
	killed.BeforeSync = func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		cp, err := readCheckpoint(killed, "/store/checkpoint")
		switch {
		case err != nil:
			t.Error(err)
		case cp.logicsOffset != seen:
			seen = cp.logicsOffset
			left = append(left, cut{killed.Kill(), false}, cut{killed.Crash(nil), true})
		case r.IntN(8) > 0:
		case how == "no checkpoint" && r.IntN(2) == 0: // else names of queues' files may be lost at random, and no checkpoint says of what
			left = append(left, cut{killed.Crash(r), true})
		default:
			left = append(left, cut{killed.Kill(), false}, cut{killed.Crash(nil), true})
		}
	}
	hasty := cfg
	hasty.FS, hasty.now = killed, hastyClock()
	s, err := Open(context.Background(), hasty, Hooks{})
	check(t, err)
	mu.Lock()
	over = true
	mu.Unlock()
	check(t, s.Close())

	resumed := map[int64]bool{}
	for n, c := range left {
		cp, err := readCheckpoint(c.fs, "/store/checkpoint")
		check(t, err)
		if cp.ours && cp.logicsOffset > 0 {
			resumed[cp.logicsOffset] = true
		}
		cfg.FS = c.fs
		s, err := Open(context.Background(), cfg, Hooks{})
		if err != nil {
			t.Fatalf("%d, %+v: %v", n, cp, err)
		}
		for _, w := range all {
			got := bodies(t, s, s.Queue(w.queue, 0), 0)
			least := 0 // what a power cut leaves of what was only written
			for !c.power && least < len(w.ends) || least < len(w.ends) && w.ends[least] <= cp.logicsOffset {
				least++
			}
			if len(got) < least || len(got) > len(w.bodies) {
				t.Fatalf("%d: %s has %d messages, at least %d of %d are known to be there", n, w.queue, len(got), least, len(w.bodies))
			}
			wantBodies(t, got, w.bodies[:len(got)])
			for at := 0; at < len(got); at += 1 + len(got)/20 {
				if r, err := s.Query(KeyQuery{Topic: w.queue, Key: "U-" + got[at], Max: 10, End: 1 << 60}); err != nil || r.Count != 1 {
					t.Fatalf("%d: %d messages of %s have the key %q, %v", n, r.Count, w.queue, got[at], err)
				}
			}
		}
		check(t, s.Close())
	}
	if len(resumed) < 2 {
		t.Errorf("recoveries would go on at %v, of %d that were cut short", resumed, len(left))
	}
}

// A disk that is full while progress is to be kept does not end the recovery.
func TestRecover_GoesOnWithoutKeepingProgress(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	cfg.CommitLogFileSize, cfg.MaxHashSlotNum, cfg.MaxIndexNum = 1<<20, 1000, 200000
	s := openTest(t, cfg)
	all := putForProgress(t, s)
	check(t, s.flushBehind())
	killed := m.Kill()
	check(t, s.Close())
	check(t, killed.Remove("/store/checkpoint"))
	faults := &logfile.Faults{FS: killed}
	faults.Inject(logfile.Fault{Op: logfile.OpCreate, Path: "checkpoint", Err: syscall.ENOSPC})
	cfg.FS = faults
	now := cfg.now
	cfg.now = hastyClock()
	s = openTest(t, cfg)
	faults.Heal()
	for _, w := range all {
		wantBodies(t, bodies(t, s, s.Queue(w.queue, 0), 0), w.bodies)
	}
	cfg.FS, cfg.now = killed.Kill(), now
	check(t, s.Close())
	s = openTest(t, cfg)
	for _, w := range all {
		wantBodies(t, bodies(t, s, s.Queue(w.queue, 0), 0), w.bodies)
	}
	check(t, s.Close())
}

// Queues that were removed and are being made anew when the broker is killed are made anew again: that the furthest of them is back says nothing
// of the others.
func TestRecover_MakesQueuesAnewThoughKilledMeanwhile(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	cfg.CommitLogFileSize, cfg.MaxHashSlotNum, cfg.MaxIndexNum = 1<<20, 1000, 200000
	s := openTest(t, cfg)
	few := []string{"one", "two", "three"}
	for _, body := range few {
		putWait(t, s, Written, testPut(s.Queue("Few", 0), body))
	}
	var many []string
	put := func(n int) {
		for range n {
			many = append(many, strings.Repeat("m", 200))
			putWait(t, s, Written, testPut(s.Queue("Many", 0), many[len(many)-1]))
		}
	}
	put(500)
	check(t, s.flushBehind())
	put(500)
	killed := m.Kill()
	check(t, s.Close())
	check(t, killed.RemoveAll("/store/consumequeue"))
	cfg.FS = killed
	s = openTest(t, cfg)
	cfg.FS = killed.Kill() // the few are in memory only, of the many most are in their file
	check(t, s.Close())
	s = openTest(t, cfg)
	wantBodies(t, bodies(t, s, s.Queue("Few", 0), 0), few)
	wantBodies(t, bodies(t, s, s.Queue("Many", 0), 0), many)
	check(t, s.Close())
}
