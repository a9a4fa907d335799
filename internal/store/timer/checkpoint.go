package timer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// The checkpoint is config/timercheck, 4096 bytes of which 56 are used.
//
//	 0         8              16               24              32             40             48          56
//	+---------+--------------+----------------+---------------+--------------+--------------+-----------+
//	| read 8B | log flushed  | queue offset   | queue offset  | state        | changed at   | changes 8B|
//	|         | 8B           | written 8B     | flushed 8B    | version 8B   | 8B           |           |
//	+---------+--------------+----------------+---------------+--------------+--------------+-----------+
//
// Big-endian. Read is the time, in ms, of the first slot that is not delivered. Log flushed is the position up to which the timer log is
// durable, and the wheel with it. The queue offsets are of rmq_sys_wheel_timer: what lies before the flushed one is in the durable
// timer log or delivered; what lies before the written one outlasts the end of the process. Apache calls the former the master's,
// goes on from it, and keeps the latter no higher.
const (
	checkSize     = 56
	checkFileSize = 4096
)

// Checkpoint is what config/timercheck says.
type Checkpoint struct {
	Read         int64
	LogFlushed   int64
	QueueWritten int64
	QueueFlushed int64
	Version      protocol.DataVersion
}

// AppendTo appends the checkpoint as it lies in its file and goes to slaves.
func (c *Checkpoint) AppendTo(dst []byte) []byte {
	for _, v := range [...]int64{c.Read, c.LogFlushed, c.QueueWritten, c.QueueFlushed, c.Version.StateVersion, c.Version.Timestamp, c.Version.Counter} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(v))
	}
	return dst
}

// ReadCheckpoint reads what AppendTo wrote. Numbers that cannot be are taken as 0, which costs work at the start and loses nothing.
func ReadCheckpoint(b []byte) (c Checkpoint) {
	for i, v := range [...]*int64{&c.Read, &c.LogFlushed, &c.QueueWritten, &c.QueueFlushed, &c.Version.StateVersion, &c.Version.Timestamp, &c.Version.Counter} {
		if len(b) >= 8*i+8 {
			*v = max(0, int64(binary.BigEndian.Uint64(b[8*i:])))
		}
	}
	if c.Read > timeMax {
		c.Read = 0
	}
	return c
}

// checkFile is the file of the checkpoint.
type checkFile struct {
	fs   logfile.FS
	path string
	file logfile.File // nil until it is there
}

func (f *checkFile) read() (c Checkpoint, err error) {
	f.file, err = f.fs.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("cannot open timer checkpoint: %w", err)
	}
	size, err := f.file.Size()
	if err != nil {
		return c, fmt.Errorf("cannot read timer checkpoint: %w", err)
	}
	b := make([]byte, min(size, checkSize))
	if n, err := f.file.ReadAt(b, 0); n < len(b) {
		return c, fmt.Errorf("cannot read timer checkpoint: %w", err)
	}
	return ReadCheckpoint(b), nil
}

// write hands the checkpoint to the kernel.
func (f *checkFile) write(c *Checkpoint) error {
	if f.file == nil {
		if err := f.create(); err != nil {
			return fmt.Errorf("cannot make timer checkpoint: %w", err)
		}
	}
	var b [checkSize]byte
	if _, err := f.file.WriteAt(c.AppendTo(b[:0]), 0); err != nil {
		return fmt.Errorf("cannot write timer checkpoint: %w", err)
	}
	return nil
}

func (f *checkFile) create() error {
	if err := f.fs.MkdirAll(filepath.Dir(f.path)); err != nil {
		return err
	}
	file, err := f.fs.Create(f.path)
	if err != nil {
		return err
	}
	err = file.Truncate(checkFileSize)
	if err == nil {
		err = logfile.SyncDir(f.fs, filepath.Dir(f.path))
	}
	if err != nil { // it would be there the next time
		return errors.Join(err, file.Close(), f.fs.Remove(f.path))
	}
	f.file = file
	return nil
}
