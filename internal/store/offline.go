package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// Offline is a store directory that no broker runs on, opened to be looked at or mended. Nothing of it is recovered, so that what is
// wrong can be seen, and files that Open would refuse are passed over. What it takes of memory does not grow with the log.
type Offline struct {
	cfg        Config
	lock       io.Closer
	handles    *logfile.Handles
	clean      bool // the store was closed by its last user
	runs       []*logfile.Log
	oddLog     []logfile.FileInfo
	checkpoint checkpoint
	knowsShape bool // of index files
	// The size of the log's files is the standard one, for the only file there is was cut off.
	assumedSize bool
	plan        plan
}

// OpenOffline takes the directory, so that no broker can start on it. File sizes of cfg that are 0 are those that the files have. Without
// change nothing in the directory is changed, whatever is called.
func OpenOffline(cfg Config, change bool) (*Offline, error) {
	if cfg.FS == nil {
		cfg.FS = logfile.Disk{}
	}
	if !change {
		cfg.FS = logfile.ReadOnly{FS: cfg.FS}
	}
	if err := isStore(cfg.FS, cfg.RootDir); err != nil {
		return nil, err
	}
	lock, err := lockDir(cfg.FS, cfg.RootDir)
	if err != nil {
		return nil, err
	}
	o := &Offline{cfg: cfg, lock: lock, handles: logfile.NewHandles(openFiles)}
	if err := o.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return o, nil
}

// isStore refuses a folder that has nothing of a store.
func isStore(fs logfile.FS, dir string) error {
	entries, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("cannot list store %q: %w", dir, err)
	}
	for _, e := range entries {
		switch e.Name {
		case "commitlog", "consumequeue", "checkpoint", "config", "lock":
			return nil
		}
	}
	return fmt.Errorf("cannot find a store in %q: it has no commitlog, consumequeue, checkpoint or config; give the folder that storePathRootDir names", dir)
}

func (o *Offline) load() (err error) {
	if err := o.findSizes(); err != nil {
		return err
	}
	if err := o.cfg.complete(); err != nil {
		return err
	}
	s := o.view(nil)
	if o.clean, err = s.wasClean(); err != nil {
		return err
	}
	return o.listLog()
}

// listLog finds the files of the log.
func (o *Offline) listLog() (err error) {
	o.runs, o.oddLog, err = logfile.Runs(o.cfg.FS, o.handles, o.cfg.CommitLogFileSize, o.cfg.CommitLogDirs...)
	return err
}

// queueDirs lists the folders <topic>/<queueId> in dir.
func queueDirs(fs logfile.FS, dir string) (dirs []string, err error) {
	err = eachFolder(fs, dir, nil, func(topic, name string) error {
		dirs = append(dirs, filepath.Join(dir, topic, name))
		return nil
	})
	return dirs, err
}

// Close gives the directory back.
func (o *Offline) Close() error {
	var err error
	for _, run := range o.runs {
		err = errors.Join(err, run.Close())
	}
	return errors.Join(err, o.lock.Close())
}

// Config is what the directory was opened with, with the sizes that its files have.
func (o *Offline) Config() Config { return o.cfg }

// LogStart is the log offset of the first byte there is.
func (o *Offline) LogStart() int64 {
	if len(o.runs) == 0 {
		return 0
	}
	return o.runs[0].Start()
}

// logFilesEnd is the log offset behind the last file.
func (o *Offline) logFilesEnd() int64 {
	if len(o.runs) == 0 {
		return 0
	}
	return o.runs[len(o.runs)-1].End()
}

// view is a store that was never opened, on whose log the functions of recovery can be called.
func (o *Offline) view(run *logfile.Log) *Store {
	s := &Store{cfg: o.cfg, handles: o.handles, logHandles: o.handles, logger: o.cfg.Logger, now: o.cfg.now}
	s.queues.batch = map[string]bool{}
	s.log.files = run
	return s
}

// name is a path as it is told: from the root on.
func (o *Offline) name(path string) string {
	if rel, err := filepath.Rel(o.cfg.RootDir, path); err == nil && !strings.HasPrefix(rel, "..") {
		return filepath.ToSlash(rel)
	}
	return path
}

// place is the file and the position in it of a log offset.
func (o *Offline) place(off int64) (name string, at int64) {
	for _, run := range o.runs {
		if path := run.PathAt(off); path != "" {
			return o.name(path), off % run.FileSize()
		}
	}
	return "commitlog", off
}

// Stretch is a part of the log that holds no good record.
type Stretch struct {
	From, To int64 // To is where the next good record begins, or where the files end
	Dirt     int64 // all from here on to To is zeros; From when there is nothing else
	Tail     bool  // no good record follows
	Why      error
}

// logVisit is what scanLog calls.
type logVisit struct {
	record   func(rec []byte, m *message.Dispatch) error
	bad      func(Stretch) error
	progress func(off int64)
}

// scanLog reads the log from an offset on, record by record as recovery does, but goes on behind what is damaged.
func (o *Offline) scanLog(ctx context.Context, from int64, v logVisit) error {
	for i, run := range o.runs {
		if run.End() <= from {
			continue
		}
		if err := o.scanRun(ctx, run, max(from, run.Start()), i == len(o.runs)-1, v); err != nil {
			return err
		}
	}
	return nil
}

func (o *Offline) scanRun(ctx context.Context, run *logfile.Log, from int64, last bool, v logVisit) error {
	c := scanner{store: o.view(run), clean: o.clean, off: from}
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		for c.next() {
			if c.messages%256 == 0 {
				if err := context.Cause(ctx); err != nil {
					return err
				}
				if v.progress != nil {
					v.progress(c.off)
				}
			}
			at := c.record.LogOffset - c.bufAt
			if err := v.record(c.buf[at:at+int64(c.record.Size):at+int64(c.record.Size)], &c.record); err != nil {
				return err
			}
		}
		if c.off >= run.End() {
			return nil
		}
		bad := Stretch{From: c.off, Why: c.why}
		if c.failed != nil {
			bad.Why, c.failed = c.failed, nil
		}
		if err := o.resync(ctx, run, &bad); err != nil {
			return err
		}
		bad.Tail = last && bad.To >= run.End()
		if v.bad != nil {
			if err := v.bad(bad); err != nil {
				return err
			}
		}
		if bad.To >= run.End() {
			return nil
		}
		c.off = bad.To
	}
}

// Parts of the magics that resync looks for.
var (
	recordMagic = []byte{0xDA, 0xA3, 0x20}
	blankMagic  = []byte{0xCB, 0xD4, 0x31, 0x94}
)

// resync finds the next good record, or the end of a file, behind where a bad stretch begins. A record knows its own log offset, so what
// merely looks like one is not taken for it.
func (o *Offline) resync(ctx context.Context, run *logfile.Log, bad *Stretch) error {
	try := scanner{store: o.view(run), clean: o.clean}
	buf := make([]byte, 1<<20)
	bad.Dirt = bad.From
	for pos := bad.From; pos < run.End(); {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		fileEnd := (pos/run.FileSize() + 1) * run.FileSize()
		data, err := run.NextData(pos)
		if err != nil {
			data = pos
		}
		if data >= fileEnd {
			pos = fileEnd
			continue
		}
		pos = max(pos, data-message.BlankSize) // a size that begins with zeros may reach into what was never written
		b := buf[:min(int64(len(buf)), fileEnd-pos)]
		if _, err := run.ReadAt(b, pos); err != nil {
			bad.Why = errors.Join(bad.Why, fmt.Errorf("cannot read %d bytes at %d: %w", len(b), pos, err))
			bad.Dirt = pos + int64(len(b))
			pos += int64(len(b))
			continue
		}
		at, found := findRecord(b, func(at int) bool {
			off := pos + int64(at)
			if off <= bad.From {
				return false
			}
			if size, kind := message.Peek(b[at:]); kind == message.Blank {
				return int64(size) == fileEnd-off
			} else if kind != message.Record || int64(size) > fileEnd-off {
				return false
			}
			try.off = off
			return try.next()
		})
		stop := len(b)
		if found {
			stop = at
		}
		if n := len(bytes.TrimRight(b[:stop], "\x00")); n > 0 {
			bad.Dirt = pos + int64(n)
		}
		if found {
			bad.To = pos + int64(at)
			return nil
		}
		if len(b) < len(buf) {
			pos = fileEnd
		} else {
			pos += int64(len(b)) - message.BlankSize
		}
	}
	bad.To = run.End()
	return nil
}

// findRecord returns the first place in b where a record or blank may begin and good says so.
func findRecord(b []byte, good func(at int) bool) (int, bool) {
	for from := 0; ; {
		i, k := bytes.Index(b[from:], recordMagic), bytes.Index(b[from:], blankMagic)
		if i < 0 || k >= 0 && k < i {
			i = k
		}
		if i < 0 {
			return 0, false
		}
		at := from + i - 4
		if at >= 0 && at+message.BlankSize <= len(b) && good(at) {
			return at, true
		}
		from += i + 1
	}
}

// RecordAt reads the good record at a log offset.
func (o *Offline) RecordAt(off int64) ([]byte, *message.Dispatch, error) {
	for _, run := range o.runs {
		if off < run.Start() || off >= run.End() {
			continue
		}
		c := scanner{store: o.view(run), clean: o.clean, off: off, small: true}
		if !c.next() {
			return nil, nil, errors.Join(c.why, c.failed)
		}
		at := c.record.LogOffset - c.bufAt
		return c.buf[at : at+int64(c.record.Size)], &c.record, nil
	}
	return nil, nil, fmt.Errorf("log offset %d: %w", off, ErrNoMessage)
}

// describe says which message a bad record was, as far as its lengths still fit together.
func (o *Offline) describe(bad Stretch) (text string, size int64) {
	for _, run := range o.runs {
		if bad.From < run.Start() || bad.From >= run.End() {
			continue
		}
		head := make([]byte, message.BlankSize)
		left := run.FileSize() - bad.From%run.FileSize()
		if left < message.MinRecordSize {
			return "", 0
		}
		if _, err := run.ReadAt(head, bad.From); err != nil {
			return "", 0
		}
		n, kind := message.Peek(head)
		if kind != message.Record || int64(n) > left || n > 64<<20 {
			return "", 0
		}
		rec := make([]byte, n)
		if _, err := run.ReadAt(rec, bad.From); err != nil {
			return "", 0
		}
		var m message.Message
		if err := message.Decode(rec, &m); err != nil || strings.ContainsRune(m.Topic, 0) {
			return "", int64(n)
		}
		return fmt.Sprintf("the message %q queue %d offset %d", m.Topic, m.QueueID, m.QueueOffset), int64(n)
	}
	return "", 0
}
