package broker

import (
	"maps"
	"slices"
	"time"

	"github.com/liftoffmq/liftoff/internal/metrics"
)

// addLiteLag adds how far groups are behind in lite topics, as Apache's LiteConsumerLagCalculator has it: all lite topics of a parent together,
// whether the group has consumers now or not. plain are the rows that there are already.
func (b *Broker) addLiteLag(s *metrics.Snapshot, cfg *settings, plain []lagRow, now time.Time) {
	labels := func(parent, group string) []string {
		if slices.ContainsFunc(plain, func(r lagRow) bool { return r.group == group && r.topic == parent && !r.retry }) {
			return nil
		}
		return lagLabels(&lagRow{group: group, topic: parent, isSystem: b.topics.isSystem(parent) || isSystemGroup(group)})
	}
	if cfg.LiteLagMessages {
		for key, left := range b.liteLeft() {
			if l := labels(key.topic, key.group); l != nil {
				s.AddInt(&metrics.LagMessages, left, l...)
				s.AddInt(&metrics.ReadyMessages, left, l...)
			}
		}
	}
	if cfg.LiteLagLatency {
		for key, since := range b.lites.oldestLags() {
			if l := labels(key.topic, key.group); l != nil {
				s.AddInt(&metrics.LagLatency, max(now.UnixMilli()-since, 0), l...)
			}
		}
	}
}

// liteLeft is how many messages groups have left in lite topics, by parent topic. Those that nobody has begun to consume do not count.
func (b *Broker) liteLeft() map[topicGroup]int64 {
	left := make(map[topicGroup]int64)
	for key, queues := range b.offsets.all().OffsetTable {
		name, group, _ := splitTopicAtGroup(key)
		parent, _ := splitLiteName(name)
		at, begun := queues[0]
		if parent == "" || !begun || at < 0 {
			continue
		}
		if q := b.store.FindQueue(name, 0); q != nil && q.MaxOffset() > at {
			left[topicGroup{parent, group}] += q.MaxOffset() - at
		}
	}
	return left
}

// oldestLags are the store times of the oldest messages that groups have not consumed, by parent topic, as far as they are remembered.
func (l *lites) oldestLags() map[topicGroup]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := make(map[topicGroup]int64)
	for key, lags := range l.lags {
		if len(lags) > 0 {
			oldest[topicGroup{key.queue, key.group}] = slices.Min(slices.Collect(maps.Values(lags)))
		}
	}
	return oldest
}
