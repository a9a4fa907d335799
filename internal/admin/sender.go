package admin

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// newTopicQueues is how many queues a topic gets that does not exist yet, as with RocketMQ's clients.
const newTopicQueues = 4

// sender sends messages to the queues of a topic in turn.
type sender struct {
	a      *Admin
	topic  string
	group  string
	queues []queueAt
	ids    *message.UniqKeys
	count  int
}

// newSender finds where a topic is. One that does not exist yet is made by the brokers that make topics on their first message.
func (a *Admin) newSender(ctx context.Context, topic, group string) (*sender, error) {
	queues, err := a.queues(ctx, topic, "", protocol.PermWrite)
	if refused(err, protocol.CodeTopicNotExist) {
		some, otherwise := a.queues(ctx, topic, protocol.TopicAutoCreate, protocol.PermWrite)
		if otherwise != nil {
			return nil, err
		}
		err = nil
		for _, q := range some {
			if q.QueueID < newTopicQueues {
				queues = append(queues, q)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if len(queues) == 0 {
		return nil, fmt.Errorf("topic %s: no broker takes messages for it at present", topic)
	}
	ids := message.NewUniqKeys(netip.IPv4Unspecified(), uint16(os.Getpid()), uint32(time.Now().UnixNano()))
	return &sender{a: a, topic: topic, group: group, queues: queues, ids: ids}, nil
}

// only restricts the sender to one queue.
func (s *sender) only(broker string, queue int32) error {
	for _, q := range s.queues {
		if q.BrokerName == broker && q.QueueID == queue {
			s.queues = []queueAt{q}
			return nil
		}
	}
	return fmt.Errorf("topic %s has no queue %d at broker %s that takes messages", s.topic, queue, broker)
}

// sent is where a message has got to.
type sent struct {
	Status      string `json:"sendStatus"`
	MsgID       string `json:"msgId"`
	OffsetMsgID string `json:"offsetMsgId"`
	BrokerName  string `json:"brokerName"`
	QueueID     int32  `json:"queueId"`
	QueueOffset int64  `json:"queueOffset"`
	topic       string
}

// String prints it as Java prints a SendResult.
func (s *sent) String() string {
	return fmt.Sprintf("SendResult [sendStatus=%s, msgId=%s, offsetMsgId=%s, messageQueue=%s, queueOffset=%d, recallHandle=null]", s.Status, s.MsgID, s.OffsetMsgID,
		javaQueue(protocol.MessageQueue{Topic: s.topic, BrokerName: s.BrokerName, QueueID: s.QueueID}), s.QueueOffset)
}

// next is the queue that the next message goes to.
func (s *sender) next() queueAt { return s.queues[s.count%len(s.queues)] }

// send sends a message. Without a unique key in its properties it gets one.
func (s *sender) send(ctx context.Context, body []byte, properties map[string]string) (*sent, error) {
	q := s.next()
	s.count++
	now := time.Now()
	all := map[string]string{message.PropUniqKey: string(s.ids.Append(nil, now)), message.PropWait: "true"}
	for name, value := range properties {
		all[name] = value
	}
	r, err := s.a.pool.Send(ctx, q.addr, &client.Outgoing{Group: s.group, Topic: s.topic, QueueID: q.QueueID, BornTimestamp: now.UnixMilli(),
		Properties: all, Body: body, DefaultTopic: protocol.TopicAutoCreate, DefaultTopicQueues: newTopicQueues})
	if err != nil {
		return nil, err
	}
	offsetID, _, _ := strings.Cut(r.MsgID, ",")
	return &sent{Status: sendStatus(r.Code), MsgID: all[message.PropUniqKey], OffsetMsgID: offsetID, BrokerName: q.BrokerName, QueueID: r.QueueID,
		QueueOffset: r.QueueOffset, topic: s.topic}, nil
}

// sendStatus names what a broker answers to a send.
func sendStatus(code int) string {
	switch code {
	case protocol.CodeFlushDiskTimeout:
		return "FLUSH_DISK_TIMEOUT"
	case protocol.CodeFlushSlaveTimeout:
		return "FLUSH_SLAVE_TIMEOUT"
	case protocol.CodeSlaveNotAvailable:
		return "SLAVE_NOT_AVAILABLE"
	}
	return "SEND_OK"
}
