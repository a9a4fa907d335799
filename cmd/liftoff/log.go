package main

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/config"
	"github.com/liftoffmq/liftoff/internal/logging"
)

// logFlags are the flags of a daemon about its log.
type logFlags struct {
	level, file, format string
}

func (f *logFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.level, "log-level", "info", "debug, info, warn or error")
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
