package client

import (
	"context"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// Outgoing is a message to be sent.
type Outgoing struct {
	Group         string // the producer's
	Topic         string
	QueueID       int32
	BornTimestamp int64             // Unix ms
	Properties    map[string]string // a client should give its message a message.PropUniqKey
	Body          []byte
	SysFlag, Flag int32 // whether the body is compressed or the message a half one; the application's own

	// What the broker makes of an unknown topic: a topic like DefaultTopic with so many queues.
	DefaultTopic       string
	DefaultTopicQueues int32
}

// Sent is where a message has got to.
type Sent struct {
	Code        int // SUCCESS; or that it is stored and not yet flushed or copied in time
	MsgID       string
	QueueID     int32
	QueueOffset int64
}

// sendHeader is SEND_MESSAGE_V2 310.
type sendHeader struct {
	ProducerGroup      string `field:"a"`
	Topic              string `field:"b"`
	DefaultTopic       string `field:"c"`
	DefaultTopicQueues int32  `field:"d"`
	QueueID            int32  `field:"e"`
	SysFlag            int32  `field:"f"`
	BornTimestamp      int64  `field:"g"`
	Flag               int32  `field:"h"`
	Properties         string `field:"i"`
	ReconsumeTimes     int32  `field:"j"`
	UnitMode           bool   `field:"k"`
	Batch              bool   `field:"m"`
}

type sendResponseHeader struct {
	MsgID       string `field:"msgId,required"`
	QueueID     int32  `field:"queueId,required"`
	QueueOffset int64  `field:"queueOffset,required"`
}

// Send stores a message at the end of a queue of the broker at addr, SEND_MESSAGE_V2.
func (p *Pool) Send(ctx context.Context, addr string, m *Outgoing) (*Sent, error) {
	r, err := p.Call(ctx, addr, &remoting.Call{Code: protocol.ReqSendMessageV2, Body: m.Body, Header: &sendHeader{
		ProducerGroup: m.Group, Topic: m.Topic, DefaultTopic: m.DefaultTopic, DefaultTopicQueues: m.DefaultTopicQueues,
		QueueID: m.QueueID, SysFlag: m.SysFlag, Flag: m.Flag, BornTimestamp: m.BornTimestamp, Properties: string(message.AppendProperties(nil, m.Properties)),
	}})
	if err != nil {
		return nil, about("topic "+m.Topic, err)
	}
	switch r.Code {
	case protocol.CodeSuccess, protocol.CodeFlushDiskTimeout, protocol.CodeFlushSlaveTimeout, protocol.CodeSlaveNotAvailable:
	default:
		return nil, about("topic "+m.Topic, refusal(protocol.ReqSendMessageV2, addr, r))
	}
	var h sendResponseHeader
	if err := r.DecodeFields(&h); err != nil {
		return nil, about("topic "+m.Topic, err)
	}
	return &Sent{Code: int(r.Code), MsgID: h.MsgID, QueueID: h.QueueID, QueueOffset: h.QueueOffset}, nil
}
