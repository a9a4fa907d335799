package broker

import (
	"maps"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// LOCK_BATCH_MQ 41, UNLOCK_BATCH_MQ 42.
//
// Behaviour: a queue is one client's of its group for a minute from its last request on (rocketmq.broker.rebalance.lockMaxLiveTime);
// then whoever asks first has it. Locks are
// in memory only: a restart gives up all of them. A queue that stands still while messages wait in it is told of in the log, and in the
// group's statistics (208).
// Differs from Apache: locks are this broker's own also where lockInStrictMode is set.

// queueLocks are the queues that consumers of ordered messages have for themselves.
type queueLocks struct {
	now  func() time.Time
	most time.Duration // how long a queue stays locked without its client asking again; clients ask every 20 s

	mu     sync.Mutex
	groups map[string]map[protocol.MessageQueue]queueLock
	swept  time.Time // when those that had expired were forgotten last
}

type queueLock struct {
	client string
	asked  time.Time
	since  time.Time // when it was locked; it was renewed since

	// How far its group was when it was asked for last, and since when.
	offset      int64
	offsetSince time.Time
	warned      time.Time // when a queue that does not move was last told of
}

const (
	// stuckAfter is how long a locked queue may stand still, with messages in it, until that is told.
	stuckAfter = 2 * time.Minute
	stuckEvery = 10 * time.Minute
)

func newQueueLocks(most time.Duration) *queueLocks {
	return &queueLocks{now: time.Now, most: most, groups: map[string]map[protocol.MessageQueue]queueLock{}}
}

// lock locks for a client those of the queues that it can have, and returns them. offsets are how far the group is in each; none when
// nobody knows.
func (l *queueLocks) lock(group, client string, queues []protocol.MessageQueue, offsets ...int64) []protocol.MessageQueue {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if now.Sub(l.swept) > l.most {
		l.swept = now
		l.sweepLocked(now)
	}
	got := make([]protocol.MessageQueue, 0, len(queues))
	for i, q := range queues {
		held := l.groups[group][q]
		expired := now.Sub(held.asked) > l.most
		if held.client != client && !expired {
			continue
		}
		if held.client != client || expired {
			held = queueLock{client: client, since: now, offset: -1}
		}
		held.asked = now
		if i < len(offsets) && (held.offset != offsets[i] || held.offsetSince.IsZero()) {
			held.offset, held.offsetSince = offsets[i], now
		}
		within(l.groups, group)[q] = held
		got = append(got, q)
	}
	return got
}

// holder returns who has a queue locked now; ok is false when nobody has.
func (l *queueLocks) holder(group string, q protocol.MessageQueue) (held queueLock, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held, ok = l.groups[group][q]
	return held, ok && l.now().Sub(held.asked) <= l.most
}

// stuck says whether it is to be told now that a locked queue does not move.
func (l *queueLocks) stuck(group string, q protocol.MessageQueue) (held queueLock, tell bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	held, ok := l.groups[group][q]
	if !ok || held.offsetSince.IsZero() || now.Sub(held.offsetSince) < stuckAfter || now.Sub(held.warned) < stuckEvery {
		return held, false
	}
	held.warned = now
	l.groups[group][q] = held
	return held, true
}

// unlock gives up the client's locks of the queues.
func (l *queueLocks) unlock(group, client string, queues []protocol.MessageQueue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range queues {
		if l.groups[group][q].client == client {
			dropWithin(l.groups, group, q)
		}
	}
}

// sweepLocked forgets the locks that have expired, of groups that are gone too.
func (l *queueLocks) sweepLocked(now time.Time) {
	for group, locks := range l.groups {
		maps.DeleteFunc(locks, func(_ protocol.MessageQueue, held queueLock) bool { return now.Sub(held.asked) > l.most })
		if len(locks) == 0 {
			delete(l.groups, group)
		}
	}
}

// has says whether some client of the group has a queue locked.
func (l *queueLocks) has(group string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, held := range l.groups[group] {
		if now.Sub(held.asked) <= l.most {
			return true
		}
	}
	return false
}

func (b *Broker) lockBatchMQ(_ *remoting.Request, body *protocol.LockBatchBody) (*remoting.Answer, error) {
	offsets := make([]int64, 0, len(body.MQSet))
	for _, q := range body.MQSet {
		offsets = append(offsets, b.offsets.query(body.ConsumerGroup, q.Topic, q.QueueID))
	}
	got := b.locks.lock(body.ConsumerGroup, body.ClientID, body.MQSet, offsets...)
	for _, q := range got {
		b.tellStuck(body.ConsumerGroup, q)
	}
	return jsonAnswer(protocol.LockBatchResponse{LockOKMQSet: got})
}

// tellStuck logs which message a locked queue stands still at, and who has it.
func (b *Broker) tellStuck(group string, q protocol.MessageQueue) {
	_, end := b.rangeOf(q.Topic, q.QueueID)
	if at := b.offsets.query(group, q.Topic, q.QueueID); at >= end {
		return
	}
	if held, tell := b.locks.stuck(group, q); tell {
		b.log.Warn("orderly consumption of a queue stands still: its consumer has the queue and does not get past a message", "group", group,
			"topic", q.Topic, "queue_id", q.QueueID, "offset", max(held.offset, 0), "since", held.offsetSince.Format(time.RFC3339), "waiting", end-max(held.offset, 0),
			"client", held.client, "locked_since", held.since.Format(time.RFC3339))
	}
}

func (b *Broker) unlockBatchMQ(_ *remoting.Request, body *protocol.LockBatchBody) (*remoting.Answer, error) {
	b.locks.unlock(body.ConsumerGroup, body.ClientID, body.MQSet)
	return nil, nil
}

// jsonAnswer is SUCCESS with a body.
func jsonAnswer(body any) (*remoting.Answer, error) {
	data, err := fastjson.Marshal(body)
	if err != nil {
		return nil, err
	}
	return &remoting.Answer{Body: data}, nil
}
