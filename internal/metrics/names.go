package metrics

// Labels that series of one kind share.
const (
	lagLabels = "consumer_group topic is_retry is_system"
	inLabels  = "topic message_type is_system"
	outLabels = "topic consumer_group is_system [is_retry]"
	// StorageLabels are those of the store: always the local disk.
	StorageLabels = "storage_type storage_medium"
)

// Bounds of buckets. Those of rocketmq_ metrics are Apache's.
var (
	sizeBuckets   = []float64{1 << 10, 4 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20}
	finishBuckets = []float64{5, 60, 600, 3600, 12 * 3600, 24 * 3600}
	createBuckets = []float64{10, 100, 1000, 3000, 5000}
	delayBuckets  = []float64{60, 600, 3600, 12 * 3600, 24 * 3600, 3 * 24 * 3600}
	rpcBuckets    = []float64{1, 3, 5, 7, 10, 100, 1000, 2000, 3000}
	scanBuckets   = []float64{1, 10, 100, 1000, 2000, 3000}
	fsyncBuckets  = []float64{.0001, .0003, .001, .003, .01, .03, .1, .3, 1, 3, 10}
)

// What Apache's broker serves.
var (
	ProcessorWatermark = Metric{Name: "rocketmq_processor_watermark", Labels: "processor", Help: "Requests that wait for their turn; only admin and reply ever do"}
	Permission         = Metric{Name: "rocketmq_broker_permission", Help: "What clients may do: 4 read, 2 write"}
	TopicNumber        = Metric{Name: "rocketmq_topic_number", Help: "Topics, system topics too"}
	GroupNumber        = Metric{Name: "rocketmq_consumer_group_number", Help: "Subscription groups, system groups too"}

	MessagesIn    = Metric{Name: "rocketmq_messages_in_total", Kind: Counter, Labels: inLabels, Help: "Messages stored"}
	MessagesOut   = Metric{Name: "rocketmq_messages_out_total", Kind: Counter, Labels: outLabels, Help: "Messages given to consumers; is_retry is there for those that were popped"}
	ThroughputIn  = Metric{Name: "rocketmq_throughput_in_total", Kind: Counter, Labels: inLabels, Help: "Bytes of the messages stored, as they are in the log"}
	ThroughputOut = Metric{Name: "rocketmq_throughput_out_total", Kind: Counter, Labels: outLabels, Help: "Bytes of the messages given to consumers"}
	MessageSize   = Metric{Name: "rocketmq_message_size", Kind: Distribution, Buckets: sizeBuckets, Labels: inLabels, Help: "Bytes of a stored message; of a batch, the average"}
	TopicCreate   = Metric{Name: "rocketmq_topic_create_execution_time", Kind: Distribution, Unit: "milliseconds", Buckets: createBuckets, Labels: "invocation_status is_system", Help: "How long making or changing a topic took"}
	GroupCreate   = Metric{Name: "rocketmq_consumer_group_create_execution_time", Kind: Distribution, Unit: "milliseconds", Buckets: createBuckets, Labels: "invocation_status", Help: "How long making or changing a subscription group took"}

	ProducerConnections = Metric{Name: "rocketmq_producer_connections", Labels: "language version protocol_type", Help: "Connections of producers"}
	ConsumerConnections = Metric{Name: "rocketmq_consumer_connections", Labels: "consumer_group language version consume_mode protocol_type is_system", Help: "Connections of consumers"}

	LagMessages      = Metric{Name: "rocketmq_consumer_lag_messages", Labels: lagLabels, Help: "Messages that a group has not consumed"}
	LagLatency       = Metric{Name: "rocketmq_consumer_lag_latency", Unit: "milliseconds", Labels: lagLabels, Help: "Age of the oldest message that a group has not consumed; 0 when there is none"}
	InflightMessages = Metric{Name: "rocketmq_consumer_inflight_messages", Labels: lagLabels, Help: "Messages that a group has been given and has not consumed"}
	QueueingLatency  = Metric{Name: "rocketmq_consumer_queueing_latency", Unit: "milliseconds", Labels: lagLabels, Help: "Age of the oldest message that a group has not been given; 0 when there is none"}
	ReadyMessages    = Metric{Name: "rocketmq_consumer_ready_messages", Labels: lagLabels, Help: "Messages that a group has not been given"}
	SendToDLQ        = Metric{Name: "rocketmq_send_to_dlq_messages_total", Kind: Counter, Labels: "consumer_group topic is_system", Help: "Messages that became dead letters"}

	Commits       = Metric{Name: "rocketmq_commit_messages_total", Kind: Counter, Labels: "topic", Help: "Transactions that were committed"}
	Rollbacks     = Metric{Name: "rocketmq_rollback_messages_total", Kind: Counter, Labels: "topic", Help: "Transactions that were rolled back"}
	FinishLatency = Metric{Name: "rocketmq_finish_message_latency", Kind: Distribution, Unit: "ms", Buckets: finishBuckets, Labels: "topic", Help: "Seconds, in spite of the name, between the birth of a half message and its commit"}
	HalfMessages  = Metric{Name: "rocketmq_half_messages", Labels: "topic", Help: "Half messages that are not decided"}

	RPCLatency = Metric{Name: "rocketmq_rpc_latency", Kind: Distribution, Unit: "milliseconds", Buckets: rpcBuckets, Labels: "protocol_type request_code response_code is_long_polling result",
		Help: "Time from the arrival of a request to its answer"}

	PopScanTime         = Metric{Name: "rocketmq_pop_buffer_scan_time_consume", Kind: Distribution, Unit: "milliseconds", Buckets: scanBuckets, Help: "Stays empty: check points are not scanned for"}
	PopReviveIn         = Metric{Name: "rocketmq_pop_revive_in_message_total", Kind: Counter, Labels: "topic consumer_group revive_message_type put_status", Help: "Check points and acknowledgements put into the revive log"}
	PopReviveOut        = Metric{Name: "rocketmq_pop_revive_out_message_total", Kind: Counter, Labels: "topic consumer_group queue_id revive_message_type", Help: "Check points and acknowledgements read from the revive log"}
	PopReviveRetry      = Metric{Name: "rocketmq_pop_revive_retry_messages_total", Kind: Counter, Labels: "topic consumer_group put_status", Help: "Messages that were not acknowledged in time and were put into a retry topic"}
	PopOffsetBuffer     = Metric{Name: "rocketmq_pop_offset_buffer_size", Help: "Check points whose consumer offset is not committed yet"}
	PopCheckpointBuffer = Metric{Name: "rocketmq_pop_checkpoint_buffer_size", Help: "Check points in memory"}
	PopReviveLag        = Metric{Name: "rocketmq_pop_revive_lag", Unit: "milliseconds", Labels: "queue_id", Help: "Messages, in spite of the name, by which the reviver is behind the revive log"}
	PopReviveLatency    = Metric{Name: "rocketmq_pop_revive_latency", Unit: "milliseconds", Labels: "queue_id", Help: "Time by which the reviver is behind"}

	StorageSize        = Metric{Name: "rocketmq_storage_size", Unit: "bytes", Labels: StorageLabels, Help: "Bytes in use on the partition of the store, whoever uses them"}
	FlushBehind        = Metric{Name: "rocketmq_storage_flush_behind_bytes", Unit: "bytes", Labels: StorageLabels, Help: "Bytes of the log that are not on the disk yet"}
	DispatchBehind     = Metric{Name: "rocketmq_storage_dispatch_behind_bytes", Unit: "bytes", Labels: StorageLabels, Help: "Bytes of the log that consumers cannot see yet"}
	MessageReserveTime = Metric{Name: "rocketmq_storage_message_reserve_time", Unit: "milliseconds", Labels: StorageLabels, Help: "Age of the oldest message"}

	TimerEnqueueLag     = Metric{Name: "rocketmq_timer_enqueue_lag", Labels: StorageLabels, Help: "Timed messages that are not in the wheel yet"}
	TimerEnqueueLatency = Metric{Name: "rocketmq_timer_enqueue_latency", Unit: "milliseconds", Labels: StorageLabels, Help: "Age of the oldest of them"}
	TimerDequeueLag     = Metric{Name: "rocketmq_timer_dequeue_lag", Labels: StorageLabels, Help: "Timed messages in the wheel, whether they are due or not"}
	TimerDequeueLatency = Metric{Name: "rocketmq_timer_dequeue_latency", Unit: "milliseconds", Labels: StorageLabels, Help: "Time by which the delivery is behind"}
	TimingMessages      = Metric{Name: "rocketmq_timing_messages", Labels: StorageLabels + " topic", Help: "Timed messages that wait"}
	TimerDequeue        = Metric{Name: "rocketmq_timer_dequeue_total", Kind: Counter, Labels: StorageLabels + " topic", Help: "Timed messages that were delivered"}
	TimerEnqueue        = Metric{Name: "rocketmq_timer_enqueue_total", Kind: Counter, Labels: StorageLabels + " topic", Help: "Timed messages that were put into the wheel"}
	TimerSnapshot       = Metric{Name: "rocketmq_timer_message_snapshot", Labels: StorageLabels + " timer_bound_s", Help: "Timed messages that wait, by when they are due: up to so many seconds from now and after the bound before"}
	DelayLatency        = Metric{Name: "rocketmq_delay_message_latency", Kind: Distribution, Unit: "seconds", Buckets: delayBuckets, Labels: StorageLabels + " topic", Help: "How long timed messages were to wait"}
)

// What only Liftoff's broker serves.
var (
	Fsync            = Metric{Name: "liftoff_fsync_duration", Kind: Distribution, Unit: "seconds", Per: 1e6, Buckets: fsyncBuckets, Help: "How long each fsync of the commit log took"}
	SendsWaiting     = Metric{Name: "liftoff_sends_waiting", Labels: "mark", Help: "Messages that are stored and whose senders wait until they are on the disk (flushed)"}
	PullsHeld        = Metric{Name: "liftoff_pulls_held", Help: "Pulls that wait for a message"}
	PopsHeld         = Metric{Name: "liftoff_pops_held", Help: "Pops and notifications that wait for a message"}
	Connections      = Metric{Name: "liftoff_connections", Labels: "port", Help: "Open connections"}
	UnsentBytes      = Metric{Name: "liftoff_connection_unsent", Unit: "bytes", Labels: "port", Help: "Answers that clients have not read yet, of all connections"}
	UnsentBytesMax   = Metric{Name: "liftoff_connection_unsent_max", Unit: "bytes", Labels: "port", Help: "The same of the connection that has most"}
	Stalled          = Metric{Name: "liftoff_connections_stalled", Labels: "port", Help: "Connections whose requests are not read because they leave too many answers unread"}
	DispatchLag      = Metric{Name: "liftoff_dispatch_lag", Float: true, Unit: "seconds", Help: "Age of the newest message that consumers can see behind the newest stored one"}
	RecoveryDuration = Metric{Name: "liftoff_recovery_duration", Float: true, Unit: "seconds", Help: "How long opening the store took at the last start"}
	LogOffset        = Metric{Name: "liftoff_commitlog_offset", Unit: "bytes", Labels: "mark", Help: "How far the commit log is appended, written, flushed and dispatched, and where it starts"}
	DiskUsed         = Metric{Name: "liftoff_disk_used_ratio", Float: true, Labels: "of", Help: "Part in use of the partition of commitlog and consumequeue, 0 to 1"}
	DiskFree         = Metric{Name: "liftoff_disk_free", Unit: "bytes", Help: "Bytes that are free on the partition of the store"}
	StoreWritable    = Metric{Name: "liftoff_store_writable", Help: "1 when messages are taken, 0 when the disk is full or has failed"}
	OpenFiles        = Metric{Name: "liftoff_store_open_files", Help: "Files of the store that are open"}
	PutFailures      = Metric{Name: "liftoff_send_failures_total", Kind: Counter, Help: "Messages that were refused or could not be stored"}
	SlowRequests     = Metric{Name: "liftoff_slow_requests", Labels: "kind", Help: "Requests that are served beside their connection or wait for that: slow ones, and those that ask another client"}
	GroupLag         = Metric{Name: "liftoff_group_lag_messages", Labels: "consumer_group topic", Help: "Messages behind the consumer offsets of a group, whether it has consumers now or not, and whatever it filters"}
	NamesrvState     = Metric{Name: "liftoff_namesrv_registered", Labels: "addr", Help: "1 when the NameServer has this broker's registration"}
)

// What a NameServer serves.
var (
	NamesrvBrokers = Metric{Name: "liftoff_namesrv_brokers", Labels: "broker_cluster broker", Help: "Registered brokers of each name: a master and its slaves"}
	NamesrvMasters = Metric{Name: "liftoff_namesrv_masters", Labels: "broker_cluster broker", Help: "Those of them with id 0"}
	NamesrvTopics  = Metric{Name: "liftoff_namesrv_topics", Help: "Topics with a route"}
)

// What every process serves. Names without a prefix of ours are those of Prometheus' own libraries.
var (
	IsReady         = Metric{Name: "liftoff_ready", Help: "1 when /readyz says so"}
	BuildInfo       = Metric{Name: "liftoff_build_info", Labels: "goversion", Help: "Always 1"}
	Goroutines      = Metric{Name: "go_goroutines", Help: "Goroutines"}
	HeapBytes       = Metric{Name: "go_memstats_heap_alloc", Unit: "bytes", Help: "Bytes of the heap in use"}
	GCCycles        = Metric{Name: "go_gc_cycles_total", Kind: Counter, Help: "Garbage collections"}
	ProcessStart    = Metric{Name: "process_start_time", Float: true, Unit: "seconds", Help: "When the process began, in Unix seconds"}
	ProcessCPU      = Metric{Name: "process_cpu_seconds_total", Float: true, Kind: Counter, Help: "Processor time used"}
	ProcessResident = Metric{Name: "process_resident_memory", Unit: "bytes", Help: "Resident memory"}
	ProcessFiles    = Metric{Name: "process_open_fds", Help: "Open files and sockets"}
)

// A Section is a part of the table of all metrics.
type Section struct {
	Title   string
	Metrics []*Metric
}

// Sections are all metrics there are.
func Sections() []Section {
	return []Section{
		{"Apache's", []*Metric{
			&ProcessorWatermark, &Permission, &TopicNumber, &GroupNumber,
			&MessagesIn, &MessagesOut, &ThroughputIn, &ThroughputOut, &MessageSize, &TopicCreate, &GroupCreate,
			&ProducerConnections, &ConsumerConnections,
			&LagMessages, &LagLatency, &InflightMessages, &QueueingLatency, &ReadyMessages, &SendToDLQ,
			&Commits, &Rollbacks, &FinishLatency, &HalfMessages, &RPCLatency,
			&PopScanTime, &PopReviveIn, &PopReviveOut, &PopReviveRetry, &PopOffsetBuffer, &PopCheckpointBuffer, &PopReviveLag, &PopReviveLatency,
			&StorageSize, &FlushBehind, &DispatchBehind, &MessageReserveTime,
			&TimerEnqueueLag, &TimerEnqueueLatency, &TimerDequeueLag, &TimerDequeueLatency, &TimingMessages, &TimerDequeue, &TimerEnqueue, &TimerSnapshot, &DelayLatency,
		}},
		{"The broker's own", []*Metric{
			&Fsync, &SendsWaiting, &PullsHeld, &PopsHeld, &Connections, &UnsentBytes, &UnsentBytesMax, &Stalled, &DispatchLag, &RecoveryDuration,
			&LogOffset, &DiskUsed, &DiskFree, &StoreWritable, &OpenFiles, &PutFailures, &SlowRequests, &GroupLag, &NamesrvState,
		}},
		{"The NameServer's", []*Metric{&NamesrvBrokers, &NamesrvMasters, &NamesrvTopics}},
		{"The process's", []*Metric{&IsReady, &BuildInfo, &Goroutines, &HeapBytes, &GCCycles, &ProcessStart, &ProcessCPU, &ProcessResident, &ProcessFiles}},
	}
}
