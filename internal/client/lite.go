package client

import (
	"context"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// BrokerLiteInfo returns what lite topics cost the broker at addr, GET_BROKER_LITE_INFO.
func (p *Pool) BrokerLiteInfo(ctx context.Context, addr string) (*protocol.BrokerLiteInfo, error) {
	return fetch[protocol.BrokerLiteInfo](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqGetBrokerLiteInfo})
}

// ParentTopicInfo returns how many lite topics a parent topic has, GET_PARENT_TOPIC_INFO.
func (p *Pool) ParentTopicInfo(ctx context.Context, addr, topic string) (*protocol.ParentTopicInfo, error) {
	return fetch[protocol.ParentTopicInfo](ctx, p, addr, "topic "+topic, &remoting.Call{Code: protocol.ReqGetParentTopicInfo, Header: &protocol.TopicHeader{Topic: topic}})
}

// LiteTopicInfo returns what a lite topic has and who subscribes to it, GET_LITE_TOPIC_INFO.
func (p *Pool) LiteTopicInfo(ctx context.Context, addr string, h *protocol.GetLiteTopicInfoHeader) (*protocol.LiteTopicInfo, error) {
	return fetch[protocol.LiteTopicInfo](ctx, p, addr, "lite topic "+h.LiteTopic+" of "+h.ParentTopic, &remoting.Call{Code: protocol.ReqGetLiteTopicInfo, Header: h})
}

// LiteClientInfo returns which lite topics a client subscribes to, GET_LITE_CLIENT_INFO.
func (p *Pool) LiteClientInfo(ctx context.Context, addr string, h *protocol.GetLiteClientInfoHeader) (*protocol.LiteClientInfo, error) {
	return fetch[protocol.LiteClientInfo](ctx, p, addr, "client "+h.ClientID, &remoting.Call{Code: protocol.ReqGetLiteClientInfo, Header: h})
}

// LiteGroupInfo returns how far a group is behind in lite topics, GET_LITE_GROUP_INFO.
func (p *Pool) LiteGroupInfo(ctx context.Context, addr string, h *protocol.GetLiteGroupInfoHeader) (*protocol.LiteGroupInfo, error) {
	return fetch[protocol.LiteGroupInfo](ctx, p, addr, "group "+h.Group, &remoting.Call{Code: protocol.ReqGetLiteGroupInfo, Header: h})
}

// TriggerLiteDispatch lets a group's clients, or one, look at all their lite topics again, TRIGGER_LITE_DISPATCH.
func (p *Pool) TriggerLiteDispatch(ctx context.Context, addr string, h *protocol.TriggerLiteDispatchHeader) error {
	return p.do(ctx, addr, "group "+h.Group, &remoting.Call{Code: protocol.ReqTriggerLiteDispatch, Header: h})
}
