package interop

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestJava5_ConsumesLiteTopics(t *testing.T)     { consumesLiteTopics(t, java5) }
func TestJava5_SharesLiteTopics(t *testing.T)       { sharesLiteTopics(t, java5) }
func TestJava5_LiteTopicsMove(t *testing.T)         { liteTopicsMove(t, java5) }
func TestJava5_AnswersAboutLiteTopics(t *testing.T) { answersAboutLiteTopics(t, java5) }

// A liteLab is a parent of lite topics, and a group that is bound to it.
type liteLab struct {
	t *testing.T
	*producer
	parent, group string
}

var liteSettings = []string{"enableLmq=true", "enableMultiDispatch=true"}

func newLiteLab(t *testing.T, c client, cl *cluster, attributes ...string) *liteLab {
	t.Helper()
	p := newProducer(t, c, cl)
	l := &liteLab{t, p, uniqueName(t, "parent"), uniqueName(t, "group")}
	l.raw(0, 17, nil, "topic", l.parent, "defaultTopic", "TBW102", "readQueueNums", 2, "writeQueueNums", 2, "perm", 6, "topicFilterType", "SINGLE_TAG", "topicSysFlag", 0,
		"order", "false", "attributes", "+message.type=LITE,+lite.topic.expiration=10")
	l.makeGroup(l.group, l.parent, attributes...)
	l.waitForQueues(l.parent, 2)
	return l
}

func (l *liteLab) makeGroup(name, parent string, attributes ...string) {
	l.t.Helper()
	all := map[string]string{"+lite.bind.topic": parent}
	for i := 0; i < len(attributes); i += 2 {
		all["+"+attributes[i]] = attributes[i+1]
	}
	group, err := json.Marshal(map[string]any{"groupName": name, "consumeEnable": true, "attributes": all})
	must(l.t, err)
	l.raw(0, 200, group)
}

// raw sends a request as it is, and wants a code.
func (l *liteLab) raw(want, code int, body []byte, fields ...any) url.Values {
	l.t.Helper()
	args := []any{"broker", l.cluster.broker.addr(), "code", code, "body", encoded(string(body))}
	for i := 0; i < len(fields); i += 2 {
		args = append(args, "p."+fields[i].(string), fields[i+1])
	}
	answer := l.ask("admin.raw", args...)
	if answer.Get("code") != fmt.Sprint(want) {
		l.t.Errorf("%d %v: %s %s, want %d", code, fields, answer.Get("code"), answer.Get("remark"), want)
	}
	return answer
}

func (l *liteLab) call(op string, args ...any) url.Values {
	l.t.Helper()
	return l.ask(op, append(slices.Clone(args), "broker", l.cluster.broker.addr(), "topic", l.parent, "group", l.group)...) // the first of a name counts
}

// id is what the broker calls a client: it must be the only one of that name.
func (l *liteLab) id(client string) string { return l.group + "@" + client }

// subscribe adds lite topics to a client's subscriptions, or does what action says.
func (l *liteLab) subscribe(client string, args ...any) {
	l.t.Helper()
	if answer := l.call("lite.control", append(slices.Clone(args), "client", l.id(client), "action", "PARTIAL_ADD")...); answer.Get("code") != "0" {
		l.t.Fatal(answer)
	}
}

func (l *liteLab) control(client, action string, args ...any) {
	l.t.Helper()
	if answer := l.call("lite.control", append(slices.Clone(args), "client", l.id(client), "action", action)...); answer.Get("code") != "0" {
		l.t.Fatal(answer)
	}
}

func (l *liteLab) send(lite string, keys ...string) {
	l.t.Helper()
	for _, key := range keys {
		must(l.t, waitFor(soon, func() error {
			_, err := l.program.call("send", "name", l.name, "topic", l.parent, "keys", key, "body", encoded(key), "lite", lite)
			return err
		}))
	}
}

// pop pops until there are n messages, and tells them by lite topic as key:offset:tries.
func (l *liteLab) pop(client string, n int, args ...any) (all []message, told string) {
	l.t.Helper()
	for end := time.Now().Add(soon); len(all) < n; {
		if time.Now().After(end) {
			l.t.Fatalf("%d messages came, %d wanted", len(all), n)
		}
		all = append(all, l.popOnce(client, append(slices.Clone(args), "poll", 10000)...)...)
	}
	return all, l.told(all)
}

func (l *liteLab) popOnce(client string, args ...any) []message {
	l.t.Helper()
	return l.messages(l.call("lite.pop", append(slices.Clone(args), "client", l.id(client))...).Get("m"))
}

func (l *liteLab) told(all []message) string {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b message) int { return strings.Compare(a.properties["lite"], b.properties["lite"]) })
	var list []string
	for _, m := range sorted {
		list = append(list, fmt.Sprintf("%s/%s:%d:%s", m.properties["lite"], m.keys, m.offset, m.properties["times"]))
	}
	return strings.Join(list, " ")
}

func (l *liteLab) nothing(client string, args ...any) {
	l.t.Helper()
	if got := l.popOnce(client, append(slices.Clone(args), "poll", 700)...); len(got) > 0 {
		l.t.Errorf("%s came", l.told(got))
	}
}

func (l *liteLab) ack(all []message) {
	l.t.Helper()
	for _, m := range all {
		if s := l.call("lite.ack", "lite", m.properties["lite"], "receipt", m.properties["receipt"]).Get("status"); s != "OK" {
			l.t.Errorf("acknowledging %s: %s", m.keys, s)
		}
	}
}

func (l *liteLab) want(what, got, want string) {
	l.t.Helper()
	if got != want {
		l.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// consumesLiteTopics: messages of several lite topics come to who subscribes to these, each in order, and what is not acknowledged again.
func consumesLiteTopics(t *testing.T, c client) {
	t.Parallel()
	l := newLiteLab(t, c, ownCluster(t, setup{settings: liteSettings}))
	l.send("a", "a0", "a1")
	l.send("other", "x")
	l.subscribe("one", "lites", "a\nb")
	first, got := l.pop("one", 2)
	l.want("what was there", got, "a/a0:0:0 a/a1:1:0")
	l.send("a", "a2")
	l.send("b", "b0")
	second, got := l.pop("one", 1)
	l.want("while a is blocked", got, "b/b0:0:0")
	l.ack(first[:1])
	l.nothing("one")
	l.ack(first[1:])
	_, got = l.pop("one", 1, "invisible", 2000)
	l.want("the rest of a", got, "a/a2:2:0")
	l.ack(second)
	again, got := l.pop("one", 1, "invisible", 20000)
	l.want("after its invisible time", got, "a/a2:2:1")
	l.want("a changed time", l.call("lite.change", "lite", "a", "receipt", again[0].properties["receipt"], "invisible", 1000).Get("status"), "OK")
	again, got = l.pop("one", 1)
	l.want("after the changed time", got, "a/a2:2:2")
	l.ack(again)
	for _, step := range []struct {
		option string
		value  int
		want   string
	}{
		{"OFFSET", 1, "a/a1:1:0 a/a2:2:0"},
		{"TAIL_N", 1, "a/a2:2:0"},
		{"POLICY", 1, "a/a0:0:0 a/a1:1:0 a/a2:2:0"},
	} {
		l.control("one", "PARTIAL_REMOVE", "lites", "a")
		l.subscribe("one", "lites", "a", "option", step.option, "value", step.value)
		all, got := l.pop("one", strings.Count(step.want, " ")+1)
		l.want(fmt.Sprint("from ", step.option, step.value), got, step.want)
		l.ack(all)
	}
	l.control("one", "COMPLETE_ADD", "lites", "b")
	l.nothing("one") // Apache looks once more into what was consumed
	l.send("a", "a3")
	l.send("b", "b1")
	_, got = l.pop("one", 1)
	l.want("without a", got, "b/b1:1:0")
	l.control("one", "COMPLETE_REMOVE")
	l.nothing("one")
}

// sharesLiteTopics: clients of one group share lite topics; where each belongs to one, the last that comes has it and the other is told; a
// group that wants all of them gets new ones too.
func sharesLiteTopics(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: liteSettings})
	shared := newLiteLab(t, c, cl)
	shared.subscribe("one", "lites", "a")
	shared.subscribe("two", "lites", "a")
	var all []string
	for i := range 6 {
		shared.send("a", fmt.Sprint("a", i))
		client := []string{"one", "two"}[i%2]
		var got []message
		must(t, waitFor(soon, func() error { // Apache tells one of them, and the other only when that one does not come
			if got = shared.popOnce(client, "poll", 300); len(got) == 0 {
				got = shared.popOnce(map[string]string{"one": "two", "two": "one"}[client], "poll", 300)
			}
			if len(got) == 0 {
				return fmt.Errorf("a%d does not come", i)
			}
			return nil
		}))
		shared.ack(got)
		all = append(all, keysOf(got)...)
	}
	shared.want("together", strings.Join(all, " "), "a0 a1 a2 a3 a4 a5")

	exclusive := newLiteLab(t, c, cl, "lite.sub.model", "Exclusive", "lite.sub.reset.offset.exclusive", "true")
	exclusive.ask("lite.hear")
	exclusive.send("b", "b0")
	exclusive.subscribe("one", "lites", "b")
	got, _ := exclusive.pop("one", 1)
	exclusive.ack(got)
	exclusive.subscribe("two", "lites", "b")
	must(t, waitFor(soon, func() error {
		if told := exclusive.ask("lite.told").Get("t"); told != exclusive.id("one")+" "+exclusive.group+" b" {
			return fmt.Errorf("told: %q", told)
		}
		return nil
	}))
	got, told := exclusive.pop("two", 1)
	exclusive.want("from the beginning", told, "b/b0:0:0")
	exclusive.ack(got)
	exclusive.nothing("one")

	wild := newLiteLab(t, c, cl, "lite.sub.wildcard", "true")
	if answer := wild.call("lite.control", "client", wild.id("one"), "action", "PARTIAL_ADD", "lites", "c"); answer.Get("code") != "604" ||
		!strings.Contains(answer.Get("remark"), "subscribe lite operation is not supported for this group") {
		t.Error(answer)
	}
	wild.send("c", "c0")
	wild.control("one", "COMPLETE_ADD")
	got, told = wild.pop("one", 1)
	wild.want("what was there", told, "c/c0:0:0")
	wild.ack(got)
	wild.send("d", "d0")
	_, told = wild.pop("one", 1)
	wild.want("a new one", told, "d/d0:0:0")
}

// liteTopicsMove: lite topics and how far groups are in them go from Apache's broker to Liftoff and back.
func liteTopicsMove(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{broker: apache, settings: append([]string{"flushConsumerOffsetInterval=1000"}, liteSettings...)})
	l := newLiteLab(t, c, cl)
	for i, k := range []kind{apache, underTest("broker"), apache} {
		if i > 0 {
			cl.stopBroker(t, false)
			cl.broker.kind = k
			must(t, cl.startBroker())
		}
		l.send("a", fmt.Sprint("a", i*2), fmt.Sprint("a", i*2+1))
		must(t, waitFor(soon, func() error {
			answer, err := l.program.call("lite.control", "name", l.name, "broker", cl.broker.addr(), "topic", l.parent, "group", l.group, "client", l.id("one"), "action", "PARTIAL_ADD", "lites", "a")
			if err == nil && answer.Get("code") != "0" {
				err = fmt.Errorf("%v", answer)
			}
			return err
		}))
		want := fmt.Sprintf("a/a%d:%d:0 a/a%d:%d:0", i*2-min(i, 1), i*2-min(i, 1), i*2+1-min(i, 1), i*2+1-min(i, 1))
		n := 2
		if i > 0 { // and the one that was left unacknowledged
			want += fmt.Sprintf(" a/a%d:%d:0", i*2+1, i*2+1)
			n = 3
		}
		got, told := l.pop("one", n)
		l.want(fmt.Sprint("on ", k), told, want)
		l.ack(got[:n-1])
	}
}

// answersAboutLiteTopics: codes, remarks and bodies of what administrators ask, and of what is refused.
func answersAboutLiteTopics(t *testing.T, c client) {
	t.Parallel()
	l := newLiteLab(t, c, ownCluster(t, setup{settings: append([]string{"maxLiteSubscriptionCount=3", "autoCreateSubscriptionGroup=false"}, liteSettings...)}))
	normal := l.topic(1)
	l.subscribe("one", "lites", "a\nb")
	l.send("a", "a0", "a1", "a2")
	l.send("b", "b0")
	got, _ := l.pop("one", 1, "max", 1)
	for len(got) < 1 || got[0].keys != "a0" {
		l.ack(got)
		got, _ = l.pop("one", 1, "max", 1)
	}
	l.ack(got)
	check := func(code, want int, contains string, fields ...any) {
		t.Helper()
		answer := l.raw(want, code, nil, fields...)
		text := answer.Get("remark") + answer.Get("body")
		for _, words := range strings.Split(contains, " & ") {
			if !strings.Contains(text, words) {
				t.Errorf("%d %v: %s, want %s", code, fields, text, words)
			}
		}
	}
	const broker, parent, lite, client, group, trigger = 200074, 200075, 200076, 200077, 200078, 200079
	check(broker, 0, fmt.Sprintf(`"currentLmqNum":2 & "liteSubscriptionCount":2 & "maxLmqNum":20000 & "storeType":"default" & "groupMeta":{"%s":["%s"]} & "topicMeta":{"%s":10}`, l.parent, l.group, l.parent))
	check(parent, 0, fmt.Sprintf(`"groups":["%s"] & "liteTopicCount":2 & "lmqNum":2 & "topic":"%s" & "ttl":10`, l.group, l.parent), "topic", l.parent)
	check(parent, 17, "Topic [none] not exist.", "topic", "none")
	check(parent, 29, "Topic ["+normal+"] type not match.", "topic", normal)
	check(lite, 0, fmt.Sprintf(`"liteTopic":"a" & "parentTopic":"%s" & "shardingToBroker":true & "subscriber":[{"clientId":"%s","group":"%s"}] & "topicOffset":{"lastUpdateTimestamp":1 & "maxOffset":3,"minOffset":0}`, l.parent, l.id("one"), l.group),
		"parentTopic", l.parent, "liteTopic", "a")
	check(lite, 0, `"subscriber":[] & "maxOffset":0,"minOffset":0}`, "parentTopic", l.parent, "liteTopic", "none")
	check(lite, 17, "Topic [none] not exist.", "parentTopic", "none", "liteTopic", "a")
	check(client, 0, fmt.Sprintf(`"clientId":"%s" & "liteTopicCount":2 & "%%LMQ%%$%s$a" & "%%LMQ%%$%s$b"`, l.id("one"), l.parent, l.parent), "parentTopic", l.parent, "group", l.group, "clientId", l.id("one"), "maxCount", 10)
	check(client, 0, `"lastAccessTime":-1 & "liteTopicCount":-1`, "parentTopic", l.parent, "group", l.group, "clientId", "none", "maxCount", 10)
	check(client, 26, "Group [none] not exist.", "parentTopic", l.parent, "group", "none", "clientId", l.id("one"), "maxCount", 10)
	check(client, 29, "Subscription [TOOLS_CONSUMER]-["+l.parent+"] not match.", "parentTopic", l.parent, "group", "TOOLS_CONSUMER", "clientId", l.id("one"), "maxCount", 10)
	check(group, 0, fmt.Sprintf(`"group":"%s" & "parentTopic":"%s" & "totalLagCount":2 & "brokerOffset":3,"consumerOffset":1 & "liteTopic":"a"`, l.group, l.parent), "group", l.group, "liteTopic", "a", "topK", 5)
	check(group, 0, `"totalLagCount":-1 & "earliestUnconsumedTimestamp":-1`, "group", l.group, "liteTopic", "none", "topK", 5)
	check(group, 0, `"lagCountTopK":[{ & "lagCount":2,"liteTopic":"a"} & "lagTimestampTopK":[]`, "group", l.group, "topK", 5)
	check(group, 26, "Group [none] not exist.", "group", "none", "topK", 5)
	check(group, 29, "Group [TOOLS_CONSUMER] is not a LITE group.", "group", "TOOLS_CONSUMER", "topK", 5)
	check(trigger, 0, "", "group", l.group)
	check(trigger, 0, "", "group", l.group, "clientId", l.id("one"))
	check(trigger, 26, "Group [none] not exist.", "group", "none")
	check(29, 0, "", "topic", l.parent, "liteTopic", "a", "queueId", 0, "timestamp", 1)

	const pop, ack, control = 200070, 200051, 200071
	popIt := func(want int, contains string, changes ...any) {
		t.Helper()
		check(pop, want, contains, append(changes, "clientId", l.id("one"), "consumerGroup", l.group, "topic", l.parent, "maxMsgNum", 1, "invisibleTime", 1000, "pollTime", 0, "bornTime", time.Now().UnixMilli())...)
	}
	popIt(29, "pop message's num is greater than 32", "maxMsgNum", 33)
	popIt(17, "topic [none] not exist, apply first please!", "topic", "none")
	popIt(29, "the topic ["+normal+"] message type not match", "topic", normal)
	popIt(26, "subscription group [none] not exist", "consumerGroup", "none")
	popIt(29, "subscription bind topic not match, TOOLS_CONSUMER", "consumerGroup", "TOOLS_CONSUMER")
	ackIt := func(want int, contains string, changes ...any) {
		t.Helper()
		check(ack, want, contains, append(changes, "consumerGroup", l.group, "topic", l.parent, "liteTopic", "a", "queueId", 0, "offset", 1,
			"extraInfo", fmt.Sprintf("0 %d 60000 999 0 broker-a 0 1", time.Now().UnixMilli()))...)
	}
	ackIt(29, "group type or bind topic not match.", "consumerGroup", "TOOLS_CONSUMER")
	ackIt(208, "ack offset illegal.", "offset", 9)
	ackIt(29, "ack queue illegal.", "queueId", 1)
	check(control, 604, "Request body is null.")
	if answer := l.raw(604, control, []byte(`{"subscriptionSet":[]}`)); !strings.Contains(answer.Get("remark"), "LiteSubscriptionCtlRequestBody is empty.") {
		t.Error(answer)
	}
	if answer := l.call("lite.control", "client", l.id("one"), "action", "PARTIAL_ADD", "lites", "a", "group", "none"); answer.Get("code") != "604" {
		t.Error(answer)
	}
	l.subscribe("one", "lites", "c")
	if answer := l.call("lite.control", "client", l.id("one"), "action", "PARTIAL_ADD", "lites", "d"); answer.Get("code") != "2018" || !strings.Contains(answer.Get("remark"), "lite subscription quota exceeded 3") {
		t.Error(answer)
	}
}
