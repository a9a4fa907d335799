package store

import (
	"fmt"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
)

func TestEntries_AreThoseOfTheQueue(t *testing.T) {
	t.Parallel()
	s, _ := faultyStore(t, func(c *Config) { c.ConsumeQueueFileSize = 50 * unitSize })
	defer s.Close()
	q := s.Queue("TopicA", 0)
	for i := range 130 {
		putWait(t, s, Written, testPut(q, fmt.Sprint(i)))
	}
	awaitVisible(t, q, 130)
	check := func(offset int64, room, want int, next int64) {
		t.Helper()
		entries := make([]Entry, room)
		n, at, err := s.Entries(q, offset, entries)
		if err != nil || n != want || at != next {
			t.Errorf("from %d: %d entries, next %d, %v; want %d, next %d", offset, n, at, err, want, next)
			return
		}
		i := max(offset, 0)
		s.Records(q, entries[:n], nil, func(e Entry, record []byte) {
			var m message.Message
			if err := message.Decode(record, &m); err != nil || e.QueueOffset != i || m.QueueOffset != i || m.LogOffset != e.LogOffset || string(m.Body) != fmt.Sprint(i) {
				t.Errorf("entry %+v leads to %+v, %v", e, m, err)
			}
			i++
		})
		if i != max(offset, 0)+int64(n) {
			t.Errorf("from %d: %d records", offset, i-offset)
		}
	}
	check(0, 1, 1, 1)
	check(0, 100, 100, 100)
	check(45, 10, 10, 55) // across a file
	check(120, 100, 10, 130)
	check(130, 100, 0, 130)
	check(131, 100, 0, 131)
	check(-5, 3, 3, 3)
	s.Records(q, []Entry{{LogOffset: 1, Size: 200}, {LogOffset: 1 << 50, Size: 200}, {LogOffset: 0, Size: 1 << 30}}, nil, func(e Entry, record []byte) {
		if record != nil {
			t.Errorf("a record where none is: %+v", e)
		}
	})
	if err := s.Flush(); err != nil || s.Stats().Flushed != s.Stats().Written {
		t.Errorf("flushed to %d of %d, %v", s.Stats().Flushed, s.Stats().Written, err)
	}
}

func TestMessageAt_FindsWhatIsInItsQueue(t *testing.T) {
	t.Parallel()
	for _, sync := range []bool{false, true} {
		s, _ := faultyStore(t, func(c *Config) { c.SyncFlush = sync })
		q := s.Queue("TopicA", 0)
		const n = 500
		done := make(chan struct{})
		go func() {
			defer close(done)
			for seen := int64(0); seen < n; {
				var e [1]Entry
				if got, _, err := s.Entries(q, seen, e[:]); err != nil {
					t.Error(err)
					return
				} else if got == 0 {
					continue
				}
				if _, err := s.MessageAt(e[0].LogOffset); err != nil {
					t.Errorf("message %d, which is in its queue: %v", seen, err)
					return
				}
				seen++
			}
		}()
		for i := range n {
			putWait(t, s, Written, testPut(q, fmt.Sprint(i)))
		}
		<-done
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
