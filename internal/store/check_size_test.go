package store

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// checkAndRepair checks a store once with a configuration, repairs it, and returns what was found and the steps.
func checkAndRepair(t *testing.T, cfg Config) (found []Finding, steps []string) {
	t.Helper()
	o, err := OpenOffline(cfg, true)
	check(t, err)
	defer o.Close()
	_, err = o.Check(context.Background(), func(f Finding) { found = append(found, f) }, nil)
	check(t, err)
	_, err = o.Repair(context.Background(), false, func(step string) { steps = append(steps, step) }, nil)
	check(t, err)
	return found, steps
}

func TestRepair_ChangesNothingWhenTheSizeOfTheLogsFilesIsWrong(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{4 << 10, 16 << 10, 1 << 30} {
		root, puts := damagedStore(t)
		before := snapshot(t, root)
		cfg := testConfig(t)
		cfg.RootDir, cfg.CommitLogFileSize = root, size
		o, err := OpenOffline(cfg, false)
		check(t, err)
		if found := o.WrongLogSize(); found != 8<<10 {
			t.Errorf("with %d: found %d", size, found)
		}
		sizes, err := o.Sizes()
		check(t, err)
		if want := []SizeSetting{{"mappedFileSizeCommitLog", size, 8 << 10}}; !slices.Equal(sizes, want) {
			t.Errorf("with %d: sizes %v, want %v", size, sizes, want)
		}
		check(t, o.Close())
		found, steps := checkAndRepair(t, cfg)
		if len(steps) != 1 || !strings.Contains(steps[0], "leaves log, queues and index as they are") {
			t.Errorf("with %d: %q", size, steps)
		}
		for _, f := range found {
			if f.Kind == "log-file-size" && strings.Contains(f.What, "the others") {
				t.Errorf("with %d: untrue: %+v", size, f)
			}
		}
		if after := snapshot(t, root); !maps.Equal(before, after) {
			t.Errorf("with %d: the repair has changed files: %q", size, steps)
		}
		readsAll(t, root, puts, 0)
	}
}

func TestRepair_GivesOnlyTheNewestFileItsLength(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.CommitLogFileSize = 8 << 10
	for name, test := range map[string]struct {
		damage func(t *testing.T, dir string, files []string)
		steps  string
	}{
		"the newest, and one that was never used": {steps: "gave commitlog", damage: func(t *testing.T, dir string, files []string) {
			last := files[len(files)-1]
			check(t, os.Truncate(filepath.Join(dir, last), 5000))
			check(t, os.WriteFile(filepath.Join(dir, logfile.FileName(number(t, last)+8<<10)), nil, 0o644))
		}},
		"only one that was never used": {damage: func(t *testing.T, dir string, files []string) {
			check(t, os.WriteFile(filepath.Join(dir, logfile.FileName(number(t, files[len(files)-1])+8<<10)), nil, 0o644))
		}},
		"two": {steps: "leaves log", damage: func(t *testing.T, dir string, files []string) {
			for _, name := range files[len(files)-2:] {
				check(t, os.Truncate(filepath.Join(dir, name), 5000))
			}
		}},
		"one in the middle": {steps: "leaves log", damage: func(t *testing.T, dir string, files []string) {
			check(t, os.Truncate(filepath.Join(dir, files[1]), 5000))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, _ := damagedStore(t)
			cfg := cfg
			cfg.RootDir = root
			dir := filepath.Join(root, "commitlog")
			entries, err := os.ReadDir(dir)
			check(t, err)
			var files []string
			for _, e := range entries {
				files = append(files, e.Name())
			}
			test.damage(t, dir, files)
			if _, steps := checkAndRepair(t, cfg); !strings.Contains(strings.Join(steps, "\n"), test.steps) || len(steps) > 1 || test.steps == "" && len(steps) > 0 {
				t.Errorf("repaired %q", steps)
			}
		})
	}
}

func TestRepair_GivesTheOnlyFileItsLengthWhenItEndsAmidAMessage(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	s := openTest(t, cfg)
	var puts []Put
	for range 20 {
		puts = append(puts, putWait(t, s, Flushed, testPut(s.Queue("T", 0), "body"))...)
	}
	check(t, s.Close())
	path := filepath.Join(cfg.RootDir, "commitlog", logfile.FileName(0))
	check(t, os.Truncate(path, puts[18].LogOffset+50))
	repairStore(t, cfg)
	if sum, found := checkStore(t, cfg.RootDir, nil); !sum.Sound() || sum.Records != 18 {
		t.Errorf("%d records: %+v", sum.Records, found)
	}
	s = openTest(t, cfg)
	defer s.Close()
	if got := s.Queue("T", 0).MaxOffset(); got != 18 {
		t.Errorf("the queue ends at %d", got)
	}
}

func TestRepair_TakesTheUsualSizeWhenTheOnlyFileWasCutAndNoSizeIsGiven(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	cfg.CommitLogFileSize = DefaultConfig(cfg.RootDir).CommitLogFileSize
	s := openTest(t, cfg)
	var puts []Put
	for range 20 {
		puts = append(puts, putWait(t, s, Flushed, testPut(s.Queue("T", 0), "body"))...)
	}
	check(t, s.Close())
	check(t, os.Truncate(filepath.Join(cfg.RootDir, "commitlog", logfile.FileName(0)), puts[18].LogOffset+50))
	found, steps := checkAndRepair(t, Config{RootDir: cfg.RootDir})
	if len(steps) != 1 || !strings.Contains(steps[0], "its length of 1073741824 bytes") || !strings.Contains(found[0].What, "by default, -c FILE tells") {
		t.Errorf("%q: %+v", steps, found)
	}
	checkAndRepair(t, Config{RootDir: cfg.RootDir})
	s = openTest(t, cfg)
	defer s.Close()
	if got := s.Queue("T", 0).MaxOffset(); got != 18 {
		t.Errorf("the queue ends at %d", got)
	}
}

func TestRepair_ChangesNothingWhenFilesOfTheLogAreMissing(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]int{"all": 0, "the newest": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, _ := damagedStore(t)
			files, err := filepath.Glob(filepath.Join(root, "commitlog", "*"))
			check(t, err)
			for _, file := range files[left:] {
				check(t, os.Remove(file))
			}
			before := snapshot(t, root)
			found, steps := checkAndRepair(t, Config{RootDir: root})
			if len(steps) != 1 || !strings.Contains(steps[0], "files of the log are missing") {
				t.Errorf("%q", steps)
			}
			if found[0].Kind != "log-file-missing" || !strings.Contains(found[0].What, "is a disk not mounted") || left == 0 && len(found) != 1 {
				t.Errorf("found %+v", found)
			}
			if after := snapshot(t, root); !maps.Equal(before, after) {
				t.Error("the repair has changed files")
			}
		})
	}
}
