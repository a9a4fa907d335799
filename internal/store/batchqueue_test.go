package store

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// batchQueueOf makes a topic one of batch queues and returns one of them.
func batchQueueOf(s *Store, topic string, id int32) *Queue {
	if err := s.MakeBatch(topic); err != nil {
		panic(err)
	}
	return s.Queue(topic, id)
}

// innerPut is an inner batch of n messages, or a single one for n = 0.
func innerPut(q *Queue, body string, n int) Put {
	p := testPut(q, body)
	if n > 0 {
		p.SysFlag |= message.FlagInnerBatch | message.FlagNeedUnwrap
		p.Inner = n
	}
	return p
}

// batches reads a batch queue from an offset on: body@base+count of each record.
func batches(t *testing.T, s *Store, q *Queue, from int64, maxMsgs int) string {
	t.Helper()
	var out []string
	for {
		data, r := s.Get(q, from, maxMsgs, 1<<20, nil, nil)
		if r.Status != Found {
			return strings.Join(out, " ")
		}
		for len(data) > 0 {
			var m message.Message
			if err := message.Decode(data, &m); err != nil {
				t.Fatal(err)
			}
			num, _ := message.Property(m.Properties, message.PropInnerNum)
			base, _ := message.Property(m.Properties, message.PropInnerBase)
			if len(base) > 0 && string(base) != strconv.FormatInt(m.QueueOffset, 10) {
				t.Errorf("%s at %d has the base %s", m.Body, m.QueueOffset, base)
			}
			out = append(out, fmt.Sprintf("%s@%d+%s", m.Body, m.QueueOffset, num))
			data = data[m.Size:]
		}
		from = r.NextOffset
	}
}

func TestBatchQueue_OneRecordHasManyOffsets(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.BatchConsumeQueueFileSize = 4 * batchUnitSize
	m := logfile.NewMemory()
	cfg.FS = m
	s := openTest(t, cfg)
	q := batchQueueOf(s, "T", 1)
	putWait(t, s, Flushed, innerPut(q, "a", 4), innerPut(q, "b", 0), innerPut(q, "c", 3))
	awaitVisible(t, q, 8)
	want := "a@0+4 b@4+ c@5+3"
	check := func(how string) {
		t.Helper()
		q := batchQueueOf(s, "T", 1)
		for from, rest := range map[int64]string{0: want, 3: want, 4: want[6:], 5: want[11:], 7: want[11:], 8: strings.TrimPrefix(want[11:], "c@5+3")} {
			for _, maxMsgs := range []int{1, 5, 32} {
				if got := batches(t, s, q, from, maxMsgs); strings.TrimSpace(got) != strings.TrimSpace(rest) {
					t.Errorf("%s, from %d, %d a time: %s, want %s", how, from, maxMsgs, got, rest)
				}
			}
		}
	}
	check("in memory")
	cfg.FS = m.Kill()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, cfg)
	check("after a kill")
	q = batchQueueOf(s, "T", 1)
	if s.Queue("Plain", 0).refused != nil || batchQueueOf(s, "Plain", 0).refused == nil || s.Queue("T", 1) != q {
		t.Error("the kind of a queue changed")
	}
	for i := range 30 { // over several files
		body := fmt.Sprint("d", i)
		want += fmt.Sprintf(" %s@%d+%d", body, q.next, i%3+1)
		putWait(t, s, Written, innerPut(q, body, i%3+1))
	}
	awaitVisible(t, q, 68)
	check("many")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openTest(t, cfg)
		check("opened again")
	}
	q = batchQueueOf(s, "T", 1)

	if first, ok := s.StoreTime(q, 6); !ok || offsetByTime(t, s, q, first+1000, Lower) != 68 || offsetByTime(t, s, q, 0, Lower) != 0 {
		t.Error("search by time")
	}
	newest, _ := q.unitAt(67)
	if err := q.truncate(newest.logOffset); err != nil || q.MaxOffset() != 65 {
		t.Errorf("cut before the last record: %d %v", q.MaxOffset(), err)
	}
	if got := batches(t, s, q, 62, 32); got != "d28@63+2" && got != "d27@62+1 d28@63+2" {
		t.Errorf("after the cut: %s", got)
	}
	u, _ := q.unitAt(40)
	if _, err := q.deleteBefore(u.logOffset); err != nil || q.MinOffset() > 40 || q.MinOffset() < 38 || q.batch.files.Start() == 0 {
		t.Errorf("begins at %d, file %d, %v", q.MinOffset(), q.batch.files.Start(), err)
	}
	if err := s.DeleteTopic("T"); err != nil || q.MaxOffset() != 0 {
		t.Error(err)
	}
	putWait(t, s, Written, innerPut(batchQueueOf(s, "T", 1), "e", 2))
	awaitVisible(t, q, 2)
	if got := batches(t, s, q, 0, 32); got != "e@0+2" {
		t.Errorf("made again: %s", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBatchQueue_PlainQueuesTakeNoInnerBatch(t *testing.T) {
	t.Parallel()
	s := openTest(t, testConfig(t))
	defer s.Close()
	for _, p := range []Put{innerPut(s.Queue("T", 0), "a", 2), innerPut(batchQueueOf(s, "B", 0), "a", 40000)} {
		if b, err := tryPut(s, Written, p); err != nil || b.Puts[0].Err != ErrInnerBatch {
			t.Error(err, b.Puts[0].Err)
		}
	}
	p := innerPut(batchQueueOf(s, "B", 0), "a", 1)
	p.Inner = 0
	if b, err := tryPut(s, Written, p); err != nil || b.Puts[0].Err != ErrInnerBatch {
		t.Error(err, b.Puts[0].Err)
	}
}

// TestGolden_BatchQueueIsRebuilt dispatches Apache's log again and compares the file.
func TestGolden_BatchQueueIsRebuilt(t *testing.T) {
	t.Parallel()
	cfg := goldenConfig(t)
	file := filepath.Join(cfg.RootDir, "batchconsumequeue", "GoldenBCQ", "0", "00000000000000000000")
	want, err := os.ReadFile(file)
	check(t, err)
	check(t, os.Remove(file))
	check(t, os.Remove(filepath.Join(cfg.RootDir, "checkpoint")))
	check(t, os.WriteFile(filepath.Join(cfg.RootDir, "abort"), []byte("1"), 0o644))
	s := openTest(t, cfg)
	check(t, s.Close())
	got, err := os.ReadFile(file)
	check(t, err)
	if !bytes.Equal(got, want) {
		t.Error("the batch consume queue differs")
	}
}

// TestBatchQueue_LosesNothingInAPowerCut appends and loses power at random, then goes on as recovery does: with what was not flushed.
func TestBatchQueue_LosesNothingInAPowerCut(t *testing.T) {
	t.Parallel()
	unit := func(n int64) batchUnit { return batchUnit{logOffset: 100 * n, size: 100, base: 2 * n, count: 2} }
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		disk := logfile.NewMemory()
		open := func() *batchQueue { // files of several pages
			return newBatchQueue(disk, logfile.NewHandles(2), "/q", 300*batchUnitSize)
		}
		q := open()
		add := func(from, to int64) {
			for n := from; n < to; n++ {
				check(t, q.append(unit(n)))
			}
		}
		var next, durable int64
		for range 20 {
			switch rnd.IntN(5) {
			case 0:
				check(t, q.flush())
				durable = next
			case 1:
				disk = disk.Crash(rnd)
				q = open()
				if err := q.load(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				add(max(0, durable-1), next)
			default:
				more := rnd.Int64N(900)
				add(next, next+more)
				next += more
			}
		}
		units := make([]batchUnit, next)
		n, err := q.read(0, units)
		if err != nil || int64(n) != next {
			t.Fatalf("seed %d: %d units of %d, %v", seed, n, next, err)
		}
		for i, u := range units {
			if want := unit(int64(i)); u.logOffset != want.logOffset || u.base != want.base || u.size != 100 || u.count != 2 {
				t.Fatalf("seed %d: unit %d is %+v", seed, i, u)
			}
		}
	}
}

// FuzzBatchQueue opens a batch queue with any content in its file and adds a record to it.
func FuzzBatchQueue(f *testing.F) {
	good := batchUnit{logOffset: 0, size: 100, base: 0, count: 4}.appendTo(nil)
	f.Add(good, int64(0))
	f.Add(append(good, batchUnit{logOffset: 100, size: 100, base: 4, count: 1}.appendTo(nil)...), int64(3))
	f.Add(append(good, batchUnit{logOffset: 50, size: 100, base: 2, count: -1}.appendTo(nil)...), int64(-1))
	f.Add(batchUnit{logOffset: 1 << 62, size: 1 << 30, base: 1 << 62, count: batchMax}.appendTo(nil), int64(1<<62))
	f.Add(batchUnit{logOffset: 1 << 62, size: 1 << 30, base: math.MaxInt64 - 10, count: batchMax}.appendTo(nil), int64(1<<62))
	f.Fuzz(func(t *testing.T, content []byte, offset int64) {
		m := logfile.NewMemory()
		files := logfile.NewLog(m, logfile.NewHandles(10), 10*batchUnitSize, "/q")
		if _, err := files.WriteAt(content[:min(len(content), 10*batchUnitSize)], 0); err != nil {
			t.Fatal(err)
		}
		q := newBatchQueue(m, logfile.NewHandles(10), "/q", 10*batchUnitSize)
		if err := q.load(); err != nil {
			t.Fatal(err)
		}
		if q.lowest.Load() < 0 || q.next.Load() < q.lowest.Load() {
			t.Fatalf("queue from %d to %d", q.lowest.Load(), q.next.Load())
		}
		var units [3]batchUnit
		if _, err := q.read(offset, units[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := q.deleteBefore(offset); err != nil {
			t.Fatal(err)
		}
		u := batchUnit{logOffset: q.reached.Load(), size: 100, base: q.next.Load(), count: 2}
		if err := q.append(u); err != nil || q.flush() != nil {
			t.Fatal(err)
		}
		if u.base <= offsetMax && u.logOffset >= 0 && u.end() > u.logOffset {
			if n, err := q.read(u.base+1, units[:]); err != nil || n != 1 || units[0].base != u.base {
				t.Fatalf("%d units, %+v, %v", n, units[0], err)
			}
		}
		if err := q.truncate(offset); err != nil {
			t.Fatal(err)
		}
	})
}
