package broker

import (
	"strconv"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// What the broker's metrics say, looked up when somebody scrapes. How far consumers are behind is in metricslag.go, what was sent,
// consumed and how long requests took in metricsrequests.go.

// protocolType is the label of everything that came over this protocol, the only one there is.
const protocolType = "remoting"

// Metrics adds everything that the broker knows of itself.
func (b *Broker) Metrics(s *metrics.Snapshot) {
	cfg := b.settings.Load()
	s.Common(commonLabels(cfg)...)
	if cfg.MetricsStats {
		b.addStats(s, cfg)
	}
	if cfg.MetricsRequests {
		b.addRequests(s)
	}
	if cfg.MetricsRemoting {
		b.addLatencies(s)
	}
	if cfg.MetricsLag {
		b.addLag(s, cfg)
		b.tallies.addMetrics(s, &metrics.SendToDLQ)
	}
	if cfg.MetricsConnections {
		b.clients.addMetrics(s)
	}
	if cfg.MetricsTransactions {
		b.halfCounts.addMetrics(s)
		b.tallies.addMetrics(s, &metrics.Commits, &metrics.Rollbacks, &metrics.FinishLatency)
	}
	if cfg.MetricsStore {
		b.addStoreMetrics(s, cfg)
		b.timers.addMetrics(s)
		b.tallies.addMetrics(s, &metrics.TimerEnqueue, &metrics.TimerDequeue, &metrics.DelayLatency)
	}
	if cfg.MetricsPop {
		b.addPopMetrics(s)
		b.tallies.addMetrics(s, &metrics.PopReviveIn, &metrics.PopReviveOut, &metrics.PopReviveRetry)
	}
	b.addLoad(s)
}

// commonLabels are those of every series: Apache's, and those of metricsLabel.
func commonLabels(cfg *settings) []metrics.Label {
	labels := []metrics.Label{{Name: "otel_scope_name", Value: "broker-meter"}, {Name: "node_type", Value: "broker"}, {Name: "cluster", Value: cfg.Cluster}, {Name: "node_id", Value: cfg.Name}}
	if cfg.MetricsInDelta {
		labels = append(labels, metrics.Label{Name: "aggregation", Value: "delta"})
	}
	return append(labels, metrics.ParseLabels(cfg.MetricsLabels, labels)...)
}

func (b *Broker) addStats(s *metrics.Snapshot, cfg *settings) {
	// Requests do not wait for threads. Those that are served beside their connection are counted where an operator would look for them.
	beside := map[string]int64{"admin": b.slow.size.Load(), "reply": b.asking.size.Load()}
	for _, processor := range []string{"send", "async_put", "pull", "ack", "query_message", "client_manager", "heartbeat", "lite_pull", "transaction", "consumer_manager", "admin", "reply"} {
		s.AddInt(&metrics.ProcessorWatermark, beside[processor], "processor", processor)
	}
	s.AddInt(&metrics.Permission, int64(cfg.Permission))
	s.AddInt(&metrics.TopicNumber, int64(b.topics.count()))
	s.AddInt(&metrics.GroupNumber, int64(b.groups.count()))
}

// addMetrics adds how many connections producers and consumers have.
func (c *clients) addMetrics(s *metrics.Snapshot) {
	type kind struct{ group, mode, language, version string }
	of := func(cl *client) kind {
		return kind{language: strings.ToLower(cl.language.String()), version: strings.ToLower(protocol.VersionName(cl.version))}
	}
	producers, consumers := map[kind]int64{}, map[kind]int64{}
	c.mu.RLock()
	for _, members := range c.producers {
		for _, cl := range members {
			producers[of(cl)]++
		}
	}
	for name, g := range c.consumers {
		for _, cl := range g.members {
			k := of(cl)
			k.group, k.mode = name, consumeMode(g.consumeType)
			consumers[k]++
		}
	}
	c.mu.RUnlock()
	for k, n := range producers {
		s.AddInt(&metrics.ProducerConnections, n, "language", k.language, "version", k.version, "protocol_type", protocolType)
	}
	for k, n := range consumers {
		s.AddInt(&metrics.ConsumerConnections, n, "consumer_group", k.group, "language", k.language, "version", k.version,
			"consume_mode", k.mode, "protocol_type", protocolType, "is_system", strconv.FormatBool(isSystemGroup(k.group)))
	}
}

// consumeMode is how metrics name a type of consumer.
func consumeMode(consumeType string) string {
	switch consumeType {
	case "CONSUME_ACTIVELY":
		return "pull"
	case "CONSUME_PASSIVELY":
		return "push"
	case "CONSUME_POP":
		return "pop"
	}
	return strings.ToLower(consumeType)
}

// isSystemGroup says whether a group is the broker's own or of RocketMQ's tools, as metrics tell it.
func isSystemGroup(group string) bool {
	return len(group) >= len(sysGroups) && strings.EqualFold(group[:len(sysGroups)], sysGroups)
}

// addMetrics adds how many half messages are not decided.
func (c *halfCounts) addMetrics(s *metrics.Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, n := range c.byTopic {
		s.AddInt(&metrics.HalfMessages, n.Count, "topic", topic)
	}
}

// storageLabels are those of everything about the store, with more behind them.
func storageLabels(more ...string) []string {
	return append([]string{"storage_type", "local", "storage_medium", "disk"}, more...)
}

func (b *Broker) addStoreMetrics(s *metrics.Snapshot, cfg *settings) {
	info := b.store.Stats()
	local := storageLabels()
	if disk, err := (logfile.Disk{}).Usage(cfg.RootDir); err == nil {
		s.AddInt(&metrics.StorageSize, disk.Used, local...)
		s.AddInt(&metrics.DiskFree, disk.Available)
	}
	s.AddInt(&metrics.FlushBehind, info.Appended-info.Flushed, local...)
	s.AddInt(&metrics.DispatchBehind, info.BehindBytes(), local...)
	if earliest, ok := b.store.EarliestLogTime(); ok && earliest > 0 {
		s.AddInt(&metrics.MessageReserveTime, time.Now().UnixMilli()-earliest, local...)
	}
	s.AddHistogram(&metrics.Fsync, info.Fsync)
	s.AddInt(&metrics.SendsWaiting, int64(info.FlushWaiters), "mark", "flushed")
	s.Add(&metrics.DispatchLag, b.store.DispatchLag().Seconds())
	s.Add(&metrics.RecoveryDuration, info.Opening.Seconds())
	for _, m := range []struct {
		mark string
		at   int64
	}{{"start", info.LogStart}, {"appended", info.Appended}, {"written", info.Written}, {"flushed", info.Flushed}, {"dispatched", info.Dispatched}} {
		s.AddInt(&metrics.LogOffset, m.at, "mark", m.mark)
	}
	if info.LogDiskRatio >= 0 {
		s.Add(&metrics.DiskUsed, info.LogDiskRatio, "of", "commitlog")
	}
	if info.QueueDiskRatio >= 0 {
		s.Add(&metrics.DiskUsed, info.QueueDiskRatio, "of", "consumequeue")
	}
	writable := int64(1)
	if b.store.Writable() != nil {
		writable = 0
	}
	s.AddInt(&metrics.StoreWritable, writable)
	s.AddInt(&metrics.OpenFiles, int64(info.OpenFiles))
}

// addMetrics adds what waits in the wheel, and how far taking in and delivering are behind.
func (t *timers) addMetrics(s *metrics.Snapshot) {
	if t == nil {
		return
	}
	now := time.Now().UnixMilli()
	behind := max(0, t.queue.MaxOffset()-t.taken.offset.Load())
	latency := int64(0)
	if behind > 0 {
		if at, ok := t.b.store.StoreTime(t.queue, t.taken.offset.Load()); ok {
			latency = max(0, now-at)
		}
	}
	read := t.wheel.Read(now)
	local := storageLabels()
	s.AddInt(&metrics.TimerEnqueueLag, behind, local...)
	s.AddInt(&metrics.TimerEnqueueLatency, latency, local...)
	s.AddInt(&metrics.TimerDequeueLag, t.wheel.Waiting(), local...)
	s.AddInt(&metrics.TimerDequeueLatency, max(0, now-read), local...)
	for topic, n := range t.wheel.Counts() {
		s.AddInt(&metrics.TimingMessages, n, storageLabels("topic", topic)...)
	}
	before := now
	for _, bound := range timerBounds {
		until := now + bound*1000
		s.AddInt(&metrics.TimerSnapshot, t.wheel.WaitsBetween(before, until), storageLabels("timer_bound_s", strconv.FormatInt(bound, 10))...)
		before = until
	}
}

// timerBounds are the distances, in seconds, by which timed messages that wait are counted.
var timerBounds = [...]int64{5, 60, 300, 900, 3600, 14_400, 28_800, 86_400}

// addPopMetrics adds what is in flight, and how far the revive log is behind.
func (b *Broker) addPopMetrics(s *metrics.Snapshot) {
	cfg := b.settings.Load()
	s.AddHistogram(&metrics.PopScanTime, nil)
	points, unsettled := b.pops.counts()
	s.AddInt(&metrics.PopCheckpointBuffer, points)
	s.AddInt(&metrics.PopOffsetBuffer, unsettled)
	now := time.Now().UnixMilli()
	topic := reviveTopic(cfg.Cluster)
	for id := range int32(cfg.ReviveQueues) {
		lag, latency := int64(0), int64(0)
		if q := b.store.FindQueue(topic, id); q != nil {
			// What is in the revive log and not due yet is not in its queues: timers keep it.
			passed := b.offsets.query(reviveGroup, topic, id)
			if lag = max(0, q.MaxOffset()-passed-1); lag > 0 {
				if at, ok := b.store.StoreTime(q, passed+1); ok {
					latency = max(0, now-at)
				}
			}
		}
		s.AddInt(&metrics.PopReviveLag, lag, "queue_id", strconv.Itoa(int(id)))
		s.AddInt(&metrics.PopReviveLatency, latency, "queue_id", strconv.Itoa(int(id)))
	}
}

// counts are how many check points are in memory, and for how many of them consumer offsets wait.
func (p *pops) counts() (points, unsettled int64) {
	for _, pg := range p.all() {
		pg.mu.RLock()
		for _, pq := range pg.queues {
			pq.mu.Lock()
			points += int64(len(pq.points))
			unsettled += int64(len(pq.line))
			pq.mu.Unlock()
		}
		pg.mu.RUnlock()
	}
	return points, unsettled
}

// addLoad adds what connections, waiting requests and NameServers are up to.
func (b *Broker) addLoad(s *metrics.Snapshot) {
	pulls, pops := b.holds.held()
	s.AddInt(&metrics.PullsHeld, pulls)
	s.AddInt(&metrics.PopsHeld, pops)
	s.AddInt(&metrics.SlowRequests, b.slow.size.Load(), "kind", "slow")
	s.AddInt(&metrics.SlowRequests, b.asking.size.Load(), "kind", "asking")
	s.AddInt(&metrics.PutFailures, b.counters.putFailures.Load())
	metrics.AddLoad(s, "main", metrics.Load(b.main.Load()))
	if b.fast != nil {
		metrics.AddLoad(s, "fast", metrics.Load(b.fast.Load()))
	}
	for addr, ok := range b.registrar.standings() {
		is := int64(0)
		if ok {
			is = 1
		}
		s.AddInt(&metrics.NamesrvState, is, "addr", addr)
	}
}

// held is how many pulls wait, and how many pops and notifications.
func (h *holds) held() (pulls, pops int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int64(len(h.byDeadline)) - h.popsHeld, h.popsHeld
}

// standings says of each NameServer whether it has our registration.
func (r *registrar) standings() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]bool, len(r.servers))
	for addr, s := range r.servers {
		all[addr] = s.standing == registered
	}
	return all
}
