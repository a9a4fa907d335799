package broker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// backFields are the fields of a request that gives a message back.
func backFields(group string, logOffset int64, level int, more ...string) [][2]string {
	ext := [][2]string{{"offset", strconv.FormatInt(logOffset, 10)}, {"group", group}, {"delayLevel", strconv.Itoa(level)}, {"unitMode", "false"}}
	for i := 0; i < len(more); i += 2 {
		ext = append(ext, [2]string{more[i], more[i+1]})
	}
	return ext
}

// retryBroker is a broker whose retry topics have one queue and whose group is tried again twice, at once.
func retryBroker(t *testing.T) (*Broker, *remoting.Conn) {
	cfg := testConfig(t)
	cfg.DelayLevels = "1h 1h 0s 0s"
	b := openTest(t, cfg)
	g := protocol.NewSubscriptionGroupConfig("G")
	g.RetryQueueNums, g.RetryMaxTimes = 1, 2
	if err := b.groups.update(g); err != nil {
		t.Fatal(err)
	}
	return b, dialTest(t, b, remoting.Options{})
}

func TestSendBack_TriesAgainUntilItIsADeadLetter(t *testing.T) {
	t.Parallel()
	_, c := retryBroker(t)
	call(t, c, protocol.ReqSendMessageV2, sendFields("T", "i", "UNIQ_KEY\x01FirstID\x02TAGS\x01tag\x02KEYS\x01k\x02TIMER_OUT_MS\x015\x02"), []byte("body"))
	first := awaitMessages(t, c, "T", 0, 1)[0]
	at := first.LogOffset
	for try := int32(1); try <= 3; try++ {
		if r := call(t, c, protocol.ReqConsumerSendMsgBack, backFields("G", at, 0), nil); r.Code != 0 {
			t.Fatalf("try %d: code %d %s", try, r.Code, r.Remark)
		}
		topic, offset := "%RETRY%G", int64(try-1)
		if try == 3 {
			topic, offset = "%DLQ%G", 0
		}
		m := awaitMessages(t, c, topic, offset, 1)[0]
		at = m.LogOffset
		props := message.ParseProperties(m.Properties)
		if m.ReconsumeTimes != try || string(m.Body) != "body" || m.BornTimestamp != first.BornTimestamp || m.BornHost != first.BornHost {
			t.Errorf("try %d: message %+v", try, m)
		}
		want := map[string]string{"RETRY_TOPIC": "T", "ORIGIN_MESSAGE_ID": string(message.AppendOffsetID(nil, first.StoreHost, first.LogOffset)),
			"UNIQ_KEY": "FirstID", "TAGS": "tag", "KEYS": "k", "WAIT": "false", "DELAY": strconv.Itoa(min(2+int(try), 4))}
		if try == 3 {
			want["DELAY"], want["DLQ_ORIGIN_TOPIC"], want["DLQ_ORIGIN_MESSAGE_ID"] = "0", "T", "FirstID"
		}
		for name, value := range want {
			if props[name] != value {
				t.Errorf("try %d: %s is %q, want %q", try, name, props[name], value)
			}
		}
	}
}

func TestSendBack_FollowsLevelAndLimitOfTheRequest(t *testing.T) {
	t.Parallel()
	b, c := retryBroker(t)
	call(t, c, protocol.ReqSendMessageV2, sendFields("T"), []byte("body"))
	at := awaitMessages(t, c, "T", 0, 1)[0].LogOffset
	back := func(fields [][2]string) {
		t.Helper()
		if r := call(t, c, protocol.ReqConsumerSendMsgBack, fields, nil); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	back(backFields("G", at, -1))                          // a dead letter at once
	back(backFields("G", at, 0, "maxReconsumeTimes", "0")) // so is this
	back(backFields("G", at, 3, "maxReconsumeTimes", "1"))
	none0 := int32(0)
	old := &remoting.Request{Header: protocol.Header{Version: protocol.VersionV3_4_9 - 1}}
	if p, err := b.copyForRetry(old, &protocol.SendBackHeader{Offset: at, Group: "G", MaxReconsumeTimes: &none0}); err != nil || p.Queue.Topic() != "%RETRY%G" {
		t.Errorf("an old client's limit counts: %+v, %v", p, err)
	}
	if n := len(awaitMessages(t, c, "%DLQ%G", 0, 2)); n != 2 {
		t.Errorf("%d dead letters", n)
	}
	if m := awaitMessages(t, c, "%RETRY%G", 0, 1)[0]; m.ReconsumeTimes != 1 {
		t.Errorf("message %+v", m)
	}
	back(backFields("G", at, 1)) // in an hour
	for deadline := time.Now().Add(10 * time.Second); b.store.Queue(topicSchedule, 0).MaxOffset() != 1; {
		if time.Now().After(deadline) {
			t.Fatal("nothing waits in level 1")
		}
		time.Sleep(time.Millisecond)
	}
	if end := b.store.Queue("%DLQ%G", 0).MaxOffset(); end != 2 {
		t.Errorf("%d dead letters", end)
	}
	if perm := b.topics.find("%DLQ%G").Perm; perm != permRead|permWrite {
		t.Errorf("permission of the dead-letter topic is %d", perm)
	}
	closed := b.topics.find("%DLQ%G").TopicConfig
	closed.Perm = permRead
	if err := b.topics.update(closed); err != nil {
		t.Fatal(err)
	}
	back(backFields("G", at, -1)) // nobody else may write there
	none := protocol.NewSubscriptionGroupConfig("Forgets")
	none.RetryQueueNums = 0
	if err := b.groups.update(none); err != nil {
		t.Fatal(err)
	}
	back(backFields("Forgets", at, 0))
	if b.topics.find("%RETRY%Forgets") != nil {
		t.Error("a group without retry queues has a retry topic")
	}
}

func TestSendBack_RefusalsNameTheCause(t *testing.T) {
	t.Parallel()
	b, c := retryBroker(t)
	call(t, c, protocol.ReqSendMessageV2, sendFields("T"), []byte("body"))
	at := awaitMessages(t, c, "T", 0, 1)[0]
	call(t, c, protocol.ReqSendMessageV2, sendFields("T", "i", "DELAY\x011\x02"), []byte("later"))
	check := func(what string, fields [][2]string, code int, words ...string) {
		t.Helper()
		r := call(t, c, protocol.ReqConsumerSendMsgBack, fields, nil)
		if int(r.Code) != code {
			t.Errorf("%s: code %d %s, want %d", what, r.Code, r.Remark, code)
		}
		for _, w := range words {
			if !strings.Contains(string(r.Remark), w) {
				t.Errorf("%s: remark %q does not say %q", what, r.Remark, w)
			}
		}
	}
	for _, forged := range []int64{-1, -1 << 63, 1, at.LogOffset + 1, 1 << 40, 1<<63 - 1} {
		check("forged offset", backFields("G", forged, 0), protocol.CodeSystemError, "look message by offset failed", fmt.Sprint(forged))
	}
	check("delayed message", backFields("G", at.LogOffset+int64(at.Size), 0), protocol.CodeSystemError, "look message by offset failed", "queue of the system")
	check("no group", backFields("", at.LogOffset, 0), protocol.CodeSubscriptionGroupNotExist, "subscription group not exist", "The specified group is blank.")
	check("bad group", backFields("a/b", at.LogOffset, 0), protocol.CodeSubscriptionGroupNotExist, "subscription group not exist, a/b", "contains illegal characters")
	check("field missing", backFields("G", 0, 0)[1:], protocol.CodeSystemError, "offset")
	check("not a number", [][2]string{{"offset", "x"}, {"group", "G"}, {"delayLevel", "0"}}, protocol.CodeSystemError, "offset")
	cfg := *b.settings.Load()
	cfg.Permission = permRead
	b.settings.Store(&cfg)
	check("broker is read only", backFields("G", at.LogOffset, 0), protocol.CodeNoPermission, "sending message is forbidden")
	cfg.Permission = permRead | permWrite
	cfg.AutoCreateGroup = false
	b.settings.Store(&cfg)
	check("unknown group", backFields("Unknown", at.LogOffset, 0), protocol.CodeSubscriptionGroupNotExist, "Unknown", "autoCreateSubscriptionGroup=false")
	retry := newConfig("%RETRY%G", 1)
	retry.Perm = permRead
	if err := b.topics.update(retry); err != nil {
		t.Fatal(err)
	}
	check("retry topic is read only", backFields("G", at.LogOffset, 0), protocol.CodeNoPermission, "%RETRY%G")
}

func TestSend_ToARetryTopicBecomesADeadLetterInTime(t *testing.T) {
	t.Parallel()
	b, c := retryBroker(t)
	send := func(times string, most ...string) {
		t.Helper()
		fields := sendFields("%RETRY%G", "j", times, "i", "UNIQ_KEY\x01ID\x02RETRY_TOPIC\x01T\x02DELAY\x013\x02")
		for _, m := range most {
			fields = append(fields, [2]string{"l", m})
		}
		if r := call(t, c, protocol.ReqSendMessageV2, fields, []byte(times)); r.Code != 0 {
			t.Fatal(r.Code, string(r.Remark))
		}
	}
	send("5", "5") // not yet
	send("6", "5") // over its own limit
	send("3")      // over the group's
	if m := awaitMessages(t, c, "%RETRY%G", 0, 1)[0]; m.ReconsumeTimes != 5 {
		t.Errorf("message %+v", m)
	}
	b.locks.lock("G", "client", []protocol.MessageQueue{{Topic: "T"}}) // it consumes in order
	send("1", "16")
	for i, m := range awaitMessages(t, c, "%DLQ%G", 0, 3) {
		props := message.ParseProperties(m.Properties)
		if want := []string{"6", "3", "1"}[i]; string(m.Body) != want || props["DLQ_ORIGIN_TOPIC"] != "T" || props["DLQ_ORIGIN_MESSAGE_ID"] != "ID" || props["DELAY"] != "-1" {
			t.Errorf("dead letter %d is %s with %v, want %s", i, m.Body, props, want)
		}
	}
	if end := b.store.Queue("%RETRY%G", 0).MaxOffset(); end != 1 {
		t.Errorf("%d messages are to be tried again, want 1", end)
	}
}
