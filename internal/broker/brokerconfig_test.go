package broker

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/logging"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// shownConfig is what "get broker config" says of a key.
func shownConfig(t *testing.T, c *remoting.Conn, key string) string {
	t.Helper()
	r := call(t, c, protocol.ReqGetBrokerConfig, nil, nil)
	_, value, _ := strings.Cut("\n"+string(r.Body), "\n"+key+"=")
	value, _, _ = strings.Cut(value, "\n")
	return value
}

func TestConfig_WhatCountsFromTheNextStartIsShownAndDoesNotCount(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	if r := call(t, c, protocol.ReqUpdateBrokerConfig, nil, []byte("brokerName=other\nmaxMessageSize=5\nfileReservedTime=1\n")); r.Code != 0 {
		t.Fatalf("%d %s", r.Code, r.Remark)
	}
	if got := shownConfig(t, c, "brokerName"); got != "other" || b.settings.Load().Name != "broker-a" {
		t.Errorf("%s is shown, %s counts", got, b.settings.Load().Name)
	}
	if r := call(t, c, protocol.ReqSendMessageV2, sendFields("T"), []byte("more than five")); r.Code != protocol.CodeMessageIllegal {
		t.Errorf("too large: %d %s", r.Code, r.Remark)
	}
	if set := storeLive(b.settings.Load().Broker); set.FileReservedTime != time.Hour || set.MaxMessageSize != 5 {
		t.Errorf("%+v", set)
	}
}

func TestConfig_SaysThatLargerMessagesWaitForALargerFrame(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l, err := logging.Open(logging.Options{Out: &out})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(t.Context(), testConfig(t), l.Logger())
	if err != nil {
		t.Fatal(err)
	}
	c := dialTest(t, b, remoting.Options{})
	for _, change := range []string{"com.rocketmq.remoting.frameMaxLength=40000000", "maxMessageSize=33554432", "fileReservedTime=1"} {
		if r := call(t, c, protocol.ReqUpdateBrokerConfig, nil, []byte(change)); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Count(text, "from the next start on only") != 1 || !strings.Contains(text, "maxMessageSize=33554432 frameMaxLength=16777216 then=40000000") ||
		strings.Contains(text, "does not fit") {
		t.Error(text)
	}
}

func TestReload_SaysWhatCountsNow(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l, err := logging.Open(logging.Options{Out: &out})
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t)
	b, err := Open(t.Context(), cfg, l.Logger())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	next := cfg
	next.ListenPort, next.FlushCommitLogInterval, next.Log.Level, next.AutoCreateTopic = 12345, time.Second, "debug", false
	changes := b.Reload(next)
	if got, want := fmt.Sprint(changes), "[{autoCreateTopicEnable true false false} {flushIntervalCommitLog 500 1000 false} {listenPort 0 12345 true} {logLevel info debug false}]"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := b.Config(); got.ListenPort == 12345 || got.FlushCommitLogInterval != time.Second || got.AutoCreateTopic || l.Level() != slog.LevelDebug {
		t.Errorf("port %d, %v, %v, %v", got.ListenPort, got.FlushCommitLogInterval, got.AutoCreateTopic, l.Level())
	}
	for _, want := range []string{"this counts now\" key=flushIntervalCommitLog from=500 to=1000", "this counts from the next start on\" key=listenPort from=0 to=12345"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
	// What still waits for a start is said again; back as it was given, there is nothing to say.
	if changes := b.Reload(next); len(changes) != 1 || changes[0].Key != "listenPort" {
		t.Errorf("%v", changes)
	}
	next.ListenPort = cfg.ListenPort
	if changes := b.Reload(next); len(changes) != 0 || b.live.shown.ListenPort == 12345 {
		t.Errorf("%v", changes)
	}
}

// The level of a process may have been changed through another of its daemons.
func TestLogLevel_IsShownAsItIs(t *testing.T) {
	t.Parallel()
	l, err := logging.Open(logging.Options{Out: &bytes.Buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(t.Context(), testConfig(t), l.Logger())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c := dialTest(t, b, remoting.Options{})
	for _, level := range []string{"warn", "debug", "error", "info"} {
		if r, err := c.Call(t.Context(), &remoting.Call{Code: protocol.ReqUpdateBrokerConfig, Body: []byte("logLevel=" + level)}); err != nil || r.Code != 0 {
			t.Fatal(r, err)
		}
		if got := logging.LevelName(l.Level()); got != level {
			t.Errorf("%s was set, it is %s", level, got)
		}
	}
	l.SetLevel(slog.LevelWarn)
	r, err := c.Call(t.Context(), &remoting.Call{Code: protocol.ReqGetBrokerConfig})
	if err != nil || !strings.Contains(string(r.Body), "\nlogLevel=warn\n") {
		t.Errorf("%v %v", r, err)
	}
	if r, err := c.Call(t.Context(), &remoting.Call{Code: protocol.ReqUpdateBrokerConfig, Body: []byte("logLevel=loud")}); err != nil || !strings.Contains(string(r.Remark), "must be debug, info, warn, error") {
		t.Error(r, err)
	}
}

func TestConfig_FileKeepsItsPermissions(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.File = filepath.Join(t.TempDir(), "broker.conf")
	if err := os.WriteFile(cfg.File, []byte("# mine\ntls.server.keyPassword=secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := dialTest(t, openTest(t, cfg), remoting.Options{})
	if r := call(t, c, protocol.ReqUpdateBrokerConfig, nil, []byte("maxMessageSize=5")); r.Code != 0 {
		t.Fatalf("%d %s", r.Code, r.Remark)
	}
	for _, path := range []string{cfg.File, cfg.File + ".bak"} {
		if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", path, st, err)
		}
	}
	if text, err := os.ReadFile(cfg.File); !strings.Contains(string(text), "# mine\ntls.server.keyPassword=secret\n") || !strings.Contains(string(text), "maxMessageSize=5") {
		t.Errorf("%s, %v", text, err)
	}
}
