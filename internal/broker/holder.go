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

// textCost is what a byte of a request's text costs while it is held: it is kept, and in the parsed expression once more.
const textCost = 4

// hasRoom says whether a request of so much text can be held too. holds.mu is held.
func (c *holder) hasRoom(text int) bool { return c.bytes+heldCost+textCost*text <= holderMax }

// addLocked links a request. holds.mu is held.
func (c *holder) addLocked(w *held) {
	c.bytes += heldCost + textCost*w.text
	if w.next = c.first; w.next != nil {
		w.next.prev = w
	}
	c.first = w
}

// removeLocked unlinks a request. holds.mu is held.
func (c *holder) removeLocked(w *held) {
	c.bytes -= heldCost + textCost*w.text
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
