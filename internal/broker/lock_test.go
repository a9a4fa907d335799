package broker

import (
	"reflect"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

func TestQueueLocks_AreOneClientsForAMinute(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	l := newQueueLocks(time.Minute)
	l.now = func() time.Time { return now }
	q := func(ids ...int32) (queues []protocol.MessageQueue) {
		for _, id := range ids {
			queues = append(queues, protocol.MessageQueue{Topic: "T", BrokerName: "b", QueueID: id})
		}
		return queues
	}
	check := func(group, client string, ask, want []protocol.MessageQueue) {
		t.Helper()
		if got := l.lock(group, client, ask); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%s of %s gets %v of %v, want %v", client, group, got, ask, want)
		}
	}
	check("G", "one", q(0, 1), q(0, 1))
	check("G", "two", q(1, 2), q(2))
	check("H", "two", q(0, 1), q(0, 1)) // another group
	now = now.Add(40 * time.Second)
	check("G", "one", q(0), q(0)) // renewed
	now = now.Add(20*time.Second + time.Millisecond)
	check("G", "two", q(0, 1), q(1)) // 1 has expired
	check("G", "one", q(0, 1), q(0))
	l.unlock("G", "two", q(0, 1)) // 0 is not its own
	check("G", "three", q(0, 1), q(1))
	l.unlock("G", "one", q(0))
	l.unlock("G", "two", q(2))
	l.unlock("G", "three", q(1))
	l.unlock("H", "two", q(0, 1))
	l.unlock("I", "two", q(0, 1))
	if len(l.groups) != 0 {
		t.Errorf("left: %v", l.groups)
	}
}

func TestLockBatchMQ_AnswersWithWhatWasLocked(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	body := `{"clientId":"%","consumerGroup":"G","mqSet":[{"brokerName":"b","queueId":0,"topic":"T"}],"onlyThisBroker":false}`
	if r := call(t, c, protocol.ReqLockBatchMQ, nil, []byte(body)); string(r.Body) != `{"lockOKMQSet":[{"brokerName":"b","queueId":0,"topic":"T"}]}` {
		t.Errorf("got %s", r.Body)
	}
	other := []byte(`{"clientId":"o","consumerGroup":"G","mqSet":[{"brokerName":"b","queueId":0,"topic":"T"}]}`)
	if r := call(t, c, protocol.ReqLockBatchMQ, nil, other); string(r.Body) != `{"lockOKMQSet":[]}` {
		t.Errorf("the other got %s", r.Body)
	}
	if r := call(t, c, protocol.ReqUnlockBatchMQ, nil, []byte(body)); r.Code != 0 {
		t.Errorf("unlock: %d", r.Code)
	}
	if r := call(t, c, protocol.ReqLockBatchMQ, nil, []byte(`{"mqSet":7}`)); r.Code != 1 || len(r.Remark) == 0 {
		t.Errorf("nonsense: %d %s", r.Code, r.Remark)
	}
}
