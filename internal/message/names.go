package message

// The properties that clients and brokers give a meaning to. Part of the wire; do not change.
const (
	PropKeys         = "KEYS" // separated by spaces
	PropTags         = "TAGS"
	PropWait         = "WAIT" // "false": answer without waiting for flush and replicas
	PropUniqKey      = "UNIQ_KEY"
	PropExtendUniq   = "EXTEND_UNIQ_INFO"
	PropDupInfo      = "DUP_INFO"
	PropInstanceID   = "INSTANCE_ID"
	PropBuyerID      = "BUYER_ID"
	PropShardingKey  = "__SHARDINGKEY"
	PropLiteTopic    = "__LITE_TOPIC"
	PropPriority     = "_SYS_MSG_PRIORITY_"
	PropTraceContext = "TRACE_CONTEXT"
	PropTransferFlag = "TRANSFER_FLAG"
	PropCorrection   = "CORRECTION_FLAG"
	PropMQ2Flag      = "MQ2_FLAG"

	// Added by the broker when it stores a message, or by the receiver.
	PropMsgRegion     = "MSG_REGION"
	PropTraceOn       = "TRACE_ON"
	PropCluster       = "CLUSTER"
	PropMinOffset     = "MIN_OFFSET"
	PropMaxOffset     = "MAX_OFFSET"
	PropBornHost      = "__BORNHOST"
	PropBornTimestamp = "BORN_TIMESTAMP"
	PropCRC32         = "__CRC32#" // see AppendRecord

	// Where a message parked in a system topic goes to.
	PropRealTopic   = "REAL_TOPIC"
	PropRealQueueID = "REAL_QID"

	// Delay.
	PropDelay           = "DELAY" // level, 1 based
	PropTimerDelaySec   = "TIMER_DELAY_SEC"
	PropTimerDelayMS    = "TIMER_DELAY_MS"
	PropTimerDeliverMS  = "TIMER_DELIVER_MS"
	PropTimerOutMS      = "TIMER_OUT_MS"
	PropTimerEnqueueMS  = "TIMER_ENQUEUE_MS"
	PropTimerDequeueMS  = "TIMER_DEQUEUE_MS"
	PropTimerRollTimes  = "TIMER_ROLL_TIMES"
	PropTimerRollLabel  = "TIMER_ROLL_LABEL"
	PropTimerDelUniqKey = "TIMER_DEL_UNIQKEY"
	PropTimerDelayLevel = "TIMER_DELAY_LEVEL"

	// Retry and dead letters.
	PropRetryTopic         = "RETRY_TOPIC"
	PropOriginMessageID    = "ORIGIN_MESSAGE_ID"
	PropReconsumeTime      = "RECONSUME_TIME"
	PropMaxReconsumeTimes  = "MAX_RECONSUME_TIMES"
	PropConsumeStartTime   = "CONSUME_START_TIME"
	PropDLQOriginTopic     = "DLQ_ORIGIN_TOPIC"
	PropDLQOriginMessageID = "DLQ_ORIGIN_MESSAGE_ID"
	PropOriginGroup        = "ORIGIN_GROUP"
	PropFirstPopTime       = "1ST_POP_TIME"

	// Transactions.
	PropTransactionPrepared   = "TRAN_MSG"
	PropProducerGroup         = "PGROUP"
	PropTransactionID         = "__transactionId__"
	PropTransactionCheckTimes = "TRANSACTION_CHECK_TIMES"
	PropCheckImmunityTime     = "CHECK_IMMUNITY_TIME_IN_SECONDS"
	PropPreparedQueueOffset   = "TRAN_PREPARED_QUEUE_OFFSET"
	PropTransOffset           = "TRANS_OFFSET"

	// Request and reply.
	PropCorrelationID = "CORRELATION_ID"
	PropReplyToClient = "REPLY_TO_CLIENT"
	PropTTL           = "TTL"
	PropMsgType       = "MSG_TYPE"
	PropArriveTime    = "ARRIVE_TIME"
	PropPushReplyTime = "PUSH_REPLY_TIME"

	// Pop.
	PropPopCK       = "POP_CK"
	PropPopCKOffset = "POP_CK_OFFSET"

	// Inner batches and light queues.
	PropInnerNum         = "INNER_NUM"
	PropInnerBase        = "INNER_BASE"
	PropMultiDispatch    = "INNER_MULTI_DISPATCH"
	PropMultiQueueOffset = "INNER_MULTI_QUEUE_OFFSET"

	// Between proxy and broker.
	PropForwardQueueID  = "PROPERTY_FORWARD_QUEUE_ID"
	PropRedirect        = "REDIRECT"
	PropTransientPrefix = "__RMQ.TRANSIENT." // never stored
)
