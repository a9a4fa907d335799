package broker

import (
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// deleteWait is how long whoever makes a topic waits for its deletion at most: it is less than a client's time for a send, 3 s, so
// that it hears why.
const deleteWait = time.Second

// deleting keeps topics from being made until release is called: a message that came into one before its queues are empty would
// go with the old ones, and so would an offset. Those that somebody deletes already are waited for. It must not be called by who deletes others, or
// holds the file's lines.
func (t *topics) deleting(names ...string) (release func()) {
	for {
		t.changeMu.Lock()
		_, over := t.goingLocked(names)
		if over == nil {
			break
		}
		t.changeMu.Unlock()
		<-over
	}
	defer t.changeMu.Unlock()
	over := make(chan struct{})
	for _, name := range names {
		t.going[name] = over
	}
	return func() {
		t.changeMu.Lock()
		defer t.changeMu.Unlock()
		for _, name := range names {
			delete(t.going, name)
		}
		close(over)
	}
}

// goingLocked returns one of the topics that is being deleted, and what is closed when it is; nil when none is. changeMu is held.
func (t *topics) goingLocked(names []string) (name string, over chan struct{}) {
	for _, name := range names {
		if over := t.going[name]; over != nil {
			return name, over
		}
	}
	return "", nil
}

// lockToMake takes changeMu when none of the topics is being deleted, which it waits for. It has not taken it when it returns an error.
func (t *topics) lockToMake(names ...string) error {
	var late <-chan time.Time
	for {
		t.changeMu.Lock()
		name, over := t.goingLocked(names)
		if over == nil {
			return nil
		}
		t.changeMu.Unlock()
		if late == nil {
			late = time.After(deleteWait)
		}
		select {
		case <-over:
		case <-late:
			return protocol.Errorf(protocol.CodeSystemBusy, "[REJECTREQUEST]system busy, start flow control for a while: topic %s is being deleted for more than %v, and cannot be made again before that is done",
				shown(name), deleteWait)
		}
	}
}
