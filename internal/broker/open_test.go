package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
)

// portThief is a log handler that listens on a broker's port when its store has been opened.
type portThief struct {
	slog.Handler
	b   *Broker
	ln  net.Listener
	err error
}

func (p *portThief) Enabled(context.Context, slog.Level) bool { return true }

func (p *portThief) Handle(_ context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "store opened") {
		p.ln, p.err = net.Listen("tcp", hostPort("127.0.0.1", p.b.settings.Load().ListenPort))
	}
	return nil
}

func (p *portThief) WithAttrs([]slog.Attr) slog.Handler { return p }
func (p *portThief) WithGroup(string) slog.Handler      { return p }

// A broker whose port was taken meanwhile leaves nothing running that could write to the files of the next one.
func TestOpen_ClosesItsStateWhenThePortIsGone(t *testing.T) {
	t.Parallel()
	thief := new(portThief)
	b := newBroker(slog.New(thief))
	thief.b = b
	if err := b.open(t.Context(), testConfig(t)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("got %v", err)
	}
	defer thief.ln.Close()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	b.offsets.timerMu.Lock()
	defer b.offsets.timerMu.Unlock()
	if !b.offsets.closed {
		t.Error("its consumer offsets can still be written")
	}
}
