package logfile

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const memoryPage = 4096

// Memory is a file system in memory that knows what of it would survive a power cut: bytes and lengths since a file's Sync,
// names since their folder's SyncDir. It is for tests.
type Memory struct {
	// BeforeSync, if set, is called before each Sync and SyncDir does its work, without a lock: what a
	// power cut just then would leave is what Crash tells.
	BeforeSync func()

	mu      sync.Mutex
	names   map[string]*memoryFile // folders and files, by clean path
	durable map[string]*memoryFile // the names that a power cut leaves
	locked  map[string]bool
	usage   Usage
}

// memoryFile is the content behind a name; protected by Memory.mu.
type memoryFile struct {
	dir     bool
	data    []byte
	synced  []byte         // what a power cut leaves
	dirty   map[int64]bool // pages written since
	modTime time.Time
}

// NewMemory returns an empty file system, half full.
func NewMemory() *Memory {
	m := &Memory{locked: map[string]bool{}, usage: Usage{Used: 1 << 40, Available: 1 << 40}}
	m.names = map[string]*memoryFile{"/": {dir: true}, ".": {dir: true}}
	m.durable = maps.Clone(m.names)
	return m
}

// Crash returns a new file system with what a power cut now would leave. Without r everything that was not made durable
// is lost; with r each page, length and name of that is lost or not by chance.
func (m *Memory) Crash(r *rand.Rand) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	lucky := func() bool { return r != nil && r.IntN(2) == 0 }
	left := NewMemory()
	left.usage = m.usage
	all := maps.Clone(m.durable)
	maps.Copy(all, m.names)
	copies := map[*memoryFile]*memoryFile{}
	for _, name := range slices.Sorted(maps.Keys(all)) { // sorted, so that r decides the same each time
		f, kept := m.durable[name]
		if now, ok := m.names[name]; (now != f || ok != kept) && lucky() {
			f, kept = now, ok
		}
		if !kept {
			continue
		}
		if _, ok := left.names[filepath.Dir(name)]; !ok {
			continue // its folder is lost
		}
		if copies[f] == nil {
			copies[f] = f.crashed(lucky)
		}
		left.names[name], left.durable[name] = copies[f], copies[f]
	}
	return left
}

// Kill returns a new file system with what the end of the process now would leave: all of it, and as durable as it is.
func (m *Memory) Kill() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	left := NewMemory()
	left.usage = m.usage
	copies := map[*memoryFile]*memoryFile{}
	copyOf := func(f *memoryFile) *memoryFile {
		if copies[f] == nil {
			copies[f] = &memoryFile{dir: f.dir, data: slices.Clone(f.data), synced: slices.Clone(f.synced), dirty: maps.Clone(f.dirty), modTime: f.modTime}
		}
		return copies[f]
	}
	for name, f := range m.names {
		left.names[name] = copyOf(f)
	}
	for name, f := range m.durable {
		left.durable[name] = copyOf(f)
	}
	return left
}

func (f *memoryFile) crashed(lucky func() bool) *memoryFile {
	c := &memoryFile{dir: f.dir, data: slices.Clone(f.synced), dirty: map[int64]bool{}, modTime: f.modTime}
	if len(f.data) != len(f.synced) && lucky() {
		c.resize(int64(len(f.data)))
	}
	for _, page := range slices.Sorted(maps.Keys(f.dirty)) {
		from := page * memoryPage
		to := min(from+memoryPage, int64(len(f.data)), int64(len(c.data)))
		if lucky() && from < to {
			copy(c.data[from:to], f.data[from:to])
		}
	}
	c.synced = slices.Clone(c.data)
	return c
}

func (f *memoryFile) resize(size int64) {
	if n := int64(len(f.data)); size > n {
		f.data = append(f.data, make([]byte, size-n)...)
	} else {
		f.data = slices.Clip(f.data[:size])
	}
}

// SetUsage says how full the partition is.
func (m *Memory) SetUsage(u Usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usage = u
}

// SetModTime says when a file was written last.
func (m *Memory) SetModTime(name string, t time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.names[filepath.Clean(name)]; f != nil {
		f.modTime = t
	}
}

func pathError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// Open opens an existing file.
func (m *Memory) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[filepath.Clean(name)]
	if f == nil || f.dir {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	return &memoryHandle{m: m, f: f, name: name}, nil
}

// Create makes a new file.
func (m *Memory) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	clean := filepath.Clean(name)
	if m.names[clean] != nil {
		return nil, pathError("create", name, fs.ErrExist)
	}
	if d := m.names[filepath.Dir(clean)]; d == nil || !d.dir {
		return nil, pathError("create", name, fs.ErrNotExist)
	}
	f := &memoryFile{dirty: map[int64]bool{}, modTime: time.Now()}
	m.names[clean] = f
	return &memoryHandle{m: m, f: f, name: name}, nil
}

// Remove removes a file or an empty folder.
func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clean := filepath.Clean(name)
	if m.names[clean] == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	for other := range m.names {
		if filepath.Dir(other) == clean && other != clean {
			return pathError("remove", name, errors.New("folder is not empty"))
		}
	}
	delete(m.names, clean)
	return nil
}

// RemoveAll removes a file or folder with all it holds.
func (m *Memory) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clean := filepath.Clean(name)
	for other := range m.names {
		if other == clean || strings.HasPrefix(other, clean+string(filepath.Separator)) {
			delete(m.names, other)
		}
	}
	return nil
}

// Rename moves a file.
func (m *Memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[filepath.Clean(from)]
	if f == nil || f.dir || m.names[filepath.Dir(filepath.Clean(to))] == nil {
		return pathError("rename", from, fs.ErrNotExist)
	}
	delete(m.names, filepath.Clean(from))
	m.names[filepath.Clean(to)] = f
	return nil
}

// MkdirAll makes a folder and its parents, durably.
func (m *Memory) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		switch f := m.names[dir]; {
		case f == nil:
			f = &memoryFile{dir: true}
			m.names[dir], m.durable[dir] = f, f
		case !f.dir:
			return pathError("mkdir", dir, fs.ErrExist)
		default:
			m.durable[dir] = f
			if filepath.Dir(dir) == dir {
				return nil
			}
		}
	}
}

// List returns what dir holds, sorted by name.
func (m *Memory) List(dir string) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = filepath.Clean(dir)
	var entries []Entry
	for name, f := range m.names {
		if filepath.Dir(name) == dir && name != dir {
			entries = append(entries, Entry{Name: filepath.Base(name), Size: int64(len(f.data)), Dir: f.dir, ModTime: f.modTime})
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, nil
}

// SyncDir makes the names in dir durable.
func (m *Memory) SyncDir(dir string) error {
	m.beforeSync()
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = filepath.Clean(dir)
	maps.DeleteFunc(m.durable, func(name string, _ *memoryFile) bool {
		return filepath.Dir(name) == dir && m.names[name] == nil
	})
	for name, f := range m.names {
		if filepath.Dir(name) == dir {
			m.durable[name] = f
		}
	}
	return nil
}

func (m *Memory) beforeSync() {
	if m.BeforeSync != nil {
		m.BeforeSync()
	}
}

// Lock takes the lock of a file.
func (m *Memory) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = filepath.Clean(name)
	if m.locked[name] {
		return nil, ErrLocked
	}
	m.locked[name] = true
	return memoryLock{m, name}, nil
}

type memoryLock struct {
	m    *Memory
	name string
}

// Close gives the lock back.
func (l memoryLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locked, l.name)
	return nil
}

// Usage is what SetUsage said.
func (m *Memory) Usage(string) (Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.usage, nil
}

// memoryHandle is an open file.
type memoryHandle struct {
	m    *Memory
	f    *memoryFile
	name string
}

func (h *memoryHandle) ReadAt(p []byte, off int64) (int, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if off < 0 || off >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memoryHandle) ReadNow(p []byte, off int64) (int, error) { return h.ReadAt(p, off) }

func (h *memoryHandle) WriteAt(p []byte, off int64) (int, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.f.resize(max(int64(len(h.f.data)), off+int64(len(p))))
	copy(h.f.data[off:], p)
	h.f.touch(off, int64(len(p)))
	return len(p), nil
}

func (f *memoryFile) touch(off, n int64) {
	for page := off / memoryPage; n > 0 && page <= (off+n-1)/memoryPage; page++ {
		f.dirty[page] = true
	}
	f.modTime = time.Now()
}

func (h *memoryHandle) Truncate(size int64) error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.f.resize(size)
	return nil
}

func (h *memoryHandle) Size() (int64, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	return int64(len(h.f.data)), nil
}

func (h *memoryHandle) Sync() error {
	h.m.beforeSync()
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.f.synced = slices.Clone(h.f.data)
	clear(h.f.dirty)
	return nil
}

func (h *memoryHandle) Reserve(_, _ int64) error { return nil }

func (h *memoryHandle) Zero(off, n int64) error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	end := min(off+n, int64(len(h.f.data)))
	if off < end {
		clear(h.f.data[off:end])
		h.f.touch(off, end-off)
	}
	return nil
}

func (h *memoryHandle) NextData(off, _ int64) (int64, error) { return off, nil }

func (h *memoryHandle) Close() error { return nil }
