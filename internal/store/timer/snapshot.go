package timer

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// With timerWheelSnapshotFlush RocketMQ leaves timerwheel as it is, and writes the wheel to timerwheel.<n> now and then, n being the
// position in the timer log that it is of. The newest of them is the wheel then, with the records behind n.

// takeSnapshot makes the newest snapshot the wheel and removes the others. The checkpoint goes back first: an older wheel with it is
// made whole all the same.
func (t *Timer) takeSnapshot() error {
	dir, base := filepath.Split(t.wheel.path)
	entries, err := t.cfg.FS.List(dir)
	if err != nil {
		return err
	}
	newest, newestAt := "", int64(-1)
	var all []string
	for _, e := range entries {
		number, isSnapshot := strings.CutPrefix(e.Name, base+".")
		at, err := strconv.ParseInt(number, 10, 64)
		if !isSnapshot || err != nil || at < 0 || e.Dir {
			continue
		}
		all = append(all, filepath.Join(dir, e.Name))
		if e.Size == t.wheel.size() && at > newestAt {
			newest, newestAt = filepath.Join(dir, e.Name), at
		}
	}
	if newest == "" {
		return nil
	}
	t.check.LogFlushed = newestAt
	if err := t.file.write(&t.check); err != nil {
		return err
	}
	if err := t.cfg.FS.Rename(newest, t.wheel.path); err != nil {
		return err
	}
	for _, name := range all {
		if err := t.cfg.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
