package broker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
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
	f := &b.offsets.file
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		t.Error("its consumer offsets can still be written")
	}
}

func TestOpen_WarnsOfTopicsThatWereLost(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	open := func(topics int) (said string) {
		t.Helper()
		var text bytes.Buffer
		b, err := Open(t.Context(), cfg, slog.New(slog.NewTextHandler(&text, nil)))
		if err != nil {
			t.Fatal(err)
		}
		said = text.String() // before anything runs
		c := dialTest(t, b, remoting.Options{})
		for _, topic := range []string{"One", "Two"}[:topics] {
			if r := call(t, c, protocol.ReqSendMessageV2, sendFields(topic, "e", "0"), []byte("body")); r.Code != 0 {
				t.Fatal(r.Code, string(r.Remark))
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		return said
	}
	const warning = "topics that have messages are not in topics.json"
	for range 2 {
		if said := open(2); strings.Contains(said, warning) {
			t.Errorf("nothing is lost: %s", said)
		}
	}
	files, err := filepath.Glob(filepath.Join(cfg.RootDir, "config", "topics.json*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if said := open(0); !strings.Contains(said, warning) || !strings.Contains(said, `names="[One Two]"`) {
		t.Errorf("it says %s", said)
	}
}

func TestHostPort_HasOnePairOfBrackets(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"::1", "[::1]"} {
		if got := hostPort(host, 10911); got != "[::1]:10911" {
			t.Errorf("%s gives %s", host, got)
		}
	}
}
