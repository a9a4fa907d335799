package broker

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// heldOf returns the only request that waits.
func heldOf(t testing.TB, b *Broker) *held {
	t.Helper()
	await(t, "the request to be held", func() bool { return b.holds.waiting() == 1 })
	b.holds.mu.Lock()
	defer b.holds.mu.Unlock()
	return b.holds.byDeadline[0]
}

// Whatever a connection has waited for is forgotten when it ends, and nothing of anybody else.
func TestHolds_GoWithTheirConnection(t *testing.T) {
	t.Parallel()
	l := newLiteLab(t, openTest(t, lightConfig(t)))
	l.subscribe("one", "Lites", "a")
	b := l.b
	c, staying, leaving := dialTest(t, b, remoting.Options{}), dialTest(t, b, remoting.Options{}), dialTest(t, b, remoting.Options{})
	sendN(t, c, "T", 1, "e", "0")
	ack(t, c, "T", pop(t, c, "T")...)
	fields := pullFields("T", 0, 1, "sysFlag", "6")
	alive := start(t, staying, protocol.ReqPullMessage, fields)
	await(t, "the pull to be held", func() bool { return b.holds.waiting() == 1 })
	for i := range 3 {
		start(t, leaving, protocol.ReqPullMessage, fields)
		start(t, leaving, protocol.ReqPullMessage, pullFields("T", 1, 0, "sysFlag", "6", "queueId", strconv.Itoa(i)))
		start(t, leaving, protocol.ReqPopMessage, popFields("T", "pollTime", "20000"))
		start(t, leaving, protocol.ReqNotification, [][2]string{{"consumerGroup", "Poppers"}, {"topic", "T"}, {"queueId", "0"}, {"pollTime", "20000"}, {"bornTime", in(0)}})
		start(t, leaving, protocol.ReqPopLiteMessage, l.popFields("one", "pollTime", "20000"))
	}
	start(t, staying, protocol.ReqPullMessage, fields)
	await(t, "the requests to be held", func() bool { return b.holds.waiting() >= 16 })
	_ = leaving.Close()
	await(t, "the requests to be dropped", func() bool { return b.holds.waiting() == 2 })
	b.holds.mu.Lock()
	if n := b.holds.popsHeld; n != 0 {
		t.Errorf("%d pops are counted", n)
	}
	b.holds.mu.Unlock()
	sendN(t, c, "T", 1, "e", "0")
	if r, err := alive.Wait(t.Context()); err != nil || r.Code != 0 {
		t.Error(err, r)
	}
	if list := pop(t, c, "T"); len(list) != 1 {
		t.Errorf("%d messages are left for a pop", len(list))
	}
}

// A pull that was woken before its connection ended is not held again behind that.
func TestHolds_NothingIsHeldBehindTheEnd(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "T", 1, "e", "0")
	start(t, c, protocol.ReqPullMessage, pullFields("T", 0, 1, "sysFlag", "6"))
	w := heldOf(t, b)
	p := w.request.(*pull)
	b.holds.mu.Lock()
	b.holds.removeLocked(w) // as arrivals do
	b.holds.mu.Unlock()
	_ = c.Close()
	await(t, "the end of the connection", func() bool {
		b.holds.mu.Lock()
		defer b.holds.mu.Unlock()
		return w.holder.gone
	})
	if b.holds.again(p, 1) || b.holds.add(p, time.Minute) != notHeld || b.holds.waiting() != 0 {
		t.Errorf("%d requests are held for a connection that has ended", b.holds.waiting())
	}
}

func TestHolds_ConnectionsThatComeAndGoLeaveNothing(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	sender := dialTest(t, b, remoting.Options{})
	sendN(t, sender, "T", 1, "e", "0")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 15 {
				c := dialTest(t, b, remoting.Options{})
				for range 5 {
					start(t, c, protocol.ReqPullMessage, pullFields("T", 0, 1, "sysFlag", "6", "subscription", "Nobody || sends"))
					start(t, c, protocol.ReqPopMessage, popFields("T", "pollTime", "20000", "exp", "Nobody"))
				}
				_ = c.Close()
			}
		})
	}
	for range 30 {
		sendN(t, sender, "T", 1, "e", "0")
	}
	wg.Wait()
	await(t, "all requests to be dropped", func() bool { return b.holds.waiting() == 0 })
}

func TestHolds_CostOneConnectionNoMoreThanItsRoom(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "T", 1, "e", "0")
	long := strings.Repeat("tag||", 50_000)
	fields := pullFields("T", 0, 1, "sysFlag", "6", "subscription", long)
	fits := 0
	for b := heldCost + textCost*len(long); b < holderMax; b += heldCost + textCost*(len(long)+50) {
		start(t, c, protocol.ReqPullMessage, fields)
		fits++
	}
	await(t, "the pulls to be held", func() bool { return b.holds.waiting() == fits })
	if r := call(t, c, protocol.ReqPullMessage, fields, nil); r.Code != protocol.CodeSystemBusy || !strings.Contains(string(r.Remark), strconv.Itoa(holderMax)) {
		t.Errorf("code %d %s", r.Code, r.Remark)
	}
	if r := call(t, c, protocol.ReqPopMessage, popFields("T", "pollTime", "20000", "exp", long), nil); r.Code != protocol.CodePollingFull {
		t.Errorf("code %d %s", r.Code, r.Remark)
	}
	other := start(t, dialTest(t, b, remoting.Options{}), protocol.ReqPullMessage, fields)
	await(t, "another connection's pull to be held", func() bool { return b.holds.waiting() == fits+1 })
	sendN(t, dialTest(t, b, remoting.Options{}), "T", 1, "e", "0", "i", "TAGS\x01tag\x02")
	if r, err := other.Wait(t.Context()); err != nil || r.Code != 0 {
		t.Error(err, r)
	}
	await(t, "all pulls to be answered", func() bool { return b.holds.waiting() == 0 })
	start(t, c, protocol.ReqPullMessage, pullFields("T", 0, 2, "sysFlag", "6"))
	w := heldOf(t, b)
	b.holds.mu.Lock()
	defer b.holds.mu.Unlock()
	if w.holder.bytes != heldCost+textCost*w.text {
		t.Errorf("the connection's requests count %d bytes", w.holder.bytes)
	}
}

// What all connections wait for is bounded too, whatever it is.
func TestHolds_CostAllConnectionsNoMoreThanTheirRoom(t *testing.T) {
	t.Parallel()
	l := newLiteLab(t, openTest(t, lightConfig(t)))
	l.subscribe("one", "Lites", "a")
	b := l.b
	sender := dialTest(t, b, remoting.Options{})
	sendN(t, sender, "T", 1, "e", "0")
	ack(t, sender, "T", pop(t, sender, "T")...)
	await(t, "nothing to wait", func() bool { return b.holds.waiting() == 0 })
	b.holds.mu.Lock()
	b.holds.bytesMost = 4 * (heldCost + textCost*100)
	b.holds.mu.Unlock()
	fields := pullFields("T", 0, 1, "sysFlag", "6")
	held, refused := 0, ""
	for held < 20 && refused == "" {
		p := start(t, dialTest(t, b, remoting.Options{}), protocol.ReqPullMessage, fields)
		answered := make(chan string, 1)
		go func() {
			if r, err := p.Wait(t.Context()); err == nil && r.Code == protocol.CodeSystemBusy {
				answered <- string(r.Remark)
			}
		}()
		await(t, "the pull to be held or refused", func() bool {
			select {
			case refused = <-answered:
				return true
			default:
				return b.holds.waiting() > held
			}
		})
		held = b.holds.waiting()
	}
	if held < 4 || held > 6 || !strings.Contains(refused, "on all connections may cost "+strconv.FormatInt(b.holds.bytesMost, 10)) {
		t.Fatalf("%d pulls are held: %s", held, refused)
	}
	for code, fields := range map[int][][2]string{protocol.ReqPopMessage: popFields("T", "pollTime", "20000"), protocol.ReqPopLiteMessage: l.popFields("one", "pollTime", "20000")} {
		if r := call(t, dialTest(t, b, remoting.Options{}), code, fields, nil); r.Code != protocol.CodePollingFull {
			t.Errorf("request %d is answered with %d %s", code, r.Code, r.Remark)
		}
	}
	sendN(t, sender, "T", 1, "e", "0")
	await(t, "all pulls to be answered", func() bool { return b.holds.waiting() == 0 })
	b.holds.mu.Lock()
	defer b.holds.mu.Unlock()
	if b.holds.bytes != 0 {
		t.Errorf("nothing that waits costs %d bytes", b.holds.bytes)
	}
}

func TestHolds_MayCostAQuarterOfTheMachine(t *testing.T) {
	t.Parallel()
	for memory, want := range map[int64]int64{0: 2 << 30, 4 << 30: 1 << 30} {
		if got := holdsMost(memory, 16<<30); got != want {
			t.Errorf("with %d bytes of memory %d", memory, got)
		}
	}
	if got := holdsMost(4<<30, 2<<30); got != 1<<29 {
		t.Errorf("with a limit of 2 GiB %d", got)
	}
}

// What an SQL expression is parsed to counts too, of each request that has brought one of its own.
func TestHolds_CountWhatSQLTakes(t *testing.T) {
	t.Parallel()
	b := openTest(t, sqlConfig(t))
	sender := dialTest(t, b, remoting.Options{})
	sendN(t, sender, "T", 1, "e", "0")
	ack(t, sender, "T", pop(t, sender, "T")...)
	for what, full := range map[string]int32{"pull": protocol.CodeSystemBusy, "pop": protocol.CodePollingFull} {
		c := dialTest(t, b, remoting.Options{})
		refused := make(chan int32, 60)
		for i := range cap(refused) {
			expression := strings.Repeat("n=5 OR ", 16_000) + "n=" + strconv.Itoa(i)
			code, fields := protocol.ReqPullMessage, pullFields("T", 0, 1, "sysFlag", "6", "subscription", expression, "expressionType", "SQL92")
			if what == "pop" {
				code, fields = protocol.ReqPopMessage, popFields("T", "pollTime", "20000", "exp", expression, "expType", "SQL92")
			}
			asked := start(t, c, code, fields)
			go func() {
				if r, err := asked.Wait(t.Context()); err == nil {
					refused <- r.Code
				}
			}()
		}
		for range 50 { // 6 MB each
			if code := <-refused; code != full {
				t.Errorf("%s: code %d", what, code)
			}
		}
		b.holds.mu.Lock()
		for _, w := range b.holds.byDeadline {
			if cost := w.cost(); cost < 5<<20 || w.holder.bytes > holderMax {
				t.Errorf("%s: one counts %d bytes, all of the connection %d", what, cost, w.holder.bytes)
			}
		}
		b.holds.mu.Unlock()
		_ = c.Close()
	}
	await(t, "all to be dropped", func() bool { return b.holds.waiting() == 0 })
	b.sql.mu.Lock()
	if n := len(b.sql.byText); n > 5 {
		t.Errorf("%d parsed expressions are remembered", n)
	}
	b.sql.mu.Unlock()
}

// What a pull says of no use to the broker is not kept.
func TestHolds_KeepNoExpressionThatDoesNotCount(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "T", 1, "e", "0")
	group := newConsumer(t, b, "c1")
	group.beat(t, "Consumer", 0, sub("T", "*", 1))
	start(t, c, protocol.ReqPullMessage, pullFields("T", 0, 1, "sysFlag", "2", "subscription", strings.Repeat("x", 1<<20)))
	if w := heldOf(t, b); w.text > 100 {
		t.Errorf("%d bytes are kept", w.text)
	}
}

func TestSubscription_RefusesExpressionsThatAreTooLong(t *testing.T) {
	t.Parallel()
	b := openTest(t, sqlConfig(t))
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "T", 1, "e", "0")
	refused := func(what string, r *remoting.Response, size int) {
		t.Helper()
		if r.Code != protocol.CodeSubscriptionParseFailed || !strings.HasPrefix(string(r.Remark), "parse the consumer's subscription failed") ||
			!strings.Contains(string(r.Remark), strconv.Itoa(size)+" bytes, at most "+strconv.Itoa(expressionMax)) {
			t.Errorf("%s: code %d %.300s", what, r.Code, r.Remark)
		}
	}
	tags := strings.Repeat("a||", expressionMax/3) + "bb"
	sql := "a IN ('" + strings.Repeat("x','", expressionMax/4) + "y')"
	for _, code := range []int{protocol.ReqPullMessage, protocol.ReqLitePullMessage} {
		refused("a pull's tags", call(t, c, code, pullFields("T", 0, 1, "sysFlag", "6", "subscription", tags), nil), len(tags))
		refused("a pull's SQL", call(t, c, code, pullFields("T", 0, 1, "sysFlag", "6", "subscription", sql, "expressionType", "SQL92"), nil), len(sql))
	}
	refused("a pop's tags", call(t, c, protocol.ReqPopMessage, popFields("T", "pollTime", "20000", "exp", tags), nil), len(tags))
	group := newConsumer(t, b, "c1")
	group.beat(t, "Consumer", 0, sub("T", tags, 1), sub("Other", "*", 1))
	refused("a heartbeat's tags", call(t, group.conn, protocol.ReqPullMessage, pullFields("T", 0, 1, "sysFlag", "2"), nil), len(tags))
	group.beat(t, "Consumer", 0, sqlSub("T", sql, 2))
	refused("a heartbeat's SQL", call(t, group.conn, protocol.ReqPullMessage, pullFields("T", 0, 1, "sysFlag", "2"), nil), len(sql))
	if s := b.findSubscription("Consumer", "T"); len(s.SubString) > 1000 || s.wants(0) {
		t.Errorf("%d bytes of the expression are kept, it wants all: %t", len(s.SubString), s.wants(0))
	}
	group.beat(t, "Consumer", 0, sub("T", "*", 3))
	if r := call(t, group.conn, protocol.ReqPullMessage, pullFields("T", 0, 0, "sysFlag", "2"), nil); r.Code != 0 {
		t.Errorf("with a short expression again: code %d %s", r.Code, r.Remark)
	}
	if tags = strings.Repeat("a||", expressionMax/3); len(tags) > expressionMax {
		t.Fatal("wrong test")
	}
	if r := call(t, c, protocol.ReqPullMessage, pullFields("T", 0, 1, "subscription", tags), nil); r.Code != protocol.CodePullNotFound {
		t.Errorf("as long as is allowed: code %d %s", r.Code, r.Remark)
	}
}

// waiting is the number of held requests.
func (h *holds) waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.byDeadline)
}
