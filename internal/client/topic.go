package client

import (
	"context"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// CreateTopic makes or changes a topic on the broker at addr, UPDATE_AND_CREATE_TOPIC. Attributes is "+key=value,-key".
func (p *Pool) CreateTopic(ctx context.Context, addr string, c *protocol.TopicConfig, attributes string) error {
	_, err := p.ask(ctx, addr, "topic "+c.TopicName, &remoting.Call{Code: protocol.ReqUpdateAndCreateTopic, Header: &protocol.CreateTopicHeader{
		Topic: c.TopicName, DefaultTopic: protocol.TopicAutoCreate, ReadQueueNums: c.ReadQueueNums, WriteQueueNums: c.WriteQueueNums, Perm: c.Perm,
		TopicFilterType: c.TopicFilterType, TopicSysFlag: c.TopicSysFlag, Order: c.Order, Attributes: attributes}})
	return err
}
