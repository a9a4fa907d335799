package interop

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestJava5_LivesAreTold(t *testing.T) { livesAreTold(t, impatient(java5)) }

// liftoffTool runs a command of liftoff against a cluster.
func liftoffTool(t *testing.T, cl *cluster, args ...string) (out, said string) {
	t.Helper()
	binary, err := cl.broker.lab.liftoff()
	must(t, err)
	cmd := exec.Command(binary, append(args, "-n", cl.addrs())...)
	var errs strings.Builder
	cmd.Stderr = &errs
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("liftoff %v: %v\n%s%s", args, err, text, errs.String())
	}
	return string(text), errs.String()
}

// groupState is how `liftoff trace` says that a group stands to a message.
func groupState(t *testing.T, cl *cluster, id, group string) (state, why string) {
	t.Helper()
	out, _ := liftoffTool(t, cl, "trace", id, "--json")
	var life struct {
		Groups []struct {
			Group, State string
			Why          []string
		}
	}
	if err := json.Unmarshal([]byte(out), &life); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, g := range life.Groups {
		if g.Group == group {
			return g.State, strings.Join(g.Why, "; ")
		}
	}
	return "", ""
}

// livesAreTold: `liftoff trace` follows a message through retries to its dead letter, and `liftoff dlq` lists it and sends it again, so that
// the consumer gets it; with Apache's broker as with ours.
func livesAreTold(t *testing.T, c client) {
	t.Parallel()
	cl := ownCluster(t, setup{settings: []string{"messageDelayLevel=1s 1s 2s"}})
	p := newProducer(t, c, cl)
	topic, group := p.topic(1), uniqueName(t, "group")
	s := startConsumer(t, "failing", c, cl, topic, group, "most", 2, "fails", 3, "only", "-0")
	sent := p.fill(topic, 2, "queues", 1)
	s.wait(4) // the first three times, the other once

	expect := func(m message, state, why string) {
		t.Helper()
		err := waitFor(time.Minute, func() error {
			if got, because := groupState(t, cl, m.id, group); got != state || !strings.Contains(because, why) {
				return fmt.Errorf("group %s is said to be %q to %s because %q; want %q because %q", group, got, m.id, because, state, why)
			}
			return nil
		})
		if err != nil {
			out, _ := liftoffTool(t, cl, "trace", m.id)
			t.Errorf("%v\n%s", err, out)
		}
	}
	expect(sent[1], "consumed", "")
	expect(sent[0], "dead letter", "%DLQ%"+group)
	out, _ := liftoffTool(t, cl, "trace", sent[0].id)
	for _, want := range []string{"was stored", "waits at delay level 3 for try 1 by group " + group + ", due ", "came again, try 1 by", "came again, try 2 by", "became a dead letter of group"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if out, _ := liftoffTool(t, cl, "dlq", "list", "-g", group); !strings.Contains(out, sent[0].id) || strings.Contains(out, sent[1].id) {
		t.Errorf("dead letters:\n%s", out)
	}

	// Its reconsume times begin anew, so it fails as often as before, and is a dead letter once more.
	if _, said := liftoffTool(t, cl, "dlq", "resend", "-g", group); !strings.Contains(said, "1 dead letters sent again, 0 were already") {
		t.Error(said)
	}
	s.wait(5)
	again := triesOf(s, sent[0].keys)
	if m := again[len(again)-1]; m.topic != topic && m.times != 0 {
		t.Errorf("%+v", m)
	}
	err := waitFor(time.Minute, func() error {
		if out, _ := liftoffTool(t, cl, "dlq", "list", "-g", group); strings.Count(out, sent[0].id) != 2 {
			return fmt.Errorf("want two dead letters:\n%s", out)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, said := liftoffTool(t, cl, "dlq", "resend", "-g", group, "--to-topic"); !strings.Contains(said, "1 dead letters sent again, 1 were already") {
		t.Error(said)
	}
}
