package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// transactions are the producers of transactions by name. A message brings along what its transaction comes to: the property
// local is how the local transaction ends, and the nth word of the property plan answers the nth check, the last word all later ones.
type transactions struct {
	mu   sync.Mutex // protects the field below
	made map[string]*transactional
}

// transactional is one producer and the checks that it has had.
type transactional struct {
	rocketmq.TransactionProducer
	mu     sync.Mutex // protects the field below
	checks []form
}

var states = map[string]primitive.LocalTransactionState{"COMMIT_MESSAGE": primitive.CommitMessageState,
	"ROLLBACK_MESSAGE": primitive.RollbackMessageState, "UNKNOW": primitive.UnknowState}

func newTransactions() *transactions { return &transactions{made: map[string]*transactional{}} }

func (t *transactions) register(all map[string]command) {
	all["transactions"] = t.start
	all["transactions.close"] = t.close
	all["transactions.send"] = t.send
	all["transactions.checks"] = t.told
}

// ExecuteLocalTransaction is primitive.TransactionListener.
func (p *transactional) ExecuteLocalTransaction(m *primitive.Message) primitive.LocalTransactionState {
	return states[m.GetProperty("local")]
}

// CheckLocalTransaction is primitive.TransactionListener.
func (p *transactional) CheckLocalTransaction(m *primitive.MessageExt) primitive.LocalTransactionState {
	times, _ := strconv.Atoi(m.GetProperty("TRANSACTION_CHECK_TIMES"))
	p.mu.Lock()
	p.checks = append(p.checks, newForm().add("key", strings.TrimSuffix(m.GetKeys(), " ")).add("times", times).
		add("at", time.Now().UnixMilli()).add("body", string(m.Body)))
	p.mu.Unlock()
	plan := strings.Fields(m.GetProperty("plan"))
	return states[plan[min(max(times, 1), len(plan))-1]]
}

func (t *transactions) of(in form) (*transactional, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if made := t.made[in.Get("name")]; made != nil {
		return made, nil
	}
	return nil, errors.New("no such producer")
}

func (t *transactions) start(in form) (form, error) {
	p := &transactional{}
	made, err := rocketmq.NewTransactionProducer(p, producer.WithNameServer(servers(in)), producer.WithGroupName(in.Get("group")),
		producer.WithInstanceName(in.Get("name")), producer.WithSendMsgTimeout(10*time.Second))
	if err != nil {
		return form{}, err
	}
	p.TransactionProducer = made
	t.mu.Lock()
	t.made[in.Get("name")] = p
	t.mu.Unlock()
	return newForm(), made.Start()
}

func (t *transactions) close(in form) (form, error) {
	p, err := t.of(in)
	if err != nil {
		return newForm(), nil
	}
	t.mu.Lock()
	delete(t.made, in.Get("name"))
	t.mu.Unlock()
	return newForm(), p.Shutdown()
}

func (t *transactions) send(in form) (form, error) {
	p, err := t.of(in)
	if err != nil {
		return form{}, err
	}
	m, err := toSend(in)
	if err != nil {
		return form{}, err
	}
	sent, err := p.SendMessageInTransaction(context.Background(), m)
	if err != nil {
		return form{}, err
	}
	status, state := "FAILED", ""
	if sent.Status == primitive.SendOK {
		status = "SEND_OK"
	}
	for name, s := range states {
		if s == sent.State {
			state = name
		}
	}
	return newForm().add("status", status).add("msgId", sent.MsgID).add("transactionId", sent.TransactionID).
		add("state", state).add("queue", sent.MessageQueue.QueueId), nil
}

// told tells all checks that the producer has had.
func (t *transactions) told(in form) (form, error) {
	p, err := t.of(in)
	if err != nil {
		return form{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := newForm()
	for _, c := range p.checks {
		answer.add("c", c.line())
	}
	return answer, nil
}
