package store

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
)

// Many put, pull, flush and look at once; each queue has its putters' messages complete and in their order.
func TestStore_ServesManyAtOnce(t *testing.T) {
	t.Parallel()
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%v", sync), func(t *testing.T) {
			t.Parallel()
			serveMany(t, sync)
		})
	}
}

func serveMany(t *testing.T, syncFlush bool) {
	const putters, batches, queues = 8, 60, 3
	cfg := testConfig(t)
	cfg.SyncFlush = syncFlush
	cfg.CommitLogFileSize = 256 << 10
	s := openTest(t, cfg)
	var arrived atomic.Int64
	s.hooks.Arrived = func(*Queue, int64, int64, int64) { arrived.Add(1) }
	for id := range int32(queues) {
		s.Queue("TopicA", id).Watch(1)
	}

	var all, looking sync.WaitGroup
	var sent [queues]atomic.Int64
	for p := range putters {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(p), 1))
			done := make(chan error, 1)
			b := &Batch{Done: func(_ *Batch, err error) { done <- err }}
			var n [queues]int
			for range batches {
				b.Puts = b.Puts[:0]
				b.Wait = Level(r.IntN(2))
				for range 1 + r.IntN(20) {
					id := r.IntN(queues)
					body := fmt.Sprintf("%d %d %0*d", p, n[id], r.IntN(400), 0)
					n[id]++
					sent[id].Add(1)
					b.Puts = append(b.Puts, testPut(s.Queue("TopicA", int32(id)), body))
				}
				s.Put(b)
				if err := <-done; err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	stop := make(chan struct{})
	for id := range queues {
		q := s.Queue("TopicA", int32(id))
		looking.Go(func() { pullInOrder(t, s, q, putters, stop) })
	}
	looking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.flushBehind()
				s.Stats()
				if _, err := s.OffsetByTime(s.Queue("TopicA", 0), s.now().UnixMilli(), Upper); err != nil {
					t.Error(err)
				}
				if r, err := s.Query(KeyQuery{Topic: "TopicA", Key: "U-0 0 0", End: 1 << 60, Max: 1}); err != nil || r.Count > 1 {
					t.Error(r.Count, err)
				}
			}
		}
	})
	all.Wait()
	total := int64(0)
	for id := range queues {
		awaitVisible(t, s.Queue("TopicA", int32(id)), sent[id].Load())
		total += sent[id].Load()
	}
	close(stop)
	looking.Wait()
	check(t, s.Close())
	if arrived.Load() != total {
		t.Errorf("%d messages were told of, %d were put", arrived.Load(), total)
	}
	s = openTest(t, cfg)
	for id := range queues {
		if got := s.Queue("TopicA", int32(id)).MaxOffset(); got != sent[id].Load() {
			t.Errorf("queue %d has %d messages after another start, want %d", id, got, sent[id].Load())
		}
	}
	check(t, s.Close())
}

// pullInOrder follows a queue until stop and looks at what it gets.
func pullInOrder(t *testing.T, s *Store, q *Queue, putters int, stop chan struct{}) {
	next := make([]int, putters)
	var buf []byte
	for from := int64(0); ; {
		select {
		case <-stop:
			if from == q.MaxOffset() {
				return
			}
		default:
		}
		data, r := s.Get(q, from, 32, 1<<20, nil, buf[:0])
		buf = data
		from = r.NextOffset
		for len(data) > 0 {
			var m message.Message
			if err := message.Decode(data, &m); err != nil || m.CheckBody() != nil {
				t.Error(err)
				return
			}
			var p, n int
			if _, err := fmt.Sscanf(string(m.Body), "%d %d", &p, &n); err != nil || n != next[p] {
				t.Errorf("queue %d, putter %d: got message %d, want %d (%v)", q.ID(), p, n, next[p], err)
				return
			}
			next[p]++
			data = data[m.Size:]
		}
	}
}
