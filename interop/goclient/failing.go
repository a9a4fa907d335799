package main

import (
	"context"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// startFailing starts a consumer whose callback fails with each message until it was tried so many times. Only keys that end in what
// is given fail.
func (c *consumers) startFailing(in form) (form, error) {
	made, err := rocketmq.NewPushConsumer(append(options(in), consumer.WithMaxReconsumeTimes(int32(in.number("most", -1))),
		consumer.WithSuspendCurrentQueueTimeMillis(in.millis("suspend")))...)
	if err != nil {
		return form{}, err
	}
	box := newInbox()
	fails, only := int32(in.number("fails", 0)), in.text("only", "")
	err = made.Subscribe(in.Get("topic"), selector(in),
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			result := consumer.ConsumeSuccess
			for _, m := range messages {
				f := received(m).add("at", time.Now().UnixMilli()).add("seq", arrivals.Add(1))
				for name, value := range m.GetProperties() {
					f.Set("p."+name, value)
				}
				box.add(f)
				if m.ReconsumeTimes < fails && strings.HasSuffix(strings.TrimSpace(m.GetKeys()), only) {
					result = consumer.ConsumeRetryLater
				}
			}
			return result, nil
		})
	if err != nil {
		return form{}, err
	}
	c.mu.Lock()
	c.push[in.Get("name")] = made
	c.boxes[in.Get("name")] = box
	c.mu.Unlock()
	return newForm(), made.Start()
}
