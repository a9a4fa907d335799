package config

import (
	"log/slog"
	"strings"
	"sync"
)

// An owner is the daemon whose files a key may stand in.
type owner int

const (
	ofBroker owner = iota
	ofNamesrv
	ofServer // both: how they listen
)

// A row is a key that RocketMQ knows and that has no effect here.
type row struct {
	key   string
	kind  string // boolean, double, int, long or string
	text  string // default, as in a file
	unset bool   // there is no default
	why   string
	of    owner
	// How a value other than the default is met: refused, or taken with a note of this level.
	refused bool
	level   slog.Level
}

// rows gives the keys without effect by name. To serve a key, make it a field and take it out here.
var rows = sync.OnceValue(func() map[string]row {
	all := make(map[string]row)
	for _, g := range groups {
		for line := range strings.Lines(g.keys) {
			f := strings.Fields(line)
			if len(f) == 0 {
				continue
			}
			r := row{key: f[0], kind: f[1], text: f[2], why: g.why, of: g.of, refused: g.refused, level: g.level}
			r.unset = r.text == "-"
			if r.unset || r.text == `""` {
				r.text = ""
			}
			all[r.key] = r
		}
	}
	return all
})

// groups are the keys without effect, by the reason. A line is key, type, default; "-" is no default.
var groups = []struct {
	why     string
	of      owner
	refused bool
	level   slog.Level
	keys    string
}{
	{
		why: "RocketMQ 5.5 has no such key",
		keys: `
			checkTransactionMessageEnable string -
			commercialEnable boolean true
			commercialTimerCount int 1
			commercialTransCount int 1
			commercialBigCount int 1
			filterServerNums int 0
			haSlaveFallbehindMax int 268435456
			maxDelayTime int 40
			isEnableBatchPush boolean false`,
	},
	{
		why: "RocketMQ 5.5 does not act on it either",
		keys: `
			maxTopicLength int 127
			timerInterceptDelayLevel boolean false
			enableCleanExpiredOffset boolean false
			pullBatchMaxMessageCount int 160
			flushConsumerOffsetHistoryInterval int 60000
			cleanOfflineBrokerInterval int 30000
			maxSlaveResendLength long 268435456`,
	},
	{
		why: "the index is in files here, and messageIndexEnable alone says whether it is kept",
		keys: `
			indexFileWriteEnable boolean true
			indexFileReadEnable boolean true`,
	},
	{
		why: "RocketMQ has no such key, it only stands in many examples",
		keys: `
			storePathConsumeQueue string -
			storePathIndex string -
			storeCheckpoint string -
			abortFile string -`,
	},
	{
		why:     "there is no authentication and authorization yet, and the broker would serve everyone",
		refused: true,
		keys: `
			authenticationEnabled boolean false
			authorizationEnabled boolean false`,
	},
	{
		why: "there is no authentication and authorization yet",
		keys: `
			configName string -
			clusterName string -
			authConfigPath string -
			authenticationProvider string -
			authenticationMetadataProvider string -
			authenticationStrategy string -
			authenticationWhitelist string -
			initAuthenticationUser string -
			innerClientAuthenticationCredentials string -
			authorizationProvider string -
			authorizationMetadataProvider string -
			authorizationStrategy string -
			authorizationWhitelist string -
			migrateAuthFromV1Enabled boolean false
			userCacheMaxNum int 1000
			userCacheExpiredSecond int 600
			userCacheRefreshSecond int 60
			aclCacheMaxNum int 1000
			aclCacheExpiredSecond int 600
			aclCacheRefreshSecond int 60
			statefulAuthenticationCacheMaxNum int 10000
			statefulAuthenticationCacheExpiredSecond int 60
			statefulAuthorizationCacheMaxNum int 10000
			statefulAuthorizationCacheExpiredSecond int 60`,
	},
	{
		why:     "with RocketMQ 4 it asks for signed requests, there is no access control here yet, and the broker would serve everyone, as that of RocketMQ 5.5 does",
		refused: true,
		keys: `
			aclEnable boolean false`,
	},
	{
		why:     "nothing is kept in RocksDB here, and what such a store holds could not be read",
		refused: true,
		keys: `
			configManagerVersion string v1
			storeType string default`,
	},
	{
		why:     "there are no timers in RocksDB here, and those that such a store holds would not be delivered",
		refused: true,
		keys: `
			timerRocksDBEnable boolean false`,
	},
	{
		why:     "there is no DLedger commit log here, and a group of such brokers would have several masters",
		refused: true,
		keys: `
			enableDLegerCommitLog boolean false`,
	},
	{
		why:     "there is no controller mode yet, and a group of such brokers would have several masters",
		refused: true,
		keys: `
			enableControllerMode boolean false`,
	},
	{
		why:   "there is no controller yet",
		level: slog.LevelWarn,
		keys: `
			controllerAddr string ""
			fetchControllerAddrByDnsLookup boolean false
			syncBrokerMetadataPeriod long 5000
			checkSyncStateSetPeriod long 5000
			syncControllerMetadataPeriod long 10000
			controllerHeartBeatTimeoutMills long 10000
			brokerElectionPriority int 2147483647
			storePathEpochFile string -
			storePathBrokerIdentity string -
			allAckInSyncStateSet boolean false
			haMaxTimeSlaveNotCatchup long 15000
			maxChecksumRange long 1073741824
			syncFromLastFile boolean false
			asyncLearner boolean false`,
	},
	{
		why:   "there is no controller yet",
		of:    ofNamesrv,
		level: slog.LevelWarn,
		keys: `
			enableControllerInNamesrv boolean false`,
	},
	{
		why:   "a process is one broker here: start several",
		level: slog.LevelWarn,
		keys: `
			brokerContainer boolean false
			inBrokerContainer boolean false`,
	},
	{
		why: "there is no DLedger commit log here",
		keys: `
			storePathDLedgerCommitLog string -
			dLegerGroup string -
			dLegerPeers string -
			dLegerSelfId string -
			preferredLeaderId string -
			enableBatchPush boolean false`,
	},
	{
		why: "nothing is kept in RocksDB",
		keys: `
			popConsumerFSServiceInit boolean true
			popConsumerKVServiceLog boolean false
			transactionCheckRocksdbCoreThreads int 2
			transactionCheckRocksdbMaxThreads int 5
			transactionCheckRocksdbQueueCapacity int 2000
			useSingleRocksDBForAllConfigs boolean false
			persistConsumerOffsetIncrementally boolean false
			timerRocksDBStopScan boolean false
			timerRocksDBPrecisionMs long 1000
			timerRocksDBRollMaxTps double 8000.0
			timerRocksDBTimeExpiredMaxTps double 200000.0
			timerRocksDBRollIntervalHours int 1
			timerRocksDBRollRangeHours int 2
			maxRocksDBIndexQueryDays int 7
			iteratorWhenUseRocksdbConsumeQueue boolean true
			cleanRocksDBDirtyCQIntervalMin long 60
			statRocksDBCQIntervalSec long 10
			memTableFlushIntervalMs long 3600000
			realTimePersistRocksDBConfig boolean true
			enableRocksDBLog boolean false
			rocksdbCQDoubleWriteEnable boolean false
			combineCQLoadingCQTypes string default;defaultRocksDB
			combineCQPreferCQType string default
			combineCQEnableCheckSelf boolean false
			combineCQMaxExtraSearchCommitLogFiles int 3
			combineCQUseRocksdbForLmq boolean false
			bottomMostCompressionTypeForConsumeQueueStore string zstd
			rocksdbCompressionType string lz4
			rocksdbFlushWalFrequency int 1024
			rocksdbWalFileRollingThreshold long 1073741824
			useSeparateStorePathForRocksdbCQ boolean false`,
	},
	{
		why: "one loop does the work of timers, and writes behind in its own way",
		keys: `
			timerGetMessageThreadNum int 3
			timerPutMessageThreadNum int 3
			timerEnableDisruptor boolean false
			timerWarmEnable boolean false
			timerProgressLogIntervalMs int 10000
			timerWheelSnapshotIntervalMs int 10000`,
	},
	{
		why: "counts of timers are counted anew at each start when they are wrong",
		keys: `
			timerEnableCheckMetrics boolean true
			timerCheckMetricsWhen string 05
			timerMetricSmallThreshold int 1000000`,
	},
	{
		why: "a timer that cannot be stored in its topic is tried again until it can, and dropped only if it never can",
		keys: `
			timerSkipUnknownError boolean false
			timerEnableRetryUntilSuccess boolean false`,
	},
	{
		why: "there are no timers in RocksDB",
		keys: `
			timerRecallToTimeWheelEnable boolean true
			timerRecallToTimelineEnable boolean true
			timerReputServiceCorePoolSize int 6
			timerReputServiceMaxPoolSize int 6
			timerReputServiceQueueCapacity int 10000`,
	},
	{
		why: "delayed messages are delivered many at a time and tried again until it succeeds, in their order",
		keys: `
			enableScheduleAsyncDeliver boolean false
			scheduleAsyncDeliverMaxPendingLimit int 2000
			scheduleAsyncDeliverMaxResendNum2Blocked int 3`,
	},
	{
		why: "the end of a transaction is stored at once, together with all that come with it",
		keys: `
			transactionOpBatchInterval int 3000`,
	},
	{
		why: "a message that says what became of a half message speaks of that one only, as RocketMQ 4 reads it",
		keys: `
			transactionOpMsgMaxSize int 4096`,
	},
	{
		why: "half messages are always kept in RMQ_SYS_TRANS_HALF_TOPIC",
		keys: `
			transWriteOriginTransHalfEnable boolean true`,
	},
	{
		why: "a client is told of each lite topic that has messages for it, at once and however many there are",
		keys: `
			enableLiteEventMode boolean true
			liteEventCheckInterval long 10000
			maxClientEventCount int 100
			liteEventFullDispatchDelayTime long 10000
			liteEventFullDispatchDelayTimeForWildcardGroup long 10000`,
	},
	{
		why: "light and lite topics have no statistics and no log of their own yet",
		keys: `
			enableLmqStats boolean false
			enableLitePopLog boolean false`,
	},
	{
		why: "a request is served by one of a few goroutines as soon as it was read: there are no thread pools; only of those that may wait long 64 are served at once (1024 that ask others), the rest wait for 5 s at most",
		keys: `
			sendMessageThreadPoolNums int -
			putMessageFutureThreadPoolNums int -
			pullMessageThreadPoolNums int -
			litePullMessageThreadPoolNums int -
			ackMessageThreadPoolNums int 16
			processReplyMessageThreadPoolNums int -
			queryMessageThreadPoolNums int -
			adminBrokerThreadPoolNums int 16
			clientManageThreadPoolNums int 32
			consumerManageThreadPoolNums int 32
			loadBalanceProcessorThreadPoolNums int 32
			heartbeatThreadPoolNums int -
			recoverThreadPoolNums int 32
			endTransactionThreadPoolNums int -
			sendThreadPoolQueueCapacity int 10000
			putThreadPoolQueueCapacity int 10000
			pullThreadPoolQueueCapacity int 100000
			litePullThreadPoolQueueCapacity int 100000
			ackThreadPoolQueueCapacity int 100000
			replyThreadPoolQueueCapacity int 10000
			queryThreadPoolQueueCapacity int 20000
			clientManagerThreadPoolQueueCapacity int 1000000
			consumerManagerThreadPoolQueueCapacity int 1000000
			heartbeatThreadPoolQueueCapacity int 50000
			endTransactionPoolQueueCapacity int 100000
			adminBrokerThreadPoolQueueCapacity int 10000
			loadBalanceThreadPoolQueueCapacity int 100000
			brokerFastFailureEnable boolean true
			waitTimeMillsInSendQueue long 200
			waitTimeMillsInPullQueue long 5000
			waitTimeMillsInLitePullQueue long 5000
			waitTimeMillsInHeartbeatQueue long 31000
			waitTimeMillsInTransactionQueue long 3000
			waitTimeMillsInAckQueue long 3000
			waitTimeMillsInAdminBrokerQueue long 5000
			asyncSendEnable boolean true
			dispatchCqThreads int 10
			batchDispatchRequestThreadPoolNums int 16`,
	},
	{
		why: "a request is served by one of a few goroutines as soon as it was read: there are no thread pools, and no queues before them",
		of:  ofServer,
		keys: `
			serverWorkerThreads int 8
			serverCallbackExecutorThreads int 0
			serverSelectorThreads int 3
			serverOnewaySemaphoreValue int 256
			serverAsyncSemaphoreValue int 64
			serverNettyWorkerGroupEnable boolean true
			clientWorkerThreads int 4
			clientCallbackExecutorThreads int -
			clientOnewaySemaphoreValue int 65535
			clientAsyncSemaphoreValue int 65535
			disableCallbackExecutor boolean false
			disableNettyWorkerGroup boolean false`,
	},
	{
		why: "a request is served by one of a few goroutines as soon as it was read: there are no thread pools, and no queues before them",
		of:  ofNamesrv,
		keys: `
			clientRequestThreadPoolNums int 8
			defaultThreadPoolNums int 16
			clientRequestThreadPoolQueueCapacity int 50000
			defaultThreadPoolQueueCapacity int 10000
			unRegisterBrokerQueueCapacity int 3000`,
	},
	{
		why: "waiting pops are in no cache: they are a list that is as long as it must be",
		keys: `
			popPollingMapSize int 100000
			popPollingMapExpireTimeSeconds int 600`,
	},
	{
		why: "what is in flight of POP is in memory first, and is put into the revive log before consumerOffset.json is written",
		keys: `
			enablePopBufferMerge boolean false
			popCkStayBufferTime int 10000
			popCkStayBufferTimeOut int 3000
			popCkOffsetMaxQueueSize int 20000
			enablePopBatchAck boolean false
			appendAckAsync boolean false
			appendCkAsync boolean false`,
	},
	{
		why: "the revive log is read when something comes into it, and popped messages are delivered again when they are due",
		keys: `
			reviveInterval long 1000
			reviveMaxSlow long 3
			reviveScanTime long 10000
			enableSkipLongAwaitingAck boolean false
			reviveAckWaitMs long 180000
			skipWhenCKRePutReachMaxTimes boolean false
			enablePopLog boolean false`,
	},
	{
		why: "what may be popped is popped before the lag is counted",
		keys: `
			enableNotifyBeforePopCalculateLag boolean true`,
	},
	{
		why: "the length of bit maps follows from expectConsumerNumUseFilter and maxErrorRateOfBloomFilter, in RocketMQ too",
		keys: `
			bitMapLengthConsumeQueueExt int 64`,
	},
	{
		why: "statistics are kept in one form, which costs next to nothing",
		keys: `
			enableScheduleMessageStats boolean true
			highSpeedMode boolean false
			commercialBaseCount int 1
			commercialSizePerMsg int 4096
			accountStatsEnable boolean true
			accountStatsPrintZeroValues boolean true
			maxStatsIdleTimeInMinutes int -1
			enableDetailStat boolean true
			autoDeleteUnusedStats boolean true`,
	},
	{
		why:   "slaves do not copy yet",
		level: slog.LevelWarn,
		keys: `
			syncBrokerMemberGroupPeriod int 1000
			enableRemoteEscape boolean false
			skipPreOnline boolean false
			lockInStrictMode boolean false
			haSendHeartbeatInterval int 5000
			haHousekeepingInterval int 20000
			haTransferBatchSize int 32768
			haMasterAddress string -
			haMaxGapNotInSync int 268435456
			slaveTimeout int 3000
			offsetCheckInSlave boolean false
			duplicationEnable boolean false
			totalReplicas int 1
			inSyncReplicas int 1
			minInSyncReplicas int 1
			enableAutoInSyncReplicas boolean false
			haFlowControlEnable boolean false
			maxHaTransferByteInSecond long 104857600
			syncMasterFlushOffsetWhenStartup boolean false
			replicasPerDiskPartition int 1`,
	},
	{
		why:     "files in further directories that are only read are not read here, and their messages would be missing; name those directories in storePathCommitLog, which may be several, separated by commas",
		refused: true,
		keys: `
			readOnlyCommitLogStorePaths string -`,
	},
	{
		why: "RocketMQ looks at it only where several brokers share a disk (replicasPerDiskPartition), which is not served yet",
		keys: `
			logicalDiskSpaceCleanForciblyThreshold double 0.8`,
	},
	{
		why:   "topics are not compacted yet",
		level: slog.LevelWarn,
		keys: `
			compactionMappedFileSize int 104857600
			compactionCqMappedFileSize int 10485760
			compactionScheduleInternal int 900000
			maxOffsetMapSize int 104857600
			compactionThreadNum int 6
			enableCompaction boolean true`,
	},
	{
		why:   "reading old messages is not throttled: it does not disturb the others here",
		level: slog.LevelWarn,
		keys: `
			sampleSteps int 32
			timerColdDataCheckIntervalMs int 60000
			coldCtrStrategyEnable boolean false
			usePIDColdCtrStrategy boolean true
			cgColdReadThreshold long 3145728
			globalColdReadThreshold long 104857600
			coldDataFlowControlEnable boolean false
			coldDataScanEnable boolean false`,
	},
	{
		why: "files are written and read, never mapped into memory",
		keys: `
			transferMsgByHeap boolean true
			commitIntervalCommitLog int 200
			destroyMapedFileIntervalForcibly int 120000
			redeleteHangedFileInterval int 120000
			commitCommitLogLeastPages int 4
			flushLeastPagesWhenWarmMapedFile int 4096
			commitCommitLogThoroughInterval int 200
			warmMapedFileEnable boolean false
			transientStorePoolEnable boolean false
			transientStorePoolSize int 5
			fastFailIfNoBufferInStorePool boolean false
			writeWithoutMmap boolean false
			maxBatchDeleteFilesNum int 50
			mappedFileSwapEnable boolean true
			commitLogForceSwapMapInterval long 43200000
			commitLogSwapMapInterval long 3600000
			commitLogSwapMapReserveFileNum int 100
			logicQueueForceSwapMapInterval long 43200000
			logicQueueSwapMapInterval long 3600000
			cleanSwapedMapInterval long 300000
			logicQueueSwapMapReserveFileNum int 20
			wakeCommitWhenPutMessage boolean true
			dataReadAheadEnable boolean true
			accessMessageInMemoryHotRatio int 26
			putConsumeQueueDataByFileChannel boolean true
			sharedByteBufferNum int 16`,
	},
	{
		why: "the log has one lock of its own kind, held only while records are put together",
		keys: `
			useReentrantLockWhenPutMessage boolean true
			putMessageTimeout int 8000
			debugLockEnable boolean false
			maxAsyncPutMessageRequests int 5000
			topicQueueLockNum int 32
			spinLockCollisionRetreatOptimalDegree int 1000
			useABSLock boolean false`,
	},
	{
		why: "one writer writes whatever is there, and waits for nothing",
		keys: `
			flushConsumeQueueLeastPages int 2
			flushCommitLogTimed boolean true
			enableRunningFlagsInFlush boolean false
			wakeFlushWhenPutMessage boolean false`,
	},
	{
		why: "queues and index follow the log in one loop, from memory",
		keys: `
			putMsgIndexHightWater int 600000
			dispatchCqCacheNum int 4096
			enableAsyncReput boolean true
			recheckReputOffsetFromCq boolean false
			dispatchFromSenderThread boolean false
			enableBuildConsumeQueueConcurrently boolean false
			readUnCommitted boolean false`,
	},
	{
		why: "recovery goes on from a checkpoint that moves all the time",
		keys: `
			recoverConcurrently boolean false
			commitLogRecoverMaxNum int 10
			maxRecoveryCommitlogFiles int 30
			checkCommitLogOffsetOnRecover boolean false
			messageIndexSafe boolean false
			enableAcceleratedRecovery boolean false
			enableLogConsumeQueueRepeatedlyBuildWhenRecover boolean false`,
	},
	{
		why: "queues and index are searched within bounds that need no setting",
		keys: `
			searchBcqByCacheEnable boolean true
			sampleCountThreshold int 5000
			diskFallRecorded boolean true
			defaultQueryMaxNum int 32
			correctLogicMinOffsetSleepInterval int 1
			correctLogicMinOffsetForceInterval int 300000
			maxConsumeQueueScan int 20000`,
	},
	{
		why: "sockets and their buffers are the business of Go and the kernel",
		keys: `
			enableNetWorkFlowControl boolean false
			enableFastChannelEventProcess boolean false
			printChannelGroups boolean false
			printChannelGroupsMinNum int 5`,
	},
	{
		why: "sockets and their buffers are the business of Go and the kernel",
		of:  ofServer,
		keys: `
			serverSocketSndBufSize int 0
			serverSocketRcvBufSize int 0
			writeBufferHighWaterMark int 0
			writeBufferLowWaterMark int 0
			serverSocketBacklog int 1024
			serverPooledByteBufAllocatorEnable boolean true
			useEpollNativeSelector boolean false
			connectTimeoutMillis int 3000
			channelNotActiveInterval long 60000
			scanAvailableNameSrv boolean true
			clientChannelMaxIdleTimeSeconds int 120
			clientSocketSndBufSize int 0
			clientSocketRcvBufSize int 0
			clientPooledByteBufAllocatorEnable boolean false
			clientCloseSocketIfTimeout boolean true
			maxReconnectIntervalTimeSeconds long 60
			enableReconnectForGoAway boolean true`,
	},
	{
		why: "logs are one stream with a level",
		keys: `
			isolateLogEnable boolean false`,
	},
	{
		why:   "nothing is kept in RocksDB here: what a store holds there is not read",
		level: slog.LevelWarn,
		keys: `
			popConsumerKVServiceInit boolean false
			popConsumerKVServiceEnable boolean false
			popReviveMaxReturnSizePerRead int 16384
			popReviveConcurrency int 32
			popReviveMaxAttemptTimes int 16
			popReviveSkipIfGroupAbsent boolean true
			transRocksDBEnable boolean false
			indexRocksDBEnable boolean false
			combineAssignOffsetCQType string default`,
	},
	{
		why:   "there are no Java classes to load here",
		level: slog.LevelWarn,
		keys: `
			messageStorePlugIn string ""`,
	},
	{
		why:   "NameServers are taken from namesrvAddr, whose names are looked up at each connection",
		level: slog.LevelWarn,
		keys: `
			fetchNameSrvAddrByDnsLookup boolean false
			fetchNamesrvAddrByAddressServer boolean false
			updateNameServerAddrPeriod int 120000
			fetchNamesrvAddrInterval long 10000
			rmqAddressServerDomain string jmenv.tbsite.net
			rmqAddressServerSubGroup string nsaddr`,
	},
	{
		why: "a send is refused as busy when too much waits for the disk, not after a time",
		keys: `
			osPageCacheBusyTimeOutMills long 1000`,
	},
	{
		why:   "a group that reads slowly is not cut off: it does not disturb the others here",
		level: slog.LevelWarn,
		keys: `
			disableConsumeIfConsumerReadSlowly boolean false
			consumerFallbehindThreshold long 17179869184`,
	},
	{
		why: "offsets of broadcasting consumers behind a proxy are not kept yet",
		keys: `
			enableBroadcastOffsetStore boolean true
			broadcastOffsetExpireSecond long 120
			broadcastOffsetExpireMaxSecond long 300`,
	},
	{
		why: "it is always so here",
		keys: `
			autoMessageVersionOnTopicLen boolean true
			realTimeNotifyConsumerChange boolean true
			consumerOffsetUpdateVersionStep long 500
			subscriptionExpiredTimeout long 600000
			clearRetryTopicWhenDeleteTopic boolean true
			enableRegisterProducer boolean true
			enableCreateSysGroup boolean true`,
	},
	{
		why: "a new topic is told to NameServers by itself and at once, and a registration holds all topics, in one part however many",
		keys: `
			enableSingleTopicRegister boolean false
			enableSplitRegistration boolean false
			enableSplitMetadata boolean true
			splitMetadataSize int 2000
			splitRegistrationSize int 800`,
	},
	{
		why:   "it is not acted on yet",
		level: slog.LevelWarn,
		keys: `
			useStaticSubscription boolean false`,
	},
	{
		why:   "it is not acted on yet",
		of:    ofServer,
		level: slog.LevelWarn,
		keys: `
			enableShutdownGracefully boolean false
			shutdownWaitTimeSeconds int 30
			socksProxyConfig string {}`,
	},
	{
		why:   "it is not acted on yet",
		of:    ofNamesrv,
		level: slog.LevelWarn,
		keys: `
			productEnvName string center
			clusterTest boolean false`,
	},
}

// spelling finds the key without effect that is meant by another spelling of it: RocketMQ has written Maped and Mapped. What has an
// effect is only taken as RocketMQ spells it, for it does not act on anything else.
func spelling(key string, idle map[string]row) (string, bool) {
	for _, swap := range [][2]string{{"Mapped", "Maped"}, {"Maped", "Mapped"}, {"mapped", "maped"}, {"maped", "mapped"}, {"Swapped", "Swaped"}} {
		other := strings.Replace(key, swap[0], swap[1], 1)
		if _, known := idle[other]; known && other != key {
			return other, true
		}
	}
	return "", false
}

// nearest finds the known key that was probably meant, or nothing.
func nearest(key string, known []string) string {
	best, least := "", max(2, len(key)/4)+1
	if len(key) > 200 {
		return "" // no key is that long, and a stranger's may be as long as a frame
	}
	for _, k := range known {
		if d := distance(strings.ToLower(key), strings.ToLower(k), least); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the characters to insert, delete, replace or swap with their neighbour; it gives up at limit.
func distance(a, b string, limit int) int {
	if max(len(a), len(b))-min(len(a), len(b)) >= limit {
		return limit
	}
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			differ := 1
			if a[i-1] == b[j-1] {
				differ = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+differ)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
