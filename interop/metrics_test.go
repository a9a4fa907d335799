package interop

import (
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestJava5_SeesTheSameMetrics puts the same load on Apache's broker and on Liftoff's and compares what both serve to Prometheus: the same
// series, and values that are equal, or as near as their kind allows.
func TestJava5_SeesTheSameMetrics(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	scraped := map[kind]map[string]float64{}
	var mu sync.Mutex
	for _, k := range []kind{apache, liftoff} {
		port, err := freePort()
		must(t, err)
		cl := ownCluster(t, setup{broker: k, settings: []string{"metricsExporterType=PROM", fmt.Sprint("metricsPromExporterPort=", port), "metricsLabel=zone:eu-1",
			"messageDelayLevel=1s 1h 1s 1s", "transactionCheckInterval=600000", "timerWheelEnable=true"}})
		wg.Go(func() {
			loadForMetrics(t, java5, cl)
			if t.Failed() {
				return
			}
			series := settledSeries(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
			mu.Lock()
			defer mu.Unlock()
			scraped[k] = series
		})
	}
	wg.Wait()
	if !t.Failed() {
		compareSeries(t, scraped[apache], scraped[liftoff])
	}
}

// loadForMetrics sends messages of each kind and consumes them in each way. Names are the same for each broker.
func loadForMetrics(t *testing.T, c client, cl *cluster) {
	p := newProducer(t, c, cl)
	topic := func(name string, queues int) string {
		p.ask("createTopic", "key", "TBW102", "topic", name, "queues", queues, "broker", cl.broker.addr(), "namesrv", cl.addrs())
		p.waitForQueues(name, queues)
		return name
	}
	// Plain ones of several sizes, consumed by push; one never succeeds and becomes a dead letter after a try.
	plain := topic("MetricsPlain", 4)
	s := startConsumer(t, "failing", c, cl, plain, "MetricsPushers", "fails", 99, "only", "-0", "most", 1)
	p.fill(plain, 20, "queues", 4)
	p.ask("fill", "topic", plain, "prefix", "large", "first", 1, "count", 2, "size", 5000, "queues", 4)
	var batch []string
	for i := range 5 {
		batch = append(batch, fmt.Sprintf("topic=%s&keys=b%d&body=eA%%3D%%3D", plain, i))
	}
	p.ask("batch", "m", strings.Join(batch, "\n"))
	s.wait(20 + 2 + 5 + 1)
	// Delayed and timed ones, which a second group of consumers gets.
	later := topic("MetricsLater", 2)
	l := startConsumer(t, "push", c, cl, later, "MetricsLate")
	sendDelayed(t, c, cl, "metrics-delayed-"+string(cl.broker.kind)[:1], later, 1, 3)
	sendDelayed(t, c, cl, "metrics-delayed-"+string(cl.broker.kind)[:1], later, 2, 2) // for an hour
	p.sendTimed(later, "setDelayTimeMs", 4, 1500, 0)
	p.sendTimed(later, "setDelayTimeSec", 2, 200, 0)
	l.wait(3 + 4)
	// Transactions.
	decided := topic("MetricsDecided", 2)
	tx := newTransactional(t, c, cl, "MetricsDeciders")
	for i := range 3 {
		tx.begin(decided, fmt.Sprint("c", i), "COMMIT_MESSAGE", "UNKNOW")
	}
	for i := range 2 {
		tx.begin(decided, fmt.Sprint("r", i), "ROLLBACK_MESSAGE", "UNKNOW")
	}
	tx.begin(decided, "u", "UNKNOW", "UNKNOW")
	// Popped ones: half of them is acknowledged.
	popped := topic("MetricsPopped", 2)
	p.fill(popped, 8, "queues", 2)
	popper := &popper{t: t, producer: p, topic: popped, group: "MetricsPoppers"}
	list := popper.popAll(8, "invisible", 600_000)
	popper.ack(list[:4])
	// What nobody consumes to the end.
	behind := topic("MetricsBehind", 1)
	b := startConsumer(t, "push", c, cl, behind, "MetricsBehind")
	p.fill(behind, 6, "queues", 1)
	b.wait(6)
}

// sample is a line of what is scraped.
var sample = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)

// scrape reads Prometheus' text.
func scrape(url string) (map[string]float64, error) {
	answer, err := http.Get(url) //nolint:noctx // a test has a time limit of its own
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	series := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("%q is no sample", line)
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, err
		}
		series[m[1]+"{"+m[2]+"}"] = v
	}
	return series, nil
}

// settling are the series that stay when nothing happens any more.
var settling = regexp.MustCompile(`^rocketmq_(messages|throughput|message_size|send_to_dlq|commit|rollback|half|timer_(en|de)queue_total|timing|consumer_(lag|ready|inflight)_messages).*is_system="false"`)

// settledSeries scrapes until what is counted has not changed for a while.
func settledSeries(t *testing.T, url string) (last map[string]float64) {
	t.Helper()
	counted := func(series map[string]float64) map[string]float64 {
		few := map[string]float64{}
		for name, v := range series {
			if settling.MatchString(name) {
				few[name] = v
			}
		}
		return few
	}
	since := time.Now()
	must(t, waitFor(soon, func() error {
		now, err := scrape(url)
		if err != nil {
			return err
		}
		for name, v := range now {
			if strings.HasPrefix(name, "rocketmq_consumer_lag_messages{") && !strings.Contains(name, "MetricsPoppers") && v != 0 {
				return fmt.Errorf("consumers have not committed what they have: %s %v", name, v)
			}
		}
		if last == nil || !maps.Equal(counted(now), counted(last)) {
			last, since = now, time.Now()
		}
		if time.Since(since) < 4*time.Second { // what is counted late has time to come
			return fmt.Errorf("%s changes still", url)
		}
		last = now
		return nil
	}))
	return last
}

// A nearness is how alike the series of a metric must be on both brokers. The zero value is: equal.
type nearness struct {
	pattern string
	part    float64 // by how much of itself a value may differ
	exists  bool    // it must be there, its value says nothing
	absent  bool    // it need not even be there
	why     string
}

// unequal are the series that need not be equal. The first pattern that fits counts.
var unequal = []nearness{
	{pattern: `^(liftoff|go|process|target)_`, absent: true, why: "not the broker, or Liftoff's own"},
	{pattern: `^rocketmq_rpc_latency.*request_code="pull_message"`, absent: true, why: "whether a pull waits, and how it ends, is a matter of when"},
	{pattern: `^rocketmq_rpc_latency.*request_code="(query_consumer_offset|get_consumer_list_by_group|unregister_client)"`, absent: true, why: "at each rebalance"},
	{pattern: `^rocketmq_rpc_latency.*_(bucket|sum)\{`, exists: true, why: "times"},
	{pattern: `^rocketmq_rpc_latency.*request_code="(heart_beat|update_consumer_offset)"`, exists: true, why: "sent by the clock"},
	{pattern: `^rocketmq_(topic|consumer_group)_create_execution_time.*_(bucket|sum)\{`, exists: true, why: "times"},
	{pattern: `^rocketmq_finish_message_latency.*_(bucket|sum)\{`, exists: true, why: "times"},
	{pattern: `^rocketmq_(consumer_lag_latency|consumer_queueing_latency|storage_message_reserve_time|timer_(en|de)queue_latency|pop_revive_latency)`, exists: true, why: "ages; of a retry topic that is not there Apache's is below 0"},
	{pattern: `^rocketmq_storage_`, exists: true, why: "the machine's disk"},
	{pattern: `^rocketmq_pop_buffer_scan_time`, exists: true, why: "Liftoff does not scan"},
	{pattern: `^rocketmq_pop_(checkpoint_buffer_size|revive_in_message_total)`, absent: true, why: "Liftoff keeps check points in memory and writes what is not acknowledged soon, Apache writes all"},
	{pattern: `^rocketmq_.*topic="rmq_sys_REVIVE_LOG_`, absent: true, why: "the same"},
	{pattern: `^rocketmq_timer_(dequeue_lag|message_snapshot)`, exists: true, why: "what is popped waits there, too"},
	{pattern: `^rocketmq_(throughput_|message_size_sum)`, part: .01, why: "names of messages are numbered, and one number may have a digit more"},
	{pattern: `^rocketmq_delay_message_latency_seconds_sum`, part: .05, why: "whole seconds since a message's birth"},
}

func nearnessOf(series string) nearness {
	for _, n := range unequal {
		if regexp.MustCompile(n.pattern).MatchString(series) {
			return n
		}
	}
	return nearness{}
}

func compareSeries(t *testing.T, want, got map[string]float64) {
	t.Helper()
	all := maps.Clone(want)
	maps.Copy(all, got)
	compared := 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		n := nearnessOf(name)
		if n.absent {
			continue
		}
		w, there := want[name]
		g, here := got[name]
		switch {
		case !there:
			t.Errorf("Liftoff alone has  %s %v", name, g)
		case !here:
			t.Errorf("Apache alone has   %s %v", name, w)
		case !n.exists && math.Abs(w-g) > n.part*math.Abs(w):
			t.Errorf("Apache %v, Liftoff %v  %s", w, g, name)
		default:
			compared++
		}
	}
	t.Logf("%d series are the same", compared)
}
