package metrics

import (
	"bufio"
	"io"
	"math"
	"strconv"
	"strings"
)

// The types that are served: Prometheus' text and OpenMetrics, which Prometheus asks for.
const (
	textType        = "text/plain; version=0.0.4; charset=utf-8"
	openMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// writeText writes families as Apache's exporter does: bounds of buckets are always written with a point, for "1" and "1.0" are labels of two
// series to Prometheus. OpenMetrics differs in that counters are announced without _total, and in its end.
//
//	# HELP rocketmq_rpc_latency_milliseconds ...
//	# TYPE rocketmq_rpc_latency_milliseconds histogram
//	rocketmq_rpc_latency_milliseconds_bucket{...,le="1.0"} 3
//	rocketmq_rpc_latency_milliseconds_count{...} 3
//	rocketmq_rpc_latency_milliseconds_sum{...} 1
func writeText(w io.Writer, families []*Family, openMetrics bool) error {
	t := textWriter{Writer: bufio.NewWriterSize(w, 16<<10)}
	for _, f := range families {
		name := f.PrometheusName()
		announced := name
		if openMetrics && f.Kind == Counter {
			announced = strings.TrimSuffix(name, "_total")
		}
		t.strings("# HELP ", announced, " ", helpEscape.Replace(f.Help), "\n# TYPE ", announced, " ", typeNames[f.Kind], "\n")
		for i := range f.Points {
			if p := &f.Points[i]; f.Kind == Distribution {
				t.histogram(name, f, p)
			} else {
				t.sample(name, "", p, "", p.Value)
			}
		}
	}
	if openMetrics {
		t.strings("# TYPE target info\ntarget_info 1\n# EOF\n")
	} else {
		t.strings("# TYPE target_info gauge\ntarget_info 1\n")
	}
	return t.Flush()
}

var (
	typeNames   = [...]string{Gauge: "gauge", Counter: "counter", Distribution: "histogram"}
	helpEscape  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// textWriter keeps the first error, as bufio.Writer does, for Flush.
type textWriter struct {
	*bufio.Writer
	room [32]byte
}

func (t *textWriter) strings(parts ...string) {
	for _, p := range parts {
		_, _ = t.WriteString(p)
	}
}

func (t *textWriter) sample(name, suffix string, p *Point, le string, value float64) {
	t.strings(name, suffix)
	before := byte('{')
	for _, l := range p.Labels {
		_ = t.WriteByte(before)
		t.strings(l.Name, `="`)
		_, _ = labelEscape.WriteString(t, strings.ToValidUTF8(l.Value, "\uFFFD"))
		_ = t.WriteByte('"')
		before = ','
	}
	if le != "" {
		_ = t.WriteByte(before)
		t.strings(`le="`, le, `"`)
		before = ','
	}
	if before == ',' {
		_ = t.WriteByte('}')
	}
	_ = t.WriteByte(' ')
	_, _ = t.Write(appendNumber(t.room[:0], value))
	_ = t.WriteByte('\n')
}

func (t *textWriter) histogram(name string, f *Family, p *Point) {
	n := int64(0)
	for i, count := range p.Counts {
		n += count
		le := "+Inf"
		if i < len(f.Buckets) {
			le = string(appendNumber(nil, f.Buckets[i]))
			if !strings.ContainsAny(le, ".e") {
				le += ".0"
			}
		}
		t.sample(name, "_bucket", p, le, float64(n))
	}
	t.sample(name, "_count", p, "", float64(n))
	t.sample(name, "_sum", p, "", p.Sum)
}

// appendNumber writes whole numbers as such.
func appendNumber(dst []byte, v float64) []byte {
	if math.Trunc(v) == v && math.Abs(v) < 1<<53 {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}
