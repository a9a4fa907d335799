package interop

import (
	"testing"
)

// The flag with which Java's clients write the headers of requests in the compact way.
const compactHeaders = "-Drocketmq.serialize.type=ROCKETMQ"

// speaksCompactHeaders: the same traffic with the headers in their second serialization.
func speaksCompactHeaders(t *testing.T, c client) {
	t.Parallel()
	basicTraffic(t, c.with(compactHeaders), sharedCluster(t), 200)
}

// speaksTLS: the same traffic encrypted, on the same ports.
func speaksTLS(t *testing.T, c client) {
	t.Parallel()
	basicTraffic(t, c, sharedCluster(t), 200, "tls", true)
}

// usesSecondPort: the same traffic over the port two below, which old clients prefer.
func usesSecondPort(t *testing.T, c client) {
	t.Parallel()
	basicTraffic(t, c, sharedCluster(t), 200, "vip", true)
}

// servesFromOneProcess: NameServer and broker in one process, which stops and starts again on its folder.
func servesFromOneProcess(t *testing.T, c client) {
	t.Parallel()
	if underTest("namesrv") != liftoff || underTest("broker") != liftoff {
		t.Skip("skipped: only Liftoff has both in one process")
	}
	cl, err := newOneProcess(theLab)
	must(t, err)
	cl.closeAfter(t)
	tellWhenFailed(t, cl)
	basicTraffic(t, c, cl, 100)
	cl.restartBroker(t, false)
	basicTraffic(t, c, cl, 100)
}

// underApachesNamesrv: our broker registers with Apache's NameServer.
func underApachesNamesrv(t *testing.T, c client, whose kind) {
	t.Parallel()
	cl := ownCluster(t, setup{namesrvs: []kind{whose}})
	basicTraffic(t, c, cl, 100)
	cl.restartBroker(t, true)
	basicTraffic(t, c, cl, 100)
}

// overApachesBroker: Apache's broker registers with our NameServer.
func overApachesBroker(t *testing.T, c client, whose kind) {
	t.Parallel()
	cl := ownCluster(t, setup{namesrvs: []kind{underTest("namesrv")}, broker: whose})
	basicTraffic(t, c, cl, 100)
	cl.restartBroker(t, true)
	basicTraffic(t, c, cl, 100)
}

// Two NameServers know the same broker; clients of either meet, and go on when one is gone.
func meetsOverTwoNamesrvs(t *testing.T, c client) {
	t.Parallel()
	n := underTest("namesrv")
	cl := ownCluster(t, setup{namesrvs: []kind{n, n}})
	only := func(i int) *cluster { return &cluster{namesrvs: cl.namesrvs[i : i+1], broker: cl.broker} }
	p := newProducer(t, c, only(0))
	topic := p.topic(4)
	acked := p.fill(topic, 40)
	newProducer(t, c, only(1)).waitForQueues(topic, 4)
	exactly(t, acked, newConsumer(t, c, only(1), topic, uniqueName(t, "group")).wait(len(acked)))

	// Those who know both go on when the first is gone. A client that asks the lost one is told so by an error and asks
	// the other the next time; what it knows already needs no asking.
	both := newProducer(t, c, cl)
	acked = append(acked, both.fill(topic, 40)...)
	s := newConsumer(t, c, cl, topic, uniqueName(t, "group"))
	s.wait(len(acked))
	stop(t, cl.namesrvs[0])
	acked = append(acked, both.fill(topic, 40)...)
	exactly(t, acked, s.wait(len(acked)))
	later := uniqueName(t, "later")
	must(t, waitFor(soon, func() error {
		_, err := both.program.call("send", "name", both.name, "topic", later, "body", encoded("x"))
		return err
	}))
	must(t, waitFor(soon, func() error { return cl.namesrvs[1].knows(cl.broker) }))
}

// refusesUnknownTopics: where topics are not made by sending, a client is told that there is no such topic.
func refusesUnknownTopics(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"autoCreateTopicEnable=false"}})
	p := newProducer(t, c, cl)
	topic := uniqueName(t, "nowhere")
	_, err := p.program.call("send", "name", p.name, "topic", topic, "body", encoded("lost"))
	t.Log(err)
	if err == nil {
		t.Error("a message to a topic that nobody made was accepted")
	}
}
