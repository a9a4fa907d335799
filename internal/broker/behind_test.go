package broker

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
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

// A disk that is full for long does not fill the log.
func TestBehind_TellsOfATroubleOnceAndOfItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		var passed atomic.Bool
		tries := 0
		f := behind{path: "topics.json", log: slog.New(slog.NewTextHandler(&text, nil))}
		f.write = func() error {
			if passed.Load() {
				return nil
			}
			tries++
			return syscall.ENOSPC
		}
		f.touch(0)
		time.Sleep(4*time.Minute + time.Second/2)
		synctest.Wait()
		if lines := text.String(); tries < 100 || strings.Count(lines, "\n") != 1 || !strings.Contains(lines, "file=topics.json") {
			t.Errorf("%d tries are told so:\n%s", tries, lines)
		}
		text.Reset()
		passed.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		if err := f.close(); err != nil {
			t.Error(err)
		}
		if lines := text.String(); strings.Count(lines, "\n") != 1 || !strings.Contains(lines, `msg="state file is written again" file=topics.json after=4m1s`) {
			t.Errorf("the end is told so:\n%s", lines)
		}
	})
}
