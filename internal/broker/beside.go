package broker

import (
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// A lane is for requests of one kind that may wait long: they run beside their connection, in a goroutine of their own. So many as there are
// seats are served at once, and those behind them in their turn, for a burst that is larger, of all consumers of a group say, is soon over.
// What waits is bounded by the memory that it takes, and by time: who has asked gives up in the end.
type lane struct {
	what    string
	seats   chan struct{} // one for each that is served
	waiting atomic.Int64  // bytes that those take that are not
	size    atomic.Int64  // requests, served and waiting
}

const (
	slowMax = 64   // requests served at once that may wait for a disk
	askMax  = 1024 // those that wait for another client or broker

	laneWait  = 5 * time.Second // what Apache's admin requests may wait (waitTimeMillsInAdminBrokerQueue)
	laneBytes = 64 << 20
	laneCost  = 4 << 10 // of each beside its text, in bytes
)

func newLane(what string, seats int) *lane {
	return &lane{what: what, seats: make(chan struct{}, seats)}
}

// serveBeside serves a detached request in its turn.
func (b *Broker) serveBeside(h *handler, l *lane, r *remoting.Request) {
	b.runBeside(l, r.Size(), func(refused error) {
		remoting.Guard(r, func() {
			remoting.Respond(r, func(r *remoting.Request) (*remoting.Answer, error) {
				if refused != nil {
					return nil, refused
				}
				return h.do(b, r)
			})
		})
		r.Conn.Flush()
	})
}

// runBeside runs serve beside the connection for a request whose text has size bytes, in its turn. It is told why when there is none for it.
func (b *Broker) runBeside(l *lane, size int, serve func(refused error)) {
	cost := int64(laneCost + size)
	seated := l.sit()
	if !seated && l.waiting.Add(cost) > laneBytes {
		l.waiting.Add(-cost)
		serve(protocol.Errorf(protocol.CodeSystemBusy, "[OVERLOAD]system busy, start flow control for a while: %d requests %s are being served, and more than %d MiB of them wait",
			cap(l.seats), l.what, laneBytes>>20))
		return
	}
	l.size.Add(1)
	b.beside.Go(func() {
		defer endPanic(b.log, "a request beside its connection is not answered")
		defer l.size.Add(-1)
		if !seated {
			seated = l.await(laneWait)
			l.waiting.Add(-cost)
		}
		if !seated {
			serve(protocol.Errorf(protocol.CodeSystemBusy, "[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while, period in queue: %dms, size of queue: %d; %d requests %s are being served",
				laneWait.Milliseconds(), l.size.Load(), cap(l.seats), l.what))
			return
		}
		defer func() { <-l.seats }()
		serve(nil)
	})
}

// sit takes a seat if one is free.
func (l *lane) sit() bool {
	select {
	case l.seats <- struct{}{}:
		return true
	default:
		return false
	}
}

// await takes a seat when it is its turn.
func (l *lane) await(most time.Duration) bool {
	timeout := time.NewTimer(most)
	defer timeout.Stop()
	select {
	case l.seats <- struct{}{}:
		return true
	case <-timeout.C:
		return false
	}
}
