package broker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

func sqlConfig(t testing.TB) config.Broker {
	cfg := testConfig(t)
	cfg.PropertyFilter = true
	return cfg
}

func sqlSub(topic, expression string, version int64) *protocol.SubscriptionData {
	return &protocol.SubscriptionData{Topic: topic, SubString: expression, SubVersion: version, ExpressionType: "SQL92", TagsSet: []string{}, CodeSet: []int32{}}
}

// sendWith sends a message with a property n to the first queue.
func sendWith(t testing.TB, c *remoting.Conn, topic, n string) {
	t.Helper()
	if r := call(t, c, protocol.ReqSendMessageV2, sendFields(topic, "i", "n\x01"+n+"\x02"), []byte(n)); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
}

func bodiesOf(t testing.TB, r *remoting.Response) string {
	t.Helper()
	var all []string
	for _, m := range records(t, r.Body) {
		all = append(all, string(m.Body))
	}
	return strings.Join(all, " ")
}

func TestSQL_FiltersPulls(t *testing.T) {
	t.Parallel()
	b := openTest(t, sqlConfig(t))
	c, consumer := dialTest(t, b, remoting.Options{}), newConsumer(t, b, "id")
	for i := range 100 {
		sendWith(t, c, "T", fmt.Sprint(i))
	}
	awaitEnd(t, b, "T", 100)
	pull := func(wantCode int, want, next string, changes ...string) {
		t.Helper()
		r := call(t, consumer.conn, protocol.ReqPullMessage, pullFields("T", 0, 0, append([]string{"consumerGroup", "G"}, changes...)...), nil)
		at, _ := r.Get("nextBeginOffset")
		if got := bodiesOf(t, r); int(r.Code) != wantCode || got != want || string(at) != next {
			t.Errorf("%v: %d %s, %q, next %s", changes, r.Code, r.Remark, got, at)
		}
	}
	// By the heartbeat.
	consumer.beat(t, "G", 0, sqlSub("T", "n BETWEEN 40 AND 42 OR n > 97", 7))
	pull(0, "40 41 42 98 99", "100", "sysFlag", "0")
	pull(0, "40 41", "42", "sysFlag", "0", "maxMsgNums", "2")
	consumer.beat(t, "G", 0, sqlSub("T", "n = 'none'", 8))
	pull(20, "", "100", "sysFlag", "0")
	pull(20, "", "100", "sysFlag", "0", "queueOffset", "43", "maxMsgNums", "1")
}

func TestSQL_RefusesAsApacheDoes(t *testing.T) {
	t.Parallel()
	b := openTest(t, sqlConfig(t))
	c, consumer := dialTest(t, b, remoting.Options{}), newConsumer(t, b, "id")
	sendWith(t, c, "T", "5")
	sendWith(t, c, "T", "word")
	awaitEnd(t, b, "T", 2)
	pull := func(code int, want string, changes ...string) {
		t.Helper()
		r := call(t, consumer.conn, protocol.ReqPullMessage, pullFields("T", 0, 0, append([]string{"consumerGroup", "G"}, changes...)...), nil)
		if got := bodiesOf(t, r); int(r.Code) != code || code == 0 && got != want || code != 0 && !strings.Contains(string(r.Remark), want) {
			t.Errorf("%v: %d %s, %q", changes, r.Code, r.Remark, got)
		}
	}
	check := func(code int, want, expression, kind string) {
		t.Helper()
		s := sqlSub("T", expression, 1)
		s.ExpressionType = kind
		body, _ := json.Marshal(protocol.CheckClientBody{ClientID: "id", Group: "G", SubscriptionData: s})
		if r := call(t, c, protocol.ReqCheckClientConfig, nil, body); int(r.Code) != code || !strings.Contains(string(r.Remark), want) {
			t.Errorf("%s: %d %s", expression, r.Code, r.Remark)
		}
	}
	// Its own expression.
	pull(0, "5", "subscription", "n = 5", "expressionType", "SQL92")
	pull(0, "5 word", "subscription", "n IS NOT NULL", "expressionType", "SQL92")
	pull(20, "NO_MATCHED", "subscription", "n = 6", "expressionType", "SQL92")
	pull(23, "no word begins", "subscription", "n = ?", "expressionType", "SQL92")
	pull(23, "its end", "subscription", "", "expressionType", "SQL92")
	pull(23, "no filters of the type XPATH", "subscription", "n", "expressionType", "XPATH")
	pull(23, "more than 65536 words", "subscription", strings.Repeat("n=5 OR ", 30_000)+"n = 5", "expressionType", "SQL92")
	// That of the heartbeat.
	consumer.beat(t, "G", 0, sqlSub("T", "n = ", 5))
	pull(27, "Your expression may be wrong!", "sysFlag", "0", "subVersion", "5")
	consumer.beat(t, "G", 0, sqlSub("T", "n = 5", 6))
	pull(0, "5", "sysFlag", "0", "subVersion", "6")
	pull(25, "subscription not latest", "sysFlag", "0", "subVersion", "7")
	consumer.beat(t, "G", 0, sqlSub("T", "n =", 8)) // takes the old one away
	pull(27, "Your expression may be wrong!", "sysFlag", "0", "subVersion", "8")
	// What a client asks before it starts.
	check(0, "", "n = 5", "SQL92")
	check(0, "", "whatever", "TAG")
	check(23, "Invalid MessageSelector.", "n = ", "SQL92")
	check(23, "XPATH", "n = ", "XPATH")
	// Not enabled.
	consumer.beat(t, "G", 0, sqlSub("T", "n = 5", 9))
	if r := call(t, c, protocol.ReqUpdateBrokerConfig, nil, []byte("enablePropertyFilter=false")); r.Code != 0 {
		t.Fatal(string(r.Remark))
	}
	const off = "The broker does not support consumer to filter message by SQL92"
	check(1, off, "n = 5", "SQL92")
	pull(1, off, "sysFlag", "0", "subVersion", "9")
	pull(1, off, "subscription", "n = 5", "expressionType", "SQL92")
}

// awaitEnd waits until consumers see so many messages of a topic's first queue: a send is answered before.
func awaitEnd(t *testing.T, b *Broker, topic string, n int64) {
	t.Helper()
	await(t, "messages to be visible", func() bool { return b.store.Queue(topic, 0).MaxOffset() >= n })
}

func TestSQL_HeldPullWaitsForWhatMatches(t *testing.T) {
	t.Parallel()
	b := openTest(t, sqlConfig(t))
	c, producer := dialTest(t, b, remoting.Options{}), dialTest(t, b, remoting.Options{})
	sendWith(t, producer, "T", "1")
	awaitEnd(t, b, "T", 1)
	start := func(offset int64, suspend string) *remoting.Pending {
		t.Helper()
		before := b.holds.waiting()
		p, err := c.Start(&remoting.Call{Code: protocol.ReqPullMessage, Ext: pullFields("T", 0, offset, "sysFlag", "6", "subscription", "n = 7", "expressionType", "SQL92", "suspendTimeoutMillis", suspend)})
		if err != nil {
			t.Fatal(err)
		}
		await(t, "a held pull", func() bool { return b.holds.waiting() > before })
		return p
	}
	wait := func(p *remoting.Pending) *remoting.Response {
		t.Helper()
		r, err := p.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	long := start(1, "20000")
	for range 50 {
		sendWith(t, producer, "T", "6")
	}
	awaitEnd(t, b, "T", 51)
	await(t, "the pull to be held again after messages that it does not want", func() bool { return b.holds.waiting() == 1 })
	sendWith(t, producer, "T", "7")
	r := wait(long)
	if next, _ := r.Get("nextBeginOffset"); r.Code != 0 || bodiesOf(t, r) != "7" || string(next) != "52" {
		t.Errorf("%d %s, %q, next %s", r.Code, r.Remark, bodiesOf(t, r), next)
	}
	// One that waits in vain is told how far it need not look again.
	short := start(52, "300")
	sendWith(t, producer, "T", "8")
	if next, _ := wait(short).Get("nextBeginOffset"); string(next) != "53" {
		t.Errorf("next %s", next)
	}
}

func TestSQL_RetryTopicIsFilteredByTheFirstTopicsFilter(t *testing.T) {
	t.Parallel()
	cfg := sqlConfig(t)
	cfg.FilterRetries = true
	b := openTest(t, cfg)
	consumer := newConsumer(t, b, "id")
	const retry = "%RETRY%G"
	consumer.beat(t, "G", 0, sqlSub("T", "n = 5", 1), sqlSub(retry, "TRUE", 1))
	for _, p := range []string{"n\x015\x02RETRY_TOPIC\x01T", "n\x016\x02RETRY_TOPIC\x01T", "n\x017\x02RETRY_TOPIC\x01U", "n\x018"} {
		if r := call(t, consumer.conn, protocol.ReqSendMessageV2, sendFields(retry, "i", p+"\x02"), []byte(p[2:3])); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	pull := func(want string) {
		t.Helper()
		r := call(t, consumer.conn, protocol.ReqPullMessage, pullFields(retry, 0, 0, "consumerGroup", "G", "sysFlag", "0"), nil)
		if got := bodiesOf(t, r); got != want {
			t.Errorf("%d %s, %q, want %q", r.Code, r.Remark, got, want)
		}
	}
	pull("5 7 8")
	if r := call(t, consumer.conn, protocol.ReqUpdateBrokerConfig, nil, []byte("filterSupportRetry=false")); r.Code != 0 {
		t.Fatal(string(r.Remark))
	}
	pull("5 6 7 8")
}

// filtersFor opens the filters of a broker's folder.
func filtersFor(t *testing.T, cfg config.Broker) *filters {
	t.Helper()
	b := &Broker{log: slog.New(slog.DiscardHandler)}
	b.sql.log = b.log
	b.settings.Store(&settings{Broker: cfg})
	f, err := openFilters(filepath.Join(cfg.RootDir, "config", "consumerFilter.json"), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.close() })
	return f
}

func TestGolden_FiltersAreKeptLikeApache(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile("testdata/consumerFilter.json")
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t)
	cfg.FilterDataKept = 100 * 365 * 24 * time.Hour
	path := filepath.Join(cfg.RootDir, "config", "consumerFilter.json")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, golden, 0o644); err != nil {
		t.Fatal(err)
	}
	f := filtersFor(t, cfg)
	if data, err := f.encode(); err != nil || !bytes.Equal(data, golden) {
		t.Errorf("%v\n%s", err, data)
	}
	f.register("GoldenSqlGroup", []*protocol.SubscriptionData{sqlSub("GoldenTag", "n > 5", 1795219920447)}) // it lives again
	if g := f.find("GoldenSqlGroup", "GoldenTag"); g == nil || g.isDead() || g.BornTime != 1795219919537 {
		t.Errorf("%+v", g)
	}
	// Bit maps of another size make all that is known worthless.
	cfg.BloomConsumers = 64
	if g := filtersFor(t, cfg).find("GoldenSqlGroup", "GoldenTag"); g != nil {
		t.Errorf("%+v", g)
	}
}

func TestFilters_LiveAndDie(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.FilterDataKept = 1500 * time.Millisecond
	f := filtersFor(t, cfg)
	state := func(topic string) string {
		g := f.find("G", topic)
		switch {
		case g == nil:
			return "none"
		case g.isDead():
			return "dead " + g.Expression
		}
		return g.Expression
	}
	check := func(topic, want string) {
		t.Helper()
		if got := state(topic); got != want {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
	subs := func(s ...*protocol.SubscriptionData) []*protocol.SubscriptionData { return s }
	f.register("G", subs(sqlSub("T", "a = 1", 1), sqlSub("U", "b = 1", 1), sub("V", "*", 1)))
	check("T", "a = 1")
	check("V", "none")
	born := f.find("G", "T").BornTime
	f.register("G", subs(sqlSub("T", "a = 1", 2), sub("V", "*", 1)))
	check("U", "dead b = 1")
	if g := f.find("G", "T"); g.BornTime != born || g.ClientVersion != 2 {
		t.Errorf("%+v", g)
	}
	f.register("G", subs(sqlSub("T", "a = 2", 2), sqlSub("U", "b = 2", 1))) // no newer versions
	check("T", "a = 1")
	check("U", "b = 1")
	f.register("G", subs(sqlSub("T", "a = 2", 3), sqlSub("U", "b = ", 3)))
	check("T", "a = 2")
	check("U", "none")
	f.unregister("G")
	check("T", "dead a = 2")
	if err := f.file.write(); err != nil {
		t.Fatal(err)
	}
	again := filtersFor(t, killed(t, cfg))
	if g := again.find("G", "T"); g == nil || !g.isDead() || g.ClientVersion != 3 {
		t.Errorf("after a kill: %+v", g)
	}
	for deadline := time.Now().Add(20 * time.Second); state("T") != "none" || again.find("G", "T") != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("dead filters are not forgotten")
		}
	}
}

func TestSQLFilters_RememberSoMany(t *testing.T) {
	s := sqlFilters{log: slog.New(slog.DiscardHandler)}
	for i := range 3 * sqlFiltersMax {
		if _, err := s.get(fmt.Appendf(nil, "a = %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 * sqlFiltersSizeMax / expressionMax {
		if _, err := s.get(fmt.Appendf(nil, "a = '%04d%s'", i, strings.Repeat("x", expressionMax-10))); err != nil || len(s.byText) > sqlFiltersMax || s.size > sqlFiltersSizeMax {
			t.Fatal(err, len(s.byText), s.size)
		}
	}
	if _, err := s.get([]byte("a =")); err == nil {
		t.Error("taken")
	}
	f, _ := s.get([]byte("a = 1"))
	m := message.Message{Topic: "T", Properties: []byte("a\x011\x02"), BornHost: netip.MustParseAddrPort("127.0.0.1:1"), StoreHost: netip.MustParseAddrPort("127.0.0.1:1")}
	record := m.AppendRecord(nil, false)
	text := []byte("a = 1")
	if n := testing.AllocsPerRun(100, func() {
		if again, _ := s.get(text); again != f || !f.filter.Record(record) {
			t.Fatal("another")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSQL_BitMapsSayWhoWantsAMessage(t *testing.T) {
	t.Parallel()
	cfg := sqlConfig(t)
	cfg.QueueExt, cfg.FilterBits = true, true
	b := openTest(t, cfg)
	consumer := newConsumer(t, b, "id")
	send := func(from, to int) {
		for i := from; i < to; i++ {
			sendWith(t, consumer.conn, "T", fmt.Sprint(i))
		}
	}
	pull := func(group, want string) {
		t.Helper()
		r := call(t, consumer.conn, protocol.ReqPullMessage, pullFields("T", 0, 0, "consumerGroup", group, "sysFlag", "0"), nil)
		if got := bodiesOf(t, r); got != want {
			t.Errorf("%s: %d %s, %q, want %q", group, r.Code, r.Remark, got, want)
		}
	}
	send(0, 10)
	consumer.beat(t, "G", 0, sqlSub("T", "n IN ('7', '13')", 1))
	consumer.beat(t, "H", 0, sqlSub("T", "n = 'word'", 1))
	for born := b.filters.find("H", "T").BornTime; time.Now().UnixMilli() <= born; { // what is stored within that millisecond is looked at
		time.Sleep(time.Millisecond)
	}
	send(10, 20)
	pull("G", "7 13")
	pull("H", "")
	// The bits alone, without a look at the messages: all from before the birth, and of the others those that want them.
	may := func(group string) (n int) {
		f := b.filters.find(group, "T").sub.filter
		f.Record = nil
		_, r := b.store.Get(b.store.Queue("T", 0), 0, 32, 1<<20, &f, nil)
		return r.Count
	}
	if g, h := may("G"), may("H"); g != 11 || h != 10 {
		t.Errorf("%d and %d messages may be wanted", g, h)
	}
	// Another expression makes the bits of the old one worthless.
	consumer.beat(t, "G", 0, sqlSub("T", "n = '15'", 2))
	pull("G", "15")
}

// A backlog is read through a filter in SQL that wants few messages; the time is of one that is looked at.
func BenchmarkSQL_Backlog(b *testing.B) {
	br := openTest(b, sqlConfig(b))
	q := br.store.Queue("T", 0)
	const messages = 40_000
	for n := 0; n < messages; {
		puts := make([]store.Put, 0, 500)
		for range cap(puts) {
			props := message.AppendProperty(nil, "TAGS", "TagA")
			props = message.AppendProperty(props, "UNIQ_KEY", fmt.Sprintf("7F0000012A2A5A5A5A5A%012X", n))
			props = message.AppendProperty(props, "WAIT", "true")
			puts = append(puts, store.Put{Queue: q, Message: message.Message{Topic: "T", Body: make([]byte, 128), Properties: props}})
			n++
		}
		if err := br.putNow(puts...); err != nil {
			b.Fatal(err)
		}
	}
	sub, err := br.subscriptionOf(nil, []byte("T"), []byte("TAGS = 'TagA' AND WAIT = TRUE AND UNIQ_KEY ENDSWITH '00'"), []byte("SQL92"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var buf []byte
	looked := 0
	for at := int64(0); looked < b.N; {
		var r store.GetResult
		buf, r = br.store.Get(q, at, 32, 1<<20, &sub.filter, buf[:0])
		looked += int(r.NextOffset - at)
		if at = r.NextOffset; at >= messages {
			at = 0
		}
	}
}

// The broker filters by the hashes of tags, and leaves the text to the client.
func TestTags_OfAnyKindAreFiltered(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	for _, tag := range []string{"订单", "退款", "AaAa", "BBBB", "😀", "tag999"} {
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields("T", "i", "TAGS\x01"+tag+"\x02"), []byte(tag)); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	check := func(expression, want string) {
		t.Helper()
		r := call(t, c, protocol.ReqPullMessage, pullFields("T", 0, 0, "subscription", expression), nil)
		if got := bodiesOf(t, r); got != want {
			t.Errorf("%.40s: %d %s, %q, want %q", expression, r.Code, r.Remark, got, want)
		}
	}
	check("订单", "订单")
	check(" 退款 || 😀 ", "退款 😀")
	check("AaAa", "AaAa BBBB") // of one hash
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "tag%d || ", i)
	}
	check(many.String(), "tag999")
}
