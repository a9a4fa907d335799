package broker

import (
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// holdThenGo makes a connection's request wait and closes the connection, as a consumer that is restarted does. The request is held as it
// is between the end of the connection and its being dropped.
func holdThenGo(t testing.TB, b *Broker, code int, fields [][2]string) {
	t.Helper()
	c := dialTest(t, b, remoting.Options{})
	before := b.holds.waiting()
	start(t, c, code, fields)
	await(t, "the request to be held", func() bool { return b.holds.waiting() == before+1 })
	h := &b.holds
	h.mu.Lock()
	var last *remoting.Conn
	for _, w := range h.byDeadline {
		if conn := connOf(w); conn.RemoteAddr().String() == c.LocalAddr().String() {
			last = conn
			w.holder.removeLocked(w)
			w.holder = new(holder)
			w.holder.addLocked(w)
		}
	}
	h.mu.Unlock()
	_ = c.Close()
	await(t, "the broker to see that the connection is closed", last.IsClosed)
}

func connOf(w *held) *remoting.Conn {
	switch r := w.request.(type) {
	case *pull:
		return r.conn
	case *popRequest:
		return r.conn
	default:
		return r.(*litePop).conn
	}
}

// start sends a request whose answer is to come later.
func start(t testing.TB, c *remoting.Conn, code int, fields [][2]string) *remoting.Pending {
	t.Helper()
	p, err := c.Start(&remoting.Call{Code: code, Ext: fields})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What a closed connection waited for goes to who is still there.
func TestPop_OfAClosedConnectionTakesNothing(t *testing.T) {
	t.Parallel()
	for _, queue := range []string{"-1", "0"} {
		t.Run("queue "+queue, func(t *testing.T) {
			t.Parallel()
			b := openTest(t, testConfig(t))
			c, sender := dialTest(t, b, remoting.Options{}), dialTest(t, b, remoting.Options{})
			sendN(t, sender, "T", 1, "e", "0")
			ack(t, c, "T", pop(t, c, "T")...)
			fields := popFields("T", "pollTime", "20000", "queueId", queue)
			notify := [][2]string{{"consumerGroup", "Poppers"}, {"topic", "T"}, {"queueId", queue}, {"pollTime", "20000"}, {"bornTime", in(0)}}
			note := start(t, c, protocol.ReqNotification, notify)
			await(t, "the notification to be held", func() bool { return b.holds.waiting() == 1 })
			holdThenGo(t, b, protocol.ReqNotification, notify)
			holdThenGo(t, b, protocol.ReqPopMessage, fields)
			holdThenGo(t, b, protocol.ReqPopMessage, fields)
			alive := start(t, c, protocol.ReqPopMessage, fields)
			await(t, "the pop to be held", func() bool { return b.holds.waiting() == 5 })
			sendN(t, sender, "T", 1, "e", "0")
			if r, err := alive.Wait(t.Context()); err != nil || r.Code != 0 || len(records(t, r.Body)) != 1 {
				t.Fatal(err, r)
			}
			if r, err := note.Wait(t.Context()); err != nil || fieldOf(r, "hasMsg") != "true" {
				t.Error(err, r)
			}
			holdThenGo(t, b, protocol.ReqPopMessage, fields)
			sendN(t, sender, "T", 1, "e", "0")
			if list := pop(t, c, "T", "queueId", queue); len(list) != 1 {
				t.Errorf("%d messages are left for who comes later", len(list))
			}
			if n := b.holds.waiting(); n != 0 {
				t.Errorf("%d requests are still held", n)
			}
		})
	}
}

// One whose time is over takes nothing either, and passes on that it was woken.
func TestPop_OfAClosedConnectionPassesOn(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c, sender := dialTest(t, b, remoting.Options{}), dialTest(t, b, remoting.Options{})
	sendN(t, sender, "T", 1, "e", "0")
	ack(t, c, "T", pop(t, c, "T")...)
	holdThenGo(t, b, protocol.ReqPopMessage, popFields("T", "pollTime", "20000"))
	h := &b.holds
	h.mu.Lock()
	gone := h.byDeadline[0].request.(*popRequest)
	h.removeLocked(&gone.held) // as expire does, or a wake-up before the end of the connection was seen
	h.mu.Unlock()
	sendN(t, sender, "T", 1, "e", "0")
	gone.resume()
	if list := pop(t, c, "T"); len(list) != 1 {
		t.Errorf("%d messages are left for who comes later", len(list))
	}
}

func TestPull_OfAClosedConnectionTakesNoReset(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	sendN(t, c, "T", 3, "e", "0")
	fields := pullFields("T", 0, 3, "consumerGroup", "G", "sysFlag", "6")
	holdThenGo(t, b, protocol.ReqPullMessage, fields)
	alive := start(t, c, protocol.ReqPullMessage, fields)
	await(t, "the pull to be held", func() bool { return b.holds.waiting() == 2 })
	admin := dialTest(t, b, remoting.Options{})
	if r := call(t, admin, protocol.ReqInvokeBrokerToResetOffset, [][2]string{{"group", "G"}, {"topic", "T"}, {"timestamp", "0"}, {"isForce", "true"}}, nil); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	r, err := alive.Wait(t.Context())
	if err != nil || r.Code != protocol.CodePullOffsetMoved || fieldOf(r, "nextBeginOffset") != "0" {
		t.Errorf("%v, code %d %s", err, r.Code, r.Remark)
	}
}

func TestLite_PopOfAClosedConnectionTakesNothing(t *testing.T) {
	t.Parallel()
	l := newLiteLab(t, openTest(t, lightConfig(t)))
	l.subscribe("one", "Lites", "a")
	holdThenGo(t, l.b, protocol.ReqPopLiteMessage, l.popFields("one", "pollTime", "20000"))
	alive := start(t, dialTest(t, l.b, remoting.Options{}), protocol.ReqPopLiteMessage, l.popFields("one", "pollTime", "20000"))
	await(t, "two waiting pops", func() bool { return l.b.holds.waiting() == 2 })
	l.send("a", "a0")
	r, err := alive.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, got := l.read(r)
	l.want("who is still there", got, "a:a0:0:0")
}
