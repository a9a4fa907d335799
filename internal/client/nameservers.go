package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// NameServers is a list of NameServers. None knows the others: what is registered goes to each, and a question goes to
// one after the other until one can answer. Names are looked up at each connect.
type NameServers struct {
	pool  *Pool
	addrs []string
	first atomic.Uint32 // the one that answered last; asked first
}

// NewNameServers makes a list of "host:port;host:port", reached through pool.
func NewNameServers(pool *Pool, list string) (*NameServers, error) {
	addrs, err := config.ParseAddrs(list)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot use name servers %q: %w", list, err)
	case len(addrs) == 0:
		return nil, errors.New("cannot use an empty list of name servers")
	}
	return &NameServers{pool: pool, addrs: addrs}, nil
}

// Addrs are the addresses in the order given.
func (n *NameServers) Addrs() []string { return n.addrs }

// ask asks one NameServer after the other until one says SUCCESS; each may take its share of the time that is left, so that one
// that hangs does not keep the others from being asked. When none does, a refusal is more worth telling than a failure to reach one.
func (n *NameServers) ask(ctx context.Context, about string, call *remoting.Call) (*remoting.Response, error) {
	var refused, failed error
	first := int(n.first.Load())
	for i := range n.addrs {
		at := (first + i) % len(n.addrs)
		r, err := n.askOne(ctx, len(n.addrs)-i, n.addrs[at], about, call)
		if err == nil {
			n.first.Store(uint32(at))
			return r, nil
		}
		var pe *protocol.Error
		if !errors.As(err, &pe) {
			failed = errors.Join(failed, err)
		} else if refused == nil {
			refused = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	if refused != nil {
		return nil, refused
	}
	return nil, failed
}

// askOne asks the first of so many NameServers that are left to ask.
func (n *NameServers) askOne(ctx context.Context, left int, addr, about string, call *remoting.Call) (*remoting.Response, error) {
	if end, limited := ctx.Deadline(); limited && left > 1 {
		share := time.Until(end) / time.Duration(left)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, share, fmt.Errorf("no answer within %s", share.Round(time.Millisecond)))
		defer cancel()
	}
	return n.pool.ask(ctx, addr, about, call)
}

// askJSON is ask for answers with a JSON body.
func askJSON[T any](ctx context.Context, n *NameServers, about string, call *remoting.Call) (*T, error) {
	r, err := n.ask(ctx, about, call)
	if err != nil {
		return nil, err
	}
	return decode[T](r, call.Code)
}

func decode[T any](r *remoting.Response, code int) (*T, error) {
	v := new(T)
	if len(r.Body) == 0 && len(r.Remark) > 0 { // how Apache's broker refuses some things
		return nil, fmt.Errorf("%s found nothing: %s", protocol.RequestName(code), r.Remark)
	}
	if err := fastjson.Unmarshal(r.Body, v); err != nil {
		return nil, fmt.Errorf("cannot read the answer to %s: %w", protocol.RequestName(code), err)
	}
	return v, nil
}

// RouteByTopic returns where a topic is, GET_ROUTEINFO_BY_TOPIC. An unknown topic is an error with TOPIC_NOT_EXIST; as a
// NameServer that has just started knows nothing yet, the others are asked then too.
func (n *NameServers) RouteByTopic(ctx context.Context, topic string) (*protocol.TopicRoute, error) {
	return askJSON[protocol.TopicRoute](ctx, n, "topic "+topic, &remoting.Call{Code: protocol.ReqGetRouteInfoByTopic,
		Header: &protocol.GetRouteInfoHeader{Topic: topic, AcceptStandardJSONOnly: true}})
}

// ClusterInfo returns the brokers by cluster, GET_BROKER_CLUSTER_INFO.
func (n *NameServers) ClusterInfo(ctx context.Context) (*protocol.ClusterInfo, error) {
	return askJSON[protocol.ClusterInfo](ctx, n, "", &remoting.Call{Code: protocol.ReqGetBrokerClusterInfo})
}

// BrokerMemberGroup returns the members of a broker group, GET_BROKER_MEMBER_GROUP.
func (n *NameServers) BrokerMemberGroup(ctx context.Context, cluster, broker string) (*protocol.BrokerMemberGroup, error) {
	b, err := askJSON[protocol.BrokerMemberGroupBody](ctx, n, "broker "+broker, &remoting.Call{Code: protocol.ReqGetBrokerMemberGroup,
		Header: &protocol.BrokerMemberGroupHeader{ClusterName: cluster, BrokerName: broker}})
	if err != nil {
		return nil, err
	}
	return b.BrokerMemberGroup, nil
}

// Topics returns the names of all topics, GET_ALL_TOPIC_LIST_FROM_NAMESERVER.
func (n *NameServers) Topics(ctx context.Context) ([]string, error) {
	l, err := askJSON[protocol.TopicList](ctx, n, "", &remoting.Call{Code: protocol.ReqGetAllTopicListFromNameServer})
	if err != nil {
		return nil, err
	}
	return l.TopicList, nil
}

// KVConfig returns an entry of the KV configuration, GET_KV_CONFIG. One that is not there is an error with QUERY_NOT_FOUND.
func (n *NameServers) KVConfig(ctx context.Context, namespace, key string) (string, error) {
	r, err := n.ask(ctx, "KV "+namespace+"/"+key, &remoting.Call{Code: protocol.ReqGetKVConfig,
		Header: &protocol.KVConfigHeader{Namespace: namespace, Key: key}})
	if err != nil {
		return "", err
	}
	var h protocol.GetKVConfigResponseHeader
	err = r.DecodeFields(&h)
	return h.Value, err
}

// KVNamespace returns a namespace of the KV configuration, GET_KVLIST_BY_NAMESPACE.
func (n *NameServers) KVNamespace(ctx context.Context, namespace string) (map[string]string, error) {
	t, err := askJSON[protocol.KVTable](ctx, n, "KV "+namespace, &remoting.Call{Code: protocol.ReqGetKVListByNamespace,
		Header: &protocol.KVNamespaceHeader{Namespace: namespace}})
	if err != nil {
		return nil, err
	}
	return t.Table, nil
}

// all makes the same call to every NameServer at the same time and returns what went wrong, by NameServer.
func (n *NameServers) all(ctx context.Context, about string, call *remoting.Call) error {
	errs := make([]error, len(n.addrs))
	var wg sync.WaitGroup
	for i, addr := range n.addrs {
		wg.Go(func() { _, errs[i] = n.pool.ask(ctx, addr, about, call) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// PutKVConfig sets an entry on every NameServer, PUT_KV_CONFIG.
func (n *NameServers) PutKVConfig(ctx context.Context, namespace, key, value string) error {
	return n.all(ctx, "KV "+namespace+"/"+key, &remoting.Call{Code: protocol.ReqPutKVConfig,
		Header: &protocol.PutKVConfigHeader{Namespace: namespace, Key: key, Value: value}})
}

// DeleteKVConfig removes an entry from every NameServer, DELETE_KV_CONFIG.
func (n *NameServers) DeleteKVConfig(ctx context.Context, namespace, key string) error {
	return n.all(ctx, "KV "+namespace+"/"+key, &remoting.Call{Code: protocol.ReqDeleteKVConfig,
		Header: &protocol.KVConfigHeader{Namespace: namespace, Key: key}})
}

// DeleteTopic makes every NameServer forget a topic, in one cluster or, when cluster is empty, everywhere:
// DELETE_TOPIC_IN_NAMESRV.
func (n *NameServers) DeleteTopic(ctx context.Context, topic, cluster string) error {
	return n.all(ctx, "topic "+topic, &remoting.Call{Code: protocol.ReqDeleteTopicInNamesrv,
		Header: &protocol.DeleteTopicInNamesrvHeader{Topic: topic, ClusterName: cluster}})
}

// A Registration is what a broker tells a NameServer about itself, ready to be sent.
type Registration struct {
	Header protocol.RegisterBrokerHeader
	Body   []byte // of Header.Compressed's kind
}

// NewRegistration encodes a registration. BodyCRC32 and Compressed of the header are set.
func NewRegistration(h protocol.RegisterBrokerHeader, body *protocol.RegisterBrokerBody, compressed bool) (*Registration, error) {
	data, err := body.Encode(compressed)
	if err != nil {
		return nil, err
	}
	h.Compressed, h.BodyCRC32 = compressed, protocol.BodyCRC32(data)
	return &Registration{Header: h, Body: data}, nil
}

// Registered is a NameServer's answer to a registration.
type Registered struct {
	NameServer string
	protocol.RegisterBrokerResponseHeader
	OrderTopics map[string]string // ORDER_TOPIC_CONFIG of its KV configuration; nil when it has none
}

// Register registers a broker with one NameServer, REGISTER_BROKER.
func (p *Pool) Register(ctx context.Context, addr string, reg *Registration) (Registered, error) {
	out := Registered{NameServer: addr}
	r, err := p.ask(ctx, addr, "broker "+reg.Header.BrokerName, &remoting.Call{Code: protocol.ReqRegisterBroker, Header: &reg.Header, Body: reg.Body})
	if err != nil {
		return out, err
	}
	if err := r.DecodeFields(&out.RegisterBrokerResponseHeader); err != nil {
		return out, fmt.Errorf("cannot read the answer of name server %s: %w", addr, err)
	}
	if len(r.Body) > 0 {
		t, err := decode[protocol.KVTable](r, protocol.ReqRegisterBroker)
		if err != nil {
			return out, err
		}
		out.OrderTopics = t.Table
	}
	return out, nil
}

// RegisterTopic tells one NameServer how many queues a topic has on broker groups that are registered there, REGISTER_TOPIC_IN_NAMESRV.
func (p *Pool) RegisterTopic(ctx context.Context, addr, topic string, queues ...protocol.QueueData) error {
	body, err := fastjson.MarshalStandard(&protocol.TopicRoute{BrokerDatas: []*protocol.BrokerData{}, QueueDatas: queues})
	if err == nil {
		_, err = p.ask(ctx, addr, "topic "+topic, &remoting.Call{Code: protocol.ReqRegisterTopicInNamesrv, Header: &protocol.TopicHeader{Topic: topic}, Body: body})
	}
	return err
}

// Unregister takes a broker off one NameServer.
func (p *Pool) Unregister(ctx context.Context, addr string, id protocol.BrokerIdentityHeader) error {
	return p.do(ctx, addr, "broker "+id.BrokerName, &remoting.Call{Code: protocol.ReqUnregisterBroker, Header: &id})
}

// QueryDataVersion says whether a NameServer has other topics of a broker than those of a version, QUERY_DATA_VERSION. It
// counts as a sign of life of the broker.
func (p *Pool) QueryDataVersion(ctx context.Context, addr string, id protocol.BrokerIdentityHeader, version protocol.DataVersion) (changed bool, err error) {
	body, err := fastjson.Marshal(version)
	if err != nil {
		return false, err
	}
	h, err := answer[protocol.QueryDataVersionResponseHeader](ctx, p, addr, "broker "+id.BrokerName, &remoting.Call{Code: protocol.ReqQueryDataVersion, Header: &id, Body: body})
	return h.Changed, err
}

// BrokerHeartbeat tells one NameServer that a broker lives, BROKER_HEARTBEAT. There is no answer.
func (p *Pool) BrokerHeartbeat(ctx context.Context, addr string, id protocol.BrokerIdentityHeader) error {
	h := &protocol.BrokerHeartbeatHeader{ClusterName: id.ClusterName, BrokerAddr: id.BrokerAddr, BrokerName: id.BrokerName}
	return p.Notify(ctx, addr, &remoting.Call{Code: protocol.ReqBrokerHeartbeat, Header: h})
}

// BrokerHeartbeatOld does so with QUERY_DATA_VERSION, which NameServers of before RocketMQ 5 understand too.
func (p *Pool) BrokerHeartbeatOld(ctx context.Context, addr string, id protocol.BrokerIdentityHeader, version protocol.DataVersion) error {
	body, err := fastjson.Marshal(version)
	if err != nil {
		return err
	}
	return p.Notify(ctx, addr, &remoting.Call{Code: protocol.ReqQueryDataVersion, Header: &id, Body: body})
}
