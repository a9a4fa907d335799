package broker

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// asked is a client of a test that answers what the broker asks.
type asked struct {
	conn   *remoting.Conn
	heard  chan *remoting.Request
	answer func(r *remoting.Request) *remoting.Answer // nil when it does not answer
}

func (c *asked) Serve(r *remoting.Request) {
	if r.Code == protocol.ReqNotifyConsumerIDsChanged {
		return
	}
	if c.answer != nil {
		if a := c.answer(r); a != nil {
			r.Conn.Reply(r, a)
		}
	}
	c.heard <- r.Detach()
}

func (*asked) Flush(*remoting.Conn)  {}
func (*asked) Closed(*remoting.Conn) {}

// newAsked connects a client of a language that is producer and consumer of the group G with a subscription to T.
func newAsked(t *testing.T, b *Broker, id string, language protocol.Language, answer func(r *remoting.Request) *remoting.Answer) *asked {
	t.Helper()
	c := &asked{heard: make(chan *remoting.Request, 100), answer: answer}
	conn, err := remoting.Dial(t.Context(), b.Addr().String(), c, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c.conn = conn
	t.Cleanup(func() { _ = conn.Close(); <-conn.Done() })
	beat := &consumer{conn: conn, id: id}
	beat.beatData(t, protocol.HeartbeatData{ClientID: id, ProducerDataSet: []*protocol.ProducerData{{GroupName: "G"}},
		ConsumerDataSet: []*protocol.ConsumerData{{GroupName: "G", ConsumeType: protocol.ConsumePassively, MessageModel: protocol.Clustering,
			SubscriptionDataSet: []*protocol.SubscriptionData{sub("T", "*", 1)}}}})
	b.clients.mu.Lock()
	b.clients.consumers["G"].members[b.clients.conn(id)].language = language
	b.clients.mu.Unlock()
	return c
}

// conn finds a consumer's connection. mu is held.
func (c *clients) conn(id string) *remoting.Conn {
	for conn, m := range c.consumers["G"].members {
		if m.id == id {
			return conn
		}
	}
	return nil
}

func (c *asked) hears(t *testing.T) *remoting.Request {
	t.Helper()
	select {
	case r := <-c.heard:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("the client hears nothing")
		return nil
	}
}

func fieldsOf(h *protocol.Header) string {
	var all []string
	for _, f := range h.Fields {
		all = append(all, string(f.Key)+"="+string(f.Value))
	}
	return strings.Join(all, " ")
}

func TestAsk_HandsTheConsumersAnswerOn(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := newAsked(t, b, "one", protocol.LanguageJava, func(r *remoting.Request) *remoting.Answer {
		return &remoting.Answer{Code: int(r.Code) % 10, Remark: "as asked", Ext: [][2]string{{"k", "v"}}, Body: append([]byte("got:"), r.Body...)}
	})
	admin := dialTest(t, b, remoting.Options{})
	sent := call(t, admin, protocol.ReqSendMessageV2, sendFields("T"), []byte("m"))
	id, _ := sent.Get("msgId")

	r := call(t, admin, protocol.ReqGetConsumerRunningInfo, [][2]string{{"consumerGroup", "G"}, {"clientId", "one"}, {"jstackEnable", "true"}}, nil)
	if k, _ := r.Get("k"); r.Code != 7 || string(r.Remark) != "as asked" || string(k) != "v" || string(r.Body) != "got:" {
		t.Errorf("%d %s %s %s", r.Code, r.Remark, k, r.Body)
	}
	if got := c.hears(t); got.Code != 307 || fieldsOf(&got.Header) != "clientId=one consumerGroup=G jstackEnable=true" && fieldsOf(&got.Header) != "consumerGroup=G clientId=one jstackEnable=true" {
		t.Errorf("asked for %d %s", got.Code, fieldsOf(&got.Header))
	}
	direct := func(id, client string) *remoting.Response {
		return call(t, admin, protocol.ReqConsumeMessageDirectly, [][2]string{{"consumerGroup", "G"}, {"clientId", client}, {"msgId", id}, {"topic", "T"}}, nil)
	}
	r = direct(string(id), "one")
	got := c.hears(t)
	if r.Code != 9 || len(records(t, got.Body)) != 1 || string(records(t, got.Body)[0].Body) != "m" || string(r.Body) != "got:"+string(got.Body) {
		t.Errorf("consumed directly: %d %s, with %q", r.Code, r.Remark, got.Body)
	}
	if name, _ := got.Get("brokerName"); string(name) != "broker-a" {
		t.Errorf("told the broker's name %q", name)
	}

	check := func(r *remoting.Response, wantCode int32, wantRemark string) {
		t.Helper()
		if r.Code != wantCode || !strings.HasPrefix(string(r.Remark), wantRemark) {
			t.Errorf("%d %s, want %d %s", r.Code, r.Remark, wantCode, wantRemark)
		}
	}
	check(direct(string(id), "two"), 1, "The Consumer <G> <two> not online")
	check(direct("7F00000100002A9F0000000000000001", "one"), 1, "can not find message by the message id [7F00000100002A9F0000000000000001]")
	check(direct("rubbish", "one"), 1, "the message id [rubbish] is not that of a stored message")
	check(direct("", "one"), 1, "the message id []")
	check(call(t, admin, protocol.ReqGetConsumerRunningInfo, [][2]string{{"consumerGroup", "No"}, {"clientId", "one"}}, nil), 1, "The Consumer <No> <one> not online")

	b.clients.mu.Lock()
	b.clients.consumers["G"].members[b.clients.conn("one")].version = 61
	b.clients.mu.Unlock()
	check(direct(string(id), "one"), 1, "The Consumer <one> Version <61> too low to finish, please upgrade it to V3_1_8_SNAPSHOT")
}

func TestAsk_EndsWhenTheConsumerGoes(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := newAsked(t, b, "one", protocol.LanguageJava, nil)
	admin := dialTest(t, b, remoting.Options{})
	p, err := admin.Start(&remoting.Call{Code: protocol.ReqGetConsumerRunningInfo, Ext: [][2]string{{"consumerGroup", "G"}, {"clientId", "one"}}})
	if err != nil {
		t.Fatal(err)
	}
	c.hears(t)
	_ = c.conn.Close()
	r, err := p.Wait(t.Context())
	if err != nil || r.Code != 1 || !strings.HasPrefix(string(r.Remark), "invoke consumer <G> <one> Exception: ") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAsk_CollectsWhereConsumersAre(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	status := func(offset string) func(*remoting.Request) *remoting.Answer {
		return func(*remoting.Request) *remoting.Answer {
			return &remoting.Answer{Body: []byte(`{"consumerTable":{},"messageQueueTable":{{"brokerName":"broker-a","queueId":1,"topic":"T"}:` + offset + `}}`)}
		}
	}
	newAsked(t, b, "one", protocol.LanguageJava, status("5"))
	newAsked(t, b, "two", protocol.LanguageJava, status("8"))
	newAsked(t, b, "wrong", protocol.LanguageJava, status("x"))
	newAsked(t, b, "refuses", protocol.LanguageJava, func(*remoting.Request) *remoting.Answer { return &remoting.Answer{Code: 1} })
	admin := dialTest(t, b, remoting.Options{})
	one := `"one":{{"brokerName":"broker-a","queueId":1,"topic":"T"}:5}`
	two := `"two":{{"brokerName":"broker-a","queueId":1,"topic":"T"}:8}`
	check := func(group, client string, wantCode int32, want string) {
		t.Helper()
		r := call(t, admin, protocol.ReqInvokeBrokerToGetConsumerStatus, [][2]string{{"group", group}, {"topic", "T"}, {"clientAddr", client}}, nil)
		if got := string(r.Remark) + string(r.Body); r.Code != wantCode || got != want {
			t.Errorf("%s %s: %d %s\nwant %d %s", group, client, r.Code, got, wantCode, want)
		}
	}
	check("G", "", 0, `{"consumerTable":{`+one+`,`+two+`},"messageQueueTable":{}}`)
	check("G", "two", 0, `{"consumerTable":{`+two+`},"messageQueueTable":{}}`)
	check("G", "nobody", 0, `{"consumerTable":{},"messageQueueTable":{}}`)
	check("No", "", 1, "No Any Consumer online in the consumer group: [No]")
}

func TestReset_IsToldToConsumers(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.ServerSideResetOffset = false
	b := openTest(t, cfg)
	admin := dialTest(t, b, remoting.Options{})
	for range 3 {
		call(t, admin, protocol.ReqSendMessageV2, sendFields("T", "d", "1"), []byte("m"))
	}
	reset := func(group, topic, timestamp, force string) *remoting.Response {
		return call(t, admin, protocol.ReqInvokeBrokerToResetOffset, [][2]string{{"group", group}, {"topic", topic}, {"timestamp", timestamp}, {"isForce", force}}, nil)
	}
	check := func(r *remoting.Response, wantCode int32, want string) {
		t.Helper()
		if got := string(r.Remark) + string(r.Body); r.Code != wantCode || !strings.HasPrefix(got, want) {
			t.Errorf("%d %s\nwant %d %s", r.Code, got, wantCode, want)
		}
	}
	check(reset("G", "No", "0", "true"), 17, "[reset-offset] reset offset failed, no topic in this broker. topic=No")
	check(reset("G", "T", "0", "true"), 1, "THe consumer group <G> not exist")
	b.offsets.commit([]byte("G"), []byte("T"), 0, 2, anAddr{})
	check(reset("G", "T", "0", "true"), 206, "Consumer not online, so can not reset offset, Group: G Topic: T Timestamp: 0")
	java, cpp := newAsked(t, b, "java", protocol.LanguageJava, nil), newAsked(t, b, "cpp", protocol.LanguageCPP, nil)
	const queue = `"brokerName":"broker-a",`
	for _, test := range []struct{ timestamp, force, want string }{{"0", "true", "0"}, {"-1", "false", "2"}, {"-1", "true", "3"}} {
		want := `{"offsetTable":{{` + queue + `"queueId":0,"topic":"T"}:` + test.want + `}}`
		check(reset("G", "T", test.timestamp, test.force), 0, want)
		if got := java.hears(t); got.Code != 220 || string(got.Body) != want || !got.IsOneway() {
			t.Errorf("%d %s", got.Code, got.Body)
		}
		if got, want := cpp.hears(t), `{"offsetTable":[{`+queue+`"offset":`+test.want+`,"queueId":0,"topic":"T"}]}`; got.Code != 220 || string(got.Body) != want {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	}
	if b.offsets.query("G", "T", 0) != 2 {
		t.Error("the broker changed what the consumers commit")
	}
	b.clients.mu.Lock()
	b.clients.consumers["G"].members[b.clients.conn("cpp")].version = 27
	b.clients.mu.Unlock()
	check(reset("G", "T", "0", "true"), 1, "the client does not support this feature. version=27")
	select {
	case r := <-java.heard:
		t.Errorf("told %s all the same", r.Body)
	default:
	}
}

func TestReset_ReleasesWhoWaits(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	for range 3 {
		call(t, c, protocol.ReqSendMessageV2, sendFields("T", "d", "1"), []byte("m"))
	}
	start := func(group string) *remoting.Pending {
		p, err := c.Start(&remoting.Call{Code: protocol.ReqPullMessage, Ext: pullFields("T", 0, 3, "consumerGroup", group, "sysFlag", "6")})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	waits, other := start("G"), start("Other")
	await(t, "the request to be held", func() bool { return b.holds.waiting() >= 2 })
	admin := dialTest(t, b, remoting.Options{})
	if r := call(t, admin, protocol.ReqInvokeBrokerToResetOffset, [][2]string{{"group", "G"}, {"topic", "T"}, {"timestamp", "0"}, {"isForce", "true"}}, nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	r, err := waits.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if next, _ := r.Get("nextBeginOffset"); r.Code != protocol.CodePullOffsetMoved || string(next) != "0" {
		t.Errorf("%d %s, next %s", r.Code, r.Remark, next)
	}
	if b.holds.waiting() != 1 {
		t.Error("the other group was released too")
	}
	call(t, admin, protocol.ReqSendMessageV2, sendFields("T"), []byte("m"))
	if _, err := other.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOffset_CopiesAndCorrects(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	for _, topic := range []string{"T", "U"} {
		call(t, c, protocol.ReqSendMessageV2, sendFields(topic), []byte("m"))
	}
	for i, group := range []string{"A", "B", "C"} {
		b.offsets.commit([]byte(group), []byte("T"), 0, int64(10+i), anAddr{})
		b.offsets.commit([]byte(group), []byte("T"), int32(i), int64(10+i), anAddr{})
	}
	b.offsets.commit([]byte("A"), []byte("U"), 0, 5, anAddr{})
	b.offsets.commit([]byte("A"), []byte("Gone"), 0, 5, anAddr{})
	check := func(compare, filter, want string) {
		t.Helper()
		r := call(t, c, protocol.ReqQueryCorrectionOffset, [][2]string{{"topic", "T"}, {"compareGroup", compare}, {"filterGroups", filter}}, nil)
		if r.Code != 0 || string(r.Body) != `{"correctionOffsets":`+want+`}` {
			t.Errorf("%s without %s: %d %s %s", compare, filter, r.Code, r.Remark, r.Body)
		}
	}
	check("No", "", `{0:10,1:11,2:12}`)
	check("A", "", `{0:10,1:11,2:12}`)
	check("A", "A", `{0:9223372036854775807,1:11,2:12}`)
	check("A", "A,B,C", `{}`)
	if b.offsets.query("A", "T", 0) != 10 {
		t.Error("a question has changed the offsets")
	}
	clone := func(wantCode int32, fields ...string) {
		t.Helper()
		var ext [][2]string
		for i := 0; i < len(fields); i += 2 {
			ext = append(ext, [2]string{fields[i], fields[i+1]})
		}
		if r := call(t, c, protocol.ReqCloneGroupOffset, ext, nil); r.Code != wantCode {
			t.Errorf("%v: %d %s", fields, r.Code, r.Remark)
		}
	}
	clone(0, "srcGroup", "A", "destGroup", "D", "topic", "U")
	clone(0, "srcGroup", "A", "destGroup", "E", "offline", "true")
	clone(0, "srcGroup", "No", "destGroup", "F", "topic", "T")
	clone(29, "srcGroup", "A", "destGroup", "a b")
	for _, want := range []struct {
		group, topic string
		offset       int64
	}{{"D", "U", 5}, {"D", "T", -1}, {"E", "U", 5}, {"E", "T", 10}, {"E", "Gone", -1}, {"F", "T", -1}} {
		if got := b.offsets.query(want.group, want.topic, 0); got != want.offset {
			t.Errorf("%s in %s: %d, want %d", want.group, want.topic, got, want.offset)
		}
	}
}
