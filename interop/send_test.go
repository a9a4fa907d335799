package interop

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
)

// sendsAndConsumesInOrder: what was sent one after the other to four queues comes once, whole, in the order of each queue.
func sendsAndConsumesInOrder(t *testing.T, c client) {
	t.Parallel()
	basicTraffic(t, c, sharedCluster(t), 400)
}

// basicTraffic sends and consumes on a fresh topic, with options for both clients.
func basicTraffic(t *testing.T, c client, cl *cluster, count int, options ...any) {
	t.Helper()
	p := newProducer(t, c, cl, options...)
	topic := p.topic(4)
	acked := p.fill(topic, count)
	for i, m := range acked {
		if m.place() != (place{i % 4, int64(i / 4)}) {
			t.Fatalf("message %d was put at %v", i, m.place())
		}
	}
	s := newConsumer(t, c, cl, topic, uniqueName(t, "group"), options...)
	got := s.wait(count)
	exactly(t, acked, got)
	inOrder(t, got)
	filled(t, got)
	for i, m := range got {
		if m.id == "" || m.topic != topic {
			t.Fatalf("message %d has the id %q and the topic %q", i, m.id, m.topic)
		}
	}
	// Now the consumer waits at the end of each queue: a new message must wake it.
	more := p.fill(topic, 8)
	exactly(t, append(acked, more...), s.wait(count+len(more)))
}

// bodies are the contents that every way to send must bring over unchanged.
func bodies() map[string]string {
	random := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(random)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	return map[string]string{
		"plain":        "hello",
		"utf8":         "Grüße, 你好, 🚀",
		"one-zero":     "\x00",
		"every-byte":   string(every),
		"compressible": strings.Repeat("the same line again\n", 52429)[:1<<20],
		"random":       string(random),
	}
}

// sendsInEveryMode: sync, async, one-way and batch, with bodies from one byte to 1 MB, keys, tags and user properties.
func sendsInEveryMode(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic := p.topic(4)
	properties := map[string]string{"colour": "blue", "Ünïcödé": "значение=1;2&3", "one": "1"}
	want := map[string]string{} // body by key
	args := func(key, body string) []any {
		want[key] = body
		all := []any{"topic", topic, "tags", "TagÄ", "keys", key, "body", encoded(body)}
		for name, value := range properties {
			all = append(all, "p."+name, value)
		}
		return all
	}
	for i, mode := range []string{"sync", "async", "oneway"} {
		for name, body := range bodies() {
			answer := p.ask("send", append(args(mode+"-"+name, body), "mode", mode, "queue", i)...)
			if mode != "oneway" && (answer.Get("status") != "SEND_OK" || answer.Get("queue") != fmt.Sprint(i)) {
				t.Errorf("%s %s was answered with %v", mode, name, answer)
			}
		}
	}
	var batch []string
	for i := range 20 {
		key := fmt.Sprint("batch-", i)
		batch = append(batch, form(args(key, "batched "+key)...).Encode())
	}
	if answer := p.ask("batch", "m", strings.Join(batch, "\n")); answer.Get("status") != "SEND_OK" {
		t.Errorf("the batch was answered with %v", answer)
	}

	s := newConsumer(t, c, cl, topic, uniqueName(t, "group"))
	got := s.wait(len(want))
	for _, m := range got {
		body, ok := want[m.keys]
		if !ok {
			t.Errorf("message %q was not sent or came again", m.keys)
		}
		delete(want, m.keys)
		sum := sha256.Sum256([]byte(body))
		if m.size != len(body) || m.sum != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: the body of %d bytes is not the one of %d that was sent", m.keys, m.size, len(body))
		}
		if m.tags != "TagÄ" || !maps.Equal(m.properties, properties) {
			t.Errorf("%s has the tag %q and the properties %v", m.keys, m.tags, m.properties)
		}
	}
	for key := range want {
		t.Errorf("%s was sent and not received", key)
	}
}

// filtersByTag: a subscription to two tags brings their messages and no others.
func filtersByTag(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic := p.topic(2)
	s := newConsumer(t, c, cl, topic, uniqueName(t, "group"), "tags", "T0 || T2")
	var acked []message
	for i, m := range p.fill(topic, 90, "queues", 2) {
		if i%3 != 1 {
			acked = append(acked, m)
		}
	}
	got := s.wait(len(acked))
	exactly(t, acked, got)
	filled(t, got)
}

// findsNewTopics: sending to a topic that nobody made makes it, with as many queues as the producer asks for.
func findsNewTopics(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	queues := 4 // for the Go client always asks for so many, whatever it is told
	if c.java() {
		queues = 3
	}
	p := newProducer(t, c, cl, "queues", queues)
	topic := uniqueName(t, "topic")
	acked := p.messages(p.ask("send", "topic", topic, "body", encoded("first"), "keys", "first").Encode())
	acked[0].keys = "first"
	p.waitForQueues(topic, queues)
	exactly(t, acked, newConsumer(t, c, cl, topic, uniqueName(t, "group")).wait(1))
}
