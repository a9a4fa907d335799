//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const (
	pullMessages = 32 // a pull, as push consumers ask
	// A push consumer's pull commits its offset and may be held; its subscription is known from the heartbeat.
	pullCommit  = 1
	pullSuspend = 2
	suspendMS   = "15000"
)

// A reader reads one queue: one pull in flight, the next as soon as its answer is there.
type reader struct {
	conn   *conn
	group  string
	topic  string
	queue  int
	offset int64
	opaque int32
	// subVersion is the same in heartbeat and pulls.
	subVersion string
	fields     []field
}

// post asks for the messages from r.offset on.
func (r *reader) post() {
	offset := strconv.FormatInt(r.offset, 10)
	flags := pullSuspend
	commit := "0"
	if r.offset > 0 {
		flags |= pullCommit
		commit = offset
	}
	r.opaque += topicQueues
	r.fields = append(r.fields[:0],
		field{"queueId", strconv.Itoa(r.queue)}, field{"maxMsgBytes", "262144"},
		field{"maxMsgNums", strconv.Itoa(pullMessages)}, field{"sysFlag", strconv.Itoa(flags)},
		field{"suspendTimeoutMillis", suspendMS}, field{"commitOffset", commit}, field{"bname", brokerName},
		field{"topic", r.topic}, field{"queueOffset", offset}, field{"expressionType", "TAG"},
		field{"subVersion", r.subVersion}, field{"consumerGroup", r.group})
	r.conn.out = request{code: codePull, opaque: r.opaque, fields: r.fields}.appendTo(r.conn.out, jsonHeader)
}

// walk checks that the records of an answer go on where the last ones ended, and moves on. It returns how many there are.
func (r *reader) walk(a answer, visit func(body []byte)) (n int, err error) {
	var gap error
	err = walkRecords(a.body, func(queueOffset int64, body []byte) {
		if queueOffset != r.offset && gap == nil {
			gap = fmt.Errorf("cannot trust the numbers: queue %d of %s gave message %d where %d was next",
				r.queue, r.topic, queueOffset, r.offset)
		}
		r.offset = queueOffset + 1
		n++
		if visit != nil {
			visit(body)
		}
	})
	return n, errors.Join(err, gap)
}

// heartbeat tells the broker of a consumer, as a Java push consumer does before its first pull.
func heartbeat(client, group, topic, subVersion string) request {
	subscription := func(topic string) string {
		return `{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":` + subVersion +
			`,"tagsSet":[],"topic":"` + topic + `"}`
	}
	return request{code: codeHeartbeat, opaque: 1, body: []byte(`{"clientID":"` + client +
		`","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"` +
		group + `","messageModel":"CLUSTERING","subscriptionDataSet":[` + subscription(topic) + `,` +
		subscription("%RETRY%"+group) + `],"unitMode":false}],"heartbeatFingerprint":0,` +
		`"producerDataSet":[{"groupName":"CLIENT_INNER_PRODUCER"}],"withoutSub":false}`)}
}

// dialConsumers opens connections on which consumers of one group have said who they are.
func dialConsumers(ctx context.Context, l *loop, addr, group, topic, subVersion string, n int,
	took func(*conn, []byte, time.Duration) error) ([]*conn, error) {
	waiting := n
	greet := func(_ *conn, frame []byte, _ time.Duration) error {
		a, err := parseAnswer(frame)
		if err != nil || !a.isResponse {
			return err
		}
		if a.code != answerOK {
			return fmt.Errorf("cannot subscribe: the server answers %d %q", a.code, a.remark())
		}
		waiting--
		return nil
	}
	var conns []*conn
	for i := range n {
		c, err := l.dial(addr, greet)
		if err != nil {
			return nil, err
		}
		client := "127.0.0.1@bench-" + group + "-" + strconv.Itoa(i)
		c.out = heartbeat(client, group, topic, subVersion).appendTo(c.out, jsonHeader)
		if err := l.flush(c); err != nil {
			return nil, err
		}
		conns = append(conns, c)
	}
	if err := l.runFor(ctx, 10*time.Second, func() bool { return waiting == 0 }); err != nil {
		return nil, err
	}
	if waiting > 0 {
		return nil, fmt.Errorf("cannot subscribe: %d heartbeats have no answer after 10 s", waiting)
	}
	for _, c := range conns {
		c.took = took
	}
	return conns, nil
}

// A pullLoad reads a backlog: the eight queues of a topic, spread over some connections, 32 messages a pull. At the end of
// the backlog it starts again from its beginning.
type pullLoad struct {
	loop     *loop
	readers  []*reader
	ends     [topicQueues]int64
	messages int64
	latency  histogram
	started  [topicQueues]time.Duration
	closing  bool
	inFlight int
}

func newPullLoad(ctx context.Context, addr, group, topic string, ends [topicQueues]int64, connections int) (*pullLoad, error) {
	l, err := newLoop(false)
	if err != nil {
		return nil, err
	}
	p := &pullLoad{loop: l, ends: ends}
	version := strconv.FormatInt(time.Now().UnixMilli(), 10)
	conns, err := dialConsumers(ctx, l, addr, group, topic, version, connections, p.took)
	if err != nil {
		l.close()
		return nil, err
	}
	for q := range topicQueues {
		p.readers = append(p.readers, &reader{conn: conns[q%len(conns)], group: group, topic: topic, queue: q,
			opaque: firstOpaque + int32(q), subVersion: version})
	}
	return p, nil
}

func (p *pullLoad) close() { p.loop.close() }

func (p *pullLoad) begin() error {
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

func (p *pullLoad) post(r *reader, now time.Duration) {
	p.started[r.queue] = now
	p.inFlight++
	r.post()
}

func (p *pullLoad) took(_ *conn, frame []byte, now time.Duration) error {
	a, err := parseAnswer(frame)
	if err != nil || !a.isResponse {
		return err
	}
	r := p.readers[int(a.opaque-firstOpaque)%topicQueues]
	if r.opaque != a.opaque {
		return fmt.Errorf("cannot match an answer: no pull in flight has the opaque %d", a.opaque)
	}
	if a.code != answerOK {
		return fmt.Errorf("cannot read the backlog: queue %d at %d of %d: the server answers %d %q",
			r.queue, r.offset, p.ends[r.queue], a.code, a.remark())
	}
	n, err := r.walk(a, nil)
	if err != nil {
		return err
	}
	p.inFlight--
	p.messages += int64(n)
	p.latency.add(now - p.started[r.queue])
	if r.offset >= p.ends[r.queue] {
		r.offset = 0
	}
	if !p.closing {
		p.post(r, now)
	}
	return nil
}

func (p *pullLoad) reset() {
	p.messages = 0
	p.latency.reset()
}

func (p *pullLoad) drain(ctx context.Context) error {
	p.closing = true
	return p.loop.runFor(ctx, 30*time.Second, func() bool { return p.inFlight == 0 })
}
