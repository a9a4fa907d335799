package broker

import (
	"context"
	"time"
)

// beatLoop tells one NameServer that the broker lives, as it was told to expect when the broker registered (see registrarConfig.silence): registrations
// come much less often. It has a goroutine of its own since a registration may take longer than the NameServer would wait.
func (r *registrar) beatLoop(ctx context.Context, s *nameServer) {
	t := time.NewTicker(r.cfg.heartbeat)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			r.beat(ctx, s)
		}
	}
}

func (r *registrar) beat(ctx context.Context, s *nameServer) {
	r.mu.Lock()
	known := s.standing == registered
	r.mu.Unlock()
	if !known {
		return // it would not know whose heartbeat it is
	}
	timeout, old := r.cfg.beating()
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var err error
	if old {
		err = r.pool.BrokerHeartbeatOld(within, s.addr, r.cfg.self, r.cfg.version())
	} else {
		err = r.pool.BrokerHeartbeat(within, s.addr, r.cfg.self)
	}
	if err != nil && ctx.Err() == nil {
		r.cfg.log.Debug("heartbeat not sent; the broker registers anew when the connection has ended", "addr", s.addr, "err", err)
	}
}
