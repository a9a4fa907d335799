package logging

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/DeRuina/timberjack"
)

// Options say how a process logs.
type Options struct {
	Level slog.Level
	JSON  bool
	// Out is logged to when there is no File.
	Out io.Writer
	// File is put aside under a name with the time in it when it has FileMiB, and begun anew. Files of those are kept.
	File    string
	FileMiB int
	Files   int
}

// Log is where a process logs to.
type Log struct {
	level   slog.LevelVar
	options Options

	mu   sync.Mutex // protects the field below
	file *timberjack.Logger
}

// Open begins a log. A file that cannot be written is refused here.
func Open(o Options) (*Log, error) {
	l := &Log{options: o}
	l.level.Set(o.Level)
	if o.File == "" {
		return l, nil
	}
	if err := os.MkdirAll(filepath.Dir(o.File), 0o755); err != nil {
		return nil, fmt.Errorf("cannot log to %q: %w", o.File, err)
	}
	f, err := os.OpenFile(o.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("cannot log: %w", err)
	}
	l.file = l.newFile()
	return l, f.Close()
}

func (l *Log) newFile() *timberjack.Logger {
	return &timberjack.Logger{Filename: l.options.File, MaxSize: l.options.FileMiB, MaxBackups: l.options.Files, LocalTime: true}
}

// Logger gives a logger that writes here.
func (l *Log) Logger() *slog.Logger {
	o := &slog.HandlerOptions{Level: &l.level}
	if l.options.JSON {
		o.ReplaceAttr = plainAddr
		return slog.New(handler{slog.NewJSONHandler(l, o), l})
	}
	return slog.New(handler{slog.NewTextHandler(l, o), l})
}

// plainAddr writes an address as text writes it. Its type would make it an object, and whoever collects logs wants one kind of value a key.
func plainAddr(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindAny {
		if addr, ok := a.Value.Any().(net.Addr); ok {
			a.Value = slog.StringValue(addr.String())
		}
	}
	return a
}

// Write takes one line.
func (l *Log) Write(line []byte) (int, error) {
	if l.options.File == "" {
		return l.options.Out.Write(line)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return 0, os.ErrClosed
	}
	return l.file.Write(line)
}

// Level is the least important that is logged now.
func (l *Log) Level() slog.Level { return l.level.Level() }

// SetLevel changes it.
func (l *Log) SetLevel(to slog.Level) { l.level.Set(to) }

// Reopen goes on in a file of the same name, which is made if someone has moved the old one away.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	old := l.file
	l.file = l.newFile()
	return old.Close()
}

// Close ends logging to the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	old := l.file
	l.file = nil
	if err := old.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("cannot close log: %w", err)
	}
	return nil
}

// handler leads from a logger back to its log.
type handler struct {
	slog.Handler
	log *Log
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs), h.log}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.log}
}

// Of is the log that a logger writes to; nil when it was not made by this package.
func Of(logger *slog.Logger) *Log {
	h, _ := logger.Handler().(handler)
	return h.log
}

// LevelName is a level as configurations have it.
func LevelName(l slog.Level) string { return strings.ToLower(l.String()) }
