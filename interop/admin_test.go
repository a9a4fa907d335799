package interop

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAdmin_AnswersEveryMethod calls every method of Apache's administration library on a cluster of Apache's and on one of
// Liftoff's, with the same topics, groups, messages and clients in the same states, and compares what comes back.
func TestAdmin_AnswersEveryMethod(t *testing.T) {
	t.Parallel()
	sides := [2]*side{{kind: apache}, {kind: liftoff}}
	both(t, sides, func(s *side) error { return s.callMethods() })
	want, got := sides[0].records, sides[1].records
	if len(want) < 2 || len(want) != len(got) {
		t.Fatalf("%d calls on Apache, %d on Liftoff", len(want), len(got))
	}
	differ := 0
	for i := range want {
		method := fmt.Sprint(want[i].(map[string]any)["method"])
		for _, side := range [][]tree{want, got} {
			side[i] = omit(method, side[i], omittedInMethods)
			sortAt(method, side[i], unorderedInMethods)
		}
		for _, d := range differences(method, want[i], got[i]) {
			if !allowed(methodAllowances, d) {
				differ++
				t.Errorf("call %d: %v %s", i, d, shown(want[i].(map[string]any)["args"]))
			}
		}
	}
	forgotten := want[len(want)-1].(map[string]any)["forgotten"].([]any)
	if len(forgotten) != 0 {
		t.Errorf("nobody called %v", forgotten)
	}
	t.Logf("%d calls, %d differences", len(want)-1, differ)
}

func allowed(allowances []allowance, d difference) bool {
	for _, a := range allowances {
		if a.allows(d) {
			return true
		}
	}
	return false
}

// A side is one of the two clusters of a comparison, and what was seen there.
type side struct {
	kind     kind
	cluster  *cluster
	sight    *sight
	records  []tree   // of every method
	said     []said   // by every command
	commands []string // that Apache's mqadmin has
}

// both makes both clusters and does something on each at the same time.
func both(t *testing.T, sides [2]*side, do func(*side) error) {
	t.Helper()
	must(t, errors.Join(tool("java"), tool("javac"), tool("mvn")))
	var errs [2]error
	var all sync.WaitGroup
	for i, s := range sides {
		all.Go(func() {
			if errs[i] = s.make(); errs[i] == nil {
				errs[i] = do(s)
			}
		})
	}
	all.Wait()
	for i, s := range sides {
		if s.cluster != nil {
			s.cluster.closeAfter(t)
			tellWhenFailed(t, s.cluster)
		}
		must(t, errs[i])
	}
}

func (s *side) make() error {
	since := time.Now()
	c, err := newCluster(theLab, setup{namesrvs: []kind{s.kind}, broker: s.kind})
	if err != nil {
		return fmt.Errorf("%s's cluster: %w", s.kind, err)
	}
	s.cluster, s.sight = c, newSight(c, since)
	return nil
}

// callMethods has the Java program call every method on this side's cluster.
func (s *side) callMethods() error {
	cmd, dir, err := s.program("methods")
	if err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(dir, "records.json"))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout = out
	p, err := start(dir, "methods", "", cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(5 * time.Minute):
		p.kill()
		return fmt.Errorf("the calls on %s did not end:\n%s", s.kind, p.out)
	}
	if !cmd.ProcessState.Success() {
		return fmt.Errorf("the calls on %s ended early (%v):\n%s", s.kind, cmd.ProcessState, p.out)
	}
	return s.read(filepath.Join(dir, "records.json"))
}

func (s *side) read(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(text) {
		t, err := parseTree(line)
		if err != nil {
			return fmt.Errorf("cannot read what was called on %s: %w: %.300s", s.kind, err, line)
		}
		s.records = append(s.records, s.sight.name(t))
	}
	return nil
}

// program gives the command that starts the Java program on this side's cluster, and a folder for it.
func (s *side) program(mode string) (*exec.Cmd, string, error) {
	built, err := theLab.javaAdmin()
	if err != nil {
		return nil, "", err
	}
	dir, err := theLab.folder("admin-" + string(s.kind))
	if err != nil {
		return nil, "", err
	}
	logging, err := filepath.Abs("javaadmin")
	if err != nil {
		return nil, "", err
	}
	classes := strings.Join([]string{logging, filepath.Join(built, "classes"), filepath.Join(built, "lib", "*")}, ":")
	cmd := exec.Command("java", append(quickJVM(dir, "512m"), "-cp", classes, "com.github.liftoffmq.admin.Main", mode,
		s.cluster.addrs(), s.cluster.broker.addr())...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "ROCKETMQ_HOME="+dir)
	return cmd, dir, nil
}
