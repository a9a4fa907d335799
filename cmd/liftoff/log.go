package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/logging"
)

// logFlags are the flags of a daemon about its log; --log-level is one of all commands.
type logFlags struct {
	file, format string
}

func (f *logFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.file, "log-file", "", "log to this `FILE`, which is put aside when it is large, instead of the standard error")
	c.Flags().StringVar(&f.format, "log-format", config.LogText, "text or json")
}

// overrides adds the settings that were given as flags.
func (f *logFlags) overrides(c *cobra.Command, set map[string]string) {
	for flag, key := range map[string]string{"log-level": "logLevel", "log-file": "logFile", "log-format": "logFormat"} {
		if given := c.Flags().Lookup(flag); given != nil && given.Changed {
			set[key] = given.Value.String()
		}
	}
}

// openLog begins the log of a process. What loading the configuration had to say is its first lines; when that failed, and so it is not
// certain where to log to, they go to the standard error.
func (p *program) openLog(ctx context.Context, cfg config.Log, notes []config.Note, failed error) (*logging.Log, *slog.Logger, error) {
	o := logging.Options{Out: p.err, Level: cfg.SlogLevel()}
	if failed == nil {
		o.JSON, o.File, o.FileMiB, o.Files = cfg.Format == config.LogJSON, cfg.File, cfg.FileMiB, cfg.Files
	}
	l, err := logging.Open(o)
	if err != nil {
		return nil, nil, err
	}
	log := l.Logger()
	tell(ctx, log, notes)
	return l, log, failed
}

// tell logs what loading a configuration has to say.
func tell(ctx context.Context, log *slog.Logger, notes []config.Note) {
	for _, n := range notes {
		log.Log(ctx, n.Level, n.String())
	}
}

// hangups are the signals by which an operator asks a daemon to read its configuration again and to reopen its log. They are
// taken from the beginning: a process that starts is not to end by one.
type hangups struct {
	signals  chan os.Signal
	terminal bool // the process belongs to a terminal, whose end would end it
}

func listenHangups() *hangups {
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
