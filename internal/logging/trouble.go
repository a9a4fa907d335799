package logging

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

const (
	troubleAgain = 5 * time.Minute  // after which a trouble that lasts is told once more
	troubleOther = 10 * time.Second // the same, when it has another reason
)

// A Trouble is what fails each time that it is tried until it passes, as all writing does while a disk is full: it is told when it begins,
// now and then while it lasts, and when it is over. The zero value is that nothing has failed.
type Trouble struct {
	// Calm is for how long nothing may have failed when something goes well for the trouble to be over: for what goes well now and then all
	// the while.
	Calm time.Duration

	mu     sync.Mutex // protects the fields below
	since  time.Time  // zero when there is no trouble
	failed time.Time  // the last time
	told   time.Time
	why    string
}

// Failed takes note of a failure and says whether it is to be logged.
func (t *Trouble) Failed(err error) bool {
	why := reason(err)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.failed = now
	again := troubleAgain
	if t.why != why {
		again = troubleOther
	}
	if t.since.IsZero() {
		t.since = now
	} else if now.Sub(t.told) < again {
		return false
	}
	t.told, t.why = now, why
	return true
}

// Passed takes note of a success. If that ends a trouble, which is to be logged, it says how long it has lasted.
func (t *Trouble) Passed() (lasted time.Duration, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.since.IsZero() || time.Since(t.failed) < t.Calm {
		return 0, false
	}
	lasted = time.Since(t.since).Round(time.Millisecond)
	t.since = time.Time{}
	return lasted, true
}

// reason is what two errors have in common that are told as one: they may be of other files.
func reason(err error) string {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	return err.Error()
}

// Advised adds to an error what can be done about it, where the system's own words do not say so.
func Advised(err error) error {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("%w: raise the limit of this process (ulimit -n; LimitNOFILE of systemd)", err)
	case errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("%w: raise the limit of this machine (sysctl fs.file-max)", err)
	}
	return err
}
