package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/liftoffmq/liftoff/internal/remoting"
)

// A victim is a broker that a test kills again and again with SIGKILL.
type victim struct {
	t               *testing.T
	bin, conf, addr string

	killed func() // called when the broker is dead, while its load goes on
}

// newVictim makes one with a folder of its own. The settings are lines of its properties file.
func newVictim(t *testing.T, settings ...string) *victim {
	t.Helper()
	dir, port := t.TempDir(), freeBrokerPort(t)
	v := &victim{t: t, bin: buildLiftoff(t), conf: filepath.Join(dir, "broker.properties"), addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		killed: func() {}}
	settings = append(settings, "brokerName=broker-a", "brokerIP1=127.0.0.1", "bindAddress=127.0.0.1", "metricsExporterType=DISABLE", fmt.Sprint("listenPort=", port),
		"storePathRootDir="+filepath.Join(dir, "store"))
	if err := os.WriteFile(v.conf, []byte(strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return v
}

// smallFiles make a few seconds of load cross every border between files.
var smallFiles = []string{"mappedFileSizeCommitLog=4194304", "mappedFileSizeConsumeQueue=60000", "maxHashSlotNum=5000", "maxIndexNum=40000"}

// killInEachFlushMode gives kill a number of kills, LIFTOFF_KILLS or the one given, in each of the two modes. flush is a setting.
func killInEachFlushMode(t *testing.T, kills int, kill func(t *testing.T, flush string, kills int)) {
	t.Helper()
	if testing.Short() {
		t.Skip("a second and more for each kill")
	}
	for _, flush := range []string{"ASYNC_FLUSH", "SYNC_FLUSH"} {
		t.Run(flush, func(t *testing.T) { kill(t, "flushDiskType="+flush, envInt(t, "LIFTOFF_KILLS", kills)) })
	}
}

// start starts the broker and waits until it listens.
func (v *victim) start() *server {
	t := v.t
	t.Helper()
	cmd := exec.Command(v.bin, "broker", "-c", v.conf) //nolint:noctx // it is ended by signals
	cmd.Env = append(os.Environ(), "NAMESRV_ADDR=")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "boot success") {
			go func() { //nolint:testifylint // ends with the process
				for lines.Scan() {
				}
			}()
			return &server{cmd, &errs}
		}
	}
	_ = cmd.Wait()
	t.Fatalf("liftoff did not start on %s:\n%s", v.addr, errs.String())
	return nil
}

// live starts the broker and its load, which ends with the context or the broker, and kills it at a moment: when moment returns.
func (v *victim) live(load func(ctx context.Context, all *sync.WaitGroup), moment func()) {
	v.t.Helper()
	srv := v.start()
	ctx, stop := context.WithCancel(v.t.Context())
	defer stop()
	var all sync.WaitGroup
	load(ctx, &all)
	moment()
	if err := srv.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		v.t.Fatal(err)
	}
	_ = srv.cmd.Wait()
	v.killed()
	stop()
	all.Wait()
}

func envInt(t *testing.T, name string, def int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s=%s is not a number", name, v)
	}
	return n
}

// server is a liftoff process.
type server struct {
	cmd  *exec.Cmd
	errs *strings.Builder // stderr; to be read when it has ended
}

// buildLiftoff builds the binary once a test.
func buildLiftoff(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "liftoff")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("cannot build: %v\n%s", err, out)
	}
	return bin
}

// stop ends the process as an operator does.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Fatalf("liftoff ended with %v after SIGTERM:\n%s", err, s.errs)
	}
}

func dialBroker(t *testing.T, addr string) *remoting.Conn {
	t.Helper()
	c, err := remoting.Dial(t.Context(), addr, nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// freeBrokerPort finds a port whose neighbour two below, which a broker takes too, is free as well. It is below the range from which the
// system takes ports for outgoing connections: a broker that was killed must get it again.
func freeBrokerPort(t *testing.T) int {
	t.Helper()
	for range 50 {
		port := 30100 + 4*rand.IntN(600)
		a, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		b, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port-2)))
		_ = a.Close()
		if err == nil {
			_ = b.Close()
			return port
		}
	}
	t.Fatal("no two free ports")
	return 0
}
