package broker

import (
	"errors"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// makeTopic makes a topic with any numbers of queues, as a file of topics may have them.
func makeTopic(t testing.TB, b *Broker, name string, read, write int32) {
	t.Helper()
	c := protocol.NewTopicConfig(name)
	c.ReadQueueNums, c.WriteQueueNums = read, write
	if err := b.topics.update(c); err != nil {
		t.Fatal(err)
	}
}

func TestSend_IsRefusedWhereTheTopicHasNoSuchQueue(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	c := dialTest(t, b, remoting.Options{})
	makeTopic(t, b, "None", 0, 0)
	makeTopic(t, b, "Draining", 4, 0)
	makeTopic(t, b, "Many", 100_000, 100_000)
	if err := b.groups.update(protocol.NewSubscriptionGroupConfig("G")); err != nil {
		t.Fatal(err)
	}
	makeTopic(t, b, "%RETRY%G", 1, 1)
	makeTopic(t, b, "%DLQ%G", 0, 0)
	batch := message.AppendToBatch(nil, message.BatchEntry{Body: []byte("in a batch")})
	check := func(code int, ext [][2]string, want int32, words ...string) {
		t.Helper()
		body := []byte("body")
		if code == protocol.ReqSendBatchMessage {
			body = batch
		}
		r := call(t, c, code, ext, body)
		if r.Code != want {
			t.Errorf("%s %d: code %d %s, want %d", ext[1][1], code, r.Code, r.Remark, want)
		}
		for _, w := range words {
			if !strings.Contains(string(r.Remark), w) {
				t.Errorf("%s %d: remark %q does not say %q", ext[1][1], code, r.Remark, w)
			}
		}
	}
	for _, code := range []int{protocol.ReqSendMessageV2, protocol.ReqSendBatchMessage} {
		check(code, sendFields("New", "d", "0", "e", "-1"), protocol.CodeSystemError, "New", "writeQueueNums=0")
		check(code, sendFields("Newer", "d", "-3", "e", "-1"), protocol.CodeSystemError, "Newer", "writeQueueNums=0")
		check(code, sendFields("New", "e", "0"), protocol.CodeInvalidParameter, "queueId[0]", "writeQueueNums=0")
		check(code, sendFields("None", "e", "-1"), protocol.CodeSystemError, "None", "writeQueueNums=0")
		check(code, sendFields("Draining", "e", "-1"), protocol.CodeSystemError, "Draining", "writeQueueNums=0")
		check(code, sendFields("Draining", "e", "3"), 0)
		check(code, sendFields("Many", "e", "70000"), protocol.CodeInvalidParameter, "queueId[70000]", "65536")
		check(code, sendFields("Many", "e", "65535"), 0)
		check(code, sendFields("Many", "e", "-1"), 0)
	}
	send := protocol.ReqSendMessageV2
	check(send, sendFields("None", "e", "-1", "i", "DELAY\x011\x02"), protocol.CodeSystemError, "None")
	check(send, sendFields("None", "e", "-1", "i", "TRAN_MSG\x01true\x02"), protocol.CodeSystemError, "None")
	check(send, sendFields("Many", "i", "_SYS_MSG_PRIORITY_\x0199999\x02"), 0)
	check(send, sendFields("%RETRY%G", "j", "17"), protocol.CodeInvalidParameter, "%DLQ%G", "writeQueueNums=0")
	check(protocol.ReqSendReplyMessageV2, sendFields("None", "e", "-1"), protocol.CodeSystemError, "None")
	if r := call(t, c, protocol.ReqPullMessage, pullFields("Many", 70000, 0), nil); r.Code != protocol.CodeInvalidParameter {
		t.Errorf("pull: code %d %s", r.Code, r.Remark)
	}
	check(send, sendFields("Afterwards"), 0)
}

func TestPutNow_IsToldOfAMissingQueue(t *testing.T) {
	t.Parallel()
	b := openTest(t, testConfig(t))
	for _, props := range []string{"", "DELAY\x011\x02", "INNER_MULTI_DISPATCH\x01%LMQ%a\x02"} {
		p := store.Put{Message: message.Message{Properties: []byte(props)}}
		if err := b.putNow(p); !errors.Is(err, store.ErrTopic) {
			t.Errorf("%q: %v", props, err)
		}
	}
}

func TestPop_IsDeliveredAgainOnceItsRetryTopicHasQueues(t *testing.T) {
	t.Parallel()
	b := openTest(t, timerConfig(t))
	c := dialTest(t, b, remoting.Options{})
	retry := popRetryTopic("Poppers", "Popped", popRetryV1)
	sendN(t, c, "Popped", 2)
	makeTopic(t, b, retry, 0, 0)
	if n := len(pop(t, c, "Popped", "invisibleTime", "300")); n != 2 {
		t.Fatal(n)
	}
	await(t, "the copies to be in the retry topic", func() bool {
		q := b.store.FindQueue(retry, 0)
		return q != nil && q.MaxOffset() == 2
	})
	makeTopic(t, b, retry, 1, 1)
	ack(t, c, "Popped", popAgain(t, c, "Popped", 2)...)
}
