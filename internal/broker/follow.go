package broker

import (
	"context"
	"sync"

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
		b.following.Go(func() { follow(b, ctx) })
	}
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
