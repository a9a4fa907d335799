package client

import (
	"context"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// A Pull asks for the next messages of a queue.
type Pull struct {
	Group      string
	Topic      string
	QueueID    int32
	Offset     int64
	Max        int32
	Expression string        // of tags, "a || b"; empty for all
	Suspend    time.Duration // how long the broker shall wait for a message; 0: not at all
}

// Pulled is what a Pull brought. Messages may be empty while Next is further on: others were filtered away.
type Pulled struct {
	Code           int               // SUCCESS, or why there are none: PULL_NOT_FOUND, PULL_RETRY_IMMEDIATELY, PULL_OFFSET_MOVED
	Messages       []message.Message // their bytes are their own
	Next, Min, Max int64             // offsets; go on at Next
}

// Bits of a pull's sysFlag. Part of the wire format; do not change.
const (
	pullSuspend      = 1 << 1
	pullSubscription = 1 << 2
)

type pullHeader struct {
	ConsumerGroup  string `field:"consumerGroup"`
	Topic          string `field:"topic"`
	QueueID        int32  `field:"queueId"`
	QueueOffset    int64  `field:"queueOffset"`
	MaxMsgNums     int32  `field:"maxMsgNums"`
	SysFlag        int32  `field:"sysFlag"`
	CommitOffset   int64  `field:"commitOffset"`
	SuspendMS      int64  `field:"suspendTimeoutMillis"`
	SubVersion     int64  `field:"subVersion"`
	Subscription   string `field:"subscription"`
	ExpressionType string `field:"expressionType"`
}

type pullResponseHeader struct {
	NextBeginOffset int64 `field:"nextBeginOffset,required"`
	MinOffset       int64 `field:"minOffset,required"`
	MaxOffset       int64 `field:"maxOffset,required"`
}

// Pull reads from a queue of the broker at addr, PULL_MESSAGE. ctx must allow for Suspend.
func (p *Pool) Pull(ctx context.Context, addr string, pull *Pull) (*Pulled, error) {
	h := pullHeader{ConsumerGroup: pull.Group, Topic: pull.Topic, QueueID: pull.QueueID, QueueOffset: pull.Offset, MaxMsgNums: pull.Max,
		SysFlag: pullSubscription, Subscription: pull.Expression, ExpressionType: protocol.ExpressionTag}
	if h.Subscription == "" {
		h.Subscription = protocol.SubscribeAll
	}
	if pull.Suspend > 0 {
		h.SysFlag |= pullSuspend
		h.SuspendMS = pull.Suspend.Milliseconds()
	}
	r, err := p.Call(ctx, addr, &remoting.Call{Code: protocol.ReqPullMessage, Header: &h})
	if err != nil {
		return nil, about("topic "+pull.Topic, err)
	}
	switch r.Code {
	case protocol.CodeSuccess, protocol.CodePullNotFound, protocol.CodePullRetryImmediately, protocol.CodePullOffsetMoved:
	default:
		return nil, about("topic "+pull.Topic, refusal(protocol.ReqPullMessage, addr, r))
	}
	var answer pullResponseHeader
	if err := r.DecodeFields(&answer); err != nil {
		return nil, about("topic "+pull.Topic, err)
	}
	pulled := &Pulled{Code: int(r.Code), Next: answer.NextBeginOffset, Min: answer.MinOffset, Max: answer.MaxOffset}
	if r.Code != protocol.CodeSuccess {
		return pulled, nil
	}
	if pulled.Messages, err = decodeMessages(r.Body); err != nil {
		return nil, about("topic "+pull.Topic, err)
	}
	return pulled, nil
}
