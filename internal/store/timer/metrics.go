package timer

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/statefile"
)

// metrics say how many messages of each topic wait. They are in config/timermetrics as one line of JSON:
//
//	{"dataVersion":{...},"timingCount":{"<topic>":{"count":12,"timeStamp":<ms of the last change>}}}
type metrics struct {
	path   string
	log    *slog.Logger
	topics func() []string

	mu      sync.Mutex // protects the fields below
	byTopic map[string]*metric
	version protocol.DataVersion
	changed bool
	saved   time.Time
}

// metric is one topic's count.
type metric struct {
	Count     int64 `json:"count"`
	Timestamp int64 `json:"timeStamp"`
}

// metricsFile is the file's content.
type metricsFile struct {
	DataVersion protocol.DataVersion `json:"dataVersion"`
	TimingCount map[string]*metric   `json:"timingCount"`
}

// metricsInterval is how long counts that change are kept in memory only. They are counted anew when they were lost.
const metricsInterval = 10 * time.Second

func topicHash(topic []byte) int32 { return message.JavaHash(0, topic) }

func (m *metrics) load() error {
	m.byTopic = map[string]*metric{}
	c, err := statefile.Read(m.path, func(data []byte) error {
		var f metricsFile
		if err := fastjson.Unmarshal(data, &f); err != nil {
			return err
		}
		clear(m.byTopic)
		for topic, v := range f.TimingCount {
			if v != nil {
				m.byTopic[topic] = v
			}
		}
		m.version = f.DataVersion
		return nil
	})
	if err != nil {
		m.log.Warn("counts of timers are made anew", "file", m.path, "err", err)
		return nil
	}
	if c.Why != nil {
		m.log.Warn("state file could not be used as it is", "file", m.path, "used", c.Path, "err", c.Why)
	}
	return nil
}

// add adds to the count of a topic.
func (m *metrics) add(topic []byte, n int64) {
	if len(topic) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.byTopic[string(topic)]
	if v == nil {
		v = new(metric)
		m.byTopic[string(topic)] = v
	}
	now := time.Now().UnixMilli()
	v.Count += n
	v.Timestamp = now
	m.version = m.version.Next(now)
	m.changed = true
}

func (m *metrics) sum() (n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.byTopic {
		n += v.Count
	}
	return n
}

// hashes gives the names of topics by their hash: those with counts, and those that there are.
func (m *metrics) hashes() map[int32]string {
	names := map[int32]string{}
	if m.topics != nil {
		for _, name := range m.topics() {
			names[message.JavaHash(0, name)] = name
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.byTopic {
		names[message.JavaHash(0, name)] = name
	}
	return names
}

func (m *metrics) set(counts map[string]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now().UnixMilli()
	for topic, v := range m.byTopic {
		if counts[topic] == 0 {
			v.Count = 0
		}
	}
	for topic, n := range counts {
		m.byTopic[topic] = &metric{Count: n, Timestamp: now}
	}
	m.version = m.version.Next(now)
	m.changed = true
}

// keepLocked forgets topics that are not there any more and that nobody waits for.
func (m *metrics) keepLocked() {
	if m.topics == nil {
		return
	}
	there := map[string]bool{}
	for _, name := range m.topics() {
		there[name] = true
	}
	for name, v := range m.byTopic {
		if v.Count <= 0 && !there[name] {
			delete(m.byTopic, name)
		}
	}
}

func (m *metrics) encodeLocked() ([]byte, error) {
	return fastjson.Marshal(metricsFile{DataVersion: m.version, TimingCount: m.byTopic})
}

// save writes the file if something changed: at once, or when it was not written lately.
func (m *metrics) save(now bool) error {
	m.mu.Lock()
	if !m.changed || !now && time.Since(m.saved) < metricsInterval {
		m.mu.Unlock()
		return nil
	}
	m.keepLocked()
	data, err := m.encodeLocked()
	m.changed, m.saved = false, time.Now()
	m.mu.Unlock()
	if err == nil {
		err = statefile.Write(m.path, data)
	}
	if err != nil {
		return fmt.Errorf("cannot keep counts of timers: %w", err)
	}
	return nil
}

// Count adds to the messages of a topic that wait, for those that leave the wheel.
func (t *Timer) Count(topic []byte, n int64) { t.metrics.add(topic, n) }

// Forget forgets the count of a topic that was deleted.
func (t *Timer) Forget(topic string) {
	t.metrics.mu.Lock()
	defer t.metrics.mu.Unlock()
	delete(t.metrics.byTopic, topic)
	t.metrics.changed = true
}

// Metrics is what config/timermetrics would say now.
func (t *Timer) Metrics() ([]byte, error) {
	t.metrics.mu.Lock()
	defer t.metrics.mu.Unlock()
	return t.metrics.encodeLocked()
}
