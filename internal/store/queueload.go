package store

import (
	"fmt"
	"math"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// load finds the files and the end of the queue in them. Units of messages before the log offset durable are known to be
// there: all of them after a clean stop, else those before the checkpoint; messages from durable on will be dispatched
// again. With 0 nothing is known, and all units of the last three files are looked at, as in Apache. A page that a power
// cut lost ends the queue; other damage does not where the log, nil when it is not to be asked, proves that it goes on.
func (q *consumeQueue) load(durable int64, log *logFacts) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if durable != math.MaxInt64 {
		if err := q.removeTorn(durable); err != nil {
			return err
		}
	}
	files, err := q.filesLocked()
	if err != nil {
		return err
	}
	end, reached, err := q.findEnd(files, durable, log)
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", q.dir, err)
	}
	q.written = end
	q.tailed = false
	q.next.Store(end)
	q.reached.Store(reached)
	first := files.Start() / unitSize
	// Fillers before the first message are of no use to a reader. Those in a gap have the log offset of what follows.
	skip, err := q.searchFiles(files, first, min(end, first+q.perFile()), func(u unit) bool { return !u.filler() || u.logOffset > 0 })
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", q.dir, err)
	}
	q.lowest.Store(skip)
	q.idleLocked()
	return nil
}

// removeTorn removes files from the first on that a power cut took the length of or the name before it, for they were not
// synced. It leaves them, and listing them may fail, when one holds units that are not dispatched again.
func (q *consumeQueue) removeTorn(durable int64) error {
	files, err := logfile.List(q.fs, q.dir)
	if err != nil {
		return err
	}
	good, next := 0, int64(0)
	for good < len(files) && files[good].Size > 0 && files[good].Start == next {
		next += q.fileSize
		good++
	}
	torn := files[good:]
	for i, f := range torn {
		// An empty file that is the first may be there to keep the queue's offset.
		if again, err := q.isDispatchedAgain(f, durable, i > 0 || good > 0); err != nil || !again {
			return err
		}
	}
	for _, f := range torn {
		if err := q.fs.Remove(f.Path); err != nil {
			return fmt.Errorf("cannot remove consume queue file: %w", err)
		}
	}
	if len(torn) == 0 {
		return nil
	}
	return logfile.SyncDir(q.fs, q.dir) // one that came back would not be torn once the checkpoint is behind it
}

// isDispatchedAgain says whether a file holds only units of messages at or behind the log offset durable, or, if that is
// asked for, none at its beginning: nothing of it was synced then.
func (q *consumeQueue) isDispatchedAgain(file logfile.FileInfo, durable int64, orEmpty bool) (bool, error) {
	if file.Size < unitSize || durable == 0 {
		return file.Size == 0, nil
	}
	f, err := q.fs.Open(file.Path)
	if err != nil {
		return false, fmt.Errorf("cannot open consume queue: %w", err)
	}
	defer f.Close()
	b := make([]byte, unitSize)
	if err := readFull(f, b, 0); err != nil {
		return false, fmt.Errorf("cannot read consume queue %q: %w", q.dir, err)
	}
	u := readUnit(b)
	if !u.good() {
		return orEmpty, nil
	}
	return u.logOffset >= durable, nil
}

// logFacts are what a queue asks the log about itself.
type logFacts struct {
	end  int64                       // no message ends behind it
	has  func(at int64, u unit) bool // the message that the queue has there
	tell func(from, to int64)        // that units are damaged which the queue goes on behind
}

// findEnd returns the queue offset behind the last unit and the log offset that it reaches.
func (q *consumeQueue) findEnd(files *logfile.Log, durable int64, log *logFacts) (end, reached int64, err error) {
	if files.Len() == 0 {
		return 0, 0, nil
	}
	isBad := func(u unit) bool { return !u.good() || log != nil && u.isHole(log.end) }
	first, behind := files.Start()/unitSize, files.End()/unitSize
	at := max(first, behind-3*q.perFile())
	if durable > 0 {
		if at, err = q.firstOpen(files, durable); err != nil {
			return 0, 0, err
		}
	}
	for before := at; before > first; before-- { // what is before was not looked at
		var u [1]unit
		if _, err := readFiles(files, before-1, u[:]); err != nil {
			return 0, 0, err
		}
		if log == nil || !isBad(u[0]) {
			reached = max(0, u[0].end())
			break
		}
	}
	end, reached, err = q.findEndFrom(files, at, reached, durable, isBad)
	for err == nil && log != nil && durable > 0 {
		at, err = findBehind(files, end, durable, log)
		if err != nil || at < 0 {
			break
		}
		log.tell(end, at)
		end, reached, err = q.findEndFrom(files, at, 0, durable, isBad) // damage may have told more of what was reached
	}
	return end, reached, err
}

// findEndFrom is findEnd for who knows that the queue does not end before a queue offset, and what is reached there.
func (q *consumeQueue) findEndFrom(files *logfile.Log, at, reached, durable int64, isBad func(unit) bool) (end, reaches int64, err error) {
	behind := files.End() / unitSize
	chunk := make([]unit, 64)
	for begin, last := at, (unit{}); at < behind; {
		n, err := readFiles(files, at, chunk)
		if err != nil {
			return 0, 0, err
		}
		for _, u := range chunk[:n] {
			if isBad(u) || u.logOffset < reached && !u.filler() {
				if at > begin && durable > 0 && last.logOffset > durable && spansSectors(at-1, q.perFile()) {
					// A power cut may have left the first half of it. It is dispatched again, unlike the one at durable.
					return at - 1, last.logOffset, nil
				}
				return at, reached, nil
			}
			reached = max(reached, u.end())
			last = u
			at++
		}
		if len(chunk) < 4096 {
			chunk = make([]unit, 4096)
		}
	}
	return at, reached, nil
}

const (
	behindUnits = 800 // of a file that are looked at behind the queue's end
	behindTries = 64  // of them that the log is asked about
)

// findBehind returns the first unit behind the end of a queue that proves that it is not the end: its message, which is before the log
// offset durable, is in the log. It is negative when there is none. Behind the end of most queues nothing was ever written.
func findBehind(files *logfile.Log, end, durable int64, log *logFacts) (int64, error) {
	tries := behindTries
	var chunk []unit
	for pos := (end + 1) * unitSize; pos < files.End(); {
		fileEnd := (pos/files.FileSize() + 1) * files.FileSize()
		next, err := files.NextData(pos)
		if err != nil {
			return -1, err
		}
		pos = fileEnd
		if next >= fileEnd {
			continue
		}
		if chunk == nil {
			chunk = make([]unit, behindUnits)
		}
		at := next / unitSize
		n, err := readFiles(files, at, chunk)
		if err != nil {
			return -1, err
		}
		for _, u := range chunk[:n] {
			if !u.isHole(log.end) && !u.filler() && u.logOffset < durable {
				if tries--; tries < 0 {
					return -1, nil
				}
				if log.has(at, u) {
					return at, nil
				}
			}
			at++
		}
	}
	return -1, nil
}

// firstOpen returns the queue offset of the first unit that is not known to be there: it is bad, or of a message at or behind the log
// offset durable.
func (q *consumeQueue) firstOpen(files *logfile.Log, durable int64) (int64, error) {
	first, behind := files.Start()/unitSize, files.End()/unitSize
	isOpen := func(u unit) bool { return !u.good() || u.logOffset >= durable }
	// Most queues are small: the first page of the last file tells it for them.
	last := behind - q.perFile()
	var page [pendingMax / unitSize]unit
	n, err := readFiles(files, last, page[:min(int64(len(page)), q.perFile())])
	if err != nil {
		return 0, err
	}
	open := 0
	for open < n && !isOpen(page[open]) {
		open++
	}
	lo, hi := last+int64(open), last+int64(open)
	switch open {
	case 0:
		lo = first
	case n:
		hi = behind
	}
	return search(lo, hi, func(at int64) (bool, error) {
		if spansSectors(at, q.perFile()) && at+1 < hi {
			at++ // half a unit may say anything; one too early is no harm
		}
		var u [1]unit
		_, err := readFiles(files, at, u[:])
		return isOpen(u[0]), err
	})
}

// spansSectors says whether a unit lies in two sectors of the disk, of which one may be lost.
func spansSectors(at, perFile int64) bool {
	const sector = 512
	pos := at % perFile * unitSize
	return pos/sector != (pos+unitSize-1)/sector
}

// offsetOf is the queue offset that a message of the log has in the queue, as its own or as a light one, if it is in it.
func (q *Queue) offsetOf(m *message.Dispatch) (at int64, ok bool) {
	if !message.InConsumeQueue(m.SysFlag) || m.SysFlag&message.FlagInnerBatch != 0 {
		return 0, false
	}
	if m.QueueID == q.id && string(m.Topic) == q.topic {
		return m.QueueOffset, true
	}
	if q.id == 0 && IsLight(q.topic) && inLight(m) {
		for name, at := range lightOffsets(m) {
			if string(name) == q.topic {
				return at, true
			}
		}
	}
	return 0, false
}

// factsOf is the log as a queue that is loaded asks it; nil without a log, of which the queues are to tell then.
func (s *Store) factsOf(q *Queue) *logFacts {
	files := s.log.files
	if files.Len() == 0 {
		return nil
	}
	return &logFacts{
		end: files.End(),
		has: func(at int64, u unit) bool {
			scan := scanner{store: s, clean: true, small: true, off: u.logOffset}
			if !scan.next() || scan.record.LogOffset != u.logOffset || scan.record.Size != u.size {
				return false
			}
			is, ok := q.offsetOf(&scan.record)
			return ok && is == at
		},
		tell: func(from, to int64) {
			s.logger.Warn("units of a consume queue are damaged, and the log proves that the queue goes on behind them", "topic", q.topic, "queue_id", q.id,
				"from", from, "to", to)
		},
	}
}
