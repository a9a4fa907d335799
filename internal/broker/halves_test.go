package broker

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// closed closes a broker and returns what another one is opened with on its folder.
func closed(t testing.TB, b *Broker, cfg config.Broker) config.Broker {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestHalves_AreRememberedAcrossARestart(t *testing.T) {
	t.Parallel()
	cfg := quietConfig(t)
	b := openOnce(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	var h []sentHalf
	for _, key := range []string{"committed", "rolledback", "open", "asked"} {
		h = append(h, sendHalf(t, c, "Topic", key))
	}
	mustEnd(t, c, h[0], txCommit)
	mustEnd(t, c, h[1], txRollback)
	checks := txConfig(t)
	checks.RootDir = cfg.RootDir
	b = openOnce(t, closed(t, b, checks))
	p := newTxProducer(t, b, "p1")
	if n := b.halfCounts.count("Topic"); n != 2 {
		t.Error(n, "half messages are counted")
	}
	for i, other := range []int{txRollback, txCommit} {
		if code, remark := end(t, p.conn, h[i], other); code != protocol.CodeIllegalOperation {
			t.Errorf("%s ended in the other way: %d %s", h[i].key, code, remark)
		}
	}
	mustEnd(t, p.conn, h[0], txCommit)
	mustEnd(t, p.conn, h[1], txRollback)
	mustEnd(t, p.conn, h[2], txCommit)
	asked := p.next(t)
	for asked.key != "asked" {
		asked = p.next(t)
	}
	// The copy is undecided after another restart, and what names the original is about it.
	b = openTest(t, closed(t, b, checks))
	c = dialTest(t, b, remoting.Options{})
	mustEnd(t, c, h[3], txCommit)
	mustEnd(t, c, asked.sentHalf, txCommit, "fromTransactionCheck", "true")
	mustEnd(t, c, h[3], txCommit)
	if got := keysOf(visible(t, b, c, "Topic")); got != "committed open asked" {
		t.Error("visible:", got)
	}
	eventually(t, "both positions at the ends", func() bool { return positionsAtEnd(b) })
	if n := b.halfCounts.count("Topic"); n != 0 {
		t.Error(n, "half messages are counted")
	}
}

// commitOnly stores the committed message of a half message without the op message, as a kill between them leaves it.
func commitOnly(t testing.TB, b *Broker, h sentHalf) {
	t.Helper()
	var m message.Message
	if isThere, _ := b.halves.readHalf(h.queueOffset, &m); !isThere {
		t.Fatal("no half message", h)
	}
	p := store.Put{Message: m, Queue: b.store.Queue("Topic", 1)}
	p.SysFlag |= message.FlagTransactionCommit
	p.PreparedTransactionOffset = h.logOffset
	p.Properties = message.AppendPropertiesWithout(nil, m.Properties, message.PropRealTopic, message.PropRealQueueID)
	if err := b.putAsIs([]store.Put{p}); err != nil {
		t.Fatal(err)
	}
}

func TestHalves_CommittedWithoutAnOpMessageAreFoundAgain(t *testing.T) {
	t.Parallel()
	cfg := quietConfig(t)
	b := openOnce(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	one, two, three := sendHalf(t, c, "Topic", "one"), sendHalf(t, c, "Topic", "two"), sendHalf(t, c, "Topic", "three")
	for _, h := range []sentHalf{one, two, three} {
		commitOnly(t, b, h)
	}
	b = openOnce(t, closed(t, b, cfg))
	c = dialTest(t, b, remoting.Options{})
	mustEnd(t, c, one, txCommit)
	if code, _ := end(t, c, two, txRollback); code != protocol.CodeIllegalOperation {
		t.Error("rolled back after the commit:", code)
	}
	if got := opsOf(t, b); got != "0 1" {
		t.Errorf("op messages %q", got)
	}
	checks := txConfig(t)
	checks.RootDir = cfg.RootDir
	b = openTest(t, closed(t, b, checks))
	p := newTxProducer(t, b, "p1")
	eventually(t, "the third is found by its check", func() bool { return positionsAtEnd(b) })
	select {
	case c := <-p.checks:
		t.Error("a check:", c.fields)
	default:
	}
	if got := keysOf(visible(t, b, p.conn, "Topic")); got != "one two three" {
		t.Error("visible:", got)
	}
}

func TestHalves_OfApacheAreDecided(t *testing.T) {
	t.Parallel()
	cfg := quietConfig(t)
	if err := os.CopyFS(cfg.RootDir, os.DirFS("../store/testdata/golden/store")); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"batchconsumequeue", "timerlog"} { // of sizes of their own
		if err := os.RemoveAll(filepath.Join(cfg.RootDir, other)); err != nil {
			t.Fatal(err)
		}
	}
	cfg.CommitLogFileSize, cfg.ConsumeQueueFileSize, cfg.IndexSlots, cfg.IndexEntries = 131072, 6000, 100, 400
	b := openTest(t, cfg)
	b.halves.mu.Lock()
	undecided, base, opBase := len(b.halves.open), b.halves.base, b.halves.opBase
	b.halves.mu.Unlock()
	if undecided != 0 || base != 8 || opBase != 2 {
		t.Fatalf("%d half messages are undecided, from %d and %d on", undecided, base, opBase)
	}
	if n, at := b.halfCounts.count("GoldenTrans"), b.halfCounts.version.Counter; n != 0 || at != 8 {
		t.Errorf("%d half messages are counted after %d changes", n, at)
	}
	c := dialTest(t, b, remoting.Options{})
	const group = "GoldenTxProducer"
	q := b.store.Queue("GoldenTrans", 0)
	check := func(what string, h sentHalf, decision, code int, end int64) {
		t.Helper()
		r := call(t, c, protocol.ReqEndTransaction, endFields(h, decision, "producerGroup", group), nil)
		dispatched(t, b)
		if int(r.Code) != code || q.MaxOffset() != end {
			t.Errorf("%s: %d %s, the topic ends at %d", what, r.Code, r.Remark, q.MaxOffset())
		}
	}
	const no = protocol.CodeIllegalOperation
	check("committed again", sentHalf{"k", 0, 16331}, txCommit, 0, 2)
	check("committed, then rolled back", sentHalf{"k", 0, 16331}, txRollback, no, 2)
	check("rolled back again", sentHalf{"k", 1, 16715}, txRollback, 0, 2)
	check("rolled back, then committed", sentHalf{"k", 1, 16715}, txCommit, no, 2)
	check("committed by a check", sentHalf{"k", 4, 158763}, txCommit, 0, 2)
	check("given up", sentHalf{"k", 7, 164409}, txCommit, 0, 3)
	check("given up, committed again", sentHalf{"k", 7, 164409}, txCommit, 0, 3)
}

func TestHalves_LongUndecidedOnesDoNotHoldTheOthersBack(t *testing.T) {
	t.Parallel()
	cfg := quietConfig(t)
	b := openOnce(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	long := sendHalf(t, c, "Topic", "long", message.PropCheckImmunityTime, "1000")
	for i := range 20 {
		mustEnd(t, c, sendHalf(t, c, "Topic", strconv.Itoa(i)), txRollback)
	}
	b.stopFollowers() // it is done here
	k := &checker{halves: b.halves, last: time.Now(), positions: [2]int64{-1, -1}}
	k.scan()
	k.hold(t.Context(), 10)
	k.advance()
	if b.halves.base != 21 || b.halves.q.MaxOffset() != 22 || b.halves.opBase != b.halves.ops.MaxOffset() {
		t.Fatalf("positions %d %d", b.halves.base, b.halves.opBase)
	}
	b = openTest(t, closed(t, b, cfg))
	c = dialTest(t, b, remoting.Options{})
	mustEnd(t, c, long, txCommit)
	mustEnd(t, c, long, txCommit)
	m := visible(t, b, c, "Topic")
	if keysOf(m) != "long" {
		t.Error("visible:", keysOf(m))
	}
	if _, ok := message.Property(m[0].Properties, message.PropPreparedQueueOffset); ok {
		t.Errorf("a committed message has the properties %q", m[0].Properties)
	}
}

func TestHalves_ForgetWhatHasEnded(t *testing.T) {
	t.Parallel()
	b := openTest(t, txConfig(t))
	c := dialTest(t, b, remoting.Options{})
	for i := range 3 * halfChunk / 2 {
		r := call(t, c, protocol.ReqSendMessageV2, sendFields("Topic", "e", "1", "g", strconv.FormatInt(time.Now().UnixMilli(), 10), "i", halfProps("k")), nil)
		h := halfOf(t, r, "k")
		if h.queueOffset != int64(i) && h.queueOffset < int64(i) {
			t.Fatal("half message", i, "is at", h.queueOffset)
		}
		mustEnd(t, c, h, txRollback)
	}
	eventually(t, "nothing is kept", func() bool {
		b.halves.mu.Lock()
		defer b.halves.mu.Unlock()
		return b.halves.base == b.halves.q.MaxOffset() && len(b.halves.states.chunks) <= 1 && len(b.halves.open)+len(b.halves.current) == 0
	})
}

func TestHalfWindow_KeepsWhatIsSet(t *testing.T) {
	t.Parallel()
	var w halfWindow
	for _, at := range []int64{3 * halfChunk, 3*halfChunk + 1, 9 * halfChunk, halfChunk - 1} {
		w.set(at, halfCommitted)
	}
	check := func(at int64, want halfState) {
		t.Helper()
		if got := w.get(at); got != want {
			t.Errorf("state at %d is %d, not %d", at, got, want)
		}
	}
	check(3*halfChunk, halfCommitted)
	check(halfChunk-1, halfCommitted)
	check(9*halfChunk, halfCommitted)
	check(5*halfChunk, halfOpen)
	w.dropBefore(3*halfChunk + 1)
	check(halfChunk-1, halfOpen)
	check(3*halfChunk+1, halfCommitted)
	w.dropBefore(100 * halfChunk)
	if len(w.chunks) != 0 {
		t.Error(len(w.chunks), "chunks are left")
	}
	w.set(100*halfChunk, halfGone)
	check(100*halfChunk, halfGone)
}

// FuzzOpOffsets reads any op message.
func FuzzOpOffsets(f *testing.F) {
	for _, body := range []string{"0,1,", "17", "17,18", "", ",", "x,5,-3,,9999999999999999999999,12", "1\x002,"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := message.Message{Body: body, Properties: opProperties}
		n := 0
		for offset := range opOffsets(&m) {
			if offset < 0 {
				t.Fatal(offset)
			}
			n++
		}
		if n > len(body)/2+1 {
			t.Fatalf("%d offsets in %d bytes", n, len(body))
		}
	})
}

func TestOpOffsets_AreThoseThatAreNumbers(t *testing.T) {
	t.Parallel()
	check := func(body string, want ...int64) {
		t.Helper()
		m := message.Message{Body: []byte(body), Properties: opProperties}
		if got := slices.Collect(opOffsets(&m)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", body, got, want)
		}
	}
	check("0,1,", 0, 1)
	check("17", 17)
	check("x,5,-3,,9999999999999999999999,12 ,7", 5, 7)
	check("")
	m := message.Message{Body: []byte("1,"), Properties: []byte("TAGS\x01x\x02")}
	if got := slices.Collect(opOffsets(&m)); got != nil {
		t.Error("another tag:", got)
	}
}

// Brokers before 5.0 read one number without a comma, and nothing else.
func TestAppendOps_TellsOfOneEach(t *testing.T) {
	t.Parallel()
	b := openTest(t, quietConfig(t))
	var bodies []string
	for _, p := range b.halves.appendOps(nil, b.settings.Load(), []int64{0, 101, 9000000000000000000}) {
		bodies = append(bodies, string(p.Body))
	}
	if want := []string{"0", "101", "9000000000000000000"}; !slices.Equal(bodies, want) {
		t.Errorf("%q, want %q", bodies, want)
	}
}

// count returns how many half messages of a topic are undecided.
func (c *halfCounts) count(topic string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.byTopic[topic]; n != nil {
		return n.Count
	}
	return 0
}

// A check that ends with a panic gives back what it has taken: who wants to end one of those transactions would wait for ever.
func TestHalves_AreGivenBackByACheckThatPanics(t *testing.T) {
	t.Parallel()
	b := openOnce(t, quietConfig(t))
	c := dialTest(t, b, remoting.Options{})
	half := sendHalf(t, c, "Topic", "key")
	b.stopFollowers()
	k := &checker{halves: b.halves, last: time.Now(), positions: [2]int64{-1, -1}}
	await(t, "the half message in its queue", func() bool { return b.halves.q.MaxOffset() > 0 }) // it is answered before
	k.scan()
	at := 0
	taken := k.take(&at, func(openHalf) bool { return true })
	if len(taken) != 1 || survived(b.log, "as the test wants it", func() { _ = k.check(nil, taken, &roundResult{}) }) {
		t.Fatalf("%d half messages were checked without a panic", len(taken))
	}
	if s := b.halves.states.get(taken[0].offset); s&halfStates != halfOpen {
		t.Fatalf("the half message is in state %b", s)
	}
	mustEnd(t, c, half, txCommit)
}
