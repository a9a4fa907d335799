package interop

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestJava5_KeepsTimes(t *testing.T)          { keepsTimes(t, java5) }
func TestJava5_KeepsTimesOverAMove(t *testing.T) { keepsTimesOverAMove(t, java5) }

// A timed message is one that was sent to be delivered at a time.
type timed struct {
	key, id, handle string
	from, to        int64 // ms: its time, which is within these if the message has a delay
}

// sendTimed sends messages with one of the client's three ways to set a time. Time is ms or s, as the setter wants it.
func (p *producer) sendTimed(topic, how string, count int, time int64, step int) (all []timed) {
	p.t.Helper()
	prefix := uniqueName(p.t, how)
	var answer url.Values
	must(p.t, waitFor(soon, func() (err error) {
		answer, err = p.program.call("timed", "name", p.name, "topic", topic, "how", how, "count", count, "time", time, "step", step, "prefix", prefix)
		return err
	}))
	for _, line := range lines(answer.Get("a")) {
		f, err := url.ParseQuery(line)
		must(p.t, err)
		m := timed{key: f.Get("key"), id: f.Get("msgId"), handle: f.Get("handle")}
		var before, at, time int64
		fmt.Sscan(f.Get("before"), &before)
		fmt.Sscan(f.Get("at"), &at)
		fmt.Sscan(f.Get("time"), &time)
		switch how {
		case "setDeliverTimeMs":
			m.from, m.to = time, time
		case "setDelayTimeSec":
			m.from, m.to = before+time*1000, at+time*1000
		default:
			m.from, m.to = before+time, at+time
		}
		if m.handle == "" {
			p.t.Errorf("%s was answered without a recall handle", m.key)
		}
		all = append(all, m)
	}
	if len(all) != count {
		p.t.Fatalf("%d messages were sent, not %d", len(all), count)
	}
	return all
}

// inTime checks that each of the messages came once, not early, and late by less than some ms.
func inTime(t *testing.T, sent []timed, got []message, late int64) {
	t.Helper()
	byKey := map[string]message{}
	for _, m := range got {
		if before, again := byKey[m.keys]; again {
			t.Errorf("%s came twice: %v and %v", m.keys, before.place(), m.place())
		}
		byKey[m.keys] = m
	}
	most := int64(0)
	for _, d := range sent {
		m, came := byKey[d.key]
		delete(byKey, d.key)
		switch {
		case !came:
			t.Errorf("%s did not come", d.key)
		case m.stored < d.from:
			t.Errorf("%s came %d ms too early", d.key, d.from-m.stored)
		case m.stored > d.to+late:
			t.Errorf("%s came %d ms too late", d.key, m.stored-d.to)
		case m.body != d.key || m.tags != "T" || m.id != d.id:
			t.Errorf("%s has body %q, tag %q and id %s, not %s", d.key, m.body, m.tags, m.id, d.id)
		}
		most = max(most, m.stored-d.to)
	}
	for key := range byKey {
		t.Errorf("%s came and should not", key)
	}
	t.Logf("%d messages, late by %d ms at most", len(sent), most)
}

// keepsTimes: messages of the client's three ways to set a time are stored in their topic when they are due, by the broker's own clock; what was
// recalled is not; what is too far ahead is refused.
func keepsTimes(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"recallMessageEnable=true", "timerMaxDelaySec=100"}})
	p := newProducer(t, c, cl, "retries", 0)
	topic := p.topic(4)
	s := startConsumer(t, "failing", impatient(c), cl, topic, uniqueName(t, "group"))
	var all []timed
	all = append(all, p.sendTimed(topic, "setDelayTimeMs", 20, 1200, 100)...)
	all = append(all, p.sendTimed(topic, "setDelayTimeSec", 10, 2, 0)...)
	all = append(all, p.sendTimed(topic, "setDeliverTimeMs", 20, time.Now().UnixMilli()+2000, 150)...)
	recalled := p.sendTimed(topic, "setDeliverTimeMs", 10, time.Now().UnixMilli()+4000, 10)
	for i, m := range recalled {
		if i%2 == 0 {
			if id := p.ask("recall", "topic", topic, "handle", m.handle).Get("msgId"); id != m.id {
				t.Errorf("recalling %s was answered with %s", m.id, id)
			}
		} else {
			all = append(all, m)
		}
	}
	refused := func(what, want string, args ...any) {
		t.Helper()
		if _, err := p.program.call(what, append(args, "name", p.name, "topic", topic)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s %v: got %v, want %s", what, args, err, want)
		}
	}
	refused("timed", "CODE: 13", "how", "setDelayTimeSec", "time", 101, "prefix", "far")
	refused("timed", "timer message illegal, the delay time should not be bigger than the max delay 100000ms", "how", "setDelayTimeMs", "time", 100_500, "prefix", "far")
	refused("recall", "recall handle is invalid", "handle", "x")
	s.wait(len(all))
	time.Sleep(300 * time.Millisecond) // what comes and should not
	s.look(0, 0)
	late := int64(1000 + 200) // the precision, and a busy machine
	if underTest("broker") == apache {
		late += 1000
	}
	inTime(t, all, s.seen, late)
	refused("recall", "recall failed, timestamp invalid", "handle", recalled[1].handle)
}

// keepsTimesOverAMove: what waits for its time, and what was recalled, goes with the store from Apache's broker to ours and back.
func keepsTimesOverAMove(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{broker: apache, settings: []string{"recallMessageEnable=true", "mappedFileSizeTimerLog=10400"}})
	p := newProducer(t, c, cl)
	topic := p.topic(4)
	var due []timed
	seen := map[string]bool{}
	for i, next := range []kind{underTest("broker"), apache} {
		all := slices.Clone(due)
		begin := time.Now()
		wait := int64(20_000) // Apache's broker stops in eleven seconds, and starts in five
		if next == apache {
			wait = 14_000
		}
		all = append(all, p.sendTimed(topic, "setDeliverTimeMs", 30, begin.UnixMilli()+wait, 50)...)
		all = append(all, p.sendTimed(topic, "setDelayTimeSec", 10, wait/1000+1, 0)...)
		if i == 0 { // these live through both moves
			due = p.sendTimed(topic, "setDeliverTimeMs", 30, begin.UnixMilli()+wait+17_000, 50)
		}
		gone := p.sendTimed(topic, "setDeliverTimeMs", 4, begin.UnixMilli()+wait+500, 70)
		p.ask("recall", "topic", topic, "handle", gone[0].handle)
		p.ask("recall", "topic", topic, "handle", gone[1].handle)
		cl.stopBroker(t, false)
		cl.broker.kind = next
		must(t, cl.startBroker())
		t.Logf("moved to %s after %v", next, time.Since(begin))
		must(t, waitFor(soon, func() error {
			_, err := p.program.call("recall", "name", p.name, "topic", topic, "handle", gone[2].handle)
			if err != nil && strings.Contains(err.Error(), "timestamp invalid") { // the machine was too slow
				all = append(all, gone[2])
				return nil
			}
			return err
		}))
		all = append(all, gone[3])
		s := startConsumer(t, "failing", impatient(c), cl, topic, uniqueName(t, "group"))
		isNew := func(m message) bool { return !seen[m.keys] }
		await(t, []*consumer{s}, func() error {
			if n := len(slices.DeleteFunc(slices.Clone(s.seen), func(m message) bool { return !isNew(m) })); n < len(all) {
				return fmt.Errorf("turn %d: %d messages came, %d wanted", i, n, len(all))
			}
			return nil
		})
		time.Sleep(300 * time.Millisecond) // what comes twice comes now
		s.look(0, 0)
		got := slices.DeleteFunc(slices.Clone(s.seen), func(m message) bool { return !isNew(m) })
		inTime(t, all, got, 30_000)
		for _, m := range got {
			seen[m.keys] = true
		}
		s.close()
	}
}
