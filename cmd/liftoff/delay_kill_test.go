package main

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// TestKillDelay_LosesNothingAndDeliversNothingEarly kills the broker at random moments while delayed messages are sent and
// delivered and others are given back to be tried again:
//
//   - each acknowledged message comes into its topic, and each that was given back into its group's retry topic;
//   - none comes before its time;
//   - those of one producer and level come in their order, but for what comes again.
//
// LIFTOFF_KILLS sets how often it is killed.
func TestKillDelay_LosesNothingAndDeliversNothingEarly(t *testing.T) {
	killInEachFlushMode(t, 5, killWhileDelaying)
}

const (
	delayTopic     = "KillDelayTopic"
	delayGroup     = "KillDelayGroup"
	delayProducers = 4
)

// delayTimes are the levels of the broker that is killed. A level 0 of a message that is given back means the third.
var delayTimes = []time.Duration{time.Second, 2 * time.Second, time.Second}

// parkedID is a message that was sent with a delay level, level -1 for one that was given back.
type parkedID struct {
	producer int32
	level    int32
	seq      int64
}

// parked are the acknowledged ones.
type parked struct {
	mu    sync.Mutex // protects the fields below
	all   map[parkedID]bool
	tried map[parkedID]time.Time // before a message was first given back
}

func (p *parked) add(id parkedID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all[id] = true
}

func (p *parked) try(id parkedID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tried[id].IsZero() {
		p.tried[id] = time.Now()
	}
}

func killWhileDelaying(t *testing.T, flush string, kills int) {
	v := newVictim(t, append(smallFiles, flush, "messageDelayLevel=1s 2s 1s", "flushDelayOffsetInterval=150")...)
	acked := &parked{all: map[parkedID]bool{}, tried: map[parkedID]time.Time{}}
	var seqs, consumed [delayProducers]int64
	rng := rand.New(rand.NewPCG(2, uint64(kills)))
	for range kills {
		v.live(func(ctx context.Context, workers *sync.WaitGroup) {
			for p := range int32(delayProducers) {
				workers.Go(func() { produceDelayed(ctx, v.addr, p, &seqs[p], acked) })
			}
			workers.Go(func() { giveBack(ctx, v.addr, &consumed, acked) })
		}, func() {
			time.Sleep(time.Duration(300+rng.IntN(1500)) * time.Millisecond) // deliveries of this life and of those before are under way
		})
	}
	srv := v.start()
	t.Logf("%d kills, %d messages acknowledged", kills, len(acked.all))
	verifyDelayed(t, v.addr, acked)
	srv.stop(t)
}

// delayedBody tells who sent a message and when.
func delayedBody(id parkedID, at time.Time) []byte {
	body := binary.BigEndian.AppendUint32(nil, uint32(id.producer))
	body = binary.BigEndian.AppendUint32(body, uint32(id.level))
	body = binary.BigEndian.AppendUint64(body, uint64(id.seq))
	return binary.BigEndian.AppendUint64(body, uint64(at.UnixMilli()))
}

func readDelayedBody(b []byte) (id parkedID, sent time.Time) {
	id = parkedID{int32(binary.BigEndian.Uint32(b)), int32(binary.BigEndian.Uint32(b[4:])), int64(binary.BigEndian.Uint64(b[8:]))}
	return id, time.UnixMilli(int64(binary.BigEndian.Uint64(b[16:])))
}

// produceDelayed sends messages of both levels until the broker is gone. Every tenth is not delayed, for giveBack.
func produceDelayed(ctx context.Context, addr string, producer int32, seq *int64, acked *parked) {
	c, err := remoting.Dial(ctx, addr, nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return
	}
	defer func() { _ = c.Close(); <-c.Done() }()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, killInFlight)
	for ctx.Err() == nil {
		slots <- struct{}{}
		id, at := parkedID{producer: producer, level: int32(1 + *seq%2), seq: *seq}, time.Now()
		if *seq%10 == 9 {
			id.level = 0
		}
		*seq++
		props := message.AppendProperty(nil, message.PropDelay, strconv.Itoa(int(id.level)))
		pending, err := c.Start(&remoting.Call{Code: protocol.ReqSendMessageV2, Body: delayedBody(id, at), Ext: [][2]string{{"a", "P"}, {"b", delayTopic}, {"c", "TBW102"},
			{"d", "8"}, {"e", strconv.Itoa(int(producer))}, {"f", "0"}, {"g", "0"}, {"h", "0"}, {"i", string(props)}}})
		if err != nil {
			return
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if r, err := pending.Wait(ctx); err == nil && r.Code == protocol.CodeSuccess {
				acked.add(id)
			}
		})
		time.Sleep(time.Millisecond)
	}
}

// eachRecord pulls a queue from an offset on until ctx ends or it is at the end.
func eachRecord(ctx context.Context, c *remoting.Conn, topic string, queue int32, offset int64, do func(*message.Message)) (next int64, err error) {
	for ctx.Err() == nil {
		r, err := c.Call(ctx, &remoting.Call{Code: protocol.ReqPullMessage, Ext: [][2]string{{"consumerGroup", delayGroup}, {"topic", topic},
			{"queueId", strconv.Itoa(int(queue))}, {"queueOffset", strconv.FormatInt(offset, 10)}, {"maxMsgNums", "32"}, {"sysFlag", "4"},
			{"commitOffset", "0"}, {"suspendTimeoutMillis", "0"}, {"subscription", "*"}, {"subVersion", "0"}}})
		if err != nil {
			return offset, err
		}
		if r.Code != protocol.CodeSuccess {
			return offset, nil
		}
		for rest := r.Body; len(rest) > 0; {
			var m message.Message
			if err := message.Decode(rest, &m); err != nil {
				return offset, err
			}
			rest = rest[m.Size:]
			offset = m.QueueOffset + 1
			do(&m)
		}
	}
	return offset, ctx.Err()
}

// giveBack gives messages that are not delayed back to be tried again, until the broker is gone.
func giveBack(ctx context.Context, addr string, offsets *[delayProducers]int64, acked *parked) {
	c, err := remoting.Dial(ctx, addr, nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return
	}
	defer func() { _ = c.Close(); <-c.Done() }()
	for ctx.Err() == nil {
		for q := range offsets {
			offsets[q], err = eachRecord(ctx, c, delayTopic, int32(q), offsets[q], func(m *message.Message) {
				id, _ := readDelayedBody(m.Body)
				if id.level != 0 {
					return
				}
				id.level = -1
				acked.try(id)
				r, err := c.Call(ctx, &remoting.Call{Code: protocol.ReqConsumerSendMsgBack, Ext: [][2]string{{"group", delayGroup},
					{"offset", strconv.FormatInt(m.LogOffset, 10)}, {"delayLevel", "0"}, {"maxReconsumeTimes", "16"}}})
				if err == nil && r.Code == protocol.CodeSuccess {
					acked.add(id)
				}
			})
			if err != nil {
				return
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// verifyDelayed waits until everything has come and looks at it.
func verifyDelayed(t *testing.T, addr string, acked *parked) {
	t.Helper()
	c := dialBroker(t, addr)
	defer func() { _ = c.Close(); <-c.Done() }()
	came := map[parkedID]int{}
	last := map[parkedID]int64{} // of a producer and level
	topics := map[string]int32{delayTopic: delayProducers, "%RETRY%" + delayGroup: 1}
	offsets := map[string]*[delayProducers]int64{delayTopic: {}, "%RETRY%" + delayGroup: {}}
	look := func() {
		for topic, queues := range topics {
			for q := range queues {
				at := &offsets[topic][q]
				var err error
				*at, err = eachRecord(t.Context(), c, topic, q, *at, func(m *message.Message) {
					id, sent := readDelayedBody(m.Body)
					delay := time.Duration(0)
					if topic != delayTopic {
						id.level = -1
						sent, delay = acked.tried[id], delayTimes[2]
					} else if id.level > 0 {
						delay = delayTimes[id.level-1]
					}
					if early := sent.Add(delay).UnixMilli() - m.StoreTimestamp; early > 0 {
						t.Errorf("%+v came %d ms too early", id, early)
					}
					if of := (parkedID{producer: id.producer, level: id.level}); id.level >= 0 && came[id] == 0 {
						if id.seq < last[of] {
							t.Errorf("%+v came first after %d", id, last[of])
						}
						last[of] = id.seq
					}
					came[id]++
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	missing := func() (lost []parkedID) {
		for id := range acked.all {
			if came[id] == 0 {
				lost = append(lost, id)
			}
		}
		return lost
	}
	deadline := time.Now().Add(20 * time.Second)
	for look(); len(missing()) > 0 && time.Now().Before(deadline); look() {
		time.Sleep(50 * time.Millisecond)
	}
	if lost := missing(); len(lost) > 0 {
		t.Errorf("%d of %d acknowledged messages did not come, one is %+v", len(lost), len(acked.all), lost[0])
	}
	again := 0
	for _, n := range came {
		again += n - 1
	}
	t.Logf("%d messages came, %d of them again", len(came), again)
}
