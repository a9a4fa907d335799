package broker

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// txGroup is the producer group of the tests here.
const txGroup = "TxGroup"

// txConfig checks transactions soon and often.
func txConfig(t testing.TB) config.Broker {
	t.Helper()
	cfg := testConfig(t)
	cfg.TransactionTimeout, cfg.TransactionCheckInterval, cfg.TransactionCheckMax = 50*time.Millisecond, 50*time.Millisecond, 1000
	return cfg
}

// quietConfig never checks.
func quietConfig(t testing.TB) config.Broker {
	t.Helper()
	cfg := testConfig(t)
	cfg.TransactionCheckInterval = time.Hour
	return cfg
}

// halfProps are a half message's properties as a client sends them.
func halfProps(key string, more ...string) string {
	p := "KEYS\x01" + key + "\x02TRAN_MSG\x01true\x02PGROUP\x01" + txGroup + "\x02UNIQ_KEY\x01" + key + "\x02WAIT\x01true\x02TAGS\x01tag\x02"
	for i := 0; i < len(more); i += 2 {
		p += more[i] + "\x01" + more[i+1] + "\x02"
	}
	return p
}

// sentHalf is a half message as its sender knows it.
type sentHalf struct {
	key                    string
	queueOffset, logOffset int64
}

// sendHalf sends a half message to queue 1 of a topic.
func sendHalf(t testing.TB, c *remoting.Conn, topic, key string, more ...string) sentHalf {
	t.Helper()
	r := call(t, c, protocol.ReqSendMessageV2, sendFields(topic, "e", "1", "f", "4", "g", strconv.FormatInt(time.Now().UnixMilli(), 10),
		"h", "7", "i", halfProps(key, more...)), []byte("body of "+key))
	if r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	return halfOf(t, r, key)
}

func halfOf(t testing.TB, r *remoting.Response, key string) sentHalf {
	t.Helper()
	id, _ := r.Get("msgId")
	_, logOffset, err := message.ParseOffsetID(id)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := r.Get("queueOffset")
	offset, _ := protocol.ParseInt(v)
	if tx, _ := r.Get("transactionId"); string(tx) != key {
		t.Fatalf("the transaction of %s is %q", key, tx)
	}
	if q, _ := r.Get("queueId"); string(q) != "1" {
		t.Fatalf("the half message for queue 1 was answered with queue %s", q)
	}
	return sentHalf{key, offset, logOffset}
}

const (
	txCommit   = message.FlagTransactionCommit
	txRollback = message.FlagTransactionRollback
)

// endFields are the fields of the end of a transaction, changed by the pairs that follow.
func endFields(h sentHalf, decision int, changes ...string) [][2]string {
	ext := [][2]string{{"producerGroup", txGroup}, {"tranStateTableOffset", strconv.FormatInt(h.queueOffset, 10)},
		{"commitLogOffset", strconv.FormatInt(h.logOffset, 10)}, {"commitOrRollback", strconv.Itoa(decision)},
		{"fromTransactionCheck", "false"}, {"msgId", h.key}, {"transactionId", h.key}}
	for i := 0; i < len(changes); i += 2 {
		for j := range ext {
			if ext[j][0] == changes[i] {
				ext[j][1] = changes[i+1]
			}
		}
	}
	return ext
}

// end ends a transaction and returns the answer's code and remark.
func end(t testing.TB, c *remoting.Conn, h sentHalf, decision int, changes ...string) (int, string) {
	t.Helper()
	r := call(t, c, protocol.ReqEndTransaction, endFields(h, decision, changes...), nil)
	return int(r.Code), string(r.Remark)
}

func mustEnd(t testing.TB, c *remoting.Conn, h sentHalf, decision int, changes ...string) {
	t.Helper()
	if code, remark := end(t, c, h, decision, changes...); code != 0 {
		t.Fatalf("ending %s with %d was answered with %d %s", h.key, decision, code, remark)
	}
}

// dispatched waits until all that is stored is visible, for an answer may come before.
func dispatched(t testing.TB, b *Broker) {
	t.Helper()
	eventually(t, "all is visible", func() bool { s := b.store.Stats(); return s.Dispatched == s.Appended })
}

// visible returns what is in queue 1 of a topic.
func visible(t testing.TB, b *Broker, c *remoting.Conn, topic string) []message.Message {
	t.Helper()
	dispatched(t, b)
	r := call(t, c, protocol.ReqPullMessage, pullFields(topic, 1, 0, "suspendTimeoutMillis", "0"), nil)
	if r.Code != 0 {
		return nil
	}
	return records(t, r.Body)
}

func keysOf(ms []message.Message) string {
	var keys []string
	for _, m := range ms {
		k, _ := message.Property(m.Properties, message.PropUniqKey)
		keys = append(keys, string(k))
	}
	return strings.Join(keys, " ")
}

// eventually waits until what is asked for is so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 20 s: ", what)
		}
	}
}

func TestTransaction_CommittedIsVisibleOnceAndRolledBackNever(t *testing.T) {
	t.Parallel()
	b := openTest(t, quietConfig(t))
	c := dialTest(t, b, remoting.Options{})
	one, two, three := sendHalf(t, c, "Topic", "one", "user", "é"), sendHalf(t, c, "Topic", "two"), sendHalf(t, c, "Topic", "three")
	if got := visible(t, b, c, "Topic"); len(got) != 0 {
		t.Fatal("half messages are visible:", keysOf(got))
	}
	if n := b.halfCounts.count("Topic"); n != 3 {
		t.Error(n, "half messages are counted")
	}
	mustEnd(t, c, one, txCommit)
	mustEnd(t, c, two, txRollback)
	mustEnd(t, c, three, 0)
	for range 2 {
		mustEnd(t, c, one, txCommit)
		mustEnd(t, c, two, txRollback, "fromTransactionCheck", "true")
		for h, other := range map[sentHalf]int{one: txRollback, two: txCommit} {
			if code, remark := end(t, c, h, other); code != protocol.CodeIllegalOperation || !strings.Contains(remark, "first decision") {
				t.Errorf("%s ended in the other way: %d %s", h.key, code, remark)
			}
		}
	}
	got := visible(t, b, c, "Topic")
	if keysOf(got) != "one" {
		t.Fatal("visible:", keysOf(got))
	}
	m := got[0]
	want := halfProps("one", "user", "é") + "MSG_REGION\x01DefaultRegion\x02TRACE_ON\x01true\x02CLUSTER\x01DefaultCluster\x02__transactionId__\x01one\x02"
	if string(m.Properties) != want {
		t.Errorf("properties %q, want %q", m.Properties, want)
	}
	if m.SysFlag != message.FlagTransactionCommit || m.PreparedTransactionOffset != one.logOffset || m.Flag != 7 || string(m.Body) != "body of one" || m.QueueID != 1 {
		t.Errorf("committed %+v", m)
	}
	if n := b.halfCounts.count("Topic"); n != 1 {
		t.Error(n, "half messages are counted")
	}
	half := records(t, getAll(t, b, topicHalf))
	if len(half) != 3 || half[0].SysFlag != 0 || half[0].QueueID != 0 {
		t.Fatalf("half messages %+v", half)
	}
	if want := want + "REAL_TOPIC\x01Topic\x02REAL_QID\x011\x02"; string(half[0].Properties) != want {
		t.Errorf("half message's properties %q, want %q", half[0].Properties, want)
	}
	if got := opsOf(t, b); got != "0 1" {
		t.Errorf("op messages %q", got)
	}
}

// getAll reads queue 0 of a topic.
func getAll(t testing.TB, b *Broker, topic string) (all []byte) {
	t.Helper()
	dispatched(t, b)
	q := b.store.Queue(topic, 0)
	for at := q.MinOffset(); at < q.MaxOffset(); {
		rec, res := b.store.Get(q, at, 32, 1<<20, nil, nil)
		all = append(all, rec...)
		if res.NextOffset <= at {
			t.Fatalf("%s cannot be read at %d: %v", topic, at, res.Status)
		}
		at = res.NextOffset
	}
	return all
}

// opsOf returns the bodies of all op messages.
func opsOf(t testing.TB, b *Broker) string {
	t.Helper()
	var bodies []string
	for _, m := range records(t, getAll(t, b, topicOp)) {
		if string(m.Properties) != "TAGS\x01d\x02WAIT\x01true\x02" {
			t.Errorf("op message with the properties %q", m.Properties)
		}
		bodies = append(bodies, string(m.Body))
	}
	return strings.Join(bodies, " ")
}

func TestEndTransaction_RefusalsAreApachesAndNameTheCause(t *testing.T) {
	t.Parallel()
	b := openTest(t, quietConfig(t))
	c := dialTest(t, b, remoting.Options{})
	h := sendHalf(t, c, "Topic", "one")
	other := sendHalf(t, c, "Topic", "two")
	plain := halfOfPlain(t, c)
	check := func(what string, fields [][2]string, want int, words ...string) {
		t.Helper()
		r := call(t, c, protocol.ReqEndTransaction, fields, nil)
		if int(r.Code) != want {
			t.Errorf("%s: code %d %s, want %d", what, r.Code, r.Remark, want)
		}
		for _, w := range words {
			if !strings.Contains(string(r.Remark), w) {
				t.Errorf("%s: remark %q does not say %q", what, r.Remark, w)
			}
		}
	}
	num := func(n int64) string { return strconv.FormatInt(n, 10) }
	const failed = protocol.CodeSystemError
	check("group", endFields(h, txCommit, "producerGroup", "Other"), failed, "The producer group wrong", "Other", txGroup)
	check("queue offset", endFields(h, txCommit, "tranStateTableOffset", num(other.queueOffset)), failed, "The transaction state table offset wrong")
	check("queue offset behind the end", endFields(h, txCommit, "tranStateTableOffset", "4711"), failed, "The transaction state table offset wrong")
	check("negative queue offset", endFields(h, txCommit, "tranStateTableOffset", "-1"), failed, "The transaction state table offset wrong")
	for _, at := range []int64{-1, 1, h.logOffset + 1, 1 << 60, plain} {
		check(fmt.Sprint("log offset ", at), endFields(h, txCommit, "commitLogOffset", num(at)), failed, "Find prepared transaction message failed", num(at))
	}
	check("decision", endFields(h, 4), failed, "commitOrRollback field wrong")
	check("no number", endFields(h, txCommit, "tranStateTableOffset", "x"), failed, "tranStateTableOffset")
	check("field missing", endFields(h, txCommit)[1:], failed, "producerGroup", "null")
	if got := visible(t, b, c, "Topic"); len(got) != 0 {
		t.Error("visible:", keysOf(got))
	}
	mustEnd(t, c, h, txCommit)
}

// halfOfPlain stores a plain message and returns its log offset.
func halfOfPlain(t testing.TB, c *remoting.Conn) int64 {
	t.Helper()
	r := call(t, c, protocol.ReqSendMessageV2, sendFields("Plain"), []byte("x"))
	id, _ := r.Get("msgId")
	_, logOffset, err := message.ParseOffsetID(id)
	if r.Code != 0 || err != nil {
		t.Fatal(r.Code, err)
	}
	return logOffset
}

func TestTransaction_MayBeForbidden(t *testing.T) {
	t.Parallel()
	cfg := quietConfig(t)
	cfg.RejectTransactions = true
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	r := call(t, c, protocol.ReqSendMessageV2, sendFields("Topic", "i", halfProps("one")), nil)
	if r.Code != protocol.CodeNoPermission || !strings.HasPrefix(string(r.Remark), "the broker[127.0.0.1] sending transaction message is forbidden") {
		t.Error(r.Code, string(r.Remark))
	}
	// What clients before 4.6.1 send back is no half message, though it says so; it is a delayed one.
	r = call(t, c, protocol.ReqSendMessageV2, sendFields("Topic", "i", halfProps("one", "DELAY", "3"), "j", "1"), nil)
	if r.Code == protocol.CodeNoPermission {
		t.Error(r.Code, string(r.Remark))
	}
}

func TestTransaction_ImmunityBoundsWhenItMayBeEnded(t *testing.T) {
	t.Parallel()
	b := openTest(t, quietConfig(t)) // the timeout is 6 s
	c := dialTest(t, b, remoting.Options{})
	born := strconv.FormatInt(time.Now().Add(-20*time.Second).UnixMilli(), 10)
	send := func(key, seconds string) sentHalf {
		r := call(t, c, protocol.ReqSendMessageV2, sendFields("Topic", "e", "1", "g", born, "i", halfProps(key, message.PropCheckImmunityTime, seconds)), nil)
		return halfOf(t, r, key)
	}
	late, early := send("late", "10"), send("early", "60")
	if code, _ := end(t, c, late, txCommit); code != protocol.CodeIllegalOperation {
		t.Error("late:", code)
	}
	if code, _ := end(t, c, late, txRollback); code != protocol.CodeIllegalOperation {
		t.Error("late rollback:", code)
	}
	mustEnd(t, c, early, txCommit)
	mustEnd(t, c, late, txCommit, "fromTransactionCheck", "true")
	if got := keysOf(visible(t, b, c, "Topic")); got != "early late" {
		t.Error("visible:", got)
	}
}

// txProducer is a producer that hears checks.
type txProducer struct {
	conn   *remoting.Conn
	checks chan checked
}

// checked is a check that was heard.
type checked struct {
	sentHalf
	fields map[string]string
	m      message.Message
}

func (p *txProducer) Serve(r *remoting.Request) {
	if r.Code != protocol.ReqCheckTransactionState {
		return
	}
	d := r.Detach()
	c := checked{fields: map[string]string{}}
	for _, f := range d.Fields {
		c.fields[string(f.Key)] = string(f.Value)
	}
	_ = message.Decode(d.Body, &c.m)
	c.key = c.fields["msgId"]
	c.queueOffset, _ = strconv.ParseInt(c.fields["tranStateTableOffset"], 10, 64)
	c.logOffset, _ = strconv.ParseInt(c.fields["commitLogOffset"], 10, 64)
	select {
	case p.checks <- c:
	default:
	}
}
func (*txProducer) Flush(*remoting.Conn)  {}
func (*txProducer) Closed(*remoting.Conn) {}

// newTxProducer connects a producer of txGroup.
func newTxProducer(t testing.TB, b *Broker, id string) *txProducer {
	t.Helper()
	p := &txProducer{checks: make(chan checked, 1000)}
	conn, err := remoting.Dial(t.Context(), b.Addr().String(), p, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p.conn = conn
	t.Cleanup(func() { _ = conn.Close(); <-conn.Done() })
	body := fmt.Sprintf(`{"clientID":%q,"producerDataSet":[{"groupName":%q}],"consumerDataSet":[]}`, id, txGroup)
	if r := call(t, p.conn, protocol.ReqHeartBeat, nil, []byte(body)); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	return p
}

func (p *txProducer) next(t testing.TB) checked {
	t.Helper()
	select {
	case c := <-p.checks:
		return c
	case <-time.After(20 * time.Second):
		t.Fatal("no check within 20 s")
		return checked{}
	}
}

func TestCheckBack_AsksUntilItIsDecided(t *testing.T) {
	t.Parallel()
	b := openTest(t, txConfig(t))
	p := newTxProducer(t, b, "p1")
	one, two := sendHalf(t, p.conn, "Topic", "one", "user", "é"), sendHalf(t, p.conn, "Topic", "two")
	first := p.next(t)
	if first.key != "one" {
		t.Fatal("the first check is about", first.key)
	}
	id := string(message.AppendOffsetID(nil, first.m.StoreHost, first.logOffset))
	for name, want := range map[string]string{"topic": topicHalf, "msgId": "one", "transactionId": "one", "bname": "broker-a", "offsetMsgId": id} {
		if first.fields[name] != want {
			t.Errorf("the check's field %s is %q, not %q", name, first.fields[name], want)
		}
	}
	m := first.m
	if m.Topic != "Topic" || m.QueueID != 1 || m.QueueOffset != first.queueOffset || m.LogOffset != first.logOffset || string(m.Body) != "body of one" || m.Flag != 7 {
		t.Errorf("the message in the check is %+v", m)
	}
	prop := func(m message.Message, name string) string {
		v, _ := message.Property(m.Properties, name)
		return string(v)
	}
	if prop(m, message.PropTransactionCheckTimes) != "1" || prop(m, message.PropRealTopic) != "Topic" || prop(m, message.PropPreparedQueueOffset) != "" || prop(m, "user") != "é" {
		t.Errorf("its properties are %q", m.Properties)
	}
	for i := 2; i < 5; i++ {
		var c checked
		for c.key != "one" {
			c = p.next(t)
		}
		if got := prop(c.m, message.PropTransactionCheckTimes); got != strconv.Itoa(i) {
			t.Errorf("check %d says %q", i, got)
		}
	}
	// Whichever copy a decision names, it counts, and once.
	mustEnd(t, p.conn, one, txRollback)
	if code, _ := end(t, p.conn, first.sentHalf, txCommit, "fromTransactionCheck", "true"); code != protocol.CodeIllegalOperation {
		t.Error("the first copy after the original was rolled back:", code)
	}
	c := p.next(t)
	for c.key != "two" {
		c = p.next(t)
	}
	mustEnd(t, p.conn, c.sentHalf, txCommit, "fromTransactionCheck", "true")
	mustEnd(t, p.conn, two, txCommit)
	if got := visible(t, b, p.conn, "Topic"); keysOf(got) != "two" || prop(got[0], message.PropPreparedQueueOffset) != "" || prop(got[0], message.PropTransactionCheckTimes) == "" {
		t.Errorf("visible: %s %+v", keysOf(got), got)
	}
	eventually(t, "both positions at the ends", func() bool { return positionsAtEnd(b) })
}

func TestCheckBack_OneThatCannotBeStoredAgainDoesNotKeepTheOthers(t *testing.T) {
	t.Parallel()
	b := openTest(t, txConfig(t))
	p := newTxProducer(t, b, "p1")
	large := sendHalf(t, p.conn, "Topic", strings.Repeat("k", 1000))
	limitMessages(t, p.conn, 500)
	small := sendHalf(t, p.conn, "Topic", "small")
	asked := 0
	for checks := 0; checks < 3 || asked < 3; {
		switch c := p.next(t); c.key {
		case small.key:
			n, _ := message.Property(c.m.Properties, message.PropTransactionCheckTimes)
			checks = atoi(t, string(n))
		default:
			large = c.sentHalf
			asked++
		}
	}
	mustEnd(t, p.conn, small, txCommit)
	mustEnd(t, p.conn, large, txRollback)
	if got := keysOf(visible(t, b, p.conn, "Topic")); got != "small" {
		t.Error("visible:", got)
	}
	eventually(t, "both positions at the ends", func() bool { return positionsAtEnd(b) })
}

// positionsAtEnd says whether nothing is left to do.
func positionsAtEnd(b *Broker) bool {
	return max(0, b.offsets.query("CID_RMQ_SYS_TRANS", topicHalf, 0)) == b.halves.q.MaxOffset() &&
		max(0, b.offsets.query("CID_RMQ_SYS_TRANS", topicOp, 0)) == b.halves.ops.MaxOffset()
}

func TestCheckBack_AsksEachProducerInTurn(t *testing.T) {
	t.Parallel()
	b := openTest(t, txConfig(t))
	p1, p2 := newTxProducer(t, b, "p1"), newTxProducer(t, b, "p2")
	h := sendHalf(t, p1.conn, "Topic", "one")
	p1.next(t)
	p2.next(t)
	// One goes away; the other is asked from then on.
	_ = p1.conn.Close()
	<-p1.conn.Done()
	for range 3 {
		p2.next(t)
	}
	mustEnd(t, p2.conn, h, txCommit)
	if got := keysOf(visible(t, b, p2.conn, "Topic")); got != "one" {
		t.Error("visible:", got)
	}
}

func TestCheckBack_GivesUpAfterTheLastCheckAndResumes(t *testing.T) {
	t.Parallel()
	cfg := txConfig(t)
	cfg.TransactionCheckMax = 2
	b := openTest(t, cfg)
	p := newTxProducer(t, b, "p1")
	h := sendHalf(t, p.conn, "Topic", "one")
	p.next(t)
	p.next(t)
	aside := b.store.Queue(topicCheckMax, 0)
	eventually(t, "given up", func() bool { return aside.MaxOffset() == 1 && b.halfCounts.count("Topic") == 0 })
	m := records(t, getAll(t, b, topicCheckMax))[0]
	if n, _ := message.Property(m.Properties, message.PropTransactionCheckTimes); string(n) != "2" || string(m.Body) != "body of one" {
		t.Errorf("put aside: %s %q", m.Body, m.Properties)
	}
	select {
	case c := <-p.checks:
		t.Error("it is checked again:", c.fields)
	case <-time.After(200 * time.Millisecond):
	}
	// An operator has it checked again.
	id := string(message.AppendOffsetID(nil, m.StoreHost, m.LogOffset))
	if r := call(t, p.conn, protocol.ReqResumeCheckHalfMessage, [][2]string{{"topic", topicCheckMax}, {"msgId", id}}, nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	if got, _ := message.Property(p.next(t).m.Properties, message.PropTransactionCheckTimes); string(got) != "1" {
		t.Errorf("the check after that says %q", got)
	}
	// And the producer knows after all, by what it has had from the beginning.
	mustEnd(t, p.conn, h, txCommit)
	if got := keysOf(visible(t, b, p.conn, "Topic")); got != "one" {
		t.Error("visible:", got)
	}
	for _, id := range []string{id, string(message.AppendOffsetID(nil, m.StoreHost, h.logOffset)), "nonsense", "7F0000010000000000000000000000FF"} {
		if r := call(t, p.conn, protocol.ReqResumeCheckHalfMessage, [][2]string{{"topic", topicCheckMax}, {"msgId", id}}, nil); r.Code != protocol.CodeSystemError {
			t.Errorf("resuming %s: %d %s", id, r.Code, r.Remark)
		}
	}
	mustEnd(t, p.conn, h, txCommit)
	if got := keysOf(visible(t, b, p.conn, "Topic")); got != "one" {
		t.Error("visible:", got)
	}
}

// One that seems to be older than files are kept is asked about before it is given up: the clock may have been set ahead.
func TestCheckBack_AsksOnceWhateverTheClockSays(t *testing.T) {
	t.Parallel()
	b := openTest(t, txConfig(t))
	p := newTxProducer(t, b, "p1")
	old := in(-2 * b.settings.Load().FileReserved)
	if r := call(t, p.conn, protocol.ReqSendMessageV2, sendFields("Topic", "f", "4", "g", old, "i", halfProps("old")), []byte("old")); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	if c := p.next(t); c.key != "old" {
		t.Error("asked about", c.key)
	}
	eventually(t, "given up", func() bool { return b.store.Queue(topicCheckMax, 0).MaxOffset() == 1 })
}

func TestHalfFacts_WaitIsBoundedThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	cfg := &settings{}
	cfg.TransactionTimeout = 6 * time.Second
	now := time.Now().UnixMilli()
	for _, c := range []struct{ born, stored, want int64 }{{0, 0, 6000}, {-2000, 0, 4000}, {-9000, 0, 0}, {3600_000, 0, 6000}, {0, 3600_000, 6000}, {3600_000, 3600_000, 6000}} {
		m := &message.Message{BornTimestamp: now + c.born, StoreTimestamp: now + c.stored}
		if got := new(halfFacts).wait(cfg, m, now); got != c.want {
			t.Errorf("born in %d ms and stored in %d ms it waits %d ms, want %d", c.born, c.stored, got, c.want)
		}
	}
}

func TestTransaction_MayBeCommittedAfterItWasGivenUp(t *testing.T) {
	t.Parallel()
	cfg := txConfig(t)
	cfg.TransactionCheckMax = 1
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	h, other := sendHalf(t, c, "Topic", "one"), sendHalf(t, c, "Topic", "two")
	aside := b.store.Queue(topicCheckMax, 0)
	eventually(t, "given up", func() bool { return aside.MaxOffset() == 2 })
	eventually(t, "forgotten", func() bool { return positionsAtEnd(b) })
	for range 2 {
		mustEnd(t, c, h, txCommit)
		mustEnd(t, c, other, txRollback)
	}
	if got := keysOf(visible(t, b, c, "Topic")); got != "one" {
		t.Error("visible:", got)
	}
}

func TestTransaction_DelaysAndTimesCountFromTheCommit(t *testing.T) {
	t.Parallel()
	cfg := quietConfig(t)
	cfg.DelayLevels, cfg.TimerPrecision = "1s 1h", 100*time.Millisecond
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	delayed := sendHalf(t, c, "Topic", "delayed", "DELAY", "1")
	timed := sendHalf(t, c, "Topic", "timed", message.PropTimerDelayMS, "1000")
	rolled := sendHalf(t, c, "Topic", "rolled", "DELAY", "1")
	far := sendHalf(t, c, "Topic", "far", "DELAY", "2")
	late := sendHalf(t, c, "Topic", "late", message.PropTimerDelayMS, strconv.Itoa(1<<40))
	committed := time.Now().UnixMilli()
	for _, h := range []sentHalf{delayed, timed, far} {
		mustEnd(t, c, h, txCommit)
		mustEnd(t, c, h, txCommit)
	}
	mustEnd(t, c, rolled, txRollback)
	if code, remark := end(t, c, late, txCommit); code != protocol.CodeMessageIllegal {
		t.Errorf("a time that is too far away: %d %s", code, remark)
	}
	mustEnd(t, c, late, txRollback)
	eventually(t, "both are there", func() bool { return len(visible(t, b, c, "Topic")) == 2 })
	for _, m := range visible(t, b, c, "Topic") {
		if after := m.StoreTimestamp - committed; after < 890 {
			t.Errorf("%s came after %d ms", keysOf([]message.Message{m}), after)
		}
	}
	mustEnd(t, c, delayed, txCommit)
	if got := visible(t, b, c, "Topic"); len(got) != 2 {
		t.Error("visible:", keysOf(got))
	}
}

func TestTransaction_IsInLightQueuesWhenItIsCommitted(t *testing.T) {
	t.Parallel()
	cfg := quietConfig(t)
	cfg.LightQueues, cfg.MultiDispatch = true, true
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	one := sendHalf(t, c, "Topic", "one", message.PropMultiDispatch, "%LMQ%a")
	two := sendHalf(t, c, "Topic", "two", message.PropMultiDispatch, "%LMQ%a")
	mustEnd(t, c, one, txRollback)
	mustEnd(t, c, two, txCommit)
	if got := keysOf(records(t, getAll(t, b, "%LMQ%a"))); got != "two" {
		t.Error("in the light queue:", got)
	}
	if got := keysOf(visible(t, b, c, "Topic")); got != "two" {
		t.Error("visible:", got)
	}
}
