package interop

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestJava5_TriesAgainAsTheTableSays(t *testing.T)     { triesAgainAsTheTableSays(t, java5) }
func TestJava4_TriesAgainAsTheTableSays(t *testing.T)     { triesAgainAsTheTableSays(t, java4) }
func TestGo_TriesAgainAsTheTableSays(t *testing.T)        { triesAgainAsTheTableSays(t, golang) }
func TestJava5_GivesUpAfterItsTries(t *testing.T)         { givesUpAfterItsTries(t, java5) }
func TestJava5_TriesAgainAfterARestart(t *testing.T)      { triesAgainAfterARestart(t, java5) }
func TestJava5_SuspendsAndStaysInOrder(t *testing.T)      { suspendsAndStaysInOrder(t, java5) }
func TestJava5_TakesOverFromAKilledConsumer(t *testing.T) { takesOverFromAKilledConsumer(t, java5) }

// impatient is a client that looks each second, not each 20 s, for queues that it may have: a group's retry topic is made when its
// first consumer has come.
func impatient(c client) client {
	if !c.java() {
		return c
	}
	return c.with("-Drocketmq.client.rebalance.waitInterval=1000")
}

// triesOf gives what a consumer got of one key, in the order of arrival.
func triesOf(s *consumer, key string) []message {
	return slices.DeleteFunc(slices.Clone(s.seen), func(m message) bool { return m.keys != key })
}

// triesAgainAsTheTableSays: each try of a message that fails comes when its level says, with the properties of the first.
func triesAgainAsTheTableSays(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"messageDelayLevel=1h 1h 1s 2s 3s"}})
	p := newProducer(t, c, cl)
	topic, group := p.topic(2), uniqueName(t, "group")
	if !c.java() {
		// The Go client looks for new queues each 20 s only.
		p.ask("createTopic", "key", "TBW102", "topic", "%RETRY%"+group, "queues", 1, "broker", cl.broker.addr(), "namesrv", cl.addrs())
		p.waitForQueues("%RETRY%"+group, 1)
	}
	s := startConsumer(t, "failing", impatient(c), cl, topic, group, "fails", 4)
	sent := p.fill(topic, 4, "queues", 2)
	s.wait(5 * len(sent))
	for _, m := range sent {
		tries := triesOf(s, m.keys)
		if len(tries) != 5 {
			t.Errorf("%s was tried %d times, want 5", m.keys, len(tries))
			continue
		}
		for i, delay := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
			try, before := tries[i+1], tries[i]
			if try.times != i+1 || try.topic != topic || try.tags != tries[0].tags || try.sum != tries[0].sum {
				t.Errorf("try %d of %s is %+v", i+1, m.keys, try)
			}
			if try.properties["RETRY_TOPIC"] != topic || try.properties["ORIGIN_MESSAGE_ID"] != tries[0].offsetID {
				t.Errorf("try %d of %s has properties %v, its first id is %s", i+1, m.keys, try.properties, tries[0].offsetID)
			}
			// It was given back some time after it arrived.
			if gap := time.Duration(try.stored-before.at) * time.Millisecond; gap < delay-time.Millisecond || gap > delay+5*time.Second {
				t.Errorf("try %d of %s came %v after the one before, want %v", i+1, m.keys, gap, delay)
			}
		}
	}
}

// givesUpAfterItsTries: after 16 tries again, or as many as the consumer says, a message is a dead letter, which a consumer can read and
// which tells where it is from.
func givesUpAfterItsTries(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"messageDelayLevel=1h 1h 0s"}})
	p := newProducer(t, c, cl)
	type trial struct {
		most         int
		topic, group string
		consumer     *consumer
		sent         []message
	}
	var trials []trial
	for most, options := range map[int][]any{16: nil, 2: {"most", 2}} {
		r := trial{most: most, topic: p.topic(1), group: uniqueName(t, "group")}
		r.consumer = startConsumer(t, "failing", impatient(c), cl, r.topic, r.group, append(options, "fails", 99, "only", "-0")...)
		r.sent = p.fill(r.topic, 2, "queues", 1)
		trials = append(trials, r)
	}
	for _, r := range trials {
		r.consumer.wait(r.most + 2)
		failed := triesOf(r.consumer, r.sent[0].keys)
		if len(failed) != r.most+1 {
			t.Errorf("a message that fails was tried %d times, want %d", len(failed), r.most+1)
		}
		if n := len(triesOf(r.consumer, r.sent[1].keys)); n != 1 {
			t.Errorf("a message that does not fail was tried %d times", n)
		}
		got := startConsumer(t, "failing", impatient(c), cl, "%DLQ%"+r.group, uniqueName(t, "undertaker")).wait(1)[0]
		if got.keys != r.sent[0].keys || got.times != r.most+1 || got.queue != 0 || got.topic != "%DLQ%"+r.group {
			t.Errorf("the dead letter is %+v", got)
		}
		want := map[string]string{"RETRY_TOPIC": r.topic, "ORIGIN_MESSAGE_ID": failed[0].offsetID}
		if underTest("broker") == liftoff {
			want["DLQ_ORIGIN_TOPIC"], want["DLQ_ORIGIN_MESSAGE_ID"] = r.topic, failed[0].id
		}
		for name, value := range want {
			if got.properties[name] != value {
				t.Errorf("the dead letter's %s is %q, want %q", name, got.properties[name], value)
			}
		}
	}
}

// triesAgainAfterARestart: the broker is stopped while failed messages wait to be tried again.
func triesAgainAfterARestart(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"messageDelayLevel=1h 1h 4s"}})
	p := newProducer(t, c, cl)
	topic := p.topic(2)
	s := startConsumer(t, "failing", impatient(c), cl, topic, uniqueName(t, "group"), "fails", 1)
	sent := p.fill(topic, 10, "queues", 2)
	s.wait(len(sent))
	time.Sleep(300 * time.Millisecond) // until they were given back
	cl.restartBroker(t, false)
	await(t, []*consumer{s}, func() error {
		for _, m := range sent {
			if tries := triesOf(s, m.keys); tries[len(tries)-1].times != 1 {
				return fmt.Errorf("%s was not tried again", m.keys)
			}
		}
		return nil
	})
	for _, m := range sent {
		again := slices.DeleteFunc(triesOf(s, m.keys), func(m message) bool { return m.times != 1 })
		if len(again) != 1 || again[0].stored < triesOf(s, m.keys)[0].at+4000-1 {
			t.Errorf("%s was tried again as %+v", m.keys, again)
		}
	}
}

// suspendsAndStaysInOrder: an orderly consumer that fails with a message tries it again in its place, and what is behind it waits. One
// that it gives up becomes a dead letter, and the queue goes on.
func suspendsAndStaysInOrder(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic := p.topic(1)
	s := startConsumer(t, "failing", impatient(c), cl, topic, uniqueName(t, "group"), "orderly", true, "suspend", 200, "fails", 3, "only", "-3")
	sent := p.fill(topic, 8, "queues", 1)
	s.wait(len(sent) + 3)
	var order []string
	for _, m := range s.seen {
		order = append(order, m.keys)
	}
	var want []string
	for i, m := range sent {
		want = append(want, m.keys)
		if i == 3 {
			want = append(want, m.keys, m.keys, m.keys)
		}
	}
	if !slices.Equal(order, want) {
		t.Errorf("the messages came in the order %v, want %v", order, want)
	}
	for i := 4; i < 7; i++ {
		if gap := s.seen[i].at - s.seen[i-1].at; gap < 190 {
			t.Errorf("try %d came after %d ms, want 200", i-3, gap)
		}
	}
	s.close()

	topic = p.topic(1)
	group := uniqueName(t, "group")
	s = startConsumer(t, "failing", impatient(c), cl, topic, group, "orderly", true, "suspend", 100, "fails", 99, "only", "-3", "most", 2)
	sent = p.fill(topic, 8, "queues", 1)
	await(t, []*consumer{s}, func() error {
		if len(triesOf(s, sent[7].keys)) == 0 {
			return fmt.Errorf("the queue does not go on: %d messages came", len(s.seen))
		}
		return nil
	})
	if n := len(triesOf(s, sent[3].keys)); n != 3 {
		t.Errorf("the message that fails was tried %d times, want 3", n)
	}
	dead := startConsumer(t, "failing", impatient(c), cl, "%DLQ%"+group, uniqueName(t, "undertaker")).wait(1)[0]
	if dead.keys != sent[3].keys || dead.properties["RETRY_TOPIC"] != topic {
		t.Errorf("the dead letter is %+v", dead)
	}
	if underTest("broker") == liftoff && (dead.properties["DLQ_ORIGIN_TOPIC"] != topic || dead.properties["DLQ_ORIGIN_MESSAGE_ID"] == "") {
		t.Errorf("the dead letter has properties %v", dead.properties)
	}
}

// takesOverFromAKilledConsumer: of two orderly consumers one is killed. The other gets its queues when the locks have expired and not
// before, and the messages of each queue come in order.
func takesOverFromAKilledConsumer(t *testing.T, c client) {
	t.Parallel()
	const expiry = 5 * time.Second // a minute is what it is otherwise
	cl := ownCluster(t, setup{settings: []string{fmt.Sprint("rocketmq.broker.rebalance.lockMaxLiveTime=", expiry.Milliseconds())}})
	p := newProducer(t, c, cl)
	topic, group := p.topic(4), uniqueName(t, "group")
	// Programs of their own, which ask for their locks each second.
	heir := newConsumer(t, c.with("-Drocketmq.client.rebalance.lockInterval=1000"), cl, topic, group, "orderly", true, "threads", 4)
	victim := newConsumer(t, c.with("-Drocketmq.client.rebalance.lockInterval=1001"), cl, topic, group, "orderly", true, "threads", 4)
	stop := p.load(topic)
	var lost []int
	await(t, []*consumer{heir, victim}, func() error {
		lost = queuesOf(victim.seen, 20)
		if kept := queuesOf(heir.seen, 20); len(kept) != 2 || len(lost) != 2 {
			return fmt.Errorf("the consumers have the queues %v and %v", kept, lost)
		}
		return nil
	})
	looked := time.Now()
	victim.look(0, 0)
	before := len(heir.seen)
	victim.program.proc.kill()
	killed := time.Now()
	await(t, []*consumer{heir}, func() error {
		if got := queuesOf(heir.seen, 20); len(got) != 4 {
			return fmt.Errorf("the consumer that is left has the queues %v", got)
		}
		return nil
	})
	for _, m := range heir.seen[before:] {
		if slices.Contains(lost, m.queue) {
			after := time.UnixMilli(m.at).Sub(killed)
			t.Logf("the first message of a lost queue came %v after the kill", after)
			if after < expiry-1500*time.Millisecond && underTest("broker") == liftoff {
				t.Errorf("the first message of a lost queue came %v after the kill, its lock was good for %v", after, expiry)
			}
			break
		}
	}
	acked := stop()
	await(t, []*consumer{heir}, func() error {
		untold := 10 + int64(killed.Sub(looked)/loadPace)
		return lacks(withoutUntold(acked, victim.seen, heir.seen[before:], lost, untold), heir.seen, victim.seen)
	})
	inOrder(t, heir.seen[before:])
}

// withoutUntold leaves out what the victim may have consumed, and committed with a pull, between its last word and its end: messages
// of a lost queue, from behind the last that it told of to where the heir began, no more than can have been sent meanwhile.
func withoutUntold(acked, victim, heir []message, lost []int, most int64) []message {
	return slices.DeleteFunc(slices.Clone(acked), func(m message) bool {
		if !slices.Contains(lost, m.queue) {
			return false
		}
		told, began := int64(-1), int64(-1)
		for _, v := range victim {
			if v.queue == m.queue {
				told = max(told, v.offset)
			}
		}
		for _, h := range heir {
			if h.queue == m.queue && (began < 0 || h.offset < began) {
				began = h.offset
			}
		}
		return m.offset > told && m.offset < began && began-told <= most
	})
}
