package remoting

import "testing"

// TestStall_KeepsWhatAWriterMissed: a writer in another goroutine has found the socket full, and it became empty while nobody watched.
// Then the loop stops reading, before the writer says that it waits. The socket tells nothing more, so the writer has to try again.
func TestStall_KeepsWhatAWriterMissed(t *testing.T) {
	t.Parallel()
	c := &Conn{}
	c.writing = true // and without the lock, behind a write that was refused
	c.Unlock(make([]byte, len(c.Lock()), outHigh+1)[:outHigh+1])
	if !c.stall() {
		t.Fatal("it goes on reading")
	}
	if !c.polled.again {
		t.Error("the writer will wait for a socket that has become empty already")
	}
}
