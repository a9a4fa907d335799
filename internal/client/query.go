package client

import (
	"context"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// ViewMessage reads the message at a log offset, as an offset id names it, VIEW_MESSAGE_BY_ID.
func (p *Pool) ViewMessage(ctx context.Context, addr, topic string, logOffset int64) (*message.Message, error) {
	r, err := p.ask(ctx, addr, "topic "+topic, &remoting.Call{Code: protocol.ReqViewMessageByID,
		Header: &protocol.ViewMessageHeader{Topic: topic, Offset: logOffset}})
	if err != nil {
		return nil, err
	}
	m := &message.Message{}
	if err := message.Decode(r.Body, m); err != nil {
		return nil, about("topic "+topic, err)
	}
	return m, nil
}

// A Query looks for messages by key.
type Query struct {
	Topic      string
	Key        string
	Unique     bool   // Key is the unique key that its producer gave the message
	Kind       string // of the key, in the index: K for keys, the standard, T for tags
	LastKey    string // where an earlier query ended, of stores that can go on there
	Max        int32
	Begin, End time.Time // of storing
}

// QueryMessages returns the messages with a key, QUERY_MESSAGE; none is no error.
func (p *Pool) QueryMessages(ctx context.Context, addr string, q *Query) ([]message.Message, error) {
	h := &protocol.QueryMessageHeader{Topic: q.Topic, Key: q.Key, MaxNum: q.Max, UniqueKeyQuery: q.Unique, IndexType: q.Kind, LastKey: q.LastKey,
		BeginTimestamp: q.Begin.UnixMilli(), EndTimestamp: q.End.UnixMilli()}
	r, err := p.Call(ctx, addr, &remoting.Call{Code: protocol.ReqQueryMessage, Header: h})
	if err != nil {
		return nil, about("topic "+q.Topic, err)
	}
	switch r.Code {
	case protocol.CodeSuccess:
	case protocol.CodeQueryNotFound:
		return nil, nil
	default:
		return nil, about("topic "+q.Topic, refusal(protocol.ReqQueryMessage, addr, r))
	}
	found, err := decodeMessages(r.Body)
	if err != nil {
		return nil, about("topic "+q.Topic, err)
	}
	return found, nil
}

// ConsumeQueue returns entries of a queue's index, and of what a group, when it is not nil, filters by, QUERY_CONSUME_QUEUE.
func (p *Pool) ConsumeQueue(ctx context.Context, addr string, h *protocol.QueryConsumeQueueHeader) (*protocol.ConsumeQueueBody, error) {
	return fetch[protocol.ConsumeQueueBody](ctx, p, addr, "topic "+h.Topic, &remoting.Call{Code: protocol.ReqQueryConsumeQueue, Header: h})
}

// decodeMessages reads records that lie one behind the other.
func decodeMessages(records []byte) ([]message.Message, error) {
	var all []message.Message
	for len(records) > 0 {
		var m message.Message
		if err := message.Decode(records, &m); err != nil {
			return nil, err
		}
		all = append(all, m)
		records = records[m.Size:]
	}
	return all, nil
}
