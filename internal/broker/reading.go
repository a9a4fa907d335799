package broker

import (
	"bytes"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// What is checked of each request that reads messages for a group: pulls, pops and their like. They check it in different orders, as
// Apache does, so each check stands alone. doing is the request's word in the remark.

// checkRead refuses requests to a broker that must not be read.
func (s *settings) checkRead(doing string) error {
	if s.Permission&permRead == 0 {
		return protocol.Errorf(protocol.CodeNoPermission, "the broker[%s] %s message is forbidden (brokerPermission=%d)", s.BrokerIP1, doing, s.Permission)
	}
	return nil
}

// consumingGroup finds a group, and makes it when that is allowed.
func (b *Broker) consumingGroup(cfg *settings, name []byte) (*group, error) {
	g := b.groups.get(name)
	if g == nil {
		return nil, protocol.Errorf(protocol.CodeSubscriptionGroupNotExist, "subscription group [%s] does not exist, %s", shown(string(name)), whyNoGroup(cfg, string(name)))
	}
	if !g.ConsumeEnable {
		return nil, protocol.Errorf(protocol.CodeNoPermission, "subscription group no permission, %s (consumeEnable=false)", name)
	}
	return g, nil
}

// isGroup says whether a group is there. The broker's own always are.
func (b *Broker) isGroup(name []byte) bool {
	return b.groups.findBytes(name) != nil || bytes.HasPrefix(name, []byte(sysGroups))
}

// existingTopic finds a topic.
func (b *Broker) existingTopic(name []byte) (*topic, error) {
	t := b.topics.get(name)
	if t == nil {
		return nil, protocol.Errorf(protocol.CodeTopicNotExist, "topic[%s] not exist, apply first please!", shown(string(name)))
	}
	return t, nil
}

// readableTopic finds a topic that may be read.
func (b *Broker) readableTopic(name []byte, doing string) (*topic, error) {
	t, err := b.existingTopic(name)
	if err == nil && t.Perm&permRead == 0 {
		err = protocol.Errorf(protocol.CodeNoPermission, "the topic[%s] %s message is forbidden (perm=%d)", name, doing, t.Perm)
	}
	return t, err
}

// illegalQueue refuses a queue that a topic does not have for readers.
func illegalQueue(code int, t *topic, name []byte, id int32, conn *remoting.Conn) error {
	return protocol.Errorf(code, "queueId[%d] is illegal, topic:[%s] topicConfig.readQueueNums:[%d] consumer:[%s]", id, name, t.ReadQueueNums, conn.SocketAddr())
}
