package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// TestKillQueues_EveryQueueKeepsWhatWasAcknowledged kills the broker at random moments while messages are sent that are for light
// queues too, and batches that are one record each:
//
//   - each acknowledged message is in each of its light queues, once, at the offset that it tells itself;
//   - each acknowledged batch is at the offset that its answer told, with all its messages, and offsets have no gaps.
//
// LIFTOFF_KILLS sets how often it is killed.
func TestKillQueues_EveryQueueKeepsWhatWasAcknowledged(t *testing.T) {
	killInEachFlushMode(t, 5, killWithQueues)
}

const (
	lightTopic     = "KillLightTopic"
	batchTopic     = "KillBatchTopic"
	queueProducers = 4
)

// queueAcks are what was acknowledged.
type queueAcks struct {
	mu      sync.Mutex // protects the fields below
	light   map[string]bool
	batches map[int64]string // body by the first offset
}

func killWithQueues(t *testing.T, flush string, kills int) {
	v := newVictim(t, flush, "enableLmq=true", "enableMultiDispatch=true", "mappedFileSizeCommitLog=1048576", "mappedFileSizeConsumeQueue=6000",
		"mapperFileSizeBatchConsumeQueue=9200", "maxHashSlotNum=5000", "maxIndexNum=40000")
	acks := &queueAcks{light: map[string]bool{}, batches: map[int64]string{}}
	rng := rand.New(rand.NewPCG(3, uint64(kills)))
	for k := range kills {
		v.live(func(ctx context.Context, workers *sync.WaitGroup) {
			if k == 0 {
				makeBatchTopic(t, v.addr)
			}
			for p := range queueProducers {
				workers.Go(func() { sendToQueues(ctx, v.addr, fmt.Sprintf("%d-%d", k, p), acks) })
			}
		}, func() { time.Sleep(time.Duration(100+rng.IntN(900)) * time.Millisecond) })
	}
	t.Logf("%d kills, %d messages and %d batches acknowledged", kills, len(acks.light), len(acks.batches))
	for i := range 2 { // after the last kill, and after a clean stop
		t.Log("look", i)
		srv := v.start()
		verifyLight(t, v.addr, acks)
		verifyBatches(t, v.addr, acks)
		srv.stop(t)
	}
}

func makeBatchTopic(t *testing.T, addr string) {
	t.Helper()
	c, err := remoting.Dial(t.Context(), addr, nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.Call(t.Context(), &remoting.Call{Code: protocol.ReqUpdateAndCreateTopic, Header: &protocol.CreateTopicHeader{Topic: batchTopic, DefaultTopic: "TBW102",
		ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6, TopicFilterType: protocol.SingleTag, Attributes: "+queue.type=BatchCQ"}})
	if err != nil || r.Code != 0 {
		t.Fatal(r, err)
	}
}

// sendToQueues sends until the broker is gone: messages for two light queues and batches, in turn.
func sendToQueues(ctx context.Context, addr, name string, acks *queueAcks) {
	c, err := remoting.Dial(ctx, addr, nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return
	}
	defer c.Close()
	for i := 0; ; i++ {
		body := fmt.Sprintf("%s-%d", name, i)
		fields := func(topic, properties string) [][2]string {
			return [][2]string{{"a", "P"}, {"b", topic}, {"c", "TBW102"}, {"d", "1"}, {"e", "0"}, {"f", "0"}, {"g", "1700000000000"}, {"h", "0"}, {"i", properties}}
		}
		r, err := c.Call(ctx, &remoting.Call{Code: protocol.ReqSendMessageV2, Body: []byte(body),
			Ext: fields(lightTopic, fmt.Sprintf("INNER_MULTI_DISPATCH\x01%%LMQ%%all,%%LMQ%%%d", i%3))})
		if err != nil || r.Code != 0 {
			return
		}
		acks.mu.Lock()
		acks.light[body] = true
		acks.mu.Unlock()
		var batch []byte
		for range i%4 + 1 {
			batch = message.AppendToBatch(batch, message.BatchEntry{Body: []byte(body)})
		}
		r, err = c.Call(ctx, &remoting.Call{Code: protocol.ReqSendBatchMessage, Body: batch, Ext: fields(batchTopic, "UNIQ_KEY\x01"+body)})
		if err != nil || r.Code != 0 {
			return
		}
		offset, _ := r.Get("queueOffset")
		at, _ := protocol.ParseInt(offset)
		acks.mu.Lock()
		acks.batches[at] = string(batch)
		acks.mu.Unlock()
	}
}

// readQueue reads a queue from its begin to its end.
func readQueue(t *testing.T, addr, topic string, got func(m *message.Message)) {
	t.Helper()
	c, err := remoting.Dial(t.Context(), addr, nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for next := int64(0); ; {
		r, err := c.Call(t.Context(), &remoting.Call{Code: protocol.ReqPullMessage, Ext: [][2]string{{"consumerGroup", "Reader"}, {"topic", topic}, {"queueId", "0"},
			{"queueOffset", strconv.FormatInt(next, 10)}, {"maxMsgNums", "32"}, {"sysFlag", "4"}, {"commitOffset", "0"}, {"suspendTimeoutMillis", "0"},
			{"subscription", "*"}, {"subVersion", "0"}, {"expressionType", "TAG"}}})
		if err != nil {
			t.Fatal(err)
		}
		if r.Code != 0 {
			if end, _ := r.Get("maxOffset"); string(end) != strconv.FormatInt(next, 10) {
				t.Fatalf("%s from %d: %d %s", topic, next, r.Code, r.Remark)
			}
			return
		}
		for rest := r.Body; len(rest) > 0; {
			var m message.Message
			if err := message.Decode(rest, &m); err != nil {
				t.Fatal(err)
			}
			got(&m)
			rest = rest[m.Size:]
		}
		value, _ := r.Get("nextBeginOffset")
		next, _ = protocol.ParseInt(value)
	}
}

func verifyLight(t *testing.T, addr string, acks *queueAcks) {
	t.Helper()
	in := map[string][]string{} // the light queues that have a message
	ends := map[string]string{} // of each, with the last message
	for at, name := range []string{"all", "0", "1", "2"} {
		n := 0
		readQueue(t, addr, "%LMQ%"+name, func(m *message.Message) {
			offsets, _ := message.Property(m.Properties, message.PropMultiQueueOffset)
			all, other, _ := strings.Cut(string(offsets), ",")
			if at > 0 {
				all = other
			}
			if all != strconv.Itoa(n) {
				t.Fatalf("%s is at %d of %s and says that it is at %s", m.Body, n, name, offsets)
			}
			in[string(m.Body)] = append(in[string(m.Body)], name)
			n++
			ends[name] = fmt.Sprintf("%d, %s at log offset %d", n, m.Body, m.LogOffset)
		})
	}
	for body := range acks.light {
		if len(in[body]) != 2 {
			t.Fatalf("%s was acknowledged and is in the light queues %v, which end at %v", body, in[body], ends)
		}
	}
}

func verifyBatches(t *testing.T, addr string, acks *queueAcks) {
	t.Helper()
	next, found := int64(0), 0
	readQueue(t, addr, batchTopic, func(m *message.Message) {
		count, _ := message.Property(m.Properties, message.PropInnerNum)
		n, _ := protocol.ParseInt(count)
		if m.QueueOffset != next || n < 1 {
			t.Fatalf("a batch of %s is at %d, not at %d", count, m.QueueOffset, next)
		}
		next += n
		if body, ok := acks.batches[m.QueueOffset]; ok {
			found++
			if body != string(m.Body) {
				t.Fatalf("at %d is another batch than was acknowledged", m.QueueOffset)
			}
		}
	})
	if found != len(acks.batches) {
		t.Fatalf("%d of %d batches were found", found, len(acks.batches))
	}
}
