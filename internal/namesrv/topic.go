package namesrv

import (
	"fmt"
	"maps"
	"slices"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// topicList makes the answer that lists topics, sorted.
func topicList(names []string, brokerAddr *string) (*remoting.Answer, error) {
	slices.Sort(names)
	body, err := fastjson.Marshal(&protocol.TopicList{TopicList: names, BrokerAddr: brokerAddr})
	return &remoting.Answer{Body: body}, err
}

// listed refuses what enableAllTopicList or enableTopicList turns off. Apache says no more than "disable".
func listed(enabled bool, key string) error {
	if enabled {
		return nil
	}
	return protocol.Errorf(protocol.CodeSystemError, "disable: %s=false", key)
}

// GET_ALL_TOPIC_LIST_FROM_NAMESERVER 206. Behaviour: all topics; refused when enableAllTopicList is false.
func (s *Server) allTopics(*remoting.Request) (*remoting.Answer, error) {
	if err := listed(s.cfg.Load().AllTopicList, "enableAllTopicList"); err != nil {
		return nil, err
	}
	return topicList(s.routes.topicNames(func(*topic) bool { return true }), nil)
}

// topicNames returns the names of the topics that want chooses.
func (r *routes) topicNames(want func(*topic) bool) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	names := make([]string, 0, len(r.topics))
	for name, t := range r.topics {
		if want(t) {
			names = append(names, name)
		}
	}
	return names
}

// GET_TOPICS_BY_CLUSTER 224.
//
// Behaviour: the topics of a cluster's brokers, none for a cluster that is not there; refused when enableTopicList is false.
func (s *Server) topicsByCluster(_ *remoting.Request, h *protocol.ClusterHeader) (*remoting.Answer, error) {
	if err := listed(s.cfg.Load().TopicList, "enableTopicList"); err != nil {
		return nil, err
	}
	return topicList(s.routes.topicsOfCluster(h.Cluster), nil)
}

func (r *routes) topicsOfCluster(cluster string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	set := make(map[string]struct{})
	for broker := range r.clusters[cluster] {
		for name := range r.groups[broker].topics {
			set[name] = struct{}{}
		}
	}
	return slices.AppendSeq(make([]string, 0, len(set)), maps.Keys(set))
}

// GET_SYSTEM_TOPIC_LIST_FROM_NS 304.
//
// Behaviour: the topics that brokers have for themselves as far as a NameServer knows: one named after each cluster and
// each broker. And the address of some broker, for the caller to ask for the rest.
func (s *Server) systemTopics(*remoting.Request) (*remoting.Answer, error) {
	names, addr := s.routes.systemTopics()
	return topicList(names, addr)
}

func (r *routes) systemTopics() (names []string, addr *string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	set := make(map[string]struct{})
	for cluster, brokers := range r.clusters {
		set[cluster] = struct{}{}
		maps.Copy(set, brokers)
	}
	for _, g := range r.groups {
		a := g.data().Pick()
		addr = &a
		break
	}
	return slices.AppendSeq(make([]string, 0, len(set)), maps.Keys(set)), addr
}

// unitTopics makes the handlers of the lists by unit flags: those topics whose flags, under mask, are want.
func unitTopics(mask, want int32) func(*Server, *remoting.Request) (*remoting.Answer, error) {
	return func(s *Server, _ *remoting.Request) (*remoting.Answer, error) {
		if err := listed(s.cfg.Load().TopicList, "enableTopicList"); err != nil {
			return nil, err
		}
		return topicList(s.routes.topicNames(func(t *topic) bool { return t.queues[0].TopicSysFlag&mask == want }), nil)
	}
}

// DELETE_TOPIC_IN_NAMESRV 216.
//
// Behaviour: forgets a topic, in one cluster or everywhere. Its brokers bring it back with their next registration if they
// have it still: it is deleted there first (215).
func (s *Server) deleteTopic(r *remoting.Request, h *protocol.DeleteTopicInNamesrvHeader) (*remoting.Answer, error) {
	if s.routes.deleteTopic(h.Topic, h.ClusterName, fmt.Sprintf("deleted by %s", r.Conn.RemoteAddr())) {
		s.log.Info("topic deleted", "topic", h.Topic, "cluster", h.ClusterName, "addr", r.Conn.RemoteAddr())
	}
	return nil, nil
}

func (r *routes) deleteTopic(name, cluster, why string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.topics[name]
	if t == nil {
		return false
	}
	for _, q := range slices.Clone(t.queues) {
		if _, in := r.clusters[cluster][q.BrokerName]; in || cluster == "" {
			r.dropQueueLocked(r.groups[q.BrokerName], t)
		}
	}
	if len(t.queues) == 0 {
		r.gone.topicDeleted(name, why)
	}
	return true
}

// REGISTER_TOPIC_IN_NAMESRV 217.
//
// Behaviour: puts a topic on brokers that are registered, with the queues given; nothing is done when one of them is not, and
// the answer is SUCCESS all the same. The brokers themselves learn nothing of it.
func (s *Server) registerTopic(r *remoting.Request, h *protocol.TopicHeader) (*remoting.Answer, error) {
	var route protocol.TopicRoute
	if len(r.Body) > 0 {
		if err := fastjson.Unmarshal(r.Body, &route); err != nil {
			return nil, err
		}
	}
	if unknown := s.routes.registerTopic(h.Topic, route.QueueDatas); unknown != "" {
		s.log.Warn("topic not registered: a broker of it is not", "topic", h.Topic, "broker", unknown, "addr", r.Conn.RemoteAddr())
	}
	return nil, nil
}

func (r *routes) registerTopic(name string, queues []protocol.QueueData) (unknown string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range queues {
		if r.groups[q.BrokerName] == nil {
			return q.BrokerName
		}
	}
	for _, q := range queues {
		g := r.groups[q.BrokerName]
		r.setQueueLocked(g, name, q)
		g.incomplete = true // its brokers may not have it, and deleteTopicWithBrokerRegistration take it off again
	}
	return ""
}
