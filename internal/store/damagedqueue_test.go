package store

import (
	"errors"
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

// writeUnits writes a unit over some of a queue's files.
func writeUnits(t testing.TB, q *Queue, from, to int, u unit) {
	t.Helper()
	q.units.mu.Lock()
	defer q.units.mu.Unlock()
	files, err := q.units.filesLocked()
	check(t, err)
	q.units.ahead = nil
	for ; from < to; from++ {
		_, err := files.WriteAt(u.appendTo(nil), int64(from)*unitSize)
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

// Whoever comes to a hole gets all that is before it and is told of it, and nobody is led past it; what is behind it can be read.
func TestGet_StopsAtHoles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, to int
		unit     unit
	}{
		"zero":             {30, 31, unit{}},
		"negative":         {30, 31, unit{logOffset: -1, size: -1}},
		"behind the log":   {0, 40, unit{logOffset: 1 << 40, size: 500}},
		"at the beginning": {0, 3, unit{}},
		"at the end":       {59, 60, unit{logOffset: 1, size: 1 << 30}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, q, want := holedQueue(t, 60, func(q *Queue) { writeUnits(t, q, c.from, c.to, c.unit) })
			wantBodies(t, bodies(t, s, q, 0), want[:c.from])
			for at := c.from; at < c.to; at++ {
				if _, r, ok := s.GetNow(q, int64(at), 32, 1<<20, nil, nil); !ok || r.Count != 0 || r.NextOffset != int64(at) || !errors.Is(r.Err, ErrHole) {
					t.Errorf("from %d: %+v", at, r)
				}
			}
			wantBodies(t, bodies(t, s, q, int64(c.to)), want[c.to:])
			entries := make([]Entry, 100)
			if n, next, err := s.Entries(q, 0, entries); n != c.from || next != int64(c.from) || !errors.Is(err, ErrHole) {
				t.Errorf("%d entries to %d, %v", n, next, err)
			}
		})
	}
}

// holedQueue is a store with count messages in a queue that damage changes while it is open.
func holedQueue(t testing.TB, count int, damage func(q *Queue)) (*Store, *Queue, []string) {
	t.Helper()
	s, q, want := damagedQueue(t, count, func(logfile.File) {})
	damage(q)
	return s, q, want
}

func TestOffsetByTime_PassesOverHoles(t *testing.T) {
	t.Parallel()
	s, q, _ := holedQueue(t, 60, func(q *Queue) { writeUnits(t, q, 25, 35, unit{}) })
	if at := offsetByTime(t, s, q, 1, Lower); at != 0 {
		t.Errorf("older than all is %d", at)
	}
}

func TestDeleteBefore_DoesNotTakeAHoleForOld(t *testing.T) {
	t.Parallel()
	s, q, _ := holedQueue(t, 60, func(*Queue) {})
	var entries [60]Entry
	_, _, err := s.Entries(q, 0, entries[:])
	check(t, err)
	writeUnits(t, q, 25, 45, unit{})
	_, err = q.units.deleteBefore(entries[10].LogOffset)
	if check(t, err); q.MinOffset() != 10 {
		t.Errorf("the queue begins at %d", q.MinOffset())
	}
}

// A start must find the end of a queue behind damage, or the log's messages there are lost to it and new ones get their offsets.
func TestOpen_FindsTheEndOfAQueueBehindDamage(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		for name, c := range map[string]struct {
			from, to int
			unit     unit
		}{
			"zero":             {3, 4, unit{}},
			"zero in the half": {15, 16, unit{}},
			"zeros":            {10, 25, unit{}},
			"behind the log":   {0, 20, unit{logOffset: 1 << 40, size: 500}},
			"the last behind":  {20, 30, unit{logOffset: 1 << 40, size: 500}},
			"negative":         {7, 8, unit{logOffset: -1, size: -1}},
		} {
			if killed && c.to == 30 {
				continue // nobody knows that they were there
			}
			t.Run(fmt.Sprint(name, killed), func(t *testing.T) {
				t.Parallel()
				m := logfile.NewMemory()
				cfg := memoryConfig(t, m)
				s := openTest(t, cfg)
				var want []string
				for i := range 30 {
					want = append(want, fmt.Sprint("message ", i))
					putWait(t, s, Written, testPut(s.Queue("TopicA", 0), want[i]), testPut(s.Queue("TopicB", 0), "other"))
				}
				putWait(t, s, Flushed, testPut(s.Queue("TopicB", 0), "other"))
				check(t, s.flushBehind())
				if killed {
					m = m.Kill()
				}
				check(t, s.Close())
				cfg.FS = m
				f, err := m.Open("/store/consumequeue/TopicA/0/" + logfile.FileName(0))
				check(t, err)
				for i := c.from; i < c.to; i++ {
					_, err := f.WriteAt(c.unit.appendTo(nil), int64(i)*unitSize)
					check(t, err)
				}
				s = openTest(t, cfg)
				q := s.Queue("TopicA", 0)
				if q.MaxOffset() != 30 {
					t.Errorf("the queue ends at %d", q.MaxOffset())
				}
				if p := putWait(t, s, Written, testPut(q, "after"))[0]; p.QueueOffset != 30 {
					t.Errorf("the next message has offset %d", p.QueueOffset)
				}
				want = append(want, "after")
				wantBodies(t, bodies(t, s, q, int64(c.to)), want[c.to:])
				check(t, s.Close())
				s = openTest(t, cfg)
				wantBodies(t, bodies(t, s, s.Queue("TopicA", 0), int64(c.to)), want[c.to:])
				check(t, s.Close())
			})
		}
	}
}

// What the log does not prove is none of the queue's: it may be left of what was cut off.
func TestOpen_EndsAQueueBeforeWhatTheLogDoesNotHave(t *testing.T) {
	t.Parallel()
	s, q, _ := damagedQueue(t, 30, func(f logfile.File) {
		for i := range int64(10) {
			_, err := f.WriteAt(unit{logOffset: 5000 + 200*i, size: 200}.appendTo(nil), (35+i)*unitSize)
			check(t, err)
		}
	})
	if q.MaxOffset() != 30 {
		t.Errorf("the queue ends at %d", q.MaxOffset())
	}
	if p := putWait(t, s, Written, testPut(q, "after"))[0]; p.QueueOffset != 30 {
		t.Errorf("the next message has offset %d", p.QueueOffset)
	}
}
