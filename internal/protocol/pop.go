package protocol

// ChangeInvisibleResponseHeader is the answer to CHANGE_MESSAGE_INVISIBLETIME 200053.
type ChangeInvisibleResponseHeader struct {
	PopTime       int64 `field:"popTime"`
	InvisibleTime int64 `field:"invisibleTime"`
	ReviveQid     int32 `field:"reviveQid"`
}

// PollingInfoHeader is POLLING_INFO 200055.
type PollingInfoHeader struct {
	ConsumerGroup string `field:"consumerGroup,required"`
	Topic         string `field:"topic,required"`
	QueueID       int32  `field:"queueId,required"`
}

// PollingInfoResponseHeader is the answer to it.
type PollingInfoResponseHeader struct {
	PollingNum int32 `field:"pollingNum"`
}

// RequestMode is the body of SET_MESSAGE_REQUEST_MODE 401: whether a group pulls or pops a topic.
type RequestMode struct {
	Topic            string `json:"topic"`
	ConsumerGroup    string `json:"consumerGroup"`
	Mode             string `json:"mode"`
	PopShareQueueNum int32  `json:"popShareQueueNum"`
}

// RequestModes is the answer to GET_ALL_MESSAGE_REQUEST_MODE 402, and the content of messageRequestMode.json: by topic and group.
type RequestModes struct {
	ByTopic map[string]map[string]*RequestMode `json:"messageRequestModeMap"`
}
