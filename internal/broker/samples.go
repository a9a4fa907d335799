package broker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What counters were at some moments of the last day, so that statistics can tell of the last minute, hour and day.
//
// Time is cut into ticks of 10 s. Counters that have moved are looked at after the tick, and again after each one in which they moved;
// when nothing moves any more nothing ticks. A moment is kept only while a window may begin at it, and only when something was different
// then, so what moves seldom has few and what never moved has none.

// tickTime is what the windows are cut into. A minute, ten of them and an hour are multiples of it.
const tickTime = 10 * time.Second

// A window is a stretch of time up to now. It begins at a multiple of step, steps of them back.
type window struct{ step, steps int64 }

var (
	lastMinute = window{step: 1, steps: 6}
	lastHour   = window{step: 60, steps: 6}
	lastDay    = window{step: 360, steps: 24}
)

// from is the tick that the window begins with.
func (w window) from(now int64) int64 { return (now/w.step - w.steps + 1) * w.step }

// sampled are some counters that are looked at together.
type sampled interface {
	values(to []uint64) []uint64 // never fewer than before
	past() *past
}

// past is what the counters were.
type past struct {
	moving  atomic.Bool // will be looked at after this tick
	moments []moment    // oldest first; samples.mu
	since   int64       // the tick in which they first moved; samples.mu
}

// moment is what counters were at the end of a tick, and stayed until the next moment.
type moment struct {
	tick   int64
	values []uint64
}

// at is the value at the end of a tick.
func (p *past) at(tick int64, index int) uint64 {
	for i := len(p.moments) - 1; i >= 0; i-- {
		if m := &p.moments[i]; m.tick <= tick {
			if index < len(m.values) {
				return m.values[index]
			}
			break
		}
	}
	return 0
}

// add remembers what the counters were at the end of a tick, if that is something new.
func (p *past) add(tick int64, values []uint64) (moved bool) {
	if n := len(p.moments); n > 0 && equalCounters(p.moments[n-1].values, values) {
		return false
	}
	p.moments = append(p.moments, moment{tick, append([]uint64(nil), values...)})
	kept := p.moments[:0]
	for i := range p.moments {
		if i == len(p.moments)-1 || isBegin(p.moments[i].tick+1, p.moments[i+1].tick+1, tick) {
			kept = append(kept, p.moments[i])
		}
	}
	clear(p.moments[len(kept):])
	p.moments = kept
	return true
}

func equalCounters(a, b []uint64) bool {
	for i := range b {
		old := uint64(0)
		if i < len(a) {
			old = a[i]
		}
		if old != b[i] {
			return false
		}
	}
	return true
}

// isBegin says whether a window of now or later may begin at a tick from one on and before another.
func isBegin(from, to, now int64) bool {
	for _, w := range [...]window{lastMinute, lastHour, lastDay} {
		first := max(w.from(now), from)
		if first = (first + w.step - 1) / w.step * w.step; first < to {
			return true
		}
	}
	return false
}

// samples looks at counters after each tick in which they moved.
type samples struct {
	start time.Time           // of tick 0, which is one before the broker started
	also  func(now time.Time) // is called with mu held after each tick in which something moved; nil for nothing

	mu     sync.Mutex // protects the fields below and what past says it does
	moving []sampled
	timer  *time.Timer // set while something moves
	buf    []uint64
	closed bool
}

func newSamples(started time.Time) *samples { return &samples{start: started.Add(-tickTime)} }

// tick is the number of the tick that a time is in.
func (s *samples) tick(now time.Time) int64 { return int64(now.Sub(s.start) / tickTime) }

// moved is called after the counters have moved.
func (s *samples) moved(c sampled, p *past) {
	if !p.moving.Load() && p.moving.CompareAndSwap(false, true) {
		s.join(c, p, time.Now())
	}
}

func (s *samples) join(c sampled, p *past, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if p.since == 0 {
		p.since = s.tick(now)
	}
	s.moving = append(s.moving, c)
	if s.timer == nil {
		s.timer = time.AfterFunc(s.untilNext(now), func() { s.look(time.Now()) })
	}
}

func (s *samples) untilNext(now time.Time) time.Duration {
	return tickTime - now.Sub(s.start)%tickTime
}

// lookAtOnce is how many counters are looked at under the lock, for a send may wait for it.
const lookAtOnce = 128

// look takes what has moved in the tick that is over.
func (s *samples) look(now time.Time) {
	tick := s.tick(now) - 1
	moved := s.begin(now)
	for chunk := range slices.Chunk(moved, lookAtOnce) {
		s.lookAt(chunk, tick)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
	case len(s.moving) == 0:
		s.timer = nil
	default:
		s.timer = time.AfterFunc(s.untilNext(now), func() { s.look(time.Now()) })
	}
}

// begin takes the list of what has moved. What joins from then on is looked at after the next tick.
func (s *samples) begin(now time.Time) []sampled {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if s.also != nil {
		s.also(now)
	}
	moved := s.moving
	s.moving = make([]sampled, 0, len(moved))
	return moved
}

func (s *samples) lookAt(chunk []sampled, tick int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range chunk {
		p := c.past()
		p.moving.Store(false) // whoever counts from here on joins again
		s.buf = c.values(s.buf[:0])
		if p.add(tick, s.buf) && p.moving.CompareAndSwap(false, true) {
			s.moving = append(s.moving, c)
		}
	}
}

// close ends the looking.
func (s *samples) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// A change is by how much a value and the number of its additions have grown in a window.
type change struct {
	sum, times uint64
	perSecond  float64
}

// mean is the value of one addition.
func (c change) mean() float64 {
	if c.times == 0 {
		return 0
	}
	return float64(c.sum) / float64(c.times)
}

// in is by how much counters have grown in a window up to now. A negative index of times is for a value that is not counted.
func (s *samples) in(w window, c sampled, value, times int, now time.Time) change {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = c.values(s.buf[:0])
	p, tick := c.past(), s.tick(now)
	from := w.from(tick)
	grown := func(index int) uint64 {
		if index < 0 || index >= len(s.buf) {
			return 0
		}
		return s.buf[index] - p.at(from-1, index)
	}
	g := change{sum: grown(value), times: grown(times)}
	if from < p.since { // it is not as old as the window; as in Apache one step at least
		from = max(from, p.since/w.step*w.step-w.step)
	}
	if seconds := now.Sub(s.start).Seconds() - float64(from)*tickTime.Seconds(); seconds > 0 {
		g.perSecond = float64(g.sum) / seconds
	}
	return g
}
