package broker

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/store"
)

// followers are the loops that follow a queue of the system from a position that they keep, and put what they find there where it
// belongs. Each may stop anywhere and goes on from its position after a crash: what it does again must change nothing. They run on a
// master only, from the moment the broker serves until Close.
var followers = []func(*Broker, context.Context){
	(*Broker).followSchedule,
	(*Broker).followHalves,
	(*Broker).followTimers,
	(*Broker).followRevive,
	(*Broker).followLites,
}

// startFollowers starts them; stopFollowers ends them and waits.
func (b *Broker) startFollowers() {
	ctx, cancel := context.WithCancel(context.Background())
	b.stopFollowers = func() {
		cancel()
		b.following.Wait()
	}
	if b.settings.Load().BrokerRole == config.Slave {
		return
	}
	for _, follow := range followers {
		b.following.Go(func() { b.keepFollowing(ctx, follow) })
	}
}

// A follower that has panicked begins anew after a pause, which doubles when it soon does again.
const (
	followPause    = time.Second
	followPauseMax = time.Minute
)

// keepFollowing runs a follower until ctx ends. A panic in it must end neither the process nor what the follower is for; where one message
// is to blame the follower passes over that itself.
func (b *Broker) keepFollowing(ctx context.Context, follow func(*Broker, context.Context)) {
	for wait := followPause; ; wait = min(2*wait, followPauseMax) {
		began := time.Now()
		ended := survived(b.log, "a loop of the broker ends and begins anew", func() { follow(b, ctx) })
		if time.Since(began) > followPauseMax {
			wait = followPause
		}
		if ended || pause(ctx, wait) {
			return
		}
	}
}

// survived runs do and says whether it came to its end. When it did not, for a panic, the log tells what is done about it.
func survived(log *slog.Logger, what string, do func(), keys ...any) (ended bool) {
	defer endPanic(log, what, keys...)
	do()
	return true
}

// endPanic, deferred, ends a panic and tells of it: one message must not stop all others, now and at each start.
func endPanic(log *slog.Logger, what string, keys ...any) {
	if e := recover(); e != nil {
		log.Error("panic: "+what, append(keys, "err", fmt.Sprint(e), "stack", string(debug.Stack()))...)
	}
}

// readOn is Store.Get for a follower. When that panics one message is read, and passed over if it is to blame.
func (b *Broker) readOn(q *store.Queue, offset int64, maxMsgs, maxBytes int, buf []byte) (records []byte, res store.GetResult) {
	read := func() { records, res = b.store.Get(q, offset, maxMsgs, maxBytes, nil, buf) }
	if survived(b.log, "messages are read one by one", read) {
		return records, res
	}
	maxMsgs = 1
	if survived(b.log, "message is passed over", read, "topic", q.Topic(), "queue_id", q.ID(), "offset", offset) {
		return records, res
	}
	return buf, store.GetResult{Status: store.MessageWasRemoving, NextOffset: offset + 1}
}

// watches wakes followers when a message has come into the queue that they follow.
type watches struct {
	mu      sync.Mutex // protects the field below
	byQueue map[*store.Queue][]chan struct{}
}

// watch returns a channel that holds something whenever a message may have come into q since it was last emptied. Look at the
// queue's end after watching, not before. unwatch ends it.
func (w *watches) watch(q *store.Queue) (woken <-chan struct{}, unwatch func()) {
	c := make(chan struct{}, 1)
	return c, w.join(c, q)
}

// join is watch with a channel that may be several queues'.
func (w *watches) join(c chan struct{}, q *store.Queue) (leave func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byQueue == nil {
		w.byQueue = make(map[*store.Queue][]chan struct{})
	}
	w.byQueue[q] = append(w.byQueue[q], c)
	q.Watch(1)
	return func() {
		q.Watch(-1)
		w.mu.Lock()
		defer w.mu.Unlock()
		dropFrom(w.byQueue, q, c)
	}
}

// arrived is called for each message in a watched queue.
func (w *watches) arrived(q *store.Queue) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.byQueue[q] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
