package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// Permission bits of topics and brokers. Part of the format; do not change.
const (
	permInherit = 1 << 0
	permWrite   = 1 << 1
	permRead    = 1 << 2
)

// Broker is a running broker: a store directory, what is known of topics, groups, offsets and clients, and two ports.
type Broker struct {
	log      *slog.Logger
	settings atomic.Pointer[settings]
	started  time.Time
	table    map[int32]*handler

	store      *store.Store
	topics     *topics
	groups     *groups
	offsets    *offsets
	filters    *filters
	bits       atomic.Pointer[filters] // the same, for the dispatcher, once they are there
	sql        sqlFilters
	schedule   *schedule
	clients    *clients
	locks      *queueLocks
	timers     *timers // nil without timerWheelEnable
	holds      holds
	pops       *pops
	orders     *orders
	lites      *lites
	modes      *requestModes
	watches    watches
	halves     *halves // nil on a slave
	halfCounts *halfCounts
	uniqKeys   *message.UniqKeys
	counters   counters
	latencies  *remoting.Latencies
	tallies    *tallies
	lag        lagCache
	counts     *counts
	rates      rates
	routes     routes
	live       liveConfig

	cold    coldLimits
	beganAt int64 // the log's end when it was opened

	slow, asking *lane
	beside       sync.WaitGroup
	staticMu     sync.Mutex // one change of static topics at a time

	following     sync.WaitGroup
	stopFollowers func() // ends the followers and waits for them; nil before they were started

	hasState   bool // all of config/ was opened
	main, fast *remoting.Server
	settler    atomic.Pointer[remoting.Server] // whose goroutines answer what was flushed: main, from when it is there until it closes
	registrar  *registrar

	closing sync.Once
	closed  error // what came of it
}

// Open opens the store, reads the broker's state and starts to listen. Clients are served from then on; NameServers are told by
// Run. ctx ends only the opening, which may take long when the store was not closed cleanly.
func Open(ctx context.Context, cfg config.Broker, log *slog.Logger) (*Broker, error) {
	for try := 1; ; try++ {
		b := newBroker(log)
		err := b.open(ctx, cfg)
		if err == nil {
			return b, nil
		}
		_ = b.Close()
		if cfg.ListenPort != 0 || !errors.Is(err, syscall.EADDRINUSE) || try == portTries {
			return nil, err
		}
	}
}

// portTries is how often other ports are tried when one that was free is taken before it is listened on.
const portTries = 20

func newBroker(log *slog.Logger) *Broker {
	b := &Broker{log: log, sql: sqlFilters{log: log}, started: time.Now(), latencies: remoting.NewLatencies(), tallies: newTallies(),
		slow: newLane("that may wait for the disk", slowMax), asking: newLane("that wait for another client or broker", askMax)}
	b.table = make(map[int32]*handler, len(handlers))
	for i := range handlers {
		b.table[int32(handlers[i].code)] = &handlers[i]
	}
	return b
}

func (b *Broker) open(ctx context.Context, cfg config.Broker) error {
	tlsConfig, err := cfg.TLS.ServerConfig(b.log)
	if err != nil {
		return err
	}
	b.live.given = cfg
	// The port goes into every record, and one that is taken should not cost a recovery first.
	if cfg.ListenPort, err = checkPorts(cfg.BindAddress, cfg.ListenPort); err != nil {
		return err
	}
	host, err := resolveHost(ctx, cfg.BrokerIP1, cfg.ListenPort)
	if err != nil {
		return err
	}
	b.settings.Store(newSettings(cfg, host))
	b.live.shown = cfg
	b.uniqKeys = message.NewUniqKeys(host.Addr(), uint16(os.Getpid()), uint32(b.started.UnixNano()))
	b.holds.open()

	files := storeConfig(cfg, host, b.log)
	if err := store.CheckFolders(cfg.RootDir, files.CommitLogDirs...); err != nil {
		return err
	}
	b.store, err = store.Open(ctx, files, store.Hooks{
		Arrived: func(q *store.Queue, nextOffset, tagsCode, _ int64) {
			b.holds.arrived(q, nextOffset, tagsCode)
			b.watches.arrived(q)
			if q.IsLite() {
				b.lites.tell("", q.Topic())
			}
		},
		Later: func() bool {
			s := b.settler.Load()
			return s != nil && s.Settle()
		},
		Bits: func(m *message.Dispatch, dst []byte) []byte {
			if f := b.bits.Load(); f != nil {
				return f.bits(m, dst)
			}
			return dst // what is stored already has been given its bits, or is looked at itself
		},
	})
	if err != nil {
		return err
	}
	b.beganAt = b.store.Stats().Appended
	if err := b.openState(cfg); err != nil {
		return adviseState(err)
	}
	b.hasState = true
	opt := remoting.Options{Log: b.log, TLS: tlsConfig, TLSOnly: cfg.TLS.Mode == config.TLSEnforcing, IdleTimeout: cfg.IdleTimeout(), MaxFrame: cfg.FrameMax, Latencies: b.latencies}
	if b.main, err = remoting.Listen(hostPort(cfg.BindAddress, cfg.ListenPort), port{b, false}, opt); err != nil {
		return err
	}
	b.settler.Store(b.main)
	if cfg.ListenPort > fastPortBelow {
		if b.fast, err = remoting.Listen(hostPort(cfg.BindAddress, cfg.ListenPort-fastPortBelow), port{b, true}, opt); err != nil {
			return err
		}
	}
	b.startFollowers()
	return nil
}

// fastPortBelow is how far the second port, which old clients send to and slaves read from, lies below the first.
const fastPortBelow = 2

// hostPort joins a host, an IPv6 address with brackets or without, and a port.
func hostPort(host string, port int) string {
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port))
}

// checkPorts says whether the broker's two ports can be listened on. Of port 0 it makes one that can.
func checkPorts(host string, port int) (int, error) {
	for try := 0; ; try++ {
		main, err := net.Listen("tcp", hostPort(host, port))
		if err != nil {
			return 0, fmt.Errorf("cannot listen: %w", err)
		}
		chosen := main.Addr().(*net.TCPAddr).Port
		_ = main.Close()
		if chosen <= fastPortBelow {
			return chosen, nil
		}
		fast, err := net.Listen("tcp", hostPort(host, chosen-fastPortBelow))
		if err == nil {
			return chosen, fast.Close()
		}
		if port != 0 || try == portTries {
			return 0, fmt.Errorf("cannot listen on the broker's second port, which is listenPort - %d: %w", fastPortBelow, err)
		}
	}
}

// openState reads what the broker keeps in config/ of its store directory.
func (b *Broker) openState(cfg config.Broker) (err error) {
	dir := filepath.Join(cfg.RootDir, "config")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make folder %q: %w", dir, err)
	}
	if b.registrar, err = newRegistrar(b); err != nil {
		return err
	}
	if b.topics, err = openTopics(filepath.Join(dir, "topics.json"), b); err != nil {
		return err
	}
	b.topics.changed, b.topics.altered = b.registrar.tell, b.registrar.changed
	b.counts = newCounts(&b.counters, b.topics.isSystem, b.started)
	b.sampleRates(b.started)
	b.counts.samples.also = b.sampleRates
	if b.groups, err = openGroups(filepath.Join(dir, "subscriptionGroup.json"), b); err != nil {
		return err
	}
	if b.offsets, err = openOffsets(dir, b); err != nil {
		return err
	}
	if b.schedule, err = openSchedule(filepath.Join(dir, "delayOffset.json"), b); err != nil {
		return err
	}
	b.pops = newPops(b)
	b.lites = newLites(b)
	if b.orders, err = openOrders(filepath.Join(dir, "consumerOrderInfo.json"), b); err != nil {
		return err
	}
	if b.modes, err = openRequestModes(filepath.Join(dir, "messageRequestMode.json"), b); err != nil {
		return err
	}
	b.offsets.settle, b.offsets.unsettled = b.savePops, b.pops.pending.isAny
	b.offsets.flush, b.offsets.isThere, b.offsets.isGroup = b.flushForOffsets, b.isThere, b.isGroup
	if b.filters, err = openFilters(filepath.Join(dir, "consumerFilter.json"), b); err != nil {
		return err
	}
	b.bits.Store(b.filters)
	b.clients = newClients(b)
	b.locks = newQueueLocks(cfg.QueueLockMax)
	b.halfCounts = openHalfCounts(filepath.Join(dir, "transactionMetrics"), b)
	if cfg.BrokerRole != config.Slave {
		b.halves = openHalves(b)
	}
	if b.timers, err = openTimers(b, cfg); err != nil {
		return err
	}
	b.finishDeleting()
	b.missTopics()
	return nil
}

// resolveHost makes the address that goes into records and message ids of what brokerIP1 says, a name or an address.
func resolveHost(ctx context.Context, host string, port int) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return netip.AddrPortFrom(a.Unmap().WithZone(""), uint16(port)), nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addrs) == 0 {
		return netip.AddrPort{}, fmt.Errorf("cannot resolve brokerIP1=%s: %w", host, err)
	}
	for _, a := range addrs {
		if a.Unmap().Is4() {
			return netip.AddrPortFrom(a.Unmap(), uint16(port)), nil
		}
	}
	return netip.AddrPortFrom(addrs[0].WithZone(""), uint16(port)), nil
}

// Addr is where the broker listens.
func (b *Broker) Addr() *net.TCPAddr { return b.main.Addr().(*net.TCPAddr) }

// Config is the configuration of the moment.
func (b *Broker) Config() config.Broker { return b.settings.Load().Broker }

// Run tells the NameServers of the broker and serves until ctx ends. When it returns everything that the broker started has
// ended, its state is on disk and its store is closed cleanly.
func (b *Broker) Run(ctx context.Context) error {
	b.registrar.run(ctx) // until ctx ends; it unregisters then
	return b.Close()
}

// Close ends a broker that was opened. Run does it by itself; closing it again changes nothing and returns the same.
func (b *Broker) Close() error {
	b.closing.Do(func() { b.closed = b.close() })
	return b.closed
}

func (b *Broker) close() error {
	var errs []error
	if b.main != nil {
		b.main.StopAccepting()
	}
	b.holds.close()
	b.settler.Store(nil)
	for _, s := range []*remoting.Server{b.fast, b.main} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	b.beside.Wait()
	if b.stopFollowers != nil {
		b.stopFollowers()
	}
	if b.registrar != nil {
		_ = b.registrar.pool.Close()
	}
	if b.counts != nil {
		b.counts.samples.close()
	}
	if b.hasState {
		b.clients.close()
		b.lites.close()
		errs = append(errs, b.timers.close(), b.schedule.close(), b.halfCounts.close(), b.offsets.close(), b.filters.close(), b.groups.close(), b.topics.close())
	}
	if b.store != nil {
		errs = append(errs, b.store.Close())
	}
	return errors.Join(errs...)
}

// WaitRegistered waits until every NameServer has answered the first registration, or could not be reached.
func (b *Broker) WaitRegistered(ctx context.Context) {
	select {
	case <-b.registrar.tried:
	case <-ctx.Done():
	}
}
