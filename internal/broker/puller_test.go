package broker

import (
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

func TestPull_IsRefusedToWhomItIsForbidden(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.RejectPullConsumers = true
	b := openTest(t, cfg)
	pusher := newConsumer(t, b, "pusher")
	pusher.beat(t, "Pushed", 0, sub("T", "*", 1))
	puller := newConsumer(t, b, "puller")
	puller.beatData(t, protocol.HeartbeatData{ClientID: "puller", ConsumerDataSet: []*protocol.ConsumerData{{GroupName: "Pulled",
		ConsumeType: protocol.ConsumeActively, MessageModel: protocol.Clustering, SubscriptionDataSet: []*protocol.SubscriptionData{sub("T", "*", 1)}}}})
	if b.clients.consumerGroup([]byte("Pulled")) != nil {
		t.Error("a consumer that pulls by itself is taken as one of its group")
	}
	check := func(what string, conn *remoting.Conn, group string, code int, words ...string) {
		t.Helper()
		fields := pullFields("T", 0, 0, "consumerGroup", group, "sysFlag", "6")
		r := call(t, conn, protocol.ReqPullMessage, fields, nil)
		if int(r.Code) != code {
			t.Errorf("%s: code %d %s, want %d", what, r.Code, r.Remark, code)
		}
		for _, w := range words {
			if !strings.Contains(string(r.Remark), w) {
				t.Errorf("%s: remark %q does not say %q", what, r.Remark, w)
			}
		}
	}
	call(t, pusher.conn, protocol.ReqSendMessageV2, sendFields("T"), []byte("body"))
	check("push consumer", pusher.conn, "Pushed", 0)
	check("tool", puller.conn, "TOOLS_CONSUMER", 0)
	check("system group", puller.conn, "CID_RMQ_SYS_X", 0)
	check("pull consumer", puller.conn, "Pulled", protocol.CodeSubscriptionNotExist, "the pull consumer is rejected by server", "rejectPullConsumerEnable")
	check("nobody", puller.conn, "Nobody", protocol.CodeSubscriptionNotExist, "the consumer's group info not exist")

	off := *b.settings.Load()
	off.RejectPullConsumers = false
	b.settings.Store(&off)
	check("pull consumer, when it may", puller.conn, "Pulled", 0)
	g := protocol.NewSubscriptionGroupConfig("Pulled")
	g.ConsumeEnable = false
	if err := b.groups.update(g); err != nil {
		t.Fatal(err)
	}
	check("group that must not consume", puller.conn, "Pulled", protocol.CodeNoPermission, "subscription group no permission, Pulled", "consumeEnable=false")
	off.Permission = permWrite
	b.settings.Store(&off)
	check("broker that is not read", pusher.conn, "Pushed", protocol.CodeNoPermission, "pulling message is forbidden", "brokerPermission=2")
}
