package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Push says where metrics are sent to by themselves.
type Push struct {
	Interval time.Duration
	// Delta sends what was counted since the last time instead of since the start.
	Delta bool
	// Target is an OpenTelemetry collector, http://host:port or https://; empty for the log.
	Target  string
	Headers []Label
	Timeout time.Duration // of one sending
	Batch   int           // values sent at once
}

// pusher sends what the server gathers, now and then.
type pusher struct {
	cfg    Push
	s      *Server
	log    *slog.Logger
	export *otlpmetricgrpc.Exporter // nil for the log
	before map[string]Point         // of the counters, by series, as they were sent last
	sent   time.Time                // when; at first the start
	failed bool
	end    context.Context
	stop   context.CancelFunc
}

// Push starts to send. Close sends a last time.
func (s *Server) Push(cfg Push) error {
	p := &pusher{cfg: cfg, s: s, log: s.cfg.Log, before: map[string]Point{}, sent: time.Now()}
	p.end, p.stop = context.WithCancel(context.Background())
	if cfg.Target != "" {
		target := cfg.Target
		if !strings.HasPrefix(target, "http") {
			target = "https://" + target
		}
		headers := make(map[string]string, len(cfg.Headers))
		for _, h := range cfg.Headers {
			headers[h.Name] = h.Value
		}
		var err error
		p.export, err = otlpmetricgrpc.New(context.Background(), otlpmetricgrpc.WithEndpointURL(target), otlpmetricgrpc.WithHeaders(headers),
			otlpmetricgrpc.WithTimeout(cfg.Timeout), otlpmetricgrpc.WithCompressor("gzip"))
		if err != nil {
			return fmt.Errorf("cannot send metrics to %s: %w", cfg.Target, err)
		}
	}
	s.pusher = p
	s.serving.Go(p.pushLoop)
	return nil
}

func (p *pusher) pushLoop() {
	t := time.NewTicker(p.cfg.Interval)
	defer t.Stop()
	for {
		select {
		case <-p.end.Done():
			if !p.failed {
				p.push()
			}
			if p.export != nil {
				ctx, cancel := context.WithTimeout(context.Background(), p.cfg.Timeout)
				defer cancel()
				_ = p.export.Shutdown(ctx)
			}
			return
		case <-t.C:
			p.push()
		}
	}
}

// push sends what is counted now. A collector that cannot be reached is said once, until it can; no stop waits for one that could not be
// reached before.
func (p *pusher) push() {
	now := time.Now()
	families := p.s.Gather()
	from := started
	if p.cfg.Delta {
		p.makeDelta(families)
		from, p.sent = p.sent, now
	}
	if p.export == nil {
		p.write(families)
		return
	}
	until := context.Background()
	if p.failed {
		until = p.end
	}
	var errs []error
	for _, batch := range batches(families, p.cfg.Batch) {
		ctx, cancel := context.WithTimeout(until, p.cfg.Timeout)
		errs = append(errs, p.export.Export(ctx, resourceMetrics(batch, p.cfg.Delta, from, now)))
		late := ctx.Err() != nil
		cancel()
		if late {
			break // the others would be, too
		}
	}
	switch err := errors.Join(errs...); {
	case err != nil && !p.failed:
		p.failed = true
		p.log.Error("cannot send metrics to the collector", "target", p.cfg.Target, "err", err)
	case err == nil && p.failed:
		p.failed = false
		p.log.Info("metrics are sent to the collector again", "target", p.cfg.Target)
	}
}

// write puts the metrics into the log, a line for each.
func (p *pusher) write(families []*Family) {
	for _, f := range families {
		points := make([]map[string]any, len(f.Points))
		for i := range f.Points {
			point := map[string]any{}
			labels := map[string]string{}
			for _, l := range f.Points[i].Labels {
				labels[l.Name] = l.Value
			}
			point["labels"] = labels
			if f.Kind == Distribution {
				point["counts"], point["sum"] = f.Points[i].Counts, f.Points[i].Sum
			} else {
				point["value"] = f.Points[i].Value
			}
			points[i] = point
		}
		text, err := json.Marshal(points)
		if err != nil {
			continue // no value of ours is beyond JSON
		}
		p.log.Info("metric", "name", f.Name, "type", typeNames[f.Kind], "unit", f.Unit, "points", json.RawMessage(text))
	}
}

// makeDelta takes off what was there the last time.
func (p *pusher) makeDelta(families []*Family) {
	before := make(map[string]Point, len(p.before))
	for _, f := range families {
		if f.Kind == Gauge {
			continue
		}
		for i := range f.Points {
			point := &f.Points[i]
			key := f.Name
			for _, l := range point.Labels {
				key += "\x00" + l.Name + "\x00" + l.Value
			}
			before[key] = Point{Value: point.Value, Counts: append([]int64(nil), point.Counts...), Sum: point.Sum}
			old, ok := p.before[key]
			if !ok || old.Value > point.Value {
				continue // it is new, or began anew
			}
			point.Value -= old.Value
			point.Sum -= old.Sum
			for j := range old.Counts {
				point.Counts[j] -= old.Counts[j]
			}
		}
	}
	p.before = before
}

// batches are the families in parts of so many values.
func batches(families []*Family, most int) (all [][]*Family) {
	var batch []*Family
	room := most
	for _, f := range families {
		for points := f.Points; len(points) > 0; {
			n := min(len(points), room)
			batch = append(batch, &Family{Metric: f.Metric, Points: points[:n]})
			points = points[n:]
			if room -= n; room == 0 {
				all, batch, room = append(all, batch), nil, most
			}
		}
	}
	if len(batch) > 0 {
		all = append(all, batch)
	}
	return all
}

// resourceMetrics makes OpenTelemetry's form of families, with the names and units that Apache's meter has.
func resourceMetrics(families []*Family, delta bool, from, now time.Time) *metricdata.ResourceMetrics {
	scope := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: "broker-meter"}}
	temporality := metricdata.CumulativeTemporality
	if delta {
		temporality = metricdata.DeltaTemporality
	}
	for _, f := range families {
		m := metricdata.Metrics{Name: f.Name, Description: f.Help, Unit: f.Unit}
		switch {
		case f.Kind == Distribution:
			var points []metricdata.HistogramDataPoint[float64]
			for i := range f.Points {
				p := &f.Points[i]
				h := metricdata.HistogramDataPoint[float64]{Attributes: attributes(p.Labels), StartTime: from, Time: now, Bounds: f.Buckets, Sum: p.Sum}
				for _, n := range p.Counts {
					h.BucketCounts = append(h.BucketCounts, uint64(n))
					h.Count += uint64(n)
				}
				points = append(points, h)
			}
			m.Data = metricdata.Histogram[float64]{DataPoints: points, Temporality: temporality}
		case f.Kind == Counter && f.Float:
			m.Data = metricdata.Sum[float64]{DataPoints: dataPoints[float64](f, from, now), Temporality: temporality, IsMonotonic: true}
		case f.Kind == Counter:
			m.Data = metricdata.Sum[int64]{DataPoints: dataPoints[int64](f, from, now), Temporality: temporality, IsMonotonic: true}
		case f.Float:
			m.Data = metricdata.Gauge[float64]{DataPoints: dataPoints[float64](f, from, now)}
		default:
			m.Data = metricdata.Gauge[int64]{DataPoints: dataPoints[int64](f, from, now)}
		}
		scope.Metrics = append(scope.Metrics, m)
	}
	return &metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{scope}}
}

func dataPoints[N int64 | float64](f *Family, from, now time.Time) []metricdata.DataPoint[N] {
	points := make([]metricdata.DataPoint[N], len(f.Points))
	for i := range f.Points {
		points[i] = metricdata.DataPoint[N]{Attributes: attributes(f.Points[i].Labels), StartTime: from, Time: now, Value: N(f.Points[i].Value)}
	}
	return points
}

// attributes are the labels, but for the scope's name, which is the scope.
func attributes(labels []Label) attribute.Set {
	all := make([]attribute.KeyValue, 0, len(labels))
	for _, l := range labels {
		if l.Name != "otel_scope_name" {
			all = append(all, attribute.String(l.Name, strings.ToValidUTF8(l.Value, "\uFFFD")))
		}
	}
	return attribute.NewSet(all...)
}
