package broker

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// SEND_REPLY_MESSAGE 324, SEND_REPLY_MESSAGE_V2 325.
//
// Behaviour: the reply is pushed to the producer whose client id is in REPLY_TO_CLIENT (PUSH_REPLY_MESSAGE_TO_CLIENT 326), over the
// connection that its heartbeats come over, and with storeReplyMessageEnable stored in its topic, <cluster>_REPLY_TOPIC, too, whatever
// came of the push. The answer is that of the push, with the place of the stored message. A reply is pushed once and never again.
// Differs from Apache: the stored reply keeps the flags that say how its body is compressed.

func (b *Broker) sendReply(r *remoting.Request) (*remoting.Answer, error) {
	cfg := b.settings.Load()
	a, err := b.serveReply(cfg, r)
	if err != nil {
		a = remoting.ErrorAnswer(err)
	}
	a.Ext = [][2]string{{"MSG_REGION", cfg.RegionID}, {"TRACE_ON", cfg.traceOn}}
	return a, nil
}

func (b *Broker) serveReply(cfg *settings, r *remoting.Request) (*remoting.Answer, error) {
	var h sendHeader
	if err := decodeSend(r, &h); err != nil {
		return nil, err
	}
	t, err := b.sendTopic(cfg, r, &h)
	if err != nil {
		return nil, err
	}
	if err := h.chooseQueue(t); err != nil {
		return nil, err
	}
	h.properties = replyProperties(cfg, h.properties)
	from := sessionPeer(r.Conn)
	a := &remoting.Answer{Header: protocol.SendResponseHeader{MsgID: "0", QueueID: h.queueID}}
	if err := b.pushReply(cfg, r, &h, from); err != nil {
		a = remoting.ErrorAnswer(err)
	}
	if !cfg.StoreReplies {
		return a, nil
	}
	put := []store.Put{{Queue: t.queue(h.queueID)}}
	p := &put[0]
	p.Flag, p.SysFlag, p.ReconsumeTimes = h.flag, h.sysFlag|t.sysFlag, h.reconsumeTimes
	p.BornTimestamp, p.BornHost = h.bornTimestamp, from
	p.Body, p.Properties = r.Body, h.properties
	if err := b.putNow(put...); err != nil {
		b.log.Warn("reply could not be stored", "topic", t.TopicName, "group", string(h.group), "err", err)
		return a, nil
	}
	in := t.countsOf(b.counts)
	b.counts.put(in, kindNormal, 1, int64(p.Size), h.queueID, 1, 0)
	in.sized(kindNormal, int64(p.Size))
	a.Header = protocol.SendResponseHeader{MsgID: string(message.AppendOffsetIDOf(nil, cfg.idHost, p.LogOffset)), QueueID: h.queueID, QueueOffset: p.QueueOffset}
	return a, nil
}

// replyProperties are a reply's properties as it is pushed and stored: with the broker's region and whether it wants to be traced.
func replyProperties(cfg *settings, told []byte) []byte {
	props := message.AppendPropertiesWithout(make([]byte, 0, len(told)+64), told, message.PropMsgRegion, message.PropTraceOn)
	props = message.AppendProperty(endProperties(props, 0), message.PropMsgRegion, []byte(cfg.RegionID))
	return message.AppendProperty(props, message.PropTraceOn, []byte(cfg.traceOn))
}

// pushReply hands a reply to the client that waits for it, and waits until it has it.
func (b *Broker) pushReply(cfg *settings, r *remoting.Request, h *sendHeader, from netip.AddrPort) error {
	to, ok := message.Property(h.properties, message.PropReplyToClient)
	if !ok {
		return protocol.Errorf(protocol.CodeSystemError, "reply message properties[%s] is null", message.PropReplyToClient)
	}
	conn := b.clients.producer(to)
	if conn == nil {
		return protocol.Errorf(protocol.CodeSystemError, "push reply message fail, channel of <%s> not found.", shown(string(to)))
	}
	now := time.Now().UnixMilli()
	properties := message.AppendProperty(slices.Clip(h.properties), message.PropPushReplyTime, strconv.AppendInt(nil, now, 10))
	push := &remoting.Call{Code: protocol.ReqPushReplyMessageToClient, Body: r.Body, Header: &protocol.ReplyMessageHeader{
		ProducerGroup: string(h.group), Topic: string(h.topic), DefaultTopic: string(h.defaultTopic), DefaultTopicQueueNums: h.defaultQueues,
		QueueID: h.queueID, SysFlag: h.sysFlag, BornTimestamp: h.bornTimestamp, Flag: h.flag, Properties: string(properties),
		ReconsumeTimes: h.reconsumeTimes, UnitMode: h.unitMode, BornHost: from.String(), StoreHost: cfg.storeHost.String(), StoreTimestamp: now}}
	ctx, cancel := context.WithTimeoutCause(context.Background(), askTimeout, errNoAnswer)
	defer cancel()
	answer, err := conn.Call(ctx, push)
	if err == nil {
		err = answer.Err()
	}
	if err != nil {
		b.log.Warn("reply could not be pushed", "topic", string(h.topic), "client", string(to), "err", err)
		var refused *protocol.Error
		if errors.As(err, &refused) {
			return protocol.Errorf(protocol.CodeSystemError, "push reply message to %sfail. It said: %s", shown(string(to)), refused.Remark)
		}
		return protocol.Errorf(protocol.CodeSystemError, "push reply message to %sfail. %v", shown(string(to)), err)
	}
	return nil
}
