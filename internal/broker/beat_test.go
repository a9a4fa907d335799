package broker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// TestBeat_SendsWhatApacheSends compares with the fields of the heartbeats that Apache's broker sends.
func TestBeat_SendsWhatApacheSends(t *testing.T) {
	t.Parallel()
	check := func(old bool, code int32, fields, body string) {
		t.Helper()
		n := newNSDouble(t)
		startRegistrar(t, func(c *registrarConfig) {
			c.acting, c.silence, c.heartbeat = true, time.Second, time.Millisecond
			c.beating = func() (time.Duration, bool) { return time.Second, old }
		}, n.addr)
		n.next(protocol.ReqRegisterBroker)
		for range 3 {
			got := n.next(code)
			if slices.Sort(got.keys); strings.Join(got.keys, " ") != fields || !strings.HasPrefix(string(got.raw), body) || len(got.raw) > 0 == (body == "") || !got.oneWay {
				t.Errorf("heartbeat %d with %s and %q, one-way is %t", code, got.keys, got.raw, got.oneWay)
			}
		}
	}
	check(true, protocol.ReqQueryDataVersion, "brokerAddr brokerId brokerName clusterName", `{"counter":2,"stateVersion":0,"timestamp":`)
	check(false, protocol.ReqBrokerHeartbeat, "brokerAddr brokerName clusterName", "")
}

func TestBeat_OnlyWithActingMasters(t *testing.T) {
	t.Parallel()
	n := newNSDouble(t)
	r, _, end := startRegistrar(t, func(c *registrarConfig) { c.heartbeat = time.Millisecond }, n.addr)
	for range 5 {
		n.next(protocol.ReqRegisterBroker)
		r.changed()
	}
	end()
	for len(n.got) > 0 {
		if got := <-n.got; got.code == protocol.ReqQueryDataVersion || got.code == protocol.ReqBrokerHeartbeat {
			t.Fatalf("heartbeat %d", got.code)
		}
	}
}
