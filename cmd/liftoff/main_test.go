package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// The test's own program is liftoff when it is asked to be: a process can be sent signals.
func TestMain(m *testing.M) {
	if os.Getenv("LIFTOFF_TEST_IS_LIFTOFF") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// runProgram runs liftoff inside the test and returns what it printed.
func runProgram(t *testing.T, name string, args ...string) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	p := &program{name: name, in: strings.NewReader(""), out: &o, err: &e, exit: func(int) { t.Error("it ended at once") }}
	code = p.run(t.Context(), args)
	return o.String(), e.String(), code
}

// output collects what a daemon prints and lets a test wait for it.
type output struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	select {
	case o.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// wait returns what is in the brackets of a pattern once that was printed.
func (o *output) wait(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(20 * time.Second)
	for {
		if m := re.FindStringSubmatch(o.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-o.more:
		case <-timeout:
			t.Fatalf("%s was not printed, but:\n%s", pattern, o)
		}
	}
}

// testServer is `liftoff server` inside the test.
type testServer struct {
	out, err        *output
	namesrv, broker string
	data            string
}

func startServer(t *testing.T, args ...string) *testServer {
	t.Helper()
	s := &testServer{out: newOutput(), err: newOutput(), data: filepath.Join(t.TempDir(), "data")}
	ctx, cancel := context.WithCancel(context.Background())
	p := &program{name: "liftoff", in: strings.NewReader(""), out: s.out, err: s.err, exit: func(int) { t.Error("it ended at once") }}
	ended := make(chan int, 1)
	go func() {
		ended <- p.run(ctx, append([]string{"server", "--data", s.data, "--bind", "127.0.0.1", "--namesrv-port", "0", "--broker-port", "0", "--metrics-port", "0"}, args...))
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != exitOK {
			t.Errorf("it ended with %d:\n%s", code, s.err)
		}
	})
	s.out.wait(t, "Ctrl-C")
	s.namesrv = s.out.wait(t, `The Name Server boot success\. serializeType=JSON, address (127\.0\.0\.1:\d+)`)
	s.broker = s.out.wait(t, `The broker\[broker-a, (127\.0\.0\.1:\d+)\] boot success\. serializeType=JSON and name server is `+s.namesrv)
	return s
}

func TestServer_SaysWhatListensAndWhatToTry(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for _, want := range []string{
		"NameServer  " + s.namesrv, "Broker      " + s.broker, "Data        " + s.data,
		"liftoff consume --topic hello --follow -n " + s.namesrv, `liftoff send --topic hello -n ` + s.namesrv + ` "Hello, world"`,
	} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("%q is not in\n%s", want, s.out)
		}
	}
	if _, err := os.Stat(filepath.Join(s.data, "store", "lock")); err != nil {
		t.Error(err)
	}
}

func TestServer_SaysWhoHasThePort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_, errs, code := runProgram(t, "liftoff", "server", "--data", t.TempDir(), "--bind", "127.0.0.1", "--namesrv-port", port, "--metrics-port", "0")
	if code != exitFailed || !strings.Contains(errs, "address already in use") || !strings.Contains(errs, "--namesrv-port") {
		t.Errorf("%d\n%s", code, errs)
	}
	if _, err := os.Stat("/proc/net/tcp"); err == nil && !strings.Contains(errs, "liftoff.test (process ") {
		t.Errorf("who has the port is not said:\n%s", errs)
	}
	_, errs, code = runProgram(t, "liftoff", "server", "--data", t.TempDir(), "--bind", "127.0.0.1", "--namesrv-port", "0", "--broker-port", port, "--metrics-port", "0")
	if code != exitFailed || strings.Count(errs, "another port") != 1 || !strings.Contains(errs, "--broker-port") {
		t.Errorf("%d\n%s", code, errs)
	}
	second := strconv.Itoa(l.Addr().(*net.TCPAddr).Port + 2)
	_, errs, code = runProgram(t, "liftoff", "server", "--data", t.TempDir(), "--bind", "127.0.0.1", "--namesrv-port", "0", "--broker-port", second, "--metrics-port", "0")
	if code != exitFailed || !strings.Contains(errs, "second port, which is listenPort - 2: listen tcp 127.0.0.1:"+port+":") || strings.Count(errs, "another port") != 1 {
		t.Errorf("%d\n%s", code, errs)
	}
}

func TestServer_SaysThatItsFolderIsAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{file, filepath.Join(file, "folder")} {
		_, errs, code := runProgram(t, "liftoff", "server", "--data", data, "--bind", "127.0.0.1", "--namesrv-port", "0", "--broker-port", "0", "--metrics-port", "0")
		if code != exitMisused || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "--data "+strconv.Quote(data)) {
			t.Errorf("%d\n%s", code, errs)
		}
	}
}

func TestServer_TakesTheBrokersFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "broker.conf")
	if err := os.WriteFile(file, []byte("brokerClusterName=Mine\nbrokerName=broker-a\nfileReservedTime=48\nborkerId=0\nsendMessageThreadPoolNums=9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, "-c", file)
	s.err.wait(t, `level=WARN msg=.*borkerId: a RocketMQ broker has no such key; did you mean brokerId\?`)
	s.err.wait(t, `level=INFO msg=.*sendMessageThreadPoolNums: has no effect`)
	s.err.wait(t, `cluster=Mine`)
}

func TestNamesAndFlagsOfRocketMQ(t *testing.T) {
	t.Parallel()
	check := func(want string, code int, name string, args ...string) {
		t.Helper()
		out, errs, got := runProgram(t, name, args...)
		if got != code || !strings.Contains(out+errs, want) {
			t.Errorf("%s %v ends with %d and prints\n%s%s", name, args, got, out, errs)
		}
	}
	check("\nnamesrvAddr=a:1\n", exitOK, "/usr/bin/mqbroker", "-n", "a:1", "-p")
	check("\nnamesrvAddr=a:1;b:2\n", exitOK, "mqbroker.exe", "--namesrvAddr", "a:1;b:2", "--printConfigItem")
	check("flushDiskType=ASYNC_FLUSH\n", exitOK, "mqbroker", "-m")
	check("mqbroker [flags]", exitOK, "mqbroker", "-h")
	check("\nscanNotActiveBrokerInterval=5000\n", exitOK, "mqnamesrv", "-n", "a:1", "-p")
	check("\nlistenPort=9877\n", exitOK, "liftoff", "namesrv", "--port", "9877", "-p")
	check("namesrvAddr=nonsense is wrong", exitMisused, "mqbroker", "-n", "nonsense")
	for _, daemon := range []string{"broker", "namesrv"} {
		check("no such file or directory", exitMisused, "liftoff", daemon, "-c", "none.properties")
		check("is a directory", exitMisused, "liftoff", daemon, "-c", t.TempDir())
	}
	check("no such file or directory", exitMisused, "liftoff", "server", "--data", t.TempDir(), "-c", "none.properties")
	check("no such file or directory", exitMisused, "liftoff", "store", "check", "-c", "none.properties")
	slave := filepath.Join(t.TempDir(), "broker-a-s.properties")
	if err := os.WriteFile(slave, []byte("brokerId=1\nbrokerRole=SLAVE\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	check(slave+":2: brokerRole=SLAVE is wrong", exitMisused, "liftoff", "server", "--data", t.TempDir(), "-c", slave, "--bind", "127.0.0.1", "--namesrv-port", "0", "--broker-port", "0")
	check("--namesrv-port=99999 is wrong: it must be from 0 to 65535", exitMisused, "liftoff", "server", "--namesrv-port", "99999")
	check("--port=-1 is wrong: it must be from 0 to 65535", exitMisused, "liftoff", "broker", "--port", "-1")
	check("cannot do without -t/--topic; see liftoff consume --help", exitMisused, "liftoff", "consume")
	check("cannot do without -t/--topic; see mqadmin topicRoute --help", exitMisused, "mqadmin", "topicRoute")
	check("at least one of the flags in the group [-b/--brokerAddr, -c/--clusterName] is required; see mqadmin updateTopic --help", exitMisused, "mqadmin", "updateTopic", "-t", "x")
	check("-qn/--totalQueueNum; see", exitMisused, "mqadmin", "updateStaticTopic", "-t", "x")
	check("unknown command \"x\" for \"mqadmin clusterList\"; see mqadmin clusterList --help", exitMisused, "mqadmin", "clusterList", "x")
	check("accepts 1 arg(s), received 0; see liftoff restore --help", exitMisused, "liftoff", "restore")
	check("--count=0 is wrong: it must be at least 1", exitMisused, "liftoff", "send", "-t", "t", "--count", "0", "body")
	check("--count=-1 is wrong: it must be at least 0", exitMisused, "liftoff", "consume", "-t", "t", "--count", "-1")
	for _, line := range []string{"send -t t body", "consume -t t", "admin clusterList", "top --once", "trace x", "backup -", "restore -", "dlq list"} {
		words := strings.Fields(line)
		check("cannot use name servers \"nonsense\": \"nonsense\" has no host and port", exitMisused, "liftoff", append(words, "-n", "nonsense")...)
	}
	check("-b/--brokerAddr nonsense is wrong: \"nonsense\" has no host and port", exitMisused, "mqadmin", "brokerStatus", "-b", "nonsense")
	check("--sort=x is wrong", exitMisused, "liftoff", "top", "--sort", "x")
	check("--rows=-1 is wrong: it must be at least 1", exitMisused, "liftoff", "top", "--once", "--rows", "-1")
	check("--max=-1 is wrong: it must be at least 1", exitMisused, "liftoff", "trace", "x", "--max", "-1")
	check("--rate=-1 is wrong: it must be at least 0", exitMisused, "liftoff", "dlq", "resend", "-g", "g", "--rate", "-1")
	for _, line := range []string{"checkMsgSendRT -t x", "sendMsgStatus -b x", "clusterRT"} {
		check("-s 99999999999 is wrong: a message has 268435456 bytes at most", exitMisused, "mqadmin", append(strings.Fields(line), "-s", "99999999999")...)
	}
	check("cannot read \"yesterday\" as a time", exitMisused, "mqadmin", "consumeMessage", "-t", "x", "-s", "yesterday")
	check("cannot use mode \"x\": it must be PULL or POP", exitMisused, "mqadmin", "setConsumeMode", "-c", "x", "-t", "x", "-g", "x", "-m", "x")
	check("--from: \"yesterday\" is not a time", exitMisused, "liftoff", "dlq", "list", "--from", "yesterday")
	check("nothing listens there", exitFailed, "mqadmin", "clusterList", "-n", "127.0.0.1:1")
	check("see mqbroker --help", exitMisused, "mqbroker", "--nonsense")
	check("did you mean server?", exitMisused, "liftoff", "sever")
	check("did you mean consume?", exitMisused, "liftoff", "cosnume")
	check("cannot make sense of \"nope\"; see liftoff --help", exitMisused, "liftoff", "nope")
	check("did you mean deleteTopic?", exitMisused, "liftoff", "help", "admin", "deleteTopc")
	check("cannot make sense of \"nope\"; see liftoff --help", exitMisused, "liftoff", "help", "nope")
	check("Delete a topic", exitOK, "liftoff", "help", "admin", "deleteTopic")
	check("--group=a b is wrong", exitMisused, "liftoff", "consume", "-t", "t", "-g", "a b")
	check("unknown flag: --log-level", exitMisused, "liftoff", "send", "-t", "t", "--log-level", "debug", "body")
	check("did you mean deleteTopic?", exitMisused, "liftoff", "admin", "deleteTopc")
	check("logLevel=loud is wrong: it must be debug", exitMisused, "liftoff", "server", "--log-level", "loud")
	check("for RocketMQ 5.5.0", exitOK, "liftoff", "version")
}

func TestSecondSignal_EndsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		codes := make(chan int, 1)
		p := &program{err: io.Discard, exit: func(code int) { codes <- code }}
		signals := make(chan os.Signal)
		ctx, stop := p.until(t.Context(), signals)
		defer stop()
		signals <- syscall.SIGTERM
		<-ctx.Done()
		time.Sleep(signalAgain - time.Millisecond)
		signals <- syscall.SIGTERM // the same, passed on twice
		synctest.Wait()
		if len(codes) > 0 {
			t.Error("the first signal, sent twice, ends it at once")
		}
		time.Sleep(time.Millisecond)
		signals <- syscall.SIGINT
		if code := <-codes; code != 130 {
			t.Error(code)
		}
	})
}

func TestSignal_EndsCleanlyWithinASecond(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, out := filepath.Join(t.TempDir(), "data"), newOutput()
	c := exec.Command(self, "server", "--data", data, "--bind", "127.0.0.1", "--namesrv-port", "0", "--broker-port", "0", "--metrics-port", "0")
	c.Env = append(os.Environ(), "LIFTOFF_TEST_IS_LIFTOFF=1", "GORACE=atexit_sleep_ms=0")
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill() }()
	out.wait(t, "Ctrl-C")
	if _, err := os.Stat(filepath.Join(data, "store", "abort")); err != nil {
		t.Error(err)
	}
	begun := time.Now()
	for range 2 { // timeout, and the init of a container, send it to the process and to its group
		if err := c.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
	}
	if err := c.Wait(); err != nil || time.Since(begun) > time.Second {
		t.Errorf("it took %v: %v\n%s", time.Since(begun), err, out)
	}
	if _, err := os.Stat(filepath.Join(data, "store", "abort")); !os.IsNotExist(err) {
		t.Errorf("the store was not closed cleanly: %v", err)
	}
}

func TestServer_SaysThatAnotherNameServerDoesNotCount(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "broker.conf")
	if err := os.WriteFile(file, []byte("brokerName=broker-a\nnamesrvAddr=ns.example:9876\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	startServer(t, "-c", file).err.wait(t, "level=WARN msg=.*broker.conf:2: namesrvAddr: ns.example:9876 has no effect in `liftoff server`")
}

func TestServer_RefusesChangesThatItsStartRefuses(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	out, errs, code := runProgram(t, "mqadmin", "updateBrokerConfig", "-b", s.broker, "-n", s.namesrv, "-k", "brokerRole", "-v", "SLAVE")
	if code != exitFailed || !strings.Contains(errs, "brokerRole=SLAVE is wrong") {
		t.Errorf("%d %s%s", code, out, errs)
	}
	out, errs, code = runProgram(t, "mqadmin", "updateBrokerConfig", "-b", s.broker, "-n", s.namesrv, "-k", "namesrvAddr", "-v", "ns.example:9876")
	if code != exitOK {
		t.Errorf("%d %s%s", code, out, errs)
	}
	s.err.wait(t, "level=WARN msg=.*namesrvAddr: ns.example:9876 has no effect in `liftoff server`")
	if out, errs, code = runProgram(t, "mqadmin", "getBrokerConfig", "-b", s.broker, "-n", s.namesrv); code != exitOK || strings.Contains(out, "ns.example") {
		t.Errorf("%d %s%s", code, out, errs)
	}
}
