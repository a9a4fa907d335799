package broker

import (
	"strconv"

	"github.com/liftoffmq/liftoff/internal/message"
)

// halfFacts are what must be known of a half message's properties.
type halfFacts struct {
	group, topic, uniqKey []byte
	immunity              []byte // seconds; nil when the message does not say
	queueID               int32  // -1 when there is none
	checks                int    // how often its producers were asked
	root                  int64  // queue offset of the transaction's first copy; -1 when a message that was put aside does not say
	delayed               bool   // has a delay or a time at which it is due
	light                 bool   // is for light queues too
}

func inspectHalf(m *message.Message) halfFacts {
	f := halfFacts{queueID: -1, root: m.QueueOffset}
	end := m.QueueOffset // no copy comes before the first
	if m.Topic == topicCheckMax {
		f.root, end = -1, 1<<62
	}
	for name, value := range message.Properties(m.Properties) {
		switch string(name) {
		case message.PropProducerGroup:
			f.group = value
		case message.PropRealTopic:
			f.topic = value
		case message.PropUniqKey:
			f.uniqKey = value
		case message.PropCheckImmunityTime:
			f.immunity = value
		case message.PropRealQueueID:
			if id, ok := parseInt32(value); ok {
				f.queueID = id
			}
		case message.PropTransactionCheckTimes:
			if n, err := strconv.Atoi(string(value)); err == nil {
				f.checks = max(n, 0)
			}
		case message.PropPreparedQueueOffset:
			if n, err := strconv.ParseInt(string(value), 10, 64); err == nil && n >= 0 && n < end {
				f.root = n
			}
		case message.PropDelay, message.PropTimerDelaySec, message.PropTimerDelayMS, message.PropTimerDeliverMS:
			f.delayed = true
		case message.PropMultiDispatch:
			f.light = true
		}
	}
	return f
}

// immunityMS is how old a half message is at least when its producers are asked.
func (f *halfFacts) immunityMS(cfg *settings) int64 {
	seconds, err := strconv.ParseInt(string(f.immunity), 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return cfg.TransactionTimeout.Milliseconds()
	}
	return seconds * 1000
}

// wait is how many ms its producers may not be asked yet, at a time in ms. That a client's clock is ahead, or this one was set back, does
// not make it longer.
func (f *halfFacts) wait(cfg *settings, m *message.Message, now int64) int64 {
	immunity := f.immunityMS(cfg)
	return min(max(min(m.BornTimestamp, m.StoreTimestamp)+immunity-now, 0), immunity)
}
