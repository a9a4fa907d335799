package remoting

import (
	"context"
	"errors"
	"fmt"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// An Answer is what a request is answered with. Header is a struct with field tags (see protocol.Header.DecodeFields)
// or nil; Ext are further fields.
type Answer struct {
	Code   int
	Remark string
	Header any
	Ext    [][2]string
	Body   []byte
}

// Reply appends the answer to a request; it leaves with the batch that is being served, or at Flush. A one-way request
// is not answered. Reply needs only the request's head and so may come after the handler has returned.
func (c *Conn) Reply(r *Request, a *Answer) {
	c.Latencies.Took(r.Asked(), int32(a.Code), 1)
	if r.IsOneway() {
		return
	}
	out := c.Lock()
	defer func() { c.Unlock(out) }() // a header that cannot be encoded panics
	before := len(out)
	out = appendFrame(out, protocol.ResponseHead(&r.Header, a.Code, a.Remark), a.Header, a.Ext, a.Body)
	if size := len(out) - before; size > c.limit {
		c.log.Warn("an answer is larger than what is read here, com.rocketmq.remoting.frameMaxLength: a peer with the same limit closes its connection",
			"request", protocol.RequestName(int(r.Code)), "bytes", size, "limit", c.limit, "addr", c.RemoteAddr())
	}
}

func appendFrame(out []byte, head protocol.Head, header any, ext [][2]string, body []byte) []byte {
	f := protocol.Begin(out, head)
	f.EncodeFields(header)
	for _, kv := range ext {
		f.Str(kv[0], kv[1])
	}
	return append(f.End(len(body)), body...)
}

// A Call is a request that we make.
type Call struct {
	Code   int
	Header any // struct with field tags, or nil
	Ext    [][2]string
	Body   []byte
}

// A Response is what came back; its bytes are its own.
type Response struct {
	protocol.Header
	Body []byte
}

// Err returns the response's refusal as an error, nil when its code is SUCCESS.
func (r *Response) Err() error {
	if r.Code == protocol.CodeSuccess {
		return nil
	}
	return &protocol.Error{Code: int(r.Code), Remark: string(r.Remark)}
}

// Call sends a request over this connection and waits for its answer, whichever side opened the connection.
func (c *Conn) Call(ctx context.Context, call *Call) (*Response, error) {
	p, err := c.Start(call)
	if err != nil {
		return nil, err
	}
	return p.Wait(ctx)
}

// Pending is a call whose answer has not been waited for yet.
type Pending struct {
	c      *Conn
	code   int
	opaque int32
	ch     chan *Response
}

// Start sends a request; the answer comes with Wait. Requests started one after the other arrive in that order.
func (c *Conn) Start(call *Call) (*Pending, error) {
	ch := make(chan *Response, 1)
	opaque, err := c.send(call, ch)
	return &Pending{c, call.Code, opaque, ch}, err
}

// Wait waits for the answer. It must be called once.
func (p *Pending) Wait(ctx context.Context) (*Response, error) {
	c := p.c
	select {
	case r, ok := <-p.ch:
		if ok {
			return r, nil
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return nil, fmt.Errorf("cannot call %s at %s: connection closed: %w", protocol.RequestName(p.code), c.RemoteAddr(), c.err)
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.calls, p.opaque)
		c.mu.Unlock()
		return nil, fmt.Errorf("cannot call %s at %s: %w", protocol.RequestName(p.code), c.RemoteAddr(), context.Cause(ctx))
	}
}

// Notify sends a one-way request.
func (c *Conn) Notify(call *Call) error {
	_, err := c.send(call, nil)
	return err
}

func (c *Conn) send(call *Call, ch chan<- *Response) (int32, error) {
	out := c.Lock()
	if c.closed.Load() {
		err := c.err
		c.Unlock(out)
		return 0, fmt.Errorf("cannot call %s at %s: connection closed: %w", protocol.RequestName(call.Code), c.RemoteAddr(), err)
	}
	c.opaque++
	opaque := c.opaque
	if ch != nil {
		if c.calls == nil {
			c.calls = make(map[int32]chan<- *Response)
		}
		c.calls[opaque] = ch
	}
	c.Unlock(appendFrame(out, protocol.RequestHead(c.ser, call.Code, opaque, ch == nil), call.Header, call.Ext, call.Body))
	c.Flush()
	return opaque, nil
}

// answered gives an answer to the call that waits for it; late ones are dropped.
func (c *Conn) answered(r *Request) {
	c.mu.Lock()
	ch, ok := c.calls[r.Opaque]
	delete(c.calls, r.Opaque)
	c.mu.Unlock()
	if !ok {
		return
	}
	d := r.Detach()
	ch <- &Response{Header: d.Header, Body: d.Body}
}

// ErrorAnswer turns an error into an answer: a *protocol.Error keeps its code and remark, any other is SYSTEM_ERROR.
func ErrorAnswer(err error) *Answer {
	var pe *protocol.Error
	if errors.As(err, &pe) {
		return &Answer{Code: pe.Code, Remark: pe.Remark}
	}
	return &Answer{Code: protocol.CodeSystemError, Remark: err.Error()}
}

// A Func answers one request of the everyday kind: decoded by struct tags, answered at once.
type Func func(r *Request) (*Answer, error)

// Typed makes a Func of a function that wants its header decoded into an H.
func Typed[H any](do func(r *Request, h *H) (*Answer, error)) Func {
	return func(r *Request) (*Answer, error) {
		h := new(H)
		if err := r.DecodeFields(h); err != nil {
			return nil, err
		}
		return do(r, h)
	}
}

// Respond calls do and sends what it returns: nil and no error is a plain SUCCESS, a *protocol.Error its code and remark,
// any other error SYSTEM_ERROR with the error's text.
func Respond(r *Request, do Func) {
	a, err := do(r)
	if err != nil {
		a = ErrorAnswer(err)
	} else if a == nil {
		a = &Answer{}
	}
	r.Conn.Reply(r, a)
}
