package remoting

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// echo answers code 1 with the request's body and fields, and panics at code 2.
type echo struct{}

func (echo) Serve(r *Request) {
	Respond(r, func(r *Request) (*Answer, error) {
		switch r.Code {
		case 1:
			a := &Answer{Body: bytes.Clone(r.Body)}
			for _, f := range r.Fields {
				a.Ext = append(a.Ext, [2]string{string(f.Key), string(f.Value)})
			}
			return a, nil
		case 2:
			panic("on purpose")
		}
		return nil, protocol.Errorf(protocol.CodeRequestCodeNotSupported, " request type %d not supported", r.Code)
	})
}
func (echo) Flush(*Conn)  {}
func (echo) Closed(*Conn) {}

func serve(t *testing.T, h Handler, opt Options) *Server {
	t.Helper()
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	s, err := Listen("127.0.0.1:0", h, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func dial(t *testing.T, s *Server, opt Options) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), s.Addr().String(), nil, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); <-c.Done() })
	return c
}

func TestCall_CarriesFieldsAndBodyInBothSerializations(t *testing.T) {
	t.Parallel()
	s := serve(t, echo{}, Options{})
	for _, ser := range []protocol.Serialization{protocol.JSON, protocol.RocketMQ} {
		c := dial(t, s, Options{Serialization: ser})
		for _, body := range [][]byte{nil, []byte("hello"), bytes.Repeat([]byte("x"), 3<<20)} {
			r, err := c.Call(t.Context(), &Call{Code: 1, Ext: [][2]string{{"k", "v\x01\x02\"\\é😀\n"}, {"n", "1"}}, Body: body})
			if err != nil {
				t.Fatal(err)
			}
			if v, _ := r.Get("k"); string(v) != "v\x01\x02\"\\é😀\n" {
				t.Errorf("serialization %d: field k = %q", ser, v)
			}
			if !bytes.Equal(r.Body, body) {
				t.Errorf("serialization %d: body of %d bytes came back as %d", ser, len(body), len(r.Body))
			}
		}
	}
}

func TestServe_AnswersPanicAndUnknownCodeAndGoesOn(t *testing.T) {
	t.Parallel()
	c := dial(t, serve(t, echo{}, Options{}), Options{})
	for _, step := range []struct{ code, want int }{{2, protocol.CodeSystemError}, {4711, protocol.CodeRequestCodeNotSupported}, {1, 0}} {
		r, err := c.Call(t.Context(), &Call{Code: step.code})
		if err != nil {
			t.Fatal(err)
		}
		if int(r.Code) != step.want {
			t.Errorf("code %d answered with %d %s, want %d", step.code, r.Code, r.Remark, step.want)
		}
	}
}

func TestServe_MalformedFrameClosesOnlyThatConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, echo{}, Options{})
	good := dial(t, s, Options{})
	for _, bad := range []string{"GET / HTTP/1.1\r\n\r\n", "\x00\x00\x00\x01\x00\x00\x00\x00", "\x00\x00\x00\x08\x00\x00\x00\xff....", "\x00\x00\x00\x08\x00\x00\x00\x04nope"} {
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write([]byte(bad)); err != nil {
			t.Fatal(err)
		}
		_ = nc.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := nc.Read(make([]byte, 16)); err == nil || isTimeout(err) {
			t.Errorf("%q: got %d bytes and %v, want the connection closed", bad, n, err)
		}
		_ = nc.Close()
	}
	if _, err := good.Call(t.Context(), &Call{Code: 1}); err != nil {
		t.Error("the well-behaved connection suffered:", err)
	}
}

// TestServe_HoldsAPeerThatDoesNotRead sends requests whose answers are never read until the server stops reading, and
// then reads everything: nothing is lost, and meanwhile others are served.
func TestServe_HoldsAPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	s := serve(t, echo{}, Options{})
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	const count, size = 400, 256 << 10
	frame := appendFrame(nil, protocol.RequestHead(protocol.JSON, 1, 7, false), nil, nil, make([]byte, size))
	sent := make(chan error, 1)
	go func() {
		for range count {
			if _, err := nc.Write(frame); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	other := dial(t, s, Options{})
	for range 50 {
		if _, err := other.Call(t.Context(), &Call{Code: 1, Body: make([]byte, 1000)}); err != nil {
			t.Fatal(err)
		}
	}
	buf, got := make([]byte, 1<<20), 0
	_ = nc.SetReadDeadline(time.Now().Add(30 * time.Second))
	for got < count*size {
		n, err := nc.Read(buf)
		if err != nil {
			t.Fatalf("after %d bytes: %v", got, err)
		}
		got += n
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

func TestCall_FailsWhenThePeerCloses(t *testing.T) {
	t.Parallel()
	s := serve(t, hang{}, Options{})
	c := dial(t, s, Options{})
	go func() { _ = s.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := c.Call(ctx, &Call{Code: 1}); err == nil || ctx.Err() != nil {
		t.Errorf("call ended with %v, want an error when the connection closes", err)
	}
}

// hang never answers.
type hang struct{}

func (hang) Serve(*Request) {}
func (hang) Flush(*Conn)    {}
func (hang) Closed(*Conn)   {}

// TestDial_SeesACloseThatCameWithTheAnswer lets the peer close in the moment in which it answers.
func TestDial_SeesACloseThatCameWithTheAnswer(t *testing.T) {
	t.Parallel()
	s := serve(t, goodbye{}, Options{})
	for range 200 {
		c := dial(t, s, Options{})
		if _, err := c.Call(t.Context(), &Call{Code: 1}); err != nil {
			continue // the close was first
		}
		select {
		case <-c.Done():
		case <-time.After(10 * time.Second):
			t.Fatal("the connection is open for the one who dialed it")
		}
	}
}

// goodbye answers and closes.
type goodbye struct{}

func (goodbye) Serve(r *Request) {
	r.Conn.Reply(r, &Answer{})
	r.Conn.Flush()
	_ = r.Conn.Close()
}
func (goodbye) Flush(*Conn)  {}
func (goodbye) Closed(*Conn) {}

// outOfFiles is a listener that cannot accept so often.
type outOfFiles struct {
	net.Listener
	left int
}

func (l *outOfFiles) Accept() (net.Conn, error) {
	if l.left--; l.left < 0 {
		return nil, net.ErrClosed
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
}

func TestServer_SaysOnceThatItCannotAccept(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var log bytes.Buffer
	s := &Server{ln: &outOfFiles{ln, 3}, opt: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, stop: make(chan struct{})}
	s.acceptLoop()
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "too many open files: raise the limit of this process (ulimit -n") {
		t.Errorf("it says\n%s", text)
	}
}
