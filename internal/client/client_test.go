package client

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// double answers requests by code; one without an answer is refused.
type double struct {
	answers map[int]remoting.Func
	conns   sync.Map // *remoting.Conn -> nothing
	asked   atomic.Int64
}

func (d *double) Serve(r *remoting.Request) {
	d.conns.Store(r.Conn, nil)
	d.asked.Add(1)
	remoting.Respond(r, func(r *remoting.Request) (*remoting.Answer, error) {
		if do := d.answers[int(r.Code)]; do != nil {
			return do(r)
		}
		return nil, protocol.Errorf(protocol.CodeSystemError, "not today")
	})
}
func (*double) Flush(*remoting.Conn)    {}
func (d *double) Closed(*remoting.Conn) {}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func listen(t *testing.T, answers map[int]remoting.Func) (d *double, addr string) {
	t.Helper()
	d = &double{answers: answers}
	s, err := remoting.Listen("127.0.0.1:0", d, remoting.Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return d, s.Addr().String()
}

func newPool(t *testing.T) *Pool {
	t.Helper()
	p := NewPool(nil, remoting.Options{Log: quiet()})
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// silent is the address of someone who takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String()
}

func ok(*remoting.Request) (*remoting.Answer, error) { return nil, nil }

func TestPool_SharesOneConnectionAndMakesItAnew(t *testing.T) {
	t.Parallel()
	d, addr := listen(t, map[int]remoting.Func{1: ok})
	p := newPool(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := p.ask(t.Context(), addr, "", &remoting.Call{Code: 1}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n := 0
	var conn *remoting.Conn
	d.conns.Range(func(c, _ any) bool { n++; conn = c.(*remoting.Conn); return true })
	if n != 1 {
		t.Fatalf("%d connections for one address", n)
	}
	ours, err := p.Conn(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	<-ours.Done()
	if _, err := p.ask(t.Context(), addr, "", &remoting.Call{Code: 1}); err != nil {
		t.Error("after the connection had ended:", err)
	}
}

func TestPool_ErrorsNameWhatFailed(t *testing.T) {
	t.Parallel()
	_, addr := listen(t, nil)
	p := newPool(t)
	check := func(err error, words ...string) {
		t.Helper()
		for _, w := range words {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%v does not say %q", err, w)
			}
		}
	}
	_, err := p.SearchOffset(t.Context(), addr, "Orders", 0, 0)
	check(err, "Orders", "SEARCH_OFFSET_BY_TIMESTAMP", addr, "not today")
	var pe *protocol.Error
	if !errors.As(err, &pe) || pe.Code != protocol.CodeSystemError {
		t.Errorf("%v has no code", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = p.SearchOffset(ctx, silent(t), "Orders", 0, 0)
	check(err, "Orders", "SEARCH_OFFSET_BY_TIMESTAMP")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v is not about time", err)
	}
	_ = p.Close()
	if _, err := p.SearchOffset(t.Context(), addr, "Orders", 0, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("closed pool: %v", err)
	}
}

func TestPool_CloseEndsCallsUnderWay(t *testing.T) {
	t.Parallel()
	p := newPool(t)
	addr := silent(t)
	conn, err := p.Conn(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := p.Call(t.Context(), addr, &remoting.Call{Code: 1})
		done <- err
	}()
	_ = p.Close()
	if err := <-done; err == nil {
		t.Error("the call succeeded")
	}
	<-conn.Done()
}

func TestNameServers_AskTheNextWhenOneCannotAnswer(t *testing.T) {
	t.Parallel()
	unknown, a := listen(t, map[int]remoting.Func{protocol.ReqGetRouteInfoByTopic: func(*remoting.Request) (*remoting.Answer, error) {
		return nil, protocol.Errorf(protocol.CodeTopicNotExist, "never heard of it")
	}})
	knows, b := listen(t, map[int]remoting.Func{protocol.ReqGetRouteInfoByTopic: remoting.Typed(func(_ *remoting.Request, h *protocol.GetRouteInfoHeader) (*remoting.Answer, error) {
		if h.Topic != "T" {
			return nil, protocol.Errorf(protocol.CodeTopicNotExist, "nor me")
		}
		return &remoting.Answer{Body: []byte(`{"brokerDatas":[{"brokerAddrs":{0:"h:1"},"brokerName":"b"}],"queueDatas":[{"brokerName":"b","readQueueNums":4}]}`)}, nil
	})})
	n, err := NewNameServers(newPool(t), " 127.0.0.1:1; "+a+";"+b+";")
	if err != nil {
		t.Fatal(err)
	}
	route, err := n.RouteByTopic(t.Context(), "T")
	if err != nil || route.BrokerDatas[0].Pick() != "h:1" || route.QueueDatas[0].ReadQueueNums != 4 {
		t.Fatalf("%+v, %v", route, err)
	}
	before := unknown.asked.Load()
	if _, err := n.RouteByTopic(t.Context(), "T"); err != nil || unknown.asked.Load() != before || knows.asked.Load() != 2 {
		t.Errorf("the one that answered was not asked first: %v", err)
	}
	var pe *protocol.Error
	if _, err := n.RouteByTopic(t.Context(), "U"); !errors.As(err, &pe) || pe.Code != protocol.CodeTopicNotExist {
		t.Errorf("unknown topic: %v", err)
	}
}

func TestNameServers_ListMustMakeSense(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"", ";", "host", "host:", ":1", "a:1;b", "a:1,b:2"} {
		if _, err := NewNameServers(nil, list); err == nil {
			t.Errorf("%q was taken", list)
		}
	}
}

func TestRegister_IsReadPlainAndCompressed(t *testing.T) {
	t.Parallel()
	_, good := listen(t, map[int]remoting.Func{protocol.ReqRegisterBroker: func(r *remoting.Request) (*remoting.Answer, error) {
		var h protocol.RegisterBrokerHeader
		if err := r.DecodeFields(&h); err != nil {
			return nil, err
		}
		body, err := protocol.DecodeRegisterBrokerBody(r.Body, h.Compressed, r.Version)
		if err != nil || protocol.BodyCRC32(r.Body) != h.BodyCRC32 || body.Topics.TopicConfigTable["T"] == nil {
			return nil, protocol.Errorf(protocol.CodeSystemError, "wrong body: %v", err)
		}
		return &remoting.Answer{Header: &protocol.RegisterBrokerResponseHeader{MasterAddr: "m"}, Body: []byte(`{"table":{"T":"b:4"}}`)}, nil
	}})
	p := newPool(t)
	topic := protocol.NewTopicConfig("T")
	body := &protocol.RegisterBrokerBody{}
	body.Topics.TopicConfigTable = map[string]*protocol.TopicConfig{"T": &topic}
	for _, small := range []bool{false, true} {
		reg, err := NewRegistration(protocol.RegisterBrokerHeader{BrokerName: "b"}, body, small)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := p.Register(t.Context(), good, reg); err != nil || a.MasterAddr != "m" || a.OrderTopics["T"] != "b:4" || a.NameServer != good {
			t.Errorf("compressed=%v: %+v, %v", small, a, err)
		}
	}
}

// TestBroker_CallsSayWhatIsMeant checks the fields and bodies of the calls to a broker, and that their answers are read.
func TestBroker_CallsSayWhatIsMeant(t *testing.T) {
	t.Parallel()
	stored := message.Message{Topic: "T", Body: []byte("hello"), BornHost: netip.MustParseAddrPort("127.0.0.1:1"), StoreHost: netip.MustParseAddrPort("127.0.0.1:2")}
	records := stored.AppendRecord(stored.AppendRecord(nil, false), false)
	fields := func(want string, a *remoting.Answer) remoting.Func {
		return func(r *remoting.Request) (*remoting.Answer, error) {
			var got []string
			for _, f := range r.Fields {
				got = append(got, string(f.Key)+"="+string(f.Value))
			}
			if s := strings.Join(got, " "); s != want {
				return nil, protocol.Errorf(protocol.CodeSystemError, "fields %s, want %s", s, want)
			}
			return a, nil
		}
	}
	_, addr := listen(t, map[int]remoting.Func{
		protocol.ReqViewMessageByID: fields("topic=T offset=7", &remoting.Answer{Body: records[:len(records)/2]}),
		protocol.ReqQueryMessage: fields("topic=T key=k maxNum=32 beginTimestamp=1000 endTimestamp=2000 _UNIQUE_KEY_QUERY=true",
			&remoting.Answer{Body: records}),
		protocol.ReqUpdateAndCreateTopic:    fields("topic=T defaultTopic=TBW102 readQueueNums=16 writeQueueNums=16 perm=6 topicFilterType=SINGLE_TAG topicSysFlag=0 order=false attributes=+a=b", nil),
		protocol.ReqSearchOffsetByTimestamp: fields("topic=T queueId=3 timestamp=5", &remoting.Answer{Header: &protocol.OffsetHeader{Offset: 9}}),
	})
	p, ctx := newPool(t), t.Context()
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	m, err := p.ViewMessage(ctx, addr, "T", 7)
	fail(err)
	if err == nil && string(m.Body) != "hello" {
		t.Errorf("viewed %q", m.Body)
	}
	found, err := p.QueryMessages(ctx, addr, &Query{Topic: "T", Key: "k", Unique: true, Max: 32, Begin: time.UnixMilli(1000), End: time.UnixMilli(2000)})
	fail(err)
	if len(found) != 2 || string(found[1].Body) != "hello" {
		t.Errorf("found %d messages", len(found))
	}
	c := protocol.NewTopicConfig("T")
	fail(p.CreateTopic(ctx, addr, &c, "+a=b"))
	offset, err := p.SearchOffset(ctx, addr, "T", 3, 5)
	fail(err)
	if offset != 9 {
		t.Errorf("offset %d, want 9", offset)
	}
}

func TestDecodeMessages_RefusesWhatIsTorn(t *testing.T) {
	t.Parallel()
	m := message.Message{Topic: "T", Body: []byte("hello"), BornHost: netip.MustParseAddrPort("127.0.0.1:1"), StoreHost: netip.MustParseAddrPort("127.0.0.1:2")}
	record := m.AppendRecord(nil, false)
	if _, err := decodeMessages(record[:len(record)-1]); err == nil {
		t.Error("a torn record was taken")
	}
	if got, err := decodeMessages(nil); err != nil || len(got) != 0 {
		t.Errorf("nothing became %v, %v", got, err)
	}
}

func TestNameServers_AskTheNextWhenOneHangs(t *testing.T) {
	t.Parallel()
	_, addr := listen(t, map[int]remoting.Func{protocol.ReqGetRouteInfoByTopic: func(*remoting.Request) (*remoting.Answer, error) {
		return &remoting.Answer{Body: []byte(`{"brokerDatas":[],"queueDatas":[]}`)}, nil
	}})
	n, err := NewNameServers(newPool(t), silent(t)+";"+addr)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (time.Duration, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := n.RouteByTopic(ctx, "T")
		return time.Since(begin), err
	}
	if took, err := ask(); err != nil || took < time.Second {
		t.Errorf("the second was to answer after 2 s: %v after %s", err, took)
	}
	if took, err := ask(); err != nil || took > 1900*time.Millisecond {
		t.Errorf("the one that answered was not asked first: %v after %s", err, took)
	}
	_, addr = listen(t, nil)
	if n, err = NewNameServers(newPool(t), silent(t)+";"+silent(t)+";"+addr); err != nil {
		t.Fatal(err)
	}
	var pe *protocol.Error
	if _, err := ask(); !errors.As(err, &pe) {
		t.Errorf("two hang: %v", err)
	}
}
