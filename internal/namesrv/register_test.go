package namesrv

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

func TestRegister_RouteShowsGroupAndQueues(t *testing.T) {
	t.Parallel()
	p := dial(t, openServer(t, testConfig(t)))
	p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}})
	p.register(member{name: "b", id: 1, addr: "s:1", topics: []string{"T", "U"}})
	p.register(member{name: "a", addr: "m:2", topics: []string{"T", "V"}, small: true})
	const want = `{"brokerDatas":[{"brokerAddrs":{"0":"m:2"},"brokerName":"a","cluster":"C","enableActingMaster":false},` +
		`{"brokerAddrs":{"0":"m:1","1":"s:1"},"brokerName":"b","cluster":"C","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[` +
		`{"brokerName":"a","perm":6,"readQueueNums":16,"topicSysFlag":0,"writeQueueNums":16},{"brokerName":"b","perm":6,"readQueueNums":16,"topicSysFlag":0,"writeQueueNums":16}]}`
	for range 2 { // the second comes out of the cache
		if got := p.route("T"); got != want {
			t.Errorf("route %s, want %s", got, want)
		}
	}
}

func TestRegister_SlaveLearnsItsMaster(t *testing.T) {
	t.Parallel()
	p := dial(t, openServer(t, testConfig(t)))
	slave := member{name: "b", id: 1, addr: "s:1", topics: []string{"T", "U"}}
	check := func(master, ha string) {
		t.Helper()
		var h protocol.RegisterBrokerResponseHeader
		if err := p.register(slave).DecodeFields(&h); err != nil || h.MasterAddr != master || h.HAServerAddr != ha {
			t.Errorf("answer %+v, %v, want %s and %s", h, err, master, ha)
		}
	}
	check("", "")
	if got := p.route("T"); !strings.HasPrefix(got, protocol.NoRoute) {
		t.Errorf("topics of a slave from before 5.0 count: %s", got)
	}
	p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}})
	check("m:1", "ha-m:1")
}

func TestRegister_FirstWithOneTopicIsRefused(t *testing.T) {
	t.Parallel()
	s := openServer(t, testConfig(t))
	p := dial(t, s)
	one := member{name: "b", addr: "m:1", topics: []string{"T"}}
	if r := p.register(one); r.Code != protocol.CodeSystemError || !strings.HasPrefix(string(r.Remark), "register broker failed") {
		t.Errorf("answered %d %s", r.Code, r.Remark)
	}
	if n := s.routes.lives() + len(s.routes.clusterInfo().BrokerAddrTable); n != 0 {
		t.Errorf("it left %d entries", n)
	}
	p.register(member{name: "b", addr: "m:1", topics: []string{"A", "B"}})
	one.count = 1
	if r := p.register(one); r.Code != protocol.CodeSuccess {
		t.Errorf("update answered %d %s", r.Code, r.Remark)
	}
	for _, topic := range []string{"A", "B", "T"} {
		if len(p.routeTo(topic).QueueDatas) != 1 {
			t.Errorf("no route to %s after an update", topic)
		}
	}
}

func TestRegister_AddressMovesToAnotherID(t *testing.T) {
	t.Parallel()
	p := dial(t, openServer(t, testConfig(t)))
	p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}})
	p.register(member{name: "b", id: 1, addr: "s:1", topics: []string{"T", "U"}})
	p.register(member{name: "b", addr: "s:1", topics: []string{"T", "U"}, state: 1})
	if got := p.routeTo("T").BrokerDatas[0].BrokerAddrs; len(got) != 1 || got[0] != "s:1" {
		t.Errorf("members %v, want the slave as master", got)
	}
	// The old master did not hear of it: its state version is lower.
	if r := p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}}); r.Code != protocol.CodeSuccess {
		t.Errorf("answered %d %s, want SUCCESS as Apache does", r.Code, r.Remark)
	}
	if got := p.routeTo("T").BrokerDatas[0].BrokerAddrs[0]; got != "s:1" {
		t.Errorf("master %s, want the newer one", got)
	}
}

func TestRegister_WrongSumIsRefused(t *testing.T) {
	t.Parallel()
	p := dial(t, openServer(t, testConfig(t)))
	r := p.call(protocol.ReqRegisterBroker, &protocol.RegisterBrokerHeader{BrokerName: "b", BrokerAddr: "m:1", ClusterName: "C", BodyCRC32: 1}, []byte("{}"))
	if string(r.Remark) != "crc32 not match" {
		t.Errorf("answered %d %s", r.Code, r.Remark)
	}
}

func TestRegister_VersionDecidesWhatIsTaken(t *testing.T) {
	t.Parallel()
	p := dial(t, openServer(t, testConfig(t)))
	m := member{name: "b", addr: "m:1", topics: []string{"T", "U"}}
	p.register(m)
	p.ok(protocol.ReqWipeWritePermOfBroker, &protocol.BrokerNameHeader{BrokerName: "b"}, nil)
	p.ok(protocol.ReqDeleteTopicInNamesrv, &protocol.DeleteTopicInNamesrvHeader{Topic: "U"}, nil)
	check := func(perm int32) {
		t.Helper()
		if got := p.routeTo("T").QueueDatas[0].Perm; got != perm {
			t.Errorf("permission %d, want %d", got, perm)
		}
	}
	check(protocol.PermRead)
	p.register(m)
	check(protocol.PermRead) // same version: nothing changes but that the deleted topic is back
	if got := p.routeTo("U").QueueDatas[0].Perm; got != protocol.PermRead|protocol.PermWrite {
		t.Errorf("permission of the topic that came back: %d", got)
	}
	m.count++
	p.register(m)
	check(protocol.PermRead | protocol.PermWrite)
}

// lastSeen is when a broker last gave a sign of life.
func (s *Server) lastSeen(addr string) time.Time {
	s.routes.mu.RLock()
	defer s.routes.mu.RUnlock()
	return s.routes.live[brokerKey{"C", addr}].seen
}

func TestRegister_SayingTheSameAgainIsASignOfLife(t *testing.T) {
	t.Parallel()
	s := openServer(t, testConfig(t))
	p := dial(t, s)
	slave := member{name: "b", id: 1, addr: "s:1", topics: []string{"T", "U"}, acting: ptr(false)}
	p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}, acting: ptr(false)})
	for range 3 {
		began := time.Now()
		var h protocol.RegisterBrokerResponseHeader
		if err := p.register(slave).DecodeFields(&h); err != nil || h.MasterAddr != "m:1" {
			t.Fatalf("answer %+v, %v", h, err)
		}
		if s.lastSeen("s:1").Before(began) {
			t.Fatal("it was not seen")
		}
	}
	// A topic that only the slave has is taken when it has become the one that decides.
	slave.topics = append(slave.topics, "S")
	p.register(slave)
	p.ok(protocol.ReqUnregisterBroker, &protocol.BrokerIdentityHeader{BrokerName: "b", BrokerAddr: "m:1", ClusterName: "C"}, nil)
	p.register(slave)
	if got := p.route("S"); !strings.HasPrefix(got, "{") {
		t.Error(got)
	}
}

func TestRegister_TopicsStayUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	for _, forget := range []bool{false, true} {
		cfg := testConfig(t)
		cfg.DeleteTopicWithRegistration = forget
		p := dial(t, openServer(t, cfg))
		p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U", "V"}})
		p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}, count: 1})
		if got := p.route("V"); strings.HasPrefix(got, protocol.NoRoute) != forget {
			t.Errorf("deleteTopicWithBrokerRegistration=%v: %s", forget, got)
		}
	}
}

func TestRegister_StaticTopicsKeepTheirMapping(t *testing.T) {
	t.Parallel()
	p := dial(t, openServer(t, testConfig(t)))
	p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}, infos: map[string]*protocol.TopicQueueMappingInfo{
		"T": {Topic: "T", Bname: "b", Scope: "__global__", TotalQueues: 2, Epoch: 7, CurrIDMap: map[int32]int32{0: 0, 1: 1}}}})
	const want = `"topicQueueMappingByBroker":{"b":{"bname":"b","currIdMap":{"0":0,"1":1},"dirty":false,"epoch":7,"scope":"__global__","topic":"T","totalQueues":2}}`
	if got := p.route("T"); !strings.Contains(got, want) {
		t.Errorf("route %s", got)
	}
	if got := p.route("U"); strings.Contains(got, "Mapping") {
		t.Errorf("route of an ordinary topic %s", got)
	}
}

// TestRegister_StaticTopicKeepsTheMappingOfABrokerThatIsAway: clients tell by it which broker they are waiting for.
func TestRegister_StaticTopicKeepsTheMappingOfABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	p := dial(t, openServer(t, testConfig(t)))
	for i, name := range []string{"a", "b"} {
		p.register(member{name: name, addr: name + ":1", topics: []string{"T", "U"}, infos: map[string]*protocol.TopicQueueMappingInfo{
			"T": {Topic: "T", Bname: name, Scope: "__global__", TotalQueues: 2, Epoch: 7, CurrIDMap: map[int32]int32{int32(i): 0}}}})
	}
	away := func(name string) {
		p.ok(protocol.ReqUnregisterBroker, &protocol.BrokerIdentityHeader{BrokerName: name, BrokerAddr: name + ":1", ClusterName: "C"}, nil)
	}
	away("b")
	if got := p.routeTo("T"); len(got.QueueDatas) != 1 || len(got.TopicQueueMappingByBroker) != 2 || got.TopicQueueMappingByBroker["b"].CurrIDMap[1] != 0 {
		t.Errorf("route %+v", got)
	}
	away("a")
	p.register(member{name: "a", addr: "a:1", topics: []string{"T", "U"}, count: 1})
	if got := p.route("T"); strings.Contains(got, "Mapping") {
		t.Errorf("route of a topic that was no more, and is an ordinary one now: %s", got)
	}
}

// TestRegister_StaticTopicComesBackWithItsMapping takes a static topic off while its broker has it, which then says nothing new.
func TestRegister_StaticTopicComesBackWithItsMapping(t *testing.T) {
	t.Parallel()
	p := dial(t, openServer(t, testConfig(t)))
	m := member{name: "b", addr: "m:1", topics: []string{"T", "U"}, infos: map[string]*protocol.TopicQueueMappingInfo{
		"T": {Topic: "T", Bname: "b", Scope: "__global__", TotalQueues: 2, Epoch: 7, CurrIDMap: map[int32]int32{0: 0, 1: 1}}}}
	p.register(m)
	want := p.route("T")
	p.ok(protocol.ReqDeleteTopicInNamesrv, &protocol.DeleteTopicInNamesrvHeader{Topic: "T"}, nil)
	p.register(m)
	if got := p.route("T"); got != want {
		t.Errorf("route %s, want as before: %s", got, want)
	}
}

// TestRegister_TopicThatNoBrokerHasGoes puts a topic on a broker that does not have it: the next registration takes it off, though
// it says nothing new, if it is to. So does the one behind a change of the key.
func TestRegister_TopicThatNoBrokerHasGoes(t *testing.T) {
	t.Parallel()
	for _, later := range []bool{false, true} {
		cfg := testConfig(t)
		cfg.DeleteTopicWithRegistration = !later
		p := dial(t, openServer(t, cfg))
		m := member{name: "b", addr: "m:1", topics: []string{"T", "U"}}
		p.register(m)
		p.ok(protocol.ReqRegisterTopicInNamesrv, &protocol.TopicHeader{Topic: "ghost"}, []byte(`{"queueDatas":[{"brokerName":"b","perm":6}]}`))
		p.routeTo("ghost")
		p.register(m)
		if later {
			p.routeTo("ghost")
			p.ok(protocol.ReqUpdateNamesrvConfig, nil, []byte("deleteTopicWithBrokerRegistration=true"))
			p.register(m)
		}
		if got := p.route("ghost"); !strings.HasPrefix(got, protocol.NoRoute) {
			t.Errorf("key switched on later=%v: %s", later, got)
		}
		p.routeTo("T")
	}
}

// TestRegister_SlaveDecidesAgainWhenItsMasterIsGone: what it says is not new, but since it said so last the master has decided.
func TestRegister_SlaveDecidesAgainWhenItsMasterIsGone(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.DeleteTopicWithRegistration = true
	s := openServer(t, cfg)
	p, q := dial(t, s), dial(t, s)
	slave := member{name: "b", id: 1, addr: "s:1", acting: ptr(true), topics: []string{"T", "U"}}
	q.register(slave)
	p.register(member{name: "b", addr: "m:1", acting: ptr(true), topics: []string{"U", "V"}})
	if got := q.route("T"); !strings.HasPrefix(got, protocol.NoRoute) {
		t.Errorf("the master does not have it: %s", got)
	}
	_ = p.Close()
	until(t, "the master is gone", func() bool { return s.routes.lives() == 1 })
	q.register(slave)
	q.routeTo("T")
	q.routeTo("U")
	if got := q.route("V"); !strings.HasPrefix(got, protocol.NoRoute) {
		t.Errorf("the slave does not have it: %s", got)
	}
}

func TestUnregister_TakesGroupAndTopicsOff(t *testing.T) {
	t.Parallel()
	s := openServer(t, testConfig(t))
	p := dial(t, s)
	p.register(member{name: "a", addr: "m:1", topics: []string{"T", "U"}})
	p.register(member{name: "b", addr: "m:2", topics: []string{"T", "V"}})
	p.route("T")
	p.ok(protocol.ReqUnregisterBroker, &protocol.BrokerIdentityHeader{BrokerName: "a", BrokerAddr: "m:1", ClusterName: "C"}, nil)
	if got := p.routeTo("T"); len(got.BrokerDatas) != 1 || got.BrokerDatas[0].BrokerName != "b" || len(got.QueueDatas) != 1 {
		t.Errorf("route %+v", got)
	}
	if got := p.route("U"); !strings.HasPrefix(got, protocol.NoRoute) {
		t.Errorf("route %s", got)
	}
	info := s.routes.clusterInfo()
	if len(info.BrokerAddrTable) != 1 || len(info.ClusterAddrTable["C"]) != 1 {
		t.Errorf("cluster %+v", info)
	}
}

func TestClosed_TakesBrokersOffAtOnce(t *testing.T) {
	t.Parallel()
	s := openServer(t, testConfig(t))
	p, q := dial(t, s), dial(t, s)
	p.register(member{name: "a", addr: "m:1", topics: []string{"T", "U"}})
	p.register(member{name: "b", addr: "m:2", topics: []string{"T", "U"}})
	q.register(member{name: "b", addr: "m:2", topics: []string{"T", "U"}}) // it has connected anew
	_ = p.Close()
	until(t, "only b is left", func() bool { return s.routes.lives() == 1 })
	if got := q.routeTo("T").BrokerDatas; len(got) != 1 || got[0].BrokerName != "b" {
		t.Errorf("brokers %+v", got)
	}
}

func TestScan_TakesSilentBrokersOff(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.ScanInterval = 5 * time.Millisecond
	s := openServer(t, cfg)
	p, q := dial(t, s), dial(t, s)
	q.register(member{name: "b", addr: "m:2", topics: []string{"T", "U"}})
	for _, code := range []int{protocol.ReqBrokerHeartbeat, protocol.ReqQueryDataVersion} { // it speaks
		began := time.Now()
		q.ok(code, &protocol.BrokerIdentityHeader{BrokerName: "b", BrokerAddr: "m:2", ClusterName: "C"}, nil)
		if s.lastSeen("m:2").Before(began) {
			t.Errorf("%s is no sign of life", protocol.RequestName(code))
		}
	}
	p.register(member{name: "a", addr: "m:1", topics: []string{"T", "U"}, beat: ptr(int64(50))})
	<-p.Done() // its connection ends, so that it knows
	if got := s.routes.lives(); got != 1 {
		t.Errorf("%d brokers", got)
	}
	if got := q.route("T"); !strings.Contains(got, `"b"`) || strings.Contains(got, `"a"`) {
		t.Errorf("route %s", got)
	}
}

func TestQueryDataVersion_SaysWhetherToRegister(t *testing.T) {
	t.Parallel()
	p := dial(t, openServer(t, testConfig(t)))
	check := func(version string, changed string, body string) {
		t.Helper()
		r := p.ok(protocol.ReqQueryDataVersion, &protocol.BrokerIdentityHeader{BrokerName: "b", BrokerAddr: "m:1", ClusterName: "C"}, []byte(version))
		if got, _ := r.Get("changed"); string(got) != changed || string(r.Body) != body {
			t.Errorf("%s: changed=%s %s, want %s %s", version, got, r.Body, changed, body)
		}
	}
	const v = `{"counter":3,"stateVersion":0,"timestamp":0}`
	check(v, "true", "")
	p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}, count: 3})
	check(v, "false", v)
	check(`{"counter":4}`, "true", v)
	check("", "true", v)
}

func TestActingMaster_SlaveIsShownAsMaster(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.SupportActingMaster, cfg.NotifyMinBrokerID = true, true
	s := openServer(t, cfg)
	p := dial(t, s)
	box, addr := listen(t)
	topics := []string{"T", "U", protocol.TopicSyncMemberPrefix + "b"}
	p.register(member{name: "b", addr: "m:1", topics: topics, acting: ptr(true)})
	p.register(member{name: "b", id: 2, addr: addr, topics: topics, acting: ptr(true)})
	p.ok(protocol.ReqUnregisterBroker, &protocol.BrokerIdentityHeader{BrokerName: "b", BrokerAddr: "m:1", ClusterName: "C"}, nil)
	route := p.routeTo("T")
	if got := route.BrokerDatas[0].BrokerAddrs; len(got) != 1 || got[0] != addr || route.QueueDatas[0].Perm != protocol.PermRead {
		t.Errorf("members %v, permission %d, want the slave as a master to read from", got, route.QueueDatas[0].Perm)
	}
	if got := p.routeTo(topics[2]).BrokerDatas[0].BrokerAddrs; got[2] != addr {
		t.Errorf("members %v of the topic over which they agree, want the truth", got)
	}
	until(t, "told the slave", func() bool { return len(box.requests()) == 1 })
	var h protocol.MinBrokerIDHeader
	r := box.requests()[0]
	if err := r.DecodeFields(&h); err != nil || r.Code != protocol.ReqNotifyMinBrokerIDChange || !r.IsOneway() || *h.MinBrokerID != 2 || *h.MinBrokerAddr != addr || *h.OfflineBrokerAddr != "m:1" || h.HABrokerAddr != nil {
		t.Errorf("notice %+v, %v", h, err)
	}
	// The master is back: it is shown, may be written to, and the slave hears of it.
	p.register(member{name: "b", addr: "m:1", topics: topics, acting: ptr(true)})
	route = p.routeTo("T")
	if got := route.BrokerDatas[0].BrokerAddrs; got[0] != "m:1" || got[2] != addr || route.QueueDatas[0].Perm != protocol.PermRead|protocol.PermWrite {
		t.Errorf("members %v, permission %d", got, route.QueueDatas[0].Perm)
	}
	until(t, "told the slave again", func() bool { return len(box.requests()) == 2 })
	h = protocol.MinBrokerIDHeader{}
	if err := box.requests()[1].DecodeFields(&h); err != nil || *h.MinBrokerID != 0 || h.OfflineBrokerAddr != nil || *h.HABrokerAddr != "ha-m:1" {
		t.Errorf("notice %+v, %v", h, err)
	}
}

func TestActingMaster_TopicsOfASlaveAloneAreReadOnly(t *testing.T) {
	t.Parallel()
	p := dial(t, openServer(t, testConfig(t)))
	p.register(member{name: "b", id: 1, addr: "s:1", topics: []string{"T", "U"}, acting: ptr(true)})
	route := p.routeTo("T")
	if route.QueueDatas[0].Perm != protocol.PermRead || route.BrokerDatas[0].BrokerAddrs[1] != "s:1" {
		t.Errorf("route %+v", route)
	}
}

func TestClusterInfo_HasBareKeys(t *testing.T) {
	t.Parallel()
	p := dial(t, openServer(t, testConfig(t)))
	p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U"}, zone: "z"})
	const want = `{"brokerAddrTable":{"b":{"brokerAddrs":{0:"m:1"},"brokerName":"b","cluster":"C","enableActingMaster":false,"zoneName":"z"}},"clusterAddrTable":{"C":["b"]}}`
	if got := string(p.ok(protocol.ReqGetBrokerClusterInfo, nil, nil).Body); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	const group = `{"brokerMemberGroup":{"brokerAddrs":{},"brokerName":"x","cluster":"C"}}`
	if got := string(p.ok(protocol.ReqGetBrokerMemberGroup, &protocol.BrokerMemberGroupHeader{ClusterName: "C", BrokerName: "x"}, nil).Body); got != group {
		t.Errorf("%s, want %s", got, group)
	}
}

func TestTopics_ListsFollowFlagsAndSwitches(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	s := openServer(t, cfg)
	p := dial(t, s)
	p.register(member{name: "b", addr: "m:1", topics: []string{"T", "U", "V", "W"}})
	for flag, name := range map[string]string{"1": "U", "2": "V", "3": "W"} {
		p.ok(protocol.ReqRegisterTopicInNamesrv, &protocol.TopicHeader{Topic: name}, []byte(`{"queueDatas":[{"brokerName":"b","perm":6,"topicSysFlag":`+flag+`}]}`))
	}
	p.ok(protocol.ReqRegisterTopicInNamesrv, &protocol.TopicHeader{Topic: "X"}, []byte(`{"queueDatas":[{"brokerName":"nobody","perm":6}]}`))
	check := func(code int, header any, want string) {
		t.Helper()
		r := p.call(code, header, nil)
		var list protocol.TopicList
		if r.Code != protocol.CodeSuccess {
			list.TopicList = []string{string(r.Remark)}
		} else if err := fastjson.Unmarshal(r.Body, &list); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(list.TopicList, " "); got != want {
			t.Errorf("%s: %q, want %q", protocol.RequestName(code), got, want)
		}
	}
	check(protocol.ReqGetAllTopicListFromNameServer, nil, "T U V W")
	check(protocol.ReqGetTopicsByCluster, &protocol.ClusterHeader{Cluster: "C"}, "T U V W")
	check(protocol.ReqGetTopicsByCluster, &protocol.ClusterHeader{Cluster: "nothing"}, "")
	check(protocol.ReqGetSystemTopicListFromNS, nil, "C b")
	check(protocol.ReqGetUnitTopicList, nil, "U W")
	check(protocol.ReqGetHasUnitSubTopicList, nil, "V W")
	check(protocol.ReqGetHasUnitSubUnUnitTopicList, nil, "V")
	p.ok(protocol.ReqDeleteTopicInNamesrv, &protocol.DeleteTopicInNamesrvHeader{Topic: "T", ClusterName: "other"}, nil)
	check(protocol.ReqGetAllTopicListFromNameServer, nil, "T U V W")
	p.ok(protocol.ReqDeleteTopicInNamesrv, &protocol.DeleteTopicInNamesrvHeader{Topic: "T", ClusterName: "C"}, nil)
	check(protocol.ReqGetAllTopicListFromNameServer, nil, "U V W")
	p.ok(protocol.ReqUpdateNamesrvConfig, nil, []byte("enableTopicList=false\nenableAllTopicList=false\n"))
	check(protocol.ReqGetAllTopicListFromNameServer, nil, "disable: enableAllTopicList=false")
	check(protocol.ReqGetTopicsByCluster, &protocol.ClusterHeader{Cluster: "C"}, "disable: enableTopicList=false")
	check(protocol.ReqGetUnitTopicList, nil, "disable: enableTopicList=false")
}

// The file of one broker was copied to another host, and brokerName stands in it still.
func TestRegister_WarnsOfTwoBrokersWithOneName(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, err := Open(testConfig(t), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	one, other := dial(t, s), dial(t, s)
	one.register(member{name: "a", addr: "m:1", topics: []string{"T", "U"}})
	other.register(member{name: "a", addr: "m:2", topics: []string{"T", "U"}}) // it may be the first one, on another host
	other.register(member{name: "a", addr: "m:2", topics: []string{"T", "U"}, count: 1})
	other.register(member{name: "a", id: 1, addr: "m:3", topics: []string{"T", "U"}})
	other.register(member{name: "b", addr: "m:4", topics: []string{"T", "U"}})
	for range 2 { // a controller makes one the master and then the other
		one.register(member{name: "c", id: 0, addr: "m:5", topics: []string{"T", "U"}})
		other.register(member{name: "c", id: 1, addr: "m:6", topics: []string{"T", "U"}})
		other.register(member{name: "c", id: 0, addr: "m:6", topics: []string{"T", "U"}})
		one.register(member{name: "c", id: 1, addr: "m:5", topics: []string{"T", "U"}})
	}
	s.log.Info("so far")
	one.register(member{name: "a", addr: "m:1", topics: []string{"T", "U"}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, after, _ := strings.Cut(log.String(), "so far")
	if strings.Contains(before, "level=WARN") || strings.Count(after, "level=WARN") != 1 || !strings.Contains(after, "broker=a broker_id=0 broker_addr=m:1 other_addr=m:2") {
		t.Errorf("it says\n%s", log.String())
	}
}
