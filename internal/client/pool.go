package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// dialTimeout bounds how long a connection may take to be made, as Apache's connectTimeoutMillis.
const dialTimeout = 3 * time.Second

// FrameMax is the largest answer that command-line tools take, in bytes: servers may have been told to send more than clients take by
// default. Text that is taken for a length, or a record of TLS, is over it, so that a server of another kind is still seen at once.
const FrameMax = 256 << 20

// ErrClosed is returned by calls on a closed Pool.
var ErrClosed = errors.New("client is closed")

// Pool keeps one connection to each address that was called, and makes it anew when it has ended. It is safe for
// concurrent use; calls to one address share its connection. An address that does not answer delays only its own callers.
type Pool struct {
	// Timeout, unless 0, bounds each call for an answer beside its context. It is set before the first call.
	Timeout time.Duration

	opt     remoting.Options
	handler remoting.Handler
	ctx     context.Context // ends at Close
	cancel  context.CancelFunc
	dials   sync.WaitGroup

	mu     sync.Mutex // protects the fields below
	links  map[string]*link
	open   map[*remoting.Conn]struct{} // every connection whose Done has not been seen
	closed bool
}

// link is the connection to one address, or the attempt to make it.
type link struct {
	ready chan struct{} // closed when conn or err is set
	conn  *remoting.Conn
	err   error
}

// NewPool makes a pool whose connections have these options. Requests that peers send are served by h; nil refuses them.
func NewPool(h remoting.Handler, opt remoting.Options) *Pool {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Pool{opt: opt, handler: h, ctx: ctx, cancel: cancel, links: make(map[string]*link), open: make(map[*remoting.Conn]struct{})}
}

// Close ends all connections and waits for them. Calls under way fail.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.dials.Wait()
	p.mu.Lock()
	open := p.open
	p.open = nil
	p.mu.Unlock()
	for c := range open {
		_ = c.Close()
	}
	for c := range open {
		<-c.Done()
	}
	return nil
}

// Conn returns the connection to addr, making it if there is none. Whoever wants to know when it ends waits for its Done.
func (p *Pool) Conn(ctx context.Context, addr string) (*remoting.Conn, error) {
	l, err := p.link(addr)
	if err != nil {
		return nil, err
	}
	select {
	case <-l.ready:
		return l.conn, l.err
	case <-ctx.Done():
		return nil, fmt.Errorf("cannot connect to %s: %w", addr, context.Cause(ctx))
	}
}

// link returns the link to addr, which may be on its way.
func (p *Pool) link(addr string) (*link, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("cannot connect to %s: %w", addr, ErrClosed)
	}
	if l := p.links[addr]; l != nil && l.usable() {
		return l, nil
	}
	p.sweepLocked()
	l := &link{ready: make(chan struct{})}
	p.links[addr] = l
	p.dials.Go(func() { p.dial(addr, l) })
	return l, nil
}

// usable is false when the connection has ended or was never made.
func (l *link) usable() bool {
	select {
	case <-l.ready:
	default:
		return true
	}
	return l.err == nil && !ended(l.conn)
}

func ended(c *remoting.Conn) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

// sweepLocked forgets connections that have ended, so that addresses which are gone for good do not pile up.
func (p *Pool) sweepLocked() {
	for c := range p.open {
		if ended(c) {
			delete(p.open, c)
		}
	}
	for addr, l := range p.links {
		if !l.usable() {
			delete(p.links, addr)
		}
	}
}

func (p *Pool) dial(addr string, l *link) {
	defer close(l.ready)
	ctx, cancel := context.WithTimeoutCause(p.ctx, dialTimeout, fmt.Errorf("no answer within %s", dialTimeout))
	defer cancel()
	l.conn, l.err = remoting.Dial(ctx, addr, p.handler, p.opt)
	if l.err != nil {
		return
	}
	p.mu.Lock()
	p.open[l.conn] = struct{}{}
	p.mu.Unlock()
}

// Call sends a request to addr and waits for its answer. An answer that is a refusal is returned as an answer.
func (p *Pool) Call(ctx context.Context, addr string, call *remoting.Call) (*remoting.Response, error) {
	if p.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.Timeout)
		defer cancel()
	}
	c, err := p.Conn(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("cannot call %s: %w", protocol.RequestName(call.Code), err)
	}
	return c.Call(ctx, call)
}

// Notify sends a one-way request to addr.
func (p *Pool) Notify(ctx context.Context, addr string, call *remoting.Call) error {
	c, err := p.Conn(ctx, addr)
	if err != nil {
		return fmt.Errorf("cannot send %s: %w", protocol.RequestName(call.Code), err)
	}
	return c.Notify(call)
}

// ask is Call for requests whose only good answer is SUCCESS. Subject says what the request is about, for errors: a topic.
func (p *Pool) ask(ctx context.Context, addr, subject string, call *remoting.Call) (*remoting.Response, error) {
	r, err := p.Call(ctx, addr, call)
	if err == nil && r.Code != protocol.CodeSuccess {
		err = refusal(call.Code, addr, r)
	}
	if err != nil {
		return nil, about(subject, err)
	}
	return r, nil
}

// do is ask for who wants to know no more.
func (p *Pool) do(ctx context.Context, addr, subject string, call *remoting.Call) error {
	_, err := p.ask(ctx, addr, subject, call)
	return err
}

// answer is ask for answers with a header.
func answer[H any](ctx context.Context, p *Pool, addr, subject string, call *remoting.Call) (h H, err error) {
	r, err := p.ask(ctx, addr, subject, call)
	if err != nil {
		return h, err
	}
	return h, about(subject, r.DecodeFields(&h))
}

// fetch is ask for answers with a JSON body.
func fetch[T any](ctx context.Context, p *Pool, addr, subject string, call *remoting.Call) (*T, error) {
	r, err := p.ask(ctx, addr, subject, call)
	if err != nil {
		return nil, err
	}
	v, err := decode[T](r, call.Code)
	return v, about(subject, err)
}

// tell is do for a call that gets a JSON body.
func (p *Pool) tell(ctx context.Context, addr, subject string, call *remoting.Call, body any) (err error) {
	if call.Body, err = fastjson.Marshal(body); err != nil {
		return fmt.Errorf("cannot write %s: %w", protocol.RequestName(call.Code), err)
	}
	return p.do(ctx, addr, subject, call)
}

// refusal is an answer that says no, as an error.
func refusal(code int, addr string, r *remoting.Response) error {
	return fmt.Errorf("cannot call %s at %s: %w", protocol.RequestName(code), addr, r.Err())
}

// about puts what a request was about before its error.
func about(subject string, err error) error {
	if subject == "" || err == nil {
		return err
	}
	return fmt.Errorf("%s: %w", subject, err)
}
