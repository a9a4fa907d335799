//go:build unix

package remoting

import (
	"errors"
	"io"
	"syscall"
)

// directIO says that sockets are read and written without going through net.Conn: a waiting connection then holds no
// buffer, and a write never blocks.
const directIO = true

// read serves the connection. The whole of it runs inside one RawConn.Read: the callback reads what is there, serves
// it, and returns false to wait for the socket. After a read that did not fill the buffer the socket is empty, so there is no second
// read that finds nothing: on a quiet connection that is a third of the system calls. A close that came together with data is
// not seen so; a server's idle loop looks for that. Connections that we dialed have none, so there we read again.
func (c *Conn) read() error {
	var in inbound
	defer in.release()
	if c.raw == nil {
		return c.readStream(&in)
	}
	var err error
	first := true
	upgraded := false
	rawErr := c.raw.Read(func(fd uintptr) bool {
		for {
			room := in.room()
			n, e := readFD(fd, room)
			switch {
			case e == syscall.EAGAIN:
				if in.n == 0 {
					in.release()
				}
				return c.hung.Load()
			case e != nil:
				err = e
				return true
			case n == 0:
				err = io.EOF
				return true
			}
			in.n += n
			if first {
				first = false
				if c.tlsOnly || in.buf[0] == tlsHello || in.buf[0] == 'P' || in.buf[0] == '\r' {
					upgraded = true
					return true
				}
			}
			if err = c.serve(&in); err != nil {
				return true
			}
			if n < len(room) && !c.dialed {
				return c.hung.Load()
			}
		}
	})
	if upgraded {
		return c.upgrade(&in)
	}
	return errors.Join(err, rawErr)
}

func readFD(fd uintptr, b []byte) (n int, err error) {
	for {
		n, err = syscall.Read(int(fd), b)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// writeFD writes what the socket takes at once.
func writeFD(fd uintptr, b []byte) (n int, err error) {
	for n < len(b) {
		w, err := syscall.Write(int(fd), b[n:])
		if w > 0 {
			n += w
		}
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			return n, nil
		default:
			return n, err
		}
	}
	return n, nil
}

// gone says that the peer has closed its side. A close that came together with data is not seen by read, which does not
// look twice.
func (c *Conn) gone() bool {
	if c.sock == nil {
		return false
	}
	raw, err := c.sock.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = n == 0 && err == nil
	})
	return gone || err != nil
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
