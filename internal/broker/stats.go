package broker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// GET_BROKER_RUNTIME_INFO 28, GET_TOPIC_STATS_INFO 202, QUERY_TOPIC_CONSUME_BY_WHO 300,
// GET_SYSTEM_TOPIC_LIST_FROM_BROKER 305, QUERY_TOPICS_BY_CONSUMER 343, QUERY_SUBSCRIPTION_BY_CONSUMER 345.
//
// Behaviour: runtime information has Apache's keys. Of this broker's there are no thread pools, so their queues are empty and their
// waits 0. What is counted of today is in topics of users.

func (b *Broker) getRuntimeInfo(*remoting.Request) (*remoting.Answer, error) {
	return jsonAnswer(protocol.KVTable{Table: b.runtimeInfo(time.Now())})
}

func (b *Broker) runtimeInfo(now time.Time) map[string]string {
	cfg, info := b.settings.Load(), b.store.Stats()
	done := b.progress(info)
	b.rates.sample(now, done)
	r := b.rates.at(now)
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	ratio := func(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }
	puts := max(info.PutMessages, 1)
	up := now.Sub(b.started).Truncate(time.Second)
	earliest := int64(-1)
	if t, ok := b.store.EarliestLogTime(); ok {
		earliest = t
	}
	table := map[string]string{
		"brokerActive":                    "true",
		"brokerVersionDesc":               "V5_5_0",
		"bootTimestamp":                   n(b.started.UnixMilli()),
		"runtime":                         fmt.Sprintf("[ %d days, %d hours, %d minutes, %d seconds ]", int(up.Hours())/24, int(up.Hours())%24, int(up.Minutes())%60, int(up.Seconds())%60),
		"startAcceptSendRequestTimeStamp": n(cfg.AcceptSendsFrom),

		"putMessageTimesTotal":        n(puts),
		"putMessageFailedTimes":       n(b.counters.putFailures.Load()),
		"putMessageSizeTotal":         n(info.PutBytes),
		"putMessageAverageSize":       javaDouble(float64(info.PutBytes) / float64(puts)),
		"putMessageEntireTimeMax":     n(b.counters.putMax.Load()),
		"putMessageDistributeTime":    b.putDistribution(now),
		"getMessageEntireTimeMax":     n(b.counters.getMax.Load()),
		"putLatency99":                "0.00",
		"putLatency999":               "0.00",
		"dispatchMaxBuffer":           "0",
		"putTps":                      r.put,
		"getFoundTps":                 r.found,
		"getMissTps":                  r.missed,
		"getTotalTps":                 r.total,
		"getTransferredTps":           r.transferred,
		"getTransferedTps":            r.transferred, // as it is spelled before 5.0, whose tools fail without it
		"msgPutTotalYesterdayMorning": n(r.putYesterday),
		"msgPutTotalTodayMorning":     n(r.putToday),
		"msgPutTotalTodayNow":         n(done.userPuts),
		"msgGetTotalYesterdayMorning": n(r.getYesterday),
		"msgGetTotalTodayMorning":     n(r.getToday),
		"msgGetTotalTodayNow":         n(done.userGets),

		"commitLogMinOffset":              n(info.LogStart),
		"commitLogMaxOffset":              n(info.Appended),
		"commitLogDiskRatio":              ratio(info.LogDiskRatio),
		"consumeQueueDiskRatio":           ratio(info.QueueDiskRatio),
		"earliestMessageTimeStamp":        n(earliest),
		"dispatchBehindBytes":             n(info.BehindBytes()),
		"remainHowManyDataToFlush":        byteCount(info.Appended - info.Flushed),
		"remainTransientStoreBufferNumbs": "2147483647",
		"pageCacheLockTimeMills":          "0",

		"EndTransactionQueueSize": "0", "EndTransactionThreadPoolQueueCapacity": "100000",
	}
	maps.Copy(table, b.timers.info(now))
	for pool, capacity := range map[string]string{"send": "10000", "pull": "100000", "litePull": "100000", "query": "20000", "ack": "100000"} {
		table[pool+"ThreadPoolQueueSize"] = "0"
		table[pool+"ThreadPoolQueueCapacity"] = capacity
		table[pool+"ThreadPoolQueueHeadWaitTimeMills"] = "0"
	}
	for _, dir := range cfg.CommitLogDirs() {
		table["commitLogDiskRatio_"+dir] = ratio(info.LogDiskRatio)
	}
	b.schedule.info(table)
	if disk, err := (logfile.Disk{}).Usage(cfg.RootDir); err == nil {
		table["commitLogDirCapacity"] = fmt.Sprintf("Total : %s, Free : %s.", byteCount(disk.Used+disk.Available), byteCount(disk.Available))
	}
	return table
}

// putDistribution is how many sends of the last minute took how long.
func (b *Broker) putDistribution(now time.Time) string {
	var text strings.Builder
	for i := range putTimes {
		fmt.Fprintf(&text, "%s:%d ", putTimes[i].name, b.counts.samples.in(lastMinute, &b.counters, putTimesAt+i, -1, now).sum)
	}
	return text.String()
}

// byteCount writes a size as Apache's tools show it: "1.5 KiB".
func byteCount(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1024, 0
	for v >= 1024 && unit < 5 {
		v /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTPE"[unit])
}

// javaDouble writes a number as Java does, as far as those go that occur here.
func javaDouble(v float64) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func (b *Broker) getTopicStats(_ *remoting.Request, h *protocol.TopicHeader) (*remoting.Answer, error) {
	t := b.topics.find(h.Topic)
	if t == nil {
		return nil, protocol.Errorf(protocol.CodeTopicNotExist, "topic[%s] not exist", shown(h.Topic))
	}
	body := protocol.TopicStats{OffsetTable: protocol.QueueTable[protocol.TopicOffset]{}, TopicPutTPS: b.putPerSecond(h.Topic)}
	for id := range t.queues() {
		var o protocol.TopicOffset
		o.MinOffset, o.MaxOffset = b.rangeOf(h.Topic, id)
		if o.MaxOffset > 0 {
			o.LastUpdateTimestamp = b.storeTime(h.Topic, id, o.MaxOffset-1)
		}
		body.OffsetTable = append(body.OffsetTable, protocol.QueueEntry[protocol.TopicOffset]{Queue: b.messageQueue(h.Topic, id), Value: o})
	}
	return jsonAnswer(body)
}

// storeTime is when a message was stored, -1 when it is not there.
func (b *Broker) storeTime(topic string, queue int32, offset int64) int64 {
	if q := b.store.FindQueue(topic, queue); q != nil {
		return b.storeTimeOr(q, offset)
	}
	return -1
}

// storeTimeOr is when the message at an offset was stored, -1 when there is none.
func (b *Broker) storeTimeOr(q *store.Queue, offset int64) int64 {
	if at, ok := b.store.StoreTime(q, offset); ok {
		return at
	}
	return -1
}

func (b *Broker) queryTopicConsumeByWho(_ *remoting.Request, h *protocol.TopicHeader) (*remoting.Answer, error) {
	groups := append(b.clients.groupsOf(h.Topic), b.offsets.groupsOf(h.Topic)...)
	slices.Sort(groups)
	if groups = slices.Compact(groups); groups == nil {
		groups = []string{}
	}
	return jsonAnswer(protocol.GroupList{GroupList: groups})
}

func (b *Broker) getSystemTopics(*remoting.Request) (*remoting.Answer, error) {
	return jsonAnswer(protocol.TopicList{TopicList: slices.Sorted(maps.Keys(b.topics.system))})
}

func (b *Broker) queryTopicsByConsumer(_ *remoting.Request, h *protocol.GroupHeader) (*remoting.Answer, error) {
	cfg := b.settings.Load()
	addr := hostPort(cfg.BrokerIP1, cfg.ListenPort)
	topics := b.offsets.topicsOf(h.Group)
	if topics == nil {
		topics = []string{}
	}
	return jsonAnswer(protocol.TopicList{TopicList: topics, BrokerAddr: &addr})
}

func (b *Broker) querySubscription(_ *remoting.Request, h *protocol.QuerySubscriptionHeader) (*remoting.Answer, error) {
	body := protocol.QuerySubscriptionBody{Group: h.Group, Topic: h.Topic}
	if s := b.findSubscription(h.Group, h.Topic); s != nil {
		body.SubscriptionData = &s.SubscriptionData
	}
	return jsonAnswer(body)
}
