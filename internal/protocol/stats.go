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
