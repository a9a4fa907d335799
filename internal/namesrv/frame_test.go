package namesrv

import (
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// TestFrameMax_IsWhatIsConfigured: with the default one the first request would be refused, and the second be taken.
func TestFrameMax_IsWhatIsConfigured(t *testing.T) {
	t.Parallel()
	for limit, body := range map[int]int{20 << 20: 17 << 20, 1 << 20: 2 << 20} {
		cfg := testConfig(t)
		cfg.FrameMax = limit
		_, err := dial(t, openServer(t, cfg)).Call(t.Context(), &remoting.Call{Code: protocol.ReqGetBrokerClusterInfo, Body: make([]byte, body)})
		if fits := body < limit; fits != (err == nil) {
			t.Errorf("%d bytes, the limit is %d: %v", body, limit, err)
		}
	}
}
