package store

import "fmt"

// Entry is one entry of a queue: where a message lies, and what the dispatcher noted of it, which is the time of delivery in the
// queues of delayed messages. Those who follow a queue look at entries first, for most of the time the next one is not due.
type Entry struct {
	QueueOffset int64
	LogOffset   int64
	TagsCode    int64
	Size        int32
}

// Entries reads entries of a queue from an offset on into dst and returns how many there are, and the offset behind them,
// from where to go on: it is behind places without a message too. None and the same offset is the queue's end.
func (s *Store) Entries(q *Queue, offset int64, dst []Entry) (n int, next int64, err error) {
	var units [32]unit
	var g *getter // where the queue has an extension
	next = max(offset, q.MinOffset())
	for n < len(dst) {
		got, err := q.units.read(next, units[:min(len(units), len(dst)-n)], false)
		if err != nil {
			return n, next, err
		}
		if got == 0 {
			return n, next, nil
		}
		end := s.log.written.Load()
		for _, u := range units[:got] {
			if u.isHole(end) {
				return n, next, s.hole(q, next)
			}
			if !u.filler() {
				if q.ext != nil && isExtAddress(u.tagsCode) {
					if g == nil {
						g = s.getter(q, nil)
						defer g.free()
					}
					if e, ok := g.extended(u.tagsCode); ok {
						u.tagsCode = e.tagsCode
					}
				}
				dst[n] = Entry{QueueOffset: next, LogOffset: u.logOffset, TagsCode: u.tagsCode, Size: u.size}
				n++
			}
			next++
		}
	}
	return n, next, nil
}

// Records calls got for each entry of a queue in turn with the message that it points to, as a record, which is nil when it was
// deleted with its file or is damaged. The record is appended to buf, whose bytes stay; Records returns buf, and how many entries it
// has come to: all, or those before one whose record cannot be read now.
func (s *Store) Records(q *Queue, entries []Entry, buf []byte, got func(e Entry, record []byte)) (_ []byte, done int, err error) {
	g := s.getter(q, buf)
	defer g.free()
	for len(entries) > 0 {
		n := min(len(entries), wantedMax)
		for i, e := range entries[:n] {
			g.units[i] = unit{logOffset: e.LogOffset, size: e.Size}
		}
		for i, e := range entries[:n] {
			at := len(g.dst)
			if err := g.record(g.units[i:n]); err == nil {
				got(e, g.dst[at:len(g.dst):len(g.dst)])
			} else if s.isGone(e.LogOffset, err) {
				g.unreadable(e.LogOffset, err)
				got(e, nil)
			} else {
				return g.dst, done, fmt.Errorf("cannot read message at log offset %d: %w", e.LogOffset, err)
			}
			done++
		}
		entries = entries[n:]
	}
	return g.dst, done, nil
}
