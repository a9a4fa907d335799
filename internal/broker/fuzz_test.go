package broker

import (
	"context"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// FuzzHandlers sends any fields and body to any handler, and wants an answer that is not that of a panic.
func FuzzHandlers(f *testing.F) {
	files, err := filepath.Glob("testdata/golden/*.req.hex")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		h, body := decodeFrame(f, readHex(f, file))
		var ext strings.Builder
		for _, field := range h.Fields {
			ext.Write(field.Key)
			ext.WriteByte('=')
			ext.Write(field.Value)
			ext.WriteByte('\n')
		}
		f.Add(uint16(h.Code), ext.String(), body)
	}
	cfg := testConfig(f)
	cfg.IdleMax = 0
	b := openTest(f, cfg)
	c := dialTest(f, b, remoting.Options{})
	f.Fuzz(func(t *testing.T, code uint16, ext string, body []byte) {
		if code == protocol.ReqPullMessage || code == protocol.ReqLitePullMessage {
			return // may be held
		}
		call := &remoting.Call{Code: int(code), Body: body}
		switch code { // POP's codes are longer than 16 bits
		case 50, 51, 52, 53, 55, 151:
			call.Code += 200_000
		}
		for _, line := range strings.Split(ext, "\n") {
			if k, v, ok := strings.Cut(line, "="); ok && !strings.ContainsAny(k, "\"\\") { // names are written as they are
				if k == "pollTime" {
					v = "0" // it would be held
				}
				call.Ext = append(call.Ext, [2]string{k, v})
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		r, err := c.Call(ctx, call)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(r.Remark), "internal error while serving") {
			t.Fatalf("%s: %s", protocol.RequestName(int(code)), r.Remark)
		}
	})
}

// FuzzStateFiles reads any content as each of the state files and their changes.
func FuzzStateFiles(f *testing.F) {
	f.Add([]byte(`{"dataVersion":{"counter":1},"topicConfigTable":{"T":{"perm":6},"U":null},"offsetTable":{"T@G":{0:1}}}`))
	f.Add([]byte(`{"dataVersion":{"counter":2},"topic":{"topicName":"T"}}`))
	f.Add([]byte(`{"dataVersion":{"counter":2},"forbidden":{"group":"G","topic":"T","bits":4}}`))
	f.Add([]byte(`{"topicQueueMappingInfoMap":{"T":{"bname":"b","hostedQueues":{0:[{"bname":"b","logicOffset":-1}],1:[]}},"U":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newMappings("", slog.New(slog.DiscardHandler))
		if m.load(data) == nil {
			for topic, d := range m.byTopic {
				_, _ = leads(d, topic, 0)
				_, _ = d.Info(), mergeMapping(d, &protocol.TopicQueueMappingDetail{HostedQueues: map[int32]protocol.LogicQueue{}}, false)
			}
		}
		top := &topics{byName: map[string]*topic{}, mappings: m, makeBatch: func(string) error { return nil }}
		_ = top.load(data)
		_ = top.apply(data)
		if text, err := top.encode(); err != nil || fastjson.Unmarshal(text, new(protocol.TopicConfigs)) != nil {
			t.Errorf("topics written: %s, %v", text, err)
		}
		g := &groups{byName: map[string]*group{}, forbidden: map[string]map[string]int32{}}
		_ = g.load(data)
		_ = g.apply(data)
		if text, err := g.encode(); err != nil || fastjson.Unmarshal(text, new(protocol.SubscriptionGroups)) != nil {
			t.Errorf("groups written: %s, %v", text, err)
		}
		o := &offsets{byGroup: map[string]map[string]*groupOffsets{}, log: slog.New(slog.DiscardHandler), endOf: func(string, int32) int64 { return math.MaxInt64 }}
		if file, err := readLightOffsets(data); err == nil {
			o.take(file)
		}
		if _, err := fastjson.MarshalIndent(o.all()); err != nil {
			t.Error(err)
		}
		ord := &orders{table: map[string]map[int32]*orderInfo{}}
		if ord.load(data) == nil {
			for _, queues := range ord.table {
				for _, i := range queues {
					_ = i.blockedUntil(1)
					_ = i.index(3)
					_ = i.appendCounts(nil, "T", 0)
				}
			}
		}
	})
}

// FuzzReceipt reads any text as a receipt, and writes what was one again.
func FuzzReceipt(f *testing.F) {
	f.Add("0 1795220773627 10000 0 0 broker-a 0 0")
	f.Add("0 1795220773627 10000 999 2 b 3")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseReceipt([]byte(text))
		if err != nil {
			return
		}
		again, err := parseReceipt(appendReceipt(nil, &r, "T", 0, 0))
		if err != nil || again.start != r.start || again.popTime != r.popTime || again.invisible != r.invisible || again.reviveQueue != r.reviveQueue ||
			string(again.broker) != string(r.broker) {
			t.Errorf("%q: %+v, again %+v, %v", text, r, again, err)
		}
	})
}

// FuzzReviveLog reads any body as a check point and as acknowledgements.
func FuzzReviveLog(f *testing.F) {
	f.Add([]byte(`{"bm":0,"bn":"broker-a","c":"G","d":[0,1,5],"it":10000,"n":3,"pt":1795219919612,"q":0,"ro":0,"so":0,"sp":false,"t":"T"}`), int64(5))
	f.Add([]byte(`{"so":0,"pt":1,"it":1,"n":1,"q":0,"t":"T","c":"G","d":[]}`), int64(0))
	f.Add([]byte(`{"so":9223372036854775807,"pt":9223372036854775807,"it":1,"n":127,"q":-1,"t":"T","c":"G","d":[2147483647]}`), int64(-1))
	f.Add([]byte(`{"ao":-1,"aol":[3,4],"bn":"broker-a","c":"G","pt":1795219919612,"q":0,"so":0,"t":"T"}`), int64(3))
	f.Fuzz(func(t *testing.T, body []byte, offset int64) {
		if b, ok := parseCK(body); ok {
			c := checkPoint{start: b.Start, offsets: b.Diffs, n: uint8(b.Num)}
			if i := c.index(offset); i >= 0 && (i >= int(c.n) || c.offset(i) != offset) {
				t.Errorf("message %d at %d of %s", i, offset, body)
			}
			for i := range int(c.n) {
				_ = c.offset(i)
			}
			_ = c.all()
		}
		for _, tag := range []string{tagAck, tagBatchAck} {
			_, _ = parseAck([]byte(tag), body)
		}
	})
}
