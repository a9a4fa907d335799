package interop

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestJava5_TracesAreFound(t *testing.T) { tracesAreFound(t, impatient(java5)) }

// mqadmin runs a command of Apache's mqadmin.
func mqadmin(t *testing.T, cl *cluster, args ...string) string {
	t.Helper()
	jars, err := cl.broker.lab.apache(apache.version())()
	must(t, err)
	logging, err := filepath.Abs("peer")
	must(t, err)
	java := append(quickJVM(t.TempDir(), "256m"), "-cp", logging+":"+filepath.Join(jars, "*"), "org.apache.rocketmq.tools.command.MQAdminStartup")
	out, err := exec.Command("java", append(append(java, args...), "-n", cl.addrs())...).CombinedOutput()
	if err != nil {
		t.Fatalf("mqadmin %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// tracesAreFound: what producers, consumers and producers of transactions trace is found again by Apache's tool, in the topic of the
// broker and in one of the user's.
func tracesAreFound(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"traceTopicEnable=true", "messageDelayLevel=1s 1s 1s"}})
	p := newProducer(t, c, cl)
	for _, own := range []string{"", p.topic(1)} {
		topic, group := p.topic(1), uniqueName(t, "group")
		call := func(op string, args ...any) string {
			t.Helper()
			r, err := p.program.call(op, append([]any{"namesrv", cl.addrs(), "topic", topic, "traceTopic", own}, args...)...)
			if err != nil {
				t.Fatal(err)
			}
			return r.Get("msgId") + r.Get("count")
		}
		consumer := uniqueName(t, "consumer")
		call("trace.consume", "name", consumer, "group", group, "fails", 1)
		producers := []string{uniqueName(t, "traced"), uniqueName(t, "committing"), uniqueName(t, "back")}
		plain := call("trace.send", "name", producers[0], "body", encoded("m"), "keys", "order-1")
		committed := call("trace.send", "name", producers[1], "body", encoded("c"), "local", "COMMIT_MESSAGE")
		back := call("trace.send", "name", producers[2], "body", encoded("b"), "local", "ROLLBACK_MESSAGE")
		must(t, waitFor(time.Minute, func() error {
			if n := call("trace.consumed", "name", consumer); n != "2" {
				return fmt.Errorf("%s are consumed", n)
			}
			return nil
		}))
		defer func() {
			for _, name := range append(producers, consumer) {
				call("trace.close", "name", name)
			}
		}()
		traceTopic := own
		if own == "" {
			traceTopic = "RMQ_SYS_TRACE_TOPIC"
		}
		check := func(id string, want ...string) {
			t.Helper()
			var out string
			err := waitFor(time.Minute, func() error { // clients send traces behind, after 5 s
				out = mqadmin(t, cl, "queryMsgTraceById", "-i", id, "-t", traceTopic)
				flat := strings.Join(strings.Fields(out), " ")
				for _, w := range want {
					if !strings.Contains(flat, w) {
						return fmt.Errorf("%q is not in the trace of %s in %s:\n%s", w, id, traceTopic, out)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		check(plain, "Pub "+producers[0], "Sub "+group, "failed", "success")
		check("order-1") // a key is no message id for the tool, but is looked up
		check(committed, "Pub "+producers[1], "Sub "+group, "success")
		check(back, "Pub "+producers[2])

		// The tool does not print the end of a transaction.
		traces := newConsumer(t, c, cl, traceTopic, uniqueName(t, "group"))
		ends := map[string]string{}
		must(t, waitFor(time.Minute, func() error {
			for _, m := range traces.wait(1) {
				for line := range strings.SplitSeq(m.body, "\x02") {
					if f := strings.Split(line, "\x01"); f[0] == "EndTransaction" && strings.Contains(m.keys, f[5]) {
						ends[f[5]] = f[11]
					}
				}
			}
			if ends[committed] != "COMMIT_MESSAGE" || ends[back] != "ROLLBACK_MESSAGE" {
				return fmt.Errorf("the traced ends of %s and %s are %v", committed, back, ends)
			}
			return nil
		}))
	}
}
