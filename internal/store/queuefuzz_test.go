package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// FuzzQueue damages a file of a queue, of a plain one, of one of delayed messages or of a batch queue, of a store that was closed
// or killed, or is open.
// A read gets on then or says that there is a hole, nothing is read that was not put, and after a clean stop each message is where it was
// whose unit was not hit, unless the last one was.
func FuzzQueue(f *testing.F) {
	const count = 240 // in each queue
	const afterKill, whileOpen = 1, 2
	m := logfile.NewMemory()
	cfg := memoryConfig(f, m)
	cfg.CommitLogFileSize = 256 << 10
	cfg.BatchConsumeQueueFileSize = 100 * batchUnitSize
	cfg.Logger = nil
	s := openTest(f, cfg)
	check(f, s.MakeBatch("TopicB"))
	topics := []string{"TopicA", scheduleTopic, "TopicB"}
	var put [][]stored
	for i := range count {
		for k, topic := range topics {
			p := testPut(s.Queue(topic, 0), fmt.Sprintf("message %d of %s %0*d", i, topic, i%100, 0))
			if topic == scheduleTopic {
				p.Properties = message.AppendProperty(slices.Clone(p.Properties), message.PropDelay, "3")
			}
			body := string(p.Body)
			p = putWait(f, s, Written, p)[0]
			if i == 0 {
				put = append(put, nil)
			}
			put[k] = append(put[k], stored{0, p.QueueOffset, p.LogOffset, p.LogOffset + int64(p.Size), body})
		}
		if i == count/2 {
			check(f, s.flushBehind())
		}
	}
	check(f, s.flushBehind()) // then nothing is known only to the log
	killed := m.Kill()
	check(f, s.Close())

	behind := unit{logOffset: 1 << 40, size: 500}.appendTo(nil)
	f.Add(uint8(0), uint32(3*unitSize), uint8(0), make([]byte, unitSize))
	f.Add(uint8(0), uint32(120*unitSize), uint8(0), make([]byte, unitSize))
	f.Add(uint8(0), uint32(30*unitSize), uint8(1), make([]byte, 40*unitSize))
	f.Add(uint8(1), uint32(0), uint8(0), bytes.Repeat(behind, 20))
	f.Add(uint8(1), uint32(0), uint8(1), bytes.Repeat(behind, 20))
	f.Add(uint8(1), uint32(215*unitSize), uint8(0), bytes.Repeat([]byte{0xFF}, unitSize))
	f.Add(uint8(2), uint32(110*batchUnitSize), uint8(0), make([]byte, batchUnitSize))
	f.Add(uint8(2), uint32(230*batchUnitSize), uint8(1), bytes.Repeat([]byte{0x7F}, 3*batchUnitSize))
	f.Add(uint8(0), uint32(120*unitSize), uint8(2), make([]byte, unitSize))
	f.Add(uint8(1), uint32(90*unitSize), uint8(2), bytes.Repeat(behind, 10))
	f.Add(uint8(2), uint32(22*batchUnitSize+34), uint8(0), []byte{0x54}) // the queue has a gap that is larger than one read looks over
	f.Add(uint8(2), uint32(130*batchUnitSize), uint8(2), make([]byte, 5*batchUnitSize))
	f.Add(uint8(2), uint32(11024), uint8(2), make([]byte, 500)) // no unit is found at the queue's end
	f.Fuzz(func(t *testing.T, which uint8, at uint32, how uint8, damage []byte) {
		left := m
		if how%3 == afterKill {
			left = killed
		}
		left = left.Kill() // a copy
		k := int(which) % len(topics)
		dir, size := "/store/consumequeue", int64(unitSize)
		if k == 2 {
			dir, size = "/store/batchconsumequeue", batchUnitSize
		}
		pos := int64(at) % (count * size)
		file, err := left.Open(filepath.Join(dir, topics[k], "0", logfile.FileName(pos-pos%(100*size))))
		check(t, err)
		damage = damage[:min(int64(len(damage)), 100*size-pos%(100*size))]
		if len(damage) == 0 {
			return
		}
		hit := func() { t.Helper(); _, err := file.WriteAt(damage, pos%(100*size)); check(t, err) }
		if how%3 != whileOpen {
			hit()
		}

		cfg := cfg
		cfg.FS = left
		s, err := Open(context.Background(), cfg, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		if how%3 == whileOpen {
			hit()
		}
		for i, topic := range topics {
			q := s.Queue(topic, 0)
			walkDamaged(t, s, q, 1, put[i])
			got := walkDamaged(t, s, q, 32, put[i])
			for _, ts := range []int64{0, 1, 1 << 60} {
				for _, side := range []Boundary{Lower, Upper} {
					if o, err := s.OffsetByTime(q, ts, side); err != nil || o < q.MinOffset() || o > q.MaxOffset() {
						t.Errorf("by time %d: %d, %v", ts, o, err)
					}
				}
			}
			if q.batch == nil {
				entriesDamaged(t, s, q)
			}
			lastHit := pos+int64(len(damage)) > (count-1)*size && how%3 != whileOpen
			for _, p := range put[i] {
				isHit := p.queueOffset >= pos/size && p.queueOffset <= (pos+int64(len(damage))-1)/size
				if i != k || how%3 != afterKill && k != 2 && !isHit && !lastHit {
					if got[p.queueOffset] != p.body {
						t.Errorf("message %d of %s is %q, and its unit was not damaged", p.queueOffset, topic, got[p.queueOffset])
					}
				}
			}
			p := putWait(t, s, Flushed, testPut(q, "after"))[0]
			if _, err := s.MessageAt(p.LogOffset); err != nil {
				t.Error(err)
			}
		}
		check(t, s.Close())
	})
}

// walkDamaged reads a queue, so many messages at once, and returns their bodies by queue offset. Each read must get on, and all that it
// gets must have been put there.
func walkDamaged(t *testing.T, s *Store, q *Queue, most int, put []stored) map[int64]string {
	t.Helper()
	got := map[int64]string{}
	for at := q.MinOffset(); at < q.MaxOffset(); {
		data, r := s.Get(q, at, most, 1<<20, nil, nil)
		switch {
		case errors.Is(r.Err, ErrHole) && len(data) == 0:
			at = r.NextOffset + 1
		case r.Err != nil && !errors.Is(r.Err, ErrHole) || r.NextOffset <= at:
			t.Fatalf("%s stands still at %d of %d: %+v", q.topic, at, q.MaxOffset(), r)
		default:
			at = r.NextOffset
		}
		for len(data) > 0 {
			var m message.Message
			check(t, message.Decode(data, &m))
			if !slices.ContainsFunc(put, func(p stored) bool { return p.begin == m.LogOffset && p.body == string(m.Body) }) {
				if m.Topic == q.topic {
					t.Fatalf("%s has %q at %d, which was not put there", q.topic, m.Body, m.LogOffset)
				}
			}
			got[m.QueueOffset] = string(m.Body)
			data = data[m.Size:]
		}
	}
	return got
}

// entriesDamaged reads a queue as followers do.
func entriesDamaged(t *testing.T, s *Store, q *Queue) {
	t.Helper()
	var entries [32]Entry
	for at := q.MinOffset(); at < q.MaxOffset(); {
		n, next, err := s.Entries(q, at, entries[:])
		if n == 0 && errors.Is(err, ErrHole) {
			next++
		} else if err != nil && !errors.Is(err, ErrHole) || next <= at {
			t.Fatalf("entries of %s stand still at %d of %d: %d, %v", q.topic, at, q.MaxOffset(), next, err)
		}
		if _, done, err := s.Records(q, entries[:n], nil, func(Entry, []byte) {}); err != nil || done != n {
			t.Fatalf("%d of %d records, %v", done, n, err)
		}
		at = next
	}
}
