package broker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// createFields are the fields of a plain UPDATE_AND_CREATE_TOPIC, changed by the pairs that follow.
func createFields(topic string, changes ...string) [][2]string {
	ext := [][2]string{{"topic", topic}, {"defaultTopic", "TBW102"}, {"readQueueNums", "2"}, {"writeQueueNums", "2"}, {"perm", "6"},
		{"topicFilterType", "SINGLE_TAG"}, {"topicSysFlag", "0"}, {"order", "false"}, {"attributes", ""}}
	for i := 0; i < len(changes); i += 2 {
		for j := range ext {
			if ext[j][0] == changes[i] {
				ext[j][1] = changes[i+1]
			}
		}
	}
	return ext
}

func TestTopic_RefusalsNameTheValue(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	check := func(wantCode int32, wantRemark string, ext [][2]string) {
		t.Helper()
		r := call(t, c, protocol.ReqUpdateAndCreateTopic, ext, nil)
		if r.Code != wantCode || !strings.Contains(string(r.Remark), wantRemark) {
			t.Errorf("%v: %d %q, want %d %q", ext, r.Code, r.Remark, wantCode, wantRemark)
		}
	}
	check(0, "", createFields("T", "attributes", "+message.type=FIFO,+queue.type=SimpleCQ"))
	check(29, "The specified topic is blank.", createFields(" "))
	check(29, "The specified topic: a b, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$", createFields("a b"))
	check(29, "is longer than topic max length: 127", createFields(strings.Repeat("a", 128)))
	check(0, "", createFields("%RETRY%"+strings.Repeat("a", 200)))
	check(29, "it's longer than topic max length: 255", createFields("%DLQ%"+strings.Repeat("a", 255)))
	check(29, "The topic[TBW102] is conflict with system topic.", createFields("TBW102"))
	check(29, "The topic[rmq_sys_x] is conflict with system topic.", createFields("rmq_sys_x"))
	check(29, "The topic[broker-a] is conflict with system topic.", createFields("broker-a"))
	check(29, "readQueueNums=-1", createFields("T", "readQueueNums", "-1"))
	check(29, "writeQueueNums=70000", createFields("T", "writeQueueNums", "70000"))
	check(1, "writeQueueNums", createFields("T", "writeQueueNums", "x"))
	check(29, "topicFilterType=NO", createFields("T", "topicFilterType", "NO"))
	check(29, "MIXED message type is not supported. (enableMixedMessageType=false)", createFields("T", "attributes", "+message.type=MIXED"))
	check(1, "value is not in set", createFields("T", "attributes", "+message.type=OTHER"))
	check(1, "unsupported key: color", createFields("T", "attributes", "+color=red"))
	check(1, "attempt to update an unchangeable attribute. key: queue.type", createFields("T", "attributes", "+queue.type=BatchCQ"))
	check(1, "attempt to delete a nonexistent key: cleanup.policy", createFields("T", "attributes", "-cleanup.policy"))
	check(1, "only add attribute is supported while creating topic. key: message.type", createFields("New", "attributes", "-message.type"))
	check(1, "add/alter attribute format is wrong: message.type", createFields("New", "attributes", "message.type=FIFO"))
	check(1, "delete attribute format is wrong: message.type", createFields("New", "attributes", "message.type"))
	check(1, "value is not in range", createFields("T", "attributes", "+reserve.time=-2"))
	check(0, "", createFields("T", "attributes", "+reserve.time=5,,")) // as Apache, whatever keeps messages
	check(0, "", createFields("T", "attributes", ",,"))
	check(0, "", createFields("T", "attributes", "-reserve.time"))
	check(0, "", createFields("T", "attributes", "-message.type", "readQueueNums", "5"))
	if b.topics.find("New") != nil {
		t.Error("a refused topic was made")
	}
	r := call(t, c, protocol.ReqGetTopicConfig, [][2]string{{"topic", "T"}}, nil)
	if want := `{"attributes":{"queue.type":"SimpleCQ"},"order":false,"perm":6,"readQueueNums":5,`; !strings.HasPrefix(string(r.Body), want) {
		t.Errorf("config: %s", r.Body)
	}
	if r := call(t, c, protocol.ReqGetTopicConfig, [][2]string{{"topic", "No"}}, nil); r.Code != 17 || string(r.Remark) != "No topic in this broker. topic: No" {
		t.Errorf("no topic: %d %s", r.Code, r.Remark)
	}
}

func TestTopicList_LeavesOutNothing(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	list := `{"topicConfigList":[{"topicName":"A","readQueueNums":1,"writeQueueNums":1},{"topicName":"B"}]}`
	for range 2 {
		if r := call(t, c, protocol.ReqUpdateAndCreateTopicList, nil, []byte(list)); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	more := strings.Replace(list, `{"topicName":"B"}`, `{"topicName":"C"}`, 1) // A is there already
	if r := call(t, c, protocol.ReqUpdateAndCreateTopicList, nil, []byte(more)); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	for name, queues := range map[string]int32{"A": 1, "B": 16, "C": 16} {
		if got := b.topics.find(name); got == nil || got.ReadQueueNums != queues {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if v := b.topics.dataVersion(); v.Counter != 3 {
		t.Errorf("version %+v", v)
	}
	bad := `{"topicConfigList":[{"topicName":"D"},{"topicName":"a b"}]}`
	if r := call(t, c, protocol.ReqUpdateAndCreateTopicList, nil, []byte(bad)); r.Code != 29 || b.topics.find("D") != nil {
		t.Errorf("a list with a bad name: %d %s", r.Code, r.Remark)
	}
}

func TestTopic_DeletingTakesMessagesAndOffsets(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	for range 3 {
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields("T"), []byte("m")); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	b.offsets.commit([]byte("G"), []byte("T"), 0, 2, c)
	if _, err := b.topics.createRetry("%RETRY%G_T", 1, false, 0); err != nil {
		t.Fatal(err)
	}
	if r := call(t, c, protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "T"}}, nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	if b.topics.find("T") != nil || b.topics.find("%RETRY%G_T") != nil || b.offsets.query("G", "T", 0) != -1 {
		t.Error("something is left")
	}
	r := call(t, c, protocol.ReqGetMaxOffset, [][2]string{{"topic", "T"}, {"queueId", "0"}}, nil)
	if v, _ := r.Get("offset"); string(v) != "0" {
		t.Errorf("max offset %s", v)
	}
	if r := call(t, c, protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "TBW102"}}, nil); r.Code != 29 {
		t.Errorf("system topic: %d %s", r.Code, r.Remark)
	}
	if r := call(t, c, protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "T"}}, nil); r.Code != 0 {
		t.Errorf("once more: %d %s", r.Code, r.Remark)
	}
}

func TestTopicConfig_IsGivenInPages(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	for i := range 30 {
		if err := b.topics.update(newConfig(fmt.Sprintf("T%02d", i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	get := func(ext ...[2]string) (n int, first bool, total, version string) {
		t.Helper()
		r := call(t, c, protocol.ReqGetAllTopicConfig, ext, nil)
		body := normal(t, r.Body).(map[string]any)
		v, _ := r.Get("totalTopicNum")
		text := string(r.Body)
		at := strings.Index(text, `"dataVersion":`) + len(`"dataVersion":`)
		table := body["topicConfigTable"].(map[string]any)
		_, first = table["BenchmarkTest"]
		return len(table), first, string(v), text[at : at+strings.Index(text[at:], "}")+1]
	}
	all := strconv.Itoa(b.topics.count())
	n, first, total, version := get()
	if strconv.Itoa(n) != all || !first || total != all {
		t.Errorf("all: %d of %s", n, total)
	}
	if n, first, total, _ = get([2]string{"topicSeq", "0"}, [2]string{"maxTopicNum", "7"}); n != 7 || !first || total != all {
		t.Errorf("first page: %d, %t of %s", n, first, total)
	}
	if n, first, _, _ = get([2]string{"topicSeq", "7"}, [2]string{"maxTopicNum", "7"}, [2]string{"dataVersion", version}); n != 7 || first {
		t.Errorf("second page: %d, %t", n, first)
	}
	if n, first, _, _ = get([2]string{"topicSeq", "7"}, [2]string{"maxTopicNum", "7"}, [2]string{"dataVersion", `{"counter":1}`}); n != 7 || !first {
		t.Errorf("another version: %d, %t", n, first)
	}
	if n, _, _, _ = get([2]string{"topicSeq", "100000"}, [2]string{"maxTopicNum", "-5"}, [2]string{"dataVersion", version}); n != 0 {
		t.Errorf("behind the end: %d", n)
	}
}

func TestTopic_MixedMessagesCanBeAllowed(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	mixed := createFields("T", "attributes", "+message.type=MIXED")
	if r := call(t, c, protocol.ReqUpdateAndCreateTopic, mixed, nil); r.Code != protocol.CodeInvalidParameter {
		t.Errorf("code %d %s", r.Code, r.Remark)
	}
	for _, step := range []struct {
		code int
		ext  [][2]string
		body string
	}{
		{protocol.ReqUpdateBrokerConfig, nil, "enableMixedMessageType=true"},
		{protocol.ReqUpdateAndCreateTopic, mixed, ""},
		{protocol.ReqUpdateAndCreateTopicList, nil, `{"topicConfigList":[{"topicName":"U","readQueueNums":1,"writeQueueNums":1,"perm":6,"attributes":{"+message.type":"MIXED"}}]}`},
	} {
		if r := call(t, c, step.code, step.ext, []byte(step.body)); r.Code != 0 {
			t.Errorf("%v: code %d %s", step, r.Code, r.Remark)
		}
	}
	for _, name := range []string{"T", "U"} {
		if topic := b.topics.find(name); topic == nil || topic.Attributes[attrMessageType] != "MIXED" {
			t.Errorf("topic %s: %+v", name, topic)
		}
	}
}
