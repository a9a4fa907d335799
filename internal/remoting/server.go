package remoting

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/logging"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// Options of a server or a dialed connection. The zero value is usable.
type Options struct {
	Log *slog.Logger // slog.Default() when nil
	// TLS, when set, lets clients speak TLS on the same port; plain ones stay welcome (Apache's permissive mode) unless TLSOnly.
	// For Dial it makes the connection TLS.
	TLS     *tls.Config
	TLSOnly bool
	// IdleTimeout closes a server's connection that is silent both ways; 120 s when 0, never when negative.
	IdleTimeout time.Duration
	// MaxFrame is the largest frame that is read, in bytes with its length word; protocol.MaxFrame when 0.
	MaxFrame int
	// Latencies, when set, counts how long a server's requests took.
	Latencies *Latencies
	// Serialization of the requests that we start.
	Serialization protocol.Serialization
}

const idleTimeout = 120 * time.Second // Apache's

// complete fills in what was left out.
func (o *Options) complete() {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.IdleTimeout = cmp.Or(o.IdleTimeout, idleTimeout)
	o.MaxFrame = cmp.Or(o.MaxFrame, protocol.MaxFrame)
}

// Server accepts connections and serves them with one handler.
type Server struct {
	ln      net.Listener
	handler Handler
	opt     Options
	loops   []*loop // none where plain connections are served as TLS ones are
	nextTo  int     // of acceptLoop: the loop that gets the next connection
	trouble logging.Trouble

	mu     sync.Mutex
	conns  map[*Conn]struct{}
	closed bool
	wake   chan struct{} // a first connection came
	stop   chan struct{}
	gone   sync.WaitGroup // the connections
	wg     sync.WaitGroup // what else the server has started
}

// Listen starts to serve addr ("0.0.0.0:9876", port 0 for any). Several calls with one handler make one daemon of
// several ports.
func Listen(addr string, h Handler, opt Options) (*Server, error) {
	opt.complete()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	s := &Server{ln: ln, handler: h, opt: opt, conns: make(map[*Conn]struct{}), wake: make(chan struct{}, 1), stop: make(chan struct{}),
		trouble: logging.Trouble{Calm: acceptCalm}}
	if s.loops, err = openLoops(h, &s.wg); err != nil {
		_ = ln.Close()
		return nil, err
	}
	s.wg.Go(s.acceptLoop)
	s.wg.Go(s.idleLoop)
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Conns returns how many connections are open.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Close stops accepting, closes all connections and waits until their handlers have been told.
func (s *Server) Close() error {
	s.StopAccepting()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.gone.Wait()
	for _, l := range s.loops {
		l.stop()
	}
	s.wg.Wait()
	return nil
}

// Settle makes the handler's Settle be called soon by a goroutine that serves connections, and says whether there is one.
func (s *Server) Settle() bool {
	return len(s.loops) > 0 && s.loops[0].ring()
}

// StopAccepting lets no new connection in; those that are there stay until Close.
func (s *Server) StopAccepting() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
		_ = s.ln.Close()
	}
	s.mu.Unlock()
}

// acceptCalm is for how long all connections must have been accepted before that is told as the end of a trouble: of a process that has
// too many open files each connection that ends lets another one in.
const acceptCalm = 10 * time.Second

func (s *Server) acceptLoop() {
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			s.refuses(err)
			if s.rests() {
				return
			}
			continue
		}
		c := newConn(nc, s.handler, s.opt.Log, s.opt.MaxFrame)
		c.tls, c.tlsOnly, c.ser = s.opt.TLS, s.opt.TLSOnly, s.opt.Serialization
		c.Latencies = s.opt.Latencies
		c.seen.Store(tick.Load())
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = nc.Close()
			return
		}
		s.conns[c] = struct{}{}
		s.gone.Add(1)
		s.mu.Unlock()
		c.server = s
		select {
		case s.wake <- struct{}{}:
		default:
		}
		if len(s.loops) == 0 {
			go c.greetLoop()
		} else {
			s.nextTo = (s.nextTo + 1) % len(s.loops)
			if err := s.loops[s.nextTo].adopt(c); err != nil {
				go c.finish(err)
				if s.rests() {
					return
				}
				continue
			}
		}
		if lasted, over := s.trouble.Passed(); over {
			s.opt.Log.Info("connections are accepted again", "addr", s.Addr(), "after", lasted)
		}
	}
}

// refuses tells that a connection was not let in, when that is due.
func (s *Server) refuses(err error) {
	if s.trouble.Failed(err) {
		s.opt.Log.Warn("cannot accept connections, or not all of them, and goes on trying", "addr", s.Addr(), "err", logging.Advised(err))
	}
}

// rests waits after a failure, which most likely comes of too many open files, for others to end. It says whether the server does meanwhile.
func (s *Server) rests() (stopped bool) {
	select {
	case <-s.stop:
		return true
	case <-time.After(100 * time.Millisecond):
		return false
	}
}

// left notes that a connection is gone.
func (s *Server) left(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.gone.Done()
}

// idleLoop closes connections that were silent for IdleTimeout, give or take a quarter of it, and those whose peer reads nothing.
func (s *Server) idleLoop() {
	step := s.opt.IdleTimeout / 4
	if s.opt.IdleTimeout < 0 {
		step = idleTimeout / 4
	}
	for {
		select { // with no connection there is nothing to tick for
		case <-s.stop:
			return
		case <-s.wake:
		}
		t := time.NewTicker(step)
		for s.Conns() > 0 {
			select {
			case <-s.stop:
				t.Stop()
				return
			case <-t.C:
			}
			tick.Add(1)
			s.closeIdle()
		}
		t.Stop()
	}
}

// closeIdle looks at which connections have moved since its last look. Several servers move the same clock, so it may run
// faster than one alone would; a connection therefore counts its own server's looks in vain.
func (s *Server) closeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.closeDeaf()
		if seen := c.seen.Load(); seen != c.lastSeen {
			c.lastSeen, c.silent = seen, 0
			continue
		}
		if c.silent++; c.silent >= 4 && s.opt.IdleTimeout > 0 {
			s.opt.Log.Info("connection closed: silent for too long", "addr", c.RemoteAddr(), "for", s.opt.IdleTimeout)
			_ = c.Close()
		}
	}
}

// tlsHello is the first byte of a TLS connection: a handshake record. No frame begins so: its length would be over 350 MB.
const tlsHello = 0x16

// greetTimeout bounds what comes before the first frame, from its first byte on: a PROXY header, a TLS handshake. A connection of which nothing
// has come, or half a frame, is an idle one.
const greetTimeout = 10 * time.Second

// isPlain says whether a connection whose first bytes came begins with a frame.
func (c *Conn) isPlain() bool {
	b := c.in.buf[0]
	return !c.tlsOnly && b != tlsHello && b != proxyV1[0] && b != proxyV2[0]
}

// upgradeLoop serves a connection whose first bytes are no plain frame.
func (c *Conn) upgradeLoop() { c.finish(c.upgrade()) }

func (c *Conn) upgrade() error {
	nc := &prefixed{Conn: c.nc, r: bufio.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(c.in.buf[:c.in.n])), c.nc))}
	c.in.n = 0
	c.in.release()
	_ = c.nc.SetReadDeadline(time.Now().Add(greetTimeout))
	from, err := readProxyHeader(nc.r)
	if err != nil {
		return err
	}
	_ = c.nc.SetReadDeadline(time.Time{})
	c.proxied.Store(from)
	if b, err := nc.r.Peek(1); err != nil {
		return err
	} else if b[0] == tlsHello {
		if c.tls == nil {
			return errors.New("cannot serve TLS: it is disabled here (tls.server.mode)")
		}
		tc := tls.Server(nc, c.tls)
		ctx, cancel := context.WithTimeout(context.Background(), greetTimeout)
		defer cancel()
		if err := tc.HandshakeContext(ctx); errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("cannot finish the TLS handshake: it is not over after %v", greetTimeout)
		} else if err != nil {
			return fmt.Errorf("cannot finish the TLS handshake: %w", err)
		}
		c.setStream(tc)
		return c.readStream()
	}
	if c.tlsOnly {
		return errors.New("cannot serve a plain connection: tls.server.mode=enforcing")
	}
	c.setStream(nc)
	return c.readStream()
}

// setStream makes what is read and written another one over the same socket.
func (c *Conn) setStream(nc net.Conn) {
	c.mu.Lock()
	c.nc = nc
	c.mu.Unlock()
}

// prefixed is a connection whose first bytes have been read already.
type prefixed struct {
	net.Conn
	r *bufio.Reader
}

func (p *prefixed) Read(b []byte) (int, error) { return p.r.Read(b) }

// Dial connects to addr. The connection is served by h, for the peer may send requests of its own; nil refuses them.
// The caller closes it, and may wait for Done.
func Dial(ctx context.Context, addr string, h Handler, opt Options) (*Conn, error) {
	opt.complete()
	if h == nil {
		h = refuse{}
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
	if opt.TLS != nil {
		cfg := opt.TLS
		if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
			cfg = cfg.Clone()
			cfg.ServerName, _, _ = net.SplitHostPort(addr)
		}
		tc := tls.Client(nc, cfg)
		if err := tc.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			return nil, fmt.Errorf("cannot finish the TLS handshake with %s: %w", addr, err)
		}
		nc = tc
	}
	c := newConn(nc, h, opt.Log, opt.MaxFrame)
	c.ser = opt.Serialization
	go c.readLoop()
	return c, nil
}

// refuse answers a peer's requests when its caller expects none.
type refuse struct{}

func (refuse) Serve(r *Request) {
	r.Conn.Reply(r, &Answer{Code: protocol.CodeRequestCodeNotSupported, Remark: fmt.Sprintf(" request type %d not supported", r.Code)})
}
func (refuse) Flush(*Conn)  {}
func (refuse) Closed(*Conn) {}
