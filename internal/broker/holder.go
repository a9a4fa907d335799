package broker

// holder is a connection as far as its requests are held. Each is linked here too, so that they are found when the connection ends
// without a look at anybody else's. It lies in the connection's session; its fields are protected by holds.mu.
type holder struct {
	first *held
	bytes int  // that they cost
	gone  bool // the connection has ended: nothing is held for it any more
}

// What held requests may cost one connection, in bytes of memory, and what each costs beside its text: enough for more than 40,000, and a
// stranger who sends them cannot make the broker keep more than that.
const (
	holderMax = 32 << 20
	heldCost  = 768
)

// textCost is what a byte of a request's text costs while it is held: it is kept, and as a tag once more. What SQL is parsed to takes far more.
const textCost = 4

// cost is what the request costs while it is held, in bytes of memory.
func (w *held) cost() int { return heldCost + textCost*w.text + w.sql }

// hasRoom says whether a request can be held too. holds.mu is held.
func (c *holder) hasRoom(w *held) bool { return c.bytes+w.cost() <= holderMax }

// holdsMost is what held requests may cost all connections together, in bytes: a quarter of the memory there is, 2 GiB where that is not known, or
// of what Go is to use (GOMEMLIMIT) when that is less. Each GiB is 1.3 million plain pulls.
func holdsMost(memory, limit int64) int64 {
	if memory <= 0 {
		memory = 8 << 30
	}
	return min(memory, limit) / 4
}

// hasRoomLocked says whether a request can be held beside those of all connections.
func (h *holds) hasRoomLocked(w *held) bool { return h.bytes+int64(w.cost()) <= h.bytesMost }

// mayHoldLocked says whether one more request may be held, and why not.
func (h *holds) mayHoldLocked(w *held) int {
	switch {
	case h.closed || w.holder.gone:
		return notHeld
	case !w.holder.hasRoom(w):
		return holderFull
	case !h.hasRoomLocked(w):
		return holdsFull
	}
	return nowHeld
}

// addLocked links a request. holds.mu is held.
func (c *holder) addLocked(w *held) {
	c.bytes += w.cost()
	if w.next = c.first; w.next != nil {
		w.next.prev = w
	}
	c.first = w
}

// removeLocked unlinks a request. holds.mu is held.
func (c *holder) removeLocked(w *held) {
	c.bytes -= w.cost()
	if w.next != nil {
		w.next.prev = w.prev
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		c.first = w.next
	}
	w.prev, w.next = nil, nil
}

// dropBatch is how many requests are dropped while others wait for holds.mu.
const dropBatch = 256

// drop forgets the requests of a connection that has ended, unanswered. One that was woken before, and is being served now, is not held
// again.
func (h *holds) drop(c *holder) {
	for more := true; more; {
		h.mu.Lock()
		c.gone = true
		for i := 0; i < dropBatch && c.first != nil; i++ {
			h.removeLocked(c.first)
		}
		more = c.first != nil
		h.mu.Unlock()
	}
}
