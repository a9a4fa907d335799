package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// consumers holds the push consumers and polling consumers by name.
type consumers struct {
	mu     sync.Mutex // protects the fields below
	push   map[string]rocketmq.PushConsumer
	pull   map[string]*polling
	boxes  map[string]*inbox
	atWork map[string]*atomic.Int32 // callbacks at work on a queue of a group, across all consumers of this program
}

// polling is a pull consumer and the goroutine that polls it.
type polling struct {
	consumer rocketmq.PullConsumer
	stop     context.CancelFunc
	done     chan struct{}
}

func newConsumers() *consumers {
	return &consumers{
		push: map[string]rocketmq.PushConsumer{}, pull: map[string]*polling{},
		boxes: map[string]*inbox{}, atWork: map[string]*atomic.Int32{},
	}
}

func (c *consumers) register(all map[string]command) {
	all["push"] = c.startPush
	all["push.seen"] = c.seen
	all["push.close"] = c.closePush
	all["failing"] = c.startFailing
	all["failing.seen"] = c.seen
	all["failing.close"] = c.closePush
	all["lite"] = c.startPull
	all["lite.seen"] = c.seen
	all["lite.close"] = c.closePull
}

func (c *consumers) seen(in form) (form, error) {
	c.mu.Lock()
	box, ok := c.boxes[in.Get("name")]
	c.mu.Unlock()
	if !ok {
		return form{}, errors.New("no such consumer")
	}
	return box.seen(in), nil
}

func options(in form) []consumer.Option {
	from := map[string]consumer.ConsumeFromWhere{
		"LAST_OFFSET": consumer.ConsumeFromLastOffset,
		"TIMESTAMP":   consumer.ConsumeFromTimestamp,
	}[in.Get("from")]
	if in.text("from", "FIRST_OFFSET") == "FIRST_OFFSET" {
		from = consumer.ConsumeFromFirstOffset
	}
	model := consumer.Clustering
	if in.Get("model") == "BROADCASTING" {
		model = consumer.BroadCasting
	}
	made := []consumer.Option{
		consumer.WithNameServer(servers(in)),
		consumer.WithGroupName(in.Get("group")),
		consumer.WithInstance(in.Get("name")),
		consumer.WithVIPChannel(in.flag("vip")),
		consumer.WithConsumeFromWhere(from),
		consumer.WithConsumerModel(model),
		consumer.WithConsumerOrder(in.flag("orderly")),
		consumer.WithConsumeGoroutineNums(in.number("threads", 1)),
		consumer.WithPullBatchSize(int32(in.number("pullBatch", 32))),
		consumer.WithStrategy(consumer.AllocateByAveragely),
	}
	if in.Has("timestamp") {
		made = append(made, consumer.WithConsumeTimestamp(in.Get("timestamp")))
	}
	return made
}

func selector(in form) consumer.MessageSelector {
	if in.Has("sql") {
		return consumer.MessageSelector{Type: consumer.SQL92, Expression: in.Get("sql")}
	}
	return consumer.MessageSelector{Type: consumer.TAG, Expression: in.text("tags", "*")}
}

func (c *consumers) startPush(in form) (form, error) {
	made, err := rocketmq.NewPushConsumer(options(in)...)
	if err != nil {
		return form{}, err
	}
	box := newInbox()
	work := in.millis("work")
	err = made.Subscribe(in.Get("topic"), selector(in),
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, m := range messages {
				box.put(m, c.overlaps(in.Get("group"), m, work))
			}
			return consumer.ConsumeSuccess, nil
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

// overlaps does the callback's work and says whether another was at work on the same queue for the same group meanwhile.
func (c *consumers) overlaps(group string, m *primitive.MessageExt, work time.Duration) bool {
	key := fmt.Sprint(group, "/", m.Topic, "/", m.Queue.QueueId)
	c.mu.Lock()
	n, ok := c.atWork[key]
	if !ok {
		n = new(atomic.Int32)
		c.atWork[key] = n
	}
	c.mu.Unlock()
	defer n.Add(-1)
	before := n.Add(1) > 1
	time.Sleep(work)
	return before || n.Load() > 1
}

func (c *consumers) closePush(in form) (form, error) {
	c.mu.Lock()
	made, ok := c.push[in.Get("name")]
	delete(c.push, in.Get("name"))
	c.mu.Unlock()
	if !ok {
		return newForm(), nil
	}
	return newForm(), made.Shutdown()
}

func (c *consumers) startPull(in form) (form, error) {
	made, err := rocketmq.NewPullConsumer(options(in)...)
	if err != nil {
		return form{}, err
	}
	if err := made.Subscribe(in.Get("topic"), selector(in)); err != nil {
		return form{}, err
	}
	if err := made.Start(); err != nil {
		return form{}, err
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &polling{consumer: made, stop: stop, done: make(chan struct{})}
	box := newInbox()
	c.mu.Lock()
	c.pull[in.Get("name")] = p
	c.boxes[in.Get("name")] = box
	c.mu.Unlock()
	go p.pollLoop(ctx, box)
	return newForm(), nil
}

func (p *polling) pollLoop(ctx context.Context, box *inbox) {
	defer close(p.done)
	for ctx.Err() == nil {
		request, err := p.consumer.Poll(ctx, 200*time.Millisecond)
		if err != nil {
			continue // nothing new
		}
		for _, m := range request.GetMsgList() {
			box.put(m, false)
		}
		p.consumer.ACK(ctx, request, consumer.ConsumeSuccess)
	}
}

func (c *consumers) closePull(in form) (form, error) {
	c.mu.Lock()
	p, ok := c.pull[in.Get("name")]
	delete(c.pull, in.Get("name"))
	c.mu.Unlock()
	if !ok {
		return newForm(), nil
	}
	p.stop()
	<-p.done
	return newForm(), p.consumer.Shutdown()
}
