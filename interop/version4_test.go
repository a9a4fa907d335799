package interop

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestJava4_MovesFromVersion4(t *testing.T)     { movesFromVersion4(t, java4) }
func TestJava4_UnderVersion4sNamesrv(t *testing.T) { underApachesNamesrv(t, java4, apache4) }
func TestJava4_OverVersion4sBroker(t *testing.T)   { overApachesBroker(t, java4, apache4) }

// version4Settings are lines as properties files of 4.x have them, with keys that are no more.
var version4Settings = []string{"brokerRole=ASYNC_MASTER", "flushDiskType=ASYNC_FLUSH", "deleteWhen=04", "fileReservedTime=48",
	"messageDelayLevel=1s 13s 13s 13s", "mappedFileSizeCommitLog=1048576", "mappedFileSizeConsumeQueue=6000", "maxHashSlotNum=1000", "maxIndexNum=4000",
	"flushConsumerOffsetInterval=300", "enablePropertyFilter=true",
	"commercialEnable=true", "commercialTimerCount=1", "commercialTransCount=1", "commercialBigCount=1", "filterServerNums=0",
	"haSlaveFallbehindMax=268435456", "maxDelayTime=40"}

// movesFromVersion4: NameServer and broker of 4.x are killed, and Liftoff's start on their files; then they are stopped, and those of 4.x start on what
// these have written. Groups go on where they were; what is delayed, half or failed comes, each message once; old messages are found.
func movesFromVersion4(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{namesrvs: []kind{apache4}, broker: apache4, settings: transactional(version4Settings...)})
	p := newProducer(t, c, cl)
	topic, group := p.topic(4), uniqueName(t, "group")
	transactions := newTransactional(t, c, cl, uniqueName(t, "transactions"))
	retried := func(do func() error) { t.Helper(); must(t, waitFor(soon, do)) }
	properties := map[string]string{"colour": "blue", "Ünïcödé": "значение=1;2&3", "n": "7"}
	var all []message // of topic, but for what was delayed, batched or in a transaction
	want := map[string]bool{}
	for i, next := range []kind{underTest("broker"), apache4} {
		begin := time.Now()
		// What a group has consumed, by a consumer that fails with one message and gives up another.
		first := uniqueName(t, "first")
		before := len(all)
		retried(func() error {
			answer, err := p.program.call("fill", "name", p.name, "topic", topic, "prefix", first, "count", 400, "size", 3000)
			all = append(all, p.messages(answer.Get("a"))...)
			return err
		})
		more := p.fill(topic, 4)
		all = append(all, more...)
		failing := startConsumer(t, "failing", impatient(c), cl, topic, group, "fails", 1, "only", more[0].keys)
		await(t, []*consumer{failing}, func() error {
			return lacks(all[before:], slices.DeleteFunc(slices.Clone(failing.seen), func(m message) bool { return m.times > 0 }))
		})
		want[more[0].keys] = true
		time.Sleep(500 * time.Millisecond) // until it was given back
		failing.close()

		// A transaction that is undecided, before some that are decided.
		key := func(what string) string { return fmt.Sprint(what, i) }
		for _, of := range []struct{ key, local, plan string }{
			{key("later"), "UNKNOW", strings.Repeat("UNKNOW ", 2) + "COMMIT_MESSAGE"},
			{key("never"), "UNKNOW", strings.Repeat("UNKNOW ", 2) + "ROLLBACK_MESSAGE"},
			{key("committed"), "COMMIT_MESSAGE", "COMMIT_MESSAGE"},
			{key("rolled back"), "ROLLBACK_MESSAGE", "ROLLBACK_MESSAGE"},
		} {
			retried(func() error {
				_, err := transactions.program.call("transactions.send", "name", transactions.name, "topic", topic, "keys", of.key, "body", encoded(of.key),
					"p.local", of.local, "p.plan", of.plan, "p.CHECK_IMMUNITY_TIME_IN_SECONDS", 11)
				return err
			})
		}
		want[key("later")], want[key("committed")] = true, true
		for _, d := range sendDelayed(t, c, cl, p.name+"d", topic, 2, 3) {
			want[d.key] = true
		}
		// Not yet consumed: batches, properties.
		var batch []string
		for j := range 5 {
			args := []any{"topic", topic, "keys", fmt.Sprint(key("batched"), j), "body", encoded("x")}
			for name, value := range properties {
				args = append(args, "p."+name, value)
			}
			batch = append(batch, form(args...).Encode())
			want[fmt.Sprint(key("batched"), j)] = true
		}
		p.ask("batch", "m", strings.Join(batch, "\n"))
		retried(func() error { // 4.x writes offsets 10 s after its start at the earliest
			saved, err := os.ReadFile(filepath.Join(cl.broker.dir, "store", "config", "consumerOffset.json"))
			if err == nil && !bytes.Contains(saved, []byte(topic+"@"+group)) {
				err = fmt.Errorf("the broker has not saved the group's offsets: %s", saved)
			}
			return err
		})
		t.Logf("everything was pending after %v", time.Since(begin))

		for _, s := range append([]*server{cl.broker}, cl.namesrvs...) {
			if i == 0 {
				s.kill()
			} else {
				stop(t, s)
			}
			must(t, s.alarm())
			s.kind = next
		}
		if next != apache4 {
			if out, failed := cl.broker.lab.command(t, "store", "check", filepath.Join(cl.broker.dir, "store")); failed {
				t.Errorf("a store of %s is not sound:\n%s", apache4.version(), out)
			}
		}
		must(t, cl.namesrvs[0].start())
		must(t, cl.startBroker())
		t.Logf("moved to %s after %v", next, time.Since(begin))

		s := startConsumer(t, "failing", impatient(c), cl, topic, group)
		await(t, []*consumer{s}, func() error {
			if got := keysOf(s.seen); len(got) < len(want) {
				return fmt.Errorf("on %s's broker %v came, %v wanted", next, got, slices.Collect(maps.Keys(want)))
			}
			return nil
		})
		fresh := newConsumer(t, c, cl, topic, uniqueName(t, "fresh"))
		time.Sleep(2 * time.Second) // what comes twice, or must not come, comes now
		s.look(0, 0)
		got := keysOf(s.seen)
		slices.Sort(got)
		if all := slices.Sorted(maps.Keys(want)); !slices.Equal(got, all) {
			t.Errorf("on %s's broker %v came, want %v", next, got, all)
		}
		for _, m := range s.seen {
			for name, value := range properties {
				if strings.HasPrefix(m.keys, "batched") && m.properties[name] != value {
					t.Errorf("%s has the properties %v", m.keys, m.properties)
				}
			}
		}
		s.close()
		clear(want)
		for _, c := range transactions.checks("") {
			if strings.HasPrefix(c.key, "committed") || strings.HasPrefix(c.key, "rolled back") {
				t.Errorf("on %s's broker %s was asked about", next, c.key)
			}
		}
		if err := lacks(all, fresh.wait(len(all))); err != nil {
			t.Error(err)
		}
		fresh.close()

		for _, m := range []message{all[0], all[len(all)-1]} {
			for _, ask := range [][]any{{"query", "key", m.keys, "begin", 0, "end", int64(1) << 62}, {"view", "msgId", m.offsetID}, {"unique", "msgId", m.id}} {
				retried(func() error {
					answer, err := p.program.call(ask[0].(string), append(ask[1:], "name", p.name, "topic", topic)...)
					if got := p.messages(answer.Get("m")); err == nil && (len(got) != 1 || got[0].keys != m.keys) {
						err = fmt.Errorf("on %s's broker %v finds %v", next, ask, got)
					}
					return err
				})
			}
		}
		half := fresh.seen[len(fresh.seen)/2]
		var offset int64
		fmt.Sscan(p.ask("search", "topic", topic, "queue", half.queue, "time", half.stored).Get("offset"), &offset)
		for _, m := range fresh.seen {
			if m.queue == half.queue && (m.offset < offset) != (m.stored < half.stored) {
				t.Errorf("on %s's broker the time %d leads to the offset %d, but %d was stored at %d", next, half.stored, offset, m.offset, m.stored)
			}
		}
		t.Logf("everything came on %s's broker after %v", next, time.Since(begin))
	}
}
