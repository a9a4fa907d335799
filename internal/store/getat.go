package store

import (
	"errors"
	"fmt"

	"github.com/liftoffmq/liftoff/internal/message"
)

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
	n := min(len(places), len(g.units))
	for i, p := range places[:n] {
		g.units[i] = unit{logOffset: p.LogOffset, size: p.Size}
	}
	err := g.record(g.units[:n])
	if errors.Is(err, message.ErrDamaged) {
		return dst, fmt.Errorf("log offset %d: %w", p.LogOffset, ErrNoMessage)
	}
	if err != nil {
		return dst, fmt.Errorf("cannot read message at log offset %d: %w", p.LogOffset, err)
	}
	return g.dst, nil
}
