package broker

import (
	"fmt"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// Pulls that have waited for light queues leave nothing behind that would keep them.
func TestHolds_KeepNoLightQueue(t *testing.T) {
	t.Parallel()
	b := openTest(t, lightConfig(t))
	l := newLiteLab(t, b)
	for i := range 5 {
		ext := append(pullFields("Parent", 0, 0, "sysFlag", "6", "suspendTimeoutMillis", "20"), [2]string{"liteTopic", fmt.Sprint(i)})
		if r := call(t, l.c, protocol.ReqPullMessage, ext, nil); r.Code != protocol.CodePullNotFound {
			t.Errorf("%d %s", r.Code, r.Remark)
		}
	}
	b.holds.mu.Lock()
	defer b.holds.mu.Unlock()
	if n := len(b.holds.byQueue); n != 0 {
		t.Errorf("%d queues are kept", n)
	}
}
