package interop

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"
)

func TestJava5_DelaysByLevel(t *testing.T)           { delaysByLevel(t, java5) }
func TestJava4_DelaysByLevel(t *testing.T)           { delaysByLevel(t, java4) }
func TestJava5_DelaysOverAMove(t *testing.T)         { delaysOverAMove(t, java5) }
func TestJava5_DelaysOverAShorterLevel(t *testing.T) { delaysOverAShorterLevel(t, java5) }

// A delayed is one message that was sent with a delay level.
type delayed struct {
	key  string
	sent int64 // ms, when the answer was there; the message was stored before
	// offsetID is of the record that is parked.
	offsetID string
}

// sendDelayed sends messages of a delay level with a producer that is made when it is first named.
func sendDelayed(t *testing.T, c client, cl *cluster, name, topic string, level, count int) (all []delayed) {
	t.Helper()
	program := programOn(t, c)
	var answer url.Values
	must(t, waitFor(soon, func() (err error) {
		answer, err = program.call("delayed", "name", name, "namesrv", cl.addrs(), "topic", topic, "level", level, "count", count,
			"prefix", uniqueName(t, fmt.Sprintf("level%d", level)))
		return err
	}))
	t.Cleanup(func() { program.call("delayed.close", "name", name) })
	for _, line := range lines(answer.Get("a")) {
		f, err := url.ParseQuery(line)
		must(t, err)
		d := delayed{key: f.Get("key"), offsetID: f.Get("offsetMsgId")}
		fmt.Sscan(f.Get("at"), &d.sent)
		all = append(all, d)
	}
	if len(all) != count {
		t.Fatalf("%d messages were sent, not %d", len(all), count)
	}
	return all
}

// receivedOnce checks that each of the messages came, once, and gives them by key.
func receivedOnce(t *testing.T, sent []delayed, got []message) map[string]message {
	t.Helper()
	byKey := map[string]message{}
	for _, m := range got {
		if before, again := byKey[m.keys]; again {
			t.Errorf("%s came twice: %v and %v", m.keys, before.place(), m.place())
		}
		byKey[m.keys] = m
	}
	for _, d := range sent {
		if _, came := byKey[d.key]; !came {
			t.Errorf("%s did not come", d.key)
		}
	}
	return byKey
}

// delaysByLevel: messages of several levels, one of them beyond the highest, are stored in their topic when they are due, by the
// broker's own times, and the parked ones cannot be seen by a consumer before.
func delaysByLevel(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"messageDelayLevel=1s 3s 2s 4s"}})
	p := newProducer(t, c, cl)
	topic := p.topic(4)
	s := startConsumer(t, "failing", impatient(c), cl, topic, uniqueName(t, "group"))
	levels := map[int]time.Duration{1: time.Second, 2: 3 * time.Second, 3: 2 * time.Second, 4: 4 * time.Second, 99: 4 * time.Second}
	var all []delayed
	want := map[string]time.Duration{}
	for level, delay := range levels {
		for _, d := range sendDelayed(t, c, cl, p.name+"d", topic, level, 20) {
			all = append(all, d)
			want[d.key] = delay
		}
	}
	byKey := receivedOnce(t, all, s.wait(len(all)))
	var late []time.Duration
	for _, d := range all {
		m := byKey[d.key]
		answer := p.ask("view", "topic", topic, "msgId", d.offsetID)
		parked := p.messages(answer.Get("m"))
		if len(parked) != 1 {
			t.Fatalf("the parked message %s is %v", d.offsetID, answer)
		}
		off := time.Duration(m.stored-parked[0].stored)*time.Millisecond - want[d.key]
		if off < 0 {
			t.Errorf("%s came %v too early", d.key, -off)
		}
		late = append(late, off)
		if m.body != d.key || m.tags != "T" {
			t.Errorf("%s has body %q and tag %q", d.key, m.body, m.tags)
		}
	}
	slices.Sort(late)
	t.Logf("late by %v in the middle, %v at most", late[len(late)/2], late[len(late)-1])
	most := 100 * time.Millisecond // on a machine that has time for us
	if underTest("broker") == apache {
		most = time.Second
	}
	if late[len(late)*9/10] > most || late[len(late)-1] > 10*most {
		t.Errorf("the messages came late by up to %v, a tenth by %v or more", late[len(late)-1], late[len(late)*9/10])
	}
}

// delaysOverAMove: what is delayed, and what failed and waits to be tried again, goes with the store from Apache's broker to ours and back.
// All of it comes once, nothing early.
func delaysOverAMove(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{broker: apache, settings: []string{"messageDelayLevel=1s 12s 13s 14s"}})
	p := newProducer(t, c, cl)
	topic := p.topic(4)
	delays := map[int]time.Duration{2: 12 * time.Second, 4: 14 * time.Second}
	for i, next := range []kind{underTest("broker"), apache} {
		group := uniqueName(t, "group")
		failing := startConsumer(t, "failing", impatient(c), cl, topic, group, "fails", 1, "only", "-0")
		// One is delivered and fails; its second try waits 13 s.
		first := sendDelayed(t, c, cl, p.name+"d", topic, 0, 1)
		await(t, []*consumer{failing}, func() error {
			if !slices.ContainsFunc(failing.seen, func(m message) bool { return m.keys == first[0].key }) {
				return fmt.Errorf("%s did not come yet", first[0].key)
			}
			return nil
		})
		failed := time.Now()
		var all []delayed
		want := map[string]time.Duration{}
		for level, delay := range delays {
			for _, d := range sendDelayed(t, c, cl, p.name+"d", topic, level, 10) {
				all = append(all, d)
				want[d.key] = delay
			}
		}
		time.Sleep(500 * time.Millisecond) // until the failed one was given back
		failing.close()
		cl.stopBroker(t, false)
		cl.broker.kind = next
		must(t, cl.startBroker())
		t.Logf("moved to %s after %v", next, time.Since(failed))

		s := startConsumer(t, "failing", impatient(c), cl, topic, group)
		isNew := func(m message) bool { return want[m.keys] != 0 || m.keys == first[0].key && m.times == 1 }
		await(t, []*consumer{s}, func() error {
			if n := len(slices.DeleteFunc(slices.Clone(s.seen), func(m message) bool { return !isNew(m) })); n < len(all)+1 {
				return fmt.Errorf("turn %d: %d messages came, %d wanted", i, n, len(all)+1)
			}
			return nil
		})
		time.Sleep(300 * time.Millisecond) // what comes twice comes now
		s.look(0, 0)
		got := slices.DeleteFunc(slices.Clone(s.seen), func(m message) bool { return !isNew(m) })
		byKey := receivedOnce(t, all, got)
		for _, d := range all {
			m := byKey[d.key]
			parked := p.messages(p.ask("view", "topic", topic, "msgId", d.offsetID).Get("m"))
			if early := parked[0].stored + want[d.key].Milliseconds() - m.stored; early > 0 {
				t.Errorf("%s came %d ms too early", d.key, early)
			}
		}
		again := byKey[first[0].key]
		if early := failed.UnixMilli() + 12500 - again.stored; early > 0 || again.properties["RETRY_TOPIC"] != topic {
			t.Errorf("what failed came again as %+v, %d ms too early", again, early)
		}
		s.close()
	}
}

// delaysOverAShorterLevel: a level is made shorter while messages of it wait. They come in their order, none twice.
func delaysOverAShorterLevel(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"messageDelayLevel=1h 2s"}})
	p := newProducer(t, c, cl)
	topic := p.topic(1)
	all := sendDelayed(t, c, cl, p.name+"d", topic, 1, 10)
	cl.stopBroker(t, false)
	cl.broker.settings = append(cl.broker.settings, "messageDelayLevel=2s 3s")
	must(t, cl.startBroker())
	s := startConsumer(t, "failing", impatient(c), cl, topic, uniqueName(t, "group"), "threads", 1)
	s.wait(len(all))
	receivedOnce(t, all, s.seen)
	for i, m := range s.seen {
		if m.keys != all[i].key {
			t.Errorf("number %d is %s, want %s", i, m.keys, all[i].key)
		}
	}
}
