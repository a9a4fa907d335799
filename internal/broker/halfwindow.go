package broker

// halfWindow is a byte for each half message from some offset on.
type halfWindow struct {
	first  int64 // number of the first chunk
	chunks []*[halfChunk]halfState
}

const halfChunk = 4096

func (w *halfWindow) get(offset int64) halfState {
	i := offset/halfChunk - w.first
	if i < 0 || i >= int64(len(w.chunks)) || w.chunks[i] == nil {
		return halfOpen
	}
	return w.chunks[i][offset%halfChunk]
}

// set is for half messages that are there, so that what a stranger tells makes no memory be taken.
func (w *halfWindow) set(offset int64, s halfState) {
	n := offset / halfChunk
	if len(w.chunks) == 0 {
		w.first = n
	}
	for n < w.first { // seldom: the first that ended was not the first there
		w.first--
		w.chunks = append([]*[halfChunk]halfState{nil}, w.chunks...)
	}
	for n-w.first >= int64(len(w.chunks)) {
		w.chunks = append(w.chunks, nil)
	}
	if w.chunks[n-w.first] == nil {
		w.chunks[n-w.first] = new([halfChunk]halfState)
	}
	w.chunks[n-w.first][offset%halfChunk] = s
}

// dropBefore forgets chunks that end before an offset.
func (w *halfWindow) dropBefore(offset int64) {
	n := int(min(max(offset/halfChunk-w.first, 0), int64(len(w.chunks))))
	if n > 0 {
		w.chunks = append(w.chunks[:0:0], w.chunks[n:]...)
		w.first += int64(n)
	}
}
