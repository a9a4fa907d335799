package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// The file checkpoint says up to where things are durable. 4096 bytes, big-endian, times in ms:
//
//	 0             8             16            24            32            40             48
//	+-------------+-------------+-------------+-------------+-------------+--------------+
//	| newest time | newest time | end time of | master's    | confirmed   | log offset of|
//	| in log      | in queues   | last full   | flushed     | log offset  | newest in    |   rest 0
//	|             |             | index file  | log offset  |             | queues       |
//	+-------------+-------------+-------------+-------------+-------------+--------------+
//	 256                264            272            276
//	+------------------+--------------+--------------+
//	| "LIFTOFF2"       | log offset   | CRC-32 of    |
//	|                  | that queues  | both, without|
//	|                  | reach        | the mark     |
//	+------------------+--------------+--------------+
//
// Apache writes the first 48 bytes (40 before 5.0), each second, and its queues up to the last of them are probably, not
// surely, durable. Ours are surely, and the index and the log too; the CRC tells the two apart, for Apache leaves ours as
// it was. All lies within one sector, which a disk writes whole or not at all.
type checkpoint struct {
	physicTime    int64
	logicsTime    int64
	indexTime     int64
	masterFlushed int64
	confirmed     int64
	logicsOffset  int64 // where the newest message that is durable in log, queues and index begins
	reached       int64 // log offset behind the newest message that is in a queue, 0 when that is not known; of ours only
	ours          bool  // written by Liftoff, and not changed since
}

const (
	checkpointSize   = 4096
	checkpointFields = 48
	atCheckpointMark = 256
	checkpointMark   = "LIFTOFF2"
	atReached        = atCheckpointMark + len(checkpointMark)
	atCheckpointCRC  = atReached + 8
	checkpointUsed   = atCheckpointCRC + 4
)

// readCheckpoint reads the file at path. One that is not there, or was only just made, is a zero checkpoint.
func readCheckpoint(files logfile.FS, path string) (checkpoint, error) {
	f, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return checkpoint{}, nil
	}
	if err != nil {
		return checkpoint{}, fmt.Errorf("cannot open checkpoint %q: %w", path, err)
	}
	defer f.Close()
	var b [checkpointUsed]byte
	n, err := f.ReadAt(b[:], 0)
	if n == 0 && errors.Is(err, io.EOF) {
		return checkpoint{}, nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return checkpoint{}, fmt.Errorf("cannot read checkpoint %q: %w", path, err)
	}
	if n < checkpointFields {
		return checkpoint{}, fmt.Errorf("cannot read checkpoint %q: %d bytes long", path, n)
	}
	be := binary.BigEndian
	var c checkpoint
	for i, field := range c.fields() {
		*field = int64(be.Uint64(b[i*8:]))
		if *field < 0 {
			return checkpoint{}, fmt.Errorf("cannot read checkpoint %q: %d at byte %d", path, *field, i*8)
		}
	}
	c.ours = string(b[atCheckpointMark:atReached]) == checkpointMark && be.Uint32(b[atCheckpointCRC:]) == checkpointSum(&b)
	if c.ours {
		c.reached = int64(be.Uint64(b[atReached:]))
	}
	return c, nil
}

// checkpointSum is the CRC of what ours tells.
func checkpointSum(b *[checkpointUsed]byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(b[:checkpointFields]), crc32.IEEETable, b[atReached:atCheckpointCRC])
}

func (c *checkpoint) fields() [6]*int64 {
	return [6]*int64{&c.physicTime, &c.logicsTime, &c.indexTime, &c.masterFlushed, &c.confirmed, &c.logicsOffset}
}

// write makes c durable as ours. What it tells must be durable already.
func (c checkpoint) write(files logfile.FS, path string) error {
	var b [checkpointUsed]byte
	be := binary.BigEndian
	for i, field := range c.fields() {
		be.PutUint64(b[i*8:], uint64(*field))
	}
	copy(b[atCheckpointMark:], checkpointMark)
	be.PutUint64(b[atReached:], uint64(c.reached))
	be.PutUint32(b[atCheckpointCRC:], checkpointSum(&b))

	f, err := files.Open(path)
	isNew := errors.Is(err, fs.ErrNotExist)
	if isNew {
		f, err = files.Create(path)
	}
	if err != nil {
		return fmt.Errorf("cannot open checkpoint %q: %w", path, err)
	}
	if isNew {
		err = f.Truncate(checkpointSize)
	}
	if err == nil {
		_, err = f.WriteAt(b[:], 0)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil && isNew {
		err = logfile.SyncDir(files, filepath.Dir(path))
	}
	if err != nil && isNew {
		_ = files.Remove(path) // or it would be there the next time, and its name not durable
	}
	if err != nil {
		return fmt.Errorf("cannot write checkpoint %q: %w", path, err)
	}
	return nil
}

func (s *Store) checkpointPath() string { return filepath.Join(s.cfg.RootDir, "checkpoint") }

// writeCheckpoint says that everything up to a mark is durable. The caller holds behindMu.
func (s *Store) writeCheckpoint(mark dispatchMark) error {
	c := &s.checkpoint
	c.physicTime = s.log.flushTime.Load()
	c.logicsTime = mark.newestTime
	c.logicsOffset = mark.newest
	c.reached = mark.reached
	c.ours = true
	if s.index != nil {
		c.indexTime = max(c.indexTime, s.index.fullUntil())
	}
	return c.write(s.cfg.FS, s.checkpointPath())
}

// dropCheckpoint removes the checkpoint, which speaks of what is about to be cut off.
func (s *Store) dropCheckpoint() error {
	s.checkpoint = checkpoint{}
	err := s.cfg.FS.Remove(s.checkpointPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = logfile.SyncDir(s.cfg.FS, s.cfg.RootDir)
	}
	if err != nil {
		return fmt.Errorf("cannot remove checkpoint: %w", err)
	}
	return nil
}
