package protocol

// ConsumerStatusHeader is INVOKE_BROKER_TO_GET_CONSUMER_STATUS 223 and GET_CONSUMER_STATUS_FROM_CLIENT 221. ClientAddr is a client's id;
// without it all of the group are asked.
type ConsumerStatusHeader struct {
	Topic      string `field:"topic,required"`
	Group      string `field:"group,required"`
	ClientAddr string `field:"clientAddr,omitempty"`
}

// ConsumerStatusBody is how far consumers are: a client's own answer is MessageQueueTable, the broker's ConsumerTable by client id.
type ConsumerStatusBody struct {
	MessageQueueTable QueueTable[int64]            `json:"messageQueueTable"`
	ConsumerTable     map[string]QueueTable[int64] `json:"consumerTable"`
}

// ConsumerRunningInfoHeader is GET_CONSUMER_RUNNING_INFO 307, to the broker and from it. JStackEnable asks for the stacks of the
// client's threads too.
type ConsumerRunningInfoHeader struct {
	ConsumerGroup string `field:"consumerGroup,required"`
	ClientID      string `field:"clientId,required"`
	JStackEnable  bool   `field:"jstackEnable"`
}

// ConsumeMessageDirectlyHeader is CONSUME_MESSAGE_DIRECTLY 309. To the client the broker adds its name and both flags, and the message
// itself as the body.
type ConsumeMessageDirectlyHeader struct {
	ConsumerGroup string `field:"consumerGroup,required"`
	ClientID      string `field:"clientId"`
	MsgID         string `field:"msgId"`
	BrokerName    string `field:"brokerName"`
	Topic         string `field:"topic,omitempty"`
	TopicSysFlag  *int32 `field:"topicSysFlag"`
	GroupSysFlag  *int32 `field:"groupSysFlag"`
}

// ReplyMessageHeader is PUSH_REPLY_MESSAGE_TO_CLIENT 326: a reply, on its way to the client that waits for it.
type ReplyMessageHeader struct {
	ProducerGroup         string `field:"producerGroup"`
	Topic                 string `field:"topic"`
	DefaultTopic          string `field:"defaultTopic"`
	DefaultTopicQueueNums int32  `field:"defaultTopicQueueNums"`
	QueueID               int32  `field:"queueId"`
	SysFlag               int32  `field:"sysFlag"`
	BornTimestamp         int64  `field:"bornTimestamp"`
	Flag                  int32  `field:"flag"`
	Properties            string `field:"properties"`
	ReconsumeTimes        int32  `field:"reconsumeTimes"`
	UnitMode              bool   `field:"unitMode"`
	BornHost              string `field:"bornHost"`
	StoreHost             string `field:"storeHost"`
	StoreTimestamp        int64  `field:"storeTimestamp"`
}

// SendResponseHeader is the answer to a send.
type SendResponseHeader struct {
	MsgID       string `field:"msgId"`
	QueueID     int32  `field:"queueId"`
	QueueOffset int64  `field:"queueOffset"`
}
