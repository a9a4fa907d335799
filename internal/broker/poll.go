package broker

import (
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// POLLING_INFO 200055. NOTIFICATION 200054 is in pop.go, for it looks and waits like a pop.
//
// Behaviour: how many pops of a group wait for a queue of a topic, or with queue -1 for all of them.

func (b *Broker) pollingInfo(r *remoting.Request, h *protocol.PollingInfoHeader) (*remoting.Answer, error) {
	p := popRequest{held: held{b: b, conn: r.Conn}, code: protocol.ReqNotification, group: []byte(h.ConsumerGroup), topic: []byte(h.Topic), queueID: h.QueueID}
	if _, _, err := p.check(b.settings.Load()); err != nil {
		return nil, err
	}
	n := 0
	if pg := b.pops.find(p.group, p.topic); pg != nil {
		n = b.holds.waitingPops(pg, h.QueueID)
	}
	return &remoting.Answer{Header: &protocol.PollingInfoResponseHeader{PollingNum: int32(n)}}, nil
}
