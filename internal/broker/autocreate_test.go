package broker

import (
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

func TestAutoCreate_IsSwitchedWhileTheBrokerRuns(t *testing.T) {
	t.Parallel()
	for _, kept := range []int32{0, permRead | permWrite} { // TBW102 as it is found: not there, or as Apache's broker leaves it
		cfg := testConfig(t)
		cfg.AutoCreateTopic = false
		b := openTest(t, cfg)
		if kept > 0 {
			c := newConfig(topicAutoCreate, 8)
			c.Perm = kept
			if err := b.topics.update(c); err != nil {
				t.Fatal(err)
			}
		}
		told := make(chan *protocol.TopicConfig, 10)
		b.topics.changed = func(changed []*protocol.TopicConfig) {
			for _, c := range changed {
				told <- c
			}
		}
		c := dialTest(t, b, remoting.Options{})
		send := func(topic string, code int32) {
			t.Helper()
			if r := call(t, c, protocol.ReqSendMessageV2, sendFields(topic), []byte("x")); r.Code != code {
				t.Errorf("kept %d: %s is answered with %d %s", kept, topic, r.Code, r.Remark)
			}
		}
		send("Before", protocol.CodeTopicNotExist)
		if r := call(t, c, protocol.ReqUpdateBrokerConfig, nil, []byte("autoCreateTopicEnable=true\n")); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
		if len(told) != 1 {
			t.Fatalf("kept %d: NameServers were told of %d topics", kept, len(told))
		}
		if c := <-told; c.TopicName != topicAutoCreate || c.Perm != permInherit|permRead|permWrite || c.WriteQueueNums != 8 {
			t.Errorf("kept %d: NameServers were told of %+v", kept, c)
		}
		send("Made", protocol.CodeSuccess)
		if r := call(t, c, protocol.ReqUpdateBrokerConfig, nil, []byte("autoCreateTopicEnable=false\n")); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
		send("After", protocol.CodeTopicNotExist)
		cfg.AutoCreateTopic = true
		if changes := b.Reload(cfg); len(changes) != 1 {
			t.Errorf("%v", changes)
		}
		send("Again", protocol.CodeSuccess)
	}
}
