package protocol

// ConsumerRunningInfo is a consumer's answer to GET_CONSUMER_RUNNING_INFO 307.
type ConsumerRunningInfo struct {
	// Properties are its settings; PropConsumeType and others are among them.
	Properties       map[string]string               `json:"properties"`
	SubscriptionSet  []*SubscriptionData             `json:"subscriptionSet"`
	MQTable          QueueTable[ProcessQueueInfo]    `json:"mqTable"`
	MQPopTable       QueueTable[PopProcessQueueInfo] `json:"mqPopTable"`
	StatusTable      map[string]ConsumerTopicStatus  `json:"statusTable"`
	UserConsumerInfo map[string]string               `json:"userConsumerInfo,omitempty"`
	JStack           string                          `json:"jstack,omitempty"`
}

// Names in ConsumerRunningInfo.Properties. Part of the wire format; do not change.
const (
	RunningConsumeType = "PROP_CONSUME_TYPE"
	RunningOrderly     = "PROP_CONSUMEORDERLY"
	RunningStartTime   = "PROP_CONSUMER_START_TIMESTAMP"
)

// ProcessQueueInfo is what a consumer has pulled of a queue and not finished yet. Times are Unix ms.
type ProcessQueueInfo struct {
	CommitOffset            int64 `json:"commitOffset"`
	CachedMsgMinOffset      int64 `json:"cachedMsgMinOffset"`
	CachedMsgMaxOffset      int64 `json:"cachedMsgMaxOffset"`
	CachedMsgCount          int32 `json:"cachedMsgCount"`
	CachedMsgSizeInMiB      int32 `json:"cachedMsgSizeInMiB"`
	TransactionMsgMinOffset int64 `json:"transactionMsgMinOffset"`
	TransactionMsgMaxOffset int64 `json:"transactionMsgMaxOffset"`
	TransactionMsgCount     int32 `json:"transactionMsgCount"`
	Locked                  bool  `json:"locked"`
	TryUnlockTimes          int64 `json:"tryUnlockTimes"`
	LastLockTimestamp       int64 `json:"lastLockTimestamp"`
	Dropped                 bool  `json:"droped"`
	LastPullTimestamp       int64 `json:"lastPullTimestamp"`
	LastConsumeTimestamp    int64 `json:"lastConsumeTimestamp"`
}

// PopProcessQueueInfo is the same of a queue that it pops.
type PopProcessQueueInfo struct {
	WaitAckCount     int32 `json:"waitAckCount"`
	Dropped          bool  `json:"droped"`
	LastPopTimestamp int64 `json:"lastPopTimestamp"`
}

// ConsumerTopicStatus is how fast a consumer consumes a topic: times in ms, rates a second.
type ConsumerTopicStatus struct {
	PullRT            float64 `json:"pullRT"`
	PullTPS           float64 `json:"pullTPS"`
	ConsumeRT         float64 `json:"consumeRT"`
	ConsumeOKTPS      float64 `json:"consumeOKTPS"`
	ConsumeFailedTPS  float64 `json:"consumeFailedTPS"`
	ConsumeFailedMsgs int64   `json:"consumeFailedMsgs"` // in the last hour
}

// ConsumedDirectly is a consumer's answer to CONSUME_MESSAGE_DIRECTLY 309.
type ConsumedDirectly struct {
	Order          bool    `json:"order"`
	AutoCommit     bool    `json:"autoCommit"`
	ConsumeResult  string  `json:"consumeResult"`
	Remark         *string `json:"remark"`
	SpentTimeMills int64   `json:"spentTimeMills"`
}
