package metrics

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // what is sent is compressed
	"google.golang.org/grpc/metadata"
)

// otelCollector takes what is pushed.
type otelCollector struct {
	collector.UnimplementedMetricsServiceServer
	got chan *collector.ExportMetricsServiceRequest
}

func (c *otelCollector) Export(ctx context.Context, r *collector.ExportMetricsServiceRequest) (*collector.ExportMetricsServiceResponse, error) {
	if md, _ := metadata.FromIncomingContext(ctx); strings.Join(md.Get("token"), "") != "secret" {
		return nil, context.Canceled
	}
	c.got <- r
	return &collector.ExportMetricsServiceResponse{}, nil
}

// counting is a daemon whose counter grows with each look.
type counting struct{ looks atomic.Int64 }

func (c *counting) Ready() error { return nil }

func (c *counting) Metrics(s *Snapshot) {
	s.Common(Label{"otel_scope_name", "broker-meter"}, Label{"cluster", "c"})
	n := c.looks.Add(1)
	s.AddInt(&Commits, 10*n, "topic", "t")
	h := NewHistogram(&Fsync)
	h.ObserveMany(2_000_000, n)
	s.AddHistogram(&Fsync, h)
	s.Add(&DiskUsed, .5)
}

func TestPush_ReachesACollector(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &otelCollector{got: make(chan *collector.ExportMetricsServiceRequest, 100)}
	server := grpc.NewServer()
	collector.RegisterMetricsServiceServer(server, c)
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	s := NewServer(Config{Log: discard(), Limit: 100}, "broker")
	s.Set("broker", &counting{})
	if err := s.Push(Push{Interval: 20 * time.Millisecond, Delta: true, Target: "http://" + l.Addr().String(), Headers: ParsePairs("token:secret,wrong"),
		Timeout: 10 * time.Second, Batch: 2}); err != nil {
		t.Fatal(err)
	}
	// The first sending has everything since the start, the second what came since the first.
	var commits []int64
	var fsyncs []uint64
	for len(commits) < 2 || len(fsyncs) < 2 {
		var r *collector.ExportMetricsServiceRequest
		select {
		case r = <-c.got:
		case <-time.After(20 * time.Second):
			t.Fatal("nothing is sent")
		}
		scope := r.ResourceMetrics[0].ScopeMetrics[0]
		if scope.Scope.Name != "broker-meter" {
			t.Errorf("scope %q", scope.Scope.Name)
		}
		points := 0
		for _, m := range scope.Metrics {
			switch m.Name {
			case "rocketmq_commit_messages_total":
				sum := m.GetSum()
				if !sum.IsMonotonic || sum.AggregationTemporality != otlp.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA {
					t.Errorf("%v", sum)
				}
				if a := sum.DataPoints[0].Attributes; len(a) != 2 || a[0].Key != "cluster" || a[1].Key != "topic" {
					t.Errorf("attributes %v", a)
				}
				commits = append(commits, sum.DataPoints[0].GetAsInt())
			case "liftoff_fsync_duration":
				if p := m.GetHistogram().DataPoints[0]; m.Unit != "seconds" || p.GetSum() != 2*float64(p.Count) || p.BucketCounts[9] != p.Count {
					t.Errorf("%v", p)
				} else {
					fsyncs = append(fsyncs, p.Count)
				}
			case "liftoff_disk_used_ratio":
				if v := m.GetGauge().DataPoints[0].GetAsDouble(); v != .5 {
					t.Errorf("%v", v)
				}
			}
			points++
		}
		if points > 2 {
			t.Errorf("%d values at once", points)
		}
	}
	if commits[0] != 10 || commits[1] != 10 || fsyncs[0] != 1 || fsyncs[1] != 1 {
		t.Errorf("commits %v, fsyncs %v", commits, fsyncs)
	}
	s.Close()
}

// logged collects what is logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	select {
	case l.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

func TestPush_WritesIntoTheLog(t *testing.T) {
	t.Parallel()
	l := &logged{more: make(chan struct{}, 1)}
	s := NewServer(Config{Log: slog.New(slog.NewJSONHandler(l, nil)), Limit: 100}, "broker")
	s.Set("broker", &counting{})
	if err := s.Push(Push{Interval: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	<-l.more
	s.Close()
	if want := `"name":"rocketmq_commit_messages_total","type":"counter","unit":"","points":[{"labels":{"cluster":"c","otel_scope_name":"broker-meter","topic":"t"},"value":10}]`; !strings.Contains(l.text.String(), want) {
		t.Errorf("%s is not in\n%s", want, l.text.String())
	}
}

func TestPush_SaysOnceThatNobodyListens(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	_ = listener.Close()
	l := &logged{more: make(chan struct{}, 1)}
	s := NewServer(Config{Log: slog.New(slog.NewTextHandler(l, nil)), Limit: 100}, "broker")
	if err := s.Push(Push{Interval: time.Millisecond, Target: "http://" + nobody, Timeout: 50 * time.Millisecond, Batch: 1000}); err != nil {
		t.Fatal(err)
	}
	<-l.more
	s.Close()
	if n := strings.Count(l.text.String(), "cannot send metrics"); n != 1 {
		t.Errorf("said %d times:\n%s", n, l.text.String())
	}
}

func TestPush_NoStopWaitsForACollectorThatCannotBeReached(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	l := &logged{more: make(chan struct{}, 1)}
	s := NewServer(Config{Log: slog.New(slog.NewTextHandler(l, nil)), Limit: 100}, "broker")
	const timeout = 2 * time.Second
	if err := s.Push(Push{Interval: time.Millisecond, Target: "http://" + listener.Addr().String(), Timeout: timeout, Batch: 1}); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	<-l.more // one batch of many has taken all its time
	if took := time.Since(begun); took > 3*timeout {
		t.Errorf("it waited %v for all batches", took)
	}
	begun = time.Now()
	s.Close()
	if took := time.Since(begun); took > timeout {
		t.Errorf("the stop took %v", took)
	}
}
