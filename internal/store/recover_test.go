package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// memoryConfig is a store in memory.
func memoryConfig(t testing.TB, fs logfile.FS) Config {
	t.Helper()
	cfg := testConfig(t)
	cfg.RootDir = "/store"
	cfg.FS = fs
	return cfg
}

func wantBodies(t testing.TB, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("message %d is %.60q, want %.60q", i, got[i], want[i])
		}
	}
	t.Fatalf("got %d messages, want %d", len(got), len(want))
}

// putMany stores n messages one by one in two queues and returns their bodies by queue.
func putMany(t testing.TB, s *Store, n int) [2][]string {
	t.Helper()
	var want [2][]string
	for i := range n {
		body := fmt.Sprintf("message %d %s", i, strings.Repeat("x", i%300))
		want[i%2] = append(want[i%2], body)
		putWait(t, s, Written, testPut(s.Queue("TopicA", int32(i%2)), body))
	}
	return want
}

func TestRecover_AfterKill(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	s := openTest(t, cfg)
	want := putMany(t, s, 1000) // several files of the log
	for range 3 {               // and kills of what has just recovered
		cfg.FS = m.Kill()
		killed := openTest(t, cfg)
		for id := range 2 {
			wantBodies(t, bodies(t, killed, killed.Queue("TopicA", int32(id)), 0), want[id])
		}
		m = cfg.FS.(*logfile.Memory)
		t.Cleanup(func() { killed.Close() })
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// What a start has recovered is in the checkpoint long before checkpointInterval is over: a broker that does not live so long must not recover
// more each time.
func TestRecover_IsInTheCheckpointSoon(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	s := openTest(t, cfg)
	putMany(t, s, 1000)
	if at := s.Stats().CheckpointTime; at != 0 {
		t.Fatalf("there is a checkpoint already, of %d", at)
	}
	cfg.FS = m.Kill()
	killed := openTest(t, cfg)
	t.Cleanup(func() { killed.Close() })
	for begun := time.Now(); killed.Stats().CheckpointTime == 0; time.Sleep(time.Millisecond) {
		if time.Since(begun) > checkpointInterval/2 {
			t.Fatal("there is no checkpoint yet")
		}
	}
	c, err := readCheckpoint(cfg.FS, killed.checkpointPath())
	if end := killed.Stats().Written; err != nil || c.logicsOffset == 0 || c.reached != end {
		t.Errorf("%+v %v, the log ends at %d", c, err, end)
	}
	check(t, s.Close())
}

// tearer damages the log behind the offset end of a good message, in the file that holds it.
type tearer func(t *testing.T, f logfile.File, at int64)

// TestOpen_KeepsAUnitThatLiesInTwoSectors has a queue end in such a unit, of a message before the checkpoint: it is not dispatched again.
func TestOpen_KeepsAUnitThatLiesInTwoSectors(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.ConsumeQueueFileSize = 1000 * unitSize
	s := openTest(t, cfg)
	const n = 231 // the last unit is bytes 4600 to 4619, and behind the first page
	for i := range n {
		putWait(t, s, Written, testPut(s.Queue("Topic", 0), fmt.Sprint(i)))
	}
	putWait(t, s, Written, testPut(s.Queue("Topic", 1), "a later message"), testPut(s.Queue("Topic", 1), "and another"))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openTest(t, cfg)
		if got := s.Queue("Topic", 0).MaxOffset(); got != n {
			t.Fatalf("the queue ends at %d, not %d", got, n)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestRecover_CutsATornTail(t *testing.T) {
	t.Parallel()
	write := func(b []byte) tearer {
		return func(t *testing.T, f logfile.File, at int64) {
			if _, err := f.WriteAt(b, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	record := func(at int64) []byte {
		m := testPut(&Queue{topic: "TopicA"}, "never acknowledged").Message
		m.Topic, m.StoreHost, m.StoreTimestamp, m.LogOffset, m.QueueOffset = "TopicA", bornHost, 1, at, 50
		return m.AppendRecord(nil, false)
	}
	cut := func(n int) tearer { // a record of which only the first bytes came through
		return func(t *testing.T, f logfile.File, at int64) { write(record(at)[:n])(t, f, at) }
	}
	change := func(i int, b byte) tearer {
		return func(t *testing.T, f logfile.File, at int64) {
			rec := record(at)
			rec[i] ^= b
			write(append(rec, 1, 2, 3))(t, f, at)
		}
	}
	tears := map[string]tearer{
		"nothing":                func(*testing.T, logfile.File, int64) {},
		"one byte":               write([]byte{1}),
		"garbage":                write(slices.Repeat([]byte{0xDA, 0xA3, 0x20, 0xA7}, 100)),
		"only the size":          cut(4),
		"only the head":          cut(8),
		"half a record":          cut(100),
		"all but the last byte":  cut(len(record(0)) - 1),
		"wrong magic":            change(4, 0xFF),
		"body changed":           change(90, 1),
		"negative size":          change(0, 0x80),
		"size beyond the file":   change(1, 0xFF),
		"another's log offset":   change(35, 1),
		"negative queue":         change(12, 0x80),
		"blank of a wrong size":  write(message.AppendBlank(nil, 77)),
		"record of another file": func(t *testing.T, f logfile.File, at int64) { write(record(at+64<<10))(t, f, at) },
		"garbage far behind": func(t *testing.T, f logfile.File, at int64) {
			write(record(at+5000))(t, f, at+5000)
		},
	}
	for name, tear := range tears {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := logfile.NewMemory()
			cfg := memoryConfig(t, m)
			s := openTest(t, cfg)
			want := putMany(t, s, 300)
			end := s.Stats().Written
			cfg.FS = m.Kill()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			f, err := cfg.FS.Open(filepath.Join("/store/commitlog", logfile.FileName(end-end%cfg.CommitLogFileSize)))
			if err != nil {
				t.Fatal(err)
			}
			tear(t, f, end%cfg.CommitLogFileSize)

			s = openTest(t, cfg)
			if got := s.Stats().Appended; got != end {
				t.Fatalf("log ends at %d, want %d", got, end)
			}
			rest := make([]byte, cfg.CommitLogFileSize-end%cfg.CommitLogFileSize)
			if _, err := f.ReadAt(rest, end%cfg.CommitLogFileSize); err != nil || !allZero(rest) {
				t.Errorf("bytes are left behind the end: %v", err)
			}
			for id := range 2 {
				q := s.Queue("TopicA", int32(id))
				want[id] = append(want[id], "after")
				put := putWait(t, s, Flushed, testPut(q, "after"))
				if put[0].QueueOffset != int64(len(want[id])-1) {
					t.Errorf("next message of queue %d has offset %d, want %d", id, put[0].QueueOffset, len(want[id])-1)
				}
				wantBodies(t, bodies(t, s, q, 0), want[id])
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestRecover_PutsAsideFilesBehindDamage(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	s := openTest(t, cfg)
	putMany(t, s, 1000)
	m = m.Kill()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Without its checkpoint the whole log is read again.
	if err := m.RemoveAll("/store/checkpoint"); err != nil {
		t.Fatal(err)
	}
	f, err := m.Open("/store/commitlog/" + logfile.FileName(0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 100), 1000); err != nil {
		t.Fatal(err)
	}
	cfg.FS = m
	s = openTest(t, cfg)
	defer s.Close()
	aside, err := m.List("/store/damaged")
	if err != nil || len(aside) == 0 || !strings.HasPrefix(aside[0].Name, logfile.FileName(64<<10)) {
		t.Errorf("put aside: %v, %v", aside, err)
	}
}

// A page of zeros in a message's properties is what a power cut leaves, or what a client has put there.
func TestRecover_KeepsPropertiesWithZeros(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	s := openTest(t, cfg)
	q := s.Queue("T", 0)
	zeros := testPut(q, "zeros")
	zeros.Properties = message.AppendProperty(zeros.Properties, "k", strings.Repeat("\x00", 9000))
	open := testPut(q, "open") // as in a batch, whose properties are stored as they come
	open.Properties = append(open.Properties, "k\x01\x00\x00"...)
	putWait(t, s, Flushed, zeros, open, testPut(q, "behind"))
	cfg.FS = m.Kill()
	check(t, s.Close())
	s = openTest(t, cfg)
	wantBodies(t, bodies(t, s, s.Queue("T", 0), 0), []string{"zeros", "open", "behind"})
	check(t, s.Close())
}

// What a killed process has left to the kernel is durable before this one says that it is.
func TestRecover_MakesDurableWhatAKillLeft(t *testing.T) {
	t.Parallel()
	for _, sync := range []bool{false, true} {
		for _, how := range []string{"flush", "put", "checkpoint"} {
			t.Run(fmt.Sprintf("%s,sync=%v", how, sync), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(1, 0))
				for range 8 {
					m := logfile.NewMemory()
					cfg := memoryConfig(t, m)
					cfg.SyncFlush, cfg.CommitLogFileSize = sync, 1<<16
					cfg.ConsumeQueueFileSize, cfg.BatchConsumeQueueFileSize = 40*unitSize, 20*batchUnitSize
					cfg.FlushInterval, cfg.FlushThoroughInterval = time.Hour, time.Hour
					s := openTest(t, cfg)
					topics := []string{"Plain", "Batch"}
					check(t, s.MakeBatch("Batch"))
					var snapshot *logfile.Memory // in the middle of it, for a put waits for its flush with SYNC_FLUSH
					at := r.IntN(40)
					for i := range 40 {
						for _, topic := range topics {
							putWait(t, s, Written, testPut(s.Queue(topic, 0), fmt.Sprint(i, strings.Repeat("z", 3000))))
						}
						if i == at/2 {
							check(t, s.flushBehind())
						}
						if i == at {
							snapshot = m.Kill()
						}
					}
					check(t, s.Close())
					cfg.FS = snapshot
					s = openTest(t, cfg)
					want := map[string][]string{}
					for _, topic := range topics {
						want[topic] = bodies(t, s, s.Queue(topic, 0), 0)
					}
					switch how {
					case "flush":
						check(t, s.Flush())
					case "put":
						putWait(t, s, Flushed, testPut(s.Queue("Plain", 0), "x"))
						want["Plain"] = append(want["Plain"], "x")
					case "checkpoint":
						check(t, s.flushBehind())
					}
					cfg.FS = snapshot.Crash(nil)
					check(t, s.Close())
					s = openTest(t, cfg)
					for _, topic := range topics {
						wantBodies(t, bodies(t, s, s.Queue(topic, 0), 0), want[topic])
					}
					check(t, s.Close())
				}
			})
		}
	}
}

// A checkpoint that knows of the log's very first message only is believed, also when later files begin within the same millisecond.
func TestRecover_BeginsBehindTheFirstMessage(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	cfg.CommitLogFileSize = 1 << 16
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.Local)
	cfg.now = func() time.Time { return noon }
	s := openTest(t, cfg)
	q := s.Queue("TopicA", 0)
	var want []string
	for i := range 60 {
		want = append(want, fmt.Sprint(i, strings.Repeat("z", 3000)))
		putWait(t, s, Written, testPut(q, want[i]))
		if i == 0 {
			awaitVisible(t, q, 1)
			check(t, s.flushBehind())
		}
	}
	cfg.FS = m.Kill()
	check(t, s.Close())
	s = openTest(t, cfg)
	wantBodies(t, bodies(t, s, s.Queue("TopicA", 0), 0), want)
	check(t, s.Close())
}

// Whatever was acknowledged as flushed is there after a power cut, at any moment, whatever else is.
func TestRecover_KeepsFlushedMessagesAfterPowerCut(t *testing.T) {
	t.Parallel()
	for _, sync := range []bool{true, false} {
		t.Run(fmt.Sprintf("sync=%v", sync), func(t *testing.T) {
			t.Parallel()
			m := logfile.NewMemory()
			cfg := memoryConfig(t, m)
			cfg.SyncFlush = sync
			cfg.MaxHashSlotNum, cfg.MaxIndexNum = 100, 200
			type cut struct {
				left  *logfile.Memory
				acked [2]int
			}
			var cuts []cut
			var acked [2]int
			r := rand.New(rand.NewPCG(1, 0))
			m.BeforeSync = func() { // runs on the flushing goroutine while the putting one waits
				if len(cuts) < 160 && r.IntN(2) == 0 {
					cuts = append(cuts, cut{m.Crash(nil), acked}, cut{m.Crash(r), acked})
				}
			}
			s := openTest(t, cfg)
			var want [2][]string
			for i := range 80 {
				id := i % 2
				body := fmt.Sprintf("message %d %s", i, strings.Repeat("y", r.IntN(4000)))
				want[id] = append(want[id], body)
				putWait(t, s, Flushed, testPut(s.Queue("TopicA", int32(id)), body))
				s.behindMu.Lock() // so that no checkpoint is being written while acked changes
				acked[id]++
				s.behindMu.Unlock()
				if i%30 == 29 {
					s.flushBehind()
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for i, cut := range cuts {
				cfg.FS = cut.left
				s, err := Open(context.Background(), cfg, Hooks{})
				if err != nil {
					t.Fatalf("cut %d: %v", i, err)
				}
				for id := range 2 {
					got := bodies(t, s, s.Queue("TopicA", int32(id)), 0)
					if len(got) < cut.acked[id] || len(got) > len(want[id]) {
						t.Fatalf("cut %d: %d messages in queue %d, %d were acknowledged", i, len(got), id, cut.acked[id])
					}
					wantBodies(t, got, want[id][:len(got)])
				}
				if i%8 == 0 { // it goes on, and the power is cut again
					q := s.Queue("TopicA", 0)
					again := append(bodies(t, s, q, 0), "again")
					putWait(t, s, Flushed, testPut(q, "again"))
					left := cut.left.Crash(r)
					check(t, s.Close())
					cfg.FS = left
					s = openTest(t, cfg)
					wantBodies(t, bodies(t, s, s.Queue("TopicA", 0), 0), again)
				}
				check(t, s.Close())
			}
		})
	}
}

func TestOpen_NamesAWrongFileSize(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	s := openTest(t, cfg)
	putMany(t, s, 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check := func(change func(*Config), words ...string) {
		t.Helper()
		cfg := cfg
		change(&cfg)
		_, err := Open(context.Background(), cfg, Hooks{})
		if err == nil {
			t.Fatal("no error")
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %q does not tell %q", err, w)
			}
		}
	}
	check(func(c *Config) { c.CommitLogFileSize *= 2 }, "mappedFileSizeCommitLog", "65536", "131072", "00000000000000000000", "; set mappedFileSizeCommitLog=65536, which")
	check(func(c *Config) { c.ConsumeQueueFileSize *= 2 }, "mappedFileSizeConsumeQueue", "2000", "4000", "; set mappedFileSizeConsumeQueue=2000, which")
	check(func(c *Config) { c.CommitLogFileSize, c.ConsumeQueueFileSize = 4096, 20 }, "; set mappedFileSizeCommitLog=65536 and mappedFileSizeConsumeQueue=2000, which")
	check(func(c *Config) { c.MaxHashSlotNum, c.MaxIndexNum = 7, 8 }, "; set maxHashSlotNum=", " and maxIndexNum=")
	sizes, err := FileSizes(cfg.RootDir, cfg.CommitLogDirs...)
	if want := map[string]int64{"mappedFileSizeCommitLog": 65536, "mappedFileSizeConsumeQueue": 2000}; err != nil || !maps.Equal(sizes, want) {
		t.Errorf("sizes are %v, %v", sizes, err)
	}
	if sizes, err = FileSizes(filepath.Join(t.TempDir(), "none")); err != nil || len(sizes) > 0 {
		t.Errorf("of no store: %v, %v", sizes, err)
	}
	s = openTest(t, cfg)
	_, err = Open(context.Background(), cfg, Hooks{})
	if !errors.Is(err, logfile.ErrLocked) {
		t.Errorf("second open: got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_BlamesNoSettingForAFileThatWasCutOff(t *testing.T) {
	t.Parallel()
	for _, name := range []string{filepath.Join("commitlog", logfile.FileName(0)), filepath.Join("consumequeue", "TopicA", "0", logfile.FileName(0))} {
		cfg := testConfig(t)
		s := openTest(t, cfg)
		putMany(t, s, 200)
		check(t, s.Close())
		check(t, os.Truncate(filepath.Join(cfg.RootDir, name), 1010))
		_, err := Open(context.Background(), cfg, Hooks{})
		if err == nil || strings.Contains(err.Error(), "; set ") || !strings.Contains(err.Error(), "`liftoff store check`") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLostPage_LooksAtWhatNoCRCCovers(t *testing.T) {
	t.Parallel()
	rec := make([]byte, 3*pageSize)
	for i := range rec {
		rec[i] = 'x'
	}
	props := pageSize / 2
	tell := func(off int64, from, to int, want bool) {
		t.Helper()
		damaged := slices.Clone(rec)
		clear(damaged[from:to])
		if got := lostPage(damaged, off, props); got != want {
			t.Errorf("zeros from %d to %d of a record at %d: got %v, want %v", from, to, off, got, want)
		}
	}
	tell(0, 0, 0, false)
	tell(0, pageSize, 2*pageSize, true)
	tell(0, 2*pageSize, 3*pageSize, true)
	tell(0, pageSize+1, 2*pageSize, false)
	tell(0, 0, props, false) // the body has a CRC
	tell(0, props, pageSize, true)
	tell(100, pageSize-100, 2*pageSize-100, true)
	tell(100, pageSize, 2*pageSize, false)
	tell(pageSize-1, 2*pageSize+1, 3*pageSize, true) // the last page has the end of the record only
	if lostPage(nil, 5, 0) {
		t.Error("an empty part is lost")
	}
}

// A store in which nothing happens leaves its timers alone.
func TestOpen_IsQuietWithoutWork(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	var syncs atomic.Int64
	m.BeforeSync = func() { syncs.Add(1) }
	cfg := memoryConfig(t, m)
	cfg.FlushInterval, cfg.FlushThoroughInterval = time.Millisecond, time.Millisecond
	s := openTest(t, cfg)
	putWait(t, s, Written, testPut(s.Queue("TopicA", 0), "one"))
	for s.flushArmed.Load() {
		time.Sleep(time.Millisecond)
	}
	if got := s.Stats(); got.Flushed != got.Written {
		t.Errorf("flushed %d of %d", got.Flushed, got.Written)
	}
	before := syncs.Load()
	time.Sleep(20 * time.Millisecond)
	if n := syncs.Load() - before; n != 0 {
		t.Errorf("%d syncs without work", n)
	}
	check(t, s.Close())
}

// The message at the checkpoint is durable in its queue and not dispatched again, so nothing may take its unit for a half one.
func TestRecover_KeepsTheMessageAtTheCheckpoint(t *testing.T) {
	t.Parallel()
	for n := 20; n < 60; n++ { // the 26th and the 52nd unit span two sectors
		m := logfile.NewMemory()
		cfg := memoryConfig(t, m)
		cfg.ConsumeQueueFileSize = 300 * unitSize
		s := openTest(t, cfg)
		q := s.Queue("TopicA", 0)
		for range n {
			putWait(t, s, Flushed, testPut(q, "m"))
		}
		awaitVisible(t, q, int64(n))
		s.flushBehind()
		cfg.FS = m.Kill()
		killed := openTest(t, cfg)
		if got := killed.Queue("TopicA", 0).MaxOffset(); got != int64(n) {
			t.Errorf("of %d messages %d are left", n, got)
		}
		check(t, killed.Close())
		check(t, s.Close())
	}
}

// Queues whose files were removed, all of them or the newest, get their messages again, after a clean stop too.
func TestRecover_MakesQueuesAnewThatAreNotThere(t *testing.T) {
	t.Parallel()
	for _, clean := range []bool{true, false} {
		for _, gone := range []string{"all", "newest"} {
			t.Run(fmt.Sprintf("%s,clean=%v", gone, clean), func(t *testing.T) {
				t.Parallel()
				m := logfile.NewMemory()
				cfg := memoryConfig(t, m)
				cfg.CommitLogFileSize = 1 << 16
				s := openTest(t, cfg)
				want := map[string][]string{}
				for i := range 60 {
					topic := []string{"TopicA", "TopicB"}[i%2]
					body := fmt.Sprint(i, strings.Repeat("z", 3000))
					want[topic] = append(want[topic], body)
					putWait(t, s, Written, testPut(s.Queue(topic, 0), body))
				}
				awaitVisible(t, s.Queue("TopicB", 0), 30)
				if check(t, s.flushBehind()); !clean {
					m = m.Kill()
				}
				check(t, s.Close())
				dir := "/store/consumequeue"
				if gone == "newest" {
					dir += "/TopicB"
				}
				check(t, m.RemoveAll(dir))
				cfg.FS = m
				var log bytes.Buffer
				cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				s = openTest(t, cfg)
				for topic, bodiesOf := range want {
					q := s.Queue(topic, 0)
					if q.MinOffset() != 0 {
						t.Errorf("%s begins at %d", topic, q.MinOffset())
					}
					wantBodies(t, bodies(t, s, q, 0), bodiesOf)
				}
				if !strings.Contains(log.String(), "made anew from the whole commit log") {
					t.Errorf("nothing was said: %s", log.String())
				}
				check(t, s.Close())
				log.Reset()
				s = openTest(t, cfg)
				if strings.Contains(log.String(), "WARN") {
					t.Errorf("the next start: %s", log.String())
				}
				check(t, s.Close())
			})
		}
	}
}

// A deletion that is cut short, by a kill or a checkpoint that cannot be written, brings nothing back that was deleted before.
func TestRecover_BringsNothingBackWhenADeletionIsCutShort(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"kill", "no checkpoint"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			m := logfile.NewMemory()
			faults := &logfile.Faults{FS: m}
			cfg := memoryConfig(t, faults)
			cfg.CommitLogFileSize = 1 << 16
			s := openTest(t, cfg)
			for _, topic := range []string{"TopicA", "TopicX", "TopicY"} {
				for range 30 {
					putWait(t, s, Written, testPut(s.Queue(topic, 0), strings.Repeat("z", 3000)))
				}
			}
			awaitVisible(t, s.Queue("TopicY", 0), 30)
			check(t, s.DeleteTopic("TopicX"))
			putWait(t, s, Written, testPut(s.Queue("TopicA", 0), "in memory only"))
			awaitVisible(t, s.Queue("TopicA", 0), 31)
			if how == "kill" {
				check(t, s.deleteQueues("TopicY", s.Queues("TopicY")))
				cfg.FS = m.Kill()
			} else {
				faults.Inject(logfile.Fault{Op: logfile.OpWrite, Path: "checkpoint", Err: syscall.ENOSPC})
				if err := s.DeleteTopic("TopicY"); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("got %v", err)
				}
				cfg.FS = m.Kill()
			}
			_ = s.Close()
			s = openTest(t, cfg)
			if a, x := s.Queue("TopicA", 0).MaxOffset(), s.Queue("TopicX", 0).MaxOffset(); a != 31 || x != 0 {
				t.Errorf("the queues end at %d and %d", a, x)
			}
			check(t, s.Close())
		})
	}
}

// Queues of topics that were deleted are not missed.
func TestRecover_MissesNoDeletedTopic(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	s := openTest(t, cfg)
	for _, topic := range []string{"TopicA", "TopicB"} {
		putWait(t, s, Written, testPut(s.Queue(topic, 0), "x"))
	}
	awaitVisible(t, s.Queue("TopicB", 0), 1)
	check(t, s.DeleteTopic("TopicB"))
	cfg.FS = m.Kill()
	check(t, s.Close())
	s = openTest(t, cfg)
	if a, b := s.Queue("TopicA", 0).MaxOffset(), s.Queue("TopicB", 0).MaxOffset(); a != 1 || b != 0 {
		t.Errorf("the queues end at %d and %d", a, b)
	}
	check(t, s.DeleteTopic("TopicA"))
	cfg.FS = cfg.FS.(*logfile.Memory).Kill()
	check(t, s.Close())
	s = openTest(t, cfg)
	if a := s.Queue("TopicA", 0).MaxOffset(); a != 0 {
		t.Errorf("the deleted topic has %d messages", a)
	}
	check(t, s.Close())
}

// A log that is not where it was, for a disk is not mounted or a path wrong, is not begun anew, and nothing is touched.
func TestOpen_RefusesWithoutTheLogThatThereWas(t *testing.T) {
	t.Parallel()
	for _, gone := range []string{"all", "newest", "checkpoint too"} {
		t.Run(gone, func(t *testing.T) {
			t.Parallel()
			m := logfile.NewMemory()
			cfg := memoryConfig(t, m)
			cfg.CommitLogFileSize = 1 << 16
			s := openTest(t, cfg)
			var want []string
			for i := range 60 {
				want = append(want, fmt.Sprint(i, strings.Repeat("z", 3000)))
				putWait(t, s, Written, testPut(s.Queue("TopicA", 0), want[i]))
			}
			check(t, s.Close())
			away := map[string][]byte{}
			entries, err := m.List("/store/commitlog")
			check(t, err)
			if gone == "newest" {
				entries = entries[len(entries)-1:]
			}
			for _, e := range entries {
				f, err := m.Open("/store/commitlog/" + e.Name)
				check(t, err)
				data := make([]byte, e.Size)
				_, err = f.ReadAt(data, 0)
				check(t, err)
				away[e.Name] = data
				check(t, m.Remove("/store/commitlog/"+e.Name))
			}
			if gone == "checkpoint too" {
				check(t, m.Remove("/store/checkpoint"))
			}
			_, err = Open(t.Context(), cfg, Hooks{})
			if !errors.Is(err, ErrLogIsAway) {
				t.Fatalf("got %v", err)
			}
			for name, data := range away {
				f, err := m.Create("/store/commitlog/" + name)
				check(t, err)
				_, err = f.WriteAt(data, 0)
				check(t, err)
			}
			s = openTest(t, cfg)
			wantBodies(t, bodies(t, s, s.Queue("TopicA", 0), 0), want)
			check(t, s.Close())
		})
	}
}
