package timer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

func TestInspect_FindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	now := time.Now().UnixMilli()
	inspect := func(t *testing.T, cfg Config) (Inspected, string) {
		t.Helper()
		var wrong []string
		n := 0
		sum, err := Inspect(Config{RootDir: cfg.RootDir, slots: cfg.slots}, func(Record) error { n++; return nil }, func(p Problem) {
			if !p.Note {
				wrong = append(wrong, filepath.Base(p.Path)+": "+p.What)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if int64(n) != sum.Records {
			t.Errorf("%d records were shown, %d counted", n, sum.Records)
		}
		return sum, strings.Join(wrong, "; ")
	}
	for name, test := range map[string]struct {
		damage func(t *testing.T, root string)
		want   string
	}{
		"nothing": {func(*testing.T, string) {}, ""},
		"a record": {func(t *testing.T, root string) {
			flip(t, filepath.Join(root, "timerlog", logfile.FileName(0)), 3*recordSize)
		}, "no record at 156"},
		"a slot":           {func(t *testing.T, root string) { flip(t, filepath.Join(root, "timerwheel"), -1) }, "timerwheel: slot"},
		"the wheel's size": {func(t *testing.T, root string) { _ = os.Truncate(filepath.Join(root, "timerwheel"), 100) }, "100 bytes long"},
		"no wheel":         {func(t *testing.T, root string) { _ = os.Remove(filepath.Join(root, "timerwheel")) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{RootDir: t.TempDir(), LogFileSize: 104000, Precision: time.Second, RollWindow: 172800, FlushInterval: time.Hour, CommitLogEnd: 1 << 40}
			w, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 50 {
				if _, err := w.Add(now, Entry{Due: now + 60000 + int64(i%10)*1000, LogOffset: int64(i) * 100, Size: 100, Topic: []byte("T")}); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			test.damage(t, cfg.RootDir)
			sum, wrong := inspect(t, cfg)
			if test.want == "" && wrong != "" || !strings.Contains(wrong, test.want) {
				t.Errorf("found %q, want %q", wrong, test.want)
			}
			if name == "nothing" && (sum.Records != 50 || sum.Waiting != 50 || sum.Slots != 10) {
				t.Errorf("%+v", sum)
			}
		})
	}
}

// flip damages 8 bytes of a file, at -1 the first that are not 0.
func flip(t *testing.T, path string, at int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at < 0 {
		for at = 0; data[at] == 0; at++ {
		}
	}
	for i := range 4 {
		data[at+i] ^= 0x55
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
