package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/logging"
	"github.com/liftoffmq/liftoff/internal/statefile"
)

// A saved is a table in one of RocketMQ's JSON files, with a log of changes beside it.
//
// The file is written as a whole, so writing it at each change would make a thousand changes cost a thousand tables.
// A change is therefore first appended as a line to <file>.changes, which is what makes it outlast a kill (add) and a power cut
// (sync). The file follows saveDelay later, less often when the table is big, and takes the lines away. Only in that while
// does Apache's broker, started on the directory after a kill, not see the newest changes.
//
// While the file is being written, lines go into a new .changes and the old one is .changes.old; both are read at open. A line
// says what became of one entry, so applying one again that the file has already does no harm.
type saved struct {
	path   string
	encode func() ([]byte, error)
	file   behind

	writeMu sync.RWMutex // one write of the file at a time, and none while lines are held

	mu      sync.Mutex // protects the fields below
	changes *os.File   // nil until something is added
	size    int64      // of what was added to it
	synced  int64
	err     error // of the first line that could not be written; none is written behind it until the file was
	delay   time.Duration

	syncMu sync.Mutex // one fsync at a time; those who waited find themselves covered
}

const (
	saveDelay = 300 * time.Millisecond // between a change and the file
	saveShare = 10                     // writing may take one part in so many of the time
)

// savedTable is what a saved needs of the table's owner.
type savedTable struct {
	load   func([]byte) error     // takes the file's content; called again with the copy's when it refuses
	apply  func([]byte) error     // takes one line of changes; refuses what is no line
	encode func() ([]byte, error) // the whole table, as the file has it, with every change that add has returned from
}

// openSaved reads the file and then the changes, oldest first. A line that apply refuses is the torn end of a write that
// nobody was told of.
func openSaved(path string, log *slog.Logger, t savedTable) (*saved, error) {
	s := &saved{path: path, encode: t.encode, delay: saveDelay}
	s.file = behind{path: path, write: s.write, log: log}
	if err := readState(path, log, t.load); err != nil {
		return nil, err
	}
	lines, left := 0, false
	for _, name := range []string{s.oldPath(), s.changesPath()} {
		n, err := applyChanges(name, log, t.apply)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		lines, left = lines+n, true
	}
	if left { // both go with the next write, even those without a line
		s.touch()
	}
	if lines > 0 {
		log.Info("changes made before the last stop are applied", "file", path, "changes", lines)
	}
	return s, nil
}

// readState reads a state file, and logs why when its copy had to be taken.
func readState(path string, log *slog.Logger, load func([]byte) error) error {
	c, err := statefile.Read(path, load)
	if err == nil {
		tellState(log, path, c.Path, c.Why)
	}
	return err
}

// tellState logs why a state file could not be used as it is, if there is a reason, and what was used.
func tellState(log *slog.Logger, path, used string, why error) {
	if why != nil {
		log.Warn("state file could not be used as it is", "file", path, "used", used, "err", why)
	}
}

func (s *saved) changesPath() string { return s.path + ".changes" }
func (s *saved) oldPath() string     { return s.path + ".changes.old" }

// applyChanges reads a file of changes and returns how many there are. A damaged end is cut off, so that nothing is added behind it.
func applyChanges(name string, log *slog.Logger, apply func([]byte) error) (n int, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("cannot read changes: %w", err)
	}
	for rest := data; len(rest) > 0; n++ {
		line, behind, whole := bytes.Cut(rest, []byte("\n"))
		if !whole || apply(line) != nil {
			log.Warn("end of a file of changes is damaged and not used", "file", name, "bytes", len(rest))
			return n, os.Truncate(name, int64(len(data)-len(rest)))
		}
		rest = behind
	}
	return n, nil
}

// add appends a change, which survives SIGKILL once add has returned, and returns what to give to sync. Callers must
// keep changes of one entry in order themselves.
func (s *saved) add(line []byte) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if s.changes == nil {
		if err := s.create(); err != nil { // nothing is written, so the next change may try again
			return 0, err
		}
	}
	if _, err := s.changes.Write(append(line, '\n')); err != nil {
		s.err = fmt.Errorf("cannot keep change: %w", err)
		s.file.touch(s.delay) // the file itself may still be possible
		return 0, s.err
	}
	s.size += int64(len(line)) + 1
	s.file.touch(s.delay)
	return s.size, nil
}

// create makes the file of changes. mu is held.
func (s *saved) create() error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return fmt.Errorf("cannot keep changes: %w", logging.Advised(err))
	}
	f, err := os.OpenFile(s.changesPath(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("cannot keep changes: %w", logging.Advised(err))
	}
	if err := syncDir(filepath.Dir(s.path)); err != nil {
		return fmt.Errorf("cannot keep changes: %w", errors.Join(logging.Advised(err), f.Close()))
	}
	s.changes = f
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sync returns once the change is on disk.
func (s *saved) sync(added int64) error {
	s.syncMu.Lock()
	defer s.syncMu.Unlock()
	s.mu.Lock()
	f, size, done, err := s.changes, s.size, s.synced >= added, s.err
	s.mu.Unlock()
	if done || err != nil {
		return err
	}
	if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) { // closed: the file has it
		return fmt.Errorf("cannot keep change: %w", err)
	}
	s.mu.Lock()
	s.synced = max(s.synced, size)
	s.mu.Unlock()
	return nil
}

// hold keeps the lines that are added until release: for a change of which more than the file follows, so that the start after a kill knows
// to make up for it.
func (s *saved) hold() (release func()) {
	s.writeMu.RLock()
	return s.writeMu.RUnlock
}

// touch makes the file be written soon, for a change that needs no line of its own.
func (s *saved) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file.touch(s.delay)
}

// write writes the file and drops the changes that it has.
func (s *saved) write() error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	for again := true; again; {
		var err error
		if again, err = s.writeOnce(); err != nil {
			return err
		}
	}
	return nil
}

// writeOnce is write for one file of changes, and says whether there is another one. writeMu is held.
func (s *saved) writeOnce() (again bool, err error) {
	begin := time.Now()
	if again, err = s.rotate(); err != nil {
		return false, err
	}
	failed := s.failed()
	data, err := s.encode()
	if err != nil {
		return false, err
	}
	if err := statefile.Write(s.path, data); err != nil {
		return false, err
	}
	if err := removeIfThere(s.oldPath()); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = max(saveDelay, saveShare*time.Since(begin))
	if failed != nil { // before encode, and nothing was added since, so the file has all
		if s.changes != nil {
			_ = s.changes.Close()
		}
		s.changes, s.synced, s.err = nil, s.size, nil
		return false, removeIfThere(s.changesPath())
	}
	return again, nil
}

// failed returns why nothing is added now, nil when it is. A failure that comes after encode is left for the next write: what was added
// between the two is in .changes only.
func (s *saved) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// rotate puts the changes aside that the table has already, those of before the start too. If that happened before and the file could not
// be written since, they stay where they are.
func (s *saved) rotate() (stay bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes == nil {
		if _, err := os.Stat(s.changesPath()); errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
	}
	if _, err := os.Stat(s.oldPath()); !errors.Is(err, fs.ErrNotExist) {
		return true, err
	}
	if s.synced < s.size {
		if err := s.changes.Sync(); err != nil {
			return false, err
		}
	}
	if err := os.Rename(s.changesPath(), s.oldPath()); err != nil {
		return false, err
	}
	if s.changes != nil {
		err = s.changes.Close()
	}
	s.changes, s.synced, s.err = nil, s.size, nil
	return false, err
}

// close writes the file a last time if it is behind.
func (s *saved) close() error {
	err := s.file.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes != nil {
		err = errors.Join(err, s.changes.Close())
		s.changes = nil
	}
	return err
}
