package protocol

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/liftoffmq/liftoff/internal/fastjson"
)

// QueueTable is a map by queue. Java's JSON writer puts the queue as an object where JSON wants a string, and Java's clients
// read nothing else: {{"brokerName":"b","queueId":0,"topic":"t"}:1}.
type QueueTable[V any] []QueueEntry[V]

// QueueEntry is one entry of a QueueTable.
type QueueEntry[V any] struct {
	Queue MessageQueue
	Value V
}

// MarshalJSON writes the table as Java does, which is not JSON.
func (t QueueTable[V]) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i := range t {
		if i > 0 {
			out.WriteByte(',')
		}
		queue, err := fastjson.Marshal(&t[i].Queue)
		if err != nil {
			return nil, err
		}
		value, err := fastjson.Marshal(&t[i].Value)
		if err != nil {
			return nil, err
		}
		out.Write(queue)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// UnmarshalJSON reads the table from JSON in which each key is a string that holds the queue's JSON, as fastjson makes of Java's.
func (t *QueueTable[V]) UnmarshalJSON(data []byte) error {
	var byText map[string]V
	if err := fastjson.Unmarshal(data, &byText); err != nil {
		return err
	}
	*t = make(QueueTable[V], 0, len(byText))
	for text, value := range byText {
		e := QueueEntry[V]{Value: value}
		if err := fastjson.Unmarshal([]byte(text), &e.Queue); err != nil {
			return err
		}
		*t = append(*t, e)
	}
	slices.SortFunc(*t, func(a, b QueueEntry[V]) int {
		return cmp.Or(cmp.Compare(a.Queue.Topic, b.Queue.Topic), cmp.Compare(a.Queue.BrokerName, b.Queue.BrokerName), cmp.Compare(a.Queue.QueueID, b.Queue.QueueID))
	})
	return nil
}

// TopicStats is the answer to GET_TOPIC_STATS_INFO 202.
type TopicStats struct {
	OffsetTable QueueTable[TopicOffset] `json:"offsetTable"`
	TopicPutTPS float64                 `json:"topicPutTps"`
}

// TopicOffset is what a queue has.
type TopicOffset struct {
	MinOffset           int64 `json:"minOffset"`
	MaxOffset           int64 `json:"maxOffset"`
	LastUpdateTimestamp int64 `json:"lastUpdateTimestamp"`
}

// GetConsumeStatsHeader is GET_CONSUME_STATS 208. TopicList is separated by semicolons.
type GetConsumeStatsHeader struct {
	ConsumerGroup string `field:"consumerGroup,required"`
	Topic         string `field:"topic,omitempty"`
	TopicList     string `field:"topicList,omitempty"`
}

// ConsumeStats is the answer to GET_CONSUME_STATS.
type ConsumeStats struct {
	OffsetTable QueueTable[OffsetWrapper] `json:"offsetTable"`
	ConsumeTPS  float64                   `json:"consumeTps"`
}

// OffsetWrapper is how far a group is in a queue.
type OffsetWrapper struct {
	BrokerOffset   int64 `json:"brokerOffset"`
	ConsumerOffset int64 `json:"consumerOffset"`
	PullOffset     int64 `json:"pullOffset"`
	LastTimestamp  int64 `json:"lastTimestamp"` // store time of the last message consumed

	Orderly *OrderlyQueue `json:"orderly,omitempty"`
}

// OrderlyQueue is a queue that one consumer has for itself: by a lock, or by messages that it popped in order. Apache has nothing of the
// kind. At is the offset that the queue stands at, and Since since when; times are ms.
type OrderlyQueue struct {
	ClientID    string `json:"clientId,omitempty"`
	LockedSince int64  `json:"lockedSince,omitempty"`
	At          int64  `json:"at"`
	Since       int64  `json:"since"`
	MsgID       string `json:"msgId,omitempty"`     // "" when no message is there yet
	VisibleAt   int64  `json:"visibleAt,omitempty"` // of what was popped
}

// QuerySubscriptionHeader is QUERY_SUBSCRIPTION_BY_CONSUMER 345.
type QuerySubscriptionHeader struct {
	Group string `field:"group,required"`
	Topic string `field:"topic"`
}

// QuerySubscriptionBody is the answer to QUERY_SUBSCRIPTION_BY_CONSUMER.
type QuerySubscriptionBody struct {
	SubscriptionData *SubscriptionData `json:"subscriptionData"`
	Group            string            `json:"group"`
	Topic            string            `json:"topic"`
}

// GetBrokerConfigResponseHeader is the header of the answer to GET_BROKER_CONFIG 26: a DataVersion as JSON.
type GetBrokerConfigResponseHeader struct {
	Version string `field:"version,required"`
}

// ViewBrokerStatsHeader is VIEW_BROKER_STATS_DATA 315.
type ViewBrokerStatsHeader struct {
	StatsName string `field:"statsName"`
	StatsKey  string `field:"statsKey"`
}

// BrokerStatsData is the answer to VIEW_BROKER_STATS_DATA.
type BrokerStatsData struct {
	Day    BrokerStatsItem `json:"statsDay"`
	Hour   BrokerStatsItem `json:"statsHour"`
	Minute BrokerStatsItem `json:"statsMinute"`
}

// BrokerStatsItem is by how much a counter has grown in a stretch of time: in all, a second, and with each of its additions.
type BrokerStatsItem struct {
	Average float64 `json:"avgpt"`
	Sum     int64   `json:"sum"`
	TPS     float64 `json:"tps"`
}

// QueryConsumeTimeSpanHeader is QUERY_CONSUME_TIME_SPAN 303.
type QueryConsumeTimeSpanHeader struct {
	Topic string `field:"topic,required"`
	Group string `field:"group,required"`
}

// QueryConsumeTimeSpanBody is the answer to QUERY_CONSUME_TIME_SPAN.
type QueryConsumeTimeSpanBody struct {
	ConsumeTimeSpanSet []QueueTimeSpan `json:"consumeTimeSpanSet"`
}

// QueueTimeSpan is when the oldest and the newest message of a queue and the last one consumed were stored, ms, -1 for none of them,
// and again as text (2006-01-02#15:04:05:000). DelayTime is how long the next one to consume has waited, ms.
type QueueTimeSpan struct {
	ConsumeTimestamp int64        `json:"consumeTimeStamp"`
	ConsumeText      string       `json:"consumeTimeStampStr"`
	DelayTime        int64        `json:"delayTime"`
	MaxTimestamp     int64        `json:"maxTimeStamp"`
	MaxText          string       `json:"maxTimeStampStr"`
	MessageQueue     MessageQueue `json:"messageQueue"`
	MinTimestamp     int64        `json:"minTimeStamp"`
	MinText          string       `json:"minTimeStampStr"`
}

// GetBrokerConsumeStatsHeader is GET_BROKER_CONSUME_STATS 317. With IsOrder only ordered topics are meant.
type GetBrokerConsumeStatsHeader struct {
	IsOrder bool `field:"isOrder,required"`
}

// ConsumeStatsList is the answer to GET_BROKER_CONSUME_STATS: for each group, its statistics by topic.
type ConsumeStatsList struct {
	BrokerAddr        string                      `json:"brokerAddr"`
	ConsumeStatsList  []map[string][]ConsumeStats `json:"consumeStatsList"`
	TotalDiff         int64                       `json:"totalDiff"`         // messages that are not consumed
	TotalInflightDiff int64                       `json:"totalInflightDiff"` // of those, messages that were given out
}
