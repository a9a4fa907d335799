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

// FuzzRecover damages the log of a killed store anywhere. Recovery must not fail and must keep what it can, whatever is read afterwards must
// have been put, and the store must go on. No CRC covers a message's topic, queue and offset, so a changed byte there may move it.
//
// Recovery begins at the message of the checkpoint and ends where no message follows. So damage before the checkpoint costs the messages
// that it hits and no other; damage there or behind costs none that ends before it. But a message there whose offset becomes 0 has its
// queue begin anew, as one of a topic that was deleted does.
func FuzzRecover(f *testing.F) {
	m := logfile.NewMemory()
	cfg := memoryConfig(f, m)
	cfg.CommitLogFileSize = 16 << 10
	cfg.Logger = nil
	s := openTest(f, cfg)
	var all []stored
	for i := range 200 {
		body := fmt.Sprintf("message %d %0*d", i, i%200, 0)
		q := s.Queue("TopicA", int32(i%2))
		put := putWait(f, s, Written, testPut(q, body))[0]
		all = append(all, stored{q.id, put.QueueOffset, put.LogOffset, put.LogOffset + int64(put.Size), body})
		if i == 100 {
			s.flushBehind()
		}
	}
	end := all[len(all)-1].end
	m = m.Kill()
	check(f, s.Close())
	point, err := readCheckpoint(m, "/store/checkpoint")
	if err != nil || !point.ours || point.logicsOffset < all[100].begin {
		f.Fatalf("%+v, %v", point, err)
	}

	record := testPut(&Queue{topic: "TopicA"}, "x").Message
	record.LogOffset, record.QueueOffset, record.StoreHost, record.Topic = end, 100, bornHost, "TopicA"
	f.Add(uint32(0), []byte{1})
	f.Add(uint32(10), slices.Repeat([]byte{0xFF}, 300))
	f.Add(uint32(16<<10), []byte{0xDA, 0xA3, 0x20, 0xA7})
	f.Add(uint32(end), record.AppendRecord(nil, false)[:80])
	f.Add(uint32(end), message.AppendBlank(nil, 100))
	f.Add(uint32(end-200), make([]byte, 500))
	f.Add(uint32(end-5000), []byte("damage"))
	f.Add(uint32(point.logicsOffset), []byte("damage")) // the checkpoint does not fit, and recovery begins at an earlier file
	f.Add(uint32(point.logicsOffset-6), []byte("damage"))
	f.Add(uint32(point.logicsOffset-1000), []byte("damage"))
	f.Add(uint32(63194), []byte("0")) // the topic of a message: its own queue has a gap then
	f.Add(uint32(63447), []byte{0})   // the offset of a message: its queue begins anew
	f.Fuzz(func(t *testing.T, at uint32, damage []byte) {
		left := m.Kill()
		off := int64(at) % (end + 1000)
		file, err := left.Open(filepath.Join("/store/commitlog", logfile.FileName(off-off%cfg.CommitLogFileSize)))
		if err != nil || len(damage) == 0 {
			return
		}
		n := min(int64(len(damage)), cfg.CommitLogFileSize-off%cfg.CommitLogFileSize)
		check(t, func() error { _, err := file.WriteAt(damage[:n], off%cfg.CommitLogFileSize); return err }())
		recovered := off+n > point.logicsOffset
		var anew [2]bool
		for _, p := range all {
			if p.begin < off+n && off < p.end && recovered {
				if id, ok := p.beginsQueue(t, file, cfg.CommitLogFileSize); ok {
					anew[id] = true
				}
			}
		}

		cfg := cfg
		cfg.FS = left
		s, err := Open(context.Background(), cfg, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range all {
			if (p.end <= off || p.begin >= off+n && !recovered) && !anew[p.queue] {
				p.wantIn(t, s)
			}
		}
		for id := range 2 {
			q := s.Queue("TopicA", int32(id))
			got := damagedBodies(t, s, q, all)
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

// stored is a message of a queue, and where its record lies in the log.
type stored struct {
	queue       int32
	queueOffset int64
	begin, end  int64
	body        string
}

// beginsQueue says whether the message was damaged so that a queue seems to begin with it, and which.
func (p stored) beginsQueue(t *testing.T, file logfile.File, fileSize int64) (queue int32, ok bool) {
	t.Helper()
	data := make([]byte, p.end-p.begin)
	_, err := file.ReadAt(data, p.begin%fileSize)
	check(t, err)
	var m message.Message
	err = message.Decode(data, &m)
	ok = err == nil && m.CheckBody() == nil && m.Topic == "TopicA" && m.QueueOffset == 0 && m.QueueID&^1 == 0
	return m.QueueID & 1, ok
}

// wantIn fails unless the message is where it was.
func (p stored) wantIn(t *testing.T, s *Store) {
	t.Helper()
	data, r := s.Get(s.Queue("TopicA", p.queue), p.queueOffset, 1, 1, nil, nil)
	var m message.Message
	if r.Status != Found {
		t.Errorf("message %d of queue %d, at %d to %d of the log: %v", p.queueOffset, p.queue, p.begin, p.end, r.Status)
	} else if err := message.Decode(data, &m); err != nil || string(m.Body) != p.body || m.LogOffset != p.begin || m.QueueOffset != p.queueOffset {
		t.Errorf("message %d of queue %d is %q of offset %d at %d, was %q at %d; %v", p.queueOffset, p.queue, m.Body, m.QueueOffset, m.LogOffset, p.body, p.begin, err)
	}
}

// damagedBodies reads a queue whose log is damaged and returns its length.
func damagedBodies(t *testing.T, s *Store, q *Queue, want []stored) int64 {
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
		if !slices.ContainsFunc(want, func(p stored) bool { return p.body == string(m.Body) }) {
			t.Fatalf("message %d of queue %d is %q", from, q.ID(), m.Body)
		}
	}
	return q.MaxOffset()
}
