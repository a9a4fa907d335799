package interop

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// pollsAndContinues: the polling consumer gets all that is there, and its successor in the group what came after.
func pollsAndContinues(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic, group := p.topic(4), uniqueName(t, "group")
	first := p.fill(topic, 100)
	s := startConsumer(t, "lite", c, cl, topic, group)
	exactly(t, first, s.wait(len(first)))
	inOrder(t, s.seen)
	if c.java() {
		want := []string{"0:25", "1:25", "2:25", "3:25"}
		err := waitFor(soon, func() error {
			answer, err := s.program.call("lite.committed", "name", s.name, "topic", topic)
			if got := slices.Sorted(slices.Values(lines(answer.Get("q")))); err == nil && !slices.Equal(got, want) {
				err = fmt.Errorf("the group has committed %v, not %v", got, want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	s.close()
	second := p.fill(topic, 40)
	s = startConsumer(t, "lite", c, cl, topic, group)
	exactly(t, second, s.wait(len(second)))
	inOrder(t, s.seen)
}

// pollsFromAnyOffset: queues that are assigned by hand are read from where the consumer seeks to.
func pollsFromAnyOffset(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic := p.topic(2)
	acked := p.fill(topic, 40, "queues", 2)
	s := startConsumer(t, "lite", c, cl, topic, uniqueName(t, "group"), "assign", true)
	exactly(t, acked, s.wait(len(acked)))
	// Now that it waits for more: a pull that is on its way while the client seeks may still bring what it was sent for.
	for _, offset := range []int{15, 0} {
		if _, err := s.program.call("lite.seek", "name", s.name, "topic", topic, "offset", offset); err != nil {
			t.Fatal(err)
		}
		before := len(s.seen)
		want := acked[2*offset:]
		got := s.wait(before + len(want))[before:]
		exactly(t, want, got)
		inOrder(t, got)
	}
}

// pullsEachStatus: the old pull consumer gets pieces, and is told of the end, of offsets that are not there and of tags
// that do not match; a pull that waits is answered when a message comes.
func pullsEachStatus(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic, group := p.topic(1), uniqueName(t, "group")
	acked := p.fill(topic, 50, "queues", 1)
	name := uniqueName(t, "consumer")
	if _, err := p.program.call("pull", "name", name, "group", group, "namesrv", cl.addrs()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.program.call("pull.close", "name", name) })
	pull := func(offset int, more ...any) (string, []message) {
		t.Helper()
		answer, err := p.program.call("pull.get", append([]any{"name", name, "topic", topic, "offset", offset}, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s next %s of [%s,%s)", answer.Get("status"), answer.Get("next"), answer.Get("min"), answer.Get("max")),
			p.messages(answer.Get("m"))
	}
	check := func(want string, messages []message, offset int, more ...any) {
		t.Helper()
		got, list := pull(offset, more...)
		if got != want {
			t.Errorf("pull from %d %v: got %s, want %s", offset, more, got, want)
		}
		exactly(t, messages, list)
		inOrder(t, list)
	}
	check("FOUND next 20 of [0,50)", acked[:20], 0, "max", 20)
	check("FOUND next 50 of [0,50)", acked[20:], 20, "max", 32)
	check("NO_NEW_MSG next 50 of [0,50)", nil, 50)
	check("OFFSET_ILLEGAL next 50 of [0,50)", nil, 51)
	check("OFFSET_ILLEGAL next 50 of [0,50)", nil, 1000)
	check("FOUND next 8 of [0,50)", []message{acked[1], acked[4], acked[7]}, 0, "max", 3, "tags", "T1")
	if got, list := pull(0, "tags", "none"); got != "NO_MATCHED_MSG next 50 of [0,50)" || list != nil {
		t.Errorf("pull of a tag that nothing has: %s, %d messages", got, len(list))
	}

	// The pull that waits must still be on its way when the message comes.
	woken := make(chan message, 1)
	go func() {
		defer close(woken)
		answer, err := p.program.call("pull.get", "name", name, "topic", topic, "offset", 50, "block", true)
		if list, _ := parseMessages(answer.Get("m")); err == nil && len(list) == 1 {
			woken <- list[0]
		}
	}()
	select {
	case m := <-woken:
		t.Errorf("the pull that waits was answered at once, with %v", m)
	case <-time.After(300 * time.Millisecond):
	}
	sent := p.fill(topic, 1, "queues", 1)
	begin := time.Now()
	if m := <-woken; m.place() != sent[0].place() || time.Since(begin) > 5*time.Second {
		t.Errorf("the pull that waits brought %v after %v", m, time.Since(begin))
	}

	if _, err := p.program.call("pull.commit", "name", name, "topic", topic, "offset", 33); err != nil {
		t.Fatal(err)
	}
	err := waitFor(soon, func() error {
		answer, err := p.program.call("pull.committed", "name", name, "topic", topic)
		if err == nil && answer.Get("offset") != "33" {
			err = fmt.Errorf("the offset 33 was committed, %s is known", answer.Get("offset"))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
