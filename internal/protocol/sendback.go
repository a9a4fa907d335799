package protocol

// SendBackHeader is CONSUMER_SEND_MSG_BACK 36. Offset is the log offset of the message that was not consumed; DelayLevel is below 0 for
// a dead letter at once and 0 for the level that follows from how often it was tried. MaxReconsumeTimes is sent from V3_4_9 on.
type SendBackHeader struct {
	Offset            int64  `field:"offset,required"`
	Group             string `field:"group,required"`
	DelayLevel        int32  `field:"delayLevel,required"`
	OriginMsgID       string `field:"originMsgId,omitempty"`
	OriginTopic       string `field:"originTopic,omitempty"`
	UnitMode          bool   `field:"unitMode,omitempty"`
	MaxReconsumeTimes *int32 `field:"maxReconsumeTimes"`
}
