package broker

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/fastjson"
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
	for range 5 { // of clients that end without a word
		now = now.Add(time.Minute + time.Millisecond)
		check(now.String(), "one", q(0), q(0))
	}
	if len(l.groups) != 1 {
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

func TestQueueLocks_KnowSinceWhenAQueueStands(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	l := newQueueLocks(time.Minute)
	l.now = func() time.Time { return now }
	q := protocol.MessageQueue{Topic: "T", BrokerName: "b"}
	start := now
	told := 0
	for range 90 { // half an hour
		l.lock("G", "one", []protocol.MessageQueue{q}, 7)
		if held, tell := l.stuck("G", q); tell {
			told++
			if held.client != "one" || held.offset != 7 || held.offsetSince != start || held.since != start {
				t.Errorf("told of %+v", held)
			}
		}
		now = now.Add(20 * time.Second)
	}
	if told != 3 {
		t.Errorf("told %d times in half an hour, want 3", told)
	}
	l.lock("G", "one", []protocol.MessageQueue{q}, 8)
	if held, ok := l.holder("G", q); !ok || held.offsetSince != now || held.since != start {
		t.Errorf("after it has moved: %+v", held)
	}
	now = now.Add(61 * time.Second)
	if _, ok := l.holder("G", q); ok {
		t.Error("an expired lock has a holder")
	}
	l.lock("G", "two", []protocol.MessageQueue{q}, 8)
	if held, ok := l.holder("G", q); !ok || held.client != "two" || held.since != now || held.offsetSince != now {
		t.Errorf("after another has taken it: %+v", held)
	}
}

func TestConsumeStats_TellWhoseAQueueIsAndWhatItStandsAt(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	var id string
	for range 2 {
		r := call(t, c, protocol.ReqSendMessageV2, sendFields("Ordered", "e", "1"), []byte("body"))
		var h protocol.SendResponseHeader
		if err := r.DecodeFields(&h); err != nil || r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark), err)
		}
		id = h.MsgID
	}
	b.groups.get([]byte("G"))
	call(t, c, protocol.ReqUpdateConsumerOffset, [][2]string{{"consumerGroup", "G"}, {"topic", "Ordered"}, {"queueId", "1"}, {"commitOffset", "1"}}, nil)
	before := time.Now().UnixMilli()
	body, err := json.Marshal(protocol.LockBatchBody{ConsumerGroup: "G", ClientID: "me", MQSet: []protocol.MessageQueue{b.messageQueue("Ordered", 1), b.messageQueue("Ordered", 2)}})
	if err != nil {
		t.Fatal(err)
	}
	call(t, c, protocol.ReqLockBatchMQ, nil, body)
	var stats protocol.ConsumeStats
	r := call(t, c, protocol.ReqGetConsumeStats, [][2]string{{"consumerGroup", "G"}, {"topic", "Ordered"}}, nil)
	if err := fastjson.Unmarshal(r.Body, &stats); err != nil || len(stats.OffsetTable) != 4 {
		t.Fatalf("%s: %v", r.Body, err)
	}
	for _, e := range stats.OffsetTable {
		o := e.Value.Orderly
		switch e.Queue.QueueID {
		case 1:
			if o == nil || o.ClientID != "me" || o.At != 1 || o.MsgID != id || o.Since < before || o.LockedSince < before {
				t.Errorf("queue 1: %+v, its message is %s", o, id)
			}
		case 2:
			if o == nil || o.ClientID != "me" || o.At != 0 || o.MsgID != "" {
				t.Errorf("queue 2, which is empty: %+v", o)
			}
		default:
			if o != nil {
				t.Errorf("queue %d, which nobody has: %+v", e.Queue.QueueID, o)
			}
		}
	}
}
