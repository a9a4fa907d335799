package broker

import (
	"testing"
	"time"
)

// meter is one counter and how often it was added to.
type meter struct {
	p            past
	value, times uint64
}

func (m *meter) values(to []uint64) []uint64 { return append(to, m.value, m.times) }
func (m *meter) past() *past                 { return &m.p }

// handSamples are samples whose time is turned by hand.
func handSamples(t *testing.T) (s *samples, at func(time.Duration) time.Time) {
	started := time.Now().Add(-1000 * time.Hour)
	s = newSamples(started)
	t.Cleanup(s.close)
	return s, func(d time.Duration) time.Time { return started.Add(d) }
}

// add adds to the counter at a time.
func (m *meter) add(s *samples, n uint64, now time.Time) {
	m.value, m.times = m.value+n, m.times+1
	if m.p.moving.CompareAndSwap(false, true) {
		s.join(m, &m.p, now)
	}
}

func TestSamples_WindowsEndNowAndForget(t *testing.T) {
	t.Parallel()
	s, at := handSamples(t)
	m := &meter{}
	check := func(now time.Duration, minute, hour, day uint64) {
		t.Helper()
		for i, want := range []uint64{minute, hour, day} {
			w := []window{lastMinute, lastHour, lastDay}[i]
			if got := s.in(w, m, 0, 1, at(now)); got.sum != want {
				t.Errorf("after %v the window of %v s has %d, want %d", now, w.step*w.steps*10, got.sum, want)
			}
		}
	}
	for now := time.Duration(0); now < 50*time.Hour; now += tickTime {
		switch now {
		case 0, 20 * time.Second:
			m.add(s, 5, at(now))
		case 30 * time.Minute:
			m.add(s, 100, at(now))
		case 20 * time.Hour:
			m.add(s, 1000, at(now))
		}
		s.look(at(now + tickTime))
		switch now {
		case 0:
			check(now+time.Second, 5, 5, 5)
		case 20 * time.Second:
			check(now+time.Second, 10, 10, 10)
		case 70 * time.Second:
			check(now+time.Second, 5, 10, 10)
		case 90 * time.Second:
			check(now+time.Second, 0, 10, 10)
		case 31 * time.Minute:
			check(now, 0, 110, 110)
		case 75 * time.Minute:
			check(now, 0, 100, 110)
		case 23 * time.Hour:
			check(now, 0, 0, 1110)
		case 25 * time.Hour:
			check(now, 0, 0, 1000)
		case 45 * time.Hour:
			check(now, 0, 0, 0)
		}
	}
	if n := len(m.p.moments); n > 4 || len(s.moving) != 0 || s.timer != nil {
		t.Errorf("%d moments are kept, %d counters are looked at", n, len(s.moving))
	}
}

func TestSamples_KeepNoMoreThanWindowsNeed(t *testing.T) {
	t.Parallel()
	s, at := handSamples(t)
	m := &meter{}
	for now := time.Duration(0); now < 30*time.Hour; now += tickTime {
		m.add(s, 1, at(now))
		s.look(at(now + tickTime))
		if n := len(m.p.moments); n > 6+6+24+1 {
			t.Fatalf("after %v %d moments are kept", now, n)
		}
	}
	end := 30 * time.Hour
	for w, least := range map[window]uint64{lastMinute: 5, lastHour: 300, lastDay: 23 * 360} {
		got := s.in(w, m, 0, 1, at(end))
		if most := least + uint64(w.step); got.sum < least || got.sum > most || got.mean() != 1 {
			t.Errorf("the window of %d s has %+v, want %d to %d", w.step*w.steps*10, got, least, most)
		}
		if got.perSecond < 0.09 || got.perSecond > 0.11 {
			t.Errorf("the window of %d s has %v a second, want 0.1", w.step*w.steps*10, got.perSecond)
		}
	}
}

func TestSamples_ANewOnesRateIsOfOneStepAtLeast(t *testing.T) {
	t.Parallel()
	s, at := handSamples(t)
	m := &meter{}
	m.add(s, 600, at(100*time.Hour+time.Second))
	now := at(100*time.Hour + 2*time.Second)
	if got := s.in(lastMinute, m, 0, 1, now); got.perSecond < 30 || got.perSecond > 60 {
		t.Errorf("600 in its first tick are %v a second", got.perSecond)
	}
	if got := s.in(lastHour, m, 0, 1, now); got.perSecond < 0.5 || got.perSecond > 1 {
		t.Errorf("600 in its first ten minutes are %v a second", got.perSecond)
	}
}
