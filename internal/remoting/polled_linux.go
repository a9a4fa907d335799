package remoting

import (
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// polled is what a connection has that a loop serves.
type polled struct {
	loop    *loop // nil when no loop does; set before the first event, under Conn.mu
	fd      int
	place   int32
	greeted bool        // its first bytes were a frame's
	away    atomic.Bool // not served by the loop; set by the goroutine that has it, or under loop.mu, and cleared under loop.mu
	watched atomic.Bool // what was written or is to be read waits for the socket to take more

	// Protected by Conn.mu.
	rest   *outBuf // what the socket did not take, from restAt on
	restAt int
	again  bool // the socket has become empty while a goroutine was writing
}

// rearm makes the kernel tell once more what the socket is ready for.
func (p *polled) rearm() {
	_ = syscall.EpollCtl(p.loop.epoll, syscall.EPOLL_CTL_MOD, p.fd, &syscall.EpollEvent{Events: socketEvents, Fd: p.place})
}

// stall stops reading the connection if its peer leaves too many answers unread, until write sees that it does not any more.
func (c *Conn) stall() bool {
	if !c.much.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stalled = c.waitingLocked() > outHigh && !c.closed.Load(); c.stalled {
		// A writer may have found the socket full while nobody watched; that it became empty since was passed over then.
		c.polled.again = c.polled.again || c.writing
		c.polled.watched.Store(true)
	} else {
		c.much.Store(false)
	}
	return c.stalled
}

// write goes on with what the socket did not take, and says whether the connection must still not be read.
func (c *Conn) write() (stalled bool) {
	p := &c.polled
	c.mu.Lock()
	defer c.mu.Unlock()
	if buf := p.rest; buf != nil {
		p.rest, c.writing = nil, true
		c.writeLocked(buf, p.restAt)
	} else if c.writing {
		p.again = true
	}
	c.stalled = c.stalled && !c.closed.Load() && c.waitingLocked() > outHigh/2
	p.watched.Store(c.stalled || c.writing || p.rest != nil)
	return c.stalled
}

// writeLocked writes buf from n on, and what is appended meanwhile, until the socket takes no more. The caller holds mu, which is free
// meanwhile, and has set writing.
func (c *Conn) writeLocked(buf *outBuf, n int) {
	p := &c.polled
	for buf != nil && !c.closed.Load() {
		c.mu.Unlock()
		w, err := writeFD(p.fd, buf.b[n:])
		c.mu.Lock()
		n += w
		if err != nil {
			c.closeLocked(err)
			break
		}
		if w > 0 {
			c.stir()
		}
		if n == len(buf.b) {
			c.unsent = 0
			buf.release()
			buf, n = c.takeLocked(), 0
			continue
		}
		c.unsent = len(buf.b) - n
		if w > 0 || c.fullSince.IsZero() {
			c.fullSince = time.Now()
		}
		if p.again || !p.watched.Load() { // it may have become empty before it was said that somebody waits for that
			p.again = false
			p.watched.Store(true)
			continue
		}
		p.rest, p.restAt = buf, n
		c.writing = false
		c.drained.Broadcast()
		return
	}
	c.unsent, c.fullSince = 0, time.Time{}
	if c.stalled {
		p.rearm() // the loop looks at it again
	}
	c.writing = false
	c.drained.Broadcast()
}

// closeDeaf closes a connection whose peer takes nothing.
func (c *Conn) closeDeaf() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.polled.rest != nil && !c.closed.Load() && time.Since(c.fullSince) > drainTimeout {
		c.deafLocked()
		c.closeLocked(errors.New("the peer does not read"))
	}
}

// dropLocked forgets what will not be written any more.
func (p *polled) dropLocked() {
	if p.rest != nil {
		p.rest.release()
		p.rest = nil
	}
}

// isFull says whether something waits for the socket to take more; the caller holds the connection's mu.
func (p *polled) isFull() bool { return p.rest != nil }

func (p *polled) shutdown() { _ = syscall.Shutdown(p.fd, syscall.SHUT_RDWR) }

func (p *polled) close() {
	if p.fd >= 0 {
		_ = syscall.Close(p.fd)
	}
}

// The calls of onSocket. What read and write do for files besides is some hundredths of a quiet broker's time.
const (
	fromSocket = unix.SYS_RECVFROM
	toSocket   = unix.SYS_SENDTO
)

// readFD reads what the socket has.
func readFD(fd int, b []byte) (int, error) { return onSocket(fromSocket, fd, b) }

// writeFD writes what the socket takes at once.
func writeFD(fd int, b []byte) (n int, err error) {
	for n < len(b) {
		w, err := onSocket(toSocket, fd, b[n:])
		n += w
		switch err {
		case nil:
		case syscall.EAGAIN:
			return n, nil
		default:
			return n, err
		}
	}
	return n, nil
}
