//go:build unix

package logfile

import (
	"errors"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

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

// lockFile takes the lock that Java's FileChannel.tryLock(0, 1) takes, so each server respects the other's.
func lockFile(f *os.File) error {
	take := syscall.F_SETLK
	if runtime.GOOS == "linux" {
		take = 37 // F_OFD_SETLK: a lock of this open file, so a second open in one process meets it too
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: 0, Start: 0, Len: 1}
	err := syscall.FcntlFlock(f.Fd(), take, &lock)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return ErrLocked
	}
	return err
}

// MayWrite says why this process may not read and write a file, or make files in a folder. It tries nothing.
func MayWrite(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	mode := uint32(unix.R_OK | unix.W_OK)
	if st.IsDir() {
		mode |= unix.X_OK
	}
	return unix.Access(path, mode)
}
