package broker

import (
	"strings"
	"sync"

	"github.com/liftoffmq/liftoff/internal/metrics"
)

// tallies are the metrics of what happens rarely enough for a lock and a search: a message that becomes a dead letter, the end of a
// transaction, a topic that is made. What each message goes through is counted in counters.go.
type tallies struct {
	mu     sync.Mutex // protects the fields below; not what histograms count
	counts map[tallyKey]int64
	times  map[tallyKey]*metrics.Histogram
}

// tallyKey is a series: the values of the metric's labels, in their order.
type tallyKey struct {
	metric *metrics.Metric
	labels [4]string
}

// talliesMax bounds what topics and groups that come and go leave behind. Further series are not counted.
const talliesMax = 100_000

func newTallies() *tallies {
	return &tallies{counts: map[tallyKey]int64{}, times: map[tallyKey]*metrics.Histogram{}}
}

// add adds to the counter with these values of labels.
func (t *tallies) add(m *metrics.Metric, n int64, labels ...string) {
	key := tallyKey{metric: m}
	copy(key.labels[:], labels)
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, there := t.counts[key]; there || len(t.counts) < talliesMax {
		t.counts[key] = old + n
	}
}

// observe counts a value in the distribution with these values of labels.
func (t *tallies) observe(m *metrics.Metric, v int64, labels ...string) {
	key := tallyKey{metric: m}
	copy(key.labels[:], labels)
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.times[key]
	if h == nil && len(t.times) < talliesMax {
		h = metrics.NewHistogram(m)
		t.times[key] = h
	}
	if h != nil {
		h.Observe(v)
	}
}

// addMetrics adds the series of some of the metrics.
func (t *tallies) addMetrics(s *metrics.Snapshot, which ...*metrics.Metric) {
	wanted := make(map[*metrics.Metric][]string, len(which)) // the names of labels
	for _, m := range which {
		wanted[m] = strings.Fields(strings.TrimPrefix(m.Labels, metrics.StorageLabels+" "))
	}
	labels := func(key tallyKey, names []string) []string {
		var all []string
		if strings.HasPrefix(key.metric.Labels, metrics.StorageLabels) {
			all = storageLabels()
		}
		for i, name := range names {
			all = append(all, name, key.labels[i])
		}
		return all
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, n := range t.counts {
		if names, ok := wanted[key.metric]; ok {
			s.AddInt(key.metric, n, labels(key, names)...)
		}
	}
	for key, h := range t.times {
		if names, ok := wanted[key.metric]; ok {
			s.AddHistogram(key.metric, h, labels(key, names)...)
		}
	}
}
