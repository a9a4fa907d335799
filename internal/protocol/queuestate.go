package protocol

// Codes of Liftoff's own lie where RocketMQ has none. A broker of RocketMQ answers them with REQUEST_CODE_NOT_SUPPORTED.
const (
	ReqLiftoffQueueState = 1_000_001 // how a group is with one message of a queue
)

// QueueStateHeader asks what a group does with the message at an offset of a queue.
type QueueStateHeader struct {
	ConsumerGroup string `field:"consumerGroup,required"`
	Topic         string `field:"topic,required"`
	QueueID       int32  `field:"queueId,required"`
	Offset        int64  `field:"offset,required"`
}

// QueueState is what of that is popped. Times are Unix ms; zero is none.
type QueueState struct {
	InFlight     int   `json:"inFlight"`               // messages of the queue that are popped and not acknowledged
	PopTime      int64 `json:"popTime,omitempty"`      // when the message was popped
	PopExpires   int64 `json:"popExpires,omitempty"`   // when it comes again unless it is acknowledged
	Acknowledged bool  `json:"acknowledged,omitempty"` // it is, and the group's offset waits for messages before it
}
