package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := http.Get(url) //nolint:noctx // the test's own time limit holds
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestServer_ServesMetricsOfBothRoles(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	base := strings.TrimSuffix(s.out.wait(t, `Metrics     (http://127\.0\.0\.1:\d+/metrics)`), "/metrics")
	_, body := fetch(t, base+"/metrics")
	for _, want := range []string{
		`rocketmq_topic_number{cluster="DefaultCluster",node_id="broker-a",node_type="broker",otel_scope_name="broker-meter"} `,
		`liftoff_namesrv_brokers{broker="broker-a",broker_cluster="DefaultCluster",node_type="namesrv"} 1`,
		`liftoff_connections{node_type="namesrv",port="namesrv"} 1`,
		"liftoff_ready 1", "target_info 1",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not in\n%s", want, body)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := fetch(t, base+path); code != http.StatusOK {
			t.Errorf("%s is %d %s", path, code, body)
		}
	}
}

func TestBroker_IsNotReadyWithoutNameServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	_ = l.Close()
	file := filepath.Join(t.TempDir(), "broker.properties")
	text := fmt.Sprintf("storePathRootDir=%s\nbindAddress=127.0.0.1\nlistenPort=0\nnamesrvAddr=%s\n", t.TempDir(), nobody)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	errs := newOutput()
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{name: "liftoff", in: strings.NewReader(""), out: newOutput(), err: errs, exit: func(int) { t.Error("it ended at once") }}
	ended := make(chan int, 1)
	go func() { ended <- p.run(ctx, []string{"broker", "-c", file, "--metrics-port", "0"}) }()
	defer func() { cancel(); <-ended }()
	base := strings.TrimSuffix(errs.wait(t, `url=(http://127\.0\.0\.1:\d+/metrics)`), "/metrics")
	errs.wait(t, "(store opened)")
	p.out.(*output).wait(t, "(boot success)")
	if code, body := fetch(t, base+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "broker: not registered with any NameServer (namesrvAddr="+nobody) {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := fetch(t, base+"/healthz"); code != http.StatusOK {
		t.Errorf("/healthz is %d", code)
	}
}

// A port that is taken must not keep a daemon from starting.
func TestBroker_StartsWithoutMetricsWhenThePortIsTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := startServer(t, "--metrics-port", fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	if !strings.Contains(s.out.String(), "Metrics     not served") {
		t.Errorf("it does not say that there are no metrics:\n%s", s.out)
	}
	s.err.wait(t, `level=ERROR msg="there are no metrics, no /healthz and no /readyz".*(metricsPromExporterPort)`)
}
