package timer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// testConfig has small files, and flushes only when told to.
func testConfig(t testing.TB) Config {
	return Config{slots: 4096, FS: logfile.NewMemory(), Logger: slog.New(slog.DiscardHandler), RootDir: t.TempDir(), LogFileSize: 1040, Precision: time.Second,
		RollWindow: 1900, FlushInterval: time.Hour, CommitLogEnd: 1 << 40, Topics: func() []string { return []string{"A", "B"} }}
}

func open(t testing.TB, cfg Config) *Timer {
	t.Helper()
	if err := cfg.FS.MkdirAll(cfg.RootDir); err != nil {
		t.Fatal(err)
	}
	if cfg.clock == nil {
		cfg.clock = func() int64 { return now } // however long the test takes
	}
	w, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// now is the start of a second, which tests count from.
var now = time.Now().UnixMilli() / 1000 * 1000

func entry(offset, due int64) Entry {
	return Entry{Due: due, LogOffset: offset, Size: 100, Topic: []byte("A")}
}

func add(t testing.TB, w *Timer, entries ...Entry) {
	t.Helper()
	if n, err := w.Add(now, entries...); err != nil || n != len(entries) {
		t.Fatal(n, err)
	}
}

// drain takes everything that is due at a time and returns the log offsets by slot.
func drain(t testing.TB, w *Timer, at, queueOffset int64) (slots []int64, offsets []int64) {
	t.Helper()
	for {
		slot, items, err := w.Take(at)
		if err != nil {
			t.Fatal(err)
		}
		if slot == 0 {
			return slots, offsets
		}
		slots = append(slots, slot)
		for _, it := range items {
			offsets = append(offsets, it.LogOffset)
		}
		if err := w.Done(slot, queueOffset); err != nil {
			t.Fatal(err)
		}
	}
}

func equal(t testing.TB, what string, got []int64, want ...int64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestTimer_TakesSlotsInOrder(t *testing.T) {
	t.Parallel()
	w := open(t, testConfig(t))
	if _, ok := w.Next(); ok {
		t.Error("somebody waits")
	}
	add(t, w, entry(1, now+5000), entry(2, now+3000), entry(3, now+5000), entry(4, now+3000), entry(5, now+900_000))
	if due, ok := w.Next(); !ok || due != now+4000 {
		t.Errorf("next is %d, want %d", due-now, 4000)
	}
	early, _ := drain(t, w, now+3999, 5)
	equal(t, "before its time", early)
	slots, offsets := drain(t, w, now+6000, 5)
	equal(t, "slots", slots, now+3000, now+5000)
	equal(t, "messages", offsets, 2, 4, 1, 3)
	if !w.IsPast(now+5999) || w.IsPast(now+6000) {
		t.Error("a slot that was taken is not past, or one that was not is")
	}
	if _, err := w.Add(now, entry(6, now+5000)); !errors.Is(err, ErrTaken) {
		t.Error(err)
	}
	if w.Waiting() != 1 || w.Waits(now+900_999) != 1 || w.Waits(now+5000) != 0 {
		t.Error(w.Waiting(), w.Waits(now+900_999), w.Waits(now+5000))
	}
}

// A machine without a clock of its own begins in 1970.
func TestTimer_WorksInTheFirstDaysOf1970(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	at := int64(100_000)
	cfg.clock = func() int64 { return at }
	w := open(t, cfg)
	if n, err := w.Add(at, entry(0, at+3000)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if due, ok := w.Next(); !ok || due != at+4000 {
		t.Errorf("the next is due at %d, %v", due, ok)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	at += 5000
	_, got := drain(t, w, at, 1)
	equal(t, "delivered", got, 0)
}

func TestTimer_RollsAsApacheDoes(t *testing.T) {
	t.Parallel()
	check := func(due, want int64, roll bool) {
		t.Helper()
		cfg := testConfig(t)
		cfg.RollWindow = 30
		w := open(t, cfg)
		add(t, w, entry(7, now+due))
		slot, items, err := w.Take(now + 100_000)
		if err != nil || len(items) != 1 || slot != now+want || items[0].Roll != roll || items[0].Added != now {
			t.Errorf("due in %d: got %d %+v, want %d, %v", due, slot-now, items, want, roll)
		}
	}
	check(29_000, 29_000, false)
	check(30_000, 15_000, true)
	check(39_000, 15_000, true)
	check(40_000, 30_000, true)
	check(900_000, 30_000, true)
}

func TestTimer_CrossesFiles(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t) // 19 records a file
	w := open(t, cfg)
	var want []int64
	for i := range int64(100) {
		add(t, w, entry(1000+i, now+1000*(1+i%2)))
	}
	for _, parity := range []int64{0, 1} {
		for i := parity; i < 100; i += 2 {
			want = append(want, 1000+i)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = open(t, cfg)
	_, got := drain(t, w, now+10_000, 100)
	equal(t, "messages", got, want...)
	if err := w.RemoveBefore(1000 + 60); err != nil || w.log.files.Start() != 3*1040 {
		t.Errorf("log starts at %d, %v", w.log.files.Start(), err)
	}
	if logged, err := w.Logged(1090); err != nil || len(logged) != 10 || logged[0] != 1090 {
		t.Error(logged, err)
	}
}

// script does things at random to a timer and remembers what must come of them.
type script struct {
	t     *testing.T
	rng   *rand.Rand
	w     *Timer
	clock int64
	next  int64           // log offset, and offset in the queue
	due   map[int64]int64 // what was added, by log offset
	done  map[int64]bool
}

func (s *script) step() {
	switch s.rng.IntN(10) {
	default:
		for range 1 + s.rng.IntN(30) {
			due := s.clock + 1000*(1+s.rng.Int64N(200))
			s.next++
			if n, err := s.w.Add(s.clock, entry(s.next, due)); err != nil || n != 1 {
				s.t.Fatal(err)
			}
			s.due[s.next] = due
		}
		s.w.Reached(s.next)
	case 0, 1, 2:
		s.clock += 1000 * s.rng.Int64N(5)
		_, got := drain(s.t, s.w, s.clock, s.next)
		for _, offset := range got {
			s.done[offset] = true
		}
	case 3:
		if err := s.w.Flush(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// recovered opens what a crash left, as a broker does: what the checkpoint does not know is taken in again.
func (s *script) recovered(cfg Config) {
	w := open(s.t, cfg)
	c := w.Begin(0, s.next)
	logged, err := w.Logged(c.QueueFlushed + 1)
	if err != nil {
		s.t.Fatal(err)
	}
	for offset := c.QueueFlushed + 1; offset <= s.next; offset++ {
		_, found := slices.BinarySearch(logged, offset)
		if found || offset <= c.QueueWritten && s.due[offset] < c.Read {
			continue
		}
		if w.IsPast(s.due[offset]) {
			s.t.Fatalf("%d was due at %d and is past", offset, s.due[offset]-now)
		}
		if _, err := w.Add(s.clock, entry(offset, s.due[offset])); err != nil {
			s.t.Fatal(err)
		}
	}
	s.w = w
}

// finish takes everything and compares it with what was added.
func (s *script) finish(again bool) {
	seen := map[int64]int{}
	for offset := range s.done {
		seen[offset]++
	}
	for {
		due, ok := s.w.Next()
		if !ok || due > s.clock+1_000_000 {
			break
		}
		slot, items, err := s.w.Take(due)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, it := range items {
			if seen[it.LogOffset]++; s.due[it.LogOffset] != slot {
				s.t.Errorf("%d of %d came with the slot of %d", it.LogOffset, s.due[it.LogOffset]-now, slot-now)
			}
		}
		if err := s.w.Done(slot, s.next); err != nil {
			s.t.Fatal(err)
		}
	}
	for offset := range s.due {
		if n := seen[offset]; n == 0 || n > 1 && !again {
			s.t.Errorf("%d came %d times", offset, n)
		}
	}
	if n := s.w.Waiting(); n != 0 && !again {
		s.t.Errorf("%d are said to wait", n)
	}
}

// Killed at any moment, nothing is lost and nothing comes twice.
func TestTimer_SurvivesKills(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		cfg := testConfig(t)
		memory := logfile.NewMemory()
		cfg.FS = memory
		s := &script{t: t, rng: rand.New(rand.NewPCG(seed, 0)), w: open(t, cfg), clock: now, due: map[int64]int64{}, done: map[int64]bool{}}
		for range 4 {
			for range s.rng.IntN(60) {
				s.step()
			}
			memory = memory.Kill()
			cfg.FS = memory
			s.recovered(cfg)
		}
		s.finish(false)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// When the power goes, nothing is lost either, not even what a killed process had left to the kernel.
func TestTimer_SurvivesPowerCuts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		cfg := testConfig(t)
		memory := logfile.NewMemory()
		cfg.FS = memory
		s := &script{t: t, rng: rand.New(rand.NewPCG(seed, 1)), w: open(t, cfg), clock: now, due: map[int64]int64{}, done: map[int64]bool{}}
		for range s.rng.IntN(100) {
			s.step()
		}
		if seed%2 == 1 {
			memory = memory.Kill()
			cfg.FS = memory
			s.recovered(cfg)
			for range s.rng.IntN(5) {
				s.step()
			}
			if err := s.w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		cfg.FS = memory.Crash(rand.New(rand.NewPCG(seed, 2)))
		s.recovered(cfg)
		s.finish(true)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestOpen_MakesTheWheelAnew(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Config){
		"wheel is gone":      func(c *Config) { _ = c.FS.Remove(filepath.Join(c.RootDir, "timerwheel")) },
		"finer precision":    func(c *Config) { c.Precision = 100 * time.Millisecond },
		"checkpoint is gone": func(c *Config) { _ = c.FS.Remove(filepath.Join(c.RootDir, "config", "timercheck")) },
	} {
		cfg := testConfig(t)
		w := open(t, cfg)
		add(t, w, entry(1, now+60_000), entry(2, now+120_000), entry(3, now+60_000))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		spoil(&cfg)
		w = open(t, cfg)
		if _, got := drain(t, w, now+200_000, 3); !slices.Equal(got, []int64{1, 3, 2}) {
			t.Errorf("%s: got %v", name, got)
		}
	}
	cfg := testConfig(t)
	cfg.Precision = 100 * time.Millisecond
	w := open(t, cfg)
	add(t, w, entry(1, now+60_100), entry(2, now+60_200), entry(3, now+60_100))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Precision = time.Second
	w = open(t, cfg)
	if due, ok := w.Next(); !ok || due != now+61_000 {
		t.Error(due - now)
	}
	if _, got := drain(t, w, now+200_000, 3); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Errorf("coarser precision: got %v", got)
	}
}

func TestOpen_ARebuiltWheelHasEachMessageOnce(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.Precision = 100 * time.Millisecond
	w := open(t, cfg)
	add(t, w, entry(1, now+60_100), entry(2, now+60_200), entry(3, now+60_100))
	for _, precision := range []time.Duration{1000, 100, 1000, 500} {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		cfg.Precision = precision * time.Millisecond
		if w = open(t, cfg); w.Waiting() != 3 {
			t.Errorf("precision %v: %d messages wait, want 3", cfg.Precision, w.Waiting())
		}
	}
	if _, got := drain(t, w, now+200_000, 3); !slices.Equal(got, []int64{1, 3, 2}) && !slices.Equal(got, []int64{1, 2, 3}) {
		t.Errorf("got %v", got)
	}
}

// What the commit log lost is not delivered, and its place can be used again.
func TestOpen_DropsWhatTheCommitLogLost(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	w := open(t, cfg)
	for i := range int64(60) {
		add(t, w, entry(i*100, now+60_000+i%3*1000))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.CommitLogEnd = 2500
	w = open(t, cfg)
	if w.Waiting() != 25 || w.log.end != 1040+6*recordSize {
		t.Errorf("%d wait, log ends at %d", w.Waiting(), w.log.end)
	}
	add(t, w, entry(2500, now+61_000))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.CommitLogEnd = 1 << 40
	w = open(t, cfg)
	if _, got := drain(t, w, now+200_000, 3); len(got) != 26 || slices.Max(got) != 2500 {
		t.Errorf("got %v", got)
	}
	if string(must(w.Metrics())) == "" || w.metrics.sum() != 26 {
		t.Error(string(must(w.Metrics())))
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestTimer_TakesASnapshot(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	w := open(t, cfg)
	add(t, w, entry(1, now+60_000))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	wheel := filepath.Join(cfg.RootDir, "timerwheel")
	if err := cfg.FS.Rename(wheel, wheel+".52"); err != nil {
		t.Fatal(err)
	}
	cfg.Snapshots = true
	w = open(t, cfg)
	add(t, w, entry(2, now+60_000))
	if _, got := drain(t, w, now+200_000, 3); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("got %v", got)
	}
}

func TestTimer_GoesOnWhenTheDiskDoes(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	faults := &logfile.Faults{FS: cfg.FS}
	cfg.FS = faults
	w := open(t, cfg)
	add(t, w, entry(1, now+60_000))
	faults.Inject(logfile.Fault{Op: logfile.OpWrite, Path: "timerlog", Times: 1, Err: syscall.ENOSPC})
	if err := w.Flush(); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	faults.Inject(logfile.Fault{Op: logfile.OpWrite, Path: "timerwheel", Times: 1, Err: syscall.ENOSPC})
	if err := w.Flush(); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	add(t, w, entry(2, now+60_000))
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	w = open(t, cfg)
	if _, got := drain(t, w, now+200_000, 3); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("got %v", got)
	}
}

func TestTimer_BelievesNoSyncOfItsLogAfterOneThatFailed(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	faults := &logfile.Faults{FS: cfg.FS}
	cfg.FS = faults
	w := open(t, cfg)
	w.Begin(0, 10)
	add(t, w, entry(1, now+60_000))
	w.Reached(1)
	faults.Inject(logfile.Fault{Op: logfile.OpSync, Path: "timerlog", Times: 1, Err: syscall.EIO})
	for range 3 {
		if err := w.Flush(); !errors.Is(err, syscall.EIO) {
			t.Errorf("got %v", err)
		}
	}
	if c := w.Checkpoint(now); c.QueueFlushed != 0 || c.LogFlushed != 0 {
		t.Errorf("the checkpoint moved: %+v", c)
	}
	if err := w.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("close: got %v", err)
	}
}

// A broker without timers makes no files.
func TestTimer_LeavesNothingWhenThereWasNothing(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.FS = logfile.Disk{}
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(cfg.RootDir); err != nil || len(entries) != 0 {
		t.Error(entries, err)
	}
}

func BenchmarkAdd(b *testing.B) {
	cfg := testConfig(b)
	cfg.FS, cfg.LogFileSize, cfg.FlushInterval, cfg.slots, cfg.RollWindow = logfile.Disk{}, 100<<20, time.Second, 0, 172_800
	w := open(b, cfg)
	b.ReportAllocs()
	offset := int64(0)
	var batch [100]Entry
	for b.Loop() {
		for i := range batch {
			offset += 100
			batch[i] = entry(offset, now+60_000+rand.Int64N(100_000_000))
		}
		if _, err := w.Add(now, batch[:]...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(100*b.N), "ns/message")
}

func FuzzOpen(f *testing.F) {
	var seed []byte
	for i := range int64(5) {
		r := record{prev: nowhere, magic: magicDefault, added: now, wait: 60_000, logOffset: i * 100, size: 100}
		seed = r.appendTo(seed)
	}
	check := Checkpoint{Read: now, LogFlushed: 104, QueueFlushed: 1, QueueWritten: 1}
	f.Add(seed, check.AppendTo(nil))
	f.Add(binary.BigEndian.AppendUint64(seed, 52), []byte{1})
	f.Fuzz(func(t *testing.T, log, check []byte) {
		cfg := testConfig(t)
		if len(log) > 3*1040 || len(check) > checkFileSize {
			return
		}
		write := func(name string, size int, data []byte) {
			file, err := cfg.FS.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := file.Truncate(int64(size)); err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteAt(data, 0); err != nil {
				t.Fatal(err)
			}
		}
		for _, dir := range []string{"timerlog", "config"} {
			if err := cfg.FS.MkdirAll(filepath.Join(cfg.RootDir, dir)); err != nil {
				t.Fatal(err)
			}
		}
		for i := 0; len(log) > 0; i++ {
			n := min(len(log), 1040)
			write(filepath.Join(cfg.RootDir, "timerlog", fmt.Sprintf("%020d", i*1040)), 1040, log[:n])
			log = log[n:]
		}
		write(filepath.Join(cfg.RootDir, "config", "timercheck"), checkFileSize, check)
		w, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Logged(0); err != nil {
			t.Log(err)
		}
		for n := 0; ; n++ {
			if n > 100 {
				t.Fatal("does not end")
			}
			slot, _, err := w.Take(timeMax)
			if err != nil || slot == 0 {
				break
			}
			if err := w.Done(slot, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestOpen_SaysWhichSizeItsFilesHave(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	w := open(t, cfg)
	add(t, w, entry(100, now+5000))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.LogFileSize *= 2
	if _, err := Open(cfg); err == nil || !strings.HasSuffix(err.Error(), "1040 bytes long, configured are 2080 by mappedFileSizeTimerLog; set mappedFileSizeTimerLog=1040, which is what the files have") {
		t.Error(err)
	}
}

func TestOpen_SaysWhatIsWrongWithAWheelThatWasCut(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	w := open(t, cfg)
	add(t, w, entry(1, now+60_000))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	wheel := filepath.Join(cfg.RootDir, "timerwheel")
	f, err := cfg.FS.Open(wheel)
	if err == nil {
		err = errors.Join(f.Truncate(100), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg.clock = func() int64 { return now }
	if _, err := Open(cfg); err == nil || !strings.HasSuffix(err.Error(), "; move it away to have it made anew from timerlog") {
		t.Errorf("got %v", err)
	}
	if err := cfg.FS.Rename(wheel, wheel+".away"); err != nil {
		t.Fatal(err)
	}
	w = open(t, cfg)
	if _, got := drain(t, w, now+200_000, 2); !slices.Equal(got, []int64{1}) {
		t.Errorf("got %v", got)
	}
}
