package main

import (
	"bytes"
	"compress/zlib"
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
)

// call runs a client command against the server.
func (s *testServer) call(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	return runProgram(t, "liftoff", append(args, "-n", s.namesrv)...)
}

// bodies takes what follows the time out of each line that consume printed.
func bodies(out string) []string {
	list := []string{}
	for line := range strings.Lines(out) {
		if m := regexp.MustCompile(`^\S+ @\d+  \S+ \S+  (.*)\n$`).FindStringSubmatch(line); m != nil {
			list = append(list, m[1])
		}
	}
	slices.Sort(list)
	return list
}

func TestSendAndConsume(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	if _, errs, code := s.call(t, "consume", "--topic", "hello"); code != exitFailed || !strings.Contains(errs, "hello") {
		t.Errorf("consuming a topic that is not there: %d\n%s", code, errs)
	}
	out, errs, code := s.call(t, "send", "--topic", "hello", "--tag", "greeting", "--key", "k1", "--key", "k2", "--property", "a=b", "Hello, world")
	if code != exitOK || !regexp.MustCompile(`^sent to hello, queue broker-a/\d, offset 0, id [0-9A-F]{32}\n$`).MatchString(out) {
		t.Fatalf("%d: %s%s", code, out, errs)
	}
	if _, errs, code := s.call(t, "send", "--topic", "hello", "--count", "3", "again"); code != exitOK {
		t.Fatal(errs)
	}
	check := func(want []string, args ...string) {
		t.Helper()
		out, errs, code := s.call(t, append([]string{"consume", "--topic", "hello"}, args...)...)
		if got := bodies(out); code != exitOK || !slices.Equal(got, want) {
			t.Errorf("%v: %d, %q, want %q\n%s%s", args, code, got, want, out, errs)
		}
	}
	all := []string{"again", "again", "again", "tag=greeting  key=k1 k2  Hello, world"}
	check(all)
	check(all, "--from", "first", "--tag", "*")
	check([]string{}, "--from", "last")
	check(all[3:], "--tag", "other || greeting")
	check([]string{}, "--tag", "other")
	check(all, "--group", "g")
	check([]string{}, "--group", "g")
	if _, errs, code := s.call(t, "send", "--topic", "hello", "--count", "100", "more"); code != exitOK {
		t.Fatal(errs)
	}
	for range 10 {
		check(slices.Repeat([]string{"more"}, 10), "--group", "g", "--count", "10")
	}
	check([]string{}, "--group", "g")
}

func TestSend_TakesLines(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var out, errs bytes.Buffer
	p := &program{name: "liftoff", in: strings.NewReader("one\ntwo\r\nthree"), out: &out, err: &errs}
	if code := p.run(t.Context(), []string{"send", "-t", "lines", "-n", s.namesrv, "-"}); code != exitOK || strings.Count(out.String(), "sent to lines") != 3 {
		t.Errorf("%d: %s%s", code, &out, &errs)
	}
	if got, _, _ := s.call(t, "consume", "-t", "lines"); !slices.Equal(bodies(got), []string{"one", "three", "two"}) {
		t.Error(got)
	}
}

// follower is `liftoff consume --follow` inside the test.
func (s *testServer) follower(t *testing.T, args ...string) (out, errs *output, stop func()) {
	t.Helper()
	out, errs = newOutput(), newOutput()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	p := &program{name: "liftoff", in: strings.NewReader(""), out: out, err: errs}
	go func() { ended <- p.run(ctx, append([]string{"consume", "--follow", "-n", s.namesrv}, args...)) }()
	stop = func() {
		t.Helper()
		if cancel(); ctx.Err() != nil {
			select {
			case code := <-ended:
				ended <- code
				if code != exitOK {
					t.Errorf("it ended with %d:\n%s", code, errs)
				}
			case <-time.After(10 * time.Second):
				t.Error("it does not end")
			}
		}
	}
	t.Cleanup(stop)
	return out, errs, stop
}

func TestConsume_FollowsATopicThatComesLater(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	out, errs, _ := s.follower(t, "--topic", "later")
	errs.wait(t, "topic later does not exist yet: waiting")
	for i := range 3 {
		body := fmt.Sprintf("message %d", i)
		if _, errs, code := s.call(t, "send", "--topic", "later", body); code != exitOK {
			t.Fatal(errs)
		}
		out.wait(t, body)
	}
}

func TestConsume_SharesWithItsGroup(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	if _, errs, code := s.call(t, "send", "--topic", "shared", "first"); code != exitOK {
		t.Fatal(errs)
	}
	one, _, stopOne := s.follower(t, "--topic", "shared", "--group", "g")
	one.wait(t, "first")
	two, _, stopTwo := s.follower(t, "--topic", "shared", "--group", "g")
	for !strings.Contains(two.String(), "body") { // until the queues have been shared out
		if _, errs, code := s.call(t, "send", "--topic", "shared", "--count", "4", "body"); code != exitOK {
			t.Fatal(errs)
		}
		time.Sleep(20 * time.Millisecond)
	}
	stopOne()
	stopTwo()
	// What either has read, the group has read.
	s.call(t, "consume", "--topic", "shared", "--group", "g")
	if out, errs, _ := s.call(t, "consume", "--topic", "shared", "--group", "g"); out != "" {
		t.Errorf("%s%s", out, errs)
	}
}

func TestClient_SaysThatNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	for _, args := range [][]string{{"send", "--topic", "t", "body"}, {"consume", "--topic", "t"}} {
		_, errs, code := runProgram(t, "liftoff", append(args, "-n", addr)...)
		if code != exitFailed || !strings.Contains(errs, addr) || !strings.Contains(errs, "start a server with: liftoff server") {
			t.Errorf("%v: %d\n%s", args, code, errs)
		}
	}
	if _, errs, code := runProgram(t, "liftoff", "send", "body"); code != exitMisused || !strings.Contains(errs, "cannot do without -t/--topic; see liftoff send --help") {
		t.Errorf("%d\n%s", code, errs)
	}
	if _, errs, code := runProgram(t, "liftoff", "send", "-t", "t", "two", "bodies"); code != exitMisused || !strings.Contains(errs, "quotes") {
		t.Errorf("%d\n%s", code, errs)
	}
	if _, errs, code := runProgram(t, "liftoff", "consume", "-t", "t", "--from", "middle"); code != exitMisused || !strings.Contains(errs, "first or last") {
		t.Errorf("%d\n%s", code, errs)
	}
}

func TestPlainBody(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	z := zlib.NewWriter(&zipped)
	if _, err := z.Write([]byte("hello")); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	for _, flag := range []int32{0, message.FlagCompressionZlib} {
		if got, err := (&message.Message{SysFlag: message.FlagCompressed | flag, Body: zipped.Bytes()}).PlainBody(); err != nil || string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := (&message.Message{SysFlag: message.FlagCompressed | message.FlagCompressionLZ4, Body: zipped.Bytes()}).PlainBody(); err == nil {
		t.Error("LZ4 is not known here")
	}
	if _, err := (&message.Message{SysFlag: message.FlagCompressed, Body: []byte("nonsense")}).PlainBody(); err == nil {
		t.Error("nonsense is decompressed")
	}
}

func TestNamesrvAddr_OfTheEnvironmentIsNamedAsThePlace(t *testing.T) {
	t.Setenv("NAMESRV_ADDR", "a:1,b:2")
	for _, line := range []string{"broker -p", "send -t t body", "consume -t t", "admin clusterList"} {
		_, errs, code := runProgram(t, "liftoff", strings.Fields(line)...)
		if code == exitOK || !strings.Contains(errs, "liftoff: $NAMESRV_ADDR: ") || !strings.Contains(errs, "separate addresses with ;") {
			t.Errorf("%s ends with %d and prints %s", line, code, errs)
		}
		_, errs, code = runProgram(t, "liftoff", append(strings.Fields(line), "-n", "nonsense")...)
		if code == exitOK || strings.Contains(errs, "$NAMESRV_ADDR") || !strings.Contains(errs, "nonsense") {
			t.Errorf("%s -n nonsense ends with %d and prints %s", line, code, errs)
		}
	}
}
