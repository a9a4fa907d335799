package namesrv

import (
	"maps"
	"slices"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// GET_BROKER_CLUSTER_INFO 106. Behaviour: all broker groups and clusters. Map keys are bare, whatever the client's version.
func (s *Server) clusterInfo(*remoting.Request) (*remoting.Answer, error) {
	body, err := fastjson.Marshal(s.routes.clusterInfo())
	return &remoting.Answer{Body: body}, err
}

func (r *routes) clusterInfo() *protocol.ClusterInfo {
	r.mu.RLock()
	defer r.mu.RUnlock()
	info := &protocol.ClusterInfo{BrokerAddrTable: make(map[string]*protocol.BrokerData), ClusterAddrTable: make(map[string][]string)}
	for name, g := range r.groups {
		info.BrokerAddrTable[name] = g.data()
	}
	for cluster, names := range r.clusters {
		info.ClusterAddrTable[cluster] = slices.Sorted(maps.Keys(names))
	}
	return info
}

// WIPE_WRITE_PERM_OF_BROKER 205.
//
// Behaviour: takes the right to write from all topics of a broker group, until the version of the broker's topics changes. Producers
// learn it with their next route query, so that a broker can be stopped when they have. The answer counts topics.
func (s *Server) wipeWritePerm(r *remoting.Request, h *protocol.BrokerNameHeader) (*remoting.Answer, error) {
	n := s.routes.setPerms(h.BrokerName, func(perm int32) int32 { return perm &^ protocol.PermWrite })
	s.log.Info("write permission wiped", "broker", h.BrokerName, "topics", n, "addr", r.Conn.RemoteAddr())
	return &remoting.Answer{Header: &protocol.WipeWritePermResponseHeader{WipeTopicCount: n}}, nil
}

// ADD_WRITE_PERM_OF_BROKER 327. Behaviour: makes all topics of a broker group readable and writable. The answer counts them.
func (s *Server) addWritePerm(r *remoting.Request, h *protocol.BrokerNameHeader) (*remoting.Answer, error) {
	n := s.routes.setPerms(h.BrokerName, func(int32) int32 { return protocol.PermRead | protocol.PermWrite })
	s.log.Info("write permission added", "broker", h.BrokerName, "topics", n, "addr", r.Conn.RemoteAddr())
	return &remoting.Answer{Header: &protocol.AddWritePermResponseHeader{AddTopicCount: n}}, nil
}

func (r *routes) setPerms(broker string, change func(perm int32) int32) int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[broker]
	if g == nil {
		return 0
	}
	for _, t := range g.topics {
		q := t.queueOn(broker)
		q.Perm = change(q.Perm)
		r.forgetRouteLocked(t)
	}
	return int32(len(g.topics))
}

// GET_BROKER_MEMBER_GROUP 901. Behaviour: the members of a group by id; none for a group that is not there.
func (s *Server) memberGroup(_ *remoting.Request, h *protocol.BrokerMemberGroupHeader) (*remoting.Answer, error) {
	m := &protocol.BrokerMemberGroup{BrokerAddrs: s.routes.members(h.BrokerName), BrokerName: h.BrokerName, Cluster: h.ClusterName}
	body, err := fastjson.Marshal(&protocol.BrokerMemberGroupBody{BrokerMemberGroup: m})
	return &remoting.Answer{Body: body}, err
}

func (r *routes) members(broker string) map[int64]string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if g := r.groups[broker]; g != nil {
		return maps.Clone(g.addrs)
	}
	return map[int64]string{}
}
