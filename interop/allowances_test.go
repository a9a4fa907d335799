package interop

// unorderedInMethods are the lists in the records of methods whose order says nothing.
var unorderedInMethods = []string{
	"getAllProducerInfo/result/data/*",
	"getConsumerRunningInfo/result/subscriptionSet",
	"fetchConsumeStatsInBroker/result/consumeStatsList",
	"fetchConsumeStatsInBroker/result/consumeStatsList/*",
	"messageTrackDetail*/result",
	"listUser/result",
	"listAcl/result",
}

// omittedInMethods are the entries of lists in the records of methods that are left out: whether they are there yet depends on the moment.
var omittedInMethods = []omission{
	{"queryTopicsByConsumer*/topicList", "%RETRY%", "whether a client has taken its retry queue yet"},
	{"fetchConsumeStatsInBroker/result/consumeStatsList/*", "%RETRY%", "the same"},
	{"getAllProducerInfo/result/data/CLIENT_INNER_PRODUCER", "@asks", "whether a client that only asks has sent a heartbeat yet; it does so every 30 s"},
	{"getAllProducerInfo/result/data/CLIENT_INNER_PRODUCER", "@looks", "the same"},
}

// methodAllowances is where the answers to the methods of Apache's administration library may differ.
var methodAllowances = []allowance{
	{"*/remark", saysMore, "a refusal of Liftoff's tells the cause behind Apache's words"},
	{"*Concurrent/result/errorMsg", saysMore, "a refusal of Liftoff's tells the cause behind Apache's words"},
	{"viewMessage/args/1", anything, "made of an address, which no message has"},

	// Rates depend on the moment.
	{"*/topicPutTps", anyNumber, "a rate"},
	{"*/consumeTps", anyNumber, "a rate"},
	{"viewBrokerStatsData/result/stats*", anyNumber, "a rate, or a sum of samples taken at other moments"},
	{"fetchBrokerRuntimeStats/result/table/*Tps", anyNumber, "a rate"},
	{"queryConsumeTimeSpan*/delayTime", anyNumber, "how long ago"},

	// What a client says of itself, which a broker only passes on.
	{"getConsumerRunningInfo/result/jstack", anything, "the client's stacks"},
	{"getConsumerRunningInfo/result/properties/messageListener", anything, "an address in the client's memory"},
	{"getConsumerRunningInfo/result/properties/defaultMQPushConsumerImpl", anything, "an address in the client's memory"},
	{"getConsumerRunningInfo/result/properties/allocateMessageQueueStrategy", anything, "an address in the client's memory"},
	{"getConsumerRunningInfo/result/properties/offsetStore", anything, "an address in the client's memory"},
	{"getConsumerRunningInfo/result/properties/consumeTimestamp", anything, "when the client started"},
	{"getConsumerRunningInfo/result/statusTable/*RT", anyNumber, "how long the client took"},
	{"getConsumerRunningInfo/result/statusTable/*TPS", anyNumber, "a rate"},
	{"getConsumerRunningInfo/result/mqTable/%RETRY%*", anything, "whether the client has taken its retry queue yet"},
	{"consumeMessageDirectly/result/spentTimeMills", anyNumber, "how long the client took"},

	// What the store holds depends on what the broker itself writes.
	{"fetchBrokerRuntimeStats/result/table/getTransferedTps", onlyOurs, "as it is spelled before 5.0, for its tools"},
	{"fetchBrokerRuntimeStats/result/table/commitLogDirCapacity", anything, "of the disk; Liftoff counts what it may use, without what is reserved"},
	{"fetchBrokerRuntimeStats/result/table/*DiskRatio*", anyNumber, "of the disk and the moment"},
	{"fetchBrokerRuntimeStats/result/table/commitLogMaxOffset", anyNumber, "Apache writes check points of pops into the log"},
	{"fetchBrokerRuntimeStats/result/table/putMessage*", anyNumber, "Apache writes check points of pops into the log"},
	{"fetchBrokerRuntimeStats/result/table/putMessageDistributeTime", anything, "of the moment; Apache tells of the minute before, and of none in its first"},
	{"fetchBrokerRuntimeStats/result/table/timer*", anyNumber, "check points of pops wait in Apache's timer"},
	{"fetchBrokerRuntimeStats/result/table/getMessageEntireTimeMax", anyNumber, "the longest time of a get; Liftoff does not measure it"},
	{"fetchBrokerRuntimeStats/result/table/msg*", anyNumber, "Apache counts its check points of pops"},
	{"fetchBrokerRuntimeStats/result/table/*HeadWaitTimeMills", anyNumber, "Liftoff has no queues of requests"},
	{"fetchBrokerRuntimeStats/result/table/runtime", anything, "how long the broker runs"},
	{"fetchBrokerRuntimeStats/result/table/dispatchBehindBytes", anyNumber, "of the moment"},
	{"fetchBrokerRuntimeStats/result/table/remainHowManyDataToFlush", anything, "of the moment"},
	{"fetchBrokerRuntimeStats/result/table/scheduleMessageOffset_*", anything, "of the moment"},
	{"fetchBrokerRuntimeStats/result/table/putLatency*", anyNumber, "Liftoff does not measure it"},
	{"fetchBrokerRuntimeStats/result/table/putMessageDistributeTime", anything, "Liftoff does not measure it"},
	{"examineConsumeStats*/offsetTable/%RETRY%*", anything, "whether the client has taken its retry queue yet"},
	{"getBrokerHAStatus/result/masterCommitLogMaxOffset", anyNumber, "Apache writes check points of pops into the log"},

	// The configuration.
	{"get*Config/result*/listenPort", anything, "each has its own"},
	{"getBrokerConfig/result/haListenPort", anything, "each has its own"},
	{"getBrokerConfig/result/bitMapLengthConsumeQueueExt", anything, "Apache shows the length that it uses, Liftoff the one that was set"},
	{"getBrokerConfig/result/*", onlyOurs, "Liftoff tells also what is in Apache's files for TLS and access control"},
	{"getNameServerConfig/result/<namesrv>/*", onlyOurs, "Liftoff tells also what is in Apache's files for TLS and of its client"},

	{"getBrokerConfig/result/metrics*", anything, "Liftoff's metrics are on"},
	{"*/dataVersion/counter", anyNumber, "how often each has written; Apache makes groups by asking about them"},
	{"getBrokerLiteInfo/result/*TableSize", anyNumber, "Apache counts queues that were only asked about"},

	// On purpose; see docs/differences.md.
	{"getConsumeStatus/thrown/remark", anything, "Apache fails inside when the group has no consumer"},
	{"createStaticTopic/*", anything, "a mapping with another topic's name is refused"},
	{"resumeCheckHalfMessage/result", anything, "what is no half message is refused; Apache stores it once more"},
	{"queryConsumeQueue/*", anything, "a queue that is not there is refused; Apache makes it"},
	{"getUserSubscriptionGroup/result/subscriptionGroupTable/group_listed", anything, "Apache makes a group again that is deleted without its offsets"},
	{"fetchConsumeStatsInBroker/result/*/pullOffset", anyNumber, "Apache leaves it out"},
	{"fetchConsumeStatsInBroker/result/totalInflightDiff", anyNumber, "Apache counts with offsets that it left out"},
	{"updateColdDataFlowCtrGroupConfig/*", anything, "a limit that is no number is refused; Apache ignores it"},
	{"setCommitLogReadAheadMode/result", saysMore, "it makes no difference here, and the answer says so"},
	{"*LiteGroupInfo/thrown/*", anything, "Apache makes groups by asking about them"},
	{"triggerLiteDispatch/thrown/*", anything, "Apache makes groups by asking about them"},
	{"checkRocksdbCqWriteProgress/result/*", anything, "Liftoff answers with the result, Apache writes it to its log"},
	{"*Acl/thrown/*", anything, "Liftoff keeps no ACLs yet; Apache without any fails inside"},
}
