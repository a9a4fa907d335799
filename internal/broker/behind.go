package broker

import (
	"log/slog"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/logging"
)

// behind writes a file some time after what it holds has changed: once, however often that was. Nothing runs while nothing
// changes.
type behind struct {
	path  string // for the log
	write func() error
	log   *slog.Logger

	trouble logging.Trouble

	mu     sync.Mutex // protects the fields below
	timer  *time.Timer
	armed  bool // the timer is set
	late   bool // something has changed since the last write began, or that has failed
	closed bool
	writes sync.WaitGroup
}

// behindRetry is the least pause before a file that could not be written is tried again.
const behindRetry = time.Second

// touch makes the file be written after the interval, if that is not to happen sooner.
func (f *behind) touch(interval time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.late = true; f.armed || f.closed {
		return
	}
	f.armed = true
	f.writes.Add(1)
	f.timer = time.AfterFunc(interval, func() { f.run(interval) })
}

func (f *behind) run(interval time.Duration) {
	defer f.writes.Done()
	f.mu.Lock()
	f.armed, f.late = false, false // what changes from now on is written the next time
	f.mu.Unlock()
	err := f.write()
	if err == nil {
		if lasted, over := f.trouble.Passed(); over {
			f.log.Info("state file is written again", "file", f.path, "after", lasted)
		}
		return
	}
	if f.trouble.Failed(err) {
		f.log.Error("cannot write state file, trying again until it is written", "file", f.path, "err", logging.Advised(err))
	}
	f.touch(max(interval, behindRetry))
}

// close writes the file a last time if it is behind.
func (f *behind) close() error {
	f.mu.Lock()
	f.closed = true
	if f.armed && f.timer.Stop() {
		f.writes.Done()
	}
	f.mu.Unlock()
	f.writes.Wait()
	f.mu.Lock()
	late := f.late
	f.mu.Unlock()
	if !late {
		return nil
	}
	return f.write()
}
