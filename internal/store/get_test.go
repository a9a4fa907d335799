package store

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

func TestGet_TellsWhereToGoOn(t *testing.T) {
	t.Parallel()
	s, _ := faultyStore(t, nil)
	defer s.Close()
	q := s.Queue("TopicA", 0)
	get := func(q *Queue, offset int64, want GetStatus, next int64, count int) {
		t.Helper()
		_, r := s.Get(q, offset, 32, 1<<20, nil, nil)
		if r.Status != want || r.NextOffset != next || r.Count != count {
			t.Errorf("at %d: got %v, next %d, %d messages, want %v, next %d, %d messages", offset, r.Status, r.NextOffset, r.Count, want, next, count)
		}
	}
	get(nil, 5, NoMatchedLogicQueue, 0, 0)
	get(q, 5, NoMessageInQueue, 0, 0)
	for i := range 10 {
		putWait(t, s, Written, testPut(q, fmt.Sprint(i)))
	}
	get(q, 0, Found, 10, 10)
	get(q, 9, Found, 10, 1)
	get(q, 10, OffsetOverflowOne, 10, 0)
	get(q, 11, OffsetOverflowBadly, 10, 0)
	get(q, -1, OffsetTooSmall, 0, 0)
}

func TestGet_KeepsToItsLimits(t *testing.T) {
	t.Parallel()
	s, _ := faultyStore(t, func(c *Config) { c.CommitLogFileSize, c.ConsumeQueueFileSize = 4<<20, 1000*unitSize })
	defer s.Close()
	q := s.Queue("TopicA", 0)
	p := testPut(q, "k")
	p.Body = make([]byte, 1000)
	puts := slices.Repeat([]Put{p}, 300)
	size := len(putWait(t, s, Written, puts...)[0].AppendRecord(nil, false))
	check := func(what string, msgs, bytes, want int) {
		t.Helper()
		data, r := s.Get(q, 0, msgs, bytes, nil, nil)
		if r.Count != want || r.NextOffset != int64(want) || len(data) != want*size || r.Bytes != len(data) || r.SuggestSlave {
			t.Errorf("%s: got %d messages, next %d, %d bytes, want %d messages", what, r.Count, r.NextOffset, len(data), want)
		}
	}
	check("the caller's count", 7, 1<<20, 7)
	check("no count", 0, 1<<20, 1)
	check("the caller's bytes", 32, 5*size, 5)
	check("less than one message", 32, 10, 1)
	check("messages in memory", 1000, 1<<30, 32)
	s.live.Load().MaxTransferCountOnMessageInMemory = 1000
	check("bytes in memory", 1000, 1<<30, 256<<10/size)
	s.live.Load().memory = -1 // everything is far behind
	check = func(what string, msgs, bytes, want int) {
		t.Helper()
		_, r := s.Get(q, 0, msgs, bytes, nil, nil)
		if r.Count != want || !r.SuggestSlave {
			t.Errorf("%s: got %d messages, want %d", what, r.Count, want)
		}
	}
	check("messages on disk", 1000, 1<<30, 8)
	s.live.Load().MaxTransferCountOnMessageInDisk = 1000
	check("bytes on disk", 1000, 1<<30, 64<<10/size)
}

func TestGet_PassesOverWhatIsNotWanted(t *testing.T) {
	t.Parallel()
	s, _ := faultyStore(t, nil)
	defer s.Close()
	q := s.Queue("TopicA", 0)
	for i := range 2000 {
		p := testPut(q, fmt.Sprint(i))
		p.Properties = message.AppendProperty(nil, message.PropTags, fmt.Sprint(i%100))
		putWait(t, s, Written, p)
	}
	seven := message.TagsCode([]byte("7"))
	match := func(code int64) bool { return code == seven }
	var got []string
	var seen []GetStatus
	from := int64(0)
	for {
		data, r := s.Get(q, from, 3, 1<<20, &Filter{Tags: match}, nil)
		if r.Status != Found && r.Status != NoMatchedMessage {
			break
		}
		seen = append(seen, r.Status)
		if r.NextOffset <= from || r.NextOffset-from > 800 {
			t.Fatalf("went from %d to %d", from, r.NextOffset)
		}
		for len(data) > 0 {
			var m message.Message
			check(t, message.Decode(data, &m))
			got = append(got, string(m.Body))
			data = data[m.Size:]
		}
		from = r.NextOffset
	}
	var want []string
	for i := 7; i < 2000; i += 100 {
		want = append(want, fmt.Sprint(i))
	}
	wantBodies(t, got, want)
	// Nothing wanted in a whole file of the queue.
	_, r := s.Get(q, 0, 3, 1<<20, &Filter{Tags: func(int64) bool { return false }}, nil)
	if r.Status != NoMatchedMessage || r.NextOffset != 100 {
		t.Errorf("nothing wanted: %v, next %d", r.Status, r.NextOffset)
	}
	if !slices.Contains(seen, NoMatchedMessage) && len(seen) < 5 {
		t.Errorf("got %v", seen)
	}
}

func TestGet_AsksAFilterThatLooksAtTheRecord(t *testing.T) {
	t.Parallel()
	s, _ := faultyStore(t, nil)
	defer s.Close()
	q := s.Queue("TopicA", 0)
	for i := range 250 {
		p := testPut(q, fmt.Sprint(i))
		p.Properties = message.AppendProperty(nil, "n", fmt.Sprint(i%100))
		p.Properties = message.AppendProperty(p.Properties, message.PropTags, fmt.Sprint(i%2))
		putWait(t, s, Written, p)
	}
	even, asked := message.TagsCode([]byte("0")), 0
	property := func(want string) *Filter {
		asked = 0
		return &Filter{Tags: func(code int64) bool { return code == even }, Record: func(record []byte) bool {
			asked++
			var m message.Dispatch
			check(t, message.ReadDispatch(record, &m))
			n, _ := message.Property(m.Properties, "n")
			return int(m.Size) == len(record) && string(n) == want
		}}
	}
	want := func(from int64, maxMsgs int, n string, status GetStatus, next int64, count, looked int) {
		t.Helper()
		data, r := s.Get(q, from, maxMsgs, 1<<20, property(n), nil)
		if r.Status != status || r.NextOffset != next || r.Count != count || r.Bytes != len(data) || asked != looked {
			t.Errorf("n=%s from %d: %v, next %d, %d messages of %d bytes, asked of %d", n, from, r.Status, r.NextOffset, r.Count, r.Bytes, asked)
		}
	}
	want(0, 32, "40", Found, 100, 1, 50)            // to the end of the queue's file, which holds a hundred
	want(0, 32, "41", NoMatchedMessage, 100, 0, 50) // not wanted by its tag, so never looked at
	want(0, 32, "-1", NoMatchedMessage, 100, 0, 50) // none
	want(200, 32, "48", Found, 250, 1, 25)          // at the end
	want(200, 32, "98", NoMatchedMessage, 250, 0, 25)
	want(250, 32, "98", OffsetOverflowOne, 250, 0, 0)
	want(0, 1, "0", Found, 1, 1, 1)
	want(0, 1, "40", Found, 41, 1, 21) // few messages asked for are no reason to look at few
	want(100, 5, "-1", NoMatchedMessage, 200, 0, 50)
}

func TestGet_PassesOverFillers(t *testing.T) {
	t.Parallel()
	s, _ := faultyStore(t, nil)
	defer s.Close()
	q := s.Queue("TopicA", 0)
	putWait(t, s, Written, testPut(q, "one"))
	s.log.mu.Lock()
	q.next += 50 // as after a part of the queue's file was lost
	s.log.mu.Unlock()
	putWait(t, s, Written, testPut(q, "two"))
	for _, c := range []struct {
		offset, next int64
		count        int
	}{{0, 52, 2}, {1, 52, 1}, {30, 52, 1}, {51, 52, 1}} {
		data, r := s.Get(q, c.offset, 32, 1<<20, nil, nil)
		if r.Status != Found || r.Count != c.count || r.NextOffset != c.next || cap(data) > 1<<20 {
			t.Errorf("at %d: %v, %d messages, next %d, %d bytes taken", c.offset, r.Status, r.Count, r.NextOffset, cap(data))
		}
	}
}

// Messages of many queues lie mixed in the log; a pull of one of them reads its stretch once.
func TestGet_ReadsMixedQueuesFromFiles(t *testing.T) {
	t.Parallel()
	reads := 0
	m := &countingFS{FS: logfile.NewMemory(), reads: &reads}
	cfg := memoryConfig(t, m)
	cfg.CommitLogFileSize = 1 << 20
	cfg.ConsumeQueueFileSize = 1000 * unitSize
	s := openTest(t, cfg)
	var want [4][]string
	for i := range 1200 {
		body := fmt.Sprintf("%d %s", i, strings.Repeat("b", i%700))
		want[i%4] = append(want[i%4], body)
		p := testPut(s.Queue("TopicA", int32(i%4)), "k")
		p.Body = []byte(body)
		putWait(t, s, Written, p)
	}
	check(t, s.Close())
	s = openTest(t, cfg) // nothing is in memory now
	defer s.Close()
	for id := range 4 {
		reads = 0
		wantBodies(t, bodies(t, s, s.Queue("TopicA", int32(id)), 0), want[id])
		if most := 300/32*2 + 4; reads > most {
			t.Errorf("queue %d: %d reads for 300 messages, want at most %d", id, reads, most)
		}
	}
}

// countingFS counts reads of files; one goroutine at a time.
type countingFS struct {
	logfile.FS
	reads *int
}

func (c *countingFS) Open(name string) (logfile.File, error) {
	f, err := c.FS.Open(name)
	return countingFile{f, c.reads}, err
}

type countingFile struct {
	logfile.File
	reads *int
}

func (f countingFile) ReadAt(p []byte, off int64) (int, error) {
	*f.reads++
	return f.File.ReadAt(p, off)
}

func TestMessageAt_RefusesAnyOtherNumber(t *testing.T) {
	t.Parallel()
	s, _ := faultyStore(t, nil)
	defer s.Close()
	q := s.Queue("TopicA", 0)
	starts := map[int64]bool{}
	for i := range 400 {
		starts[putWait(t, s, Written, testPut(q, fmt.Sprint(i)))[0].LogOffset] = true
	}
	end := s.Stats().Written
	for off := int64(-100); off < end+100; off++ {
		rec, err := s.MessageAt(off)
		if (err == nil) != starts[off] || err == nil && logOffsetOf(rec) != off {
			t.Fatalf("at %d: %v", off, err)
		}
	}
	for _, off := range []int64{1 << 40, 1<<63 - 1, 1<<63 - 200, -1 << 63} {
		if _, err := s.MessageAt(off); err == nil {
			t.Errorf("at %d: no error", off)
		}
	}
}

func offsetByTime(t *testing.T, s *Store, q *Queue, timestamp int64, boundary Boundary) int64 {
	t.Helper()
	offset, err := s.OffsetByTime(q, timestamp, boundary)
	check(t, err)
	return offset
}

func TestOffsetByTime_FindsBothBoundaries(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	s, _ := faultyStore(t, func(c *Config) { c.now = func() time.Time { return time.UnixMilli(clock.Load()) } })
	defer s.Close()
	q := s.Queue("TopicA", 0)
	if got := offsetByTime(t, s, q, 5, Lower); got != 0 {
		t.Errorf("empty queue: %d", got)
	}
	times := []int64{100, 100, 100, 300, 300, 500}
	for i, ms := range times {
		clock.Store(ms)
		putWait(t, s, Written, testPut(q, fmt.Sprint(i)))
	}
	for _, c := range []struct{ time, lower, upper int64 }{
		{0, 0, 0}, {100, 0, 2}, {200, 3, 2}, {300, 3, 4}, {400, 5, 4}, {500, 5, 5}, {600, 6, 5},
	} {
		if lower, upper := offsetByTime(t, s, q, c.time, Lower), offsetByTime(t, s, q, c.time, Upper); lower != c.lower || upper != c.upper {
			t.Errorf("time %d: got %d and %d, want %d and %d", c.time, lower, upper, c.lower, c.upper)
		}
	}
	if ms, ok := s.EarliestStoreTime(q); !ok || ms != 100 {
		t.Errorf("earliest is %d, %v", ms, ok)
	}
	if ms, ok := s.EarliestLogTime(); !ok || ms != 100 {
		t.Errorf("earliest of the log is %d, %v", ms, ok)
	}
	if _, ok := s.StoreTime(q, 6); ok {
		t.Error("there is a time behind the end")
	}
}

func TestQuery_LooksAtTheMessagesThemselves(t *testing.T) {
	t.Parallel()
	s, _ := faultyStore(t, nil)
	defer s.Close()
	put := func(topic, keys, tag, unique string) {
		p := testPut(s.Queue(topic, 0), topic+keys)
		p.Properties = nil
		for name, value := range map[string]string{message.PropKeys: keys, message.PropTags: tag, message.PropUniqKey: unique} {
			if value != "" {
				p.Properties = message.AppendProperty(p.Properties, name, value)
			}
		}
		putWait(t, s, Written, p)
	}
	put("TopicA", "AaAa k1", "red", "u1")
	put("TopicA", "BBBB k1", "red", "u2") // has the hash of AaAa
	put("TopicB", "AaAa", "", "u3")
	put("TopicA", "k1k1", "k1", "k1")
	count := func(want int, q KeyQuery) {
		t.Helper()
		q.End, q.Max = max(q.End, 1<<60), max(q.Max, 1)
		if r, err := s.Query(q); err != nil || r.Count != want {
			t.Errorf("%+v: got %d, %v, want %d", q, r.Count, err, want)
		}
	}
	count(1, KeyQuery{Topic: "TopicA", Key: "AaAa", Max: 10})
	count(1, KeyQuery{Topic: "TopicA", Key: "BBBB", Max: 10})
	count(1, KeyQuery{Topic: "TopicB", Key: "AaAa", Max: 10})
	count(3, KeyQuery{Topic: "TopicA", Key: "k1", Max: 10}) // two keys and a unique key
	count(2, KeyQuery{Topic: "TopicA", Key: "k1", Max: 2})
	count(1, KeyQuery{Topic: "TopicA", Key: "k1", Max: 10, Kind: UniqueKey})
	count(1, KeyQuery{Topic: "TopicA", Key: "k1", Max: 10, Kind: TagKey})
	count(2, KeyQuery{Topic: "TopicA", Key: "red", Max: 10, Kind: TagKey})
	count(0, KeyQuery{Topic: "TopicA", Key: "red", Max: 10})
	count(0, KeyQuery{Topic: "TopicC", Key: "k1", Max: 10})
	count(0, KeyQuery{Topic: "TopicA", Key: "k1", Max: 10, Begin: 1 << 59})
}

// TestGetNow_DoesNotWaitForADisk reads a queue of which only the end is in memory.
func TestGetNow_DoesNotWaitForADisk(t *testing.T) {
	t.Parallel()
	s, faults := faultyStore(t, func(c *Config) { c.CommitLogFileSize = 64 << 20 })
	q := s.Queue("TopicA", 0)
	const count = 6000
	body := strings.Repeat("x", 1000)
	for i := range count {
		putWait(t, s, Written, testPut(q, fmt.Sprint(i, body)))
	}
	all, want := s.Get(q, 0, 32, 1<<20, nil, nil)
	if want.Count != 32 {
		t.Fatal(want)
	}
	now := func(offset int64) (int, bool) {
		t.Helper()
		got, r, ok := s.GetNow(q, offset, 32, 1<<20, nil, nil)
		if ok && offset == 0 && !bytes.Equal(got, all[:len(got)]) {
			t.Error("other records than Get's")
		}
		if ok && r.NextOffset != offset+int64(r.Count) {
			t.Errorf("%d records, next offset %d", r.Count, r.NextOffset)
		}
		return r.Count, ok
	}
	if n, ok := now(0); !ok || n != 32 {
		t.Error(n, ok)
	}
	s.cache.rest()
	s.cache.rest()
	faults.Inject(logfile.Fault{Op: logfile.OpReadNow, Path: "commitlog", Err: logfile.ErrWouldWait})
	if n, ok := now(0); ok {
		t.Errorf("%d records from the disk", n)
	}
	if n, ok := now(count - 10); !ok || n != 10 {
		t.Error("from memory:", n, ok)
	}
	first := logOffsetOf(mustGet(t, s, q, 0))
	for at := int64(0); ; at++ { // the first that is in memory
		if s.Remembers(logOffsetOf(mustGet(t, s, q, at))) {
			s.cache.rest()
			s.cache.rest()
			if n, ok := now(at - 5); ok {
				t.Errorf("%d records before those in memory", n)
			}
			if n, ok := now(at); !ok || n != 32 {
				t.Error("the first in memory:", n, ok)
			}
			break
		}
	}
	if s.Remembers(first) {
		t.Error("all of it is in memory")
	}
	faults.Heal()
	faults.Inject(logfile.Fault{Op: logfile.OpReadNow, Path: "consumequeue", Err: logfile.ErrWouldWait})
	if n, ok := now(64); ok {
		t.Errorf("%d records of a queue that is on the disk", n)
	}
	faults.Heal()
	check(t, s.Close())
}

func mustGet(t *testing.T, s *Store, q *Queue, offset int64) []byte {
	t.Helper()
	rec, r := s.Get(q, offset, 1, 1<<20, nil, nil)
	if r.Count != 1 {
		t.Fatal(r)
	}
	return rec
}

// TestGet_ReadsAheadOnlyWhatIsThere deletes a topic while its queue is read in turn, and uses it again.
func TestGet_ReadsAheadOnlyWhatIsThere(t *testing.T) {
	t.Parallel()
	s, _ := faultyStore(t, nil)
	const count = 1000
	for _, run := range []string{"old", "new"} {
		q := s.Queue("TopicA", 0)
		for i := range count {
			putWait(t, s, Written, testPut(q, fmt.Sprint(run, i)))
		}
		got := bodies(t, s, q, 0)
		for i, b := range got {
			if b != fmt.Sprint(run, i) {
				t.Fatalf("message %d is %q", i, b)
			}
		}
		if len(got) != count {
			t.Fatalf("%d messages", len(got))
		}
		check(t, s.DeleteTopic("TopicA"))
	}
	check(t, s.Close())
}
