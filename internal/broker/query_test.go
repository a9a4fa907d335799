package broker

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

func TestQuery_FindsMessages(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	var logOffset int64
	for i, topic := range []string{"T", "U", "T"} {
		uniq := fmt.Sprintf("C00002023AED4E0E2F2A6716EC12000%d", i)
		r := call(t, c, protocol.ReqSendMessageV2, sendFields(topic, "e", "1", "i", "KEYS\x01K\x02TAGS\x01TagA\x02UNIQ_KEY\x01"+uniq+"\x02"), []byte{byte('a' + i)})
		if r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
		id, _ := r.Get("msgId")
		logOffset, _ = strconv.ParseInt(string(id[16:]), 16, 64)
	}
	end := strconv.FormatInt(time.Now().Add(time.Minute).UnixMilli(), 10)
	query := func(want string, more ...[2]string) {
		t.Helper()
		ext := append([][2]string{{"topic", "T"}, {"maxNum", "10"}, {"beginTimestamp", "0"}, {"endTimestamp", end}}, more...)
		r := call(t, c, protocol.ReqQueryMessage, ext, nil)
		got := ""
		for _, m := range records(t, r.Body) {
			got += string(m.Body)
		}
		if _, ok := r.Get("indexLastUpdatePhyoffset"); !ok || got != want || (r.Code == 0) != (want != "") || want == "" && r.Code != protocol.CodeQueryNotFound {
			t.Errorf("%v: %d %s %q, want %q", more, r.Code, r.Remark, got, want)
		}
	}
	query("ac", [2]string{"key", "K"})
	query("ac", [2]string{"key", "K"}, [2]string{"indexType", "K"}, [2]string{"_UNIQUE_KEY_QUERY", "false"})
	query("", [2]string{"key", "L"})
	query("c", [2]string{"key", "C00002023AED4E0E2F2A6716EC120002"}, [2]string{"_UNIQUE_KEY_QUERY", "true"})
	query("", [2]string{"key", "C00002023AED4E0E2F2A6716EC120001"}, [2]string{"_UNIQUE_KEY_QUERY", "true"}) // of another topic

	if r := call(t, c, protocol.ReqViewMessageByID, [][2]string{{"offset", strconv.FormatInt(logOffset, 10)}}, nil); r.Code != 0 || string(records(t, r.Body)[0].Body) != "c" {
		t.Errorf("by offset: %d %s", r.Code, r.Remark)
	}
	for _, offset := range []string{strconv.FormatInt(logOffset+1, 10), "-1", "9223372036854775807"} {
		r := call(t, c, protocol.ReqViewMessageByID, [][2]string{{"offset", offset}}, nil)
		if r.Code != 1 || string(r.Remark) != "can not find message by the offset, "+offset {
			t.Errorf("by offset %s: %d %s", offset, r.Code, r.Remark)
		}
	}

	field := func(code int, name, want string, ext ...[2]string) {
		t.Helper()
		r := call(t, c, code, append([][2]string{{"topic", "T"}}, ext...), nil)
		if v, _ := r.Get(name); r.Code != 0 || string(v) != want {
			t.Errorf("%s %v: %d %s, %s is %s, want %s", protocol.RequestName(code), ext, r.Code, r.Remark, name, v, want)
		}
	}
	q1, q9 := [2]string{"queueId", "1"}, [2]string{"queueId", "9"}
	field(protocol.ReqGetMaxOffset, "offset", "2", q1)
	field(protocol.ReqGetMaxOffset, "offset", "0", q9)
	field(protocol.ReqGetMinOffset, "offset", "0", q1)
	field(protocol.ReqGetEarliestMsgStoreTime, "timestamp", "-1", q9)
	field(protocol.ReqSearchOffsetByTimestamp, "offset", "0", q1, [2]string{"timestamp", "0"})
	field(protocol.ReqSearchOffsetByTimestamp, "offset", "2", q1, [2]string{"timestamp", end})
	field(protocol.ReqSearchOffsetByTimestamp, "offset", "1", q1, [2]string{"timestamp", end}, [2]string{"boundaryType", "UPPER"})
	field(protocol.ReqSearchOffsetByTimestamp, "offset", "0", q9, [2]string{"timestamp", end})

	r := call(t, c, protocol.ReqQueryConsumeQueue, [][2]string{{"topic", "T"}, {"queueId", "1"}, {"index", "1"}, {"count", "5"}, {"consumerGroup", "G"}}, nil)
	want := fmt.Sprintf(`{"filterData":"G@T is not online!","maxQueueIndex":2,"minQueueIndex":0,"queueData":[{"eval":false,"physicOffset":%d,"physicSize":`, logOffset)
	if !strings.HasPrefix(string(r.Body), want) || !strings.Contains(string(r.Body), `"tagsCode":2598919}]}`) {
		t.Errorf("queue: %d %s %s", r.Code, r.Remark, r.Body)
	}
	r = call(t, c, protocol.ReqQueryConsumeQueue, [][2]string{{"topic", "T"}, {"queueId", "8"}, {"index", "1"}, {"count", "5"}}, nil)
	if r.Code != 1 || string(r.Remark) != "8@T is not exist!" {
		t.Errorf("no queue: %d %s", r.Code, r.Remark)
	}
}

func TestStats_TellWhatAGroupHasConsumed(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := newConsumer(t, b, "one")
	for range 3 {
		if r := call(t, c.conn, protocol.ReqSendMessageV2, sendFields("T"), []byte("m")); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	if _, err := b.topics.createRetry("U", 1, false, 0); err != nil {
		t.Fatal(err)
	}
	b.offsets.commit([]byte("G"), []byte("T"), 0, 2, c.conn)
	b.offsets.commit([]byte("G"), []byte("U"), 0, 2, c.conn)
	check := func(code int, want string, ext ...[2]string) {
		t.Helper()
		r := call(t, c.conn, code, ext, nil)
		if r.Code != 0 || !strings.Contains(string(r.Body), want) {
			t.Errorf("%s %v: %d %s %s, want %s", protocol.RequestName(code), ext, r.Code, r.Remark, r.Body, want)
		}
	}
	group := [2]string{"consumerGroup", "G"}
	check(protocol.ReqGetConsumeStats, `{"brokerName":"broker-a","queueId":0,"topic":"T"}:{"brokerOffset":3,"consumerOffset":2,"lastTimestamp":1`, group)
	check(protocol.ReqGetConsumeStats, `{"brokerName":"broker-a","queueId":0,"topic":"T"}:{"brokerOffset":3,`, group, [2]string{"topicList", "T;;No;"})
	check(protocol.ReqGetTopicStatsInfo, `{"brokerName":"broker-a","queueId":0,"topic":"T"}:{"lastUpdateTimestamp":1`, [2]string{"topic", "T"})
	check(protocol.ReqQueryTopicsByConsumer, `"topicList":["T","U"]}`, [2]string{"group", "G"})
	check(protocol.ReqQueryTopicConsumeByWho, `{"groupList":["G"]}`, [2]string{"topic", "T"})
	check(protocol.ReqQueryTopicConsumeByWho, `{"groupList":[]}`, [2]string{"topic", "No"})
	c.beat(t, "G", 0, sub("V", "*", 1))
	check(protocol.ReqGetConsumeStats, `{"consumeTps":0,"offsetTable":{}}`, group) // it does not subscribe to T any more
	check(protocol.ReqQueryTopicConsumeByWho, `{"groupList":["G"]}`, [2]string{"topic", "V"})
	check(protocol.ReqQuerySubscriptionByConsumer, `{"group":"G","subscriptionData":{"classFilterMode":false,`, [2]string{"group", "G"}, [2]string{"topic", "V"})
	check(protocol.ReqQuerySubscriptionByConsumer, `{"group":"G","topic":"T"}`, [2]string{"group", "G"}, [2]string{"topic", "T"})
	if r := call(t, c.conn, protocol.ReqGetTopicStatsInfo, [][2]string{{"topic", "No"}}, nil); r.Code != 17 || string(r.Remark) != "topic[No] not exist" {
		t.Errorf("no topic: %d %s", r.Code, r.Remark)
	}
	if info := b.runtimeInfo(time.Now()); info["msgPutTotalTodayNow"] != "3" || info["commitLogMaxOffset"] == "0" || !strings.HasPrefix(info["commitLogDirCapacity"], "Total : ") {
		t.Errorf("runtime: %v", info)
	}
}

func TestRates_AreOfTheLastWhile(t *testing.T) {
	t.Parallel()
	var r rates
	at := time.Date(2026, 1, 1, 23, 58, 0, 0, time.UTC)
	puts := int64(0)
	for range 13 { // two minutes, past midnight: 100 a second, then 10
		r.sample(at, infoOf(puts))
		at = at.Add(10 * time.Second)
		puts += 1000
	}
	puts -= 900
	r.sample(at, infoOf(puts))
	if got := r.at(at); got.put != "10.0 85.0 93.07692307692308" || got.putToday != 12000 || got.putYesterday != 0 {
		t.Errorf("got %+v", got)
	}
	for range 200 {
		at = at.Add(10 * time.Second)
		r.sample(at, infoOf(puts))
	}
	if got := r.at(at); got.put != "0.0 0.0 0.0" || len(r.samples) > 63 {
		t.Errorf("got %+v of %d samples", got, len(r.samples))
	}
}

func TestConfig_ChangesCountAtOnceAndAreKept(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.File = filepath.Join(t.TempDir(), "broker.conf")
	if err := os.WriteFile(cfg.File, []byte("# mine\nbrokerName=broker-a\nautoCreateTopicEnable=true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	check := func(body string, wantCode int32, want string) {
		t.Helper()
		r := call(t, c, protocol.ReqUpdateBrokerConfig, nil, []byte(body))
		if r.Code != wantCode || !strings.Contains(string(r.Remark), want) {
			t.Errorf("%q: %d %s, want %d %s", body, r.Code, r.Remark, wantCode, want)
		}
	}
	check("autoCreateTopicEnable=false\nbrokerPermission=4\n", 0, "")
	check("brokerConfigPath=/x\n", protocol.CodeNoPermission, "Can not update config in black list.")
	check("brokerPermision=6\n", protocol.CodeInvalidParameter, "brokerPermission")
	check("autoCreateTopicEnable=maybe\n", protocol.CodeInvalidParameter, "autoCreateTopicEnable")
	check("", 0, "")
	if s := b.settings.Load(); s.AutoCreateTopic || s.Permission != 4 {
		t.Errorf("settings: %+v", s.Broker)
	}
	kept, err := os.ReadFile(cfg.File)
	if err != nil || !strings.HasPrefix(string(kept), "# mine\nbrokerName=broker-a\nautoCreateTopicEnable=false\n") || !strings.Contains(string(kept), "brokerPermission=4") {
		t.Errorf("file: %s, %v", kept, err)
	}
	r := call(t, c, protocol.ReqGetBrokerConfig, nil, nil)
	version, _ := r.Get("version")
	if !strings.Contains("\n"+string(r.Body), "\nautoCreateTopicEnable=false\n") || !strings.HasPrefix(string(version), `{"counter":1,`) {
		t.Errorf("config: %s %s", version, r.Body)
	}
	if r := call(t, c, protocol.ReqSendMessageV2, sendFields("New"), nil); r.Code != 17 || !strings.Contains(string(r.Remark), "autoCreateTopicEnable=false") {
		t.Errorf("send: %d %s", r.Code, r.Remark)
	}
}

func TestAssignment_SharesQueuesOutLikeApache(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	if err := b.topics.update(newConfig("T", 5)); err != nil {
		t.Fatal(err)
	}
	one, two := newConsumer(t, b, "one"), newConsumer(t, b, "two")
	one.beat(t, "G", 0, sub("T", "*", 1))
	two.beat(t, "G", 0, sub("T", "*", 1))
	check := func(client, strategy, model, topic, want string) {
		t.Helper()
		body := fmt.Sprintf(`{"clientId":"%s","consumerGroup":"G","messageModel":"%s","strategyName":"%s","topic":"%s"}`, client, model, strategy, topic)
		r := call(t, one.conn, protocol.ReqQueryAssignment, nil, []byte(body))
		got := string(r.Body)
		for _, cut := range []string{`{"messageQueue":{"brokerName":"broker-a","queueId":`, `,"topic":"T"},"mode":"PULL"}`, `{"messageQueueAssignments":[`, `]}`, ","} {
			got = strings.ReplaceAll(got, cut, "")
		}
		if r.Code != 0 || got != want {
			t.Errorf("%s %s %s %s: %s, want %s", client, strategy, model, topic, r.Body, want)
		}
	}
	check("one", "AVG", "CLUSTERING", "T", "012")
	check("two", "AVG", "CLUSTERING", "T", "34")
	check("one", "AVG_BY_CIRCLE", "CLUSTERING", "T", "024")
	check("two", "AVG_BY_CIRCLE", "CLUSTERING", "T", "13")
	check("one", "AVG", "BROADCASTING", "T", "01234")
	check("three", "AVG", "CLUSTERING", "T", "")
	check("one", "OTHER", "CLUSTERING", "T", "{}")
	check("one", "AVG", "CLUSTERING", "No", "{}")
}

func infoOf(puts int64) progress { return progress{puts: puts, userPuts: puts} }

// routeDouble is a NameServer that knows one topic on two brokers.
type routeDouble struct{}

func (routeDouble) Serve(r *remoting.Request) {
	a := &remoting.Answer{Code: protocol.CodeTopicNotExist, Remark: protocol.NoRoute}
	if topic, _ := r.Get("topic"); r.Code == protocol.ReqGetRouteInfoByTopic && string(topic) == "T" {
		a = &remoting.Answer{Body: []byte(`{"brokerDatas":[],"queueDatas":[{"brokerName":"broker-b","perm":6,"readQueueNums":2,"writeQueueNums":2},` +
			`{"brokerName":"broker-c","perm":2,"readQueueNums":2},{"brokerName":"broker-a","perm":4,"readQueueNums":1}]}`)}
	}
	if topic, _ := r.Get("topic"); r.Code == protocol.ReqGetRouteInfoByTopic && string(topic) == "Static" {
		a = &remoting.Answer{Body: []byte(`{"brokerDatas":[],"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4}],"topicQueueMappingByBroker":{` +
			`"broker-a":{"bname":"broker-a","scope":"__global__","totalQueues":2,"epoch":1,"currIdMap":{0:3}},"broker-b":{"bname":"broker-b","scope":"__global__","totalQueues":3,"epoch":2}}}`)}
	}
	r.Conn.Reply(r, a)
}

func (routeDouble) Flush(*remoting.Conn)  {}
func (routeDouble) Closed(*remoting.Conn) {}

func TestAssignment_CountsTheQueuesOfAllBrokers(t *testing.T) {
	t.Parallel()
	ns, err := remoting.Listen("127.0.0.1:0", routeDouble{}, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	cfg := testConfig(t)
	cfg.NamesrvAddr = ns.Addr().String()
	b := openTest(t, cfg)
	defer b.registrar.pool.Close() // Run was not called, which does it
	check := func(topic, want string) {
		t.Helper()
		got := ""
		for _, q := range b.readableQueues(topic) {
			got += fmt.Sprintf("%s/%d ", q.BrokerName, q.QueueID)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
	check("T", "broker-a/0 broker-b/0 broker-b/1 ")
	check("Static", "__syslo__global__/0 __syslo__global__/1 __syslo__global__/2 ")
	check("Own", "")
	if err := b.topics.update(newConfig("Own", 1)); err != nil {
		t.Fatal(err)
	}
	check("Own", "broker-a/0 ")
	_ = ns.Close()
	b.routes.byTopic["T"] = route{queues: b.routes.byTopic["T"].queues}
	check("T", "broker-a/0 broker-b/0 broker-b/1 ") // as they were known
	if until := time.Until(b.routes.byTopic["T"].until); until <= 0 || until > routeRetry {
		t.Errorf("asked again in %s", until)
	}
}
