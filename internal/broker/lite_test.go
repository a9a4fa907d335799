package broker

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// A liteLab is a broker with the parent topic Parent and groups bound to it.
type liteLab struct {
	t *testing.T
	b *Broker
	c *remoting.Conn
}

func newLiteLab(t *testing.T, b *Broker) *liteLab {
	l := &liteLab{t, b, dialTest(t, b, remoting.Options{})}
	l.ok(protocol.ReqUpdateAndCreateTopic, changed(createFields("Parent"), []string{"attributes", "+message.type=LITE,+lite.topic.expiration=1"}), nil)
	l.group("Lites")
	return l
}

// group makes a group with attributes, key and value by turns.
func (l *liteLab) group(name string, attributes ...string) {
	l.t.Helper()
	g := protocol.NewSubscriptionGroupConfig(name)
	g.Attributes = map[string]string{"+lite.bind.topic": "Parent"}
	for i := 0; i < len(attributes); i += 2 {
		g.Attributes["+"+attributes[i]] = attributes[i+1]
	}
	body, err := fastjson.Marshal(g)
	if err != nil {
		l.t.Fatal(err)
	}
	l.ok(protocol.ReqUpdateAndCreateSubscriptionGroup, nil, body)
}

func (l *liteLab) ok(code int, ext [][2]string, body []byte) *remoting.Response {
	l.t.Helper()
	r := call(l.t, l.c, code, ext, body)
	if r.Code != 0 {
		l.t.Fatalf("%s: %d %s", protocol.RequestName(code), r.Code, r.Remark)
	}
	return r
}

func (l *liteLab) send(lite string, texts ...string) {
	l.t.Helper()
	for _, text := range texts {
		l.ok(protocol.ReqSendMessageV2, sendFields("Parent", "i", "__LITE_TOPIC\x01"+lite+"\x02"), []byte(text))
	}
}

func (l *liteLab) control(s protocol.LiteSubscription) *remoting.Response {
	l.t.Helper()
	s.Topic = "Parent"
	if s.Group == "" {
		s.Group = "Lites"
	}
	body, err := fastjson.Marshal(protocol.LiteSubscriptions{SubscriptionSet: []protocol.LiteSubscription{s}})
	if err != nil {
		l.t.Fatal(err)
	}
	return call(l.t, l.c, protocol.ReqLiteSubscriptionCtl, nil, body)
}

func (l *liteLab) subscribe(client, group string, lites ...string) {
	l.t.Helper()
	if r := l.control(protocol.LiteSubscription{Action: protocol.LitePartialAdd, ClientID: client, Group: group, LiteTopicSet: lites}); r.Code != 0 {
		l.t.Fatal(r.Code, string(r.Remark))
	}
}

func (l *liteLab) popFields(client string, changes ...string) [][2]string {
	return changed([][2]string{{"clientId", client}, {"consumerGroup", "Lites"}, {"topic", "Parent"}, {"maxMsgNum", "32"}, {"invisibleTime", "60000"}, {"pollTime", "0"},
		{"bornTime", strconv.FormatInt(time.Now().UnixMilli(), 10)}}, changes)
}

// pop pops as a client does and tells messages as lite topic:body:offset:tries.
func (l *liteLab) pop(client string, changes ...string) ([]popDelivery, string) {
	l.t.Helper()
	r := call(l.t, l.c, protocol.ReqPopLiteMessage, l.popFields(client, changes...), nil)
	if r.Code != 0 && r.Code != protocol.CodePollingTimeout {
		l.t.Fatal(r.Code, string(r.Remark))
	}
	return l.read(r)
}

func (l *liteLab) read(r *remoting.Response) (list []popDelivery, told string) {
	l.t.Helper()
	text := func(key string) string { v, _ := r.Get(key); return string(v) }
	counts := strings.Split(text("orderCountInfo"), ";")
	var all []string
	for i, m := range records(l.t, r.Body) {
		lite, _ := message.Property(m.Properties, message.PropLiteTopic)
		offset, _ := message.Property(m.Properties, message.PropMultiQueueOffset)
		d := popDelivery{Message: m, receipt: fmt.Sprintf("0 %s %s %s 0 broker-a 0 %s", text("popTime"), text("invisibleTime"), text("reviveQid"), offset)}
		d.QueueOffset, _ = strconv.ParseInt(string(offset), 10, 64)
		d.Topic = string(lite)
		f := strings.Fields(counts[i])
		d.count, _ = strconv.Atoi(f[len(f)-1])
		list = append(list, d)
		all = append(all, fmt.Sprintf("%s:%s:%d:%d", lite, m.Body, d.QueueOffset, d.count))
	}
	slices.SortStableFunc(all, func(a, b string) int { return strings.Compare(a[:strings.Index(a, ":")], b[:strings.Index(b, ":")]) })
	return list, strings.Join(all, " ")
}

func (l *liteLab) ack(d popDelivery, changes ...string) *remoting.Response {
	l.t.Helper()
	return call(l.t, l.c, protocol.ReqAckMessage, changed([][2]string{{"consumerGroup", "Lites"}, {"topic", "Parent"}, {"liteTopic", d.Topic}, {"queueId", "0"},
		{"offset", strconv.FormatInt(d.QueueOffset, 10)}, {"extraInfo", d.receipt}}, changes), nil)
}

func (l *liteLab) ackAll(list []popDelivery, changes ...string) {
	l.t.Helper()
	for _, d := range list {
		if r := l.ack(d, changes...); r.Code != 0 {
			l.t.Fatal(r.Code, string(r.Remark))
		}
	}
}

func (l *liteLab) want(what, got, want string) {
	l.t.Helper()
	if got != want {
		l.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestLite_EachTopicIsConsumedInOrder(t *testing.T) {
	t.Parallel()
	l := newLiteLab(t, openTest(t, lightConfig(t)))
	l.send("a", "a0", "a1")
	l.subscribe("one", "Lites", "a", "b", "c")
	first, got := l.pop("one")
	l.want("what was there", got, "a:a0:0:0 a:a1:1:0")
	l.send("a", "a2")
	l.send("b", "b0")
	second, got := l.pop("one")
	l.want("while a is blocked", got, "b:b0:0:0")
	_, got = l.pop("two")
	l.want("a client without subscriptions", got, "")
	l.ackAll(first[:1])
	_, got = l.pop("one")
	l.want("half acknowledged", got, "")
	l.ackAll(first[1:])
	third, got := l.pop("one", "invisibleTime", "300")
	l.want("acknowledged", got, "a:a2:2:0")
	l.ackAll(second)
	_, got = l.pop("one", "pollTime", "10000")
	l.want("after its invisible time", got, "a:a2:2:1")
	l.ackAll(third) // too late: another pop has it
	if at := l.b.offsets.query("Lites", "%LMQ%$Parent$a", 0); at != 2 {
		t.Errorf("consumer offset %d", at)
	}
	if at := l.b.offsets.query("Lites", "%LMQ%$Parent$b", 0); at != 1 {
		t.Errorf("consumer offset of b %d", at)
	}
}

func TestLite_WaitingPopIsWoken(t *testing.T) {
	t.Parallel()
	l := newLiteLab(t, openTest(t, lightConfig(t)))
	l.subscribe("one", "Lites", "a")
	l.subscribe("two", "Lites", "a")
	var waits []*remoting.Pending
	for _, client := range []string{"one", "two"} {
		w, err := dialTest(t, l.b, remoting.Options{}).Start(&remoting.Call{Code: protocol.ReqPopLiteMessage, Ext: l.popFields(client, "pollTime", "20000")})
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, w)
	}
	await(t, "two waiting pops", func() bool { return l.b.holds.waiting() == 2 })
	l.send("a", "a0")
	await(t, "one of them to be answered", func() bool { return l.b.holds.waiting() == 1 })
	l.subscribe("one", "Lites", "b")
	l.subscribe("two", "Lites", "b")
	l.send("b", "b0")
	var all []string
	for _, w := range waits {
		r, err := w.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, got := l.read(r)
		all = append(all, got)
	}
	slices.Sort(all)
	l.want("both", strings.Join(all, " "), "a:a0:0:0 b:b0:0:0")
}

func TestLite_IsBlockedNoLongerThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	l := newLiteLab(t, openTest(t, lightConfig(t)))
	l.subscribe("one", "Lites", "a")
	l.send("a", "a0")
	l.pop("one", "invisibleTime", "700")
	lites := l.b.lites
	lites.mu.Lock()
	for _, x := range lites.blocks {
		x.info.PopTime += setBack
	}
	lites.mu.Unlock()
	_, got := l.pop("one", "pollTime", "20000")
	l.want("again", got, "a:a0:0:1")
}

func TestLite_InvisibleTimeChanges(t *testing.T) {
	t.Parallel()
	l := newLiteLab(t, openTest(t, lightConfig(t)))
	l.subscribe("one", "Lites", "a")
	l.send("a", "a0", "a1")
	list, _ := l.pop("one")
	change := func(suspend string) {
		t.Helper()
		for _, d := range list {
			r := l.ok(protocol.ReqChangeMessageInvisibleTime, [][2]string{{"consumerGroup", "Lites"}, {"topic", "Parent"}, {"liteTopic", "a"}, {"queueId", "0"}, {"suspend", suspend},
				{"offset", strconv.FormatInt(d.QueueOffset, 10)}, {"extraInfo", d.receipt}, {"invisibleTime", "200"}}, nil)
			if q, _ := r.Get("reviveQid"); string(q) != "999" {
				t.Errorf("revive queue %s", q)
			}
		}
	}
	change("false")
	list, got := l.pop("one", "pollTime", "10000")
	l.want("sooner", got, "a:a0:0:1 a:a1:1:1")
	change("true")
	list, got = l.pop("one", "pollTime", "10000")
	l.want("suspended", got, "a:a0:0:1 a:a1:1:1")
	_, got = l.pop("one", "attemptId", "x")
	l.want("another attempt", got, "")
	l.ackAll(list)
}

func TestLite_ExclusiveSubscriptionsMove(t *testing.T) {
	t.Parallel()
	l := newLiteLab(t, openTest(t, lightConfig(t)))
	l.group("Lites", attrLiteModel, liteExclusive, attrLiteResetExclusive, "true")
	l.send("a", "a0", "a1")
	first := &asked{heard: make(chan *remoting.Request, 10)}
	conn, err := remoting.Dial(t.Context(), l.b.Addr().String(), first, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); <-conn.Done() })
	old := &liteLab{t, l.b, conn}
	old.subscribe("one", "Lites", "a", "b")
	list, got := old.pop("one")
	l.want("the first", got, "a:a0:0:0 a:a1:1:0")
	l.ackAll(list)
	l.subscribe("two", "Lites", "a")
	told := <-first.heard
	lite, _ := told.Get("liteTopic")
	client, _ := told.Get("clientId")
	l.want("the first is told", fmt.Sprintf("%d %s %s %t", told.Code, lite, client, told.IsOneway()), "200073 a one true")
	list, got = l.pop("two", "pollTime", "5000")
	l.want("the second", got, "a:a0:0:0 a:a1:1:0")
	l.ackAll(list)
	l.send("a", "a2")
	_, got = old.pop("one")
	l.want("the first afterwards", got, "")
	list, got = l.pop("two", "pollTime", "5000")
	l.want("the second afterwards", got, "a:a2:2:0")
	l.ackAll(list)
}

func TestLite_OffsetsAreReset(t *testing.T) {
	t.Parallel()
	l := newLiteLab(t, openTest(t, lightConfig(t)))
	l.group("Lites", attrLiteResetUnsubscribe, "true")
	l.subscribe("one", "Lites", "a")
	l.send("a", "a0", "a1", "a2")
	for _, step := range []struct {
		kind  string
		value int64
		want  string
	}{
		{protocol.LiteOffsetAt, 1, "a:a1:1:0 a:a2:2:0"},
		{protocol.LiteOffsetTail, 1, "a:a2:2:0"},
		{protocol.LiteOffsetPolicy, protocol.LitePolicyMin, "a:a0:0:0 a:a1:1:0 a:a2:2:0"},
		{protocol.LiteOffsetPolicy, protocol.LitePolicyMax, ""},
		{protocol.LiteOffsetTimestamp, 1, ""},
	} {
		r := l.control(protocol.LiteSubscription{Action: protocol.LitePartialAdd, ClientID: "one", LiteTopicSet: []string{"a"}, OffsetOption: &protocol.LiteOffsetOption{Type: step.kind, Value: step.value}})
		if r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
		list, got := l.pop("one")
		l.want(fmt.Sprint(step.kind, " ", step.value), got, step.want)
		l.ackAll(list)
	}
	l.control(protocol.LiteSubscription{Action: protocol.LitePartialRemove, ClientID: "one", LiteTopicSet: []string{"a"}})
	l.subscribe("one", "Lites", "a")
	_, got := l.pop("one")
	l.want("after it has left and come again", got, "a:a0:0:0 a:a1:1:0 a:a2:2:0")
}

func TestLite_WildcardGroupGetsAll(t *testing.T) {
	t.Parallel()
	l := newLiteLab(t, openTest(t, lightConfig(t)))
	l.group("Lites", attrLiteWildcard, "true")
	l.send("a", "a0")
	if r := l.control(protocol.LiteSubscription{Action: protocol.LitePartialAdd, ClientID: "one", LiteTopicSet: []string{"a"}}); r.Code != protocol.CodeIllegalOperation {
		t.Errorf("a single subscription: %d %s", r.Code, r.Remark)
	}
	for _, client := range []string{"one", "two"} {
		if r := l.control(protocol.LiteSubscription{Action: protocol.LiteCompleteAdd, ClientID: client}); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	l.send("b", "b0")
	_, got := l.pop("two")
	l.want("all", got, "a:a0:0:0 b:b0:0:0")
	l.send("c", "c0")
	_, got = l.pop("one")
	l.want("the other client", got, "c:c0:0:0")
	info := string(l.ok(protocol.ReqGetLiteTopicInfo, [][2]string{{"parentTopic", "Parent"}, {"liteTopic", "c"}}, nil).Body)
	if !strings.Contains(info, `"subscriber":[{"clientId":"*","group":"Lites"}]`) {
		t.Error(info)
	}
	for _, client := range []string{"one", "two"} {
		l.control(protocol.LiteSubscription{Action: protocol.LiteCompleteRemove, ClientID: client})
	}
	if len(l.b.lites.wild)+len(l.b.lites.clients)+len(l.b.lites.subscribers)+l.b.lites.active != 0 {
		t.Errorf("left behind: %+v", l.b.lites)
	}
}

func TestLite_WhatIsWrongIsRefused(t *testing.T) {
	t.Parallel()
	cfg := lightConfig(t)
	cfg.LiteSubscriptionsMax = 2
	l := newLiteLab(t, openTest(t, cfg))
	l.ok(protocol.ReqUpdateAndCreateTopic, createFields("Normal"), nil)
	l.subscribe("one", "Lites", "a")
	l.send("a", "a0")
	list, _ := l.pop("one")
	check := func(what string, r *remoting.Response, code int32, words string) {
		t.Helper()
		if r.Code != code || !strings.Contains(string(r.Remark), words) {
			t.Errorf("%s: %d %s, want %d %s", what, r.Code, r.Remark, code, words)
		}
	}
	popIt := func(changes ...string) *remoting.Response {
		return call(t, l.c, protocol.ReqPopLiteMessage, l.popFields("one", changes...), nil)
	}
	check("too many", popIt("maxMsgNum", "33"), protocol.CodeInvalidParameter, "greater than 32")
	check("no topic", popIt("topic", "None"), protocol.CodeTopicNotExist, "topic [None] not exist")
	check("no lite topic", popIt("topic", "Normal"), protocol.CodeInvalidParameter, "message type not match")
	check("no group", popIt("consumerGroup", "None"), protocol.CodeSubscriptionGroupNotExist, "subscription group [None] not exist")
	check("not bound", popIt("consumerGroup", "TOOLS_CONSUMER"), protocol.CodeInvalidParameter, "subscription bind topic not match, TOOLS_CONSUMER")
	check("no number", popIt("maxMsgNum", "x"), 1, "maxMsgNum")
	check("ack of another group", l.ack(list[0], "consumerGroup", "TOOLS_CONSUMER"), protocol.CodeInvalidParameter, "group type or bind topic not match.")
	check("ack behind the end", l.ack(list[0], "offset", "5"), protocol.CodeNoMessage, "ack offset illegal.")
	check("ack of another queue", l.ack(list[0], "queueId", "1"), protocol.CodeInvalidParameter, "ack queue illegal.")
	check("ack of what is not in flight", l.ack(list[0], "offset", "1"), protocol.CodeMessageIllegal, "ack offset illegal.")
	check("forged", l.ack(list[0], "extraInfo", "x"), protocol.CodeInvalidParameter, "receipt handle")
	check("no body", call(t, l.c, protocol.ReqLiteSubscriptionCtl, nil, nil), protocol.CodeIllegalOperation, "Request body is null.")
	check("empty", call(t, l.c, protocol.ReqLiteSubscriptionCtl, nil, []byte("{}")), protocol.CodeIllegalOperation, "LiteSubscriptionCtlRequestBody is empty.")
	check("unknown action", l.control(protocol.LiteSubscription{Action: "X", ClientID: "one"}), 1, "possible are")
	check("unknown group", l.control(protocol.LiteSubscription{Action: protocol.LitePartialAdd, ClientID: "one", Group: "None"}), protocol.CodeIllegalOperation, "Consumer group is not allowed to consume.")
	l.subscribe("one", "Lites", "b")
	check("quota", l.control(protocol.LiteSubscription{Action: protocol.LitePartialAdd, ClientID: "one", LiteTopicSet: []string{"c"}}), protocol.CodeLiteSubscriptionQuotaExceeded, "lite subscription quota exceeded 2")
	check("parent", call(t, l.c, protocol.ReqGetParentTopicInfo, [][2]string{{"topic", "Normal"}}, nil), protocol.CodeInvalidParameter, "Topic [Normal] type not match.")
	check("group", call(t, l.c, protocol.ReqGetLiteGroupInfo, [][2]string{{"group", "TOOLS_CONSUMER"}}, nil), protocol.CodeInvalidParameter, "Group [TOOLS_CONSUMER] is not a LITE group.")
	check("client", call(t, l.c, protocol.ReqGetLiteClientInfo, [][2]string{{"parentTopic", "Parent"}, {"group", "None"}, {"clientId", "x"}}, nil), protocol.CodeSubscriptionGroupNotExist, "Group [None] not exist.")
	check("trigger", call(t, l.c, protocol.ReqTriggerLiteDispatch, [][2]string{{"group", "None"}}, nil), protocol.CodeSubscriptionGroupNotExist, "Group [None] not exist.")
}

func TestLite_InfoTellsWhatThereIs(t *testing.T) {
	t.Parallel()
	cfg := lightConfig(t)
	cfg.LiteLagTimes = true
	l := newLiteLab(t, openTest(t, cfg))
	l.subscribe("one", "Lites", "a", "b")
	l.send("a", "a0", "a1", "a2")
	l.send("b", "b0")
	list, _ := l.pop("one", "maxMsgNum", "1")
	l.ackAll(list)
	check := func(code int, want string, ext ...string) {
		t.Helper()
		body := string(l.ok(code, changed(nil, ext), nil).Body)
		for words := range strings.SplitSeq(want, " ") {
			if !strings.Contains(body, words) {
				t.Errorf("%s: %s, want %s", protocol.RequestName(code), body, words)
			}
		}
	}
	check(protocol.ReqGetBrokerLiteInfo, `"currentLmqNum":2 "liteSubscriptionCount":2 "maxLmqNum":20000 "storeType":"default" "groupMeta":{"Parent":["Lites"]} "topicMeta":{"Parent":1}`)
	check(protocol.ReqGetParentTopicInfo, `"groups":["Lites"] "liteTopicCount":2 "lmqNum":2 "topic":"Parent" "ttl":1`, "topic", "Parent")
	check(protocol.ReqGetLiteTopicInfo, `"maxOffset":3,"minOffset":0 "liteTopic":"a" "shardingToBroker":true "subscriber":[{"clientId":"one","group":"Lites"}]`, "parentTopic", "Parent", "liteTopic", "a")
	check(protocol.ReqGetLiteTopicInfo, `"maxOffset":0,"minOffset":0 "subscriber":[]`, "parentTopic", "Parent", "liteTopic", "none")
	check(protocol.ReqGetLiteClientInfo, `"liteTopicCount":2,"liteTopicSet":["%LMQ%$Parent$a","%LMQ%$Parent$b"]`, "parentTopic", "Parent", "group", "Lites", "clientId", "one")
	check(protocol.ReqGetLiteClientInfo, `"liteTopicCount":2,"liteTopicSet":["%LMQ%$Parent$a"]`, "parentTopic", "Parent", "group", "Lites", "clientId", "one", "maxCount", "1")
	check(protocol.ReqGetLiteClientInfo, `"liteTopicCount":-1 "lastAccessTime":-1`, "parentTopic", "Parent", "group", "Lites", "clientId", "none")
	check(protocol.ReqGetLiteGroupInfo, `"totalLagCount":2 "brokerOffset":3,"consumerOffset":1`, "group", "Lites", "liteTopic", "a")
	check(protocol.ReqGetLiteGroupInfo, `"totalLagCount":-1`, "group", "Lites", "liteTopic", "none")
	check(protocol.ReqGetLiteGroupInfo, `"totalLagCount":2 "lagCountTopK":[{ "lagCount":2,"liteTopic":"a"}] "lagTimestampTopK":[{`, "group", "Lites", "topK", "5")
	l.ok(protocol.ReqTriggerLiteDispatch, [][2]string{{"group", "Lites"}}, nil)
	_, got := l.pop("one")
	l.want("after a new look", got, "a:a1:1:0 a:a2:2:0 b:b0:0:0")

	at := func(lite string) string {
		v, _ := l.ok(protocol.ReqSearchOffsetByTimestamp, [][2]string{{"topic", "Parent"}, {"liteTopic", lite}, {"queueId", "0"}, {"timestamp", "9999999999999"}}, nil).Get("offset")
		return string(v)
	}
	l.want("a search by time", at("a")+at("none"), "30")
	pulled := call(t, l.c, protocol.ReqPullMessage, append(pullFields("Parent", 0, 0), [2]string{"liteTopic", "a"}), nil)
	if n := len(records(t, pulled.Body)); n != 3 {
		t.Errorf("a pull of a lite topic: %d %s, %d messages", pulled.Code, pulled.Remark, n)
	}
}

func TestLite_ExpiresWithoutMessages(t *testing.T) {
	t.Parallel()
	cfg := lightConfig(t)
	cfg.LiteClientMax, cfg.LiteClientInterval = 200*time.Millisecond, 50*time.Millisecond
	l := newLiteLab(t, openTest(t, cfg))
	l.subscribe("one", "Lites", "a")
	l.send("a", "a0")
	list, _ := l.pop("one")
	l.ackAll(list)
	await(t, "the client to be forgotten", func() bool {
		l.b.lites.mu.Lock()
		defer l.b.lites.mu.Unlock()
		return len(l.b.lites.clients) == 0
	})
	now := *l.b.settings.Load()
	now.LiteLeast = 0
	l.b.expireLites(&now, time.Now())
	if n := len(l.b.store.LiteQueues("Parent")); n != 1 {
		t.Fatalf("%d lite topics before their time", n)
	}
	q := l.b.store.LiteQueues("Parent")[0]
	if gone, err := l.b.store.DeleteQuiet([]store.Quiet{{Queue: q, End: 0}}); len(gone) != 0 || err != nil {
		t.Fatalf("one that got a message meanwhile is deleted: %v %v", gone, err)
	}
	if gone, err := l.b.deleteQuietLites("Parent", []store.Quiet{{Queue: q, End: 1}}); gone != 1 || err != nil {
		t.Fatal(gone, err)
	}
	if n, at := len(l.b.store.LiteQueues("")), l.b.offsets.query("Lites", "%LMQ%$Parent$a", 0); n != 0 || at != -1 {
		t.Errorf("%d lite topics left, offset %d", n, at)
	}
	if _, err := os.Stat(filepath.Join(cfg.RootDir, "consumequeue", "%LMQ%$Parent$a")); err == nil {
		t.Error("the queue's folder is left")
	}
	l.send("a", "a1")
	l.subscribe("one", "Lites", "a")
	_, got := l.pop("one")
	l.want("a lite topic made again", got, "a:a1:0:0")
	l.ok(protocol.ReqDeleteSubscriptionGroup, [][2]string{{"groupName", "Lites"}, {"cleanOffset", "false"}}, nil)
	if at := l.b.offsets.query("Lites", "%LMQ%$Parent$a", 0); at != -1 || len(l.b.lites.clients)+len(l.b.lites.blocks) > 0 {
		t.Errorf("left of a deleted group: offset %d, %+v", at, l.b.lites)
	}
	l.ok(protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "Parent"}}, nil)
	if n := len(l.b.store.LiteQueues("")); n > 0 {
		t.Errorf("%d lite topics outlive their parent", n)
	}
}

func TestLite_ClientsShareInOrder(t *testing.T) {
	t.Parallel()
	const topics, each, clients = 10, 30, 4
	l := newLiteLab(t, openTest(t, lightConfig(t)))
	var lites []string
	for i := range topics {
		lites = append(lites, fmt.Sprint("lite", i))
	}
	var mu sync.Mutex
	got, n := map[string][]string{}, 0
	var wg sync.WaitGroup
	for i := range clients {
		c := &liteLab{t, l.b, dialTest(t, l.b, remoting.Options{})}
		id := fmt.Sprint("client", i)
		c.subscribe(id, "Lites", lites...)
		wg.Go(func() {
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
				list, _ := c.pop(id, "maxMsgNum", "5", "pollTime", "300")
				mu.Lock()
				for _, d := range list {
					got[d.Topic] = append(got[d.Topic], string(d.Body))
				}
				n += len(list)
				all := n >= topics*each
				mu.Unlock()
				c.ackAll(list)
				if all {
					return
				}
			}
		})
	}
	for i := range each {
		for _, lite := range lites {
			l.send(lite, fmt.Sprint(i))
		}
	}
	wg.Wait()
	for _, lite := range lites {
		for i, text := range got[lite] {
			if text != fmt.Sprint(i) {
				t.Errorf("%s: %v", lite, got[lite])
				break
			}
		}
		if len(got[lite]) != each {
			t.Errorf("%s: %d messages", lite, len(got[lite]))
		}
	}
	l.b.lites.mu.Lock()
	defer l.b.lites.mu.Unlock()
	if len(l.b.lites.blocks) != 0 {
		t.Errorf("%d lite topics are blocked though everything is acknowledged", len(l.b.lites.blocks))
	}
}

func TestConsistentHash_IsThatOfProducers(t *testing.T) {
	t.Parallel()
	for lite, want := range map[string][6]int{ // of Guava 32
		"":                 {0, 0, 0, 0, 0, 0},
		"a":                {0, 0, 0, 0, 0, 29},
		"order-17":         {0, 1, 3, 3, 3, 39},
		"liteTopic-123456": {0, 1, 3, 3, 15, 82},
		"zürich":           {0, 1, 3, 4, 4, 86},
	} {
		for i, n := range [...]int{1, 2, 4, 7, 16, 100} {
			if got := consistentHash(int64(message.JavaHash(0, lite)), n); got != want[i] {
				t.Errorf("%q in %d buckets: %d, want %d", lite, n, got, want[i])
			}
		}
	}
}

func TestLite_PopOfNoMessagesWaitsInVain(t *testing.T) {
	t.Parallel()
	b := openTest(t, lightConfig(t))
	l := newLiteLab(t, b)
	l.subscribe("c1", "Lites", "a")
	l.send("a", "a1")
	for i, n := range []string{"0", "-1"} {
		if _, err := dialTest(t, b, remoting.Options{}).Start(&remoting.Call{Code: protocol.ReqPopLiteMessage, Ext: l.popFields("c1", "maxMsgNum", n, "pollTime", "20000")}); err != nil {
			t.Fatal(err)
		}
		await(t, "a pop of "+n+" messages to wait", func() bool { return b.holds.waiting() == i+1 })
	}
	_, got := l.pop("c1")
	l.want("afterwards", got, "a:a1:0:0")
}

// What was popped is not known any more after a restart: only the first message that is left may be acknowledged then.
func TestLite_AcknowledgedOutOfOrderAfterARestartSkipsNothing(t *testing.T) {
	t.Parallel()
	b := openOnce(t, lightConfig(t))
	l := newLiteLab(t, b)
	l.send("a", "a0", "a1", "a2")
	l.subscribe("one", "Lites", "a")
	list, _ := l.pop("one")
	if len(list) != 3 {
		t.Fatal(len(list))
	}
	l.b, l.c = restart(t, b, l.c)
	for _, step := range []struct{ ack, want int }{{2, 0}, {0, 1}, {2, 1}} {
		l.ackAll(list[step.ack : step.ack+1])
		if at := l.b.offsets.query("Lites", "%LMQ%$Parent$a", 0); at != int64(step.want) {
			t.Errorf("a%d acknowledged: consumer offset %d, want %d", step.ack, at, step.want)
		}
	}
	l.subscribe("one", "Lites", "a")
	again, got := l.pop("one")
	l.want("after the restart", got, "a:a1:1:0 a:a2:2:0")
	l.ackAll(again)
	if at := l.b.offsets.query("Lites", "%LMQ%$Parent$a", 0); at != 3 {
		t.Errorf("consumer offset %d at last", at)
	}
}
