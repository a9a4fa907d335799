package broker

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/store"
)

// rates is what the broker has done, at some moments of the last ten minutes. It is looked at while counters move or there are clients,
// and when someone asks.
type rates struct {
	mu      sync.Mutex
	samples []sample // oldest first
	day     int      // of the newest sample
	// At the last midnight and the one before.
	putToday, putYesterday, getToday, getYesterday int64
}

type sample struct {
	at time.Time
	progress
}

// progress is what the broker has done since it started. Those of users leave out the topics of the system.
type progress struct {
	puts, gets, found, missed int64
	userPuts, userGets        int64
}

func (b *Broker) progress(info store.Info) progress {
	c := &b.counters
	return progress{puts: info.PutMessages, gets: info.GetMessages, found: info.GetFound, missed: info.GetMissed,
		userPuts: c.putMessages.Load() - c.putSystem.Load(), userGets: c.getMessages.Load() - c.getSystem.Load()}
}

const ratesKept = 10 * time.Minute

// sampleRates remembers what has been done by now.
func (b *Broker) sampleRates(now time.Time) { b.rates.sample(now, b.progress(b.store.Stats())) }

// sample remembers what has been done by now.
func (r *rates) sample(now time.Time, done progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.day != now.YearDay() && len(r.samples) > 0 {
		r.putYesterday, r.getYesterday = r.putToday, r.getToday
		r.putToday, r.getToday = done.userPuts, done.userGets
	}
	r.day = now.YearDay()
	if n := len(r.samples); n > 0 && now.Sub(r.samples[n-1].at) < time.Second {
		return
	}
	old := 0
	for len(r.samples)-old > 1 && now.Sub(r.samples[old+1].at) > ratesKept {
		old++
	}
	r.samples = append(slices.Delete(r.samples, 0, old), sample{now, done})
}

// perSecond is what runtime information says of the rates: of the last 10 s, minute and ten minutes.
type perSecond struct {
	put, found, missed, total, transferred         string
	putToday, putYesterday, getToday, getYesterday int64
}

func (r *rates) at(now time.Time) perSecond {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := perSecond{putToday: r.putToday, putYesterday: r.putYesterday, getToday: r.getToday, getYesterday: r.getYesterday}
	rate := func(of func(*sample) int64) string {
		var out []string
		for _, window := range []time.Duration{10 * time.Second, time.Minute, ratesKept} {
			out = append(out, javaDouble(r.rateLocked(now, window, of)))
		}
		return strings.Join(out, " ")
	}
	p.put = rate(func(s *sample) int64 { return s.puts })
	p.found = rate(func(s *sample) int64 { return s.found })
	p.missed = rate(func(s *sample) int64 { return s.missed })
	p.total = rate(func(s *sample) int64 { return s.found + s.missed })
	p.transferred = rate(func(s *sample) int64 { return s.gets })
	return p
}

// rateLocked is the rate since the newest sample that is as old as the window, or since the oldest.
func (r *rates) rateLocked(now time.Time, window time.Duration, of func(*sample) int64) float64 {
	n := len(r.samples)
	if n == 0 {
		return 0
	}
	from := &r.samples[0]
	for i := range r.samples {
		if now.Sub(r.samples[i].at) >= window {
			from = &r.samples[i]
		}
	}
	newest := &r.samples[n-1]
	seconds := newest.at.Sub(from.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(of(newest)-of(from)) / seconds
}
