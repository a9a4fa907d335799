package remoting

import (
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// met tells of each connection that has asked something.
type met struct {
	echo
	conns chan *Conn
}

func (m met) Serve(r *Request) {
	m.conns <- r.Conn
	m.echo.Serve(r)
}

func TestIdle_IsWhoNeitherSendsNorReceives(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]Options{"of a loop": {}, "TLS": {TLS: trusting}} {
		m := met{conns: make(chan *Conn, 1)}
		s := serve(t, m, Options{IdleTimeout: time.Hour, TLS: selfSigned(t)}) // its own looks come too late for this test
		peer := dial(t, s, opt)
		if _, err := peer.Call(t.Context(), &Call{Code: 1}); err != nil {
			t.Fatal(err)
		}
		c := <-m.conns
		look := func() {
			c.mu.Lock()
			for c.writing {
				c.drained.Wait()
			}
			c.mu.Unlock()
			tick.Add(1)
			s.closeIdle()
		}
		for range 20 {
			c.Unlock(appendFrame(c.Lock(), protocol.RequestHead(protocol.JSON, 1, 7, true), nil, nil, nil))
			c.Flush()
			look()
		}
		if c.IsClosed() {
			t.Errorf("%s: closed while it receives", name)
		}
		looks := 0
		for ; looks < 10 && !c.IsClosed(); looks++ {
			look()
		}
		if looks != 4 && looks != 5 {
			t.Errorf("%s: closed after %d looks in vain, not 4", name, looks)
		}
	}
}
