package store

import (
	"encoding/binary"

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

// OffsetByTime returns the queue offset that a store time in ms means, within MinOffset and MaxOffset. Lower of a time
// younger than all messages is MaxOffset, Upper of one older than all is MinOffset.
func (s *Store) OffsetByTime(q *Queue, timestamp int64, boundary Boundary) int64 {
	low, high := q.MinOffset(), q.MaxOffset()
	first := low
	for low < high { // low: all before are older; high: it and all behind are not
		mid := low + (high-low)/2
		t, ok := s.StoreTime(q, mid)
		// What is gone from the log is older than what is there.
		if !ok || t < timestamp || t == timestamp && boundary == Upper {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if boundary == Upper {
		return max(low-1, first)
	}
	return low
}

// StoreTime returns when the message at a queue offset was stored, in ms, and whether there is one.
func (s *Store) StoreTime(q *Queue, offset int64) (int64, bool) {
	u, ok := q.unitAt(offset)
	if !ok {
		return 0, false
	}
	return s.storeTimeAt(u.logOffset)
}

// EarliestStoreTime returns when the oldest message of a queue was stored, in ms, and whether there is one.
func (s *Store) EarliestStoreTime(q *Queue) (int64, bool) { return s.StoreTime(q, q.MinOffset()) }

// EarliestLogTime returns when the oldest message of the log was stored, in ms, and whether there is one.
func (s *Store) EarliestLogTime() (int64, bool) { return s.storeTimeAt(s.log.files.Start()) }

// storeTimeAt reads the store time of the record at a log offset.
func (s *Store) storeTimeAt(logOffset int64) (int64, bool) {
	if logOffset < s.log.files.Start() || logOffset+message.MinRecordSize > s.visibleTo() {
		return 0, false
	}
	var buf [storeTimeSpan]byte
	b, err := s.readLog(buf[:0], logOffset, storeTimeSpan, false)
	if _, kind := message.Peek(b); err != nil || kind != message.Record || logOffsetOf(b) != logOffset {
		return 0, false
	}
	at := recordBornHost + 8
	if binary.BigEndian.Uint32(b[recordSysFlag:])&message.FlagBornHostV6 != 0 {
		at = recordBornHost + 20
	}
	return int64(binary.BigEndian.Uint64(b[at:])), true
}

// InMemory says whether the message at a queue offset is near enough to the log's end to be taken to be in memory.
func (s *Store) InMemory(q *Queue, offset int64) bool {
	u, ok := q.unitAt(offset)
	return ok && s.log.written.Load()-u.logOffset <= s.live.Load().memory
}
