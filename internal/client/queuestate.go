package client

import (
	"context"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// QueueState asks a broker of Liftoff what a group does with the message at an offset of a queue, LIFTOFF_QUEUE_STATE. RocketMQ's refuses with
// REQUEST_CODE_NOT_SUPPORTED.
func (p *Pool) QueueState(ctx context.Context, addr string, h *protocol.QueueStateHeader) (*protocol.QueueState, error) {
	return fetch[protocol.QueueState](ctx, p, addr, "group "+h.ConsumerGroup, &remoting.Call{Code: protocol.ReqLiftoffQueueState, Header: h})
}
