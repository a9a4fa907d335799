package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	// ErrOutside says that a position is in no file of the log.
	ErrOutside = errors.New("no file of the log holds this position")
	// ErrFileSize says that a file's length is not the one configured.
	ErrFileSize = errors.New("length differs from the configured file size")
	// ErrGap says that a file does not begin where the one before it ends.
	ErrGap = errors.New("it does not begin where the file before it ends")
	// ErrSync says that what was written may be lost, whatever a later sync says: the kernel tells of that once, and forgets it.
	ErrSync = errors.New("cannot sync")
)

// Log is an address space of files of one size. One goroutine writes at a time; reads, syncs and removals may run beside.
type Log struct {
	fs       FS
	handles  *Handles
	dirs     []string // new files rotate over them by file number
	fileSize int64
	newest   atomic.Int32 // of dirs: where the newest file lies, or is being made

	mu       sync.RWMutex // protects the fields below
	segments []*segment   // ascending, without gap
	newNames []string     // folders with names that are not durable yet
	avoided  []string     // folders that get no new file as long as there are others
}

// segment is one file. Its open handle belongs to Handles.
type segment struct {
	fs    FS
	path  string
	start int64
	dirty atomic.Bool // written since the last sync

	// The fields below are protected by Handles.mu.
	file       File
	users      int
	removed    bool
	failed     error    // of a sync; nothing written to it before can be trusted
	prev, next *segment // in the list of open files, newest use first
}

// NewLog returns the log in dirs without touching any file; Load finds the files.
func NewLog(fs FS, handles *Handles, fileSize int64, dirs ...string) *Log {
	return &Log{fs: fs, handles: handles, dirs: dirs, fileSize: fileSize}
}

// FileName is the name of the file that starts at a position.
func FileName(start int64) string { return fmt.Sprintf("%020d", start) }

// Load finds the files. A last file of length 0 is what a crash left of making it, and is removed; any other length than
// the configured one is an error, and so is a gap.
func (l *Log) Load() error {
	files, err := List(l.fs, l.dirs...)
	if err != nil {
		return err
	}
	var segments []*segment
	for i, f := range files {
		if f.Size == 0 && i == len(files)-1 {
			if err := l.fs.Remove(f.Path); err != nil {
				return fmt.Errorf("cannot remove empty file %q: %w", f.Path, err)
			}
			break
		}
		if f.Size != l.fileSize {
			return fmt.Errorf("cannot load %q: %w: it is %d bytes long, configured are %d", f.Path, ErrFileSize, f.Size, l.fileSize)
		}
		if i > 0 && f.Start != files[i-1].Start+l.fileSize {
			return fmt.Errorf("cannot load %q: %w: that is %q, so one between them is missing or both are one", f.Path, ErrGap, files[i-1].Path)
		}
		segments = append(segments, &segment{fs: l.fs, path: f.Path, start: f.Start})
	}
	if n := len(segments); n > 0 {
		newest := filepath.Dir(segments[n-1].path)
		l.newest.Store(int32(max(0, slices.IndexFunc(l.dirs, func(dir string) bool { return filepath.Clean(dir) == newest }))))
	}
	l.mu.Lock()
	l.segments = segments
	l.mu.Unlock()
	return nil
}

// NewestDir is the folder of the newest file, or of the one that is being made. It waits for nothing, so that it can tell of a disk that hangs.
func (l *Log) NewestDir() string { return l.dirs[l.newest.Load()] }

// Start is the position of the first byte, 0 when there is no file.
func (l *Log) Start() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.segments) == 0 {
		return 0
	}
	return l.segments[0].start
}

// End is the position behind the last file, 0 when there is none.
func (l *Log) End() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.endLocked()
}

func (l *Log) endLocked() int64 {
	if len(l.segments) == 0 {
		return 0
	}
	return l.segments[len(l.segments)-1].start + l.fileSize
}

// Len is the number of files.
func (l *Log) Len() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.segments)
}

// FileSize is the size of each file.
func (l *Log) FileSize() int64 { return l.fileSize }

// Dirs are the folders of the log.
func (l *Log) Dirs() []string { return l.dirs }

// Files describes the files, ascending. It asks the disk for their times.
func (l *Log) Files() ([]FileInfo, error) {
	there, err := List(l.fs, l.dirs...)
	if err != nil {
		return nil, err
	}
	times := map[string]time.Time{}
	for _, f := range there {
		times[f.Path] = f.ModTime
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	files := make([]FileInfo, len(l.segments))
	for i, s := range l.segments {
		files[i] = FileInfo{Path: s.path, Start: s.start, Size: l.fileSize, ModTime: times[s.path]}
	}
	return files, nil
}

func (l *Log) find(off int64) *segment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.findLocked(off)
}

func (l *Log) findLocked(off int64) *segment {
	if len(l.segments) == 0 || off < l.segments[0].start {
		return nil
	}
	i := (off - l.segments[0].start) / l.fileSize
	if i >= int64(len(l.segments)) {
		return nil
	}
	return l.segments[i]
}

// ReadAt fills p from the position off. It does not cross the end of a file: what would is an error.
func (l *Log) ReadAt(p []byte, off int64) (int, error) { return l.Read(p, off, false) }

// Read is ReadAt, with now for who must not wait: what is not in memory, or in a file that is not open, is ErrWouldWait then.
func (l *Log) Read(p []byte, off int64, now bool) (n int, err error) {
	s := l.find(off)
	if s == nil || off+int64(len(p)) > s.start+l.fileSize {
		return 0, ErrOutside
	}
	f, err := l.handles.acquire(s, now)
	if err != nil {
		return 0, err
	}
	if now {
		n, err = f.ReadNow(p, off-s.start)
	} else {
		n, err = f.ReadAt(p, off-s.start)
	}
	l.handles.release(s)
	if n == len(p) {
		err = nil
	}
	return n, err
}

// WriteAt writes p at the position off within one file, which is made when it is the next one.
func (l *Log) WriteAt(p []byte, off int64) (int, error) {
	s := l.find(off)
	if s == nil {
		if err := l.Extend(off); err != nil {
			return 0, err
		}
		s = l.find(off)
	}
	if s == nil || off+int64(len(p)) > s.start+l.fileSize {
		return 0, ErrOutside
	}
	f, err := l.handles.acquire(s, false)
	if err != nil {
		return 0, err
	}
	n, err := f.WriteAt(p, off-s.start)
	s.dirty.Store(true) // after the write: a sync that clears it before would not cover these bytes
	l.handles.release(s)
	return n, err
}

// Extend makes the file that holds off when it is the next one; an empty log may start anywhere.
func (l *Log) Extend(off int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	start := off - off%l.fileSize
	if l.findLocked(off) != nil {
		return nil
	}
	if len(l.segments) > 0 && start != l.endLocked() {
		return ErrOutside
	}
	dirs := slices.DeleteFunc(slices.Clone(l.dirs), func(dir string) bool { return slices.Contains(l.avoided, dir) })
	if len(dirs) == 0 {
		dirs = l.dirs
	}
	dir := dirs[(start/l.fileSize)%int64(len(dirs))]
	l.newest.Store(int32(slices.Index(l.dirs, dir)))
	s := &segment{fs: l.fs, path: filepath.Join(dir, FileName(start)), start: start}
	if err := l.fs.MkdirAll(dir); err != nil {
		return fmt.Errorf("cannot make folder %q: %w", dir, err)
	}
	f, err := l.fs.Create(s.path)
	if err != nil {
		return fmt.Errorf("cannot create %q: %w", s.path, err)
	}
	if err := f.Truncate(l.fileSize); err != nil {
		f.Close()
		_ = l.fs.Remove(s.path)
		return fmt.Errorf("cannot give %q its length: %w", s.path, err)
	}
	s.dirty.Store(true)
	l.noteNameLocked(dir)
	l.segments = append(l.segments, s)
	l.handles.adopt(s, f)
	return nil
}

// Avoid says which folders get no new file as long as there are others.
func (l *Log) Avoid(dirs []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.avoided = dirs
}

// Zero makes everything from off to the end of its file read as zeros.
func (l *Log) Zero(off int64) error {
	return l.onFile(off, func(s *segment, f File) error {
		s.dirty.Store(true)
		return f.Zero(off-s.start, s.start+l.fileSize-off)
	})
}

// Reserve is File.Reserve of n bytes at off, within one file. One that is not there yet is not made for that.
func (l *Log) Reserve(off, n int64) error {
	return l.onFile(off, func(s *segment, f File) error { return f.Reserve(off-s.start, n) })
}

// NextData is the first place at or behind off, in the same file, that something may have been written to; the file's end when
// there is none.
func (l *Log) NextData(off int64) (next int64, err error) {
	err = l.onFile(off, func(s *segment, f File) error {
		next, err = f.NextData(off-s.start, l.fileSize)
		next += s.start
		return err
	})
	return next, err
}

func (l *Log) onFile(off int64, do func(*segment, File) error) error {
	s := l.find(off)
	if s == nil {
		return ErrOutside
	}
	f, err := l.handles.acquire(s, false)
	if err != nil {
		return err
	}
	defer l.handles.release(s)
	return do(s, f)
}

// Doubt makes the next Sync cover the files from the one that holds off on, and their names: whoever wrote them may have ended before
// they were durable.
func (l *Log) Doubt(off int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		if s.start+l.fileSize > off {
			s.dirty.Store(true)
			l.noteNameLocked(filepath.Dir(s.path))
		}
	}
}

// Sync makes durable what was written before the call, and the names of new files. What it could not is the next Sync's, but for a file
// whose sync failed: each later one fails too.
func (l *Log) Sync() error {
	l.mu.Lock()
	var dirty []*segment
	for _, s := range l.segments {
		if s.dirty.Load() {
			dirty = append(dirty, s)
		}
	}
	newNames := l.newNames
	l.newNames = nil
	l.mu.Unlock()

	err := l.syncAll(dirty, newNames)
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, dir := range newNames {
			l.noteNameLocked(dir)
		}
	}
	return err
}

func (l *Log) syncAll(dirty []*segment, newNames []string) error {
	for _, s := range dirty {
		if err := l.syncSegment(s); err != nil {
			return err
		}
	}
	for _, dir := range newNames {
		if err := SyncDir(l.fs, dir); err != nil {
			return err
		}
	}
	return nil
}

// SyncDir makes the names in a folder durable. Its error is ErrSync, unless the folder could not be opened for want of descriptors: then
// nothing was tried, and it may go well later.
func SyncDir(fs FS, dir string) error {
	switch err := fs.SyncDir(dir); {
	case err == nil:
		return nil
	case IsOutOfFiles(err):
		return fmt.Errorf("cannot open folder %q to sync it: %w", dir, err)
	default:
		return fmt.Errorf("%w folder %q: %w", ErrSync, dir, err)
	}
}

// IsOutOfFiles says whether an error means that the process, or the machine, has too many open files.
func IsOutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// noteNameLocked notes that a folder has names that are not durable.
func (l *Log) noteNameLocked(dir string) {
	if !slices.Contains(l.newNames, dir) {
		l.newNames = append(l.newNames, dir)
	}
}

func (l *Log) syncSegment(s *segment) error {
	f, err := l.handles.acquire(s, false)
	if err != nil {
		if l.find(s.start) != s { // removed meanwhile
			return nil
		}
		return err
	}
	defer l.handles.release(s)
	s.dirty.Store(false)
	if err = l.handles.failed(s); err == nil {
		if err = f.Sync(); err == nil {
			return nil
		}
		err = l.handles.fail(s, err)
	}
	s.dirty.Store(true)
	return err
}

// RemoveFirst removes the first file.
func (l *Log) RemoveFirst() error {
	l.mu.Lock()
	if len(l.segments) == 0 {
		l.mu.Unlock()
		return nil
	}
	dir := filepath.Dir(l.segments[0].path)
	err := l.removeLocked(0, l.fs.Remove)
	l.mu.Unlock()
	if err == nil && len(l.dirs) > 1 { // else a power cut might bring this one back, and not the next, which lies on another disk
		err = SyncDir(l.fs, dir)
	}
	return err
}

// RemoveFrom removes the files that start at or behind off. One that somebody else has removed is no error.
func (l *Log) RemoveFrom(off int64) error {
	return l.DropFrom(off, func(path string) error {
		if err := l.fs.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// DropFrom is RemoveFrom with the caller's way to make a file go.
func (l *Log) DropFrom(off int64, remove func(path string) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.segments) > 0 && l.segments[len(l.segments)-1].start >= off {
		if err := l.removeLocked(len(l.segments)-1, remove); err != nil {
			return err
		}
	}
	return nil
}

// removeLocked takes the file's name away at once; readers that have it open finish with it.
func (l *Log) removeLocked(i int, remove func(path string) error) error {
	s := l.segments[i]
	if err := remove(s.path); err != nil {
		return fmt.Errorf("cannot remove %q: %w", s.path, err)
	}
	l.segments = slices.Delete(l.segments, i, i+1)
	l.noteNameLocked(filepath.Dir(s.path))
	l.handles.forget(s)
	return nil
}

// Close closes what is open, and syncs it before that if it must be. The log may be used again; it opens then.
func (l *Log) Close() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var err error
	for _, s := range l.segments {
		err = errors.Join(err, l.handles.close(s))
	}
	return err
}
