package broker

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// changed replaces the values of fields, and adds those that are not there.
func changed(ext [][2]string, changes []string) [][2]string {
next:
	for i := 0; i < len(changes); i += 2 {
		for j := range ext {
			if ext[j][0] == changes[i] {
				ext[j][1] = changes[i+1]
				continue next
			}
		}
		ext = append(ext, [2]string{changes[i], changes[i+1]})
	}
	return ext
}

// popFields are the fields of a pop of all queues that does not wait.
func popFields(topic string, changes ...string) [][2]string {
	return changed([][2]string{{"consumerGroup", "Poppers"}, {"topic", topic}, {"queueId", "-1"}, {"maxMsgNums", "32"}, {"invisibleTime", "60000"}, {"pollTime", "0"},
		{"bornTime", strconv.FormatInt(time.Now().UnixMilli(), 10)}, {"initMode", "0"}, {"expType", "TAG"}, {"exp", "*"}, {"order", "false"}}, changes)
}

// popDelivery is a message in a client's hand.
type popDelivery struct {
	message.Message
	receipt string
	count   int // from orderCountInfo
}

// deliveries reads a pop's answer as a client does.
func deliveries(t testing.TB, r *remoting.Response, topic string) (list []popDelivery) {
	t.Helper()
	text := func(key string) string { v, _ := r.Get(key); return string(v) }
	starts, counts := map[string]string{}, map[string]int{}
	for e := range strings.SplitSeq(text("startOffsetInfo"), ";") {
		if f := strings.Fields(e); len(f) == 3 {
			starts[f[0]+"@"+f[1]] = f[2]
		}
	}
	for e := range strings.SplitSeq(text("orderCountInfo"), ";") {
		if f := strings.Fields(e); len(f) == 3 {
			counts[f[0]+"@"+f[1]], _ = strconv.Atoi(f[2])
		}
	}
	for _, m := range records(t, r.Body) {
		d := popDelivery{Message: m}
		if ck, ok := message.Property(m.Properties, message.PropPopCK); ok {
			d.receipt = string(ck)
		} else {
			flag := string(retryFlag(m.Topic))
			d.receipt = fmt.Sprintf("%s %s %s %s %s broker-a %d %d", starts[flag+"@"+strconv.Itoa(int(m.QueueID))], text("popTime"), text("invisibleTime"), text("reviveQid"),
				flag, m.QueueID, m.QueueOffset)
			d.count = counts[flag+"@qo"+strconv.Itoa(int(m.QueueID))+"%"+strconv.FormatInt(m.QueueOffset, 10)]
		}
		list = append(list, d)
	}
	return list
}

// pop pops what is there.
func pop(t testing.TB, c *remoting.Conn, topic string, changes ...string) []popDelivery {
	t.Helper()
	r := call(t, c, protocol.ReqPopMessage, popFields(topic, changes...), nil)
	if r.Code != protocol.CodeSuccess && r.Code != protocol.CodePollingTimeout {
		t.Fatal(r.Code, string(r.Remark))
	}
	return deliveries(t, r, topic)
}

func ackFields(topic string, d *popDelivery, changes ...string) [][2]string {
	real := topic
	switch strings.Fields(d.receipt)[4] {
	case "1":
		real = popRetryTopic("Poppers", topic, popRetryV1)
	case "2":
		real = popRetryTopic("Poppers", topic, popRetryV2)
	}
	return changed([][2]string{{"consumerGroup", "Poppers"}, {"topic", real}, {"queueId", strconv.Itoa(int(d.QueueID))}, {"offset", strconv.FormatInt(d.QueueOffset, 10)},
		{"extraInfo", d.receipt}}, changes)
}

func ack(t testing.TB, c *remoting.Conn, topic string, list ...popDelivery) {
	t.Helper()
	for i := range list {
		if r := call(t, c, protocol.ReqAckMessage, ackFields(topic, &list[i]), nil); r.Code != 0 {
			t.Fatalf("ack of %s: code %d: %s", list[i].receipt, r.Code, r.Remark)
		}
	}
}

// sendN sends messages 0 to n-1 to queue i%4.
func sendN(t testing.TB, c *remoting.Conn, topic string, n int, changes ...string) {
	t.Helper()
	for i := range n {
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields(topic, append([]string{"e", strconv.Itoa(i % 4)}, changes...)...), []byte(strconv.Itoa(i))); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
}

// await waits for something that happens soon.
func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain for ", what)
		}
	}
}

func bodies(list []popDelivery) (all []string) {
	for _, d := range list {
		all = append(all, string(d.Body))
	}
	return all
}

func TestPop_DeliversEachMessageOnceAndTheUnacknowledgedAgain(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "Popped", 12)
	first := pop(t, c, "Popped", "invisibleTime", "2000")
	if len(first) != 12 {
		t.Fatalf("%d messages: %v", len(first), bodies(first))
	}
	if again := pop(t, c, "Popped"); len(again) != 0 {
		t.Fatalf("messages in flight were popped: %v", bodies(again))
	}
	ack(t, c, "Popped", first[:7]...)
	want := map[string]bool{}
	for _, d := range first[7:] {
		want[string(d.Body)] = true
	}
	var again []popDelivery
	for len(again) < 5 {
		more := pop(t, c, "Popped", "pollTime", "10000")
		if len(more) == 0 {
			t.Fatalf("%d of 5 came again", len(again))
		}
		again = append(again, more...)
	}
	for _, d := range again {
		if !want[string(d.Body)] || d.ReconsumeTimes != 1 || d.Topic != "Popped" {
			t.Errorf("%s came again, topic %s, tries %d", d.Body, d.Topic, d.ReconsumeTimes)
		}
		delete(want, string(d.Body))
		if group, _ := message.Property(d.Properties, message.PropOriginGroup); string(group) != "Poppers" {
			t.Errorf("origin group %q", group)
		}
	}
	ack(t, c, "Popped", again...)
	for topic, end := range map[string]int64{"Popped": 3, popRetryTopic("Poppers", "Popped", popRetryV1): 5} {
		await(t, fmt.Sprintf("the consumer offset of %s to be %d", topic, end), func() bool { return b.offsets.query("Poppers", topic, 0) == end })
	}
	if n := b.pops.pending.size(); n != 0 {
		t.Errorf("%d check points are left", n)
	}
}

func TestPop_WaitsForAMessage(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c, sender := dialTest(t, b, remoting.Options{}), dialTest(t, b, remoting.Options{})
	sendN(t, sender, "Awaited", 1)
	ack(t, c, "Awaited", pop(t, c, "Awaited")...)
	p, err := c.Start(&remoting.Call{Code: protocol.ReqPopMessage, Ext: popFields("Awaited", "pollTime", "20000")})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the request to be held", func() bool { return b.holds.waiting() > 0 })
	begin := time.Now()
	sendN(t, sender, "Awaited", 1)
	r, err := p.Wait(t.Context())
	if err != nil || r.Code != 0 {
		t.Fatal(err, r)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	r = call(t, c, protocol.ReqPopMessage, popFields("Awaited", "pollTime", "200"), nil)
	if r.Code != protocol.CodePollingTimeout {
		t.Errorf("nothing there: code %d", r.Code)
	}
}

// popAgain pops until n messages were popped.
func popAgain(t testing.TB, c *remoting.Conn, topic string, n int, changes ...string) (list []popDelivery) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); len(list) < n; {
		if time.Now().After(end) {
			t.Fatalf("%d of %d messages came: %v", len(list), n, bodies(list))
		}
		list = append(list, pop(t, c, topic, append([]string{"pollTime", "5000"}, changes...)...)...)
	}
	return list
}

// closeOnce closes a broker that may be closed already.
func closeOnce(t testing.TB, b *Broker) {
	if errors.Is(b.store.Writable(), store.ErrClosed) {
		return
	}
	if err := b.Close(); err != nil {
		t.Error("close:", err)
	}
}

// restart closes a broker and opens another on its directory.
func restart(t testing.TB, b *Broker, c *remoting.Conn) (*Broker, *remoting.Conn) {
	t.Helper()
	_ = c.Close()
	<-c.Done()
	cfg := b.Config()
	cfg.ListenPort = 0
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeOnce(t, b) })
	return b, dialTest(t, b, remoting.Options{})
}

func openPop(t testing.TB) (*Broker, *remoting.Conn) {
	t.Helper()
	b, err := Open(t.Context(), timerConfig(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeOnce(t, b) })
	return b, dialTest(t, b, remoting.Options{})
}

func TestPop_InFlightOutlivesARestart(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Kept", 8, "e", "0")
	list := pop(t, c, "Kept", "invisibleTime", "5000", "queueId", "0")
	if len(list) != 8 {
		t.Fatal(len(list))
	}
	ack(t, c, "Kept", list[:3]...)
	b, c = restart(t, b, c)
	if end := b.offsets.query("Poppers", "Kept", 0); end != 8 {
		t.Errorf("consumer offset %d, want 8", end)
	}
	if again := pop(t, c, "Kept"); len(again) != 0 {
		t.Errorf("popped again before they were due: %v", bodies(again))
	}
	ack(t, c, "Kept", list[3]) // by the receipt of the broker before
	b, c = restart(t, b, c)
	again := popAgain(t, c, "Kept", 4)
	if got := strings.Join(bodies(again), ","); got != "4,5,6,7" {
		t.Errorf("came again: %s", got)
	}
	ack(t, c, "Kept", again...)
	ck := b.store.Queue(reviveTopic("DefaultCluster"), 0)
	await(t, "the revive log to be passed", func() bool {
		for id := range int32(8) {
			if b.offsets.query(reviveGroup, ck.Topic(), id) != b.store.Queue(ck.Topic(), id).MaxOffset()-1 {
				return false
			}
		}
		return true
	})
	_, c = restart(t, b, c)
	if more := pop(t, c, "Kept", "pollTime", "300"); len(more) != 0 {
		t.Errorf("acknowledged and popped once more: %v", bodies(more))
	}
}

func TestPop_SavedAndRevivedInOneRun(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Saved", 3, "e", "0")
	list := pop(t, c, "Saved", "invisibleTime", "3000", "queueId", "0")
	ack(t, c, "Saved", list[0])
	if b.pops.save() {
		t.Fatal("not saved")
	}
	if end := b.offsets.query("Poppers", "Saved", 0); end != 3 {
		t.Errorf("consumer offset %d, want 3", end)
	}
	ack(t, c, "Saved", list[1])
	again := popAgain(t, c, "Saved", 1)
	if string(again[0].Body) != "2" || len(again) != 1 {
		t.Errorf("came again: %v", bodies(again))
	}
	if late := time.Since(time.UnixMilli(int64(atoi(t, strings.Fields(list[0].receipt)[1])) + 3000)); late > 10*time.Second {
		t.Errorf("it came %v late", late)
	}
	ack(t, c, "Saved", again...)
	b.pops.save()
	await(t, "the revive log to be passed", func() bool {
		for id := range int32(8) {
			q := b.store.Queue(reviveTopic("DefaultCluster"), id)
			if q.MaxOffset() > 0 && b.offsets.query(reviveGroup, q.Topic(), id) != q.MaxOffset()-1 {
				return false
			}
		}
		return b.timers.wheel.Waiting() == 0
	})
	if n := len(b.pops.find([]byte("Poppers"), []byte("Saved")).findQueue(0).points); n != 0 {
		t.Errorf("%d check points are left", n)
	}
}

// A kill makes the timer deliver a record of the revive log twice.
func TestPop_RecordOfAnotherBrokerMayBeTwiceInTheReviveLog(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Twice", 3, "e", "0")
	ack(t, c, "Twice", popAgain(t, c, "Twice", 3, "queueId", "0")...)
	cfg := b.settings.Load()
	now := time.Now().UnixMilli()
	point := &checkPoint{pq: b.pops.find([]byte("Poppers"), []byte("Twice")).findQueue(0), popTime: now - 10_000, invisible: 1000, n: 3, reviveQueue: 5}
	point.key = &logKey{broker: "elsewhere"}
	body := ckBody{PopTime: point.popTime, Invisible: point.invisible, Num: 3, Topic: "Twice", Group: "Poppers", Broker: point.key.broker, Diffs: []int32{0, 1, 2}}
	record := b.revivePut(cfg, 5, tagCK, &body, nil, point.reviveTime()-ckAheadMS)
	acked := b.ackPut(cfg, 5, point.ackBody(cfg, 1), point.reviveTime())
	if err := b.putAsIs([]store.Put{record, record, acked}); err != nil {
		t.Fatal(err)
	}
	again := popAgain(t, c, "Twice", 2)
	if got := strings.Join(bodies(again), ","); got != "1,2" {
		t.Errorf("came again: %s", got)
	}
	ack(t, c, "Twice", again...)
	q := b.store.Queue(reviveTopic(cfg.Cluster), 5)
	await(t, "the revive log to be passed", func() bool { return b.offsets.query(reviveGroup, q.Topic(), 5) >= 2 })
	if more := pop(t, c, "Twice", "pollTime", "300"); len(more) != 0 {
		t.Errorf("came once more: %v", bodies(more))
	}
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func changeFields(topic string, d *popDelivery, invisible string, changes ...string) [][2]string {
	return ackFields(topic, d, append([]string{"invisibleTime", invisible}, changes...)...)
}

func TestPop_ChangedInvisibleTimeCounts(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Changed", 2, "e", "0")
	list := pop(t, c, "Changed", "queueId", "0")
	r := call(t, c, protocol.ReqChangeMessageInvisibleTime, changeFields("Changed", &list[0], "400", "suspend", "true"), nil)
	if r.Code != 0 || fieldOf(r, "invisibleTime") != "400" || fieldOf(r, "reviveQid") != strings.Fields(list[0].receipt)[3] {
		t.Fatal(r.Code, string(r.Remark))
	}
	if r := call(t, c, protocol.ReqChangeMessageInvisibleTime, changeFields("Changed", &list[0], "400"), nil); r.Code != protocol.CodeNoMessage {
		t.Errorf("an old receipt: code %d: %s", r.Code, r.Remark)
	}
	ack(t, c, "Changed", list[1])
	again := popAgain(t, c, "Changed", 1)
	if string(again[0].Body) != "0" || again[0].ReconsumeTimes != 0 {
		t.Errorf("%s came again, tries %d", again[0].Body, again[0].ReconsumeTimes)
	}
	ack(t, c, "Changed", again...)
	await(t, "the consumer offset", func() bool { return b.offsets.query("Poppers", "Changed", 0) == 2 })
}

// What was popped, changed and not saved must stay in front of the consumer offset.
func TestPop_OffsetWaitsForChangedMessages(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Waits", 1, "e", "0")
	list := pop(t, c, "Waits", "queueId", "0")
	first := call(t, c, protocol.ReqChangeMessageInvisibleTime, changeFields("Waits", &list[0], "30000"), nil)
	list[0].receipt = fmt.Sprintf("0 %s 30000 %s 0 broker-a 0 0", fieldOf(first, "popTime"), fieldOf(first, "reviveQid"))
	second := call(t, c, protocol.ReqChangeMessageInvisibleTime, changeFields("Waits", &list[0], "40000"), nil)
	if first.Code != 0 || second.Code != 0 {
		t.Fatal(first.Code, second.Code, string(second.Remark))
	}
	if end := b.offsets.query("Poppers", "Waits", 0); end != 0 {
		t.Errorf("consumer offset %d before anything was saved", end)
	}
	b.pops.save()
	if end := b.offsets.query("Poppers", "Waits", 0); end != 1 {
		t.Errorf("consumer offset %d after everything was saved", end)
	}
}

func TestPop_InOrder(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Ordered", 5, "e", "0")
	take := func(changes ...string) []popDelivery {
		return pop(t, c, "Ordered", append([]string{"order", "true", "maxMsgNums", "2", "queueId", "0", "invisibleTime", "2500"}, changes...)...)
	}
	list := take("attemptId", "a1")
	if got := strings.Join(bodies(list), ","); got != "0,1" || strings.Fields(list[0].receipt)[3] != "999" {
		t.Fatal(got, list[0].receipt)
	}
	if more := take(); len(more) != 0 {
		t.Errorf("a blocked queue was popped: %v", bodies(more))
	}
	if same := take("attemptId", "a1"); len(same) != 2 || same[0].count != 0 {
		t.Errorf("the same attempt got %v", bodies(same))
	} else {
		list = same
	}
	again := popAgain(t, c, "Ordered", 2, "order", "true", "maxMsgNums", "2", "queueId", "0", "invisibleTime", "60000")
	if got := strings.Join(bodies(again), ","); got != "0,1" || again[0].count != 1 {
		t.Errorf("came again: %s, count %d", got, again[0].count)
	}
	ack(t, c, "Ordered", list[0]) // stale: changes nothing
	if end := b.offsets.query("Poppers", "Ordered", 0); end != 0 {
		t.Errorf("consumer offset %d after a stale ack", end)
	}
	ack(t, c, "Ordered", again[0])
	if end := b.offsets.query("Poppers", "Ordered", 0); end != 1 {
		t.Errorf("consumer offset %d, want 1", end)
	}
	p, err := c.Start(&remoting.Call{Code: protocol.ReqPopMessage, Ext: popFields("Ordered", "order", "true", "queueId", "0", "pollTime", "20000")})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the pop to be held", func() bool { return b.holds.waiting() == 1 })
	other := dialTest(t, b, remoting.Options{})
	ack(t, other, "Ordered", again[1])
	r, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rest := deliveries(t, r, "Ordered")
	if got := strings.Join(bodies(rest), ","); got != "2,3,4" {
		t.Errorf("after both were acknowledged: %s", got)
	}
	ack(t, c, "Ordered", rest[2])
	b2, c2 := restart(t, b, c)
	if more := pop(t, c2, "Ordered", "order", "true", "queueId", "0"); len(more) != 0 {
		t.Errorf("blocked no more after a restart: %v", bodies(more))
	}
	ack(t, c2, "Ordered", rest[0], rest[1])
	if end := b2.offsets.query("Poppers", "Ordered", 0); end != 5 {
		t.Errorf("consumer offset %d, want 5", end)
	}
}

// A kill may come before consumerOrderInfo.json has what was popped.
func TestPop_InOrderAcknowledgedAfterAKillSkipsNothing(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Ordered", 3, "e", "0")
	list := pop(t, c, "Ordered", "order", "true", "queueId", "0")
	if len(list) != 3 {
		t.Fatal(len(list))
	}
	b.orders.remove("Ordered", "Poppers")
	for _, step := range []struct{ ack, want int }{{2, 0}, {0, 1}, {2, 1}, {1, 2}} {
		ack(t, c, "Ordered", list[step.ack])
		if at := b.offsets.query("Poppers", "Ordered", 0); at != int64(step.want) {
			t.Errorf("%d acknowledged: consumer offset %d, want %d", step.ack, at, step.want)
		}
	}
	if again := pop(t, c, "Ordered", "order", "true", "queueId", "0"); len(again) != 1 || string(again[0].Body) != "2" {
		t.Errorf("popped again: %v", bodies(again))
	}
}

func TestPop_RefusesForgedReceipts(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Forged", 2, "e", "0")
	list := pop(t, c, "Forged", "queueId", "0")
	good := strings.Fields(list[0].receipt)
	check := func(code int, changes ...string) {
		t.Helper()
		for _, req := range []int{protocol.ReqAckMessage, protocol.ReqChangeMessageInvisibleTime} {
			r := call(t, c, req, changeFields("Forged", &list[0], "1000", changes...), nil)
			if int(r.Code) != code || len(r.Remark) == 0 {
				t.Errorf("%d %q: code %d: %s", req, changes, r.Code, r.Remark)
			}
		}
	}
	with := func(i int, v string) string {
		f := append([]string(nil), good...)
		f[i] = v
		return strings.Join(f, " ")
	}
	check(protocol.CodeInvalidParameter, "extraInfo", "")
	check(protocol.CodeInvalidParameter, "extraInfo", "nonsense")
	check(protocol.CodeInvalidParameter, "extraInfo", strings.Join(good[:5], " "))
	check(protocol.CodeInvalidParameter, "extraInfo", with(0, "-1"))
	check(protocol.CodeInvalidParameter, "extraInfo", with(0, "1"))
	check(protocol.CodeInvalidParameter, "extraInfo", with(3, "8"))
	check(protocol.CodeInvalidParameter, "extraInfo", with(3, "99999999999"))
	check(protocol.CodeInvalidParameter, "extraInfo", with(5, strings.Repeat("x", 2000)))
	check(protocol.CodeNoMessage, "offset", "7")
	check(protocol.CodeNoMessage, "offset", "-1")
	check(protocol.CodeMessageIllegal, "queueId", "4")
	check(protocol.CodeMessageIllegal, "queueId", "-1")
	check(protocol.CodeTopicNotExist, "topic", "Nowhere")
	if r := call(t, c, protocol.ReqChangeMessageInvisibleTime, changeFields("Forged", &list[0], "999999999999"), nil); r.Code != protocol.CodeInvalidParameter {
		t.Errorf("an invisible time of 31 years: code %d: %s", r.Code, r.Remark)
	}
	if r := call(t, c, protocol.ReqAckMessage, ackFields("Forged", &list[0], "extraInfo", with(1, in(-time.Hour))), nil); r.Code != 0 {
		t.Errorf("a receipt that another broker may have made: code %d: %s", r.Code, r.Remark)
	}
	pops := func(code int, changes ...string) {
		t.Helper()
		if r := call(t, c, protocol.ReqPopMessage, popFields("Forged", changes...), nil); int(r.Code) != code || len(r.Remark) == 0 {
			t.Errorf("pop %q: code %d: %s", changes, r.Code, r.Remark)
		}
	}
	pops(protocol.CodeInvalidParameter, "maxMsgNums", "33")
	pops(protocol.CodeInvalidParameter, "queueId", "4")
	pops(protocol.CodeInvalidParameter, "invisibleTime", "999999999999")
	pops(protocol.CodeTopicNotExist, "topic", "Nowhere")
	pops(protocol.CodePollingTimeout, "maxMsgNums", "0")
	pops(protocol.CodeSubscriptionParseFailed, "exp", "||")
	if n := b.pops.pending.size(); n != 1 {
		t.Errorf("%d check points, want 1", n)
	}
}

func TestPop_AcknowledgesInBatches(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Batched", 10, "e", "0")
	list := pop(t, c, "Batched", "queueId", "0", "invisibleTime", "2500")
	f := strings.Fields(list[0].receipt)
	body := func(bits []byte, retry, revive string) []byte {
		return []byte(fmt.Sprintf(`{"brokerName":"broker-a","acks":[{"c":"Poppers","t":"Batched","r":%q,"so":%s,"q":0,"rq":%s,"pt":%s,"it":%s,"b":%q}]}`,
			retry, f[0], revive, f[1], f[2], base64.StdEncoding.EncodeToString(bits)))
	}
	if r := call(t, c, protocol.ReqBatchAckMessage, nil, body([]byte{0xFF, 0x01}, "0", f[3])); r.Code != 0 { // 0 to 8
		t.Fatal(r.Code, string(r.Remark))
	}
	if n := b.pops.find([]byte("Poppers"), []byte("Batched")).findQueue(0).inFlight; n != 1 {
		t.Errorf("%d messages in flight, want 1", n)
	}
	for _, bad := range []struct {
		body []byte
		code int
	}{{nil, protocol.CodeNoMessage}, {[]byte(`{"acks":[]}`), protocol.CodeNoMessage}, {[]byte(`{`), protocol.CodeInvalidParameter},
		{body([]byte{1}, "3", "0"), protocol.CodeInvalidParameter}, {body([]byte{1}, "0", "77"), protocol.CodeInvalidParameter},
		{body(make([]byte, 1000), "0", "0"), protocol.CodeInvalidParameter}} {
		if r := call(t, c, protocol.ReqBatchAckMessage, nil, bad.body); int(r.Code) != bad.code || len(r.Remark) == 0 {
			t.Errorf("%.60s: code %d: %s", bad.body, r.Code, r.Remark)
		}
	}
	if again := popAgain(t, c, "Batched", 1); string(again[0].Body) != "9" {
		t.Errorf("came again: %v", bodies(again))
	}
}

// What was popped before this broker's start is acknowledged in the log, and counts all the same.
func TestPop_CountsAcknowledgementsInTheLog(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Earlier", 5, "e", "0")
	list := popAgain(t, c, "Earlier", 5, "queueId", "0")
	popTime := b.pops.started.Load() - 1000
	for i := range list {
		list[i].receipt = fmt.Sprintf("0 %d 60000 0 0 broker-a 0 %d", popTime, i)
	}
	ack(t, c, "Earlier", list[0])
	body := fmt.Sprintf(`{"brokerName":"broker-a","acks":[{"c":"Poppers","t":"Earlier","r":"0","so":0,"q":0,"rq":0,"pt":%d,"it":60000,"b":%q}]}`,
		popTime, base64.StdEncoding.EncodeToString([]byte{0b1110}))
	if r := call(t, c, protocol.ReqBatchAckMessage, nil, []byte(body)); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	if r := call(t, c, protocol.ReqChangeMessageInvisibleTime, changeFields("Earlier", &list[4], "30000"), nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	if n := b.counts.findGroup("Earlier", "Poppers").acks.Load(); n != 5 {
		t.Errorf("%d acknowledgements are counted, want 5", n)
	}
}

func TestPop_NotifiesPeeksAndCounts(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	other := dialTest(t, b, remoting.Options{})
	sendN(t, c, "Noticed", 1, "e", "0")
	fields := func(changes ...string) [][2]string {
		return changed([][2]string{{"consumerGroup", "Poppers"}, {"topic", "Noticed"}, {"queueId", "-1"}, {"pollTime", "0"}, {"bornTime", in(0)}}, changes)
	}
	if r := call(t, c, protocol.ReqNotification, fields(), nil); r.Code != 0 || fieldOf(r, "hasMsg") != "true" {
		t.Errorf("code %d, has %s", r.Code, fieldOf(r, "hasMsg"))
	}
	if r := call(t, c, protocol.ReqNotification, fields("expType", "TAG", "exp", "Other"), nil); r.Code != 0 || fieldOf(r, "hasMsg") != "false" {
		t.Errorf("code %d, has %s", r.Code, fieldOf(r, "hasMsg"))
	}
	peek := func() *remoting.Response {
		return call(t, c, protocol.ReqPeekMessage, [][2]string{{"consumerGroup", "Poppers"}, {"topic", "Noticed"}, {"queueId", "-1"}, {"maxMsgNums", "8"}}, nil)
	}
	if r := peek(); r.Code != 0 || len(records(t, r.Body)) != 1 || fieldOf(r, "restNum") != "1" {
		t.Errorf("peek: code %d, rest %s", r.Code, fieldOf(r, "restNum"))
	}
	ack(t, c, "Noticed", pop(t, c, "Noticed")...)
	if r := peek(); r.Code != protocol.CodePullNotFound {
		t.Errorf("peek: code %d", r.Code)
	}
	note, err := c.Start(&remoting.Call{Code: protocol.ReqNotification, Ext: fields("pollTime", "20000")})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the notification to be held", func() bool { return b.holds.waiting() == 1 })
	held, err := other.Start(&remoting.Call{Code: protocol.ReqPopMessage, Ext: popFields("Noticed", "pollTime", "20000")})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the pop to be held", func() bool { return b.holds.waiting() == 2 })
	polling := dialTest(t, b, remoting.Options{})
	if r := call(t, polling, protocol.ReqPollingInfo, fields(), nil); r.Code != 0 || fieldOf(r, "pollingNum") != "1" {
		t.Errorf("polling info: code %d, %s", r.Code, fieldOf(r, "pollingNum"))
	}
	sendN(t, polling, "Noticed", 1)
	if r, err := note.Wait(t.Context()); err != nil || fieldOf(r, "hasMsg") != "true" {
		t.Error(err, r)
	}
	if r, err := held.Wait(t.Context()); err != nil || r.Code != 0 {
		t.Error(err, r)
	}
}

func TestPop_FiltersByTag(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	for i := range 6 {
		tag := "A"
		if i%2 == 1 {
			tag = "B"
		}
		sendN(t, c, "Tagged", 1, "e", "0", "i", "TAGS\x01"+tag+"\x02X\x01"+strconv.Itoa(i)+"\x02")
	}
	list := pop(t, c, "Tagged", "exp", "B", "queueId", "0")
	if len(list) != 3 || propOf(list[2].Message, "X") != "5" {
		t.Fatal(bodies(list))
	}
	ack(t, c, "Tagged", list...)
	if end := b.offsets.query("Poppers", "Tagged", 0); end != 6 {
		t.Errorf("consumer offset %d, want 6", end)
	}
	p, err := c.Start(&remoting.Call{Code: protocol.ReqPopMessage, Ext: popFields("Tagged", "exp", "B", "pollTime", "20000")})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the pop to be held", func() bool { return b.holds.waiting() == 1 })
	other := dialTest(t, b, remoting.Options{})
	sendN(t, other, "Tagged", 1, "e", "0", "i", "TAGS\x01A\x02")
	sendN(t, other, "Tagged", 1, "e", "0", "i", "TAGS\x01B\x02X\x01last\x02")
	r, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if list := deliveries(t, r, "Tagged"); len(list) != 1 || propOf(list[0].Message, "X") != "last" {
		t.Errorf("got %v", list)
	}
}

func TestPop_GoesWithItsTopic(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Gone", 4)
	pop(t, c, "Gone")
	if r := call(t, c, protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "Gone"}}, nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	sendN(t, c, "Gone", 4)
	if list := pop(t, c, "Gone"); len(list) != 4 {
		t.Errorf("%d messages of the new topic", len(list))
	}
	if n := b.pops.pending.size(); n != 4 {
		t.Errorf("%d check points, want 4", n)
	}
}

func TestPop_ResetIsForTheNextPop(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Reset", 4, "e", "0")
	pop(t, c, "Reset", "queueId", "0")
	b.offsets.reset("Poppers", "Reset", 0, 1)
	if list := pop(t, c, "Reset", "queueId", "0"); len(list) != 3 {
		t.Errorf("after a reset: %v", bodies(list))
	}
}

// A pop from an offset at which another pop of the same millisecond began, as behind a reset, has receipts of its own.
func TestPop_SameMillisecondBehindAReset(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Same", 4, "e", "0")
	sendN(t, c, "Same", 4, "e", "1")
	pg := b.pops.of([]byte("Poppers"), []byte("Same"))
	pq := pg.queue(b.pops, b.store.Queue("Same", 0))
	pq.mu.Lock()
	for at, end := time.Now().UnixMilli(), time.Now().Add(time.Minute).UnixMilli(); at < end; at++ {
		pq.points[pointKey{0, at}] = &checkPoint{pq: pq, heapAt: -1}
	}
	pq.mu.Unlock()
	for n := 0; n < 8; {
		list := pop(t, c, "Same")
		if n += len(list); len(list) == 0 {
			t.Fatalf("%d of 8 messages were popped", n)
		}
		ack(t, c, "Same", list...)
	}
	for _, queue := range []int32{0, 1} {
		pq := pg.findQueue(queue)
		pq.mu.Lock()
		if pq.inFlight != 0 {
			t.Errorf("%d messages of queue %d are in flight still", pq.inFlight, queue)
		}
		pq.mu.Unlock()
	}
}

func TestPop_StopsWhenTooMuchIsInFlight(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.PopLimit, cfg.PopLimitMessages = true, 4
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "Limited", 12, "e", "0")
	var all []popDelivery
	for range 4 {
		all = append(all, pop(t, c, "Limited", "queueId", "0", "maxMsgNums", "3")...)
	}
	if len(all) != 6 {
		t.Errorf("%d messages, want 6", len(all))
	}
	ack(t, c, "Limited", all...)
	if more := pop(t, c, "Limited", "queueId", "0", "maxMsgNums", "3"); len(more) != 3 {
		t.Errorf("%d messages, want 3", len(more))
	}
}

func TestRequestMode_IsKept(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Moded", 1)
	set := func(body string) int32 {
		return call(t, c, protocol.ReqSetMessageRequestMode, nil, []byte(body)).Code
	}
	if code := set(`{"consumerGroup":"Poppers","mode":"POP","popShareQueueNum":0,"topic":"Moded"}`); code != 0 {
		t.Fatal(code)
	}
	for body, want := range map[string]int32{`{"consumerGroup":"Poppers","mode":"PUSH","topic":"Moded"}`: protocol.CodeInvalidParameter,
		`{"consumerGroup":"Poppers","mode":"POP","topic":"%RETRY%Poppers"}`: protocol.CodeNoPermission,
		`{"consumerGroup":"Poppers","mode":"POP","topic":"Nowhere"}`:        protocol.CodeTopicNotExist} {
		if code := set(body); code != want {
			t.Errorf("%s: code %d, want %d", body, code, want)
		}
	}
	_, c = restart(t, b, c)
	r := call(t, c, protocol.ReqGetAllMessageRequestMode, nil, nil)
	if got := string(r.Body); got != `{"messageRequestModeMap":{"Moded":{"Poppers":{"consumerGroup":"Poppers","mode":"POP","popShareQueueNum":0,"topic":"Moded"}}}}` {
		t.Error(got)
	}
}

// TestGolden_PopsAreAnsweredLikeApache sends the frames of Apache's client and compares what its broker answered, but for numbers that depend
// on what was stored before.
func TestGolden_PopsAreAnsweredLikeApache(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	if err := b.topics.update(newConfig("WireJ", 2)); err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{"WireGroupJP", "WireGroupJP2"} {
		b.groups.get([]byte(group))
	}
	for i := range 8 {
		sendN(t, c, "WireJ", 1, "e", strconv.Itoa(i%2))
	}
	nc, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, name := range []string{"000401-SET_MESSAGE_REQUEST_MODE", "000402-GET_ALL_MESSAGE_REQUEST_MODE", "200050-POP_MESSAGE", "200051-ACK_MESSAGE",
		"200053-CHANGE_MESSAGE_INVISIBLETIME", "200151-BATCH_ACK_MESSAGE", "200052-PEEK_MESSAGE", "200054-NOTIFICATION", "200055-POLLING_INFO"} {
		want, wantBody := decodeFrame(t, readHex(t, "testdata/golden/json-"+name+"-c2b.resp.hex"))
		frame := readHex(t, "testdata/golden/json-"+name+"-c2b.req.hex")
		frame = bytes.Replace(frame, []byte(`"bornTime":"1795220773618"`), []byte(`"bornTime":"`+in(0)+`"`), 1)
		got, body := decodeFrame(t, rawCall(t, nc, frame))
		if got.Code != want.Code || got.Opaque != want.Opaque || got.Flag != want.Flag || got.Serialization != want.Serialization {
			t.Errorf("%s: head %+v, want %+v; %s", name, got, want, got.Remark)
		}
		if string(want.Remark) == "FOUND" && string(got.Remark) != "FOUND" {
			t.Errorf("%s: remark %s", name, got.Remark)
		}
		keys := func(fields []protocol.Field) (all []string) {
			for _, f := range fields {
				all = append(all, string(f.Key))
			}
			slices.Sort(all)
			return all
		}
		if !slices.Equal(keys(got.Fields), keys(want.Fields)) {
			t.Errorf("%s: fields %q, want %q", name, got.Fields, want.Fields)
		}
		if (len(body) == 0) != (len(wantBody) == 0) {
			t.Errorf("%s: body of %d bytes, want %d", name, len(body), len(wantBody))
		}
		if name == "000402-GET_ALL_MESSAGE_REQUEST_MODE" && string(body) != string(wantBody) {
			t.Errorf("%s: body %s, want %s", name, body, wantBody)
		}
	}
}

// What Apache's broker had put into its revive log.
func TestGolden_ReviveLogIsWrittenLikeApache(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	cfg := b.settings.Load()
	pq := &popQueue{group: &popGroup{topic: "GoldenPop", group: "GoldenPopGroup"}}
	c := &checkPoint{pq: pq, popTime: 1795219919612, invisible: 10000, n: 6}
	check := func(p store.Put, tag, key, body string) {
		t.Helper()
		if string(p.Body) != body || propOf(p.Message, message.PropUniqKey) != key || propOf(p.Message, message.PropTags) != tag {
			t.Errorf("%s %s\n got %s\nwant %s", tag, propOf(p.Message, message.PropUniqKey), p.Body, body)
		}
	}
	check(b.ckPut(cfg, c), "ck", "GoldenPop@0@0@GoldenPopGroup@1795219919612@broker-a@ck",
		`{"bm":0,"bn":"broker-a","c":"GoldenPopGroup","d":[0,1,2,3,4,5],"it":10000,"n":6,"pt":1795219919612,"q":0,"reviveTime":1795219929612,"ro":0,"so":0,"sp":false,"t":"GoldenPop"}`)
	check(b.ackPut(cfg, 0, c.ackBody(cfg, 1), c.reviveTime()), "ack", "GoldenPop@0@0@GoldenPopGroup@1795219919612@broker-a@ack",
		`{"ao":0,"bn":"broker-a","c":"GoldenPopGroup","pt":1795219919612,"q":0,"so":0,"t":"GoldenPop"}`)
	check(b.ackPut(cfg, 0, c.ackBody(cfg, 6), c.reviveTime()), "bAck", "GoldenPop@0@-1@GoldenPopGroup@1795219919612@broker-a@ack",
		`{"ao":-1,"aol":[1,2],"bn":"broker-a","c":"GoldenPopGroup","pt":1795219919612,"q":0,"so":0,"t":"GoldenPop"}`)
}

func TestAssignment_OfPopsSharesQueues(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.RequestMode = modePop
	b := openTest(t, cfg)
	if err := b.topics.update(newConfig("T", 6)); err != nil {
		t.Fatal(err)
	}
	var all []*consumer
	for _, id := range []string{"c0", "c1", "c2", "c3"} {
		all = append(all, newConsumer(t, b, id))
		all[len(all)-1].beat(t, "G", 0, sub("T", "*", 1))
	}
	check := func(client string, share int, want string) {
		t.Helper()
		if err := b.modes.set(&protocol.RequestMode{Topic: "T", ConsumerGroup: "G", Mode: modePop, PopShareQueueNum: int32(share)}); err != nil {
			t.Fatal(err)
		}
		r := call(t, all[0].conn, protocol.ReqQueryAssignment, nil, []byte(`{"clientId":"`+client+`","consumerGroup":"G","messageModel":"CLUSTERING","strategyName":"AVG","topic":"T"}`))
		got := string(r.Body)
		for _, cut := range []string{`{"messageQueue":{"brokerName":"broker-a","queueId":`, `,"topic":"T"},"mode":"POP"}`, `{"messageQueueAssignments":[`, `]}`, ","} {
			got = strings.ReplaceAll(got, cut, "")
		}
		if got != want {
			t.Errorf("%s, %d shared: %s, want %s", client, share, r.Body, want)
		}
	}
	check("c0", 0, "-1")
	check("c0", 3, "-1")
	check("c0", 1, "0123")
	check("c3", 1, "501")
	check("c1", 2, "2345")
	r := call(t, all[0].conn, protocol.ReqQueryAssignment, nil, []byte(`{"clientId":"c0","consumerGroup":"G","messageModel":"CLUSTERING","strategyName":"AVG","topic":"%RETRY%G"}`))
	if strings.Contains(string(r.Body), modePop) {
		t.Errorf("a retry topic: %s", r.Body)
	}
}

func TestPop_TakesHigherPrioritiesFirst(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	prio := newConfig("Prio", 4)
	prio.Attributes = map[string]string{"+" + attrMessageType: typePriority}
	if err := b.topics.update(prio); err != nil {
		t.Fatal(err)
	}
	for i, p := range []string{"0", "2", "9", "1", "2"} {
		r := call(t, c, protocol.ReqSendMessageV2, sendFields("Prio", "e", "0", "i", "_SYS_MSG_PRIORITY_\x01"+p+"\x02"), []byte(p+"."+strconv.Itoa(i)))
		if r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	var got []string
	for range 5 {
		got = append(got, bodies(pop(t, c, "Prio", "maxMsgNums", "1"))...)
	}
	if order := strings.Join(got, " "); order != "9.2 2.1 2.4 1.3 0.0" {
		t.Errorf("popped %s", order)
	}
	r := call(t, c, protocol.ReqSendMessageV2, sendFields("Prio", "e", "1", "i", "_SYS_MSG_PRIORITY_\x013\x02__SHARDINGKEY\x01k\x02"), []byte("x"))
	if fieldOf(r, "queueId") != "1" {
		t.Errorf("a message of a group went to queue %s", fieldOf(r, "queueId"))
	}
}

func TestPop_WhatDoesNotFitIntoMemoryIsInTheLog(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.PopMaxBuffer = 1
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "Many", 6, "e", "0")
	var all []popDelivery
	for range 6 {
		all = append(all, pop(t, c, "Many", "queueId", "0", "maxMsgNums", "1", "invisibleTime", "2500")...)
	}
	b.pops.save()
	if n := b.pops.pending.size(); n != 1 {
		t.Errorf("%d check points in memory, want 1", n)
	}
	ack(t, c, "Many", all[0], all[5])
	again := popAgain(t, c, "Many", 4)
	got := bodies(again)
	slices.Sort(got)
	if strings.Join(got, "") != "1234" {
		t.Errorf("came again: %v", got)
	}
	ack(t, c, "Many", again...)
	if more := pop(t, c, "Many", "pollTime", "500"); len(more) != 0 {
		t.Errorf("and more: %v", bodies(more))
	}
	if n := b.pops.find([]byte("Poppers"), []byte("Many")).findQueue(0).inFlight; n != 0 {
		t.Errorf("%d messages are in flight", n)
	}
}

func TestPop_FiltersBySQL(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.PropertyFilter = true
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	for i := range 6 {
		sendN(t, c, "Asked", 1, "e", "0", "i", "n\x01"+strconv.Itoa(i)+"\x02")
	}
	sql := []string{"queueId", "0", "expType", "SQL92", "exp", "n BETWEEN 2 AND 3 OR n = 5", "invisibleTime", "2000"}
	list := pop(t, c, "Asked", sql...)
	if got := strings.Join(bodies(list), ""); len(list) != 3 || propOf(list[2].Message, "n") != "5" {
		t.Fatal(got, len(list))
	}
	ack(t, c, "Asked", list[:2]...)
	again := popAgain(t, c, "Asked", 1, sql...)
	if propOf(again[0].Message, "n") != "5" || again[0].ReconsumeTimes != 1 {
		t.Errorf("n=%s came again", propOf(again[0].Message, "n"))
	}
	if r := call(t, c, protocol.ReqPopMessage, popFields("Asked", "expType", "SQL92", "exp", "n BETWEEN"), nil); r.Code != protocol.CodeSubscriptionParseFailed {
		t.Errorf("a wrong expression: code %d: %s", r.Code, r.Remark)
	}
}

func TestPop_RetryTopicsOfTheNewName(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.PopRetryV2, cfg.PopSeparateRetry = true, true
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "Newer", 4)
	if n := len(pop(t, c, "Newer", "invisibleTime", "300")); n != 4 {
		t.Fatal(n)
	}
	again := popAgain(t, c, "Newer", 4)
	queues := map[int32]bool{}
	for _, d := range again {
		queues[d.QueueID] = true
		if d.Topic != "Newer" || strings.Fields(d.receipt)[4] != "2" {
			t.Errorf("%s, receipt %s", d.Topic, d.receipt)
		}
	}
	if len(queues) != 4 {
		t.Errorf("they came from the queues %v", queues)
	}
	ack(t, c, "Newer", again...)
	retry := popRetryTopic("Poppers", "Newer", popRetryV2)
	for id := range int32(4) {
		if got := b.offsets.query("Poppers", retry, id); got != 1 {
			t.Errorf("consumer offset of queue %d of %s is %d", id, retry, got)
		}
	}
}

func TestPop_ShowsTheRetryTopicWhenAsked(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.PopActualRetryTopic = true
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "Actual", 1)
	pop(t, c, "Actual", "invisibleTime", "200")
	again := popAgain(t, c, "Actual", 1)
	if again[0].Topic != popRetryTopic("Poppers", "Actual", popRetryV1) {
		t.Errorf("topic %s", again[0].Topic)
	}
	ack(t, c, "Actual", again...)
	await(t, "all check points to go", func() bool { return b.pops.pending.size() == 0 })
}

// A message that was delayed once comes again when its invisible time is over.
func TestPop_WhatWasDelayedIsNotDelayedAgain(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "Delayed", 1, "e", "0", "i", "DELAY\x011\x02")
	popAgain(t, c, "Delayed", 1, "invisibleTime", "300")
	again := popAgain(t, c, "Delayed", 1)
	if again[0].ReconsumeTimes != 1 {
		t.Errorf("tries %d", again[0].ReconsumeTimes)
	}
	ack(t, c, "Delayed", again...)
	if n := b.store.Queue(topicSchedule, 0).MaxOffset(); n != 1 {
		t.Errorf("%d messages were delayed", n)
	}
}
