package admin

import (
	"log/slog"
	"testing"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// consumer is a client of a group that answers what brokers ask it.
type consumer struct {
	answers map[int]string // bodies by request code
	asked   chan int
}

func (c *consumer) Serve(r *remoting.Request) {
	if body, ok := c.answers[int(r.Code)]; ok {
		r.Conn.Reply(r, &remoting.Answer{Body: []byte(body)})
		c.asked <- int(r.Code)
	}
}
func (*consumer) Flush(c *remoting.Conn) { c.Flush() }
func (*consumer) Closed(*remoting.Conn)  {}

// runningInfo is what a Java consumer answers.
const runningInfo = `{"jstack":"main RUNNABLE","mqPopTable":{},"mqTable":{{"brokerName":"broker-a","queueId":0,"topic":"orders"}:{"cachedMsgCount":2,"cachedMsgMaxOffset":4,` +
	`"cachedMsgMinOffset":3,"cachedMsgSizeInMiB":0,"commitOffset":3,"droped":false,"lastConsumeTimestamp":1700000000000,"lastLockTimestamp":1700000000000,` +
	`"lastPullTimestamp":1700000000000,"locked":false,"transactionMsgCount":0,"transactionMsgMaxOffset":0,"transactionMsgMinOffset":0,"tryUnlockTimes":0}},` +
	`"properties":{"PROP_CONSUMEORDERLY":"false","PROP_CONSUMER_START_TIMESTAMP":1700000000000,"PROP_CONSUME_TYPE":"CONSUME_PASSIVELY"},` +
	`"statusTable":{"orders":{"consumeFailedMsgs":1,"consumeFailedTPS":0.5,"consumeOKTPS":2.25,"consumeRT":1.5,"pullRT":3.0,"pullTPS":4.0}},` +
	`"subscriptionSet":[{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1,"tagsSet":[],"topic":"orders"}]}`

// join makes a push consumer of a group that subscribes to all of a topic, until the test ends.
func (c *cluster) join(t *testing.T, id, group, topic string) *consumer {
	t.Helper()
	me := &consumer{asked: make(chan int, 100), answers: map[int]string{
		protocol.ReqGetConsumerRunningInfo: runningInfo,
		protocol.ReqConsumeMessageDirectly: `{"autoCommit":true,"consumeResult":"CR_SUCCESS","order":false,"spentTimeMills":7}`,
	}}
	pool := client.NewPool(me, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = pool.Close() })
	beat := &protocol.HeartbeatData{ClientID: id, ProducerDataSet: []*protocol.ProducerData{{GroupName: "producers"}}, ConsumerDataSet: []*protocol.ConsumerData{{
		GroupName: group, ConsumeType: protocol.ConsumePassively, MessageModel: protocol.Clustering, ConsumeFromWhere: "CONSUME_FROM_LAST_OFFSET",
		SubscriptionDataSet: []*protocol.SubscriptionData{{Topic: topic, SubString: "*", ExpressionType: protocol.ExpressionTag, SubVersion: 1}},
	}}}
	for _, addr := range c.brokers {
		if err := pool.Heartbeat(t.Context(), addr, beat); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "retry topic of "+group, func() bool {
		route, err := c.names.RouteByTopic(t.Context(), retryPrefix+group)
		return err == nil && len(route.BrokerDatas) == len(c.brokers)
	})
	return me
}
