package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
)

// testConfig is small files in a folder of the test.
func testConfig(t testing.TB) Config {
	t.Helper()
	cfg := DefaultConfig(t.TempDir())
	cfg.CommitLogFileSize = 64 << 10
	cfg.ConsumeQueueFileSize = 100 * unitSize
	cfg.MaxHashSlotNum, cfg.MaxIndexNum = 1000, 4000
	cfg.Logger = slog.New(slog.NewTextHandler(testLog{t}, nil))
	return cfg
}

// testLog is a test's log as a writer.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimRight(p, "\n"))
	return len(p), nil
}

func openTest(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(context.Background(), cfg, Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var bornHost = netip.MustParseAddrPort("10.1.2.3:4567")

// testPut is a message whose body can be told from others.
func testPut(q *Queue, body string) Put {
	return Put{Queue: q, Message: message.Message{
		BornTimestamp: 1700000000000,
		BornHost:      bornHost,
		Body:          []byte(body),
		Properties:    message.AppendProperty(message.AppendProperty(nil, message.PropTags, "T"), message.PropUniqKey, "U-"+body),
	}}
}

// putWait stores one batch and waits until it is done.
func putWait(t testing.TB, s *Store, level Level, puts ...Put) []Put {
	t.Helper()
	b, err := tryPut(s, level, puts...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Puts {
		if err := b.Puts[i].Err; err != nil {
			t.Fatal(err)
		}
	}
	return b.Puts
}

func tryPut(s *Store, level Level, puts ...Put) (*Batch, error) {
	done := make(chan error, 1)
	b := &Batch{Puts: puts, Wait: level, Done: func(_ *Batch, err error) { done <- err }}
	s.Put(b)
	return b, <-done
}

// wantKept compares a queue's messages, and once more after a clean stop and a start. The store is closed then.
func wantKept(t testing.TB, s *Store, q *Queue, want []string) {
	t.Helper()
	wantBodies(t, bodies(t, s, q, 0), want)
	check(t, s.Close())
	s = openTest(t, s.cfg)
	wantBodies(t, bodies(t, s, s.Queue(q.Topic(), q.ID()), 0), want)
	check(t, s.Close())
}

// bodies reads a queue from an offset on until nothing more is there.
func bodies(t testing.TB, s *Store, q *Queue, from int64) []string {
	t.Helper()
	var out []string
	for {
		data, r := s.Get(q, from, 32, 1<<20, nil, nil)
		if r.Status != Found {
			return out
		}
		for n := 0; len(data) > 0; n++ {
			var m message.Message
			if err := message.Decode(data, &m); err != nil {
				t.Fatal(err)
			}
			if err := m.CheckBody(); err != nil {
				t.Fatal(err)
			}
			if m.Topic != q.Topic() || m.QueueID != q.ID() || m.QueueOffset != from+int64(n) {
				t.Fatalf("got message %d of %s-%d at offset %d of %s-%d", m.QueueOffset, m.Topic, m.QueueID, from+int64(n), q.Topic(), q.ID())
			}
			out = append(out, string(m.Body))
			data = data[m.Size:]
		}
		from = r.NextOffset
	}
}

// awaitVisible waits until a queue has so many messages.
func awaitVisible(t testing.TB, q *Queue, n int64) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); q.MaxOffset() < n; {
		if time.Now().After(deadline) {
			t.Fatalf("queue %s-%d has %d messages, want %d", q.Topic(), q.ID(), q.MaxOffset(), n)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestStore_KeepsMessagesOverReopen(t *testing.T) {
	t.Parallel()
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%v", sync), func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t)
			cfg.SyncFlush = sync
			var want []string
			for round := range 3 {
				s := openTest(t, cfg)
				q := s.Queue("TopicA", 3)
				if got := q.MaxOffset(); got != int64(len(want)) {
					t.Fatalf("round %d: %d messages, want %d", round, got, len(want))
				}
				for i := range 500 {
					body := fmt.Sprintf("message %d of round %d", i, round)
					want = append(want, body)
					putWait(t, s, Flushed, testPut(q, body))
				}
				awaitVisible(t, q, int64(len(want)))
				if got := bodies(t, s, q, 0); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("round %d: got %d messages, want %d", round, len(got), len(want))
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestPut_GoesOnBehindAFileThatEndsInTheSmallestBlank(t *testing.T) {
	t.Parallel()
	for _, sync := range []bool{false, true} {
		cfg := testConfig(t)
		cfg.CommitLogFileSize, cfg.SyncFlush = 4096, sync
		s := openTest(t, cfg)
		q := s.Queue("TopicA", 0)
		var want []string
		put := func(bodies ...string) (end int64) {
			var puts []Put
			for _, body := range bodies {
				puts = append(puts, testPut(q, body))
			}
			for _, p := range putWait(t, s, Flushed, puts...) {
				end = p.LogOffset + int64(p.Size)
			}
			want = append(want, bodies...)
			return end
		}
		empty := put("")
		// A body is in the record twice, for the unique key has it too.
		full := strings.Repeat("x", int(cfg.CommitLogFileSize-2*empty-message.BlankSize)/2)
		if end := put(full); end != cfg.CommitLogFileSize-message.BlankSize {
			t.Fatalf("the record ends at %d", end)
		}
		put("in the next file")
		put(strings.Repeat("y", 1000), strings.Repeat("z", 500), "in one batch")
		awaitVisible(t, q, int64(len(want)))
		wantKept(t, s, q, want)
	}
}

func TestPut_WithoutAQueueIsRefusedAlone(t *testing.T) {
	t.Parallel()
	s := openTest(t, testConfig(t))
	defer s.Close()
	q := s.Queue("T", 0)
	b, err := tryPut(s, Written, Put{Message: message.Message{Body: []byte("lost")}}, Put{Queue: q, Message: message.Message{Body: []byte("kept")}})
	if err != nil {
		t.Fatal(err)
	}
	puts := b.Puts
	if !errors.Is(puts[0].Err, ErrTopic) || puts[1].Err != nil {
		t.Errorf("answered %v and %v", puts[0].Err, puts[1].Err)
	}
	awaitVisible(t, q, 1)
	if err := s.Check(&Put{}); !errors.Is(err, ErrTopic) {
		t.Error(err)
	}
}
