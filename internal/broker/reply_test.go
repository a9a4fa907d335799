package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

func TestReply_IsPushedAndStored(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	code := 0
	c := newAsked(t, b, "asker", protocol.LanguageJava, func(r *remoting.Request) *remoting.Answer {
		return &remoting.Answer{Code: code, Remark: "no such request"}
	})
	from := dialTest(t, b, remoting.Options{})
	reply := func(properties string) *remoting.Response {
		return call(t, from, protocol.ReqSendReplyMessageV2, sendFields("DefaultCluster_REPLY_TOPIC", "f", "769", "h", "3", "i", properties), []byte("answer"))
	}
	properties := "CORRELATION_ID\x01c1\x02REPLY_TO_CLIENT\x01asker\x02MSG_TYPE\x01reply"
	added := "\x02MSG_REGION\x01DefaultRegion\x02TRACE_ON\x01true\x02" // by the broker
	check := func(r *remoting.Response, wantCode int32, wantRemark, wantOffset string) {
		t.Helper()
		offset, _ := r.Get("queueOffset")
		id, _ := r.Get("msgId")
		if r.Code != wantCode || !strings.HasPrefix(string(r.Remark), wantRemark) || string(offset) != wantOffset || len(id) != 32 && wantOffset != "" {
			t.Errorf("%d %s, offset %s id %s, want %d %s %s", r.Code, r.Remark, offset, id, wantCode, wantRemark, wantOffset)
		}
	}
	check(reply(properties), 0, "", "0")
	push := c.hears(t)
	var h protocol.ReplyMessageHeader
	if err := push.DecodeFields(&h); err != nil {
		t.Fatal(err)
	}
	pushed, _ := message.Property([]byte(h.Properties), "PUSH_REPLY_TIME")
	if push.Code != 326 || string(push.Body) != "answer" || h.SysFlag != 769 || h.Flag != 3 || h.BornTimestamp != 1700000000000 || len(pushed) == 0 ||
		!strings.HasPrefix(h.BornHost, "127.0.0.1:") || h.StoreHost != b.Addr().String() || !strings.HasPrefix(h.Properties, properties+added+"PUSH_REPLY_TIME\x01") {
		t.Errorf("pushed %d %+v %q", push.Code, h, push.Body)
	}

	check(reply("REPLY_TO_CLIENT\x01nobody\x02"), 1, "push reply message fail, channel of <nobody> not found.", "1")
	check(reply("CORRELATION_ID\x01c1\x02"), 1, "reply message properties[REPLY_TO_CLIENT] is null", "2")
	code = 1
	check(reply(properties), 1, "push reply message to askerfail. It said: no such request", "3")
	c.hears(t)
	_ = c.conn.Close()
	for b.clients.producer([]byte("asker")) != nil {
		time.Sleep(time.Millisecond)
	}
	check(reply(properties), 1, "push reply message fail, channel of <asker> not found.", "4")
	r := call(t, from, protocol.ReqSendReplyMessage, [][2]string{{"topic", "X"}}, nil)
	check(r, 1, "the custom field <producerGroup> is null", "")

	stored := records(t, call(t, from, protocol.ReqPullMessage, pullFields("DefaultCluster_REPLY_TOPIC", 0, 0), nil).Body)
	if len(stored) != 5 || string(stored[0].Body) != "answer" || stored[0].SysFlag != 769 || string(stored[0].Properties) != properties+added {
		t.Errorf("stored %d, %+v", len(stored), stored)
	}
}

func TestReply_IsOnlyPushedWhereStoringIsOff(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.StoreReplies = false
	b := openTest(t, cfg)
	newAsked(t, b, "asker", protocol.LanguageJava, func(*remoting.Request) *remoting.Answer { return &remoting.Answer{} })
	r := call(t, dialTest(t, b, remoting.Options{}), protocol.ReqSendReplyMessageV2, sendFields("DefaultCluster_REPLY_TOPIC", "i", "REPLY_TO_CLIENT\x01asker\x02"), nil)
	if id, _ := r.Get("msgId"); r.Code != 0 || string(id) != "0" || b.store.FindQueue("DefaultCluster_REPLY_TOPIC", 0) != nil {
		t.Errorf("%d %s %s", r.Code, r.Remark, id)
	}
}
