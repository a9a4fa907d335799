package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"sync"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// A queueExt keeps more of a queue's messages than their units have room for, with enableConsumeQueueExt. Files under
// consumequeue_ext/<topic>/<queueId>/ are made at full length and named by the position of their first byte, 20 digits.
//
//	 0        2             10            18            20
//	+--------+-------------+-------------+-------------+---------+
//	| size 2B| tags code 8B| store time  | length of   | bit map |   big-endian; the size is that of all
//	|        |             | 8B, ms      | bit map 2B  |         |
//	+--------+-------------+-------------+-------------+---------+
//
// The unit in the queue has the address instead of the tags code: the position here, less 2^63. A place never spans two files: -1 in 2
// bytes, for which there is always room, says that the next one is in the next file. The bit map is whatever Hooks.Bits says.
//
// It is written at once, before the unit that points to it, and synced before that one is. After a crash what the log is dispatched
// for again is written again too, so an address never points to what a later message has.
type queueExt struct {
	dir    string
	fs     logfile.FS
	files  *logfile.Log
	logger *slog.Logger

	mu     sync.Mutex // protects the fields below
	end    int64      // where the next one is written
	dirty  bool
	broken bool // told that it cannot be written
	buf    []byte
}

// extended is one entry.
type extended struct {
	tagsCode  int64
	storeTime int64
	bits      []byte
}

const (
	extHead       = 20
	extSizeMax    = math.MaxInt16
	extStretch    = 4096              // is read at once
	extEnd        = 4                 // bytes at the end of a file that are kept free
	extAddressMax = math.MinInt32 - 1 // tags codes are not less than MinInt32
	extOffsetMax  = extAddressMax - math.MinInt64
)

func isExtAddress(tagsCode int64) bool { return tagsCode <= extAddressMax }

func newQueueExt(s *Store, topic string, id int32) *queueExt {
	dir := queueDir(s.queueExtDir(), topic, id)
	return &queueExt{dir: dir, fs: s.cfg.FS, logger: s.logger, files: logfile.NewLog(s.cfg.FS, s.handles, s.cfg.ConsumeQueueExtFileSize, dir)}
}

func (s *Store) queueExtDir() string { return filepath.Join(s.cfg.RootDir, "consumequeue_ext") }

// load finds the files, and the end behind what the queue's newest unit points to. Files that a power cut has damaged go: nothing
// depends on them.
func (x *queueExt) load(newest int64, clean bool) error {
	if err := x.files.Load(); err != nil {
		if clean {
			return err
		}
		x.logger.Warn("extension of a consume queue is damaged and given up; consumers look at the messages instead", "dir", x.dir, "err", err)
		if err := x.fs.RemoveAll(x.dir); err != nil {
			return fmt.Errorf("cannot remove damaged extension of consume queue: %w", err)
		}
		if err := x.files.Load(); err != nil {
			return err
		}
	}
	x.end = x.files.End()
	if isExtAddress(newest) {
		at := newest - math.MinInt64
		var buf [extHead]byte
		if _, size, ok := x.read(newest, buf[:]); ok {
			x.end = at + int64(size)
		} else {
			x.end = max(x.end, (at/x.files.FileSize()+1)*x.files.FileSize())
		}
	}
	if x.end > x.files.End() { // what the queue points to is gone
		return x.files.RemoveFrom(0)
	}
	if clean || x.files.Len() == 0 {
		return nil
	}
	return clearFrom(x.files, x.end)
}

// append returns the entry's address, or the tags code itself when it cannot be kept.
func (x *queueExt) append(e extended) int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	size, fileSize := int64(extHead+len(e.bits)), x.files.FileSize()
	if size > extSizeMax || size+extEnd > fileSize || x.end+fileSize > extOffsetMax {
		return e.tagsCode
	}
	at := x.end
	if at%fileSize+size+extEnd > fileSize {
		if _, err := x.files.WriteAt([]byte{0xFF, 0xFF}, at); err != nil {
			return x.failed(e, err)
		}
		at = (at/fileSize + 1) * fileSize
	}
	be := binary.BigEndian
	x.buf = be.AppendUint16(x.buf[:0], uint16(size))
	x.buf = be.AppendUint64(x.buf, uint64(e.tagsCode))
	x.buf = be.AppendUint64(x.buf, uint64(e.storeTime))
	x.buf = be.AppendUint16(x.buf, uint16(len(e.bits)))
	x.buf = append(x.buf, e.bits...)
	if _, err := x.files.WriteAt(x.buf, at); err != nil {
		return x.failed(e, err)
	}
	x.dirty, x.broken = true, false
	x.end = at + size
	return at + math.MinInt64
}

func (x *queueExt) failed(e extended, err error) int64 {
	if !x.broken {
		x.broken = true
		x.logger.Error("cannot write extension of a consume queue; consumers look at the messages instead", "dir", x.dir, "err", err)
	}
	return e.tagsCode
}

// read reads an entry with the help of a buffer, as much of its bit map as there is room for. It is not ok when there is none.
func (x *queueExt) read(address int64, buf []byte) (e extended, size int, ok bool) {
	at := address - math.MinInt64
	left := x.files.FileSize() - at%x.files.FileSize()
	if left < extHead+extEnd {
		return e, 0, false
	}
	b := buf[:min(int64(len(buf)), left)]
	if _, err := x.files.ReadAt(b, at); err != nil {
		return e, 0, false
	}
	return readExtended(b)
}

func readExtended(b []byte) (e extended, size int, ok bool) {
	be := binary.BigEndian
	if len(b) < extHead {
		return e, 0, false
	}
	size = int(int16(be.Uint16(b)))
	bits := int(int16(be.Uint16(b[18:])))
	if size < extHead || bits > size-extHead {
		return e, 0, false
	}
	e.tagsCode, e.storeTime = int64(be.Uint64(b[2:])), int64(be.Uint64(b[10:]))
	if bits > 0 {
		e.bits = b[extHead:min(extHead+bits, len(b))]
	}
	return e, size, true
}

// readStretch fills buf from an address on, up to the end of a file.
func (x *queueExt) readStretch(address int64, buf []byte) []byte {
	at := address - math.MinInt64
	b := buf[:min(int64(len(buf)), x.files.FileSize()-at%x.files.FileSize())]
	if _, err := x.files.ReadAt(b, at); err != nil {
		return nil
	}
	return b
}

func (x *queueExt) sync() error {
	x.mu.Lock()
	dirty := x.dirty
	x.dirty = false
	x.mu.Unlock()
	if !dirty {
		return nil
	}
	if err := x.files.Sync(); err != nil {
		x.mu.Lock()
		x.dirty = true
		x.mu.Unlock()
		return fmt.Errorf("cannot sync %q: %w", x.dir, err)
	}
	return nil
}

// truncate makes it end behind what the queue's newest unit points to.
func (x *queueExt) truncate(newest int64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var buf [extHead]byte
	if !isExtAddress(newest) {
		return nil
	}
	if _, size, ok := x.read(newest, buf[:]); ok {
		x.end = newest - math.MinInt64 + int64(size)
		return clearFrom(x.files, x.end)
	}
	return nil
}

// deleteBefore takes away files before what the queue's oldest unit points to.
func (x *queueExt) deleteBefore(oldest int64) error {
	if !isExtAddress(oldest) {
		return nil
	}
	for x.files.Len() > 1 && x.files.Start()+x.files.FileSize() <= oldest-math.MinInt64 {
		if err := x.files.RemoveFirst(); err != nil {
			return err
		}
	}
	return nil
}

// destroy takes all files away.
func (x *queueExt) destroy() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.end, x.dirty = 0, false
	return errors.Join(x.files.RemoveFrom(0), x.fs.RemoveAll(x.dir))
}

// recoverExts makes the extensions fit their queues. After a crash the queues end where the log is dispatched from again, so that
// what may be damaged is written anew.
func (s *Store) recoverExts(clean bool, dispatchedFrom int64) error {
	for _, q := range s.queues.all() {
		if q.ext == nil {
			continue
		}
		if !clean && q.units.end() > dispatchedFrom {
			if err := q.units.truncate(dispatchedFrom); err != nil {
				return fmt.Errorf("cannot truncate queue %s-%d: %w", q.topic, q.id, err)
			}
		}
		err := q.ext.load(q.tagsCodeAt(q.units.max()-1), clean)
		if err := cannotOpen("extension of consume queue", "mappedFileSizeConsumeQueueExt", leaveOut, err); err != nil {
			return err
		}
	}
	return nil
}

// tagsCodeAt is the tags code, or the address of it, in a unit; 0 when there is no such unit.
func (q *Queue) tagsCodeAt(offset int64) int64 {
	var u [1]unit
	if n, err := q.units.read(offset, u[:], false); err != nil || n == 0 || u[0].filler() {
		return 0
	}
	return u[0].tagsCode
}
