package namesrv

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// dialect is how integer map keys are written.
type dialect int

const (
	bareKeys   dialect = iota // {0:"..."}, for clients of before 4.9.4
	quotedKeys                // {"0":"..."}
	dialects
)

func (d dialect) marshal(v any) ([]byte, error) {
	if d == quotedKeys {
		return fastjson.MarshalStandard(v)
	}
	return fastjson.Marshal(v)
}

// encodedMax bounds the encoded routes that topics keep. Beyond it routes are encoded for each query.
const encodedMax = 64 << 20

// GET_ROUTEINFO_BY_TOPIC 105.
//
// Behaviour: the groups that have the topic, with their members, and its queues on each. With orderMessageEnable also the
// order of queues from the KV configuration. A topic that is on no live broker is refused with TOPIC_NOT_EXIST, and the remark says
// which cause it is. While needWaitForService lasts every query is refused. Differs from Apache: the remark has a cause.
// Since 4.9.4 map keys are quoted; a client says that it is newer by its version or by acceptStandardJsonOnly.
func (s *Server) routeByTopic(r *remoting.Request) {
	name, ok := r.Get("topic")
	if !ok {
		r.Conn.Reply(r, remoting.ErrorAnswer(protocol.Errorf(protocol.CodeSystemError, "the custom field <topic> is null")))
		return
	}
	cfg := s.cfg.Load()
	if cfg.WaitForService && time.Since(s.started) < cfg.WaitSeconds {
		r.Conn.Reply(r, &remoting.Answer{Code: protocol.CodeSystemError, Remark: "name server not ready"})
		return
	}
	d := bareKeys
	if r.Version >= protocol.VersionV4_9_4 || isTrue(r, "acceptStandardJsonOnly") {
		d = quotedKeys
	}
	var body []byte
	var err error
	if zone, _ := r.Get(protocol.FieldZoneName); len(zone) > 0 && isTrue(r, protocol.FieldZoneMode) {
		body, err = s.zoneRoute(string(name), string(zone), cfg)
	} else {
		body, err = s.encodedRoute(name, d, cfg)
	}
	switch {
	case err != nil:
		r.Conn.Reply(r, remoting.ErrorAnswer(err))
	case body == nil:
		r.Conn.Reply(r, s.noRoute(name))
	case !r.IsOneway():
		f := protocol.Begin(r.Conn.Lock(), protocol.ResponseHead(&r.Header, protocol.CodeSuccess, ""))
		r.Conn.Unlock(append(f.End(len(body)), body...))
	}
}

func isTrue(r *remoting.Request, field string) bool {
	v, _ := r.Get(field)
	return bytes.EqualFold(v, []byte("true"))
}

func (s *Server) noRoute(name []byte) *remoting.Answer {
	const nameMax = 255 // what a broker takes; a stranger's may be longer
	if len(name) > nameMax {
		name = name[:nameMax]
	}
	return &remoting.Answer{Code: protocol.CodeTopicNotExist,
		Remark: protocol.NoRoute + string(name) + "\n" + s.routes.noRoute(string(name), time.Now()) + protocol.FAQ}
}

// encodedRoute returns the bytes of the answer, nil when there is no route. They must not be changed.
func (s *Server) encodedRoute(name []byte, d dialect, cfg *config.Namesrv) ([]byte, error) {
	s.routes.mu.RLock()
	defer s.routes.mu.RUnlock()
	t := s.routes.topics[string(name)]
	if t == nil {
		return nil, nil
	}
	if have := t.encoded[d].Load(); have != nil {
		return *have, nil
	}
	body, err := d.marshal(s.routeLocked(t, cfg))
	if err != nil {
		return nil, err
	}
	if s.routes.encoded.Load()+int64(len(body)) <= encodedMax {
		s.routes.encoded.Add(int64(len(body)))
		if old := t.encoded[d].Swap(&body); old != nil { // another query came between
			s.routes.encoded.Add(-int64(len(*old)))
		}
	}
	return body, nil
}

// routeLocked makes the route of a topic. It takes the KV configuration's lock, under that of routes.
func (s *Server) routeLocked(t *topic, cfg *config.Namesrv) *protocol.TopicRoute {
	route := &protocol.TopicRoute{
		BrokerDatas:               make([]*protocol.BrokerData, 0, len(t.queues)),
		FilterServerTable:         map[string][]string{},
		QueueDatas:                t.queues,
		TopicQueueMappingByBroker: t.mappings,
	}
	for i := range t.queues {
		g := s.routes.groups[t.queues[i].BrokerName]
		b := g.data()
		for _, addr := range b.BrokerAddrs {
			if l := s.routes.live[brokerKey{g.cluster, addr}]; l != nil && len(l.filters) > 0 {
				route.FilterServerTable[addr] = l.filters
			}
		}
		if cfg.SupportActingMaster && t.queues[i].Perm&protocol.PermWrite == 0 && !protocol.IsSyncMemberTopic(t.name) {
			g.letSlaveAct(b)
		}
		route.BrokerDatas = append(route.BrokerDatas, b)
	}
	if cfg.OrderMessage {
		route.OrderTopicConf, _ = s.kv.get(protocol.NamespaceOrderTopicConfig, t.name)
	}
	return route
}

// data is the group as answers show it.
func (g *group) data() *protocol.BrokerData {
	return &protocol.BrokerData{BrokerAddrs: maps.Clone(g.addrs), BrokerName: g.name, Cluster: g.cluster, EnableActingMaster: g.acting, ZoneName: g.zone}
}

// letSlaveAct shows the slave with the least id as master when there is none and the group wants that.
func (g *group) letSlaveAct(b *protocol.BrokerData) {
	if _, master := b.BrokerAddrs[protocol.MasterID]; master || !g.acting || len(b.BrokerAddrs) == 0 {
		return
	}
	least := g.minID()
	b.BrokerAddrs[protocol.MasterID] = b.BrokerAddrs[least]
	delete(b.BrokerAddrs, least)
}

// zoneRoute is a route without the groups of other zones, but for those without a master: their topics can still be read.
// The answer always has bare keys, as Apache's has.
func (s *Server) zoneRoute(name, zone string, cfg *config.Namesrv) ([]byte, error) {
	s.routes.mu.RLock()
	defer s.routes.mu.RUnlock()
	t := s.routes.topics[name]
	if t == nil {
		return nil, nil
	}
	route := s.routeLocked(t, cfg)
	away := make(map[string]bool)
	route.BrokerDatas = slices.DeleteFunc(route.BrokerDatas, func(b *protocol.BrokerData) bool {
		if b.BrokerAddrs[protocol.MasterID] == "" || strings.EqualFold(b.ZoneName, zone) {
			return false
		}
		away[b.BrokerName] = true
		for _, addr := range b.BrokerAddrs {
			delete(route.FilterServerTable, addr)
		}
		return true
	})
	route.QueueDatas = slices.DeleteFunc(slices.Clone(route.QueueDatas), func(q protocol.QueueData) bool { return away[q.BrokerName] })
	return bareKeys.marshal(route)
}
