//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// measureStart starts each server with an empty store until it accepts a message. The last ones started stay for the rest.
func (b *bench) measureStart(ctx context.Context) error {
	for _, s := range b.sides {
		times := 1
		if b.wants("start") {
			times = s.starts
			if !b.quick && !b.guard && s.name == "Apache" {
				times = 3
			}
		}
		say("starting %s", s.name)
		var took []float64
		for i := range times {
			if err := ctx.Err(); err != nil {
				return err
			}
			if i > 0 {
				s.running.stop()
				s.running = nil
			}
			d, err := b.start(s)
			if err != nil {
				return err
			}
			say("    %-8sfirst message accepted after %v", s.name, d.Round(time.Millisecond))
			took = append(took, d.Seconds())
		}
		if b.wants("start") {
			b.report.set("start", "start to first accepted message", unitSeconds, s.name, median(took))
		}
	}
	return nil
}

// measureIdle looks at both servers at once, for neither does anything.
func (b *bench) measureIdle(ctx context.Context) error {
	defer func() {
		for _, s := range b.sides {
			s.running.pause()
		}
	}()
	if !b.wants("idle") {
		return nil
	}
	calm, watched := 10*time.Second, 25*time.Second
	if b.quick || b.guard {
		calm, watched = 4*time.Second, 8*time.Second
	}
	say("idle: %v to calm down, %v watched", calm, watched)
	if err := sleep(ctx, calm); err != nil {
		return err
	}
	var before []reading
	for _, s := range b.sides {
		r, err := b.meter(s.running)
		if err != nil {
			return err
		}
		before = append(before, r)
	}
	if err := sleep(ctx, watched); err != nil {
		return err
	}
	for i, s := range b.sides {
		after, err := b.meter(s.running)
		if err != nil {
			return err
		}
		percent := 100 * float64(after.server-before[i].server) / float64(after.at-before[i].at)
		b.report.set("idle", "idle, part of one core", unitPercent, s.name, percent)
		if err := b.weigh(s, "idle", "idle"); err != nil {
			return err
		}
	}
	return nil
}

// weigh notes how much memory a server keeps.
func (b *bench) weigh(s *side, name, when string) error {
	m, err := s.running.memory()
	if err != nil {
		return err
	}
	b.report.set("memory-"+name, "resident memory, "+when, unitBytes, s.name, float64(m.Resident))
	b.report.set("anonymous-"+name, "    of it not mapped from files", unitBytes, s.name, float64(m.Anonymous))
	return nil
}

// measureLoaded weighs the servers after all that was put on them.
func (b *bench) measureLoaded(context.Context) error {
	if !b.wants("loaded") || len(b.report.Rows) == 0 {
		return nil
	}
	for _, s := range b.sides {
		if err := b.weigh(s, "loaded", "after the loads"); err != nil {
			return err
		}
	}
	return nil
}

const idleConnections = 2000

// measureConnections opens many connections that greet once, as producers do, and then do nothing.
func (b *bench) measureConnections(ctx context.Context) error {
	if !b.wants("connections") || b.guard {
		return nil
	}
	for _, s := range b.sides {
		say("%d idle connections, %s", idleConnections, s.name)
		each, err := weighConnections(ctx, s.running)
		s.running.pause()
		if err != nil {
			return fmt.Errorf("idle connections, %s: %w", s.name, err)
		}
		b.report.set("connections", fmt.Sprintf("memory of an idle connection (of %s)", thousands(idleConnections)), unitBytes,
			s.name, each)
	}
	return nil
}

func weighConnections(ctx context.Context, s *server) (float64, error) {
	s.resume()
	if err := sleep(ctx, time.Second); err != nil {
		return 0, err
	}
	before, err := s.memory()
	if err != nil {
		return 0, err
	}
	l, err := newLoop(false)
	if err != nil {
		return 0, err
	}
	defer l.close()
	waiting := idleConnections
	for i := range idleConnections {
		c, err := l.dial(s.addr, func(*conn, []byte, time.Duration) error { waiting--; return nil })
		if err != nil {
			return 0, err
		}
		c.out = request{code: codeHeartbeat, opaque: 1, body: []byte(`{"clientID":"127.0.0.1@idle` + strconv.Itoa(i) +
			`","consumerDataSet":[],"heartbeatFingerprint":0,"producerDataSet":[{"groupName":"BenchIdle"}],"withoutSub":false}`),
		}.appendTo(nil, jsonHeader)
		if err := l.flush(c); err != nil {
			return 0, err
		}
		c.out = nil
	}
	if err := l.runFor(ctx, 20*time.Second, func() bool { return waiting <= 0 }); err != nil {
		return 0, err
	}
	if waiting > 0 {
		return 0, fmt.Errorf("cannot greet the server: %d heartbeats have no answer after 20 s", waiting)
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return 0, err
	}
	after, err := s.memory()
	return float64(after.Resident-before.Resident) / idleConnections, err
}

const (
	manyTopics    = 10_000
	topicsRequest = 500 // topics created by one request
)

// measureTopics creates many topics and looks at what it costs to have them.
func (b *bench) measureTopics(ctx context.Context) error {
	if !b.wants("topics") || b.quick || b.guard {
		return nil
	}
	for _, s := range b.sides {
		say("%d topics, %s", manyTopics, s.name)
		each, err := weighTopics(ctx, s.running)
		s.running.pause()
		if err != nil {
			return fmt.Errorf("%d topics, %s: %w", manyTopics, s.name, err)
		}
		b.report.set("topics", fmt.Sprintf("memory of a topic without messages (of %s)", thousands(manyTopics)), unitBytes,
			s.name, each)
	}
	return nil
}

func weighTopics(ctx context.Context, s *server) (float64, error) {
	s.resume()
	if err := sleep(ctx, time.Second); err != nil {
		return 0, err
	}
	before, err := s.memory()
	if err != nil {
		return 0, err
	}
	for first := 0; first < manyTopics; first += topicsRequest {
		body := []byte(`{"topicConfigList":[`)
		for i := range topicsRequest {
			if i > 0 {
				body = append(body, ',')
			}
			body = fmt.Appendf(body, `{"attributes":{},"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG",`+
				`"topicName":"BenchTopic%d","topicSysFlag":0,"writeQueueNums":8}`, first+i)
		}
		if _, err := must(s.addr, request{code: codeCreateTopics, body: append(body, "]}"...)}); err != nil {
			return 0, err
		}
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return 0, err
	}
	after, err := s.memory()
	return float64(after.Resident-before.Resident) / manyTopics, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
