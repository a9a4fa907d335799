package broker

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// Tools before 5.0 fail without a rate under the name that it had.
func TestRuntimeInfo_NamesARateAsBefore5(t *testing.T) {
	t.Parallel()
	b := openTest(t, quietConfig(t))
	info := b.runtimeInfo(time.Now())
	if info["getTransferedTps"] == "" || info["getTransferedTps"] != info["getTransferredTps"] {
		t.Errorf("%q and %q", info["getTransferedTps"], info["getTransferredTps"])
	}
}

func TestBrokerStats_TellWhatWasCounted(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	send := func(fields ...string) {
		t.Helper()
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields("Orders", fields...), []byte("body")); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	send("e", "0")
	send("e", "0")
	send("e", "1")
	send("e", "2", "i", message.PropDelay+"\x0118\x02")
	r := call(t, c, protocol.ReqPullMessage, pullFields("Orders", 0, 0, "consumerGroup", "G"), nil)
	if r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	bytes := int64(len(r.Body))

	ask := func(name, key string) *remoting.Response {
		t.Helper()
		return call(t, c, protocol.ReqViewBrokerStatsData, [][2]string{{"statsName", name}, {"statsKey", key}}, nil)
	}
	check := func(name, key string, sum int64, average float64) {
		t.Helper()
		var d protocol.BrokerStatsData
		r := ask(name, key)
		if err := json.Unmarshal(r.Body, &d); err != nil {
			t.Fatalf("%s %s: %d %s: %v", name, key, r.Code, r.Remark, err)
		}
		for i, got := range []protocol.BrokerStatsItem{d.Minute, d.Hour, d.Day} {
			if got.Sum != sum || got.Average != average || got.TPS <= 0 {
				t.Errorf("%s %s is %+v in window %d, want a sum of %d and an average of %v", name, key, got, i, sum, average)
			}
		}
	}
	none := func(name, key string) {
		t.Helper()
		if r := ask(name, key); r.Code != protocol.CodeSystemError || string(r.Remark) != "The stats <"+nullable(name)+"> <"+nullable(key)+"> not exist" {
			t.Errorf("%s %s: %d %s", name, key, r.Code, r.Remark)
		}
	}
	cluster := b.Config().Cluster
	check("TOPIC_PUT_NUMS", "Orders", 3, 1)
	check("TOPIC_PUT_SIZE", "Orders", bytes/2*3, float64(bytes/2))
	check("GROUP_GET_NUMS", "Orders@G", 2, 2)
	check("GROUP_GET_SIZE", "Orders@G", bytes, float64(bytes))
	check("TOPIC_PUT_NUMS", topicSchedule, 1, 1)
	check("QUEUE_PUT_NUMS", topicSchedule+"@17", 1, 1)
	check("BROKER_PUT_NUMS", cluster, 4, 0)
	check("BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC", cluster, 3, 0)
	check("BROKER_GET_NUMS", cluster, 2, 0)
	for _, latency := range [][2]string{{"TOPIC_PUT_LATENCY", "0@Orders"}, {"TOPIC_PUT_LATENCY", "2@" + topicSchedule}, {"GROUP_GET_LATENCY", "0@Orders@G"}} {
		if r := ask(latency[0], latency[1]); r.Code != 0 {
			t.Errorf("%v: %d %s", latency, r.Code, r.Remark)
		}
	}

	none("", "")
	none("TOPIC_PUT_NUMS", "")
	none("TOPIC_PUT_NUMS", "Other")
	none("TOPIC_PUT_LATENCY", "2@Orders")
	none("TOPIC_PUT_LATENCY", "99999999999@Orders")
	none("TOPIC_PUT_LATENCY", "Orders")
	none("GROUP_GET_NUMS", "Orders@H")
	none("GROUP_GET_LATENCY", "1@Orders@G")
	none("SNDBCK_PUT_NUMS", "Orders@G")
	none("QUEUE_PUT_NUMS", topicSchedule+"@0")
	none("BROKER_PUT_NUMS", "OtherCluster")
	none("COMMERCIAL_SEND_TIMES", "Orders@G")

	info := b.runtimeInfo(time.Now())
	if info["msgPutTotalTodayNow"] != "3" || info["msgGetTotalTodayNow"] != "2" {
		t.Errorf("runtime: %v", info)
	}
	sends := 0
	for _, bucket := range strings.Fields(info["putMessageDistributeTime"]) {
		_, n, _ := strings.Cut(bucket, ":")
		count, err := strconv.Atoi(n)
		if err != nil {
			t.Error(err)
		}
		sends += count
	}
	if sends != 4 || !strings.HasPrefix(info["putMessageDistributeTime"], "[<=0ms]:") || !strings.HasSuffix(info["putMessageDistributeTime"], " [10s~]:0 ") {
		t.Errorf("4 sends took %q", info["putMessageDistributeTime"])
	}
}

func TestConsumeStats_OfTheBrokerAndOfTime(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	before := time.Now().UnixMilli()
	for _, queue := range []string{"0", "0", "1"} {
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields("Orders", "e", queue), []byte("body")); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	call(t, c, protocol.ReqPullMessage, pullFields("Orders", 0, 0, "consumerGroup", "G"), nil)
	call(t, c, protocol.ReqUpdateConsumerOffset, [][2]string{{"consumerGroup", "G"}, {"topic", "Orders"}, {"queueId", "0"}, {"commitOffset", "1"}}, nil)

	whole := func(order string) (list protocol.ConsumeStatsList) {
		t.Helper()
		r := call(t, c, protocol.ReqGetBrokerConsumeStats, [][2]string{{"isOrder", order}}, nil)
		if err := fastjson.Unmarshal(r.Body, &list); err != nil {
			t.Fatalf("%d %s: %v", r.Code, r.Remark, err)
		}
		return list
	}
	if all := whole("false"); all.TotalDiff != 2 || all.TotalInflightDiff != 1 || all.BrokerAddr == "" {
		t.Errorf("in all %+v", all)
	}
	if all := whole("true"); all.TotalDiff != 0 || len(all.ConsumeStatsList) == 0 {
		t.Errorf("of ordered topics %+v", all)
	}

	for _, group := range []string{"G", "Unknown"} {
		var body protocol.QueryConsumeTimeSpanBody
		r := call(t, c, protocol.ReqQueryConsumeTimeSpan, [][2]string{{"topic", "Orders"}, {"group", group}}, nil)
		if err := json.Unmarshal(r.Body, &body); err != nil || len(body.ConsumeTimeSpanSet) != 4 {
			t.Fatalf("%d %s %s: %v", r.Code, r.Remark, r.Body, err)
		}
		s := body.ConsumeTimeSpanSet
		if s[0].MinTimestamp < before || s[0].MaxTimestamp < s[0].MinTimestamp || s[0].ConsumeTimestamp != s[0].MinTimestamp || s[0].DelayTime > time.Now().UnixMilli()-before {
			t.Errorf("group %s in queue 0: %+v", group, s[0])
		}
		if s[0].MinText != timeText(s[0].MinTimestamp) || len(s[0].MinText) != len("2006-01-02#15:04:05:000") {
			t.Errorf("time as text: %q", s[0].MinText)
		}
		if s[3].MinTimestamp != -1 || s[3].MaxTimestamp != -1 || s[3].ConsumeTimestamp != -1 || s[3].DelayTime != 0 {
			t.Errorf("group %s in a queue without messages: %+v", group, s[3])
		}
	}
	if r := call(t, c, protocol.ReqQueryConsumeTimeSpan, [][2]string{{"topic", "No"}, {"group", "G"}}, nil); r.Code != protocol.CodeTopicNotExist || string(r.Remark) != "topic[No] not exist" {
		t.Errorf("of no topic: %d %s", r.Code, r.Remark)
	}
}

func TestRuntimeInfo_RatesCountFromTheStart(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	for range 10 {
		call(t, c, protocol.ReqSendMessageV2, sendFields("Orders", "e", "0"), []byte("body"))
	}
	at := b.started.Add(20 * time.Second)
	b.sampleRates(at)
	if got := b.rates.at(at); got.put != "0.5 0.5 0.5" {
		t.Errorf("10 messages in 20 s are %q a second", got.put)
	}
}
