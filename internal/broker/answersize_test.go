package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// sendLarge sends a message of the largest size that is allowed by default to each of 5 queues.
func sendLarge(t *testing.T, c *remoting.Conn, topic string, queue func(i int) string) {
	t.Helper()
	for i := range 5 {
		body := make([]byte, 4<<20)
		body[0] = byte(i)
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields(topic, "d", "5", "e", queue(i)), body); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
}

// TestAnswers_FitIntoAFrameOfClients: a client closes its connection when an answer is larger, and asks for the same again.
func TestAnswers_FitIntoAFrameOfClients(t *testing.T) {
	t.Parallel()
	large := func(t *testing.T) config.Broker {
		cfg := testConfig(t)
		cfg.CommitLogFileSize = 64 << 20
		cfg.MaxTransferBytesInMemory, cfg.MaxTransferBytesOnDisk, cfg.MaxTransferCountOnDisk = 64<<20, 64<<20, 32
		return cfg
	}
	t.Run("pull", func(t *testing.T) {
		t.Parallel()
		c := dialTest(t, openTest(t, large(t)), remoting.Options{})
		sendLarge(t, c, "Large", func(int) string { return "0" })
		for offset, want := range []int{3, 3, 3, 2, 1} {
			r := call(t, c, protocol.ReqPullMessage, pullFields("Large", 0, int64(offset)), nil)
			if n := len(records(t, r.Body)); n != want {
				t.Errorf("%d messages from %d on: %d %s", n, offset, r.Code, r.Remark)
			}
		}
	})
	for _, order := range []string{"false", "true"} {
		t.Run("pop, order "+order, func(t *testing.T) {
			t.Parallel()
			c := dialTest(t, openTest(t, large(t)), remoting.Options{})
			sendLarge(t, c, "Large", func(i int) string { return fmt.Sprint(i) })
			for _, want := range []int{3, 2} {
				r := call(t, c, protocol.ReqPopMessage, popFields("Large", "order", order), nil)
				list := deliveries(t, r, "Large")
				rest, _ := r.Get("restNum")
				if len(list) != want || want == 3 && string(rest) != "2" {
					t.Errorf("%d messages, want %d; the rest is %s", len(list), want, rest)
				}
				ack(t, c, "Large", list...)
			}
		})
	}
	t.Run("peek", func(t *testing.T) {
		t.Parallel()
		c := dialTest(t, openTest(t, large(t)), remoting.Options{})
		sendLarge(t, c, "Large", func(i int) string { return fmt.Sprint(i) })
		if r := call(t, c, protocol.ReqPeekMessage, popFields("Large"), nil); len(records(t, r.Body)) != 3 {
			t.Errorf("%d messages", len(records(t, r.Body)))
		}
	})
	t.Run("lite pop", func(t *testing.T) {
		t.Parallel()
		cfg := lightConfig(t)
		cfg.CommitLogFileSize = 64 << 20
		l := newLiteLab(t, openTest(t, cfg))
		l.subscribe("c1", "Lites", "l0", "l1", "l2", "l3", "l4")
		for i := range 5 {
			l.send(fmt.Sprint("l", i), strings.Repeat("x", 4<<20))
		}
		seen := make(map[string]bool)
		for _, want := range []int{3, 2} {
			list, _ := l.pop("c1")
			if len(list) != want {
				t.Errorf("%d messages, want %d", len(list), want)
			}
			for _, d := range list {
				seen[d.Topic] = true
			}
		}
		if len(seen) != 5 {
			t.Errorf("of 5 lite topics these were popped: %v", seen)
		}
	})
}
