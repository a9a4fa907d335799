package broker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// popOne pops the message of a queue of a topic.
func popOne(t testing.TB, b *Broker, c *remoting.Conn, topic, queue string, changes ...string) (popDelivery, *checkPoint) {
	t.Helper()
	d := popAgain(t, c, topic, 1, append([]string{"queueId", queue}, changes...)...)[0]
	f := strings.Fields(d.receipt)
	pq := b.pops.find([]byte("Poppers"), []byte(topic)).findQueue(int32(atoi(t, queue)))
	pq.mu.Lock()
	defer pq.mu.Unlock()
	return d, pq.points[pointKey{int64(atoi(t, f[0])), int64(atoi(t, f[1]))}]
}

// The acknowledgement that a change makes must not be in the log before the check point that stands for the message.
func TestPop_ChangedDuringASave(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]bool{"Before": true, "Behind": false} { // the changed one in the list of what is saved
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, c := openPop(t)
			sendN(t, c, name, 3)
			changing, old := popOne(t, b, c, name, "0")
			if b.pops.save() {
				t.Fatal("not saved")
			}
			b.pops.saveMu.Lock() // nobody else saves until the list is made
			mark := func() { b.pops.pending.mark(old) }
			if first {
				mark()
			}
			_, other := popOne(t, b, c, name, "1")
			if !first {
				mark()
			}
			other.pq.mu.Lock()
			b.pops.saveMu.Unlock()
			saved := make(chan bool)
			go func() { saved <- b.pops.save() }()
			await(t, "the save to begin", func() bool { return !b.pops.pending.isAny() })
			r := call(t, c, protocol.ReqChangeMessageInvisibleTime, changeFields(name, &changing, "60000"), nil)
			other.pq.mu.Unlock()
			if again := <-saved; again || r.Code != 0 {
				t.Fatal(again, r.Code, string(r.Remark))
			}
			at, _ := strconv.ParseInt(fieldOf(r, "popTime"), 10, 64)
			old.pq.mu.Lock()
			young := old.pq.points[pointKey{0, at}]
			if old.saved != 0 && !young.stored {
				t.Error("the log has the acknowledgement and no check point")
			}
			if !young.stored && !young.inList || old.acked != old.saved && !old.inList {
				t.Error("the next save forgets it")
			}
			old.pq.mu.Unlock()
			b.pops.save()
			if !young.stored || old.saved != 1 {
				t.Errorf("after the next save: stored %v, acknowledged %b", young.stored, old.saved)
			}
		})
	}
}

// The offset of the revive log must not move past a check point whose message only memory knows.
func TestPop_ReviveLogWaitsForChangedMessages(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Log", 1)
	d, old := popOne(t, b, c, "Log", "0", "invisibleTime", "3000")
	b.pops.save()
	b.pops.saveMu.Lock() // until it is looked at
	if r := call(t, c, protocol.ReqChangeMessageInvisibleTime, changeFields("Log", &d, "60000"), nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	log := b.store.Queue(reviveTopic(b.settings.Load().Cluster), old.reviveQueue)
	arrived := func() bool {
		old.pq.mu.Lock()
		defer old.pq.mu.Unlock()
		return old.arrived
	}
	await(t, "the check point to come out of the timer", arrived)
	if old.passed.Load() {
		t.Error("the check point may be passed")
	}
	b.pops.saveMu.Unlock()
	b.pops.save()
	await(t, "the log to be passed", func() bool { return b.offsets.query(reviveGroup, log.Topic(), log.ID()) >= 0 })
}

// What was acknowledged in time and saved stays so, however late and in whatever order the timer lets the records of it out.
func TestPop_AcknowledgedAndSavedDoesNotComeAgainWhenTheTimerIsLate(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.TimerStopDequeue = true
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "Late", 1)
	d, point := popOne(t, b, c, "Late", "0", "invisibleTime", "2500")
	b.pops.save()
	ack(t, c, "Late", d)
	b.pops.save()
	if n := b.pops.closed.Load(); n != 1 {
		t.Errorf("%d check points are kept", n)
	}
	time.Sleep(time.Until(time.UnixMilli(point.reviveTime() + 1500)))
	s := b.settings.Load()
	log := b.store.Queue(reviveTopic(s.Cluster), point.reviveQueue)
	other := &checkPoint{pq: point.pq, start: 7, popTime: point.popTime, n: 1}
	err := b.putAsIs([]store.Put{b.ckPut(s, point), b.ackPut(s, point.reviveQueue, other.ackBody(s, 1), time.Now().UnixMilli()+10_000)})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the log to be passed", func() bool { return b.offsets.query(reviveGroup, log.Topic(), log.ID()) == 1 })
	if again := pop(t, c, "Late", "pollTime", "300"); len(again) != 0 {
		t.Errorf("came again: %v", bodies(again))
	}
	if n := len(point.pq.points); n != 0 || b.pops.closed.Load() != 0 {
		t.Errorf("%d check points are left, %d closed", n, b.pops.closed.Load())
	}
}

// A change is answered as done only when what stands for the message can outlive a kill.
func TestPop_ChangeFailsWhenItCannotBeKept(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Change", 2, "e", "0")
	d := popAgain(t, c, "Change", 2, "queueId", "0")[0]
	d.receipt = fmt.Sprintf("0 %d 60000 0 0 broker-a 0 0", b.pops.started.Load()-1000) // which the log alone can know
	change := func(want int32) {
		t.Helper()
		if r := call(t, c, protocol.ReqChangeMessageInvisibleTime, changeFields("Change", &d, "30000"), nil); r.Code != want {
			t.Errorf("code %d: %s", r.Code, r.Remark)
		}
	}
	change(0)
	pq := b.pops.of([]byte(strings.Repeat("g", 40_000)), []byte("Change")).queue(b.pops, b.store.Queue("Change", 0)) // whose records are too long
	pq.mu.Lock()
	pq.addLocked(&checkPoint{popTime: time.Now().UnixMilli(), invisible: 60_000, n: 1}, false)
	pq.mu.Unlock()
	change(protocol.CodeSystemError)
	pq.forget()
	change(0)
}

// Whether a record is in the log is not known when its put has failed: what is acknowledged of it must be told there.
func TestPop_AcknowledgedWhenItsRecordMayBeInTheLog(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Maybe", 1)
	d, point := popOne(t, b, c, "Maybe", "0", "invisibleTime", "2500")
	b.pops.pending.takeUnsaved() // a save: its put says that it has failed
	point.pq.mu.Lock()
	put, ok := b.pops.ckToSave(b.settings.Load(), point)
	point.pq.mu.Unlock()
	if err := b.putNow(put); err != nil || !ok {
		t.Fatal(ok, err)
	}
	b.pops.retrySave(point)
	ack(t, c, "Maybe", d)
	if b.pops.save() || b.pops.pending.isAny() || len(point.pq.points) != 0 {
		t.Errorf("something is left to save, or %d check points to keep", len(point.pq.points))
	}
	log := b.store.Queue(put.Queue.Topic(), point.reviveQueue)
	await(t, "the log to be passed", func() bool { return b.offsets.query(reviveGroup, log.Topic(), log.ID()) == 1 })
	if again := pop(t, c, "Maybe", "pollTime", "300"); len(again) != 0 {
		t.Errorf("came again: %v", bodies(again))
	}
}

// When messages are delivered again the log is told of what was acknowledged of the others too, and was not in it yet.
func TestPop_RevivedTellsTheLogOfAll(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.FlushConsumerOffsetInterval = time.Hour
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "Told", 3, "e", "0")
	list := pop(t, c, "Told", "queueId", "0", "invisibleTime", "1500")
	if len(list) != 3 || b.pops.save() {
		t.Fatal(len(list))
	}
	ack(t, c, "Told", list[1])
	popAgain(t, c, "Told", 2)
	var told []string
	for id := range int32(b.settings.Load().ReviveQueues) {
		body, _ := b.store.Get(b.store.Queue(reviveTopic(cfg.Cluster), id), 0, 32, maxPullBytes, nil, nil)
		for _, m := range records(t, body) {
			if a, ok := parseAck([]byte(tagBatchAck), m.Body); ok && len(a.Offsets) > 0 {
				told = append(told, fmt.Sprint(a.Offsets))
			}
		}
	}
	if got := strings.Join(told, " "); got != "[0 1 2]" {
		t.Errorf("acknowledged in the log: %s", got)
	}
}

// What is in flight is known to the disk before the offsets that moved past it are.
func TestPop_OffsetsAreWrittenBehindTheCheckPoints(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.FlushCommitLogInterval, cfg.FlushCommitLogThorough = time.Hour, time.Hour
	cfg.FlushConsumerOffsetInterval, cfg.TimerFlushInterval = time.Hour, time.Hour
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "Behind", 1, "e", "0")
	popAgain(t, c, "Behind", 1, "queueId", "0")
	if b.pops.save() {
		t.Fatal("not saved")
	}
	saved := b.store.Stats().Appended
	if err := b.offsets.write(); err != nil {
		t.Fatal(err)
	}
	if at := b.offsets.query("Poppers", "Behind", 0); at != 1 {
		t.Errorf("consumer offset %d", at)
	}
	if flushed := b.store.Stats().Flushed; flushed < saved {
		t.Errorf("flushed up to %d, what was saved ends at %d", flushed, saved)
	}
}
