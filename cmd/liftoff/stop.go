package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// untilSignal gives a context that ends at SIGINT or SIGTERM. A second signal ends the process at once, for an operator who does not
// want to wait. Call stop when the daemon has ended.
func (p *program) untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, end := p.until(parent, signals)
	return ctx, func() {
		signal.Stop(signals)
		end()
	}
}

func (p *program) until(parent context.Context, signals <-chan os.Signal) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	var wait sync.WaitGroup
	done := make(chan struct{})
	wait.Go(func() {
		for again := false; ; again = true {
			select {
			case <-done:
				return
			case s := <-signals:
				if again {
					p.exit(128 + int(s.(syscall.Signal)))
				}
				fmt.Fprintf(p.err, "liftoff: %s: shutting down; once more to end at once\n", s)
				cancel()
			}
		}
	})
	return ctx, func() {
		close(done)
		wait.Wait()
		cancel()
	}
}
