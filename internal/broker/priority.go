package broker

import (
	"strconv"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// A message with a priority (property _SYS_MSG_PRIORITY_, 0 or more) goes to the queue of that number, or to the last one. Pops of a
// topic whose message.type is PRIORITY look at the highest queue first, or with priorityOrderAsc=false at the lowest.

// prioritize gives a message the queue of its priority. One that is part of a transaction, delayed, timed or of a message group cannot have
// a priority and loses it.
func (h *sendHeader) prioritize(priority []byte, t *topic) {
	n, err := strconv.ParseInt(string(priority), 10, 32)
	if err != nil || n < 0 {
		return
	}
	for name, value := range message.Properties(h.properties) {
		switch string(name) {
		case message.PropTransactionPrepared:
			if !protocol.IsTrue(value) {
				continue
			}
			fallthrough
		case message.PropDelay, message.PropTimerDeliverMS, message.PropTimerDelaySec, message.PropTimerDelayMS, message.PropShardingKey:
			h.properties = message.DeleteProperty(h.properties, message.PropPriority)
			return
		}
	}
	h.queueID = max(min(int32(n), t.writeQueues()-1), 0)
}
