//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"
)

// A loop drives all connections of the generator from one thread. Two things follow from that: the generator is cheap
// next to the servers it measures (no goroutine switches, one system call for whatever a connection brought), and it can
// never take more than one core from them.
type loop struct {
	epoll  int
	conns  []*conn
	events [128]syscall.EpollEvent
	// writeEach sends each request with a write of its own, instead of all that one read has made possible in one write.
	writeEach bool
}

// A conn is one client connection. Requests are appended to out; the loop writes it after the frames of a read are handled.
type conn struct {
	fd   int
	in   []byte // in[:have] came and is not handled yet
	have int
	out  []byte
	cuts []int // where the requests in out end, kept only when each is written on its own
	// took handles one frame, given without its length word. now is when the read that brought it returned.
	took func(c *conn, frame []byte, now time.Duration) error
}

var processStart = time.Now()

// clock is the time since the generator started; it never jumps.
func clock() time.Duration { return time.Since(processStart) }

func newLoop(writeEach bool) (*loop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make an epoll: %w", err)
	}
	return &loop{epoll: epoll, writeEach: writeEach}, nil
}

func (l *loop) close() {
	for _, c := range l.conns {
		syscall.Close(c.fd)
	}
	syscall.Close(l.epoll)
}

// dial connects to a server on an IPv4 address.
func (l *loop) dial(addr string, took func(*conn, []byte, time.Duration) error) (*conn, error) {
	target, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("cannot read the address %q: %w", addr, err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	c := &conn{fd: fd, in: make([]byte, 4<<10), took: took}
	err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(target.Port()), Addr: target.Addr().As4()})
	if err == nil {
		err = errors.Join(syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1), syscall.SetNonblock(fd, true))
	}
	if err == nil {
		err = syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd,
			&syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(len(l.conns))})
	}
	if err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
	l.conns = append(l.conns, c)
	return c, nil
}

// runFor serves the connections for a time, or until done says so.
func (l *loop) runFor(ctx context.Context, d time.Duration, done func() bool) error {
	for end := clock() + d; ; {
		left := end - clock()
		if left <= 0 || done != nil && done() {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		// At most 20 ms, so that done and ctx are looked at even when nothing comes.
		if err := l.turn(min(left, 20*time.Millisecond)); err != nil {
			return err
		}
	}
}

func (l *loop) turn(wait time.Duration) error {
	ms := int((wait + time.Millisecond - 1) / time.Millisecond)
	// Raw, so that Go's scheduler does not give this thread's place away and have to find it another one at each turn.
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])),
		uintptr(len(l.events)), uintptr(ms), 0, 0)
	if errno == syscall.EINTR {
		return nil
	}
	if errno != 0 {
		return fmt.Errorf("cannot wait for the servers' answers: %w", errno)
	}
	for i := range int(n) {
		c := l.conns[l.events[i].Fd]
		if err := l.serve(c); err != nil {
			return err
		}
	}
	return nil
}

// serve reads once what a connection has brought, handles the whole frames in it, and writes what they led to.
func (l *loop) serve(c *conn) error {
	got, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(c.fd), uintptr(unsafe.Pointer(&c.in[c.have])),
		uintptr(len(c.in)-c.have))
	n := int(got)
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return nil
	case errno != 0:
		return fmt.Errorf("cannot read from the server: %w", errno)
	case n == 0:
		return fmt.Errorf("cannot go on, the server closed a connection: %w", io.ErrUnexpectedEOF)
	}
	now := clock()
	c.have += n
	rest := c.in[:c.have]
	for len(rest) >= 4 {
		size := int(binary.BigEndian.Uint32(rest))
		if size > frameSizeMax {
			return fmt.Errorf("%w: it says that it has %d bytes", errFrame, size)
		}
		if len(rest) < 4+size {
			if need := 4 + size; need > len(c.in) {
				grown := make([]byte, 2*need)
				copy(grown, rest)
				c.in, rest = grown, grown[:len(rest)]
			}
			break
		}
		if err := c.took(c, rest[4:4+size], now); err != nil {
			return err
		}
		rest = rest[4+size:]
	}
	c.have = copy(c.in, rest)
	if c.have == len(c.in) {
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	return l.flush(c)
}

// flush writes what waits in c.out.
func (l *loop) flush(c *conn) error {
	from := 0
	for _, to := range c.cuts {
		if err := writeAll(c.fd, c.out[from:to]); err != nil {
			return err
		}
		from = to
	}
	err := writeAll(c.fd, c.out[from:])
	c.out, c.cuts = c.out[:0], c.cuts[:0]
	return err
}

// posted marks the end of one request in c.out.
func (l *loop) posted(c *conn) {
	if l.writeEach {
		c.cuts = append(c.cuts, len(c.out))
	}
}

// writeAll waits in small steps for a full socket buffer: what is in flight is bounded, so a server that reads empties it.
func writeAll(fd int, data []byte) error {
	for tries := 0; len(data) > 0; {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)))
		switch {
		case errno == 0:
			data = data[n:]
		case errno == syscall.EAGAIN && tries < 100_000:
			tries++
			time.Sleep(100 * time.Microsecond)
		case errno != syscall.EINTR:
			return fmt.Errorf("cannot write to the server: %w", errno)
		}
	}
	return nil
}

// call sends one request over a connection of its own and waits for its answer. For all that is not measured.
func call(addr string, r request) (answer, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return answer{}, err
	}
	defer c.Close()
	return exchange(c, r, 30*time.Second)
}

func exchange(c net.Conn, r request, timeout time.Duration) (answer, error) {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return answer{}, err
	}
	if _, err := c.Write(r.appendTo(nil, jsonHeader)); err != nil {
		return answer{}, fmt.Errorf("cannot send request %d: %w", r.code, err)
	}
	for {
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return answer{}, fmt.Errorf("cannot read the answer to request %d: %w", r.code, err)
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > frameSizeMax {
			return answer{}, fmt.Errorf("%w: it says that it has %d bytes", errFrame, n)
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(c, frame); err != nil {
			return answer{}, fmt.Errorf("cannot read the answer to request %d: %w", r.code, err)
		}
		a, err := parseAnswer(frame)
		if err != nil || a.isResponse && a.opaque == r.opaque {
			return a, err
		}
	}
}

// must is call for requests that have to succeed.
func must(addr string, r request) (answer, error) {
	a, err := call(addr, r)
	if err == nil && a.code != answerOK {
		err = fmt.Errorf("cannot do request %d: the server answers %d %q", r.code, a.code, a.remark())
	}
	return a, err
}
