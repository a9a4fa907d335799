package remoting

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// waiter waits in some of its requests: code 1 is answered at once, 2 elsewhere, 3 waits elsewhere and 4 where it is for go on.
type waiter struct {
	entered chan struct{}
	goOn    chan struct{}
	served  atomic.Int64
	closed  atomic.Int64
}

func newWaiter() *waiter {
	return &waiter{entered: make(chan struct{}, 100), goOn: make(chan struct{})}
}

func (w *waiter) Serve(r *Request) {
	if (r.Code == 2 || r.Code == 3) && r.Elsewhere() {
		return
	}
	if r.Code >= 3 {
		w.entered <- struct{}{}
		<-w.goOn
	}
	w.served.Add(1)
	r.Conn.Reply(r, &Answer{Body: bytes.Clone(r.Body)})
}
func (*waiter) Flush(*Conn)    {}
func (w *waiter) Closed(*Conn) { w.closed.Add(1) }

// TestServe_ElsewhereKeepsOrder mixes requests that are served in the loop with such that are not, many in each read.
func TestServe_ElsewhereKeepsOrder(t *testing.T) {
	t.Parallel()
	w := newWaiter()
	s := serve(t, w, Options{})
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	const count = 3000
	body := func(i int) []byte { return fmt.Appendf(nil, "body %d \"\\%s", i, bytes.Repeat([]byte("x"), i%700)) }
	go func() {
		var out []byte
		for i := range count {
			// The field is written with an escape, which is read in place: a frame must not be read twice.
			out = appendFrame(out, protocol.RequestHead(protocol.JSON, 1+i*7%11/8, int32(i), false), nil, [][2]string{{"k", "a\"b\n"}}, body(i))
			if i%50 == 0 {
				_, _ = nc.Write(out)
				out = nil
			}
		}
		_, _ = nc.Write(out)
	}()
	_ = nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	for i := range count {
		h, got := readFrame(t, nc)
		if int(h.Opaque) != i || !bytes.Equal(got, body(i)) {
			t.Fatalf("answer %d is for request %d, with a body of %d bytes", i, h.Opaque, len(got))
		}
	}
	if n := w.served.Load(); n != count {
		t.Errorf("%d requests were served, sent were %d", n, count)
	}
}

func readFrame(t *testing.T, r io.Reader) (h protocol.Header, body []byte) {
	t.Helper()
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		t.Fatal(err)
	}
	n := int(binary.BigEndian.Uint32(head[4:]) & 0xFFFFFF)
	rest := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	if _, err := io.ReadFull(r, rest); err != nil {
		t.Fatal(err)
	}
	if err := protocol.DecodeHeader(&h, protocol.Serialization(head[4]), rest[:n]); err != nil {
		t.Fatal(err)
	}
	return h, rest[n:]
}

// TestServe_OthersGoOnWhileOneWaits has a request wait: where it said that it would, and where it had better not.
func TestServe_OthersGoOnWhileOneWaits(t *testing.T) {
	t.Parallel()
	for _, code := range []int{3, 4} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			w := newWaiter()
			s := serve(t, w, Options{})
			var slow []*Pending
			for range 3 { // as many loops as there may be, so that the others are in one that is held up
				c := dial(t, s, Options{})
				p, err := c.Start(&Call{Code: code, Body: []byte("slow")})
				if err != nil {
					t.Fatal(err)
				}
				<-w.entered
				behind, err := c.Start(&Call{Code: 1, Body: []byte("behind")})
				if err != nil {
					t.Fatal(err)
				}
				slow = append(slow, p, behind)
			}
			for range 20 {
				if _, err := dial(t, s, Options{}).Call(t.Context(), &Call{Code: 1}); err != nil {
					t.Fatal(err)
				}
			}
			if n := w.served.Load(); n != 20 {
				t.Errorf("%d requests were answered, want 20: those behind one that waits have to wait too", n)
			}
			close(w.goOn)
			for _, p := range slow {
				if _, err := p.Wait(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// settling collects requests and answers them when it settles, as often as it is told to go on.
type settling struct {
	echo
	mu       sync.Mutex
	asked    []*Request
	settling chan struct{}
	goOn     chan struct{}
}

func (s *settling) Serve(r *Request) {
	if r.Code != 1 {
		s.echo.Serve(r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.Later())
}

func (s *settling) Settle() {
	s.mu.Lock()
	asked := s.asked
	s.asked = nil
	s.mu.Unlock()
	if len(asked) == 0 {
		return
	}
	s.settling <- struct{}{}
	<-s.goOn
	for _, r := range asked {
		r.Conn.Reply(r, &Answer{})
		r.Conn.Flush()
	}
}

// TestSettle_MayTakeLong holds up what answers the requests of several connections: other requests are answered meanwhile.
func TestSettle_MayTakeLong(t *testing.T) {
	t.Parallel()
	h := &settling{settling: make(chan struct{}, 100), goOn: make(chan struct{})}
	s := serve(t, h, Options{})
	var waiting []*Pending
	for range 4 {
		p, err := dial(t, s, Options{}).Start(&Call{Code: 1})
		if err != nil {
			t.Fatal(err)
		}
		<-h.settling
		waiting = append(waiting, p)
	}
	r, err := dial(t, s, Options{}).Call(t.Context(), &Call{Code: 7})
	if err != nil || r.Code != protocol.CodeRequestCodeNotSupported {
		t.Error(r, err)
	}
	close(h.goOn)
	for _, p := range waiting {
		if _, err := p.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestServe_SeesACloseThatCameWithARequest: the socket tells once that there is something, and not again.
func TestServe_SeesACloseThatCameWithARequest(t *testing.T) {
	t.Parallel()
	w := newWaiter()
	s := serve(t, w, Options{})
	frame := appendFrame(nil, protocol.RequestHead(protocol.JSON, 1, 7, true), nil, nil, []byte("body"))
	const count = 200
	for range count {
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = nc.Write(frame)
		_ = nc.Close()
	}
	for end := time.Now().Add(10 * time.Second); w.closed.Load() < count || s.Conns() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d connections were seen to close, %d are open", w.closed.Load(), count, s.Conns())
		}
	}
	if n := w.served.Load(); n != count {
		t.Errorf("%d of %d requests were served", n, count)
	}
}

// TestServe_OutlivesChurn opens and closes connections from both sides while they carry requests of every kind.
func TestServe_OutlivesChurn(t *testing.T) {
	t.Parallel()
	w := newWaiter()
	close(w.goOn)
	go func() {
		for range w.entered {
		}
	}()
	s := serve(t, w, Options{})
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			for range 40 {
				c, err := Dial(t.Context(), s.Addr().String(), nil, Options{})
				if err != nil {
					t.Error(err)
					return
				}
				var calls []*Pending
				for range rand.IntN(20) {
					p, err := c.Start(&Call{Code: 1 + rand.IntN(4), Body: make([]byte, rand.IntN(100_000))})
					if err != nil {
						t.Error(err)
						break
					}
					calls = append(calls, p)
				}
				if rand.IntN(2) == 0 {
					for _, p := range calls {
						if _, err := p.Wait(t.Context()); err != nil {
							t.Error(err)
						}
					}
				}
				_ = c.Close()
				<-c.Done()
			}
		})
	}
	clients.Wait()
	for end := time.Now().Add(10 * time.Second); s.Conns() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are left", s.Conns())
		}
	}
	if n := w.closed.Load(); n != 16*40 {
		t.Errorf("%d connections were seen to close", n)
	}
	if _, err := dial(t, s, Options{}).Call(t.Context(), &Call{Code: 2}); err != nil {
		t.Error(err)
	}
	_ = s.Close()
	close(w.entered)
}
