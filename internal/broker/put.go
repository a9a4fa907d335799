package broker

import (
	"errors"
	"fmt"

	"github.com/liftoffmq/liftoff/internal/store"
)

// putNow stores messages that the broker makes or moves itself, next to each other, and waits until they are as safe as flushDiskType asks,
// or are stored at least when that takes too long. Their properties decide as those of a sent message do whether they are diverted. Each
// Put has what came of it; the error is the first of them. It blocks for the disk, so it is for followers and slow handlers only.
func (b *Broker) putNow(puts ...store.Put) error {
	done := make(chan error, 1)
	b.putThen(puts, func(err error) { done <- err })
	return <-done
}

// putThen is putNow without waiting: then is called once, on any goroutine and perhaps before putThen returns, and must not block.
// The puts, their bodies and their properties must stay as they are until then.
func (b *Broker) putThen(puts []store.Put, then func(error)) {
	cfg := b.settings.Load()
	for i := range puts {
		if puts[i].Queue == nil {
			then(fmt.Errorf("%w: it has no such queue", store.ErrTopic))
			return
		}
		var f propertyFacts
		f.inspect(puts[i].Properties)
		f.half = false
		if err := b.place(cfg, &f, &puts[i]); err != nil {
			then(err)
			return
		}
	}
	b.putAsIsThen(puts, then)
}

// putAsIsThen is putThen for messages that stay where they are, whatever their properties say. What was not flushed in time is stored all
// the same: to take it for lost and put it again would double it.
func (b *Broker) putAsIsThen(puts []store.Put, then func(error)) {
	level := b.settings.Load().wait(false)
	b.store.Put(&store.Batch{Puts: puts, Wait: level, Done: func(batch *store.Batch, err error) {
		if errors.Is(err, store.ErrFlushTimeout) {
			err = nil
		}
		for i := range batch.Puts {
			if err == nil {
				err = batch.Puts[i].Err
			}
		}
		then(err)
	}})
}

// putAsIs is putAsIsThen that waits.
func (b *Broker) putAsIs(puts []store.Put) error {
	if len(puts) == 0 {
		return nil
	}
	done := make(chan error, 1)
	b.putAsIsThen(puts, func(err error) { done <- err })
	return <-done
}
