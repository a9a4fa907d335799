package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// What a refused start says is to be done is what helps.
func TestOpen_SaysWhatHelpsWhenAFileIsMissing(t *testing.T) {
	t.Parallel()
	refused := func(cfg Config, advice string) {
		t.Helper()
		s, err := Open(t.Context(), cfg, Hooks{})
		if err == nil {
			check(t, s.Close())
		}
		if err == nil || !strings.Contains(err.Error(), advice) {
			t.Errorf("got %v", err)
		}
	}
	logFile := func(cfg Config, start int64) string {
		return filepath.Join(cfg.CommitLogDirs[0], logfile.FileName(start))
	}
	t.Run("log", func(t *testing.T) {
		t.Parallel()
		root, puts := damagedStore(t)
		cfg := testConfig(t)
		cfg.RootDir, cfg.CommitLogFileSize, cfg.CommitLogDirs = root, 8<<10, []string{filepath.Join(root, "commitlog")}
		check(t, os.Remove(logFile(cfg, 8<<10)))
		refused(cfg, "move the files before it elsewhere")
		check(t, os.Rename(logFile(cfg, 0), filepath.Join(root, "elsewhere")))
		s := openTest(t, cfg)
		defer s.Close()
		for id := range int32(2) {
			q := s.Queue("T", id)
			first := q.MinOffset()
			var want []string
			for _, p := range puts {
				if p.Queue.ID() == id && p.LogOffset >= 16<<10 {
					want = append(want, string(p.Body))
				}
			}
			if q.MaxOffset() != 30 || first != 30-int64(len(want)) {
				t.Errorf("queue %d has offsets %d to %d, and %d messages are left", id, first, q.MaxOffset(), len(want))
			}
			wantBodies(t, bodies(t, s, q, first), want)
		}
	})
	t.Run("queue", func(t *testing.T) {
		t.Parallel()
		cfg := testConfig(t)
		cfg.ConsumeQueueFileSize = 20 * 10
		s := openTest(t, cfg)
		for range 30 {
			putWait(t, s, Flushed, testPut(s.Queue("T", 0), "body"))
		}
		check(t, s.Close())
		check(t, os.Remove(filepath.Join(cfg.RootDir, "consumequeue", "T", "0", logfile.FileName(200))))
		refused(cfg, "liftoff store check --repair")
		repairStore(t, cfg)
		s = openTest(t, cfg)
		defer s.Close()
		if got := len(bodies(t, s, s.Queue("T", 0), 0)); got != 30 {
			t.Errorf("the queue has %d messages", got)
		}
	})
}
