package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// smallConfig is of a store that can be copied, whose offsets are written by the hour.
func smallConfig(t testing.TB) config.Broker {
	cfg := lightConfig(t)
	cfg.CommitLogFileSize, cfg.ConsumeQueueFileSize, cfg.Index, cfg.TimerWheel = 1<<20, 2000, false, false
	cfg.FlushConsumerOffsetInterval = time.Hour
	return cfg
}

// killedWhole returns the configuration of a broker that starts on all files that another one, which is still running, has now.
func killedWhole(t testing.TB, cfg config.Broker) config.Broker {
	t.Helper()
	again := killed(t, cfg)
	err := filepath.WalkDir(cfg.RootDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(cfg.RootDir, path)
		if name == "config" {
			return fs.SkipDir
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(again.RootDir, name), 0o755)
		}
		data, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(filepath.Join(again.RootDir, name), data, 0o644))
	})
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// consumed sends messages that a group consumes, and writes that down.
func consumed(t *testing.T, b *Broker, c *remoting.Conn, group, topic string, n int) {
	t.Helper()
	sendN(t, c, topic, n, "e", "0")
	b.offsets.commit([]byte(group), []byte(topic), 0, int64(n), c)
	if err := b.offsets.write(); err != nil {
		t.Fatal(err)
	}
}

// holdOffsets keeps offsets from being written until the test unlocks that, or ends.
func holdOffsets(t *testing.T, b *Broker) (unlock func()) {
	b.offsets.writeMu.Lock()
	unlock = sync.OnceFunc(b.offsets.writeMu.Unlock)
	t.Cleanup(unlock)
	return unlock
}

const expiringLite = "%LMQ%$Parent$a"

// consumedLite is a broker with a lite topic of three messages of which a group has consumed some, and that is written down.
func consumedLite(t *testing.T, cfg config.Broker, consumed int64) *liteLab {
	t.Helper()
	l := newLiteLab(t, openTest(t, cfg))
	l.send("a", "a0", "a1", "a2")
	await(t, "all", func() bool { return l.b.store.Queue(expiringLite, 0).MaxOffset() == 3 })
	l.b.offsets.commit([]byte("Lites"), []byte(expiringLite), 0, consumed, l.c)
	if err := l.b.offsets.write(); err != nil {
		t.Fatal(err)
	}
	return l
}

// deleteHeldUp deletes what remove does, and returns when the group's offset in the lite topic is gone from memory, and is on the disk still: the rest waits
// for finish.
func deleteHeldUp(t *testing.T, b *Broker, remove func() error) (finish func()) {
	t.Helper()
	unlock := holdOffsets(t, b)
	done := make(chan error, 1)
	go func() { done <- remove() }()
	await(t, "the offset to be gone from memory", func() bool { return b.offsets.query("Lites", expiringLite, 0) == -1 })
	return func() {
		unlock()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// expiring is consumedLite while the lite topic expires.
func expiring(t *testing.T, cfg config.Broker) (l *liteLab, finish func()) {
	t.Helper()
	l = consumedLite(t, cfg, 3)
	q := l.b.store.Queue(expiringLite, 0)
	finish = deleteHeldUp(t, l.b, func() error {
		_, err := l.b.deleteQuietLites("Parent", []store.Quiet{{Queue: q, End: 3}})
		return err
	})
	if end := q.MaxOffset(); end != 0 {
		t.Fatalf("the lite topic ends at %d", end)
	}
	return l, finish
}

func TestTopic_DeletedOffsetsStayAwayAfterAKill(t *testing.T) {
	t.Parallel()
	cfg := smallConfig(t)
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	const popRetry = "%RETRY%G_T"
	if _, err := b.topics.createRetry(popRetry, 1, false, 0); err != nil {
		t.Fatal(err)
	}
	consumed(t, b, c, "G", "Other", 2)
	b.offsets.commit([]byte("G"), []byte(popRetry), 0, 3, c)
	consumed(t, b, c, "G", "T", 4)
	if r := call(t, c, protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "T"}}, nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	sendN(t, c, "T", 6, "e", "0")
	again := openTest(t, killedWhole(t, cfg))
	if end := again.store.Queue("T", 0).MaxOffset(); end != 6 {
		t.Fatalf("the new topic has %d messages", end)
	}
	for topic, want := range map[string]int64{"T": -1, popRetry: -1, "Other": 2} {
		if at := again.offsets.query("G", topic, 0); at != want {
			t.Errorf("after a kill the group is at %d in %s, want %d", at, topic, want)
		}
	}
}

func TestGroup_DeletedOffsetsStayAwayAfterAKill(t *testing.T) {
	t.Parallel()
	cfg := smallConfig(t)
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	for _, group := range []string{"Gone", "Kept", "Without"} {
		if err := b.groups.update(protocol.NewSubscriptionGroupConfig(group)); err != nil {
			t.Fatal(err)
		}
		consumed(t, b, c, group, "T", 4)
	}
	for group, offsetsToo := range map[string]string{"Gone": "true", "Without": "false"} {
		r := call(t, c, protocol.ReqDeleteSubscriptionGroup, [][2]string{{"groupName", group}, {"cleanOffset", offsetsToo}}, nil)
		if r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	again := openTest(t, killedWhole(t, cfg))
	for group, want := range map[string]int64{"Gone": -1, "Kept": 4, "Without": 4} {
		if at := again.offsets.query(group, "T", 0); at != want {
			t.Errorf("after a kill the group %s is at %d, want %d", group, at, want)
		}
	}
}

func TestCleanUnusedTopics_OffsetsStayAwayAfterAKill(t *testing.T) {
	t.Parallel()
	cfg := smallConfig(t)
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	consumed(t, b, c, "G", "Kept", 2)
	consumed(t, b, c, "G", "T", 4)
	if _, err := b.topics.delete("T"); err != nil {
		t.Fatal(err)
	}
	if r := call(t, c, protocol.ReqCleanUnusedTopic, nil, nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	sendN(t, c, "T", 6, "e", "0")
	again := openTest(t, killedWhole(t, cfg))
	if at, kept := again.offsets.query("G", "T", 0), again.offsets.query("G", "Kept", 0); at != -1 || kept != 2 {
		t.Errorf("after a kill the group is at %d, in a topic that was kept at %d", at, kept)
	}
}

func TestLite_ExpiredOffsetsStayAwayAfterAKill(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(l *liteLab){
		"expired": func(l *liteLab) { l.b.expireLites(l.b.settings.Load(), time.Now().Add(time.Hour)) },
		"deleted with their parent": func(l *liteLab) {
			l.ok(protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "Parent"}}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := smallConfig(t)
			l := consumedLite(t, cfg, 3)
			remove(l)
			if n := len(l.b.store.LiteQueues("Parent")); n != 0 {
				t.Fatalf("%d lite topics are left", n)
			}
			again := openTest(t, killedWhole(t, cfg))
			if at := again.offsets.query("Lites", expiringLite, 0); at != -1 {
				t.Errorf("after a kill the group is at %d", at)
			}
		})
	}
}

// While offsets cannot be written what was asked for is done, and the answer tells what is missing; once they can, it is made up for.
func TestTopic_DeletingTellsThatOffsetsCannotBeWritten(t *testing.T) {
	t.Parallel()
	cfg := smallConfig(t)
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	consumed(t, b, c, "G", "T", 4)
	consumed(t, b, c, "Gone", "Other", 4)
	inTheWay := b.offsets.path + ".tmp"
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	requests := map[int][][2]string{protocol.ReqDeleteTopicInBroker: {{"topic", "T"}},
		protocol.ReqDeleteSubscriptionGroup: {{"groupName", "Gone"}, {"cleanOffset", "true"}}}
	for code, fields := range requests {
		r := call(t, c, code, fields, nil)
		if r.Code != protocol.CodeSystemError || !strings.Contains(string(r.Remark), "is deleted, but not all that belonged to it: cannot write consumer offsets") {
			t.Errorf("%s: %d %s", protocol.RequestName(code), r.Code, r.Remark)
		}
	}
	if b.topics.find("T") != nil || b.store.Queue("T", 0).MaxOffset() != 0 {
		t.Error("the topic is not deleted")
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	for code, fields := range requests {
		if r := call(t, c, code, fields, nil); r.Code != 0 {
			t.Errorf("%s: %d %s", protocol.RequestName(code), r.Code, r.Remark)
		}
	}
	again := openTest(t, killedWhole(t, cfg))
	if at, other := again.offsets.query("G", "T", 0), again.offsets.query("Gone", "Other", 0); at != -1 || other != -1 {
		t.Errorf("after a kill the groups are at %d and %d", at, other)
	}
}

// A kill in the middle of a deletion leaves nothing that a topic made again would have.
func TestTopic_DeletionIsFinishedAfterAKill(t *testing.T) {
	t.Parallel()
	cfg := smallConfig(t)
	b := openTest(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	for _, topic := range []string{"Kept", "Again", "T"} {
		consumed(t, b, c, "G", topic, 4)
	}
	if err := b.topics.file.write(); err != nil {
		t.Fatal(err)
	}
	unlock := holdOffsets(t, b) // so that nothing but the name is deleted yet
	asked := start(t, c, protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "T"}})
	await(t, "the topic to be gone", func() bool { return b.topics.find("T") == nil })
	if _, err := b.topics.delete("Again"); err != nil {
		t.Error(err)
	}
	if _, err := b.topics.createRetry("Again", 1, false, 0); err != nil {
		t.Error(err)
	}
	killed := killedWhole(t, cfg)
	unlock()
	if r, err := asked.Wait(t.Context()); err != nil || r.Code != 0 {
		t.Error(r, err)
	}
	again := openTest(t, killed)
	for topic, want := range map[string]int64{"Kept": 4, "Again": 4, "T": 0} {
		if end, at := again.store.Queue(topic, 0).MaxOffset(), again.offsets.query("G", topic, 0); end != want || max(at, 0) != want {
			t.Errorf("after a kill %s ends at %d, and the group is at %d, want %d", topic, end, at, want)
		}
	}
	if again.topics.find("T") != nil || again.topics.find("Again") == nil {
		t.Error("the wrong topics are there")
	}
}

// The line of a deletion, which is what the start after a kill goes by, stays until all of the topic is gone.
func TestTopic_DeletionIsKnownUntilItIsDone(t *testing.T) {
	t.Parallel()
	b := openTest(t, smallConfig(t))
	c := dialTest(t, b, remoting.Options{})
	consumed(t, b, c, "G", "T", 4)
	unlock := holdOffsets(t, b)
	asked := start(t, c, protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "T"}})
	await(t, "the topic to be gone", func() bool { return b.topics.find("T") == nil })
	wrote := make(chan error)
	go func() { wrote <- b.topics.file.write() }()
	select {
	case err := <-wrote:
		t.Fatal("the file is written, and the line gone, before the offsets and the queues are", err)
	case <-time.After(50 * time.Millisecond):
	}
	unlock()
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if r, err := asked.Wait(t.Context()); err != nil || r.Code != 0 {
		t.Error(r, err)
	}
}

// A message that comes while a lite topic expires is not passed over after a kill: the offset that the disk has of its group is one of before.
func TestLite_MessageThatComesWhileItExpires(t *testing.T) {
	t.Parallel()
	cfg := smallConfig(t)
	l, finish := expiring(t, cfg)
	l.send("a", "b0", "b1")
	killed := killedWhole(t, cfg)
	finish()
	for _, lab := range []*liteLab{l, {t, openTest(t, killed), nil}} {
		if lab.c == nil {
			lab.c = dialTest(t, lab.b, remoting.Options{})
		}
		lab.subscribe("one", "Lites", "a")
		_, got := lab.pop("one")
		lab.want("what came meanwhile", got, "a:b0:3:0 a:b1:4:0")
	}
}

// A group that has no offset any more begins with what came meanwhile, also after a kill, and is given nothing twice.
func TestLite_MessagesThatComeWhileItExpiresArePopped(t *testing.T) {
	t.Parallel()
	for _, kill := range []bool{false, true} {
		cfg := smallConfig(t)
		l, finish := expiring(t, cfg)
		l.send("a", "b0", "b1", "b2")
		await(t, "what came meanwhile", func() bool { return l.b.store.Queue(expiringLite, 0).MaxOffset() == 6 })
		if kill {
			finish()
			l = &liteLab{t, openTest(t, killedWhole(t, cfg)), nil}
			l.c = dialTest(t, l.b, remoting.Options{})
		}
		l.subscribe("one", "Lites", "a")
		list, got := l.pop("one")
		if !kill {
			finish()
		}
		l.ackAll(list)
		l.b.lites.tell("", expiringLite)
		_, more := l.pop("one")
		l.want("in all", got+more, "a:b0:3:0 a:b1:4:0 a:b2:5:0")
	}
}

// What a pop takes while the parent is deleted does not stay for the next one of that name.
func TestLite_PoppedBesideTheDeletionOfTheParentIsForgotten(t *testing.T) {
	t.Parallel()
	cfg := smallConfig(t)
	cfg.PopInitInMemory = false
	l := consumedLite(t, cfg, 0)
	l.subscribe("one", "Lites", "a")
	finish := deleteHeldUp(t, l.b, func() error { return l.b.deleteLitesOf("Parent") })
	p := &litePop{} // one that was checked before the deletion began
	p.b, p.popTime, p.MaxMsgNum, p.ConsumerGroup, p.Topic, p.ClientID, p.InvisibleTime = l.b, time.Now().UnixMilli(), 32, "Lites", "Parent", "one", 60000
	p.take(l.b.settings.Load(), expiringLite)
	finish()
	l.send("a", "n0", "n1")
	l.subscribe("one", "Lites", "a")
	if _, got := l.pop("one"); got != "a:n1:1:0" { // the newest, as for any group that is new
		t.Errorf("popped %q", got)
	}
}

// What is committed while a topic is deleted does not stay for the next one of that name.
func TestOffsets_CommittedBesideADeletionAreGone(t *testing.T) {
	t.Parallel()
	b := openTest(t, smallConfig(t))
	c := dialTest(t, b, remoting.Options{})
	for n := range 100 {
		topic := fmt.Sprint("T", n)
		if _, err := b.topics.createRetry(topic, 1, false, 0); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var wait sync.WaitGroup
		wait.Go(func() {
			for at := int64(1); ; at++ {
				select {
				case <-stop:
					return
				default:
					b.offsets.commit([]byte("G"), []byte(topic), 0, at, c)
				}
			}
		})
		await(t, "an offset", func() bool { return b.offsets.query("G", topic, 0) > 0 })
		if _, err := b.topics.delete(topic); err != nil {
			t.Fatal(err)
		}
		b.offsets.removeTopic(topic)
		close(stop)
		wait.Wait()
		if at := b.offsets.query("G", topic, 0); at != -1 {
			t.Fatalf("%s: the group is at %d", topic, at)
		}
	}
}

// checkedPop is a pop of T by G, checked and about to walk.
func checkedPop(t *testing.T, b *Broker, c *remoting.Conn) (p *popRequest, walk func()) {
	t.Helper()
	cfg := b.settings.Load()
	p = &popRequest{code: protocol.ReqPopMessage, group: []byte("G"), topic: []byte("T"), maxMsgs: 32, invisible: 60000, sub: everything}
	p.b, p.conn = b, c
	topic, group, err := p.check(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.pg = b.pops.of(p.group, p.topic)
	return p, func() { p.walk(cfg, topic, group) }
}

// What is committed by consuming while the group is deleted does not stay for the next one of that name.
func TestOffsets_ConsumedBesideTheDeletionOfTheGroupAreGone(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "T", 4, "e", "0")
	p, walk := checkedPop(t, b, c)
	del := [][2]string{{"groupName", "G"}, {"cleanOffset", "true"}}
	if r := call(t, c, protocol.ReqDeleteSubscriptionGroup, del, nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	walk()
	b.offsets.setPulled(p.group, p.topic, 0, 3)           // as a pull does
	b.offsets.commitKnown(p.group, p.topic, 0, 3, p.conn) // with its flag for that
	if at, pulled := b.offsets.query("G", "T", 0), b.offsets.queryPulled("G", "T", 0); at != -1 || pulled != -1 {
		t.Errorf("the group is at %d, and has pulled up to %d", at, pulled)
	}
	b.offsets.commit(p.group, p.topic, 0, 2, c) // who commits by itself may do so before there is a group
	if at := b.offsets.query("G", "T", 0); at != 2 {
		t.Errorf("the group that is not there is at %d", at)
	}
}

// A pop that is about to walk while the topic is deleted leaves nothing for the next one of that name.
func TestPop_BesideTheDeletionOfTheTopicTakesNothing(t *testing.T) {
	t.Parallel()
	b, c := openPop(t)
	sendN(t, c, "T", 4, "e", "0")
	p, walk := checkedPop(t, b, c)
	b.offsets.writeMu.Lock()
	flush := b.offsets.flush
	b.offsets.flush = sync.OnceValue(func() error { // behind what is in flight already, and before the messages go
		walk()
		return flush()
	})
	b.offsets.writeMu.Unlock()
	b.offsets.commit([]byte("Other"), []byte("T"), 0, 1, c)
	if r := call(t, c, protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "T"}}, nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	sendN(t, c, "T", 6, "e", "0")
	if list := pop(t, c, "T", "consumerGroup", "G"); p.look.count != 0 || len(list) != 6 {
		t.Errorf("%d of 6 messages of the new topic were popped, %d beside the deletion", len(list), p.look.count)
	}
}

// A pop that is about to walk while the group is deleted leaves nothing for the next one of that name.
func TestPop_BesideTheDeletionOfTheGroupTakesNothing(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"false", "true"} {
		b, c := openPop(t)
		sendN(t, c, "T", 4, "e", "0")
		await(t, "the messages", func() bool { return b.store.Queue("T", 0).MaxOffset() == 4 })
		p, walk := checkedPop(t, b, c)
		p.order = order == "true"
		del := [][2]string{{"groupName", "G"}, {"cleanOffset", "true"}}
		if r := call(t, c, protocol.ReqDeleteSubscriptionGroup, del, nil); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
		walk()
		if list := pop(t, c, "T", "consumerGroup", "G", "queueId", "0", "order", order); p.look.count != 0 || len(list) != 4 {
			t.Errorf("order=%s: the new group has popped %d of 4 messages, %d were popped beside the deletion", order, len(list), p.look.count)
		}
	}
}
