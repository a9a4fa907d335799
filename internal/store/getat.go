package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// ErrNoMessage says that there is no message at a log offset.
var ErrNoMessage = errors.New("no message there")

// visibleTo is the log offset before which messages may be in their queues. It is not the mark dispatched, which covers a message a moment
// later than its queue shows it: a consumer may have it and ask for it already.
func (s *Store) visibleTo() int64 {
	if s.cfg.SyncFlush {
		return s.log.flushed.Load()
	}
	return s.log.written.Load()
}

// MessageAt returns the record at a log offset, which may be any number: unless a visible message begins exactly there,
// the answer is ErrNoMessage.
func (s *Store) MessageAt(logOffset int64) ([]byte, error) {
	l := &s.log
	end := s.visibleTo()
	if logOffset < l.files.Start() || logOffset >= end {
		return nil, fmt.Errorf("log offset %d: %w", logOffset, ErrNoMessage)
	}
	end = min(end, logOffset+l.files.FileSize()-logOffset%l.files.FileSize())
	if logOffset+message.MinRecordSize > end {
		return nil, fmt.Errorf("log offset %d: %w", logOffset, ErrNoMessage)
	}
	head, err := s.readLog(nil, logOffset, message.MinRecordSize, false)
	if err != nil {
		return nil, fmt.Errorf("cannot read message at log offset %d: %w", logOffset, err)
	}
	size, kind := message.Peek(head)
	if kind != message.Record || logOffsetOf(head) != logOffset || logOffset+int64(size) > end {
		return nil, fmt.Errorf("log offset %d: %w", logOffset, ErrNoMessage)
	}
	rec, err := s.readLog(head[:0], logOffset, size, false)
	if err != nil {
		return nil, fmt.Errorf("cannot read message at log offset %d: %w", logOffset, err)
	}
	var m message.Dispatch
	if err := message.ReadDispatch(rec, &m); err != nil || m.CheckBody() != nil {
		return nil, fmt.Errorf("log offset %d: %w", logOffset, ErrNoMessage)
	}
	return rec, nil
}

// Place is where a message lies in the log, as whoever keeps places for later has noted it.
type Place struct {
	LogOffset int64
	Size      int32
}

// LogStart is the log offset of the oldest byte.
func (s *Store) LogStart() int64 { return s.log.files.Start() }

// RecordAt appends the record at the first of some places to dst. The others are those that will be asked for next: if many lie near, what
// is read from the disk is read for them too. A record is there as long as its log file is; anything else at the place is
// ErrNoMessage. Its body is not compared with its checksum, as for a pull.
func (s *Store) RecordAt(places []Place, dst []byte) ([]byte, error) {
	p := places[0]
	end := s.visibleTo()
	if p.LogOffset < s.log.files.Start() || p.Size < message.MinRecordSize || p.LogOffset+int64(p.Size) > end {
		return dst, fmt.Errorf("log offset %d: %w", p.LogOffset, ErrNoMessage)
	}
	g := s.getter(nil, dst)
	defer g.free()
	n := min(len(places), wantedMax)
	for i, p := range places[:n] {
		g.units[i] = unit{logOffset: p.LogOffset, size: p.Size}
	}
	err := g.record(g.units[:n])
	if err != nil && s.isGone(p.LogOffset, err) {
		return dst, fmt.Errorf("log offset %d: %w", p.LogOffset, ErrNoMessage)
	}
	if err != nil {
		return dst, fmt.Errorf("cannot read message at log offset %d: %w", p.LogOffset, err)
	}
	return g.dst, nil
}

// Remembers says whether what lies at a log offset can be had without waiting, for a disk or to be dispatched.
func (s *Store) Remembers(logOffset int64) bool {
	return logOffset < s.dispatcher.dispatched.Load() && logOffset >= s.log.tail.start(s.log.written.Load())
}

// readLog appends n bytes of the log, which lie in one file before the written mark, from memory or the file; now it is not waited for.
func (s *Store) readLog(dst []byte, logOffset int64, n int, now bool) ([]byte, error) {
	if int64(n) > s.log.files.FileSize() { // a damaged queue must not make us take memory for it
		return dst, logfile.ErrOutside
	}
	if dst, ok := s.log.tail.read(dst, logOffset, n); ok {
		return dst, nil
	}
	at := len(dst)
	dst = slices.Grow(dst, n)
	if _, err := s.log.files.Read(dst[at:at+n], logOffset, now); err != nil {
		return dst, err
	}
	return dst[:at+n], nil
}
