package remoting

import (
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// collect remembers what it was asked.
type collect struct{ bodies int }

func (h *collect) Serve(r *Request) {
	h.bodies += len(r.Body)
	r.Conn.Reply(r, &Answer{Code: int(r.Code), Body: r.Body})
}
func (*collect) Flush(*Conn)  {}
func (*collect) Closed(*Conn) {}

// FuzzServe feeds what a stranger may send, in pieces: no panic, and never more memory than what came.
func FuzzServe(f *testing.F) {
	frame := appendFrame(nil, protocol.RequestHead(protocol.JSON, 310, 1, false), nil, [][2]string{{"a", "b"}}, []byte("body"))
	f.Add(frame, 5)
	f.Add(append(appendFrame(nil, protocol.RequestHead(protocol.RocketMQ, 11, 1, true), nil, nil, nil), frame...), 40)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 3)
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff}, 1)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		ours, theirs := net.Pipe()
		drained := make(chan struct{})
		go func() { _, _ = io.Copy(io.Discard, theirs); close(drained) }()
		h := &collect{}
		c := newConn(ours, h, slog.New(slog.DiscardHandler), protocol.MaxFrame)
		in := &c.in
		var r Request
		piece = max(piece&0xFFFF, 1)
		for rest := data; len(rest) > 0; {
			n := copy(in.room(), rest[:min(piece, len(rest))])
			rest = rest[n:]
			in.n += n
			if _, err := c.serve(&r); err != nil {
				break
			}
			if len(in.buf) > max(4*len(data), 2*readBuffer) {
				t.Fatalf("a buffer of %d bytes for %d that came", len(in.buf), len(data))
			}
		}
		in.release()
		_ = c.Close()
		c.finish(nil)
		_ = theirs.Close()
		<-drained
		if h.bodies > len(data) {
			t.Fatalf("%d bytes of bodies out of %d", h.bodies, len(data))
		}
	})
}
