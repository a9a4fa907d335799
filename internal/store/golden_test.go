package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// goldenConfig opens a copy of the store that Apache wrote.
func goldenConfig(t *testing.T) Config {
	t.Helper()
	cfg := DefaultConfig(filepath.Join(t.TempDir(), "store"))
	check(t, os.CopyFS(cfg.RootDir, os.DirFS("testdata/golden/store")))
	cfg.CommitLogFileSize = 131072
	cfg.ConsumeQueueFileSize, cfg.BatchConsumeQueueFileSize = 6000, 4600
	cfg.MaxHashSlotNum, cfg.MaxIndexNum = 100, 400
	cfg.Logger = testConfig(t).Logger
	return cfg
}

// checkGolden reads everything that Apache's own reader found in the store.
func checkGolden(t *testing.T, s *Store) {
	t.Helper()
	queues := map[*Queue]int64{}
	number := func(text string) int64 { return number(t, text) }
	for _, row := range goldenRows(t, "expected-messages.tsv")[1:] {
		if row[0] == "#BLANK" {
			continue
		}
		rec, err := s.MessageAt(number(row[3]))
		if err != nil {
			t.Fatal(err)
		}
		var m message.Message
		check(t, message.Decode(rec, &m))
		sum := sha256.Sum256(m.Body)
		if m.Topic != row[0] || m.QueueID != int32(number(row[1])) || m.QueueOffset != number(row[2]) || int64(m.Size) != number(row[4]) ||
			hex.EncodeToString(sum[:]) != row[23] || int64(m.SysFlag) != number(row[21]) {
			t.Fatalf("message at %s is %s-%d %d", row[3], m.Topic, m.QueueID, m.QueueOffset)
		}
		if !message.InConsumeQueue(m.SysFlag) {
			continue
		}
		q := s.FindQueue(m.Topic, m.QueueID)
		if q == nil {
			t.Fatalf("no queue %s-%d", m.Topic, m.QueueID)
		}
		behind := m.QueueOffset + 1
		if count, ok := message.Property(m.Properties, message.PropInnerNum); ok {
			behind = m.QueueOffset + number(string(count))
		}
		got, r := s.Get(q, m.QueueOffset, 1, 1<<20, nil, nil)
		if r.Status != Found || !bytes.Equal(got, rec) || r.NextOffset != behind {
			t.Fatalf("message %d of %s-%d: %v", m.QueueOffset, m.Topic, m.QueueID, r.Status)
		}
		if when, ok := s.StoreTime(q, m.QueueOffset); !ok || when != number(row[8]) {
			t.Fatalf("message %d of %s-%d was stored at %d, want %s", m.QueueOffset, m.Topic, m.QueueID, when, row[8])
		}
		queues[q] = max(queues[q], behind)

		unique, ok := message.Property(m.Properties, message.PropUniqKey)
		if !ok {
			continue
		}
		found, err := s.Query(KeyQuery{Topic: m.Topic, Key: string(unique), Kind: UniqueKey, End: 1 << 60, Max: 100})
		if err != nil || !bytes.Contains(found.Records, rec) {
			t.Fatalf("message %d of %s-%d is not found by %q: %v", m.QueueOffset, m.Topic, m.QueueID, unique, err)
		}
	}
	for q, next := range queues {
		if q.MinOffset() != 0 || q.MaxOffset() != next {
			t.Errorf("queue %s-%d is %d to %d, want 0 to %d", q.Topic(), q.ID(), q.MinOffset(), q.MaxOffset(), next)
		}
	}
}

func TestGolden_StoreIsReadAndContinued(t *testing.T) {
	t.Parallel()
	remove := func(names ...string) func(t *testing.T, root string) {
		return func(t *testing.T, root string) {
			for _, name := range names {
				check(t, os.RemoveAll(filepath.Join(root, name)))
			}
		}
	}
	for name, change := range map[string]func(t *testing.T, root string){
		"as it was left":         func(*testing.T, string) {},
		"without its checkpoint": remove("checkpoint"),
		"rebuilt from the log":   remove("checkpoint", "consumequeue", "batchconsumequeue", "index"),
		"killed": func(t *testing.T, root string) {
			check(t, os.WriteFile(filepath.Join(root, "abort"), []byte("1"), 0o644))
		},
		"killed and rebuilt": func(t *testing.T, root string) {
			remove("checkpoint", "consumequeue", "batchconsumequeue", "index")(t, root)
			check(t, os.WriteFile(filepath.Join(root, "abort"), []byte("1"), 0o644))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := goldenConfig(t)
			change(t, cfg.RootDir)
			s := openTest(t, cfg)
			checkGolden(t, s)
			q := s.Queue("GoldenPlain", 0)
			next := q.MaxOffset()
			put := putWait(t, s, Flushed, testPut(q, "one more"))
			if put[0].QueueOffset != next {
				t.Errorf("next message has offset %d, want %d", put[0].QueueOffset, next)
			}
			check(t, s.Close())

			for _, file := range []string{"00000000000000000000", "00000000000000131072"} {
				apache, err := os.ReadFile(filepath.Join("testdata/golden/store/commitlog", file))
				check(t, err)
				ours, err := os.ReadFile(filepath.Join(cfg.RootDir, "commitlog", file))
				check(t, err)
				if at := put[0].LogOffset - 131072; file[18:] == "72" {
					apache, ours = apache[:at], ours[:at]
				}
				if !bytes.Equal(apache, ours) {
					t.Errorf("commit log file %s was changed", file)
				}
			}
			s = openTest(t, cfg)
			if got := bodies(t, s, s.Queue("GoldenPlain", 0), next); len(got) != 1 || got[0] != "one more" {
				t.Errorf("after another start: %q", got)
			}
			check(t, s.Close())
		})
	}
}

// The log that Apache wrote is written again, byte for byte.
func TestGolden_LogIsWrittenEqual(t *testing.T) {
	t.Parallel()
	apache := openTest(t, goldenConfig(t))
	defer apache.Close()
	cfg := goldenConfig(t)
	cfg.FS, cfg.RootDir = logfile.NewMemory(), "/store"
	var clock atomic.Int64
	cfg.now = func() time.Time { return time.UnixMilli(clock.Load()) }
	s := openTest(t, cfg)
	defer s.Close()
	var want message.Message
	inner := map[int64]int{} // where inner batches have their properties, whose order is Java's, and how long they are
	for _, row := range goldenRows(t, "expected-messages.tsv")[1:] {
		if row[0] == "#BLANK" {
			continue
		}
		rec, err := apache.MessageAt(number(t, row[3]))
		check(t, err)
		check(t, message.Decode(rec, &want))
		clock.Store(want.StoreTimestamp)
		s.cfg.StoreHost = want.StoreHost
		open := s.Queue
		if apache.queues.batch[want.Topic] {
			open = func(topic string, id int32) *Queue { return batchQueueOf(s, topic, id) }
		}
		p := Put{Queue: open(want.Topic, want.QueueID), Message: want}
		if count, ok := message.Property(want.Properties, message.PropInnerNum); ok {
			p.Inner = int(number(t, string(count)))
			inner[want.LogOffset+int64(want.Size)-int64(len(want.Properties))] = len(want.Properties)
		}
		putWait(t, s, Written, p)
	}
	if len(inner) != 2 {
		t.Errorf("%d inner batches", len(inner))
	}
	for at := int64(0); at < 131072*2; at += 131072 {
		var a, b [131072]byte
		_, err := apache.log.files.ReadAt(a[:], at)
		check(t, err)
		_, err = s.log.files.ReadAt(b[:], at)
		check(t, err)
		for props, n := range inner {
			if props >= at && props < at+131072 {
				p, q := a[props-at:][:n], b[props-at:][:n]
				if fmt.Sprint(message.ParseProperties(p)) != fmt.Sprint(message.ParseProperties(q)) {
					t.Errorf("properties %q, want %q", q, p)
				}
				copy(q, p)
			}
		}
		if !bytes.Equal(a[:], b[:]) {
			t.Errorf("file %d of the log differs", at)
		}
	}
}
