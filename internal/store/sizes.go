package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// SizeSetting is a setting that says how large files are, and does not fit them.
type SizeSetting struct {
	Name  string // as the configuration has it
	Given int64
	Found int64 // what most files have
}

// sizeSetting is one size of a configuration, and how it is found from the files.
type sizeSetting struct {
	name     string
	of       *int64
	standard int64
	least    int64
	unit     int64 // the size is a multiple of it; what is given is rounded up
	dirs     func() ([]string, error)
}

func (c *Config) sizeSettings() []sizeSetting {
	standard := DefaultConfig(c.RootDir)
	sub := func(name string) func() ([]string, error) {
		return func() ([]string, error) { return queueDirs(c.FS, filepath.Join(c.RootDir, name)) }
	}
	return []sizeSetting{
		{"mappedFileSizeCommitLog", &c.CommitLogFileSize, standard.CommitLogFileSize, 4096, 1, func() ([]string, error) { return c.CommitLogDirs, nil }},
		{"mappedFileSizeConsumeQueue", &c.ConsumeQueueFileSize, standard.ConsumeQueueFileSize, 1, unitSize, sub("consumequeue")},
		{"mapperFileSizeBatchConsumeQueue", &c.BatchConsumeQueueFileSize, standard.BatchConsumeQueueFileSize, 1, batchUnitSize, sub("batchconsumequeue")},
		{"mappedFileSizeConsumeQueueExt", &c.ConsumeQueueExtFileSize, standard.ConsumeQueueExtFileSize, 1, 1, sub("consumequeue_ext")},
	}
}

// find is the size that most files have, 0 without files.
func (s *sizeSetting) find(fs logfile.FS) (int64, error) {
	dirs, err := s.dirs()
	if err != nil {
		return 0, err
	}
	return logfile.FindSize(fs, s.unit, dirs...)
}

// findSizes takes sizes that are not given from the files.
func (o *Offline) findSizes() (err error) {
	c := &o.cfg
	o.knowsShape = true
	standard := DefaultConfig(c.RootDir)
	if len(c.CommitLogDirs) == 0 {
		c.CommitLogDirs = []string{filepath.Join(c.RootDir, "commitlog")}
	}
	for _, size := range c.sizeSettings() {
		if *size.of != 0 {
			continue
		}
		if *size.of, err = size.find(c.FS); err != nil {
			return err
		}
		if size.of == &c.CommitLogFileSize {
			o.assumedSize = o.onlyFileIsCut(*size.of)
		}
		if *size.of == 0 || size.of == &c.CommitLogFileSize && o.assumedSize {
			*size.of = size.standard
		}
	}
	if c.MaxHashSlotNum == 0 || c.MaxIndexNum == 0 {
		shape, known, err := findShape(c.FS, c.indexDir(), indexShape{int32(standard.MaxHashSlotNum), int32(standard.MaxIndexNum)})
		if err != nil {
			return err
		}
		o.knowsShape = known
		c.MaxHashSlotNum, c.MaxIndexNum = int(shape.slots), int(shape.entries)
	}
	return nil
}

// FileSizes finds how long most files of a store are, by the setting that says so; what has no files is not there. It looks at nothing but
// the names and lengths.
func FileSizes(rootDir string, commitLogDirs ...string) (map[string]int64, error) {
	c := DefaultConfig(rootDir)
	c.CommitLogDirs = commitLogDirs
	if err := c.complete(); err != nil {
		return nil, err
	}
	sizes := make(map[string]int64)
	for _, size := range c.sizeSettings() {
		found, err := size.find(c.FS)
		if err != nil {
			return nil, err
		}
		if found != 0 {
			sizes[size.name] = found
		}
	}
	return sizes, nil
}

// Sizes looks at the files and returns the settings that do not fit them.
func (o *Offline) Sizes() (wrong []SizeSetting, err error) {
	for _, size := range o.cfg.sizeSettings() {
		found, err := size.find(o.cfg.FS)
		if err != nil {
			return nil, err
		}
		if found != 0 && found != *size.of && (size.of != &o.cfg.CommitLogFileSize || o.newestCut() < 0) {
			wrong = append(wrong, SizeSetting{size.name, *size.of, found})
		}
	}
	given := o.cfg.indexShape()
	shape, known, err := findShape(o.cfg.FS, o.cfg.indexDir(), given)
	if err != nil || !known {
		return wrong, err
	}
	if shape.slots != given.slots {
		wrong = append(wrong, SizeSetting{"maxHashSlotNum", int64(given.slots), int64(shape.slots)})
	}
	if shape.entries != given.entries {
		wrong = append(wrong, SizeSetting{"maxIndexNum", int64(given.entries), int64(shape.entries)})
	}
	return wrong, nil
}

// explainSizes adds to the error of an Open that was refused for the length of a file which settings would fit.
func (s *Store) explainSizes(err error) error {
	if !errors.Is(err, logfile.ErrFileSize) {
		return err
	}
	o := &Offline{cfg: s.cfg, handles: s.logHandles}
	if o.listLog() != nil {
		return err
	}
	wrong, failed := o.Sizes()
	if failed != nil {
		return err
	}
	if len(wrong) == 0 {
		return fmt.Errorf("%w; most files have the length that they should: `liftoff store check` tells of all that do not", err)
	}
	set := make([]string, len(wrong))
	for i, size := range wrong {
		set[i] = fmt.Sprintf("%s=%d", size.Name, size.Found)
	}
	return fmt.Errorf("%w; set %s, which is what the files have", err, strings.Join(set, " and "))
}

// WrongLogSize is the size that the files of the log have when none of them has the one that the configuration tells, and 0 when all is
// well or only the newest file was cut off. A check with such a configuration finds nothing but wrong things.
func (o *Offline) WrongLogSize() int64 {
	if len(o.runs) > 0 || o.newestCut() >= 0 {
		return 0
	}
	found, err := logfile.FindSize(o.cfg.FS, 1, o.cfg.CommitLogDirs...)
	if err != nil {
		return 0 // they were listed just now
	}
	return found
}

// newestCut finds, among the odd files of the log, the only one that is used, when it goes on where the others end and is too short; -1
// when there is none. Of an only file it must show that it once was longer, or the configuration may be wrong as well.
func (o *Offline) newestCut() int {
	used := func(odd logfile.FileInfo) bool { return odd.Size > 0 }
	i := slices.IndexFunc(o.oddLog, used)
	if i < 0 || slices.ContainsFunc(o.oddLog[i+1:], used) || o.oddLog[i].Size >= o.cfg.CommitLogFileSize {
		return -1
	}
	if odd := o.oddLog[i]; len(o.runs) > 0 && odd.Start == o.logFilesEnd() || len(o.runs) == 0 && o.endsAmidRecord(odd) {
		return i
	}
	return -1
}

// onlyFileIsCut says whether the log has one file, which is so long and once was longer, so that no file tells what they should be.
func (o *Offline) onlyFileIsCut(size int64) bool {
	if size >= DefaultConfig(o.cfg.RootDir).CommitLogFileSize {
		return false
	}
	// Of this size none is as it should be.
	_, files, err := logfile.Runs(o.cfg.FS, o.handles, 0, o.cfg.CommitLogDirs...)
	files = slices.DeleteFunc(files, func(f logfile.FileInfo) bool { return f.Size == 0 })
	return err == nil && len(files) == 1 && o.endsAmidRecord(files[0])
}

// endsAmidRecord says whether a file of the log ends before its last record does.
func (o *Offline) endsAmidRecord(odd logfile.FileInfo) bool {
	f, err := o.cfg.FS.Open(odd.Path)
	if err != nil {
		return false
	}
	defer f.Close()
	in := bufio.NewReaderSize(io.NewSectionReader(f, 0, odd.Size), 64<<10)
	for left := odd.Size; left > 0; {
		head, err := in.Peek(message.BlankSize)
		if err != nil {
			return errors.Is(err, io.EOF) // a file that is whole ends with a blank, or with zeros
		}
		size, kind := message.Peek(head)
		switch {
		case kind != message.Record:
			return false
		case int64(size) > left:
			return true
		}
		if _, err := in.Discard(size); err != nil {
			return false
		}
		left -= int64(size)
	}
	return false
}
