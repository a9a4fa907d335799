package broker

import (
	"context"
	"log/slog"
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
		for _, line := range strings.Split(ext, "\n") {
			if k, v, ok := strings.Cut(line, "="); ok && !strings.ContainsAny(k, "\"\\") { // names are written as they are
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
		top := &topics{byName: map[string]*topic{}, mappings: m}
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
		o := &offsets{byGroup: map[string]map[string]*groupOffsets{}, log: slog.New(slog.DiscardHandler), endOf: func(string, int32) (int64, bool) { return 0, false }}
		_ = o.load(data)
		if _, err := fastjson.MarshalIndent(o.all()); err != nil {
			t.Error(err)
		}
	})
}
