package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// What comes at once and is more than are served at once waits for its turn, and is refused only when that would take too much memory or time.
func TestBeside_ABurstIsServed(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Burst", 1, "e", "0")
	for range slowMax { // the disk stands still
		b.slow.seats <- struct{}{}
	}
	ask := &remoting.Call{Code: protocol.ReqSearchOffsetByTimestamp, Ext: [][2]string{{"topic", "Burst"}, {"queueId", "0"}, {"timestamp", "5"}}}
	var pending []*remoting.Pending
	for range 500 {
		p, err := c.Start(ask)
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
	}
	for deadline := time.Now().Add(laneWait / 2); b.slow.size.Load() < 500; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d requests wait", b.slow.size.Load())
		}
	}
	b.slow.waiting.Add(laneBytes)
	if r := call(t, c, ask.Code, ask.Ext, nil); r.Code != protocol.CodeSystemBusy || !strings.Contains(string(r.Remark), "64 requests that may wait for the disk") {
		t.Errorf("code %d: %s", r.Code, r.Remark)
	}
	b.slow.waiting.Add(-laneBytes)
	for range slowMax {
		<-b.slow.seats
	}
	for i, p := range pending {
		if r, err := p.Wait(t.Context()); err != nil || r.Code != protocol.CodeSuccess {
			t.Fatalf("request %d: %v %v", i, r, err)
		}
	}
	b.beside.Wait()
	if n, bytes := b.slow.size.Load(), b.slow.waiting.Load(); n != 0 || bytes != 0 {
		t.Errorf("%d requests of %d bytes wait still", n, bytes)
	}
}

func TestLane_WaitsNotForEver(t *testing.T) {
	t.Parallel()
	l := newLane("of a test", 1)
	if !l.sit() || l.sit() || l.await(time.Millisecond) {
		t.Error("there is more than one seat")
	}
	<-l.seats
	if !l.await(time.Minute) {
		t.Error("the seat is free")
	}
}
