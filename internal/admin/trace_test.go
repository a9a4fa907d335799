package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// tool runs one of the commands that RocketMQ lacks.
func tool(t *testing.T, c *cluster, args ...string) result {
	t.Helper()
	var out, said strings.Builder
	a := &Admin{In: strings.NewReader(""), Out: &out, Err: &said}
	for _, tool := range a.Tools() {
		if tool.Name() != args[0] {
			continue
		}
		tool.SilenceErrors, tool.SilenceUsage = true, true
		tool.SetOut(&out)
		tool.SetErr(&said)
		tool.SetArgs(append(args[1:], "-n", c.addr))
		err := tool.ExecuteContext(t.Context())
		return result{out.String(), said.String(), err}
	}
	t.Fatalf("no tool %s", args[0])
	return result{}
}

// lifeOf is what `liftoff trace --json` says.
func lifeOf(t *testing.T, c *cluster, args ...string) life {
	t.Helper()
	r := tool(t, c, append([]string{"trace", "--json"}, args...)...)
	var l life
	if r.err != nil {
		t.Fatalf("trace %v: %v\n%s", args, r.err, r.said)
	}
	if err := json.Unmarshal([]byte(r.out), &l); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	return l
}

// groupIn is what a life says of a group.
func groupIn(t *testing.T, l life, name string) groupLife {
	t.Helper()
	for _, g := range l.Groups {
		if g.Group == name {
			return g
		}
	}
	t.Fatalf("group %s is not in %+v", name, l.Groups)
	return groupLife{}
}

// giveBack has a group fail with what is stored somewhere; a level below 0 makes it a dead letter.
func (c *cluster) giveBack(t *testing.T, addr, group string, at stay, level int32) {
	t.Helper()
	r, err := c.pool.Call(t.Context(), addr, &remoting.Call{Code: protocol.ReqConsumerSendMsgBack, Header: &protocol.SendBackHeader{
		Offset: at.LogOffset, Group: group, DelayLevel: level, OriginMsgID: at.OffsetID, OriginTopic: at.Topic}})
	if err != nil || r.Code != 0 {
		t.Fatal(r, err)
	}
}

// group makes a group that has not consumed anything of a queue.
func (c *cluster) group(t *testing.T, addr, group, topic string) {
	t.Helper()
	g := protocol.NewSubscriptionGroupConfig(group)
	if err := c.pool.CreateGroup(t.Context(), addr, &g); err != nil {
		t.Fatal(err)
	}
	if err := c.pool.CommitOffset(t.Context(), addr, group, topic, 0, 0); err != nil {
		t.Fatal(err)
	}
}

func TestTrace_TellsAWholeLife(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "broker-a", "broker-b")
	c.topic(t, "orders", 1)
	addr := c.brokers[1]
	const id = "7F000001A8F118B4AAC2933D1E1B0000"
	for i := range 3 {
		c.send(t, addr, "orders", 0, fmt.Sprint("before ", i), map[string]string{message.PropUniqKey: fmt.Sprint("before", i)})
	}
	offsetID := c.send(t, addr, "orders", 0, "the\nbody", map[string]string{message.PropUniqKey: id, message.PropKeys: "order-4711 all", message.PropTags: "A"})
	waitFor(t, "index", func() bool { return tool(t, c, "trace", id).err == nil })

	l := lifeOf(t, c, id)
	if l.ID != id || l.Topic != "orders" || l.Body != "the body" || l.Tags != "A" || len(l.Stored) != 1 || l.Stored[0].OffsetID != offsetID || l.Stored[0].Broker != "broker-b" || l.Stored[0].QueueOffset != 3 {
		t.Errorf("%+v", l)
	}
	for _, name := range []string{"order-4711", offsetID} {
		if other := lifeOf(t, c, name); other.ID != id {
			t.Errorf("%s is %+v", name, other)
		}
	}
	if len(l.Steps) != 1 || l.Steps[0].What != "was stored" || len(l.Groups) != 0 {
		t.Errorf("steps %+v, groups %+v", l.Steps, l.Groups)
	}

	// A group that has not come to it, and why.
	c.group(t, addr, "billing", "orders")
	g := groupIn(t, lifeOf(t, c, id, "-t", "orders"), "billing")
	if why := strings.Join(g.Why, "; "); g.State != stateNotYet || g.Behind != 4 || g.Offset != 0 || !strings.Contains(why, "3 messages of its queue are before it") || !strings.Contains(why, "no consumer of the group is connected") {
		t.Errorf("%+v", g)
	}
	beat := func(tags string) {
		t.Helper()
		h := &protocol.HeartbeatData{ClientID: "10.0.0.7@1", ConsumerDataSet: []*protocol.ConsumerData{{GroupName: "billing", ConsumeType: protocol.ConsumePassively,
			MessageModel: protocol.Clustering, ConsumeFromWhere: "CONSUME_FROM_FIRST_OFFSET", SubscriptionDataSet: []*protocol.SubscriptionData{
				{Topic: "orders", SubString: tags, TagsSet: []string{}, CodeSet: []int32{}, SubVersion: time.Now().UnixMilli(), ExpressionType: "TAG"}}}}}
		if err := c.pool.Heartbeat(t.Context(), addr, h); err != nil {
			t.Fatal(err)
		}
	}
	beat("A || C")
	g = groupIn(t, lifeOf(t, c, id), "billing")
	if why := strings.Join(g.Why, "; "); g.State != stateNotYet || len(g.Consumers) != 1 || !strings.Contains(why, "the group is at message before0, stored") {
		t.Errorf("%+v", g)
	}
	beat("B")
	g = groupIn(t, lifeOf(t, c, id), "billing")
	if why := strings.Join(g.Why, "; "); !strings.Contains(why, `it will be passed over: the group subscribes to B, and the tag is "A"`) {
		t.Errorf("%+v", g)
	}
	if err := c.pool.CommitOffset(t.Context(), addr, "billing", "orders", 0, 4); err != nil {
		t.Fatal(err)
	}
	if g = groupIn(t, lifeOf(t, c, id), "billing"); g.State != statePassed {
		t.Errorf("%+v", g)
	}
	beat("*")
	if g = groupIn(t, lifeOf(t, c, id), "billing"); g.State != stateConsumed {
		t.Errorf("%+v", g)
	}

	// It fails: waits, comes again, is consumed then; or is a dead letter.
	c.giveBack(t, addr, "billing", l.Stored[0], 1)
	waitFor(t, "retry waits", func() bool {
		g = groupIn(t, lifeOf(t, c, id), "billing")
		return g.State == stateRetrying && g.Tries == 1 && strings.Contains(strings.Join(g.Why, "; "), "it failed; try 1 comes at ")
	})
	waitFor(t, "retry", func() bool {
		l = lifeOf(t, c, id)
		g = groupIn(t, l, "billing")
		return g.State == stateNotYet && strings.Contains(strings.Join(g.Why, "; "), "it is in %RETRY%billing and waits for try 1")
	})
	last := l.Steps[len(l.Steps)-1]
	if len(l.Steps) != 3 || l.Steps[1].Until-l.Steps[1].Time != 1000 || last.What != "came again, try 1 by group billing" || last.Time < l.Steps[1].Until {
		t.Errorf("%+v", l.Steps)
	}
	if err := c.pool.CommitOffset(t.Context(), addr, "billing", "%RETRY%billing", 0, 1); err != nil {
		t.Fatal(err)
	}
	if g = groupIn(t, lifeOf(t, c, id), "billing"); g.State != stateConsumed || g.Tries != 1 || strings.Join(g.Why, "") != "at try 1" {
		t.Errorf("%+v", g)
	}
	c.giveBack(t, addr, "billing", last.Where, -1)
	waitFor(t, "dead letter", func() bool { return groupIn(t, lifeOf(t, c, id), "billing").State == stateDead })
	r := tool(t, c, "trace", id)
	for _, want := range []string{"message  " + id, "log offset ", "waits at delay level 1 for try 1 by group billing, due 20", "became a dead letter of group billing after", "billing: since "} {
		if r.err != nil || !strings.Contains(r.out, want) {
			t.Errorf("%q is not in\n%s%v", want, r.out, r.err)
		}
	}
}

func TestTrace_ListsWhatHasOneKey(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 1)
	for i := range 3 {
		c.send(t, c.brokers[0], "orders", 0, "x", map[string]string{message.PropUniqKey: fmt.Sprint("id", i), message.PropKeys: "all"})
	}
	waitFor(t, "index", func() bool { return tool(t, c, "trace", "id2").err == nil })
	r := tool(t, c, "trace", "all", "--max", "2")
	if r.err != nil || strings.Contains(r.out, "id0") || !strings.Contains(r.out, "id1") || !strings.Contains(r.said, "3 messages have the key all") {
		t.Errorf("%+v", r)
	}
	other := &Admin{Out: io.Discard, Err: io.Discard, namesrvAddr: c.addr, pool: c.pool, names: c.names}
	at := lifeOf(t, c, "id1").Stored[0]
	if found := other.viewAnywhere(t.Context(), []member{{addr: at.Addr}}, strings.ToLower(at.OffsetID), "", at.LogOffset); len(found) != 1 || found[0].id() != "id1" {
		t.Errorf("%+v", found)
	}
	if r := tool(t, c, "trace", "nobody"); r.err == nil || !strings.Contains(r.err.Error(), `no message has the id or key "nobody" in any topic`) {
		t.Errorf("%+v", r)
	}
}

func TestTrace_FollowsTransactionsAndTimers(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 1)
	due := time.Now().Add(time.Hour).UnixMilli()
	c.send(t, c.brokers[0], "orders", 0, "x", map[string]string{message.PropUniqKey: "timed", message.PropTimerDeliverMS: fmt.Sprint(due)})
	c.send(t, c.brokers[0], "orders", 0, "x", map[string]string{message.PropUniqKey: "delayed", message.PropDelay: "5"})
	waitFor(t, "index", func() bool {
		return tool(t, c, "trace", "delayed").err == nil && tool(t, c, "trace", "timed").err == nil
	})
	if l := lifeOf(t, c, "timed"); len(l.Stored) != 0 || l.Topic != "orders" || len(l.Steps) != 1 || l.Steps[0].What != "waits in the timer" || l.Steps[0].Until != due/1000*1000 {
		t.Errorf("%+v", l)
	}
	sent, err := c.pool.Send(t.Context(), c.brokers[0], &client.Outgoing{Group: "payers", Topic: "orders", BornTimestamp: time.Now().UnixMilli(), Body: []byte("x"), SysFlag: message.FlagTransactionPrepared,
		Properties: map[string]string{message.PropUniqKey: "half", message.PropTransactionPrepared: "true", message.PropProducerGroup: "payers"}})
	if err != nil {
		t.Fatal(err, sent)
	}
	waitFor(t, "index", func() bool { return tool(t, c, "trace", "half").err == nil })
	if l := lifeOf(t, c, "half"); l.Topic != "orders" || l.Steps[0].What != "is a half message of producer group payers: its transaction is not known to be decided" {
		t.Errorf("%+v", l)
	}
	if l := lifeOf(t, c, "delayed"); l.Topic != "orders" || l.Steps[0].What != "waits at delay level 5" || l.Steps[0].Until-l.Steps[0].Time != 60_000 {
		t.Errorf("%+v", l)
	}
}

func TestTrace_ShowsWhatClientsTraced(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 1)
	c.topic(t, "traces", 1)
	c.send(t, c.brokers[0], "orders", 0, "x", map[string]string{message.PropUniqKey: "id"})
	body := strings.Join([]string{"Pub", "1000", "r", "senders", "orders", "id", "", "", "h", "1", "7", "0", "off", "true"}, "\x01") + "\x02" +
		strings.Join([]string{"SubBefore", "2000", "r", "billing", "req", "id", "0", ""}, "\x01") + "\x02" +
		strings.Join([]string{"SubBefore", "2000", "r", "billing", "req", "other", "0", ""}, "\x01") + "\x02" +
		strings.Join([]string{"SubAfter", "req", "id", "12", "false", "", "4", "2012", "billing"}, "\x01") + "\x02"
	c.send(t, c.brokers[0], "traces", 0, body, map[string]string{message.PropKeys: "id other"})
	waitFor(t, "index", func() bool { return len(lifeOf(t, c, "id", "--trace-topic", "traces", "-t", "orders").Traces) == 2 })
	r := tool(t, c, "trace", "id", "-t", "orders", "--trace-topic", "traces")
	for _, want := range []string{"sent by group senders, well, in 7 ms", "consumed by group billing, try 0, failed, in 12 ms"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in\n%s", want, r.out)
		}
	}
}

// What only the broker knows: what is popped, and who has a queue for itself.
func TestTrace_TellsWhatIsInHand(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 1)
	addr := c.brokers[0]
	c.group(t, addr, "billing", "orders")
	for i := range 3 {
		c.send(t, addr, "orders", 0, "x", map[string]string{message.PropUniqKey: fmt.Sprint("id", i)})
	}
	waitFor(t, "index", func() bool { return tool(t, c, "trace", "id2").err == nil })
	check := func(id, state, why string) {
		t.Helper()
		g := groupIn(t, lifeOf(t, c, id, "-t", "orders"), "billing")
		if text := strings.Join(g.Why, "; "); g.State != state || !strings.Contains(text, why) {
			t.Errorf("%s is %q because %q; want %q because %q", id, g.State, text, state, why)
		}
	}
	locked, err := fastjson.Marshal(protocol.LockBatchBody{ConsumerGroup: "billing", ClientID: "10.0.0.7@1", MQSet: []protocol.MessageQueue{{Topic: "orders", BrokerName: "broker-a"}}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.pool.Call(t.Context(), addr, &remoting.Call{Code: protocol.ReqLockBatchMQ, Body: locked}); err != nil || r.Code != 0 {
		t.Fatal(r, err)
	}
	check("id1", stateNotYet, "client 10.0.0.7@1 has the queue for itself, to consume it in order, since ")

	pop := [][2]string{{"consumerGroup", "billing"}, {"topic", "orders"}, {"queueId", "-1"}, {"maxMsgNums", "2"}, {"invisibleTime", "60000"}, {"pollTime", "0"},
		{"bornTime", fmt.Sprint(time.Now().UnixMilli())}, {"initMode", "0"}, {"expType", "TAG"}, {"exp", "*"}, {"order", "false"}}
	r, err := c.pool.Call(t.Context(), addr, &remoting.Call{Code: protocol.ReqPopMessage, Ext: pop})
	if err != nil || r.Code != 0 {
		t.Fatal(r, err)
	}
	field := func(name string) string { v, _ := r.Get(name); return string(v) }
	check("id1", stateFetched, "it was popped at ")
	check("id2", stateNotYet, "2 messages of the queue are popped and not acknowledged")
	receipt := fmt.Sprintf("0 %s %s %s 0 broker-a 0 1", field("popTime"), field("invisibleTime"), field("reviveQid"))
	ack := [][2]string{{"consumerGroup", "billing"}, {"topic", "orders"}, {"queueId", "0"}, {"extraInfo", receipt}, {"offset", "1"}}
	if r, err := c.pool.Call(t.Context(), addr, &remoting.Call{Code: protocol.ReqAckMessage, Ext: ack}); err != nil || r.Code != 0 {
		t.Fatal(r, err)
	}
	check("id1", stateConsumed, "and is acknowledged")
	check("id0", stateFetched, "unless it is acknowledged")
}

func FuzzReadTraces(f *testing.F) {
	f.Add("Pub\x011\x01r\x01g\x01t\x01id\x01\x01\x01h\x011\x017\x010\x01off\x01true\x02SubAfter\x01req\x01id\x0112\x01false\x02")
	f.Fuzz(func(_ *testing.T, body string) { joinTraces(readTraces(body, "id", "host")) })
}
