package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// TestHeartbeats_KeepABrokerThatMayBeActedFor registers, after the broker, another one that is to be given up after more silence, and
// says nothing else. When the NameServer has given that up the broker would be gone long since if it had been silent too.
func TestHeartbeats_KeepABrokerThatMayBeActedFor(t *testing.T) {
	t.Parallel()
	for _, old := range []string{"true", "false"} {
		t.Run("compatibleWithOldNameSrv="+old, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file, data := filepath.Join(dir, "broker.conf"), filepath.Join(dir, "data")
			write := func(name, text string) {
				t.Helper()
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			write(filepath.Join(data, "namesrv", "namesrv.properties"), "scanNotActiveBrokerInterval=50\n")
			write(file, "brokerName=broker-a\nenableSlaveActingMaster=true\nbrokerNotActiveTimeoutMillis=8000\nbrokerHeartbeatInterval=100\ncompatibleWithOldNameSrv="+old+"\n")
			s := startServer(t, "-c", file, "--data", data)
			s.err.wait(t, `msg="broker registered"`)

			pool := client.NewPool(nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
			t.Cleanup(func() { _ = pool.Close() })
			silence := int64(10_000)
			reg, err := client.NewRegistration(protocol.RegisterBrokerHeader{BrokerName: "silent", BrokerAddr: "127.0.0.1:1", ClusterName: "C", HeartbeatTimeoutMillis: &silence},
				&protocol.RegisterBrokerBody{}, false)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pool.Register(t.Context(), s.namesrv, reg); err != nil {
				t.Fatal(err)
			}
			s.err.wait(t, `msg="broker gone: said nothing for 10s" .*broker=silent`)
			if strings.Contains(s.err.String(), `msg="broker gone: said nothing for 8s" `) {
				t.Errorf("it was given up:\n%s", s.err)
			}
		})
	}
}
