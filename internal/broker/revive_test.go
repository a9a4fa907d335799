package broker

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// Clients can send to the revive log. What they send there must not keep the reviver from what is behind it.
func TestRevive_PassesOverForgedRecords(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Forged", 3, "e", "0")
	ack(t, c, "Forged", popAgain(t, c, "Forged", 3, "queueId", "0")...)
	log := reviveTopic(b.settings.Load().Cluster)
	now := time.Now().UnixMilli()
	in := func(year int64) string { return strconv.FormatInt(now+year*365*24*3600*1000, 10) }
	forged := []struct{ tag, body string }{
		{tagCK, `{"so":0,"pt":1,"it":1,"n":1,"q":0,"t":"Forged","c":"Poppers","d":[]}`}, // which is a good one
		{tagCK, `{"so":0,"pt":1,"it":1,"n":2,"q":-1,"t":"Forged","c":"Poppers","d":[0]}`},
		{tagCK, `{"so":0,"pt":1,"it":1,"n":2,"q":2147483647,"t":"Forged","c":"Poppers","d":[0]}`},
		{tagCK, `{"so":0,"pt":1,"it":2,"n":-1,"q":0,"t":"Forged","c":"Poppers"}`},
		{tagCK, `{"so":-1,"pt":1,"it":3,"n":1,"q":0,"t":"Forged","c":"Poppers"}`},
		{tagCK, `{"so":9223372036854775807,"pt":1,"it":3,"n":32,"q":0,"t":"Forged","c":"Poppers"}`},
		{tagCK, `{"so":100,"pt":-9223372036854775808,"it":-9223372036854775808,"n":127,"q":0,"t":"Forged","c":"Poppers","bm":-1}`},
		{tagCK, `{"so":100,"pt":1,"it":5,"n":127,"q":0,"t":"Forged","c":"Poppers","d":[-1]}`},
		{tagCK, `{"so":100,"pt":1,"it":5,"n":3,"q":0,"t":"Forged","c":"Poppers","d":[7,7,2147483647]}`},
		{tagCK, `{"so":0,"pt":` + in(50) + `,"it":1,"n":1,"q":0,"t":"Forged","c":"Poppers"}`}, // due in 50 years
		{tagCK, `{"so":0,"pt":1,"it":1,"n":1,"q":0,"t":"Nowhere","c":"Poppers"}`},
		{tagCK, `{"so":0,"pt":1,"it":1,"n":1,"q":0,"t":"Forged","c":"Nobody"}`},
		{tagCK, "null"}, {tagCK, "[]"}, {tagAck, "{}"}, {"other", "{}"},
		{tagAck, `{"ao":-9223372036854775808,"so":9223372036854775807,"pt":1,"q":0,"t":"Forged","c":"Poppers"}`},
		{tagBatchAck, `{"ao":-1,"aol":[-1,9223372036854775807],"so":100,"pt":1,"q":0,"t":"Forged","c":"Poppers"}`},
	}
	for _, f := range forged {
		r := call(t, c, protocol.ReqSendMessageV2, sendFields(log, "i", message.PropTags+"\x01"+f.tag+"\x02"), []byte(f.body))
		if r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	q := b.store.Queue(log, 0)
	await(t, "the revive log to be passed", func() bool {
		end := q.MaxOffset()
		return end >= int64(len(forged)) && b.offsets.query(reviveGroup, log, 0) == end-1
	})
	again := popAgain(t, c, "Forged", 1)
	if string(again[0].Body) != "0" || len(again) != 1 {
		t.Errorf("came again: %v", bodies(again))
	}
	if b.pops.find([]byte("Nobody"), []byte("Forged")) != nil {
		t.Error("a group that is not there was made")
	}
}

// limitMessages makes larger messages be refused from now on.
func limitMessages(t testing.TB, c *remoting.Conn, bytes int) {
	t.Helper()
	if r := call(t, c, protocol.ReqUpdateBrokerConfig, nil, []byte("maxMessageSize="+strconv.Itoa(bytes))); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
}

func TestRevive_OneThatCannotBeStoredDoesNotKeepTheOthers(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Large", 1, "e", "0")
	for _, m := range []struct{ pad, body int }{{32_680, 1}, {0, 5000}} { // with two properties more it is too long; too large soon
		props := "UNIQ_KEY\x01K\x02pad\x01" + strings.Repeat("p", m.pad) + "\x02"
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields("Large", "i", props), bytes.Repeat([]byte("x"), m.body)); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	limitMessages(t, c, 4000)
	popAgain(t, c, "Large", 3, "invisibleTime", "1000", "queueId", "0")
	b.pops.save() // with an acknowledgement for each
	again := popAgain(t, c, "Large", 2)
	if got := strings.Join(bodies(again), ","); got != "0,x" {
		t.Errorf("came again: %s", got)
	}
	if _, has := message.Property(again[0].Properties, message.PropFirstPopTime); !has {
		t.Error("the first lacks its time")
	}
	ack(t, c, "Large", again...)
	await(t, "the check points to go", func() bool { return b.pops.pending.size() == 0 })
	if n := b.store.Queue(popRetryTopic("Poppers", "Large", popRetryV1), 0).MaxOffset(); n != 2 {
		t.Errorf("%d copies", n)
	}
}

// What another broker has popped is not in flight here, and when it is over nothing of what is here is.
func TestRevive_OfAnotherBrokerCountsNothingAsDone(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Counted", 3, "e", "0")
	popAgain(t, c, "Counted", 3, "queueId", "0")
	pq := b.pops.find([]byte("Poppers"), []byte("Counted")).findQueue(0)
	body := ckBody{PopTime: time.Now().UnixMilli() - 10_000, Invisible: 1000, Num: 2, Topic: "Counted", Group: "Poppers", Broker: "elsewhere"}
	if err := b.putAsIs([]store.Put{b.revivePut(b.settings.Load(), 0, tagCK, &body, nil, body.PopTime)}); err != nil {
		t.Fatal(err)
	}
	popAgain(t, c, "Counted", 2)
	pq.mu.Lock()
	defer pq.mu.Unlock()
	if pq.inFlight != 3 {
		t.Errorf("%d messages of the topic are in flight, want 3", pq.inFlight)
	}
}

// What could not be written is tried again though nothing has changed since.
func TestOrders_AreWrittenWhenTheyCanBeAgain(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Order", 1)
	if err := os.MkdirAll(filepath.Join(b.orders.path, "in the way"), 0o777); err != nil {
		t.Fatal(err)
	}
	if list := pop(t, c, "Order", "order", "true", "queueId", "0"); len(list) != 1 {
		t.Fatal(len(list))
	}
	if !b.savePops() {
		t.Error("it was written")
	}
	if err := os.RemoveAll(b.orders.path); err != nil {
		t.Fatal(err)
	}
	if b.savePops() {
		t.Error("it was not written")
	}
	if text, err := os.ReadFile(b.orders.path); !strings.Contains(string(text), "Order@Poppers") {
		t.Errorf("%s, %v", text, err)
	}
}

// A log that lost records has its offset at its end, where the next record will be.
func TestRevive_ReadsTheFirstRecordOfALogThatLostOthers(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	for id := range int32(b.settings.Load().ReviveQueues) {
		b.offsets.commitText(reviveGroup, reviveTopic(b.settings.Load().Cluster), id, 5)
	}
	b, c = restart(t, b, c)
	sendN(t, c, "Lost", 1, "e", "0")
	popAgain(t, c, "Lost", 1, "queueId", "0", "invisibleTime", "1500")
	if b.pops.save() {
		t.Fatal("not saved")
	}
	popAgain(t, c, "Lost", 1)
}

// What cannot be saved stays in the list that should not be full. To try again at once would never end.
func TestRevive_TriesAgainLaterWhatCannotBeSaved(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.FlushConsumerOffsetInterval, cfg.PopMaxBuffer = time.Hour, 1
	var text syncBuffer
	b, err := Open(t.Context(), cfg, slog.New(slog.NewTextHandler(&text, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeOnce(t, b) })
	pq := b.pops.of([]byte(strings.Repeat("g", 40_000)), []byte("Full")).queue(b.pops, b.store.Queue("Full", 0)) // whose records are too long
	pq.mu.Lock()
	for i := range b.pops.pending.most {
		pq.addLocked(&checkPoint{start: int64(i), popTime: time.Now().UnixMilli(), invisible: 60_000, n: 1, heapAt: -1}, false)
	}
	pq.mu.Unlock()
	r := &reviver{b: b}
	for range 10 {
		if more, _ := r.round(); more {
			t.Error("wants to go on at once")
		}
	}
	if n := strings.Count(text.String(), "cannot keep what is in flight"); n == 0 || n > 2 {
		t.Errorf("tried %d times", n) // by the broker's reviver and by ours
	}
	pq.forget()
}
