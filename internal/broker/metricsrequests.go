package broker

import (
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// sizes are how many messages of each size there were.
type sizes struct {
	counts [sizeBuckets]atomic.Uint64
	sum    atomic.Uint64
}

const sizeBuckets = 7

// sizeBucket is where a size is counted.
func sizeBucket(size int64) int {
	i := 0
	for i < sizeBuckets-1 && size > int64(metrics.MessageSize.Buckets[i]) {
		i++
	}
	return i
}

// addRequests adds what was sent and consumed.
func (b *Broker) addRequests(s *metrics.Snapshot) {
	for _, t := range b.counts.eachTopic() {
		isRetry := strings.HasPrefix(t.topic, retryPrefix) || strings.HasPrefix(t.topic, dlqPrefix)
		for kind := range kindMoved {
			in := &t.in[kind]
			n := in.messages.Load()
			if n == 0 || isRetry && kind != kindDelay {
				continue
			}
			labels := []string{"topic", t.topic, "message_type", kind.String(), "is_system", strconv.FormatBool(t.system)}
			s.Add(&metrics.MessagesIn, float64(n), labels...)
			s.Add(&metrics.ThroughputIn, float64(in.bytes.Load()), labels...)
			of := t.sizes[kind].Load()
			if of == nil {
				continue // it is being counted now
			}
			counts := make([]int64, sizeBuckets)
			for i := range counts {
				counts[i] = int64(of.counts[i].Load())
			}
			s.AddCounts(&metrics.MessageSize, counts, float64(of.sum.Load()), labels...)
		}
	}
	for _, g := range b.counts.eachGroup() {
		system := strconv.FormatBool(g.system || strings.HasPrefix(g.group, sysGroups))
		popped, poppedBytes := g.pops.messages.Load(), g.pops.bytes.Load()
		topic, isRetry := g.topic, g.popped != ""
		if isRetry {
			topic = g.popped
		}
		if popped > 0 {
			labels := []string{"topic", topic, "consumer_group", g.group, "is_system", system, "is_retry", strconv.FormatBool(isRetry)}
			s.Add(&metrics.MessagesOut, float64(popped), labels...)
			s.Add(&metrics.ThroughputOut, float64(poppedBytes), labels...)
		}
		pulled, pulledBytes := g.out.messages.Load()-popped, g.out.bytes.Load()-poppedBytes
		if pulled > 0 && !strings.HasPrefix(g.topic, retryPrefix) && !strings.HasPrefix(g.topic, dlqPrefix) {
			labels := []string{"topic", g.topic, "consumer_group", g.group, "is_system", system}
			s.Add(&metrics.MessagesOut, float64(pulled), labels...)
			s.Add(&metrics.ThroughputOut, float64(pulledBytes), labels...)
		}
	}
	b.tallies.addMetrics(s, &metrics.TopicCreate, &metrics.GroupCreate)
}

// addLatencies adds how long requests took.
func (b *Broker) addLatencies(s *metrics.Snapshot) {
	for o, h := range b.latencies.All() {
		result := "success"
		if o.Oneway {
			result = "oneway"
		}
		s.AddHistogram(&metrics.RPCLatency, h, "protocol_type", protocolType, "request_code", codeLabel(o.Request, protocol.RequestName(int(o.Request))),
			"response_code", codeLabel(o.Response, protocol.ResponseName(int(o.Response))), "is_long_polling", strconv.FormatBool(o.Held), "result", result)
	}
}

// codeLabel is how metrics name a code: by its name, or by its number when it has none.
func codeLabel(code int32, name string) string {
	if name == "" || name == "UNKNOWN" {
		return strconv.Itoa(int(code))
	}
	return strings.ToLower(name)
}

// counted makes a handler tell how long it took, in the distribution of a metric.
func counted(m *metrics.Metric, labels func(*Broker, *remoting.Request) []string, do func(*Broker, *remoting.Request) (*remoting.Answer, error)) func(*Broker, *remoting.Request) (*remoting.Answer, error) {
	return func(b *Broker, r *remoting.Request) (*remoting.Answer, error) {
		a, err := do(b, r)
		status := "success"
		if err != nil {
			status = "failure"
		}
		var more []string
		if labels != nil {
			more = labels(b, r)
		}
		b.tallies.observe(m, r.Age().Milliseconds(), append([]string{status}, more...)...)
		return a, err
	}
}

// aboutSystemTopic is the label that says whether a request is about a topic of the broker's own.
func aboutSystemTopic(b *Broker, r *remoting.Request) []string {
	for _, f := range r.Fields {
		if string(f.Key) == "topic" {
			return []string{strconv.FormatBool(b.topics.isSystem(string(f.Value)))}
		}
	}
	return []string{"false"}
}
