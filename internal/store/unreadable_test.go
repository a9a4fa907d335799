package store

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// reopened is a store with messages of which nothing is in memory, in two files of the log, and the first in its second file.
func reopened(t *testing.T, queue func(*Store) *Queue, change ...func(*Config)) (*Store, *logfile.Faults, []string, int64) {
	t.Helper()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	s := openTest(t, cfg)
	q := queue(s)
	var want []string
	second := int64(-1)
	for i := range 40 {
		body := fmt.Sprint(i, strings.Repeat("b", 3000))
		want = append(want, body)
		if p := putWait(t, s, Written, testPut(q, body))[0]; second < 0 && p.LogOffset >= cfg.CommitLogFileSize {
			second = int64(i)
		}
	}
	check(t, s.Close())
	faults := &logfile.Faults{FS: m}
	cfg.FS = faults
	for _, c := range change {
		c(&cfg)
	}
	s = openTest(t, cfg)
	t.Cleanup(func() { s.Close() })
	return s, faults, want, second
}

// Where no file can be opened each pull of each consumer fails.
func TestGet_TellsOnceThatNoFileCanBeOpened(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault logfile.Fault
		want  int32
	}{
		"no descriptors":    {logfile.Fault{Op: logfile.OpOpen, Path: "commitlog/", Err: syscall.EMFILE}, 1},
		"a bad sector":      {logfile.Fault{Op: logfile.OpRead, Path: "consumequeue/", Err: syscall.EIO}, 10},
		"a damaged message": {logfile.Fault{Op: logfile.OpRead, Path: "commitlog/", Err: message.ErrDamaged}, 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := &cleanLog{Handler: slog.DiscardHandler}
			s, faults, _, _ := reopened(t, plainQueue, func(cfg *Config) { cfg.Logger = slog.New(lines) })
			faults.Inject(c.fault)
			for range 10 {
				for at := int64(0); at < 40; {
					_, r := s.Get(plainQueue(s), at, 32, 1<<20, nil, nil)
					if r.Err != nil {
						break
					}
					at = r.NextOffset
				}
				if c.fault.Err == message.ErrDamaged { // it was passed over
					break
				}
			}
			if told := lines.errors.Load(); told != c.want {
				t.Errorf("told %d times, wanted %d", told, c.want)
			}
		})
	}
}

func plainQueue(s *Store) *Queue { return s.Queue("TopicA", 0) }

func batchedQueue(s *Store) *Queue {
	_ = s.MakeBatch("TopicA")
	return s.Queue("TopicA", 0)
}

func TestGet_PassesOverNothingThatCannotBeReadNow(t *testing.T) {
	t.Parallel()
	secondFile := "commitlog/" + logfile.FileName(64<<10)
	for name, c := range map[string]struct {
		queue  func(*Store) *Queue
		fault  logfile.Fault
		first  bool // nothing can be read at all
		filter bool
	}{
		"read":           {plainQueue, logfile.Fault{Op: logfile.OpRead, Path: secondFile, Err: syscall.EIO}, false, false},
		"open":           {plainQueue, logfile.Fault{Op: logfile.OpOpen, Path: secondFile, Err: syscall.EMFILE}, false, false},
		"read, filtered": {plainQueue, logfile.Fault{Op: logfile.OpRead, Path: secondFile, Err: syscall.EIO}, false, true},
		"queue":          {plainQueue, logfile.Fault{Op: logfile.OpRead, Path: "consumequeue/", Err: syscall.EIO}, true, false},
		"queue, open":    {plainQueue, logfile.Fault{Op: logfile.OpOpen, Path: "consumequeue/", Err: syscall.ENOMEM}, true, false},
		"batch":          {batchedQueue, logfile.Fault{Op: logfile.OpRead, Path: secondFile, Err: syscall.EIO}, false, false},
		"batch queue":    {batchedQueue, logfile.Fault{Op: logfile.OpRead, Path: "batchconsumequeue/", Err: syscall.EIO}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, faults, want, second := reopened(t, c.queue)
			faults.Inject(c.fault)
			filter := &Filter{}
			if c.filter {
				filter.Record = func([]byte) bool { return true }
			}
			at, count := int64(0), 0
			for {
				_, r := s.Get(c.queue(s), at, 32, 1<<20, filter, nil)
				count += r.Count
				at = r.NextOffset
				if r.Count == 0 {
					if !errors.Is(r.Err, c.fault.Err) {
						t.Errorf("error %v, status %s", r.Err, r.Status)
					}
					break
				}
			}
			if c.first {
				second = 0
			}
			if at != second || count != int(second) {
				t.Errorf("got %d messages and goes on at %d, want both %d", count, at, second)
			}
			faults.Heal()
			wantBodies(t, bodies(t, s, c.queue(s), at), want[at:])
		})
	}
}

func TestRecords_EndBeforeWhatCannotBeReadNow(t *testing.T) {
	t.Parallel()
	s, faults, want, second := reopened(t, plainQueue)
	entries := make([]Entry, len(want))
	n, _, err := s.Entries(plainQueue(s), 0, entries)
	if check(t, err); n != len(want) {
		t.Fatalf("%d entries", n)
	}
	faults.Inject(logfile.Fault{Op: logfile.OpRead, Path: "commitlog/" + logfile.FileName(64<<10), Err: syscall.EIO})
	got := 0
	_, done, err := s.Records(plainQueue(s), entries, nil, func(_ Entry, record []byte) {
		if record != nil {
			got++
		}
	})
	if int64(done) != second || int64(got) != second || !errors.Is(err, syscall.EIO) {
		t.Errorf("got %d of %d records, want %d; %v", got, done, second, err)
	}
	place := []Place{{LogOffset: entries[second].LogOffset, Size: entries[second].Size}}
	if _, err := s.RecordAt(place, nil); !errors.Is(err, syscall.EIO) || errors.Is(err, ErrNoMessage) {
		t.Errorf("got %v", err)
	}
	place[0].LogOffset++
	faults.Heal()
	if _, err := s.RecordAt(place, nil); !errors.Is(err, ErrNoMessage) {
		t.Errorf("where none is: got %v", err)
	}
}

// TestOffsetByTime_FailsOnWhatCannotBeReadNow: a reset to the queue's end would pass over all that nobody has consumed.
func TestOffsetByTime_FailsOnWhatCannotBeReadNow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		queue func(*Store) *Queue
		fault logfile.Fault
	}{
		"read":        {plainQueue, logfile.Fault{Op: logfile.OpRead, Path: "commitlog/", Err: syscall.EIO}},
		"open":        {plainQueue, logfile.Fault{Op: logfile.OpOpen, Path: "commitlog/", Err: syscall.EMFILE}},
		"queue":       {plainQueue, logfile.Fault{Op: logfile.OpRead, Path: "consumequeue/", Err: syscall.EIO}},
		"queue, open": {plainQueue, logfile.Fault{Op: logfile.OpOpen, Path: "consumequeue/", Err: syscall.EMFILE}},
		"batch":       {batchedQueue, logfile.Fault{Op: logfile.OpRead, Path: "commitlog/", Err: syscall.EIO}},
		"batch queue": {batchedQueue, logfile.Fault{Op: logfile.OpRead, Path: "batchconsumequeue/", Err: syscall.EIO}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, faults, _, _ := reopened(t, c.queue)
			faults.Inject(c.fault)
			if got, err := s.OffsetByTime(c.queue(s), 1, Lower); !errors.Is(err, c.fault.Err) || !strings.Contains(err.Error(), "TopicA, queue 0") {
				t.Errorf("got %d, %v", got, err)
			}
			if near, err := s.InMemory(c.queue(s), 0); strings.Contains(name, "queue") != errors.Is(err, c.fault.Err) || near != (err == nil) {
				t.Errorf("in memory: %v, %v", near, err)
			}
			faults.Heal()
			if got := offsetByTime(t, s, c.queue(s), 1, Lower); got != 0 {
				t.Errorf("got %d", got)
			}
		})
	}
}

// TestOffsetByTime_PassesOverWhatIsDamaged has one damaged message in the middle, and then all but the first ones.
func TestOffsetByTime_PassesOverWhatIsDamaged(t *testing.T) {
	t.Parallel()
	s, faults, want, _ := reopened(t, plainQueue)
	q := plainQueue(s)
	entries := make([]Entry, len(want))
	_, _, err := s.Entries(q, 0, entries)
	check(t, err)
	damage := func(e Entry) {
		t.Helper()
		at := e.LogOffset % (64 << 10)
		f, err := faults.Open("/store/commitlog/" + logfile.FileName(e.LogOffset-at))
		check(t, err)
		_, err = f.WriteAt(make([]byte, message.MinRecordSize), at)
		check(t, err)
	}
	search := func(wantOld, wantNew int64) {
		t.Helper()
		if o, n := offsetByTime(t, s, q, 1, Lower), offsetByTime(t, s, q, 1<<60, Lower); o != wantOld || n != wantNew {
			t.Errorf("older than all %d, younger than all %d, want %d and %d", o, n, wantOld, wantNew)
		}
	}
	end := int64(len(want))
	damage(entries[end/2])
	search(0, end)
	for _, e := range entries[2:] {
		damage(e)
	}
	search(0, 2)
}

func TestQuery_FailsOnWhatCannotBeReadNow(t *testing.T) {
	t.Parallel()
	s, faults, want, second := reopened(t, plainQueue)
	query := KeyQuery{Topic: "TopicA", Key: "U-" + want[second], Kind: UniqueKey, End: 1 << 60, Max: 1}
	faults.Inject(logfile.Fault{Op: logfile.OpOpen, Path: "commitlog/", Err: syscall.EMFILE})
	if r, err := s.Query(query); !errors.Is(err, syscall.EMFILE) || r.Count != 0 {
		t.Errorf("got %d, %v", r.Count, err)
	}
	faults.Heal()
	if r, err := s.Query(query); err != nil || r.Count != 1 {
		t.Errorf("got %d, %v", r.Count, err)
	}
}

// TestOpen_RemovesNoFileThatItCannotRead has damage in the first file of the log and the second one unreadable.
func TestOpen_RemovesNoFileThatItCannotRead(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	s := openTest(t, cfg)
	q := s.Queue("TopicA", 0)
	for i := range 40 {
		putWait(t, s, Written, testPut(q, fmt.Sprint(i, strings.Repeat("b", 3000))))
	}
	damaged := m.Kill()
	check(t, s.Close())
	_ = damaged.Remove("/store/checkpoint")
	f, err := damaged.Open("/store/commitlog/" + logfile.FileName(0))
	check(t, err)
	_, err = f.WriteAt(make([]byte, message.MinRecordSize), 0)
	check(t, err)
	second := "commitlog/" + logfile.FileName(64<<10)
	faults := &logfile.Faults{FS: damaged}
	faults.Inject(logfile.Fault{Op: logfile.OpRead, Path: second, Err: syscall.EIO})
	cfg.FS = faults
	if s, err := Open(t.Context(), cfg, Hooks{}); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
		if err == nil {
			check(t, s.Close())
		}
	}
	if _, err := damaged.Open("/store/" + second); err != nil {
		t.Errorf("the file is gone: %v", err)
	}
}

// TestOpen_BeginsNowhereElseWhenTheCheckpointCannotBeRead: from an earlier place on a deleted topic would come back.
func TestOpen_BeginsNowhereElseWhenTheCheckpointCannotBeRead(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	s := openTest(t, cfg)
	putWait(t, s, Written, testPut(s.Queue("Gone", 0), "a"), testPut(s.Queue("Kept", 0), "b"))
	check(t, s.DeleteTopic("Gone"))
	faults := &logfile.Faults{FS: m.Kill()}
	check(t, s.Close())
	cfg.FS = faults
	faults.Inject(logfile.Fault{Op: logfile.OpRead, Path: "commitlog/", Times: 1, Err: syscall.EIO})
	if s, err := Open(t.Context(), cfg, Hooks{}); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
		if err == nil {
			check(t, s.Close())
		}
	}
	s = openTest(t, cfg)
	wantBodies(t, bodies(t, s, s.Queue("Gone", 0), 0), nil)
	wantBodies(t, bodies(t, s, s.Queue("Kept", 0), 0), []string{"b"})
	check(t, s.Close())
}
