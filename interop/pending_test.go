package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	wire "github.com/liftoffmq/liftoff/internal/message"
)

func TestJava5_MovesWithEverythingPending(t *testing.T) { movesWithEverythingPending(t, java5) }

// movesWithEverythingPending: a store goes from Apache's broker to Liftoff and back, each time with pending work of every kind: delayed by a
// level, due at a time, half, failed and to be tried again, popped and not acknowledged, and not yet consumed in plain, batch and light
// queues and in a lite topic. All of it comes on the other side, each message once.
func movesWithEverythingPending(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{broker: apache, settings: transactional(append([]string{"messageDelayLevel=1s 18s 18s 18s", "transactionOpBatchInterval=100", "transactionCheckMax=100"}, liteSettings...)...)})
	lite := newLiteLab(t, c, cl)
	p := lite.producer
	topic, consumers := p.topic(4), uniqueName(t, "group")
	popper := newPopper(t, p, p.topic(2))
	batches := uniqueName(t, "batch")
	p.ask("createBatchTopic", "topic", batches, "broker", cl.broker.addr())
	p.waitForQueues(batches, 1)
	transactions := newTransactional(t, c, cl, uniqueName(t, "transactions"))
	retried := func(do func() error) { t.Helper(); must(t, waitFor(soon, do)) }

	var light, inBatches, left []string
	for i, next := range []kind{underTest("broker"), apache} {
		begin := time.Now()
		var want []string

		// Failed: one message is consumed and given back.
		failing := startConsumer(t, "failing", impatient(c), cl, topic, consumers, "fails", 1, "only", "-0")
		first := sendDelayed(t, c, cl, p.name+"d", topic, 0, 1)
		await(t, []*consumer{failing}, func() error {
			if !slices.ContainsFunc(failing.seen, func(m message) bool { return m.keys == first[0].key }) {
				return fmt.Errorf("%s did not come yet", first[0].key)
			}
			return nil
		})
		time.Sleep(500 * time.Millisecond) // until it was given back
		failing.close()
		want = append(want, first[0].key)

		// Delayed, timed, half and plain, of the same consumers.
		for _, d := range sendDelayed(t, c, cl, p.name+"d", topic, 2, 3) {
			want = append(want, d.key)
		}
		for _, d := range p.sendTimed(topic, "setDeliverTimeMs", 3, time.Now().UnixMilli()+18_000, 50) {
			want = append(want, d.key)
		}
		for _, plan := range []string{"COMMIT_MESSAGE", "ROLLBACK_MESSAGE"} {
			key := fmt.Sprint(plan, i)
			retried(func() error {
				_, err := transactions.program.call("transactions.send", "name", transactions.name, "topic", topic, "keys", key, "body", encoded(key),
					"p.local", "UNKNOW", "p.plan", strings.Repeat("UNKNOW ", 3)+plan, "p.CHECK_IMMUNITY_TIME_IN_SECONDS", 14)
				return err
			})
			if plan == "COMMIT_MESSAGE" {
				want = append(want, key)
			}
		}
		want = append(want, keysOf(p.fill(topic, 4, "queues", 4))...)

		// Popped: two of six are acknowledged.
		p.fill(popper.topic, 6, "queues", 2)
		popped := popper.popAll(6, "invisible", 20_000)
		popper.ack(popped[:2])

		// Not yet consumed in a light queue, a batch queue and a lite topic.
		key := fmt.Sprint("light", i)
		light = append(light, key)
		p.ask("send", "topic", popper.topic+"x", "keys", key, "body", encoded(key), "p.INNER_MULTI_DISPATCH", "%LMQ%pending")
		lite.send("a", fmt.Sprint("lite", i))
		var inner []byte
		for j := range 3 {
			key := fmt.Sprintf("inner%d%d", i, j)
			inBatches = append(inBatches, key)
			inner = wire.AppendToBatch(inner, wire.BatchEntry{Body: []byte(key), Properties: []byte("KEYS\x01" + key + "\x02")})
		}
		fields := append([]any{"i", "UNIQ_KEY\x01C00002023AED4E0E2F2A6716EC12000" + fmt.Sprint(i), "m", "true"}, sendFields(batches)...)
		lite.raw(0, 320, inner, fields...)
		t.Logf("everything was pending after %v", time.Since(begin))

		cl.stopBroker(t, false)
		cl.broker.kind = next
		must(t, cl.startBroker())
		t.Logf("moved to %s after %v", next, time.Since(begin))

		s := startConsumer(t, "failing", impatient(c), cl, topic, consumers)
		is := func(m message) bool { return slices.Contains(want, m.keys) && (m.keys != first[0].key || m.times == 1) }
		mine := func() []message {
			return slices.DeleteFunc(slices.Clone(s.seen), func(m message) bool { return !is(m) })
		}
		await(t, []*consumer{s}, func() error {
			if got := keysOf(mine()); len(got) < len(want) {
				return fmt.Errorf("on %s's broker %v came, %v wanted", next, got, want)
			}
			return nil
		})
		again := popper.popAll(4, "poll", 10000)
		if !slices.Equal(keysOf(again), keysOf(popped[2:])) {
			t.Errorf("on %s's broker: %v were popped again, %v were not acknowledged", next, keysOf(again), keysOf(popped[2:]))
		}
		popper.ack(again)
		left = append(left, keysOf(popper.pop("poll", 300))...)
		s.look(0, 0)
		slices.Sort(want)
		if got := keysOf(mine()); !slices.Equal(got, want) {
			t.Errorf("on %s's broker %v came, want %v", next, got, want)
		}
		for _, m := range s.seen {
			if strings.HasPrefix(m.keys, "ROLLBACK") {
				t.Errorf("on %s's broker what was rolled back came: %s", next, m.keys)
			}
		}
		s.close()

		retried(func() error {
			answer, err := p.program.call("light", "name", uniqueName(t, "light"), "namesrv", cl.addrs(), "group", "%LMQ%reader", "topic", popper.topic+"x", "light", "%LMQ%pending")
			if got := keysOf(p.messages(answer.Get("m"))); err == nil && !slices.Equal(got, light) {
				err = fmt.Errorf("on %s's broker the light queue has %v, not %v", next, got, light)
			}
			return err
		})
		b := newConsumer(t, c, cl, batches, uniqueName(t, "group"))
		if got := keysOf(b.wait(len(inBatches))); !slices.Equal(got, inBatches) {
			t.Errorf("on %s's broker the batch queue has %v, not %v", next, got, inBatches)
		}
		b.close()
		retried(func() error {
			answer, err := p.program.call("lite.control", "name", p.name, "broker", cl.broker.addr(), "topic", lite.parent, "group", lite.group, "client", lite.id("one"), "action", "PARTIAL_ADD", "lites", "a")
			if err == nil && answer.Get("code") != "0" {
				err = fmt.Errorf("%v", answer)
			}
			return err
		})
		got, told := lite.pop("one", 1)
		lite.want(fmt.Sprint("lite topic on ", next), told, fmt.Sprintf("a/lite%d:%d:0", i, i))
		lite.ack(got)
		t.Logf("everything came on %s's broker after %v", next, time.Since(begin))
	}
	if len(left) > 0 {
		t.Errorf("acknowledged, and yet there: %v", left)
	}
}
