package broker

import (
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// Liftoff's own: QUEUE_STATE 1000001.
//
// Behaviour: tells whether a group has popped a message and until when, which the broker alone knows. It changes nothing, and looks at the
// check points of one queue.
func (b *Broker) queueState(_ *remoting.Request, h *protocol.QueueStateHeader) (*remoting.Answer, error) {
	var s protocol.QueueState
	if pq := b.pops.find([]byte(h.ConsumerGroup), []byte(h.Topic)).findQueue(h.QueueID); pq != nil {
		pq.explain(h.Offset, &s)
	}
	return jsonAnswer(s)
}

// explain says what has become of the message at an offset.
func (pq *popQueue) explain(offset int64, s *protocol.QueueState) {
	pq.mu.Lock()
	defer pq.mu.Unlock()
	s.InFlight = pq.inFlight
	for _, c := range pq.points {
		i := c.index(offset)
		if i < 0 || c.order || c.popTime < s.PopTime {
			continue
		}
		s.PopTime, s.PopExpires, s.Acknowledged = c.popTime, c.reviveTime(), c.done || c.acked&(1<<i) != 0
	}
}
