package store

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

const testFileUnits = 10

func testQueue(dir string) *consumeQueue {
	return newConsumeQueue(logfile.Disk{}, logfile.NewHandles(4), dir, testFileUnits*unitSize)
}

// testUnit is the nth unit of the tests: messages of 100 bytes every 1000 bytes of the log.
func testUnit(n int64) unit { return unit{logOffset: n * 1000, size: 100, tagsCode: -n} }

func appendUnits(t testing.TB, q *consumeQueue, from, to int64) {
	t.Helper()
	for n := from; n < to; n++ {
		if err := q.append(n, timedUnit{unit: testUnit(n)}); err != nil {
			t.Fatal(err)
		}
	}
}

// wantUnits reads everything, in portions of every size, and compares.
func wantUnits(t testing.TB, q *consumeQueue, from, to int64) {
	t.Helper()
	if q.min() != from || q.max() != to {
		t.Errorf("has [%d, %d), want [%d, %d)", q.min(), q.max(), from, to)
	}
	if to > from && q.end() != testUnit(to-1).end() {
		t.Errorf("reaches %d, want %d", q.end(), testUnit(to-1).end())
	}
	for _, portion := range []int{1, 3, testFileUnits, 1000} {
		dst := make([]unit, portion)
		for at := from; at < to; {
			n, err := q.read(at, dst, false)
			if err != nil || n == 0 {
				t.Fatalf("read at %d: %d, %v", at, n, err)
			}
			for i, u := range dst[:n] {
				if u != testUnit(at+int64(i)) {
					t.Fatalf("unit %d is %+v", at+int64(i), u)
				}
			}
			at += int64(n)
		}
	}
	if n, err := q.read(to, make([]unit, 1), false); n != 0 || err != nil {
		t.Errorf("read behind the end: %d, %v", n, err)
	}
}

// one returns a single unit.
func one(q *consumeQueue, queueOffset int64) (unit, error) {
	var u [1]unit
	n, err := q.read(queueOffset, u[:], false)
	if err == nil && n == 0 {
		err = errors.New("no unit there")
	}
	return u[0], err
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writeQueue writes what is pending and leaves it to the kernel.
func writeQueue(q *consumeQueue) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.writeLocked()
}

func TestConsumeQueue_ReadsFromFilesAndFromWhatIsPending(t *testing.T) {
	t.Parallel()
	q := testQueue(filepath.Join(t.TempDir(), "q"))
	wantUnits(t, q, 0, 0)
	appendUnits(t, q, 0, 7)
	wantUnits(t, q, 0, 7)
	check(t, writeQueue(q))
	appendUnits(t, q, 7, 25)
	wantUnits(t, q, 0, 25)
	check(t, q.flush())
	wantUnits(t, q, 0, 25)
	appendUnits(t, q, 25, 1000) // more than pendingMax
	wantUnits(t, q, 0, 1000)
	appendUnits(t, q, 0, 1000) // again: ignored
	wantUnits(t, q, 0, 1000)
	check(t, q.flush())
	q.idle()
	q.idle()
	if q.files != nil || q.pending != nil {
		t.Error("an idle queue keeps files or memory")
	}
	wantUnits(t, q, 0, 1000)
}

func TestConsumeQueue_IsFoundAgain(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{0, 1, 10, 31, 100} {
		for _, durable := range []int64{0, 1, 5000, 50_500, math.MaxInt64} {
			dir := filepath.Join(t.TempDir(), "q")
			q := testQueue(dir)
			appendUnits(t, q, 0, n)
			check(t, writeQueue(q))
			q.close()
			q = testQueue(dir)
			check(t, q.load(durable, nil))
			wantUnits(t, q, 0, n)
			appendUnits(t, q, 0, n+3)
			wantUnits(t, q, 0, n+3)
		}
	}
}

func TestConsumeQueue_BeginsAnywhereBehindFillers(t *testing.T) {
	t.Parallel()
	for _, first := range []int64{1, 9, 10, 25, 12345} {
		dir := filepath.Join(t.TempDir(), "q")
		q := testQueue(dir)
		appendUnits(t, q, first, first+4)
		wantUnits(t, q, first, first+4)
		check(t, q.flush())
		// As Apache does it: the file of the first unit, fillers before it.
		start := first / testFileUnits * testFileUnits
		b, err := os.ReadFile(filepath.Join(dir, logfile.FileName(start*unitSize)))
		check(t, err)
		for i := start; i < first; i++ {
			if u := readUnit(b[(i-start)*unitSize:]); u != (unit{0, math.MaxInt32, 0}) {
				t.Errorf("filler %d is %+v", i, u)
			}
		}
		q.close()
		q = testQueue(dir)
		check(t, q.load(0, nil))
		wantUnits(t, q, first, first+4)
	}
}

func TestConsumeQueue_EndsAtALostPageAndForgetsWhatIsBehind(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "q")
	q := testQueue(dir)
	appendUnits(t, q, 0, 28)
	check(t, q.flush())
	q.close()
	zero(t, filepath.Join(dir, logfile.FileName(10*unitSize)), 3*unitSize, 2*unitSize) // 13 and 14

	q = testQueue(dir)
	check(t, q.load(testUnit(12).logOffset, nil))
	wantUnits(t, q, 0, 13)
	appendUnits(t, q, 12, 14)
	check(t, q.flush())
	q.close()
	q = testQueue(dir)
	check(t, q.load(0, nil))
	wantUnits(t, q, 0, 14) // and not up to 28
}

func zero(t testing.TB, path string, at, n int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	_, err = f.WriteAt(make([]byte, n), at)
	check(t, errors.Join(err, f.Close()))
}

func TestConsumeQueue_FillsAGapSoThatOffsetsStayRight(t *testing.T) {
	t.Parallel()
	q := testQueue(filepath.Join(t.TempDir(), "q"))
	appendUnits(t, q, 0, 3)
	appendUnits(t, q, 7, 9)
	if q.max() != 9 {
		t.Fatalf("max %d", q.max())
	}
	for n := int64(0); n < 9; n++ {
		u, err := one(q, n)
		check(t, err)
		if gap := n >= 3 && n < 7; u.filler() != gap || !gap && u != testUnit(n) {
			t.Errorf("unit %d is %+v", n, u)
		}
	}
	// A damaged offset does not make files without end.
	check(t, q.append(1<<60, timedUnit{unit: testUnit(9)}))
	if u, err := one(q, 9); q.max() != 10 || u != testUnit(9) {
		t.Errorf("max %d, unit %+v, %v", q.max(), u, err)
	}
}

func TestConsumeQueue_IsTruncatedAtALogOffset(t *testing.T) {
	t.Parallel()
	for _, end := range []int64{0, 1, 10, 15, 20, 34} {
		for _, flushed := range []bool{true, false} {
			dir := filepath.Join(t.TempDir(), "q")
			q := testQueue(dir)
			appendUnits(t, q, 0, 35)
			if flushed {
				check(t, q.flush())
			}
			check(t, q.truncate(testUnit(end).logOffset))
			wantUnits(t, q, 0, end)
			q.close()
			q = testQueue(dir)
			check(t, q.load(0, nil))
			wantUnits(t, q, 0, end)
			appendUnits(t, q, end, 40)
			wantUnits(t, q, 0, 40)
		}
	}
}

func TestConsumeQueue_KeepsItsOffsetWhenAllIsTruncated(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "q")
	q := testQueue(dir)
	appendUnits(t, q, 15, 18)
	check(t, q.truncate(0))
	if q.min() != 15 || q.max() != 15 || q.end() != 0 {
		t.Errorf("[%d, %d) up to %d", q.min(), q.max(), q.end())
	}
	q.close()
	q = testQueue(dir)
	check(t, q.load(0, nil))
	if q.min() != 15 || q.max() != 15 || q.end() != 0 {
		t.Errorf("loaded: [%d, %d) up to %d", q.min(), q.max(), q.end())
	}
	appendUnits(t, q, 15, 17)
	wantUnits(t, q, 15, 17)
}

func TestConsumeQueue_DeletesFilesBeforeALogOffset(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "q")
	q := testQueue(dir)
	appendUnits(t, q, 0, 35)
	del := func(logOffset int64, files int, from int64) {
		t.Helper()
		n, err := q.deleteBefore(logOffset)
		check(t, err)
		if n != files {
			t.Errorf("%d files went, want %d", n, files)
		}
		wantUnits(t, q, from, 35)
	}
	del(0, 0, 0)
	del(5500, 0, 6) // all is pending
	check(t, q.flush())
	del(5500, 0, 6)
	del(9000, 0, 9)
	del(9001, 1, 10)
	del(24_500, 1, 25)
	check(t, q.load(math.MaxInt64, nil))
	if q.min() != 20 {
		t.Errorf("loaded: min %d", q.min())
	}
	del(24_500, 0, 25)
	del(1_000_000, 1, 35) // all messages are gone, the last file stays
	q.close()
	q = testQueue(dir)
	check(t, q.load(0, nil))
	if q.max() != 35 {
		t.Errorf("offset forgotten: max %d", q.max())
	}
	appendUnits(t, q, 35, 36)
	if u, err := one(q, 35); u != testUnit(35) {
		t.Errorf("%+v %v", u, err)
	}
}

func TestConsumeQueue_BeginsAnewWhenDestroyed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "q")
	q := testQueue(dir)
	appendUnits(t, q, 5, 35)
	check(t, q.flush())
	appendUnits(t, q, 35, 36)
	check(t, q.destroy())
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder: %v", err)
	}
	wantUnits(t, q, 0, 0)
	appendUnits(t, q, 0, 12)
	check(t, q.flush())
	wantUnits(t, q, 0, 12)
}

func TestConsumeQueue_TakesLittleMemoryWhenIdle(t *testing.T) {
	t.Parallel()
	if n := unsafe.Sizeof(consumeQueue{}); n > 200 {
		t.Errorf("%d bytes", n)
	}
}

func TestConsumeQueue_MayBeReadWhileItGrows(t *testing.T) {
	t.Parallel()
	q := testQueue(filepath.Join(t.TempDir(), "q"))
	const total = 1000
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range int64(total) {
			if err := q.append(n, timedUnit{unit: testUnit(n)}); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for q.max() < total {
			if err := writeQueue(q); err != nil {
				t.Error(err)
			}
			q.idle()
		}
	})
	for range 2 {
		wg.Go(func() {
			dst := make([]unit, 7)
			for at := int64(0); at < total; {
				n, err := q.read(at, dst, false)
				if err != nil {
					t.Error(err)
					return
				}
				for i, u := range dst[:n] {
					if u != testUnit(at+int64(i)) {
						t.Errorf("unit %d is %+v", at+int64(i), u)
						return
					}
				}
				at += int64(n)
			}
		})
	}
	wg.Wait()
	wantUnits(t, q, 0, total)
}

// goldenRows reads a table of what Apache's own decoders read from its store.
func goldenRows(t testing.TB, name string) [][]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/golden", name))
	check(t, err)
	var rows [][]string
	for _, line := range strings.Split(strings.TrimRight(string(b), "\n"), "\n") {
		rows = append(rows, strings.Split(line, "\t"))
	}
	return rows
}

func number(t testing.TB, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	check(t, err)
	return n
}

// goldenDispatch calls do for each record of the golden log in order, as the dispatcher would.
func goldenDispatch(t testing.TB, do func(m *message.Dispatch)) {
	t.Helper()
	files, err := filepath.Glob("testdata/golden/store/commitlog/*")
	check(t, err)
	for _, path := range files {
		b, err := os.ReadFile(path)
		check(t, err)
		for {
			size, kind := message.Peek(b)
			if kind != message.Record {
				break
			}
			var m message.Dispatch
			check(t, message.ReadDispatch(b, &m))
			do(&m)
			b = b[size:]
		}
	}
}

func TestGolden_ConsumeQueuesAreReadAndRebuiltEqual(t *testing.T) {
	t.Parallel()
	const fileSize = 6000
	handles := logfile.NewHandles(3)
	read, rebuilt := map[string]*consumeQueue{}, map[string]*consumeQueue{}
	dir := t.TempDir()
	for _, row := range goldenRows(t, "expected-consumequeue.tsv")[1:] {
		name := filepath.Join(row[0], row[1])
		q := read[name]
		if q == nil {
			src := filepath.Join(dir, "apache", name)
			check(t, os.CopyFS(src, os.DirFS(filepath.Join("testdata/golden/store/consumequeue", name))))
			q = newConsumeQueue(logfile.Disk{}, handles, src, fileSize)
			check(t, q.load(0, nil))
			read[name] = q
			rebuilt[name] = newConsumeQueue(logfile.Disk{}, handles, filepath.Join(dir, "ours", name), fileSize)
		}
		u, err := one(q, number(t, row[2]))
		want := unit{number(t, row[3]), int32(number(t, row[4])), number(t, row[5])}
		if err != nil || u != want {
			t.Errorf("%s unit %s: got %+v %v, want %+v", name, row[2], u, err, want)
		}
		if q.max() <= number(t, row[2]) {
			t.Errorf("%s ends at %d", name, q.max())
		}
	}
	s := &Store{cfg: DefaultConfig(dir)}
	goldenDispatch(t, func(m *message.Dispatch) {
		q := rebuilt[filepath.Join(string(m.Topic), fmt.Sprint(m.QueueID))]
		if q == nil || !message.InConsumeQueue(m.SysFlag) {
			return // a batch consume queue's
		}
		check(t, q.append(m.QueueOffset, timedUnit{unit: unit{m.LogOffset, m.Size, s.tagsCode(m)}}))
	})
	for name, q := range rebuilt {
		check(t, q.flush())
		files, err := filepath.Glob(filepath.Join(dir, "apache", name, "*"))
		check(t, err)
		for _, path := range files {
			want, err := os.ReadFile(path)
			check(t, err)
			got, err := os.ReadFile(filepath.Join(dir, "ours", name, filepath.Base(path)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s is rebuilt differently, %v", path, err)
			}
		}
	}
}

func BenchmarkConsumeQueueAppend(b *testing.B) {
	q := newConsumeQueue(logfile.Disk{}, logfile.NewHandles(4), filepath.Join(b.TempDir(), "q"), 6_000_000)
	b.ReportAllocs()
	n := int64(0)
	for b.Loop() {
		if err := q.append(n, timedUnit{unit: testUnit(n)}); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

func BenchmarkConsumeQueueRead(b *testing.B) {
	q := newConsumeQueue(logfile.Disk{}, logfile.NewHandles(4), filepath.Join(b.TempDir(), "q"), 6_000_000)
	appendUnits(b, q, 0, 1000)
	check(b, writeQueue(q))
	dst := make([]unit, 32)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.read(100, dst, false); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzConsumeQueueLoad(f *testing.F) {
	f.Add([]byte{}, int64(0))
	f.Add(bytes.Repeat(testUnit(5).appendTo(nil), testFileUnits), int64(1))
	var good []byte
	for n := range int64(25) {
		good = testUnit(n).appendTo(good)
	}
	f.Add(good, int64(3000))
	f.Fuzz(func(t *testing.T, content []byte, durable int64) {
		dir := t.TempDir()
		const size = testFileUnits * unitSize
		for start := 0; start < len(content) && start < 5*size; start += size {
			file := make([]byte, size)
			copy(file, content[start:])
			check(t, os.WriteFile(filepath.Join(dir, logfile.FileName(int64(start))), file, 0o644))
		}
		q := testQueue(dir)
		check(t, q.load(durable, nil))
		if q.min() < 0 || q.min() > q.max() || q.max() > 5*testFileUnits {
			t.Fatalf("[%d, %d)", q.min(), q.max())
		}
		next := q.max()
		check(t, q.append(next, timedUnit{unit: unit{logOffset: max(0, q.end()), size: 5}}))
		check(t, q.flush())
		if u, err := one(q, q.max()-1); err != nil || q.end() < math.MaxInt64-1<<33 && u.size != 5 {
			t.Fatalf("%+v, %v", u, err)
		}
		_, err := q.deleteBefore(q.end() / 2)
		check(t, err)
		check(t, q.truncate(q.end()/2))
		if q.min() > q.max() {
			t.Fatalf("truncated: [%d, %d)", q.min(), q.max())
		}
	})
}

// TestConsumeQueue_LosesNothingInAPowerCut appends, flushes and loses power at random, then goes on as recovery does: from
// what was durable for sure.
func TestConsumeQueue_LosesNothingInAPowerCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		disk := logfile.NewMemory()
		open := func() *consumeQueue { // files of several pages
			return newConsumeQueue(disk, logfile.NewHandles(2), "/q", 1000*unitSize)
		}
		q := open()
		var next, durable int64
		for range 40 {
			switch rnd.IntN(6) {
			case 0:
				check(t, q.flush())
				durable = next
			case 1:
				check(t, writeQueue(q))
			case 2:
				q.idle()
			case 3:
				disk = disk.Crash(rnd)
				q = open()
				check(t, q.load(max(1, testUnit(durable).logOffset), nil))
				next = durable + rnd.Int64N(next-durable+1) // so much of the log is there
				appendUnits(t, q, max(0, durable-1), next)
				if q.end() > testUnit(next).logOffset {
					check(t, q.truncate(testUnit(next).logOffset))
				}
				wantUnits(t, q, 0, next)
			default:
				more := rnd.Int64N(900)
				appendUnits(t, q, next, next+more)
				next += more
			}
		}
		wantUnits(t, q, 0, next)
	}
}
