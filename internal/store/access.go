package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// parts are the files and folders of a store directory that a broker writes to.
var parts = []string{"lock", "abort", "checkpoint", "commitlog", "consumequeue", "batchconsumequeue", "consumequeue_ext", "index", "config", "timerwheel", "timerlog"}

// CheckAccess tells which files and folders of a store, that may not be there yet, this process could not write to: the first few, and how
// many. It writes nothing.
func CheckAccess(rootDir string, commitLogDirs ...string) (refused []error, more int) {
	told := map[string]bool{}
	check := func(path string) {
		err := logfile.MayWrite(path)
		if err == nil || told[path] {
			return
		}
		told[path] = true
		if len(refused) == accessMost {
			more++
		} else {
			refused = append(refused, fmt.Errorf("cannot write to %s: %w", path, err))
		}
	}
	check(existing(rootDir))
	dirs := slices.Clone(commitLogDirs)
	for _, dir := range commitLogDirs {
		check(existing(dir))
	}
	for _, part := range parts {
		dirs = append(dirs, filepath.Join(rootDir, part))
	}
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if !errors.Is(err, fs.ErrNotExist) {
				check(path)
			}
			return nil
		})
	}
	return refused, more
}

const accessMost = 3

// CheckFolders is the error of the first folder of a store, of those that are there, in which this process could not make files. Most are
// used only when a file is full or a state has changed, which would be too late to say so.
func CheckFolders(rootDir string, commitLogDirs ...string) error {
	dirs := append([]string{rootDir}, commitLogDirs...)
	for _, part := range parts {
		dirs = append(dirs, filepath.Join(rootDir, part))
	}
	for _, dir := range dirs {
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			continue // who needs it makes it, or says what is wrong with it
		}
		if err := logfile.MayWrite(dir); err != nil {
			return fmt.Errorf("cannot write to the store: %w", &fs.PathError{Op: "make files in", Path: dir, Err: err})
		}
	}
	return nil
}

// existing is the path, or the folder above it that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || filepath.Dir(path) == path {
			return path
		}
		path = filepath.Dir(path)
	}
}
