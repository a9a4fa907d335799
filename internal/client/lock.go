package client

import (
	"context"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// LockQueues locks queues for a client of a group and returns those that it has now, LOCK_BATCH_MQ.
func (p *Pool) LockQueues(ctx context.Context, addr string, b *protocol.LockBatchBody) ([]protocol.MessageQueue, error) {
	r, err := p.lock(ctx, addr, protocol.ReqLockBatchMQ, b)
	if err != nil {
		return nil, err
	}
	got, err := decode[protocol.LockBatchResponse](r, protocol.ReqLockBatchMQ)
	if err != nil {
		return nil, about("group "+b.ConsumerGroup, err)
	}
	return got.LockOKMQSet, nil
}

// UnlockQueues gives queues back, UNLOCK_BATCH_MQ.
func (p *Pool) UnlockQueues(ctx context.Context, addr string, b *protocol.LockBatchBody) error {
	_, err := p.lock(ctx, addr, protocol.ReqUnlockBatchMQ, b)
	return err
}

func (p *Pool) lock(ctx context.Context, addr string, code int, b *protocol.LockBatchBody) (*remoting.Response, error) {
	body, err := fastjson.Marshal(b)
	if err != nil {
		return nil, err
	}
	return p.ask(ctx, addr, "group "+b.ConsumerGroup, &remoting.Call{Code: code, Body: body})
}
