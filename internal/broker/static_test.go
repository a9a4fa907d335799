package broker

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// twoBrokers is a NameServer that knows of two brokers and every topic on both.
type twoBrokers struct {
	mu    sync.Mutex // protects the field below
	addrs map[string]string
}

func (n *twoBrokers) knows(name, addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addrs[name] = addr
}

func (n *twoBrokers) Serve(r *remoting.Request) {
	a := &remoting.Answer{}
	if r.Code == protocol.ReqGetRouteInfoByTopic {
		n.mu.Lock()
		defer n.mu.Unlock()
		var list []string
		for name, addr := range n.addrs {
			list = append(list, fmt.Sprintf(`{"brokerName":%q,"brokerAddrs":{"0":%q}}`, name, addr))
		}
		a.Body = []byte(`{"queueDatas":[],"brokerDatas":[` + strings.Join(list, ",") + `]}`)
	}
	r.Conn.Reply(r, a)
}

func (*twoBrokers) Flush(*remoting.Conn)  {}
func (*twoBrokers) Closed(*remoting.Conn) {}

func stretch(gen, queue int32, bname string, logic, start, end int64) protocol.LogicQueueMappingItem {
	return protocol.LogicQueueMappingItem{Gen: gen, QueueID: queue, Bname: bname, LogicOffset: logic, StartOffset: start, EndOffset: end, TimeOfStart: -1, TimeOfEnd: -1}
}

// setStatic makes the topic S with its logical queues static on a broker.
func setStatic(t *testing.T, c *remoting.Conn, bname string, epoch int64, force string, queues map[int32]protocol.LogicQueue) *remoting.Response {
	t.Helper()
	body, err := json.Marshal(protocol.TopicQueueMappingDetail{HostedQueues: queues,
		TopicQueueMappingInfo: protocol.TopicQueueMappingInfo{Topic: "S", Bname: bname, Epoch: epoch, Scope: "__global__", TotalQueues: 2}})
	if err != nil {
		t.Fatal(err)
	}
	return call(t, c, protocol.ReqUpdateAndCreateStaticTopic, append(createFields("S"), [2]string{"force", force}), body)
}

func TestStatic_LogicalQueueGoesFromBrokerToBroker(t *testing.T) {
	t.Parallel()
	both := &twoBrokers{addrs: map[string]string{}}
	ns, err := remoting.Listen("127.0.0.1:0", both, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	brokers, conns := map[string]*Broker{}, map[string]*remoting.Conn{}
	for _, name := range []string{"broker-a", "broker-b"} {
		cfg := testConfig(t)
		cfg.Name, cfg.NamesrvAddr = name, ns.Addr().String()
		brokers[name] = openTest(t, cfg)
		conns[name] = dialTest(t, brokers[name], remoting.Options{})
		both.knows(name, brokers[name].Addr().String())
	}
	a, b := conns["broker-a"], conns["broker-b"]
	set := func(bname string, epoch int64, queues map[int32]protocol.LogicQueue) {
		t.Helper()
		if r := setStatic(t, conns[bname], bname, epoch, "false", queues); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	send := func(c *remoting.Conn, queue int, body string) (told string) {
		t.Helper()
		r := call(t, c, protocol.ReqSendMessageV2, sendFields("S", "e", strconv.Itoa(queue)), []byte(body))
		id, _ := r.Get("queueId")
		offset, _ := r.Get("queueOffset")
		if r.Code != 0 {
			return fmt.Sprint(r.Code)
		}
		return string(id) + "/" + string(offset)
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	// Logical queue 7 lies in queue 1 of broker-a.
	set("broker-a", 1, map[int32]protocol.LogicQueue{7: {stretch(0, 1, "broker-a", 0, 0, -1)}})
	for i := range 3 {
		check("send", send(a, 7, fmt.Sprint("a", i)), fmt.Sprint("7/", i))
	}
	check("send to any", send(a, -1, "a3"), "7/3")
	check("send to a queue of the broker's own", send(a, 1, "x"), "501")
	r := call(t, a, protocol.ReqGetTopicConfig, [][2]string{{"topic", "S"}, {"lo", "true"}}, nil)
	if !strings.Contains(string(r.Body), `"mappingDetail":{`) || !strings.Contains(string(r.Body), `"hostedQueues":{7:[{"bname":"broker-a","endOffset":-1,"gen":0,"logicOffset":0,"queueId":1,`) {
		t.Errorf("%s", r.Body)
	}
	if got := brokers["broker-a"].topics.mappings.infos()["S"].CurrIDMap; len(got) != 1 || got[7] != 1 {
		t.Errorf("told to NameServers: %v", got)
	}

	// It goes on in queue 0 of broker-b, which has messages already, at 100.
	if r := call(t, b, protocol.ReqSendMessageV2, sendFields("S"), []byte("older")); r.Code != 0 {
		t.Fatal(r.Code)
	}
	moved := map[int32]protocol.LogicQueue{7: {stretch(0, 1, "broker-a", 0, 0, 4), stretch(1, 0, "broker-b", 100, 1, -1)}}
	set("broker-b", 2, moved)
	set("broker-a", 2, moved)
	check("send to who led", send(a, 7, "x"), "501")
	check("send", send(b, 7, "b0"), "7/100")
	check("send", send(b, 7, "b1"), "7/101")

	pull := func(offset int64, changes ...string) (got string) {
		t.Helper()
		r := call(t, b, protocol.ReqPullMessage, pullFields("S", 7, offset, changes...), nil)
		for _, m := range records(t, r.Body) {
			got += string(m.Body) + " "
		}
		next, _ := r.Get("nextBeginOffset")
		least, _ := r.Get("minOffset")
		end, _ := r.Get("maxOffset")
		delta, _ := r.Get("offsetDelta")
		return fmt.Sprintf("%d %snext %s of %s-%s, delta %s", r.Code, got, next, least, end, delta)
	}
	check("pull from the first broker", pull(1), "0 a1 a2 a3 next 4 of 0-100, delta 0")
	check("pull at the end there", pull(4), "20 next 100 of 100-100, delta 99")
	check("pull", pull(100), "0 b0 b1 next 102 of 100-102, delta 99")
	check("pull at the end", pull(102), "19 next 102 of 100-102, delta 99")
	check("pull behind the end", pull(110), "21 next 102 of 100-102, delta 99")
	waits, err := b.Start(&remoting.Call{Code: protocol.ReqPullMessage, Ext: pullFields("S", 7, 102, "sysFlag", "6")})
	if err != nil {
		t.Fatal(err)
	}
	check("send", send(b, 7, "b2"), "7/102")
	if r, err := waits.Wait(t.Context()); err != nil || len(records(t, r.Body)) != 1 {
		t.Errorf("a pull that waited: %+v %v", r, err)
	}

	ask := func(code int, more ...string) string {
		t.Helper()
		ext := [][2]string{{"topic", "S"}, {"queueId", "7"}, {"consumerGroup", "G"}, {"timestamp", "0"}}
		for i := 0; i < len(more); i += 2 {
			ext = append(ext, [2]string{more[i], more[i+1]})
		}
		r := call(t, b, code, ext, nil)
		offset, _ := r.Get("offset")
		return fmt.Sprintf("%d %s", r.Code, offset)
	}
	check("max", ask(protocol.ReqGetMaxOffset), "0 103")
	check("min", ask(protocol.ReqGetMinOffset), "0 0")
	check("search", ask(protocol.ReqSearchOffsetByTimestamp), "0 0")
	r = call(t, b, protocol.ReqGetEarliestMsgStoreTime, [][2]string{{"topic", "S"}, {"queueId", "7"}}, nil)
	if at, _ := r.Get("timestamp"); r.Code != 0 || string(at) == "-1" {
		t.Errorf("earliest: %d %s", r.Code, at)
	}
	for _, broker := range brokers {
		broker.groups.get([]byte("G"))
	}
	check("no offset", ask(protocol.ReqQueryConsumerOffset), "22 ")
	check("commit", ask(protocol.ReqUpdateConsumerOffset, "commitOffset", "3"), "0 ")
	check("offset", ask(protocol.ReqQueryConsumerOffset), "0 3")
	if got := brokers["broker-a"].offsets.query("G", "S", 1); got != 3 {
		t.Errorf("on the first broker: %d", got)
	}
	check("commit", ask(protocol.ReqUpdateConsumerOffset, "commitOffset", "101"), "0 ")
	check("offset", ask(protocol.ReqQueryConsumerOffset), "0 101")
	if got := brokers["broker-b"].offsets.query("G", "S", 0); got != 2 {
		t.Errorf("on the second broker: %d", got)
	}

	both.knows("broker-a", "") // it is gone
	if got := pull(1); !strings.HasPrefix(got, "1 ") {
		t.Errorf("pull from a broker that is not there: %s", got)
	}
	if r := call(t, b, protocol.ReqDeleteTopicInBroker, [][2]string{{"topic", "S"}}, nil); r.Code != 0 || brokers["broker-b"].topics.mappings.any.Load() {
		t.Errorf("deleted: %d %s", r.Code, r.Remark)
	}
	for _, broker := range brokers {
		_ = broker.registrar.pool.Close() // Run was not called, which does it
	}
}

func TestStatic_AnotherBrokerIsWaitedForAsLongAsToldTo(t *testing.T) {
	t.Parallel()
	mute := newNSDouble(t)
	mute.mute.Store(true)
	both := &twoBrokers{addrs: map[string]string{"broker-b": mute.addr}}
	ns, err := remoting.Listen("127.0.0.1:0", both, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	cfg := testConfig(t)
	cfg.NamesrvAddr, cfg.ForwardTimeout = ns.Addr().String(), 50*time.Millisecond
	c := dialTest(t, openTest(t, cfg), remoting.Options{})
	if r := setStatic(t, c, "broker-a", 1, "true", map[int32]protocol.LogicQueue{7: {stretch(0, 1, "broker-b", 0, 0, 5), stretch(1, 1, "broker-a", 100, 0, -1)}}); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	r := call(t, c, protocol.ReqGetMinOffset, [][2]string{{"topic", "S"}, {"queueId", "7"}, {"lo", "true"}}, nil)
	if r.Code == 0 || !strings.Contains(string(r.Remark), "broker broker-b has not answered within 50ms (forwardTimeout)") {
		t.Error(r.Code, string(r.Remark))
	}
	cfg = testConfig(t)
	cfg.NamesrvAddr, cfg.ForwardTimeout = mute.addr, 50*time.Millisecond
	c = dialTest(t, openTest(t, cfg), remoting.Options{})
	if r := setStatic(t, c, "broker-a", 1, "true", map[int32]protocol.LogicQueue{7: {stretch(0, 1, "broker-b", 0, 0, 5), stretch(1, 1, "broker-a", 100, 0, -1)}}); r.Code != 0 {
		t.Fatal(r.Code, string(r.Remark))
	}
	r = call(t, c, protocol.ReqGetMinOffset, [][2]string{{"topic", "S"}, {"queueId", "7"}, {"lo", "true"}}, nil)
	if r.Code == 0 || !strings.Contains(string(r.Remark), "no name server has answered within 50ms (forwardTimeout)") {
		t.Error(r.Code, string(r.Remark))
	}
}

func TestStatic_MappingsAreCheckedAndKept(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	b := openOnce(t, cfg)
	c := dialTest(t, b, remoting.Options{})
	check := func(r *remoting.Response, wantCode int32, want string) {
		t.Helper()
		if r.Code != wantCode || !strings.HasPrefix(string(r.Remark), want) {
			t.Errorf("%d %s, want %d %s", r.Code, r.Remark, wantCode, want)
		}
	}
	one := protocol.LogicQueue{stretch(0, 1, "broker-a", 0, 0, -1)}
	queues := func(q protocol.LogicQueue) map[int32]protocol.LogicQueue { return map[int32]protocol.LogicQueue{0: q} }
	check(setStatic(t, c, "broker-b", 5, "false", queues(one)), 1, "the mapping is of topic S on broker broker-b")
	for want, q := range map[string]protocol.LogicQueue{
		"The field is illegal, should not be negative":          {stretch(0, -1, "broker-a", 0, 0, -1)},
		"The non-latest item has negative logic offset":         {stretch(0, 0, "broker-a", -1, 0, -1), stretch(1, 0, "broker-a", 5, 0, -1)},
		"The gen does not increase monotonically":               {stretch(1, 0, "broker-a", 0, 0, 5), stretch(1, 0, "broker-b", 9, 0, -1)},
		"The endOffset is smaller than the start offset":        {stretch(1, 0, "broker-a", 0, 5, 4)},
		"The base logic offset does not increase monotonically": {stretch(0, 0, "broker-a", 9, 0, 5), stretch(1, 0, "broker-b", 9, 0, -1)},
		"The max logic offset does not increase monotonically":  {stretch(0, 0, "broker-a", 0, 0, 50), stretch(1, 0, "broker-b", 9, 0, -1)},
	} {
		check(setStatic(t, c, "broker-a", 5, "true", queues(q)), 1, want)
	}
	if b.topics.find("S") != nil {
		t.Error("the topic was made all the same")
	}
	check(setStatic(t, c, "broker-a", 5, "false", queues(one)), 0, "")
	check(setStatic(t, c, "broker-a", 4, "false", queues(one)), 1, "Can't accept data with small epoch 4 < 5")
	check(setStatic(t, c, "broker-a", 5, "false", nil), 1, "Cannot accept equal epoch with null data")
	check(setStatic(t, c, "broker-a", 5, "false", queues(protocol.LogicQueue{one[0], stretch(1, 0, "broker-b", 9, 0, -1)})), 1, "The new leader is different but epoch equal")
	check(setStatic(t, c, "broker-a", 6, "false", queues(protocol.LogicQueue{stretch(0, 2, "broker-a", 0, 0, -1)})), 1, "The item of gen 0 was")
	check(setStatic(t, c, "broker-a", 6, "false", map[int32]protocol.LogicQueue{1: {stretch(0, 0, "broker-a", 0, 0, -1)}}), 0, "")
	check(call(t, c, protocol.ReqUpdateAndCreateStaticTopic, createFields("S"), []byte("{")), 1, "")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openTest(t, cfg)
	if d := b.topics.mappings.find("S"); d == nil || d.Epoch != 6 || len(d.HostedQueues) != 2 || d.HostedQueues[0][0] != one[0] || b.topics.find("S").mapping != d {
		t.Errorf("after a restart: %+v", d)
	}
}
