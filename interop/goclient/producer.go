package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// byID sends a message to the queue that it asks for, and one that asks for none to each queue in turn.
type byID struct{ next atomic.Int64 }

func (s *byID) Select(m *primitive.Message, queues []*primitive.MessageQueue, _ string) *primitive.MessageQueue {
	if m.Queue == nil {
		return queues[int(s.next.Add(1))%len(queues)]
	}
	for _, q := range queues {
		if q.QueueId == m.Queue.QueueId {
			return q
		}
	}
	return nil
}

// producers holds the producers by name.
type producers struct {
	mu    sync.Mutex // protects the fields below
	made  map[string]rocketmq.Producer
	loads map[string]*load
}

func newProducers() *producers {
	return &producers{made: map[string]rocketmq.Producer{}, loads: map[string]*load{}}
}

func (p *producers) register(all map[string]command) {
	all["producer"] = p.start
	all["producer.close"] = p.close
	all["send"] = p.send
	all["batch"] = p.batch
	all["fill"] = p.fill
	all["load"] = p.load
	all["load.stop"] = p.stopLoad
	all["createTopic"] = p.createTopic
	all["queues"] = p.queues
}

func (p *producers) of(in form) (rocketmq.Producer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	made, ok := p.made[in.Get("name")]
	if !ok {
		return nil, errors.New("no such producer")
	}
	return made, nil
}

func servers(in form) primitive.NamesrvAddr { return strings.Split(in.Get("namesrv"), ";") }

func (p *producers) start(in form) (form, error) {
	made, err := rocketmq.NewProducer(
		producer.WithNameServer(servers(in)),
		producer.WithGroupName(in.Get("group")),
		producer.WithInstanceName(in.Get("name")),
		producer.WithVIPChannel(in.flag("vip")),
		producer.WithDefaultTopicQueueNums(in.number("queues", 4)),
		producer.WithRetry(in.number("retries", 2)),
		producer.WithSendMsgTimeout(10*time.Second),
		producer.WithQueueSelector(&byID{}),
	)
	if err != nil {
		return form{}, err
	}
	if err := made.Start(); err != nil {
		return form{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made[in.Get("name")] = made
	return newForm(), nil
}

func (p *producers) close(in form) (form, error) {
	made, err := p.of(in)
	if err != nil {
		return newForm(), nil
	}
	p.mu.Lock()
	delete(p.made, in.Get("name"))
	p.mu.Unlock()
	return newForm(), made.Shutdown()
}

func (p *producers) send(in form) (form, error) {
	made, err := p.of(in)
	if err != nil {
		return form{}, err
	}
	m, err := toSend(in)
	if err != nil {
		return form{}, err
	}
	switch in.Get("mode") {
	case "oneway":
		return newForm(), made.SendOneWay(context.Background(), m)
	case "async":
		type outcome struct {
			result *primitive.SendResult
			err    error
		}
		first := make(chan outcome, 2) // the client may call back twice after a failure
		err := made.SendAsync(context.Background(), func(_ context.Context, r *primitive.SendResult, err error) {
			select {
			case first <- outcome{r, err}:
			default:
			}
		}, m)
		if err != nil {
			return form{}, err
		}
		o := <-first
		return sent(o.result, o.err)
	}
	return sent(made.SendSync(context.Background(), m))
}

func sent(r *primitive.SendResult, err error) (form, error) {
	if err != nil {
		return form{}, err
	}
	status := map[primitive.SendStatus]string{primitive.SendOK: "SEND_OK"}[r.Status]
	if status == "" {
		status = fmt.Sprint("status ", r.Status)
	}
	return newForm().
		add("status", status).
		add("msgId", r.MsgID).
		add("offsetMsgId", r.OffsetMsgID).
		add("broker", r.MessageQueue.BrokerName).
		add("queue", r.MessageQueue.QueueId).
		add("offset", r.QueueOffset), nil
}

func (p *producers) batch(in form) (form, error) {
	made, err := p.of(in)
	if err != nil {
		return form{}, err
	}
	var messages []*primitive.Message
	for _, line := range strings.Split(in.Get("m"), "\n") {
		values, err := url.ParseQuery(line)
		if err != nil {
			return form{}, err
		}
		m, err := toSend(form{values})
		if err != nil {
			return form{}, err
		}
		messages = append(messages, m)
	}
	return sent(made.SendSync(context.Background(), messages...))
}

// fill sends count numbered messages, in turn to each queue, one after the other, and tells where each one went.
func (p *producers) fill(in form) (form, error) {
	made, err := p.of(in)
	if err != nil {
		return form{}, err
	}
	answer := newForm()
	for i := in.number("first", 0); i < in.number("first", 0)+in.number("count", 1); i++ {
		f, err := fillOne(made, in, i)
		if err != nil {
			return form{}, fmt.Errorf("message %d: %w", i, err)
		}
		answer.add("a", f.Encode())
	}
	return answer, nil
}

func fillOne(made rocketmq.Producer, in form, i int) (form, error) {
	key := fmt.Sprintf("%s-%d", in.Get("prefix"), i)
	body := key + strings.Repeat(".", max(0, in.number("size", 0)-len(key)))
	m := primitive.NewMessage(in.Get("topic"), []byte(body)).WithTag(fmt.Sprint("T", i%3)).WithKeys([]string{key})
	m.Queue = &primitive.MessageQueue{Topic: m.Topic, QueueId: i % in.number("queues", 4)}
	f, err := sent(made.SendSync(context.Background(), m))
	if err != nil {
		return form{}, err
	}
	if f.Get("status") != "SEND_OK" {
		return form{}, errors.New("answered with " + f.Get("status"))
	}
	return f.add("key", key), nil
}

// A load sends as fill does until told to stop, trying each message again until it is acknowledged.
type load struct {
	stop chan struct{}
	done chan form
}

func (p *producers) load(in form) (form, error) {
	made, err := p.of(in)
	if err != nil {
		return form{}, err
	}
	l := &load{stop: make(chan struct{}), done: make(chan form, 1)}
	p.mu.Lock()
	p.loads[in.Get("name")] = l
	p.mu.Unlock()
	go l.run(made, in)
	return newForm(), nil
}

func (l *load) run(made rocketmq.Producer, in form) {
	answer, failures := newForm(), 0
	for i := 0; ; {
		wait := time.Duration(in.number("pace", 1)) * time.Millisecond
		if f, err := fillOne(made, in, i); err != nil {
			failures++
			answer.Set("last", err.Error())
			wait = 50 * time.Millisecond
		} else {
			answer.add("a", f.Encode())
			i++
		}
		select {
		case <-l.stop:
			l.done <- answer.add("failures", failures)
			return
		case <-time.After(wait):
		}
	}
}

func (p *producers) stopLoad(in form) (form, error) {
	p.mu.Lock()
	l := p.loads[in.Get("name")]
	delete(p.loads, in.Get("name"))
	p.mu.Unlock()
	close(l.stop)
	return <-l.done, nil
}

func (p *producers) createTopic(in form) (form, error) {
	a, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver(servers(in))))
	if err != nil {
		return form{}, err
	}
	defer a.Close()
	n := in.number("queues", 4)
	err = a.CreateTopic(context.Background(), admin.WithTopicCreate(in.Get("topic")), admin.WithBrokerAddrCreate(in.Get("broker")),
		admin.WithReadQueueNums(n), admin.WithWriteQueueNums(n))
	return newForm(), err
}

func (p *producers) queues(in form) (form, error) {
	a, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver(servers(in))))
	if err != nil {
		return form{}, err
	}
	defer a.Close()
	queues, err := a.FetchPublishMessageQueues(context.Background(), in.Get("topic"))
	if err != nil {
		return form{}, err
	}
	answer := newForm()
	for _, q := range queues {
		answer.add("q", fmt.Sprintf("%s:%d", q.BrokerName, q.QueueId))
	}
	return answer, nil
}
