package remoting

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// greeted serves one end of a connection as an accepted one, and returns the other end.
func greeted(t *testing.T, log *logged, cfg *tls.Config) (*Conn, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	c := newConn(ours, whose{}, log.logger(), protocol.MaxFrame)
	c.tls = cfg
	go c.greetLoop()
	return c, theirs
}

func TestGreeting_ThatNeverEndsIsBounded(t *testing.T) {
	t.Parallel()
	cfg := selfSigned(t)
	hello := "\x16\x03\x01\x01\x00\x01" // the begin of a record of 256 bytes
	for _, one := range []struct{ begins, want string }{
		{"P", "cannot read PROXY header: it is not complete after 10s"},
		{"PROXY TCP4 10.0.0.1 10.0.", "cannot read PROXY header: it is not complete after 10s"},
		{"\r\n\r\n", "cannot read PROXY header: it is not complete after 10s"},
		{proxyBlock(0x21, 0x11, block4+strings.Repeat("x", 30000))[:20000], "cannot read PROXY header: it is not complete after 10s"},
		{"\x16", "cannot finish the TLS handshake: it is not over after 10s"},
		{hello, "cannot finish the TLS handshake: it is not over after 10s"},
		{"PROXY TCP4 10.0.0.1 10.0.0.2 4000 10911\r\n" + hello, "cannot finish the TLS handshake: it is not over after 10s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			log := &logged{}
			c, peer := greeted(t, log, cfg)
			defer peer.Close()
			began := time.Now()
			for _, b := range []byte(one.begins) { // dripping does not help
				if _, err := peer.Write([]byte{b}); err != nil {
					t.Error(err)
				}
				time.Sleep(greetTimeout / time.Duration(len(one.begins)+1))
			}
			select {
			case <-c.Done():
			case <-time.After(time.Minute):
				_ = c.Close()
				t.Errorf("%q: nothing after a minute", one.begins[:min(len(one.begins), 30)])
			}
			if took := time.Since(began); took < greetTimeout-time.Second {
				t.Errorf("%q: closed after %v", one.begins[:min(len(one.begins), 30)], took)
			}
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, one.want) {
				t.Errorf("%q: logged %q, want %q", one.begins[:min(len(one.begins), 30)], text, one.want)
			}
		})
	}
}

func TestGreeting_ThatIsOverBoundsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &logged{}
		c, peer := greeted(t, log, nil)
		defer peer.Close()
		if _, err := peer.Write([]byte("PROXY TCP4 10.0.0.1 10.0.0.2 4000 10911\r\n")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			time.Sleep(time.Minute)
			if got, err := ask(t, peer, "", 0); err != nil || got != "10.0.0.1:4000 pipe" {
				t.Errorf("%q, %v: %s", got, err, log)
			}
		}
		_ = c.Close()
		<-c.Done()
	})
}
