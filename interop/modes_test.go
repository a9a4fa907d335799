package interop

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestJava5_AsksAndReplies(t *testing.T)           { asksAndReplies(t, java5) }
func TestJava4_AsksAndReplies(t *testing.T)           { asksAndReplies(t, java4) }
func TestJava5_ResetsOffsetsAtTheBroker(t *testing.T) { resetsOffsets(t, java5, sharedCluster, 2) }
func TestJava5_ResetsOffsetsAtConsumers(t *testing.T) { resetsOffsets(t, java5, tellingConsumers, 1) }
func TestJava4_ResetsOffsetsAtConsumers(t *testing.T) { resetsOffsets(t, java4, tellingConsumers, 1) }
func TestJava5_AsksConsumers(t *testing.T)            { asksConsumers(t, java5) }
func TestJava4_AsksConsumers(t *testing.T)            { asksConsumers(t, java4) }
func TestJava5_Traces(t *testing.T)                   { traces(t, java5) }
func TestJava5_KeepsEveryCompression(t *testing.T)    { keepsEveryCompression(t, java5) }
func TestJava5_MovesLightAndBatchQueues(t *testing.T) { movesLightAndBatchQueues(t, java5) }
func TestJava5_KeepsLogicalQueues(t *testing.T)       { keepsLogicalQueues(t, java5) }

// asksAndReplies: each of many requests gets its own reply, long ones too, which the client compresses.
func asksAndReplies(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	asks, answers := newProducer(t, c, cl), newProducer(t, c, cl)
	topic := asks.topic(4)
	answers.ask("replier", "namesrv", cl.addrs(), "topic", topic, "group", uniqueName(t, "group"), "size", 6000)
	t.Cleanup(func() { answers.program.call("replier.close", "name", answers.name) })
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			question := fmt.Sprintf("question %d", i)
			answer, err := asks.program.call("request", "name", asks.name, "topic", topic, "body", encoded(question))
			if err != nil {
				t.Error(err)
				return
			}
			reply, err := parseMessages(answer.Get("m"))
			if err != nil || len(reply) != 1 {
				t.Error(reply, err)
				return
			}
			if want := len("re: "+question) + 6000; reply[0].size != want {
				t.Errorf("%s was answered with %d bytes, not %d", question, reply[0].size, want)
			}
		})
	}
	all.Wait()
	if _, err := asks.program.call("request", "name", asks.name, "topic", asks.topic(1), "body", encoded("?"), "wait", 1000); err == nil {
		t.Error("nobody listens, and yet there was a reply")
	}
}

// tellingConsumers is a cluster whose broker tells consumers their new offsets instead of keeping them.
func tellingConsumers(t *testing.T) *cluster {
	return ownCluster(t, setup{settings: []string{"useServerSideResetOffset=false"}})
}

// resetsOffsets: a group at work is set back to a time, and to the beginning, and gets again what lies behind that.
func resetsOffsets(t *testing.T, c client, on func(*testing.T) *cluster, times int) {
	t.Parallel()
	cl := on(t)
	p := newProducer(t, c, cl)
	topic, group := p.topic(2), uniqueName(t, "group")
	acked := p.fill(topic, 30, "queues", 2)
	time.Sleep(50 * time.Millisecond)
	acked = append(acked, p.fill(topic, 30, "queues", 2)...)
	s := newConsumer(t, c, cl, topic, group)
	exactly(t, acked, s.wait(len(acked)))
	committed := func(want int64) {
		t.Helper()
		status := fmt.Sprintf("queueId=0]=%d", want)
		must(t, waitFor(soon, func() error {
			answer, err := p.program.call("admin.status", "name", p.name, "broker", cl.broker.addr(), "topic", topic, "group", group)
			if err == nil && !strings.Contains(answer.Get("table"), status) {
				err = fmt.Errorf("the consumer is at %s", answer.Get("table"))
			}
			return err
		}))
	}
	committed(30)
	first := slices.MinFunc(s.seen[30:], func(a, b message) int { return int(a.stored - b.stored) })
	for _, at := range []int64{first.stored, 0}[:times] {
		before := len(s.seen)
		must(t, waitFor(soon, func() error { // a client tells its offsets for the first time 10 s after its start
			_, err := p.program.call("admin.reset", "name", p.name, "broker", cl.broker.addr(), "topic", topic, "group", group, "time", at, "force", true)
			return err
		}))
		var want []message
		for _, m := range s.seen[:60] {
			if m.stored >= at {
				want = append(want, m)
			}
		}
		again := s.wait(before + len(want))[before:]
		if err := lacks(want, again); err != nil {
			t.Error(err)
		}
		inOrder(t, again)
		committed(30)
	}
}

// asksConsumers: the broker fetches a consumer's running state and stacks from it, has it consume a message once more, and
// copies offsets.
func asksConsumers(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic, group := p.topic(2), uniqueName(t, "group")
	acked := p.fill(topic, 10, "queues", 2)
	s := newConsumer(t, c, cl, topic, group)
	s.wait(len(acked))
	broker := []any{"broker", cl.broker.addr(), "topic", topic, "group", group}
	var id string
	must(t, waitFor(soon, func() error {
		answer, err := p.program.call("admin.status", append(broker, "name", p.name)...)
		if err != nil {
			return err
		}
		if id, _, _ = strings.Cut(answer.Get("table"), "="); !strings.HasSuffix(id, "@"+s.name) {
			return fmt.Errorf("the consumers are %s", answer.Get("table"))
		}
		return nil
	}))
	running := p.ask("admin.running", append(broker, "client", id, "stack", true)...)
	if queues := running.Get("queues"); queues != "2" && queues != "3" || // the retry topic's comes later
		!strings.Contains(running.Get("stack"), "ConsumeMessageThread") || !strings.Contains(running.Get("properties"), "PROP_CLIENT_VERSION") {
		t.Errorf("the running info has %s queues, the properties %s and the stack %.2000s", running.Get("queues"), running.Get("properties"), running.Get("stack"))
	}
	result := p.ask("admin.direct", append(broker, "client", id, "msgId", s.seen[4].offsetID)...)
	if result.Get("result") != "CR_SUCCESS" {
		t.Errorf("consuming directly: %v", result)
	}
	if again := s.wait(11)[10]; again.keys != s.seen[4].keys {
		t.Errorf("%s was consumed directly, not %s", again.keys, s.seen[4].keys)
	}
	if _, err := p.program.call("admin.running", append(broker, "name", p.name, "client", "nobody")...); err == nil || !strings.Contains(err.Error(), "not online") {
		t.Errorf("an unknown consumer: %v", err)
	}

	s.close()
	copied := uniqueName(t, "copy")
	p.ask("admin.clone", append(broker, "to", copied)...)
	more := p.fill(topic, 4, "queues", 2)
	second := newConsumer(t, c, cl, topic, copied)
	exactly(t, more, second.wait(len(more)))
}

// traces: what the client tells of its sends and receipts is a message that can be read, in the system's topic and in one's own.
func traces(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"traceTopicEnable=true"}})
	p := newProducer(t, c, cl)
	topic := p.topic(1)
	for _, own := range []string{"", p.topic(1)} {
		traced, err := p.program.call("traced", "name", uniqueName(t, "traced"), "namesrv", cl.addrs(), "topic", topic, "body", encoded("m"), "traceTopic", own)
		if err != nil {
			t.Fatal(err)
		}
		from := own
		if from == "" {
			from = "RMQ_SYS_TRACE_TOPIC"
		}
		s := newConsumer(t, c, cl, from, uniqueName(t, "group"))
		m := s.wait(1)[0]
		if id := traced.Get("msgId"); !strings.Contains(m.keys, id) || !strings.HasPrefix(m.body, "Pub\x01") || !strings.Contains(m.body, id) {
			t.Errorf("the trace of %s in %s has the keys %s and the body %q", id, from, m.keys, m.body)
		}
	}
}

// keepsEveryCompression: bodies that the client compresses in any way come out as they were.
func keepsEveryCompression(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic := p.topic(4)
	want := 0
	for _, kind := range []string{"ZLIB", "LZ4", "ZSTD"} {
		p.ask("compress", "type", kind)
		p.fill(topic, 4, "size", 20000)
		want += 4
	}
	for _, m := range newConsumer(t, c, cl, topic, uniqueName(t, "group")).wait(want) {
		if m.size != 20000 {
			t.Errorf("%s has %d bytes", m.keys, m.size)
		}
	}
}

// movesLightAndBatchQueues: messages are found in each light queue that they name, and batches in one record come apart, on Apache's broker, on
// Liftoff's and on Apache's again, in one store.
func movesLightAndBatchQueues(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{broker: apache, settings: []string{"enableLmq=true", "enableMultiDispatch=true"}})
	p := newProducer(t, c, cl)
	topic, batchTopic := p.topic(2), uniqueName(t, "batch")
	p.ask("createBatchTopic", "topic", batchTopic, "broker", cl.broker.addr())
	p.waitForQueues(batchTopic, 1)
	var want, wantBatch []string
	for i, k := range []kind{apache, underTest("broker"), apache} {
		if i > 0 {
			cl.stopBroker(t, false)
			cl.broker.kind = k
			must(t, cl.startBroker())
		}
		for j := range 5 {
			key := fmt.Sprintf("%d-%d", i, j)
			want = append(want, key)
			must(t, waitFor(soon, func() error {
				_, err := p.program.call("send", "name", p.name, "topic", topic, "queue", j%2, "keys", key, "body", encoded(key), "p.INNER_MULTI_DISPATCH", "%LMQ%one,%LMQ%two")
				return err
			}))
			p.ask("send", "topic", topic, "body", encoded("others"))
		}
		for _, light := range []string{"%LMQ%one", "%LMQ%two"} {
			must(t, waitFor(soon, func() error { // Apache dispatches a little later
				answer, err := p.program.call("light", "name", uniqueName(t, "light"), "namesrv", cl.addrs(), "group", "%LMQ%reader", "topic", topic, "light", light)
				if err != nil {
					return err
				}
				var got []string
				for n, m := range p.messages(answer.Get("m")) {
					got = append(got, m.keys)
					if at := fmt.Sprintf("%d,%d", n, n); m.properties["INNER_MULTI_QUEUE_OFFSET"] != at && m.properties["INNER_MULTI_QUEUE_OFFSET"] != "" {
						t.Errorf("%s is at %s, not %s", m.keys, m.properties["INNER_MULTI_QUEUE_OFFSET"], at)
					}
				}
				if !slices.Equal(got, want) || answer.Get("committed") != fmt.Sprint(len(want)) {
					return fmt.Errorf("on %s's broker %s has %v, not %v, and %s committed", k, light, got, want, answer.Get("committed"))
				}
				return nil
			}))
		}
		for j, n := range []int{4, 1, 3} {
			var m []string
			for l := range n {
				key := fmt.Sprintf("%d-%d-%d", i, j, l)
				wantBatch = append(wantBatch, key)
				m = append(m, form("topic", batchTopic, "keys", key, "body", encoded(key)).Encode())
			}
			must(t, waitFor(soon, func() error {
				_, err := p.program.call("batch", "name", p.name, "m", strings.Join(m, "\n"))
				return err
			}))
		}
		s := newConsumer(t, c, cl, batchTopic, uniqueName(t, "group"))
		var got []string
		for n, m := range s.wait(len(wantBatch)) {
			got = append(got, m.keys)
			if m.offset != int64(n) || m.body != m.keys {
				t.Errorf("%s has the offset %d, not %d, and the body %q", m.keys, m.offset, n, m.body)
			}
		}
		if !slices.Equal(got, wantBatch) {
			t.Errorf("on %s's broker %v came, not %v", k, got, wantBatch)
		}
		s.close()
	}
}

// keepsLogicalQueues: a static topic's logical queue goes on in another of the broker's queues, and clients notice nothing of that but a
// jump in the offsets.
func keepsLogicalQueues(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic, group := uniqueName(t, "static"), uniqueName(t, "group")
	const item = `{"bname":"broker-a","gen":%d,"queueId":%d,"logicOffset":%d,"startOffset":0,"endOffset":%d,"timeOfStart":-1,"timeOfEnd":-1}`
	mapTo := func(epoch int, second string) {
		t.Helper()
		body := fmt.Sprintf(`{"topic":%q,"scope":"__global__","totalQueues":2,"bname":"broker-a","epoch":%d,"dirty":false,"currIdMap":{},"hostedQueues":{0:[%s],1:[%s]}}`,
			topic, epoch, fmt.Sprintf(item, 0, 3, 0, -1), second)
		answer := p.ask("admin.raw", "broker", cl.broker.addr(), "code", 513, "body", encoded(body), "p.topic", topic, "p.defaultTopic", "TBW102", "p.readQueueNums", 4,
			"p.writeQueueNums", 4, "p.perm", 6, "p.topicFilterType", "SINGLE_TAG", "p.topicSysFlag", 0, "p.order", "false", "p.force", "false")
		if answer.Get("code") != "0" {
			t.Fatal(answer)
		}
	}
	fill := func() (acked []message) {
		t.Helper()
		must(t, waitFor(soon, func() error {
			answer, err := p.program.call("fill", "name", p.name, "topic", topic, "prefix", uniqueName(t, "fill"), "count", 20, "queues", 2)
			acked = p.messages(answer.Get("a"))
			return err
		}))
		return acked
	}
	mapTo(1, fmt.Sprintf(item, 0, 1, 0, -1))
	acked := fill()
	first := newConsumer(t, c, cl, topic, group)
	exactly(t, acked, first.wait(len(acked)))
	mapTo(2, fmt.Sprintf(item, 0, 1, 0, 10)+","+fmt.Sprintf(item, 1, 2, 1000, -1))
	more := fill()
	if got := more[1].place(); got != (place{1, 1000}) {
		t.Errorf("the first message behind the change is at %v", got)
	}
	exactly(t, append(acked, more...), first.wait(len(acked)+len(more)))
	inOrder(t, first.seen)
	first.close()
	last := fill()
	second := newConsumer(t, c, cl, topic, group)
	exactly(t, last, second.wait(len(last)))
	if got := offsetOf(t, p, topic, 1, "max"); got != 1020 {
		t.Errorf("the logical queue ends at %d", got)
	}
}
