package client

import (
	"context"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// ProducerConnections returns the clients of a producer group that are connected to the broker at addr, GET_PRODUCER_CONNECTION_LIST. When there
// are none it is an error.
func (p *Pool) ProducerConnections(ctx context.Context, addr, group string) (*protocol.ProducerConnection, error) {
	return fetch[protocol.ProducerConnection](ctx, p, addr, "group "+group, &remoting.Call{Code: protocol.ReqGetProducerConnectionList,
		Header: &protocol.ProducerGroupHeader{ProducerGroup: group}})
}

// RunningInfo asks a consumer what it is doing, GET_CONSUMER_RUNNING_INFO; with stacks for the stacks of its threads too.
func (p *Pool) RunningInfo(ctx context.Context, addr, group, clientID string, stacks bool) (*protocol.ConsumerRunningInfo, error) {
	return fetch[protocol.ConsumerRunningInfo](ctx, p, addr, "consumer "+clientID+" of group "+group, &remoting.Call{Code: protocol.ReqGetConsumerRunningInfo,
		Header: &protocol.ConsumerRunningInfoHeader{ConsumerGroup: group, ClientID: clientID, JStackEnable: stacks}})
}

// ConsumeDirectly lets a consumer consume the message with an offset id, whatever was consumed before, CONSUME_MESSAGE_DIRECTLY.
func (p *Pool) ConsumeDirectly(ctx context.Context, addr, group, clientID, topic, offsetID string) (*protocol.ConsumedDirectly, error) {
	return fetch[protocol.ConsumedDirectly](ctx, p, addr, "consumer "+clientID+" of group "+group, &remoting.Call{Code: protocol.ReqConsumeMessageDirectly,
		Header: &protocol.ConsumeMessageDirectlyHeader{ConsumerGroup: group, ClientID: clientID, MsgID: offsetID, Topic: topic}})
}

// BrokerConsumeStats returns how far all groups are on the broker at addr, with ordered only in ordered topics, GET_BROKER_CONSUME_STATS.
func (p *Pool) BrokerConsumeStats(ctx context.Context, addr string, ordered bool) (*protocol.ConsumeStatsList, error) {
	return fetch[protocol.ConsumeStatsList](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqGetBrokerConsumeStats,
		Header: &protocol.GetBrokerConsumeStatsHeader{IsOrder: ordered}})
}
