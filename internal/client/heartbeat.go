package client

import (
	"context"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// Heartbeat tells the broker at addr which groups a client is in, HEART_BEAT.
func (p *Pool) Heartbeat(ctx context.Context, addr string, h *protocol.HeartbeatData) error {
	return p.tell(ctx, addr, "", &remoting.Call{Code: protocol.ReqHeartBeat}, h)
}

// LeaveGroup takes a client out of a consumer group, UNREGISTER_CLIENT.
func (p *Pool) LeaveGroup(ctx context.Context, addr, clientID, group string) error {
	return p.do(ctx, addr, "group "+group, &remoting.Call{Code: protocol.ReqUnregisterClient,
		Header: &protocol.UnregisterClientHeader{ClientID: clientID, ConsumerGroup: &group}})
}

// Consumers returns the ids of a group's consumers, GET_CONSUMER_LIST_BY_GROUP.
func (p *Pool) Consumers(ctx context.Context, addr, group string) ([]string, error) {
	list, err := fetch[protocol.ConsumerList](ctx, p, addr, "group "+group, &remoting.Call{Code: protocol.ReqGetConsumerListByGroup,
		Header: &protocol.ConsumerGroupHeader{ConsumerGroup: group}})
	if err != nil {
		return nil, err
	}
	return list.ConsumerIDList, nil
}
