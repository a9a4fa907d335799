package remoting

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServer_SaysOnceThatItCannotServeMore runs itself once more, in a process that may open no more files. What is accepted there with the
// last descriptor needs another one to be served.
func TestServer_SaysOnceThatItCannotServeMore(t *testing.T) {
	const name = "LIFTOFF_TEST_DESCRIPTORS"
	if os.Getenv(name) == "" {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
		c.Env = append(os.Environ(), name+"=few")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	var log bytes.Buffer
	s := serve(t, echo{}, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	limit := syscall.Rlimit{Cur: 40, Max: 40}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var all []int
	for {
		fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY, 0)
		if err != nil {
			break
		}
		all = append(all, fd)
	}
	for _, fd := range all[len(all)-2:] {
		if err := syscall.Close(fd); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a connection that cannot be served: %v", err)
		}
		_ = c.Close()
	}
	_ = s.Close()
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "too many open files: raise the limit of this process (ulimit -n") {
		t.Errorf("it says\n%s", text)
	}
}
