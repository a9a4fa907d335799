package broker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
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
	first := pop(t, c, "Popped", "invisibleTime", "700")
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
	for b.holds.waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
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
