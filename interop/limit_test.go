package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestJava5_HearsOfLimits(t *testing.T)  { hearsOfLimits(t, java5) }
func TestJava5_CountsPolls(t *testing.T)    { countsPolls(t, java5) }
func TestJava5_IsSentToASlave(t *testing.T) { isSentToASlave(t, java5) }
func TestJava5_IsToldToWait(t *testing.T)   { isToldToWait(t, java5) }

// hearsOfLimits: a client is told by code and words that it may not send or consume: by the broker's permission, by its group's, because
// it pulls by itself.
func hearsOfLimits(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{})
	l := &liteLab{t: t, producer: newProducer(t, c, cl)}
	topic := l.topic(1)
	sent := l.fill(topic, 5, "queues", 1)
	ordered := uniqueName(t, "ordered")
	l.raw(0, 17, nil, "topic", ordered, "defaultTopic", "TBW102", "readQueueNums", 1, "writeQueueNums", 1, "perm", 6, "topicFilterType", "SINGLE_TAG", "topicSysFlag", 0, "order", "true")
	l.waitForQueues(ordered, 1)
	change := func(settings string) {
		t.Helper()
		l.raw(0, 25, []byte(settings+"\n"))
	}
	group := func(name string, enabled bool) {
		t.Helper()
		body, err := json.Marshal(map[string]any{"groupName": name, "consumeEnable": enabled})
		must(t, err)
		l.raw(0, 200, body)
	}
	puller := func(group string) string {
		t.Helper()
		name := uniqueName(t, "consumer")
		if _, err := l.program.call("pull", "name", name, "group", group, "namesrv", cl.addrs()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.program.call("pull.close", "name", name) })
		return name
	}
	refused := func(what string, err error, words ...string) {
		t.Helper()
		for _, w := range words {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %s", what, err, w)
			}
		}
	}
	pull := func(name string) error {
		_, err := l.program.call("pull.get", "name", name, "topic", topic, "queue", 0, "offset", 0)
		return err
	}
	pop := newPopper(t, l.producer, topic)
	popOnce := func() error {
		_, err := l.program.call("pop", pop.args([]any{"poll", 200})...)
		return err
	}
	own := uniqueName(t, "group")
	name := puller(own)
	group(own, true)
	group(pop.group, true)
	must(t, pull(name))
	group(own, false)
	group(pop.group, false)
	refused("a pull of a group that may not consume", pull(name), "CODE: 16", "subscription group no permission, "+own)
	refused("a pop of a group that may not consume", popOnce(), "CODE: 16", "subscription group no permission, "+pop.group)
	group(own, true)
	group(pop.group, true)
	must(t, pull(name))

	change("brokerPermission=4")
	// Clients find no queue to send to any more; what they had on the way is refused where order counts.
	answer := l.raw(16, 310, []byte("x"), sendFields(ordered)...)
	refused("a send in order to a broker that may not be written", errors.New(answer.Get("remark")), "the broker[127.0.0.1] sending message is forbidden")
	must(t, pull(name))
	change("brokerPermission=2")
	refused("a pull of a broker that may not be read", pull(name), "CODE: 16", "the broker[127.0.0.1] pulling message is forbidden")
	refused("a pop of a broker that may not be read", popOnce(), "CODE: 16", "the broker[127.0.0.1] pop message is forbidden")
	change("brokerPermission=6")
	must(t, pull(name))

	change("rejectPullConsumerEnable=true")
	refused("a pull by a consumer that pulls by itself", pull(puller(uniqueName(t, "group"))), "CODE: 24", "the consumer's group info not exist, or the pull consumer is rejected by server.")
	s := newConsumer(t, c, cl, topic, uniqueName(t, "group"))
	exactly(t, sent, s.wait(len(sent)))
	s.close()
}

// countsPolls: how many pops wait for a topic's queues, of all and of one.
func countsPolls(t *testing.T, c client) {
	t.Parallel()
	l := &liteLab{t: t, producer: newProducer(t, c, sharedCluster(t))}
	p := newPopper(t, l.producer, l.topic(2))
	waits := func(queue int, want string) {
		t.Helper()
		must(t, waitFor(soon, func() error {
			if got := l.raw(0, 200055, nil, "consumerGroup", p.group, "topic", p.topic, "queueId", queue).Get("f.pollingNum"); got != want {
				return fmt.Errorf("%s pops wait for queue %d, not %s", got, queue, want)
			}
			return nil
		}))
	}
	answered := make(chan error, 3)
	for i := range 3 {
		go func() {
			_, err := l.program.call("pop", p.args([]any{"poll", 15000, "queue", []int{-1, -1, 1}[i]})...)
			answered <- err
		}()
	}
	waits(-1, "2")
	waits(1, "1")
	waits(0, "0")
	l.fill(p.topic, 40, "queues", 2)
	for range 3 {
		must(t, <-answered)
	}
	waits(-1, "0")
	waits(1, "0")
	l.raw(17, 200055, nil, "consumerGroup", p.group, "topic", "none", "queueId", 0)
	l.raw(29, 200055, nil, "consumerGroup", p.group, "topic", p.topic, "queueId", 2)
}

// isSentToASlave: a pull gets no more than the broker allows, and one of old messages is told to ask a slave next.
func isSentToASlave(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"slaveReadEnable=true", "accessMessageInMemoryMaxRatio=0", "maxTransferCountOnMessageInDisk=2", "maxTransferCountOnMessageInMemory=3"}})
	l := &liteLab{t: t, producer: newProducer(t, c, cl)}
	topic, group := l.topic(1), uniqueName(t, "group")
	l.fill(topic, 6, "queues", 1)
	l.raw(0, 200, []byte(fmt.Sprintf(`{"groupName":%q,"consumeEnable":true}`, group)))
	pull := func(code, from int) string {
		t.Helper()
		a := l.raw(code, 11, nil, "consumerGroup", group, "topic", topic, "queueId", 0, "queueOffset", from, "maxMsgNums", 32, "sysFlag", 4, "commitOffset", 0, "suspendTimeoutMillis", 0,
			"subVersion", 0, "subscription", "*")
		return fmt.Sprintf("to %s, next from broker %s", a.Get("f.nextBeginOffset"), a.Get("f.suggestWhichBrokerId"))
	}
	for _, want := range []struct {
		from, code int
		told       string
	}{
		{0, 0, "to 2, next from broker 1"},
		{5, 0, "to 6, next from broker 1"},
		{6, 19, "to 6, next from broker 0"},
	} {
		if got := pull(want.code, want.from); got != want.told {
			t.Errorf("a pull from %d: %s, want %s", want.from, got, want.told)
		}
	}
}

// isToldToWait: a broker that takes no messages for now says so with the code that lets clients try another one.
func isToldToWait(t *testing.T, c client) {
	t.Parallel()
	l := &liteLab{t: t, producer: newProducer(t, c, ownCluster(t, setup{settings: []string{"brokerRole=SLAVE", "brokerId=1"}}))}
	answer := l.raw(2, 310, []byte("x"), sendFields("T")...)
	if !strings.HasPrefix(answer.Get("remark"), "[REJECTREQUEST]system busy, start flow control for a while") {
		t.Error(answer)
	}
}

// sendFields are the fields of SEND_MESSAGE_V2.
func sendFields(topic string) []any {
	return []any{"a", "P", "b", topic, "c", "TBW102", "d", 4, "e", 0, "f", 0, "g", 1, "h", 0, "i", "", "j", 0, "k", "false", "m", "false"}
}
