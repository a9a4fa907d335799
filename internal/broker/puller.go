package broker

import (
	"strings"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// rejectPullConsumerEnable: consumers that pull by themselves are not taken as consumers of their group at their heartbeat, and the
// pulls of who is no consumer of the group are refused. Tools and the like may always pull.

// rejectPuller says why a pull of a consumer that pulls by itself is refused.
func (b *Broker) rejectPuller(group []byte, conn *remoting.Conn) error {
	if mayAlwaysPull(string(group)) || b.clients.isPushed(group, conn) {
		return nil
	}
	return protocol.Errorf(protocol.CodeSubscriptionNotExist, "the consumer's group info not exist, or the pull consumer is rejected by server. (group %s, rejectPullConsumerEnable=true)", group)
}

// isPushed says whether who is at conn pulls for a push consumer of the group. Where the group is one of push consumers, each of its
// pulls is, as in Apache.
func (c *clients) isPushed(group []byte, conn *remoting.Conn) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	g := c.consumers[string(group)]
	return g != nil && (g.consumeType != protocol.ConsumeActively || g.members[conn] != nil)
}

// mayAlwaysPull says whether a group is one of RocketMQ's own.
func mayAlwaysPull(group string) bool {
	switch group {
	case "DEFAULT_CONSUMER", toolsGroup, scheduleGroup, "FILTERSRV_CONSUMER", "__MONITOR_CONSUMER", "SELF_TEST_C_GROUP",
		"CID_ONS-HTTP-PROXY", "CID_ONSAPI_PERMISSION", "CID_ONSAPI_OWNER", "CID_ONSAPI_PULL":
		return true
	}
	return strings.HasPrefix(group, sysGroups)
}
