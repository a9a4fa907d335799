package config

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// Broker is everything a broker can be told.
//
// HAListenPort and ID are settled when it is loaded: they hold what is meant, not "the default".
type Broker struct {
	Server
	Metrics
	Export
	Store

	// File is the properties file that it was read from; empty when there was none.
	File string `prop:"brokerConfigPath,restart,local"`
	// OwnNamesrv is the port of the NameServer in the broker's process, the only one that it registers with; empty when there is none. It is
	// no key.
	OwnNamesrv string
	// RocketMQHome is where RocketMQ is installed; shown in the answer to "get broker config". Default $ROCKETMQ_HOME.
	RocketMQHome string `prop:"rocketmqHome,restart,local"`

	// Cluster is the name of the cluster. Default DefaultCluster.
	Cluster string `prop:"brokerClusterName,restart,important"`
	// Name is the name that a master and its slaves share. Default the host's name.
	Name string `prop:"brokerName,restart,important"`
	// ID is 0 for a master and more for a slave. Default 0.
	ID int64 `prop:"brokerId,restart,important"`
	// NamesrvAddr lists the NameServers, host:port separated by semicolons. Default $NAMESRV_ADDR.
	NamesrvAddr string `prop:"namesrvAddr,important"`
	// BrokerIP1 is the address that clients are told. Default bindAddress when that is one address, else the host's first that is no
	// loopback.
	BrokerIP1 string `prop:"brokerIP1,restart,important"`
	// BrokerIP2 is the address that slaves are told. Default like brokerIP1, also when that is set.
	BrokerIP2 string `prop:"brokerIP2,restart"`

	// Permission is what clients may do: 4 read, 2 write. Default 6.
	Permission int `prop:"brokerPermission"`
	// AutoCreateTopic makes an unknown topic when a message is sent to it. Default true.
	AutoCreateTopic bool `prop:"autoCreateTopicEnable,important"`
	// DefaultTopicQueues is the number of queues of topic TBW102, and with it the most that a topic made by sending gets. Default 8.
	DefaultTopicQueues int `prop:"defaultTopicQueueNums,restart"`
	// ClusterTopic lets the topic named as the cluster be read and written. Default true.
	ClusterTopic bool `prop:"clusterTopicEnable,restart"`
	// BrokerTopic lets the topic named as the broker be read and written. Default true.
	BrokerTopic bool `prop:"brokerTopicEnable,restart"`
	// TraceTopic makes the topic for traces. Default false.
	TraceTopic bool `prop:"traceTopicEnable,restart,important"`
	// TraceTopicName is the name of that topic. Default RMQ_SYS_TRACE_TOPIC.
	TraceTopicName string `prop:"msgTraceTopicName,restart,important"`
	// StoreReplies stores replies to requests, besides pushing them to who waits for them. Default true.
	StoreReplies bool `prop:"storeReplyMessageEnable"`
	// AutoCreateGroup makes an unknown subscription group when a consumer asks for it. Default true.
	AutoCreateGroup bool `prop:"autoCreateSubscriptionGroup,important"`
	// MixedMessages allows topics of the message type MIXED. Default false.
	MixedMessages bool `prop:"enableMixedMessageType"`
	// ValidateSystemTopic refuses changes to system topics. Default true.
	ValidateSystemTopic bool `prop:"validateSystemTopicWhenUpdateTopic"`

	// FlushConsumerOffsetInterval is the time between two writings of consumerOffset.json. Default 5 s.
	FlushConsumerOffsetInterval time.Duration `prop:"flushConsumerOffsetInterval,ms,restart"`
	// ServerSideResetOffset keeps a reset offset here until the consumer asks for it. Default true.
	ServerSideResetOffset bool `prop:"useServerSideResetOffset"`

	// DelayOffsetVersionStep is after how many deliveries the version in delayOffset.json counts. Default 200.
	DelayOffsetVersionStep int64 `prop:"delayOffsetUpdateVersionStep"`

	// RejectPullConsumers refuses pulls of consumers that pull by themselves, unless they are RocketMQ's tools. Default false.
	RejectPullConsumers bool `prop:"rejectPullConsumerEnable"`
	// QueueLockMax is after how long a queue goes to another consumer when the one that consumes it in order does not ask for it any
	// more; a system property of RocketMQ. Default 60 s.
	QueueLockMax time.Duration `prop:"rocketmq.broker.rebalance.lockMaxLiveTime,ms,long,restart"`
	// LitePull serves pulls of lite pull consumers (LITE_PULL_MESSAGE). Default true.
	LitePull bool `prop:"litePullMessageEnable"`
	// LongPolling holds a pull that finds nothing for as long as the client asks. Default true.
	LongPolling bool `prop:"longPollingEnable"`
	// ShortPolling is how long it is held otherwise. Default 1 s.
	ShortPolling time.Duration `prop:"shortPollingTimeMills,ms,long"`
	// NotifyConsumersChanged tells a group's consumers that one has come or gone. Default true.
	NotifyConsumersChanged bool `prop:"notifyConsumerIdsChangedEnable"`
	// SlaveRead advises a consumer that is far behind to read from a slave. Default false.
	SlaveRead bool `prop:"slaveReadEnable"`

	// RejectTransactions refuses half messages. Default false.
	RejectTransactions bool `prop:"rejectTransactionMessage,important"`
	// TransactionTimeout is how old a half message is at least when its producers are asked what has become of it, unless the message
	// says otherwise. Default 6 s.
	TransactionTimeout time.Duration `prop:"transactionTimeOut,ms,long,important"`
	// TransactionCheckMax is how often they are asked before the message is put into TRANS_CHECK_MAX_TIME_TOPIC. Default 15.
	TransactionCheckMax int `prop:"transactionCheckMax,important"`
	// TransactionCheckInterval is the least time between two rounds of asking. Default 30 s.
	TransactionCheckInterval time.Duration `prop:"transactionCheckInterval,ms,long,important"`
	// TransactionMetricsInterval is the time between two writings of transactionMetrics, while it changes. Default 10 s.
	TransactionMetricsInterval time.Duration `prop:"transactionMetricFlushInterval,ms,long"`
	// PopPollingSize is how many pops of a group may wait for one queue, or for all queues, of a topic. Default 1024.
	PopPollingSize int `prop:"popPollingSize"`
	// PopPollingTotal is how many pops may wait altogether. Default 100000.
	PopPollingTotal int64 `prop:"maxPopPollingSize"`
	// PopForceNotify wakes a waiting pop at each so many messages of a queue, whether it wants them or not; 0 never. Default 800.
	PopForceNotify int64 `prop:"popLongPollingForceNotifyInterval"`
	// PopMaxBuffer is how many check points stay in memory once they are in the revive log. Default 200000.
	PopMaxBuffer int `prop:"popCkMaxBufferSize"`
	// ReviveQueues is the number of queues of the revive log. Default 8.
	ReviveQueues int `prop:"reviveQueueNum,restart"`
	// PopOrderNotify wakes an orderly pop when its queue is free again. Default true.
	PopOrderNotify bool `prop:"enableNotifyAfterPopOrderLockRelease"`
	// PopInitInMemory lets a group that pops a queue for the first time begin at its first message if that is not far behind, also when it
	// asked for the newest. Default true.
	PopInitInMemory bool `prop:"initPopOffsetByCheckMsgInMem"`
	// PopRetryV2 names pop retry topics %RETRY%group+topic instead of %RETRY%group_topic. Default false.
	PopRetryV2 bool `prop:"enableRetryTopicV2"`
	// PopRetryV1Too pops those of the old name too. Default true.
	PopRetryV1Too bool `prop:"retrieveMessageFromPopRetryTopicV1"`
	// PopRetryFirst is how many pops of a hundred look into the retry topic first. Default 20.
	PopRetryFirst int `prop:"popFromRetryProbability"`
	// PopRetryFirstPriority is the same for topics with priorities. Default 0.
	PopRetryFirstPriority int `prop:"popFromRetryProbabilityForPriority"`
	// PopPriorityAscending takes a higher queue number as a higher priority. Default true.
	PopPriorityAscending bool `prop:"priorityOrderAsc"`
	// PopSeparateRetry gives a pop retry topic as many queues as its topic has. Default false.
	PopSeparateRetry bool `prop:"useSeparateRetryQueue"`
	// PopActualRetryTopic shows messages of a retry topic under the name of that topic. Default false.
	PopActualRetryTopic bool `prop:"popResponseReturnActualRetryTopic"`
	// PopLimit keeps a group from popping a queue of which too many messages are in flight. Default false.
	PopLimit bool `prop:"enablePopMessageThreshold"`
	// PopLimitMessages is how many that are. Default 10000.
	PopLimitMessages int64 `prop:"popInflightMessageThreshold"`
	// NotificationFilter lets notifications look at tags. Default true.
	NotificationFilter bool `prop:"useMessageFilterForNotification"`
	// NotificationFilterMax is from how many messages on they do not. Default 64.
	NotificationFilterMax int `prop:"maxMessageFilterNumForNotification"`
	// ServerLoadBalancer shares queues out to the consumers that ask for it; without it each gets all. Default true.
	ServerLoadBalancer bool `prop:"serverLoadBalancerEnable"`
	// RouteInterval is how long the queues of a topic on all brokers are taken as known. Default 30 s.
	RouteInterval time.Duration `prop:"loadBalancePollNameServerInterval,ms,long"`
	// ForwardTimeout is how long a request about a static topic may take at the broker that has what it is about. Default 3 s.
	ForwardTimeout time.Duration `prop:"forwardTimeout,ms,long"`
	// RequestMode is how consumers that ask for it consume when nothing else was set for topic and group: PULL or POP. Default PULL.
	RequestMode string `prop:"defaultMessageRequestMode"`
	// PopShareQueues is from how many others a consumer pops queues too then; from all when it is 0 or less. Default -1.
	PopShareQueues int `prop:"defaultPopShareQueueNum"`

	// PropertyFilter serves consumers that filter by SQL expressions over properties. Default false.
	PropertyFilter bool `prop:"enablePropertyFilter,important"`
	// FilterRetries filters a retry topic that a consumer subscribes to by SQL with what its group wants of each message's first
	// topic. Default false.
	FilterRetries bool `prop:"filterSupportRetry"`
	// FilterDataKept is how long the filter of a group without consumers is kept. Default 24 h.
	FilterDataKept time.Duration `prop:"filterDataCleanTimeSpan,ms,long"`
	// FilterBits keeps in ConsumeQueueExt for which groups that filter by SQL a message is, so that the others need not look at it.
	// Default false.
	FilterBits bool `prop:"enableCalcFilterBitMap"`
	// BloomConsumers is for how many groups that filter a topic by SQL the bit maps of messages are made. Default 32.
	BloomConsumers int `prop:"expectConsumerNumUseFilter,restart"`
	// BloomErrorPercent is how many messages, in percent, may be looked at in vain with as many groups. Default 20.
	BloomErrorPercent int `prop:"maxErrorRateOfBloomFilter,restart"`

	// RegisterPeriod is the time between two registrations with the NameServers; from 10 s to 60 s. Default 30 s.
	RegisterPeriod time.Duration `prop:"registerNameServerPeriod,ms,restart"`
	// RegisterTimeout is how long one registration may take. Default 24 s.
	RegisterTimeout time.Duration `prop:"registerBrokerTimeoutMills,ms,restart"`
	// ForceRegister registers each time, even when nothing has changed since. Default true.
	ForceRegister bool `prop:"forceRegister"`
	// CompressedRegister deflates the body of a registration. Default false.
	CompressedRegister bool `prop:"compressedRegister,restart"`
	// SlaveActingMaster lets the slave with the least id serve while the master is away; told to the NameServers, which then expect heartbeats. Default false.
	SlaveActingMaster bool `prop:"enableSlaveActingMaster,restart"`
	// NotActiveTimeout is after how long without a heartbeat the NameServers shall give this broker up, with enableSlaveActingMaster. Default 10 s.
	NotActiveTimeout time.Duration `prop:"brokerNotActiveTimeoutMillis,ms,long,restart"`
	// HeartbeatInterval is the time between two heartbeats to the NameServers, with enableSlaveActingMaster. Default 1 s.
	HeartbeatInterval time.Duration `prop:"brokerHeartbeatInterval,ms,restart"`
	// HeartbeatTimeout is how long one heartbeat may wait for a connection. Default 1 s.
	HeartbeatTimeout time.Duration `prop:"sendHeartbeatTimeoutMillis,ms"`
	// OldNamesrv sends heartbeats that NameServers of before RocketMQ 5 understand too, as QUERY_DATA_VERSION instead of BROKER_HEARTBEAT. Default true.
	OldNamesrv bool `prop:"compatibleWithOldNameSrv"`

	// RecallMessage lets producers take back timed messages before their time. Default false.
	RecallMessage bool `prop:"recallMessageEnable"`
	// RecallWhenNotWriteable lets them do so when brokerPermission forbids to write. Default true.
	RecallWhenNotWriteable bool `prop:"allowRecallWhenBrokerNotWriteable"`
	// AcceptSendsFrom is the time, in Unix milliseconds, before which messages are refused. Default 0.
	AcceptSendsFrom int64 `prop:"startAcceptSendRequestTimeStamp"`
	// RegionID is told to producers with each answer. Default DefaultRegion.
	RegionID string `prop:"regionId"`
	// TraceOn is told to producers with each answer. Default true.
	TraceOn bool `prop:"traceOn"`
	// ClientExpiry is after how long without a heartbeat a client is given up. Default 120 s.
	ClientExpiry time.Duration `prop:"channelExpiredTimeout,ms,long"`
	// ConfigBlackList lists the keys that cannot be changed from outside, separated by semicolons.
	ConfigBlackList string `prop:"configBlackList,local"`

	extra extra // keys without a field that were set
}

// DefaultBroker is a broker's configuration when nothing is set.
func DefaultBroker() Broker {
	home, host := userHome(), hostName()
	ip := LocalAddress()
	return Broker{
		Server:                      defaultServer(10911),
		Metrics:                     defaultMetrics(metricsPortBroker),
		Export:                      DefaultExport(),
		Store:                       defaultStore(home),
		RocketMQHome:                os.Getenv("ROCKETMQ_HOME"),
		NamesrvAddr:                 os.Getenv("NAMESRV_ADDR"),
		Cluster:                     "DefaultCluster",
		Name:                        host,
		BrokerIP1:                   ip,
		BrokerIP2:                   ip,
		Permission:                  6,
		AutoCreateTopic:             true,
		DefaultTopicQueues:          8,
		ClusterTopic:                true,
		BrokerTopic:                 true,
		StoreReplies:                true,
		TraceTopicName:              "RMQ_SYS_TRACE_TOPIC",
		AutoCreateGroup:             true,
		ValidateSystemTopic:         true,
		FlushConsumerOffsetInterval: 5 * time.Second,
		ServerSideResetOffset:       true,
		DelayOffsetVersionStep:      200,
		QueueLockMax:                time.Minute,
		LongPolling:                 true,
		ShortPolling:                time.Second,
		LitePull:                    true,
		NotifyConsumersChanged:      true,
		TransactionTimeout:          6 * time.Second,
		TransactionCheckMax:         15,
		TransactionCheckInterval:    30 * time.Second,
		TransactionMetricsInterval:  10 * time.Second,
		PopPollingSize:              1024,
		PopPollingTotal:             100_000,
		PopForceNotify:              800,
		PopMaxBuffer:                200_000,
		ReviveQueues:                8,
		PopOrderNotify:              true,
		PopInitInMemory:             true,
		PopRetryV1Too:               true,
		PopRetryFirst:               20,
		PopPriorityAscending:        true,
		PopLimitMessages:            10_000,
		NotificationFilter:          true,
		NotificationFilterMax:       64,
		ServerLoadBalancer:          true,
		RouteInterval:               30 * time.Second,
		ForwardTimeout:              3 * time.Second,
		RequestMode:                 "PULL",
		PopShareQueues:              -1,
		FilterDataKept:              24 * time.Hour,
		BloomConsumers:              32,
		BloomErrorPercent:           20,
		RegisterPeriod:              30 * time.Second,
		RegisterTimeout:             24 * time.Second,
		ForceRegister:               true,
		NotActiveTimeout:            10 * time.Second,
		HeartbeatInterval:           time.Second,
		HeartbeatTimeout:            time.Second,
		OldNamesrv:                  true,
		RecallWhenNotWriteable:      true,
		RegionID:                    "DefaultRegion",
		TraceOn:                     true,
		ClientExpiry:                2 * time.Minute,
		ConfigBlackList:             "configBlackList;brokerConfigPath",
	}
}

// NamesrvAddrs are the addresses of NamesrvAddr.
func (b *Broker) NamesrvAddrs() []string { return addrList(b.NamesrvAddr) }

// Validate says what is wrong with a configuration; the error is a [WrongValues].
func (b *Broker) Validate() error {
	v := &validation{}
	b.Server.validate(v)
	b.Metrics.validate(v)
	b.Export.validate(v)
	b.Store.validate(v)

	v.notEmpty("brokerClusterName", b.Cluster)
	v.notEmpty("brokerName", b.Name)
	controlled := strings.EqualFold(b.extra["enableControllerMode"], "true") // a controller gives the id; it is refused as such
	if b.BrokerRole == Slave && b.ID <= 0 && !controlled {
		v.wrong("brokerId", fmt.Sprint(b.ID), "more than 0: brokerRole is SLAVE and 0 is the master's")
	}
	if _, err := ParseAddrs(b.NamesrvAddr); err != nil {
		v.wrong("namesrvAddr", b.NamesrvAddr, `addresses such as "127.0.0.1:9876;192.168.0.1:9876"; `+err.Error())
	}
	v.notEmpty("brokerIP1", b.BrokerIP1)
	if hasPort(b.BrokerIP1) && b.BrokerIP1 != b.BindAddress { // else it is what bindAddress says, and that is told
		v.wrong("brokerIP1", b.BrokerIP1, "an address or a name without a port; that is in listenPort")
	}
	if hasPort(b.BrokerIP2) && b.BrokerIP2 != b.BindAddress {
		v.wrong("brokerIP2", b.BrokerIP2, "an address or a name without a port; that is in haListenPort")
	}

	v.within("brokerPermission", int64(b.Permission), 0, 7)
	v.atLeast("rocketmq.broker.rebalance.lockMaxLiveTime", b.QueueLockMax.Milliseconds(), 0)
	v.atLeast("delayOffsetUpdateVersionStep", b.DelayOffsetVersionStep, 1)
	v.within("defaultTopicQueueNums", int64(b.DefaultTopicQueues), 1, 65536)
	v.notEmpty("msgTraceTopicName", b.TraceTopicName)
	v.atLeast("flushConsumerOffsetInterval", b.FlushConsumerOffsetInterval.Milliseconds(), 1)
	v.atLeast("popPollingSize", int64(b.PopPollingSize), 0)
	v.atLeast("maxPopPollingSize", b.PopPollingTotal, 0)
	v.atLeast("popCkMaxBufferSize", int64(b.PopMaxBuffer), 0)
	v.within("reviveQueueNum", int64(b.ReviveQueues), 1, 998) // orderly pops have number 999
	v.within("popFromRetryProbability", int64(b.PopRetryFirst), 0, 100)
	v.within("popFromRetryProbabilityForPriority", int64(b.PopRetryFirstPriority), 0, 100)
	v.oneOf("defaultMessageRequestMode", b.RequestMode, "PULL", "POP")
	v.atLeast("forwardTimeout", b.ForwardTimeout.Milliseconds(), 1)
	v.atLeast("shortPollingTimeMills", b.ShortPolling.Milliseconds(), 0)
	v.atLeast("transactionTimeOut", b.TransactionTimeout.Milliseconds(), 0)
	v.atLeast("transactionCheckMax", int64(b.TransactionCheckMax), 0)
	v.atLeast("transactionCheckInterval", b.TransactionCheckInterval.Milliseconds(), 1)
	v.atLeast("transactionMetricFlushInterval", b.TransactionMetricsInterval.Milliseconds(), 1)
	v.atLeast("filterDataCleanTimeSpan", b.FilterDataKept.Milliseconds(), 1)
	v.within("expectConsumerNumUseFilter", int64(b.BloomConsumers), 1, 10_000)
	v.within("maxErrorRateOfBloomFilter", int64(b.BloomErrorPercent), 1, 99)
	v.atLeast("registerBrokerTimeoutMills", b.RegisterTimeout.Milliseconds(), 1)
	v.atLeast("brokerNotActiveTimeoutMillis", b.NotActiveTimeout.Milliseconds(), 1)
	v.atLeast("brokerHeartbeatInterval", b.HeartbeatInterval.Milliseconds(), 1)
	v.atLeast("sendHeartbeatTimeoutMillis", b.HeartbeatTimeout.Milliseconds(), 1)
	v.atLeast("channelExpiredTimeout", b.ClientExpiry.Milliseconds(), 1)
	return v.err()
}

// adviseHeartbeats tells when they come too seldom.
func (b *Broker) adviseHeartbeats(n *notes) {
	if b.SlaveActingMaster && b.HeartbeatInterval >= b.NotActiveTimeout {
		n.warn("brokerHeartbeatInterval", "%d is not less than brokerNotActiveTimeoutMillis=%d: NameServers will give this broker up between two heartbeats",
			b.HeartbeatInterval.Milliseconds(), b.NotActiveTimeout.Milliseconds())
	}
}

// adviseRole tells what a role that is about copying means while there is no copying.
func (b *Broker) adviseRole(n *notes) {
	switch b.BrokerRole {
	case SyncMaster:
		n.warn("brokerRole", "SYNC_MASTER counts as ASYNC_MASTER: there is no copying yet, so a message is on this host only")
	case Slave:
		n.warn("brokerRole", "slaves do not copy their master yet: this one gets no messages and does not register, so that no client is sent to it")
	}
}

// FitsFrame says whether the largest message fits into the largest frame.
func (b *Broker) FitsFrame() bool { return int64(b.MaxMessageSize)+headerRoom <= int64(b.FrameMax) }

// adviseFrame tells when the largest message does not fit into the largest frame: it would be allowed, and whoever sent it would see his
// connection closed.
func (b *Broker) adviseFrame(n *notes) {
	if need := int64(b.MaxMessageSize) + headerRoom; !b.FitsFrame() {
		n.warn("maxMessageSize", "%[1]d does not fit %[2]s=%[3]d, which counts a message's body, properties and header: a larger request gets its connection closed; "+
			"set %[2]s to %[4]d or more here, which counts from the next start on, and at the clients (Java: -D%[2]s=%[4]d)", b.MaxMessageSize, frameMaxKey, b.FrameMax, need)
	}
}

// settle brings values to where RocketMQ brings them when it uses them, and says so.
func (b *Broker) settle(n *notes) {
	b.Store.settle(n)
	n.clampMS("registerNameServerPeriod", &b.RegisterPeriod, 10*time.Second, time.Minute)
	if b.BrokerRole != Slave && b.ID != 0 {
		n.warn("brokerId", "%d is not used: brokerRole is %s and a master's id is 0", b.ID, b.BrokerRole)
		b.ID = 0
	}
	if b.HAListenPort <= 0 && 0 < b.ListenPort && b.ListenPort <= 65535 {
		b.HAListenPort = b.ListenPort + 1
	}
}
