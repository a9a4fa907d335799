package protocol

import (
	"testing"

	"github.com/liftoffmq/liftoff/internal/fastjson"
)

func TestTopicConfig_MissingMembersHaveApachesDefaults(t *testing.T) {
	t.Parallel()
	var got CreateTopicListBody
	if err := fastjson.Unmarshal([]byte(`{"topicConfigList":[{"topicName":"A"},{topicName:"B",perm:4,order:"true",attributes:{"+a":"b"}}]}`), &got); err != nil {
		t.Fatal(err)
	}
	a, b := NewTopicConfig("A"), NewTopicConfig("B")
	b.Perm, b.Order, b.Attributes = 4, true, map[string]string{"+a": "b"}
	if len(got.TopicConfigList) != 2 || !got.TopicConfigList[0].Equal(&a) || !got.TopicConfigList[1].Equal(&b) {
		t.Fatalf("got %+v", got.TopicConfigList)
	}
}

func TestTopicConfig_IsWrittenAsApacheDoes(t *testing.T) {
	t.Parallel()
	c := NewTopicConfig("A")
	got, err := fastjson.Marshal(&c)
	want := `{"attributes":{},"order":false,"perm":6,"readQueueNums":16,"topicFilterType":"SINGLE_TAG","topicName":"A","topicSysFlag":0,"writeQueueNums":16}`
	if err != nil || string(got) != want {
		t.Fatalf("got %s, %v\nwant %s", got, err, want)
	}
}

func TestQueueTable_IsReadAsJavaWritesIt(t *testing.T) {
	t.Parallel()
	text := `{{"brokerName":"b","queueId":0,"topic":"t"}:7,{"brokerName":"b","queueId":1,"topic":"t"}:-1}`
	var table QueueTable[int64]
	if err := fastjson.Unmarshal([]byte(text), &table); err != nil {
		t.Fatal(err)
	}
	if got, err := fastjson.Marshal(table); err != nil || string(got) != text {
		t.Errorf("%s, %v", got, err)
	}
	for _, wrong := range []string{`{"x":1}`, `{{"queueId":"no"}:1}`, `{{"queueId":1}:"no"}`, `{{{"queueId":1}:1}:1}`} {
		if err := fastjson.Unmarshal([]byte(wrong), &table); err == nil {
			t.Errorf("%s was read as %v", wrong, table)
		}
	}
}
