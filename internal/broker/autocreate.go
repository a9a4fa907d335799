package broker

import (
	"fmt"
	"strings"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// Topics that no admin makes: those of sends, after a default topic, and those that the broker needs for its groups.

// createForSend makes the topic of a send after a default topic, or says why not. from is who sends.
func (t *topics) createForSend(name, defaultTopic string, queues int32, unitMode bool, from string) (*topic, error) {
	if err := checkTopicName(name); err != nil {
		return nil, err
	}
	if isNotAllowedSend(name) {
		return nil, protocol.Errorf(protocol.CodeNoPermission, "Sending message to topic[%s] is forbidden.", name)
	}
	isRetry := strings.HasPrefix(name, retryPrefix)
	made, created, err := t.ensure(name, func() (protocol.TopicConfig, error) {
		c := protocol.NewTopicConfig(name)
		if unitMode && isRetry {
			c.TopicSysFlag = protocol.TopicFlagUnitSub
		} else if unitMode {
			c.TopicSysFlag = protocol.TopicFlagUnit
		}
		d, why := t.inheritable(defaultTopic)
		switch {
		case d != nil:
			n := max(min(queues, d.WriteQueueNums), 0)
			c.ReadQueueNums, c.WriteQueueNums = n, n
			c.Perm = d.Perm &^ permInherit
			c.TopicFilterType = d.TopicFilterType
		case isRetry:
			c.ReadQueueNums, c.WriteQueueNums = 1, 1
		default:
			return c, protocol.Errorf(protocol.CodeTopicNotExist, "topic[%s] not exist, apply first please! (%s)", name, why)
		}
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	if created {
		t.log.Info("topic created by a send", "topic", name, "after", shown(defaultTopic), "queues", made.WriteQueueNums, "perm", made.Perm, "addr", from)
		t.tell(&made.TopicConfig)
	}
	return made, nil
}

// inheritable returns the topic that others may be made after, or says why there is none.
func (t *topics) inheritable(name string) (*topic, string) {
	d := t.find(name)
	switch {
	case name == topicAutoCreate && !t.settings.Load().AutoCreateTopic:
		return nil, "autoCreateTopicEnable=false"
	case d == nil:
		return nil, fmt.Sprintf("its default topic %q does not exist either", shown(name))
	case d.Perm&permInherit == 0:
		return nil, fmt.Sprintf("no topic can be made after its default topic %q, perm=%d", name, d.Perm)
	}
	return d, ""
}

// allowAutoCreate makes the topic that others are made after when a message is sent to them, where a broker that was started with
// autoCreateTopicEnable=false has none, and lets others be made after it again where Apache's broker took that away.
func (t *topics) allowAutoCreate() error {
	c := t.settings.Load().autoCreateTopic()
	if err := t.lockToMake(c.TopicName); err != nil {
		return err
	}
	if old := t.find(topicAutoCreate); old != nil {
		c = old.TopicConfig
		if c.Perm&permInherit != 0 {
			t.changeMu.Unlock()
			return nil
		}
		c.Perm |= permInherit
	}
	put, added, err := t.putLocked(c)
	t.changeMu.Unlock()
	if err == nil && t.settings.Load().syncFlush {
		err = t.file.sync(added)
	}
	if err != nil {
		return err
	}
	t.log.Info("topics can be created by sends", "after", topicAutoCreate, "queues", c.WriteQueueNums, "perm", c.Perm)
	t.tell(&put.TopicConfig)
	return nil
}

// autoCreateTopic is the topic that is made by autoCreateTopicEnable.
func (s *settings) autoCreateTopic() protocol.TopicConfig {
	c := protocol.NewTopicConfig(topicAutoCreate)
	c.ReadQueueNums, c.WriteQueueNums = int32(s.DefaultTopicQueues), int32(s.DefaultTopicQueues)
	c.Perm = permInherit | permRead | permWrite
	return c
}

// createRetry makes sure that a topic of the broker's own making is there: a group's retry topic, at its heartbeat. order follows
// what the group subscribes to.
func (t *topics) createRetry(name string, queues int32, order bool, sysFlag int32) (*topic, error) {
	if old := t.find(name); old != nil {
		if old.Order == order {
			return old, nil
		}
		return old, t.setOrder(order, name)
	}
	made, created, err := t.ensure(name, func() (protocol.TopicConfig, error) {
		c := protocol.NewTopicConfig(name)
		c.ReadQueueNums, c.WriteQueueNums, c.Order, c.TopicSysFlag = queues, queues, order, sysFlag
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	if created {
		t.log.Info("topic created for a group", "topic", name, "queues", queues)
		t.tell(&made.TopicConfig)
	}
	return made, nil
}

// ensure returns a topic, made when it is not there. It waits for the disk with SYNC_FLUSH only, and for a deletion of it.
func (t *topics) ensure(name string, config func() (protocol.TopicConfig, error)) (made *topic, created bool, err error) {
	if err := t.lockToMake(name); err != nil {
		return nil, false, err
	}
	if old := t.find(name); old != nil {
		t.changeMu.Unlock()
		return old, false, nil
	}
	c, err := config()
	var added int64
	if err == nil {
		made, added, err = t.putLocked(c)
	}
	t.changeMu.Unlock()
	if err == nil && t.settings.Load().syncFlush {
		err = t.file.sync(added)
	}
	return made, true, err
}
