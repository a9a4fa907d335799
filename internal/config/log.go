package config

import (
	"log/slog"
	"reflect"
	"slices"
)

// Log is how a daemon logs. RocketMQ has no such keys: there the files of its logging library say it.
type Log struct {
	// Level is the least important that is logged: debug, info, warn or error. Default info.
	Level string `prop:"logLevel"`
	// Format is text, a line of key=value each, or json. Default text.
	Format string `prop:"logFormat,restart"`
	// File is logged to, instead of the standard error. Default empty.
	File string `prop:"logFile,restart,local"`
	// FileMiB is how many MiB that file may have before it is put aside and begun anew. Default 100.
	FileMiB int `prop:"logFileMaxMiB,restart"`
	// Files is how many of those that were put aside are kept. Default 10.
	Files int `prop:"logFilesKept,restart"`
}

// The formats. The words are part of the properties files.
const (
	LogText = "text"
	LogJSON = "json"
)

func defaultLog() Log { return Log{Level: "info", Format: LogText, FileMiB: 100, Files: 10} }

func (l *Log) validate(v *validation) {
	v.oneOf("logLevel", l.Level, "debug", "info", "warn", "error")
	v.oneOf("logFormat", l.Format, LogText, LogJSON)
	v.within("logFileMaxMiB", int64(l.FileMiB), 1, 1<<20)
	v.within("logFilesKept", int64(l.Files), 1, 10_000)
}

// SharedLogKey is the answer to changing a key of the log at a NameServer whose log a broker in the same process has.
type SharedLogKey struct{ Key string }

func (s SharedLogKey) Error() string {
	return s.Key + " cannot be changed at this NameServer: there is one log for it and the broker in its process; set it at the broker (updateBrokerConfig)"
}

func isLogKey(key string) bool {
	return slices.ContainsFunc(fieldsOf(reflect.TypeFor[Log]()), func(f field) bool { return f.key == key })
}

// SlogLevel is Level as the library has it.
func (l *Log) SlogLevel() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // a wrong one was refused when the configuration was read
	return level
}
