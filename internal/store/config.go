package store

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// Config is what a store is opened with. Start from DefaultConfig, which has Apache's defaults: a zero is taken as given.
// The name of the setting is behind a field whose name is another.
type Config struct {
	RootDir       string         // storePathRootDir
	CommitLogDirs []string       // storePathCommitLog; none: RootDir/commitlog; of several, new files go to each in turn
	StoreHost     netip.AddrPort // written into each record

	// File sizes in bytes; those of an existing store must not change.
	CommitLogFileSize         int64 // mappedFileSizeCommitLog
	ConsumeQueueFileSize      int64 // mappedFileSizeConsumeQueue
	BatchConsumeQueueFileSize int64 // mapperFileSizeBatchConsumeQueue
	ConsumeQueueExt           bool  // enableConsumeQueueExt
	ConsumeQueueExtFileSize   int64 // mappedFileSizeConsumeQueueExt

	SyncFlush bool // flushDiskType: only flushed messages become visible

	Live

	CheckCRCOnRecover  bool
	AppendPropCRC      bool            // enabledAppendPropCRC
	ForceVerifyPropCRC bool            // recovery checks that CRC and not the body's
	DelayLevels        []time.Duration // messageDelayLevel

	LightQueues bool // enableLmq and enableMultiDispatch: messages are dispatched to light queues

	MessageIndexEnable bool
	MaxHashSlotNum     int
	MaxIndexNum        int

	FS     logfile.FS // nil: the machine's
	Logger *slog.Logger

	now func() time.Time // nil: time.Now
}

// Live is the part of the configuration that may change while the store is open.
type Live struct {
	SyncFlushTimeout      time.Duration // then a batch that waits for Flushed gets ErrFlushTimeout
	FlushInterval         time.Duration // flushIntervalCommitLog, when SyncFlush is off
	FlushLeastPages       int           // flushCommitLogLeastPages; fewer dirty pages of 4 KiB wait longer,
	FlushThoroughInterval time.Duration // flushCommitLogThoroughInterval; but not longer than this

	ConsumeQueueFlushInterval         time.Duration // flushIntervalConsumeQueue
	ConsumeQueueFlushThoroughInterval time.Duration // flushConsumeQueueThoroughInterval

	MaxMessageSize                    int // of a body
	MaxFilterMessageSize              int // bytes of queue entries looked at in one Get
	MaxTransferBytesOnMessageInMemory int
	MaxTransferCountOnMessageInMemory int
	MaxTransferBytesOnMessageInDisk   int
	MaxTransferCountOnMessageInDisk   int
	AccessMessageInMemoryMaxRatio     int // percent of the machine's memory that is taken to hold the newest messages
	TravelCQFileNumWhenGetMessage     int

	FileReservedTime                time.Duration
	DeleteWhen                      string        // hours of the day, separated by ;
	DiskMaxUsedSpaceRatio           int           // percent: above it expired files go at any hour
	DiskSpaceCleanForciblyRatio     int           // percent: above it files go though they are not expired
	DiskSpaceWarningLevelRatio      int           // percent: above it nothing is stored
	CleanFileForcibly               bool          // cleanFileForciblyEnable
	CleanInterval                   time.Duration // cleanResourceInterval
	DeleteCommitLogFilesInterval    time.Duration // pause between two files
	DeleteConsumeQueueFilesInterval time.Duration
	DeleteFileBatchMax              int
}

// DefaultConfig returns Apache's defaults for a store in rootDir.
func DefaultConfig(rootDir string) Config {
	return Config{
		RootDir:                   rootDir,
		StoreHost:                 netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 10911),
		CommitLogFileSize:         1 << 30,
		ConsumeQueueFileSize:      300_000 * 20,
		BatchConsumeQueueFileSize: 300_000 * 46,
		ConsumeQueueExtFileSize:   48 << 20,

		Live: Live{
			SyncFlushTimeout:      5 * time.Second,
			FlushInterval:         500 * time.Millisecond,
			FlushLeastPages:       4,
			FlushThoroughInterval: 10 * time.Second,

			ConsumeQueueFlushInterval:         time.Second,
			ConsumeQueueFlushThoroughInterval: time.Minute,

			MaxMessageSize:                    4 << 20,
			MaxFilterMessageSize:              16_000,
			MaxTransferBytesOnMessageInMemory: 256 << 10,
			MaxTransferCountOnMessageInMemory: 32,
			MaxTransferBytesOnMessageInDisk:   64 << 10,
			MaxTransferCountOnMessageInDisk:   8,
			AccessMessageInMemoryMaxRatio:     40,
			TravelCQFileNumWhenGetMessage:     1,

			FileReservedTime:                72 * time.Hour,
			DeleteWhen:                      "04",
			DiskMaxUsedSpaceRatio:           75,
			DiskSpaceCleanForciblyRatio:     85,
			DiskSpaceWarningLevelRatio:      90,
			CleanFileForcibly:               true,
			CleanInterval:                   10 * time.Second,
			DeleteCommitLogFilesInterval:    100 * time.Millisecond,
			DeleteConsumeQueueFilesInterval: 100 * time.Millisecond,
			DeleteFileBatchMax:              10,
		},

		CheckCRCOnRecover: true,
		DelayLevels:       defaultDelayLevels(),

		MessageIndexEnable: true,
		MaxHashSlotNum:     5_000_000,
		MaxIndexNum:        20_000_000,
	}
}

func defaultDelayLevels() []time.Duration {
	levels := []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}
	for minutes := range 10 {
		levels = append(levels, time.Duration(minutes+1)*time.Minute)
	}
	return append(levels, 20*time.Minute, 30*time.Minute, time.Hour, 2*time.Hour)
}

// complete fills in what may be left out and refuses what cannot work.
func (c *Config) complete() error {
	if c.RootDir == "" {
		return errors.New("cannot open store: storePathRootDir is empty")
	}
	if len(c.CommitLogDirs) == 0 {
		c.CommitLogDirs = []string{filepath.Join(c.RootDir, "commitlog")}
	}
	if c.FS == nil {
		c.FS = logfile.Disk{}
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for _, size := range c.sizeSettings() {
		if *size.of < size.least || *size.of > math.MaxInt32 {
			return fmt.Errorf("cannot open store: %s is %d, possible are %d to %d", size.name, *size.of, size.least, math.MaxInt32)
		}
		*size.of = (*size.of + size.unit - 1) / size.unit * size.unit
	}
	return nil
}

func clamp(v, low, high int) int { return max(low, min(v, high)) }
