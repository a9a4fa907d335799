package timer

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// openFiles is how many files of the timer log may be open at once.
const openFiles = 16

// Open reads wheel and log, and brings them to where they were when the process ended.
func Open(cfg Config) (*Timer, error) {
	if cfg.FS == nil {
		cfg.FS = logfile.Disk{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.clock == nil {
		cfg.clock = func() int64 { return time.Now().UnixMilli() }
	}
	logDir, wheelPath, checkPath, metricsPath := cfg.paths()
	t := &Timer{cfg: cfg, precision: cfg.Precision.Milliseconds(), handles: logfile.NewHandles(openFiles)}
	if t.wheel = (wheel{fs: cfg.FS, path: wheelPath, precision: t.precision, slots: slotCount}); cfg.slots > 0 {
		t.wheel.slots = cfg.slots
	}
	window := int64(cfg.RollWindow)
	if most := t.wheel.slots/2 - slotsSpared; window > most || window < 2 {
		window = most
	}
	t.rollAfter = window * t.precision
	t.log.files = logfile.NewLog(cfg.FS, t.handles, cfg.LogFileSize, logDir)
	t.file = checkFile{fs: cfg.FS, path: checkPath}
	t.metrics = metrics{path: metricsPath, log: cfg.Logger, topics: cfg.Topics}
	err := t.load()
	if err == nil {
		err = t.recover()
	}
	if err != nil {
		_ = t.release()
		return nil, err
	}
	return t, nil
}

func (t *Timer) load() (err error) {
	if t.check, err = t.file.read(); err != nil {
		return err
	}
	if err := t.removeTorn(); err != nil {
		return err
	}
	if err := t.log.files.Load(); err != nil {
		return t.explainSize(err)
	}
	if t.cfg.Snapshots {
		if err := t.takeSnapshot(); err != nil {
			return fmt.Errorf("cannot use snapshot of timer wheel: %w", err)
		}
	}
	if err := t.wheel.open(); err != nil {
		return err
	}
	if err := t.secure(); err != nil {
		return err
	}
	return t.metrics.load()
}

// secure makes durable what was found, which a process may have written that was killed before it made it durable: the next flush
// covers what was changed since only, and its checkpoint all.
func (t *Timer) secure() error {
	t.log.files.Doubt(t.check.LogFlushed)
	if err := t.log.files.Sync(); err != nil {
		return fmt.Errorf("cannot sync timer log: %w", err)
	}
	if t.wheel.file == nil {
		return nil
	}
	if err := t.wheel.file.Sync(); err != nil {
		return fmt.Errorf("cannot sync timer wheel: %w", err)
	}
	return nil
}

// removeTorn removes files of the timer log that a power cut took the length of, or the name of the file before. They hold nothing that
// the checkpoint counts on.
func (t *Timer) removeTorn() error {
	size := t.log.files.FileSize()
	files, err := logfile.List(t.cfg.FS, t.log.files.Dirs()...)
	if err != nil {
		return err
	}
	next := int64(nowhere)
	for _, f := range files {
		if torn := f.Size != size || next != nowhere && f.Start != next; !torn || f.Start < t.check.LogFlushed {
			next = f.Start + size
			continue
		}
		t.cfg.Logger.Warn("file of the timer log was not whole when the power was cut, it is made again", "file", filepath.Base(f.Path), "bytes", f.Size)
		if err := t.cfg.FS.Remove(f.Path); err != nil {
			return fmt.Errorf("cannot remove torn file of the timer log: %w", err)
		}
	}
	return nil
}

// recover finds the end of the log and brings the wheel to it.
//
// The wheel in its file is that of the checkpoint, or of some moment after it, for its pages are written one by one. Either way the
// last record of a slot's chain that the wheel knows is in the durable log, and putting the records behind the checkpoint into
// their slots again makes the chains whole.
func (t *Timer) recover() error {
	l := &t.log
	l.start = l.files.Start()
	t.reached = t.check.QueueFlushed
	if t.check.Read == 0 { // without a checkpoint
		t.check.Read = t.oldest()
	}
	t.read = t.floor(t.check.Read)
	if l.files.Len() == 0 {
		l.end, l.written = 0, 0
		return nil
	}
	from := t.recordAt(min(max(t.check.LogFlushed, l.start), l.files.End()))
	l.end, l.written = from, from
	wheel, err := t.wheel.load(t.read, from)
	if err != nil {
		return err
	}
	t.waiting = wheel.messages
	fits := t.fits(wheel, from)
	if !fits {
		from = l.start
	}
	var last *record
	end, err := l.scan(from, func(_ int64, r *record) bool {
		if r.logOffset+int64(r.size) > t.cfg.CommitLogEnd {
			return false
		}
		last = r
		return true
	})
	if err != nil {
		return err
	}
	if last == nil {
		// Nothing behind the checkpoint: the last records before it may speak of messages that the commit log lost.
		if end, err = t.lastKept(end); err != nil {
			return err
		}
	}
	if err := t.cut(end); err != nil {
		return err
	}
	if !fits {
		return t.rebuild()
	}
	oldest := min(from, wheel.oldest)
	if err := t.replay(min(from, end), end); err != nil {
		return err
	}
	if err := t.mend(end); err != nil {
		return err
	}
	return t.recount(oldest)
}

// oldest is the time of the oldest slot that the wheel is good for; there are none from before 1970, where a clock may begin.
func (t *Timer) oldest() int64 {
	return max(0, t.floor(t.cfg.clock())-(t.wheel.slots/2-slotsSpared)*t.precision)
}

// fits says whether a wheel is that of the log, whose durable part ends at a position: with the same precision, and not of another time.
// The slot with the newest record there tells.
func (t *Timer) fits(w loaded, end int64) bool {
	if w.newest == nowhere {
		return t.before(end) == nowhere
	}
	if w.newest < t.log.start {
		return true
	}
	reader := logReader{log: &t.log}
	r, err := reader.at(w.newest)
	return err == nil && t.floor(r.due()) == w.newestTime
}

// recordAt is the highest position of a record at or before a position.
func (t *Timer) recordAt(pos int64) int64 {
	size := t.log.files.FileSize()
	return pos/size*size + pos%size/recordSize*recordSize
}

// lastKept goes back over records of messages that are not in the commit log.
func (t *Timer) lastKept(end int64) (int64, error) {
	l := &t.log
	l.end, l.written = end, end
	reader := logReader{log: l}
	for pos := t.before(end); pos != nowhere; pos = t.before(pos) {
		r, err := reader.at(pos)
		if err != nil {
			return 0, err
		}
		if r.logOffset+int64(r.size) <= t.cfg.CommitLogEnd {
			break
		}
		end = pos
	}
	return end, nil
}

// before is the position of the record before the one at a position, nowhere when there is none.
func (t *Timer) before(pos int64) int64 {
	size := t.log.files.FileSize()
	if pos%size == 0 {
		pos = pos - size + ((size-blankSize)/recordSize)*recordSize
	}
	if pos -= recordSize; pos < t.log.start {
		return nowhere
	}
	return pos
}

// cut ends the log at a position: what lies behind must not look like records one day.
func (t *Timer) cut(end int64) error {
	l := &t.log
	size := l.files.FileSize()
	if err := l.files.RemoveFrom((end + size - 1) / size * size); err != nil {
		return err
	}
	l.end, l.written = end, end
	if end%size == 0 {
		return nil
	}
	return l.files.Zero(end)
}

// replay puts records into their slots that the wheel may not know, from a position on up to another.
func (t *Timer) replay(from, end int64) (err error) {
	_, failed := t.log.scan(from, func(pos int64, r *record) bool {
		if pos >= end {
			return false
		}
		at := t.floor(r.due())
		if !t.wheel.spans(t.read, at) {
			return true
		}
		var s slot
		var here bool
		if s, here, err = t.wheel.get(at); err != nil {
			return false
		}
		if here && s.last >= pos {
			return true
		}
		if s.first == nowhere {
			s.first = pos
		}
		s.last = pos
		s.number += r.counts()
		t.waiting += int64(r.counts())
		err = t.wheel.put(at, s)
		return err == nil
	})
	return errors.Join(err, failed)
}

// mend makes slots anew that end behind the log, which was cut or damaged.
func (t *Timer) mend(end int64) error {
	from := int64(math.MaxInt64)
	for at, ok := t.wheel.next(t.read); ok; at, ok = t.nextBehind(at) {
		s, here, err := t.wheel.get(at)
		if err != nil {
			return err
		}
		if here && s.last < end {
			continue
		}
		from = min(from, max(s.first, t.log.start))
		t.waiting -= int64(s.number)
		t.wheel.leave(at)
		if err := t.wheel.put(at, slot{first: nowhere, last: nowhere}); err != nil {
			return err
		}
		t.wheel.leave(at)
	}
	if from >= end {
		return nil
	}
	t.cfg.Logger.Warn("timer log ends before the timer wheel does: slots are made anew", "log_offset", from, "end", end)
	return t.replay(t.recordAt(from), end)
}

// nextBehind is the next occupied slot behind a time, within one turn of the wheel from read on.
func (t *Timer) nextBehind(at int64) (int64, bool) {
	next, ok := t.wheel.next(at + t.precision)
	return next, ok && next > at && next < t.read+t.wheel.slots*t.precision
}

// rebuild fills an empty wheel from the log: the wheel is missing, or has another precision. The records are appended once more, for
// the chains in the log are those of the old slots; each once, though the log has it twice when that was done before.
func (t *Timer) rebuild() error {
	l := &t.log
	if t.wheel.file != nil {
		if err := t.wheel.file.Close(); err != nil {
			return err
		}
		t.wheel.file = nil
		if err := t.cfg.FS.Remove(t.wheel.path); err != nil {
			return err
		}
	}
	t.wheel.pages, t.wheel.occupied, t.waiting = nil, nil, 0
	oldest := max(t.read, t.oldest())
	var again []record
	seen := map[int64]bool{} // messages, by log offset
	end := l.end
	t.read = t.floor(oldest)
	_, err := l.scan(l.start, func(pos int64, r *record) bool {
		if pos < end && t.wheel.spans(t.read, t.floor(r.due())) && !seen[r.logOffset] {
			seen[r.logOffset] = true
			again = append(again, *r)
		}
		return pos < end
	})
	if err != nil || len(again) == 0 {
		return err
	}
	t.cfg.Logger.Warn("timer wheel does not fit the timer log: it is made anew", "messages", len(again))
	for _, r := range again {
		if err := t.link(r.due(), r, nil); err != nil {
			return err
		}
	}
	if err := t.recount(end); err != nil {
		return err
	}
	return t.Flush()
}

// Logged returns where the messages lie, in the commit log and from a log offset on, that are in the timer log already: in
// ascending order.
func (t *Timer) Logged(from int64) ([]int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []int64
	reader := logReader{log: &t.log}
	for pos := t.before(t.log.end); pos != nowhere; pos = t.before(pos) {
		r, err := reader.at(pos)
		if err != nil {
			return nil, fmt.Errorf("cannot tell which timers are in the wheel: %w", err)
		}
		if r.logOffset < from {
			break
		}
		found = append(found, r.logOffset)
	}
	slices.Sort(found)
	return found, nil
}

// recount counts the messages of each topic anew, in the records from a position on, if the counts that were kept are not those of the
// wheel.
func (t *Timer) recount(from int64) error {
	if t.metrics.sum() == t.waiting {
		return nil
	}
	names := t.metrics.hashes()
	counts := map[string]int64{}
	_, err := t.log.scan(t.recordAt(max(from, t.log.start)), func(pos int64, r *record) bool {
		if name, known := names[r.topicHash]; known && t.floor(r.due()) >= t.read {
			counts[name] += int64(r.counts())
		}
		return pos < t.log.end
	})
	t.metrics.set(counts)
	return err
}

// explainSize adds to the error of loading the timer log which setting does not fit its files, and which value would.
func (t *Timer) explainSize(err error) error {
	if !errors.Is(err, logfile.ErrFileSize) {
		return err
	}
	err = fmt.Errorf("%w by mappedFileSizeTimerLog", err)
	if found, failed := logfile.FindSize(t.cfg.FS, 1, t.log.files.Dirs()...); failed == nil && found != t.cfg.LogFileSize {
		err = fmt.Errorf("%w; set mappedFileSizeTimerLog=%d, which is what the files have", err, found)
	}
	return err
}
