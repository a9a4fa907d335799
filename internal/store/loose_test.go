package store

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// handles is how many queues the table knows, kept and loose ones.
func handles(s *Store) (kept, loose int) {
	s.queues.mu.RLock()
	defer s.queues.mu.RUnlock()
	for _, ids := range s.queues.topics {
		kept += len(ids)
	}
	return kept, len(s.queues.loose)
}

// Light queues that are gone, or never had a message, take no memory once nobody has their handle.
func TestLoose_LightQueuesWithoutMessagesGo(t *testing.T) {
	t.Parallel()
	cfg := memoryConfig(t, logfile.NewMemory())
	cfg.LightQueues = true
	s := openTest(t, cfg)
	q := s.Queue("T", 0)
	s.Queue("Empty", 0) // plain ones stay
	for i := range 100 {
		putWait(t, s, Written, lightPut(s, q, fmt.Sprint(i), fmt.Sprintf("%%LMQ%%$T$%d", i)))
	}
	awaitVisible(t, q, 100)
	for _, lite := range s.LiteQueues("T") {
		if lite.Topic() != "%LMQ%$T$42" {
			check(t, s.DeleteTopic(lite.Topic()))
		}
	}
	for i := range 50 {
		s.Queue(fmt.Sprintf("%%LMQ%%asked%d", i), 0)
	}
	held := s.Queue("%LMQ%held", 0)
	for deadline := time.Now().Add(20 * time.Second); ; {
		s.rest()
		if kept, loose := handles(s); kept == 3 && loose == 1 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%d queues are kept and %d loose", kept, loose)
		}
		runtime.GC()
	}
	if s.FindQueue("%LMQ%held", 0) != held || s.Queue("%LMQ%held", 0) != held {
		t.Error("a handle that is used has changed")
	}
	s.rest()
	runtime.GC()
	s.rest()

	// What is put into one stays, whether its handle was kept or not.
	for range 2 {
		putWait(t, s, Written, lightPut(s, q, "x", "%LMQ%$T$42", "%LMQ%$T$1", "%LMQ%$T$1"), testPut(held, "y"))
		s.rest()
		runtime.GC()
		s.rest()
	}
	runtime.KeepAlive(held)
	awaitVisible(t, s.Queue("%LMQ%held", 0), 2)
	for name, want := range map[string]string{"%LMQ%$T$42": "42 x x", "%LMQ%$T$1": "x x", "%LMQ%$T$2": ""} {
		if got := found(t, s, name); got != want {
			t.Errorf("%s has %q, want %q", name, got, want)
		}
	}
	wantBodies(t, bodies(t, s, s.Queue("%LMQ%held", 0), 0), []string{"y", "y"})
	if n := s.LightQueues(); n != 2 {
		t.Errorf("%d light queues", n)
	}
	check(t, s.Close())
	s = openTest(t, cfg)
	if got := found(t, s, "%LMQ%$T$1"); got != "x x" {
		t.Errorf("after a start it has %q", got)
	}
	check(t, s.Close())
}

// Messages that arrive while their light queue goes have offsets without a gap, in one handle.
func TestLoose_MessagesArriveMeanwhile(t *testing.T) {
	t.Parallel()
	cfg := memoryConfig(t, logfile.NewMemory())
	cfg.LightQueues = true
	s := openTest(t, cfg)
	const name = "%LMQ%$T$l"
	stop := make(chan struct{})
	var rounds atomic.Int64
	var wait sync.WaitGroup
	wait.Go(func() { // as the loops of store and broker would, if they were as hasty
		for {
			select {
			case <-stop:
				return
			default:
			}
			if q := s.FindQueue(name, 0); q != nil && q.MaxOffset() > 0 {
				deleted, err := s.DeleteQuiet([]Quiet{{Queue: q, End: q.MaxOffset()}})
				if err != nil {
					t.Error(err)
				}
				for _, quiet := range deleted {
					s.BeginAnew(quiet)
				}
			}
			s.rest()
			runtime.GC()
			rounds.Add(1)
		}
	})
	for i := 0; rounds.Load() < 30 || i < 300; i++ {
		p := lightPut(s, s.Queue("T", 0), fmt.Sprint(i), name)
		if i%3 == 0 {
			runtime.Gosched()
		}
		putWait(t, s, Written, p)
	}
	close(stop)
	wait.Wait()
	if q := s.FindQueue(name, 0); q != nil && q.MaxOffset() > 0 {
		check(t, s.DeleteTopic(name))
	}
	s.rest()
	runtime.GC()
	for i := range 3 {
		putWait(t, s, Written, lightPut(s, s.Queue("T", 0), fmt.Sprint(i), name))
		s.rest()
		runtime.GC()
	}
	awaitVisible(t, s.Queue(name, 0), 3)
	if got := found(t, s, name); got != "0 1 2" {
		t.Errorf("it has %q", got)
	}
	check(t, s.Close())
}
