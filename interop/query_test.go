package interop

import (
	"fmt"
	"testing"
)

// findsMessages: by key, by unique id, by the id that says where it lies, and by time.
func findsMessages(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic, other := p.topic(2), p.topic(1)
	acked := p.fill(topic, 40, "queues", 2)
	for _, to := range []string{topic, other, topic} {
		p.ask("send", "topic", to, "keys", "shared second", "body", encoded("of "+to), "queue", 0)
	}

	find := func(topic, key string) []message {
		t.Helper()
		answer, err := p.program.call("query", "name", p.name, "topic", topic, "key", key, "begin", 0, "end", int64(1)<<62)
		if err != nil {
			return nil // a client's way to say that there is none
		}
		return p.messages(answer.Get("m"))
	}
	check := func(topic, key string, bodies ...string) {
		t.Helper()
		err := waitFor(soon, func() error { // the index follows the log
			var got []string
			for _, m := range find(topic, key) {
				got = append(got, m.body)
			}
			if fmt.Sprint(got) != fmt.Sprint(bodies) {
				return fmt.Errorf("the key %q in %s finds %q, not %q", key, topic, got, bodies)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	check(topic, "shared", "of "+topic, "of "+topic)
	check(topic, "second", "of "+topic, "of "+topic)
	check(other, "shared", "of "+other)
	check(topic, acked[7].keys, acked[7].keys)
	check(other, acked[7].keys)
	check(topic, "nothing has this key")

	one := func(op string, args ...any) message {
		t.Helper()
		list := p.messages(p.ask(op, append(args, "topic", topic)...).Get("m"))
		if len(list) != 1 {
			t.Fatalf("%s %v finds %d messages", op, args, len(list))
		}
		return list[0]
	}
	for _, m := range []message{acked[0], acked[39]} {
		for _, found := range []message{one("view", "msgId", m.offsetID), one("unique", "msgId", m.id)} {
			if found.place() != m.place() || found.body != m.keys || found.keys != m.keys {
				t.Errorf("%s is found as %v", m.keys, found)
			}
		}
	}

	// Where each message of the queue lies in time.
	s := newConsumer(t, c, cl, topic, uniqueName(t, "group"))
	var queue []message
	for _, m := range s.wait(42) {
		if m.queue == 1 {
			queue = append(queue, m)
		}
	}
	answer := p.ask("offsets", "topic", topic, "queue", 1)
	if want := form("min", 0, "max", len(queue), "earliest", queue[0].stored); answer.Get("min") != want.Get("min") ||
		answer.Get("max") != want.Get("max") || answer.Get("earliest") != want.Get("earliest") {
		t.Errorf("the queue's offsets are %v, not %v", answer, want)
	}
	search := func(time int64, want int64) {
		t.Helper()
		if got := p.ask("search", "topic", topic, "queue", 1, "time", time).Get("offset"); got != fmt.Sprint(want) {
			t.Errorf("the first offset at the time %d (of %d to %d) is %s, not %d", time, queue[0].stored, queue[len(queue)-1].stored, got, want)
		}
	}
	search(0, 0)
	for _, m := range queue {
		first := m.offset // the first of those stored in the same millisecond
		for first > 0 && queue[first-1].stored == m.stored {
			first--
		}
		search(m.stored, first)
	}
	search(queue[len(queue)-1].stored+3600_000, int64(len(queue)))
}
