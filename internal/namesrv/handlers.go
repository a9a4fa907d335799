package namesrv

import (
	"fmt"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// A handler is how one request code is served.
type handler struct {
	code int
	do   func(*Server, *remoting.Request) (*remoting.Answer, error)
	// hot handlers read the header in place and answer themselves.
	hot func(*Server, *remoting.Request)
}

// typed makes a handler's do of a method that wants its header decoded into an H.
func typed[H any](do func(*Server, *remoting.Request, *H) (*remoting.Answer, error)) func(*Server, *remoting.Request) (*remoting.Answer, error) {
	return func(s *Server, r *remoting.Request) (*remoting.Answer, error) {
		return remoting.Typed(func(r *remoting.Request, h *H) (*remoting.Answer, error) { return do(s, r, h) })(r)
	}
}

// handlers is the whole of what a NameServer answers, sorted by code. Any other code is answered with
// REQUEST_CODE_NOT_SUPPORTED.
var handlers = []handler{
	{code: protocol.ReqPutKVConfig, do: typed((*Server).putKV)},
	{code: protocol.ReqGetKVConfig, do: typed((*Server).getKV)},
	{code: protocol.ReqDeleteKVConfig, do: typed((*Server).deleteKV)},
	{code: protocol.ReqRegisterBroker, do: typed((*Server).registerBroker)},
	{code: protocol.ReqUnregisterBroker, do: typed((*Server).unregisterBroker)},
	{code: protocol.ReqGetRouteInfoByTopic, hot: (*Server).routeByTopic},
	{code: protocol.ReqGetBrokerClusterInfo, do: (*Server).clusterInfo},
	{code: protocol.ReqWipeWritePermOfBroker, do: typed((*Server).wipeWritePerm)},
	{code: protocol.ReqGetAllTopicListFromNameServer, do: (*Server).allTopics},
	{code: protocol.ReqDeleteTopicInNamesrv, do: typed((*Server).deleteTopic)},
	{code: protocol.ReqRegisterTopicInNamesrv, do: typed((*Server).registerTopic)},
	{code: protocol.ReqGetKVListByNamespace, do: typed((*Server).listKV)},
	{code: protocol.ReqGetTopicsByCluster, do: typed((*Server).topicsByCluster)},
	{code: protocol.ReqGetSystemTopicListFromNS, do: (*Server).systemTopics},
	{code: protocol.ReqGetUnitTopicList, do: unitTopics(protocol.TopicFlagUnit, protocol.TopicFlagUnit)},
	{code: protocol.ReqGetHasUnitSubTopicList, do: unitTopics(protocol.TopicFlagUnitSub, protocol.TopicFlagUnitSub)},
	{code: protocol.ReqGetHasUnitSubUnUnitTopicList, do: unitTopics(protocol.TopicFlagUnit|protocol.TopicFlagUnitSub, protocol.TopicFlagUnitSub)},
	{code: protocol.ReqUpdateNamesrvConfig, do: (*Server).updateConfig},
	{code: protocol.ReqGetNamesrvConfig, do: (*Server).getConfig},
	{code: protocol.ReqQueryDataVersion, do: typed((*Server).queryDataVersion)},
	{code: protocol.ReqAddWritePermOfBroker, do: typed((*Server).addWritePerm)},
	{code: protocol.ReqGetBrokerMemberGroup, do: typed((*Server).memberGroup)},
	{code: protocol.ReqBrokerHeartbeat, do: typed((*Server).brokerHeartbeat)},
}

// wire is the Server as its connections see it.
type wire struct{ s *Server }

// Serve finds the request's row and lets it answer.
func (w wire) Serve(r *remoting.Request) {
	h := w.s.table[r.Code]
	switch {
	case h == nil:
		r.Conn.Reply(r, &remoting.Answer{Code: protocol.CodeRequestCodeNotSupported, Remark: fmt.Sprintf(" request type %d not supported", r.Code)})
	case h.hot != nil:
		h.hot(w.s, r)
	case r.Elsewhere(): // it may have to be kept on the disk, or be a broker with many topics
	default:
		remoting.Respond(r, func(r *remoting.Request) (*remoting.Answer, error) { return h.do(w.s, r) })
	}
}

// Flush has nothing to do: every request is answered when it comes.
func (wire) Flush(*remoting.Conn) {}

// Closed takes the brokers off that registered over a connection. When the server itself closes nobody asks any more.
func (w wire) Closed(c *remoting.Conn) {
	if _, ok := c.State.(brokerConn); !ok || w.s.ctx.Err() != nil {
		return
	}
	for _, l := range w.s.routes.over(c) {
		w.s.remove(l.key, l.name, "closed its connection", func(now *live) bool { return now.conn == c })
	}
}
