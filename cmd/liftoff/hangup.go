package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/logging"
)

// hangups are the signals by which an operator asks a daemon to read its configuration again and to reopen its log. They are
// taken from the beginning: a process that starts is not to end by one.
type hangups struct {
	signals  chan os.Signal
	terminal bool // the process belongs to a terminal, whose end would end it
}

// listenHangups begins to take them. When nobody reads the daemon's output any more, as when the program behind a pipe has ended, it goes
// on in silence.
func listenHangups() *hangups {
	signal.Ignore(syscall.SIGPIPE)
	h := &hangups{signals: make(chan os.Signal, 1), terminal: !signal.Ignored(syscall.SIGHUP) && hasTerminal()}
	signal.Notify(h.signals, syscall.SIGHUP)
	return h
}

// hasTerminal says whether the process has a terminal that someone may type at.
func hasTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err == nil {
		_ = tty.Close()
	}
	return err == nil
}

// serve calls reload at each signal until ctx ends. When the terminal is gone that the process was started from, end is called.
func (h *hangups) serve(ctx context.Context, log *slog.Logger, reload, end func()) {
	defer signal.Stop(h.signals)
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.signals:
			if h.terminal && !hasTerminal() {
				end()
				return
			}
			if err := logging.Of(log).Reopen(); err != nil {
				log.Warn("cannot reopen the log", "err", err)
			}
			reload()
		}
	}
}

// whileServing has reload called at each SIGHUP while run runs.
func (h *hangups) whileServing(ctx context.Context, log *slog.Logger, reload func(), run func(context.Context) error) error {
	ctx, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.serve(ctx, log, reload, end)
	}()
	err := run(ctx)
	end()
	<-done
	return err
}

// reload reads the configuration of a daemon again and lets it take what came of that.
func reload[Config any](log *slog.Logger, from config.Sources, load func(config.Sources) (Config, []config.Note, error), take func(Config)) {
	if from.File == "" {
		log.Info("there is no configuration to read again: the daemon was started without a file (-c)")
		return
	}
	next, notes, err := load(from)
	tell(context.Background(), log, notes)
	if err != nil {
		reloadRefused(log, err)
		return
	}
	take(next)
}

// reloadRefused tells why a configuration that was read again changes nothing.
func reloadRefused(log *slog.Logger, err error) {
	log.Error("configuration read again, and refused as a whole: nothing is changed", "err", err)
}
