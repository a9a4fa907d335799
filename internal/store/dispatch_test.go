package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// What is dispatched together goes to many queues, some of it in two at once, and some of it fails at first.
func TestDispatch_PutsTogetherWhatIsForManyQueues(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]logfile.Fault{
		"none":           {Op: logfile.OpUsage, Err: syscall.EIO},
		"no folder":      {Op: logfile.OpMkdir, Path: "consumequeue/TopicB", Err: syscall.ENOSPC},
		"no queue":       {Op: logfile.OpCreate, Path: filepath.Join("consumequeue", LightPrefix+"x"), Err: syscall.EMFILE},
		"no index":       {Op: logfile.OpCreate, Path: "index", Err: syscall.EMFILE},
		"no other index": {Op: logfile.OpCreate, Path: "index", After: 1, Err: syscall.EMFILE},
		"at times":       {Op: logfile.OpWrite, Path: "consumequeue", After: 3, Times: 2, Err: syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memory := logfile.NewMemory()
			faults := &logfile.Faults{FS: memory}
			cfg := memoryConfig(t, faults)
			cfg.LightQueues, cfg.MaxIndexNum = true, 1500
			next := map[*Queue]int64{} // what Arrived has told
			arrived := func(q *Queue, behind, _, _ int64) {
				if behind != next[q]+1 { // also when it is gathered again
					t.Errorf("%s-%d: told of %d behind %d", q.Topic(), q.ID(), behind, next[q])
				}
				next[q] = behind
			}
			s, err := Open(context.Background(), cfg, Hooks{Arrived: arrived})
			check(t, err)
			faults.Inject(fault)
			r := rand.New(rand.NewPCG(1, 2))
			queues := []*Queue{s.Queue("TopicA", 0), s.Queue("TopicA", 1), s.Queue("TopicB", 0)}
			light := s.Queue(LightPrefix+"x", 0)
			for _, q := range append(queues, light) {
				q.Watch(1)
			}
			want := map[*Queue][]string{}
			n := 0
			for range 20 {
				var puts []Put
				for range r.IntN(300) {
					q := queues[r.IntN(len(queues))]
					body := fmt.Sprint("m", n)
					p := testPut(q, body)
					if n++; r.IntN(5) == 0 {
						p = lightPut(s, q, body, light.Topic())
						want[light] = append(want[light], body)
					}
					want[q] = append(want[q], body)
					puts = append(puts, p)
				}
				putWait(t, s, Written, puts...)
				_ = s.flushBehind()
			}
			faults.Heal()
			check(t, s.dispatch(0))
			for q, bodies := range want {
				if next[q] != int64(len(bodies)) {
					t.Errorf("%s-%d: told of %d messages, it has %d", q.Topic(), q.ID(), next[q], len(bodies))
				}
			}
			wantAll := func(s *Store) {
				for q, want := range want {
					if q != light {
						wantBodies(t, bodies(t, s, s.Queue(q.Topic(), q.ID()), 0), want)
					}
				}
				if got := found(t, s, light.Topic()); got != strings.Join(want[light], " ") {
					t.Errorf("the light queue has %s", got)
				}
				entries := 0
				for _, f := range s.index.files {
					entries += int(f.head.next) - 1
				}
				if entries != 2*n { // unique key and tag
					t.Errorf("the index has %d entries for %d messages", entries, n)
				}
			}
			wantAll(s)
			cfg.FS = memory.Kill()
			check(t, s.Close())
			s = openTest(t, cfg)
			wantAll(s)
			check(t, s.Close())
		})
	}
}

// A run that cannot be put is met while the next message is looked at, which goes to another queue.
func TestDispatch_TriesAgainWhatFailsBehindOthers(t *testing.T) {
	t.Parallel()
	s, faults := faultyStore(t, nil)
	queues := []*Queue{s.Queue("TopicA", 0), s.Queue("TopicB", 0)}
	faults.Inject(logfile.Fault{Op: logfile.OpWrite, Path: "consumequeue", Err: syscall.ENOSPC})
	want := map[*Queue][]string{}
	for n := 0; n < 2*pendingFull/unitSize+2000; {
		var puts []Put
		for range 300 {
			q, body := queues[n%2], fmt.Sprint("m", n)
			puts = append(puts, testPut(q, body))
			want[q] = append(want[q], body)
			n++
		}
		putWait(t, s, Written, puts...)
	}
	if s.dispatcher.dispatched.Load() == s.log.written.Load() {
		t.Fatal("nothing has failed")
	}
	faults.Heal()
	check(t, s.dispatch(0))
	for _, q := range queues {
		wantBodies(t, bodies(t, s, q, 0), want[q])
	}
	check(t, s.Close())
}

// With an extension the unit has a place in it where the tags code would be; who waits is told the tags code all the same.
func TestDispatch_TellsTheTagsCode(t *testing.T) {
	t.Parallel()
	for _, ext := range []bool{false, true} {
		cfg := memoryConfig(t, logfile.NewMemory())
		cfg.ConsumeQueueExt = ext
		var told []int64
		s, err := Open(context.Background(), cfg, Hooks{Arrived: func(_ *Queue, _, tagsCode, _ int64) { told = append(told, tagsCode) }})
		check(t, err)
		q := s.Queue("TopicA", 0)
		q.Watch(1)
		putWait(t, s, Written, testPut(q, "one"), testPut(q, "two"))
		if want := message.TagsCode([]byte("T")); len(told) != 2 || told[0] != want || told[1] != want {
			t.Errorf("with extension: %v; told %d, want %d twice", ext, told, want)
		}
		var entries [3]Entry
		if n, _, err := s.Entries(q, 0, entries[:]); err != nil || n != 2 || entries[1].TagsCode != message.TagsCode([]byte("T")) {
			t.Errorf("with extension: %v; entries %+v, %v", ext, entries, err)
		}
		check(t, s.Close())
	}
}
