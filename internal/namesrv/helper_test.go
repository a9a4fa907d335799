package namesrv

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// testConfig is for a server on a free port with its files in a folder of the test's own.
func testConfig(t *testing.T) config.Namesrv {
	t.Helper()
	dir := t.TempDir()
	cfg := config.DefaultNamesrv()
	cfg.BindAddress, cfg.ListenPort = "127.0.0.1", 0
	cfg.KVConfigPath, cfg.File = filepath.Join(dir, "kvConfig.json"), filepath.Join(dir, "namesrv.properties")
	cfg.TLS.Mode = config.TLSDisabled
	return cfg
}

func openServer(t *testing.T, cfg config.Namesrv) *Server {
	t.Helper()
	s, err := Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// peer is a connection of its own to a server, with the calls of a test.
type peer struct {
	t *testing.T
	*remoting.Conn
}

func dial(t *testing.T, s *Server) *peer {
	t.Helper()
	c, err := remoting.Dial(t.Context(), s.Addr().String(), nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); <-c.Done() })
	return &peer{t, c}
}

func (p *peer) call(code int, header any, body []byte) *remoting.Response {
	p.t.Helper()
	r, err := p.Call(p.t.Context(), &remoting.Call{Code: code, Header: header, Body: body})
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// ok is call for what must succeed.
func (p *peer) ok(code int, header any, body []byte) *remoting.Response {
	p.t.Helper()
	r := p.call(code, header, body)
	if err := r.Err(); err != nil {
		p.t.Fatalf("%s: %v", protocol.RequestName(code), err)
	}
	return r
}

// member is a broker as tests register it.
type member struct {
	name   string
	id     int64
	addr   string
	acting *bool
	zone   string
	state  int64 // dataVersion.stateVersion
	count  int64 // dataVersion.counter
	beat   *int64
	topics []string
	perm   int32 // 6 when 0
	infos  map[string]*protocol.TopicQueueMappingInfo
	small  bool // compressed
}

func ptr[T any](v T) *T { return &v }

func (p *peer) register(m member) *remoting.Response {
	p.t.Helper()
	body := &protocol.RegisterBrokerBody{FilterServerList: []string{}}
	body.Topics.DataVersion = protocol.DataVersion{StateVersion: m.state, Counter: m.count}
	body.Topics.TopicConfigTable = make(map[string]*protocol.TopicConfig)
	body.Topics.TopicQueueMappingInfoMap = m.infos
	for _, name := range m.topics {
		c := protocol.NewTopicConfig(name)
		if m.perm != 0 {
			c.Perm = m.perm
		}
		body.Topics.TopicConfigTable[name] = &c
	}
	reg, err := client.NewRegistration(protocol.RegisterBrokerHeader{BrokerName: m.name, BrokerAddr: m.addr, ClusterName: "C", BrokerID: m.id,
		HAServerAddr: "ha-" + m.addr, EnableActingMaster: m.acting, HeartbeatTimeoutMillis: m.beat}, body, m.small)
	if err != nil {
		p.t.Fatal(err)
	}
	call := &remoting.Call{Code: protocol.ReqRegisterBroker, Header: &reg.Header, Body: reg.Body}
	if m.zone != "" {
		call.Ext = [][2]string{{protocol.FieldZoneName, m.zone}}
	}
	r, err := p.Call(p.t.Context(), call)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// route returns the answer to a route query as text: the body of a success, or "code remark".
func (p *peer) route(topic string) string {
	p.t.Helper()
	r := p.call(protocol.ReqGetRouteInfoByTopic, &protocol.GetRouteInfoHeader{Topic: topic}, nil)
	if r.Code != protocol.CodeSuccess {
		return string(r.Remark)
	}
	return string(r.Body)
}

// routeTo is route decoded.
func (p *peer) routeTo(topic string) *protocol.TopicRoute {
	p.t.Helper()
	var route protocol.TopicRoute
	text := p.route(topic)
	if err := fastjson.Unmarshal([]byte(text), &route); err != nil {
		p.t.Fatalf("route of %s: %s", topic, text)
	}
	return &route
}

// until waits for a state that a server reaches by itself.
func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !reached(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never %s", what)
		}
	}
}

// capture returns a frame that was recorded between Apache's client or broker and NameServer.
func capture(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "wire", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	frame, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// frame is a decoded frame.
type frame struct {
	protocol.Header
	body []byte
}

func parse(t *testing.T, b []byte) frame {
	t.Helper()
	n := int(binary.BigEndian.Uint32(b[4:]) & 0xFFFFFF)
	var f frame
	if err := protocol.DecodeHeader(&f.Header, protocol.Serialization(b[4]), bytes.Clone(b[8:8+n])); err != nil {
		t.Fatal(err)
	}
	f.body = b[8+n:]
	return f
}

func (f *frame) ext() map[string]string {
	m := make(map[string]string)
	for _, kv := range f.Fields {
		m[string(kv.Key)] = string(kv.Value)
	}
	return m
}

// exchange sends a frame as it is and returns the answer.
func exchange(t *testing.T, nc net.Conn, request []byte) frame {
	t.Helper()
	if _, err := nc.Write(request); err != nil {
		t.Fatal(err)
	}
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	head := make([]byte, 4)
	if _, err := io.ReadFull(nc, head); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, binary.BigEndian.Uint32(head))
	if _, err := io.ReadFull(nc, rest); err != nil {
		t.Fatal(err)
	}
	return parse(t, append(head, rest...))
}

func rawDial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

// inbox is a broker's port: it keeps the requests that come.
type inbox struct {
	mu  sync.Mutex
	got []*remoting.Request
}

func (b *inbox) Serve(r *remoting.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, r.Detach())
}
func (*inbox) Flush(*remoting.Conn)  {}
func (*inbox) Closed(*remoting.Conn) {}

func (b *inbox) requests() []*remoting.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got
}

func listen(t *testing.T) (*inbox, string) {
	t.Helper()
	b := &inbox{}
	s, err := remoting.Listen("127.0.0.1:0", b, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return b, s.Addr().String()
}
