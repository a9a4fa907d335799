package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// TestNewTopic_HasARouteWithTheAnswer makes topics as clients do, on a broker with so many that a registration of all takes a while: who is
// started after the answer must find them, for it looks again only after 30 s.
func TestNewTopic_HasARouteWithTheAnswer(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	many := protocol.TopicConfigs{DataVersion: protocol.DataVersion{Timestamp: 1, Counter: 1}, TopicConfigTable: map[string]*protocol.TopicConfig{}}
	for i := range 20_000 {
		c := protocol.NewTopicConfig(fmt.Sprintf("Old-%05d", i))
		many.TopicConfigTable[c.TopicName] = &c
	}
	text, err := fastjson.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(data, "store", "config")
	if err := os.MkdirAll(state, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "topics.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, "--data", data)
	pool := client.NewPool(nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = pool.Close() })
	names, err := client.NewNameServers(pool, s.namesrv)
	if err != nil {
		t.Fatal(err)
	}
	known := func(topic string) {
		t.Helper()
		_, err := names.RouteByTopic(t.Context(), topic)
		// A machine that stands still for a second has a topic told of with the next registration.
		for ; err != nil && strings.Contains(s.err.String(), "learns of a topic only with the next registration"); time.Sleep(10 * time.Millisecond) {
			if _, err = names.RouteByTopic(t.Context(), topic); t.Context().Err() != nil {
				break
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
	known("Old-19999")
	for i := range 5 {
		topic, group := fmt.Sprintf("New-%d", i), fmt.Sprintf("Group-%d", i)
		m := &client.Outgoing{Group: "P", Topic: topic, DefaultTopic: "TBW102", DefaultTopicQueues: 4, Body: []byte("x")}
		sent, err := pool.Send(t.Context(), s.broker, m)
		if err != nil {
			t.Fatal(err)
		}
		known(topic)
		hb := &protocol.HeartbeatData{ClientID: "c", ConsumerDataSet: []*protocol.ConsumerData{{GroupName: group, ConsumeType: "CONSUME_PASSIVELY", MessageModel: "CLUSTERING"}}}
		if err := pool.Heartbeat(t.Context(), s.broker, hb); err != nil {
			t.Fatal(err)
		}
		known("%RETRY%" + group)
		back := [][2]string{{"offset", "0"}, {"group", group}, {"delayLevel", "-1"}, {"originTopic", topic}}
		r, err := pool.Call(t.Context(), s.broker, &remoting.Call{Code: protocol.ReqConsumerSendMsgBack, Ext: back})
		if err != nil || r.Err() != nil {
			t.Fatal(err, r.Err(), sent)
		}
		known("%DLQ%" + group)
	}
}
