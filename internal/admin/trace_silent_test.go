package admin

import (
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
)

// A broker that does not answer hides only what it has itself.
func TestTrace_PassesOverASilentBroker(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 1)
	c.send(t, c.brokers[0], "orders", 0, "x", map[string]string{message.PropUniqKey: "id"})
	waitFor(t, "index", func() bool { return tool(t, c, "trace", "id").err == nil })

	var said strings.Builder
	a := &Admin{Out: &said, Err: &said, namesrvAddr: c.addr, pool: c.pool, names: c.names}
	here, silent := member{name: "broker-a", addr: c.brokers[0]}, member{name: "broker-b", addr: "127.0.0.1:1"}
	found, err := a.query(t.Context(), []member{silent, here}, []string{"orders", "others"}, "id")
	if err != nil || len(found) != 1 || strings.Count(said.String(), "broker-b") != 1 || !strings.Contains(said.String(), "what it has is not shown") {
		t.Errorf("%v, %v: %s", found, err, &said)
	}
	if _, err := a.query(t.Context(), []member{silent}, []string{"orders"}, "id"); err == nil {
		t.Error("nobody answered, and that is no error")
	}
}
