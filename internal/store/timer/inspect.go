package timer

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// Record is one record of the timer log, for those who look at it from outside.
type Record struct {
	Position  int64 `json:"position"`
	Prev      int64 `json:"prev"` // record before it in its slot, -1: none
	Added     int64 `json:"added"`
	Due       int64 `json:"due"` // ms
	LogOffset int64 `json:"logOffset"`
	Size      int32 `json:"size"`
	TopicHash int32 `json:"topicHash"`
	Roll      bool  `json:"roll,omitempty"`
	Delete    bool  `json:"delete,omitempty"`
}

// Problem is something that is wrong with wheel, log or checkpoint.
type Problem struct {
	Path  string
	At    int64 // position in the file, -1: none
	What  string
	Wheel bool // the wheel is wrong, which can be made anew from the log
	Note  bool // nothing is wrong
}

// Inspected is what Inspect has looked at.
type Inspected struct {
	Checkpoint Checkpoint
	LogFiles   int
	Records    int64
	Slots      int64 // in which somebody waits
	Waiting    int64 // messages that wait
	Start, End int64 // of the timer log
}

// inspector is one run of Inspect.
type inspector struct {
	cfg     Config
	log     timerLog
	wheel   wheel
	problem func(Problem)
	sum     Inspected
}

// Inspect reads wheel, log and checkpoint of a store that no broker runs on, changes nothing and tells what is wrong. A LogFileSize of 0
// is that of the files, a Precision of 0 that of the wheel. each, if given, is called for each record in order.
func Inspect(cfg Config, each func(Record) error, problem func(Problem)) (Inspected, error) {
	if cfg.FS == nil {
		cfg.FS = logfile.Disk{}
	}
	cfg.FS = logfile.ReadOnly{FS: cfg.FS}
	logDir, wheelPath, checkPath, _ := cfg.paths()
	x := inspector{cfg: cfg, problem: problem}
	x.wheel = wheel{fs: cfg.FS, path: wheelPath, precision: cmp.Or(cfg.Precision.Milliseconds(), 1000), slots: slotCount}
	if cfg.slots > 0 {
		x.wheel.slots = cfg.slots
	}
	check := checkFile{fs: cfg.FS, path: checkPath}
	var err error
	if x.sum.Checkpoint, err = check.read(); err != nil {
		problem(Problem{Path: checkPath, At: 0, What: err.Error()})
	}
	if check.file != nil {
		check.file.Close()
	}
	if err := x.load(logDir); err != nil || x.log.files == nil {
		return x.sum, err
	}
	defer x.log.files.Close()
	if err := x.readLog(each); err != nil {
		return x.sum, err
	}
	return x.sum, x.readWheel()
}

// load finds the files of the log: the newest run of them counts.
func (x *inspector) load(dir string) error {
	size := x.cfg.LogFileSize
	if size == 0 {
		var err error
		if size, err = logfile.FindSize(x.cfg.FS, 1, dir); err != nil || size == 0 {
			return err
		}
	}
	runs, odd, err := logfile.Runs(x.cfg.FS, logfile.NewHandles(openFiles), size, dir)
	if err != nil {
		return err
	}
	others := "the others are"
	if len(runs) == 0 {
		others = "mappedFileSizeTimerLog is"
	}
	for _, f := range odd {
		if f.Size > 0 || f.Start < x.sum.Checkpoint.LogFlushed {
			x.problem(Problem{Path: f.Path, At: -1, What: fmt.Sprintf("it is %d bytes long, %s %d", f.Size, others, size)})
		}
	}
	if len(runs) == 0 || size < recordSize+blankSize {
		return nil
	}
	x.log.files = runs[len(runs)-1]
	if len(runs) > 1 {
		start := x.log.files.Start()
		x.problem(Problem{Path: x.log.files.PathAt(start), At: 0, What: fmt.Sprintf("files are missing before it: the one before ends at %d", runs[len(runs)-2].End())})
	}
	x.sum.LogFiles = x.log.files.Len()
	return nil
}

// readLog reads all records. Each has its place, so one that is damaged hides no other.
func (x *inspector) readLog(each func(Record) error) error {
	l := &x.log
	l.start = l.files.Start()
	x.sum.Start = l.start
	x.sum.End = l.start
	var failed error
	for from := l.start; from < l.files.End(); {
		end, err := l.scan(from, func(pos int64, r *record) bool {
			x.sum.Records++
			x.sum.End = pos + recordSize
			if r.prev >= pos {
				x.problem(Problem{Path: l.files.PathAt(pos), At: pos % l.files.FileSize(), What: fmt.Sprintf("record at %d leads forward, to %d", pos, r.prev)})
			}
			if each != nil {
				failed = each(Record{Position: pos, Prev: r.prev, Added: r.added, Due: r.due(), LogOffset: r.logOffset, Size: r.size,
					TopicHash: r.topicHash, Roll: r.magic&magicRoll != 0, Delete: r.magic&magicDelete != 0})
			}
			return failed == nil
		})
		if err != nil || failed != nil {
			return errors.Join(err, failed)
		}
		if end >= x.sum.Checkpoint.LogFlushed || end >= l.files.End() {
			break
		}
		x.problem(Problem{Path: l.files.PathAt(end), At: end % l.files.FileSize(), What: fmt.Sprintf("no record at %d, though the log is durable up to %d", end, x.sum.Checkpoint.LogFlushed)})
		if from = end + recordSize; l.left(end) < 2*recordSize+blankSize {
			from = (end/l.files.FileSize() + 1) * l.files.FileSize()
		}
	}
	l.end, l.written = x.sum.End, x.sum.End
	return nil
}

// readWheel compares each slot in which somebody waits with the record that it leads to.
func (x *inspector) readWheel() error {
	w := &x.wheel
	f, err := w.fs.Open(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		if x.sum.Records > 0 {
			x.problem(Problem{Path: w.path, At: -1, What: "there is none, though there is a log; the next start makes it from the log", Wheel: true, Note: true})
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot open timer wheel: %w", err)
	}
	defer f.Close()
	if size, err := f.Size(); err != nil || size != w.size() {
		if size > 0 {
			x.problem(Problem{Path: w.path, At: -1, What: fmt.Sprintf("it is %d bytes long, a wheel has %d", size, w.size()), Wheel: true})
		}
		return err
	}
	reader := logReader{log: &x.log}
	buf := make([]byte, 64*pageSize)
	read := x.sum.Checkpoint.Read / w.precision * w.precision
	for pos := int64(0); pos < w.size(); {
		next, err := f.NextData(pos, w.size())
		if err != nil {
			return fmt.Errorf("cannot read timer wheel: %w", err)
		}
		if pos = next / pageSize * pageSize; pos >= w.size() {
			break
		}
		n := min(int64(len(buf)), w.size()-pos)
		if k, err := f.ReadAt(buf[:n], pos); int64(k) < n {
			return fmt.Errorf("cannot read timer wheel: %w", err)
		}
		for at := int64(0); at < n; at += slotSize {
			x.slot(&reader, buf[at:], pos+at, read)
		}
		pos += n
	}
	return nil
}

// slot compares one slot.
func (x *inspector) slot(reader *logReader, b []byte, pos, read int64) {
	w := &x.wheel
	at, s := readSlot(b)
	if at == 0 && s.last == 0 && s.number == 0 {
		return
	}
	wrong := func(format string, args ...any) {
		x.problem(Problem{Path: w.path, At: pos, What: fmt.Sprintf("slot %d: ", pos/slotSize) + fmt.Sprintf(format, args...), Wheel: true})
	}
	if at < 0 || at >= timeMax/w.precision || at%w.slots != pos/slotSize {
		wrong("time %d does not belong here", at)
		return
	}
	if x.cfg.Precision == 0 && s.last >= x.log.start {
		x.findPrecision(reader, at, s.last)
	}
	if s.last < 0 || !w.spans(read, at*w.precision) {
		return
	}
	x.sum.Slots++
	x.sum.Waiting += int64(s.number)
	if s.last < x.log.start && s.last >= 0 {
		return // its file was deleted
	}
	if s.last >= x.sum.Checkpoint.LogFlushed && s.last >= x.log.end {
		wrong("leads to %d, the timer log ends at %d", s.last, x.log.end)
		return
	}
	r, err := reader.at(s.last)
	switch {
	case err != nil:
		wrong("%v", err)
	case r.due()/w.precision != at:
		wrong("is for %d, but the record at %d is due at %d", at*w.precision, s.last, r.due())
	}
}

// findPrecision takes the precision of the wheel from one slot.
func (x *inspector) findPrecision(reader *logReader, slotTime, last int64) {
	r, err := reader.at(last)
	if err != nil {
		return
	}
	for _, ms := range []int64{1000, 500, 200, 100} {
		if r.due()/ms == slotTime {
			x.cfg.Precision = time.Duration(ms) * time.Millisecond
			x.wheel.precision = ms
		}
	}
}

// RemoveWheel moves the wheel to a folder, so that the next start makes it anew from the log.
func RemoveWheel(cfg Config, to string) error {
	if cfg.FS == nil {
		cfg.FS = logfile.Disk{}
	}
	_, path, _, _ := cfg.paths()
	if err := cfg.FS.MkdirAll(filepath.Dir(to)); err != nil {
		return err
	}
	if err := cfg.FS.Rename(path, to); err != nil {
		return fmt.Errorf("cannot put timer wheel aside: %w", err)
	}
	return cfg.FS.SyncDir(filepath.Dir(path))
}
