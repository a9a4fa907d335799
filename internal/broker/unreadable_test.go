package broker

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// TestBroker_WaitsForWhatCannotBeReadNow takes the log's first file away for a while, as too many open files would, when delayed messages
// in it are due and consumers ask for others.
func TestBroker_WaitsForWhatCannotBeReadNow(t *testing.T) {
	t.Parallel()
	cfg := timerConfig(t)
	cfg.CommitLogFileSize = 64 << 10
	cfg.DelayLevels = "1s 1h"
	b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := dialTest(t, b, remoting.Options{})
	begun := time.Now()
	sendTimed(t, c, "Timed", "timed", message.PropTimerDelayMS, "1000")
	if r := sendDelayed(t, c, "Delayed", "1", "delayed"); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	for range 30 {
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields("Plain", "i", ""), []byte(strings.Repeat("b", 5000))); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openTest(t, cfg)
	c = dialTest(t, b, remoting.Options{})
	first := filepath.Join(cfg.RootDir, "commitlog", "00000000000000000000")
	if err := os.Rename(first, first+".away"); err != nil {
		t.Fatal(err)
	}
	if time.Since(begun) > 900*time.Millisecond {
		t.Log("the machine is slow: the messages were due before")
	}
	if r := call(t, c, protocol.ReqPullMessage, pullFields("Plain", 0, 0), nil); r.Code != protocol.CodeSystemError || !strings.Contains(string(r.Remark), "cannot be read") {
		t.Errorf("a pull: code %d %s", r.Code, r.Remark)
	}
	time.Sleep(time.Until(begun.Add(1500 * time.Millisecond))) // both are due
	if err := os.Rename(first+".away", first); err != nil {
		t.Fatal(err)
	}
	awaitMessages(t, c, "Plain", 0, 30)
	awaitMessages(t, c, "Timed", 0, 1)
	awaitMessages(t, c, "Delayed", 0, 1)
}

func TestLite_IsNotTakenForExpiredWhenItCannotBeRead(t *testing.T) {
	t.Parallel()
	cfg := lightConfig(t)
	cfg.CommitLogFileSize = 64 << 10
	b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l := newLiteLab(t, b)
	l.send("a", "a0")
	for range 30 {
		call(t, l.c, protocol.ReqSendMessageV2, sendFields("Plain", "i", ""), []byte(strings.Repeat("b", 5000)))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openTest(t, cfg)
	first := filepath.Join(cfg.RootDir, "commitlog", "00000000000000000000")
	if err := os.Rename(first, first+".away"); err != nil {
		t.Fatal(err)
	}
	now := *b.settings.Load()
	now.LiteLeast = 0
	b.expireLites(&now)
	if n := len(b.store.LiteQueues("Parent")); n != 1 {
		t.Errorf("%d lite topics are left, want 1", n)
	}
	if err := os.Rename(first+".away", first); err != nil {
		t.Fatal(err)
	}
}
