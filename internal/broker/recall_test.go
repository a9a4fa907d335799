package broker

import (
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// A recall is served beside its connection, whose session is not its to make.
func TestRecall_LeavesTheSessionToTheConnection(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	p := b.recallPut(b.settings.Load(), &remoting.Request{Conn: c}, &protocol.RecallMessageHeader{}, &recallHandle{topic: "T", uniqKey: "U"})
	if c.State != nil || p.BornHost != sessionPeer(c) {
		t.Errorf("session %v, born at %s", c.State, p.BornHost)
	}
}
