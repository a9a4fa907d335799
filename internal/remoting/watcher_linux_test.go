package remoting

import (
	"testing"
	"time"
)

// TestWatcher_IsWokenBehindTheLoop has the watcher go to sleep while a loop wakes that it has just seen waiting.
func TestWatcher_IsWokenBehindTheLoop(t *testing.T) {
	t.Parallel()
	w := &watcher{stop: make(chan struct{}), wake: make(chan struct{}, 1)}
	l := &loop{watcher: w, waiting: true}
	l.mu.Lock()
	came := make(chan struct{})
	go func() {
		l.came(nil)
		close(came)
	}()
	time.Sleep(10 * time.Millisecond) // it reaches the lock, which nothing tells; if not, the test passes and shows nothing
	w.asleep.Store(true)
	l.mu.Unlock()
	<-came
	select {
	case <-w.wake:
	default:
		t.Error("the watcher sleeps over a loop that is awake")
	}
}
