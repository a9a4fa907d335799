package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// logFile is a file of a log that a test waits on.
type logFile string

func (f logFile) wait(t *testing.T, want string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(string(f))
		if strings.Contains(string(text), want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%q is not in %s (%v):\n%s", want, f, err, text)
		}
	}
}

func TestHangup_ReadsTheConfigurationAgainAndReopensTheLog(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf, log := filepath.Join(dir, "broker.conf"), logFile(filepath.Join(dir, "logs", "liftoff.log"))
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("logFile=" + string(log) + "\nlogFormat=json\n")
	out := newOutput()
	c := exec.Command(self, "server", "--data", filepath.Join(dir, "data"), "-c", conf, "--bind", "127.0.0.1", "--namesrv-port", "0", "--broker-port", "0")
	c.Env = append(os.Environ(), "LIFTOFF_TEST_IS_LIFTOFF=1", "GORACE=atexit_sleep_ms=0")
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	defer func() { _ = c.Process.Kill() }()
	out.wait(t, "Ctrl-C")
	hangup := func() {
		t.Helper()
		if err := c.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	log.wait(t, `"msg":"store opened"`)

	if err := os.Rename(string(log), string(log)+".1"); err != nil {
		t.Fatal(err)
	}
	write("logFile=" + string(log) + "\nlogFormat=json\nfileReservedTime=1\nbrokerName=other\n")
	hangup()
	log.wait(t, `"msg":"configuration read again: this counts now","key":"fileReservedTime","from":"72","to":"1"`)
	log.wait(t, `this counts from the next start on","key":"brokerName","from":"broker-a","to":"other"`)

	names := out.wait(t, `The Name Server boot success\. serializeType=JSON, address (127\.0\.0\.1:\d+)`)
	_, errs, code := runProgram(t, "mqadmin", "updateNamesrvConfig", "-n", names, "-k", "logLevel", "-v", "debug")
	if code != exitFailed || !strings.Contains(errs, "set it at the broker") || exists(filepath.Join(dir, "data", "namesrv", "namesrv.properties")) {
		t.Errorf("the NameServer of a process with a broker takes a level of its own: %d\n%s", code, errs)
	}
	if _, errs, code := runProgram(t, "mqadmin", "updateNamesrvConfig", "-n", names, "-k", "orderMessageEnable", "-v", "true"); code != exitOK {
		t.Error(errs)
	}

	write("fileReservedTime=2\nflushDiskType=sometimes\n")
	hangup()
	log.wait(t, "refused as a whole: nothing is changed")
	log.wait(t, "flushDiskType=sometimes is wrong")

	write("logFile=" + string(log) + "\nlogFormat=json\nfileReservedTime=3\n")
	hangup()
	log.wait(t, `"key":"fileReservedTime","from":"1","to":"3"`)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
