package broker

import (
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

func TestPull_OfLitePullConsumersCanBeForbidden(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.LitePull = false
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "T", 1, "e", "0")
	check := func(code int, wantCode int, wantRemark string, changes ...string) {
		t.Helper()
		if r := call(t, c, code, pullFields("T", 0, 0, changes...), nil); int(r.Code) != wantCode || !strings.Contains(string(r.Remark), wantRemark) {
			t.Errorf("code %d %v: %d %s, want %d %s", code, changes, r.Code, r.Remark, wantCode, wantRemark)
		}
	}
	set := func(line string) {
		t.Helper()
		if r := call(t, c, protocol.ReqUpdateBrokerConfig, nil, []byte(line)); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	forbidden := "the broker[" + b.settings.Load().BrokerIP1 + "] for lite pull consumer is forbidden (litePullMessageEnable=false)"
	check(protocol.ReqPullMessage, protocol.CodeSuccess, "")
	check(protocol.ReqLitePullMessage, protocol.CodeNoPermission, forbidden)
	check(protocol.ReqLitePullMessage, protocol.CodeNoPermission, forbidden, "consumerGroup", "no group", "topic", "Missing")
	set("brokerPermission=2")
	check(protocol.ReqLitePullMessage, protocol.CodeNoPermission, "pulling message is forbidden")
	set("brokerPermission=6\nlitePullMessageEnable=true")
	check(protocol.ReqLitePullMessage, protocol.CodeSuccess, "")
}
