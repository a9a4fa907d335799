package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// closedStore is the store of a broker that was started and stopped, and a properties file with it, and more lines.
func closedStore(t *testing.T, lines ...string) (dir, file string) {
	t.Helper()
	dir, file = filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "broker.properties")
	text := "storePathRootDir=" + dir + "\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nlistenPort=0\nmetricsPromExporterPort=0\n"
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(text)
	runBroker(t, file)
	write(text + strings.Join(lines, "\n"))
	return dir, file
}

// runBroker starts a broker and stops it. It returns why it did not start.
func runBroker(t *testing.T, file string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], "broker", "-c", file)
	c.Env = append(os.Environ(), "LIFTOFF_TEST_IS_LIFTOFF=1")
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	read := make([]byte, 1)
	if n, _ := out.Read(read); n == 0 {
		_ = c.Wait()
		return errs.String()
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return ""
}

func TestBrokerDryRun_TellsWhatTheStartTells(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	config := func(name, content string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			for _, suffix := range []string{"", ".bak"} {
				path := filepath.Join(dir, "config", name+suffix)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name, test := range map[string]struct {
		line   string
		change func(t *testing.T, dir string)
		want   string // in what the dry run says, and the start too when it is refused
		starts bool
	}{
		"nothing wrong":                {starts: true, want: "would start"},
		"an address that nobody knows": {line: "brokerIP1=no.such.host.invalid", want: "cannot resolve brokerIP1=no.such.host.invalid"},
		"a port that is taken":         {line: fmt.Sprint("listenPort=", taken.Addr().(*net.TCPAddr).Port), want: "address already in use"},
		"topics of the wrong type":     {change: config("topics.json", `{"topicConfigTable":{"T":{"readQueueNums":"x"}}}`), want: "topics.json"},
		"offsets of the wrong type":    {change: config("consumerOffset.json", `{"offsetTable":{"a":5}}`), want: "consumerOffset.json"},
		"offsets without a table":      {change: config("consumerOffset.json", `{}`), starts: true, want: "would start"},
		"an empty file":                {change: config("topics.json", ``), starts: true, want: "counts as if nothing had ever been there"},
		"a store that nobody wrote to": {starts: true, want: ", never written to, closed", change: func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "checkpoint")); err != nil {
				t.Fatal(err)
			}
		}},
		"a store that Liftoff closed":   {starts: true, want: ", last written by Liftoff, closed"},
		"a certificate that is missing": {line: "tls.server.mode=enforcing\ntls.test.mode.enable=false\ntls.server.certPath=/no/such\ntls.server.keyPath=/no/such", want: "/no/such"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, file := closedStore(t, test.line)
			if test.change != nil {
				test.change(t, dir)
			}
			out, errs, code := runProgram(t, "liftoff", "broker", "--dry-run", "-c", file)
			if !strings.Contains(out, test.want) {
				t.Errorf("%q is not told:\n%s%s", test.want, out, errs)
			}
			if !test.starts && (code != exitFailed || !regexp.MustCompile(`(?m)^! .*`+regexp.QuoteMeta(test.want)).MatchString(out) || !strings.Contains(errs, "would not start")) ||
				test.starts && code != exitOK {
				t.Errorf("it ends with %d:\n%s%s", code, out, errs)
			}
			if why := runBroker(t, file); test.starts != (why == "") || !test.starts && !strings.Contains(why, test.want) {
				t.Errorf("the start says %q", why)
			}
		})
	}
}

func TestBroker_OpensAStoreWhoseFilesHaveASizeInAnOldSpelling(t *testing.T) {
	t.Parallel()
	dir, file := closedStore(t, "mapedFileSizeCommitLog=65536")
	makeLog := func() {
		t.Helper()
		made := filepath.Join(dir, "commitlog", "00000000000000000000")
		if err := os.WriteFile(made, make([]byte, 65536), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	makeLog()
	for _, args := range [][]string{{"broker", "--dry-run", "-c", file}, {"store", "check", "-c", file}, {"store", "check", "-c", file, dir}} {
		if out, errs, code := runProgram(t, "liftoff", args...); code != exitOK || strings.Contains(out, "mappedFileSizeCommitLog is") {
			t.Errorf("%v ends with %d:\n%s%s", args, code, out, errs)
		}
	}
	if why := runBroker(t, file); why != "" {
		t.Error(why)
	}
	makeLog() // a start removes what has no messages
	if err := os.WriteFile(file, []byte("mappedFileSizeCommitLog=131072\nstorePathRootDir="+dir+"\nbindAddress=127.0.0.1\nlistenPort=0\nmetricsPromExporterPort=0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if why := runBroker(t, file); !strings.Contains(why, "; set mappedFileSizeCommitLog=65536, which is what the files have") {
		t.Errorf("the start says %q", why)
	}
}
