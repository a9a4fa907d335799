//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// A quietLoad is everyday traffic: messages at an even pace over a few producer connections, and eight consumers, each
// with its own connection and queue, whose pulls the broker holds until there is a message.
//
// Each message carries the moment at which the plan said to send it. Its latency runs from that moment until a consumer
// has it, so a server (or generator) that falls behind cannot hide the wait of the messages that queue up behind.
type quietLoad struct {
	loop      *loop
	t         *template
	producers []*conn
	readers   []*reader
	interval  time.Duration

	answered   int64 // sends answered with success
	allRefused int64
	refusals   refusals // since the reset
	consumed   int64
	latency    histogram // from the planned send to the message in the consumer

	consumedBefore int64 // the reset

	stop     atomic.Bool
	pacing   sync.WaitGroup
	sent     int64 // by the pacing goroutine; read it after it has ended
	lateness histogram
	paceErr  error
}

const (
	quietRate      = 3000 // messages a second
	quietProducers = 4
	quietConsumers = topicQueues
)

func newQuietLoad(ctx context.Context, addr, group, topic string, bodySize int) (*quietLoad, error) {
	ends, err := maxOffsets(addr, topic)
	if err != nil {
		return nil, err
	}
	l, err := newLoop(false)
	if err != nil {
		return nil, err
	}
	q := &quietLoad{loop: l, t: newTemplate(message{topic: topic, bodySize: bodySize}),
		interval: time.Second / quietRate}
	version := strconv.FormatInt(time.Now().UnixMilli(), 10)
	conns, err := dialConsumers(ctx, l, addr, group, topic, version, quietConsumers, q.pulled)
	for i, c := range conns {
		q.readers = append(q.readers, &reader{conn: c, group: group, topic: topic, queue: i, offset: ends[i],
			opaque: firstOpaque + int32(i), subVersion: version})
	}
	for range quietProducers {
		if err != nil {
			break
		}
		var c *conn
		c, err = l.dial(addr, q.acknowledged)
		q.producers = append(q.producers, c)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return q, nil
}

func (q *quietLoad) close() {
	q.stop.Store(true)
	q.pacing.Wait()
	q.loop.close()
}

// begin starts the consumers' pulls and then the producers.
func (q *quietLoad) begin() error {
	for _, r := range q.readers {
		r.post()
		if err := q.loop.flush(r.conn); err != nil {
			return err
		}
	}
	q.pacing.Go(q.paceLoop)
	return nil
}

// paceLoop sends at an even pace from a thread of its own. It only writes; answers come through the loop.
func (q *quietLoad) paceLoop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Timers of a thread may come 50 µs late by default, to save wake-ups; that would be in every latency.
	const setTimerSlack, none = 29, 1
	syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, none, 0)
	defer syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 0, 0)

	var frame []byte
	first := clock() + time.Millisecond
	for n := int64(0); !q.stop.Load(); n++ {
		planned := first + time.Duration(n)*q.interval
		for wait := planned - clock(); wait > 0; wait = planned - clock() {
			ts := syscall.NsecToTimespec(int64(wait))
			syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
		}
		frame = q.t.appendTo(frame[:0], int32(firstOpaque+n%opaqueRoom), processStart.Add(planned), int(n%topicQueues))
		binary.BigEndian.PutUint64(frame[q.t.bodyAt:], uint64(planned))
		q.lateness.add(clock() - planned)
		if err := writeAll(q.producers[n%quietProducers].fd, frame); err != nil {
			q.paceErr = err
			return
		}
		q.sent++
	}
}

func (q *quietLoad) acknowledged(_ *conn, frame []byte, _ time.Duration) error {
	a, err := parseAnswer(frame)
	if err != nil || !a.isResponse {
		return err
	}
	if a.code != answerOK {
		q.refusals.add(a)
		q.allRefused++
		return nil
	}
	q.answered++
	return nil
}

func (q *quietLoad) pulled(_ *conn, frame []byte, now time.Duration) error {
	a, err := parseAnswer(frame)
	if err != nil || !a.isResponse {
		return err
	}
	r := q.readers[int(a.opaque-firstOpaque)%topicQueues]
	if r.opaque != a.opaque {
		return fmt.Errorf("cannot match an answer: no pull in flight has the opaque %d", a.opaque)
	}
	switch a.code {
	case answerOK:
		n, err := r.walk(a, func(body []byte) {
			q.latency.add(now - time.Duration(binary.BigEndian.Uint64(body)))
		})
		if err != nil {
			return err
		}
		q.consumed += int64(n)
	case answerNotFound, answerRetry:
	default:
		return fmt.Errorf("cannot consume: queue %d at %d: the server answers %d %q", r.queue, r.offset, a.code, a.remark())
	}
	r.post()
	return nil
}

func (q *quietLoad) reset() {
	q.latency.reset()
	q.consumedBefore = q.consumed
	q.refusals = refusals{}
}

// finish ends the sending and waits until each message is answered and consumed.
func (q *quietLoad) finish(ctx context.Context) error {
	q.stop.Store(true)
	q.pacing.Wait()
	if q.paceErr != nil {
		return q.paceErr
	}
	home := func() bool { return q.answered+q.allRefused == q.sent && q.consumed == q.answered }
	err := q.loop.runFor(ctx, 20*time.Second, home)
	if err == nil && !home() {
		err = fmt.Errorf("cannot trust the numbers: %d messages sent, %d accepted, %d refused, %d consumed",
			q.sent, q.answered, q.allRefused, q.consumed)
	}
	return err
}
