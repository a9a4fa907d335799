package store

// waiters are batches that wait for one mark, in the order of the log offset that they wait for.
type waiters struct {
	first, last *Batch
}

func (w *waiters) push(b *Batch) {
	if w.last == nil {
		w.first = b
	} else {
		w.last.next = b
	}
	w.last = b
}

// pushAll adds a list.
func (w *waiters) pushAll(b *Batch) {
	for b != nil {
		next := b.next
		b.next = nil
		w.push(b)
		b = next
	}
}

// take removes the batches that a mark has passed, which are in front, and returns the first; the others hang on it.
func (w *waiters) take(mark int64) *Batch {
	var last *Batch
	for b := w.first; b != nil && b.end <= mark; b = b.next {
		last = b
	}
	if last == nil {
		return nil
	}
	first := w.first
	w.first, last.next = last.next, nil
	if w.first == nil {
		w.last = nil
	}
	return first
}

// takeIf is take of the batches for which ok holds, wherever they are.
func (w *waiters) takeIf(ok func(*Batch) bool) *Batch {
	var taken waiters
	for b := w.all(); b != nil; {
		next := b.next
		b.next = nil
		if ok(b) {
			taken.push(b)
		} else {
			w.push(b)
		}
		b = next
	}
	return taken.first
}

// all removes every batch.
func (w *waiters) all() *Batch {
	first := w.first
	w.first, w.last = nil, nil
	return first
}

// answer tells each batch of a list that it is done. It is called without any lock.
func answer(b *Batch, err error) {
	for b != nil {
		next := b.next // Done may put the batch again
		b.next = nil
		b.Done(b, err)
		b = next
	}
}
