package namesrv

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

func TestRoute_DialectFollowsTheClient(t *testing.T) {
	t.Parallel()
	s := openServer(t, testConfig(t))
	dial(t, s).register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}})
	nc := rawDial(t, s)
	check := func(version int32, standard string, want string) {
		t.Helper()
		head := protocol.RequestHead(protocol.JSON, protocol.ReqGetRouteInfoByTopic, 1, false)
		head.Version = version
		f := protocol.Begin(nil, head)
		f.Str("topic", "T")
		if standard != "" {
			f.Str("acceptStandardJsonOnly", standard)
		}
		if got := exchange(t, nc, f.End(0)); !strings.Contains(string(got.body), want) {
			t.Errorf("version %d, acceptStandardJsonOnly=%s: %s, want %s", version, standard, got.body, want)
		}
	}
	check(protocol.VersionV4_9_4, "", `{"0":"m:1"}`)
	check(protocol.VersionV4_9_4-1, "", `{0:"m:1"}`)
	check(protocol.VersionV4_9_4-1, "true", `{"0":"m:1"}`)
	check(protocol.VersionV4_9_4-1, "false", `{0:"m:1"}`)
	check(protocol.VersionCurrent, "false", `{"0":"m:1"}`)
}

func TestRoute_SaysWhyThereIsNone(t *testing.T) {
	t.Parallel()
	s := openServer(t, testConfig(t))
	p := dial(t, s)
	check := func(topic string, words ...string) {
		t.Helper()
		r := p.call(protocol.ReqGetRouteInfoByTopic, &protocol.GetRouteInfoHeader{Topic: topic}, nil)
		text := string(r.Remark)
		if r.Code != protocol.CodeTopicNotExist || !strings.HasPrefix(text, "No topic route info in name server for the topic: "+topic+"\n") || !strings.HasSuffix(text, protocol.FAQ) {
			t.Errorf("%d %s", r.Code, text)
		}
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%q does not say %q", text, w)
			}
		}
	}
	check("T", "No broker has registered with this name server since it started")
	p.register(member{name: "a", addr: "m:1", topics: []string{"T", "U", "W"}})
	p.register(member{name: "b", addr: "m:2", topics: []string{"V", "W"}})
	check("New", "No broker has registered this topic", "2 broker groups", "create it first")
	p.register(member{name: "b", addr: "m:2", topics: []string{"V", "W", protocol.TopicAutoCreate}, count: 1})
	check("New", "created by the first message")
	check("%RETRY%billing", "created when the first consumer of group billing connects")
	check("%RETRY%billing+orders", "created when group billing has popped a message of topic orders and not acknowledged it in time")
	p.ok(protocol.ReqDeleteTopicInNamesrv, &protocol.DeleteTopicInNamesrvHeader{Topic: "V"}, nil)
	check("V", "taken off: deleted by 127.0.0.1:")
	p.ok(protocol.ReqUnregisterBroker, &protocol.BrokerIdentityHeader{BrokerName: "a", BrokerAddr: "m:1", ClusterName: "C"}, nil)
	check("T", "It was on a (m:1 unregistered at ", "0s ago")
	q := dial(t, s)
	q.register(member{name: "b", addr: "m:2", topics: []string{"V", "W"}, count: 1})
	_ = q.Close()
	until(t, "b gone", func() bool { return s.routes.lives() == 0 })
	check("W", "It was on b (m:2 closed its connection at ", " and on a (m:1 unregistered")
	check("New", "No broker is registered", "the last was b (m:2 closed its connection")
	check(strings.Repeat("x", 255))
}

func TestGone_RemembersNoMoreThanItsBounds(t *testing.T) {
	t.Parallel()
	var g gone
	now := time.Now()
	topics := map[string]*topic{"T": nil, "U": nil}
	for i := range 3 * goneGroupsMax {
		g.groupGone(fmt.Sprint("b", i), "why", topics, now)
	}
	g.groupGone("b1000", "again", topics, now)
	g.groupGone("b1000", "again", topics, now)
	if len(g.groups) != goneGroupsMax || g.topics != 2*goneGroupsMax {
		t.Errorf("%d groups, %d topics", len(g.groups), g.topics)
	}
	g.groupBack("b1000")
	if g.topics != 2*(goneGroupsMax-1) {
		t.Errorf("%d topics after one was back", g.topics)
	}
	for i := range 3 * deletedMax {
		g.topicDeleted(fmt.Sprint("T", i), "why")
	}
	if len(g.deleted) != deletedMax {
		t.Errorf("%d deleted topics", len(g.deleted))
	}
}

func TestRoute_WaitsForServiceWhenAsked(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.WaitForService, cfg.WaitSeconds = true, time.Hour
	s := openServer(t, cfg)
	p := dial(t, s)
	p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}})
	if got := p.route("T"); got != "name server not ready" {
		t.Error(got)
	}
	p.ok(protocol.ReqUpdateNamesrvConfig, nil, []byte("waitSecondsForService=0\n"))
	if got := p.route("T"); !strings.HasPrefix(got, "{") {
		t.Error(got)
	}
}

func TestRoute_ShowsTheOrderOfQueues(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	s := openServer(t, cfg)
	p := dial(t, s)
	p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}})
	check := func(want string) {
		t.Helper()
		if got := p.routeTo("T").OrderTopicConf; got != want {
			t.Errorf("order %q, want %q", got, want)
		}
	}
	put := func(v string) {
		p.ok(protocol.ReqPutKVConfig, &protocol.PutKVConfigHeader{Namespace: protocol.NamespaceOrderTopicConfig, Key: "T", Value: v}, nil)
	}
	put("b:4")
	check("")
	p.ok(protocol.ReqUpdateNamesrvConfig, nil, []byte("orderMessageEnable=true\n"))
	check("b:4")
	put("b:8")
	check("b:8")
	p.ok(protocol.ReqDeleteKVConfig, &protocol.KVConfigHeader{Namespace: protocol.NamespaceOrderTopicConfig, Key: "T"}, nil)
	check("")
	if r := p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}}); string(r.Body) != `{"table":{}}` {
		t.Errorf("registration answered with %s", r.Body)
	}
}

func TestRoute_ZoneModeLeavesOutOtherZones(t *testing.T) {
	t.Parallel()
	s := openServer(t, testConfig(t))
	p := dial(t, s)
	p.register(member{name: "a", addr: "m:1", topics: []string{"T", "U"}, zone: "East"})
	p.register(member{name: "b", addr: "m:2", topics: []string{"T", "U"}, zone: "west"})
	p.register(member{name: "c", id: 1, addr: "s:3", topics: []string{"T", "U"}, zone: "west", acting: ptr(false)})
	r, err := p.Call(t.Context(), &remoting.Call{Code: protocol.ReqGetRouteInfoByTopic, Header: &protocol.GetRouteInfoHeader{Topic: "T"},
		Ext: [][2]string{{protocol.FieldZoneMode, "true"}, {protocol.FieldZoneName, "east"}}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"brokerDatas":[{"brokerAddrs":{0:"m:1"},"brokerName":"a","cluster":"C","enableActingMaster":false,"zoneName":"East"},` +
		`{"brokerAddrs":{1:"s:3"},"brokerName":"c","cluster":"C","enableActingMaster":false,"zoneName":"west"}],"filterServerTable":{},"queueDatas":[{"brokerName":"a",`
	if got := string(r.Body); !strings.HasPrefix(got, want) || strings.Contains(got, `"brokerName":"b"`) {
		t.Errorf("route %s, want %s", got, want)
	}
}

// TestRoute_IsNeverOlderThanARegistration changes a topic and asks for it over another connection, while others ask too.
func TestRoute_IsNeverOlderThanARegistration(t *testing.T) {
	t.Parallel()
	s := openServer(t, testConfig(t))
	p := dial(t, s)
	p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		q := dial(t, s)
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					q.route("T")
				}
			}
		})
	}
	q := dial(t, s)
	for i := range 300 {
		perm := int32(2 + 2*(i%2))
		p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}, count: int64(i + 1), perm: perm})
		if got := q.routeTo("T").QueueDatas[0].Perm; got != perm {
			t.Fatalf("registration %d: permission %d, want %d", i, got, perm)
		}
	}
	close(stop)
	wg.Wait()
	s.routes.mu.RLock()
	defer s.routes.mu.RUnlock()
	var kept int64
	for _, tp := range s.routes.topics {
		for i := range tp.encoded {
			if b := tp.encoded[i].Load(); b != nil {
				kept += int64(len(*b))
			}
		}
	}
	if got := s.routes.encoded.Load(); got != kept {
		t.Errorf("%d bytes counted, %d kept", got, kept)
	}
}

func TestKV_OutlastsARestart(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	s := openServer(t, cfg)
	p := dial(t, s)
	p.ok(protocol.ReqPutKVConfig, &protocol.PutKVConfigHeader{Namespace: "n", Key: "k", Value: "v\"1\""}, nil)
	p.ok(protocol.ReqPutKVConfig, &protocol.PutKVConfigHeader{Namespace: "n", Key: "l", Value: "w"}, nil)
	p.ok(protocol.ReqDeleteKVConfig, &protocol.KVConfigHeader{Namespace: "n", Key: "l"}, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const want = `{"configTable":{"n":{"k":"v\"1\""}}}`
	if data, err := os.ReadFile(cfg.KVConfigPath); err != nil || string(data) != want {
		t.Errorf("file %s, %v, want %s", data, err, want)
	}
	p = dial(t, openServer(t, cfg))
	if v, _ := p.ok(protocol.ReqGetKVConfig, &protocol.KVConfigHeader{Namespace: "n", Key: "k"}, nil).Get("value"); string(v) != `v"1"` {
		t.Errorf("value %q", v)
	}
	for _, r := range []*remoting.Response{
		p.call(protocol.ReqGetKVConfig, &protocol.KVConfigHeader{Namespace: "n", Key: "l"}, nil),
		p.call(protocol.ReqGetKVListByNamespace, &protocol.KVNamespaceHeader{Namespace: "m"}, nil),
	} {
		if r.Code != protocol.CodeQueryNotFound || !strings.HasPrefix(string(r.Remark), "No config item, Namespace: ") {
			t.Errorf("answered %d %s", r.Code, r.Remark)
		}
	}
}

func TestKV_DamagedFileIsNoEmptyOne(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	if err := os.WriteFile(cfg.KVConfigPath, []byte("{nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(cfg, slog.New(slog.DiscardHandler))
	if err == nil {
		_ = s.Close()
		t.Fatal("it opened")
	}
	if !strings.Contains(err.Error(), cfg.KVConfigPath) {
		t.Errorf("%v does not name the file", err)
	}
}

func TestConfig_ChangesAreCheckedAndKept(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	if err := os.WriteFile(cfg.File, []byte("# mine\nlistenPort=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := dial(t, openServer(t, cfg))
	check := func(text string, code int32, word string) {
		t.Helper()
		r := p.call(protocol.ReqUpdateNamesrvConfig, nil, []byte(text))
		if r.Code != code || !strings.Contains(string(r.Remark), word) {
			t.Errorf("%q: %d %s, want %d %s", text, r.Code, r.Remark, code, word)
		}
	}
	check("", protocol.CodeSuccess, "")
	check("kvConfigPath=/tmp/x", protocol.CodeNoPermission, "Can not update config in black list.")
	check("orderMesageEnable=true", protocol.CodeSystemError, "did you mean orderMessageEnable?")
	check("orderMessageEnable=perhaps", protocol.CodeSystemError, "true or false")
	check("orderMessageEnable=true", protocol.CodeSuccess, "")
	if got := string(p.ok(protocol.ReqGetNamesrvConfig, nil, nil).Body); !strings.Contains(got, "\norderMessageEnable=true\n") {
		t.Errorf("configuration %s", got)
	}
	if data, err := os.ReadFile(cfg.File); err != nil || string(data) != "# mine\nlistenPort=1\norderMessageEnable=true\n" {
		t.Errorf("file %q, %v", data, err)
	}
}

func TestServe_RefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	p := dial(t, openServer(t, testConfig(t)))
	if r := p.call(4711, nil, nil); r.Code != protocol.CodeRequestCodeNotSupported || string(r.Remark) != " request type 4711 not supported" {
		t.Errorf("answered %d %s", r.Code, r.Remark)
	}
	for code, field := range map[int]string{protocol.ReqGetRouteInfoByTopic: "topic", protocol.ReqRegisterBroker: "brokerName", protocol.ReqPutKVConfig: "namespace"} {
		if r := p.call(code, nil, nil); r.Code != protocol.CodeSystemError || string(r.Remark) != "the custom field <"+field+"> is null" {
			t.Errorf("%s: answered %d %s", protocol.RequestName(code), r.Code, r.Remark)
		}
	}
	for _, code := range []int{protocol.ReqRegisterTopicInNamesrv, protocol.ReqQueryDataVersion} {
		if r := p.call(code, &struct {
			Topic string `field:"topic"`
			protocol.BrokerIdentityHeader
		}{}, []byte("{nonsense")); r.Code != protocol.CodeSystemError {
			t.Errorf("%s: answered %d %s to nonsense", protocol.RequestName(code), r.Code, r.Remark)
		}
	}
}

func TestHandlers_AreSortedByCode(t *testing.T) {
	t.Parallel()
	for i := 1; i < len(handlers); i++ {
		if handlers[i-1].code >= handlers[i].code {
			t.Errorf("%d comes before %d", handlers[i-1].code, handlers[i].code)
		}
	}
}

// BenchmarkRoute is a query for the route of a topic on many brokers, with and without what is kept of it.
func BenchmarkRoute(b *testing.B) {
	for _, brokers := range []int{2, 100} {
		s := &Server{}
		s.routes.init(time.Now())
		cfg := &config.Namesrv{}
		for i := range brokers {
			topics := map[string]*protocol.TopicConfig{}
			for j := range 10 {
				c := protocol.NewTopicConfig(fmt.Sprint("T", j))
				topics[c.TopicName] = &c
			}
			body := &protocol.RegisterBrokerBody{}
			body.Topics.TopicConfigTable = topics
			s.routes.register(&registration{RegisterBrokerHeader: &protocol.RegisterBrokerHeader{BrokerName: fmt.Sprint("broker-", i), BrokerAddr: fmt.Sprintf("10.0.0.%d:10911", i), ClusterName: "C"}, body: body}, cfg)
		}
		name := []byte("T0")
		b.Run(fmt.Sprintf("kept/%d", brokers), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if body, err := s.encodedRoute(name, quotedKeys, cfg); err != nil || body == nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("anew/%d", brokers), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.routes.forgetRoute("T0")
				if _, err := s.encodedRoute(name, quotedKeys, cfg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// One group alone cannot make more be remembered than the bound allows.
func TestGone_ForgetsTheTopicsOfAGroupThatHasTooMany(t *testing.T) {
	t.Parallel()
	var g gone
	topics := make(map[string]*topic, goneTopicsMax+1)
	for i := range goneTopicsMax + 1 {
		topics[strconv.Itoa(i)] = nil
	}
	g.groupGone("small", "why", map[string]*topic{"T": nil}, time.Now())
	g.groupGone("large", "why", topics, time.Now())
	if len(g.groups) != 2 || g.topics != 1 || g.groups[1].name != "large" || g.groups[1].topics != nil {
		t.Errorf("%d topics of %d groups are remembered", g.topics, len(g.groups))
	}
	delete(topics, "0")
	g.groupGone("full", "why", topics, time.Now())
	if len(g.groups) != 2 || g.topics != goneTopicsMax {
		t.Errorf("%d topics of %d groups are remembered", g.topics, len(g.groups))
	}
}
