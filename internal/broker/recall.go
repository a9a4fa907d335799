package broker

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// RECALL_MESSAGE 370.
//
// Behaviour: a timed message whose send was answered with a recall handle is not delivered, if the recall comes before its
// time. A message that names it is stored for the same slot of the wheel. Whether there is such a message is not looked at.
// Differs from Apache: a refusal says why behind Apache's words.

// recallHandle is what the answer to a timed message tells, base64 of these words with a blank between them, and what brings it back.
// Part of the wire; do not change.
//
//	v1 topic broker-name ms unique-key
type recallHandle struct {
	topic, broker string
	due           int64 // ms; within the slot
	uniqKey       string
}

const (
	recallVersion = "v1"
	recallTag     = "_RECALL_TAG_"
	recallBody    = "0"
	recallMax     = 4096 // bytes of a handle
)

// appendRecallHandle appends the handle of a message that was stored for its time; nothing when it was not, or cannot be recalled.
func appendRecallHandle(dst, props []byte, broker string) []byte {
	f := readTimer(props)
	if !f.ok || strings.HasPrefix(string(f.topic), retryPrefix) {
		return dst
	}
	raw := fmt.Appendf(nil, "%s %s %s %d %s", recallVersion, f.topic, broker, f.due+1, f.uniqKey)
	return base64.URLEncoding.AppendEncode(dst, raw)
}

func parseRecallHandle(text string) (h recallHandle, err error) {
	invalid := func(why string) error {
		return protocol.Errorf(protocol.CodeIllegalOperation, "recall handle is invalid (%s)", why)
	}
	if text == "" || len(text) > recallMax {
		return h, invalid(fmt.Sprintf("it is %d bytes long", len(text)))
	}
	raw, err := base64.URLEncoding.DecodeString(text)
	if err != nil {
		raw, err = base64.RawURLEncoding.DecodeString(text) // Java does not mind
	}
	if err != nil {
		return h, invalid("it is not base64")
	}
	words := strings.Split(string(raw), " ")
	if len(words) < 5 || words[0] != recallVersion {
		return h, invalid("it is not of the form \"v1 topic broker time key\"")
	}
	if h.due, err = strconv.ParseInt(words[3], 10, 64); err != nil {
		h.due = -1
	}
	h.topic, h.broker, h.uniqKey = words[1], words[2], words[4]
	return h, nil
}

func (b *Broker) recallMessage(r *remoting.Request, h *protocol.RecallMessageHeader) (*remoting.Answer, error) {
	cfg := b.settings.Load()
	handle, err := b.checkRecall(cfg, h)
	if err != nil {
		return nil, err
	}
	puts := []store.Put{b.recallPut(cfg, r, h, &handle)}
	if err := b.putNow(puts...); err != nil {
		return nil, recallFailed(protocol.CodeSystemError, "execute error", "%v", err)
	}
	b.counts.moved(kindMoved, puts)
	return &remoting.Answer{Header: protocol.RecallMessageResponseHeader{MsgID: handle.uniqKey}, Ext: [][2]string{{message.PropMsgRegion, cfg.RegionID}}}, nil
}

// recallFailed is a refusal in Apache's words, and why.
func recallFailed(code int, words, why string, args ...any) error {
	return protocol.Errorf(code, "recall failed, %s (%s)", words, fmt.Sprintf(why, args...))
}

// checkRecall says why a message cannot be recalled.
func (b *Broker) checkRecall(cfg *settings, h *protocol.RecallMessageHeader) (handle recallHandle, err error) {
	const notAvailable = "broker service not available"
	now := time.Now()
	switch {
	case !cfg.RecallMessage:
		return handle, recallFailed(protocol.CodeNoPermission, "operation is forbidden", "recallMessageEnable is false")
	case cfg.BrokerRole == config.Slave:
		return handle, recallFailed(protocol.CodeSlaveNotAvailable, notAvailable, "this broker is a slave")
	case now.UnixMilli() < cfg.AcceptSendsFrom:
		return handle, recallFailed(protocol.CodeServiceNotAvailable, notAvailable, "startAcceptSendRequestTimeStamp=%d", cfg.AcceptSendsFrom)
	case cfg.Permission&permWrite == 0 && !cfg.RecallWhenNotWriteable:
		return handle, recallFailed(protocol.CodeServiceNotAvailable, notAvailable, "brokerPermission=%d", cfg.Permission)
	case b.topics.get([]byte(h.Topic)) == nil:
		return handle, protocol.Errorf(protocol.CodeTopicNotExist, "recall failed, the topic[%s] not exist", shown(h.Topic))
	}
	if handle, err = parseRecallHandle(h.RecallHandle); err != nil {
		return handle, err
	}
	left := handle.due - now.UnixMilli()
	switch {
	case handle.topic != h.Topic:
		return handle, recallFailed(protocol.CodeIllegalOperation, "topic not match", "the handle is of topic %s", shown(handle.topic))
	case handle.broker != cfg.Name:
		return handle, recallFailed(protocol.CodeIllegalOperation, notAvailable, "the handle is of broker %s, this is %s", shown(handle.broker), cfg.Name)
	case handle.due < 0 || left <= 0 || left >= cfg.TimerMaxDelay.Milliseconds():
		return handle, recallFailed(protocol.CodeIllegalOperation, "timestamp invalid", "the message is due in %d ms", left)
	}
	return handle, nil
}

// recallPut makes the message that takes another away.
func (b *Broker) recallPut(cfg *settings, r *remoting.Request, h *protocol.RecallMessageHeader, handle *recallHandle) store.Put {
	now := time.Now().UnixMilli()
	key := timerDeleteKey(cfg, handle.topic, handle.uniqKey)
	var props []byte
	for _, p := range [...][2]string{
		{message.PropTags, recallTag},
		{message.PropTimerDelUniqKey, key},
		{message.PropUniqKey, handle.uniqKey},
		{message.PropTimerDeliverMS, strconv.FormatInt(handle.due, 10)},
		{message.PropBornTimestamp, strconv.FormatInt(now, 10)},
		{message.PropProducerGroup, h.ProducerGroup},
	} {
		if p[1] != "" {
			props = message.AppendProperty(props, p[0], p[1])
		}
	}
	p := store.Put{Queue: b.store.Queue(handle.topic, 0)}
	p.BornTimestamp, p.BornHost = now, sessionPeer(r.Conn)
	p.Body, p.Properties = []byte(recallBody), props
	return p
}
