package broker

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	remote "github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// nsDouble is a NameServer as a registrar sees it: it keeps what it is told. It must not be package namesrv, which is in
// the same row.
type nsDouble struct {
	t      *testing.T
	addr   string
	refuse *protocol.Error // what registrations are answered with; nil takes them
	down   atomic.Bool     // requests end their connection
	mute   atomic.Bool     // requests are not answered
	conn   atomic.Pointer[remoting.Conn]
	got    chan told
}

// told is a request that a nsDouble got.
type told struct {
	code int32
	head protocol.RegisterBrokerHeader
	body *protocol.RegisterBrokerBody
	raw  []byte
	keys []string // of the header's fields

	oneWay bool
}

func (n *nsDouble) Serve(r *remoting.Request) {
	if n.conn.Store(r.Conn); n.down.Load() {
		_ = r.Conn.Close()
		return
	}
	if n.mute.Load() {
		n.got <- told{code: r.Code}
		return
	}
	remoting.Respond(r, func(r *remoting.Request) (*remoting.Answer, error) {
		got := told{code: r.Code, raw: append([]byte(nil), r.Body...), oneWay: r.IsOneway()}
		for _, f := range r.Fields {
			got.keys = append(got.keys, string(f.Key))
		}
		var a *remoting.Answer
		switch r.Code {
		case protocol.ReqRegisterBroker:
			if err := r.DecodeFields(&got.head); err != nil {
				return nil, err
			}
			var err error
			if got.body, err = protocol.DecodeRegisterBrokerBody(r.Body, got.head.Compressed, r.Version); err != nil {
				return nil, err
			}
			a = &remoting.Answer{Header: &protocol.RegisterBrokerResponseHeader{MasterAddr: "m", HAServerAddr: "h"}, Body: []byte(`{"table":{"T":"b:4"}}`)}
		case protocol.ReqQueryDataVersion:
			a = &remoting.Answer{Header: &protocol.QueryDataVersionResponseHeader{Changed: false}}
		}
		n.got <- got
		if n.refuse != nil {
			return nil, n.refuse
		}
		return a, nil
	})
}
func (*nsDouble) Flush(*remoting.Conn)  {}
func (*nsDouble) Closed(*remoting.Conn) {}

func newNSDouble(t *testing.T) *nsDouble {
	t.Helper()
	n := &nsDouble{t: t, got: make(chan told, 1000)}
	server, err := remoting.Listen("127.0.0.1:0", n, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	n.addr = server.Addr().String()
	t.Cleanup(func() { _ = server.Close() })
	return n
}

// next is the next request with a code; others before it are passed over.
func (n *nsDouble) next(code int32) told {
	n.t.Helper()
	end := time.After(20 * time.Second)
	for {
		select {
		case got := <-n.got:
			if got.code == code {
				return got
			}
		case <-end:
			n.t.Fatalf("no %s came", protocol.RequestName(int(code)))
		}
	}
}

// topicsDouble are topics that a test changes.
type topicsDouble struct {
	mu      sync.Mutex
	table   map[string]*protocol.TopicConfig
	version protocol.DataVersion
}

func (d *topicsDouble) all() (map[string]*protocol.TopicConfig, protocol.DataVersion) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.table), d.version
}

func (d *topicsDouble) one(name string) (*protocol.TopicConfig, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.table[name], false
}

func (d *topicsDouble) add(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := protocol.NewTopicConfig(name)
	c.Attributes = map[string]string{}
	d.table[name] = &c
	d.version = d.version.Next(time.Now().UnixMilli())
}

// logText collects a log's messages.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

// startRegistrar runs a registrar with two topics until the test or end ends it.
func startRegistrar(t *testing.T, change func(*registrarConfig), servers ...string) (r *registrar, topics *topicsDouble, end func()) {
	t.Helper()
	topics = &topicsDouble{table: map[string]*protocol.TopicConfig{}}
	topics.add("A")
	topics.add("B")
	cfg := registrarConfig{servers: servers,
		self:   protocol.BrokerIdentityHeader{BrokerName: "b", BrokerAddr: "127.0.0.1:10911", ClusterName: "C"},
		haAddr: "127.0.0.1:10912", period: 30 * time.Second, timeout: 5 * time.Second,
		force: func() bool { return true }, permission: func() int32 { return permRead | permWrite },
		topics: topics.all, topic: topics.one, version: func() protocol.DataVersion { _, v := topics.all(); return v },
		mappings: func() map[string]*protocol.TopicQueueMappingInfo { return map[string]*protocol.TopicQueueMappingInfo{} }, answered: func(remote.Registered) {}, log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	r = makeRegistrar(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.run(ctx)
	}()
	end = func() { cancel(); <-done }
	t.Cleanup(end)
	return r, topics, end
}

func TestRegistrar_RegistersEverywhereAndUnregisters(t *testing.T) {
	t.Parallel()
	a, b := newNSDouble(t), newNSDouble(t)
	answers := make(chan remote.Registered, 10)
	r, _, end := startRegistrar(t, func(c *registrarConfig) { c.answered = func(g remote.Registered) { answers <- g } }, a.addr, b.addr)
	<-r.tried
	for _, n := range []*nsDouble{a, b} {
		got := n.next(protocol.ReqRegisterBroker)
		if got.head.BodyCRC32 != protocol.BodyCRC32(got.raw) || got.head.Compressed || got.head.HAServerAddr != "127.0.0.1:10912" || len(got.body.Topics.TopicConfigTable) != 2 {
			t.Errorf("registered with %+v and %s", got.head, got.raw)
		}
		if g := <-answers; g.MasterAddr != "m" || g.HAServerAddr != "h" || g.OrderTopics["T"] != "b:4" {
			t.Errorf("answered %+v", g)
		}
	}
	end()
	a.next(protocol.ReqUnregisterBroker)
	b.next(protocol.ReqUnregisterBroker)
}

// TestRegistrar_SendsWhatApacheSends compares with the fields and members of a registration that Apache's broker sent.
func TestRegistrar_SendsWhatApacheSends(t *testing.T) {
	t.Parallel()
	n := newNSDouble(t)
	startRegistrar(t, nil, n.addr)
	got := n.next(protocol.ReqRegisterBroker)
	want := "brokerName brokerAddr clusterName haServerAddr brokerId enableActingMaster compressed bodyCrc32"
	if s := strings.Join(got.keys, " "); s != want {
		t.Errorf("fields %s, want %s", s, want)
	}
	const topic = `{"attributes":{},"order":false,"perm":6,"readQueueNums":16,"topicFilterType":"SINGLE_TAG","topicName":"A","topicSysFlag":0,"writeQueueNums":16}`
	begin, end := `{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":2,"stateVersion":0,"timestamp":`, `},"topicQueueMappingDetailMap":{},"topicQueueMappingInfoMap":{}}}`
	text := string(got.raw)
	if !strings.HasPrefix(text, begin) || !strings.HasSuffix(text, end) || !strings.Contains(text, `"topicConfigTable":{"A":`+topic) || !strings.Contains(text, `"mappingDataVersion":{"counter":0,"stateVersion":0,"timestamp":`) {
		t.Errorf("body %s", text)
	}
}

func TestRegistrar_TellsTopicChangesAtOnce(t *testing.T) {
	t.Parallel()
	n := newNSDouble(t)
	r, topics, _ := startRegistrar(t, nil, n.addr)
	n.next(protocol.ReqRegisterBroker)
	topics.add("New")
	r.changed()
	for { // the first may have been on its way already
		if got := n.next(protocol.ReqRegisterBroker); got.body.Topics.TopicConfigTable["New"] != nil {
			break
		}
	}
}

func TestRegistrar_CoalescesChanges(t *testing.T) {
	t.Parallel()
	n := newNSDouble(t)
	r, topics, end := startRegistrar(t, nil, n.addr)
	n.next(protocol.ReqRegisterBroker)
	for range 500 {
		r.changed()
	}
	topics.add("Last")
	r.changed()
	for n.next(protocol.ReqRegisterBroker).body.Topics.TopicConfigTable["Last"] == nil {
	}
	end()
	if rest := len(n.got); rest > 50 {
		t.Errorf("%d more registrations for changes that one could tell", rest)
	}
}

func TestRegistrar_DeadNameServerDelaysNobody(t *testing.T) {
	t.Parallel()
	dead, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dead.Close() })
	n := newNSDouble(t)
	var log logText
	startRegistrar(t, func(c *registrarConfig) {
		c.timeout = 250 * time.Millisecond
		c.log = slog.New(slog.NewTextHandler(&log, nil))
	}, dead.Addr().String(), n.addr)
	n.next(protocol.ReqRegisterBroker)
	for range 3 { // each try in vain ends its connection
		c, err := dead.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if log.count("registered with 1 of 2 name servers") == 0 {
		t.Errorf("the other is not registered; log:\n%s", log.text.String())
	}
	if got := log.count("addr=" + dead.Addr().String()); got != 1 {
		t.Errorf("%d lines about one failure:\n%s", got, log.text.String())
	}
}

func TestRegistrar_RegistersAgainWhenANameServerIsBack(t *testing.T) {
	t.Parallel()
	n := newNSDouble(t)
	var log logText
	startRegistrar(t, func(c *registrarConfig) {
		c.force = func() bool { return false }
		c.log = slog.New(slog.NewTextHandler(&log, nil))
	}, n.addr)
	n.next(protocol.ReqRegisterBroker)
	for log.count("registered with 1 of 1") == 0 {
		time.Sleep(time.Millisecond)
	}
	n.down.Store(true)
	_ = n.conn.Load().Close()
	for log.count("not registered with a name server") == 0 {
		time.Sleep(time.Millisecond)
	}
	n.down.Store(false)
	began := time.Now()
	n.next(protocol.ReqRegisterBroker)
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("took %s", d)
	}
	for log.count("registered with 1 of 1") < 2 {
		time.Sleep(time.Millisecond)
	}
}

func TestRegistrar_AppliesThePermissionOfTheBroker(t *testing.T) {
	t.Parallel()
	n := newNSDouble(t)
	_, topics, _ := startRegistrar(t, func(c *registrarConfig) { c.permission = func() int32 { return permRead } }, n.addr)
	if got := n.next(protocol.ReqRegisterBroker).body.Topics.TopicConfigTable["A"].Perm; got != permRead {
		t.Errorf("permission %d, want %d", got, permRead)
	}
	if table, _ := topics.all(); table["A"].Perm != permRead|permWrite {
		t.Error("the topic itself was changed")
	}
}

func TestRegistrar_LetsASlaveAct(t *testing.T) {
	t.Parallel()
	n := newNSDouble(t)
	startRegistrar(t, func(c *registrarConfig) {
		c.acting, c.silence, c.heartbeat, c.compressed = true, 10*time.Second, time.Second, true
		c.beating = func() (time.Duration, bool) { return time.Second, true }
	}, n.addr)
	got := n.next(protocol.ReqRegisterBroker)
	if h := got.head; h.EnableActingMaster == nil || !*h.EnableActingMaster || h.HeartbeatTimeoutMillis == nil || *h.HeartbeatTimeoutMillis != 10000 || !h.Compressed {
		t.Errorf("registered with %+v", h)
	}
	if len(got.body.Topics.TopicConfigTable) != 2 {
		t.Errorf("compressed topics: %+v", got.body.Topics.TopicConfigTable)
	}
}

func TestSlave_RegistersWithNobody(t *testing.T) {
	t.Parallel()
	n, later := newNSDouble(t), newNSDouble(t)
	cfg := testConfig(t)
	cfg.BrokerRole, cfg.ID, cfg.NamesrvAddr = config.Slave, 1, n.addr
	b := openTest(t, cfg)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	b.WaitRegistered(t.Context())
	cfg.NamesrvAddr = n.addr + ";" + later.addr
	b.Reload(cfg)
	if all := b.registrar.standings(); len(all) != 0 || b.Config().NamesrvAddr != cfg.NamesrvAddr {
		t.Errorf("it registers with %v of %s", all, b.Config().NamesrvAddr)
	}
	if err := b.Ready(); err == nil {
		t.Error("clients may be sent to it")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(n.got)+len(later.got) != 0 {
		t.Error("a NameServer heard of it")
	}
}

func TestRegistrar_ListOfNameServersMayChange(t *testing.T) {
	t.Parallel()
	a, b := newNSDouble(t), newNSDouble(t)
	r, _, _ := startRegistrar(t, nil, a.addr)
	a.next(protocol.ReqRegisterBroker)
	r.use([]string{b.addr})
	b.next(protocol.ReqRegisterBroker)
	a.next(protocol.ReqUnregisterBroker)
}

func TestRegistrar_AsksARefusingNameServerLessAndLess(t *testing.T) {
	t.Parallel()
	n := newNSDouble(t)
	n.refuse = protocol.Errorf(protocol.CodeSystemError, "no")
	startRegistrar(t, nil, n.addr)
	began := time.Now()
	for range 4 {
		n.next(protocol.ReqRegisterBroker)
	}
	if d, least := time.Since(began), 7*registerRetryMin; d < least {
		t.Errorf("asked four times within %s, want at least %s", d, least)
	}
}

func TestConfig_NameServersChangeAtOnce(t *testing.T) {
	t.Parallel()
	old, other := newNSDouble(t), newNSDouble(t)
	cfg := testConfig(t)
	cfg.NamesrvAddr = old.addr
	b, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	old.next(protocol.ReqRegisterBroker)
	c := dialTest(t, b, remoting.Options{})
	if r := call(t, c, protocol.ReqUpdateBrokerConfig, nil, []byte("namesrvAddr="+other.addr)); r.Code != protocol.CodeSuccess {
		t.Errorf("%d %s", r.Code, r.Remark)
	}
	other.next(protocol.ReqRegisterBroker)
	old.next(protocol.ReqUnregisterBroker)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
