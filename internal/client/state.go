package client

import (
	"context"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// AllConsumerOffsets returns how far all groups are on the broker at addr, GET_ALL_CONSUMER_OFFSET: offsets by queue, by "topic@group".
func (p *Pool) AllConsumerOffsets(ctx context.Context, addr string) (map[string]map[int32]int64, error) {
	t, err := fetch[struct {
		OffsetTable map[string]map[int32]int64 `json:"offsetTable"`
	}](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqGetAllConsumerOffset})
	if err != nil {
		return nil, err
	}
	return t.OffsetTable, nil
}

// DelayOffsets returns how far each delay level is delivered on the broker at addr, GET_ALL_DELAY_OFFSET.
func (p *Pool) DelayOffsets(ctx context.Context, addr string) (map[int32]int64, error) {
	t, err := fetch[struct {
		OffsetTable map[int32]int64 `json:"offsetTable"`
	}](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqGetAllDelayOffset})
	if err != nil {
		return nil, err
	}
	return t.OffsetTable, nil
}

// RequestModes returns which groups pull or pop which topics on the broker at addr, GET_ALL_MESSAGE_REQUEST_MODE: by topic and group.
func (p *Pool) RequestModes(ctx context.Context, addr string) (map[string]map[string]protocol.RequestMode, error) {
	t, err := fetch[struct {
		Modes map[string]map[string]protocol.RequestMode `json:"messageRequestModeMap"`
	}](ctx, p, addr, "", &remoting.Call{Code: protocol.ReqGetAllMessageRequestMode})
	if err != nil {
		return nil, err
	}
	return t.Modes, nil
}

// ForbidGroup says whether a group may read a topic on the broker at addr, UPDATE_AND_GET_GROUP_FORBIDDEN.
func (p *Pool) ForbidGroup(ctx context.Context, addr, group, topic string, readable bool) error {
	return p.do(ctx, addr, "group "+group, &remoting.Call{Code: protocol.ReqUpdateAndGetGroupForbidden,
		Header: &protocol.UpdateGroupForbiddenHeader{Group: group, Topic: topic, Readable: &readable}})
}
