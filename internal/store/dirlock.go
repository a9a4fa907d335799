package store

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// lockDir takes the store for this process. The lock is the one that Apache's broker takes, so neither runs on
// the other's open store.
func lockDir(fs logfile.FS, root string) (io.Closer, error) {
	name := filepath.Join(root, "lock")
	lock, err := fs.Lock(name)
	if errors.Is(err, logfile.ErrLocked) {
		return nil, &Locked{Root: root, File: name}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot lock store with %q: %w", name, err)
	}
	return lock, nil
}

// Locked is the error when a broker is running on a store.
type Locked struct {
	Root string
	File string // that the broker keeps open
}

func (l *Locked) Error() string {
	return fmt.Sprintf("cannot open store %q: a broker is running on it: %q is %v", l.Root, l.File, logfile.ErrLocked)
}

func (l *Locked) Unwrap() error { return logfile.ErrLocked }
