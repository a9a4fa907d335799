package namesrv

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// TestServe_AnswersAsApacheDid sends what Apache's clients and brokers have sent, byte for byte, and compares the answers
// with those of Apache's NameServer.
func TestServe_AnswersAsApacheDid(t *testing.T) {
	t.Parallel()
	for _, ser := range []string{"json", "rocketmq"} {
		t.Run(ser, func(t *testing.T) {
			t.Parallel()
			s := openServer(t, testConfig(t))
			nc := rawDial(t, s)
			check := func(name string) {
				t.Helper()
				name = ser + "-" + name
				want := parse(t, capture(t, name+".resp"))
				got := exchange(t, nc, capture(t, name+".req"))
				compareAnswer(t, name, &got, &want)
			}
			check("000100-PUT_KV_CONFIG-c2n")
			check("000101-GET_KV_CONFIG-c2n")
			check("000219-GET_KVLIST_BY_NAMESPACE-c2n")
			check("000102-DELETE_KV_CONFIG-c2n")
			check("000105-GET_ROUTEINFO_BY_TOPIC-c2n-rc17")
			check("000103-REGISTER_BROKER-b2n")
			dial(t, s).becomeApache(ser)
			check("000105-GET_ROUTEINFO_BY_TOPIC-c2n")
			check("000206-GET_ALL_TOPIC_LIST_FROM_NAMESERVER-c2n")
			check("000224-GET_TOPICS_BY_CLUSTER-c2n")
			check("000304-GET_SYSTEM_TOPIC_LIST_FROM_NS-c2n")
			check("000311-GET_UNIT_TOPIC_LIST-c2n")
			check("000312-GET_HAS_UNIT_SUB_TOPIC_LIST-c2n")
			check("000313-GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST-c2n")
			check("000106-GET_BROKER_CLUSTER_INFO-c2n")
			check("000901-GET_BROKER_MEMBER_GROUP-c2n")
			check("000205-WIPE_WRITE_PERM_OF_BROKER-c2n")
			check("000327-ADD_WRITE_PERM_OF_BROKER-c2n")
			check("000318-UPDATE_NAMESRV_CONFIG-c2n")
			check("000319-GET_NAMESRV_CONFIG-c2n")
			check("000216-DELETE_TOPIC_IN_NAMESRV-c2n")
			if ser == "json" {
				check("000103-REGISTER_BROKER-s2n-default")
				check("000104-UNREGISTER_BROKER-s2n-default")
				check("000104-UNREGISTER_BROKER-b2n")
				if n := s.routes.lives(); n != 0 {
					t.Errorf("%d brokers are left", n)
				}
			}
		})
	}
}

// becomeApache makes the topics those that Apache's NameServer had when the answers were recorded.
func (p *peer) becomeApache(ser string) {
	p.t.Helper()
	var want, have protocol.TopicList
	f := parse(p.t, capture(p.t, ser+"-000206-GET_ALL_TOPIC_LIST_FROM_NAMESERVER-c2n.resp"))
	if err := fastjson.Unmarshal(f.body, &want); err != nil {
		p.t.Fatal(err)
	}
	if err := fastjson.Unmarshal(p.ok(protocol.ReqGetAllTopicListFromNameServer, nil, nil).Body, &have); err != nil {
		p.t.Fatal(err)
	}
	for _, name := range have.TopicList {
		if !slices.Contains(want.TopicList, name) {
			p.ok(protocol.ReqDeleteTopicInNamesrv, &protocol.DeleteTopicInNamesrvHeader{Topic: name}, nil)
		}
	}
	for _, name := range want.TopicList {
		if !slices.Contains(have.TopicList, name) {
			p.ok(protocol.ReqRegisterTopicInNamesrv, &protocol.TopicHeader{Topic: name}, []byte(`{"queueDatas":[{"brokerName":"broker-a","perm":6}]}`))
		}
	}
}

func compareAnswer(t *testing.T, name string, got, want *frame) {
	t.Helper()
	if got.Code != want.Code || got.Opaque != want.Opaque || got.Flag != want.Flag || got.Version != want.Version || got.Language != want.Language {
		t.Errorf("%s: header %+v, want %+v", name, got.Header, want.Header)
	}
	if !maps.Equal(got.ext(), want.ext()) {
		t.Errorf("%s: fields %v, want %v", name, got.ext(), want.ext())
	}
	switch {
	case got.Code == protocol.CodeTopicNotExist: // ours says why
		begin, end, _ := bytes.Cut(want.Remark, []byte("\n"))
		if !bytes.HasPrefix(got.Remark, append(begin, '\n')) || !bytes.HasSuffix(got.Remark, end) {
			t.Errorf("%s: remark %q, want %q", name, got.Remark, want.Remark)
		}
	case string(want.Remark) == "not set any response code": // of a success; Apache forgets to clear it
	case !bytes.Equal(got.Remark, want.Remark):
		t.Errorf("%s: remark %q, want %q", name, got.Remark, want.Remark)
	}
	switch {
	case bytes.HasPrefix(want.body, []byte(`{"topicList"`)) || bytes.HasPrefix(want.body, []byte(`{"brokerAddr":`)): // in no order
		var g, w protocol.TopicList
		if fastjson.Unmarshal(got.body, &g) != nil || fastjson.Unmarshal(want.body, &w) != nil {
			t.Fatalf("%s: body %s", name, got.body)
		}
		slices.Sort(w.TopicList)
		if !slices.Equal(g.TopicList, w.TopicList) || (g.BrokerAddr == nil) != (w.BrokerAddr == nil) || g.BrokerAddr != nil && *g.BrokerAddr != *w.BrokerAddr {
			t.Errorf("%s: body %s, want %s", name, got.body, want.body)
		}
	case bytes.HasPrefix(want.body, []byte("bindAddress")): // values are of that machine
		if g, w := propertyKeys(t, got.body), propertyKeys(t, want.body); !isSubset(w, g) {
			t.Errorf("%s: keys %v, want %v", name, g, w)
		}
	case !bytes.Equal(got.body, want.body):
		t.Errorf("%s: body %s, want %s", name, got.body, want.body)
	}
}

func propertyKeys(t *testing.T, data []byte) (keys []string) {
	t.Helper()
	props, err := config.ParseProperties(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range props {
		keys = append(keys, p.Key)
	}
	return keys
}

func isSubset(of, all []string) bool {
	return !slices.ContainsFunc(of, func(s string) bool { return !slices.Contains(all, s) && !strings.HasPrefix(s, "rocketmqHome") })
}
