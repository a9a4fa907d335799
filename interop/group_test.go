package interop

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// sharesAndRebalances: a second consumer takes over half of the queues and gives them back when it leaves. Nothing is
// lost; what comes twice comes while the queues change hands and never between.
func sharesAndRebalances(t *testing.T, c client) {
	t.Parallel()
	first, second, acked, steady := joinAndLeave(t, c)
	if err := lacks(acked, first.seen, second.seen); err != nil {
		t.Error(err)
	}
	again := duplicates(first.seen, second.seen)
	t.Logf("%d of %d messages came twice", len(again), len(acked))
	for _, m := range again {
		if m.at > steady.begin && m.at < steady.end {
			t.Errorf("%s at %v came twice while no queue changed hands", m.keys, m.place())
		}
	}
}

// staysInOrder: the same with an orderly consumer. No queue is ever in the hands of both, and its messages come in order.
func staysInOrder(t *testing.T, c client) {
	t.Parallel()
	first, second, acked, _ := joinAndLeave(t, c, "orderly", true, "threads", 4, "work", 1)
	if err := lacks(acked, first.seen, second.seen); err != nil {
		t.Error(err)
	}
	all := slices.Concat(first.seen, second.seen)
	slices.SortFunc(all, func(a, b message) int { return a.seq - b.seq })
	inOrder(t, all)
	for _, m := range all {
		if m.overlapped {
			t.Errorf("queue %d was in the hands of two when %s came", m.queue, m.keys)
		}
	}
	t.Logf("%d of %d messages came twice", len(duplicates(all)), len(acked))
}

// takesOverInOrder: an orderly consumer follows another in the same group, and each queue's messages come in order. (Two at
// a time is more than the Go client can do: it never gives up the lock of a queue that it loses, so that the other waits
// for the lock to expire, which takes more than a minute.)
func takesOverInOrder(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic, group := p.topic(4), uniqueName(t, "group")
	for range 2 {
		acked := p.fill(topic, 60)
		s := newConsumer(t, c, cl, topic, group, "orderly", true, "threads", 4, "work", 1)
		acked = append(acked, p.fill(topic, 60)...)
		exactly(t, acked, s.wait(len(acked)))
		inOrder(t, s.seen)
		for _, m := range s.seen {
			if m.overlapped {
				t.Errorf("queue %d was in the hands of two when %s came", m.queue, m.keys)
			}
		}
		s.close()
	}
}

// A span is a time in which no queue changed hands, in ms.
type span struct{ begin, end int64 }

// joinAndLeave sends all the time while a second consumer of the group comes and goes.
func joinAndLeave(t *testing.T, c client, options ...any) (first, second *consumer, acked []message, steady span) {
	t.Helper()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic, group := p.topic(4), uniqueName(t, "group")
	first = newConsumer(t, c, cl, topic, group, options...)
	stop := p.load(topic)
	all := []int{0, 1, 2, 3}
	shared := func() error {
		a, b := queuesOf(first.seen, 20), queuesOf(second.seen, 20)
		if len(a) != 2 || len(b) != 2 || !slices.Equal(slices.Sorted(slices.Values(slices.Concat(a, b))), all) {
			return fmt.Errorf("the two consumers have the queues %v and %v", a, b)
		}
		return nil
	}
	await(t, []*consumer{first}, func() error {
		if got := queuesOf(first.seen, 40); !slices.Equal(got, all) {
			return fmt.Errorf("the only consumer gets the queues %v", got)
		}
		return nil
	})
	second = newConsumer(t, c, cl, topic, group, options...)
	joined := time.Now()
	await(t, []*consumer{first, second}, shared)
	t.Logf("the second consumer had its share after %v", time.Since(joined))

	// The queues have changed hands, but what the first consumer had fetched before may still be on its way.
	marks := []int{len(first.seen), len(second.seen)}
	grown := func(by int) func() error {
		return func() error {
			if len(first.seen) < marks[0]+by || len(second.seen) < marks[1]+by {
				return fmt.Errorf("the two consumers got %d and %d messages in all and no more", len(first.seen), len(second.seen))
			}
			return nil
		}
	}
	await(t, []*consumer{first, second}, grown(100))
	steady.begin = time.Now().UnixMilli()
	await(t, []*consumer{first, second}, grown(300))
	steady.end = time.Now().UnixMilli()
	if err := shared(); err != nil {
		t.Error(err)
	}

	second.close()
	left := time.Now()
	await(t, []*consumer{first}, func() error {
		if got := queuesOf(first.seen, 20); !slices.Equal(got, all) {
			return fmt.Errorf("the consumer that stayed gets the queues %v", got)
		}
		return nil
	})
	t.Logf("the first consumer had all back after %v", time.Since(left))
	acked = stop()
	second.look(0, 0)
	await(t, []*consumer{first}, func() error { return lacks(acked, first.seen, second.seen) })
	return first, second, acked, steady
}

// broadcasts: each of two broadcast consumers gets everything.
func broadcasts(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic, group := p.topic(4), uniqueName(t, "group")
	var consumers []*consumer
	for range 2 {
		consumers = append(consumers, newConsumer(t, c, cl, topic, group, "model", "BROADCASTING"))
	}
	acked := p.fill(topic, 100)
	for _, s := range consumers {
		exactly(t, acked, s.wait(len(acked)))
		inOrder(t, s.seen)
	}
}

// continuesWhereItWas: a consumer that comes back gets what its group has not had, and nothing else.
func continuesWhereItWas(t *testing.T, c client) {
	t.Parallel()
	cl := sharedCluster(t)
	p := newProducer(t, c, cl)
	topic, group := p.topic(4), uniqueName(t, "group")
	for range 3 {
		acked := p.fill(topic, 60)
		s := newConsumer(t, c, cl, topic, group)
		exactly(t, acked, s.wait(len(acked)))
		inOrder(t, s.seen)
		s.close()
	}
}
