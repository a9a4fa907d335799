package broker

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// testConfig is a broker on loopback in a folder of the test's own.
func testConfig(t testing.TB) config.Broker {
	t.Helper()
	cfg := config.DefaultBroker()
	cfg.RootDir, cfg.Name, cfg.BrokerIP1, cfg.BindAddress, cfg.ListenPort = t.TempDir(), "broker-a", "127.0.0.1", "127.0.0.1", 0
	cfg.NamesrvAddr = ""
	return cfg
}

// openTest opens a broker that is closed with the test.
func openTest(t testing.TB, cfg config.Broker) *Broker {
	t.Helper()
	b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	addr := b.Addr().String()
	opened.Store(addr, b)
	t.Cleanup(func() {
		opened.Delete(addr)
		if err := b.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	return b
}

func dialTest(t testing.TB, b *Broker, opt remoting.Options) *remoting.Conn {
	t.Helper()
	opt.Log = slog.New(slog.DiscardHandler)
	c, err := remoting.Dial(t.Context(), b.Addr().String(), nil, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); <-c.Done() })
	return c
}

// sendFields are the fields of a plain send, changed by the pairs that follow.
func sendFields(topic string, changes ...string) [][2]string {
	ext := [][2]string{{"a", "Producer"}, {"b", topic}, {"c", "TBW102"}, {"d", "4"}, {"e", "0"}, {"f", "0"}, {"g", "1700000000000"}, {"h", "0"},
		{"i", "UNIQ_KEY\x01C00002023AED4E0E2F2A6716EC120000\x02WAIT\x01true\x02"}, {"j", "0"}, {"k", "false"}, {"m", "false"}}
	for i := 0; i < len(changes); i += 2 {
		for j := range ext {
			if ext[j][0] == changes[i] {
				ext[j][1] = changes[i+1]
			}
		}
	}
	return ext
}

// pullFields are the fields of a pull that brings its subscription along.
func pullFields(topic string, queue int, offset int64, changes ...string) [][2]string {
	ext := [][2]string{{"consumerGroup", "Consumer"}, {"topic", topic}, {"queueId", strconv.Itoa(queue)}, {"queueOffset", strconv.FormatInt(offset, 10)},
		{"maxMsgNums", "32"}, {"sysFlag", "4"}, {"commitOffset", "0"}, {"suspendTimeoutMillis", "20000"}, {"subscription", "*"}, {"subVersion", "0"}, {"expressionType", "TAG"}}
	for i := 0; i < len(changes); i += 2 {
		for j := range ext {
			if ext[j][0] == changes[i] {
				ext[j][1] = changes[i+1]
			}
		}
	}
	return ext
}

func call(t testing.TB, c *remoting.Conn, code int, ext [][2]string, body []byte) *remoting.Response {
	t.Helper()
	r, err := c.Call(t.Context(), &remoting.Call{Code: code, Ext: ext, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	settle(c, code, r)
	return r
}

// opened are the brokers of openTest by address.
var opened sync.Map

// settle waits, after a request that stores messages, until consumers see them: such a request is answered before.
func settle(c *remoting.Conn, code int, r *remoting.Response) {
	switch code {
	case protocol.ReqSendMessage, protocol.ReqSendMessageV2, protocol.ReqSendBatchMessage, protocol.ReqConsumerSendMsgBack, protocol.ReqEndTransaction:
	default:
		return
	}
	b, ok := opened.Load(c.RemoteAddr().String())
	if !ok || r.Code != protocol.CodeSuccess {
		return
	}
	s := b.(*Broker).store
	written := s.Stats().Written
	for end := time.Now().Add(5 * time.Second); s.Stats().Dispatched < written && time.Now().Before(end); {
		time.Sleep(100 * time.Microsecond)
	}
}

func records(t testing.TB, body []byte) (ms []message.Message) {
	t.Helper()
	for len(body) > 0 {
		var m message.Message
		if err := message.Decode(body, &m); err != nil {
			t.Fatal(err)
		}
		body = body[m.Size:]
		ms = append(ms, m)
	}
	return ms
}

func readHex(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rawCall sends a whole frame and reads one back.
func rawCall(t testing.TB, nc net.Conn, frame []byte) []byte {
	t.Helper()
	if _, err := nc.Write(frame); err != nil {
		t.Fatal(err)
	}
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	head := make([]byte, 4)
	if _, err := io.ReadFull(nc, head); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4+binary.BigEndian.Uint32(head))
	copy(answer, head)
	if _, err := io.ReadFull(nc, answer[4:]); err != nil {
		t.Fatal(err)
	}
	return answer
}

func decodeFrame(t testing.TB, frame []byte) (h protocol.Header, body []byte) {
	t.Helper()
	n := int(binary.BigEndian.Uint32(frame[4:]) & 0xFFFFFF)
	if err := protocol.DecodeHeader(&h, protocol.Serialization(frame[4]), frame[8:8+n]); err != nil {
		t.Fatal(err)
	}
	return h, frame[8+n:]
}

// TestGolden_SendsAreAnsweredLikeApache sends the frames of Apache's client and compares the answers with those of Apache's
// broker, but for the numbers that depend on what was stored before.
func TestGolden_SendsAreAnsweredLikeApache(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	nc, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, name := range []string{"json-000310-SEND_MESSAGE_V2-c2b", "rocketmq-000310-SEND_MESSAGE_V2-c2b", "json-000320-SEND_BATCH_MESSAGE-c2b", "rocketmq-000320-SEND_BATCH_MESSAGE-c2b"} {
		want, _ := decodeFrame(t, readHex(t, "testdata/golden/"+name+".resp.hex"))
		got, _ := decodeFrame(t, rawCall(t, nc, readHex(t, "testdata/golden/"+name+".req.hex")))
		if got.Code != want.Code || got.Opaque != want.Opaque || got.Flag != want.Flag || got.Version != want.Version || got.Language != want.Language || got.Serialization != want.Serialization {
			t.Errorf("%s: head %+v, want %+v", name, got, want)
		}
		if len(got.Fields) != len(want.Fields) {
			t.Errorf("%s: fields %q, want %q", name, got.Fields, want.Fields)
		}
		for _, f := range want.Fields {
			v, ok := got.Get(string(f.Key))
			same := bytes.Equal(v, f.Value)
			if k := string(f.Key); k == "msgId" || k == "queueOffset" {
				same = len(v) == len(f.Value)
			}
			if !ok || !same {
				t.Errorf("%s: field %s is %q, want %q", name, f.Key, v, f.Value)
			}
		}
	}
}

func TestSend_StoresWhatWasSent(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	props := "KEYS\x01K1 K2\x02TAGS\x01TagA\x02user\x01é\x02UNIQ_KEY\x01C00002023AED4E0E2F2A6716EC120000\x02WAIT\x01true" // the last separator left out
	r := call(t, c, protocol.ReqSendMessageV2, sendFields("Topic", "e", "2", "h", "7", "i", props, "j", "3"), []byte("body"))
	if r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	p := call(t, c, protocol.ReqPullMessage, pullFields("Topic", 2, 0), nil)
	ms := records(t, p.Body)
	if p.Code != 0 || string(p.Remark) != "FOUND" || len(ms) != 1 {
		t.Fatal(p.Code, string(p.Remark), len(ms))
	}
	m := ms[0]
	if m.Topic != "Topic" || m.QueueID != 2 || m.Flag != 7 || m.ReconsumeTimes != 3 || m.BornTimestamp != 1700000000000 || string(m.Body) != "body" {
		t.Errorf("stored %+v", m)
	}
	want := props + "\x02MSG_REGION\x01DefaultRegion\x02TRACE_ON\x01true\x02CLUSTER\x01DefaultCluster\x02"
	if string(m.Properties) != want {
		t.Errorf("properties %q, want %q", m.Properties, want)
	}
	id, _ := r.Get("msgId")
	if want := message.AppendOffsetID(nil, m.StoreHost, m.LogOffset); !bytes.Equal(id, want) {
		t.Errorf("msgId %s, want %s", id, want)
	}
}

func TestSend_RefusalsNameTheCause(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.MaxMessageSize = 1000
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	check := func(what string, code int, ext [][2]string, body []byte, want int, words ...string) {
		t.Helper()
		r := call(t, c, code, ext, body)
		if int(r.Code) != want {
			t.Errorf("%s: code %d %s, want %d", what, r.Code, r.Remark, want)
		}
		for _, w := range words {
			if !strings.Contains(string(r.Remark), w) {
				t.Errorf("%s: remark %q does not say %q", what, r.Remark, w)
			}
		}
	}
	send := protocol.ReqSendMessageV2
	check("body too large", send, sendFields("T"), make([]byte, 1001), protocol.CodeMessageIllegal, "1000", "1001")
	check("properties too long", send, sendFields("T", "i", "k\x01"+strings.Repeat("x", 33000)+"\x02"), nil, protocol.CodeMessageIllegal, "32KB")
	check("no such queue", send, sendFields("T", "e", "4711"), nil, protocol.CodeInvalidParameter, "4711", "writeQueueNums")
	check("not a number", send, sendFields("T", "e", "x"), nil, protocol.CodeSystemError, "queueId", "x")
	check("field missing", send, sendFields("T")[1:], nil, protocol.CodeSystemError, "producerGroup", "null")
	check("bad topic name", send, sendFields("no/slash"), nil, protocol.CodeInvalidParameter)
	check("system topic", send, sendFields("SCHEDULE_TOPIC_XXXX"), nil, protocol.CodeNoPermission, "SCHEDULE_TOPIC_XXXX")
	check("no default topic", send, sendFields("Unknown", "c", "NoSuchDefault"), nil, protocol.CodeTopicNotExist, "Unknown")
	check("delay level", send, sendFields("T", "i", "DELAY\x01soon\x02"), nil, protocol.CodeSystemError, "soon")
	check("damaged batch", protocol.ReqSendBatchMessage, sendFields("T", "m", "true"), []byte("nonsense"), protocol.CodeMessageIllegal)
	entry := message.AppendToBatch(nil, message.BatchEntry{Body: make([]byte, 100)})
	batch := bytes.Repeat(entry, 1000/len(entry)+1)
	check("batch too large", protocol.ReqSendBatchMessage, sendFields("T", "m", "true"), batch, protocol.CodeMessageIllegal, "message body size exceeded", strconv.Itoa(len(batch)), "1000")
	if n := b.store.Queue("T", 0).MaxOffset(); n != 0 {
		t.Errorf("%d messages were stored", n)
	}
	check("batch of the size that is allowed", protocol.ReqSendBatchMessage, sendFields("T", "m", "true"),
		message.AppendToBatch(nil, message.BatchEntry{Body: make([]byte, 1000-len(entry)+100)}), 0)
	check("afterwards", send, sendFields("T"), []byte("fine"), 0)
}

// TestSend_EmptyNumberIsAbsentInBinaryHeaders: so Apache reads it; in JSON it is no number.
func TestSend_EmptyNumberIsAbsentInBinaryHeaders(t *testing.T) {
	t.Parallel()
	for _, ser := range []protocol.Serialization{protocol.JSON, protocol.RocketMQ} {
		for _, code := range []int32{protocol.ReqSendMessage, protocol.ReqSendMessageV2} {
			r := &remoting.Request{Header: protocol.Header{Code: code, Serialization: ser}}
			for _, f := range append(sendFields("T", "j", "", "c", ""), [2]string{"l", ""}) {
				if code == protocol.ReqSendMessage {
					f[0] = sendNames[f[0][0]-'a']
				}
				r.Fields = append(r.Fields, protocol.Field{Key: []byte(f[0]), Value: []byte(f[1])})
			}
			var h sendHeader
			err := decodeSend(r, &h)
			if refused := err != nil; refused != (ser == protocol.JSON) || h.hasMaxReconsume {
				t.Errorf("serialization %d, code %d: %+v, %v", ser, code, h, err)
			}
		}
	}
}

func TestSend_BatchIsStoredAsAWholeAndInOrder(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	var body []byte
	for i := range 10 {
		body = message.AppendToBatch(body, message.BatchEntry{Flag: int32(i), Body: fmt.Appendf(nil, "m%d", i), Properties: []byte("TAGS\x01t\x02")})
	}
	r := call(t, c, protocol.ReqSendBatchMessage, sendFields("Batch", "m", "true", "e", "1"), body)
	if r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	ids, _ := r.Get("msgId")
	if n := bytes.Count(ids, []byte(",")); n != 9 {
		t.Errorf("msgId has %d commas: %s", n, ids)
	}
	ms := records(t, call(t, c, protocol.ReqPullMessage, pullFields("Batch", 1, 0), nil).Body)
	if len(ms) != 10 {
		t.Fatal(len(ms))
	}
	for i, m := range ms {
		if string(m.Body) != fmt.Sprintf("m%d", i) || m.QueueOffset != int64(i) || m.Flag != int32(i) || string(m.Properties) != "TAGS\x01t\x02" {
			t.Errorf("message %d: %+v", i, m)
		}
	}
}

// TestSend_ConcurrentConnectionsKeepTheirOrder sends from many connections with many in flight.
func TestSend_ConcurrentConnectionsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	const conns, each = 8, 500
	var wg sync.WaitGroup
	for p := range conns {
		c := dialTest(t, b, remoting.Options{Serialization: protocol.Serialization(p % 2)})
		wg.Go(func() {
			var all []*remoting.Pending
			for i := range each {
				pending, err := c.Start(&remoting.Call{Code: protocol.ReqSendMessageV2, Ext: sendFields("Order"), Body: fmt.Appendf(nil, "%d %d", p, i)})
				if err != nil {
					t.Error(err)
					return
				}
				all = append(all, pending)
			}
			for i, pending := range all {
				if r, err := pending.Wait(t.Context()); err != nil || r.Code != 0 {
					t.Errorf("message %d: %v %v", i, r, err)
				}
			}
		})
	}
	wg.Wait()
	c := dialTest(t, b, remoting.Options{})
	var next [conns]int
	for offset := int64(0); offset < conns*each; {
		ms := records(t, call(t, c, protocol.ReqPullMessage, pullFields("Order", 0, offset), nil).Body)
		if len(ms) == 0 {
			t.Fatalf("no messages at %d", offset)
		}
		for _, m := range ms {
			var p, i int
			if _, err := fmt.Sscanf(string(m.Body), "%d %d", &p, &i); err != nil || i != next[p] || m.QueueOffset != offset {
				t.Fatalf("at %d: message %q, want %d of its producer", offset, m.Body, next[p])
			}
			next[p]++
			offset++
		}
	}
}

func TestPull_IsHeldUntilAMessageItWantsArrives(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c, producer := dialTest(t, b, remoting.Options{}), dialTest(t, b, remoting.Options{})
	send := func(tag string) {
		t.Helper()
		if r := call(t, producer, protocol.ReqSendMessageV2, sendFields("Hold", "i", "TAGS\x01"+tag+"\x02"), []byte(tag)); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	send("first")
	const suspend = "6" // suspend and subscription
	pending, err := c.Start(&remoting.Call{Code: protocol.ReqPullMessage, Ext: pullFields("Hold", 0, 1, "sysFlag", suspend, "subscription", "wanted")})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the request to be held", func() bool { return b.holds.waiting() > 0 })
	send("unwanted")
	if b.holds.waiting() != 1 {
		t.Error("woken by a message with another tag")
	}
	send("wanted")
	r, err := pending.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if ms := records(t, r.Body); r.Code != 0 || len(ms) != 1 || string(ms[0].Body) != "wanted" {
		t.Errorf("code %d %s, %d messages", r.Code, r.Remark, len(ms))
	}
}

func TestPull_HeldInVainEndsAfterItsTime(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	if r := call(t, c, protocol.ReqSendMessageV2, sendFields("Vain"), []byte("x")); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	begin := time.Now()
	r := call(t, c, protocol.ReqPullMessage, pullFields("Vain", 0, 1, "sysFlag", "6", "suspendTimeoutMillis", "300"), nil)
	if took := time.Since(begin); r.Code != protocol.CodePullNotFound || string(r.Remark) != "OFFSET_OVERFLOW_ONE" || took < 300*time.Millisecond {
		t.Errorf("code %d %s after %v", r.Code, r.Remark, took)
	}
}

func TestPull_HeldIsAnsweredWhenTheBrokerCloses(t *testing.T) {
	t.Parallel()
	b, err := Open(t.Context(), testConfig(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := dialTest(t, b, remoting.Options{})
	if r := call(t, c, protocol.ReqSendMessageV2, sendFields("Close"), []byte("x")); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	pending, err := c.Start(&remoting.Call{Code: protocol.ReqPullMessage, Ext: pullFields("Close", 0, 1, "sysFlag", "6")})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the request to be held", func() bool { return b.holds.waiting() > 0 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := pending.Wait(t.Context()); err != nil || r.Code != protocol.CodePullNotFound {
		t.Errorf("answered with %v, %v", r, err)
	}
}

func TestPull_TellsWhereAnOffsetOutOfRangeGoesOn(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	if r := call(t, c, protocol.ReqSendMessageV2, sendFields("Range"), []byte("x")); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	check := func(queue int, offset int64, code int, next string) {
		t.Helper()
		r := call(t, c, protocol.ReqPullMessage, pullFields("Range", queue, offset), nil)
		if v, _ := r.Get("nextBeginOffset"); int(r.Code) != code || string(v) != next {
			t.Errorf("queue %d offset %d: code %d %s, next %s; want %d, %s", queue, offset, r.Code, r.Remark, v, code, next)
		}
	}
	check(0, 0, protocol.CodeSuccess, "1")
	check(0, 1, protocol.CodePullNotFound, "1")
	check(0, 5, protocol.CodePullOffsetMoved, "1")
	check(0, -1, protocol.CodePullOffsetMoved, "0")
	check(1, 0, protocol.CodePullNotFound, "0")
	check(1, 9, protocol.CodePullOffsetMoved, "0")
}
