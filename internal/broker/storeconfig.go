package broker

import (
	"log/slog"
	"net/netip"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/store"
)

// storeConfig is the store's part of the configuration.
func storeConfig(cfg config.Broker, host netip.AddrPort, log *slog.Logger) store.Config {
	sc := store.DefaultConfig(cfg.RootDir)
	sc.CommitLogDirs = cfg.CommitLogDirs()
	sc.StoreHost, sc.Logger = host, log
	sc.CommitLogFileSize = int64(cfg.CommitLogFileSize)
	sc.ConsumeQueueFileSize, sc.BatchConsumeQueueFileSize = int64(cfg.ConsumeQueueFileSize), int64(cfg.BatchQueueFileSize)
	sc.SyncFlush = cfg.FlushDiskType == config.SyncFlush
	sc.CheckCRCOnRecover, sc.AppendPropCRC, sc.ForceVerifyPropCRC = cfg.CheckCRCOnRecover, cfg.AppendPropCRC, cfg.VerifyPropCRC
	if levels, err := cfg.DelayDurations(); err == nil { // a wrong one was refused when the configuration was read
		sc.DelayLevels = levels
	}
	sc.LightQueues = cfg.LightQueues && cfg.MultiDispatch
	sc.ConsumeQueueExt, sc.ConsumeQueueExtFileSize = cfg.QueueExt, int64(cfg.QueueExtFileSize)
	sc.MessageIndexEnable, sc.MaxHashSlotNum, sc.MaxIndexNum = cfg.Index, cfg.IndexSlots, cfg.IndexEntries
	sc.Live = storeLive(cfg)
	return sc
}

// storeLive is the part of it that may change while the store is open.
func storeLive(cfg config.Broker) store.Live {
	return store.Live{
		SyncFlushTimeout:                  cfg.SyncFlushTimeout,
		FlushInterval:                     cfg.FlushCommitLogInterval,
		FlushLeastPages:                   cfg.FlushCommitLogLeastPages,
		FlushThoroughInterval:             cfg.FlushCommitLogThorough,
		ConsumeQueueFlushInterval:         cfg.FlushConsumeQueueInterval,
		ConsumeQueueFlushThoroughInterval: cfg.FlushConsumeQueueThorough,
		MaxMessageSize:                    cfg.MaxMessageSize,
		MaxFilterMessageSize:              cfg.MaxFilterBytes,
		MaxTransferBytesOnMessageInMemory: cfg.MaxTransferBytesInMemory,
		MaxTransferCountOnMessageInMemory: cfg.MaxTransferCountInMemory,
		MaxTransferBytesOnMessageInDisk:   cfg.MaxTransferBytesOnDisk,
		MaxTransferCountOnMessageInDisk:   cfg.MaxTransferCountOnDisk,
		AccessMessageInMemoryMaxRatio:     cfg.InMemoryMaxRatio,
		TravelCQFileNumWhenGetMessage:     cfg.PullQueueFilesMax,
		FileReservedTime:                  cfg.FileReserved,
		DeleteWhen:                        cfg.DeleteWhen,
		DiskMaxUsedSpaceRatio:             cfg.DiskMaxUsedRatio,
		DiskSpaceCleanForciblyRatio:       cfg.DiskCleanForciblyRatio,
		DiskSpaceWarningLevelRatio:        cfg.DiskWarningRatio,
		CleanFileForcibly:                 cfg.CleanFileForcibly,
		CleanInterval:                     cfg.CleanInterval,
		DeleteCommitLogFilesInterval:      cfg.DeleteCommitLogPause,
		DeleteConsumeQueueFilesInterval:   cfg.DeleteConsumeQueuePause,
		DeleteFileBatchMax:                cfg.DeleteFileBatchMax,
	}
}
