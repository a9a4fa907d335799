package broker

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

type anAddr struct{}

func (anAddr) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1000} }

func bytesOf(s string) []byte { return []byte(s) }

// testOffsets opens the offsets of a folder without a broker; ends are the queues' ends by topic/queue.
func testOffsets(t testing.TB, root string, log *slog.Logger, ends map[string]int64) *offsets {
	t.Helper()
	cfg := testConfig(t)
	cfg.RootDir = root
	b := &Broker{log: log}
	b.settings.Store(newSettings(cfg, netip.AddrPort{}))
	b.counts = newCounts(&b.counters, func(string) bool { return false }, time.Now())
	t.Cleanup(b.counts.samples.close)
	o := newOffsets(filepath.Join(root, "consumerOffset.json"), b)
	o.endOf = func(topic string, queue int32) int64 {
		if end, ok := ends[topic+"/"+strconv.Itoa(int(queue))]; ok {
			return end
		}
		return math.MaxInt64
	}
	if err := o.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

func TestOffsets_AreWrittenOnceAnIntervalAndOnlyWhenChanged(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	o := testOffsets(t, root, slog.New(slog.DiscardHandler), nil)
	o.interval = 10 * time.Millisecond
	o.commit(bytesOf("G"), bytesOf("T"), 3, 7, anAddr{})
	path := filepath.Join(root, "consumerOffset.json")
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("not written")
		}
	}
	o.file.writes.Wait()
	if o.dirty.Load() {
		t.Error("wants to be written again")
	}
	o.commit(bytesOf("G"), bytesOf("T"), 3, 7, anAddr{})
	o.setPulled(bytesOf("G"), bytesOf("T"), 3, 9)
	if o.dirty.Load() {
		t.Error("the same offset, or a pull, makes it be written")
	}
	// Apache 5.4.0 gives up a file that has another field with numbers for keys, as the pullOffsetTable that 5.5.0 writes and nobody reads.
	err := o.write()
	written, readErr := os.ReadFile(path)
	var fields map[string]any
	if err = errors.Join(err, readErr, fastjson.Unmarshal(written, &fields)); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(fields)); !slices.Equal(got, []string{"dataVersion", "groupTopicMap", "offsetTable"}) {
		t.Errorf("the file has %q", got)
	}
	again := testOffsets(t, filepath.Dir(copyDir(t, path)), slog.New(slog.DiscardHandler), nil)
	if got := again.query("G", "T", 3); got != 7 {
		t.Errorf("after a kill: %d", got)
	}
	if got := again.query("G", "T", 0); got != -1 {
		t.Errorf("of a queue nobody consumed: %d", got)
	}
}

// What comes while the file is being written finds it dirty, and must have it written again all the same.
func TestOffsets_AreWrittenAgainForWhatComesMeanwhile(t *testing.T) {
	t.Parallel()
	o := testOffsets(t, t.TempDir(), slog.New(slog.DiscardHandler), nil)
	o.interval = time.Hour
	came := false
	o.settle = func() bool {
		came = !came
		o.touch()
		return false
	}
	o.unsettled = func() bool { return came }
	for _, want := range []bool{true, false} {
		o.dirty.Store(true) // as if its timer had fired
		if err := o.write(); err != nil || o.dirty.Load() != want {
			t.Errorf("dirty %v, want %v: %v", o.dirty.Load(), want, err)
		}
	}
}

// An offset on the disk must not tell of messages and check points that a power cut can still take.
func TestOffsets_AreWrittenWhenWhatTheyRelyOnIsFlushed(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	o := testOffsets(t, root, slog.New(slog.DiscardHandler), nil)
	o.interval = time.Hour
	o.commit(bytesOf("G"), bytesOf("T"), 3, 7, anAddr{})
	failure := errors.New("the disk is gone")
	o.flush = func() error {
		if _, err := os.Stat(o.path); err == nil {
			t.Error("the file is written before")
		}
		return failure
	}
	if err := o.write(); !errors.Is(err, failure) {
		t.Errorf("written though it cannot be flushed: %v", err)
	}
	if _, err := os.Stat(o.path); err == nil {
		t.Error("written though it cannot be flushed")
	}
	failure = nil
	if err := o.write(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(o.path); err != nil {
		t.Error(err)
	}
	o.flush = nil
}

func TestOffsets_AreNeverLeftAheadOfTheirQueue(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	file := `{"offsetTable":{"T@G":{0:5,1:10,2:3},"Batch@G":{0:7},"NoGroup":{0:1},"A@B@C":{0:1}}}`
	if err := os.WriteFile(filepath.Join(root, "consumerOffset.json"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	var text syncBuffer
	o := testOffsets(t, root, slog.New(slog.NewTextHandler(&text, nil)), map[string]int64{"T/0": 5, "T/1": 4, "T/2": 0})
	check := func(topic string, queue int32, want int64) {
		t.Helper()
		if got := o.query("G", topic, queue); got != want {
			t.Errorf("%s %d: %d, want %d", topic, queue, got, want)
		}
	}
	check("T", 0, 5)
	check("T", 1, 4)
	check("T", 2, 0)
	check("Batch", 0, 7) // of a kind whose end is not known
	if got := text.String(); !strings.Contains(got, "queue_id=1 from=10 to=4") || !strings.Contains(got, "queue_id=2 from=3 to=0") || !strings.Contains(got, "key=NoGroup") {
		t.Errorf("log: %s", got)
	}
}

func TestOffsets_GoingBackIsTakenAndNamed(t *testing.T) {
	t.Parallel()
	var text syncBuffer
	o := testOffsets(t, t.TempDir(), slog.New(slog.NewTextHandler(&text, nil)), nil)
	for _, offset := range []int64{5, 9, 3, 8, 2} {
		o.commit(bytesOf("G"), bytesOf("T"), 0, offset, anAddr{})
	}
	if got := o.query("G", "T", 0); got != 2 {
		t.Errorf("offset %d", got)
	}
	if got := text.String(); strings.Count(got, "set back") != 1 || !strings.Contains(got, "from=9 to=3 addr=192.0.2.1:1000") {
		t.Errorf("log: %s", got)
	}
}

// One who rewinds a group's queues is named for each of them, though not with a line each.
func TestOffsets_GoingBackIsNamedForEachQueue(t *testing.T) {
	t.Parallel()
	var text syncBuffer
	o := testOffsets(t, t.TempDir(), slog.New(slog.NewTextHandler(&text, nil)), nil)
	for queue := range int32(setbacksMax + 5) {
		o.commit(bytesOf("G"), bytesOf("T"), queue, 100, anAddr{})
	}
	for queue := range int32(setbacksMax + 5) {
		o.commit(bytesOf("G"), bytesOf("T"), queue, int64(10+queue%50), anAddr{})
		o.commit(bytesOf("G"), bytesOf("T"), queue, 90, anAddr{})
		if queue == 0 {
			o.commit(bytesOf("G"), bytesOf("T"), 0, 3, anAddr{})
		}
	}
	o.commit(bytesOf("G"), bytesOf("T"), 1, 2, anAddr{})
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	got := text.String()
	for _, want := range []string{
		"topic=T queue_id=0 from=100 to=10 addr=192.0.2.1:1000",
		"queue_id=0 from=90 to=3 times=1 addr=192.0.2.1:1000",
		"queue_id=1 from=100 to=2 times=2 addr=192.0.2.1:1000",
		"queue_id=2 from=100 to=12 times=1 addr=192.0.2.1:1000",
		"queue_id=255 from=100 to=15 times=1 addr=192.0.2.1:1000",
		"more_unnamed=5",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the log: %.1000s", want, got)
		}
	}
	if n := strings.Count(got, "set back"); n != 2 {
		t.Errorf("%d lines: %.1000s", n, got)
	}
}

func TestOffsets_CopyingNamesWhatItChanges(t *testing.T) {
	t.Parallel()
	var text syncBuffer
	o := testOffsets(t, t.TempDir(), slog.New(slog.NewTextHandler(&text, nil)), nil)
	for queue, offsets := range [][2]int64{{5, 9}, {7, 7}, {8, -1}, {-1, 4}} {
		for i, group := range []string{"A", "B"} {
			if offsets[i] >= 0 {
				o.commit(bytesOf(group), bytesOf("T"), int32(queue), offsets[i], anAddr{})
			}
		}
	}
	o.clone("A", "B", "T", anAddr{})
	want := `source_group=A group=B topic=T queues="[queue_id=0 from=9 to=5 queue_id=2 from=-1 to=8 queue_id=3 from=4 to=-1]" more_unnamed=0 addr=192.0.2.1:1000`
	if got := text.String(); !strings.Contains(got, want) {
		t.Errorf("log: %s", got)
	}
}

func TestOffsets_ResetIsForTheNextPull(t *testing.T) {
	t.Parallel()
	o := testOffsets(t, t.TempDir(), slog.New(slog.DiscardHandler), nil)
	o.commit(bytesOf("G"), bytesOf("T"), 0, 9, anAddr{})
	o.reset("G", "T", 0, 4)
	o.commit(bytesOf("G"), bytesOf("T"), 0, 10, anAddr{}) // of a client that does not know yet
	if got := o.query("G", "T", 0); got != 4 {
		t.Errorf("query: %d", got)
	}
	if to, ok := o.takeReset(bytesOf("G"), bytesOf("T"), 0); !ok || to != 4 {
		t.Errorf("reset: %d, %t", to, ok)
	}
	if _, ok := o.takeReset(bytesOf("G"), bytesOf("T"), 0); ok {
		t.Error("the reset is there twice")
	}
	if o.hasReset("G", "T", 0) {
		t.Error("the reset is still there")
	}
}

func TestOffsets_GoWithTheirTopicOrGroup(t *testing.T) {
	t.Parallel()
	o := testOffsets(t, t.TempDir(), slog.New(slog.DiscardHandler), nil)
	for _, tg := range [][2]string{{"T1", "G1"}, {"T1", "G2"}, {"T2", "G1"}, {"T2", "G2"}} {
		o.commit(bytesOf(tg[1]), bytesOf(tg[0]), 0, 5, anAddr{})
	}
	o.removeTopic("T1")
	if got := o.groupsOf("T1"); got != nil {
		t.Errorf("groups of the topic: %q", got)
	}
	o.removeGroup("G2")
	if got := o.groupsOf("T2"); len(got) != 1 || got[0] != "G1" {
		t.Errorf("groups of the other topic: %q", got)
	}
	if got := o.topicsOf("G1"); len(got) != 1 || got[0] != "T2" {
		t.Errorf("topics of the other group: %q", got)
	}
}

func TestOffsets_CommittingAllocatesNothing(t *testing.T) {
	o := testOffsets(t, t.TempDir(), slog.New(slog.DiscardHandler), nil)
	group, topic, offset := bytesOf("Group"), bytesOf("Topic"), int64(0)
	from := anAddr{}
	var who committer = from
	o.commit(group, topic, 1, 0, who)
	o.setPulled(group, topic, 1, 0)
	if n := testing.AllocsPerRun(1000, func() {
		offset++
		o.commit(group, topic, 1, offset, who)
		o.setPulled(group, topic, 1, offset)
		o.takeReset(group, topic, 1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestOffsets_ManyCommitAndWriteAtOnce(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	o := testOffsets(t, root, slog.New(slog.DiscardHandler), nil)
	o.interval = time.Millisecond
	var wg sync.WaitGroup
	for queue := range int32(8) {
		wg.Go(func() {
			for offset := range int64(500) {
				o.commit(bytesOf("G"+strconv.Itoa(int(queue%3))), bytesOf("T"), queue, offset, anAddr{})
			}
		})
	}
	wg.Wait()
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	again := testOffsets(t, root, slog.New(slog.DiscardHandler), nil)
	for queue := range int32(8) {
		if got := again.query("G"+strconv.Itoa(int(queue%3)), "T", queue); got != 499 {
			t.Errorf("queue %d: %d", queue, got)
		}
	}
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// offsetFields names a group's place in a queue.
func offsetFields(group, topic string, queue int, more ...string) [][2]string {
	ext := [][2]string{{"consumerGroup", group}, {"topic", topic}, {"queueId", strconv.Itoa(queue)}}
	for i := 0; i < len(more); i += 2 {
		ext = append(ext, [2]string{more[i], more[i+1]})
	}
	return ext
}

func TestOffset_RulesOfAFirstStart(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	if r := call(t, c, protocol.ReqSendMessageV2, sendFields("Topic"), []byte("m")); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	check := func(wantCode int32, wantOffset string, ext [][2]string) {
		t.Helper()
		r := call(t, c, protocol.ReqQueryConsumerOffset, ext, nil)
		if v, _ := r.Get("offset"); r.Code != wantCode || string(v) != wantOffset {
			t.Errorf("%v: %d %s, offset %s, want %d %s", ext, r.Code, r.Remark, v, wantCode, wantOffset)
		}
	}
	check(0, "0", offsetFields("G", "Topic", 0)) // its first message is in memory
	check(22, "", offsetFields("G", "Topic", 1)) // no message
	check(22, "", offsetFields("G", "Nothing", 0))
	check(22, "", offsetFields("G", "Topic", 0, "setZeroIfNotFound", "false"))
	check(0, "0", offsetFields("G", "Topic", 0, "setZeroIfNotFound", "true"))

	commit := func(wantCode int32, ext [][2]string) {
		t.Helper()
		if r := call(t, c, protocol.ReqUpdateConsumerOffset, ext, nil); r.Code != wantCode {
			t.Errorf("%v: %d %s, want %d", ext, r.Code, r.Remark, wantCode)
		}
	}
	commit(26, offsetFields("G", "Topic", 0, "commitOffset", "1"))
	if b.groups.get([]byte("G")) == nil {
		t.Fatal("group not made")
	}
	commit(17, offsetFields("G", "Nothing", 0, "commitOffset", "1"))
	commit(29, offsetFields("G", "Topic", 0, "commitOffset", "-1"))
	commit(29, offsetFields("G", "Topic", queuesMax, "commitOffset", "1")) // each would be kept
	commit(0, offsetFields("G", "Topic", 0, "commitOffset", "1"))
	check(0, "1", offsetFields("G", "Topic", 0))

	r := call(t, c, protocol.ReqInvokeBrokerToResetOffset, [][2]string{{"group", "G"}, {"topic", "Topic"}, {"timestamp", "0"}, {"isForce", "true"}}, nil)
	if want := `{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"Topic"}:0,`; r.Code != 0 || !strings.HasPrefix(string(r.Body), want) {
		t.Errorf("reset: %d %s %s", r.Code, r.Remark, r.Body)
	}
	commit(0, offsetFields("G", "Topic", 0, "commitOffset", "1")) // of a client that does not know yet
	check(0, "0", offsetFields("G", "Topic", 0))
	p := call(t, c, protocol.ReqPullMessage, pullFields("Topic", 0, 1, "consumerGroup", "G"), nil)
	if next, _ := p.Get("nextBeginOffset"); p.Code != protocol.CodePullOffsetMoved || string(next) != "0" {
		t.Errorf("pull after the reset: %d %s, next %s", p.Code, p.Remark, next)
	}
	commit(0, offsetFields("G", "Topic", 0, "commitOffset", "1"))
	check(0, "1", offsetFields("G", "Topic", 0))
}

func TestPull_CommitsNoOffsetBelowZero(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "Topic", 1)
	call(t, c, protocol.ReqUpdateAndCreateSubscriptionGroup, nil, []byte(`{"groupName":"G"}`))
	for _, step := range []struct {
		offset string
		want   int64
	}{{"1", 1}, {"-5", 1}, {"0", 0}} {
		call(t, c, protocol.ReqPullMessage, pullFields("Topic", 0, 0, "consumerGroup", "G", "sysFlag", "5", "commitOffset", step.offset), nil)
		if got := b.offsets.query("G", "Topic", 0); got != step.want {
			t.Errorf("commitOffset=%s: consumer offset %d, want %d", step.offset, got, step.want)
		}
	}
}

func TestOpen_SaysWhatIsWrongWithAFileOfStateAndWhatToDo(t *testing.T) {
	t.Parallel()
	check := func(name, content, want string) {
		t.Helper()
		cfg := testConfig(t)
		path := filepath.Join(cfg.RootDir, "config", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
		b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err == nil {
			t.Fatal(name, "was taken", b.Close())
		}
		if got := strings.ReplaceAll(err.Error(), path, "F"); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
	check("consumerOffset.json", `{"offsetTable":{"a":5}}`, `cannot read "F": at "/offsetTable/a" of the JSON stands 5 where an object should be; there is no usable .bak. `+
		`Put a copy of the file back, or move it away to start without these data and bring them back with "liftoff restore" if there is a backup`)
	check("delayOffset.json", `{"offsetTable":`, `cannot read "F": not JSON: end where a value should be at byte 15; there is no usable .bak. `+
		`Put a copy of the file back, or move it away to start without these data`)
}

// A queue whose folder was removed is not missed by the store when others reach further; the group's offset shows it.
func TestOffsets_AheadOfAnEmptyQueueTellHowToMendIt(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	o := testOffsets(t, root, slog.New(slog.DiscardHandler), nil)
	for queue := range int32(2) {
		o.commit(bytesOf("G"), bytesOf("T"), queue, 9, anAddr{})
	}
	if err := o.write(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	testOffsets(t, root, slog.New(slog.NewTextHandler(&log, nil)), map[string]int64{"T/0": 0, "T/1": 8})
	if n := strings.Count(log.String(), "set back to its end"); n != 2 {
		t.Errorf("%d offsets were set back: %s", n, log.String())
	}
	if n := strings.Count(log.String(), "liftoff store check --repair"); n != 1 || !strings.Contains(log.String(), "queue_id=0 from=9 to=0 hint=") {
		t.Errorf("%d hints: %s", n, log.String())
	}
}
