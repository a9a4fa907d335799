package broker

import (
	"errors"
	"fmt"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// RESUME_CHECK_HALF_MESSAGE 323.
//
// Behaviour: a half message is checked again as if it never had been, also after the last check.

func (b *Broker) resumeCheck(_ *remoting.Request, h *protocol.ResumeCheckHalfHeader) (*remoting.Answer, error) {
	if b.halves == nil {
		return nil, protocol.Errorf(protocol.CodeSlaveNotAvailable, "this broker is a slave (brokerRole=SLAVE) and checks no transactions")
	}
	if err := b.halves.resume(h.MsgID); err != nil {
		return nil, protocol.Errorf(protocol.CodeSystemError, "Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed. %v", err)
	}
	return nil, nil
}

// resume has a half message, given by its offset id, be checked again.
func (h *halves) resume(id string) error {
	_, logOffset, err := message.ParseOffsetID(id)
	if err != nil {
		return err
	}
	var m message.Message
	rec, err := h.b.store.MessageAt(logOffset)
	if err != nil {
		return err
	}
	if err := message.Decode(rec, &m); err != nil {
		return err
	}
	f := inspectHalf(&m)
	if m.Topic != topicHalf && m.Topic != topicCheckMax {
		return fmt.Errorf("the message is in topic %q, neither in %s nor in %s", m.Topic, topicHalf, topicCheckMax)
	}
	if len(f.topic) == 0 || f.queueID < 0 {
		return errors.New("the message does not say which topic it is for")
	}
	if h.findCommitted(&f) {
		return errors.New("the transaction was committed")
	}
	at, waiting, err := h.takeToResume(&m, &f, m.Topic == topicCheckMax || h.findGivenUp(&f))
	if err != nil {
		return err
	}
	return h.putResumed(&m, &f, at, waiting)
}

// takeToResume takes the copy that stands for a half message, -1 if none does any more, and says whether it is counted as undecided.
func (h *halves) takeToResume(m *message.Message, f *halfFacts, givenUp bool) (at int64, waiting bool, err error) {
	if f.root < 0 {
		return -1, false, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		at = f.root
		if c, ok := h.current[f.root]; ok {
			at = c
		} else if m.Topic == topicHalf {
			at = m.QueueOffset
		}
		if at < h.base {
			break
		}
		if h.isUnread(at) {
			return -1, false, errEndUnread
		}
		switch s := h.states.get(at); s & halfStates {
		case halfMoving:
			h.settled.Wait()
			continue
		case halfOpen:
			h.states.set(at, s|halfMoving)
			return at, true, nil
		case halfGivenUp:
			return -1, false, nil
		case halfCommitting, halfRollingBack, halfCommitted, halfRolledBack:
			return -1, false, errors.New("the transaction was ended")
		}
		break
	}
	if !givenUp {
		return -1, false, errors.New("the transaction was ended")
	}
	return -1, false, nil
}

// putResumed stores the copy that is checked from now on.
func (h *halves) putResumed(m *message.Message, f *halfFacts, at int64, waiting bool) error {
	cfg := h.b.settings.Load()
	props := message.AppendPropertiesWithout(nil, m.Properties, message.PropTransactionCheckTimes, message.PropPreparedQueueOffset, message.PropCRC32)
	props = message.AppendProperty(props, message.PropTransactionCheckTimes, "0")
	if f.root >= 0 {
		props = withRoot(props, f.root)
	}
	puts := []store.Put{copyOf(m, h.q, props)}
	if at >= 0 {
		puts = h.appendOps(puts, cfg, []int64{at})
	}
	err := h.b.putAsIs(puts)
	if err == nil && !waiting {
		h.b.halfCounts.add(string(f.topic), 1)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil && f.root >= 0:
		h.current[f.root] = puts[0].QueueOffset
		if at >= 0 {
			h.states.set(at, halfMoved)
		}
	case at >= 0:
		h.states.set(at, h.states.get(at)&^halfStates)
	}
	h.settled.Broadcast()
	return err
}
