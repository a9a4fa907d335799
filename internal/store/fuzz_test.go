package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// FuzzRecover damages the log of a killed store anywhere. Recovery must not fail, whatever is read afterwards must have been
// put, and the store must go on. No CRC covers a message's topic, queue and offset, so a changed byte there may move it.
func FuzzRecover(f *testing.F) {
	m := logfile.NewMemory()
	cfg := memoryConfig(f, m)
	cfg.CommitLogFileSize = 16 << 10
	cfg.Logger = nil
	s := openTest(f, cfg)
	want := []string{"after"}
	var end int64
	for i := range 200 {
		body := fmt.Sprintf("message %d %0*d", i, i%200, 0)
		want = append(want, body)
		put := putWait(f, s, Written, testPut(s.Queue("TopicA", int32(i%2)), body))[0]
		if i == 100 {
			s.flushBehind()
		}
		end = put.LogOffset + int64(put.Size)
	}
	m = m.Kill()
	check(f, s.Close())

	record := testPut(&Queue{topic: "TopicA"}, "x").Message
	record.LogOffset, record.QueueOffset, record.StoreHost, record.Topic = end, 100, bornHost, "TopicA"
	f.Add(uint32(0), []byte{1})
	f.Add(uint32(10), slices.Repeat([]byte{0xFF}, 300))
	f.Add(uint32(16<<10), []byte{0xDA, 0xA3, 0x20, 0xA7})
	f.Add(uint32(end), record.AppendRecord(nil, false)[:80])
	f.Add(uint32(end), message.AppendBlank(nil, 100))
	f.Add(uint32(end-200), make([]byte, 500))
	f.Add(uint32(end-5000), []byte("damage"))
	f.Add(uint32(63194), []byte("0")) // the topic of a message: its own queue has a gap then
	f.Fuzz(func(t *testing.T, at uint32, damage []byte) {
		left := m.Kill()
		off := int64(at) % (end + 1000)
		file, err := left.Open(filepath.Join("/store/commitlog", logfile.FileName(off-off%cfg.CommitLogFileSize)))
		if err != nil || len(damage) == 0 {
			return
		}
		n := min(int64(len(damage)), cfg.CommitLogFileSize-off%cfg.CommitLogFileSize)
		check(t, func() error { _, err := file.WriteAt(damage[:n], off%cfg.CommitLogFileSize); return err }())

		cfg := cfg
		cfg.FS = left
		s, err := Open(context.Background(), cfg, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		for id := range 2 {
			q := s.Queue("TopicA", int32(id))
			got := damagedBodies(t, s, q, want)
			if off >= end && got != 100 {
				t.Errorf("damage behind the log's end leaves queue %d with %d messages", id, got)
			}
			put := putWait(t, s, Flushed, testPut(q, "after"))[0]
			if put.QueueOffset != got {
				t.Errorf("queue %d: next message has offset %d, the queue had %d", id, put.QueueOffset, got)
			}
			if _, err := s.MessageAt(put.LogOffset); err != nil {
				t.Error(err)
			}
		}
		check(t, s.Close())
	})
}

// damagedBodies reads a queue whose log is damaged and returns its length.
func damagedBodies(t *testing.T, s *Store, q *Queue, want []string) int64 {
	t.Helper()
	for from := q.MinOffset(); from < q.MaxOffset(); from++ {
		data, r := s.Get(q, from, 1, 1, nil, nil)
		if r.Status != Found {
			continue // its record is damaged
		}
		var m message.Message
		if err := message.Decode(data, &m); err != nil || m.CheckBody() != nil {
			continue // damaged since it was checked last; a consumer's client sees that too
		}
		if !slices.Contains(want, string(m.Body)) {
			t.Fatalf("message %d of queue %d is %q", from, q.ID(), m.Body)
		}
	}
	return q.MaxOffset()
}
