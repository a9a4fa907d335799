package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	remote "github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// How a registrar goes on after a failure, and how often changes of topics may make it register.
const (
	registerRetryMin  = 100 * time.Millisecond
	registerRetryMax  = time.Second // a NameServer that comes back knows its brokers after that
	registerPeriodMin = 10 * time.Second
	registerPeriodMax = time.Minute
	registerShare     = 10 // changes of topics make it register no more than this fraction of the time
	registerPauseMax  = 2 * time.Second
	unregisterTimeout = 3 * time.Second
)

// registrarConfig is what a registrar needs to know. The functions are called from its goroutines.
type registrarConfig struct {
	servers []string // addresses of NameServers
	self    protocol.BrokerIdentityHeader
	haAddr  string
	// acting lets a slave act as master; NameServers are then told to give the broker up after so much silence.
	acting    bool
	silence   time.Duration
	heartbeat time.Duration // the time between two heartbeats, which NameServers expect then
	// beating is how a heartbeat is sent: within which time, and so that NameServers of before RocketMQ 5 understand it.
	beating func() (timeout time.Duration, old bool)

	period, timeout time.Duration
	compressed      bool
	force           func() bool  // false: with every period ask first whether anything differs
	permission      func() int32 // of the broker; it limits that of every topic
	// topics returns all topics, which nobody changes any more, and the version of the table.
	topics  func() (map[string]*protocol.TopicConfig, protocol.DataVersion)
	version func() protocol.DataVersion // of the table
	// topic returns one of them, nil when it is not there, and whether it is static.
	topic func(name string) (c *protocol.TopicConfig, static bool)
	// mappings returns what static topics are made of. A change of them changes the version of the table too.
	mappings func() map[string]*protocol.TopicQueueMappingInfo
	// answered is told what NameServers answer, one answer at a time.
	answered func(remote.Registered)

	tls      *tls.Config
	frameMax int
	log      *slog.Logger
}

// registrar keeps a broker registered with every NameServer of a list: at the start, with each period, when topics
// change, and as soon as a NameServer is back that was away. Each has a goroutine and a connection of its own, so that none waits
// for another. The end of the connection says that a NameServer is gone; then the connection is tried again, soon
// and often at first, for trying costs less than the clients that would look for the broker in vain.
type registrar struct {
	cfg   registrarConfig
	pool  *remote.Pool
	tried chan struct{} // closed when every NameServer of the start has answered, or failed once

	answering sync.Mutex // one call of answered at a time

	mu      sync.Mutex // protects the fields below
	ctx     context.Context
	servers map[string]*nameServer
	untried int
	tasks   sync.WaitGroup
	made    madeRegistration
	changes uint64        // how often changed was called
	moved   chan struct{} // closed, and made anew, when a nameServer's knows or standing changes
}

// nameServer is one NameServer and how we stand with it. Its fields are those of its loop, but for what registrar.mu protects.
type nameServer struct {
	addr    string
	changes chan struct{}      // something changed; holds one
	stop    context.CancelFunc // the list does not name it any more

	told bool // it may believe that the broker is there; of its loop, and of run when that has ended

	standing standing // under registrar.mu
	knows    uint64   // the changes that its last registration had in it; under registrar.mu
	deaf     bool     // it has let a tell wait in vain, and has answered no registration since; under registrar.mu

	telling [tellStripes]chan struct{} // each holds one: a tell at a time of topics whose names hash alike
}

func newNameServer(addr string) *nameServer {
	s := &nameServer{addr: addr, changes: make(chan struct{}, 1)}
	for i := range s.telling {
		s.telling[i] = make(chan struct{}, 1)
	}
	return s
}

// standing is how we stand with a NameServer.
type standing int

const (
	untried    standing = iota
	registered          // it has taken the registration, and the connection has not ended since
	lost                // the connection has ended
	failing             // it could not be reached, or refused
)

// madeRegistration is the last registration, kept because all NameServers get the same, and mostly the same again.
type madeRegistration struct {
	reg        *remote.Registration
	version    protocol.DataVersion
	permission int32
}

// newRegistrar makes the registrar of a broker, which is not opened yet: only its settings are there.
func newRegistrar(b *Broker) (*registrar, error) {
	set := b.settings.Load()
	clientTLS, err := set.TLS.ClientConfig()
	if err != nil {
		return nil, err
	}
	haPort := set.HAListenPort
	if haPort <= 0 {
		haPort = set.ListenPort + 1
	}
	return makeRegistrar(registrarConfig{
		servers: registersWith(&set.Broker),
		self: protocol.BrokerIdentityHeader{BrokerName: set.Name, BrokerAddr: fmt.Sprintf("%s:%d", set.BrokerIP1, set.ListenPort),
			ClusterName: set.Cluster, BrokerID: set.ID},
		haAddr: fmt.Sprintf("%s:%d", set.BrokerIP2, haPort),
		acting: set.SlaveActingMaster, silence: set.NotActiveTimeout, heartbeat: set.HeartbeatInterval,
		beating: func() (time.Duration, bool) { s := b.settings.Load(); return s.HeartbeatTimeout, s.OldNamesrv },
		period:  set.RegisterPeriod, timeout: set.RegisterTimeout, compressed: set.CompressedRegister,
		force:      func() bool { return b.settings.Load().ForceRegister },
		permission: func() int32 { return int32(b.settings.Load().Permission) },
		topics:     func() (map[string]*protocol.TopicConfig, protocol.DataVersion) { return b.topics.all() },
		version:    func() protocol.DataVersion { return b.topics.dataVersion() },
		topic:      func(name string) (*protocol.TopicConfig, bool) { return b.topics.registers(name) },
		mappings:   func() map[string]*protocol.TopicQueueMappingInfo { return b.topics.mappings.infos() },
		answered:   b.registered,
		tls:        clientTLS, frameMax: set.FrameMax, log: b.log,
	}), nil
}

// registersWith lists the NameServers that are told of a broker. A slave copies nothing yet, so that it has none of its group's messages: a
// consumer that was sent to it while the master is away would find its offsets beyond the end, and go back to 0.
func registersWith(cfg *config.Broker) []string {
	if cfg.BrokerRole == config.Slave {
		return nil
	}
	return cfg.NamesrvAddrs()
}

// registered takes a NameServer's answer. Topics that it lists as ordered become so; that one is not listed says nothing, as
// nobody keeps the list complete.
func (b *Broker) registered(a remote.Registered) {
	if err := b.topics.setOrder(true, slices.Sorted(maps.Keys(a.OrderTopics))...); err != nil {
		b.log.Error("topics not made ordered as the name server lists them", "addr", a.NameServer, "err", err)
	}
}

func makeRegistrar(cfg registrarConfig) *registrar {
	cfg.period = min(max(cfg.period, registerPeriodMin), registerPeriodMax)
	return &registrar{cfg: cfg, tried: make(chan struct{}), moved: make(chan struct{}), servers: make(map[string]*nameServer),
		pool: remote.NewPool(nil, remoting.Options{Log: cfg.log, TLS: cfg.tls, MaxFrame: cfg.frameMax})}
}

// run keeps the broker registered until ctx ends, and unregisters it then.
func (r *registrar) run(ctx context.Context) {
	r.mu.Lock()
	r.ctx = ctx
	r.untried = len(r.cfg.servers)
	if r.untried == 0 {
		close(r.tried)
	}
	r.mu.Unlock()
	r.use(r.cfg.servers)
	<-ctx.Done()
	r.tasks.Wait()
	r.unregister()
	_ = r.pool.Close()
}

// use changes the list of NameServers. One that is not on it any more is told that the broker is gone.
func (r *registrar) use(addrs []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil || r.ctx.Err() != nil {
		return
	}
	for addr, s := range r.servers {
		if !slices.Contains(addrs, addr) {
			delete(r.servers, addr)
			s.stop()
		}
	}
	for _, addr := range addrs {
		if r.servers[addr] != nil {
			continue
		}
		s := newNameServer(addr)
		var ctx context.Context
		ctx, s.stop = context.WithCancel(r.ctx)
		r.servers[addr] = s
		r.tasks.Go(func() { r.registerLoop(ctx, s) })
		if r.cfg.acting {
			r.tasks.Go(func() { r.beatLoop(ctx, s) })
		}
	}
}

// changed makes every NameServer hear of the topics soon.
func (r *registrar) changed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	for _, s := range r.servers {
		select {
		case s.changes <- struct{}{}:
		default:
		}
	}
}

// awaitKnown waits until the NameServers that the broker is registered with know of every change so far, or ctx ends. One that is slow, or lost
// meanwhile, is not waited for.
func (r *registrar) awaitKnown(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changes := r.changes
	for ctx.Err() == nil && r.missesLocked(changes) {
		moved := r.moved
		r.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
		}
		r.mu.Lock()
	}
}

// missesLocked says whether a NameServer that has taken our last registration knows fewer changes.
func (r *registrar) missesLocked(changes uint64) bool {
	for _, s := range r.servers {
		if s.listensLocked() && s.knows < changes {
			return true
		}
	}
	return false
}

func (r *registrar) movedLocked() {
	close(r.moved)
	r.moved = make(chan struct{})
}

// permitsAll says whether a broker's permission leaves that of its topics as it is.
func permitsAll(permission int32) bool { return permission&permRead != 0 && permission&permWrite != 0 }

// registerLoop keeps the broker registered with one NameServer.
func (r *registrar) registerLoop(ctx context.Context, s *nameServer) {
	defer s.stop()
	retry := registerRetryMin
	force := true
	for ctx.Err() == nil {
		conn, took, err := r.register(ctx, s, force)
		if ctx.Err() != nil {
			break
		}
		r.note(s, err)
		if err != nil {
			s.told = false
			pause(ctx, retry)
			retry, force = nextRetry(retry, err, r.cfg.period), true
			continue
		}
		retry = registerRetryMin
		force = r.rest(ctx, s, conn, took)
	}
	r.mu.Lock()
	left := r.servers[s.addr] != s && s.told
	r.mu.Unlock()
	if left {
		r.unregisterFrom(s)
	}
}

// nextRetry is how long to wait after the next failure. A NameServer that is there and refuses will not think better of it soon.
func nextRetry(last time.Duration, err error, period time.Duration) time.Duration {
	var refused *protocol.Error
	if errors.As(err, &refused) {
		return min(2*last, period)
	}
	return min(2*last, registerRetryMax)
}

// rest waits until it is time to register again, which is after a registration that took a while not at once. It
// says whether that must be done even if the NameServer has the same topics already.
func (r *registrar) rest(ctx context.Context, s *nameServer, conn *remoting.Conn, took time.Duration) (force bool) {
	period := time.NewTimer(r.cfg.period)
	defer period.Stop()
	changes := s.changes
	var soon <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-conn.Done(): // it is gone, or has started again and knows nothing
			r.mu.Lock()
			s.standing, s.told = lost, false
			r.movedLocked()
			r.mu.Unlock()
			return true
		case <-period.C:
			return r.cfg.force()
		case <-changes:
			changes = nil // what changes from here on is in the registration to come
			t := time.NewTimer(min(took*registerShare, registerPauseMax))
			defer t.Stop()
			soon = t.C
		case <-soon:
			return true
		}
	}
}

// register registers the broker with one NameServer, unless it need not be forced and nothing has changed. It returns the
// connection and how long it took.
func (r *registrar) register(ctx context.Context, s *nameServer, force bool) (*remoting.Conn, time.Duration, error) {
	within, cancel := context.WithTimeoutCause(ctx, r.cfg.timeout, fmt.Errorf("no answer within %s (registerBrokerTimeoutMills)", r.cfg.timeout))
	defer cancel()
	conn, err := r.pool.Conn(within, s.addr)
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	if err := r.send(within, s, force); err != nil {
		if within.Err() != nil && ctx.Err() == nil {
			_ = conn.Close() // it may be dead and not know it
		}
		return nil, 0, err
	}
	return conn, time.Since(began), nil
}

func (r *registrar) send(ctx context.Context, s *nameServer, force bool) error {
	select {
	case <-s.changes: // what changed before this moment is in what is sent
	default:
	}
	r.mu.Lock()
	changes := r.changes
	r.mu.Unlock()
	reg, version, err := r.registration()
	if err != nil {
		return err
	}
	if !force {
		changed, err := r.pool.QueryDataVersion(ctx, s.addr, r.cfg.self, version)
		if err != nil || !changed {
			return err
		}
	}
	s.told = true
	answer, err := r.pool.Register(ctx, s.addr, reg)
	if err != nil {
		return err
	}
	r.mu.Lock()
	s.knows = changes
	r.mu.Unlock()
	r.answering.Lock()
	defer r.answering.Unlock()
	r.cfg.answered(answer)
	return nil
}

// registration is what NameServers are told now.
func (r *registrar) registration() (*remote.Registration, protocol.DataVersion, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	table, version := r.cfg.topics()
	permission := r.cfg.permission()
	if r.made.reg != nil && r.made.version == version && r.made.permission == permission {
		return r.made.reg, version, nil
	}
	body := &protocol.RegisterBrokerBody{FilterServerList: []string{}, Topics: protocol.RegisteredTopics{
		TopicConfigs:               protocol.TopicConfigs{DataVersion: version, TopicConfigTable: limited(table, permission)},
		MappingDataVersion:         protocol.DataVersion{Timestamp: version.Timestamp},
		TopicQueueMappingDetailMap: map[string]any{},
		TopicQueueMappingInfoMap:   r.cfg.mappings(),
	}}
	h := protocol.RegisterBrokerHeader{BrokerName: r.cfg.self.BrokerName, BrokerAddr: r.cfg.self.BrokerAddr, ClusterName: r.cfg.self.ClusterName,
		BrokerID: r.cfg.self.BrokerID, HAServerAddr: r.cfg.haAddr, EnableActingMaster: &r.cfg.acting}
	if r.cfg.acting {
		silence := r.cfg.silence.Milliseconds()
		h.HeartbeatTimeoutMillis = &silence
	}
	reg, err := remote.NewRegistration(h, body, r.cfg.compressed)
	if err != nil {
		return nil, version, err
	}
	r.made = madeRegistration{reg, version, permission}
	return reg, version, nil
}

// limited is the table with what the broker as a whole does not permit taken from every topic.
func limited(table map[string]*protocol.TopicConfig, permission int32) map[string]*protocol.TopicConfig {
	if permitsAll(permission) {
		return table
	}
	less := maps.Clone(table)
	for name, c := range table {
		l := *c
		l.Perm &= permission
		less[name] = &l
	}
	return less
}

// note keeps how we stand with a NameServer, and logs it when that has changed.
func (r *registrar) note(s *nameServer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, is := s.standing, registered
	if err != nil {
		is = failing
	} else {
		s.deaf = false
	}
	s.standing = is
	r.movedLocked()
	if was == untried && r.untried > 0 {
		if r.untried--; r.untried == 0 {
			close(r.tried)
		}
	}
	switch {
	case was == is:
	case is == failing:
		r.cfg.log.Warn("not registered with a name server; will try again until it answers", "addr", s.addr, "err", err)
	default:
		n := 0
		for _, o := range r.servers {
			if o.standing == registered {
				n++
			}
		}
		r.cfg.log.Info(fmt.Sprintf("registered with %d of %d name servers", n, len(r.servers)), "addr", s.addr, "broker_addr", r.cfg.self.BrokerAddr)
	}
}

// unregister tells all NameServers at once that the broker is gone. Their loops have ended.
func (r *registrar) unregister() {
	var wg sync.WaitGroup
	for _, s := range r.servers {
		if s.told {
			wg.Go(func() { r.unregisterFrom(s) })
		}
	}
	wg.Wait()
}

func (r *registrar) unregisterFrom(s *nameServer) {
	ctx, cancel := context.WithTimeout(context.Background(), unregisterTimeout)
	defer cancel()
	if err := r.pool.Unregister(ctx, s.addr, r.cfg.self); err != nil {
		r.cfg.log.Warn("not unregistered from a name server; it notices when the connection ends", "addr", s.addr, "err", err)
	}
}
