package interop

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// soon is how long anything may take that should happen at once on a machine that is not busy. It allows for Java's old
// client, which tries for a queue's lock each 20 s and keeps that of a queue it lost for 20 s.
const soon = 2 * time.Minute

// names numbers topics, groups and clients, so that no two tests share one.
var names atomic.Int64

func uniqueName(t *testing.T, what string) string {
	clean := strings.NewReplacer("/", "_", "#", "_").Replace(strings.TrimPrefix(t.Name(), "Test"))
	return fmt.Sprintf("%s_%s%d", clean, what, names.Add(1))
}

// A producer is one producer in a program.
type producer struct {
	t       *testing.T
	program *program
	cluster *cluster
	name    string
}

// newProducer starts a producer, with options for its command.
func newProducer(t *testing.T, c client, cl *cluster, options ...any) *producer {
	t.Helper()
	p := &producer{t: t, program: programOn(t, c), cluster: cl, name: uniqueName(t, "producer")}
	p.ask("producer", append([]any{"group", p.name, "namesrv", cl.addrs()}, options...)...)
	t.Cleanup(func() { p.program.call("producer.close", "name", p.name) })
	return p
}

// ask gives the producer a command that must succeed.
func (p *producer) ask(op string, args ...any) url.Values {
	p.t.Helper()
	answer, err := p.program.call(op, append(args, "name", p.name)...)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer
}

// topic makes a topic and waits until clients find it.
func (p *producer) topic(queues int) string {
	p.t.Helper()
	topic := uniqueName(p.t, "topic")
	p.ask("createTopic", "key", "TBW102", "topic", topic, "queues", queues, "broker", p.cluster.broker.addr(),
		"namesrv", p.cluster.addrs())
	p.waitForQueues(topic, queues)
	return topic
}

func (p *producer) waitForQueues(topic string, queues int) {
	p.t.Helper()
	err := waitFor(soon, func() error {
		answer, err := p.program.call("queues", "name", p.name, "topic", topic, "namesrv", p.cluster.addrs())
		if err != nil {
			return err
		}
		var want []string
		for i := range queues {
			want = append(want, fmt.Sprintf("broker-a:%d", i))
		}
		if got := slices.Sorted(slices.Values(lines(answer.Get("q")))); !slices.Equal(got, want) {
			return fmt.Errorf("topic %s has the queues %v, not %v", topic, got, want)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// fill sends count numbered messages, in turn to each queue, and gives what was acknowledged.
func (p *producer) fill(topic string, count int, options ...any) []message {
	p.t.Helper()
	args := append([]any{"topic", topic, "prefix", uniqueName(p.t, "fill"), "count", count}, options...)
	return p.messages(p.ask("fill", args...).Get("a"))
}

func (p *producer) messages(text string) []message {
	p.t.Helper()
	all, err := parseMessages(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

// loadPace is what load waits between messages.
const loadPace = 2 * time.Millisecond

// load sends like fill until it is stopped, each message until it is acknowledged.
func (p *producer) load(topic string, options ...any) (stop func() []message) {
	p.t.Helper()
	p.ask("load", append([]any{"topic", topic, "prefix", uniqueName(p.t, "load"), "pace", loadPace.Milliseconds()}, options...)...)
	stopped := false
	stop = func() []message {
		p.t.Helper()
		stopped = true
		answer := p.ask("load.stop")
		acked := p.messages(answer.Get("a"))
		p.t.Logf("%d messages acknowledged, %s failed sends (the last: %s)", len(acked), answer.Get("failures"), answer.Get("last"))
		return acked
	}
	p.t.Cleanup(func() {
		if !stopped {
			p.program.call("load.stop", "name", p.name)
		}
	})
	return stop
}

// A consumer is one push or lite pull consumer in a program.
type consumer struct {
	t       *testing.T
	program *program
	op      string // push or lite
	name    string
	seen    []message // what it got so far, in the order of arrival
}

// newConsumer starts a push consumer, with options for its command.
func newConsumer(t *testing.T, c client, cl *cluster, topic, group string, options ...any) *consumer {
	t.Helper()
	return startConsumer(t, "push", c, cl, topic, group, options...)
}

func startConsumer(t *testing.T, op string, c client, cl *cluster, topic, group string, options ...any) *consumer {
	t.Helper()
	s := &consumer{t: t, program: programOn(t, c), op: op, name: uniqueName(t, "consumer")}
	args := append([]any{"name", s.name, "group", group, "namesrv", cl.addrs(), "topic", topic}, options...)
	if _, err := s.program.call(op, args...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.program.call(op+".close", "name", s.name) })
	return s
}

func (s *consumer) close() {
	s.t.Helper()
	if _, err := s.program.call(s.op+".close", "name", s.name); err != nil {
		s.t.Fatal(err)
	}
}

// look waits until the consumer has got count messages in all, or the time is up, and takes over what is there.
func (s *consumer) look(count int, timeout time.Duration) {
	s.t.Helper()
	answer, err := s.program.call(s.op+".seen", "name", s.name, "from", len(s.seen), "count", count,
		"timeout", timeout.Milliseconds())
	if err != nil {
		s.t.Fatal(err)
	}
	more, err := parseMessages(answer.Get("m"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.seen = append(s.seen, more...)
}

// wait waits until the consumer has got count messages in all.
func (s *consumer) wait(count int) []message {
	s.t.Helper()
	if s.look(count, soon); len(s.seen) < count {
		s.t.Fatalf("%s got %d messages, %d wanted", s.name, len(s.seen), count)
	}
	return s.seen
}

// await waits until what the consumers have got satisfies a condition, which says what is missing.
func await(t *testing.T, consumers []*consumer, missing func() error) {
	t.Helper()
	err := waitFor(soon, func() error {
		for _, s := range consumers {
			s.look(0, 0)
		}
		return missing()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A place is where a message lies.
type place struct {
	queue  int
	offset int64
}

func (m message) place() place { return place{m.queue, m.offset} }

// lacks says which acknowledged messages are not among the received ones at their place, if any.
func lacks(acked []message, got ...[]message) error {
	keys := map[place]string{}
	for _, list := range got {
		for _, m := range list {
			keys[m.place()] = m.keys
		}
	}
	for i, m := range acked {
		if key, ok := keys[m.place()]; !ok {
			return fmt.Errorf("of %d acknowledged messages, number %d (%s at %v) was not received", len(acked), i, m.keys, m.place())
		} else if key != m.keys {
			return fmt.Errorf("%s lies where %s was acknowledged (%v)", key, m.keys, m.place())
		}
	}
	return nil
}

// duplicates gives the messages that came again.
func duplicates(got ...[]message) []message {
	var again []message
	seen := map[place]bool{}
	all := slices.Concat(got...)
	slices.SortStableFunc(all, func(a, b message) int { return a.seq - b.seq })
	for _, m := range all {
		if seen[m.place()] {
			again = append(again, m)
		}
		seen[m.place()] = true
	}
	return again
}

// exactly checks that the acknowledged messages were received, each once and no others.
func exactly(t *testing.T, acked, got []message) {
	t.Helper()
	if err := lacks(acked, got); err != nil {
		t.Error(err)
	}
	if again := duplicates(got); len(again) > 0 {
		t.Errorf("%d messages came again, the first is %s at %v", len(again), again[0].keys, again[0].place())
	}
	if len(got) != len(acked) {
		t.Errorf("%d messages were received, %d acknowledged", len(got), len(acked))
	}
}

// inOrder checks that each queue's messages came in the order of their offsets, those that came again left aside.
func inOrder(t *testing.T, got []message) {
	t.Helper()
	last := map[int]message{}
	seen := map[place]bool{}
	for _, m := range got {
		if seen[m.place()] {
			continue
		}
		seen[m.place()] = true
		if before, ok := last[m.queue]; ok && m.offset < before.offset {
			t.Errorf("queue %d: offset %d came after %d", m.queue, m.offset, before.offset)
		}
		last[m.queue] = m
	}
}

// filled checks that messages have the content which fill gave them.
func filled(t *testing.T, got []message) {
	t.Helper()
	for _, m := range got {
		tag := "T" + string("012"[lastNumber(m.keys)%3])
		if m.tags != tag || strings.TrimRight(m.body, ".") != m.keys {
			t.Errorf("the message %s has the tag %q and the body %q", m.keys, m.tags, m.body)
		}
	}
}

func lastNumber(key string) (n int) {
	fmt.Sscan(key[strings.LastIndex(key, "-")+1:], &n)
	return n
}

// queuesOf says from which queues the last messages came.
func queuesOf(list []message, last int) []int {
	queues := map[int]bool{}
	for _, m := range list[max(0, len(list)-last):] {
		queues[m.queue] = true
	}
	return slices.Sorted(maps.Keys(queues))
}

func encoded(body string) string { return base64.URLEncoding.EncodeToString([]byte(body)) }
