package broker

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

func lightConfig(t testing.TB) config.Broker {
	cfg := testConfig(t)
	cfg.LightQueues, cfg.MultiDispatch = true, true
	return cfg
}

// openOnce opens a broker that the test closes itself.
func openOnce(t *testing.T, cfg config.Broker) *Broker {
	t.Helper()
	b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLight_MessagesComeByEachName(t *testing.T) {
	t.Parallel()
	cfg := lightConfig(t)
	b := openOnce(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	send := func(topic, properties, body string) *remoting.Response {
		t.Helper()
		return call(t, c, protocol.ReqSendMessageV2, sendFields(topic, "i", properties), []byte(body))
	}
	pull := func(queue string, offset int64) (bodies string) {
		t.Helper()
		r := call(t, c, protocol.ReqPullMessage, pullFields(queue, 0, offset, "consumerGroup", "%LMQ%client"), nil)
		for _, m := range records(t, r.Body) {
			at, _ := message.Property(m.Properties, message.PropMultiQueueOffset)
			bodies += string(m.Body) + "@" + string(at) + " "
		}
		return bodies
	}
	waits, err := c.Start(&remoting.Call{Code: protocol.ReqPullMessage, Ext: pullFields("%LMQ%a", 0, 0, "sysFlag", "6", "consumerGroup", "%LMQ%client")})
	if err != nil {
		t.Fatal(err)
	}
	forged := "INNER_MULTI_QUEUE_OFFSET\x0155\x02INNER_MULTI_DISPATCH\x01%LMQ%a,%LMQ%b\x02"
	if r := send("T", forged, "1"); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	if r, err := waits.Wait(t.Context()); err != nil || r.Code != 0 || len(records(t, r.Body)) != 1 {
		t.Errorf("a pull that waits for a light queue: %+v %v", r, err)
	}
	send("T", "", "2")
	send("T", "INNER_MULTI_DISPATCH\x01%LMQ%b", "3")
	send("T", "INNER_MULTI_QUEUE_OFFSET\x0155\x02", "4")
	if a, both := pull("%LMQ%a", 0), pull("%LMQ%b", 0); a != "1@0,0 " || both != "1@0,0 3@1 " {
		t.Errorf("a: %s, b: %s", a, both)
	}
	all := records(t, call(t, c, protocol.ReqPullMessage, pullFields("T", 0, 0), nil).Body)
	if at, _ := message.Property(all[3].Properties, message.PropMultiQueueOffset); len(all) != 4 || len(at) > 0 {
		t.Errorf("%d messages, the last with a forged offset %s", len(all), at)
	}

	check := func(r *remoting.Response, wantCode int32, wantRemark string) {
		t.Helper()
		if r.Code != wantCode || !strings.HasPrefix(string(r.Remark), wantRemark) {
			t.Errorf("%d %s, want %d %s", r.Code, r.Remark, wantCode, wantRemark)
		}
	}
	check(send("T", "INNER_MULTI_DISPATCH\x01%LMQ%a/b", "x"), 13, "the message is illegal: there can be no light queue")
	batch := message.AppendToBatch(nil, message.BatchEntry{Body: []byte("x"), Properties: []byte(forged)})
	check(call(t, c, protocol.ReqSendBatchMessage, sendFields("T"), batch), 13, "the message is illegal: message 0 of the batch gives itself offsets")
	check(call(t, c, protocol.ReqUpdateAndCreateTopic, createFields("%LMQ%a"), nil), 0, "")
	check(call(t, c, protocol.ReqUpdateConsumerOffset, offsetFields("%LMQ%client", "%LMQ%b", 0, "commitOffset", "2"), nil), 0, "")
	check(call(t, c, protocol.ReqUpdateConsumerOffset, offsetFields("Plain", "%LMQ%b", 0, "commitOffset", "1"), nil), 26, "")
	if list, _ := b.topics.all(); list["%LMQ%a"] != nil || b.groups.all().SubscriptionGroupTable["%LMQ%client"] != nil {
		t.Error("light queues are in the lists")
	}
	if n := b.store.LightQueues(); n != 2 {
		t.Errorf("%d light queues", n)
	}

	// Offsets outlive a restart, in Apache's file.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(cfg.RootDir, "config", "lmqConsumerOffset.json"))
	if err != nil || !strings.Contains(string(file), "\"lmqOffsetTable\":{\n\t\t\"%LMQ%b@%LMQ%client\":2\n\t}") || strings.Contains(string(file), "%LMQ%b@%LMQ%client\":{0") {
		t.Errorf("%s %v", file, err)
	}
	b = openTest(t, cfg)
	c = dialTest(t, b, remoting.Options{})
	if got := b.offsets.query("%LMQ%client", "%LMQ%b", 0); got != 2 {
		t.Errorf("offset after a restart: %d", got)
	}
	if r := call(t, c, protocol.ReqSendMessageV2, sendFields("T", "i", forged), []byte("5")); r.Code != 0 {
		t.Error(r.Code)
	}
	if a := records(t, call(t, c, protocol.ReqPullMessage, pullFields("%LMQ%a", 0, 1), nil).Body); len(a) != 1 || string(a[0].Body) != "5" {
		t.Errorf("after a restart: %v", a)
	}
}

func TestLight_OffsetsOfBeforeAreTakenOver(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	b := openOnce(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	call(t, c, protocol.ReqSendMessageV2, sendFields("T"), []byte("m"))
	b.offsets.commit([]byte("G"), []byte("T"), 0, 1, anAddr{})
	if r := call(t, c, protocol.ReqUpdateConsumerOffset, offsetFields("%LMQ%g", "%LMQ%t", 0, "commitOffset", "1"), nil); r.Code != 26 {
		t.Errorf("light queues are off, yet: %d %s", r.Code, r.Remark)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.LightQueues = true
	b = openOnce(t, cfg)
	if got := b.offsets.query("G", "T", 0); got != 1 {
		t.Errorf("offset after enableLmq: %d", got)
	}
	b.offsets.commit([]byte("G"), []byte("T"), 0, 0, anAddr{})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.LightQueues = false
	b = openTest(t, cfg)
	if got := b.offsets.query("G", "T", 0); got != 0 {
		t.Errorf("offset after enableLmq was turned off: %d", got)
	}
}

func TestLight_QuotaIsKept(t *testing.T) {
	t.Parallel()
	cfg := lightConfig(t)
	cfg.LightQuota, cfg.LightQueuesMax = true, 2
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	check := func(name string, want int32) {
		t.Helper()
		r := call(t, c, protocol.ReqSendMessageV2, sendFields("T", "i", "INNER_MULTI_DISPATCH\x01%LMQ%"+name), []byte("m"))
		if r.Code != want {
			t.Errorf("%s: %d %s", name, r.Code, r.Remark)
		}
	}
	check("a", 0)
	check("b", 0)
	check("c", protocol.CodeLmqQuotaExceeded)
	check("a", 0)
	if r := call(t, c, protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "%LMQ%a"}}, nil); r.Code != 0 {
		t.Error(r.Code, string(r.Remark))
	}
	check("c", 0)
	check("a", protocol.CodeLmqQuotaExceeded)
}

func TestLight_LiteTopicsAreLightQueues(t *testing.T) {
	t.Parallel()
	b := openTest(t, lightConfig(t))
	c := dialTest(t, b, remoting.Options{})
	for range 2 {
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields("T", "i", "__LITE_TOPIC\x01one\x02INNER_MULTI_DISPATCH\x01%LMQ%x"), []byte("m")); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	if got := records(t, call(t, c, protocol.ReqPullMessage, pullFields("%LMQ%$T$one", 0, 0), nil).Body); len(got) != 2 {
		t.Errorf("%d messages", len(got))
	}
	if b.store.LightQueues() != 1 {
		t.Errorf("%d light queues", b.store.LightQueues())
	}
}

func TestLight_QueuesArePopped(t *testing.T) {
	t.Parallel()
	b := openTest(t, lightConfig(t))
	c := dialTest(t, b, remoting.Options{})
	for i, names := range []string{"%LMQ%b", "%LMQ%a,%LMQ%b", "%LMQ%b", "%LMQ%b,%LMQ%a"} {
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields("T", "i", "INNER_MULTI_DISPATCH\x01"+names), []byte{byte('0' + i)}); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	r := call(t, c, protocol.ReqPopMessage, popFields("%LMQ%b", "invisibleTime", "500"), nil)
	offsets, _ := r.Get("msgOffsetInfo")
	start, _ := r.Get("startOffsetInfo")
	if string(offsets) != "0 0 0,1,2,3" || string(start) != "0 0 0" {
		t.Errorf("from %s: %s", start, offsets)
	}
	popTime, _ := r.Get("popTime")
	revive, _ := r.Get("reviveQid")
	for _, offset := range []string{"0", "2", "3"} {
		receipt := "0 " + string(popTime) + " 500 " + string(revive) + " 0 broker-a 0 " + offset
		if r := call(t, c, protocol.ReqAckMessage, [][2]string{{"consumerGroup", "Poppers"}, {"topic", "%LMQ%b"}, {"queueId", "0"}, {"offset", offset}, {"extraInfo", receipt}}, nil); r.Code != 0 {
			t.Error(r.Code, string(r.Remark))
		}
	}
	again := pop(t, c, "%LMQ%b", "pollTime", "10000")
	if len(again) != 1 || string(again[0].Body) != "1" || again[0].ReconsumeTimes != 1 {
		t.Errorf("%v came again", bodies(again))
	}
	await(t, "the consumer offset", func() bool { return b.offsets.query("Poppers", "%LMQ%b", 0) == 4 })
	if got := bodies(pop(t, c, "%LMQ%a", "order", "true")); len(got) != 2 || got[1] != "3" {
		t.Errorf("in order: %v", got)
	}
}
