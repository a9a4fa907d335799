package logfile

import (
	"errors"
	"io"
	"math"
	"time"
)

var (
	// ErrLocked says that another process has the lock.
	ErrLocked = errors.New("locked by another process")
	// ErrWouldWait says that something cannot be had without waiting for a disk.
	ErrWouldWait = errors.New("it would have to be waited for")
)

// FS is what a store needs of a file system. Names are full paths.
type FS interface {
	// Open opens an existing file to read and write.
	Open(name string) (File, error)
	// Create makes a new, empty file; one that is there already is an error.
	Create(name string) (File, error)
	Remove(name string) error
	// RemoveAll removes a file or folder with all it holds; one that is not there is no error.
	RemoveAll(name string) error
	Rename(from, to string) error
	// MkdirAll makes a folder and its parents, durably.
	MkdirAll(dir string) error
	// List returns what dir holds, sorted by name. A folder that is not there is empty.
	List(dir string) ([]Entry, error)
	// SyncDir makes the names in dir durable: files made, renamed and removed.
	SyncDir(dir string) error
	// Lock takes the exclusive lock of the file name until it is closed, or fails with ErrLocked at once.
	Lock(name string) (io.Closer, error)
	// Usage says how full the partition of dir is.
	Usage(dir string) (Usage, error)
}

// File is an open file. Reads and writes may run at once.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// ReadNow is ReadAt for who must not wait: what is not in memory is ErrWouldWait.
	ReadNow(p []byte, off int64) (int, error)
	Size() (int64, error)
	// Truncate sets the length; what is added reads as zeros and takes no space.
	Truncate(size int64) error
	// Sync makes written bytes and the length durable.
	Sync() error
	// Reserve takes the disk's space for n bytes at off that nothing was written to. They still read as zeros. It does nothing where
	// space cannot be taken ahead, or the disk has not 16 times as much.
	Reserve(off, n int64) error
	// Zero makes n bytes at off read as zeros, giving their space back where it can.
	Zero(off, n int64) error
	// NextData is the first place at or behind off, and before end, that something may have been written to; end when
	// there is none. Where holes cannot be told it is off.
	NextData(off, end int64) (int64, error)
}

// Entry is one name in a folder.
type Entry struct {
	Name    string
	Size    int64
	Dir     bool
	ModTime time.Time
}

// Usage is the space of a partition, in bytes.
type Usage struct {
	Used      int64
	Available int64 // to a user without privileges
}

// Ratio is the part in use as df shows it: whole percents rounded up, as 0 to 1; -1 when unknown.
func (u Usage) Ratio() float64 {
	entire := u.Used + u.Available
	if entire <= 0 {
		return -1
	}
	percent := math.Ceil(float64(u.Used) / float64(entire) * 100)
	return percent / 100
}
