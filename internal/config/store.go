package config

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// BrokerRole says whether a broker takes messages and whether it waits for its slaves.
type BrokerRole string

// The roles. The words are part of the properties files.
const (
	AsyncMaster BrokerRole = "ASYNC_MASTER" // answers without waiting for slaves
	SyncMaster  BrokerRole = "SYNC_MASTER"  // the same: there is no copying to wait for yet
	Slave       BrokerRole = "SLAVE"        // takes no messages, copies none yet either, and does not register
)

// FlushDiskType says when a message is acknowledged.
type FlushDiskType string

// The ways to flush. The words are part of the properties files.
const (
	AsyncFlush FlushDiskType = "ASYNC_FLUSH" // acknowledged when the kernel has it; fsync comes on a timer
	SyncFlush  FlushDiskType = "SYNC_FLUSH"  // acknowledged after the fsync
)

// Store is the part of a broker's configuration that concerns its store directory.
type Store struct {
	// RootDir holds everything the broker keeps. Default ~/store.
	RootDir string `prop:"storePathRootDir,restart,important"`
	// CommitLogDir holds the commit log, where it shall not lie in the root; of several, separated by commas, each gets a new
	// file in turn. Default empty: <root>/commitlog.
	CommitLogDir string `prop:"storePathCommitLog,restart,important"`

	// BrokerRole is ASYNC_MASTER, SYNC_MASTER or SLAVE. Nothing is copied between brokers yet: SYNC_MASTER counts as ASYNC_MASTER, and a
	// SLAVE does not register with NameServers. Default ASYNC_MASTER.
	BrokerRole BrokerRole `prop:"brokerRole,restart,important"`
	// FlushDiskType is ASYNC_FLUSH or SYNC_FLUSH. Default ASYNC_FLUSH.
	FlushDiskType FlushDiskType `prop:"flushDiskType,restart,important"`
	// SyncFlushTimeout is how long a send with SYNC_FLUSH waits for the fsync. Default 5 s.
	SyncFlushTimeout time.Duration `prop:"syncFlushTimeout,ms"`

	// CommitLogFileSize is the length of a commit-log file in bytes; must not change on an existing store. Default 1 GiB.
	CommitLogFileSize int `prop:"mappedFileSizeCommitLog,restart"`
	// ConsumeQueueFileSize is the length of a consume-queue file in bytes, rounded up to a multiple of 20; must not change on an
	// existing store. Default 6,000,000, which is 300,000 entries.
	ConsumeQueueFileSize int `prop:"mappedFileSizeConsumeQueue,restart"`
	// BatchQueueFileSize is the same of a file of queues with queue.type=BatchCQ, rounded up to a multiple of 46. Default 13,800,000.
	BatchQueueFileSize int `prop:"mapperFileSizeBatchConsumeQueue,restart"`

	// FlushCommitLogInterval is the time between two fsyncs of the commit log with ASYNC_FLUSH. Default 500 ms.
	FlushCommitLogInterval time.Duration `prop:"flushIntervalCommitLog,ms,important"`
	// FlushCommitLogLeastPages is how many pages of 4 KiB must be waiting for a timed fsync to happen. Default 4.
	FlushCommitLogLeastPages int `prop:"flushCommitLogLeastPages"`
	// FlushCommitLogThorough is after how long they are synced however few they are. Default 10 s.
	FlushCommitLogThorough time.Duration `prop:"flushCommitLogThoroughInterval,ms"`
	// FlushConsumeQueueInterval is the time between two writings of consume queues and index. Default 1 s.
	FlushConsumeQueueInterval time.Duration `prop:"flushIntervalConsumeQueue,ms"`
	// FlushConsumeQueueThorough is after how long they are all on disk, so how much of the log a recovery has to read. Default 60 s.
	FlushConsumeQueueThorough time.Duration `prop:"flushConsumeQueueThoroughInterval,ms"`

	// DeleteWhen lists the hours of the day, by local time and separated by semicolons, in which expired files are deleted.
	// Default 04.
	DeleteWhen string `prop:"deleteWhen,important"`
	// FileReserved is how long a commit-log file is kept after the last write to it. Default 72 h.
	FileReserved time.Duration `prop:"fileReservedTime,h,important"`
	// DeleteFileBatchMax is how many files one round of cleaning deletes at most. Default 10.
	DeleteFileBatchMax int `prop:"deleteFileBatchMax,important"`
	// CleanInterval is the time between two rounds of cleaning. Default 10 s.
	CleanInterval time.Duration `prop:"cleanResourceInterval,ms"`
	// DeleteCommitLogPause is the pause between the deletions of two commit-log files. Default 100 ms.
	DeleteCommitLogPause time.Duration `prop:"deleteCommitLogFilesInterval,ms"`
	// DeleteConsumeQueuePause is the pause between the deletions of two consume-queue files. Default 100 ms.
	DeleteConsumeQueuePause time.Duration `prop:"deleteConsumeQueueFilesInterval,ms"`
	// CleanFileForcibly lets a disk that is nearly full delete files that are not expired. Default true.
	CleanFileForcibly bool `prop:"cleanFileForciblyEnable,important"`
	// DiskMaxUsedRatio is the use of the disk, in percent, from which expired files go at any hour; from 10 to 95. Default 75.
	DiskMaxUsedRatio int `prop:"diskMaxUsedSpaceRatio"`
	// DiskCleanForciblyRatio is the use, in percent, from which files go although not expired; from 30 to 85. Default 85.
	DiskCleanForciblyRatio int `prop:"diskSpaceCleanForciblyRatio"`
	// DiskWarningRatio is the use, in percent, from which messages are refused; from 35 to 90. Default 90.
	DiskWarningRatio int `prop:"diskSpaceWarningLevelRatio"`

	// MaxMessageSize is the largest body, in bytes. Default 4 MiB.
	MaxMessageSize int `prop:"maxMessageSize"`
	// CheckCRCOnRecover compares each body with its checksum while recovering. Default true.
	CheckCRCOnRecover bool `prop:"checkCRCOnRecover,restart"`
	// AppendPropCRC adds to each record a checksum over everything but its places in log and queue, as a property. Default false.
	AppendPropCRC bool `prop:"enabledAppendPropCRC,restart"`
	// VerifyPropCRC compares that one while recovering, instead of the one over the body. Default false.
	VerifyPropCRC bool `prop:"forceVerifyPropCRC,restart"`

	// MaxTransferBytesInMemory is the most that one pull gets of new messages, in bytes. Default 256 KiB.
	MaxTransferBytesInMemory int `prop:"maxTransferBytesOnMessageInMemory,important"`
	// MaxTransferCountInMemory is the same in messages. Default 32.
	MaxTransferCountInMemory int `prop:"maxTransferCountOnMessageInMemory,important"`
	// MaxTransferBytesOnDisk is the most that one pull gets of old messages, in bytes. Default 64 KiB.
	MaxTransferBytesOnDisk int `prop:"maxTransferBytesOnMessageInDisk,important"`
	// MaxTransferCountOnDisk is the same in messages. Default 8.
	MaxTransferCountOnDisk int `prop:"maxTransferCountOnMessageInDisk,important"`
	// MaxFilterBytes is how many bytes of queue entries one pull looks at in search of a tag. Default 16,000.
	MaxFilterBytes int `prop:"maxFilterMessageSize"`
	// PullQueueFilesMax is how many files of a queue one pull looks at in search of a tag. Default 1.
	PullQueueFilesMax int `prop:"travelCqFileNumWhenGetMessage"`
	// InMemoryMaxRatio is the share of the machine's memory, in percent, whose worth of the log's end counts as new. Default 40.
	InMemoryMaxRatio int `prop:"accessMessageInMemoryMaxRatio,important"`

	// Index makes messages findable by key. Default true.
	Index bool `prop:"messageIndexEnable,restart,important"`
	// IndexSlots is the number of hash slots of an index file; must not change on an existing store. Default 5,000,000.
	IndexSlots int `prop:"maxHashSlotNum,restart"`
	// IndexEntries is the number of entries of an index file; must not change on an existing store. Default 20,000,000.
	IndexEntries int `prop:"maxIndexNum,restart"`

	// QueryMax is how many messages a query by key answers with at most. Default 64.
	QueryMax int `prop:"maxMsgsNumBatch"`

	// LightQueues lets messages be put into light queues (LMQ) by their property INNER_MULTI_DISPATCH, and makes topics and groups
	// that begin with %LMQ% be there without being made. Default false.
	LightQueues bool `prop:"enableLmq,restart"`
	// MultiDispatch lets them be found there. Default false.
	MultiDispatch bool `prop:"enableMultiDispatch,restart"`
	// LightQueuesMax is how many light queues there can be with enableLmqQuota. Default 20,000.
	LightQueuesMax int `prop:"maxLmqConsumeQueueNum"`
	// LightQuota refuses messages for more light queues than maxLmqConsumeQueueNum. Default false.
	LightQuota bool `prop:"enableLmqQuota"`

	// LiteSubscriptionsMax is how many subscriptions of clients to lite topics there can be. Default 100,000.
	LiteSubscriptionsMax int64 `prop:"maxLiteSubscriptionCount"`
	// LiteClientMax is after how long a client is forgotten that says nothing of its subscriptions to lite topics. Default 3 minutes.
	LiteClientMax time.Duration `prop:"liteSubscriptionCheckTimeoutMills,ms,long"`
	// LiteClientInterval is the time between two looks for such clients. Default 2 minutes.
	LiteClientInterval time.Duration `prop:"liteSubscriptionCheckInterval,ms,long"`
	// LiteExpiryInterval is the time between two looks for lite topics that have outlived their topic's lite.topic.expiration. Default 2
	// minutes.
	LiteExpiryInterval time.Duration `prop:"liteTtlCheckInterval,ms,long"`
	// LiteLeast is how long a lite topic outlives its last message, and the broker's start, at least. Default 15 minutes.
	LiteLeast time.Duration `prop:"minLiteTTl,ms,long"`
	// LiteLagTimes remembers the age of the oldest messages in lite topics that groups have not consumed, for GET_LITE_GROUP_INFO.
	// Default false.
	LiteLagTimes bool `prop:"liteLagLatencyCollectEnable"`
	// LiteLagTimesMax is for how many lite topics of a group that is done. Default 50.
	LiteLagTimesMax int `prop:"liteLagLatencyTopK"`

	// QueueExt keeps more of each message beside the consume queues, in consumequeue_ext. Default false.
	QueueExt bool `prop:"enableConsumeQueueExt,restart"`
	// QueueExtFileSize is the length of a file of it in bytes; must not change on an existing store. Default 48 MiB.
	QueueExtFileSize int `prop:"mappedFileSizeConsumeQueueExt,restart"`

	// DelayLevels are the waiting times of delay levels 1 to n, such as "1s 5s 10s 30s 1m 2h".
	DelayLevels string `prop:"messageDelayLevel,restart"`
	// FlushDelayOffsetInterval is the time between two writings of delayOffset.json, so how much is delivered again after a kill.
	// Default 10 s.
	FlushDelayOffsetInterval time.Duration `prop:"flushDelayOffsetInterval,ms,long"`
	// TimerWheel delivers messages at any time that they ask for. Default true.
	TimerWheel bool `prop:"timerWheelEnable,restart"`
	// TimerLogFileSize is the length of a timer-log file in bytes; must not change on an existing store. Default 100 MiB.
	TimerLogFileSize int `prop:"mappedFileSizeTimerLog,restart"`
	// TimerPrecision is by how much a message may be late: 100, 200, 500 or 1000 ms. Default 1 s.
	TimerPrecision time.Duration `prop:"timerPrecisionMs,ms,restart"`
	// TimerRollWindow is how many precisions ahead a message is put into the wheel at most; one that is due later is put there again
	// when they have passed. Default 172,800, which is two days.
	TimerRollWindow int `prop:"timerRollWindowSlot,restart"`
	// TimerFlushInterval is the time between two fsyncs of timer log, wheel and checkpoint while they change. Default 1 s.
	TimerFlushInterval time.Duration `prop:"timerFlushIntervalMs,ms,restart"`
	// TimerMaxDelay is how far ahead a message may be due. Default 3 days.
	TimerMaxDelay time.Duration `prop:"timerMaxDelaySec,s"`
	// TimerStartDelay is how long after its start a broker delivers no timers; below 0 is 0. Default -1 ms.
	TimerStartDelay time.Duration `prop:"disappearTimeAfterStart,ms,restart"`
	// TimerStopEnqueue keeps new timers waiting in their queue, outside of the wheel. Default false.
	TimerStopEnqueue bool `prop:"timerStopEnqueue"`
	// TimerStopDequeue keeps timers that are due in the wheel. Default false.
	TimerStopDequeue bool `prop:"timerStopDequeue"`
	// TimerCongest is how many messages may wait for one slot before some are refused, and all from twice as many on. Default
	// 2,147,483,647, which is no limit.
	TimerCongest int `prop:"timerCongestNumEachSlot"`
	// TimerDeleteByTopic makes a recall name the topic of the message too, as in RocketMQ 5.3, whose recalls are understood either way.
	// Default false.
	TimerDeleteByTopic bool `prop:"appendTopicForTimerDeleteKey"`
	// TimerSnapshots says that the wheel of a store that RocketMQ wrote may be in files timerwheel.<n>. They are read at the start and
	// removed. Default false.
	TimerSnapshots bool `prop:"timerWheelSnapshotFlush,restart"`

	// HAListenPort is the port on which slaves copy; 0 or less stands for listenPort + 1. Default 0.
	HAListenPort int `prop:"haListenPort,restart"`
}

func defaultStore(home string) Store {
	return Store{
		RootDir:                   filepath.Join(home, "store"),
		BrokerRole:                AsyncMaster,
		FlushDiskType:             AsyncFlush,
		SyncFlushTimeout:          5 * time.Second,
		CommitLogFileSize:         1 << 30,
		ConsumeQueueFileSize:      6_000_000,
		FlushCommitLogInterval:    500 * time.Millisecond,
		FlushCommitLogLeastPages:  4,
		FlushCommitLogThorough:    10 * time.Second,
		FlushConsumeQueueInterval: time.Second,
		FlushConsumeQueueThorough: time.Minute,
		DeleteWhen:                "04",
		FileReserved:              72 * time.Hour,
		DeleteFileBatchMax:        10,
		CleanInterval:             10 * time.Second,
		DeleteCommitLogPause:      100 * time.Millisecond,
		DeleteConsumeQueuePause:   100 * time.Millisecond,
		CleanFileForcibly:         true,
		DiskMaxUsedRatio:          75,
		DiskCleanForciblyRatio:    85,
		DiskWarningRatio:          90,
		MaxMessageSize:            4 << 20,
		CheckCRCOnRecover:         true,
		MaxTransferBytesInMemory:  256 << 10,
		MaxTransferCountInMemory:  32,
		MaxTransferBytesOnDisk:    64 << 10,
		MaxTransferCountOnDisk:    8,
		MaxFilterBytes:            16_000,
		PullQueueFilesMax:         1,
		InMemoryMaxRatio:          40,
		Index:                     true,
		IndexSlots:                5_000_000,
		IndexEntries:              20_000_000,
		LightQueuesMax:            20_000,
		LiteSubscriptionsMax:      100_000,
		LiteClientMax:             3 * time.Minute,
		LiteClientInterval:        2 * time.Minute,
		LiteExpiryInterval:        2 * time.Minute,
		LiteLeast:                 15 * time.Minute,
		LiteLagTimesMax:           50,
		BatchQueueFileSize:        13_800_000,
		QueryMax:                  64,
		QueueExtFileSize:          48 << 20,
		FlushDelayOffsetInterval:  10 * time.Second,
		TimerWheel:                true,
		TimerLogFileSize:          100 << 20,
		TimerPrecision:            time.Second,
		TimerRollWindow:           172_800,
		TimerFlushInterval:        time.Second,
		TimerMaxDelay:             72 * time.Hour,
		TimerStartDelay:           -time.Millisecond,
		TimerCongest:              math.MaxInt32,
		DelayLevels:               "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h",
	}
}

// CommitLogDirs are the directories of the commit log.
func (s *Store) CommitLogDirs() []string {
	var dirs []string
	for dir := range strings.SplitSeq(s.CommitLogDir, ",") {
		if dir = strings.TrimSpace(dir); dir != "" {
			dirs = append(dirs, dir)
		}
	}
	if dirs == nil {
		return []string{filepath.Join(s.RootDir, "commitlog")}
	}
	return dirs
}

// DeleteHours are the hours of DeleteWhen.
func (s *Store) DeleteHours() ([]int, error) {
	var hours []int
	for part := range strings.SplitSeq(s.DeleteWhen, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		h, err := strconv.Atoi(part)
		if err != nil || h < 0 || h > 23 {
			return nil, fmt.Errorf("%q is not an hour from 00 to 23", part)
		}
		hours = append(hours, h)
	}
	return hours, nil
}

// DelayDurations are the waiting times of DelayLevels; level n is at n-1.
func (s *Store) DelayDurations() ([]time.Duration, error) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	var levels []time.Duration
	for _, field := range strings.Fields(s.DelayLevels) {
		unit, known := units[field[len(field)-1]]
		n, err := strconv.ParseInt(field[:len(field)-1], 10, 64)
		if !known || err != nil || n < 0 || n > int64(math.MaxInt64/unit) {
			return nil, fmt.Errorf("%q is not a number followed by s, m, h or d", field)
		}
		levels = append(levels, time.Duration(n)*unit)
	}
	if levels == nil {
		return nil, errors.New("at least one is needed")
	}
	return levels, nil
}

func (s *Store) validate(v *validation) {
	v.notEmpty("storePathRootDir", s.RootDir)
	v.oneOf("brokerRole", string(s.BrokerRole), string(AsyncMaster), string(SyncMaster), string(Slave))
	v.oneOf("flushDiskType", string(s.FlushDiskType), string(AsyncFlush), string(SyncFlush))
	v.atLeast("syncFlushTimeout", s.SyncFlushTimeout.Milliseconds(), 1)

	v.within("mappedFileSizeCommitLog", int64(s.CommitLogFileSize), 4096, math.MaxInt32)
	v.within("mappedFileSizeConsumeQueue", int64(s.ConsumeQueueFileSize), 20, math.MaxInt32-20)
	v.within("mapperFileSizeBatchConsumeQueue", int64(s.BatchQueueFileSize), 46, math.MaxInt32-46)
	v.atLeast("flushIntervalCommitLog", s.FlushCommitLogInterval.Milliseconds(), 1)
	v.atLeast("flushCommitLogLeastPages", int64(s.FlushCommitLogLeastPages), 0)
	v.atLeast("flushCommitLogThoroughInterval", s.FlushCommitLogThorough.Milliseconds(), 1)
	v.atLeast("flushIntervalConsumeQueue", s.FlushConsumeQueueInterval.Milliseconds(), 1)
	v.atLeast("flushConsumeQueueThoroughInterval", s.FlushConsumeQueueThorough.Milliseconds(), 1)

	if _, err := s.DeleteHours(); err != nil {
		v.wrong("deleteWhen", s.DeleteWhen, "hours from 00 to 23 separated by semicolons, such as 04 or 02;14; "+err.Error())
	}
	v.atLeast("fileReservedTime", int64(s.FileReserved/time.Hour), 0)
	v.atLeast("deleteFileBatchMax", int64(s.DeleteFileBatchMax), 1)
	v.atLeast("cleanResourceInterval", s.CleanInterval.Milliseconds(), 1)
	v.atLeast("deleteCommitLogFilesInterval", s.DeleteCommitLogPause.Milliseconds(), 0)
	v.atLeast("deleteConsumeQueueFilesInterval", s.DeleteConsumeQueuePause.Milliseconds(), 0)

	v.within("maxMessageSize", int64(s.MaxMessageSize), 1, math.MaxInt32-headerRoom)
	v.atLeast("maxTransferBytesOnMessageInMemory", int64(s.MaxTransferBytesInMemory), 1)
	v.atLeast("maxTransferCountOnMessageInMemory", int64(s.MaxTransferCountInMemory), 1)
	v.atLeast("maxTransferBytesOnMessageInDisk", int64(s.MaxTransferBytesOnDisk), 1)
	v.atLeast("maxTransferCountOnMessageInDisk", int64(s.MaxTransferCountOnDisk), 1)
	v.atLeast("maxFilterMessageSize", int64(s.MaxFilterBytes), 20)
	v.atLeast("travelCqFileNumWhenGetMessage", int64(s.PullQueueFilesMax), 1)
	v.within("accessMessageInMemoryMaxRatio", int64(s.InMemoryMaxRatio), 0, 100)

	// The header is 40 bytes, a slot 4, an entry 20, and RocketMQ maps the file as one piece of at most 2 GiB.
	v.within("maxHashSlotNum", int64(s.IndexSlots), 1, math.MaxInt32/4-10)
	v.within("maxIndexNum", int64(s.IndexEntries), 2, max(2, (math.MaxInt32-40-4*int64(s.IndexSlots))/20))

	v.within("mappedFileSizeConsumeQueueExt", int64(s.QueueExtFileSize), 64, math.MaxInt32)
	v.atLeast("maxMsgsNumBatch", int64(s.QueryMax), 1)
	v.atLeast("flushDelayOffsetInterval", s.FlushDelayOffsetInterval.Milliseconds(), 1)
	if _, err := s.DelayDurations(); err != nil {
		v.wrong("messageDelayLevel", s.DelayLevels, `times separated by spaces, such as "1s 5s 1m 2h"; `+err.Error())
	}
	v.within("mappedFileSizeTimerLog", int64(s.TimerLogFileSize), 4096, math.MaxInt32)
	v.atLeast("timerFlushIntervalMs", s.TimerFlushInterval.Milliseconds(), 1)
	v.atLeast("timerMaxDelaySec", int64(s.TimerMaxDelay/time.Second), 1)
	v.atLeast("timerCongestNumEachSlot", int64(s.TimerCongest), 0)
	v.within("haListenPort", int64(s.HAListenPort), math.MinInt32, 65535)
}

// settle brings values to where RocketMQ brings them when it uses them, and says so.
func (s *Store) settle(n *notes) {
	for _, path := range [...]struct{ key, value string }{{"storePathRootDir", s.RootDir}, {"storePathCommitLog", s.CommitLogDir}} {
		if strings.HasPrefix(path.value, "~") || strings.Contains(path.value, "$") {
			n.warn(path.key, "%s is taken as it is written, as in RocketMQ: ~ and $ stand for nothing here; write the whole path", path.value)
		}
	}
	n.clamp("diskMaxUsedSpaceRatio", &s.DiskMaxUsedRatio, 10, 95)
	n.clamp("diskSpaceCleanForciblyRatio", &s.DiskCleanForciblyRatio, 30, 85)
	n.clamp("diskSpaceWarningLevelRatio", &s.DiskWarningRatio, 35, 90)
	s.settleTimers(n)
	if was, whole := s.ConsumeQueueFileSize, int(wholeUnits(int64(s.ConsumeQueueFileSize))); was > 0 && was != whole && was < math.MaxInt32-20 {
		s.ConsumeQueueFileSize = whole
		n.info("mappedFileSizeConsumeQueue", "%d is rounded up to %d, a whole number of entries of 20 bytes", was, s.ConsumeQueueFileSize)
	}
}

// wholeUnits rounds the size of a consume-queue file up.
func wholeUnits(size int64) int64 { return (size + 19) / 20 * 20 }

// settleTimers takes the precision that there is below the one that is asked for, and a window that fits into the wheel.
func (s *Store) settleTimers(n *notes) {
	was, precision := s.TimerPrecision, 100*time.Millisecond
	for _, p := range [...]time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second} {
		if was >= p {
			precision = p
		}
	}
	if was != precision {
		s.TimerPrecision = precision
		n.info("timerPrecisionMs", "%d is taken as %d; possible are 100, 200, 500 and 1000", was.Milliseconds(), precision.Milliseconds())
	}
	if most := 7*24*3600 - 60; s.TimerRollWindow < 2 || s.TimerRollWindow > most {
		n.info("timerRollWindowSlot", "%d is taken as %d, for possible are 2 to that", s.TimerRollWindow, most)
		s.TimerRollWindow = most
	}
}
