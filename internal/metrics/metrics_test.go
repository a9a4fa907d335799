package metrics

import (
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestText_IsWhatApacheServes(t *testing.T) {
	t.Parallel()
	s := NewSnapshot(100)
	s.Common(Label{"otel_scope_name", "broker-meter"}, Label{"cluster", "c"})
	s.AddInt(&MessagesIn, 7, "topic", `a"b\`+"\n\xff", "is_system", "false")
	h := NewHistogram(&RPCLatency)
	h.Observe(0)
	h.Observe(1)
	h.ObserveMany(2, 3)
	h.Observe(99_999)
	s.AddHistogram(&RPCLatency, h, "result", "success")
	s.Add(&DiskUsed, .25)
	check := func(openMetrics bool, want string) {
		t.Helper()
		var b strings.Builder
		if err := writeText(&b, s.Families(), openMetrics); err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(b.String()) {
			if !strings.HasPrefix(line, "# HELP") {
				got = append(got, line)
			}
		}
		if strings.Join(got, "") != want {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, ""), want)
		}
	}
	want := `# TYPE liftoff_disk_used_ratio gauge
liftoff_disk_used_ratio{cluster="c",otel_scope_name="broker-meter"} 0.25
# TYPE rocketmq_messages_in_total counter
rocketmq_messages_in_total{cluster="c",is_system="false",otel_scope_name="broker-meter",topic="a\"b\\\n` + "\uFFFD" + `"} 7
# TYPE rocketmq_rpc_latency_milliseconds histogram
rocketmq_rpc_latency_milliseconds_bucket{cluster="c",otel_scope_name="broker-meter",result="success",le="1.0"} 2
rocketmq_rpc_latency_milliseconds_bucket{cluster="c",otel_scope_name="broker-meter",result="success",le="3.0"} 5
rocketmq_rpc_latency_milliseconds_bucket{cluster="c",otel_scope_name="broker-meter",result="success",le="5.0"} 5
rocketmq_rpc_latency_milliseconds_bucket{cluster="c",otel_scope_name="broker-meter",result="success",le="7.0"} 5
rocketmq_rpc_latency_milliseconds_bucket{cluster="c",otel_scope_name="broker-meter",result="success",le="10.0"} 5
rocketmq_rpc_latency_milliseconds_bucket{cluster="c",otel_scope_name="broker-meter",result="success",le="100.0"} 5
rocketmq_rpc_latency_milliseconds_bucket{cluster="c",otel_scope_name="broker-meter",result="success",le="1000.0"} 5
rocketmq_rpc_latency_milliseconds_bucket{cluster="c",otel_scope_name="broker-meter",result="success",le="2000.0"} 5
rocketmq_rpc_latency_milliseconds_bucket{cluster="c",otel_scope_name="broker-meter",result="success",le="3000.0"} 5
rocketmq_rpc_latency_milliseconds_bucket{cluster="c",otel_scope_name="broker-meter",result="success",le="+Inf"} 6
rocketmq_rpc_latency_milliseconds_count{cluster="c",otel_scope_name="broker-meter",result="success"} 6
rocketmq_rpc_latency_milliseconds_sum{cluster="c",otel_scope_name="broker-meter",result="success"} 100006
`
	check(false, want+"# TYPE target_info gauge\ntarget_info 1\n")
	check(true, strings.Replace(want, "# TYPE rocketmq_messages_in_total", "# TYPE rocketmq_messages_in", 1)+"# TYPE target info\ntarget_info 1\n# EOF\n")
}

func TestSnapshot_AddsUpWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	s := NewSnapshot(3)
	for _, topic := range []string{"a", "b", "c", "d"} {
		s.AddInt(&Commits, 1, "topic", topic)
	}
	f := s.Families()[0]
	if len(f.Points) != 3 {
		t.Fatalf("%d series, want 3", len(f.Points))
	}
	if p := f.Points[0]; p.Labels[0] != (Label{"otel_metric_overflow", "true"}) || p.Value != 2 {
		t.Errorf("the rest is %v", p)
	}
}

func TestNames_AreOfOneKind(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, section := range Sections() {
		for _, m := range section.Metrics {
			name := m.PrometheusName()
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
			if (m.Kind == Distribution) != (m.Buckets != nil) || m.Help == "" {
				t.Errorf("%s is not whole", name)
			}
		}
	}
}

func TestParseLabels(t *testing.T) {
	t.Parallel()
	got := ParseLabels("zone:eu-1,,wrong,a:b:c,zone:us,cluster:x,in stance:7", []Label{{"cluster", "c"}})
	if len(got) != 2 || got[0] != (Label{"zone", "eu-1"}) || got[1] != (Label{"in_stance", "7"}) {
		t.Errorf("got %v", got)
	}
}

// fake is a daemon.
type fake struct{ err error }

func (f *fake) Ready() error          { return f.err }
func (f *fake) Metrics(s *Snapshot)   { s.AddInt(&TopicNumber, 5); s.AddInt(&GroupNumber, 6) }
func discard() *slog.Logger           { return slog.New(slog.DiscardHandler) }
func url(a net.Addr, p string) string { return "http://" + a.String() + p }

func get(t *testing.T, url string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	in := io.Reader(answer.Body)
	if answer.Header.Get("Content-Encoding") == "gzip" {
		if in, err = gzip.NewReader(in); err != nil {
			t.Fatal(err)
		}
	}
	body, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Content-Type") + "\n" + string(body)
}

func TestServer_SaysWhatIsReady(t *testing.T) {
	t.Parallel()
	s := NewServer(Config{Log: discard(), Host: "127.0.0.1", Limit: 100}, "NameServer", "broker")
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	check := func(path string, code int, want ...string) {
		t.Helper()
		got, body := get(t, url(s.Addr(), path), "Accept-Encoding", "gzip")
		if got != code {
			t.Errorf("%s is %d, want %d", path, got, code)
		}
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s is %q, want %q in it", path, body, w)
			}
		}
	}
	check("/healthz", 200, "ok")
	check("/readyz", 503, "NameServer: is starting", "broker: is starting")
	check("/metrics", 200, "liftoff_ready 0", "text/plain; version=0.0.4")
	s.Set("NameServer", &fake{})
	b := &fake{errors.New("the disk is full")}
	s.Set("broker", b)
	check("/readyz", 503, "broker: the disk is full\n")
	check("/healthz", 200, "ok")
	b.err = nil
	check("/readyz", 200, "ok")
	check("/metrics", 200, "liftoff_ready 1", "rocketmq_topic_number 5")
	check("/", 200, "/readyz")
	check("/debug/pprof/", 404)
	if _, body := get(t, url(s.Addr(), "/metrics?name[]=rocketmq_topic_number")); strings.Contains(body, "group") {
		t.Errorf("all are served where one was asked for: %s", body)
	}
	if _, body := get(t, url(s.Addr(), "/metrics"), "Accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"); !strings.HasPrefix(body, "application/openmetrics-text") || !strings.HasSuffix(body, "# EOF\n") {
		t.Errorf("no OpenMetrics: %s", body)
	}
}

func TestServer_TakesASparePort(t *testing.T) {
	t.Parallel()
	first := NewServer(Config{Log: discard(), Host: "127.0.0.1", Limit: 10})
	if err := first.Listen(); err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	taken := first.Addr().(*net.TCPAddr).Port
	second := NewServer(Config{Log: discard(), Host: "127.0.0.1", Port: taken, Limit: 10})
	if err := second.Listen(); err == nil {
		t.Error("two servers have one port")
	}
	third := NewServer(Config{Log: discard(), Host: "127.0.0.1", Port: taken, Spare: 20, Limit: 10})
	if err := third.Listen(); err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if port := third.Addr().(*net.TCPAddr).Port; port <= taken || port > taken+20 {
		t.Errorf("port %d instead of %d", port, taken)
	}
}

func TestServer_ServesProfilesToThisHost(t *testing.T) {
	t.Parallel()
	s := NewServer(Config{Log: discard()})
	if err := s.ListenPprof(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.PprofAddr().(*net.TCPAddr).IP.IsLoopback() {
		t.Errorf("profiles are served at %s", s.PprofAddr())
	}
	if code, body := get(t, url(s.PprofAddr(), "/debug/pprof/goroutine?debug=1")); code != 200 || !strings.Contains(body, "goroutine profile") {
		t.Errorf("%d %s", code, body)
	}
}
