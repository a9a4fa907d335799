package broker

import (
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

func (v *volume) messagesNow() uint64 { return v.messages.Load() }

func TestCounters_CountByWhatMessagesAreAndWhereTheyGo(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	send := func(fields ...string) {
		t.Helper()
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields("Counted", fields...), []byte("body")); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	send("e", "0")
	send("e", "1")
	send("e", "0", "i", message.PropShardingKey+"\x01one\x02")
	send("e", "0", "i", message.PropDelay+"\x0118\x02")
	pull := func(group string) {
		t.Helper()
		if r := call(t, c, protocol.ReqPullMessage, pullFields("Counted", 0, 0, "consumerGroup", group), nil); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	pull("One")
	pull("One")

	in := b.counts.find("Counted")
	if in == nil || in.in[kindNormal].messagesNow() != 2 || in.in[kindFIFO].messagesNow() != 1 || in.in[kindDelay].messagesNow() != 0 {
		t.Errorf("counted %+v", in)
	}
	if in.in[kindNormal].bytes.Load() == 0 || in.sends.of(0).requests.Load() != 2 || in.sends.of(1).requests.Load() != 1 {
		t.Errorf("counted %+v, of queues %v", in, in.sends.values(nil))
	}
	late := b.counts.find(topicSchedule)
	if late == nil || !late.system || late.in[kindDelay].messagesNow() != 1 {
		t.Errorf("of the delayed message %+v is counted", late)
	}
	out := b.counts.findGroup("Counted", "One")
	if out == nil || out.out.messagesNow() != 4 || out.reads.of(0).requests.Load() != 2 {
		t.Errorf("given out %+v", out)
	}
	if all := &b.counters; all.putMessages.Load() != 4 || all.putSystem.Load() != 1 || all.getMessages.Load() != 4 {
		t.Errorf("in all %+v", all)
	}

	if r := call(t, c, protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "Counted"}}, nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	if b.counts.find("Counted") != nil || b.counts.findGroup("Counted", "One") != nil {
		t.Error("what is counted outlasts its topic")
	}
	send("e", "0")
	pull("One")
	if in, out := b.counts.find("Counted"), b.counts.findGroup("Counted", "One"); in == nil || out == nil || in.in[kindNormal].messagesNow() != 1 || out.out.messagesNow() != 1 {
		t.Errorf("of the topic's second life %+v and %+v are counted", in, out)
	}
}

func TestCounters_KnowWhosePopsReadARetryTopic(t *testing.T) {
	t.Parallel()
	check := func(topic, group, want string) {
		t.Helper()
		if got := poppedTopic(topic, group); got != want {
			t.Errorf("pops of %q by %q are of topic %q, want %q", topic, group, got, want)
		}
	}
	check("T", "G", "")
	check("%RETRY%G", "G", "")
	check("%RETRY%G_T", "G", "T")
	check("%RETRY%G+T", "G", "T")
	check("%RETRY%G_", "G", "")
	check("%RETRY%Other+T", "G", "")
}
