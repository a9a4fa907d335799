// Package statefile replaces a small file so that a crash at any moment leaves the old content or the new, and never
// neither. The content before last stays beside it as .bak, where Apache's broker looks for it too.
package statefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// MaxSize bounds what Read takes into memory: a million topics need about 250 MB.
const MaxSize = 1 << 30

// Damaged is the error when there is a state file and neither it nor its .bak can be used.
type Damaged struct {
	Path     string
	Why      error // why it cannot be used
	Bak      string
	WhyNoBak error // why its copy cannot be used
}

func (d *Damaged) Error() string {
	why := fmt.Sprintf("cannot read %q: %v; ", d.Path, because(d.Why))
	if isNone(d.WhyNoBak) {
		return why + "there is no usable .bak"
	}
	return why + fmt.Sprintf("nor its .bak, %q: %v", d.Bak, because(d.WhyNoBak))
}

// Advise adds to an error that a file is [Damaged] what can be done. The names are those of files whose data `liftoff restore` can bring back.
func Advise(err error, backedUp ...string) error {
	var d *Damaged
	if !errors.As(err, &d) {
		return err
	}
	away, restore := "it", ""
	if !isNone(d.WhyNoBak) {
		away = "both"
	}
	if slices.Contains(backedUp, filepath.Base(d.Path)) {
		restore = ` and bring them back with "liftoff restore" if there is a backup`
	}
	return fmt.Errorf("%w. Put a copy of the file back, or move %s away to start without these data%s", err, away, restore)
}

// because is the reason without the name of the file.
func because(why error) string {
	if errors.Is(why, fs.ErrNotExist) {
		return "there is no such file"
	}
	return why.Error()
}

const (
	bakSuffix = ".bak"
	tmpSuffix = ".tmp"
)

// Write replaces the content of path and keeps the one before as .bak. When it returns nil the new content is on disk.
// The new file has the permissions of the old one, which may hold a password. A symbolic link stays: what it leads to is replaced, with
// the .bak beside that. One goroutine at a time may write one path.
//
// The steps, and what a crash behind each leaves to read:
//
//	write and fsync path.tmp       path: old
//	link path to path.bak.tmp      path: old
//	rename path.tmp to path        path: old or new, for the name is not on disk yet
//	fsync the folder               path: new
//	rename path.bak.tmp to .bak    path: new
//
// Path is never away and never half written, so .bak matters only against damage from elsewhere. It is replaced last:
// if path was damaged, .bak holds the only good content until the new one is safe.
func Write(path string, data []byte) error {
	if err := write(disk{}, resolved(path), data); err != nil {
		return fmt.Errorf("cannot write %q: %w", path, err)
	}
	return nil
}

// steps are what Write does to the disk. Tests stop between any two of them.
type steps interface {
	writeSynced(path string, data []byte, mode fs.FileMode) error // 0: that of any new file
	link(from, to string) error
	rename(from, to string) error
	syncDir(dir string) error
}

func write(do steps, path string, data []byte) error {
	dir, tmp, bakTmp := filepath.Dir(path), path+tmpSuffix, path+bakSuffix+tmpSuffix
	old, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	mode := fs.FileMode(0)
	if err == nil {
		mode = old.Mode().Perm()
	}
	if err := do.writeSynced(tmp, data, mode); err != nil {
		return err
	}
	bak := false
	if err == nil && old.Size() > 0 {
		if err := do.link(path, bakTmp); err != nil {
			return err
		}
		bak = true
	}
	if err := do.rename(tmp, path); err != nil {
		return err
	}
	if err := do.syncDir(dir); err != nil {
		return err
	}
	if bak {
		return do.rename(bakTmp, path+bakSuffix)
	}
	return nil
}

// resolved is where a path leads if it is a symbolic link, also one to nothing.
func resolved(path string) string {
	for range 40 { // more is a circle to the kernel too
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Dir(path) + string(filepath.Separator) + to
		}
		path = to
	}
	return path
}

type disk struct{}

func (disk) writeSynced(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if st, statErr := f.Stat(); mode != 0 && statErr == nil && st.Mode().Perm() != mode {
		err = f.Chmod(mode) // before there is anything to read in it
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// link makes to a second name of from. Where the file system has no links it copies; the copy is not synced, for losing
// it loses nothing but a spare.
func (disk) link(from, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if os.Link(from, to) == nil {
		return nil
	}
	st, err := os.Stat(from)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, old, st.Mode().Perm())
}

func (disk) rename(from, to string) error { return os.Rename(from, to) }

func (disk) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Content is what Read found.
type Content struct {
	Data []byte
	Path string // the file that Data came from: path, path.bak, or "" when there is none
	// Why says why it is not path itself that was used. It is nil when path was, and when there has never been a file.
	// The caller logs it: someone's state is older than they think.
	Why error
}

// Read returns the content of path, or of its .bak when path is missing, empty, or refused by valid. It fails when there
// is something but nothing usable: starting without state, as if it had never been, must be someone's decision. An empty
// file without a .bak is what a crash leaves of a first write, and counts as none.
func Read(path string, valid func([]byte) error) (Content, error) {
	data, why, err := try(path, valid)
	if err != nil {
		return Content{}, err
	}
	if why == nil {
		return Content{Data: data, Path: path}, nil
	}
	bak := resolved(path) + bakSuffix
	data, whyBak, err := try(bak, valid)
	if err != nil {
		return Content{}, err
	}
	switch {
	case whyBak == nil:
		return Content{Data: data, Path: bak, Why: why}, nil
	case isNone(why) && isNone(whyBak):
		if errors.Is(why, fs.ErrNotExist) && errors.Is(whyBak, fs.ErrNotExist) {
			why = nil
		}
		return Content{Why: why}, nil
	}
	return Content{}, &Damaged{Path: path, Why: why, Bak: bak, WhyNoBak: whyBak}
}

var errEmpty = errors.New("it is empty")

func isNone(why error) bool {
	return errors.Is(why, fs.ErrNotExist) || errors.Is(why, errEmpty)
}

// try reads one file. Why says why it is of no use; err, that nobody can say, so that an older copy must not be taken.
func try(path string, valid func([]byte) error) (data []byte, why, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open %q: %w", path, err)
	}
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read %q: %w", path, err)
	}
	switch {
	case len(data) == 0:
		return nil, errEmpty, nil
	case len(data) > MaxSize:
		return nil, nil, fmt.Errorf("cannot read %q: larger than %d bytes", path, MaxSize)
	}
	if err := valid(data); err != nil {
		return nil, err, nil
	}
	return data, nil, nil
}
