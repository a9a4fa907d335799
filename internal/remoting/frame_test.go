package remoting

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// logged is what was logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// frameOf is a frame of this many bytes, its length word counted.
func frameOf(size int) []byte {
	head := protocol.RequestHead(protocol.JSON, 1, 7, false)
	least := len(appendFrame(nil, head, nil, nil, nil))
	return appendFrame(nil, head, nil, nil, make([]byte, size-least))
}

// TestServe_CountsTheLengthWordOfAFrame: Apache's limit is one for all bytes of a frame, so the largest length is 16777212.
func TestServe_CountsTheLengthWordOfAFrame(t *testing.T) {
	t.Parallel()
	for size, fits := range map[int]bool{protocol.MaxFrame: true, protocol.MaxFrame + 1: false} {
		log := &logged{}
		s := serve(t, echo{}, Options{Log: log.logger()})
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		frame := frameOf(size)
		go func() { _, _ = nc.Write(frame) }()
		_ = nc.SetReadDeadline(time.Now().Add(30 * time.Second))
		var length [4]byte
		_, err = io.ReadFull(nc, length[:])
		if fits && (err != nil || binary.BigEndian.Uint32(length[:]) < protocol.MaxFrame-1000) {
			t.Errorf("a frame of %d bytes: answer of length %d, %v", size, binary.BigEndian.Uint32(length[:]), err)
		}
		if fits {
			continue
		}
		if err == nil {
			t.Errorf("a frame of %d bytes was answered", size)
		}
		_ = s.Close()
		if text := log.String(); !strings.Contains(text, "its length 16777213 ") || !strings.Contains(text, "limit of 16777216 bytes") {
			t.Errorf("logged: %s", text)
		}
	}
}

// TestServe_SaysThatAPeerEndedWithinAFrame: a process that was killed, or one that speaks something else.
func TestServe_SaysThatAPeerEndedWithinAFrame(t *testing.T) {
	t.Parallel()
	whole := frameOf(200)
	for _, n := range []int{0, 3, 8, 199, 200, 203, 399} {
		log := &logged{}
		s := serve(t, echo{}, Options{Log: log.logger()})
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(append(bytes.Clone(whole), whole...)[:n]); err != nil {
			t.Fatal(err)
		}
		_ = nc.(*net.TCPConn).CloseWrite()
		_ = nc.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.Copy(io.Discard, nc); err != nil { // until the server has ended it
			t.Error(err)
		}
		_ = nc.Close()
		_ = s.Close()
		want := ""
		if rest := n % 200; rest > 0 {
			want = fmt.Sprintf("within a frame\" addr=%s bytes=%d of_at_least=%d\n", nc.LocalAddr(), rest, map[bool]int{true: 8, false: 200}[rest < 8])
		}
		if text := log.String(); strings.Count(text, "\n") > 1 || !strings.HasSuffix(text, want) || want == "" && text != "" {
			t.Errorf("%d bytes: logged %q, want %q", n, text, want)
		}
	}
}

// generous answers with more than it would read itself.
type generous struct{ echo }

func (generous) Serve(r *Request) { r.Conn.Reply(r, &Answer{Body: make([]byte, 2<<20)}) }

// TestReply_SaysThatAnAnswerIsTooLarge: who asked sees no more than that his connection is gone.
func TestReply_SaysThatAnAnswerIsTooLarge(t *testing.T) {
	t.Parallel()
	log := &logged{}
	s := serve(t, generous{}, Options{Log: log.logger(), MaxFrame: 1 << 20})
	if _, err := dial(t, s, Options{}).Call(t.Context(), &Call{Code: protocol.ReqGetAllTopicConfig}); err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Count(text, "frameMaxLength") != 1 || !strings.Contains(text, "request=GET_ALL_TOPIC_CONFIG") || !strings.Contains(text, "limit=1048576") {
		t.Errorf("logged: %s", text)
	}
}

func TestFrameError_NamesHTTP(t *testing.T) {
	t.Parallel()
	for text, http := range map[string]bool{
		"GET / HTTP/1.1\r\nHost: broker\r\n\r\n":   true,
		"HTTP/1.1 400 Bad Request\r\n\r\n":         true,
		"OPTIONS * HTTP/1.0\r\n":                   true,
		"GET " + strings.Repeat("x", 300):          false,
		"PRI * and no end of line":                 false,
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03": false,
	} {
		err := frameError([]byte(text), int(binary.BigEndian.Uint32([]byte(text))), 0, 1<<20)
		if strings.Contains(err.Error(), "speaks HTTP and not RocketMQ's protocol") != http {
			t.Errorf("%q: %v", text, err)
		}
	}
}
