package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/store"
)

func TestExplainListen_SaysThatThePortIsItsOwn(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		return // nothing tells
	}
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	_, err = net.Listen("tcp", own.Addr().String())
	if got := explainListen(err, "--broker-port").Error(); !strings.HasSuffix(got, ", this server itself with its other daemon or its second port, has that port; choose another port with --broker-port") {
		t.Error(got)
	}
}

func TestExplainLock_SaysWhatToDo(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("cannot start: %w", &store.Locked{Root: "store", File: filepath.Join(t.TempDir(), "lock")})
	if got := explainLock(err).Error(); !strings.Contains(got, `a broker is running on it: "`) || !strings.HasSuffix(got, "; end that broker, or give each broker a store of its own with storePathRootDir, or --data") {
		t.Error(got)
	}
	if other := errors.New("another"); explainLock(other) != other {
		t.Error("of another error something is said")
	}
}

func TestFileHolder_NamesTheProcess(t *testing.T) {
	t.Parallel()
	proc, file := t.TempDir(), filepath.Join(t.TempDir(), "lock")
	add := func(pid int, cmdline string) {
		t.Helper()
		dir := filepath.Join(proc, fmt.Sprint(pid))
		err := errors.Join(os.MkdirAll(filepath.Join(dir, "fd"), 0o755), os.WriteFile(filepath.Join(dir, "cmdline"), []byte(cmdline), 0o644), os.Symlink(file, filepath.Join(dir, "fd", "7")))
		if err != nil {
			t.Fatal(err)
		}
	}
	add(os.Getpid(), "liftoff\x00broker\x00")
	if got := fileHolder(proc, file); got != "" {
		t.Errorf("the lock is one's own: %s", got)
	}
	add(4711<<10, "/usr/bin/java\x00-Xmx1g\x00org.apache.rocketmq.broker.BrokerStartup\x00")
	if got, want := fileHolder(proc, file), fmt.Sprintf("java BrokerStartup (process %d)", 4711<<10); got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
}
