//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

const (
	txTopic = "BenchTransaction"
	txGroup = "BenchProducer"

	commitFlag = "8" // of END_TRANSACTION, in the sysFlag's place
)

// A txLoad keeps so many transactions in flight: a half message, when that is answered its commit, and when that is answered the next
// half message. Clients send the commit one-way; here it is answered, so that a server that leaves commits lying does not look fast.
type txLoad struct {
	loop  *loop
	t     *template
	addr  string
	slots []txSlot
	queue int

	closing  bool // ended transactions make no new ones any more
	inFlight int

	before    int64 // messages in the topic when the load began
	committed int64 // since then
	latency   histogram
	messages  int64 // committed since the last reset
	refusals  refusals
	fields    []field
}

type txSlot struct {
	slot
	ending bool // its commit is in flight
}

func (b *bench) openTransactions(connections, each int) func(context.Context, *side) (load, error) {
	return func(_ context.Context, s *side) (load, error) {
		addr := s.running.addr
		if err := createTopic(addr, txTopic); err != nil {
			return nil, err
		}
		before, err := maxOffsets(addr, txTopic)
		if err != nil {
			return nil, err
		}
		return newTxLoad(addr, total(before), connections, each, b.writeEach)
	}
}

func newTxLoad(addr string, before int64, connections, each int, writeEach bool) (*txLoad, error) {
	l, err := newLoop(writeEach)
	if err != nil {
		return nil, err
	}
	t := &txLoad{loop: l, addr: addr, before: before,
		t: newTemplate(message{topic: txTopic, bodySize: 128, header: jsonHeader, half: true})}
	for range connections {
		c, err := l.dial(addr, t.took)
		if err != nil {
			l.close()
			return nil, err
		}
		for range each {
			t.slots = append(t.slots, txSlot{slot: slot{conn: c}})
		}
	}
	return t, nil
}

func (t *txLoad) begin() error {
	t.closing = false
	for i := range t.slots {
		t.post(i, clock())
	}
	for _, c := range t.loop.conns {
		if err := t.loop.flush(c); err != nil {
			return err
		}
	}
	return nil
}

// post begins a transaction.
func (t *txLoad) post(i int, now time.Duration) {
	s := &t.slots[i]
	s.ending, s.started = false, now
	t.next(i)
	s.conn.out = t.t.appendTo(s.conn.out, s.opaque, processStart.Add(now), t.queue)
	t.loop.posted(s.conn)
	t.queue = (t.queue + 1) % topicQueues
	t.inFlight++
}

// next gives a slot the opaque of its next request.
func (t *txLoad) next(i int) {
	s, n := &t.slots[i], int64(len(t.slots))
	s.opaque = int32(firstOpaque + (s.count%(opaqueRoom/n))*n + int64(i))
	s.count++
}

// end commits the transaction whose half message was answered.
func (t *txLoad) end(i int, a answer) error {
	s := &t.slots[i]
	id, ok := a.field("msgId")
	if !ok || len(id) != 32 {
		return fmt.Errorf("cannot end a transaction: its half message was answered with the id %q", id)
	}
	logOffset, err := strconv.ParseInt(id[16:], 16, 64)
	if err != nil {
		return fmt.Errorf("cannot end a transaction: %w", err)
	}
	queueOffset, err := a.number("queueOffset")
	if err != nil {
		return err
	}
	s.ending = true
	t.next(i)
	t.fields = endFields(t.fields[:0], txGroup, txTopic, id, logOffset, queueOffset)
	s.conn.out = request{code: codeEndTransaction, opaque: s.opaque, fields: t.fields}.appendTo(s.conn.out, jsonHeader)
	t.loop.posted(s.conn)
	return nil
}

// endFields are the header fields of a commit in the Java client's order.
func endFields(out []field, group, topic, id string, logOffset, queueOffset int64) []field {
	return append(out, field{"producerGroup", group}, field{"bname", brokerName},
		field{"commitLogOffset", strconv.FormatInt(logOffset, 10)}, field{"topic", topic}, field{"msgId", id},
		field{"tranStateTableOffset", strconv.FormatInt(queueOffset, 10)}, field{"commitOrRollback", commitFlag},
		field{"transactionId", id}, field{"fromTransactionCheck", "false"})
}

func (t *txLoad) took(_ *conn, frame []byte, now time.Duration) error {
	a, err := parseAnswer(frame)
	if err != nil || !a.isResponse {
		return err
	}
	i := int(a.opaque-firstOpaque) % len(t.slots)
	if i < 0 || t.slots[i].opaque != a.opaque {
		return fmt.Errorf("cannot match an answer: nothing in flight has the opaque %d", a.opaque)
	}
	s := &t.slots[i]
	switch {
	case a.code != answerOK && s.ending:
		return fmt.Errorf("cannot take this as a result: a commit was refused: %d %q", a.code, a.remark())
	case a.code != answerOK:
		t.refusals.add(a)
	case !s.ending:
		return t.end(i, a)
	default:
		t.committed++
		t.messages++
		t.latency.add(now - s.started)
	}
	t.inFlight--
	if !t.closing {
		t.post(i, now)
	}
	return nil
}

func (t *txLoad) serve(ctx context.Context, d time.Duration, done func() bool) error {
	return t.loop.runFor(ctx, d, done)
}

func (t *txLoad) reset() {
	t.latency.reset()
	t.messages, t.refusals = 0, refusals{}
}

func (t *txLoad) counted() int64        { return t.messages }
func (t *txLoad) latencies() *histogram { return &t.latency }
func (t *txLoad) refused() refusals     { return t.refusals }
func (t *txLoad) close()                { t.loop.close() }

// finish ends what is in flight, and checks that each committed message is there, once.
func (t *txLoad) finish(ctx context.Context) error {
	t.closing = true
	if err := t.loop.runFor(ctx, 30*time.Second, func() bool { return t.inFlight == 0 }); err != nil {
		return err
	}
	if t.inFlight > 0 {
		return fmt.Errorf("cannot finish: %d transactions have no answer after 30 s", t.inFlight)
	}
	return settled(ctx, t.addr, txTopic, t.before+t.committed)
}

// measureTransactions: each is a half message, its commit, and the committed message in its queue.
func (b *bench) measureTransactions(ctx context.Context) error {
	if b.guard {
		return nil
	}
	return b.measure(ctx, scenario{name: "transaction", title: "transactions, 128 B, 64 in flight on 4 conn",
		open: b.openTransactions(4, 16), warmup: b.warmup, time: b.time, limit: 400_000})
}
