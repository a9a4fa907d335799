package interop

// A command is a command of mqadmin, with the calls that show that it does the same on Liftoff as on Apache, and that
// Liftoff's mqadmin does the same as Apache's. The table is written to docs/mqadmin.md.
type command struct {
	name  string
	calls []call
}

// A call is one use of a command. In its arguments stand, for what each cluster and each tool has of its own:
//
//	{b} {n}            the addresses of the broker and of the NameServer
//	{id K} {offset K}  the unique id of the message with key K, and its offset id
//	{x}                a name that is the tool's own, so that both can make and remove the same things
//	{dir}              a folder of the tool's own
type call struct {
	args  string
	tool  likeness // of what Apache's mqadmin says about Liftoff to what it says about Apache
	ours  likeness // of what Liftoff's mqadmin says to what Apache's says about the same cluster
	why   string   // when one is less than exact
	limit int      // ms after which a call that does not end is ended
}

// A likeness says how much of two outputs must be the same, once the names of hosts, times and ids are out of them. When both calls fail, what
// Apache's tool says on Liftoff must be at least what it says on Apache, for refusals tell causes; and Liftoff's tool, whose errors are one line, need only
// fail, too.
type likeness int

const (
	exact     likeness = iota // every line; runs of blanks count as one
	atLeast                   // every line, and Liftoff may say more
	unordered                 // every line, in any order
	decimals                  // every line in any order, but for decimal fractions, which are rates, and retry topics, whose queues a client takes at its time
	numbers                   // every line in any order, but for numbers
	headings                  // the lines of column headings, which begin with #
	keys                      // what stands before the first : or = of each line, in any order
	clients                   // the first word of each line, in any order, but for retry topics: for what clients say of themselves
	asJSON                    // what is JSON, whatever its order, and what stands before
	refusal                   // both refuse, though Apache's tool ends as if it had succeeded
	success                   // whether it succeeds
	nothing                   // not compared
)

var likenessNames = map[likeness]string{
	exact: "everything", atLeast: "everything, and Liftoff says more", unordered: "everything, in any order", decimals: "everything but rates and retry topics", numbers: "everything but numbers", headings: "column headings", keys: "keys",
	clients: "the first word of each line", asJSON: "everything, as JSON", refusal: "that it refuses", success: "success", nothing: "nothing",
}

// mqadminCommands are all commands of mqadmin, in the order in which they run.
var mqadminCommands = []command{
	{"updateTopic", []call{
		{args: "-b {b} -t made_{x} -r 3 -w 5 -p 6"},
		{args: "-c DefaultCluster -t made_{x} -r 2 -w 2 -o true -a +message.type=FIFO"},
		{args: "-b {b} -t bad/name"},
	}},
	{"updateTopicList", []call{{args: "-b {b} -f {dir}/topics.json"}}},
	{"deleteTopic", []call{{args: "-c DefaultCluster -t listed_{x}"}}},
	{"updateSubGroup", []call{
		{args: "-b {b} -g made_{x} -r 5"},
		{args: "-c DefaultCluster -g made_{x} -s true -m false -d false -o true -q 2 -r 7"},
	}},
	{"updateSubGroupList", []call{{args: "-b {b} -f {dir}/groups.json"}}},
	{"setConsumeMode", []call{{args: "-b {b} -t waiting -g made_{x} -m POP -q 2"}, {args: "-c DefaultCluster -t waiting -g made_{x} -m PULL"}}},
	{"deleteSubGroup", []call{{args: "-b {b} -g listed_{x} -r true"}, {args: "-c DefaultCluster -g none_{x} -r true"}}},
	{"updateBrokerConfig", []call{{args: "-b {b} -k maxMessageSize -v 4194305"}, {args: "-c DefaultCluster -k maxMessageSize -v 4194304"}}},
	{"updateTopicPerm", []call{{args: "-b {b} -t made_{x} -p 4", ours: success, why: "Apache's tool drops the order of an ordered topic, Liftoff's keeps it"}, {args: "-c DefaultCluster -t made_{x} -p 6"}}},
	{"topicRoute", []call{{args: "-t plain"}, {args: "-t plain -l"}, {args: "-t none_at_all"}}},
	{"topicStatus", []call{{args: "-t plain", tool: decimals, ours: decimals, why: "rates"}, {args: "-t waiting -c DefaultCluster", tool: decimals, ours: decimals, why: "rates"}}},
	{"topicClusterList", []call{{args: "-t plain"}}},
	{"addBroker", []call{{args: "-c {b} -b /nowhere/broker.conf"}}},
	{"removeBroker", []call{{args: "-c {b} -b DefaultCluster:broker-a:1"}}},
	{"resetMasterFlushOffset", []call{{args: "-b {b} -o 1"}}},
	{"brokerStatus", []call{{args: "-b {b}", tool: keys, ours: keys, why: "sizes and rates of the moment"}, {args: "-c DefaultCluster", tool: keys, ours: keys, why: "sizes and rates of the moment"}}},
	{"queryMsgById", []call{
		{args: "-t plain -i {offset plain-1-2}", tool: unordered, ours: unordered, why: "Apache has an order of its own"},
		{args: "-t plain -i {offset plain-1-2} -g group_push -d 10.1.2.3@group_push", tool: numbers, ours: numbers, why: "how long the client took"},
	}},
	{"queryMsgByKey", []call{{args: "-t plain -k plain-1-2"}, {args: "-t plain -k none_at_all"}}},
	{"queryMsgByUniqueKey", []call{
		{args: "-t plain -i {id plain-1-2}", tool: unordered, ours: unordered, why: "Apache has an order of its own"},
		{args: "-t plain -i {id plain-1-2} -a", tool: unordered, ours: unordered, why: "Apache has an order of its own"},
		{args: "-t plain -i {id plain-1-2} -g group_push -d 10.1.2.3@group_push", tool: numbers, ours: numbers, why: "how long the client took"},
	}},
	{"queryMsgByOffset", []call{{args: "-t plain -b broker-a -i 1 -o 2", tool: unordered, ours: unordered, why: "Apache has an order of its own"}}},
	{"queryMsgTraceById", []call{{args: "-i {id plain-1-2}"}}},
	{"printMsg", []call{{args: "-t waiting -d true", tool: unordered, ours: unordered, why: "Apache has an order of its own"}, {args: "-t waiting -s even", tool: unordered, ours: unordered, why: "Apache has an order of its own"}}},
	{"printMsgByQueue", []call{{args: "-t waiting -a broker-a -i 2 -p true -d true"}, {args: "-t waiting -a broker-a -i 2 -f true"}}},
	{"sendMsgStatus", []call{{args: "-b broker-a -s 16 -c 3", tool: numbers, ours: numbers, why: "how long a message took"}}},
	{"brokerConsumeStats", []call{{args: "-b {b}", tool: decimals, ours: decimals, why: "Apache has an order of its own"}}},
	{"producerConnection", []call{{args: "-g producers -t plain"}}},
	{"consumerConnection", []call{{args: "-g group_push", tool: unordered, ours: unordered, why: "Apache has an order of its own"}, {args: "-g group_orderly -b {b}", tool: unordered, ours: unordered, why: "Apache has an order of its own"}}},
	{"consumerProgress", []call{
		{args: "-g group_push", tool: decimals, ours: decimals, why: "rates"},
		{args: "-g group_pull -t plain -s true", tool: decimals, ours: decimals, why: "rates"},
		{args: "", tool: numbers, ours: numbers, why: "rates"},
	}},
	{"consumerStatus", []call{
		{args: "-g group_push", tool: unordered, ours: unordered, why: "an order of its own"},
		{args: "-g group_push -i 10.1.2.3@group_push", tool: clients, ours: clients, why: "times and addresses in the client's memory"},
	}},
	{"cloneGroupOffset", []call{{args: "-s group_push -d made_{x} -t plain -o true"}}},
	{"producer", []call{{args: "-b {b}", tool: unordered, ours: unordered, why: "an order of its own"}}},
	{"clusterList", []call{{args: "", tool: numbers, ours: numbers, why: "rates"}, {args: "-m", tool: numbers, ours: numbers, why: "counts since midnight"}, {args: "-c DefaultCluster", tool: numbers, ours: numbers, why: "rates"}}},
	{"topicList", []call{{args: "", tool: unordered, ours: unordered, why: "an order of its own"}, {args: "-c", tool: unordered, ours: unordered, why: "an order of its own"}}},
	{"updateKvConfig", []call{{args: "-s space -k key_{x} -v value"}}},
	{"deleteKvConfig", []call{{args: "-s space -k key_{x}"}}},
	{"wipeWritePerm", []call{{args: "-b broker-a"}}},
	{"addWritePerm", []call{{args: "-b broker-a"}}},
	{"resetOffsetByTime", []call{{args: "-g made_{x} -t plain -s -1"}, {args: "-g made_{x} -t plain -s 0 -b {b} -q 1 -o 2"}}},
	{"skipAccumulatedMessage", []call{{args: "-g made_{x} -t plain"}}},
	{"updateOrderConf", []call{{args: "-t made_{x} -m put -v broker-a:4"}, {args: "-t made_{x} -m get"}, {args: "-t made_{x} -m delete"}}},
	{"cleanExpiredCQ", []call{{args: "-b {b}"}, {args: "-c DefaultCluster"}}},
	{"deleteExpiredCommitLog", []call{{args: "-b {b}"}, {args: "-c DefaultCluster"}}},
	{"cleanUnusedTopic", []call{{args: "-b {b}"}, {args: "-c DefaultCluster"}}},
	{"statsAll", []call{{args: "-t plain", tool: decimals, ours: decimals, why: "rates"}, {args: "-a", tool: headings, ours: headings, why: "what is active at the moment"}}},
	{"allocateMQ", []call{{args: "-t plain -i 10.0.0.1,10.0.0.2,10.0.0.3", tool: asJSON, ours: asJSON, why: "an order of its own"}}},
	{"checkMsgSendRT", []call{{args: "-t waiting -a 3 -s 16", tool: numbers, ours: numbers, why: "how long a message took"}}},
	{"getNamesrvConfig", []call{{args: "", tool: headings, ours: unordered, why: "Liftoff tells more keys; the methods of the library compare them"}}},
	{"updateNamesrvConfig", []call{{args: "-n {n} -k orderMessageEnable -v false"}}},
	{"getBrokerConfig", []call{{args: "-b {b}", tool: headings, ours: unordered, why: "Liftoff tells more keys; the methods of the library compare them"}, {args: "-c DefaultCluster", tool: headings, ours: unordered, why: "as before"}}},
	{"getConsumerConfig", []call{{args: "-g group_push"}}},
	{"queryCq", []call{{args: "-t plain -q 1 -i 0 -c 3"}, {args: "-t plain -q 1 -i 2 -c 2 -b {b} -g group_push"}}},
	{"sendMessage", []call{{args: "-t made_{x} -p hello -k some -c even", tool: numbers, ours: numbers, why: "any queue will do"}, {args: "-t made_{x} -p hello -b broker-a -i 1"}}},
	{"consumeMessage", []call{{args: "-t waiting -b broker-a -i 1 -o 1 -c 2"}, {args: "-t waiting -b broker-a -i 0"}}},
	{"exportMetadata", []call{
		{args: "-c DefaultCluster -f {dir}/metadata"},
		{args: "-b {b} -t -f {dir}/metadata"},
		{args: "-b {b} -g -f {dir}/metadata"},
	}},
	{"exportConfigs", []call{{args: "-c DefaultCluster -f {dir}/configs"}}},
	{"exportMetrics", []call{{args: "-c DefaultCluster -f {dir}/metrics"}}},
	{"exportMetadataInRocksDB", []call{{args: "-p /nowhere -t topics -j true", ours: refusal, why: "Liftoff's tool cannot read RocksDB"}}},
	{"exportPopRecord", []call{{args: "-b {b} -d true", ours: clients, why: "Apache's tool takes -d false for a dry run, and -d true for none"}, {args: "-c DefaultCluster"}}},
	{"haStatus", []call{{args: "-b {b}", tool: numbers, why: "Apache writes check points of pops into its log"}, {args: "-c DefaultCluster", tool: numbers, why: "as before"}}},
	{"getSyncStateSet", []call{{args: "-a {n} -b broker-a"}}},
	{"getBrokerEpoch", []call{{args: "-b broker-a"}}},
	{"getControllerMetaData", []call{{args: "-a {n}"}}},
	{"getControllerConfig", []call{{args: "-a {n}"}}},
	{"updateControllerConfig", []call{{args: "-a {n} -k a -v b"}}},
	{"electMaster", []call{{args: "-a {n} -b 0 -bn broker-a -c DefaultCluster"}}},
	{"cleanBrokerMetadata", []call{{args: "-a {n} -bn broker-a -b 1 -c DefaultCluster"}}},
	{"dumpCompactionLog", []call{{args: "-f /nowhere"}}},
	{"getColdDataFlowCtrInfo", []call{{args: "-b {b}", tool: asJSON, ours: asJSON, why: "an order of its own"}, {args: "-c DefaultCluster", tool: asJSON, ours: asJSON, why: "as before"}}},
	{"updateColdDataFlowCtrGroupConfig", []call{{args: "-b {b} -g made_{x} -v 1000"}, {args: "-c DefaultCluster -g made_{x} -v 2000"}}},
	{"removeColdDataFlowCtrGroupConfig", []call{{args: "-b {b} -g made_{x}"}}},
	{"setCommitLogReadAheadMode", []call{{args: "-b {b} -m 1", tool: atLeast, why: "Liftoff says that it makes no difference"}, {args: "-c DefaultCluster -m 0", tool: atLeast, why: "as before"}}},
	{"createUser", []call{{args: "-b {b} -u user_{x} -p secret123 -t Normal"}}},
	{"updateUser", []call{{args: "-b {b} -u user_{x} -p secret456"}}},
	{"deleteUser", []call{{args: "-b {b} -u user_{x}"}}},
	{"getUser", []call{{args: "-b {b} -u user_{x}"}}},
	{"listUser", []call{{args: "-b {b}"}, {args: "-c DefaultCluster"}}},
	{"copyUser", []call{{args: "-f {b} -t {b} -u user_{x}"}}},
	{"createAcl", []call{{args: "-b {b} -s User:user_{x} -r Topic:plain -a Pub -d Allow"}}},
	{"updateAcl", []call{{args: "-b {b} -s User:user_{x} -r Topic:plain -a Sub -d Deny"}}},
	{"deleteAcl", []call{{args: "-b {b} -s User:user_{x}"}}},
	{"getAcl", []call{{args: "-b {b} -s User:user_{x}"}}},
	{"listAcl", []call{{args: "-b {b}", tool: success, why: "Liftoff keeps no ACLs yet"}}},
	{"copyAcl", []call{{args: "-f {b} -t {b} -s User:user_{x}"}}},
	{"rocksDBConfigToJson", []call{{args: "-t topics -p /nowhere", ours: refusal, why: "Liftoff's tool cannot read RocksDB"}, {args: "-t topics -b {b}"}}},
	{"checkRocksdbCqWriteProgress", []call{{args: "-n {n} -c DefaultCluster -t plain"}}},
	{"switchTimerEngine", []call{{args: "-b {b} -e F"}, {args: "-b {b} -e none", ours: refusal, why: "Apache's tool says so and ends with 0"}}},
	{"getBrokerLiteInfo", []call{{args: "-b {b}", tool: numbers, ours: numbers, why: "Apache counts queues that were only asked about"}, {args: "-c DefaultCluster -d", tool: numbers, ours: numbers, why: "as before"}}},
	{"getParentTopicInfo", []call{{args: "-p plain", ours: refusal, why: "plain is no lite topic; Apache's tool says so and ends with 0"}}},
	{"getLiteTopicInfo", []call{{args: "-p plain -l lite", ours: refusal, why: "plain is no lite topic; Apache's tool says so and ends with 0"}}},
	{"getLiteClientInfo", []call{{args: "-p plain -g group_push -c 10.1.2.3@group_push", ours: refusal, why: "plain is no lite topic; Apache's tool says so and ends with 0"}}},
	{"getLiteGroupInfo", []call{{args: "-p plain -g group_push", ours: refusal, why: "plain is no lite topic; Apache's tool says so and ends with 0"}}},
	{"triggerLiteDispatch", []call{{args: "-p plain -g group_push", ours: refusal, why: "plain is no lite topic; Apache's tool says so and ends with 0"}}},
	// Last: with a static topic Apache's tool cannot read what all topics are, and these leave threads behind.
	{"updateStaticTopic", []call{{args: "-b broker-a -t static_{x} -qn 2"}}},
	{"remappingStaticTopic", []call{{args: "-b broker-a -t static_{x}"}}},
	{"clusterRT", []call{{args: "-a 2 -s 16 -i 1 -c DefaultCluster", limit: 1500, tool: numbers, ours: numbers, why: "how long messages took"}}},
	{"startMonitoring", []call{{args: "", limit: 1500, tool: nothing, ours: nothing, why: "it prints nothing but what is wrong"}}},
}
