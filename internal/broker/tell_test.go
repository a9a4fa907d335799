package broker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// runBroker runs a broker that is registered with a NameServer until the test ends.
func runBroker(t *testing.T, n *nsDouble) *Broker {
	t.Helper()
	cfg := testConfig(t)
	cfg.NamesrvAddr = n.addr
	b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
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
	await(t, "registration", func() bool { return b.registrar.standings()[n.addr] })
	return b
}

func TestTell_MuteNameServerHoldsUpOneSendOnce(t *testing.T) {
	t.Parallel()
	n := newNSDouble(t)
	b := runBroker(t, n)
	c := dialTest(t, b, remoting.Options{})
	n.mute.Store(true)
	for i := range 5 {
		if r := call(t, c, protocol.ReqSendMessageV2, sendFields(fmt.Sprintf("New-%d", i)), []byte("x")); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	n.mute.Store(false)
	asked := 0
	for len(n.got) > 0 {
		if got := <-n.got; got.code == protocol.ReqRegisterTopicInNamesrv {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("it was told of %d topics while it did not answer, want one", asked)
	}
}

func TestTell_ListensAgainWhenARegistrationIsAnswered(t *testing.T) {
	t.Parallel()
	n := newNSDouble(t)
	r, topics, _ := startRegistrar(t, func(c *registrarConfig) { c.timeout = 2 * answerMax }, n.addr)
	<-r.tried
	a, _ := topics.one("A")
	n.mute.Store(true)
	r.tell([]*protocol.TopicConfig{a})
	if _, servers := r.listening(); len(servers) != 0 {
		t.Error("it counts as listening")
	}
	n.mute.Store(false)
	await(t, "the NameServer to listen", func() bool { _, servers := r.listening(); return len(servers) == 1 })
	for len(n.got) > 0 {
		<-n.got
	}
	r.tell([]*protocol.TopicConfig{a})
	n.next(protocol.ReqRegisterTopicInNamesrv)
}

// TestTell_EndsWithTheNewest changes a topic while others tell of it: nobody may tell of what it was before after somebody has told of what it is.
func TestTell_EndsWithTheNewest(t *testing.T) {
	t.Parallel()
	n := newNSDouble(t)
	r, topics, end := startRegistrar(t, nil, n.addr)
	<-r.tried
	var wg sync.WaitGroup
	var slow atomic.Bool
	for i := range 20 {
		wg.Go(func() {
			c := newConfig("Changed", 0)
			topics.mu.Lock()
			c.ReadQueueNums = topics.table["A"].ReadQueueNums + int32(i) // a number of its own
			topics.table["Changed"] = &c
			topics.mu.Unlock()
			began := time.Now()
			r.tell([]*protocol.TopicConfig{&c})
			if time.Since(began) >= answerMax {
				slow.Store(true)
			}
		})
	}
	wg.Wait()
	if _, servers := r.listening(); slow.Load() || len(servers) == 0 {
		return // the machine is too slow: some were not told of
	}
	end()
	last, _ := topics.one("Changed")
	var newest string
	for len(n.got) > 0 {
		if got := <-n.got; got.code == protocol.ReqRegisterTopicInNamesrv {
			newest = string(got.raw)
		}
	}
	want := fmt.Sprintf(`"readQueueNums":%d`, last.ReadQueueNums)
	if !strings.Contains(newest, want) {
		t.Errorf("the last word was %s, want %s", newest, want)
	}
}

// TestTell_WaitsNoLongerThanItsTime tells of a plain topic, which somebody else is telling of and does not end, and of a static one, which a
// mute NameServer does not get to know.
func TestTell_WaitsNoLongerThanItsTime(t *testing.T) {
	t.Parallel()
	n := newNSDouble(t)
	r, topics, _ := startRegistrar(t, func(c *registrarConfig) {
		c.timeout = time.Minute
		one := c.topic
		c.topic = func(name string) (*protocol.TopicConfig, bool) {
			found, _ := one(name)
			return found, name == "B"
		}
	}, n.addr)
	<-r.tried
	n.mute.Store(true)
	_, servers := r.listening()
	for _, s := range servers {
		for _, one := range s.telling {
			one <- struct{}{}
		}
	}
	plain, _ := topics.one("A")
	static, _ := topics.one("B")
	took := 2 * tellMax
	for range 3 { // the machine may be slow
		began := time.Now()
		r.tell([]*protocol.TopicConfig{plain, static})
		if took = min(took, time.Since(began)); took < 2*tellMax {
			return
		}
	}
	t.Errorf("it took %s", took)
}

// TestTell_StaticTopicIsRegisteredWithItsMapping waits for a registration of all: what tells of one topic says nothing of mappings.
func TestTell_StaticTopicIsRegisteredWithItsMapping(t *testing.T) {
	t.Parallel()
	n := newNSDouble(t)
	r, topics, _ := startRegistrar(t, func(c *registrarConfig) {
		one := c.topic
		c.topic = func(name string) (*protocol.TopicConfig, bool) {
			found, _ := one(name)
			return found, true
		}
	}, n.addr)
	<-r.tried
	n.next(protocol.ReqRegisterBroker)
	topics.add("Static")
	c, _ := topics.one("Static")
	began := time.Now()
	r.tell([]*protocol.TopicConfig{c})
	if time.Since(began) >= tellMax {
		return // the machine is too slow to know
	}
	known := false
	for len(n.got) > 0 {
		got := <-n.got
		known = known || got.code == protocol.ReqRegisterBroker && got.body.Topics.TopicConfigTable["Static"] != nil
		if got.code == protocol.ReqRegisterTopicInNamesrv {
			t.Errorf("told of it as of a plain topic: %s", got.raw)
		}
	}
	if !known {
		t.Error("it was not registered when it had been told of")
	}
}
