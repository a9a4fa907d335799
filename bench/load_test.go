//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestSend_IsWhatTheJavaClientSends(t *testing.T) {
	t.Parallel()
	check := func(name string, s serialization, r request) {
		t.Helper()
		if got, want := r.appendTo(nil, s), golden(t, name); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
	}
	check("json-000310-SEND_MESSAGE_V2-c2b.req", jsonHeader, request{code: codeSend, opaque: 11, body: []byte("hello wire"),
		fields: sendFields("WPJ", "WireJ", 0, "1795220755475", joinProperties("u", "v", "KEYS", "K1 K2", "UNIQ_KEY",
			"C00002023AED4E0E2F2A6716EC120000", "WAIT", "true", "TAGS", "TagA"), false)})
	check("rocketmq-000310-SEND_MESSAGE_V2-c2b.req", binaryHeader, request{code: codeSend, opaque: 11, body: []byte("hello wire"),
		fields: sendFields("WPR", "WireR", 0, "1795220895516", joinProperties("u", "v", "KEYS", "K1 K2", "UNIQ_KEY",
			"C000020249224E0E2F2A67190F1C0000", "WAIT", "true", "TAGS", "TagA"), false)})
	batch := func(prefix string) []byte {
		properties := func(key, id string) string {
			return joinProperties("KEYS", key, "UNIQ_KEY", prefix+id, "WAIT", "true", "TAGS", "TB")
		}
		return appendBatched(appendBatched(nil, []byte("b1"), properties("B1", "0002")), []byte("b2"), properties("B2", "0003"))
	}
	check("json-000320-SEND_BATCH_MESSAGE-c2b.req", jsonHeader, request{code: codeSendBatch, opaque: 18,
		body: batch("C00002023AED4E0E2F2A6716EFD4"), fields: sendFields("WPJ", "WireJ", 0, "1795220756436",
			joinProperties("UNIQ_KEY", "C00002023AED4E0E2F2A6716EFD40004", "WAIT", "true"), true)})
	check("rocketmq-000320-SEND_BATCH_MESSAGE-c2b.req", binaryHeader, request{code: codeSendBatch, opaque: 17,
		body: batch("C000020249224E0E2F2A67191169"), fields: sendFields("WPR", "WireR", 0, "1795220896105",
			joinProperties("UNIQ_KEY", "C000020249224E0E2F2A671911690004", "WAIT", "true"), true)})
	create := createTopicRequest("WireJ", 2)
	check("json-000017-UPDATE_AND_CREATE_TOPIC-c2b.req", jsonHeader, create)
	limit := maxOffsetRequest("WireJ", 0)
	limit.opaque = 203
	check("json-000030-GET_MAX_OFFSET-c2b.req", jsonHeader, limit)
}

func TestEndTransaction_IsWhatTheJavaClientSends(t *testing.T) {
	t.Parallel()
	r := request{code: codeEndTransaction, flag: 2, opaque: 32,
		fields: endFields(nil, "WTPJ", "WireJ", "C00002023AED4E0E2F2A6716F4F60007", 2045, 0)}
	if got, want := r.appendTo(nil, jsonHeader), golden(t, "json-000037-END_TRANSACTION-c2b-rconeway.req"); !bytes.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestPull_IsWhatTheJavaClientSends(t *testing.T) {
	t.Parallel()
	r := reader{conn: &conn{}, group: "WireGroupJ", topic: "WireJ", opaque: 86 - topicQueues, subVersion: "1795220760417"}
	r.post()
	if want := golden(t, "json-000011-PULL_MESSAGE-c2b.req"); !bytes.Equal(r.conn.out, want) {
		t.Errorf("got  %q\nwant %q", r.conn.out, want)
	}
	r.offset, r.conn.out = 5, nil
	r.post()
	if !bytes.Contains(r.conn.out, []byte(`"sysFlag":"3"`)) || !bytes.Contains(r.conn.out, []byte(`"commitOffset":"5"`)) {
		t.Errorf("a pull from offset 5 does not commit it: %q", r.conn.out)
	}
}

func TestHeartbeat_HasTheJavaClientsKeys(t *testing.T) {
	t.Parallel()
	var keys func(v any, path string) []string
	keys = func(v any, path string) []string {
		var all []string
		switch v := v.(type) {
		case map[string]any:
			for k, inner := range v {
				all = append(append(all, path+k), keys(inner, path+k+".")...)
			}
		case []any:
			if len(v) > 0 {
				all = keys(v[0], path)
			}
		}
		slices.Sort(all)
		return all
	}
	read := func(frame []byte) []string {
		a, err := parseAnswer(frame[4:])
		if err != nil {
			t.Fatal(err)
		}
		var body any
		if err := json.Unmarshal(a.body, &body); err != nil {
			t.Fatal(err)
		}
		return keys(body, "")
	}
	got := read(heartbeat("c", "g", "t", "1").appendTo(nil, jsonHeader))
	if want := read(golden(t, "json-000034-HEART_BEAT-c2b.req")); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestTemplate_ChangesOnlyWhatDiffersFromMessageToMessage(t *testing.T) {
	born := time.UnixMilli(1795220755475)
	for _, header := range []serialization{jsonHeader, binaryHeader} {
		for _, batch := range []int{1, 32} {
			tmpl := newTemplate(message{topic: "T", bodySize: 128, header: header, batch: batch})
			keySequence = 0xABC
			got := tmpl.appendTo(nil, 1_234_567_890, born, 7)
			// The same message built the plain way.
			key := func(n int) string { return keyHole[:20] + fmt.Sprintf("%012X", n) }
			properties := func(n int) string {
				return joinProperties("UNIQ_KEY", key(n), "WAIT", "true", "TAGS", "TagA")
			}
			body := newTemplate(message{bodySize: 128}).frame
			body = body[len(body)-128:]
			want := request{code: codeSend, opaque: 1_234_567_890, body: body,
				fields: sendFields("BenchProducer", "T", 7, "1795220755475", properties(0xABD), false)}
			if batch > 1 {
				want.code, want.body = codeSendBatch, nil
				for i := range batch {
					want.body = appendBatched(want.body, body, properties(0xABE+i))
				}
				want.fields = sendFields("BenchProducer", "T", 7, "1795220755475",
					joinProperties("UNIQ_KEY", key(0xABD), "WAIT", "true"), true)
			}
			if want := want.appendTo(nil, header); !bytes.Equal(got, want) {
				t.Errorf("%v, batch of %d:\n got %q\nwant %q", header, batch, got, want)
			}
		}
	}
}

// A fakeBroker answers each request through a function, as fast as it can.
func fakeBroker(t *testing.T, reply func(r answer) request) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serve := func(c net.Conn) {
		defer c.Close()
		for {
			var size [4]byte
			if _, err := io.ReadFull(c, size[:]); err != nil {
				return
			}
			frame := make([]byte, binary.BigEndian.Uint32(size[:]))
			if _, err := io.ReadFull(c, frame); err != nil {
				return
			}
			a, err := parseAnswer(frame)
			if err != nil {
				t.Error(err)
				return
			}
			r := reply(a)
			r.flag, r.opaque = flagResponse, a.opaque
			if _, err := c.Write(r.appendTo(nil, jsonHeader)); err != nil {
				return
			}
		}
	}
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return l.Addr().String()
}

func TestSendLoad_CountsWhatIsAccepted(t *testing.T) {
	for _, writeEach := range []bool{false, true} {
		var stored atomic.Int64
		addr := fakeBroker(t, func(a answer) request {
			if a.code == codeMaxOffset {
				q, _ := a.field("queueId")
				if q != "0" {
					return request{fields: []field{{"offset", "0"}}}
				}
				return request{fields: []field{{"offset", strconv.FormatInt(stored.Load(), 10)}}}
			}
			stored.Add(1)
			return request{}
		})
		l, err := newSendLoad(addr, message{topic: "T", bodySize: 128}, 3, 5, writeEach)
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		ctx := context.Background()
		for range 2 { // a load that has finished begins again
			l.reset()
			if err := l.begin(); err != nil {
				t.Fatal(err)
			}
			if err := l.loop.runFor(ctx, time.Minute, func() bool { return l.messages >= 1000 }); err != nil {
				t.Fatal(err)
			}
			if err := (checkedSend{l, addr, "T", 0}).finish(ctx); err != nil {
				t.Error(err)
			}
		}
		if l.accepted < 2000 || l.accepted != stored.Load() || l.latency.n != uint64(l.messages) {
			t.Errorf("accepted %d, stored %d, %d latencies", l.accepted, stored.Load(), l.latency.n)
		}
	}
}

func TestSendLoad_CountsRefusalsApart(t *testing.T) {
	var n atomic.Int64
	addr := fakeBroker(t, func(answer) request {
		if n.Add(1)%10 == 0 {
			return request{code: 2}
		}
		return request{}
	})
	l, err := newSendLoad(addr, message{topic: "T", bodySize: 128}, 1, 4, false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if err := l.begin(); err != nil {
		t.Fatal(err)
	}
	if err := l.loop.runFor(context.Background(), time.Minute, func() bool { return n.Load() > 100 }); err != nil {
		t.Fatal(err)
	}
	if err := l.drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r := l.refused(); r.n < 10 || !strings.HasPrefix(r.first, "2 ") || r.n+l.accepted != n.Load() {
		t.Errorf("of %d answers %d were accepted, %d refused, the first as %q", n.Load(), l.accepted, r.n, r.first)
	}
}

// records makes stored records as a pull's answer has them.
func records(from, n int64, body []byte) (all []byte) {
	for i := range n {
		record := make([]byte, recordBody+len(body)+3)
		binary.BigEndian.PutUint32(record, uint32(len(record)))
		binary.BigEndian.PutUint64(record[recordQueueOffset:], uint64(from+i))
		binary.BigEndian.PutUint32(record[recordBodySize:], uint32(len(body)))
		copy(record[recordBody:], body)
		all = append(all, record...)
	}
	return all
}

func TestPullLoad_ReadsTheBacklogInOrder(t *testing.T) {
	check := func(skip int64, want string) {
		t.Helper()
		addr := fakeBroker(t, func(a answer) request {
			if a.code != codePull {
				return request{}
			}
			offset, err := a.number("queueOffset")
			if err != nil {
				t.Error(err)
			}
			if offset > 100 {
				offset += skip
			}
			return request{body: records(offset, pullMessages, make([]byte, 128))}
		})
		ctx := context.Background()
		var ends [topicQueues]int64
		for q := range ends {
			ends[q] = 1000
		}
		l, err := newPullLoad(ctx, addr, "G", "T", ends, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		if err := l.begin(); err != nil {
			t.Fatal(err)
		}
		err = l.loop.runFor(ctx, time.Minute, func() bool { return l.messages >= 20_000 }) // more than twice around
		if err == nil {
			err = l.drain(ctx)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("with %d messages left out: %v", skip, err)
		}
	}
	check(0, "")
	check(1, "where")
}

// TestProcessCPU_CountsWork measures this process from outside, as it measures servers.
func TestProcessCPU_CountsWork(t *testing.T) {
	before, err := processCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for begun := ownCPU(); ownCPU()-begun < 20*time.Millisecond; {
	}
	after, err := processCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if got := after - before; got < 19*time.Millisecond {
		t.Errorf("20 ms of work count as %v", got)
	}
}

func TestFreePorts_AreFree(t *testing.T) {
	p, err := freePorts()
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []int{p.namesrv, p.broker, p.broker - 2, p.broker + 1} {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			t.Errorf("port %d: %v", port, err)
			continue
		}
		l.Close()
	}
}

// What a message costs the generator itself.
func BenchmarkTemplate(b *testing.B) {
	for _, header := range []serialization{jsonHeader, binaryHeader} {
		b.Run(header.String(), func(b *testing.B) {
			tmpl := newTemplate(message{topic: "Bench128", bodySize: 128, header: header})
			born := time.Now()
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				out = tmpl.appendTo(out[:0], firstOpaque+1, born, 3)
			}
		})
	}
}

func BenchmarkParseAnswer(b *testing.B) {
	for _, name := range []string{"json", "rocketmq"} {
		b.Run(name, func(b *testing.B) {
			frame := golden(b, name+"-000310-SEND_MESSAGE_V2-c2b.resp")[4:]
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parseAnswer(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestGuard_FailsOnlyByFar(t *testing.T) {
	if err := guard([]verdict{{What: "a", Margin: 3}, {What: "b", Margin: 0.6}}); err != nil {
		t.Errorf("a bar that is missed by little fails: %v", err)
	}
	if err := guard([]verdict{{What: "a", Margin: 3}, {What: "b", Margin: 0.2}}); err == nil {
		t.Error("a bar that is missed by far does not fail")
	}
}
