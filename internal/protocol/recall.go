package protocol

// RecallMessageHeader is RECALL_MESSAGE 370. The handle is what the answer to the send told.
type RecallMessageHeader struct {
	ProducerGroup string `field:"producerGroup"`
	Topic         string `field:"topic,required"`
	RecallHandle  string `field:"recallHandle,required"`
}

// RecallMessageResponseHeader is the answer: the unique key of the message.
type RecallMessageResponseHeader struct {
	MsgID string `field:"msgId"`
}
