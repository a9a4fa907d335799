package broker

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// What clients in other languages write otherwise than Java's does, as Apache's broker was seen to read it.

func TestSend_TrueCountsInAnyCase(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	send := func(code int, body []byte, changes ...string) {
		t.Helper()
		if r := call(t, c, code, sendFields("T", changes...), body); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	for _, yes := range []string{"true", "True", "TRUE"} {
		send(protocol.ReqSendMessageV2, []byte("half"), "i", "TRAN_MSG\x01"+yes+"\x02")
	}
	if n := b.store.Queue("T", 0).MaxOffset(); n != 0 {
		t.Errorf("%d half messages are in their topic", n)
	}
	send(protocol.ReqSendMessageV2, []byte("whole"), "i", "TRAN_MSG\x01no\x02")
	batch := message.AppendToBatch(message.AppendToBatch(nil, message.BatchEntry{Body: []byte("one")}), message.BatchEntry{Body: []byte("two")})
	send(protocol.ReqSendMessageV2, batch, "m", "True")
	if n := b.store.Queue("T", 0).MaxOffset(); n != 3 {
		t.Errorf("the queue ends at %d, want 3", n)
	}
}

func TestSend_ABatchIsNotDelayed(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	batch := message.AppendToBatch(nil, message.BatchEntry{Body: []byte("one")})
	check := func(props string, wantCode int32, wantRemark string) {
		t.Helper()
		if r := call(t, c, protocol.ReqSendBatchMessage, sendFields("T", "i", props), batch); r.Code != wantCode || !strings.Contains(string(r.Remark), wantRemark) {
			t.Errorf("%q: %d %s, want %d %s", props, r.Code, r.Remark, wantCode, wantRemark)
		}
	}
	check("DELAY\x013\x02", protocol.CodeMessageIllegal, "cannot be delayed (DELAY=3)")
	check("DELAY\x01x\x02", protocol.CodeSystemError, `For input string: "x"`)
	check("INNER_NUM\x012\x02", protocol.CodeMessageIllegal, "not an inner batch")
	if n := b.store.Queue("T", 0).MaxOffset(); n != 0 {
		t.Errorf("the queue ends at %d", n)
	}
	for _, props := range []string{"DELAY\x010\x02", "DELAY\x01-1\x02", ""} {
		check(props, 0, "")
	}
}

// TestHeartbeat_EnumsMayBeNumbers: clients in C++ write the numbers of consumeType, messageModel and consumeFromWhere.
func TestHeartbeat_EnumsMayBeNumbers(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	check := func(kind, model, where any, want string) {
		t.Helper()
		body := fmt.Sprintf(`{"clientID":"c","consumerDataSet":[{"groupName":"G","consumeType":%v,"messageModel":%v,"consumeFromWhere":%v,"subscriptionDataSet":[]}]}`, kind, model, where)
		if r := call(t, c, protocol.ReqHeartBeat, nil, []byte(body)); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
		r := call(t, c, protocol.ReqGetConsumerConnectionList, [][2]string{{"consumerGroup", "G"}}, nil)
		var conns protocol.ConsumerConnection
		if err := fastjson.Unmarshal(r.Body, &conns); err != nil {
			t.Fatal(err)
		}
		if got := conns.ConsumeType + " " + conns.MessageModel + " " + conns.ConsumeFromWhere; got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	if err := b.groups.update(protocol.NewSubscriptionGroupConfig("G")); err != nil {
		t.Fatal(err)
	}
	check(1, 1, 0, "CONSUME_PASSIVELY CLUSTERING CONSUME_FROM_LAST_OFFSET")
	check(0, 0, 4, "CONSUME_ACTIVELY BROADCASTING CONSUME_FROM_FIRST_OFFSET")
	check(`"2"`, `"2"`, `"5"`, "CONSUME_POP LITE_SELECTIVE CONSUME_FROM_TIMESTAMP")
	check(`"CONSUME_PASSIVELY"`, `"BROADCASTING"`, `"CONSUME_FROM_LAST_OFFSET"`, "CONSUME_PASSIVELY BROADCASTING CONSUME_FROM_LAST_OFFSET")

	g := protocol.NewSubscriptionGroupConfig("G")
	g.ConsumeBroadcastEnable = false
	if err := b.groups.update(g); err != nil {
		t.Fatal(err)
	}
	sendN(t, c, "T", 1, "e", "0")
	check(1, 0, 0, "CONSUME_PASSIVELY BROADCASTING CONSUME_FROM_LAST_OFFSET")
	if r := call(t, c, protocol.ReqPullMessage, pullFields("T", 0, 0, "consumerGroup", "G", "sysFlag", "0"), nil); r.Code != protocol.CodeNoPermission {
		t.Errorf("a pull of broadcasting consumers: %d %s", r.Code, r.Remark)
	}
}

func TestPop_FiltersBySQLAlsoWithoutPropertyFilter(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	if b.settings.Load().PropertyFilter {
		t.Fatal("enablePropertyFilter is on")
	}
	for i := range 3 {
		sendN(t, c, "Asked", 1, "e", "0", "i", "n\x01"+strconv.Itoa(i)+"\x02")
	}
	if list := pop(t, c, "Asked", "queueId", "0", "maxMsgNums", "1", "expType", "SQL92", "exp", "n = 1"); len(list) != 1 || propOf(list[0].Message, "n") != "1" {
		t.Errorf("popped %v", bodies(list))
	}
	if list := pop(t, c, "Asked", "queueId", "0", "expType", "SQL92", "exp", ""); len(list) != 1 || propOf(list[0].Message, "n") != "2" {
		t.Errorf("without an expression: %v", bodies(list))
	}
	note := [][2]string{{"consumerGroup", "Others"}, {"topic", "Asked"}, {"queueId", "0"}, {"pollTime", "0"}, {"bornTime", "0"}, {"exp", "NoTag"}}
	if r := call(t, c, protocol.ReqNotification, note, nil); fieldOf(r, "hasMsg") != "true" {
		t.Errorf("a notification without a type: %d %s, hasMsg %s", r.Code, r.Remark, fieldOf(r, "hasMsg"))
	}
	for _, changes := range [][]string{{"expType", "SQL92", "exp", "*"}, {"expType", "XX", "exp", "n"}} {
		if r := call(t, c, protocol.ReqPopMessage, popFields("Asked", changes...), nil); r.Code != protocol.CodeSubscriptionParseFailed || !strings.HasPrefix(string(r.Remark), "parse the consumer's subscription failed") {
			t.Errorf("%v: %d %s", changes, r.Code, r.Remark)
		}
	}
	if r := call(t, c, protocol.ReqPullMessage, pullFields("Asked", 0, 0, "expressionType", "SQL92", "subscription", "n = 1"), nil); r.Code != protocol.CodeSystemError {
		t.Errorf("a pull: %d %s", r.Code, r.Remark)
	}
}

func TestPop_MayWaitForAsLongAsItSays(t *testing.T) {
	t.Parallel()
	_, c := openPop(t)
	sendN(t, c, "Long", 1, "e", "0")
	if list := pop(t, c, "Long", "pollTime", strconv.Itoa(math.MaxInt64)); len(list) != 1 {
		t.Errorf("popped %v", bodies(list))
	}
	if left := time.Until(pollUntil(new(remoting.Request), math.MinInt64)); left > 0 {
		t.Error(left)
	}
}

func TestPull_RefusesALiteTopicThatCannotBe(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "T", 1, "e", "0")
	ext := append(pullFields("T", 0, 0), [2]string{"liteTopic", strings.Repeat("l", 300)})
	if r := call(t, c, protocol.ReqPullMessage, ext, nil); r.Code != protocol.CodeInvalidParameter || len(r.Body) != 0 {
		t.Errorf("%d %s, %d bytes", r.Code, r.Remark, len(r.Body))
	}
}

func TestPort_TheFastOneServesNoPulls(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c, err := remoting.Dial(t.Context(), b.fast.Addr().String(), nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); <-c.Done() })
	for _, code := range []int{protocol.ReqPullMessage, protocol.ReqLitePullMessage, protocol.ReqPopMessage, protocol.ReqPeekMessage, protocol.ReqNotification,
		protocol.ReqPollingInfo, protocol.ReqPopLiteMessage} {
		if r := call(t, c, code, popFields("T"), nil); r.Code != protocol.CodeRequestCodeNotSupported {
			t.Errorf("%d: %d %s", code, r.Code, r.Remark)
		}
	}
	if r := call(t, c, protocol.ReqSendMessageV2, sendFields("T"), []byte("x")); r.Code != 0 {
		t.Errorf("a send: %d %s", r.Code, r.Remark)
	}
}

func TestUpdate_OfNoListIsRefused(t *testing.T) {
	t.Parallel()
	c := dialTest(t, openTest(t, testConfig(t)), remoting.Options{})
	for _, code := range []int{protocol.ReqUpdateAndCreateTopicList, protocol.ReqUpdateAndCreateSubscriptionGroupList} {
		for _, body := range []string{"{}", "null", `{"topicConfigList":null,"groupConfigList":null}`} {
			if r := call(t, c, code, nil, []byte(body)); r.Code != protocol.CodeSystemError || !strings.Contains(string(r.Remark), "the request names no") {
				t.Errorf("%d %s: %d %s", code, body, r.Code, r.Remark)
			}
		}
		if r := call(t, c, code, nil, []byte(`{"topicConfigList":[],"groupConfigList":[]}`)); r.Code != 0 {
			t.Errorf("%d with an empty list: %d %s", code, r.Code, r.Remark)
		}
	}
}

// What a request does not need may be missing, as Apache's broker has it.
func TestHeaders_MayLackWhatTheyDoNotNeed(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	without := func(ext [][2]string, names ...string) [][2]string {
		return slices.DeleteFunc(ext, func(f [2]string) bool { return slices.Contains(names, f[0]) })
	}
	call(t, c, protocol.ReqSendMessageV2, sendFields("T"), []byte("one"))
	if r := call(t, c, protocol.ReqSendMessageV2, without(sendFields("T"), "c", "d"), []byte("two")); r.Code != 0 {
		t.Error(r.Code, string(r.Remark))
	}
	if r := call(t, c, protocol.ReqSendMessageV2, without(sendFields("New"), "d"), []byte("two")); r.Code != 0 || b.topics.find("New").WriteQueueNums != 4 {
		t.Error(r.Code, string(r.Remark))
	}
	if r := call(t, c, protocol.ReqSendMessageV2, without(sendFields("Newer"), "c"), []byte("two")); r.Code != protocol.CodeTopicNotExist {
		t.Error(r.Code, string(r.Remark))
	}
	pull := func(sysFlag string, missing ...string) *remoting.Response {
		return call(t, c, protocol.ReqPullMessage, without(pullFields("T", 0, 0, "sysFlag", sysFlag), missing...), nil)
	}
	if r := pull("4", "commitOffset", "subVersion", "suspendTimeoutMillis"); r.Code != 0 {
		t.Error(r.Code, string(r.Remark))
	}
	for flag, needed := range map[string]string{"5": "commitOffset", "6": "suspendTimeoutMillis"} {
		if r := pull(flag, needed); r.Code != protocol.CodeSystemError || string(r.Remark) != "the custom field <"+needed+"> is null" {
			t.Error(r.Code, string(r.Remark))
		}
	}
	h := sentHalf{}
	if r := call(t, c, protocol.ReqEndTransaction, without(endFields(h, 8), "msgId"), nil); strings.Contains(string(r.Remark), "custom field") {
		t.Error(r.Code, string(r.Remark))
	}
}
