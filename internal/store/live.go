package store

import "github.com/liftoffmq/liftoff/internal/store/logfile"

// live is the changeable part of the configuration as it is used, with what follows from it.
type live struct {
	Live
	memory int64 // bytes of the log's end that are taken to be in memory
}

// SetLive changes what may change while the store is open. It counts from the next flush, round of cleaning, Get or Put on.
func (s *Store) SetLive(l Live) {
	l.DiskMaxUsedSpaceRatio = clamp(l.DiskMaxUsedSpaceRatio, 10, 95)
	l.DiskSpaceCleanForciblyRatio = clamp(l.DiskSpaceCleanForciblyRatio, 30, 85)
	l.DiskSpaceWarningLevelRatio = clamp(l.DiskSpaceWarningLevelRatio, 35, 90)
	s.live.Store(&live{Live: l, memory: inMemory(l.AccessMessageInMemoryMaxRatio)})
}

// inMemory is how much of the log's end is taken to be in memory. Where the machine does not tell its memory, 24 GiB are
// taken, as Apache does.
func inMemory(ratio int) int64 {
	total := logfile.PhysicalMemory()
	if total <= 0 {
		total = 24 << 30
	}
	return int64(float64(total) * float64(ratio) / 100)
}
