package main

import (
	"bufio"
	"context"
	"encoding/binary"
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
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// TestKill_LosesNothingAcknowledged kills the broker with SIGKILL at random moments under load, starts it again, and so on;
// then it reads every queue from the beginning:
//
//   - each acknowledged message is at the queue offset that its answer told, and nowhere else;
//   - each producer's messages are in the order in which they were sent;
//   - no consumer's offset is ahead of what was consumed, nor behind what had been kept before.
//
// LIFTOFF_KILLS sets how often it is killed.
func TestKill_LosesNothingAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("a second and more for each kill")
	}
	for _, flush := range []string{"ASYNC_FLUSH", "SYNC_FLUSH"} {
		t.Run(flush, func(t *testing.T) { killAgainAndAgain(t, flush, envInt(t, "LIFTOFF_KILLS", 8)) })
	}
}

const (
	killTopic     = "KillTopic"
	killQueues    = 8
	killProducers = 8
	killInFlight  = 16
	killGroup     = "KillGroup"
)

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

// acked is one message that was answered with SUCCESS.
type acked struct {
	producer int32
	seq      int64
	queue    int32
	offset   int64
}

func killAgainAndAgain(t *testing.T, flush string, kills int) {
	bin, dir := buildLiftoff(t), t.TempDir()
	port := freeBrokerPort(t)
	conf := filepath.Join(dir, "broker.properties")
	// Small files and intervals, so that a few seconds of load cross every border.
	text := fmt.Sprintf("brokerName=broker-a\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\nlistenPort=%d\nstorePathRootDir=%s\nflushDiskType=%s\n"+
		"mappedFileSizeCommitLog=4194304\nmappedFileSizeConsumeQueue=60000\nmaxHashSlotNum=5000\nmaxIndexNum=40000\nflushConsumerOffsetInterval=200\ndefaultTopicQueueNums=8\n",
		port, filepath.Join(dir, "store"), flush)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	var all []acked
	var seqs [killProducers]int64
	var consumed [killQueues]int64 // next offset, as the consumer knows
	rng := rand.New(rand.NewPCG(1, uint64(kills)))
	for k := range kills {
		srv := startLiftoff(t, bin, conf, addr)
		// What was committed long before the kill is there; nothing is ahead of what was consumed.
		for q := range killQueues {
			if got := queryOffset(t, addr, int32(q)); got > consumed[q] {
				t.Fatalf("kill %d: offset of queue %d is %d, but only %d were consumed", k, q, got, consumed[q])
			} else if got >= 0 {
				consumed[q] = got
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		var wg sync.WaitGroup
		var count atomic.Int64
		for p := range killProducers {
			wg.Go(func() {
				got := produce(ctx, addr, int32(p), &seqs[p], &count)
				mu.Lock()
				all = append(all, got...)
				mu.Unlock()
			})
		}
		wg.Go(func() { consume(ctx, addr, &consumed) })
		// At some moment under load, the first ones right at the beginning.
		await := int64(rng.IntN(4000))
		deadline := time.Now().Add(20 * time.Second)
		for count.Load() < await && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if err := srv.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = srv.cmd.Wait()
		stop()
		wg.Wait()
	}
	srv := startLiftoff(t, bin, conf, addr)
	t.Logf("%d kills, %d messages acknowledged", kills, len(all))
	verifyKilled(t, addr, all)
	srv.stop(t)
	// And once more after a clean stop.
	srv = startLiftoff(t, bin, conf, addr)
	verifyKilled(t, addr, all)
	srv.stop(t)
}

// produce sends until the broker is gone and returns what was acknowledged. In flight are killInFlight messages at a time; each
// producer's message n goes to queue n modulo killQueues.
func produce(ctx context.Context, addr string, producer int32, seq *int64, count *atomic.Int64) []acked {
	c, err := remoting.Dial(ctx, addr, nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil
	}
	defer func() { _ = c.Close(); <-c.Done() }()
	var mu sync.Mutex
	var got []acked
	var wg sync.WaitGroup
	slots := make(chan struct{}, killInFlight)
	for ctx.Err() == nil {
		slots <- struct{}{}
		n := *seq
		*seq++
		queue := int32(n % killQueues)
		pending, err := c.Start(sendCall(producer, n, queue))
		if err != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			r, err := pending.Wait(ctx)
			if err != nil || r.Code != protocol.CodeSuccess {
				return
			}
			v, _ := r.Get("queueOffset")
			offset, _ := protocol.ParseInt(v)
			mu.Lock()
			got = append(got, acked{producer, n, queue, offset})
			mu.Unlock()
			count.Add(1)
		})
	}
	wg.Wait()
	return got
}

func sendCall(producer int32, seq int64, queue int32) *remoting.Call {
	body := make([]byte, 12, 12+rand.IntN(400))
	binary.BigEndian.PutUint32(body, uint32(producer))
	binary.BigEndian.PutUint64(body[4:], uint64(seq))
	body = body[:cap(body)]
	props := message.AppendProperty(nil, message.PropUniqKey, fmt.Sprintf("%032X", uint64(producer)<<48|uint64(seq)))
	return &remoting.Call{Code: protocol.ReqSendMessageV2, Ext: [][2]string{{"a", "KillProducer"}, {"b", killTopic}, {"c", "TBW102"}, {"d", "8"},
		{"e", strconv.Itoa(int(queue))}, {"f", "0"}, {"g", strconv.FormatInt(time.Now().UnixMilli(), 10)}, {"h", "0"}, {"i", string(props)}}, Body: body}
}

// pullFrom reads one answer's worth of records.
func pullFrom(ctx context.Context, c *remoting.Conn, queue int32, offset int64) (next int64, records []byte, code int, remark string, err error) {
	r, err := c.Call(ctx, &remoting.Call{Code: protocol.ReqPullMessage, Ext: [][2]string{{"consumerGroup", killGroup}, {"topic", killTopic},
		{"queueId", strconv.Itoa(int(queue))}, {"queueOffset", strconv.FormatInt(offset, 10)}, {"maxMsgNums", "32"}, {"sysFlag", "4"},
		{"commitOffset", "0"}, {"suspendTimeoutMillis", "0"}, {"subscription", "*"}, {"subVersion", "0"}}})
	if err != nil {
		return 0, nil, 0, "", err
	}
	v, _ := r.Get("nextBeginOffset")
	next, _ = protocol.ParseInt(v)
	return next, r.Body, int(r.Code), string(r.Remark), nil
}

// consume reads all queues and commits what it has read.
func consume(ctx context.Context, addr string, consumed *[killQueues]int64) {
	c, err := remoting.Dial(ctx, addr, nil, remoting.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return
	}
	defer func() { _ = c.Close(); <-c.Done() }()
	for ctx.Err() == nil {
		for q := range killQueues {
			next, _, code, _, err := pullFrom(ctx, c, int32(q), consumed[q])
			if err != nil {
				return
			}
			if code != protocol.CodeSuccess {
				continue
			}
			consumed[q] = next
			if err := c.Notify(&remoting.Call{Code: protocol.ReqUpdateConsumerOffset, Ext: [][2]string{{"consumerGroup", killGroup},
				{"topic", killTopic}, {"queueId", strconv.Itoa(q)}, {"commitOffset", strconv.FormatInt(next, 10)}}}); err != nil {
				return
			}
		}
	}
}

// queryOffset returns the group's stored offset of a queue, -1 when there is none.
func queryOffset(t *testing.T, addr string, queue int32) int64 {
	t.Helper()
	c := dialBroker(t, addr)
	defer func() { _ = c.Close(); <-c.Done() }()
	r, err := c.Call(t.Context(), &remoting.Call{Code: protocol.ReqQueryConsumerOffset, Ext: [][2]string{{"consumerGroup", killGroup},
		{"topic", killTopic}, {"queueId", strconv.Itoa(int(queue))}, {"setZeroIfNotFound", "false"}}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Code != protocol.CodeSuccess {
		return -1
	}
	v, _ := r.Get("offset")
	n, _ := protocol.ParseInt(v)
	return n
}

// verifyKilled reads every queue from its beginning.
func verifyKilled(t *testing.T, addr string, all []acked) {
	t.Helper()
	c := dialBroker(t, addr)
	defer func() { _ = c.Close(); <-c.Done() }()
	type id struct {
		producer int32
		seq      int64
	}
	stored := make(map[id]acked)
	for q := range int32(killQueues) {
		last := make(map[int32]int64)
		for offset := int64(0); ; {
			next, records, code, remark, err := pullFrom(t.Context(), c, q, offset)
			if err != nil {
				t.Fatal(err)
			}
			if code == protocol.CodePullNotFound {
				break
			}
			if code != protocol.CodeSuccess {
				t.Fatalf("queue %d at %d: code %d %s", q, offset, code, remark)
			}
			for len(records) > 0 {
				var m message.Message
				if err := message.Decode(records, &m); err != nil {
					t.Fatalf("queue %d at %d: %v", q, offset, err)
				}
				records = records[m.Size:]
				producer, seq := int32(binary.BigEndian.Uint32(m.Body)), int64(binary.BigEndian.Uint64(m.Body[4:]))
				if m.QueueOffset != offset || m.QueueID != q {
					t.Fatalf("queue %d: message %d lies at %d", q, offset, m.QueueOffset)
				}
				if before, ok := last[producer]; ok && seq <= before {
					t.Fatalf("queue %d at %d: producer %d's message %d comes after %d", q, offset, producer, seq, before)
				}
				last[producer] = seq
				key := id{producer, seq}
				if was, ok := stored[key]; ok {
					t.Fatalf("message %v is there twice: %v and queue %d at %d", key, was, q, offset)
				}
				stored[key] = acked{producer, seq, q, offset}
				offset++
			}
			if next != offset {
				t.Fatalf("queue %d: answer goes on at %d, its records end at %d", q, next, offset)
			}
		}
	}
	lost := 0
	for _, a := range all {
		if got, ok := stored[id{a.producer, a.seq}]; !ok || got != a {
			if lost++; lost < 10 {
				t.Errorf("acknowledged %v, stored %v (%t)", a, got, ok)
			}
		}
	}
	if lost > 0 {
		t.Fatalf("%d of %d acknowledged messages are lost or elsewhere", lost, len(all))
	}
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

// startLiftoff starts a broker and waits until it listens.
func startLiftoff(t *testing.T, bin, conf, addr string) *server {
	t.Helper()
	cmd := exec.Command(bin, "broker", "-c", conf) //nolint:noctx // it is ended by signals
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
	t.Fatalf("liftoff did not start on %s:\n%s", addr, errs.String())
	return nil
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

// freeBrokerPort finds a port whose neighbour two below, which a broker takes too, is free as well.
func freeBrokerPort(t *testing.T) int {
	t.Helper()
	for range 50 {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := a.Addr().(*net.TCPAddr).Port
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
