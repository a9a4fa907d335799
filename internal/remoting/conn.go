package remoting

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// Limits of a connection. Beyond outHigh bytes of unread answers its requests are not read until it is below half;
// beyond outMax (pushes and long polls that come on top) it is closed. A peer that reads nothing for drainTimeout is closed too.
const (
	readBuffer   = 32 << 10
	outHigh      = 4 << 20
	outMax       = 64 << 20
	drainTimeout = 60 * time.Second
)

// A Request is a frame that came in. Its bytes lie in the connection's read buffer: they are valid until the handler
// returns, unless Detach copies them.
type Request struct {
	protocol.Header
	Body []byte
	Conn *Conn
	at   int64 // when it came; see Asked

	inLoop bool // others wait while it is served
	moved  bool // by Elsewhere
}

// MayWait says that nobody else has to wait when the request's handler does.
func (r *Request) MayWait() bool { return !r.inLoop }

// Elsewhere is asked by a handler before it waits for a disk or a peer. If it says yes, others would have to wait too: the handler returns
// without an answer and without having done anything, and the request is served once more where it disturbs nobody.
func (r *Request) Elsewhere() bool {
	r.moved = r.inLoop
	return r.inLoop
}

// Later returns a copy without fields, remark and body, which is enough for an answer and outlives the handler's call.
func (r *Request) Later() *Request {
	d := &Request{Header: r.Header, Conn: r.Conn, at: r.at}
	d.Fields, d.Remark = nil, nil
	return d
}

// Size is how many bytes the request's fields, remark and body have.
func (r *Request) Size() int {
	n := len(r.Body) + len(r.Remark)
	for _, f := range r.Fields {
		n += len(f.Key) + len(f.Value)
	}
	return n
}

// Detach returns a copy of the request that outlives the handler's call.
func (r *Request) Detach() *Request {
	buf := make([]byte, 0, r.Size())
	keep := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		start := len(buf)
		buf = append(buf, b...)
		return buf[start:len(buf):len(buf)]
	}
	d := r.Later()
	d.Fields = make([]protocol.Field, len(r.Fields))
	for i, f := range r.Fields {
		d.Fields[i] = protocol.Field{Key: keep(f.Key), Value: keep(f.Value)}
	}
	d.Remark, d.Body = keep(r.Remark), keep(r.Body)
	return d
}

// A Handler serves the requests of connections. Its methods are called one at a time for each connection; a panic in
// Serve is answered with SYSTEM_ERROR.
type Handler interface {
	// Serve handles one request. It answers with Conn.Reply, or between Conn.Lock and Unlock, now or later. What may take
	// long asks Request.Elsewhere first.
	Serve(r *Request)
	// Flush is called after the last request that one read of a connection brought.
	Flush(c *Conn)
	// Closed is called once, after the last Serve, and may take long.
	Closed(c *Conn)
}

// A Settler is a Handler that collects what the requests of several connections want, to do it at once.
type Settler interface {
	// Settle is called after Flush, when no other connection is waiting to be served, and must not wait long.
	Settle()
}

func settle(h Handler) {
	if s, ok := h.(Settler); ok {
		s.Settle()
	}
}

// Conn is one connection, of a server or dialed.
type Conn struct {
	// State belongs to the handler. Set and used in its methods only.
	State any
	// Latencies counts how long requests took that are not answered through Reply, which does so itself. It may be nil.
	Latencies *Latencies

	polled        polled       // of one that a loop serves
	nc            net.Conn     // of any other one
	sock          *net.TCPConn // under nc; nil in tests over pipes
	remote, local net.Addr
	proxied       atomic.Pointer[net.TCPAddr] // the client's address as a PROXY header tells it
	handler       Handler
	log           *slog.Logger
	limit         int // largest frame, with its length word
	ser           protocol.Serialization
	tls           *tls.Config // what a TLS hello is answered with; nil refuses it
	tlsOnly       bool

	lastSeen uint32 // of the server's idle loop, under its mu
	silent   int
	seen     atomic.Uint32 // the idle loop's tick at which something last came or left

	in inbound // of whoever reads the connection

	mu        sync.Mutex
	drained   sync.Cond   // mu; signalled when fewer bytes wait, when nobody writes any more, and at the close
	out       *outBuf     // encoded and not yet taken by a writer; nil when there is nothing
	writing   bool        // a goroutine is writing; it will see what is appended meanwhile
	unsent    int         // bytes that were taken and not written yet
	much      atomic.Bool // outHigh was passed
	fullSince time.Time   // when the peer last took some of them
	stalled   bool        // not read any more until the peer takes answers
	closed    atomic.Bool // set under mu
	err       error
	calls     map[int32]chan<- *Response
	opaque    int32

	server *Server       // nil of a dialed one
	ended  chan struct{} // closed when the handler has been told of the end
}

// newConn returns a connection that goroutines of its own serve.
func newConn(nc net.Conn, h Handler, log *slog.Logger, limit int) *Conn {
	c := &Conn{nc: nc, remote: nc.RemoteAddr(), local: nc.LocalAddr(), handler: h, log: log, limit: limit, ended: make(chan struct{})}
	c.drained.L = &c.mu
	c.sock, _ = nc.(*net.TCPConn)
	return c
}

// RemoteAddr is the peer's address: behind a load balancer that tells it in a PROXY header the client's own.
func (c *Conn) RemoteAddr() net.Addr {
	if a := c.proxied.Load(); a != nil {
		return a
	}
	return c.remote
}

// SocketAddr is the address of the socket's other end: behind a load balancer the balancer's. It is what Apache puts into messages.
func (c *Conn) SocketAddr() net.Addr { return c.remote }

// LocalAddr is our address on this connection.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// IsClosed says whether nothing can be sent any more. What is appended then is dropped.
func (c *Conn) IsClosed() bool { return c.closed.Load() }

// Done is closed when the connection has ended and its handler has been told.
func (c *Conn) Done() <-chan struct{} { return c.ended }

// Lock returns the bytes to send, for the caller to append whole frames and give back to Unlock:
//
//	out := c.Lock()
//	out = append(out, frame...)
//	c.Unlock(out)
//
// What happens between must not block. Nothing leaves before Flush.
func (c *Conn) Lock() []byte {
	c.mu.Lock()
	if c.out == nil {
		c.out = outPool.Get().(*outBuf)
	}
	return c.out.b
}

// Unlock ends Lock.
func (c *Conn) Unlock(out []byte) {
	if c.closed.Load() {
		out = out[:0]
	}
	c.out.b = out
	if len(out) > outHigh {
		c.much.Store(true)
	}
	c.mu.Unlock()
}

// waitingLocked is how many bytes the peer has not taken yet.
func (c *Conn) waitingLocked() int {
	n := c.unsent
	if c.out != nil {
		n += len(c.out.b)
	}
	return n
}

// Flush sends what was appended, without waiting for the peer.
func (c *Conn) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waitingLocked() > outMax && c.unsent > 0 && !c.closed.Load() {
		c.log.Warn("connection closed: its peer does not read its answers", "addr", c.RemoteAddr(), "unread_bytes", c.waitingLocked())
		c.closeLocked(errors.New("the peer does not read"))
	}
	if c.writing || c.closed.Load() || c.polled.isFull() || c.out == nil || len(c.out.b) == 0 {
		return
	}
	c.writing = true
	if c.polled.loop != nil {
		c.writeLocked(c.takeLocked(), 0)
		return
	}
	go c.drainLoop(c.takeLocked()) // for writing may block
}

// takeLocked takes what is to be sent; nil when there is nothing or nobody to send it to.
func (c *Conn) takeLocked() *outBuf {
	buf := c.out
	if buf == nil || len(buf.b) == 0 || c.closed.Load() {
		return nil
	}
	c.out = nil
	return buf
}

// release gives a buffer back to those who write answers. Big ones go.
func (o *outBuf) release() {
	if cap(o.b) <= outPooled {
		o.b = o.b[:0]
		outPool.Put(o)
	}
}

// drainLoop writes to a connection that has no loop, until there is nothing more to write.
func (c *Conn) drainLoop(buf *outBuf) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; buf != nil; buf = c.takeLocked() {
		for n := 0; n < len(buf.b); {
			c.unsent = len(buf.b) - n
			c.mu.Unlock()
			_ = c.nc.SetWriteDeadline(time.Now().Add(drainTimeout))
			w, err := c.nc.Write(buf.b[n:min(n+256<<10, len(buf.b))])
			c.mu.Lock()
			n += w
			if w > 0 {
				c.stir()
			}
			if err != nil {
				if isTimeout(err) {
					c.deafLocked()
				}
				c.closeLocked(err)
				break
			}
			c.drained.Broadcast()
		}
		c.unsent = 0
		buf.release()
	}
	c.writing = false
	c.drained.Broadcast()
}

// deafLocked says that the peer takes nothing.
func (c *Conn) deafLocked() {
	c.log.Warn("connection closed: its peer reads nothing", "addr", c.RemoteAddr(), "for", drainTimeout, "unread_bytes", c.waitingLocked())
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// waitRoom holds the reader while the peer leaves too many answers unread.
func (c *Conn) waitRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stalled = c.waitingLocked() > outHigh
	for c.stalled && !c.closed.Load() {
		c.drained.Wait()
		c.stalled = c.waitingLocked() > outHigh/2
	}
}

// Close closes the connection. Calls that wait for an answer fail.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closeLocked(net.ErrClosed)
	c.mu.Unlock()
	return nil
}

// hangUp ends both directions, so that the reader and the writer wake. The descriptor itself is closed by finish, when
// nobody uses it any more: net.Conn's Close would wait for the reader, who may be the caller.
func (c *Conn) hangUp() {
	switch {
	case c.polled.loop != nil:
		c.polled.shutdown()
	case c.sock != nil:
		_ = c.sock.CloseWrite()
		_ = c.sock.CloseRead()
	default:
		_ = c.nc.Close()
	}
}

func (c *Conn) closeLocked(err error) {
	if c.closed.Load() {
		return
	}
	c.closed.Store(true)
	c.err = err
	c.hangUp()
	for _, ch := range c.calls {
		close(ch)
	}
	c.calls = nil
	if c.out != nil {
		c.out.b = c.out.b[:0]
	}
	c.polled.dropLocked()
	c.drained.Broadcast()
}

// readLoop serves a connection that has no loop, until it ends.
func (c *Conn) readLoop() { c.finish(c.readStream()) }

// greetLoop is readLoop for a connection that was accepted: its first bytes say what it speaks.
func (c *Conn) greetLoop() {
	n, err := c.nc.Read(c.in.room())
	c.in.n = n
	switch {
	case n > 0 && !c.isPlain():
		err = c.upgrade()
	case err == nil:
		var r Request
		if err = c.serveAll(&r); err == nil {
			err = c.readStream()
		}
	}
	c.finish(err)
}

// finish ends the connection. Whoever reads it calls it, once.
func (c *Conn) finish(err error) {
	c.in.release()
	switch {
	case c.server != nil && isOutOfFiles(err):
		c.server.refuses(err)
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !isReset(err):
		c.log.Warn("connection closed", "addr", c.RemoteAddr(), "err", err)
	case c.in.torn() && !c.IsClosed():
		c.log.Info("connection ended by its peer within a frame", "addr", c.RemoteAddr(), "bytes", c.in.n, "of_at_least", max(c.in.need, 8))
	}
	if err == nil {
		err = io.EOF
	}
	c.mu.Lock()
	c.closeLocked(err)
	for c.writing {
		c.drained.Wait()
	}
	c.mu.Unlock()
	if c.polled.loop != nil {
		c.polled.close()
	} else {
		_ = c.nc.Close()
	}
	c.handler.Closed(c)
	if c.server != nil {
		c.server.left(c)
	}
	close(c.ended)
}

// isReset says whether the peer has ended the connection its own way.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// isOutOfFiles says whether the process, or the machine, has too many open files to serve another connection.
func isOutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// inbound is the reading side's state: bytes that came and are not served yet.
type inbound struct {
	buf  []byte // from the pool while there is something in it
	n    int    // buf[:n] has come
	need int    // bytes that the frame at the front needs; 0 when unknown

	moved *Request // to be served before what is in buf, by a goroutine
}

// room makes space for the next read: doubling, never sized by what the peer claims.
func (in *inbound) room() []byte {
	if in.buf == nil {
		in.buf = readPool.Get().(*readBuf)[:]
	}
	if in.n == len(in.buf) {
		grown := make([]byte, min(2*len(in.buf), max(in.need, 2*readBuffer)))
		copy(grown, in.buf[:in.n])
		in.release()
		in.buf = grown
	}
	return in.buf[in.n:]
}

// torn says that what has come ends within a frame.
func (in *inbound) torn() bool { return in.n > 0 && (in.n < 8 || in.need > in.n) }

func (in *inbound) release() {
	if len(in.buf) == readBuffer {
		readPool.Put((*readBuf)(in.buf))
	}
	in.buf = nil
}

// stop says why serve has not handled all that came.
type stop uint8

const (
	allServed     stop = iota
	peerIsDeaf         // too many answers wait
	goesElsewhere      // the request in inbound.moved asks for it
)

// serve handles the whole frames that came, with r for one after the other, and keeps the rest.
func (c *Conn) serve(r *Request) (why stop, err error) {
	in := &c.in
	c.stir()
	if c.Latencies != nil {
		r.at = clock()
	}
	at, served := 0, false
	in.need = 0
	for in.n-at >= 8 {
		length := int(binary.BigEndian.Uint32(in.buf[at:]))
		header := int(binary.BigEndian.Uint32(in.buf[at+4:]) & 0xFFFFFF)
		if length < 4 || length > c.limit-4 || header > length-4 {
			err = frameError(in.buf[at:in.n], length, header, c.limit)
			break
		}
		if in.n-at < length+4 {
			in.need = length + 4
			break
		}
		frame := in.buf[at : at+length+4 : at+length+4]
		if err = protocol.DecodeHeader(&r.Header, protocol.Serialization(frame[4]), frame[8:8+header]); err != nil {
			break
		}
		r.Conn, r.Body, r.moved = c, frame[8+header:], false
		if r.IsResponse() {
			c.answered(r)
		} else if c.serveOne(r); r.moved {
			c.in.moved = r.Detach() // not the frame, whose text is read in place and but once
			why = goesElsewhere
		} else {
			served = true
		}
		at += length + 4
		if r.moved {
			break
		}
		if c.much.Load() && c.flushMuch() {
			why = peerIsDeaf
			break
		}
	}
	if served {
		c.flushBatch()
	}
	if at == in.n {
		in.n = 0
		in.release()
	} else if at > 0 {
		in.n = copy(in.buf, in.buf[at:in.n])
	}
	return why, err
}

// flushMuch sends what has become much though not all requests of a read are served, and says whether too much is left.
func (c *Conn) flushMuch() bool {
	c.flushBatch()
	settle(c.handler)
	c.mu.Lock()
	defer c.mu.Unlock()
	much := c.waitingLocked() > outHigh
	c.much.Store(much)
	return much
}

func (c *Conn) flushBatch() {
	c.handler.Flush(c)
	c.Flush()
}

// serveOne keeps a panic of one request from everybody else.
func (c *Conn) serveOne(r *Request) {
	defer c.guard(r)
	c.handler.Serve(r)
}

// guard answers a panic, as a deferred call.
func (c *Conn) guard(r *Request) {
	if p := recover(); p != nil {
		c.log.Error("panic while serving a request", "code", r.Code, "addr", c.RemoteAddr(), "err", fmt.Sprint(p), "stack", string(debug.Stack()))
		c.Reply(r, &Answer{Code: protocol.CodeSystemError, Remark: fmt.Sprintf("internal error while serving %s (%d); the server's log has the details", protocol.RequestName(int(r.Code)), r.Code)})
	}
}

// Guard calls do, which serves a detached request beside its connection; a panic is answered with SYSTEM_ERROR.
func Guard(r *Request, do func()) {
	defer r.Conn.guard(r)
	do()
}

// isHTTP knows the first line of a request or an answer.
var isHTTP = regexp.MustCompile(`^([A-Z]{3,8} .* )?HTTP/[0-9]`)

// frameError says what is wrong with a frame whose lengths make no sense.
func frameError(b []byte, length, header, limit int) error {
	head := fmt.Sprintf("% x", b[:min(len(b), 16)])
	if line, _, _ := bytes.Cut(b[:min(len(b), 200)], []byte("\r\n")); isHTTP.Match(line) {
		return fmt.Errorf("cannot read frame: what is at the other end speaks HTTP and not RocketMQ's protocol (%q)", line)
	}
	if uint32(length) > uint32(limit-4) {
		return fmt.Errorf("cannot read frame: its length %d and the 4 bytes that hold it are over the limit of %d bytes, com.rocketmq.remoting.frameMaxLength (first bytes %s: is this RocketMQ?)", uint32(length), limit, head)
	}
	return fmt.Errorf("cannot read frame: header length %d does not fit frame length %d (first bytes %s)", header, length, head)
}

// readStream reads a connection that has no loop.
func (c *Conn) readStream() error {
	var r Request
	for {
		n, err := c.nc.Read(c.in.room())
		c.in.n += n
		if n > 0 {
			if err := c.serveAll(&r); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// serveAll is serve for who may wait for the peer.
func (c *Conn) serveAll(r *Request) error {
	for {
		why, err := c.serve(r)
		settle(c.handler)
		if err != nil {
			return err
		}
		c.waitRoom()
		if why == allServed {
			return nil
		}
	}
}

// tick is the coarse clock of idle connections: idleLoops move it.
var tick atomic.Uint32

// stir says that the connection is not idle.
func (c *Conn) stir() {
	if now := tick.Load(); c.seen.Load() != now {
		c.seen.Store(now)
	}
}

type (
	readBuf [readBuffer]byte
	outBuf  struct{ b []byte }
)

// outPooled is the largest buffer of answers that is kept for reuse.
const outPooled = 512 << 10

var (
	readPool = sync.Pool{New: func() any { return new(readBuf) }}
	outPool  = sync.Pool{New: func() any { return &outBuf{make([]byte, 0, 4<<10)} }}
)
