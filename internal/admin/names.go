package admin

// Names of the system. Part of the wire format; do not change.
const (
	lightPrefix = "%LMQ%" // of light queues
	retryPrefix = "%RETRY%"
	dlqPrefix   = "%DLQ%"

	topicHalf     = "RMQ_SYS_TRANS_HALF_TOPIC"
	topicCheckMax = "TRANS_CHECK_MAX_TIME_TOPIC"
	topicSchedule = "SCHEDULE_TOPIC_XXXX"
	topicTimer    = "rmq_sys_wheel_timer"

	systemGroups = "CID_RMQ_SYS_"   // begins the names of brokers' own groups
	toolsGroup   = "TOOLS_CONSUMER" // in whose name messages are looked at
)
