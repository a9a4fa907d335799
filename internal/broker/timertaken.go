package broker

import (
	"sync"
	"sync/atomic"
	"time"
)

// timersTaken counts what the follower does, and remembers where it began.
type timersTaken struct {
	offset  atomic.Int64 // of the queue, for others to see
	in, out atomic.Int64 // messages taken in and delivered since the start

	// What was known at the start; used by the follower only.
	written  int64 // messages before it were put into the wheel or delivered, unless the power was cut
	end      int64 // of the queue
	read     int64 // slots before this time were delivered
	logged   []int64
	isLogged bool // logged is known

	mu              sync.Mutex // protects the fields below
	at              time.Time
	lastIn, lastOut int64
	rateIn, rateOut float64
}

// rates are messages a second, taken in and delivered, since it was asked last, which is at least a second.
func (k *timersTaken) rates(now time.Time) (in, out float64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if since := now.Sub(k.at).Seconds(); since >= 1 {
		i, o := k.in.Load(), k.out.Load()
		if !k.at.IsZero() {
			k.rateIn, k.rateOut = float64(i-k.lastIn)/since, float64(o-k.lastOut)/since
		}
		k.at, k.lastIn, k.lastOut = now, i, o
	}
	return k.rateIn, k.rateOut
}
