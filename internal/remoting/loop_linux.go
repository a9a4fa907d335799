package remoting

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	loopsMax = 3  // Apache's serverSelectorThreads
	waitMax  = 64 // events taken at once
	// roundsMax is how many full buffers a connection may bring before the others get their turn.
	roundsMax = 4
	// yieldAfter is how often a loop gives Go's scheduler its processor. One that has not for 10 ms is taken for a goroutine that keeps it too
	// long: each time it waits its processor is taken from it, by a thread that looks every 20 µs then, and must be got back.
	yieldAfter = 8 * time.Millisecond

	edgeTriggered = 1 << 31
	socketEvents  = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | edgeTriggered
)

// A loop serves many plain connections from one goroutine: it waits for all their sockets at once and gives each connection that has
// something a turn. So no goroutine is woken for a request, which costs as much as the rest of its way, and what comes
// while a turn lasts is found together. When everybody had his turn the handler settles what it has collected, and the loop waits again.
//
// A turn reads what there is, serves it, and writes the answers. A request that may have to wait says so (Request.Elsewhere), and its connection is
// away then: a goroutine serves it until its socket is empty. Should a turn take long all the same, the watcher puts another goroutine in
// the place of the one that is stuck, which keeps its connection until it comes free.
type loop struct {
	epoll   int
	bell    int // an eventfd, which ends the wait
	running *sync.WaitGroup
	watcher *watcher
	handler Handler

	mu      sync.Mutex // protects the fields below, the places of connections and their descriptors' being registered
	gen     int        // of the goroutine that runs the loop; another one has been replaced
	conns   []*Conn    // by place, which is what the kernel tells with an event
	free    []int32
	ready   []turn // what the last wait brought; those from next on have not had their turn
	next    int
	current *Conn  // whose turn it is
	waiting bool   // for the next turn; what was collected is done
	rung    bool   // there is something to settle
	told    bool   // the bell has rung while it waits
	ending  bool   // there is no connection any more
	ended   bool   // nor the descriptors
	turns   uint64 // since the start
	looked  uint64 // turns, at the watcher's last look
}

// turn is a connection with the events that it has.
type turn struct {
	c      *Conn
	events uint32
	away   bool // it was away when the turn began, so only what waits to be written is looked at
}

// openLoops starts the loops of a server: half as many as there are processors, for the other half has enough to do.
func openLoops(h Handler, running *sync.WaitGroup) ([]*loop, error) {
	w := &watcher{stop: make(chan struct{}), wake: make(chan struct{}, 1)}
	for range max(1, min(loopsMax, runtime.GOMAXPROCS(0)/2)) {
		l, err := openLoop(h, running, w)
		if err != nil {
			for _, l := range w.loops {
				l.stop()
			}
			return nil, fmt.Errorf("cannot make an epoll: %w", err)
		}
		w.loops = append(w.loops, l)
	}
	running.Go(w.watchLoop)
	return w.loops, nil
}

func openLoop(h Handler, running *sync.WaitGroup, w *watcher) (*loop, error) {
	l := &loop{running: running, watcher: w, handler: h}
	var err error
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if l.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		syscall.Close(l.epoll)
		return nil, err
	}
	// Edge triggered, so each write to it is told once and it is never read.
	if err = syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, l.bell, &syscall.EpollEvent{Events: syscall.EPOLLIN | edgeTriggered, Fd: -1}); err != nil {
		l.closeAll()
		return nil, err
	}
	running.Go(func() { l.run(0) })
	return l, nil
}

// stop ends the loop, which has no connection any more.
func (l *loop) stop() {
	l.watcher.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending = true
	l.ringLocked()
}

// ring makes the loop settle soon, and says whether it will.
func (l *loop) ring() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending {
		return false
	}
	l.rung = true
	l.ringLocked()
	return true
}

func (l *loop) ringLocked() {
	if l.waiting && !l.told {
		l.told = true
		_, _ = syscall.Write(l.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

func (l *loop) closeAll() {
	syscall.Close(l.bell)
	syscall.Close(l.epoll)
}

// adopt makes the loop serve a connection. Go's own poller is told to forget it.
func (l *loop) adopt(c *Conn) error {
	fd, err := duplicate(c.sock)
	if err != nil {
		return err
	}
	c.mu.Lock()
	_ = c.nc.Close()
	c.nc, c.sock = nil, nil
	c.polled.loop, c.polled.fd = l, fd
	c.mu.Unlock()

	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		c.polled.place, l.free = l.free[n-1], l.free[:n-1]
	} else {
		c.polled.place = int32(len(l.conns))
		l.conns = append(l.conns, nil)
	}
	l.conns[c.polled.place] = c
	if err := syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: socketEvents, Fd: c.polled.place}); err != nil {
		l.forgetLocked(c)
		return err
	}
	return nil
}

// duplicate returns another descriptor of a socket.
func duplicate(sock *net.TCPConn) (int, error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return 0, err
	}
	fd := -1
	var errno syscall.Errno
	err = raw.Control(func(old uintptr) {
		var n uintptr
		n, _, errno = syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		fd = int(n)
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("fcntl", errno)
	}
	return fd, err
}

// forget takes a connection from the loop. Its descriptor may be closed then.
func (l *loop) forget(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_DEL, c.polled.fd, nil)
	l.forgetLocked(c)
}

func (l *loop) forgetLocked(c *Conn) {
	l.conns[c.polled.place] = nil
	l.free = append(l.free, c.polled.place)
}

// run is the loop's goroutine; gen is the loop's as long as it is not replaced.
func (l *loop) run(gen int) {
	r := Request{inLoop: true}
	var events [waitMax]syscall.EpollEvent
	alone := runtime.GOMAXPROCS(0) == 1 // what was started meanwhile would have to wait, too
	var yielded time.Time
	var c *Conn // the one that had its turn and is still the loop's
	for {
		t, last, replaced := l.nextTurn(gen, c)
		if c = nil; replaced {
			settle(l.handler)
			return
		}
		if !last {
			if l.serve(&r, t) {
				c = t.c
			}
			continue
		}
		settle(l.handler)
		if now := time.Now(); alone || now.Sub(yielded) > yieldAfter {
			runtime.Gosched()
			yielded = now
		}
		if ended, again := l.waits(gen); ended {
			return
		} else if again {
			continue
		}
		n, err := syscall.EpollWait(l.epoll, events[:], -1)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			panic("bug: epoll_wait: " + err.Error())
		}
		l.came(events[:max(n, 0)])
	}
}

// nextTurn says who is next, or that everybody had his turn. c had one before, and is given back when the goroutine was replaced.
func (l *loop) nextTurn(gen int, c *Conn) (t turn, last, replaced bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gen != gen {
		if c != nil {
			l.takeBackLocked(c)
		}
		return t, false, true
	}
	l.current = nil
	l.turns++
	if l.next == len(l.ready) {
		l.ready, l.next = l.ready[:0], 0
		return t, true, false
	}
	t = l.ready[l.next]
	l.ready[l.next].c = nil
	l.next++
	if t.away = t.c.polled.away.Load(); !t.away {
		l.current = t.c
	}
	return t, false, false
}

// waits notes that the loop has nothing to do, unless there is something to settle again, or the goroutine is not the loop's any more.
func (l *loop) waits(gen int) (ended, again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.gen != gen:
		return true, false
	case l.rung:
		l.rung = false
		return false, true
	case l.ending:
		l.ended = true
		l.closeAll()
		return true, false
	}
	l.waiting = true
	return false, false
}

// came notes who has something.
func (l *loop) came(events []syscall.EpollEvent) {
	defer l.watcher.awake() // behind what it looks at: else it may go to sleep between the two
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting, l.rung, l.told = false, false, false
	for _, e := range events {
		if e.Fd < 0 {
			continue // the bell: settling is what follows anyway
		}
		if c := l.conns[e.Fd]; c != nil {
			l.ready = append(l.ready, turn{c: c, events: e.Events})
		}
	}
}

// takeBackLocked gives the loop a connection that was away. What came meanwhile is told again.
func (l *loop) takeBackLocked(c *Conn) {
	c.polled.away.Store(false)
	if l.current == c { // it went away in its turn, and is back before that has ended
		l.current = nil
	}
	if l.conns[c.polled.place] == c {
		c.polled.rearm()
	}
}

// serve gives a connection its turn, and says whether the loop still has it then.
func (l *loop) serve(r *Request, t turn) bool {
	c, p := t.c, &t.c.polled
	stalled := p.watched.Load() && c.write()
	if stalled || t.away {
		return !t.away
	}
	left := c.in.n > 0 && c.in.need == 0 // whole frames, perhaps, from before a stall
	for round := 0; ; round++ {
		n, room := 0, []byte(nil)
		if !left {
			room = c.in.room()
			var err error
			switch n, err = readFD(p.fd, room); {
			case err == syscall.EAGAIN:
				if c.in.n == 0 {
					c.in.release()
				}
				return true
			case err == nil && n == 0:
				return l.end(c, io.EOF)
			case err != nil:
				return l.end(c, err)
			}
			c.in.n += n
			if !p.greeted {
				if p.greeted = true; !c.isPlain() {
					return l.dismiss(c)
				}
			}
		}
		why, err := c.serve(r)
		switch {
		case err != nil:
			return l.end(c, err)
		case why == goesElsewhere:
			p.away.Store(true)
			go c.awayLoop()
			return false
		case c.stall():
			return true
		}
		// A read that did not fill the buffer has emptied the socket, unless that is where the peer has closed it.
		if left = why == peerIsDeaf; !left && n < len(room) && t.events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) == 0 {
			return true
		}
		if round == roundsMax && !left {
			p.rearm()
			return true
		}
	}
}

// end ends a connection that the loop has.
func (l *loop) end(c *Conn, err error) bool {
	l.forget(c)
	go c.finish(err)
	return false
}

// dismiss hands a connection that does not begin with a frame to goroutines of its own.
func (l *loop) dismiss(c *Conn) bool {
	l.forget(c)
	f := os.NewFile(uintptr(c.polled.fd), "")
	nc, err := net.FileConn(f)
	if err != nil {
		c.mu.Lock()
		c.closeLocked(err)
		c.polled.fd = -1
		c.mu.Unlock()
		_ = f.Close()
		go c.finish(err)
		return false
	}
	c.mu.Lock()
	c.nc, c.polled.loop = nc, nil
	c.sock, _ = nc.(*net.TCPConn)
	c.mu.Unlock()
	_ = f.Close()
	go c.upgradeLoop()
	return false
}

// awayLoop serves a connection until its socket is empty.
func (c *Conn) awayLoop() {
	l := c.polled.loop
	if r := c.in.moved; r != nil {
		c.in.moved = nil
		c.serveOne(r)
		c.flushBatch()
		settle(c.handler)
		c.waitRoom()
	}
	var r Request
	for {
		err := c.serveAll(&r)
		n := 0
		if err == nil {
			n, err = readFD(c.polled.fd, c.in.room())
		}
		switch {
		case err == syscall.EAGAIN:
			if c.in.n == 0 {
				c.in.release()
			}
			l.mu.Lock()
			l.takeBackLocked(c)
			l.mu.Unlock()
			return
		case err == nil && n == 0:
			err = io.EOF
			fallthrough
		case err != nil:
			l.forget(c)
			c.finish(err)
			return
		}
		c.in.n += n
	}
}
