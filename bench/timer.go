//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"syscall"
	"time"
)

// A timerLoad is messages that are due at a time. All are sent before the first is due, so that they wait together; then they are due in
// even steps, and eight consumers with held pulls take them. A message's lateness runs from its time until a consumer has it.
//
// The processor time is that of the whole life of a message: taken in, parked, brought to its topic, consumed.
type timerLoad struct {
	*sendLoad
	readers  []*reader
	consumed int64
	lateness histogram
	first    time.Duration // when the first came
	last     time.Duration
}

const (
	timerTopic  = "BenchTimer"
	timerRate   = 50_000 // messages due in a second
	timerFill   = 10_000 // messages sent in a second at least, or the run fails
	timerWarmup = 5_000  // messages that go ahead of what is measured
)

// timerMessages is how many wait at a time.
func (b *bench) timerMessages() int64 {
	switch {
	case b.guard:
		return 30_000
	case b.quick:
		return 100_000
	}
	return 1_000_000
}

// measureTimers: brokers of their own, one round, for it takes minutes.
func (b *bench) measureTimers(ctx context.Context) error {
	if !b.wants("timer") {
		return nil
	}
	n := b.timerMessages()
	title := fmt.Sprintf("timers, 128 B, %s wait, then %s/s due", thousands(float64(n)), thousands(timerRate))
	say("%s", title)
	b.stopAll()
	for _, s := range b.sides {
		if _, err := b.start(s); err != nil {
			return err
		}
		if err := createTopic(s.running.addr, timerTopic); err != nil {
			return err
		}
		warmup := liftoffWarmup
		if s.name == "Apache" {
			warmup = b.warmup
		}
		if _, err := b.timers(ctx, s, timerWarmup, warmup, false); err != nil {
			return fmt.Errorf("%s, %s: %w", title, s.name, err)
		}
		got, err := b.timers(ctx, s, n, max(time.Duration(n)*time.Second/timerFill, 5*time.Second), true)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", title, s.name, err)
		}
		say("    %-8s%s", s.name, got)
		b.report.Rows = append(b.report.Rows, row{Scenario: "timer", Title: title, Server: s.name, Median: got, Rounds: []sample{got}})
		s.running.stop()
		s.running = nil
	}
	for _, s := range b.sides { // what comes next wants servers
		if _, err := b.start(s); err != nil {
			return err
		}
		s.running.pause()
	}
	return nil
}

// timers has n messages, sent within a time, wait and be delivered. The sample's rate is that of the deliveries.
func (b *bench) timers(ctx context.Context, s *side, n int64, fill time.Duration, weigh bool) (sample, error) {
	l, err := newTimerLoad(ctx, s.running.addr, n)
	if err != nil {
		return sample{}, err
	}
	defer l.close()
	before, err := b.meter(s.running)
	if err != nil {
		return sample{}, err
	}
	due := clock() + fill + 2*time.Second
	step := time.Second / timerRate
	next := int64(0)
	l.t.due = func() time.Time {
		next++
		return processStart.Add(due + time.Duration(next)*step)
	}
	if err := l.fill(ctx, n, fill); err != nil {
		return sample{}, err
	}
	if err := l.runFor(ctx, due-clock()); err != nil { // what is sent is taken into the wheel meanwhile
		return sample{}, err
	}
	if weigh {
		if err := b.weigh(s, "timers", thousands(float64(n))+" timers waiting"); err != nil {
			return sample{}, err
		}
	}
	if err := l.consume(ctx); err != nil {
		return sample{}, err
	}
	after, err := b.meter(s.running)
	if err != nil {
		return sample{}, err
	}
	got := newSample(before, after, l.consumed, &l.lateness)
	got.Seconds = (l.last - l.first).Seconds()
	got.Rate = float64(l.consumed) / max(got.Seconds, 1e-9)
	got.Refused = l.refusals.n
	return got, nil
}

func newTimerLoad(ctx context.Context, addr string, n int64) (*timerLoad, error) {
	ends, err := maxOffsets(addr, timerTopic)
	if err != nil {
		return nil, err
	}
	sends, err := newSendLoad(addr, message{topic: timerTopic, bodySize: 128, timed: true}, 4, 16, false)
	if err != nil {
		return nil, err
	}
	l := &timerLoad{sendLoad: sends}
	version := strconv.FormatInt(time.Now().UnixMilli(), 10)
	group := fmt.Sprintf("BenchTimer%d", n)
	conns, err := dialConsumers(ctx, l.loop, addr, group, timerTopic, version, topicQueues, l.pulled)
	if err != nil {
		sends.close()
		return nil, err
	}
	for i, c := range conns {
		l.readers = append(l.readers, &reader{conn: c, group: group, topic: timerTopic, queue: i, offset: ends[i],
			opaque: firstOpaque + int32(i), subVersion: version})
	}
	return l, nil
}

func (l *timerLoad) runFor(ctx context.Context, d time.Duration) error {
	return l.loop.runFor(ctx, max(d, 0), nil)
}

// fill sends n messages and a few more, and waits for the answers.
func (l *timerLoad) fill(ctx context.Context, n int64, limit time.Duration) error {
	if err := l.begin(); err != nil {
		return err
	}
	for _, r := range l.readers {
		r.post()
		if err := l.loop.flush(r.conn); err != nil {
			return err
		}
	}
	if err := l.loop.runFor(ctx, limit, func() bool { return l.accepted >= n }); err != nil {
		return err
	}
	if l.accepted < n {
		return fmt.Errorf("cannot have %d timers wait: %d were accepted in %v (the first refusal: %s)", n, l.accepted, limit, l.refusals.first)
	}
	if err := l.drain(ctx); err != nil {
		return err
	}
	for _, s := range l.slots { // they would be idle for so long that the server closes them
		if s.conn.fd >= 0 {
			syscall.Close(s.conn.fd)
			s.conn.fd = -1
		}
	}
	return nil
}

// consume waits until everything that was accepted has come.
func (l *timerLoad) consume(ctx context.Context) error {
	const patience = 30 * time.Second
	for seen, moved := int64(-1), clock(); l.consumed < l.accepted; {
		if l.consumed != seen {
			seen, moved = l.consumed, clock()
		}
		if clock()-moved > patience {
			return fmt.Errorf("cannot trust the numbers: %d timers were accepted, %d came", l.accepted, l.consumed)
		}
		if err := l.loop.runFor(ctx, 100*time.Millisecond, func() bool { return l.consumed >= l.accepted }); err != nil {
			return err
		}
	}
	return nil
}

func (l *timerLoad) pulled(_ *conn, frame []byte, now time.Duration) error {
	a, err := parseAnswer(frame)
	if err != nil || !a.isResponse {
		return err
	}
	r := l.readers[int(a.opaque-firstOpaque)%topicQueues]
	if r.opaque != a.opaque {
		return fmt.Errorf("cannot match an answer: no pull in flight has the opaque %d", a.opaque)
	}
	switch a.code {
	case answerOK:
		n, err := r.walk(a, func(body []byte) {
			late := now - time.UnixMilli(int64(binary.BigEndian.Uint64(body))).Sub(processStart)
			if late < -2*time.Millisecond { // the clock's milliseconds are cut off
				err = fmt.Errorf("cannot take this as a result: a timer came %v too early", -late)
			}
			l.lateness.add(late)
		})
		if err != nil {
			return err
		}
		if l.consumed == 0 {
			l.first = now
		}
		l.last = now
		l.consumed += int64(n)
	case answerNotFound, answerRetry:
	default:
		return fmt.Errorf("cannot consume: queue %d at %d: the server answers %d %q", r.queue, r.offset, a.code, a.remark())
	}
	r.post()
	return nil
}
