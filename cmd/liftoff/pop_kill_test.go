package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// TestKill_PopDeliversWhatWasNotAcknowledged kills the broker at random moments while messages are sent, popped, and most of them
// acknowledged. In the end everything sent was acknowledged by a consumer; and nothing came again that was acknowledged, unless
// the broker was killed within killPopFlush of that.
func TestKill_PopDeliversWhatWasNotAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds for each kill")
	}
	t.Parallel()
	k := &popKill{victim: newVictim(t, "mappedFileSizeCommitLog=4194304", "flushConsumerOffsetInterval=200", "defaultTopicQueueNums=4", "timerPrecisionMs=100"),
		acked: map[string]time.Time{}, consumed: map[string]bool{}, unsure: map[string]bool{}, last: map[string]string{}}
	k.killed = k.note
	kills := max(envInt(t, "LIFTOFF_KILLS", 8)/4, 1)
	rng := rand.New(rand.NewPCG(7, uint64(kills)))
	for range kills {
		k.live(func(ctx context.Context, workers *sync.WaitGroup) {
			workers.Go(func() { k.send(ctx) })
			for range 3 {
				workers.Go(func() { k.pop(ctx, 70) })
			}
		}, func() { time.Sleep(time.Duration(1500+rng.IntN(3000)) * time.Millisecond) })
	}
	srv := k.start()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { k.pop(ctx, 100) })
	}
	for end := time.Now().Add(time.Minute); k.missing() > 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	wg.Wait()
	if n := k.missing(); n > 0 {
		t.Errorf("%d of %d messages never came, or never could be acknowledged: %v; kills %v", n, len(k.sent), k.some(10), k.kills)
	}
	srv.stop(t)
	if most := 3 * (kills + 1); len(k.unsure) > most { // a consumer has one in flight at each kill and at the end
		t.Errorf("%d acknowledgements have no answer, and only %d can have been in flight", len(k.unsure), most)
	}
	for body := range k.unsure {
		if !k.consumed[body] {
			t.Logf("%s did not come again, and its acknowledgement had no answer", body)
		}
	}
	t.Logf("%d kills, %d messages, %d deliveries, %d acknowledgements", kills, len(k.sent), k.deliveries.Load(), len(k.acked))
}

const (
	killPopTopic = "KillPop"
	killPopGroup = "KillPoppers"
	// killPopFlush is flushConsumerOffsetInterval and what a busy machine may need to write.
	killPopFlush     = 2 * time.Second
	killPopInvisible = 2 * time.Second
)

// popKill is what clients know across kills.
type popKill struct {
	*victim
	seq        int
	deliveries atomic.Int64

	mu       sync.Mutex // protects the fields below
	sent     []string
	kills    []time.Time
	acked    map[string]time.Time // by place: when it was asked for
	consumed map[string]bool      // by body
	unsure   map[string]bool      // by body: the answer to its acknowledgement was lost with the broker, so it may count or not
	last     map[string]string    // by body: where it came last, and when
}

// note remembers when the broker was killed.
func (k *popKill) note() {
	at := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kills = append(k.kills, at)
}

func (k *popKill) missing() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.sent {
		if !k.consumed[s] && !k.unsure[s] {
			n++
		}
	}
	return n
}

func (k *popKill) some(n int) (list []string) {
	for _, s := range k.sent {
		if !k.consumed[s] && !k.unsure[s] && len(list) < n {
			list = append(list, s+", last seen at "+k.last[s])
		}
	}
	return list
}

// send sends until the broker is gone.
func (k *popKill) send(ctx context.Context) {
	c, err := remoting.Dial(ctx, k.addr, nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return
	}
	defer func() { _ = c.Close(); <-c.Done() }()
	for ctx.Err() == nil {
		k.seq++
		body := "message " + strconv.Itoa(k.seq)
		r, err := c.Call(ctx, &remoting.Call{Code: protocol.ReqSendMessageV2, Ext: [][2]string{{"a", "P"}, {"b", killPopTopic}, {"c", "TBW102"}, {"d", "4"},
			{"e", strconv.Itoa(k.seq % 4)}, {"f", "0"}, {"g", strconv.FormatInt(time.Now().UnixMilli(), 10)}, {"h", "0"}, {"i", ""}}, Body: []byte(body)})
		if err != nil {
			return
		}
		if r.Code == protocol.CodeSuccess {
			k.mu.Lock()
			k.sent = append(k.sent, body)
			k.mu.Unlock()
		}
		if k.seq%8 == 0 {
			time.Sleep(2 * time.Millisecond)
		}
	}
}

// pop pops until the broker is gone, and acknowledges some percent of what comes.
func (k *popKill) pop(ctx context.Context, percent int) {
	c, err := remoting.Dial(ctx, k.addr, nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return
	}
	defer func() { _ = c.Close(); <-c.Done() }()
	for ctx.Err() == nil {
		r, err := c.Call(ctx, &remoting.Call{Code: protocol.ReqPopMessage, Ext: [][2]string{{"consumerGroup", killPopGroup}, {"topic", killPopTopic}, {"queueId", "-1"},
			{"maxMsgNums", "16"}, {"invisibleTime", strconv.FormatInt(killPopInvisible.Milliseconds(), 10)}, {"pollTime", "500"},
			{"bornTime", strconv.FormatInt(time.Now().UnixMilli(), 10)}, {"initMode", "0"}}})
		if err != nil {
			return
		}
		if r.Code == protocol.CodeSuccess && !k.take(ctx, c, r, percent) {
			return
		}
	}
}

// take looks at what was popped and acknowledges some of it.
func (k *popKill) take(ctx context.Context, c *remoting.Conn, r *remoting.Response, percent int) bool {
	text := func(name string) string { v, _ := r.Get(name); return string(v) }
	starts := map[string]string{}
	for e := range strings.SplitSeq(text("startOffsetInfo"), ";") {
		if f := strings.Fields(e); len(f) == 3 {
			starts[f[0]+" "+f[1]] = f[2]
		}
	}
	for rest := r.Body; len(rest) > 0; {
		var m message.Message
		if err := message.Decode(rest, &m); err != nil {
			k.t.Error(err)
			return false
		}
		rest = rest[m.Size:]
		receipt, retried := message.Property(m.Properties, message.PropPopCK)
		topic := killPopTopic
		if retried {
			topic = "%RETRY%" + killPopGroup + "_" + killPopTopic
		} else {
			receipt = fmt.Appendf(nil, "%s %s %s %s 0 broker-a %d %d", starts[fmt.Sprintf("0 %d", m.QueueID)], text("popTime"), text("invisibleTime"), text("reviveQid"),
				m.QueueID, m.QueueOffset)
		}
		place := fmt.Sprintf("%s/%d/%d", topic, m.QueueID, m.QueueOffset)
		k.delivered(place, string(m.Body))
		if rand.IntN(100) >= percent {
			continue
		}
		asked := time.Now() // the answer may be read after a kill that came behind it
		a, err := c.Call(ctx, &remoting.Call{Code: protocol.ReqAckMessage, Ext: [][2]string{{"consumerGroup", killPopGroup}, {"topic", topic},
			{"queueId", strconv.Itoa(int(m.QueueID))}, {"offset", strconv.FormatInt(m.QueueOffset, 10)}, {"extraInfo", string(receipt)}}})
		if err != nil {
			k.mu.Lock()
			k.unsure[string(m.Body)] = true
			k.mu.Unlock()
			return false
		}
		if a.Code != protocol.CodeSuccess {
			k.t.Errorf("acknowledging %s by %s: code %d: %s", place, receipt, a.Code, a.Remark)
			continue
		}
		popTime, _ := strconv.ParseInt(strings.Fields(string(receipt))[1], 10, 64)
		k.mu.Lock()
		k.consumed[string(m.Body)] = true
		if time.Since(time.UnixMilli(popTime)) < killPopInvisible/2 { // else it may be due already
			k.acked[place] = asked
		}
		k.mu.Unlock()
	}
	return true
}

// delivered complains when what has come was acknowledged long before the broker was killed.
func (k *popKill) delivered(place, body string) {
	k.deliveries.Add(1)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last[body] = place + " " + time.Now().Format(time.StampMilli)
	at, ok := k.acked[place]
	if !ok {
		return
	}
	for _, kill := range k.kills {
		if kill.After(at) && kill.Before(at.Add(killPopFlush)) {
			return
		}
	}
	k.t.Errorf("%s (%s) came again %v after it was acknowledged", place, body, time.Since(at))
}
