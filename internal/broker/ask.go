package broker

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// INVOKE_BROKER_TO_GET_CONSUMER_STATUS 223, GET_CONSUMER_RUNNING_INFO 307, CONSUME_MESSAGE_DIRECTLY 309.
//
// Behaviour: the broker asks a consumer, found by its group and client id, over the connection that the consumer's heartbeats come
// over, and hands its answer on as it is. Of 223 it asks all consumers of the group, or the one that is named, at once; who does not
// answer in time is left out.
// Differs from Apache: an unknown group, message id or message is refused with the reason.

const (
	askTimeout    = 10 * time.Second // for a consumer's own answer
	statusTimeout = 5 * time.Second
)

// The versions from which on clients can do something. Part of the wire format; do not change.
const (
	versionReset = 28 // V3_0_7_SNAPSHOT: offsets set and told by the broker's order
	versionAsk   = 62 // V3_1_8_SNAPSHOT: running info, consuming directly
)

func (b *Broker) getConsumerRunningInfo(r *remoting.Request, h *protocol.ConsumerRunningInfoHeader) (*remoting.Answer, error) {
	return b.askConsumer(h.ConsumerGroup, h.ClientID, &remoting.Call{Code: protocol.ReqGetConsumerRunningInfo, Ext: extOf(r)})
}

func (b *Broker) consumeMessageDirectly(r *remoting.Request, h *protocol.ConsumeMessageDirectlyHeader) (*remoting.Answer, error) {
	_, logOffset, err := message.ParseOffsetID(h.MsgID)
	if err != nil {
		return nil, protocol.Errorf(protocol.CodeSystemError, "the message id [%s] is not that of a stored message: %v", shown(h.MsgID), err)
	}
	rec, err := b.store.MessageAt(logOffset)
	if err != nil {
		return nil, protocol.Errorf(protocol.CodeSystemError, "can not find message by the message id [%s]: %v", shown(h.MsgID), err)
	}
	ask := *h
	ask.BrokerName = b.settings.Load().Name
	if t := b.topics.find(h.Topic); t != nil {
		ask.TopicSysFlag = &t.TopicSysFlag
	}
	if g := b.groups.find(h.ConsumerGroup); g != nil {
		ask.GroupSysFlag = &g.GroupSysFlag
	}
	return b.askConsumer(h.ConsumerGroup, h.ClientID, &remoting.Call{Code: protocol.ReqConsumeMessageDirectly, Header: &ask, Body: rec})
}

// extOf gives all fields of a request, to be handed on.
func extOf(r *remoting.Request) [][2]string {
	ext := make([][2]string, 0, len(r.Fields))
	for _, f := range r.Fields {
		ext = append(ext, [2]string{string(f.Key), string(f.Value)})
	}
	return ext
}

// askConsumer asks one consumer and returns its answer, whatever it is.
func (b *Broker) askConsumer(group, clientID string, call *remoting.Call) (*remoting.Answer, error) {
	who, ok := b.clients.consumer(group, clientID)
	switch {
	case !ok:
		return nil, protocol.Errorf(protocol.CodeSystemError, "The Consumer <%s> <%s> not online", shown(group), shown(clientID))
	case who.version < versionAsk:
		return nil, protocol.Errorf(protocol.CodeSystemError, "The Consumer <%s> Version <%d> too low to finish, please upgrade it to V3_1_8_SNAPSHOT (%d)",
			shown(clientID), who.version, versionAsk)
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), askTimeout, errNoAnswer)
	defer cancel()
	answer, err := who.conn.Call(ctx, call)
	switch {
	case errors.Is(err, errNoAnswer):
		return nil, protocol.Errorf(protocol.CodeConsumeMsgTimeout, "consumer <%s> <%s> Timeout: no answer within %s", shown(group), shown(clientID), askTimeout)
	case err != nil:
		return nil, protocol.Errorf(protocol.CodeSystemError, "invoke consumer <%s> <%s> Exception: %v", shown(group), shown(clientID), err)
	}
	a := &remoting.Answer{Code: int(answer.Code), Remark: string(answer.Remark), Body: answer.Body}
	for _, f := range answer.Fields {
		a.Ext = append(a.Ext, [2]string{string(f.Key), string(f.Value)})
	}
	return a, nil
}

var errNoAnswer = errors.New("no answer in time")

func (b *Broker) getConsumerStatus(r *remoting.Request, h *protocol.ConsumerStatusHeader) (*remoting.Answer, error) {
	consumers := b.clients.consumersOf(h.Group)
	if len(consumers) == 0 {
		return nil, protocol.Errorf(protocol.CodeSystemError, "No Any Consumer online in the consumer group: [%s]", shown(h.Group))
	}
	if old := tooOld(consumers, versionReset); old != nil {
		return nil, notSupported(old)
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), statusTimeout, errNoAnswer)
	defer cancel()
	call := &remoting.Call{Code: protocol.ReqGetConsumerStatusFromClient, Header: &protocol.ConsumerStatusHeader{Topic: h.Topic, Group: h.Group}}
	asked := make([]*remoting.Pending, len(consumers))
	for i, who := range consumers {
		if named := strings.TrimSpace(h.ClientAddr); named != "" && named != who.id {
			continue
		}
		if p, err := who.conn.Start(call); err == nil {
			asked[i] = p
		}
	}
	body := protocol.ConsumerStatusBody{MessageQueueTable: protocol.QueueTable[int64]{}, ConsumerTable: map[string]protocol.QueueTable[int64]{}}
	for i, p := range asked {
		if p == nil {
			continue
		}
		var status protocol.ConsumerStatusBody
		answer, err := p.Wait(ctx)
		if err == nil {
			err = answer.Err()
		}
		if err == nil && len(answer.Body) > 0 {
			if err = fastjson.Unmarshal(answer.Body, &status); err == nil {
				body.ConsumerTable[consumers[i].id] = status.MessageQueueTable
			}
		}
		if err != nil {
			b.log.Warn("consumer did not tell its offsets", "group", h.Group, "topic", h.Topic, "client", consumers[i].id, "err", err)
		}
	}
	return jsonAnswer(body)
}

// tooOld returns a client whose version is too low, nil when there is none.
func tooOld(clients []client, version int32) *client {
	for i := range clients {
		if clients[i].version < version {
			return &clients[i]
		}
	}
	return nil
}

func notSupported(who *client) error {
	return protocol.Errorf(protocol.CodeSystemError, "the client does not support this feature. version=%d (client %s)", who.version, shown(who.id))
}
