package broker

import (
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/metrics"
)

// series are a snapshot's values by name and labels, those of all series left out: name{a=b,c=d}.
func series(t *testing.T, b *Broker) map[string]float64 {
	t.Helper()
	s := metrics.NewSnapshot(10_000)
	b.Metrics(s)
	all := map[string]float64{}
	for _, f := range s.Families() {
		for _, p := range f.Points {
			var labels []string
			for _, l := range p.Labels {
				switch l.Name {
				case "cluster", "node_id", "node_type", "otel_scope_name", "storage_type", "storage_medium", "protocol_type":
				default:
					labels = append(labels, l.Name+"="+l.Value)
				}
			}
			value := p.Value
			for _, n := range p.Counts {
				value += float64(n)
			}
			all[f.PrometheusName()+"{"+strings.Join(labels, ",")+"}"] = value
		}
	}
	return all
}

// wantSeries checks values; one below 0 stands for a series that must not be there.
func wantSeries(t *testing.T, got map[string]float64, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		if v, ok := got[name]; ok != (value >= 0) || ok && v != value {
			t.Errorf("%s is %v (%t), want %v", name, v, ok, value)
		}
	}
	if t.Failed() {
		for name, v := range got {
			t.Log(name, v)
		}
	}
}

func TestMetrics_OfAnIdleBroker(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.MetricsLabels = "zone:eu-1,cluster:other,broken"
	b := openTest(t, cfg)
	got := series(t, b)
	wantSeries(t, got, map[string]float64{
		"rocketmq_broker_permission{zone=eu-1}":                         6,
		"rocketmq_topic_number{zone=eu-1}":                              float64(b.topics.count()),
		"rocketmq_processor_watermark{processor=send,zone=eu-1}":        0,
		"rocketmq_timer_message_snapshot{timer_bound_s=5,zone=eu-1}":    0,
		"rocketmq_pop_revive_lag_milliseconds{queue_id=7,zone=eu-1}":    0,
		"rocketmq_storage_message_reserve_time_milliseconds{zone=eu-1}": -1,
		"liftoff_store_writable{zone=eu-1}":                             1,
		"liftoff_connections{port=main,zone=eu-1}":                      0,
	})
	if err := b.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}
