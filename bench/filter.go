//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// filterExpression is true for one in 256 of the backlog's messages: their unique keys are numbered.
const filterExpression = "TAGS = 'TagA' AND WAIT = TRUE AND UNIQ_KEY ENDSWITH '00'"

// measureFilter: the backlog is read through a filter in SQL that passes few messages. What counts is a message looked at.
func (b *bench) measureFilter(ctx context.Context) error {
	if !b.wants("filter") {
		return nil
	}
	var ends [topicQueues]int64
	for q := range ends {
		ends[q] = backlogMessages / topicQueues
	}
	for _, s := range b.sides {
		if err := b.fill(ctx, s, backlogTopic, ends[0]); err != nil {
			return fmt.Errorf("filling the backlog, %s: %w", s.name, err)
		}
	}
	return b.measure(ctx, scenario{name: "filter", title: "backlog, SQL filter passes 1 in 256, 8 queues on 4 conn",
		open: func(_ context.Context, s *side) (load, error) {
			return newFilterLoad(s.running.addr, fmt.Sprintf("BenchFilter%d", s.rounds), ends, 4)
		},
		warmup: b.warmup, time: b.time})
}

// A filterLoad reads a backlog as a pullLoad does, but each pull brings an expression.
type filterLoad struct {
	loop     *loop
	readers  []*reader
	ends     [topicQueues]int64
	messages int64 // looked at by the server
	passed   int64
	latency  histogram
	started  [topicQueues]time.Duration
	closing  bool
	inFlight int
}

func newFilterLoad(addr, group string, ends [topicQueues]int64, connections int) (*filterLoad, error) {
	l, err := newLoop(false)
	if err != nil {
		return nil, err
	}
	p := &filterLoad{loop: l, ends: ends}
	var conns []*conn
	for range connections {
		c, err := l.dial(addr, p.took)
		if err != nil {
			l.close()
			return nil, err
		}
		conns = append(conns, c)
	}
	for q := range topicQueues {
		p.readers = append(p.readers, &reader{conn: conns[q%len(conns)], group: group, topic: backlogTopic, queue: q, opaque: firstOpaque + int32(q)})
	}
	return p, nil
}

func (p *filterLoad) close() { p.loop.close() }

func (p *filterLoad) begin() error {
	for _, r := range p.readers {
		p.post(r, clock())
	}
	for _, c := range p.loop.conns {
		if err := p.loop.flush(c); err != nil {
			return err
		}
	}
	return nil
}

func (p *filterLoad) post(r *reader, now time.Duration) {
	p.started[r.queue] = now
	p.inFlight++
	r.opaque += topicQueues
	r.fields = append(r.fields[:0],
		field{"queueId", strconv.Itoa(r.queue)}, field{"maxMsgBytes", "262144"}, field{"maxMsgNums", strconv.Itoa(pullMessages)},
		field{"sysFlag", "4"}, field{"suspendTimeoutMillis", suspendMS}, field{"commitOffset", "0"}, field{"bname", brokerName},
		field{"topic", r.topic}, field{"queueOffset", strconv.FormatInt(r.offset, 10)}, field{"subscription", filterExpression},
		field{"expressionType", "SQL92"}, field{"subVersion", "0"}, field{"consumerGroup", r.group})
	r.conn.out = request{code: codePull, opaque: r.opaque, fields: r.fields}.appendTo(r.conn.out, jsonHeader)
}

func (p *filterLoad) took(_ *conn, frame []byte, now time.Duration) error {
	a, err := parseAnswer(frame)
	if err != nil || !a.isResponse {
		return err
	}
	r := p.readers[int(a.opaque-firstOpaque)%topicQueues]
	if r.opaque != a.opaque {
		return fmt.Errorf("cannot match an answer: no pull in flight has the opaque %d", a.opaque)
	}
	if a.code != answerOK && a.code != answerRetry {
		return fmt.Errorf("cannot read the backlog: queue %d at %d of %d: the server answers %d %q",
			r.queue, r.offset, p.ends[r.queue], a.code, a.remark())
	}
	next, err := a.number("nextBeginOffset")
	if err != nil {
		return err
	}
	if next <= r.offset {
		return fmt.Errorf("cannot read the backlog: queue %d does not go on from %d", r.queue, r.offset)
	}
	if err := walkRecords(a.body, func(int64, []byte) { p.passed++ }); err != nil {
		return err
	}
	p.inFlight--
	p.messages += next - r.offset
	p.latency.add(now - p.started[r.queue])
	if r.offset = next; r.offset >= p.ends[r.queue] {
		r.offset = 0
	}
	if !p.closing {
		p.post(r, now)
	}
	return nil
}

func (p *filterLoad) reset() {
	p.messages, p.passed = 0, 0
	p.latency.reset()
}

func (p *filterLoad) serve(ctx context.Context, d time.Duration, done func() bool) error {
	return p.loop.runFor(ctx, d, done)
}
func (p *filterLoad) counted() int64        { return p.messages }
func (p *filterLoad) latencies() *histogram { return &p.latency }
func (p *filterLoad) refused() refusals     { return refusals{} } // a refused pull ends the run

// finish checks that the filter was one: about one message in 256 has come.
func (p *filterLoad) finish(ctx context.Context) error {
	if p.passed < p.messages/512 || p.passed > p.messages/128 {
		return fmt.Errorf("cannot trust the numbers: %d of %d messages passed the filter", p.passed, p.messages)
	}
	p.closing = true
	return p.loop.runFor(ctx, 30*time.Second, func() bool { return p.inFlight == 0 })
}
