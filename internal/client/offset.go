package client

import (
	"context"
	"errors"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// QueueOffsets returns the least offset of a queue and the one that its next message will get, GET_MIN_OFFSET and GET_MAX_OFFSET.
func (p *Pool) QueueOffsets(ctx context.Context, addr, topic string, queueID int32) (least, next int64, err error) {
	for _, one := range []struct {
		code int
		to   *int64
	}{{protocol.ReqGetMinOffset, &least}, {protocol.ReqGetMaxOffset, &next}} {
		h, err := answer[protocol.OffsetHeader](ctx, p, addr, "topic "+topic, &remoting.Call{Code: one.code, Header: &protocol.QueueHeader{Topic: topic, QueueID: queueID}})
		if err != nil {
			return 0, 0, err
		}
		*one.to = h.Offset
	}
	return least, next, nil
}

// SearchOffset returns the offset of the first message of a queue that was stored at a time in Unix ms or later,
// SEARCH_OFFSET_BY_TIMESTAMP.
func (p *Pool) SearchOffset(ctx context.Context, addr, topic string, queueID int32, timestamp int64) (int64, error) {
	h, err := answer[protocol.OffsetHeader](ctx, p, addr, "topic "+topic, &remoting.Call{Code: protocol.ReqSearchOffsetByTimestamp,
		Header: &protocol.SearchOffsetHeader{Topic: topic, QueueID: queueID, Timestamp: timestamp}})
	return h.Offset, err
}

// ConsumerOffset returns where a group goes on in a queue, QUERY_CONSUMER_OFFSET; known is false when it has not begun yet.
func (p *Pool) ConsumerOffset(ctx context.Context, addr, group, topic string, queueID int32) (offset int64, known bool, err error) {
	no := false
	h, err := answer[protocol.OffsetHeader](ctx, p, addr, "topic "+topic, &remoting.Call{Code: protocol.ReqQueryConsumerOffset, Header: &protocol.QueryConsumerOffsetHeader{
		ConsumerGroup: group, Topic: topic, QueueID: queueID, SetZeroIfNotFound: &no}})
	var refused *protocol.Error
	if errors.As(err, &refused) && refused.Code == protocol.CodeQueryNotFound {
		return 0, false, nil
	}
	return h.Offset, err == nil, err
}

// CommitOffset says where a group goes on in a queue, UPDATE_CONSUMER_OFFSET.
func (p *Pool) CommitOffset(ctx context.Context, addr, group, topic string, queueID int32, offset int64) error {
	return p.do(ctx, addr, "topic "+topic, &remoting.Call{Code: protocol.ReqUpdateConsumerOffset, Header: &protocol.UpdateConsumerOffsetHeader{
		ConsumerGroup: group, Topic: topic, QueueID: queueID, CommitOffset: offset}})
}

// ResetOffsets makes a group begin somewhere else, INVOKE_BROKER_TO_RESET_OFFSET, and returns where. When the broker leaves it to the
// group's consumers and there are none, it is an error with CONSUMER_NOT_ONLINE.
func (p *Pool) ResetOffsets(ctx context.Context, addr string, h *protocol.ResetOffsetHeader) (protocol.QueueTable[int64], error) {
	r, err := p.ask(ctx, addr, "group "+h.Group, &remoting.Call{Code: protocol.ReqInvokeBrokerToResetOffset, Header: h})
	if err != nil || len(r.Body) == 0 {
		return nil, err
	}
	body, err := decode[protocol.ResetOffsetBody](r, protocol.ReqInvokeBrokerToResetOffset)
	if err != nil {
		return nil, about("group "+h.Group, err)
	}
	return body.OffsetTable, nil
}
