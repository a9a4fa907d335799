package store

import (
	"fmt"
	"testing"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// damagedQueue is a store whose memory has nothing, with count messages in a queue whose file damage has changed while it was closed.
func damagedQueue(t testing.TB, count int, damage func(f logfile.File)) (s *Store, q *Queue, want []string) {
	t.Helper()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	cfg.CommitLogFileSize = 256 << 10 // whole stretches of the cache
	cfg.ConsumeQueueFileSize = 1000 * unitSize
	s = openTest(t, cfg)
	for i := range count {
		want = append(want, fmt.Sprint("message ", i))
		putWait(t, s, Written, testPut(s.Queue("TopicA", 0), want[i]), testPut(s.Queue("TopicB", 0), "other"))
	}
	check(t, s.Close())
	f, err := m.Open("/store/consumequeue/TopicA/0/" + logfile.FileName(0))
	check(t, err)
	damage(f)
	s = openTest(t, cfg)
	t.Cleanup(func() { check(t, s.Close()) })
	return s, s.Queue("TopicA", 0), want
}

func writeUnits(t testing.TB, f logfile.File, from, to int, u unit) {
	t.Helper()
	for ; from < to; from++ {
		_, err := f.WriteAt(u.appendTo(nil), int64(from)*unitSize)
		check(t, err)
	}
}

// Units that point behind the log's end, many of one stretch of it, ended the process.
func TestRecords_PassOverWhatPointsBehindTheLog(t *testing.T) {
	t.Parallel()
	s, q, want := damagedQueue(t, 30, func(f logfile.File) {})
	entries := make([]Entry, len(want))
	_, _, err := s.Entries(q, 0, entries)
	check(t, err)
	for i := range 20 {
		entries[i].LogOffset, entries[i].Size = 1<<40, 500
	}
	got := 0
	_, done, err := s.Records(q, entries, nil, func(_ Entry, record []byte) {
		if record != nil {
			got++
		}
	})
	if err != nil || done != 30 || got != 10 {
		t.Errorf("%d records of %d entries, %v", got, done, err)
	}
}
