package remoting

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// whose answers with the two addresses of a connection's other end.
type whose struct{ echo }

func (whose) Serve(r *Request) {
	r.Conn.Reply(r, &Answer{Body: fmt.Append(nil, r.Conn.RemoteAddr(), " ", r.Conn.SocketAddr())})
}

// proxyBlock is a header of version 2.
func proxyBlock(versionCommand, kind byte, rest string) string {
	return proxyV2 + string([]byte{versionCommand, kind}) + string(binary.BigEndian.AppendUint16(nil, uint16(len(rest)))) + rest
}

const (
	block4 = "\x0a\x00\x00\x01\x0a\x00\x00\x02\x0f\xa0\x2a\x9f"
	block6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x0f\xa0\x2a\x9f"
)

// good are headers and the client that they tell of; none where it is the socket's other end.
var good = map[string]string{
	"PROXY TCP4 10.0.0.1 10.0.0.2 4000 10911\r\n":       "10.0.0.1:4000",
	"PROXY TCP6 2001:db8::1 2001:db8::2 4000 10911\r\n": "[2001:db8::1]:4000",
	"PROXY UNKNOWN\r\n": "",
	"PROXY UNKNOWN 2001:db8::1 2001:db8::2 4000 10911\r\n":                   "",
	proxyBlock(0x21, 0x11, block4[:8]+"\x00\x00\x2a\x9f"):                    "",
	"PROXY TCP6 fe80::1%eth0 2001:db8::2 4000 10911\r\n":                     "[fe80::1%eth0]:4000",
	proxyBlock(0x21, 0x11, block4):                                           "10.0.0.1:4000",
	proxyBlock(0x21, 0x11, block4+"\x04\x00\x03abc"):                         "10.0.0.1:4000",
	proxyBlock(0x21, 0x12, block4):                                           "10.0.0.1:4000",
	proxyBlock(0x21, 0x21, block6):                                           "[2001:db8::1]:4000",
	proxyBlock(0x21, 0x21, block6+"\x04\x75\x30"+strings.Repeat("x", 30000)): "[2001:db8::1]:4000",
	proxyBlock(0x21, 0x00, "whatever"):                                       "",
	proxyBlock(0x21, 0x31, strings.Repeat("\x00", 216)):                      "",
	proxyBlock(0x20, 0x11, block4):                                           "",
	proxyBlock(0x20, 0x77, ""):                                               "",
	"":                                                                       "",
}

// bad are headers and what is said of them.
var bad = map[string]string{
	"PROXY TCP4 10.0.0.1 10.0.0.2 4000 10911\n":       "does not end",
	"PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n": "does not end",
	"PROXY " + strings.Repeat("1", 5000):              "does not end",
	"PROXY UDP4 10.0.0.1 10.0.0.2 4000 10911\r\n":     "neither TCP4, TCP6 nor UNKNOWN",
	"PROXY \r\n":                                     "neither TCP4, TCP6 nor UNKNOWN",
	"PROXY TCP4 10.0.0.1 10.0.0.2 4000\r\n":          "5 words instead of 6",
	"PROXY TCP4 10.0.0.1 10.0.0.2 4000 10911 1\r\n":  "7 words instead of 6",
	"PROXY TCP4 2001:db8::1 10.0.0.2 4000 10911\r\n": "is no address of TCP4",
	"PROXY TCP6 10.0.0.1 2001:db8::2 4000 10911\r\n": "is no address of TCP6",
	"PROXY TCP4 10.0.0.1 10.0.0.2 0 10911\r\n":       "is no port",
	"PROXY TCP4 10.0.0.1 10.0.0.256 4000 10911\r\n":  "is no address of TCP4",
	"PROXY TCP4 10.0.0.1 10.0.0.2 65536 10911\r\n":   "is no port",
	"PROXY TCP4 10.0.0.1 10.0.0.2 4000 -1\r\n":       "is no port",
	proxyBlock(0x11, 0x11, block4):                   "0x11; known are",
	proxyBlock(0x22, 0x11, block4):                   "0x22; known are",
	proxyBlock(0x21, 0x41, block4):                   "0x41 are not known",
	proxyBlock(0x21, 0x11, block4[:11]):              "11 bytes is below 12",
	proxyBlock(0x21, 0x21, block6[:35]):              "35 bytes is below 36",
	proxyBlock(0x21, 0x31, block6):                   "36 bytes is below 216",
}

// ask sends head and a request in two pieces, cut where said, and returns what was answered.
func ask(t *testing.T, nc net.Conn, head string, cut int) (string, error) {
	t.Helper()
	frame := appendFrame([]byte(head), protocol.RequestHead(protocol.JSON, 1, 7, false), nil, nil, nil)
	for _, piece := range [][]byte{frame[:cut], frame[cut:]} {
		if _, err := nc.Write(piece); err != nil {
			return "", err
		}
		if cut > 0 {
			time.Sleep(time.Millisecond) // so that they mostly come apart; right is it either way
		}
	}
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	var lengths [8]byte
	if _, err := io.ReadFull(nc, lengths[:]); err != nil {
		return "", err
	}
	rest := make([]byte, binary.BigEndian.Uint32(lengths[:])-4)
	_, err := io.ReadFull(nc, rest)
	return string(rest[binary.BigEndian.Uint32(lengths[4:])&0xFFFFFF:]), err
}

func TestProxyHeader_TellsTheClientsAddress(t *testing.T) {
	t.Parallel()
	s := serve(t, whose{}, Options{TLS: selfSigned(t)})
	for head, want := range good {
		for _, cut := range []int{0, min(1, len(head)), min(8, len(head)), max(len(head)-1, 0), len(head)} {
			nc, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			socket := nc.LocalAddr().String()
			want := want
			if want == "" {
				want = socket
			}
			if got, err := ask(t, nc, head, cut); err != nil || got != want+" "+socket {
				t.Errorf("%q cut at %d: got %q, %v, want %s %s", head[:min(len(head), 60)], cut, got, err, want, socket)
			}
			_ = nc.Close()
		}
	}
}

func TestProxyHeader_ComesBeforeTLS(t *testing.T) {
	t.Parallel()
	s := serve(t, whose{}, Options{TLS: selfSigned(t), TLSOnly: true})
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write([]byte("PROXY TCP4 10.0.0.1 10.0.0.2 4000 10911\r\n")); err != nil {
		t.Fatal(err)
	}
	tc := tls.Client(nc, trusting)
	if got, err := ask(t, tc, "", 0); err != nil || !strings.HasPrefix(got, "10.0.0.1:4000 ") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestProxyHeader_ThatIsMalformedEndsTheConnectionAndSaysWhy(t *testing.T) {
	t.Parallel()
	for head, want := range bad {
		log := &logged{}
		s := serve(t, whose{}, Options{Log: log.logger()})
		nc, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ask(t, nc, head, 0); err == nil {
			t.Errorf("%q is answered with %q", head[:min(len(head), 60)], got)
		}
		_ = nc.Close()
		_ = s.Close()
		if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "cannot read PROXY header: ") || !strings.Contains(text, want) {
			t.Errorf("%q: logged %q, want %q", head[:min(len(head), 60)], text, want)
		}
	}
}

// TestProxyHeader_ThatNeverEndsDoesNotHoldTheConnection sends a line that is too long already, and waits.
func TestProxyHeader_ThatNeverEndsDoesNotHoldTheConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, whose{}, Options{Log: (&logged{}).logger()})
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write([]byte("PROXY TCP4 " + strings.Repeat("1", 100))); err != nil {
		t.Fatal(err)
	}
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := nc.Read(make([]byte, 1)); isTimeout(err) {
		t.Error("the connection stays open")
	}
}

// Whatever comes, no panic; an address is one, and the header is passed over as a whole.
func FuzzReadProxyHeader(f *testing.F) {
	for head := range good {
		f.Add([]byte(head))
	}
	for head := range bad {
		f.Add([]byte(head))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		from, err := readProxyHeader(r)
		if err != nil {
			return
		}
		rest, _ := io.ReadAll(r)
		head, ok := bytes.CutSuffix(data, rest)
		if !ok {
			t.Fatalf("what is left of %q is %q", data, rest)
		}
		if from != nil && (len(head) == 0 || !from.AddrPort().IsValid() || from.Port == 0) {
			t.Fatalf("%q tells of %v", head, from)
		}
		again, err := readProxyHeader(bufio.NewReader(bytes.NewReader(append(head[:len(head):len(head)], "\x00\x00\x00\x16"...))))
		if len(head) > 0 && (err != nil || fmt.Sprint(again) != fmt.Sprint(from)) {
			t.Fatalf("%q tells of %v, then of %v, %v", head, from, again, err)
		}
	})
}
