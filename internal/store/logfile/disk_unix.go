//go:build unix && !linux

package logfile

import (
	"errors"
	"os"
	"syscall"
)

// ReadNow cannot tell whether it waits here.
func (f diskFile) ReadNow(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// Sync makes the bytes and the length durable.
func (f diskFile) Sync() error { return f.f.Sync() }

// Reserve does nothing here.
func (f diskFile) Reserve(_, _ int64) error { return nil }

// Zero writes zeros.
func (f diskFile) Zero(off, n int64) error { return writeZeros(f.f, off, n) }

// NextData knows no holes here.
func (f diskFile) NextData(off, _ int64) (int64, error) { return off, nil }

// SyncDir makes the names in dir durable.
func (Disk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	d.Close()
	return err
}

// lockFile takes the lock that Java's FileChannel.tryLock(0, 1) takes.
func lockFile(f *os.File) error {
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: 0, Start: 0, Len: 1}
	err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return ErrLocked
	}
	return err
}

// Usage is not known here.
func (Disk) Usage(dir string) (Usage, error) { return Usage{}, nil }

// PhysicalMemory is not known here.
func PhysicalMemory() int64 { return 0 }
