//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	codePop           = 200050
	codeAck           = 200051
	answerPollingTime = 210
	popMessages       = 32 // a pop, as push consumers ask
	popInvisibleMS    = "60000"
	popTimeout        = 30 * time.Second
	recordQueueID     = 12
	popConnections    = 4
)

// measurePops: the backlog is popped, each message is acknowledged by itself.
func (b *bench) measurePops(ctx context.Context) error {
	if !b.wants("pop") {
		return nil
	}
	for _, s := range b.sides {
		if err := b.fill(ctx, s, backlogTopic, backlogMessages/topicQueues); err != nil {
			return fmt.Errorf("filling the backlog, %s: %w", s.name, err)
		}
	}
	return b.measure(ctx, scenario{name: "pop", title: "pop and ack, 128 B, 32 a pop, 4 conn",
		open: func(ctx context.Context, s *side) (load, error) {
			return newPopLoad(s.running.addr, fmt.Sprintf("BenchPop%d", s.rounds))
		},
		warmup: b.warmup, time: b.time})
}

// A popLoad pops a backlog: one pop in flight on each connection, then an acknowledgement for each of its messages, all at once; then the
// next pop. When there is nothing left, it goes on as another group.
type popLoad struct {
	loop     *loop
	prefix   string
	group    int // in use; each connection moves on to it with its next pop
	poppers  map[*conn]*popper
	messages int64
	latency  histogram // of a pop, not of the acknowledgements
	closing  bool
}

// A popper is one connection.
type popper struct {
	conn    *conn
	group   int
	popped  bool // acknowledgements are in flight, else a pop
	left    int  // answers that are in flight
	started time.Duration
	opaque  int32
	fields  []field
}

func newPopLoad(addr, prefix string) (*popLoad, error) {
	l, err := newLoop(false)
	if err != nil {
		return nil, err
	}
	p := &popLoad{loop: l, prefix: prefix, poppers: map[*conn]*popper{}}
	for range popConnections {
		c, err := l.dial(addr, p.took)
		if err != nil {
			l.close()
			return nil, err
		}
		p.poppers[c] = &popper{conn: c, opaque: firstOpaque}
	}
	return p, nil
}

func (p *popLoad) close() { p.loop.close() }

func (p *popLoad) begin() error {
	for _, w := range p.poppers {
		p.pop(w, clock())
		if err := p.loop.flush(w.conn); err != nil {
			return err
		}
	}
	return nil
}

func (p *popLoad) groupName(n int) string { return p.prefix + "_" + strconv.Itoa(n) }

func (p *popLoad) pop(w *popper, now time.Duration) {
	w.started, w.popped, w.left, w.group = now, false, 1, p.group
	w.opaque++
	w.fields = append(w.fields[:0],
		field{"consumerGroup", p.groupName(w.group)}, field{"topic", backlogTopic}, field{"queueId", "-1"},
		field{"maxMsgNums", strconv.Itoa(popMessages)}, field{"invisibleTime", popInvisibleMS}, field{"pollTime", "0"},
		field{"bornTime", strconv.FormatInt(time.Now().UnixMilli(), 10)}, field{"initMode", "0"}, field{"expType", "TAG"},
		field{"exp", "*"}, field{"order", "false"}, field{"bname", brokerName})
	w.conn.out = request{code: codePop, opaque: w.opaque, fields: w.fields}.appendTo(w.conn.out, jsonHeader)
}

func (p *popLoad) took(c *conn, frame []byte, now time.Duration) error {
	a, err := parseAnswer(frame)
	if err != nil || !a.isResponse {
		return err
	}
	w := p.poppers[c]
	w.left--
	switch {
	case w.popped && a.code == answerOK:
		p.messages++
	case !w.popped && a.code == answerOK:
		p.latency.add(now - w.started)
		if err := p.acknowledge(w, a); err != nil {
			return err
		}
	case !w.popped && a.code == answerPollingTime:
		if w.group == p.group {
			p.group++
		}
	default:
		return fmt.Errorf("cannot pop or acknowledge: the server answers %d %q", a.code, a.remark())
	}
	if w.left == 0 && !p.closing {
		p.pop(w, now)
	}
	return nil
}

// acknowledge asks for the acknowledgement of each message of a pop's answer.
func (p *popLoad) acknowledge(w *popper, a answer) error {
	w.popped = true
	starts, _ := a.field("startOffsetInfo")
	popTime, _ := a.field("popTime")
	revive, _ := a.field("reviveQid")
	var begins [topicQueues]string
	for e := range strings.SplitSeq(starts, ";") {
		part := strings.Fields(e)
		if len(part) != 3 || part[0] != "0" {
			return fmt.Errorf("cannot read startOffsetInfo %q of a pop", starts)
		}
		queue, err := strconv.Atoi(part[1])
		if err != nil || queue < 0 || queue >= topicQueues {
			return fmt.Errorf("cannot read startOffsetInfo %q of a pop", starts)
		}
		begins[queue] = part[2]
	}
	group, records := p.groupName(w.group), a.body
	return walkRecords(a.body, func(queueOffset int64, _ []byte) {
		queue := int(binary.BigEndian.Uint32(records[recordQueueID:]))
		records = records[binary.BigEndian.Uint32(records):]
		id, offset := strconv.Itoa(queue), strconv.FormatInt(queueOffset, 10)
		w.left++
		w.opaque++
		w.fields = append(w.fields[:0], field{"consumerGroup", group}, field{"topic", backlogTopic}, field{"queueId", id}, field{"offset", offset},
			field{"extraInfo", begins[queue%topicQueues] + " " + popTime + " " + popInvisibleMS + " " + revive + " 0 " + brokerName + " " + id + " " + offset},
			field{"bname", brokerName})
		w.conn.out = request{code: codeAck, opaque: w.opaque, fields: w.fields}.appendTo(w.conn.out, jsonHeader)
	})
}

func (p *popLoad) serve(ctx context.Context, d time.Duration, done func() bool) error {
	return p.loop.runFor(ctx, d, done)
}
func (p *popLoad) counted() int64        { return p.messages }
func (p *popLoad) latencies() *histogram { return &p.latency }
func (p *popLoad) refused() refusals     { return refusals{} } // a refused request ends the run

func (p *popLoad) reset() {
	p.messages = 0
	p.latency.reset()
}

func (p *popLoad) finish(ctx context.Context) error {
	p.closing = true
	return p.loop.runFor(ctx, popTimeout, func() bool {
		for _, w := range p.poppers {
			if w.left > 0 {
				return false
			}
		}
		return true
	})
}
