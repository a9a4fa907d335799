package namesrv

import (
	"errors"
	"fmt"
	"time"

	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// Metrics adds what is registered, and what connections are up to.
func (s *Server) Metrics(shot *metrics.Snapshot) {
	shot.Common(metrics.Label{Name: "node_type", Value: "namesrv"})
	s.routes.mu.RLock()
	for name, g := range s.routes.groups {
		shot.AddInt(&metrics.NamesrvBrokers, int64(len(g.addrs)), "broker_cluster", g.cluster, "broker", name)
		masters := int64(0)
		if _, ok := g.addrs[protocol.MasterID]; ok {
			masters = 1
		}
		shot.AddInt(&metrics.NamesrvMasters, masters, "broker_cluster", g.cluster, "broker", name)
	}
	shot.AddInt(&metrics.NamesrvTopics, int64(len(s.routes.topics)))
	s.routes.mu.RUnlock()
	metrics.AddLoad(shot, "namesrv", metrics.Load(s.port.Load()))
}

// Ready says why clients should not ask here: the NameServer is being closed, or waits for brokers after its start. Nil if they may.
func (s *Server) Ready() error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return errors.New("is stopping")
	}
	cfg := s.cfg.Load()
	if left := cfg.WaitSeconds - time.Since(s.started); cfg.WaitForService && left > 0 {
		return fmt.Errorf("waits for brokers for another %s (needWaitForService, waitSecondsForService=%d)", left.Round(time.Second), int64(cfg.WaitSeconds/time.Second))
	}
	return nil
}
