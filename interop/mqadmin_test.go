package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMQAdmin_DoesTheSame runs every command of mqadmin, Apache's and Liftoff's, on a cluster of Apache's and on one of Liftoff's, and
// compares what they print.
func TestMQAdmin_DoesTheSame(t *testing.T) {
	t.Parallel()
	sides := [2]*side{{kind: apache}, {kind: liftoff}}
	both(t, sides, func(s *side) error { return s.runCommands() })
	for _, name := range sides[0].commands {
		if !slices.ContainsFunc(mqadminCommands, func(c command) bool { return c.name == name }) {
			t.Errorf("%s is a command of mqadmin, but not in the table", name)
		}
	}
	if len(sides[0].commands) != len(mqadminCommands) {
		t.Errorf("mqadmin has %d commands, the table %d", len(sides[0].commands), len(mqadminCommands))
	}
	i := 0
	for _, c := range mqadminCommands {
		for _, call := range c.calls {
			on, other := sides[0].said[i], sides[1].said[i]
			i++
			line := "mqadmin " + c.name + " " + call.args + "\n"
			report(t, call.tool, line+"Apache's tool on Apache", on.apache, "Apache's tool on Liftoff", other.apache)
			report(t, call.ours, line+"Apache's tool on Apache", on.apache, "Liftoff's tool on Apache", on.liftoff)
			report(t, call.ours, line+"Apache's tool on Liftoff", other.apache, "Liftoff's tool on Liftoff", other.liftoff)
		}
	}
}

// A said is what both tools said to one call on one cluster.
type said struct{ apache, liftoff result }

// A result is what a command printed, and whether it failed. Apache's tool ends with 0 then, too, but prints an exception.
type result struct {
	out    string
	failed bool
	ours   bool
}

func report(t *testing.T, how likeness, firstName string, first result, secondName string, second result) {
	t.Helper()
	if (first.failed || how == refusal) && second.failed && second.ours {
		return // Liftoff's errors are one line
	}
	a, b := how.of(first), how.of(second)
	if (how == atLeast || first.failed && second.failed) && contains(b, strings.Split(a, "\n")) {
		return
	}
	if a != b {
		t.Errorf("%s:\n%s\n%s:\n%s\n", firstName, clipped(a), secondName, clipped(b))
	}
}

func clipped(text string) string {
	if len(text) > 3000 {
		return text[:3000] + " ..."
	}
	return text
}

// of reduces a result to what must be the same.
func (l likeness) of(r result) string {
	outcome := fmt.Sprint("failed: ", r.failed, "\n")
	lines := strings.Split(r.out, "\n")
	switch l {
	case nothing:
		return ""
	case success:
		return outcome
	case unordered:
		slices.Sort(lines)
	case decimals:
		lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "%RETRY%") })
		for i, line := range lines {
			lines[i] = decimal.ReplaceAllString(line, "<rate>")
		}
		slices.Sort(lines)
	case numbers:
		for i, line := range lines {
			lines[i] = number.ReplaceAllString(line, "<n>")
		}
		slices.Sort(lines)
	case headings:
		lines = slices.DeleteFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "#") })
	case asJSON:
		before, after, found := strings.Cut(r.out, "{")
		if t, err := parseTree([]byte("{" + after)); found && err == nil {
			lines = []string{before, whole(t)}
		}
	case clients:
		lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "%RETRY%") })
		for i, line := range lines {
			lines[i], _, _ = strings.Cut(line, " ")
		}
		slices.Sort(lines)
	case keys:
		for i, line := range lines {
			if at := strings.IndexAny(line, ":="); at > 0 {
				line = line[:at]
			}
			lines[i] = strings.TrimSpace(line)
		}
		lines = slices.DeleteFunc(lines, func(key string) bool { return strings.HasSuffix(key, "getTransferedTps") }) // as it is spelled before 5.0, for its tools
		slices.Sort(lines)
	}
	return outcome + strings.Join(lines, "\n")
}

var (
	// exception is one that was thrown, not one in the name of a setting.
	exception = regexp.MustCompile(`\b(org|com|java)\.[\w.]*Exception`)

	number  = regexp.MustCompile(`-?\d+(\.\d+)?`)
	decimal = regexp.MustCompile(`\b\d+\.\d+\b`)
)

// runCommands runs all calls with both tools on this side's cluster.
func (s *side) runCommands() error {
	tool, err := s.startTool()
	if err != nil {
		return err
	}
	defer tool.close()
	if s.commands, err = tool.list(); err != nil {
		return err
	}
	for _, c := range mqadminCommands {
		for _, call := range c.calls {
			var one said
			begin := time.Now()
			if one.apache, err = tool.run(c.name, call); err != nil {
				return err
			}
			took := time.Since(begin)
			if one.liftoff, err = s.runOurs(tool, c.name, call); err != nil {
				return err
			}
			fmt.Fprintf(tool.log, "==== %s %s (%v, %v)\n%s\n---- Liftoff's tool\n%s\n", c.name, call.args, took, time.Since(begin)-took,
				one.apache.out, one.liftoff.out)
			s.said = append(s.said, one)
		}
	}
	return nil
}

// list asks Apache's tool for the names of its commands.
func (t *adminTool) list() ([]string, error) {
	help, err := t.run("", call{})
	if err != nil {
		return nil, err
	}
	var names []string
	_, help.out, _ = strings.Cut(help.out, "\n")
	for line := range strings.Lines(help.out) {
		if words := strings.Fields(line); len(words) > 1 && !strings.HasPrefix(line, "See ") && !slices.Contains(names, words[0]) {
			names = append(names, words[0])
		}
	}
	return names, nil
}

// An adminTool is the Java program that runs commands of Apache's mqadmin.
type adminTool struct {
	side *side
	proc *process
	in   io.WriteCloser
	out  *bufio.Reader
	ids  map[string]string // unique ids by key; offset ids by "offset id of " and key
	dirs [2]string         // a folder for each tool
	log  *os.File          // all outputs, for whoever looks into a failure
}

func (s *side) startTool() (*adminTool, error) {
	cmd, dir, err := s.program("commands")
	if err != nil {
		return nil, err
	}
	t := &adminTool{side: s, ids: map[string]string{}}
	if t.log, err = os.Create(filepath.Join(dir, "outputs.txt")); err != nil {
		return nil, err
	}
	for i, name := range []string{"apache", "liftoff"} {
		t.dirs[i] = filepath.Join(dir, name)
		if err := writeInputs(t.dirs[i], twins[i]); err != nil {
			return nil, err
		}
	}
	if t.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	t.out = bufio.NewReader(out)
	if t.proc, err = start(dir, "commands", "", cmd); err != nil {
		return nil, err
	}
	return t, t.read(&t.ids)
}

// writeInputs writes the files that commands read.
func writeInputs(dir, x string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	topics := `[{"topicName":"listed_` + x + `","readQueueNums":2,"writeQueueNums":2,"perm":6}]`
	groups := `[{"groupName":"listed_` + x + `","retryMaxTimes":3}]`
	return errors.Join(os.WriteFile(filepath.Join(dir, "topics.json"), []byte(topics), 0o644),
		os.WriteFile(filepath.Join(dir, "groups.json"), []byte(groups), 0o644))
}

func (t *adminTool) read(into any) error {
	lines := make(chan []byte, 1)
	go func() { // ends with the process
		line, _ := t.out.ReadBytes('\n')
		lines <- line
	}()
	select {
	case line := <-lines:
		if len(line) == 0 {
			return fmt.Errorf("Apache's mqadmin on %s ended:\n%s", t.side.kind, t.proc.out)
		}
		return json.Unmarshal(line, into)
	case <-time.After(3 * time.Minute):
		return fmt.Errorf("Apache's mqadmin on %s does not answer:\n%s", t.side.kind, t.proc.out)
	}
}

func (t *adminTool) close() {
	t.in.Close()
	t.proc.kill()
	t.log.Close()
}

// twins is what {x} stands for, for Apache's tool and for Liftoff's: equally long, for outputs are tables.
var twins = [2]string{"twina", "twinb"}

// args fills in the arguments of a call for one of the two tools.
func (t *adminTool) args(name string, c call, which int) []string {
	s := t.side
	line := strings.NewReplacer("{b}", s.cluster.broker.addr(), "{n}", s.cluster.addrs(), "{x}", twins[which], "{dir}", t.dirs[which]).Replace(c.args)
	line = regexp.MustCompile(`\{(id|offset) ([^}]*)\}`).ReplaceAllStringFunc(line, func(found string) string {
		kind, key, _ := strings.Cut(strings.Trim(found, "{}"), " ")
		if kind == "offset" {
			key = "offset id of " + key
		}
		return t.ids[key]
	})
	args := strings.Fields(line)
	if name != "" {
		args = append([]string{name}, args...)
	}
	return args
}

// run runs a call with Apache's tool.
func (t *adminTool) run(name string, c call) (result, error) {
	request := map[string]any{"args": t.args(name, c, 0)}
	if c.limit > 0 {
		request["limit"] = c.limit
	}
	line, err := json.Marshal(request)
	if err != nil {
		return result{}, err
	}
	if _, err := t.in.Write(append(line, '\n')); err != nil {
		return result{}, err
	}
	var answer struct{ Out string }
	if err := t.read(&answer); err != nil {
		return result{}, err
	}
	return result{out: t.plain(answer.Out), failed: exception.MatchString(answer.Out)}, nil
}

// runOurs runs a call with Liftoff's tool.
func (s *side) runOurs(t *adminTool, name string, c call) (result, error) {
	binary, err := theLab.liftoff()
	if err != nil {
		return result{}, err
	}
	cmd := exec.Command(binary)
	cmd.Args = append([]string{"mqadmin"}, t.args(name, c, 1)...)
	cmd.Env = append(os.Environ(), "NAMESRV_ADDR="+s.cluster.addrs(), "HOME="+t.dirs[1], "TMPDIR="+t.dirs[1])
	cmd.Dir = t.dirs[1]
	cmd.SysProcAttr = ownGroup()
	var out, errors bytes.Buffer // what it is about to change, and errors, are on the latter
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	limit := time.Minute
	if c.limit > 0 {
		limit = time.Duration(c.limit) * time.Millisecond
	}
	timer := time.AfterFunc(limit, func() { cmd.Process.Kill() })
	err = cmd.Wait()
	ended := timer.Stop() // by itself
	r := result{out: t.plain(out.String()), failed: err != nil && (ended || c.limit == 0), ours: true}
	if r.failed {
		r.out += "\n" + t.plain(errors.String())
	}
	return r, nil
}

// plain takes out of an output what differs between any two clusters, tools and moments.
func (t *adminTool) plain(out string) string {
	for key, id := range t.ids {
		out = strings.ReplaceAll(out, id, "<id of "+key+">")
	}
	for i := range twins {
		out = strings.ReplaceAll(out, t.dirs[i], "<folder>")
		out = strings.ReplaceAll(out, twins[i], "<x>")
	}
	out = strings.ReplaceAll(out, filepath.Dir(t.dirs[0]), "<folder>")
	out = strings.ReplaceAll(out, "/tmp/rocketmq/msgbodys", "<folder>/rocketmq/msgbodys")
	out = strings.ReplaceAll(out, "]MessageTrack", "]\nMessageTrack")
	out = ids.ReplaceAllString(t.side.sight.text(out), "<id>")
	out = logOffsets.ReplaceAllString(out, "commitLogOffset=<n>") // Apache writes check points of pops into the log
	out = dates.ReplaceAllString(out, "<time>")
	out = moments.ReplaceAllStringFunc(out, func(ms string) string {
		if t.side.sight.moment(ms) {
			return "<time>"
		}
		return ms
	})
	var lines []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "\tat ") {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

var (
	dates      = regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d([.,:]\d+)?`)
	logOffsets = regexp.MustCompile(`commitLogOffset=\d+`)
	ids        = regexp.MustCompile(`\b[0-9A-F]{32,58}\b`)
	moments    = regexp.MustCompile(`\b\d{13}\b`)
)
