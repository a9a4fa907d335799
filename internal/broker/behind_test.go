package broker

import (
	"errors"
	"log/slog"
	"testing"
)

// A write that is going on at the end, and fails, must not be the last one.
func TestBehind_CloseWritesWhatAFailedWriteLeft(t *testing.T) {
	t.Parallel()
	begun, fail := make(chan struct{}), make(chan struct{})
	writes := 0
	f := behind{path: "file", log: slog.New(slog.DiscardHandler), write: func() error {
		if writes++; writes > 1 {
			return nil
		}
		close(begun)
		<-fail
		return errors.New("the disk is full")
	}}
	f.touch(0)
	<-begun
	closed := make(chan error)
	go func() { closed <- f.close() }()
	await(t, "the end", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.closed
	})
	close(fail)
	if err := <-closed; err != nil || writes != 2 {
		t.Errorf("%d writes, %v", writes, err)
	}
}
