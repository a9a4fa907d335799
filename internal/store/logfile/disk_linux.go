package logfile

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sync makes the bytes and the length durable; times may be lost.
func (f diskFile) Sync() error {
	return f.onFd("fdatasync", syscall.Fdatasync)
}

// ReadNow asks for what is in the page cache. A file system that cannot tell is a network's or one in memory; it is read.
func (f diskFile) ReadNow(p []byte, off int64) (int, error) {
	for {
		switch n, err := unix.Preadv2(int(f.f.Fd()), [][]byte{p}, off, unix.RWF_NOWAIT); err {
		case nil:
			if n == len(p) {
				return n, nil
			}
			return n, ErrWouldWait
		case unix.EAGAIN:
			return 0, ErrWouldWait
		case unix.EOPNOTSUPP, unix.ENOSYS:
			return f.f.ReadAt(p, off)
		case unix.EINTR:
		default:
			return max(n, 0), &os.PathError{Op: "preadv2", Path: f.f.Name(), Err: err}
		}
	}
}

// Reserve makes extents that are not written.
func (f diskFile) Reserve(off, n int64) error {
	err := f.onFd("fallocate", func(fd int) error {
		var st syscall.Statfs_t
		if err := syscall.Fstatfs(fd, &st); err != nil || int64(st.Bavail)*int64(st.Bsize)/16 < n {
			return err
		}
		return syscall.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

// Zero makes a hole.
func (f diskFile) Zero(off, n int64) error {
	err := f.onFd("fallocate", func(fd int) error {
		return syscall.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, off, n)
	})
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return writeZeros(f.f, off, n)
	}
	return err
}

// NextData asks for the next part of the file that is not a hole.
func (f diskFile) NextData(off, end int64) (int64, error) {
	next := off
	err := f.onFd("lseek", func(fd int) (err error) {
		next, err = syscall.Seek(fd, off, unix.SEEK_DATA)
		return err
	})
	switch {
	case errors.Is(err, syscall.ENXIO):
		return end, nil
	case errors.Is(err, syscall.EINVAL):
		return off, nil
	}
	return min(next, end), err
}

func (f diskFile) onFd(op string, do func(fd int) error) error {
	conn, err := f.f.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	err = conn.Control(func(fd uintptr) {
		for {
			opErr = do(int(fd))
			if opErr != syscall.EINTR {
				return
			}
		}
	})
	if err == nil && opErr != nil {
		err = &os.PathError{Op: op, Path: f.f.Name(), Err: opErr}
	}
	return err
}
