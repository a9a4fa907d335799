package client

import (
	"context"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// CreateTopic makes or changes a topic on the broker at addr, UPDATE_AND_CREATE_TOPIC. Attributes is "+key=value,-key".
func (p *Pool) CreateTopic(ctx context.Context, addr string, c *protocol.TopicConfig, attributes string) error {
	return p.do(ctx, addr, "topic "+c.TopicName, &remoting.Call{Code: protocol.ReqUpdateAndCreateTopic, Header: &protocol.CreateTopicHeader{
		Topic: c.TopicName, DefaultTopic: protocol.TopicAutoCreate, ReadQueueNums: c.ReadQueueNums, WriteQueueNums: c.WriteQueueNums, Perm: c.Perm,
		TopicFilterType: c.TopicFilterType, TopicSysFlag: c.TopicSysFlag, Order: c.Order, Attributes: attributes}})
}

// CreateTopics makes or changes topics on the broker at addr, UPDATE_AND_CREATE_TOPIC_LIST. The keys of attributes begin with + or -.
func (p *Pool) CreateTopics(ctx context.Context, addr string, topics []*protocol.TopicConfig) error {
	return p.tell(ctx, addr, "", &remoting.Call{Code: protocol.ReqUpdateAndCreateTopicList}, &protocol.CreateTopicListBody{TopicConfigList: topics})
}

// CreateStaticTopic makes or changes what the broker at addr has of a static topic, UPDATE_AND_CREATE_STATIC_TOPIC. With force a newer mapping is
// overwritten.
func (p *Pool) CreateStaticTopic(ctx context.Context, addr string, c *protocol.TopicConfigAndMapping, force bool) error {
	return p.tell(ctx, addr, "topic "+c.TopicName, &remoting.Call{Code: protocol.ReqUpdateAndCreateStaticTopic, Header: &protocol.CreateTopicHeader{
		Topic: c.TopicName, DefaultTopic: protocol.TopicAutoCreate, ReadQueueNums: c.ReadQueueNums, WriteQueueNums: c.WriteQueueNums, Perm: c.Perm,
		TopicFilterType: c.TopicFilterType, TopicSysFlag: c.TopicSysFlag, Order: c.Order, Force: force}}, c.MappingDetail)
}

// DeleteTopic removes a topic from the broker at addr, DELETE_TOPIC_IN_BROKER.
func (p *Pool) DeleteTopic(ctx context.Context, addr, topic string) error {
	return p.do(ctx, addr, "topic "+topic, &remoting.Call{Code: protocol.ReqDeleteTopicInBroker, Header: &protocol.TopicHeader{Topic: topic}})
}

// TopicConfigs returns all topics of the broker at addr, GET_ALL_TOPIC_CONFIG.
func (p *Pool) TopicConfigs(ctx context.Context, addr string) (*protocol.TopicConfigsAndMappings, error) {
	return fetch[protocol.TopicConfigsAndMappings](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqGetAllTopicConfig})
}

// TopicConfig returns a topic of the broker at addr, with its mapping when it is static, GET_TOPIC_CONFIG.
func (p *Pool) TopicConfig(ctx context.Context, addr, topic string) (*protocol.TopicConfigAndMapping, error) {
	return fetch[protocol.TopicConfigAndMapping](ctx, p, addr, "topic "+topic, &remoting.Call{Code: protocol.ReqGetTopicConfig,
		Header: &protocol.GetTopicConfigHeader{Topic: topic, Lo: true}})
}

// TopicStats returns the offsets of a topic's queues on the broker at addr, GET_TOPIC_STATS_INFO.
func (p *Pool) TopicStats(ctx context.Context, addr, topic string) (*protocol.TopicStats, error) {
	return fetch[protocol.TopicStats](ctx, p, addr, "topic "+topic, &remoting.Call{Code: protocol.ReqGetTopicStatsInfo, Header: &protocol.TopicHeader{Topic: topic}})
}

// TopicGroups returns the groups that consume a topic or have an offset in it, QUERY_TOPIC_CONSUME_BY_WHO.
func (p *Pool) TopicGroups(ctx context.Context, addr, topic string) ([]string, error) {
	l, err := fetch[protocol.GroupList](ctx, p, addr, "topic "+topic, &remoting.Call{Code: protocol.ReqQueryTopicConsumeByWho, Header: &protocol.TopicHeader{Topic: topic}})
	if err != nil {
		return nil, err
	}
	return l.GroupList, nil
}

// SystemTopics returns the topics that the broker at addr has for itself, GET_SYSTEM_TOPIC_LIST_FROM_BROKER.
func (p *Pool) SystemTopics(ctx context.Context, addr string) ([]string, error) {
	l, err := fetch[protocol.TopicList](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqGetSystemTopicListFromBroker})
	if err != nil {
		return nil, err
	}
	return l.TopicList, nil
}
