package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/store"
)

// What was written, and waits too long for its flush, is stored: it must not be taken for lost.
func TestPut_NotFlushedInTimeIsStored(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.FlushDiskType, cfg.SyncFlushTimeout = config.SyncFlush, time.Nanosecond
	b := openTest(t, cfg)
	q := b.store.Queue("T", 0)
	for range 200 {
		if err := b.putNow(store.Put{Queue: q}); err != nil && !errors.Is(err, store.ErrWriteTimeout) {
			t.Fatal(err)
		}
	}
	await(t, "all of them", func() bool { return q.MaxOffset() == 200 })
}
