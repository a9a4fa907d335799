package config

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Note is something about a configuration that an operator should hear.
type Note struct {
	Level slog.Level
	File  string // or $NAME of the environment; empty when the value is from a flag or a request
	Line  int    // 0 when it is not from a file
	Key   string
	Text  string
}

func (n Note) String() string { return place(n.File, n.Line) + n.Key + ": " + n.Text }

func place(file string, line int) string {
	switch {
	case file == "":
		return ""
	case line == 0:
		return file + ": "
	}
	return fmt.Sprintf("%s:%d: ", file, line)
}

// WrongValue is one value that is not allowed.
type WrongValue struct {
	File    string // as in a [Note]
	Line    int
	Key     string
	Value   string
	Allowed string // what is allowed
}

func (w WrongValue) Error() string {
	shown := shortened(w.Value)
	if strings.HasSuffix(w.Key, "assword") {
		shown = "(hidden)"
	}
	return fmt.Sprintf("%s%s=%s is wrong: it must be %s", place(w.File, w.Line), w.Key, shown, w.Allowed)
}

// WrongValues are all the wrong values of a configuration.
type WrongValues []WrongValue

func (w WrongValues) Error() string {
	lines := make([]string, len(w))
	for i, one := range w {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// UnknownKey is the answer to changing a key that RocketMQ does not have.
type UnknownKey struct {
	Key     string
	Nearest string // empty when nothing is near
}

func (u UnknownKey) Error() string { return "no such key: " + shortened(u.Key) + didYouMean(u.Nearest) }

// shortened is the beginning of what a stranger sent: it may be as long as a frame.
func shortened(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

func didYouMean(nearest string) string {
	if nearest == "" {
		return ""
	}
	return "; did you mean " + nearest + "?"
}

// ForbiddenKey is the answer to changing a key from outside that may not be.
type ForbiddenKey struct {
	Key    string
	Listed bool // configBlackList names it
}

func (f ForbiddenKey) Error() string {
	why := ", only in the properties file"
	if f.Listed {
		why = ": it is in configBlackList"
	}
	return f.Key + " cannot be changed from outside" + why
}

// validation collects wrong values.
type validation struct{ found WrongValues }

func (v *validation) wrong(key, value, allowed string) {
	v.found = append(v.found, WrongValue{Key: key, Value: value, Allowed: allowed})
}

func (v *validation) within(key string, value, low, high int64) {
	if value < low || value > high {
		v.wrong(key, fmt.Sprint(value), fmt.Sprintf("from %d to %d", low, high))
	}
}

func (v *validation) atLeast(key string, value, low int64) {
	if value < low {
		v.wrong(key, fmt.Sprint(value), fmt.Sprintf("at least %d", low))
	}
}

func (v *validation) notEmpty(key, value string) {
	if value == "" {
		v.wrong(key, value, "something")
	}
}

func (v *validation) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		v.wrong(key, value, strings.Join(allowed, ", "))
	}
}

func (v *validation) err() error {
	if len(v.found) == 0 {
		return nil
	}
	return v.found
}

// notes collects notes; the file and line of a key are filled in later.
type notes struct{ list []Note }

func (n *notes) info(key, format string, args ...any) { n.add(slog.LevelInfo, key, format, args...) }
func (n *notes) warn(key, format string, args ...any) { n.add(slog.LevelWarn, key, format, args...) }

func (n *notes) add(level slog.Level, key, format string, args ...any) {
	n.list = append(n.list, Note{Level: level, Key: key, Text: fmt.Sprintf(format, args...)})
}

// clamp brings a value into its range, as RocketMQ does, and says so.
func (n *notes) clamp(key string, value *int, low, high int) {
	if to := min(max(*value, low), high); to != *value {
		n.warn(key, "%d counts as %d: the range is %d to %d", *value, to, low, high)
		*value = to
	}
}

func (n *notes) clampMS(key string, value *time.Duration, low, high time.Duration) {
	if to := min(max(*value, low), high); to != *value {
		n.warn(key, "%d counts as %d: the range is %d to %d", value.Milliseconds(), to.Milliseconds(), low.Milliseconds(), high.Milliseconds())
		*value = to
	}
}
