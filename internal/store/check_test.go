package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// offlineConfig is what a check is given that knows nothing but the folder.
func offlineConfig(root string, fs logfile.FS) Config {
	cfg := DefaultConfig(root)
	cfg.FS = fs
	cfg.CommitLogFileSize, cfg.ConsumeQueueFileSize, cfg.BatchConsumeQueueFileSize, cfg.ConsumeQueueExtFileSize = 0, 0, 0, 0
	cfg.MaxHashSlotNum, cfg.MaxIndexNum = 0, 0
	return cfg
}

// checkStore checks a store and returns what it told.
func checkStore(t testing.TB, root string, fs logfile.FS) (*Summary, []Finding) {
	t.Helper()
	o, err := OpenOffline(offlineConfig(root, fs), false)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var found []Finding
	sum, err := o.Check(context.Background(), func(f Finding) { found = append(found, f) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sum, found
}

// repairStore repairs a store until there is nothing left to do, and returns the steps.
func repairStore(t testing.TB, cfg Config) []string {
	t.Helper()
	o, err := OpenOffline(cfg, true)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var steps []string
	for again := true; again; {
		if _, err := o.Check(context.Background(), func(Finding) {}, nil); err != nil {
			t.Fatal(err)
		}
		if again, err = o.Repair(context.Background(), false, func(step string) { steps = append(steps, step) }, nil); err != nil {
			t.Fatal(err)
		}
	}
	return steps
}

func kinds(problems map[string]int64) string {
	return strings.Join(slices.Sorted(maps.Keys(problems)), " ")
}

func TestCheck_FindsNothingInTheGoldenStore(t *testing.T) {
	t.Parallel()
	cfg := goldenConfig(t)
	before := snapshot(t, cfg.RootDir)
	sum, found := checkStore(t, cfg.RootDir, nil)
	if !sum.Sound() || len(found) > 0 {
		t.Errorf("found %+v", found)
	}
	records := int64(0)
	for _, row := range goldenRows(t, "expected-messages.tsv")[1:] {
		if row[0] != "#BLANK" {
			records++
		}
	}
	index := int64(len(goldenRows(t, "expected-index.tsv")) - 2) // behind two lines of headings
	units := int64(len(goldenRows(t, "expected-consumequeue.tsv")) - 1)
	if sum.Records != records || sum.IndexEntries != index || sum.Units != units || !sum.Clean || sum.BatchQueues != 1 || sum.LogFiles != 2 {
		t.Errorf("%+v; want %d records, %d index entries, %d units", sum, records, index, units)
	}
	if after := snapshot(t, cfg.RootDir); !maps.Equal(before, after) {
		t.Error("the check has changed files")
	}
}

// snapshot reads all files below a folder.
func snapshot(t testing.TB, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	check(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	}))
	return files
}

func TestCheck_RefusesAStoreThatABrokerHolds(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	s := openTest(t, cfg)
	defer s.Close()
	for _, change := range []bool{false, true} {
		if o, err := OpenOffline(offlineConfig(cfg.RootDir, nil), change); err == nil || !strings.Contains(err.Error(), "a broker is running on it") {
			t.Errorf("change %v: %v %v", change, o, err)
		}
	}
	if _, err := OpenOffline(offlineConfig(t.TempDir(), nil), false); err == nil || !strings.Contains(err.Error(), "cannot find a store") {
		t.Errorf("an empty folder: %v", err)
	}
}

// overwrite changes bytes of a file.
func overwrite(t testing.TB, path string, at int64, data ...byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	_, err = f.WriteAt(data, at)
	check(t, err)
	check(t, f.Close())
}

// damagedStore is a store of 60 messages in two queues and several files of the log, closed.
func damagedStore(t testing.TB) (root string, puts []Put) {
	t.Helper()
	cfg := testConfig(t)
	cfg.CommitLogFileSize = 8 << 10
	s := openTest(t, cfg)
	for i := range 60 {
		puts = append(puts, putWait(t, s, Flushed, testPut(s.Queue("T", int32(i%2)), fmt.Sprintf("body %d %0*d", i, 100, i)))...)
	}
	check(t, s.Close())
	check(t, os.MkdirAll(filepath.Join(cfg.RootDir, "config"), 0o755))
	check(t, os.WriteFile(filepath.Join(cfg.RootDir, "config", "topics.json"), []byte(`{"topicConfigTable":{"T":{}}}`), 0o644))
	return cfg.RootDir, puts
}

func logPath(root string, off int64) (string, int64) {
	return filepath.Join(root, "commitlog", logfile.FileName(off/8192*8192)), off % 8192
}

func queuePath(root string, id int) string {
	return filepath.Join(root, "consumequeue", "T", fmt.Sprint(id), logfile.FileName(0))
}

func TestCheck_FindsAndRepairs(t *testing.T) {
	t.Parallel()
	one := func(t *testing.T, dir string) string {
		t.Helper()
		entries, err := os.ReadDir(dir)
		check(t, err)
		return filepath.Join(dir, entries[0].Name())
	}
	for name, test := range map[string]struct {
		damage func(t *testing.T, root string, puts []Put)
		kinds  string
		left   string // kinds that no repair mends
		steps  string
		gone   int // messages
	}{
		"nothing": {damage: func(*testing.T, string, []Put) {}},
		"a body in the middle": {kinds: "log-record", left: "log-record", gone: 1, damage: func(t *testing.T, root string, puts []Put) {
			path, at := logPath(root, puts[10].LogOffset)
			overwrite(t, path, at+100, 'x')
		}},
		"a size in the middle": {kinds: "log-record", left: "log-record", gone: 1, damage: func(t *testing.T, root string, puts []Put) {
			path, at := logPath(root, puts[10].LogOffset)
			overwrite(t, path, at, 0x7F)
		}},
		"the last body": {kinds: "log-tail queue-ahead checkpoint index-entry", steps: "cut the log", gone: 1, damage: func(t *testing.T, root string, puts []Put) {
			path, at := logPath(root, puts[59].LogOffset)
			overwrite(t, path, at+100, 'x')
		}},
		"bytes behind the end": {kinds: "log-tail", steps: "cut the log", damage: func(t *testing.T, root string, puts []Put) {
			last := puts[59]
			path, at := logPath(root, last.LogOffset+int64(last.Size))
			overwrite(t, path, at, 0, 0, 1, 2, 0xDA, 0xA3, 0x20, 0xA7, 9, 9)
		}},
		"a log file cut short": {kinds: "log-file-size queue-ahead checkpoint index-entry", steps: "gave commitlog", gone: 2, damage: func(t *testing.T, root string, puts []Put) {
			path, at := logPath(root, puts[58].LogOffset)
			check(t, os.Truncate(path, at+10))
		}},
		"a unit": {kinds: "queue-unit", steps: "makes queue 0", damage: func(t *testing.T, root string, _ []Put) {
			overwrite(t, queuePath(root, 0), 5*unitSize+7, 0xFF)
		}},
		"a unit's tags": {kinds: "queue-tags", steps: "makes queue 0", damage: func(t *testing.T, root string, _ []Put) {
			overwrite(t, queuePath(root, 0), 5*unitSize+19, 0xFF)
		}},
		"a unit lost": {kinds: "queue-hole", steps: "makes queue 1", damage: func(t *testing.T, root string, _ []Put) {
			overwrite(t, queuePath(root, 1), 5*unitSize, make([]byte, unitSize)...)
		}},
		"the last units": {kinds: "queue-behind", steps: "makes queue 1", damage: func(t *testing.T, root string, _ []Put) {
			overwrite(t, queuePath(root, 1), 25*unitSize, make([]byte, 5*unitSize)...)
		}},
		"a queue": {kinds: "queue-missing", steps: "makes queue 1", damage: func(t *testing.T, root string, _ []Put) {
			check(t, os.RemoveAll(filepath.Dir(queuePath(root, 1))))
		}},
		"a queue's file": {kinds: "queue-file-size queue-missing", steps: "makes queue 1", damage: func(t *testing.T, root string, _ []Put) {
			check(t, os.Truncate(queuePath(root, 1), 333))
		}},
		"an index entry": {kinds: "index-entry index-chain", steps: "makes the index", damage: func(t *testing.T, root string, _ []Put) {
			overwrite(t, one(t, filepath.Join(root, "index")), indexShape{1000, 4000}.entryAt(7)+3, 1)
		}},
		"an index slot": {kinds: "index-chain", steps: "makes the index", damage: func(t *testing.T, root string, _ []Put) {
			overwrite(t, one(t, filepath.Join(root, "index")), indexShape{1000, 4000}.slotAt(7)+3, 1)
		}},
		"an index header": {kinds: "index-shape", steps: "makes the index", damage: func(t *testing.T, root string, _ []Put) {
			overwrite(t, one(t, filepath.Join(root, "index")), 36, 0x7F)
		}},
		"the checkpoint": {kinds: "checkpoint", steps: "writes the checkpoint", damage: func(t *testing.T, root string, _ []Put) {
			var b [8]byte
			binary.BigEndian.PutUint64(b[:], 1<<40)
			overwrite(t, filepath.Join(root, "checkpoint"), 40, b[:]...)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, puts := damagedStore(t)
			test.damage(t, root, puts)
			sum, found := checkStore(t, root, nil)
			want := strings.Fields(test.kinds)
			slices.Sort(want)
			if got := kinds(sum.Problems); got != strings.Join(want, " ") {
				t.Errorf("found %q, want %q: %+v", got, want, found)
			}
			for _, f := range found {
				if f.What == "" || f.File == "" || f.Problem && (f.Means == "" || f.Do == "") {
					t.Errorf("finding tells too little: %+v", f)
				}
			}
			cfg := testConfig(t)
			cfg.RootDir, cfg.CommitLogFileSize = root, 8<<10
			steps := repairStore(t, cfg)
			if !strings.Contains(strings.Join(steps, "\n"), test.steps) || test.steps == "" && len(steps) > 0 {
				t.Errorf("repaired %q, want %q", steps, test.steps)
			}
			sum, found = checkStore(t, root, nil)
			if got := kinds(sum.Problems); got != test.left {
				t.Errorf("after the repair found %q, want %q: %+v", got, test.left, found)
			}
			readsAll(t, root, puts, test.gone)
		})
	}
}

// readsAll opens a store and reads all messages but for some.
func readsAll(t *testing.T, root string, puts []Put, gone int) {
	t.Helper()
	cfg := testConfig(t)
	cfg.RootDir, cfg.CommitLogFileSize = root, 8<<10
	s := openTest(t, cfg)
	defer s.Close()
	missing := 0
	for _, p := range puts {
		rec, r := s.Get(s.Queue("T", p.Queue.id), p.QueueOffset, 1, 1, nil, nil)
		var m message.Message
		if r.Status != Found || message.Decode(rec, &m) != nil || m.CheckBody() != nil || string(m.Body) != string(p.Body) {
			missing++
			continue
		}
		unique, _ := message.Property(p.Properties, message.PropUniqKey)
		if found, err := s.Query(KeyQuery{Topic: "T", Key: string(unique), Kind: UniqueKey, End: 1 << 60, Max: 9}); err != nil || found.Count != 1 {
			t.Fatalf("message %q is found %d times by its key: %v", p.Body[:10], found.Count, err)
		}
	}
	if missing != gone {
		t.Errorf("%d messages are lost, want %d", missing, gone)
	}
}

func TestRepair_LeavesDeletedTopicsDeleted(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	s := openTest(t, cfg)
	for i := range 10 {
		putWait(t, s, Flushed, testPut(s.Queue("Gone", 0), fmt.Sprint("gone ", i)), testPut(s.Queue("T", 0), fmt.Sprint("before ", i)))
	}
	check(t, s.DeleteTopic("Gone"))
	check(t, s.DeleteTopic("T"))
	for i := range 5 {
		putWait(t, s, Flushed, testPut(s.Queue("T", 0), fmt.Sprint("after ", i)))
	}
	check(t, s.Close())
	check(t, os.MkdirAll(filepath.Join(cfg.RootDir, "config"), 0o755))
	check(t, os.WriteFile(filepath.Join(cfg.RootDir, "config", "topics.json"), []byte(`{"topicConfigTable":{"T":{}}}`), 0o644))
	sum, found := checkStore(t, cfg.RootDir, nil)
	if !sum.Sound() || sum.Notes["topic-deleted"] != 2 {
		t.Errorf("found %+v", found)
	}
	check(t, os.RemoveAll(filepath.Join(cfg.RootDir, "consumequeue")))
	repairStore(t, cfg)
	if sum, found := checkStore(t, cfg.RootDir, nil); !sum.Sound() {
		t.Errorf("found %+v", found)
	}
	s = openTest(t, cfg)
	defer s.Close()
	if got := bodies(t, s, s.Queue("T", 0), 0); !slices.Equal(got, []string{"after 0", "after 1", "after 2", "after 3", "after 4"}) {
		t.Errorf("got %q", got)
	}
	if q := s.FindQueue("Gone", 0); q != nil && q.MaxOffset() > 0 {
		t.Errorf("a deleted topic is there again")
	}
}

func TestCheck_TellsWhatAKilledBrokerLeavesIsNoProblem(t *testing.T) {
	t.Parallel()
	m := logfile.NewMemory()
	cfg := memoryConfig(t, m)
	s := openTest(t, cfg)
	for i := range 300 {
		putWait(t, s, Written, testPut(s.Queue("T", int32(i%3)), fmt.Sprint("body ", i)))
	}
	m = m.Kill()
	check(t, s.Close())
	sum, found := checkStore(t, cfg.RootDir, m)
	if !sum.Sound() || sum.Clean || sum.Records != 300 {
		t.Errorf("%+v: %+v", sum, found)
	}
	cfg.FS = m
	repairStore(t, cfg)
	if sum, found := checkStore(t, cfg.RootDir, m); !sum.Sound() {
		t.Errorf("%+v: %+v", sum, found)
	}
	s = openTest(t, cfg)
	defer s.Close()
	for id := range 3 {
		if got := len(bodies(t, s, s.Queue("T", int32(id)), 0)); got != 100 {
			t.Errorf("queue %d has %d messages", id, got)
		}
	}
}

// dumpStore reads all that can be printed of a store.
func dumpStore(t testing.TB, root string) (records, units, entries int) {
	t.Helper()
	o, err := OpenOffline(offlineConfig(root, nil), false)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	ctx := context.Background()
	check(t, o.Records(ctx, 0, func([]byte, *message.Dispatch) error { records++; return nil }, func(Stretch) error { return nil }))
	check(t, o.Units(ctx, "", func(QueueUnit) error { units++; return nil }))
	_ = o.IndexEntries(ctx, func(IndexItem) error { entries++; return nil })
	_, _ = o.Checkpoint()
	if _, err := o.Outlook(ctx); err != nil {
		t.Error(err)
	}
	return records, units, entries
}

func TestDump_ShowsWhatTheGoldenStoreHas(t *testing.T) {
	t.Parallel()
	records, units, entries := dumpStore(t, goldenConfig(t).RootDir)
	if records != 108 || units != 108 || entries != 287 {
		t.Errorf("%d records, %d units, %d entries", records, units, entries)
	}
}

// FuzzCheck damages a store anywhere: a check must end, and see what was changed of a record that a CRC covers; a repair must leave what
// a broker can open.
func FuzzCheck(f *testing.F) {
	root, puts := damagedStore(f)
	var paths []string
	for path := range snapshot(f, root) {
		paths = append(paths, strings.TrimPrefix(path, root))
	}
	slices.Sort(paths)
	for i := range paths {
		f.Add(uint8(i), uint32(0), []byte{1}, false)
		f.Add(uint8(i), uint32(77), []byte{0xFF, 0xFF, 0xFF, 0xFF}, false)
		f.Add(uint8(i), uint32(1234), []byte{}, true)
	}
	f.Fuzz(func(t *testing.T, which uint8, at uint32, damage []byte, cut bool) {
		dir := t.TempDir()
		check(t, os.CopyFS(dir, os.DirFS(root)))
		path := paths[int(which)%len(paths)]
		st, err := os.Stat(dir + path)
		check(t, err)
		if st.Size() == 0 {
			return
		}
		pos := int64(at) % st.Size()
		damage = damage[:min(int64(len(damage)), st.Size()-pos)]
		if cut {
			check(t, os.Truncate(dir+path, pos))
		} else {
			overwrite(t, dir+path, pos, damage...)
		}
		sum, found := checkStore(t, dir, nil)
		if off, isLog := strings.CutPrefix(path, "/commitlog/"); isLog && !cut && sum.Sound() {
			base := number(t, off)
			for _, p := range puts { // the body of a message, or what recovery looks at first
				lo, hi := p.LogOffset-base, p.LogOffset-base+int64(p.Size)
				old, err := os.ReadFile(root + path)
				check(t, err)
				for i, b := range damage {
					at := pos + int64(i)
					if at >= lo && at < hi && old[at] != b && (at < lo+36 && !(at >= lo+16 && at < lo+20) || at >= lo+88 && at < lo+88+int64(len(p.Body))) {
						t.Fatalf("byte %d of the record at %d changed from %d to %d, and nothing was found: %+v", at-lo, p.LogOffset, old[at], b, found)
					}
				}
			}
		}
		dumpStore(t, dir)
		repairStore(t, offlineConfig(dir, nil))
	})
}

// BenchmarkCheck reads a store of 100,000 messages of 1 KiB in 8 queues.
func BenchmarkCheck(b *testing.B) {
	cfg := testConfig(b)
	cfg.CommitLogFileSize, cfg.ConsumeQueueFileSize = 64<<20, 20000*unitSize
	cfg.MaxHashSlotNum, cfg.MaxIndexNum = 500_000, 2_000_000
	cfg.Logger = nil
	s := openTest(b, cfg)
	body := strings.Repeat("x", 1024)
	var puts []Put
	for i := range 100_000 {
		puts = append(puts, testPut(s.Queue("T", int32(i%8)), body))
		if len(puts) == 1000 {
			putWait(b, s, Written, puts...)
			puts = puts[:0]
		}
	}
	check(b, s.Close())
	var bytes int64
	for b.Loop() {
		sum, found := checkStore(b, cfg.RootDir, nil)
		if !sum.Sound() {
			b.Fatal(found)
		}
		bytes = sum.Bytes
	}
	b.SetBytes(bytes)
	b.ReportAllocs()
}

func TestRepair_ChangesNothingWhenInterrupted(t *testing.T) {
	t.Parallel()
	root, _ := damagedStore(t)
	overwrite(t, queuePath(root, 0), 5*unitSize+7, 0xFF)
	check(t, os.RemoveAll(filepath.Join(root, "index")))
	before := snapshot(t, root)
	o, err := OpenOffline(offlineConfig(root, nil), true)
	check(t, err)
	_, err = o.Check(context.Background(), func(Finding) {}, nil)
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	o.plan.index = true
	if _, err := o.Repair(ctx, false, func(string) {}, nil); err == nil {
		t.Error("a repair goes on though it was told to end")
	}
	check(t, o.Close())
	after := snapshot(t, root)
	for path, content := range before {
		if after[path] != content {
			t.Errorf("%s was changed", path)
		}
	}
}

func TestCheck_KnowsEveryKindOfQueue(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.LightQueues, cfg.ConsumeQueueExt, cfg.ConsumeQueueExtFileSize = true, true, 10*(extHead+2)+extEnd
	cfg.BatchConsumeQueueFileSize = 10 * batchUnitSize
	open := func() *Store {
		t.Helper()
		s, err := Open(t.Context(), cfg, Hooks{Bits: func(_ *message.Dispatch, dst []byte) []byte { return append(dst, 1, 2) }})
		check(t, err)
		return s
	}
	s := open()
	for i := range 30 {
		putWait(t, s, Flushed, lightPut(s, s.Queue("T", 0), fmt.Sprint("light ", i), "%LMQ%a", "%LMQ%b"), testPut(s.Queue("T", 1), fmt.Sprint("plain ", i)),
			innerPut(batchQueueOf(s, "B", 0), fmt.Sprint("batch ", i), i%4))
	}
	check(t, s.Close())
	sum, found := checkStore(t, cfg.RootDir, nil)
	if !sum.Sound() || len(sum.Notes) > 0 || sum.Queues != 4 || sum.BatchQueues != 1 || sum.BatchUnits != 30 || sum.Extensions == 0 {
		t.Errorf("%+v: %+v", sum, found)
	}
	for _, dir := range []string{"consumequeue/%LMQ%a/0", "batchconsumequeue/B/0"} {
		overwrite(t, filepath.Join(cfg.RootDir, dir, logfile.FileName(0)), 5, 0x7F)
	}
	check(t, os.RemoveAll(filepath.Join(cfg.RootDir, "consumequeue_ext")))
	sum, _ = checkStore(t, cfg.RootDir, nil)
	if sum.Problems["ext-entry"] == 0 || sum.Problems["queue-unit"] < 2 {
		t.Errorf("found %v", sum.Problems)
	}
	repairStore(t, cfg)
	sum, found = checkStore(t, cfg.RootDir, nil)
	if !sum.Sound() {
		t.Errorf("after the repair: %+v", found)
	}
	s = open()
	defer s.Close()
	for topic, want := range map[string]int64{"T": 30, "%LMQ%a": 30, "%LMQ%b": 30} {
		if got := s.Queue(topic, 0).MaxOffset(); got != want {
			t.Errorf("%s has %d messages, want %d", topic, got, want)
		}
	}
	if got := len(strings.Fields(batches(t, s, s.Queue("B", 0), 0, 32))); got != 60 { // body and number are two words
		t.Errorf("the batch queue has %d", got)
	}
}
