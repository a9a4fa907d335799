package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// TestKill_LosesNothingAcknowledged kills the broker with SIGKILL at random moments under load, starts it again, and so on;
// then it reads every queue from the beginning:
//
//   - each acknowledged message is at the queue offset that its answer told, and nowhere else;
//   - each producer's messages are in the order in which they were sent;
//   - no consumer's offset is ahead of what was consumed, nor behind what had been kept before.
//
// LIFTOFF_KILLS sets how often it is killed.
func TestKill_LosesNothingAcknowledged(t *testing.T) {
	killInEachFlushMode(t, 8, killAgainAndAgain)
}

const (
	killTopic     = "KillTopic"
	killQueues    = 8
	killProducers = 8
	killInFlight  = 16
	killGroup     = "KillGroup"
)

// acked is one message that was answered with SUCCESS.
type acked struct {
	producer int32
	seq      int64
	queue    int32
	offset   int64
}

func killAgainAndAgain(t *testing.T, flush string, kills int) {
	v := newVictim(t, append(smallFiles, flush, "flushConsumerOffsetInterval=200", "defaultTopicQueueNums=8")...)
	var mu sync.Mutex
	var all []acked // protected by mu
	var count atomic.Int64
	var seqs [killProducers]int64
	var consumed [killQueues]int64 // next offset, as the consumer knows
	rng := rand.New(rand.NewPCG(1, uint64(kills)))
	lives := 0
	load := func(ctx context.Context, workers *sync.WaitGroup) {
		// What was committed long before the kill is there; nothing is ahead of what was consumed.
		for q := range killQueues {
			if got := queryOffset(t, v.addr, int32(q)); got > consumed[q] {
				t.Fatalf("kill %d: offset of queue %d is %d, but only %d were consumed", lives, q, got, consumed[q])
			} else if got >= 0 {
				consumed[q] = got
			}
		}
		lives++
		for p := range killProducers {
			workers.Go(func() {
				got := produce(ctx, v.addr, int32(p), &seqs[p], &count)
				mu.Lock()
				defer mu.Unlock()
				all = append(all, got...)
			})
		}
		workers.Go(func() { consume(ctx, v.addr, &consumed) })
	}
	for range kills {
		v.live(load, func() { // at some moment under load, the first ones right at the beginning
			enough := count.Load() + int64(rng.IntN(4000))
			for deadline := time.Now().Add(20 * time.Second); count.Load() < enough && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
		})
	}
	srv := v.start()
	t.Logf("%d kills, %d messages acknowledged", kills, len(all))
	verifyKilled(t, v.addr, all)
	srv.stop(t)
	// And once more after a clean stop.
	srv = v.start()
	verifyKilled(t, v.addr, all)
	srv.stop(t)
}

// produce sends until the broker is gone and returns what was acknowledged. In flight are killInFlight messages at a time; each
// producer's message n goes to queue n modulo killQueues.
func produce(ctx context.Context, addr string, producer int32, seq *int64, count *atomic.Int64) []acked {
	c, err := remoting.Dial(ctx, addr, nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil
	}
	defer func() { _ = c.Close(); <-c.Done() }()
	var mu sync.Mutex
	var got []acked
	var wg sync.WaitGroup
	slots := make(chan struct{}, killInFlight)
	for ctx.Err() == nil {
		slots <- struct{}{}
		n := *seq
		*seq++
		queue := int32(n % killQueues)
		pending, err := c.Start(sendCall(producer, n, queue))
		if err != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			r, err := pending.Wait(ctx)
			if err != nil || r.Code != protocol.CodeSuccess {
				return
			}
			v, _ := r.Get("queueOffset")
			offset, _ := protocol.ParseInt(v)
			mu.Lock()
			got = append(got, acked{producer, n, queue, offset})
			mu.Unlock()
			count.Add(1)
		})
	}
	wg.Wait()
	return got
}

func sendCall(producer int32, seq int64, queue int32) *remoting.Call {
	body := make([]byte, 12, 12+rand.IntN(400))
	binary.BigEndian.PutUint32(body, uint32(producer))
	binary.BigEndian.PutUint64(body[4:], uint64(seq))
	body = body[:cap(body)]
	props := message.AppendProperty(nil, message.PropUniqKey, fmt.Sprintf("%032X", uint64(producer)<<48|uint64(seq)))
	return &remoting.Call{Code: protocol.ReqSendMessageV2, Ext: [][2]string{{"a", "KillProducer"}, {"b", killTopic}, {"c", "TBW102"}, {"d", "8"},
		{"e", strconv.Itoa(int(queue))}, {"f", "0"}, {"g", strconv.FormatInt(time.Now().UnixMilli(), 10)}, {"h", "0"}, {"i", string(props)}}, Body: body}
}

// pullFrom reads one answer's worth of records.
func pullFrom(ctx context.Context, c *remoting.Conn, queue int32, offset int64) (next int64, records []byte, code int, remark string, err error) {
	r, err := c.Call(ctx, &remoting.Call{Code: protocol.ReqPullMessage, Ext: [][2]string{{"consumerGroup", killGroup}, {"topic", killTopic},
		{"queueId", strconv.Itoa(int(queue))}, {"queueOffset", strconv.FormatInt(offset, 10)}, {"maxMsgNums", "32"}, {"sysFlag", "4"},
		{"commitOffset", "0"}, {"suspendTimeoutMillis", "0"}, {"subscription", "*"}, {"subVersion", "0"}}})
	if err != nil {
		return 0, nil, 0, "", err
	}
	v, _ := r.Get("nextBeginOffset")
	next, _ = protocol.ParseInt(v)
	return next, r.Body, int(r.Code), string(r.Remark), nil
}

// consume reads all queues and commits what it has read.
func consume(ctx context.Context, addr string, consumed *[killQueues]int64) {
	c, err := remoting.Dial(ctx, addr, nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return
	}
	defer func() { _ = c.Close(); <-c.Done() }()
	for ctx.Err() == nil {
		for q := range killQueues {
			next, _, code, _, err := pullFrom(ctx, c, int32(q), consumed[q])
			if err != nil {
				return
			}
			if code != protocol.CodeSuccess {
				continue
			}
			consumed[q] = next
			if err := c.Notify(&remoting.Call{Code: protocol.ReqUpdateConsumerOffset, Ext: [][2]string{{"consumerGroup", killGroup},
				{"topic", killTopic}, {"queueId", strconv.Itoa(q)}, {"commitOffset", strconv.FormatInt(next, 10)}}}); err != nil {
				return
			}
		}
	}
}

// queryOffset returns the group's stored offset of a queue, -1 when there is none.
func queryOffset(t *testing.T, addr string, queue int32) int64 {
	t.Helper()
	c := dialBroker(t, addr)
	defer func() { _ = c.Close(); <-c.Done() }()
	r, err := c.Call(t.Context(), &remoting.Call{Code: protocol.ReqQueryConsumerOffset, Ext: [][2]string{{"consumerGroup", killGroup},
		{"topic", killTopic}, {"queueId", strconv.Itoa(int(queue))}, {"setZeroIfNotFound", "false"}}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Code != protocol.CodeSuccess {
		return -1
	}
	v, _ := r.Get("offset")
	n, _ := protocol.ParseInt(v)
	return n
}

// verifyKilled reads every queue from its beginning.
func verifyKilled(t *testing.T, addr string, all []acked) {
	t.Helper()
	c := dialBroker(t, addr)
	defer func() { _ = c.Close(); <-c.Done() }()
	type id struct {
		producer int32
		seq      int64
	}
	stored := make(map[id]acked)
	for q := range int32(killQueues) {
		last := make(map[int32]int64)
		for offset := int64(0); ; {
			next, records, code, remark, err := pullFrom(t.Context(), c, q, offset)
			if err != nil {
				t.Fatal(err)
			}
			if code == protocol.CodePullNotFound {
				break
			}
			if code != protocol.CodeSuccess {
				t.Fatalf("queue %d at %d: code %d %s", q, offset, code, remark)
			}
			for len(records) > 0 {
				var m message.Message
				if err := message.Decode(records, &m); err != nil {
					t.Fatalf("queue %d at %d: %v", q, offset, err)
				}
				records = records[m.Size:]
				producer, seq := int32(binary.BigEndian.Uint32(m.Body)), int64(binary.BigEndian.Uint64(m.Body[4:]))
				if m.QueueOffset != offset || m.QueueID != q {
					t.Fatalf("queue %d: message %d lies at %d", q, offset, m.QueueOffset)
				}
				if before, ok := last[producer]; ok && seq <= before {
					t.Fatalf("queue %d at %d: producer %d's message %d comes after %d", q, offset, producer, seq, before)
				}
				last[producer] = seq
				key := id{producer, seq}
				if was, ok := stored[key]; ok {
					t.Fatalf("message %v is there twice: %v and queue %d at %d", key, was, q, offset)
				}
				stored[key] = acked{producer, seq, q, offset}
				offset++
			}
			if next != offset {
				t.Fatalf("queue %d: answer goes on at %d, its records end at %d", q, next, offset)
			}
		}
	}
	lost := 0
	for _, a := range all {
		if got, ok := stored[id{a.producer, a.seq}]; !ok || got != a {
			if lost++; lost < 10 {
				t.Errorf("acknowledged %v, stored %v (%t)", a, got, ok)
			}
		}
	}
	if lost > 0 {
		t.Fatalf("%d of %d acknowledged messages are lost or elsewhere", lost, len(all))
	}
}
