package timer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// The timer log has a record for each message that waits, or waited. Files are named by their first byte's position, 20 digits.
//
//	 0         4           12       16         24        28           36        40       44       52
//	+---------+-----------+--------+----------+---------+------------+---------+--------+--------+
//	| size 4B | previous  | magic  | added at | wait 4B | log offset | size of | topic  | zero   |
//	| = 52    | 8B        | 4B     | 8B       |         | 8B         | msg 4B  | hash 4B| 8B     |
//	+---------+-----------+--------+----------+---------+------------+---------+--------+--------+
//
// Big-endian, signed. Previous is the position of the record before it in its slot, -1 for the first. Times are in ms: the message is
// due at added + wait. The topic hash is Java's of the topic the message goes to. A file ends in what has no room for a
// record and a blank: size 4B (all that is left), zero 8B, magicBlank 4B.
//
// Recovery trusts a record when size, magic, wait and the message's place make sense. Behind the last record there are zeros.
const (
	recordSize = 52
	blankSize  = 16
	magicBlank = 0xCBD43194

	magicDefault = 1 // of every record
	magicRoll    = 2 // the message is not due then, but is to be put into the wheel once more
	magicDelete  = 4 // the message takes another one of its slot away

	nowhere = -1 // no record
)

// pendingMax is how many bytes of new records wait in memory to be written together.
const pendingMax = 64 << 10

// record is one record of the timer log.
type record struct {
	prev      int64
	magic     int32
	added     int64
	wait      int32
	logOffset int64
	size      int32
	topicHash int32
}

func (r *record) due() int64 { return r.added + int64(r.wait) }

func (r *record) appendTo(dst []byte) []byte {
	be := binary.BigEndian
	dst = be.AppendUint32(dst, recordSize)
	dst = be.AppendUint64(dst, uint64(r.prev))
	dst = be.AppendUint32(dst, uint32(r.magic))
	dst = be.AppendUint64(dst, uint64(r.added))
	dst = be.AppendUint32(dst, uint32(r.wait))
	dst = be.AppendUint64(dst, uint64(r.logOffset))
	dst = be.AppendUint32(dst, uint32(r.size))
	dst = be.AppendUint32(dst, uint32(r.topicHash))
	return be.AppendUint64(dst, 0)
}

// readRecord reads a record and says whether it can be one.
func readRecord(b []byte) (r record, ok bool) {
	if len(b) < recordSize {
		return r, false
	}
	be := binary.BigEndian
	r = record{
		prev:      int64(be.Uint64(b[4:])),
		magic:     int32(be.Uint32(b[12:])),
		added:     int64(be.Uint64(b[16:])),
		wait:      int32(be.Uint32(b[24:])),
		logOffset: int64(be.Uint64(b[28:])),
		size:      int32(be.Uint32(b[36:])),
		topicHash: int32(be.Uint32(b[40:])),
	}
	ok = be.Uint32(b) == recordSize && r.magic&^0xF == 0 && r.magic&magicDefault != 0 && r.prev >= nowhere &&
		r.added >= 0 && r.added < timeMax && r.logOffset >= 0 && r.size > 0
	return r, ok
}

// isBlank says whether b, what is left of a file, begins with its end.
func isBlank(b []byte) bool {
	return len(b) < blankSize || binary.BigEndian.Uint32(b[12:]) == magicBlank
}

// timerLog is the timer log. Records are in memory until write.
type timerLog struct {
	files   *logfile.Log
	start   int64  // where the oldest record may be
	end     int64  // where the next record goes
	written int64  // the file has everything before it
	pending []byte // the records from written to end
}

// append adds a record and returns its position.
func (l *timerLog) append(r *record) (int64, error) {
	if left := l.left(l.end); left < recordSize+blankSize {
		if err := l.nextFile(left); err != nil {
			return 0, err
		}
	}
	at := l.end
	l.pending = r.appendTo(l.pending)
	l.end += recordSize
	if len(l.pending) >= pendingMax {
		return at, l.write()
	}
	return at, nil
}

// left is how many bytes of its file lie behind a position.
func (l *timerLog) left(pos int64) int64 { return l.files.FileSize() - pos%l.files.FileSize() }

// nextFile ends the file, of which so many bytes are left.
func (l *timerLog) nextFile(left int64) error {
	if err := l.write(); err != nil {
		return err
	}
	if left >= blankSize {
		blank := binary.BigEndian.AppendUint32(nil, uint32(left))
		blank = binary.BigEndian.AppendUint64(blank, 0)
		blank = binary.BigEndian.AppendUint32(blank, magicBlank)
		if _, err := l.files.WriteAt(blank, l.end); err != nil {
			return fmt.Errorf("cannot end file of timer log: %w", err)
		}
	}
	l.end += left
	l.written = l.end
	return nil
}

// write hands the pending records to the kernel. They lie in one file.
func (l *timerLog) write() error {
	if len(l.pending) == 0 {
		return nil
	}
	if _, err := l.files.WriteAt(l.pending, l.written); err != nil {
		return fmt.Errorf("cannot write timer log: %w", err)
	}
	l.written = l.end
	l.pending = l.pending[:0]
	return nil
}

// logReader reads records one by one, most often each lower than the one before. It takes them from the log in stretches.
type logReader struct {
	log  *timerLog
	from int64 // position of buf's first byte
	buf  []byte
	next int // length of the next stretch
}

const (
	stretchMin = 4 << 10
	stretchMax = 64 << 10
)

var errNoRecord = errors.New("the timer log is damaged")

// isLost says whether an error means that the log does not have what was asked for. Any other may be over soon.
func isLost(err error) bool {
	return errors.Is(err, errNoRecord) || errors.Is(err, logfile.ErrOutside) || errors.Is(err, io.EOF)
}

// at reads the record at a position.
func (lr *logReader) at(pos int64) (record, error) {
	l := lr.log
	if pos < l.start || pos+recordSize > l.end {
		return record{}, fmt.Errorf("%w: it has no record at %d, for it goes from %d to %d", errNoRecord, pos, l.start, l.end)
	}
	var b []byte
	if pos >= l.written {
		b = l.pending[pos-l.written:]
	} else {
		if pos < lr.from || pos+recordSize > lr.from+int64(len(lr.buf)) {
			if err := lr.load(pos); err != nil {
				return record{}, err
			}
		}
		b = lr.buf[pos-lr.from:]
	}
	r, ok := readRecord(b)
	if !ok || r.prev >= pos {
		return r, fmt.Errorf("%w: the record at %d", errNoRecord, pos)
	}
	return r, nil
}

// load reads the stretch that ends behind the record at pos.
func (lr *logReader) load(pos int64) error {
	size := lr.log.files.FileSize()
	lr.next = min(max(2*lr.next, stretchMin), stretchMax)
	from := max(pos/size*size, pos+recordSize-int64(lr.next))
	n := int(pos + recordSize - from)
	if cap(lr.buf) < n {
		lr.buf = make([]byte, n)
	}
	lr.from, lr.buf = from, lr.buf[:n]
	if _, err := lr.log.files.ReadAt(lr.buf, from); err != nil {
		lr.buf = lr.buf[:0]
		return fmt.Errorf("cannot read timer log: %w", err)
	}
	return nil
}

// scan calls f for each record from a position on, which must be a record's, until f says stop, the log's files end, or
// there is something that is no record. It returns where that is.
func (l *timerLog) scan(from int64, f func(pos int64, r *record) bool) (end int64, err error) {
	size := l.files.FileSize()
	buf := make([]byte, stretchMax/recordSize*recordSize)
	pos := from
	for limit := l.files.End(); pos < limit; {
		left := l.left(pos)
		n := min(left, int64(len(buf)))
		if _, err := l.files.ReadAt(buf[:n], pos); err != nil {
			return pos, fmt.Errorf("cannot read timer log: %w", err)
		}
		b := buf[:n]
		for len(b) >= recordSize {
			if l.left(pos) < recordSize+blankSize {
				break
			}
			r, ok := readRecord(b)
			if !ok {
				break
			}
			if !f(pos, &r) {
				return pos, nil
			}
			pos += recordSize
			b = b[recordSize:]
		}
		switch {
		case l.left(pos) < recordSize+blankSize: // the end of a file, or the place for one
			rest := make([]byte, l.left(pos))
			if _, err := l.files.ReadAt(rest, pos); err != nil {
				return pos, fmt.Errorf("cannot read timer log: %w", err)
			}
			if !isBlank(rest) || pos/size*size+size >= limit {
				return pos, nil
			}
			pos = pos/size*size + size
		case len(b) >= recordSize:
			return pos, nil
		}
	}
	return pos, nil
}
