package admin

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/broker"
	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/namesrv"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// cluster is a NameServer and masters of the cluster DefaultCluster, in the test's own process.
type cluster struct {
	addr    string   // of the NameServer
	brokers []string // addresses of broker-a, broker-b, ...
	pool    *client.Pool
	names   *client.NameServers
}

// startCluster starts one with a broker for each name, or with broker-a only; it ends with the test.
func startCluster(t *testing.T, names ...string) *cluster {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	ns := config.DefaultNamesrv()
	ns.BindAddress, ns.ListenPort, ns.TLS.Mode = "127.0.0.1", 0, config.TLSDisabled
	ns.KVConfigPath, ns.File = filepath.Join(dir, "kvConfig.json"), filepath.Join(dir, "namesrv.properties")
	s, err := namesrv.Open(ns, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c := &cluster{addr: s.Addr().String(), pool: client.NewPool(nil, remoting.Options{Log: log})}
	t.Cleanup(func() { _ = c.pool.Close() })
	if c.names, err = client.NewNameServers(c.pool, c.addr); err != nil {
		t.Fatal(err)
	}
	if names == nil {
		names = []string{"broker-a"}
	}
	for _, name := range names {
		cfg := config.DefaultBroker()
		cfg.RootDir, cfg.Name, cfg.BrokerIP1, cfg.BindAddress, cfg.ListenPort = filepath.Join(dir, name), name, "127.0.0.1", "127.0.0.1", 0
		cfg.NamesrvAddr = c.addr
		b, err := broker.Open(t.Context(), cfg, log)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error("close:", err)
			}
		})
		b.WaitRegistered(t.Context())
		c.brokers = append(c.brokers, b.Addr().String())
	}
	return c
}

// topic makes a topic on each broker, and waits until the NameServer knows of all.
func (c *cluster) topic(t *testing.T, name string, queues int32) {
	t.Helper()
	for _, addr := range c.brokers {
		cfg := &protocol.TopicConfig{TopicName: name, ReadQueueNums: queues, WriteQueueNums: queues, Perm: 6, TopicFilterType: "SINGLE_TAG"}
		if err := c.pool.CreateTopic(t.Context(), addr, cfg, ""); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "route of "+name, func() bool {
		route, err := c.names.RouteByTopic(t.Context(), name)
		return err == nil && len(route.QueueDatas) == len(c.brokers)
	})
}

// send stores a message with keys, and returns its offset message id.
func (c *cluster) send(t *testing.T, addr, topic string, queueID int32, body string, properties map[string]string) string {
	t.Helper()
	sent, err := c.pool.Send(t.Context(), addr, &client.Outgoing{Group: "admin-test", Topic: topic, QueueID: queueID, BornTimestamp: time.Now().UnixMilli(),
		Properties: properties, Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := strings.Cut(sent.MsgID, ",")
	return id
}

// waitFor asks until it is so: what other processes see of a change comes a little later.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: still not so after 20 s", what)
		}
	}
}
