//go:build linux

package main

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"time"
)

// A load is one kind of work for a server.
type load interface {
	begin() error
	serve(ctx context.Context, d time.Duration, done func() bool) error
	reset()
	counted() int64 // messages since the reset
	latencies() *histogram
	refused() refusals // since the reset
	// finish waits until what is under way has come home and the server has done all its work for it, and checks the counts against the
	// server's. A load that stores messages can begin again afterwards.
	finish(ctx context.Context) error
	close()
}

// A scenario is a load that is measured in rounds: first Apache, then Liftoff, then Apache again. While one is measured
// the other one's processes are stopped where they are.
type scenario struct {
	name   string
	title  string
	open   func(ctx context.Context, s *side) (load, error)
	warmup time.Duration // of Apache's JVM, before the first round
	time   time.Duration
	// limit is how many messages end a round before its time, so that a fast server does not fill the disk; 0 where messages are not
	// stored, or not as fast as they can be.
	limit int64
}

const (
	settleTime     = time.Second // load before each round's clock starts
	settleMessages = 200_000
	liftoffWarmup  = 2 * time.Second
)

func (b *bench) measure(ctx context.Context, sc scenario) error {
	if !b.wants(sc.name) {
		return nil
	}
	say("%s", sc.title)
	samples := make([][]sample, len(b.sides))
	for round := range b.rounds {
		for i, s := range b.sides {
			settle := settleTime
			if round == 0 {
				settle = min(sc.warmup, liftoffWarmup)
				if s.name == "Apache" {
					settle = sc.warmup
				}
			}
			got, err := b.round(ctx, sc, s, settle, round == 0)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", sc.title, s.name, err)
			}
			say("    %-8s%s", s.name, got)
			samples[i] = append(samples[i], got)
		}
	}
	for i, s := range b.sides {
		b.report.Rows = append(b.report.Rows, row{Scenario: sc.name, Title: sc.title, Server: s.name,
			Median: medianSample(samples[i]), Rounds: samples[i]})
	}
	return nil
}

// round puts a load on one server, lets it settle, and measures.
func (b *bench) round(ctx context.Context, sc scenario, s *side, settle time.Duration, warming bool) (sample, error) {
	s.rounds++
	s.running.resume()
	defer s.running.pause()
	l, err := sc.open(ctx, s)
	if err != nil {
		return sample{}, err
	}
	defer l.close()
	if err := l.begin(); err != nil {
		return sample{}, err
	}
	settled := func() bool { return !warming && l.counted() >= settleMessages }
	if err := l.serve(ctx, settle, settled); err != nil {
		return sample{}, err
	}
	stores := sc.limit > 0
	if stores { // what settling has left to do is not the round's
		if err := l.finish(ctx); err != nil {
			return sample{}, err
		}
		if err := warmMemory(b.dir); err != nil {
			return sample{}, err
		}
	}
	l.reset()
	before, err := b.meter(s.running)
	if err != nil {
		return sample{}, err
	}
	if stores {
		if err := l.begin(); err != nil {
			return sample{}, err
		}
	}
	if err := l.serve(ctx, sc.time, func() bool { return stores && l.counted() >= sc.limit }); err != nil {
		return sample{}, err
	}
	messages, wall := l.counted(), clock()-before.at
	if stores { // what a server has put off is
		if err := l.finish(ctx); err != nil {
			return sample{}, err
		}
	}
	after, err := b.meter(s.running)
	if err != nil {
		return sample{}, err
	}
	if messages == 0 {
		return sample{}, fmt.Errorf("cannot measure: no message in %v", sc.time)
	}
	got := newSample(before, after, l.counted(), l.latencies())
	got.Rate, got.Seconds = float64(messages)/wall.Seconds(), wall.Seconds()
	refused := l.refused()
	got.Refused = refused.n
	if refused.n > messages/2 {
		return sample{}, fmt.Errorf("cannot take this as a result: %d messages were refused, %d accepted; the first: %s",
			refused.n, messages, refused.first)
	}
	return got, l.finish(ctx)
}

// A reading is what the clocks say at one moment.
type reading struct {
	at                   time.Duration
	server, own, machine time.Duration
}

func (b *bench) meter(s *server) (reading, error) {
	cpu, err := s.cpu()
	return reading{at: clock(), server: cpu, own: ownCPU(), machine: machineBusy()}, err
}

func newSample(before, after reading, messages int64, latency *histogram) sample {
	wall := after.at - before.at
	each := func(d time.Duration) float64 {
		return float64(d) / float64(time.Microsecond) / float64(max(messages, 1))
	}
	server, own := after.server-before.server, after.own-before.own
	others := after.machine - before.machine - server - own
	return sample{
		Messages: messages, Seconds: wall.Seconds(), Rate: float64(messages) / wall.Seconds(),
		P50: latency.percentile(0.5), P99: latency.percentile(0.99), P999: latency.percentile(0.999),
		Cost: each(server), Generator: each(own),
		Others: max(float64(others)/float64(wall)/float64(runtime.NumCPU()), 0),
	}
}

// The loads that are made of single sends and batches.

func (l *sendLoad) serve(ctx context.Context, d time.Duration, done func() bool) error {
	return l.loop.runFor(ctx, d, done)
}
func (l *sendLoad) counted() int64        { return l.messages }
func (l *sendLoad) latencies() *histogram { return &l.latency }
func (l *sendLoad) refused() refusals     { return l.refusals }

// A checkedSend is a sendLoad that compares what was accepted with what the topic holds afterwards.
type checkedSend struct {
	*sendLoad
	addr, topic string
	before      int64
}

func (l checkedSend) finish(ctx context.Context) error {
	if err := l.drain(ctx); err != nil {
		return err
	}
	return settled(ctx, l.addr, l.topic, l.before+l.accepted*int64(l.t.messages))
}

func (b *bench) openSend(m message, connections, each int) func(context.Context, *side) (load, error) {
	return func(ctx context.Context, s *side) (load, error) {
		addr := s.running.addr
		if err := createTopic(addr, m.topic); err != nil {
			return nil, err
		}
		before, err := maxOffsets(addr, m.topic)
		if err != nil {
			return nil, err
		}
		m.keys = b.keys
		l, err := newSendLoad(addr, m, connections, each, b.writeEach)
		if err != nil {
			return nil, err
		}
		return checkedSend{l, addr, m.topic, total(before)}, nil
	}
}

func sizeName(n int) string {
	if n >= 1024 {
		return strconv.Itoa(n/1024) + " KB"
	}
	return strconv.Itoa(n) + " B"
}

const backlogTopic = "Bench128"

// measureSends: single sends, in each mixture of size, header and requests in flight.
func (b *bench) measureSends(ctx context.Context) error {
	warmup := b.warmup
	for _, size := range []int{128, 1024} {
		for _, header := range []serialization{jsonHeader, binaryHeader} {
			for _, shape := range []struct{ connections, each int }{{4, 16}, {16, 1}, {1, 1}} {
				alone := size == 128 && header == jsonHeader
				busy := shape.each > 1
				if b.guard && !(alone && shape.connections > 1) || b.quick && !alone && !busy {
					continue
				}
				m := message{topic: "Bench" + strconv.Itoa(size), bodySize: size, header: header}
				inFlight := shape.connections * shape.each
				sc := scenario{
					name: fmt.Sprintf("send/%d/%s/%dx%d", size, header, shape.each, shape.connections),
					title: fmt.Sprintf("send, %s, %s, %d in flight on %d conn", sizeName(size), header, inFlight,
						shape.connections),
					open: b.openSend(m, shape.connections, shape.each), warmup: warmup, time: b.time,
					limit: 128_000_000 / int64(size),
				}
				if !b.wants(sc.name) {
					continue
				}
				if err := b.measure(ctx, sc); err != nil {
					return err
				}
				warmup = min(b.warmup, 5*time.Second) // the way of a send is warm now; the rest is what is new about it
			}
		}
	}
	return nil
}

func (b *bench) measureBatches(ctx context.Context) error {
	for _, header := range []serialization{jsonHeader, binaryHeader} {
		if header == binaryHeader && (b.quick || b.guard) {
			continue
		}
		warmup := b.warmup
		if header == binaryHeader {
			warmup = min(warmup, 5*time.Second)
		}
		m := message{topic: "BenchBatch", bodySize: 128, header: header, batch: 32}
		err := b.measure(ctx, scenario{name: "batch/128/" + header.String(),
			title: fmt.Sprintf("batches of 32, %s, 16 requests on 4 conn", header),
			open:  b.openSend(m, 4, 4), warmup: warmup, time: b.time, limit: 3_000_000})
		if err != nil {
			return err
		}
	}
	return nil
}

// backlogMessages are read again and again in a round.
const backlogMessages = 240_000

// measureBacklog: what the sends have left is consumed; when they have not left enough, more is sent first.
func (b *bench) measureBacklog(ctx context.Context) error {
	if !b.wants("backlog") {
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
	return b.measure(ctx, scenario{name: "backlog", title: "backlog, 128 B, 32 a pull, 8 queues on 4 conn",
		open: func(ctx context.Context, s *side) (load, error) {
			group := fmt.Sprintf("BenchBacklog%d", s.rounds)
			return newPullLoad(ctx, s.running.addr, group, backlogTopic, ends, 4)
		},
		warmup: b.warmup, time: b.time})
}

// fill sends until each queue of the topic holds at least so many messages.
func (b *bench) fill(ctx context.Context, s *side, topic string, each int64) error {
	s.running.resume()
	defer s.running.pause()
	l, err := b.openSend(message{topic: topic, bodySize: 128}, 4, 16)(ctx, s)
	if err != nil {
		return err
	}
	defer l.close()
	offsets, err := maxOffsets(s.running.addr, topic)
	if err != nil {
		return err
	}
	missing := int64(0)
	for _, have := range offsets {
		missing = max(missing, each-have)
	}
	if missing == 0 {
		return nil
	}
	if err := l.begin(); err != nil {
		return err
	}
	// A little more than is missing: the queues do not fill in perfect step when a send is refused.
	if err := l.serve(ctx, 5*time.Minute, func() bool { return l.counted() >= (missing+1)*topicQueues }); err != nil {
		return err
	}
	return l.finish(ctx)
}

func (l *pullLoad) serve(ctx context.Context, d time.Duration, done func() bool) error {
	return l.loop.runFor(ctx, d, done)
}
func (l *pullLoad) counted() int64                   { return l.messages }
func (l *pullLoad) latencies() *histogram            { return &l.latency }
func (l *pullLoad) refused() refusals                { return refusals{} } // a refused pull ends the run
func (l *pullLoad) finish(ctx context.Context) error { return l.drain(ctx) }

// measureQuiet: latency is what matters here, so its rounds are longer.
func (b *bench) measureQuiet(ctx context.Context) error {
	return b.measure(ctx, scenario{name: "quiet", title: "quiet, 3,000 msg/s, 8 long polls, end to end",
		open: func(ctx context.Context, s *side) (load, error) {
			const topic = "BenchQuiet"
			if err := createTopic(s.running.addr, topic); err != nil {
				return nil, err
			}
			return newQuietLoad(ctx, s.running.addr, fmt.Sprintf("BenchQuiet%d", s.rounds), topic, 128)
		},
		warmup: b.warmup, time: b.time * 5 / 2})
}

func (l *quietLoad) serve(ctx context.Context, d time.Duration, done func() bool) error {
	return l.loop.runFor(ctx, d, done)
}
func (l *quietLoad) counted() int64        { return l.consumed - l.consumedBefore }
func (l *quietLoad) latencies() *histogram { return &l.latency }
func (l *quietLoad) refused() refusals     { return l.refusals }

// measureSync: brokers of their own, which fsync before they answer.
func (b *bench) measureSync(ctx context.Context) error {
	sc := scenario{name: "sync", title: "SYNC_FLUSH, 128 B, 1 in flight on 64 conn",
		open:   b.openSend(message{topic: "BenchSync", bodySize: 128}, 64, 1),
		warmup: b.warmup, time: b.time, limit: 1_000_000}
	if !b.wants(sc.name) {
		return nil
	}
	b.stopAll()
	for _, s := range b.sides {
		if _, err := b.start(s, "flushDiskType=SYNC_FLUSH"); err != nil {
			return err
		}
		s.running.pause()
	}
	return b.measure(ctx, sc)
}
