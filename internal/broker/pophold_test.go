package broker

import (
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// A retry topic that pops do not look at any more must not keep them from waiting.
func TestPop_WaitsWithARetryTopicOfTheOtherName(t *testing.T) {
	t.Parallel()
	for name, v2 := range map[string]bool{"OldName": false, "NewName": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t)
			cfg.PopRetryV2, cfg.PopRetryV1Too = v2, false
			b := openTest(t, cfg)
			c := dialTest(t, b, remoting.Options{})
			sendN(t, c, name, 1)
			ack(t, c, name, pop(t, c, name)...)
			for _, separator := range []string{popRetryV1, popRetryV2} {
				retry := popRetryTopic("Poppers", name, separator)
				if _, err := b.topics.createRetry(retry, 1, false, 0); err != nil {
					t.Fatal(err)
				}
				sendN(t, c, retry, 1, "e", "0")
			}
			if n := len(pop(t, c, name)); n != 1 {
				t.Fatalf("%d messages came again", n)
			}
			p, err := c.Start(&remoting.Call{Code: protocol.ReqPopMessage, Ext: popFields(name, "pollTime", "20000")})
			if err != nil {
				t.Fatal(err)
			}
			await(t, "the request to be held", func() bool { return b.holds.waiting() > 0 })
			sendN(t, dialTest(t, b, remoting.Options{}), name, 1)
			if r, err := p.Wait(t.Context()); err != nil || r.Code != 0 {
				t.Fatal(err, r)
			}
		})
	}
}
