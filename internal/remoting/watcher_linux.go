package remoting

import (
	"sync"
	"sync/atomic"
	"time"
)

// stuckAfter is how long, or up to twice as long, one turn may hold up the connections of a loop.
const stuckAfter = 20 * time.Millisecond

// watcher looks after loops that are stuck. It sleeps when none has anything to do.
type watcher struct {
	loops  []*loop
	asleep atomic.Bool
	wake   chan struct{}
	ending sync.Once
	stop   chan struct{}
}

func (w *watcher) end() { w.ending.Do(func() { close(w.stop) }) }

// awake is called when there is something to do.
func (w *watcher) awake() {
	if w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
		w.wake <- struct{}{} // never full: who sends has asleep
	}
}

func (w *watcher) watchLoop() {
	t := time.NewTicker(stuckAfter)
	defer t.Stop()
	for quiet := 0; ; quiet++ {
		if quiet > 10 {
			t.Stop()
			if !w.sleep() {
				return
			}
			quiet = 0
			t.Reset(stuckAfter)
		}
		select {
		case <-w.stop:
			return
		case <-t.C:
		}
		for _, l := range w.loops {
			if l.look() {
				quiet = 0
			}
		}
	}
}

// sleep returns when there is something to do; it says no at the end.
func (w *watcher) sleep() bool {
	w.asleep.Store(true)
	for _, l := range w.loops {
		if l.isBusy() && w.asleep.CompareAndSwap(true, false) { // it did not see that nobody watches
			return true
		}
	}
	select {
	case <-w.stop:
		return false
	case <-w.wake:
		return true
	}
}

func (l *loop) isBusy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.waiting && !l.ended
}

// look puts another goroutine in the place of one that is stuck, and says whether the loop had anything to do.
func (l *loop) look() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	moved := l.turns != l.looked
	l.looked = l.turns
	if l.waiting || l.ended || moved {
		return moved
	}
	if l.current != nil {
		l.current.polled.away.Store(true) // if it was not, it is that goroutine's until it gives it back
		l.current = nil
	}
	l.gen++
	gen := l.gen
	l.running.Go(func() { l.run(gen) })
	return true
}
