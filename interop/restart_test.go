package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// outlivesRestarts: the broker goes and comes back while one client sends and another consumes. What was acknowledged
// comes, at the place that was acknowledged, in the order of each queue; and the group's offsets survive.
func outlivesRestarts(t *testing.T, c client, kill bool) {
	t.Parallel()
	cl := ownCluster(t, setup{})
	p := newProducer(t, c, cl, "timeout", 3000)
	topic, group := p.topic(4), uniqueName(t, "group")
	s := newConsumer(t, c, cl, topic, group)
	stop := p.load(topic)
	rounds := 1 // for these clients wait 30 s for the answer that a killed broker owes them
	if c == java5 {
		rounds = 2
	}
	for range rounds {
		s.wait(len(s.seen) + 300)
		begin := time.Now()
		cl.restartBroker(t, kill)
		t.Logf("the broker was back after %v", time.Since(begin))
		s.look(0, 0)
		s.wait(len(s.seen) + 1)
		t.Logf("the consumer went on after %v", time.Since(begin))
	}
	s.wait(len(s.seen) + 300)
	acked := stop()
	await(t, []*consumer{s}, func() error { return lacks(acked, s.seen) })
	onePlaceOneMessage(t, s.seen)
	inOrder(t, s.seen)
	filled(t, s.seen)
	t.Logf("%d messages came, %d of them again", len(s.seen), len(duplicates(s.seen)))

	s.close()
	if kill {
		// Offsets reach the disk at intervals, and a kill may set them back; a clean stop may not.
		return
	}
	cl.restartBroker(t, false)
	var last []message
	err := waitFor(soon, func() error {
		answer, err := p.program.call("fill", "name", p.name, "topic", topic, "prefix", uniqueName(t, "last"), "count", 4)
		last = p.messages(answer.Get("a"))
		return err
	})
	must(t, err)
	s = newConsumer(t, c, cl, topic, group)
	exactly(t, last, s.wait(len(last)))
}

// onePlaceOneMessage checks that an offset never shows two messages.
func onePlaceOneMessage(t *testing.T, got []message) {
	t.Helper()
	ids := map[place]string{}
	for _, m := range got {
		if before, ok := ids[m.place()]; ok && before != m.id {
			t.Errorf("%v was once the message %s and once %s", m.place(), before, m.id)
		}
		ids[m.place()] = m.id
	}
}

// startsWhereToldTo: a group's first consumer begins at the oldest message, at the newest or at a time. That the queues
// do not begin at 0 is brought about by taking away the log's oldest file.
func startsWhereToldTo(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"mappedFileSizeCommitLog=1048576"}})
	p := newProducer(t, c, cl)
	topic := p.topic(2)
	before := p.fill(topic, 500, "queues", 2, "size", 3500)
	cl.stopBroker(t, false)
	files, err := filepath.Glob(filepath.Join(cl.broker.dir, "store", "commitlog", "*"))
	if err != nil || len(files) < 2 {
		t.Fatal("the commit log has the files", files, err)
	}
	slices.Sort(files)
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	must(t, cl.startBroker())
	var after []message
	must(t, waitFor(soon, func() error {
		answer, err := p.program.call("fill", "name", p.name, "topic", topic, "prefix", uniqueName(t, "after"), "count", 100,
			"queues", 2, "size", 3500)
		after = p.messages(answer.Get("a"))
		return err
	}))
	sent := slices.Concat(before, after)

	// The oldest.
	first := newConsumer(t, c, cl, topic, uniqueName(t, "first"), "from", "FIRST_OFFSET")
	oldest := map[int]int64{}
	for _, q := range []int{0, 1} {
		oldest[q] = offsetOf(t, p, topic, q, "min")
		if oldest[q] < 100 || oldest[q] > 200 {
			t.Errorf("queue %d begins at %d", q, oldest[q])
		}
	}
	want := slices.DeleteFunc(slices.Clone(sent), func(m message) bool { return m.offset < oldest[m.queue] })
	exactly(t, want, first.wait(len(want)))
	inOrder(t, first.seen)

	// A time, which clients give to the second.
	instant := time.UnixMilli(first.seen[len(first.seen)-50].stored).Truncate(time.Second)
	timed := newConsumer(t, c, cl, topic, uniqueName(t, "time"), "from", "TIMESTAMP", "timestamp", instant.Format("20060102150405"))
	want = slices.DeleteFunc(slices.Clone(first.seen), func(m message) bool { return m.stored < instant.UnixMilli() })
	exactly(t, want, timed.wait(len(want)))

	// The newest, which is what comes after the consumer.
	newest := newConsumer(t, c, cl, topic, uniqueName(t, "last"), "from", "LAST_OFFSET")
	await(t, []*consumer{newest}, func() error {
		sent = append(sent, p.fill(topic, 2, "queues", 2, "first", 2)...)
		if queues := queuesOf(newest.seen, len(newest.seen)); len(queues) < 2 {
			return fmt.Errorf("new messages came from the queues %v only", queues)
		}
		return nil
	})
	begin := map[int]int64{}
	for _, m := range newest.seen {
		if _, ok := begin[m.queue]; !ok {
			begin[m.queue] = m.offset
		}
	}
	if begin[0] < 300 || begin[1] < 300 {
		t.Errorf("the consumer that wants only what is new begins at %v", begin)
	}
	want = slices.DeleteFunc(sent, func(m message) bool { return m.offset < begin[m.queue] })
	exactly(t, want, newest.wait(len(want)))
}

func offsetOf(t *testing.T, p *producer, topic string, queue int, which string) (n int64) {
	t.Helper()
	answer := p.ask("offsets", "topic", topic, "queue", queue)
	if _, err := fmt.Sscan(answer.Get(which), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// movesBetweenBrokers: Apache's broker writes a store, ours goes on with it, and Apache's takes it back.
func movesBetweenBrokers(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{broker: apache, settings: []string{"mappedFileSizeCommitLog=1048576"}})
	p := newProducer(t, c, cl)
	topic, group := p.topic(4), uniqueName(t, "group")
	var sent []message
	for i, k := range []kind{apache, underTest("broker"), apache, underTest("broker")} {
		if i > 0 {
			cl.stopBroker(t, false)
			cl.broker.kind = k
			must(t, cl.startBroker())
		}
		// The group goes on where it was; a new one gets all that was ever written.
		var more []message
		must(t, waitFor(soon, func() error {
			answer, err := p.program.call("fill", "name", p.name, "topic", topic, "prefix", uniqueName(t, "turn"), "count", 200,
				"size", 3000)
			more = p.messages(answer.Get("a"))
			return err
		}))
		sent = append(sent, more...)
		old := newConsumer(t, c, cl, topic, group)
		await(t, []*consumer{old}, func() error { return lacks(more, old.seen) })
		// A client that is closed may not have committed what it had in hand, the last of each queue; that comes again.
		if again := len(old.seen) - len(more); again > 4 {
			t.Errorf("the group got %d messages that are not new", again)
		}
		old.close()
		fresh := newConsumer(t, c, cl, topic, uniqueName(t, "fresh"))
		got := fresh.wait(len(sent))
		exactly(t, sent, got)
		inOrder(t, got)
		for _, m := range got {
			if m.size != 3000 || strings.TrimRight(m.keys, "0123456789") == m.keys {
				t.Errorf("message %v has %d bytes", m.place(), m.size)
			}
		}
		fresh.close()
		for _, m := range []message{sent[0], sent[len(sent)-1]} {
			if !c.java() {
				break
			}
			must(t, waitFor(soon, func() error {
				answer, err := p.program.call("query", "name", p.name, "topic", topic, "key", m.keys, "begin", 0, "end", int64(1)<<62)
				if err == nil && len(lines(answer.Get("m"))) != 1 {
					err = fmt.Errorf("the key %s finds %d messages on %s's broker", m.keys, len(lines(answer.Get("m"))), k)
				}
				return err
			}))
		}
	}
}
