//go:build unix

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// It would end as if killed, and recover at the next start.
func TestServer_GoesOnWhenNobodyReadsItsOutput(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := exec.Command(os.Args[0], "server", "--data", dir, "--bind", "127.0.0.1", "--namesrv-port", "0", "--broker-port", "0", "--metrics-port", "0")
	c.Env = append(os.Environ(), "LIFTOFF_TEST_IS_LIFTOFF=1", "GORACE=atexit_sleep_ms=0")
	c.Stdout, c.Stderr = write, write
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill() }()
	_ = write.Close()
	lines := bufio.NewScanner(read)
	for lines.Scan() && !strings.Contains(lines.Text(), "Ctrl-C") {
	}
	_ = read.Close()
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for range 5 { // each is logged
		if err := c.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			t.Fatalf("it has ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "store", "abort")); !os.IsNotExist(err) {
		t.Errorf("the store was not closed cleanly: %v", err)
	}
}
