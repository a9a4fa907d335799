package broker

import (
	"strconv"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// VIEW_BROKER_STATS_DATA 315.
//
// Behaviour: by how much a counter has grown in the last minute, hour and day. Names and keys are Apache's; what was never counted does
// not exist. Nothing ever counts the statistics of commercial accounts and of reads from disk, as in Apache without hooks.
// Differs from Apache: the windows end now, not at the last multiple of ten seconds, ten minutes or an hour.

// A statistic is which counters a name and a key stand for. times < 0 is for those that only have a sum.
type statistic struct {
	of           sampled
	value, times int
}

// Names of statistics, as clients say them.
const (
	statTopicPuts  = "TOPIC_PUT_NUMS"
	statGroupGets  = "GROUP_GET_NUMS"
	statBrokerPuts = "BROKER_PUT_NUMS"
	statBrokerGets = "BROKER_GET_NUMS"
)

// brokerStats are those of the whole broker, whose key is the cluster's name, by where counters.values has them.
var brokerStats = map[string][2]int{
	statBrokerPuts: {0, -1}, "BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC": {1, -1},
	statBrokerGets: {2, -1}, "BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC": {3, -1},
	"BROKER_ACK_NUMS": {4, -1}, "BROKER_CK_NUMS": {5, -1},
	"CONSUMER_REGISTER_TIME": {6, 7}, "PRODUCER_REGISTER_TIME": {8, 9},
}

// topicStats have a topic as their key, groupStats topic@group.
var (
	topicStats = map[string][2]int{statTopicPuts: {topicMessages, topicPuts}, "TOPIC_PUT_SIZE": {topicBytes, topicPuts}}
	groupStats = map[string][2]int{
		statGroupGets: {groupMessages, groupGets}, "GROUP_GET_SIZE": {groupBytes, groupGets},
		"GROUP_ACK_NUMS": {groupAcks, groupAcks}, "GROUP_CK_NUMS": {groupCheckPoints, groupCheckPoints}, "SNDBCK_PUT_NUMS": {groupSentBack, groupSentBack},
	}
)

// statistic finds the counters of a name and a key.
func (b *Broker) statistic(name, key string) (s statistic, ok bool) {
	at, isBroker := brokerStats[name]
	ofTopic, isTopic := topicStats[name]
	ofGroup, isGroup := groupStats[name]
	switch {
	case isBroker && key == b.settings.Load().Cluster:
		return statistic{&b.counters, at[0], at[1]}, true
	case isTopic:
		s.value, s.times = ofTopic[0], ofTopic[1]
		return s.topic(b.counts.find(key))
	case isGroup:
		s.value, s.times = ofGroup[0], ofGroup[1]
		topic, group, _ := splitTopicAtGroup(key)
		return s.group(b.counts.findGroup(topic, group))
	}
	return b.queueStatistic(name, strings.Split(key, "@"))
}

// queueStatistic finds those whose key has other parts.
func (b *Broker) queueStatistic(name string, key []string) (s statistic, ok bool) {
	queue := func(i int) int32 {
		if n, err := strconv.ParseInt(key[i], 10, 32); err == nil && n >= -1 && n < queuesMax {
			return int32(n)
		}
		return queuesMax
	}
	var at *byQueue
	switch {
	case name == "TOPIC_PUT_LATENCY" && len(key) == 2:
		s.value = topicSends + at.index(queue(0))
		s.times = s.value + 1
		return s.topic(b.counts.find(key[1]))
	case len(key) == 2 && key[0] == topicSchedule && (name == "QUEUE_PUT_NUMS" || name == "QUEUE_PUT_SIZE"):
		t := b.counts.find(topicSchedule)
		if t == nil {
			return s, false
		}
		s.of, s.value, s.times = &t.parked, at.index(queue(1)), at.index(queue(1))+1
		if name == "QUEUE_PUT_NUMS" {
			s.value = s.times
		}
		return s, true
	case name == "GROUP_GET_LATENCY" && len(key) == 3:
		s.value = groupReads + at.index(queue(0))
		s.times = s.value + 1
		return s.group(b.counts.findGroup(key[1], key[2]))
	case name == "SNDBCK2DLQ_TIMES" && len(key) == 4 && key[0] == "null" && key[3] == "SEND_BACK_TO_DLQ":
		s.value, s.times = groupDead, groupDead
		return s.group(b.counts.findGroup(key[1], key[2]))
	}
	return s, false
}

func (s statistic) topic(t *topicCounts) (statistic, bool) {
	s.of = t
	return s, t != nil
}

func (s statistic) group(g *groupCounts) (statistic, bool) {
	s.of = g
	return s, g != nil
}

// counted says whether anything was counted yet.
func (s statistic) counted() bool {
	now, at := s.of.values(nil), s.times
	if at < 0 {
		at = s.value
	}
	return at < len(now) && now[at] > 0
}

func (b *Broker) viewStats(_ *remoting.Request, h *protocol.ViewBrokerStatsHeader) (*remoting.Answer, error) {
	s, ok := b.statistic(h.StatsName, h.StatsKey)
	if !ok || !s.counted() {
		return nil, protocol.Errorf(protocol.CodeSystemError, "The stats <%s> <%s> not exist", nullable(h.StatsName), nullable(h.StatsKey))
	}
	now := time.Now()
	in := func(w window) protocol.BrokerStatsItem {
		c := b.counts.samples.in(w, s.of, s.value, s.times, now)
		return protocol.BrokerStatsItem{Sum: int64(c.sum), TPS: c.perSecond, Average: c.mean()}
	}
	return jsonAnswer(protocol.BrokerStatsData{Minute: in(lastMinute), Hour: in(lastHour), Day: in(lastDay)})
}

// nullable writes a field that may be missing as Java does.
func nullable(v string) string {
	if v == "" {
		return "null"
	}
	return shown(v)
}

// consumedPerSecond is how many messages of a topic a group was given a second in the last minute.
func (b *Broker) consumedPerSecond(group, topic string) float64 {
	g := b.counts.findGroup(topic, group)
	if g == nil {
		return 0
	}
	return b.counts.samples.in(lastMinute, g, groupMessages, -1, time.Now()).perSecond
}

// putPerSecond is how many messages a second were stored in a topic in the last minute.
func (b *Broker) putPerSecond(topic string) float64 {
	t := b.counts.find(topic)
	if t == nil {
		return 0
	}
	return b.counts.samples.in(lastMinute, t, topicMessages, -1, time.Now()).perSecond
}
