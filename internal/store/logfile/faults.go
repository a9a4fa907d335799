package logfile

import (
	"io"
	"strings"
	"sync"
)

// Op is an operation that can be made to fail.
type Op string

// The operations of FS and File.
const (
	OpOpen     Op = "open"
	OpCreate   Op = "create"
	OpRemove   Op = "remove"
	OpRename   Op = "rename"
	OpMkdir    Op = "mkdir"
	OpList     Op = "list"
	OpSyncDir  Op = "syncdir"
	OpUsage    Op = "usage"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpTruncate Op = "truncate"
	OpSync     Op = "sync"
	OpZero     Op = "zero"
	OpReadNow  Op = "readnow"
)

// Fault is what goes wrong, and where.
type Fault struct {
	Op    Op
	Path  string // a part of the file's path
	After int    // so many such operations go well before
	Times int    // so many fail; 0 is all that come
	Short int    // bytes that a failing write writes all the same
	Err   error
	// Hold, if set, is received from before the operation goes on. A Fault without an Err only holds.
	Hold <-chan struct{}

	seen int
}

// Faults is a file system on which chosen operations fail. It is for tests.
type Faults struct {
	FS

	mu     sync.Mutex
	faults []*Fault
}

// Inject makes an operation fail from now on.
func (f *Faults) Inject(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &fault)
}

// Heal makes everything go well again.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// meet returns the fault that an operation meets, if any.
func (f *Faults) meet(op Op, path string) *Fault {
	f.mu.Lock()
	var met *Fault
	for _, fault := range f.faults {
		if fault.Op != op || !strings.Contains(path, fault.Path) {
			continue
		}
		fault.seen++
		if n := fault.seen - fault.After; n > 0 && (fault.Times == 0 || n <= fault.Times) {
			met = fault
			break
		}
	}
	f.mu.Unlock()
	if met == nil {
		return nil
	}
	if met.Hold != nil {
		<-met.Hold
	}
	if met.Err == nil {
		return nil
	}
	return met
}

func (f *Faults) err(op Op, path string) error {
	if fault := f.meet(op, path); fault != nil {
		return pathError(string(op), path, fault.Err)
	}
	return nil
}

// Open opens an existing file.
func (f *Faults) Open(name string) (File, error) {
	if err := f.err(OpOpen, name); err != nil {
		return nil, err
	}
	return f.file(name)(f.FS.Open(name))
}

// Create makes a new file.
func (f *Faults) Create(name string) (File, error) {
	if err := f.err(OpCreate, name); err != nil {
		return nil, err
	}
	return f.file(name)(f.FS.Create(name))
}

func (f *Faults) file(name string) func(File, error) (File, error) {
	return func(file File, err error) (File, error) {
		if err != nil {
			return nil, err
		}
		return &faultyFile{File: file, faults: f, name: name}, nil
	}
}

// Remove removes a file.
func (f *Faults) Remove(name string) error {
	if err := f.err(OpRemove, name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// RemoveAll removes a file or folder with all it holds.
func (f *Faults) RemoveAll(name string) error {
	if err := f.err(OpRemove, name); err != nil {
		return err
	}
	return f.FS.RemoveAll(name)
}

// Rename moves a file.
func (f *Faults) Rename(from, to string) error {
	if err := f.err(OpRename, from); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

// MkdirAll makes a folder.
func (f *Faults) MkdirAll(dir string) error {
	if err := f.err(OpMkdir, dir); err != nil {
		return err
	}
	return f.FS.MkdirAll(dir)
}

// List returns what dir holds.
func (f *Faults) List(dir string) ([]Entry, error) {
	if err := f.err(OpList, dir); err != nil {
		return nil, err
	}
	return f.FS.List(dir)
}

// SyncDir makes the names in dir durable.
func (f *Faults) SyncDir(dir string) error {
	if err := f.err(OpSyncDir, dir); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

// Lock takes a lock; it never fails on purpose.
func (f *Faults) Lock(name string) (io.Closer, error) { return f.FS.Lock(name) }

// Usage asks the partition.
func (f *Faults) Usage(dir string) (Usage, error) {
	if err := f.err(OpUsage, dir); err != nil {
		return Usage{}, err
	}
	return f.FS.Usage(dir)
}

type faultyFile struct {
	File
	faults *Faults
	name   string
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.faults.err(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) ReadNow(p []byte, off int64) (int, error) {
	if err := f.faults.err(OpReadNow, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadNow(p, off)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if fault := f.faults.meet(OpWrite, f.name); fault != nil {
		n, _ := f.File.WriteAt(p[:min(fault.Short, len(p))], off)
		return n, pathError(string(OpWrite), f.name, fault.Err)
	}
	return f.File.WriteAt(p, off)
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.faults.err(OpTruncate, f.name); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Sync() error {
	if err := f.faults.err(OpSync, f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Zero(off, n int64) error {
	if err := f.faults.err(OpZero, f.name); err != nil {
		return err
	}
	return f.File.Zero(off, n)
}
