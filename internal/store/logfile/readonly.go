package logfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrReadOnly says that something would have been changed by one who only looks.
var ErrReadOnly = errors.New("opened to be looked at only")

// ReadOnly is another file system for those who only look: nothing is made, changed or removed, and it takes no right to write.
type ReadOnly struct{ FS }

type readOnlyFile struct{ File }

// Open opens a file to be read.
func (r ReadOnly) Open(name string) (File, error) {
	if _, disk := r.FS.(Disk); disk {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		return readOnlyFile{diskFile{f}}, nil
	}
	f, err := r.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return readOnlyFile{f}, nil
}

// Lock takes the lock if there is a file of that name. One that may not be written to, as on a medium that is read only, is locked by
// nobody who writes.
func (r ReadOnly) Lock(name string) (io.Closer, error) {
	entries, err := r.List(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name == filepath.Base(name) {
			lock, err := r.FS.Lock(name)
			if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
				return noLock{}, nil
			}
			return lock, err
		}
	}
	return noLock{}, nil
}

type noLock struct{}

func (noLock) Close() error { return nil }

// Create is refused.
func (ReadOnly) Create(string) (File, error) { return nil, ErrReadOnly }

// Remove is refused.
func (ReadOnly) Remove(string) error { return ErrReadOnly }

// RemoveAll is refused.
func (ReadOnly) RemoveAll(string) error { return ErrReadOnly }

// Rename is refused.
func (ReadOnly) Rename(string, string) error { return ErrReadOnly }

// MkdirAll is refused.
func (ReadOnly) MkdirAll(string) error { return ErrReadOnly }

// SyncDir is refused.
func (ReadOnly) SyncDir(string) error { return ErrReadOnly }

func (readOnlyFile) WriteAt([]byte, int64) (int, error) { return 0, ErrReadOnly }
func (readOnlyFile) Truncate(int64) error               { return ErrReadOnly }
func (readOnlyFile) Reserve(int64, int64) error         { return ErrReadOnly }
func (readOnlyFile) Zero(int64, int64) error            { return ErrReadOnly }
func (readOnlyFile) Sync() error                        { return nil }
