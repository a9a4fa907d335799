package metrics

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"
)

// Kind is what may be done with a metric's values.
type Kind uint8

// A Gauge goes up and down, a Counter only up, a Distribution counts values by size.
const (
	Gauge Kind = iota
	Counter
	Distribution
)

// A Metric is a name under which values are served.
type Metric struct {
	Name    string // as OpenTelemetry has it
	Kind    Kind
	Unit    string    // bytes, milliseconds (also written ms), seconds; empty when it is a number
	Labels  string    // besides the common ones, separated by blanks
	Buckets []float64 // upper bounds, of a Distribution, in its unit
	Float   bool      // it has values that are not whole
	Per     int64     // how many of what is observed make one unit; 0 is 1
	Help    string
}

// PrometheusName is the name under which Prometheus knows the metric: with its unit, and _total when it is a counter.
func (m *Metric) PrometheusName() string {
	name := m.Name
	if unit := m.UnitName(); unit != "" && !strings.HasSuffix(name, "_"+unit) {
		name += "_" + unit
	}
	if m.Kind == Counter && !strings.HasSuffix(name, "_total") {
		name += "_total"
	}
	return name
}

// UnitName is the unit as it stands in names.
func (m *Metric) UnitName() string {
	if m.Unit == "ms" {
		return "milliseconds"
	}
	return m.Unit
}

// A Label is one of the names and values that tell series of a metric apart.
type Label struct{ Name, Value string }

// A Point is one series of a metric and its value.
type Point struct {
	Labels []Label // sorted by name
	Value  float64
	// Of a Distribution: how many were in each bucket, the last one without an upper bound, and what all add up to, in the metric's unit.
	Counts []int64
	Sum    float64
}

// A Family is a metric and its series.
type Family struct {
	*Metric
	Points []Point
	more   int // index of the point that stands for those beyond the limit; 0 when there is none
}

// A Snapshot is the values of all metrics at a moment.
type Snapshot struct {
	limit    int
	common   []Label
	families map[*Metric]*Family
}

// NewSnapshot makes an empty one. Of each metric it takes as many series as limit says; those beyond are added up in one with the label
// otel_metric_overflow=true, as OpenTelemetry does it.
func NewSnapshot(limit int) *Snapshot {
	return &Snapshot{limit: max(limit, 2), families: make(map[*Metric]*Family)}
}

// Common sets the labels that every series has that is added from now on.
func (s *Snapshot) Common(labels ...Label) { s.common = labels }

// Add adds a series. Labels are names and values in turn.
func (s *Snapshot) Add(m *Metric, value float64, labels ...string) {
	s.add(m, labels).Value += value
}

// AddInt is Add for whole numbers.
func (s *Snapshot) AddInt(m *Metric, value int64, labels ...string) {
	s.Add(m, float64(value), labels...)
}

// AddHistogram adds a series of a Distribution.
func (s *Snapshot) AddHistogram(m *Metric, h *Histogram, labels ...string) {
	p := s.add(m, labels)
	if p.Counts == nil {
		p.Counts = make([]int64, len(m.Buckets)+1)
	}
	if h == nil {
		return
	}
	for i := range h.counts {
		p.Counts[i] += h.counts[i].Load()
	}
	p.Sum += float64(h.sum.Load()) / float64(max(m.Per, 1))
}

// AddCounts adds a series of a Distribution that was counted elsewhere.
func (s *Snapshot) AddCounts(m *Metric, counts []int64, sum float64, labels ...string) {
	p := s.add(m, labels)
	if p.Counts == nil {
		p.Counts = make([]int64, len(m.Buckets)+1)
	}
	for i, n := range counts {
		p.Counts[i] += n
	}
	p.Sum += sum
}

func (s *Snapshot) add(m *Metric, labels []string) *Point {
	f := s.families[m]
	if f == nil {
		f = &Family{Metric: m}
		s.families[m] = f
	}
	if len(f.Points) >= s.limit-1 {
		if f.more == 0 {
			f.more = len(f.Points)
			f.Points = append(f.Points, Point{Labels: s.labels([]string{"otel_metric_overflow", "true"})})
		}
		return &f.Points[f.more]
	}
	f.Points = append(f.Points, Point{Labels: s.labels(labels)})
	return &f.Points[len(f.Points)-1]
}

func (s *Snapshot) labels(own []string) []Label {
	all := make([]Label, len(s.common), len(s.common)+len(own)/2)
	copy(all, s.common)
	for i := 0; i+1 < len(own); i += 2 {
		all = append(all, Label{own[i], own[i+1]})
	}
	slices.SortFunc(all, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Families are the metrics that have series, sorted, and so are their series.
func (s *Snapshot) Families() []*Family {
	var all []*Family
	for _, f := range s.families {
		slices.SortFunc(f.Points, func(a, b Point) int { return slices.CompareFunc(a.Labels, b.Labels, compareLabels) })
		f.more = 0
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *Family) int { return strings.Compare(a.PrometheusName(), b.PrometheusName()) })
	return all
}

func compareLabels(a, b Label) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
}

// A Histogram counts values by size. It must be made by NewHistogram; it may be used by many at once.
type Histogram struct {
	bounds []int64
	counts []atomic.Int64
	sum    atomic.Int64
}

// NewHistogram makes one with the metric's buckets.
func NewHistogram(m *Metric) *Histogram {
	h := &Histogram{bounds: make([]int64, len(m.Buckets)), counts: make([]atomic.Int64, len(m.Buckets)+1)}
	for i, b := range m.Buckets {
		h.bounds[i] = int64(b * float64(max(m.Per, 1)))
	}
	return h
}

// Observe counts a value.
func (h *Histogram) Observe(v int64) { h.ObserveMany(v, 1) }

// ObserveMany counts the same value n times.
func (h *Histogram) ObserveMany(v, n int64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.counts[i].Add(n)
	h.sum.Add(v * n)
}

// Count is how many values there were.
func (h *Histogram) Count() (n int64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}
