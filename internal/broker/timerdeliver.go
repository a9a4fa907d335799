package broker

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/store"
	"github.com/liftoffmq/liftoff/internal/store/timer"
)

// A delivery is some timers that are stored together where they go to. Their properties were decided on when they were sent, so they
// are not diverted again.
type delivery struct {
	t     *timers
	buf   []byte // the records
	props []byte // the properties that they get
	batch store.Batch
	done  chan error
	begun bool // batch is with the store
}

func newDelivery(t *timers) *delivery {
	d := &delivery{t: t, done: make(chan error, 1)}
	d.batch.Done = func(_ *store.Batch, err error) { d.done <- err }
	return d
}

func (d *delivery) full() bool { return len(d.batch.Puts) >= deliverMax || len(d.buf) >= deliverBytes }

// takeOut adds a message that was taken out of the wheel. One at which that panics is passed over.
func (d *delivery) takeOut(m *message.Message, f *timerFacts, it *timer.Item, now int64) {
	defer endPanic(d.t.b.log, "a timer that is due is passed over")
	if it.Roll {
		d.roll(m, f, it.Added, now)
	} else {
		d.add(m, f, it.Added, now)
	}
}

// add adds a message that goes to its topic. Added is when it was put into the wheel, the largest number for never.
func (d *delivery) add(m *message.Message, f *timerFacts, added, now int64) {
	q := d.t.b.store.Queue(string(f.topic), f.queueID)
	if d.append(m, q, f, added, now, false); added != math.MaxInt64 {
		d.t.wheel.Count(f.topic, -1)
	}
}

// roll adds a message that is to be put into the wheel once more.
func (d *delivery) roll(m *message.Message, f *timerFacts, added, now int64) {
	d.append(m, d.t.queue, f, added, now, true)
	if f.deletes != nil {
		d.t.wheel.Count(f.topic, 1) // it is taken from the count again when it comes back
		return
	}
	d.t.wheel.Count(f.topic, -1)
}

func (d *delivery) append(m *message.Message, q *store.Queue, f *timerFacts, added, now int64, roll bool) {
	start := len(d.props)
	replaced := []string{message.PropTimerEnqueueMS, message.PropTimerDequeueMS, message.PropTimerRollTimes}
	if !roll {
		replaced = replaced[:2]
	}
	d.props = message.AppendPropertiesWithout(d.props, m.Properties, replaced...)
	if roll {
		d.appendInt(message.PropTimerRollTimes, f.rolls+1)
	}
	d.appendInt(message.PropTimerEnqueueMS, added)
	d.appendInt(message.PropTimerDequeueMS, now)
	props := d.props[start:len(d.props):len(d.props)]
	if len(props) > message.MaxProperties-64 { // with a checksum they may not fit; those it had before do
		props = m.Properties
	}
	put := store.Put{Message: *m, Queue: q}
	put.Properties, put.PreparedTransactionOffset = props, 0
	if f.light != nil && !roll {
		if err := d.t.b.addLight(d.t.b.settings.Load(), f.light, &put); err != nil {
			d.t.b.log.Warn("a timer goes to its topic, but not to its light queues", "topic", q.Topic(), "err", err)
		}
	}
	d.batch.Puts = append(d.batch.Puts, put)
}

func (d *delivery) appendInt(name string, n int64) {
	var room [20]byte
	d.props = message.AppendProperty(d.props, name, strconv.AppendInt(room[:0], n, 10))
}

// start hands the messages to the store; wait waits until they are as safe as flushDiskType asks.
func (d *delivery) start() {
	if len(d.batch.Puts) == 0 {
		return
	}
	d.begun = true
	d.batch.Wait = d.t.b.settings.Load().wait(false)
	d.t.b.store.Put(&d.batch)
}

// wait waits for what start has begun. What could not be stored is tried again until it can, or ctx ends, which is the only error.
func (d *delivery) wait(ctx context.Context) error {
	for d.begun {
		err := <-d.done
		d.begun = false
		left := d.failed(err)
		if len(left) == 0 || err == nil {
			d.t.b.counts.moved(kindMoved, d.batch.Puts)
		}
		d.t.taken.out.Add(int64(len(d.batch.Puts) - len(left)))
		d.t.delivered(d.batch.Puts, len(left))
		d.batch.Puts = left
		if len(left) == 0 {
			d.t.goesOn(&d.t.undelivered, "timers that are due are stored in their topics again")
			break
		}
		d.t.fails(&d.t.undelivered, "timers that are due cannot be stored in their topics", errors.Join(err, left[0].Err), "messages", len(left))
		if pause(ctx, timerRetry) {
			return ctx.Err()
		}
		d.start()
	}
	d.batch.Puts, d.props, d.buf = d.batch.Puts[:0], d.props[:0], d.buf[:0]
	return nil
}

// delivered counts messages that have left the wheel; of some, so many are to be put again.
func (t *timers) delivered(puts []store.Put, left int) {
	for i := range puts[:len(puts)-left] {
		topic := puts[i].Queue.Topic()
		if topic == topicTimer { // rolled
			real, _ := message.Property(puts[i].Properties, message.PropRealTopic)
			topic = string(real)
		}
		t.b.tallies.add(&metrics.TimerDequeue, 1, topic)
	}
}

// failed returns the messages that are to be stored once more.
func (d *delivery) failed(err error) []store.Put {
	if errors.Is(err, store.ErrFlushTimeout) { // stored, that is
		err = nil
	}
	left := d.batch.Puts[:0:0]
	for i := range d.batch.Puts {
		p := &d.batch.Puts[i]
		switch {
		case errors.Is(p.Err, store.ErrTooLarge) || errors.Is(p.Err, store.ErrTopic):
			d.t.b.log.Error("a timer cannot be stored in its topic and is dropped", "topic", p.Queue.Topic(), "queue_id", p.Queue.ID(), "err", p.Err)
		case p.Err != nil || err != nil:
			left = append(left, *p)
		}
	}
	return left
}

// put is start and wait.
func (d *delivery) put(ctx context.Context) error {
	d.start()
	return d.wait(ctx)
}

// pause waits a while, and says whether ctx ended.
func pause(ctx context.Context, d time.Duration) (ended bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return true
	case <-t.C:
		return false
	}
}
