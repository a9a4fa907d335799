package namesrv

import (
	"context"
	"maps"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// notifyTimeout bounds how long a notice may wait for a connection to its broker.
const notifyTimeout = 3 * time.Second

// notice is NOTIFY_MIN_BROKER_ID_CHANGE 905: it tells the members of a group that the one with the least id, who may act as
// master, is another now. It goes to the addresses at which they are registered, over connections of our own: over those that they
// opened brokers expect no requests.
type notice struct {
	header protocol.MinBrokerIDHeader
	to     []string
}

// newNotice is made under the lock of routes. Offline is who left; when nobody did, a member with a lower id has come, and
// is not told itself.
func newNotice(g *group, offline, haAddr string) *notice {
	least := g.minID()
	addr := g.addrs[least]
	n := &notice{header: protocol.MinBrokerIDHeader{MinBrokerID: &least, BrokerName: &g.name, MinBrokerAddr: &addr}}
	if haAddr != "" {
		n.header.HABrokerAddr = &haAddr
	}
	to := maps.Clone(g.addrs)
	if offline != "" {
		n.header.OfflineBrokerAddr = &offline
	} else if len(to) > 1 {
		delete(to, least)
	}
	for _, a := range to {
		n.to = append(n.to, a)
	}
	return n
}

// notify sends a notice, if there is one, to all its addresses at once.
func (s *Server) notify(n *notice) {
	if n == nil {
		return
	}
	s.log.Info("least broker id of a group changed", "broker", *n.header.BrokerName, "broker_id", *n.header.MinBrokerID,
		"broker_addr", *n.header.MinBrokerAddr, "told", n.to)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for _, addr := range n.to {
		s.tasks.Go(func() {
			ctx, cancel := context.WithTimeout(s.ctx, notifyTimeout)
			defer cancel()
			if err := s.brokers.Notify(ctx, addr, &remoting.Call{Code: protocol.ReqNotifyMinBrokerIDChange, Header: &n.header}); err != nil {
				s.log.Warn("broker not told of the least id in its group", "broker_addr", addr, "err", err)
			}
		})
	}
}
