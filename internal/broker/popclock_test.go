package broker

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/store"
)

// What was popped an hour before the wall clock was set back by an hour has a pop time an hour from now.
const setBack = int64(time.Hour / time.Millisecond)

func TestPop_ComesAgainInTimeThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	for _, saved := range []bool{false, true} {
		t.Run(fmt.Sprintf("saved=%v", saved), func(t *testing.T) {
			t.Parallel()
			b, c := openPop(t)
			sendN(t, c, "Back", 2, "e", "0")
			ack(t, c, "Back", popAgain(t, c, "Back", 1, "maxMsgNums", "1", "queueId", "0")...)
			popSecond(b, time.Now().UnixMilli()+setBack, 500)
			if saved {
				b.pops.save()
			}
			if again := popAgain(t, c, "Back", 1); string(again[0].Body) != "1" {
				t.Errorf("came again: %v", bodies(again))
			}
			if saved { // the acknowledgement must come behind the check point
				awaitWaiting(t, b, 2)
			}
		})
	}
}

// popSecond has the second message of Back be popped at a time, which may be one to come.
func popSecond(b *Broker, popTime, invisible int64) {
	pq := b.pops.find([]byte("Poppers"), []byte("Back")).findQueue(0)
	pq.mu.Lock()
	defer pq.mu.Unlock()
	pq.addLocked(&checkPoint{start: 1, next: 2, popTime: popTime, invisible: invisible, n: 1}, true)
}

// A check point that an earlier run has left by a clock that was set back since must neither be lost nor keep those behind it.
func TestRevive_OfAClockThatWasSetBack(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Back", 1, "e", "0")
	ack(t, c, "Back", popAgain(t, c, "Back", 1)...)
	cfg := b.settings.Load()
	body := ckBody{PopTime: time.Now().UnixMilli() + 365*24*setBack, Invisible: 1000, Num: 1, Topic: "Back", Group: "Poppers", Broker: cfg.Name}
	put := b.revivePut(cfg, 0, tagCK, &body, nil, 0)
	put.BornTimestamp = body.PopTime
	if err := b.putAsIs([]store.Put{put}); err != nil {
		t.Fatal(err)
	}
	popAgain(t, c, "Back", 1)
}

func TestPop_AcknowledgedByAnEarlierReceiptThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Back", 2, "e", "0")
	list := popAgain(t, c, "Back", 2, "queueId", "0", "invisibleTime", "3000")
	b, c = restart(t, b, c)
	b.pops.started.Store(int64(atoi(t, strings.Fields(list[0].receipt)[1])) - setBack) // as by a clock that was set back
	ack(t, c, "Back", list[0])
	again := popAgain(t, c, "Back", 1)
	if got := bodies(append(again, pop(t, c, "Back", "pollTime", "1000")...)); len(got) != 1 || got[0] != "1" {
		t.Errorf("came again: %v", got)
	}
}

func TestPop_InOrderIsBlockedNoLongerThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Back", 1, "e", "0")
	order := []string{"order", "true", "queueId", "0", "invisibleTime", "700"}
	popAgain(t, c, "Back", 1, order...)
	pq := b.pops.find([]byte("Poppers"), []byte("Back")).findQueue(0)
	b.orders.mu.Lock()
	b.orders.findLocked(pq).PopTime += setBack
	b.orders.mu.Unlock()
	if list := pop(t, c, "Back", order...); len(list) != 0 {
		t.Errorf("popped %v", bodies(list))
	}
	if list := pop(t, c, "Back", append(order, "pollTime", "20000")...); len(list) != 1 {
		t.Error("the queue stands still")
	}
}

func TestOrderInfo_TimesOfAClockThatWasSetBack(t *testing.T) {
	t.Parallel()
	i := newOrderInfo([]int64{5, 6}, 10_000_000, 1000, "")
	check := func(what string, now, want int64) {
		t.Helper()
		if got := i.blockedUntil(now); got != want {
			t.Errorf("%s: blocked until %d, want %d", what, got, want)
		}
	}
	check("at once", 10_000_000, 10_001_000)
	check("set back", 5_000_000, 5_001_000)
	check("half a second later", 5_000_500, 5_001_000)
	i.show(5, 5_900_000)
	check("changed since", 5_000_600, 5_900_000)
	check("set back once more", 1_000_000, 1_001_000)
	check("over", 1_001_000, 1_001_000)
	check("right again", 10_000_500, 10_000_500)
}

// A pop waits for its pollTime by the broker's clock: clients' clocks are minutes behind, or ahead, and a message must not go to a client
// that waits no more.
func TestPop_WaitsAsLongWhateverItsClientsClockSays(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	for _, born := range []time.Duration{-time.Hour, time.Hour} {
		sendN(t, c, "Skewed", 1, "e", "0")
		popAgain(t, c, "Skewed", 1, "bornTime", in(born))
		began := time.Now()
		if list := pop(t, c, "Skewed", "bornTime", in(born), "pollTime", "500"); len(list) != 0 {
			t.Errorf("popped %v", bodies(list))
		}
		if took := time.Since(began); took < 300*time.Millisecond || took > 20*time.Second {
			t.Errorf("a pop born %v from now was answered after %v", born, took)
		}
		waits := start(t, c, protocol.ReqPopMessage, popFields("Skewed", "bornTime", in(born), "pollTime", "20000"))
		await(t, "the pop to wait", func() bool { return b.holds.waitingPops(b.pops.find([]byte("Poppers"), []byte("Skewed")), -1) == 1 })
		sendN(t, c, "Skewed", 1, "e", "0")
		if r, err := waits.Wait(t.Context()); err != nil || len(deliveries(t, r, "Skewed")) != 1 {
			t.Error("the one that waited was answered without the message", err)
		}
	}
}

// What this run pops after the clock was set back must not be taken for what an earlier one has popped and the queue gives once more.
func TestPop_IsOfThisRunThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Back", 1, "e", "0")
	popAgain(t, c, "Back", 1)
	pq := b.pops.find([]byte("Poppers"), []byte("Back")).findQueue(0)
	at := b.pops.started.Load() - setBack
	pq.mu.Lock()
	pq.since = 0
	pq.addLocked(&checkPoint{popTime: at, invisible: 60_000, n: 1}, false)
	pq.mu.Unlock()
	logged := &checkPoint{pq: pq, popTime: at, n: 1}
	if logged.leaveToQueue(); logged.acked != 0 {
		t.Error("it counts as acknowledged")
	}
}

// What an earlier run has popped while the clock was ahead is acknowledged in the log, though its time is one of this run's.
func TestPop_AcknowledgedAfterARestartThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Back", 2, "e", "0")
	d := popAgain(t, c, "Back", 1, "maxMsgNums", "1", "queueId", "0")[0]
	ack(t, c, "Back", d)
	ahead := time.Now().UnixMilli() + setBack
	popSecond(b, ahead, 60_000)
	b, c = restart(t, b, c)
	awaitWaiting(t, b, 1)
	d.QueueOffset, d.receipt = 1, fmt.Sprintf("1 %d 60000 0 0 broker-a 0 1", ahead)
	ack(t, c, "Back", d)
	awaitWaiting(t, b, 2)
}

// A record of a clock that was ahead does not make those behind it be revived before their acknowledgements can have come.
func TestRevive_WaitsForAcknowledgementsThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Back", 1, "e", "0")
	ack(t, c, "Back", popAgain(t, c, "Back", 1)...)
	cfg := b.settings.Load()
	const id = 99 // which the broker does not follow
	rq := &reviveQueue{q: b.store.Queue(reviveTopic(cfg.Cluster), id), logged: map[logKey]*checkPoint{}, readAt: time.Now()}
	r := &reviver{b: b}
	read := func(put store.Put) {
		t.Helper()
		if err := b.putAsIs([]store.Put{put}); err != nil {
			t.Fatal(err)
		}
		await(t, "the record", func() bool { return rq.q.MaxOffset() > rq.next })
		r.read(rq)
	}
	now := time.Now().UnixMilli()
	other := ackBody{Offset: 1, Group: "Poppers", Topic: "Back", PopTime: now + setBack, Broker: cfg.Name}
	put := b.revivePut(cfg, id, tagAck, &other, nil, now+setBack)
	put.BornTimestamp = now + setBack
	read(put)
	point := ckBody{PopTime: now - setBack, Invisible: setBack + ckAheadMS, Num: 1, Topic: "Back", Group: "Poppers", Broker: cfg.Name}
	read(b.revivePut(cfg, id, tagCK, &point, nil, now))
	if did, _ := r.reviveLogged(rq); did {
		t.Fatal("it is revived before its acknowledgement")
	}
	read(b.revivePut(cfg, id, tagAck, &ackBody{Group: "Poppers", Topic: "Back", PopTime: point.PopTime, Broker: cfg.Name}, nil, now+ckAheadMS))
	if did, _ := r.reviveLogged(rq); did || !rq.open[1].c.passed.Load() {
		t.Error("it is not done with its acknowledgement")
	}
	point.PopTime += 2 * setBack // of the clock that was ahead
	put = b.revivePut(cfg, id, tagCK, &point, nil, now)
	put.BornTimestamp = now + setBack
	read(put)
	if did, _ := r.reviveLogged(rq); did {
		t.Error("one of the clock that was ahead is revived before its time")
	}
	rq.open[3].c.due = time.Now().Add(-ackLateMS * time.Millisecond)
	if did, _ := r.reviveLogged(rq); !did { // though something was read just now
		t.Error("one of the clock that was ahead is not revived in time")
	}
}

// A pop that began before another has taken the queue, and comes to it behind that one, does not take the clock for one that was set back.
func TestPop_LateIsNoClockThatWasSetBack(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "T", 1, "e", "0")
	p, _ := checkedPop(t, b, c)
	popAgain(t, c, "T", 1, "consumerGroup", "G", "order", "true", "queueId", "0")
	p.order, p.look.popTime = true, time.Now().UnixMilli()-30_000
	p.fromQueue(b.settings.Load(), p.pg, b.topics.find("T"), 0, false)
	b.orders.mu.Lock()
	defer b.orders.mu.Unlock()
	if i := b.orders.findLocked(p.pg.findQueue(0)); p.look.count != 0 || i.setBack != 0 {
		t.Errorf("%d messages were popped, and the clock was set back to %d", p.look.count, i.setBack)
	}
}

func TestLite_LatePopIsNoClockThatWasSetBack(t *testing.T) {
	t.Parallel()
	l := newLiteLab(t, openTest(t, lightConfig(t)))
	l.subscribe("one", "Lites", "a")
	l.send("a", "a0")
	l.pop("one", "pollTime", "20000")
	p := &litePop{} // as above
	p.b, p.popTime, p.MaxMsgNum, p.ConsumerGroup, p.Topic, p.InvisibleTime = l.b, time.Now().UnixMilli()-30_000, 32, "Lites", "Parent", 60_000
	lites := l.b.lites
	lites.mu.Lock()
	var blocks []*liteBlock
	for _, x := range lites.blocks {
		blocks = append(blocks, x)
	}
	lites.mu.Unlock()
	p.take(l.b.settings.Load(), blocks[0].key.queue)
	lites.mu.Lock()
	defer lites.mu.Unlock()
	if at := blocks[0].info.setBack; p.count != 0 || at != 0 {
		t.Errorf("%d messages were popped, and the clock was set back to %d", p.count, at)
	}
}

// Of pops of many queues after the clock was set back the earliest is the one that counts.
func TestPop_StartedByTheEarliest(t *testing.T) {
	t.Parallel()
	for range 3000 {
		p := new(pops)
		p.started.Store(math.MaxInt64)
		var wait sync.WaitGroup
		for i := range int64(4) {
			wait.Go(func() {
				for at := int64(1000); at > 0; at-- {
					p.startedBy(at*4 + i)
				}
			})
		}
		wait.Wait()
		if at := p.started.Load(); at != 4 {
			t.Fatalf("started at %d, want 4", at)
		}
	}
}
