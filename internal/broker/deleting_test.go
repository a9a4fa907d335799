package broker

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// What is sent to a topic that is made again while it is being deleted is not deleted with what it had.
func TestTopic_IsMadeAgainWhenItsDeletionIsOver(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]struct {
		code   int
		fields [][2]string
	}{
		"deleteTopic":      {protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "T"}}},
		"cleanUnusedTopic": {protocol.ReqCleanUnusedTopic, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openTest(t, smallConfig(t))
			c := dialTest(t, b, remoting.Options{})
			consumed(t, b, c, "G", "Kept", 1)
			consumed(t, b, c, "G", "T", 4)
			if request.code == protocol.ReqCleanUnusedTopic {
				if _, err := b.topics.delete("T"); err != nil {
					t.Fatal(err)
				}
			}
			b.offsets.writeMu.Lock() // so that it stops in the middle
			unlock := sync.OnceFunc(b.offsets.writeMu.Unlock)
			defer unlock()
			asked := start(t, c, request.code, request.fields)
			await(t, "the offsets to be gone", func() bool { return b.offsets.query("G", "T", 0) < 0 })
			sent := start(t, dialTest(t, b, remoting.Options{}), protocol.ReqSendMessageV2, sendFields("T", "e", "0"))
			time.Sleep(50 * time.Millisecond)
			if end := b.store.Queue("T", 0).MaxOffset(); b.topics.find("T") != nil || end != 4 {
				t.Errorf("the topic is made before all that it had is gone, and ends at %d", end)
			}
			unlock()
			for _, p := range []*remoting.Pending{asked, sent} {
				if r, err := p.Wait(t.Context()); err != nil || r.Code != 0 {
					t.Fatal(r, err)
				}
			}
			await(t, "the message to be there", func() bool { return b.store.Queue("T", 0).MaxOffset() == 1 })
			if at := b.offsets.query("G", "T", 0); at != -1 {
				t.Errorf("the group is at %d", at)
			}
		})
	}
}

// Whoever would make a topic hears after a while that its deletion takes long; other topics are made.
func TestTopic_DeletionThatTakesLongIsTold(t *testing.T) {
	t.Parallel()
	b := openTest(t, smallConfig(t))
	release := b.topics.deleting("T", topicAutoCreate)
	cfg := newConfig("T", 1)
	makers := map[string]func() error{
		"a send":      func() error { _, err := b.topics.createForSend("T", topicAutoCreate, 4, false, "addr"); return err },
		"an admin":    func() error { return b.topics.update(newConfig("Other", 1), cfg) },
		"a heartbeat": func() error { _, err := b.topics.createRetry("T", 1, false, 0); return err },
	}
	var wait sync.WaitGroup
	for name, do := range makers {
		wait.Go(func() {
			var e *protocol.Error
			if err := do(); !errors.As(err, &e) || e.Code != protocol.CodeSystemBusy || !strings.Contains(e.Remark, "topic T is being deleted") {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	if err := b.topics.update(newConfig("Free", 1)); err != nil {
		t.Error(err)
	}
	wait.Wait()
	if b.topics.find("T") != nil || b.topics.find("Other") != nil {
		t.Error("it is made")
	}
	release()
	for name, do := range makers {
		if err := do(); err != nil {
			t.Errorf("%s, when it is deleted: %v", name, err)
		}
	}
	if len(b.topics.going) != 0 {
		t.Error("left over:", b.topics.going)
	}
}

// A topic that is made while unused ones are looked for is not one of them.
func TestCleanUnusedTopics_LeavesWhatWasMadeJustNow(t *testing.T) {
	t.Parallel()
	b := openTest(t, smallConfig(t))
	c := dialTest(t, b, remoting.Options{})
	for _, topic := range []string{"Kept", "T", "Unused"} {
		consumed(t, b, c, "G", topic, 3)
	}
	for _, topic := range []string{"T", "Unused"} {
		if _, err := b.topics.delete(topic); err != nil {
			t.Fatal(err)
		}
	}
	release := sync.OnceFunc(b.topics.deleting("Unused")) // which it has to wait for
	defer release()
	asked := start(t, c, protocol.ReqCleanUnusedTopic, nil)
	time.Sleep(50 * time.Millisecond)
	if err := b.topics.update(newConfig("T", 1)); err != nil {
		t.Error(err)
	}
	release()
	if r, err := asked.Wait(t.Context()); err != nil || r.Code != 0 {
		t.Fatal(r, err)
	}
	for topic, want := range map[string]int64{"Kept": 3, "T": 3, "Unused": 0} {
		if end, at := b.store.Queue(topic, 0).MaxOffset(), b.offsets.query("G", topic, 0); end != want || max(at, 0) != want {
			t.Errorf("%s ends at %d, and the group is at %d, want %d", topic, end, at, want)
		}
	}
}

// When a pop retry topic cannot be deleted, the request can be repeated.
func TestTopic_DeletingAgainFindsPopRetries(t *testing.T) {
	t.Parallel()
	cfg := smallConfig(t)
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	const popRetry = "%RETRY%G_T"
	if _, err := b.topics.createRetry(popRetry, 1, false, 0); err != nil {
		t.Fatal(err)
	}
	consumed(t, b, c, "G", popRetry, 2)
	consumed(t, b, c, "G", "T", 4)
	sendN(t, c, "Other", 1)
	if err := b.store.DeleteTopic("Other"); err != nil { // which makes the others' files be written
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(cfg.RootDir, "consumequeue", popRetry, "0", "0*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := errors.Join(os.Remove(files[0]), os.MkdirAll(filepath.Join(files[0], "in the way"), 0o700)); err != nil {
		t.Fatal(err)
	}
	again := func() *remoting.Response {
		return call(t, c, protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "T"}}, nil)
	}
	for range 2 {
		if r := again(); r.Code != protocol.CodeSystemError || !strings.Contains(string(r.Remark), popRetry) {
			t.Fatalf("got %d %s", r.Code, r.Remark)
		}
	}
	if err := errors.Join(os.RemoveAll(files[0]), os.WriteFile(files[0], nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if r := again(); r.Code != 0 {
		t.Fatalf("got %d %s", r.Code, r.Remark)
	}
	if _, err := os.Stat(filepath.Dir(filepath.Dir(files[0]))); !errors.Is(err, os.ErrNotExist) {
		t.Error("the queue of the retry topic is still there:", err)
	}
	for _, topic := range []string{popRetry, "T"} {
		if end, at := b.store.Queue(topic, 0).MaxOffset(), b.offsets.query("G", topic, 0); end != 0 || at != -1 {
			t.Errorf("%s ends at %d, and the group is at %d", topic, end, at)
		}
	}
}
