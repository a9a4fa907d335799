package broker

import (
	"fmt"
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

func TestSearch_IsRefusedWhenItCannotRead(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.CommitLogFileSize = 64 << 10
	b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := dialTest(t, b, remoting.Options{})
	for range 20 {
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields("Plain", "i", "KEYS\x01K\x02"), []byte(strings.Repeat("b", 5000))); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	call(t, c, protocol.ReqUpdateAndCreateSubscriptionGroup, nil, []byte(`{"groupName":"G"}`))
	b.offsets.commit([]byte("G"), []byte("Plain"), 0, 3, anAddr{})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openTest(t, cfg)
	c = dialTest(t, b, remoting.Options{})
	first := filepath.Join(cfg.RootDir, "commitlog", "00000000000000000000")
	if err := os.Rename(first, first+".away"); err != nil {
		t.Fatal(err)
	}
	check := func(code int, fields ...[2]string) {
		t.Helper()
		r := call(t, c, code, append(fields, [2]string{"topic", "Plain"}), nil)
		if r.Code != protocol.CodeSystemError || !strings.Contains(string(r.Remark), "cannot read message at log offset") {
			t.Errorf("%s: %d %s", protocol.RequestName(code), r.Code, r.Remark)
		}
	}
	check(protocol.ReqInvokeBrokerToResetOffset, [2]string{"group", "G"}, [2]string{"timestamp", "0"}, [2]string{"isForce", "true"})
	check(protocol.ReqSearchOffsetByTimestamp, [2]string{"queueId", "0"}, [2]string{"timestamp", "0"})
	check(protocol.ReqQueryMessage, [2]string{"key", "K"}, [2]string{"maxNum", "32"}, [2]string{"beginTimestamp", "0"}, [2]string{"endTimestamp", "9223372036854775807"})
	if got := b.offsets.query("G", "Plain", 0); got != 3 {
		t.Errorf("the group is at %d, want 3", got)
	}
	if err := os.Rename(first+".away", first); err != nil {
		t.Fatal(err)
	}
}

// liteOutOfReach opens a broker with a message of a lite topic that cannot be read until it is given back.
func liteOutOfReach(t *testing.T) (l *liteLab, giveBack func()) {
	t.Helper()
	cfg := lightConfig(t)
	cfg.CommitLogFileSize = 64 << 10
	b := openOnce(t, cfg)
	l = newLiteLab(t, b)
	l.send("a", "a0")
	for range 30 {
		call(t, l.c, protocol.ReqSendMessageV2, sendFields("Plain", "i", ""), []byte(strings.Repeat("b", 5000)))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	l.b = openTest(t, cfg)
	l.c = dialTest(t, l.b, remoting.Options{})
	first := filepath.Join(cfg.RootDir, "commitlog", "00000000000000000000")
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	move(first, first+".away")
	return l, func() { t.Helper(); move(first+".away", first) }
}

func TestLite_IsNotTakenForExpiredWhenItCannotBeRead(t *testing.T) {
	t.Parallel()
	l, giveBack := liteOutOfReach(t)
	b := l.b
	now := *b.settings.Load()
	now.LiteLeast = 0
	b.expireLites(&now, time.Now())
	if n := len(b.store.LiteQueues("Parent")); n != 1 {
		t.Errorf("%d lite topics are left, want 1", n)
	}
	giveBack()
}

func TestHalves_AreNotTakenForUndecidedWhenTheirEndCannotBeRead(t *testing.T) {
	t.Parallel()
	cfg := quietConfig(t)
	cfg.CommitLogFileSize = 64 << 10
	b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	fill := func(c *remoting.Conn) {
		t.Helper()
		for range 20 {
			if r := call(t, c, protocol.ReqSendMessageV2, sendFields("Plain", "i", ""), []byte(strings.Repeat("b", 5000))); r.Code != 0 {
				t.Fatal(r.Code, string(r.Remark))
			}
		}
	}
	c := dialTest(t, b, remoting.Options{})
	ended, undecided := sendHalf(t, c, "Topic", "ended"), sendHalf(t, c, "Topic", "undecided")
	fill(c)
	mustEnd(t, c, ended, txRollback)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	size, last := int64(cfg.CommitLogFileSize), b.store.Stats().Appended-1 // the op message is the last
	b = openOnce(t, cfg)
	fill(dialTest(t, b, remoting.Options{}))
	file := filepath.Join(cfg.RootDir, "commitlog", fmt.Sprintf("%020d", last/size*size))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openTest(t, cfg)
	b.stopFollowers()
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	(&checker{halves: b.halves, positions: [2]int64{1, 1}}).save(0, 0) // as if nothing had been looked at
	b.halves.load()
	if n := len(b.halves.open); n > 0 {
		t.Errorf("%d half messages are taken for undecided while nobody can tell", n)
	}
	if err := b.halves.scan(); err == nil {
		t.Error("what cannot be read is not told")
	}
	if code, remark := end(t, dialTest(t, b, remoting.Options{}), ended, txCommit); code != protocol.CodeSystemBusy || remark != errEndUnread.Error() {
		t.Errorf("the commit of one that was rolled back is answered with %d %s", code, remark)
	}
	b.halves.loaded = b.halves.loaded.Add(-unreadPatience) // what can never be read is not waited for without end
	if err := b.halves.scan(); err != nil || len(b.halves.open) != 2 {
		t.Errorf("undecided are %v, %v", b.halves.open, err)
	}
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	b.halves.load()
	if open := b.halves.open; len(open) != 1 || open[0].offset != undecided.queueOffset {
		t.Errorf("undecided are %v", open)
	}
}

// Who is told of a lite topic and cannot read it is told again.
func TestLite_PopWaitsForWhatCannotBeReadNow(t *testing.T) {
	t.Parallel()
	l, giveBack := liteOutOfReach(t)
	l.subscribe("one", "Lites", "a")
	p, err := l.c.Start(&remoting.Call{Code: protocol.ReqPopLiteMessage, Ext: l.popFields("one", "pollTime", "20000")})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the pop to wait", func() bool { return l.b.holds.waiting() == 1 })
	giveBack()
	r, err := p.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, got := l.read(r)
	l.want("when it can be read", got, "a:a0:0:0")
}
