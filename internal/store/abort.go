package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// The file abort is there while the store is open. Its content, the number of the process, is for people.

func (s *Store) abortPath() string { return filepath.Join(s.cfg.RootDir, "abort") }

// wasClean says whether the store was closed by its last user: abort is gone then.
func (s *Store) wasClean() (bool, error) {
	entries, err := s.cfg.FS.List(s.cfg.RootDir)
	if err != nil {
		return false, fmt.Errorf("cannot list store %q: %w", s.cfg.RootDir, err)
	}
	return !slices.ContainsFunc(entries, func(e logfile.Entry) bool { return e.Name == "abort" }), nil
}

// makeAbort says that the store is open, and by which process.
func (s *Store) makeAbort() error {
	if clean, err := s.wasClean(); err != nil || !clean {
		return err
	}
	f, err := s.cfg.FS.Create(s.abortPath())
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
		err = errors.Join(err, f.Sync(), f.Close(), s.cfg.FS.SyncDir(s.cfg.RootDir))
	}
	if err != nil {
		return fmt.Errorf("cannot make %q: %w", s.abortPath(), err)
	}
	return nil
}

func (s *Store) removeAbort() error {
	if err := s.cfg.FS.Remove(s.abortPath()); err != nil {
		return fmt.Errorf("cannot remove %q: %w", s.abortPath(), err)
	}
	if err := s.cfg.FS.SyncDir(s.cfg.RootDir); err != nil {
		return fmt.Errorf("cannot sync store folder: %w", err)
	}
	return nil
}
