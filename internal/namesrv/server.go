package namesrv

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// Server is a NameServer.
type Server struct {
	log     *slog.Logger
	started time.Time
	cfg     atomic.Pointer[config.Namesrv]
	table   map[int32]*handler // by request code
	routes  routes
	kv      kv
	port    *remoting.Server
	brokers *client.Pool // for notices

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	wake   chan struct{} // a broker has come

	seed     maphash.Seed
	changing sync.Mutex     // one change of configuration at a time; protects the two fields below
	given    config.Namesrv // what the server was started with
	shown    config.Namesrv // the configuration of the moment, with what counts only from the next start on
	mu       sync.Mutex     // protects closed; held while a notice starts
	closed   bool
}

// Open reads the KV configuration and serves at cfg's address until Close.
func Open(cfg config.Namesrv, log *slog.Logger) (*Server, error) {
	s := &Server{log: log, started: time.Now(), table: make(map[int32]*handler), wake: make(chan struct{}, 1), seed: maphash.MakeSeed()}
	s.cfg.Store(&cfg)
	s.given, s.shown = cfg, cfg
	s.routes.init(s.started)
	for i := range handlers {
		s.table[int32(handlers[i].code)] = &handlers[i]
	}
	if err := s.kv.open(cfg.KVConfigPath, log); err != nil {
		return nil, err
	}
	serverTLS, err := cfg.TLS.ServerConfig(log)
	if err != nil {
		return nil, fmt.Errorf("cannot use the TLS configuration: %w", err)
	}
	clientTLS, err := cfg.TLS.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("cannot use the TLS configuration: %w", err)
	}
	s.brokers = client.NewPool(nil, remoting.Options{Log: log, TLS: clientTLS, MaxFrame: cfg.FrameMax})
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.port, err = remoting.Listen(net.JoinHostPort(cfg.BindAddress, strconv.Itoa(cfg.ListenPort)), wire{s}, remoting.Options{
		Log: log, TLS: serverTLS, TLSOnly: cfg.TLS.Mode == config.TLSEnforcing, IdleTimeout: cfg.IdleTimeout(), MaxFrame: cfg.FrameMax})
	if err != nil {
		s.cancel()
		return nil, err
	}
	s.tasks.Go(s.scanLoop)
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.port.Addr() }

// Run serves until ctx ends, and closes the server.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	return s.Close()
}

// Close ends all connections and waits for everything that the server has started. A second call does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	s.cancel()
	err := s.port.Close()
	s.tasks.Wait()
	if e := s.brokers.Close(); err == nil {
		err = e
	}
	return err
}

// wakeScan starts the search for silent brokers, if it does not go on already.
func (s *Server) wakeScan() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// scanLoop takes silent brokers off, each scanNotActiveBrokerInterval. Without brokers it sleeps.
func (s *Server) scanLoop() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
		}
		t := time.NewTicker(s.cfg.Load().ScanInterval)
		for s.routes.lives() > 0 {
			select {
			case <-s.ctx.Done():
				t.Stop()
				return
			case now := <-t.C:
				s.removeSilent(now)
			}
		}
		t.Stop()
	}
}

// removeSilent takes the brokers off that said nothing for too long, and closes their connections: they would notice
// nothing otherwise, and could not come back before their next registration.
func (s *Server) removeSilent(now time.Time) {
	for _, l := range s.routes.silent(now) {
		s.remove(l.key, l.name, fmt.Sprintf("said nothing for %s", l.timeout), func(known *live) bool {
			return now.Sub(known.seen) > known.timeout
		})
		if len(s.routes.over(l.conn)) == 0 {
			_ = l.conn.Close()
		}
	}
}
