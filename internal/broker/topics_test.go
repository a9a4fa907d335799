package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/store"
)

// stateBroker is a broker with topics and groups only, over an empty store and without ports.
func stateBroker(t testing.TB, cfg config.Broker) *Broker {
	t.Helper()
	b := &Broker{log: slog.New(slog.DiscardHandler), started: time.Now()}
	b.settings.Store(newSettings(cfg, netip.MustParseAddrPort("127.0.0.1:10911")))
	dir := filepath.Join(cfg.RootDir, "config")
	var err error
	if b.store, err = store.Open(context.Background(), store.DefaultConfig(t.TempDir()), store.Hooks{}); err != nil {
		t.Fatal(err)
	}
	if b.topics, err = openTopics(filepath.Join(dir, "topics.json"), b); err != nil {
		t.Fatal(err)
	}
	if b.groups, err = openGroups(filepath.Join(dir, "subscriptionGroup.json"), b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(b.topics.close(), b.groups.close(), b.store.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// killed returns the configuration of a broker that starts on the state files that another one, which is still running, has now.
func killed(t testing.TB, cfg config.Broker) config.Broker {
	t.Helper()
	from := filepath.Join(cfg.RootDir, "config")
	cfg.RootDir = t.TempDir()
	copyState(t, from, filepath.Join(cfg.RootDir, "config"))
	return cfg
}

// copyState copies state files that are being written. What is moved meanwhile is moved from changes to changes.old to the file itself,
// so that they are copied in this order.
func copyState(t testing.TB, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"*.json.changes", "*.json.changes.old", "*.json"} {
		files, err := filepath.Glob(filepath.Join(from, kind))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(to, filepath.Base(file)), data, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func newConfig(name string, queues int32) protocol.TopicConfig {
	c := protocol.NewTopicConfig(name)
	c.ReadQueueNums, c.WriteQueueNums = queues, queues
	return c
}

func TestTopics_OutliveAKillAtOnce(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	b := stateBroker(t, cfg)
	if err := b.topics.update(newConfig("Admin", 3)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.topics.createForSend("Sent", topicAutoCreate, 2, false, "addr"); err != nil {
		t.Fatal(err)
	}
	if err := b.topics.update(newConfig("Gone", 3)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.topics.delete("Gone"); err != nil {
		t.Fatal(err)
	}
	again := stateBroker(t, killed(t, cfg))
	if a := again.topics.find("Admin"); a == nil || a.ReadQueueNums != 3 {
		t.Errorf("topic of an admin is %+v", a)
	}
	if s := again.topics.find("Sent"); s == nil || s.WriteQueueNums != 2 || s.Perm != permRead|permWrite {
		t.Errorf("topic of a send is %+v", s)
	}
	if again.topics.find("Gone") != nil {
		t.Error("the deleted topic is back")
	}
	if got, want := again.topics.dataVersion(), b.topics.dataVersion(); got != want || got.Counter != 4 {
		t.Errorf("version %+v, want %+v", got, want)
	}
}

func TestTopics_FileFollowsAndTakesTheChangesAway(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	b := stateBroker(t, cfg)
	if err := b.topics.update(newConfig("Admin", 3)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cfg.RootDir, "config", "topics.json")
	for deadline := time.Now().Add(10 * time.Second); ; {
		_, err := os.Stat(path)
		_, left := os.Stat(path + ".changes.old")
		if err == nil && os.IsNotExist(left) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("topics.json does not follow")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := os.Stat(path + ".changes"); !os.IsNotExist(err) {
		t.Error("changes are still there")
	}
	if stateBroker(t, killed(t, cfg)).topics.find("Admin") == nil {
		t.Error("the file has not the topic")
	}
}

func TestTopics_ChangesOlderThanTheFileAreNotApplied(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	b := stateBroker(t, cfg)
	if err := b.topics.update(newConfig("Admin", 3)); err != nil {
		t.Fatal(err)
	}
	after := killed(t, cfg)
	// Apache's broker has run on the directory since: it does not know of the changes and has made others.
	file := fmt.Sprintf(`{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":%d},"topicConfigTable":{}}`, time.Now().UnixMilli()+1000)
	if err := os.WriteFile(filepath.Join(after.RootDir, "config", "topics.json"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	if stateBroker(t, after).topics.find("Admin") != nil {
		t.Error("a change from before the file came back")
	}
}

func TestTopics_AreMadeAfterTheirDefaultTopic(t *testing.T) {
	t.Parallel()
	check := func(cfg config.Broker, topic, defaultTopic string, unit bool, wantCode int, want protocol.TopicConfig) {
		t.Helper()
		cfg.RootDir = t.TempDir()
		b := stateBroker(t, cfg)
		parent := newConfig("Parent", 5)
		parent.Perm, parent.TopicFilterType = permInherit|permRead, protocol.MultiTag
		if err := b.topics.update(parent, newConfig("Closed", 5)); err != nil {
			t.Fatal(err)
		}
		got, err := b.topics.createForSend(topic, defaultTopic, 4, unit, "addr")
		var refused *protocol.Error
		if wantCode != 0 {
			if !errors.As(err, &refused) || refused.Code != wantCode {
				t.Errorf("%s after %s: %v, want code %d", topic, defaultTopic, err, wantCode)
			}
			return
		}
		if err != nil || !got.Equal(&want) {
			t.Errorf("%s after %s: %+v, %v, want %+v", topic, defaultTopic, got, err, want)
		}
	}
	on, off := testConfig(t), testConfig(t)
	on.DefaultTopicQueues = 3
	off.AutoCreateTopic = false
	readOnly := newConfig("New", 4)
	readOnly.Perm, readOnly.TopicFilterType = permRead, protocol.MultiTag
	retry := newConfig("%RETRY%G", 1)
	retry.TopicSysFlag = protocol.TopicFlagUnitSub
	unit := newConfig("New", 3)
	unit.TopicSysFlag = protocol.TopicFlagUnit
	check(on, "New", topicAutoCreate, false, 0, newConfig("New", 3))
	check(on, "New", topicAutoCreate, true, 0, unit)
	check(on, "New", "Parent", false, 0, readOnly)
	check(off, "New", topicAutoCreate, false, protocol.CodeTopicNotExist, readOnly)
	check(off, "New", "Closed", false, protocol.CodeTopicNotExist, readOnly)
	check(off, "New", "Nothing", false, protocol.CodeTopicNotExist, readOnly)
	check(off, "%RETRY%G", topicAutoCreate, true, 0, retry)
	check(on, "a b", topicAutoCreate, false, protocol.CodeInvalidParameter, readOnly)
	check(on, topicCheckMax, topicAutoCreate, false, protocol.CodeNoPermission, readOnly)
}

func TestTopics_AreMadeOnceByManySenders(t *testing.T) {
	t.Parallel()
	b := stateBroker(t, testConfig(t))
	told := make(chan string, 100)
	b.topics.changed = func(changed []*protocol.TopicConfig) {
		for _, c := range changed {
			told <- c.TopicName
		}
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := b.topics.createForSend("New", topicAutoCreate, 4, false, "addr"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(told) != 1 || b.topics.dataVersion().Counter != 1 {
		t.Errorf("told %d times, version %+v", len(told), b.topics.dataVersion())
	}
}

func TestTopics_QueuesAreHandedOutByNumber(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := newConfig("T", 2)
	c.WriteQueueNums = 1500
	if err := b.topics.update(c); err != nil {
		t.Fatal(err)
	}
	topic := b.topics.find("T")
	for _, id := range []int32{0, 1, slotsMax - 1, slotsMax, 1499} {
		q := topic.queue(id)
		if q == nil || q.ID() != id || q.Topic() != "T" || topic.queue(id) != q || b.store.FindQueue("T", id) != q {
			t.Errorf("queue %d is %+v", id, q)
		}
	}
	for _, id := range []int32{-1, 1500, 1 << 30} {
		if topic.queue(id) != nil || b.store.FindQueue("T", id) != nil {
			t.Errorf("there is a queue %d", id)
		}
	}
}

func TestTopics_LookingOneUpAllocatesNothing(t *testing.T) {
	b := &Broker{log: slog.New(slog.DiscardHandler)}
	b.topics = &topics{byName: map[string]*topic{}}
	q := new(store.Queue)
	b.topics.byName["Topic"] = newTopic(newConfig("Topic", 4), func(string, int32) *store.Queue { return q })
	name := []byte("Topic")
	if n := testing.AllocsPerRun(100, func() {
		if b.topics.get(name).queue(3) != q {
			t.Fatal("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestTopics_MakingManyWritesTheFileSeldom: writing the whole file for each topic made would cost the square of their number.
func TestTopics_MakingManyWritesTheFileSeldom(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	b := stateBroker(t, cfg)
	writes := atomic.Int64{}
	encode := b.topics.file.encode
	b.topics.file.encode = func() ([]byte, error) {
		writes.Add(1)
		return encode()
	}
	begin := time.Now()
	for i := range 3000 {
		if _, err := b.topics.createForSend(fmt.Sprint("Topic-", i), topicAutoCreate, 4, false, "addr"); err != nil {
			t.Fatal(err)
		}
	}
	if n, most := writes.Load(), int64(time.Since(begin)/saveDelay)+1; n > most {
		t.Errorf("written %d times in %s", n, time.Since(begin))
	}
	if got := stateBroker(t, killed(t, cfg)).topics.count(); got != b.topics.count() {
		t.Errorf("%d topics after a kill, want %d", got, b.topics.count())
	}
}

// BenchmarkTopics_Make makes topics as sends do; what one costs does not grow with their number.
func BenchmarkTopics_Make(b *testing.B) {
	broker := stateBroker(b, testConfig(b))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := broker.topics.createForSend(fmt.Sprint("Topic-", i), topicAutoCreate, 4, false, "addr"); err != nil {
			b.Fatal(err)
		}
	}
}
