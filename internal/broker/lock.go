package broker

import (
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
// in memory only: a restart gives up all of them.
// Differs from Apache: locks are this broker's own also where lockInStrictMode is set.

// queueLocks are the queues that consumers of ordered messages have for themselves.
type queueLocks struct {
	now  func() time.Time
	most time.Duration // how long a queue stays locked without its client asking again; clients ask every 20 s

	mu     sync.Mutex
	groups map[string]map[protocol.MessageQueue]queueLock
}

type queueLock struct {
	client string
	asked  time.Time
}

func newQueueLocks(most time.Duration) *queueLocks {
	return &queueLocks{now: time.Now, most: most, groups: map[string]map[protocol.MessageQueue]queueLock{}}
}

// lock locks for a client those of the queues that it can have, and returns them.
func (l *queueLocks) lock(group, client string, queues []protocol.MessageQueue) []protocol.MessageQueue {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	locks := l.groups[group]
	if locks == nil && len(queues) > 0 {
		locks = map[protocol.MessageQueue]queueLock{}
		l.groups[group] = locks
	}
	got := make([]protocol.MessageQueue, 0, len(queues))
	for _, q := range queues {
		if held, ok := locks[q]; ok && held.client != client && now.Sub(held.asked) <= l.most {
			continue
		}
		locks[q] = queueLock{client, now}
		got = append(got, q)
	}
	return got
}

// unlock gives up the client's locks of the queues.
func (l *queueLocks) unlock(group, client string, queues []protocol.MessageQueue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	locks := l.groups[group]
	for _, q := range queues {
		if locks[q].client == client {
			delete(locks, q)
		}
	}
	if len(locks) == 0 {
		delete(l.groups, group)
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

func (b *Broker) lockBatchMQ(r *remoting.Request) (*remoting.Answer, error) {
	var body protocol.LockBatchBody
	if err := fastjson.Unmarshal(r.Body, &body); err != nil {
		return nil, err
	}
	return jsonAnswer(protocol.LockBatchResponse{LockOKMQSet: b.locks.lock(body.ConsumerGroup, body.ClientID, body.MQSet)})
}

func (b *Broker) unlockBatchMQ(r *remoting.Request) (*remoting.Answer, error) {
	var body protocol.LockBatchBody
	if err := fastjson.Unmarshal(r.Body, &body); err != nil {
		return nil, err
	}
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
