package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestJava5_PopsByPushConsumer(t *testing.T)      { popsByPushConsumer(t, java5) }
func TestJava5_PopsAndAcknowledges(t *testing.T)     { popsAndAcknowledges(t, java5) }
func TestJava5_PopsInOrder(t *testing.T)             { popsInOrder(t, java5) }
func TestJava5_PopsLightAndBatchQueues(t *testing.T) { popsLightAndBatchQueues(t, java5) }
func TestJava5_PopMovesBetweenBrokers(t *testing.T)  { popMovesBetweenBrokers(t, java5) }

// A popper is a group that pops a topic with single calls of the client.
type popper struct {
	t *testing.T
	*producer
	topic, group string
}

func newPopper(t *testing.T, p *producer, topic string) *popper {
	return &popper{t: t, producer: p, topic: topic, group: uniqueName(t, "group")}
}

func (p *popper) args(args []any) []any {
	return append([]any{"name", p.name, "broker", p.cluster.broker.addr(), "topic", p.topic, "group", p.group}, args...)
}

// pop pops once.
func (p *popper) pop(args ...any) []message {
	p.t.Helper()
	answer, err := p.program.call("pop", p.args(args)...)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.messages(answer.Get("m"))
}

// popAll pops until it has n messages.
func (p *popper) popAll(n int, args ...any) (all []message) {
	p.t.Helper()
	for end := time.Now().Add(soon); len(all) < n; {
		if time.Now().After(end) {
			p.t.Fatalf("%d messages were popped, %d wanted", len(all), n)
		}
		all = append(all, p.pop(args...)...)
	}
	return all
}

func receipts(list []message) string {
	var all []string
	for _, m := range list {
		all = append(all, m.properties["receipt"])
	}
	return strings.Join(all, "\n")
}

// must is a call that succeeds, with a status.
func (p *popper) status(want, op string, args ...any) string {
	p.t.Helper()
	answer, err := p.program.call(op, p.args(args)...)
	if err != nil {
		p.t.Fatal(op, err)
	}
	for _, s := range lines(answer.Get("status")) {
		if s != want {
			p.t.Errorf("%s: %s, want %s", op, s, want)
		}
	}
	return answer.Get("receipt")
}

func (p *popper) ack(list []message) {
	p.t.Helper()
	p.status("OK", "pop.ack", "receipt", receipts(list))
}

func keysOf(list []message) []string {
	var all []string
	for _, m := range list {
		all = append(all, m.keys)
	}
	slices.Sort(all)
	return all
}

// popsByPushConsumer: consumers that the broker tells to pop get everything once, whole, and what fails again.
func popsByPushConsumer(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic, group := p.topic(4), uniqueName(t, "group")
	acked := p.fill(topic, 200, "queues", 4)
	mode := []any{"name", p.name, "broker", cl.broker.addr(), "topic", topic, "group", group, "mode", "POP"}
	if _, err := p.program.call("pop.mode", mode...); err != nil {
		t.Fatal(err)
	}
	failing := acked[7].keys
	one := startConsumer(t, "poppush", c, cl, topic, group, "fail", failing)
	two := startConsumer(t, "poppush", c, cl, topic, group, "fail", failing)
	acked = append(acked, p.fill(topic, 200, "queues", 4)...)
	await(t, []*consumer{one, two}, func() error {
		return lacks(append(acked, acked[7]), one.seen, two.seen)
	})
	await(t, []*consumer{one, two}, func() error {
		if n := len(one.seen) + len(two.seen); n < len(acked)+1 {
			return fmt.Errorf("%d messages came, the one that failed not again", n)
		}
		return nil
	})
	var twice []message
	for _, m := range slices.Concat(one.seen, two.seen) {
		if m.keys == failing {
			twice = append(twice, m)
		}
	}
	slices.SortFunc(twice, func(a, b message) int { return int(a.at - b.at) })
	if n := len(one.seen) + len(two.seen); n != len(acked)+1 || len(twice) != 2 {
		t.Fatalf("%d messages came, %d wanted; the one that failed %d times", n, len(acked)+1, len(twice))
	}
	if gap := time.Duration(twice[1].at-twice[0].at) * time.Millisecond; gap < 9900*time.Millisecond || gap > 25*time.Second {
		t.Errorf("what failed came again after %v, its invisible time was 10 s", gap)
	}
}

// popsAndAcknowledges: every call that a popping client has.
func popsAndAcknowledges(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newPopper(t, newProducer(t, c, cl), "")
	p.topic = p.producer.topic(2)
	notified := make(chan string, 1)
	go func() {
		answer, err := p.program.call("pop.notify", p.args([]any{"poll", 15000})...)
		if err != nil {
			notified <- err.Error()
			return
		}
		notified <- answer.Get("has")
	}()
	time.Sleep(300 * time.Millisecond)
	sent := p.fill(p.topic, 20, "queues", 2)
	if has := <-notified; has != "true" {
		t.Errorf("notified: %s", has)
	}
	answer, err := p.program.call("pop.peek", p.args(nil)...)
	must(t, err)
	if n := len(lines(answer.Get("m"))); n != 20 {
		t.Errorf("%d messages to peek at", n)
	}
	const invisible = 8000
	got := p.popAll(20, "invisible", invisible)
	begin := time.Now()
	if !slices.Equal(keysOf(got), keysOf(sent)) {
		t.Errorf("popped %v, sent %v", keysOf(got), keysOf(sent))
	}
	for _, m := range got {
		if m.sum == "" || m.properties["times"] != "0" {
			t.Errorf("%v was tried %s times", m.place(), m.properties["times"])
		}
	}
	if more := p.pop("poll", 300); len(more) != 0 {
		t.Errorf("%d messages in flight were popped", len(more))
	}
	p.ack(got[:5])
	p.status("OK", "pop.batch", "receipt", receipts(got[5:15]))
	later := p.status("OK", "pop.change", "receipt", receipts(got[15:16]), "invisible", 60000)
	p.status("OK", "pop.change", "receipt", receipts(got[16:17]), "invisible", 1000)
	sooner := p.popAll(1, "poll", 10000)
	if len(sooner) != 1 || sooner[0].keys != got[16].keys || sooner[0].properties["times"] != "1" {
		t.Errorf("sooner than the others came %v", keysOf(sooner))
	}
	if d := time.Since(begin); cl.broker.kind == liftoff && d > 7900*time.Millisecond {
		t.Logf("a message that was invisible for 1 s came after %v", d)
	}
	again := p.popAll(3, "poll", 10000)
	if d := time.Since(begin); d < invisible*time.Millisecond-200*time.Millisecond {
		t.Errorf("messages came again after %v", d)
	}
	if !slices.Equal(keysOf(again), keysOf(got[17:])) {
		t.Errorf("came again: %v, not acknowledged were %v", keysOf(again), keysOf(got[17:]))
	}
	for _, m := range again {
		if m.properties["times"] != "1" || m.properties["first"] == "" {
			t.Errorf("%s was tried %s times, first at %s", m.keys, m.properties["times"], m.properties["first"])
		}
	}
	// One becomes a dead letter, as proxies make it of what failed too often.
	if _, err := p.program.call("pop.back", p.args([]any{"receipt", again[0].properties["receipt"]})...); err != nil {
		t.Error(err)
	}
	p.ack(append(again, sooner...))
	p.status("OK", "pop.ack", "receipt", later)
	dead := newConsumer(t, c, cl, "%DLQ%"+p.group, uniqueName(t, "undertaker"))
	if letters := dead.wait(1); letters[0].keys != again[0].keys {
		t.Errorf("the dead letter is %s, not %s", letters[0].keys, again[0].keys)
	}
	if more := p.pop("poll", 1500); len(more) != 0 {
		t.Errorf("after everything was acknowledged came %v", keysOf(more))
	}
	p.status("NO_EXIST", "pop.ack", "receipt", "0 1 2 3 4 5 0 999999")
	p.status("NO_EXIST", "pop.ack", "receipt", strings.Replace(got[0].properties["receipt"], " ", " x", 1))
}

// popsInOrder: a queue is in one hand until everything popped of it is acknowledged or visible again.
func popsInOrder(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newPopper(t, newProducer(t, c, cl), "")
	p.topic = p.producer.topic(1)
	sent := p.fill(p.topic, 6, "queues", 1)
	order := []any{"order", true, "max", 2, "invisible", 5000, "poll", 500}
	first := p.pop(order...)
	if len(first) != 2 || first[0].keys != sent[0].keys {
		t.Fatal(keysOf(first))
	}
	if more := p.pop(order...); len(more) != 0 {
		t.Errorf("a blocked queue gave %v", keysOf(more))
	}
	again := p.popAll(2, "order", true, "max", 2, "invisible", 60000, "poll", 10000)
	if again[0].keys != sent[0].keys || again[0].properties["times"] != "1" {
		t.Errorf("came again: %v, tried %s times", keysOf(again), again[0].properties["times"])
	}
	p.ack(again[:1])
	if more := p.pop(order...); len(more) != 0 {
		t.Errorf("a queue that is half acknowledged gave %v", keysOf(more))
	}
	p.ack(again[1:])
	rest := p.popAll(4, "order", true, "invisible", 60000, "poll", 10000)
	if !slices.Equal(keysOf(rest), keysOf(sent[2:])) {
		t.Errorf("the rest: %v", keysOf(rest))
	}
	p.ack(rest)
}

// popMovesBetweenBrokers: a client goes from Apache's broker to ours and back with messages in its hands. What it acknowledges on the
// way does not come again, the rest does.
func popMovesBetweenBrokers(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{broker: apache, settings: []string{"mappedFileSizeCommitLog=1048576"}})
	p := newPopper(t, newProducer(t, c, cl), "")
	p.topic = p.producer.topic(2)
	inOrder := newPopper(t, p.producer, p.producer.topic(1))
	ordered := p.fill(inOrder.topic, 12, "queues", 1)
	var left []message
	for i, k := range []kind{underTest("broker"), apache} {
		var sent []message
		must(t, waitFor(soon, func() error {
			answer, err := p.program.call("fill", "name", p.name, "topic", p.topic, "prefix", uniqueName(t, "turn"), "count", 12, "queues", 2)
			sent = p.messages(answer.Get("a"))
			return err
		}))
		const invisible = 12000
		got := p.popAll(12, "invisible", invisible)
		popped := time.Now()
		if !slices.Equal(keysOf(got), keysOf(sent)) {
			t.Fatalf("turn %d: popped %v, sent %v", i, keysOf(got), keysOf(sent))
		}
		p.ack(got[:4])
		taken := inOrder.popAll(3, "order", true, "max", 3, "invisible", 60000)
		if !slices.Equal(keysOf(taken), keysOf(ordered[6*i:6*i+3])) {
			t.Errorf("turn %d: popped in order %v", i, keysOf(taken))
		}
		inOrder.ack(taken[:1])
		cl.stopBroker(t, false)
		cl.broker.kind = k
		must(t, cl.startBroker())
		must(t, waitFor(soon, func() error {
			_, err := p.program.call("pop.ack", p.args([]any{"receipt", receipts(got[4:6])})...)
			return err
		}))
		p.status("OK", "pop.batch", "receipt", receipts(got[6:8]))
		late := time.Since(popped) > (invisible-2000)*time.Millisecond // the broker took so long to start that these may come again too
		if more := inOrder.pop("order", true, "poll", 300); len(more) != 0 {
			t.Errorf("turn %d, on %s's broker: a queue that is taken gave %v", i, k, keysOf(more))
		}
		inOrder.ack(taken[1:])
		next := inOrder.popAll(3, "order", true, "max", 3, "invisible", 60000)
		if !slices.Equal(keysOf(next), keysOf(ordered[6*i+3:6*i+6])) {
			t.Errorf("turn %d, on %s's broker: next in order came %v", i, k, keysOf(next))
		}
		inOrder.ack(next)
		again := p.popAll(4, "poll", 10000)
		if d := time.Since(popped); d < invisible*time.Millisecond-300*time.Millisecond {
			t.Errorf("turn %d: messages came again after %v", i, d)
		}
		if late {
			t.Logf("turn %d: the acknowledgements came after %v, too late to say what must not come again", i, time.Since(popped))
			for more := p.pop("poll", 5000); len(more) > 0; more = p.pop("poll", 5000) {
				again = append(again, more...)
			}
			for _, key := range keysOf(got[8:]) {
				if !slices.Contains(keysOf(again), key) {
					t.Errorf("turn %d, on %s's broker: %s did not come again", i, k, key)
				}
			}
		} else if !slices.Equal(keysOf(again), keysOf(got[8:])) {
			t.Errorf("turn %d, on %s's broker: came again %v, in hand were %v", i, k, keysOf(again), keysOf(got[8:]))
		}
		t.Logf("on %s's broker they came again %v after they were popped", k, time.Since(popped))
		p.ack(again)
		left = append(left, p.pop("poll", 3000)...)
	}
	if len(left) != 0 {
		t.Errorf("acknowledged, and yet there: %v", keysOf(left))
	}
}

// popsLightAndBatchQueues: what is popped of a light queue has its offsets there and is acknowledged by these; of a batch queue each message
// comes by itself.
func popsLightAndBatchQueues(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"enableLmq=true", "enableMultiDispatch=true"}})
	p := newProducer(t, c, cl)
	topic, batchTopic := p.topic(2), uniqueName(t, "batch")
	p.ask("createBatchTopic", "topic", batchTopic, "broker", cl.broker.addr())
	p.waitForQueues(batchTopic, 1)
	for i := range 5 {
		p.ask("send", "topic", topic, "queue", i%2, "keys", fmt.Sprint("k", i), "body", encoded("b"), "p.INNER_MULTI_DISPATCH", "%LMQ%one,%LMQ%two")
	}
	for i, n := range []int{4, 1, 3} {
		var m []string
		for j := range n {
			m = append(m, form("topic", batchTopic, "keys", fmt.Sprintf("b%d%d", i, j), "body", encoded("b")).Encode())
		}
		p.ask("batch", "m", strings.Join(m, "\n"))
	}
	for _, of := range []struct {
		topic string
		keys  []string
	}{
		{"%LMQ%one", []string{"k0", "k1", "k2", "k3", "k4"}},
		{batchTopic, []string{"b00", "b01", "b02", "b03", "b10", "b20", "b21", "b22"}},
	} {
		x := newPopper(t, p, of.topic)
		got := x.popAll(len(of.keys), "max", len(of.keys), "invisible", 3000)
		for i, m := range got {
			if at := strings.Fields(m.properties["receipt"])[7]; m.keys != of.keys[i] || at != fmt.Sprint(i) {
				t.Errorf("%s: message %d is %s, at %s", of.topic, i, m.keys, at)
			}
		}
		x.ack(got[:2])
		x.status("OK", "pop.batch", "receipt", receipts(got[3:]))
		again := x.popAll(1, "poll", 10000)
		if len(again) != 1 || again[0].keys != of.keys[2] || again[0].properties["times"] != "1" {
			t.Errorf("%s: %v came again", of.topic, keysOf(again))
		}
		x.ack(again)
		if more := x.pop("poll", 1000); len(more) > 0 {
			t.Errorf("%s: then %v came", of.topic, keysOf(more))
		}
	}
}
