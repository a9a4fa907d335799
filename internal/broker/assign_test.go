package broker

import (
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// slowNS is a NameServer that answers a question for a route when it is let.
type slowNS struct {
	asked chan *remoting.Request
}

func (n *slowNS) Serve(r *remoting.Request) {
	if r.Code == protocol.ReqGetRouteInfoByTopic {
		n.asked <- r.Later()
	}
}
func (*slowNS) Flush(*remoting.Conn)  {}
func (*slowNS) Closed(*remoting.Conn) {}

func answerRoute(r *remoting.Request, broker string) {
	r.Conn.Reply(r, &remoting.Answer{Body: []byte(`{"brokerDatas":[],"queueDatas":[{"brokerName":"` + broker + `","perm":6,"readQueueNums":1,"writeQueueNums":1}]}`)})
	r.Conn.Flush()
}

func openWithNameServers(t *testing.T, list string) *Broker {
	t.Helper()
	cfg := testConfig(t)
	cfg.NamesrvAddr = list
	b := openTest(t, cfg)
	t.Cleanup(func() { _ = b.registrar.pool.Close() }) // Run is not called, which does it
	return b
}

func TestRoutes_OneRequestAsksForATopic(t *testing.T) {
	t.Parallel()
	ns := &slowNS{asked: make(chan *remoting.Request, 100)}
	server, err := remoting.Listen("127.0.0.1:0", ns, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	b := openWithNameServers(t, server.Addr().String())
	queue := func() string {
		if qs := b.readableQueues("T"); len(qs) > 0 {
			return qs[0].BrokerName
		}
		return ""
	}
	var all sync.WaitGroup
	got := make(chan string, 5)
	for range 5 {
		all.Go(func() { got <- queue() })
	}
	answerRoute(<-ns.asked, "broker-b")
	all.Wait()
	for range 5 {
		if q := <-got; q != "broker-b" {
			t.Errorf("got %q", q)
		}
	}
	b.routes.mu.Lock()
	known := b.routes.byTopic["T"]
	known.until = time.Time{}
	b.routes.byTopic["T"] = known
	b.routes.mu.Unlock()
	all.Go(func() { got <- queue() })
	question := <-ns.asked
	if q := queue(); q != "broker-b" { // at once
		t.Errorf("while it is asked for again: %q", q)
	}
	answerRoute(question, "broker-c")
	all.Wait()
	if q := <-got; q != "broker-c" {
		t.Errorf("asked again: %q", q)
	}
	if len(ns.asked) != 0 {
		t.Errorf("%d more questions", len(ns.asked))
	}
}

func TestRoutes_GoOnWithTheNameServerThatAnswers(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	ns, err := remoting.Listen("127.0.0.1:0", routeDouble{}, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	b := openWithNameServers(t, silent.Addr().String()+";"+ns.Addr().String())
	for _, topic := range []string{"T", "Static"} { // the second is asked for once it is known who answers
		begin := time.Now()
		if r := b.routeOf(topic); len(r.queues) == 0 {
			t.Errorf("%s is not known", topic)
		}
		if took := time.Since(begin); topic == "Static" && took > routeTimeout/2 {
			t.Errorf("the one that hangs was asked first again: %s", took)
		}
	}
}
