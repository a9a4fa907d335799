package protocol

import "github.com/liftoffmq/liftoff/internal/fastjson"

// QueryConsumerOffsetHeader is QUERY_CONSUMER_OFFSET 14.
type QueryConsumerOffsetHeader struct {
	ConsumerGroup     string `field:"consumerGroup,required"`
	Topic             string `field:"topic,required"`
	QueueID           int32  `field:"queueId,required"`
	SetZeroIfNotFound *bool  `field:"setZeroIfNotFound"`
	StaticTopicFields
}

// UpdateConsumerOffsetHeader is UPDATE_CONSUMER_OFFSET 15. CommitOffset is the offset of the next message to consume.
type UpdateConsumerOffsetHeader struct {
	ConsumerGroup string `field:"consumerGroup,required"`
	Topic         string `field:"topic,required"`
	QueueID       int32  `field:"queueId,required"`
	CommitOffset  int64  `field:"commitOffset,required"`
	StaticTopicFields
}

// OffsetHeader is an answer that is a queue offset: 14, 29, 30, 31.
type OffsetHeader struct {
	Offset int64 `field:"offset,required"`
}

// QueueHeader names a queue: GET_MAX_OFFSET 30, GET_MIN_OFFSET 31, GET_EARLIEST_MSG_STORETIME 32.
type QueueHeader struct {
	Topic   string `field:"topic,required"`
	QueueID int32  `field:"queueId,required"`
	StaticTopicFields
}

// SearchOffsetHeader is SEARCH_OFFSET_BY_TIMESTAMP 29. BoundaryType is "lower" (the default) or "upper".
type SearchOffsetHeader struct {
	Topic        string `field:"topic,required"`
	LiteTopic    string `field:"liteTopic,omitempty"`
	QueueID      int32  `field:"queueId,required"`
	Timestamp    int64  `field:"timestamp,required"`
	BoundaryType string `field:"boundaryType,omitempty"`
	StaticTopicFields
}

// TimestampHeader is the answer to GET_EARLIEST_MSG_STORETIME 32.
type TimestampHeader struct {
	Timestamp int64 `field:"timestamp,required"`
}

// QueryMessageHeader is QUERY_MESSAGE 12. With UniqueKeyQuery the key is a message's unique key; IndexType is K, U or T for keys,
// unique keys and tags.
type QueryMessageHeader struct {
	Topic          string `field:"topic,required"`
	Key            string `field:"key,required"`
	MaxNum         int32  `field:"maxNum,required"`
	BeginTimestamp int64  `field:"beginTimestamp,required"`
	EndTimestamp   int64  `field:"endTimestamp,required"`
	IndexType      string `field:"indexType,omitempty"`
	LastKey        string `field:"lastKey,omitempty"`
	UniqueKeyQuery bool   `field:"_UNIQUE_KEY_QUERY,omitempty"`
}

// QueryMessageResponseHeader says how far the index had come.
type QueryMessageResponseHeader struct {
	IndexLastUpdateTimestamp int64 `field:"indexLastUpdateTimestamp,required"`
	IndexLastUpdatePhyOffset int64 `field:"indexLastUpdatePhyoffset,required"`
}

// ViewMessageHeader is VIEW_MESSAGE_BY_ID 33. Offset is the log offset out of a message's offset id.
type ViewMessageHeader struct {
	Topic  string `field:"topic,omitempty"`
	Offset int64  `field:"offset,required"`
}

// QueryConsumeQueueHeader is QUERY_CONSUME_QUEUE 321.
type QueryConsumeQueueHeader struct {
	Topic         string  `field:"topic"`
	QueueID       int32   `field:"queueId"`
	Index         int64   `field:"index"`
	Count         int32   `field:"count"`
	ConsumerGroup *string `field:"consumerGroup"`
}

// ConsumeQueueBody is the answer to QUERY_CONSUME_QUEUE.
type ConsumeQueueBody struct {
	SubscriptionData *SubscriptionData  `json:"subscriptionData"`
	FilterData       *string            `json:"filterData"`
	QueueData        []ConsumeQueueData `json:"queueData"`
	MaxQueueIndex    int64              `json:"maxQueueIndex"`
	MinQueueIndex    int64              `json:"minQueueIndex"`
}

// ConsumeQueueData is one entry of a consume queue.
type ConsumeQueueData struct {
	PhysicOffset int64 `json:"physicOffset"`
	PhysicSize   int32 `json:"physicSize"`
	TagsCode     int64 `json:"tagsCode"`
	Eval         bool  `json:"eval"`

	// Of brokers that evaluate filters for it; ours leave them out.
	ExtendDataJSON string `json:"extendDataJson,omitempty"`
	BitMap         string `json:"bitMap,omitempty"`
	Msg            string `json:"msg,omitempty"`
}

// PullResponseHeader is what an answer to a pull says of offsets.
type PullResponseHeader struct {
	NextBeginOffset int64 `field:"nextBeginOffset,required"`
	MinOffset       int64 `field:"minOffset,required"`
	MaxOffset       int64 `field:"maxOffset,required"`
}

// ResetOffsetHeader is INVOKE_BROKER_TO_RESET_OFFSET 222. A QueueID below 0 means all queues, a Timestamp below 0 their ends.
type ResetOffsetHeader struct {
	Group     string `field:"group,required"`
	Topic     string `field:"topic,required"`
	QueueID   *int32 `field:"queueId"`
	Offset    *int64 `field:"offset"`
	Timestamp int64  `field:"timestamp,required"`
	IsForce   bool   `field:"isForce,required"`
}

// ResetOffsetBody is the answer to INVOKE_BROKER_TO_RESET_OFFSET: the new offsets.
type ResetOffsetBody struct {
	OffsetTable QueueTable[int64] `json:"offsetTable"`
}

// QueryAssignmentBody is the body of QUERY_ASSIGNMENT 400.
type QueryAssignmentBody struct {
	Topic         string `json:"topic"`
	ConsumerGroup string `json:"consumerGroup"`
	ClientID      string `json:"clientId"`
	StrategyName  string `json:"strategyName"`
	MessageModel  string `json:"messageModel"`
}

// UnmarshalJSON reads the request, whose message model may be a number.
func (q *QueryAssignmentBody) UnmarshalJSON(data []byte) error {
	type plain QueryAssignmentBody
	err := fastjson.Unmarshal(data, (*plain)(q))
	q.MessageModel = nameOf(q.MessageModel, messageModels)
	return err
}

// QueryAssignmentResponse is the answer to QUERY_ASSIGNMENT: the queues that the client shall consume; nil when it is not known.
type QueryAssignmentResponse struct {
	MessageQueueAssignments []MessageQueueAssignment `json:"messageQueueAssignments"`
}

// MessageQueueAssignment is one queue, and whether its messages are pulled or popped.
type MessageQueueAssignment struct {
	MessageQueue MessageQueue `json:"messageQueue"`
	Mode         string       `json:"mode"`
}

// ResetOffsetBodyForCPP is the same for clients in C++, which read a list: the body of RESET_CONSUMER_CLIENT_OFFSET 220.
type ResetOffsetBodyForCPP struct {
	OffsetTable []QueueOffset `json:"offsetTable"`
}

// QueueOffset is a queue and an offset in it.
type QueueOffset struct {
	MessageQueue
	Offset int64 `json:"offset"`
}

// ForCPP is the body as clients in C++ read it.
func (b *ResetOffsetBody) ForCPP() ResetOffsetBodyForCPP {
	list := make([]QueueOffset, 0, len(b.OffsetTable))
	for _, e := range b.OffsetTable {
		list = append(list, QueueOffset{e.Queue, e.Value})
	}
	return ResetOffsetBodyForCPP{list}
}

// QueryCorrectionOffsetHeader is QUERY_CORRECTION_OFFSET 308. FilterGroups, separated by commas, are left out.
type QueryCorrectionOffsetHeader struct {
	FilterGroups string `field:"filterGroups"`
	CompareGroup string `field:"compareGroup,required"`
	Topic        string `field:"topic,required"`
}

// CorrectionOffsets is the answer to QUERY_CORRECTION_OFFSET: by queue, how far the slowest group is; the largest number where that is
// further than the compared group.
type CorrectionOffsets struct {
	CorrectionOffsets map[int32]int64 `json:"correctionOffsets"`
}

// CloneGroupOffsetHeader is CLONE_GROUP_OFFSET 314. Without a topic all are meant. Offline does not ask what the source subscribes to.
type CloneGroupOffsetHeader struct {
	SrcGroup  string `field:"srcGroup,required"`
	DestGroup string `field:"destGroup,required"`
	Topic     string `field:"topic"`
	Offline   bool   `field:"offline"`
}
