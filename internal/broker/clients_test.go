package broker

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// consumer is a client of a test: it sends heartbeats and hears of its group's changes.
type consumer struct {
	conn *remoting.Conn
	id   string
	told chan string // groups that have changed
}

// Serve hears what the broker says by itself.
func (c *consumer) Serve(r *remoting.Request) {
	if r.Code == protocol.ReqNotifyConsumerIDsChanged {
		group, _ := r.Get("consumerGroup")
		c.told <- string(group)
	}
}

func (*consumer) Flush(*remoting.Conn)  {}
func (*consumer) Closed(*remoting.Conn) {}

func newConsumer(t testing.TB, b *Broker, id string) *consumer {
	t.Helper()
	c := &consumer{id: id, told: make(chan string, 100)}
	conn, err := remoting.Dial(t.Context(), b.Addr().String(), c, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c.conn = conn
	t.Cleanup(c.leave)
	return c
}

// leave ends the connection.
func (c *consumer) leave() { _ = c.conn.Close(); <-c.conn.Done() }

func sub(topic, expression string, version int64, tags ...string) *protocol.SubscriptionData {
	s := &protocol.SubscriptionData{Topic: topic, SubString: expression, SubVersion: version, ExpressionType: "TAG", TagsSet: tags, CodeSet: []int32{}}
	for _, tag := range tags {
		s.CodeSet = append(s.CodeSet, int32(tag[0]))
	}
	return s
}

// beat sends a heartbeat and returns whether the client is asked for its subscriptions.
func (c *consumer) beat(t testing.TB, group string, fingerprint int32, subs ...*protocol.SubscriptionData) bool {
	t.Helper()
	return c.beatData(t, protocol.HeartbeatData{ClientID: c.id, HeartbeatFingerprint: fingerprint, WithoutSub: subs == nil,
		ConsumerDataSet: []*protocol.ConsumerData{{GroupName: group, ConsumeType: protocol.ConsumePassively, MessageModel: protocol.Clustering,
			ConsumeFromWhere: "CONSUME_FROM_LAST_OFFSET", SubscriptionDataSet: subs}}})
}

func (c *consumer) beatData(t testing.TB, hb protocol.HeartbeatData) bool {
	t.Helper()
	body, err := json.Marshal(hb)
	if err != nil {
		t.Fatal(err)
	}
	r := call(t, c.conn, protocol.ReqHeartBeat, nil, body)
	v2, _ := r.Get("IS_SUPPORT_HEART_BEAT_V2")
	changed, ok := r.Get("IS_SUB_CHANGE")
	if r.Code != 0 || string(v2) != "true" || !ok {
		t.Fatalf("heartbeat: %d %s %s %s", r.Code, r.Remark, v2, changed)
	}
	return string(changed) == "true"
}

// hears waits until the client is told that a group has changed.
func (c *consumer) hears(t testing.TB, group string) {
	t.Helper()
	select {
	case got := <-c.told:
		if got != group {
			t.Fatalf("%s hears of %s", c.id, got)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%s is not told", c.id)
	}
}

// heardNothing fails if the client was told of a change that it should not have been.
func (c *consumer) heardNothing(t testing.TB) {
	t.Helper()
	_ = call(t, c.conn, protocol.ReqGetConsumerListByGroup, [][2]string{{"consumerGroup", "-"}}, nil) // what was said before is here by now
	select {
	case got := <-c.told:
		t.Fatalf("%s hears of %s", c.id, got)
	default:
	}
}

func TestClients_HearOfEachOther(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	one, two := newConsumer(t, b, "one"), newConsumer(t, b, "two")
	if !one.beat(t, "G", 0, sub("T", "*", 1)) {
		t.Error("version 1 shall always tell its subscriptions")
	}
	one.hears(t, "G")
	if b.topics.find("%RETRY%G") == nil || b.groups.find("G") == nil {
		t.Error("group or retry topic not made")
	}
	one.beat(t, "G", 0, sub("T", "*", 1))
	one.heardNothing(t)
	two.beat(t, "G", 0, sub("T", "*", 1))
	one.hears(t, "G")
	two.hears(t, "G")
	list := call(t, one.conn, protocol.ReqGetConsumerListByGroup, [][2]string{{"consumerGroup", "G"}}, nil)
	if string(list.Body) != `{"consumerIdList":["one","two"]}` {
		t.Errorf("list: %s", list.Body)
	}
	two.leave()
	one.hears(t, "G")
	r := call(t, one.conn, protocol.ReqUnregisterClient, [][2]string{{"clientID", "one"}, {"consumerGroup", "G"}}, nil)
	if r.Code != 0 || b.clients.consumerGroup([]byte("G")) != nil {
		t.Errorf("unregister: %d %s", r.Code, r.Remark)
	}
	list = call(t, one.conn, protocol.ReqGetConsumerListByGroup, [][2]string{{"consumerGroup", "G"}}, nil)
	if list.Code != 1 || string(list.Remark) != "no consumer for this group, G" {
		t.Errorf("list: %d %s", list.Code, list.Remark)
	}
	r = call(t, one.conn, protocol.ReqGetConsumerConnectionList, [][2]string{{"consumerGroup", "G"}}, nil)
	if r.Code != protocol.CodeConsumerNotOnline {
		t.Errorf("connections: %d %s", r.Code, r.Remark)
	}
}

func TestClients_AreNotToldWhereNobodyWantsToKnow(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	b := openTest(t, cfg)
	quiet := protocol.NewSubscriptionGroupConfig("Quiet")
	quiet.NotifyConsumerIDsChangedEnable = false
	if err := b.groups.update(quiet); err != nil {
		t.Fatal(err)
	}
	c := newConsumer(t, b, "one")
	c.beat(t, "Quiet", 0, sub("T", "*", 1))
	c.beatData(t, protocol.HeartbeatData{ClientID: "one", ConsumerDataSet: []*protocol.ConsumerData{{GroupName: "B", MessageModel: protocol.Broadcasting,
		SubscriptionDataSet: []*protocol.SubscriptionData{sub("T", "*", 1)}}}})
	c.heardNothing(t)
	if !b.clients.consumerGroup([]byte("B")).broadcasting() || b.clients.consumerGroup([]byte("Quiet")).broadcasting() {
		t.Error("wrong message model")
	}
}

func TestClients_SubscriptionsFollowTheNewestVersion(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := newConsumer(t, b, "one")
	check := func(topic, want string) {
		t.Helper()
		got := "-"
		if s := b.clients.consumerGroup([]byte("G")).subscription([]byte(topic)); s != nil {
			got = s.SubString
		}
		if got != want {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
	c.beat(t, "G", 0, sub("T", "a", 5, "a"), sub("U", "*", 5))
	check("T", "a")
	c.beat(t, "G", 0, sub("T", "b", 4, "b"), sub("U", "*", 5))
	check("T", "a")
	c.beat(t, "G", 0, sub("T", "b", 6, "b"))
	check("T", "b")
	check("U", "-")
	s := b.clients.consumerGroup([]byte("G")).subscription([]byte("T"))
	if !s.wants('b') || s.wants('a') || s.wants(0) {
		t.Error("wrong tags")
	}
}

func TestClients_LookingUpASubscriptionAllocatesNothing(t *testing.T) {
	g := &consumerGroup{}
	g.subs.Store(&map[string]*subscription{"T": newSubscription(*sub("T", "b", 1, "b"))})
	c := &clients{consumers: map[string]*consumerGroup{"G": g}}
	group, topic := []byte("G"), []byte("T")
	if n := testing.AllocsPerRun(100, func() {
		if s := c.consumerGroup(group).subscription(topic); !s.wants('b') || s.wants('a') {
			t.Fatal("wrong tags")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestClients_Version2IsAskedForSubscriptionsWhenTheyMayDiffer(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	b := openTest(t, cfg)
	one, two := newConsumer(t, b, "one"), newConsumer(t, b, "two")
	check := func(what string, got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: asked %t", what, got)
		}
	}
	check("first", one.beat(t, "G", 7, sub("T", "*", 1)), false)
	check("without", one.beat(t, "G", 7), false)
	check("another fingerprint", two.beat(t, "G", 8, sub("T", "*", 1)), true)
	check("the first again", one.beat(t, "G", 7), true)
	check("the first once more", one.beat(t, "G", 7), false)
	if b.clients.consumerGroup([]byte("G")).subscription([]byte("T")) == nil {
		t.Error("the subscription is gone")
	}
	check("of a client that has none", one.beat(t, "G", 0, sub("Other", "*", 2)), true)
	check("after one that had none", one.beat(t, "G", 7), true)
	// A broker that was started since knows nothing of the group.
	fresh := openTest(t, testConfig(t))
	late := newConsumer(t, fresh, "one")
	check("to a fresh broker", late.beat(t, "G", 7), true)
	check("with all", late.beat(t, "G", 7, sub("T", "*", 1)), false)
	check("without, then", late.beat(t, "G", 7), false)
}

func TestClients_ThatSubscribeDifferentlyAreNamedOnce(t *testing.T) {
	t.Parallel()
	var text syncBuffer
	cfg := testConfig(t)
	b, err := Open(t.Context(), cfg, slog.New(slog.NewTextHandler(&text, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	one, two := newConsumer(t, b, "one"), newConsumer(t, b, "two")
	warned := func(want int) {
		t.Helper()
		if got := strings.Count(text.String(), "subscribe differently"); got != want {
			t.Fatalf("warned %d times, want %d: %s", got, want, text.String())
		}
	}
	one.beat(t, "G", 0, sub("T", "a || b", 1, "a", "b"))
	two.beat(t, "G", 0, sub("T", "b||a", 2, "b", "a")) // the same in other words
	warned(0)
	for range 3 {
		two.beat(t, "G", 0, sub("T", "c", 3, "c"))
		one.beat(t, "G", 0, sub("T", "a || b", 1, "a", "b"))
	}
	warned(1)
	if got := text.String(); !strings.Contains(got, `topic=T client=two expression=c other_client=one other_expression="a || b"`) {
		t.Errorf("log: %s", got)
	}
	shown := func() []protocol.SubscriptionDifference {
		t.Helper()
		body, ok := b.clients.consumerConnections("G")
		if !ok {
			t.Fatal("the group has no consumers")
		}
		return body.Differences
	}
	if got, want := shown(), (protocol.SubscriptionDifference{Topic: "T", ClientID: "one", Expression: "a || b", OtherClientID: "two", OtherExpression: "c"}); len(got) != 1 || got[0] != want {
		t.Errorf("shown: %+v", got)
	}
	two.beat(t, "G", 0, sub("T", "a || b", 4, "a", "b"), sub("U", "*", 4))
	warned(2)
	if got, want := shown(), (protocol.SubscriptionDifference{Topic: "U", ClientID: "one", OtherClientID: "two", OtherExpression: "*"}); len(got) != 1 || got[0] != want {
		t.Errorf("shown: %+v", got)
	}
	two.beat(t, "G", 0, sub("T", "a || b", 4, "a", "b"))
	warned(2)
	if got := shown(); len(got) != 0 {
		t.Errorf("shown: %+v", got)
	}
	if !strings.Contains(text.String(), "subscribe alike again") {
		t.Errorf("log: %s", text.String())
	}
}

func TestClients_SilentOnesAreForgotten(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	one, two := newConsumer(t, b, "one"), newConsumer(t, b, "two")
	one.beat(t, "G", 0, sub("T", "*", 1))
	one.beatData(t, protocol.HeartbeatData{ClientID: "one", ProducerDataSet: []*protocol.ProducerData{{GroupName: "P"}}})
	between := time.Now()
	two.beat(t, "G", 0, sub("T", "*", 1))
	two.hears(t, "G")
	b.clients.expire(between)
	two.hears(t, "G")
	if got := b.clients.consumerIDs("G"); !slices.Equal(got, []string{"two"}) {
		t.Errorf("consumers: %q", got)
	}
	if _, ok := b.clients.producerConnections("P"); ok {
		t.Error("the producer is still there")
	}
	select {
	case <-one.conn.Done():
	case <-time.After(10 * time.Second):
		t.Error("the silent connection is open")
	}
}

func TestClients_ProducersAreListed(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := newConsumer(t, b, "id")
	c.beatData(t, protocol.HeartbeatData{ClientID: "id", ProducerDataSet: []*protocol.ProducerData{{GroupName: "P"}, nil}})
	r := call(t, c.conn, protocol.ReqGetProducerConnectionList, [][2]string{{"producerGroup", "P"}}, nil)
	want := fmt.Sprintf(`{"connectionSet":[{"clientAddr":"%s","clientId":"id","language":"JAVA","version":513}]}`, c.conn.LocalAddr())
	if string(r.Body) != want {
		t.Errorf("got %s, want %s", r.Body, want)
	}
	if r := call(t, c.conn, protocol.ReqGetAllProducerInfo, nil, nil); !strings.Contains(string(r.Body), `{"data":{"P":[{"clientId":"id",`) {
		t.Errorf("all: %s", r.Body)
	}
	call(t, c.conn, protocol.ReqUnregisterClient, [][2]string{{"clientID", "id"}, {"producerGroup", "P"}}, nil)
	if r := call(t, c.conn, protocol.ReqGetProducerConnectionList, [][2]string{{"producerGroup", "P"}}, nil); r.Code != 1 {
		t.Errorf("unregistered: %d %s", r.Code, r.Body)
	}
}

func TestSubscription_ReadsTags(t *testing.T) {
	t.Parallel()
	check := func(expression, kind string, wantErr bool, wanted, unwanted []int64) {
		t.Helper()
		s, err := (&Broker{}).subscriptionOf([]byte("G"), []byte("T"), []byte(expression), []byte(kind))
		if (err != nil) != wantErr {
			t.Errorf("%q %q: %v", expression, kind, err)
		}
		if err != nil {
			return
		}
		for _, code := range wanted {
			if !s.wants(code) {
				t.Errorf("%q does not want %d", expression, code)
			}
		}
		for _, code := range unwanted {
			if s.wants(code) {
				t.Errorf("%q wants %d", expression, code)
			}
		}
	}
	check("*", "TAG", false, []int64{0, 1}, nil)
	check("", "", false, []int64{0, 1}, nil)
	check(" TagA || || TagB ", "TAG", false, []int64{2598919, 2598920}, []int64{0, 2598921})
	check("||", "TAG", true, nil, nil)
}

func TestClients_AReplyGoesToTheProducerThatCameLast(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	beat := func(c *consumer, id string, groups ...string) {
		t.Helper()
		data := protocol.HeartbeatData{ClientID: id}
		for _, g := range groups {
			data.ProducerDataSet = append(data.ProducerDataSet, &protocol.ProducerData{GroupName: g})
		}
		c.beatData(t, data)
	}
	// is says which of the test's connections an id leads to; 0 is none.
	var all []*consumer
	is := func(id string) int {
		conn := b.clients.producer([]byte(id))
		for i, c := range all {
			if conn != nil && conn.RemoteAddr().String() == c.conn.LocalAddr().String() {
				return i + 1
			}
		}
		return 0
	}
	want := func(when, id string, n int) {
		t.Helper()
		if got := is(id); got != n {
			t.Errorf("%s: %s is connection %d, want %d", when, id, got, n)
		}
	}
	for range 2 {
		all = append(all, newConsumer(t, b, ""))
	}
	first, second := all[0], all[1]
	beat(first, "a", "G", "H")
	want("at first", "a", 1)
	beat(second, "a", "G")
	want("connected again", "a", 2)
	beat(first, "a", "G")
	want("the first beats once more", "a", 2)
	first.leave()
	await(t, "the first to be forgotten", func() bool { _, is := b.clients.producerConnections("H"); return !is })
	want("the first is gone", "a", 2)

	beat(second, "another", "G")
	beat(second, "third", "I")
	want("an id in another group", "third", 2)
	second.leave()
	await(t, "all to be forgotten", func() bool { return len(b.clients.allProducers()) == 0 })
	b.clients.mu.Lock()
	defer b.clients.mu.Unlock()
	if len(b.clients.producerIDs) != 0 {
		t.Errorf("left behind: %v", b.clients.producerIDs)
	}
}

func TestClients_AnEarlierProducerIsFoundOnceTheLaterHasGone(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	var conns [2]*consumer
	for i := range conns {
		conns[i] = newConsumer(t, b, "same")
		conns[i].beatData(t, protocol.HeartbeatData{ClientID: "same", ProducerDataSet: []*protocol.ProducerData{{GroupName: "G"}}})
	}
	conns[1].leave()
	await(t, "the later to be forgotten", func() bool { list, _ := b.clients.producerConnections("G"); return len(list) == 1 })
	conns[0].beatData(t, protocol.HeartbeatData{ClientID: "same", ProducerDataSet: []*protocol.ProducerData{{GroupName: "G"}}})
	if b.clients.producer([]byte("same")) == nil {
		t.Error("nobody is found")
	}
}
