package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLog_ChangesItsLevel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l, err := Open(Options{Out: &out, Level: slog.LevelInfo})
	if err != nil {
		t.Fatal(err)
	}
	log := l.Logger().With("topic", "T")
	log.Debug("one")
	if Of(log) != l || Of(slog.New(slog.DiscardHandler)) != nil {
		t.Fatal("the log of a logger is not found")
	}
	Of(log).SetLevel(slog.LevelDebug)
	log.Debug("two")
	if got := out.String(); strings.Contains(got, "one") || !strings.Contains(got, "level=DEBUG msg=two topic=T") {
		t.Error(got)
	}
	if LevelName(l.Level()) != "debug" || l.Close() != nil || l.Reopen() != nil {
		t.Error(l.Level())
	}
}

func TestLog_ReopensItsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "logs", "broker.log")
	l, err := Open(Options{File: path, JSON: true, FileMiB: 1, Files: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	log := l.Logger()
	log.Info("first", "queue_id", 3)
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	log.Info("second")
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	log.Info("third")
	moved, err := os.ReadFile(path + ".moved")
	if err != nil || bytes.Count(moved, []byte("\n")) != 2 {
		t.Errorf("%s, %v", moved, err)
	}
	var line struct{ Level, Msg string }
	now, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(now, &line) != nil || line.Msg != "third" || line.Level != "INFO" {
		t.Errorf("%s, %v", now, err)
	}
}

func TestLog_KeepsSoManyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := Open(Options{File: filepath.Join(dir, "broker.log"), FileMiB: 1, Files: 2})
	if err != nil {
		t.Fatal(err)
	}
	log, long := l.Logger(), strings.Repeat("x", 100<<10)
	for range 60 { // nearly 6 MiB
		log.Info(long)
	}
	if err := l.Close(); err != nil { // waits for what removes the oldest
		t.Fatal(err)
	}
	log.Info("after the end") // goes nowhere
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 3 {
		t.Errorf("%q, %v", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > 1<<20 || info.Size() == 0 {
			t.Errorf("%s: %v, %v", f, info, err)
		}
	}
}

func TestOpen_RefusesAFileThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	if _, err := Open(Options{File: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "cannot log") {
		t.Error(err)
	}
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{File: filepath.Join(blocked, "x", "broker.log")}); err == nil {
		t.Error("taken")
	}
}

func TestLog_WritesAddressesAsText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l, err := Open(Options{Out: &out, JSON: true})
	if err != nil {
		t.Fatal(err)
	}
	var none net.Addr
	l.Logger().Info("connection closed", "addr", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 9876}, "none", none, "err", errors.New("gone"))
	var line struct{ Addr, Err string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Addr != "10.0.0.1:9876" || line.Err != "gone" {
		t.Errorf("%v: %s", err, &out)
	}
}
