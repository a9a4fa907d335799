package logfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Disk is the file system of the machine.
type Disk struct{}

type diskFile struct{ f *os.File }

// Open opens an existing file.
func (Disk) Open(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// Create makes a new file.
func (Disk) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// Remove removes a file.
func (Disk) Remove(name string) error { return os.Remove(name) }

// RemoveAll removes a file or folder with all it holds.
func (Disk) RemoveAll(name string) error { return os.RemoveAll(name) }

// Rename moves a file; the target is replaced.
func (Disk) Rename(from, to string) error { return os.Rename(from, to) }

// MkdirAll makes a folder and its parents and syncs each parent that got a new name.
func (d Disk) MkdirAll(dir string) error {
	dir = filepath.Clean(dir)
	if st, err := os.Stat(dir); err == nil {
		if !st.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("a file of that name is in the way")}
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := d.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := SyncDir(d, parent); err != nil {
		_ = os.Remove(dir) // or it would be there the next time, and its name not durable
		return err
	}
	return nil
}

// List returns what dir holds, sorted by name.
func (Disk) List(dir string) ([]Entry, error) {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(names))
	for _, n := range names {
		st, err := os.Stat(filepath.Join(dir, n.Name())) // follows links: a queue's folder may be one
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since, or a link to nowhere
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{Name: n.Name(), Size: st.Size(), Dir: st.IsDir(), ModTime: st.ModTime()})
	}
	return entries, nil
}

// Lock takes the lock of a file, which is made when it is not there.
func (Disk) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f diskFile) ReadAt(p []byte, off int64) (int, error)  { return f.f.ReadAt(p, off) }
func (f diskFile) WriteAt(p []byte, off int64) (int, error) { return f.f.WriteAt(p, off) }
func (f diskFile) Truncate(size int64) error                { return f.f.Truncate(size) }
func (f diskFile) Close() error                             { return f.f.Close() }

func (f diskFile) Size() (int64, error) {
	st, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// writeZeros is Zero where holes cannot be made.
func writeZeros(w io.WriterAt, off, n int64) error {
	zeros := make([]byte, min(n, 1<<20))
	for n > 0 {
		k, err := w.WriteAt(zeros[:min(n, int64(len(zeros)))], off)
		if err != nil {
			return err
		}
		off += int64(k)
		n -= int64(k)
	}
	return nil
}
