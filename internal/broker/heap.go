package broker

// A placed is what may be in a heapOf: it knows where, so that it can be taken out wherever it is.
type placed[T any] interface {
	// isBefore says whether its time is earlier.
	isBefore(T) bool
	// moveTo tells it its place, -1 when it is taken out.
	moveTo(int)
}

// heapOf is container/heap's interface over things that wait for a time, the earliest first.
type heapOf[T placed[T]] []T

func (h heapOf[T]) Len() int           { return len(h) }
func (h heapOf[T]) Less(i, j int) bool { return h[i].isBefore(h[j]) }
func (h heapOf[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].moveTo(i)
	h[j].moveTo(j)
}

// Push is heap.Interface.
func (h *heapOf[T]) Push(v any) {
	v.(T).moveTo(len(*h))
	*h = append(*h, v.(T))
}

// Pop is heap.Interface.
func (h *heapOf[T]) Pop() any {
	old := *h
	last := old[len(old)-1]
	clear(old[len(old)-1:])
	*h = old[:len(old)-1]
	last.moveTo(-1)
	return last
}
