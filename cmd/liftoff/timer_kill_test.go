package main

import (
	"context"
	"fmt"
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

// TestKillTimer_LosesNothingAndDeliversNothingEarly kills the broker at random moments while timed messages are sent, rolled, recalled and
// delivered:
//
//   - each acknowledged message comes into its topic, but for those that were recalled in time;
//   - none comes before its time.
//
// LIFTOFF_KILLS sets how often it is killed.
func TestKillTimer_LosesNothingAndDeliversNothingEarly(t *testing.T) {
	killInEachFlushMode(t, 5, killWhileTiming)
}

const timerTopic = "KillTimerTopic"

// timers are the messages that were acknowledged: when each is due, and whether it was recalled.
type timers struct {
	mu       sync.Mutex // protects the fields below
	due      map[parkedID]time.Time
	recalled map[parkedID]bool
}

func killWhileTiming(t *testing.T, flush string, kills int) {
	// A window that most messages lie behind.
	v := newVictim(t, append(smallFiles, flush, "timerPrecisionMs=100", "timerRollWindowSlot=15", "timerFlushIntervalMs=150",
		"mappedFileSizeTimerLog=10400", "recallMessageEnable=true")...)
	acked := &timers{due: map[parkedID]time.Time{}, recalled: map[parkedID]bool{}}
	var seqs [delayProducers]int64
	rng := rand.New(rand.NewPCG(3, uint64(kills)))
	for range kills {
		v.live(func(ctx context.Context, workers *sync.WaitGroup) {
			for p := range int32(delayProducers) {
				workers.Go(func() { produceTimed(ctx, v.addr, p, &seqs[p], acked) })
			}
		}, func() { time.Sleep(time.Duration(300+rng.IntN(1500)) * time.Millisecond) })
	}
	srv := v.start()
	t.Logf("%d kills, %d messages acknowledged, %d of them recalled", kills, len(acked.due), len(acked.recalled))
	verifyTimed(t, v.addr, acked)
	srv.stop(t)
}

// produceTimed sends messages until the broker is gone, and recalls every tenth.
func produceTimed(ctx context.Context, addr string, producer int32, seq *int64, acked *timers) {
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
		id := parkedID{producer: producer, seq: *seq}
		due := time.Now().Add(time.Duration(50+rand.IntN(4000)) * time.Millisecond).Truncate(time.Millisecond)
		*seq++
		key := fmt.Sprintf("%032X", uint64(producer)<<48|uint64(id.seq))
		props := message.AppendProperty(nil, message.PropTimerDeliverMS, strconv.FormatInt(due.UnixMilli(), 10))
		props = message.AppendProperty(props, message.PropUniqKey, key)
		pending, err := c.Start(&remoting.Call{Code: protocol.ReqSendMessageV2, Body: delayedBody(id, due), Ext: [][2]string{{"a", "P"}, {"b", timerTopic}, {"c", "TBW102"},
			{"d", "8"}, {"e", strconv.Itoa(int(producer))}, {"f", "0"}, {"g", "0"}, {"h", "0"}, {"i", string(props)}}})
		if err != nil {
			return
		}
		wg.Go(func() {
			defer func() { <-slots }()
			r, err := pending.Wait(ctx)
			if err != nil || r.Code != protocol.CodeSuccess {
				return
			}
			acked.mu.Lock()
			acked.due[id] = due
			acked.mu.Unlock()
			handle, ok := r.Get("recallHandle")
			if id.seq%10 != 0 || !ok {
				return
			}
			r, err = c.Call(ctx, &remoting.Call{Code: protocol.ReqRecallMessage, Ext: [][2]string{{"topic", timerTopic}, {"recallHandle", string(handle)}}})
			if err == nil && r.Code == protocol.CodeSuccess && time.Until(due) > 500*time.Millisecond {
				acked.mu.Lock()
				acked.recalled[id] = true
				acked.mu.Unlock()
			}
		})
		time.Sleep(time.Millisecond)
	}
}

// verifyTimed waits until everything has come and looks at it.
func verifyTimed(t *testing.T, addr string, acked *timers) {
	t.Helper()
	c := dialBroker(t, addr)
	defer func() { _ = c.Close(); <-c.Done() }()
	came := map[parkedID]int{}
	var offsets [delayProducers]int64
	look := func() {
		for q := range offsets {
			var err error
			offsets[q], err = eachRecord(t.Context(), c, timerTopic, int32(q), offsets[q], func(m *message.Message) {
				id, due := readDelayedBody(m.Body)
				if early := due.UnixMilli() - m.StoreTimestamp; early > 0 {
					t.Errorf("%+v came %d ms too early", id, early)
				}
				if acked.recalled[id] {
					t.Errorf("%+v was recalled and came", id)
				}
				came[id]++
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	missing := func() (lost []parkedID) {
		for id := range acked.due {
			if came[id] == 0 && id.seq%10 != 0 {
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
		t.Errorf("%d of %d acknowledged messages did not come, one is %+v", len(lost), len(acked.due), lost[0])
	}
	again := 0
	for _, n := range came {
		again += n - 1
	}
	t.Logf("%d messages came, %d of them again", len(came), again)
}
