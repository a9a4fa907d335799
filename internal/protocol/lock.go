package protocol

// LockBatchBody is the body of LOCK_BATCH_MQ 41 and UNLOCK_BATCH_MQ 42.
type LockBatchBody struct {
	ConsumerGroup  string         `json:"consumerGroup"`
	ClientID       string         `json:"clientId"`
	MQSet          []MessageQueue `json:"mqSet"`
	OnlyThisBroker bool           `json:"onlyThisBroker"`
}

// LockBatchResponse is the answer to LOCK_BATCH_MQ: the queues that the client has now.
type LockBatchResponse struct {
	LockOKMQSet []MessageQueue `json:"lockOKMQSet"`
}
