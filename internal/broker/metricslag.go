package broker

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/store"
)

// How far consumers are behind, as Apache's ConsumerLagCalculator has it: for each topic that a group subscribes to now, and for its pop
// retry topic when it pops. A group whose consumers have all gone has none of these series; liftoff_group_lag_messages has it still.
//
// It costs a look at each queue, and for those with messages left two small reads, for the time of the first one. What was found counts
// for a few seconds, so that several scrapers cost as much as one, and how much is read for one look is bounded.

const (
	lagKept      = 3 * time.Second
	lagReadsMax  = 20_000    // messages whose time is looked up; ages of the others are not told
	lagScanMax   = 2_000_000 // entries of queues that are looked at for their tags; the others count as wanted
	lagScanQueue = 20_000    // of one queue; what is behind is taken to be alike
	lagMatchMax  = 5_000     // and so when so many were wanted
)

// lagCache is what was found last.
type lagCache struct {
	mu   sync.Mutex // protects the fields below; held while it is found
	at   time.Time
	rows []lagRow
}

// lagRow is one group and topic.
type lagRow struct {
	group, topic           string
	retry                  bool
	lag, inflight, ready   int64
	unconsumed, unpulled   int64 // when the oldest such message was stored, ms; 0 for none
	isSystem, timesUnknown bool
}

// lagLook is one finding.
type lagLook struct {
	b           *Broker
	estimate    bool
	reads, scan int
	entries     []store.Entry
}

func (b *Broker) addLag(s *metrics.Snapshot, cfg *settings) {
	now := time.Now()
	b.lag.mu.Lock()
	if now.Sub(b.lag.at) > lagKept {
		l := &lagLook{b: b, estimate: cfg.EstimateLag}
		b.lag.rows, b.lag.at = l.find(cfg), now
	}
	rows := b.lag.rows
	b.lag.mu.Unlock()
	age := func(at int64) int64 {
		if at == 0 {
			return 0
		}
		return now.UnixMilli() - at
	}
	for i := range rows {
		r := &rows[i]
		labels := lagLabels(r)
		s.AddInt(&metrics.LagMessages, r.lag, labels...)
		s.AddInt(&metrics.InflightMessages, r.inflight, labels...)
		s.AddInt(&metrics.ReadyMessages, r.ready, labels...)
		if !r.timesUnknown {
			s.AddInt(&metrics.LagLatency, age(r.unconsumed), labels...)
			s.AddInt(&metrics.QueueingLatency, age(r.unpulled), labels...)
		}
	}
	b.addLiteLag(s, cfg, rows, now)
	b.addGroupLag(s)
}

func lagLabels(r *lagRow) []string {
	return []string{"consumer_group", r.group, "topic", r.topic, "is_retry", strconv.FormatBool(r.retry), "is_system", strconv.FormatBool(r.isSystem)}
}

// addGroupLag adds what is left of each topic that a group has ever consumed, whether it has consumers now or not.
func (b *Broker) addGroupLag(s *metrics.Snapshot) {
	for key, queues := range b.offsets.all().OffsetTable {
		topic, group, _ := splitTopicAtGroup(key)
		if isSystemGroup(group) || b.topics.isSystem(topic) {
			continue
		}
		lag := int64(0)
		for id, offset := range queues {
			least, end := b.rangeOf(topic, id)
			lag += max(end-max(offset, least), 0)
		}
		s.AddInt(&metrics.GroupLag, lag, "consumer_group", group, "topic", topic)
	}
}

func (l *lagLook) find(cfg *settings) (rows []lagRow) {
	seen := map[topicGroup]bool{}
	for _, g := range l.b.clients.subscribed() {
		known := l.b.groups.find(g.name)
		if known == nil || known.liteBound() != "" {
			continue
		}
		for topic, sub := range g.subs {
			if !strings.HasPrefix(topic, retryPrefix) && !seen[topicGroup{topic, g.name}] {
				seen[topicGroup{topic, g.name}] = true
				rows = l.topic(cfg, rows, g.name, topic, g.pops, sub)
			}
		}
	}
	for _, pg := range l.b.pops.popping() {
		if key := (topicGroup{pg.topic, pg.group}); !seen[key] && l.b.groups.find(pg.group) != nil {
			seen[key] = true
			rows = l.topic(cfg, rows, pg.group, pg.topic, true, nil)
		}
	}
	return rows
}

// topic finds the rows of a group and topic.
func (l *lagLook) topic(cfg *settings, rows []lagRow, group, name string, pops bool, sub *subscription) []lagRow {
	t := l.b.topics.find(name)
	if t == nil || t.Perm&int32(cfg.Permission)&(permRead|permWrite) == 0 {
		return rows
	}
	row := lagRow{group: group, topic: name, isSystem: l.b.topics.isSystem(name) || isSystemGroup(group)}
	again := row
	l.queues(&row, t, pops, sub)
	rows = append(rows, row)
	if !pops {
		return rows
	}
	again.retry = true
	for _, v2 := range []bool{cfg.PopRetryV2, false} {
		version := popRetryV1
		if v2 {
			version = popRetryV2
		}
		if retry := l.b.topics.find(popRetryTopic(group, name, version)); retry != nil {
			l.queues(&again, retry, true, nil)
			break
		}
	}
	return append(rows, again)
}

// queues adds up what is in a topic's queues.
func (l *lagLook) queues(row *lagRow, t *topic, pops bool, sub *subscription) {
	b := l.b
	for id := range t.writeQueues() {
		q := b.store.FindQueue(t.TopicName, id)
		if q == nil {
			continue
		}
		end := q.MaxOffset()
		consumed := b.offsets.query(row.group, t.TopicName, id)
		if pops {
			given, inflight := b.pops.standing(row.group, t.TopicName, id)
			if given < 0 {
				given = consumed
			}
			if given < 0 {
				given = end
			}
			ready := l.count(t, q, sub, given, end)
			row.lag += ready + inflight
			row.inflight += inflight
			row.ready += ready
			l.oldest(&row.unconsumed, row, q, given-inflight)
			l.oldest(&row.unpulled, row, q, given)
			continue
		}
		given := b.offsets.queryPulled(row.group, t.TopicName, id)
		ready := given
		if ready < 0 {
			ready = end
		}
		row.ready += l.count(t, q, sub, ready, end)
		given = max(given, 0)
		committed := consumed
		if committed < 0 {
			committed = given
		}
		row.inflight += l.count(t, q, sub, committed, given)
		if consumed < 0 {
			consumed = end
		}
		row.lag += l.count(t, q, sub, consumed, end)
		l.oldest(&row.unconsumed, row, q, consumed)
		l.oldest(&row.unpulled, row, q, given)
	}
}

// oldest makes at the time of the message at an offset, if there is one and it is older.
func (l *lagLook) oldest(at *int64, row *lagRow, q *store.Queue, offset int64) {
	if offset < 0 || offset >= q.MaxOffset() {
		return
	}
	if l.reads++; l.reads > lagReadsMax {
		row.timesUnknown = true
		return
	}
	if t, ok := l.b.store.StoreTime(q, offset); ok && t > 0 && (*at == 0 || t < *at) {
		*at = t
	}
}

// count is how many messages between two offsets the group wants: of many, about.
func (l *lagLook) count(t *topic, q *store.Queue, sub *subscription, from, to int64) int64 {
	if to <= from {
		return 0
	}
	if !l.estimate || sub == nil || sub.filter.Tags == nil || t.batchQueue || l.scan >= lagScanMax {
		return to - from
	}
	if l.entries == nil {
		l.entries = make([]store.Entry, 256)
	}
	raw, match := int64(0), int64(0)
	for next := from; next < to; {
		n, after, err := l.b.store.Entries(q, next, l.entries[:min(int64(len(l.entries)), to-next)])
		if err != nil || n == 0 {
			break
		}
		for _, e := range l.entries[:n] {
			if sub.filter.Tags(e.TagsCode) {
				match++
			}
		}
		raw, next = raw+int64(n), after
		l.scan += n
		if (raw >= lagScanQueue || match > lagMatchMax) && next < to {
			return int64(float64(match) * float64(to-from) / float64(raw))
		}
	}
	return match
}

// subscriber is a group that has consumers now, and what it wants.
type subscriber struct {
	name string
	pops bool
	subs map[string]*subscription
}

// subscribed are the groups that have consumers now.
func (c *clients) subscribed() (all []subscriber) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for name, g := range c.consumers {
		all = append(all, subscriber{name, consumeMode(g.consumeType) == "pop", g.subscriptions()})
	}
	slices.SortFunc(all, func(a, b subscriber) int { return strings.Compare(a.name, b.name) })
	return all
}

// popping are the groups that have popped a topic since the start; without their retry topics.
func (p *pops) popping() []*popGroup {
	return slices.DeleteFunc(p.all(), func(pg *popGroup) bool {
		pg.mu.RLock()
		defer pg.mu.RUnlock()
		return pg.retry[0] == nil || len(pg.queues) == 0
	})
}

// standing is where the next pop of a queue begins, -1 where the consumer offset says it, and how many messages are in flight.
func (p *pops) standing(group, topic string, queue int32) (next, inflight int64) {
	pq := p.find([]byte(group), []byte(topic)).findQueue(queue)
	if pq == nil {
		return -1, 0
	}
	pq.mu.Lock()
	defer pq.mu.Unlock()
	next = -1
	if len(pq.line) > 0 {
		next = pq.next
	}
	return next, int64(pq.inFlight)
}
