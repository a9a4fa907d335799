package broker

import (
	"slices"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// popNow serves a request as a connection's loop does, where nobody may wait for the disk, and says whether it is to be served elsewhere. Its
// answer goes nowhere.
func popNow(t *testing.T, b *Broker, c *remoting.Conn, code int, ext [][2]string) (elsewhere bool) {
	t.Helper()
	r := &remoting.Request{Header: protocol.Header{Code: int32(code), Flag: 2}, Conn: c}
	for _, f := range ext {
		r.Fields = append(r.Fields, protocol.Field{Key: []byte(f[0]), Value: []byte(f[1])})
	}
	p := popRequests.Get().(*popRequest)
	p.begin(b, &session{}, r, p)
	p.code = code
	if err := decodePop(r, p); err != nil {
		t.Fatal(err)
	}
	p.now, p.until = true, time.Now().Add(20*time.Second) // the request was never read, so it has no age
	return p.serve()
}

// What a pop would wait for the disk for is not read in the loop of its connection: the request is served elsewhere with nothing done, or
// answered with what was taken of other queues.
func TestPop_LeavesTheLoopForTheDisk(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.PopRetryFirst, cfg.PopRetryV2, cfg.PopRetryV1Too = 100, true, false
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	// Of a batch queue the store never knows whether it has to wait.
	if r := call(t, c, protocol.ReqUpdateAndCreateTopic, createFields("T", "attributes", "+queue.type=BatchCQ"), nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	sendN(t, c, "T", 2, "e", "0")
	await(t, "the messages", func() bool { return b.store.Queue("T", 0).MaxOffset() == 2 })
	inFlight := func() int {
		pq := b.pops.of([]byte("Poppers"), []byte("T")).queue(b.pops, b.store.Queue("T", 0))
		pq.mu.Lock()
		defer pq.mu.Unlock()
		return pq.inFlight
	}
	for _, code := range []int{protocol.ReqPopMessage, protocol.ReqPeekMessage} {
		if !popNow(t, b, c, code, popFields("T", "pollTime", "20000")) || inFlight() != 0 || b.holds.waiting() != 0 {
			t.Errorf("%s is not served elsewhere; %d in flight, %d requests wait", protocol.RequestName(code), inFlight(), b.holds.waiting())
		}
	}
	if popNow(t, b, c, protocol.ReqNotification, popFields("T", "pollTime", "20000")) {
		t.Error("a notification that looks at offsets only is served elsewhere")
	}

	retry := popRetryTopic("Poppers", "T", popRetryV2)
	if _, err := b.topics.createRetry(retry, 1, false, 0); err != nil {
		t.Fatal(err)
	}
	sendN(t, c, retry, 1, "e", "0")
	if popNow(t, b, c, protocol.ReqPopMessage, popFields("T")) || inFlight() != 0 {
		t.Errorf("what is in memory was not taken; %d in flight", inFlight())
	}
	if got := bodies(pop(t, c, "T")); !slices.Equal(got, []string{"0", "1"}) {
		t.Errorf("elsewhere %v were popped", got)
	}
	if n := inFlight(); n != 2 {
		t.Errorf("%d in flight", n)
	}
}
