package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// signalAgain is from when on after a signal another one counts as a second one. Programs that pass signals on, such as timeout and the init of
// a container, send the same one twice.
const signalAgain = 100 * time.Millisecond

// errSignal is why a context of untilSignal has ended.
var errSignal = errors.New("a signal asked to end")

// untilSignal gives a context that ends at SIGINT or SIGTERM. A second signal ends the process at once, for an operator who does not
// want to wait. Call stop when the daemon has ended.
func (p *program) untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, end := p.until(parent, signals)
	return ctx, func() {
		end()
		if context.Cause(ctx) != errSignal { // or another one would end the process by itself, and it would look killed
			signal.Stop(signals)
		}
	}
}

func (p *program) until(parent context.Context, signals <-chan os.Signal) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	var wait sync.WaitGroup
	done := make(chan struct{})
	wait.Go(func() {
		var first time.Time
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				if first.IsZero() {
					first = time.Now()
					fmt.Fprintf(p.err, "liftoff: %s: shutting down; once more to end at once\n", s)
					cancel(errSignal)
				} else if time.Since(first) >= signalAgain {
					p.exit(128 + int(s.(syscall.Signal)))
				}
			}
		}
	})
	return ctx, func() {
		close(done)
		wait.Wait()
		cancel(nil)
	}
}
