package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// writeIndex writes the entries that are not in their files, and leaves them to the kernel.
func writeIndex(x *index) error {
	x.flushing.Lock()
	defer x.flushing.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.files {
		if f.mem != nil {
			if err := f.writePending(); err != nil {
				return err
			}
		}
	}
	return nil
}

// openTestIndex opens an index of small files: 20 slots, 29 entries.
func openTestIndex(t testing.TB, fs logfile.FS, dir string, trust indexTrust) *index {
	t.Helper()
	x := &index{fs: fs, dir: dir, shape: indexShape{slots: 20, entries: 30}, logger: slog.New(slog.DiscardHandler), now: time.Now}
	check(t, x.load(trust))
	return x
}

// indexMessage is the nth message of the tests: stored in second n, every 100 bytes of the log, with two keys and a tag.
func indexMessage(n int) *message.Dispatch {
	return &message.Dispatch{
		Topic: []byte("T"), LogOffset: int64(n) * 100, StoreTimestamp: 1_000_000 + int64(n)*1000,
		UniqKey: fmt.Appendf(nil, "uniq%d", n), Keys: fmt.Appendf(nil, " k%d  mod%d ", n, n%3), Tags: fmt.Appendf(nil, "tag%d", n%2),
	}
}

func appendMessages(t testing.TB, x *index, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		check(t, x.append(appendKeys(nil, indexMessage(n))))
	}
}

// ask returns the numbers of the messages that a query finds, sure to have the key.
func ask(t testing.TB, x *index, q KeyQuery) []int {
	t.Helper()
	if q.Topic == "" {
		q.Topic = "T"
	}
	if q.End == 0 {
		q.End = math.MaxInt64
	}
	if q.Max == 0 {
		q.Max = math.MaxInt
	}
	var found []int
	check(t, x.query(q, func(logOffset int64) bool {
		m := indexMessage(int(logOffset / 100))
		has := string(m.UniqKey) == q.Key || slices.Contains(strings.Fields(string(m.Keys)), q.Key)
		if q.Kind == TagKey {
			has = string(m.Tags) == q.Key
		}
		if has {
			found = append(found, int(logOffset/100))
		}
		return len(found) < q.Max
	}))
	return found
}

// wantMessages checks that each key of messages [0, to) is found, and no other.
func wantMessages(t testing.TB, x *index, to int) {
	t.Helper()
	want := map[KeyQuery][]int{}
	for n := to - 1; n >= 0; n-- {
		for _, q := range []KeyQuery{
			{Key: fmt.Sprintf("uniq%d", n)}, {Key: fmt.Sprintf("k%d", n)},
			{Key: fmt.Sprintf("mod%d", n%3)}, {Key: fmt.Sprintf("tag%d", n%2), Kind: TagKey},
		} {
			want[q] = append(want[q], n)
		}
	}
	want[KeyQuery{Key: fmt.Sprintf("uniq%d", to)}] = nil
	want[KeyQuery{Key: "uniq0", Topic: "other"}] = nil
	for q, numbers := range want {
		if got := ask(t, x, q); !slices.Equal(got, numbers) {
			t.Fatalf("of %d messages, %q: got %v, want %v", to, q.Key, got, numbers)
		}
	}
}

func TestIndex_KeepsNewestFirst(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "index")
	x := openTestIndex(t, logfile.Disk{}, dir, indexTrust{})
	wantMessages(t, x, 0)
	const total = 60 // 4 entries each, so 9 files
	for n := range total {
		appendMessages(t, x, n, n+1)
		switch n % 7 {
		case 2:
			check(t, x.flush())
		case 4:
			x.idle()
		}
		if n%5 == 0 {
			wantMessages(t, x, n+1)
		}
	}
	appendMessages(t, x, 0, total) // again: ignored
	wantMessages(t, x, total)
	if ms, off := x.newest(); ms != indexMessage(total-1).StoreTimestamp || off != (total-1)*100 {
		t.Errorf("newest %d %d", ms, off)
	}
	check(t, x.close())
	x = openTestIndex(t, logfile.Disk{}, dir, indexTrust{clean: true})
	if len(x.files) != (4*total+28)/29 {
		t.Errorf("%d files", len(x.files))
	}
	wantMessages(t, x, total)
	appendMessages(t, x, 0, total+30)
	wantMessages(t, x, total+30)
	check(t, x.close())
}

func TestIndex_FindsByTimeToTheSecond(t *testing.T) {
	t.Parallel()
	x := openTestIndex(t, logfile.Disk{}, filepath.Join(t.TempDir(), "index"), indexTrust{})
	appendMessages(t, x, 0, 60)
	all := ask(t, x, KeyQuery{Key: "mod1"})
	for from := 0; from < 60; from += 7 {
		for to := from; to < 60; to += 5 {
			q := KeyQuery{Key: "mod1", Begin: indexMessage(from).StoreTimestamp, End: indexMessage(to).StoreTimestamp}
			want := slices.DeleteFunc(slices.Clone(all), func(n int) bool { return n < from || n > to })
			got := slices.DeleteFunc(ask(t, x, q), func(n int) bool { return n < from || n > to })
			if !slices.Equal(got, want) {
				t.Errorf("from %d to %d: got %v, want %v", from, to, got, want)
			}
		}
	}
	if got := ask(t, x, KeyQuery{Key: "tag1", Kind: TagKey, Max: 3}); !slices.Equal(got, []int{59, 57, 55}) {
		t.Errorf("three newest: %v", got)
	}
}

func TestIndex_IgnoresRolledBackMessages(t *testing.T) {
	t.Parallel()
	x := openTestIndex(t, logfile.Disk{}, filepath.Join(t.TempDir(), "index"), indexTrust{})
	m := indexMessage(0)
	m.SysFlag = message.FlagTransactionRollback
	check(t, x.append(appendKeys(nil, m)))
	wantMessages(t, x, 0)
}

func TestIndex_NeedsNothingWhenIdle(t *testing.T) {
	t.Parallel()
	x := openTestIndex(t, logfile.Disk{}, filepath.Join(t.TempDir(), "index"), indexTrust{})
	if x.idle(); len(x.files) != 0 {
		t.Error("a file for nothing")
	}
	appendMessages(t, x, 0, 10)
	x.idle()
	x.idle()
	if x.files[1].mem == nil {
		t.Error("forgot what was not written")
	}
	check(t, x.flush())
	x.idle()
	for _, f := range x.files {
		if f.mem != nil || f.file != nil {
			t.Errorf("%s keeps memory or its file", f.path)
		}
	}
	wantMessages(t, x, 10)
	appendMessages(t, x, 10, 20)
	wantMessages(t, x, 20)
}

func TestIndex_IsTruncatedAtALogOffset(t *testing.T) {
	t.Parallel()
	for _, end := range []int{0, 1, 6, 7, 8, 14, 15, 20, 30} {
		for _, flushed := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "index")
			x := openTestIndex(t, logfile.Disk{}, dir, indexTrust{})
			appendMessages(t, x, 0, 30)
			if flushed {
				check(t, x.flush())
			}
			check(t, x.truncate(int64(end)*100))
			wantMessages(t, x, end)
			appendMessages(t, x, end, 33)
			wantMessages(t, x, 33)
			check(t, x.close())
			x = openTestIndex(t, logfile.Disk{}, dir, indexTrust{clean: true})
			wantMessages(t, x, 33)
		}
	}
}

func TestIndex_DeletesFilesBeforeALogOffset(t *testing.T) {
	t.Parallel()
	x := openTestIndex(t, logfile.Disk{}, filepath.Join(t.TempDir(), "index"), indexTrust{})
	appendMessages(t, x, 0, 30)
	count := func(want int) {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(x.dir, "*"))
		check(t, err)
		if len(names) != want || len(x.files) != want {
			t.Errorf("%d files, %d known, want %d", len(names), len(x.files), want)
		}
	}
	count(5)
	check(t, x.deleteBefore(700))
	count(5) // the first ends with message 7
	check(t, x.deleteBefore(701))
	count(4)
	check(t, x.deleteBefore(1<<40))
	count(1)
	if got := ask(t, x, KeyQuery{Key: "uniq29"}); !slices.Equal(got, []int{29}) {
		t.Errorf("got %v", got)
	}
}

// A file is believed though its messages were stored while the clock was set back.
func TestIndex_FindsWhatWasStoredBeforeTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	disk := logfile.NewMemory()
	x := openTestIndex(t, disk, "/index", indexTrust{})
	for n := range 3 {
		m := indexMessage(n)
		m.StoreTimestamp -= int64(n) * 100_000
		check(t, x.append(appendKeys(nil, m)))
	}
	check(t, x.flush())
	x = openTestIndex(t, disk, "/index", indexTrust{clean: true})
	wantMessages(t, x, 3)
	if got := ask(t, x, KeyQuery{Key: "uniq0", Begin: 1_000_000}); !slices.Equal(got, []int{0}) {
		t.Errorf("from its own time on: got %v", got)
	}
}

func TestIndex_NamesRiseWhenTheClockDoesNot(t *testing.T) {
	t.Parallel()
	x := openTestIndex(t, logfile.Disk{}, filepath.Join(t.TempDir(), "index"), indexTrust{})
	at := time.Date(2026, 12, 31, 23, 59, 59, 999e6, time.Local)
	x.now = func() time.Time { at = at.Add(-time.Minute); return at }
	appendMessages(t, x, 0, 60)
	for i := 1; i < len(x.files); i++ {
		if x.files[i].path <= x.files[i-1].path {
			t.Errorf("%s behind %s", x.files[i].path, x.files[i-1].path)
		}
	}
}

func TestIndex_BelievesOfApachesKilledStoreOnlyFullFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "index")
	x := openTestIndex(t, logfile.Disk{}, dir, indexTrust{})
	appendMessages(t, x, 0, 20) // 80 entries: two full files and one begun
	check(t, x.close())
	until := indexMessage(14).StoreTimestamp // the second ends with message 14
	x = openTestIndex(t, logfile.Disk{}, dir, indexTrust{until: until})
	if len(x.files) != 2 {
		t.Fatalf("%d files", len(x.files))
	}
	appendMessages(t, x, 5, 20) // recovery dispatches again
	wantMessages(t, x, 20)
	check(t, x.close())
	x = openTestIndex(t, logfile.Disk{}, dir, indexTrust{until: until - 1})
	if len(x.files) != 1 {
		t.Errorf("%d files", len(x.files))
	}
}

func TestIndex_RefusesFilesOfAnotherShape(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "index")
	x := openTestIndex(t, logfile.Disk{}, dir, indexTrust{})
	appendMessages(t, x, 0, 1)
	check(t, x.close())
	x = &index{fs: logfile.Disk{}, dir: dir, shape: indexShape{slots: 21, entries: 30}, logger: x.logger, now: time.Now}
	if err := x.load(indexTrust{clean: true}); err == nil || !strings.Contains(err.Error(), "maxIndexNum") {
		t.Errorf("got %v", err)
	}
}

func TestIndex_MayBeAskedWhileItGrows(t *testing.T) {
	t.Parallel()
	x := openTestIndex(t, logfile.Disk{}, filepath.Join(t.TempDir(), "index"), indexTrust{})
	const total = 300
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for n := range total {
			if err := x.append(appendKeys(nil, indexMessage(n))); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := writeIndex(x); err != nil {
				t.Error(err)
			}
			x.idle()
		}
	})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				_, end := x.newest()
				n := int(end / 100)
				if x.query(KeyQuery{Topic: "T", Key: fmt.Sprintf("mod%d", n%3), End: math.MaxInt64}, func(off int64) bool { return off > int64(n-9)*100 }) != nil {
					t.Error("query failed")
				}
			}
		})
	}
	wg.Wait()
	wantMessages(t, x, total)
}

func TestGolden_IndexIsReadAndRebuiltEqual(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/golden/store/index/*")
	check(t, err)
	want, err := os.ReadFile(files[0])
	check(t, err)
	dir := filepath.Join(t.TempDir(), "index")
	open := func(dir string) *index {
		x := &index{fs: logfile.Disk{}, dir: dir, shape: indexShape{slots: 100, entries: 400}, logger: slog.New(slog.DiscardHandler), now: time.Now}
		check(t, x.load(indexTrust{clean: true}))
		return x
	}

	apache := filepath.Join(t.TempDir(), "index")
	check(t, os.CopyFS(apache, os.DirFS("testdata/golden/store/index")))
	x := open(apache)
	f := x.files[0]
	x.mu.Lock()
	check(t, x.acquire(f))
	rows := goldenRows(t, "expected-index.tsv")
	h := f.head
	header := fmt.Sprintf("#header beginTimestamp=%d endTimestamp=%d beginPhyOffset=%d endPhyOffset=%d hashSlotCount=%d indexCount=%d slots=100 maxIndex=400",
		h.beginTime, h.endTime, h.beginOffset, h.endOffset, h.usedSlots, h.next)
	if header != rows[0][0] {
		t.Errorf("got  %s\nwant %s", header, rows[0][0])
	}
	for _, row := range rows[2:] {
		e, err := f.fileEntry(int32(number(t, row[0])))
		wantEntry := indexEntry{int32(number(t, row[1])), number(t, row[2]), int32(number(t, row[3])), int32(number(t, row[4]))}
		if err != nil || e != wantEntry || int64(e.hash%100) != number(t, row[5]) {
			t.Errorf("entry %s: got %+v %v, want %+v", row[0], e, err, wantEntry)
		}
	}
	x.mu.Unlock()

	ours := open(dir)
	goldenDispatch(t, func(m *message.Dispatch) {
		check(t, ours.append(appendKeys(nil, m)))
		for _, x := range []*index{x, ours} {
			found := false
			check(t, x.query(KeyQuery{Topic: string(m.Topic), Key: string(m.UniqKey), End: math.MaxInt64}, func(off int64) bool {
				found = found || off == m.LogOffset
				return !found
			}))
			if !found && m.UniqKey != nil {
				t.Errorf("record %d is not found", m.LogOffset)
			}
		}
	})
	check(t, ours.close())
	files, err = filepath.Glob(filepath.Join(dir, "*"))
	check(t, err)
	got, err := os.ReadFile(files[0])
	check(t, err)
	if !bytes.Equal(got, want) {
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("rebuilt differently from byte %d on", i)
			}
		}
	}
}

// FuzzIndex damages a file: nothing may loop or panic, and what is appended is found.
func FuzzIndex(f *testing.F) {
	f.Add([]byte{}, true)
	f.Add([]byte{0, 36, 0, 0, 0, 40}, false)
	f.Fuzz(func(t *testing.T, damage []byte, clean bool) {
		dir := filepath.Join(t.TempDir(), "index")
		x := openTestIndex(t, logfile.Disk{}, dir, indexTrust{})
		appendMessages(t, x, 0, 5)
		check(t, x.close())
		names, _ := filepath.Glob(filepath.Join(dir, "*"))
		b, err := os.ReadFile(names[0])
		check(t, err)
		for ; len(damage) >= 3; damage = damage[3:] { // position, value
			b[int(binary.BigEndian.Uint16(damage))%len(b)] = damage[2]
		}
		check(t, os.WriteFile(names[0], b, 0o644))
		x = openTestIndex(t, logfile.Disk{}, dir, indexTrust{clean: clean, ours: true})
		for _, key := range []string{"uniq1", "mod0", "k4"} {
			check(t, x.query(KeyQuery{Topic: "T", Key: key, End: math.MaxInt64}, func(int64) bool { return true }))
		}
		_, end := x.newest()
		n := int(min(max(0, end), 1<<40)/100) + 1
		m := indexMessage(n)
		m.LogOffset = max(m.LogOffset, end+1)
		check(t, x.append(appendKeys(nil, m)))
		check(t, x.flush())
		if end < 1<<40 && len(x.files) == 1 && x.files[0].head.beginTime < 1<<40 {
			found := false
			check(t, x.query(KeyQuery{Topic: "T", Key: string(m.UniqKey), End: math.MaxInt64}, func(off int64) bool {
				found = found || off == m.LogOffset
				return true
			}))
			if !found && x.files[0].head.endTime >= 0 {
				t.Fatalf("%s is not found in %+v", m.UniqKey, x.files[0].head)
			}
		}
		check(t, x.truncate(end/2))
	})
}

// TestIndex_LosesNothingInAPowerCut appends, flushes and loses power at random, in the middle of a flush too, then goes on
// as recovery does: from what was durable for sure.
func TestIndex_LosesNothingInAPowerCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		disk := logfile.NewMemory()
		open := func(trust indexTrust) *index { // files of several pages
			x := &index{fs: disk, dir: "/index", shape: indexShape{slots: 2500, entries: 500}, logger: slog.New(slog.DiscardHandler), now: time.Now}
			check(t, x.load(trust))
			return x
		}
		x := open(indexTrust{})
		next, durable := 0, 0
		recoverFrom := func(left *logfile.Memory) {
			disk = left
			x = open(indexTrust{ours: true})
			next = durable + rnd.IntN(next-durable+1) // so much of the log is there
			appendMessages(t, x, max(0, durable-1), next)
			check(t, x.truncate(int64(next)*100))
			wantMessages(t, x, next)
		}
		for range 30 {
			switch rnd.IntN(7) {
			case 0:
				check(t, x.flush())
				durable = next
			case 1:
				check(t, writeIndex(x))
			case 2:
				x.idle()
			case 3:
				recoverFrom(disk.Crash(rnd))
			case 4:
				var left *logfile.Memory
				syncs := rnd.IntN(8)
				disk.BeforeSync = func() {
					if syncs--; syncs == 0 {
						left = disk.Crash(rnd)
					}
				}
				check(t, x.flush())
				disk.BeforeSync = nil
				if left == nil {
					durable = next
				} else {
					recoverFrom(left)
				}
			default:
				more := rnd.IntN(60)
				appendMessages(t, x, next, next+more)
				next += more
			}
		}
		wantMessages(t, x, next)
	}
}

func BenchmarkIndexAppend(b *testing.B) {
	x := &index{fs: logfile.Disk{}, dir: filepath.Join(b.TempDir(), "index"), shape: indexShape{slots: 5_000_000, entries: 20_000_000}, logger: slog.New(slog.DiscardHandler), now: time.Now}
	m := &message.Dispatch{Topic: []byte("BenchmarkTopic"), UniqKey: []byte("C000020269074E0E2F2A670A18E50000")}
	var keys []indexKey
	b.ReportAllocs()
	for b.Loop() {
		m.LogOffset += 300
		m.StoreTimestamp++
		for i := range 8 {
			m.UniqKey[24+i] = "0123456789ABCDEF"[m.LogOffset>>(4*i)&15]
		}
		if keys = appendKeys(keys, m); len(keys) < gatherMost {
			continue
		}
		if err := x.append(keys); err != nil {
			b.Fatal(err)
		}
		keys = keys[:0]
	}
}
