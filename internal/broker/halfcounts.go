package broker

import (
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/statefile"
)

// halfCounts are how many half messages of each topic are undecided, kept in config/transactionMetrics. Only people read them: after a
// kill they are counted anew from the half messages themselves.
type halfCounts struct {
	path     string
	interval time.Duration
	file     behind

	mu      sync.Mutex // protects the fields below
	byTopic map[string]*halfCount
	version protocol.DataVersion
}

// halfCount is a topic's entry in the file.
type halfCount struct {
	Count     int64 `json:"count"`
	TimeStamp int64 `json:"timeStamp"` // Unix milliseconds of the last change
}

// halfCountsFile is the content of transactionMetrics.
type halfCountsFile struct {
	DataVersion      protocol.DataVersion  `json:"dataVersion"`
	TransactionCount map[string]*halfCount `json:"transactionCount"`
}

// openHalfCounts reads the file. The counts begin at 0, for who opens the half messages adds what is found.
func openHalfCounts(path string, b *Broker) *halfCounts {
	c := &halfCounts{path: path, interval: b.settings.Load().TransactionMetricsInterval, byTopic: map[string]*halfCount{}}
	c.file = behind{path: path, write: c.write, log: b.log}
	_, err := statefile.Read(path, func(data []byte) error {
		var file halfCountsFile
		if err := fastjson.Unmarshal(data, &file); err != nil {
			return err
		}
		c.version = file.DataVersion
		for topic, n := range file.TransactionCount {
			if n != nil {
				c.byTopic[topic] = &halfCount{TimeStamp: n.TimeStamp}
			}
		}
		return nil
	})
	if err != nil {
		b.log.Warn("counts of half messages could not be used and begin anew", "file", path, "err", err)
	}
	return c
}

// begin makes all counts 0, for they are found anew.
func (c *halfCounts) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.byTopic {
		n.Count = 0
	}
}

// found counts a half message that was there before the start.
func (c *halfCounts) found(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of(topic).Count++
}

// of returns a topic's entry. mu is held.
func (c *halfCounts) of(topic string) *halfCount {
	n := c.byTopic[topic]
	if n == nil {
		n = &halfCount{TimeStamp: time.Now().UnixMilli()}
		c.byTopic[topic] = n
	}
	return n
}

// add counts half messages that have come (1) or were decided (-1).
func (c *halfCounts) add(topic string, delta int64) {
	now := time.Now().UnixMilli()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.of(topic)
	n.Count += delta
	n.TimeStamp = now
	c.version.Counter++
	c.version.Timestamp = now
	c.file.touch(c.interval)
}

func (c *halfCounts) write() error {
	c.mu.Lock()
	data, err := fastjson.Marshal(halfCountsFile{c.version, c.byTopic})
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return statefile.Write(c.path, data)
}

// close writes the file a last time if it is behind.
func (c *halfCounts) close() error { return c.file.close() }
