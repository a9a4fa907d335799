package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/liftoffmq/liftoff/internal/message"
)

// Boundary says which of two neighbours a time between them means.
type Boundary uint8

// Lower is the first message not older than a time, Upper the last one not younger.
const (
	Lower Boundary = iota
	Upper
)

const (
	recordSysFlag  = 36 // where a record has its flags
	recordBornHost = 48 // the store time follows the host
	storeTimeSpan  = recordBornHost + 20 + 8
)

// lostMax is how many messages in a row that are damaged a search by time passes over before it takes the older ones too.
const lostMax = 64

// OffsetByTime returns the queue offset that a store time in ms means, within MinOffset and MaxOffset. Lower of a time
// younger than all messages is MaxOffset, Upper of one older than all is MinOffset. It fails when a message that is there cannot be read
// now: taken for one that is gone it would have the search end behind messages that nobody has consumed.
func (s *Store) OffsetByTime(q *Queue, timestamp int64, boundary Boundary) (int64, error) {
	low, high := q.MinOffset(), q.MaxOffset()
	first := low
	for low < high { // low: all before are older; high: it and all behind are not
		mid := low + (high-low)/2
		t, at, err := s.nextStoreTime(q, mid, min(high, mid+lostMax))
		switch {
		case errors.Is(err, errCleaned) || err == nil && (t < timestamp || t == timestamp && boundary == Upper):
			low = at + 1
		case err == nil || errors.Is(err, ErrNoMessage):
			high = mid
		default:
			return 0, fmt.Errorf("cannot search topic %s, queue %d for a time: %w", q.topic, q.id, err)
		}
	}
	if boundary == Upper {
		return max(low-1, first), nil
	}
	return low, nil
}

// nextStoreTime returns the store time of the first message from a queue offset on that is not damaged, and its offset.
func (s *Store) nextStoreTime(q *Queue, from, to int64) (t, at int64, err error) {
	for at = from; at < to; at++ {
		if t, err = s.storeTime(q, at); !errors.Is(err, ErrNoMessage) {
			break
		}
	}
	return t, at, err
}

// StoreTime returns when the message at a queue offset was stored, in ms, and whether there is one that can be read.
func (s *Store) StoreTime(q *Queue, offset int64) (int64, bool) {
	t, err := s.storeTime(q, offset)
	return t, err == nil
}

// errCleaned says that a message was deleted because of its age. All before it were too.
var errCleaned = errors.New("message was deleted")

// storeTime is StoreTime; the error is errCleaned, ErrNoMessage for a damaged one, or why it cannot be read now.
func (s *Store) storeTime(q *Queue, offset int64) (int64, error) {
	u, err := q.unitAt(offset)
	if err != nil {
		return 0, err
	}
	return s.storeTimeAt(u.logOffset)
}

// EarliestStoreTime returns when the oldest message of a queue was stored, in ms, and whether there is one.
func (s *Store) EarliestStoreTime(q *Queue) (int64, bool) { return s.StoreTime(q, q.MinOffset()) }

// EarliestLogTime returns when the oldest message of the log was stored, in ms, and whether there is one.
func (s *Store) EarliestLogTime() (int64, bool) {
	t, err := s.storeTimeAt(s.log.files.Start())
	return t, err == nil
}

// storeTimeAt reads the store time of the record at a log offset. Its errors are those of storeTime.
func (s *Store) storeTimeAt(logOffset int64) (int64, error) {
	if logOffset < s.log.files.Start() {
		return 0, errCleaned
	}
	if logOffset+message.MinRecordSize > s.visibleTo() {
		return 0, ErrNoMessage
	}
	var buf [storeTimeSpan]byte
	b, err := s.readLog(buf[:0], logOffset, storeTimeSpan, false)
	switch _, kind := message.Peek(b); {
	case err != nil && logOffset < s.log.files.Start(): // while it was read
		return 0, errCleaned
	case err != nil && !isLost(err):
		return 0, fmt.Errorf("cannot read message at log offset %d: %w", logOffset, err)
	case err != nil || kind != message.Record || logOffsetOf(b) != logOffset:
		return 0, ErrNoMessage
	}
	at := recordBornHost + 8
	if binary.BigEndian.Uint32(b[recordSysFlag:])&message.FlagBornHostV6 != 0 {
		at = recordBornHost + 20
	}
	return int64(binary.BigEndian.Uint64(b[at:])), nil
}

// InMemory says whether the message at a queue offset is near enough to the log's end to be taken to be in memory. It fails when that cannot
// be told now.
func (s *Store) InMemory(q *Queue, offset int64) (bool, error) {
	u, err := q.unitAt(offset)
	switch {
	case errors.Is(err, errCleaned) || errors.Is(err, ErrNoMessage):
		return false, nil
	case err != nil:
		return false, err
	}
	return s.log.written.Load()-u.logOffset <= s.live.Load().memory, nil
}
