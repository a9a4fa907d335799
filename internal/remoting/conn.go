package remoting

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// Limits of a connection. Beyond outHigh bytes of unread answers its requests are not read until it is below half;
// beyond outMax (pushes and long polls that come on top) it is closed.
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
}

// Later returns a copy without fields, remark and body, which is enough for an answer and outlives the handler's call.
func (r *Request) Later() *Request {
	d := &Request{Header: r.Header, Conn: r.Conn, at: r.at}
	d.Fields, d.Remark = nil, nil
	return d
}

// Detach returns a copy of the request that outlives the handler's call.
func (r *Request) Detach() *Request {
	n := len(r.Body) + len(r.Remark)
	for _, f := range r.Fields {
		n += len(f.Key) + len(f.Value)
	}
	buf := make([]byte, 0, n)
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

// A Handler serves the requests of connections. Its methods are called in the connection's own goroutine; a panic in
// Serve is answered with SYSTEM_ERROR.
type Handler interface {
	// Serve handles one request. It answers with Conn.Reply, or between Conn.Lock and Unlock, now or later.
	Serve(r *Request)
	// Flush is called after the last request that one read brought.
	Flush(c *Conn)
	// Closed is called once, after the last Serve.
	Closed(c *Conn)
}

// Conn is one connection, of a server or dialed.
type Conn struct {
	// State belongs to the handler. Set and used in the connection's own goroutine only.
	State any
	// Latencies counts how long requests took that are not answered through Reply, which does so itself. It may be nil.
	Latencies *Latencies

	nc      net.Conn
	sock    *net.TCPConn    // under nc; nil in tests over pipes
	raw     syscall.RawConn // nil where bytes cannot go straight to the socket (TLS)
	handler Handler
	log     *slog.Logger
	limit   int // largest frame
	ser     protocol.Serialization
	tls     *tls.Config // what a TLS hello is answered with; nil refuses it
	tlsOnly bool
	dialed  bool

	lastSeen uint32 // of the server's idle loop, under its mu
	silent   int
	hung     atomic.Bool   // set before the socket is shut down; the reader must not wait any more
	seen     atomic.Uint32 // the idle loop's tick at which something last came or went

	mu       sync.Mutex
	drained  sync.Cond // mu; signalled when out shrinks or the connection closes
	out      *outBuf   // encoded and not yet taken by a writer; nil when there is nothing
	writing  bool      // a goroutine is writing; it will see what is appended meanwhile
	unsent   int       // bytes that the drain goroutine has taken and not written yet
	stalled  bool      // the reader waits for the peer
	closed   bool
	err      error
	calls    map[int32]chan<- *Response
	opaque   int32
	drainers sync.WaitGroup

	direct func(fd uintptr) bool // one attempt to write dbuf; made once so that writing allocates nothing
	dbuf   []byte
	dn     int
	derr   error

	ended chan struct{} // closed when readLoop has returned
}

func newConn(nc net.Conn, h Handler, log *slog.Logger, limit int) *Conn {
	c := &Conn{nc: nc, handler: h, log: log, limit: limit, ended: make(chan struct{})}
	c.drained.L = &c.mu
	if sock, ok := nc.(*net.TCPConn); ok {
		c.sock = sock
		if raw, err := sock.SyscallConn(); err == nil && directIO {
			c.raw = raw
			c.direct = func(fd uintptr) bool {
				c.dn, c.derr = writeFD(fd, c.dbuf)
				return true
			}
		}
	}
	return c
}

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// LocalAddr is our address on this connection.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

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
	if c.closed {
		out = out[:0]
	}
	c.out.b = out
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
	if c.waitingLocked() > outMax && !c.closed {
		c.log.Warn("connection closed: its peer does not read its answers", "addr", c.RemoteAddr(), "unread_bytes", c.waitingLocked())
		c.closeLocked(errors.New("the peer does not read"))
	}
	if c.writing || c.closed {
		return
	}
	c.writing = true
	for buf := c.takeLocked(); buf != nil; buf = c.takeLocked() {
		c.mu.Unlock()
		n, err := c.writeDirect(buf.b)
		c.mu.Lock()
		if err != nil {
			c.closeLocked(err)
			break
		}
		if n < len(buf.b) { // the socket is full: a goroutine of its own waits for the peer
			c.unsent = len(buf.b) - n
			c.drainers.Add(1)
			go c.drainLoop(buf, n)
			return
		}
		buf.release()
	}
	c.writing = false
}

// takeLocked takes what is to be sent; nil when there is nothing or nobody to send it to.
func (c *Conn) takeLocked() *outBuf {
	buf := c.out
	if buf == nil || len(buf.b) == 0 || c.closed {
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

func (c *Conn) writeDirect(buf []byte) (int, error) {
	if c.raw == nil {
		return 0, nil // TLS: always through the drain goroutine, for writing may block
	}
	c.dbuf = buf
	if err := c.raw.Write(c.direct); err != nil {
		return 0, err
	}
	c.dbuf = nil
	return c.dn, c.derr
}

// drainLoop writes what the socket did not take at once, and all that comes meanwhile.
func (c *Conn) drainLoop(buf *outBuf, n int) {
	defer c.drainers.Done()
	for buf != nil {
		for n < len(buf.b) {
			_ = c.nc.SetWriteDeadline(time.Now().Add(drainTimeout))
			w, err := c.nc.Write(buf.b[n:min(n+256<<10, len(buf.b))])
			n += w
			c.mu.Lock()
			c.unsent = len(buf.b) - n
			if err != nil {
				if isTimeout(err) {
					c.log.Warn("connection closed: its peer reads nothing", "addr", c.RemoteAddr(), "for", drainTimeout, "unread_bytes", c.waitingLocked())
				}
				c.closeLocked(err)
				c.mu.Unlock()
				return
			}
			c.drained.Broadcast()
			c.mu.Unlock()
		}
		buf.release()
		c.mu.Lock()
		n, c.unsent = 0, 0
		if buf = c.takeLocked(); buf != nil {
			c.unsent = len(buf.b)
		} else {
			c.writing = false
		}
		c.drained.Broadcast()
		c.mu.Unlock()
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// waitRoom holds the reader while the peer leaves too many answers unread.
func (c *Conn) waitRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waitingLocked() <= outHigh {
		return
	}
	c.stalled = true
	for !c.closed && c.waitingLocked() > outHigh/2 {
		c.drained.Wait()
	}
	c.stalled = false
}

// Close closes the connection. Calls that wait for an answer fail.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closeLocked(net.ErrClosed)
	c.mu.Unlock()
	return nil
}

// hangUp ends both directions, so that the reader and the writer wake. The descriptor itself is closed by readLoop, when
// nobody uses it any more: net.Conn's Close would wait for the reader, who may be the caller.
func (c *Conn) hangUp() {
	c.hung.Store(true)
	if c.sock == nil {
		_ = c.nc.Close()
		return
	}
	_ = c.sock.CloseWrite()
	_ = c.sock.CloseRead()
}

func (c *Conn) closeLocked(err error) {
	if c.closed {
		return
	}
	c.closed, c.err = true, err
	c.hangUp()
	for _, ch := range c.calls {
		close(ch)
	}
	c.calls = nil
	if c.out != nil {
		c.out.b = c.out.b[:0]
	}
	c.drained.Broadcast()
}

// readLoop serves the connection until it ends.
func (c *Conn) readLoop() {
	err := c.read()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !isReset(err) {
		c.log.Warn("connection closed", "addr", c.RemoteAddr(), "err", err)
	}
	if err == nil {
		err = io.EOF
	}
	c.mu.Lock()
	c.closeLocked(err)
	c.mu.Unlock()
	c.drainers.Wait()
	_ = c.nc.Close()
	c.handler.Closed(c)
	close(c.ended)
}

// inbound is the reading side's state: bytes that came and are not served yet.
type inbound struct {
	buf  []byte // from the pool while there is something in it
	n    int    // buf[:n] has come
	req  Request
	need int // bytes that the frame at the front needs; 0 when unknown
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

func (in *inbound) release() {
	if len(in.buf) == readBuffer {
		readPool.Put((*readBuf)(in.buf))
	}
	in.buf = nil
}

// serve handles all whole frames in the buffer and keeps the rest.
func (c *Conn) serve(in *inbound) error {
	c.seen.Store(tick.Load())
	if c.Latencies != nil {
		in.req.at = clock()
	}
	at, served := 0, false
	in.need = 0
	for in.n-at >= 8 {
		length := int(binary.BigEndian.Uint32(in.buf[at:]))
		header := int(binary.BigEndian.Uint32(in.buf[at+4:]) & 0xFFFFFF)
		if length < 4 || length > c.limit || header > length-4 {
			if served {
				c.flushBatch()
			}
			return frameError(in.buf[at:in.n], length, header, c.limit)
		}
		if in.n-at < length+4 {
			in.need = length + 4
			break
		}
		frame := in.buf[at : at+length+4 : at+length+4]
		at += length + 4
		r := &in.req
		r.Conn = c
		if err := protocol.DecodeHeader(&r.Header, protocol.Serialization(frame[4]), frame[8:8+header]); err != nil {
			if served {
				c.flushBatch()
			}
			return err
		}
		r.Body = frame[8+header:]
		if r.IsResponse() {
			c.answered(r)
			continue
		}
		c.serveOne(r)
		served = true
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
	if served {
		c.waitRoom()
	}
	return nil
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

// frameError says what is wrong with a frame whose lengths make no sense.
func frameError(b []byte, length, header, limit int) error {
	head := fmt.Sprintf("% x", b[:min(len(b), 16)])
	if uint32(length) > uint32(limit) {
		return fmt.Errorf("cannot read frame: its length %d is over the limit of %d bytes (first bytes %s: is this a RocketMQ client?)", uint32(length), limit, head)
	}
	return fmt.Errorf("cannot read frame: header length %d does not fit frame length %d (first bytes %s)", header, length, head)
}

// readStream reads a connection that has no socket of its own to read from: TLS.
func (c *Conn) readStream(in *inbound) error {
	for {
		n, err := c.nc.Read(in.room())
		in.n += n
		if n > 0 {
			if err := c.serve(in); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// tick is the coarse clock of idle connections: idleLoops move it.
var tick atomic.Uint32

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
