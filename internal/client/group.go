package client

import (
	"context"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// CreateGroup makes or changes a subscription group on the broker at addr, UPDATE_AND_CREATE_SUBSCRIPTIONGROUP.
func (p *Pool) CreateGroup(ctx context.Context, addr string, g *protocol.SubscriptionGroupConfig) error {
	return p.tell(ctx, addr, "group "+g.GroupName, &remoting.Call{Code: protocol.ReqUpdateAndCreateSubscriptionGroup}, g)
}

// CreateGroups does so with many, UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST.
func (p *Pool) CreateGroups(ctx context.Context, addr string, groups []*protocol.SubscriptionGroupConfig) error {
	return p.tell(ctx, addr, "", &remoting.Call{Code: protocol.ReqUpdateAndCreateSubscriptionGroupList}, &protocol.SubscriptionGroupList{GroupConfigList: groups})
}

// DeleteGroup removes a subscription group from the broker at addr, and its offsets too when asked to, DELETE_SUBSCRIPTIONGROUP.
func (p *Pool) DeleteGroup(ctx context.Context, addr, group string, offsets bool) error {
	return p.do(ctx, addr, "group "+group, &remoting.Call{Code: protocol.ReqDeleteSubscriptionGroup,
		Header: &protocol.DeleteSubscriptionGroupHeader{GroupName: group, CleanOffset: offsets}})
}

// Groups returns all subscription groups of the broker at addr, GET_ALL_SUBSCRIPTIONGROUP_CONFIG.
func (p *Pool) Groups(ctx context.Context, addr string) (*protocol.SubscriptionGroups, error) {
	return fetch[protocol.SubscriptionGroups](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqGetAllSubscriptionGroupConfig})
}

// SetRequestMode says whether a group pulls or pops a topic, SET_MESSAGE_REQUEST_MODE.
func (p *Pool) SetRequestMode(ctx context.Context, addr string, m *protocol.RequestMode) error {
	return p.tell(ctx, addr, "group "+m.ConsumerGroup, &remoting.Call{Code: protocol.ReqSetMessageRequestMode}, m)
}

// ConsumerConnections returns the clients of a group that are connected to the broker at addr, GET_CONSUMER_CONNECTION_LIST. When there are
// none it is an error with CONSUMER_NOT_ONLINE.
func (p *Pool) ConsumerConnections(ctx context.Context, addr, group string) (*protocol.ConsumerConnection, error) {
	return fetch[protocol.ConsumerConnection](ctx, p, addr, "group "+group, &remoting.Call{Code: protocol.ReqGetConsumerConnectionList,
		Header: &protocol.ConsumerGroupHeader{ConsumerGroup: group}})
}

// ConsumeStats returns how far a group is on the broker at addr, in one topic or, when topic is empty, in all that it subscribes to,
// GET_CONSUME_STATS.
func (p *Pool) ConsumeStats(ctx context.Context, addr, group, topic string) (*protocol.ConsumeStats, error) {
	return fetch[protocol.ConsumeStats](ctx, p, addr, "group "+group, &remoting.Call{Code: protocol.ReqGetConsumeStats,
		Header: &protocol.GetConsumeStatsHeader{ConsumerGroup: group, Topic: topic}})
}
