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
