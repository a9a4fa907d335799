package broker

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// A handler is how one request code is served.
type handler struct {
	code int
	// hot handlers read the header in place and answer themselves. The others get a decoded header.
	hot func(*Broker, *session, *remoting.Request)
	do  func(*Broker, *remoting.Request) (*remoting.Answer, error)
	// slow handlers may wait for a disk, and so run beside their connection; asking ones wait for another client.
	slow, asks bool
	// quick handlers look at memory only and cost little, so they may hold up other connections. Hot ones see to that themselves.
	quick bool
	// static handlers ask other brokers, and so run beside their connection, when they are about a static topic.
	static bool
	// notFast codes are not served on the second port (listenPort - 2), as in Apache.
	notFast bool
}

// typed makes a handler's do of a method that wants its header decoded into an H.
func typed[H any](do func(*Broker, *remoting.Request, *H) (*remoting.Answer, error)) func(*Broker, *remoting.Request) (*remoting.Answer, error) {
	return func(b *Broker, r *remoting.Request) (*remoting.Answer, error) {
		h := new(H)
		if err := r.DecodeFields(h); err != nil {
			return nil, err
		}
		return do(b, r, h)
	}
}

// withBody makes a handler's do of a method that wants the request's body, which is JSON, decoded into a B.
func withBody[B any](do func(*Broker, *remoting.Request, *B) (*remoting.Answer, error)) func(*Broker, *remoting.Request) (*remoting.Answer, error) {
	return func(b *Broker, r *remoting.Request) (*remoting.Answer, error) {
		body := new(B)
		if err := fastjson.Unmarshal(r.Body, body); err != nil {
			return nil, err
		}
		return do(b, r, body)
	}
}

// handlers is the whole of what a broker answers, sorted by code. Any other code is answered with
// REQUEST_CODE_NOT_SUPPORTED.
var handlers = []handler{
	{code: protocol.ReqSendMessage, hot: (*Broker).sendMessage},
	{code: protocol.ReqPullMessage, hot: (*Broker).pullMessage, notFast: true},
	{code: protocol.ReqQueryMessage, do: typed((*Broker).queryMessage), slow: true},
	{code: protocol.ReqQueryConsumerOffset, do: typed((*Broker).queryConsumerOffset), static: true, quick: true},
	{code: protocol.ReqUpdateConsumerOffset, do: typed((*Broker).updateConsumerOffset), static: true, quick: true},
	{code: protocol.ReqUpdateAndCreateTopic, do: counted(&metrics.TopicCreate, aboutSystemTopic, typed((*Broker).updateTopic)), slow: true},
	{code: protocol.ReqUpdateAndCreateTopicList, do: counted(&metrics.TopicCreate, aboutSystemTopic, withBody((*Broker).updateTopicList)), slow: true},
	{code: protocol.ReqGetAllTopicConfig, do: typed((*Broker).getAllTopicConfig), slow: true},
	{code: protocol.ReqUpdateBrokerConfig, do: (*Broker).updateConfig, slow: true},
	{code: protocol.ReqGetBrokerConfig, do: (*Broker).getConfig},
	{code: protocol.ReqGetBrokerRuntimeInfo, do: (*Broker).getRuntimeInfo, slow: true},
	{code: protocol.ReqSearchOffsetByTimestamp, do: typed((*Broker).searchOffset), slow: true},
	{code: protocol.ReqGetMaxOffset, do: typed((*Broker).getMaxOffset), static: true, quick: true},
	{code: protocol.ReqGetMinOffset, do: typed((*Broker).getMinOffset), static: true, quick: true},
	{code: protocol.ReqGetEarliestMsgStoreTime, do: typed((*Broker).getEarliestStoreTime), slow: true},
	{code: protocol.ReqViewMessageByID, do: typed((*Broker).viewMessage), slow: true},
	{code: protocol.ReqHeartBeat, do: (*Broker).heartBeat},
	{code: protocol.ReqUnregisterClient, do: typed((*Broker).unregisterClient)},
	{code: protocol.ReqConsumerSendMsgBack, hot: (*Broker).sendBack},
	{code: protocol.ReqEndTransaction, hot: (*Broker).endTransaction},
	{code: protocol.ReqGetConsumerListByGroup, do: typed((*Broker).getConsumerList), quick: true},
	{code: protocol.ReqLockBatchMQ, do: withBody((*Broker).lockBatchMQ), quick: true},
	{code: protocol.ReqUnlockBatchMQ, do: withBody((*Broker).unlockBatchMQ), quick: true},
	{code: protocol.ReqGetAllConsumerOffset, do: (*Broker).getAllConsumerOffset, slow: true},
	{code: protocol.ReqGetAllDelayOffset, do: (*Broker).getAllDelayOffset},
	{code: protocol.ReqCheckClientConfig, do: withBody((*Broker).checkClientConfig)},
	{code: protocol.ReqGetTimerCheckPoint, do: (*Broker).getTimerCheckpoint},
	{code: protocol.ReqGetTimerMetrics, do: (*Broker).getTimerMetrics},
	{code: protocol.ReqUpdateAndCreateSubscriptionGroup, do: counted(&metrics.GroupCreate, nil, withBody((*Broker).updateGroup)), slow: true},
	{code: protocol.ReqGetAllSubscriptionGroupConfig, do: typed((*Broker).getAllGroups), slow: true},
	{code: protocol.ReqGetTopicStatsInfo, do: typed((*Broker).getTopicStats), slow: true},
	{code: protocol.ReqGetConsumerConnectionList, do: typed((*Broker).getConsumerConnections)},
	{code: protocol.ReqGetProducerConnectionList, do: typed((*Broker).getProducerConnections)},
	{code: protocol.ReqDeleteSubscriptionGroup, do: typed((*Broker).deleteGroup), slow: true},
	{code: protocol.ReqGetConsumeStats, do: typed((*Broker).getConsumeStats), slow: true},
	{code: protocol.ReqDeleteTopicInBroker, do: typed((*Broker).deleteTopic), slow: true},
	{code: protocol.ReqInvokeBrokerToResetOffset, do: typed((*Broker).resetOffset), slow: true},
	{code: protocol.ReqInvokeBrokerToGetConsumerStatus, do: typed((*Broker).getConsumerStatus), asks: true},
	{code: protocol.ReqUpdateAndCreateSubscriptionGroupList, do: counted(&metrics.GroupCreate, nil, withBody((*Broker).updateGroupList)), slow: true},
	{code: protocol.ReqQueryTopicConsumeByWho, do: typed((*Broker).queryTopicConsumeByWho), slow: true},
	{code: protocol.ReqQueryConsumeTimeSpan, do: typed((*Broker).queryConsumeTimeSpan), slow: true},
	{code: protocol.ReqGetSystemTopicListFromBroker, do: (*Broker).getSystemTopics},
	{code: protocol.ReqCleanExpiredConsumeQueue, do: (*Broker).cleanQueues, slow: true},
	{code: protocol.ReqGetConsumerRunningInfo, do: typed((*Broker).getConsumerRunningInfo), asks: true},
	{code: protocol.ReqQueryCorrectionOffset, do: typed((*Broker).queryCorrectionOffset), slow: true},
	{code: protocol.ReqConsumeMessageDirectly, do: typed((*Broker).consumeMessageDirectly), asks: true},
	{code: protocol.ReqSendMessageV2, hot: (*Broker).sendMessage},
	{code: protocol.ReqCloneGroupOffset, do: typed((*Broker).cloneGroupOffset), slow: true},
	{code: protocol.ReqViewBrokerStatsData, do: typed((*Broker).viewStats)},
	{code: protocol.ReqCleanUnusedTopic, do: (*Broker).cleanUnusedTopics, slow: true},
	{code: protocol.ReqGetBrokerConsumeStats, do: typed((*Broker).getBrokerConsumeStats), slow: true},
	{code: protocol.ReqSendBatchMessage, hot: (*Broker).sendMessage},
	{code: protocol.ReqQueryConsumeQueue, do: typed((*Broker).queryConsumeQueue), slow: true},
	{code: protocol.ReqResumeCheckHalfMessage, do: typed((*Broker).resumeCheck), slow: true},
	{code: protocol.ReqSendReplyMessage, do: (*Broker).sendReply, asks: true},
	{code: protocol.ReqSendReplyMessageV2, do: (*Broker).sendReply, asks: true},
	{code: protocol.ReqGetAllProducerInfo, do: (*Broker).getAllProducers},
	{code: protocol.ReqDeleteExpiredCommitLog, do: (*Broker).deleteExpiredLog, slow: true},
	{code: protocol.ReqQueryTopicsByConsumer, do: typed((*Broker).queryTopicsByConsumer)},
	{code: protocol.ReqQuerySubscriptionByConsumer, do: typed((*Broker).querySubscription)},
	{code: protocol.ReqGetTopicConfig, do: typed((*Broker).getTopicConfig)},
	{code: protocol.ReqGetSubscriptionGroupConfig, do: typed((*Broker).getGroup)},
	{code: protocol.ReqUpdateAndGetGroupForbidden, do: typed((*Broker).updateGroupForbidden), slow: true},
	{code: protocol.ReqCheckRocksDBCQWriteProgress, do: (*Broker).checkRocksQueues},
	{code: protocol.ReqExportRocksDBConfigToJSON, do: typed((*Broker).exportRocksConfig)},
	{code: protocol.ReqLitePullMessage, hot: (*Broker).pullMessage, notFast: true},
	{code: protocol.ReqRecallMessage, do: typed((*Broker).recallMessage), slow: true},
	{code: protocol.ReqQueryAssignment, do: withBody((*Broker).queryAssignment), slow: true},
	{code: protocol.ReqSetMessageRequestMode, do: (*Broker).setRequestMode, slow: true},
	{code: protocol.ReqGetAllMessageRequestMode, do: (*Broker).getRequestModes},
	{code: protocol.ReqSwitchTimerEngine, do: (*Broker).switchTimerEngine, slow: true},
	{code: protocol.ReqUpdateAndCreateStaticTopic, do: typed((*Broker).updateStaticTopic), slow: true},
	{code: protocol.ReqNotifyMinBrokerIDChange, do: typed((*Broker).notifyMinBrokerID)},
	{code: protocol.ReqExchangeBrokerHAInfo, do: typed((*Broker).exchangeHAInfo)},
	{code: protocol.ReqGetBrokerHAStatus, do: (*Broker).getHAStatus},
	{code: protocol.ReqResetMasterFlushOffset, do: (*Broker).resetMasterFlushOffset},
	{code: protocol.ReqGetBrokerEpochCache, do: (*Broker).getEpochCache},
	{code: protocol.ReqNotifyBrokerRoleChanged, do: typed((*Broker).notifyRoleChanged)},
	{code: protocol.ReqUpdateColdDataFlowCtrConfig, do: (*Broker).updateColdLimits},
	{code: protocol.ReqRemoveColdDataFlowCtrConfig, do: (*Broker).removeColdLimit},
	{code: protocol.ReqGetColdDataFlowCtrInfo, do: (*Broker).getColdLimits},
	{code: protocol.ReqSetCommitLogReadMode, do: (*Broker).setReadMode},
	{code: protocol.ReqAuthCreateUser, do: typed(namedUser)},
	{code: protocol.ReqAuthUpdateUser, do: typed(namedUser)},
	{code: protocol.ReqAuthDeleteUser, do: typed(deletedUser)},
	{code: protocol.ReqAuthGetUser, do: typed(namedUser)},
	{code: protocol.ReqAuthListUser, do: noUsers},
	{code: protocol.ReqAuthCreateACL, do: typed(namedSubject)},
	{code: protocol.ReqAuthUpdateACL, do: typed(namedSubject)},
	{code: protocol.ReqAuthDeleteACL, do: typed(namedSubject)},
	{code: protocol.ReqAuthGetACL, do: typed(namedSubject)},
	{code: protocol.ReqAuthListACL, do: noUsers},
	{code: protocol.ReqPopMessage, hot: (*Broker).popMessage, notFast: true},
	{code: protocol.ReqAckMessage, hot: (*Broker).ackMessage},
	{code: protocol.ReqPeekMessage, hot: (*Broker).popMessage, notFast: true},
	{code: protocol.ReqChangeMessageInvisibleTime, hot: (*Broker).changeInvisible},
	{code: protocol.ReqNotification, hot: (*Broker).popMessage, notFast: true},
	{code: protocol.ReqPollingInfo, do: typed((*Broker).pollingInfo), notFast: true},
	{code: protocol.ReqPopRollback, do: (*Broker).popRollback},
	{code: protocol.ReqPopLiteMessage, hot: (*Broker).popLiteMessage, notFast: true},
	{code: protocol.ReqLiteSubscriptionCtl, do: (*Broker).controlLiteSubscriptions, slow: true},
	{code: protocol.ReqGetBrokerLiteInfo, do: (*Broker).getBrokerLiteInfo, slow: true},
	{code: protocol.ReqGetParentTopicInfo, do: typed((*Broker).getParentTopicInfo), slow: true},
	{code: protocol.ReqGetLiteTopicInfo, do: typed((*Broker).getLiteTopicInfo), slow: true},
	{code: protocol.ReqGetLiteClientInfo, do: typed((*Broker).getLiteClientInfo)},
	{code: protocol.ReqGetLiteGroupInfo, do: typed((*Broker).getLiteGroupInfo), slow: true},
	{code: protocol.ReqTriggerLiteDispatch, do: typed((*Broker).triggerLiteDispatch), slow: true},
	{code: protocol.ReqBatchAckMessage, hot: (*Broker).batchAck},
	{code: protocol.ReqLiftoffQueueState, do: typed((*Broker).queueState)},
}

// session is what the broker keeps of a connection. It is used while its requests are served only.
type session struct {
	peer  netip.AddrPort
	sends *sendBatch // collected in this read; nil when there are none
	ends  *endBatch  // the same
	cold  int        // so many pops are still served elsewhere, for one has waited for the disk
	held  holder
}

// sessionOf is for handlers that the connection waits for: what is detached runs beside them, and takes sessionPeer.
func sessionOf(c *remoting.Conn) *session {
	if ss, ok := c.State.(*session); ok {
		return ss
	}
	ss := &session{peer: sessionPeer(c)}
	c.State = ss
	return ss
}

// sessionPeer is the address of a connection's other end as records have it: that of a load balancer, if there is one, as in Apache.
func sessionPeer(c *remoting.Conn) netip.AddrPort {
	a, ok := c.SocketAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// port is one of the two ports of a broker.
type port struct {
	b    *Broker
	fast bool
}

// Serve finds the request's row and lets it answer.
func (p port) Serve(r *remoting.Request) {
	b := p.b
	h := b.table[r.Code]
	switch {
	case h == nil || h.notFast && p.fast:
		r.Conn.Reply(r, &remoting.Answer{Code: protocol.CodeRequestCodeNotSupported, Remark: fmt.Sprintf(" request type %d not supported", r.Code)})
	case h.hot != nil:
		h.hot(b, sessionOf(r.Conn), r)
	case h.slow:
		b.serveBeside(h, b.slow, r.Detach())
	case h.asks, h.static && b.isStatic(r):
		b.serveBeside(h, b.asking, r.Detach())
	case !h.quick && r.Elsewhere():
	default:
		remoting.Respond(r, func(r *remoting.Request) (*remoting.Answer, error) { return h.do(b, r) })
	}
}

// Flush stores what the requests of one read have sent.
func (p port) Flush(c *remoting.Conn) {
	ss, ok := c.State.(*session)
	if !ok {
		return
	}
	if ss.sends != nil {
		ss.put(p.b)
	}
	if ss.ends != nil {
		ss.putEnds(p.b)
	}
}

// Settle writes it.
func (p port) Settle() { p.b.store.Settle() }

// Closed lets go of the clients behind a connection, and of what they wait for.
func (p port) Closed(c *remoting.Conn) {
	if ss, ok := c.State.(*session); ok {
		p.b.holds.drop(&ss.held)
	}
	p.b.clients.closed(c)
}
