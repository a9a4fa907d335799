package interop

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A client is one official client library, with flags of its virtual machine.
type client struct {
	name    string
	version string // of Java's client; "" for Go's
	flag    string
}

var (
	java4  = client{name: "Java4", version: "4.9.8"}
	java5  = client{name: "Java5", version: "5.5.0"}
	golang = client{name: "Go"}
)

func (c client) java() bool { return c.version != "" }

// with gives the same client with a flag of the virtual machine.
func (c client) with(flag string) client {
	c.flag = flag
	return c
}

// A program is a running program on a client, told what to do one line at a time.
type program struct {
	client client
	proc   *process
	in     io.WriteCloser

	mu      sync.Mutex // protects the fields below
	last    int        // id of the last call
	waiting map[string]chan url.Values
}

func startProgram(l *lab, c client) (*program, error) {
	dir, err := l.folder(c.name)
	if err != nil {
		return nil, err
	}
	var cmd *exec.Cmd
	if c.java() {
		built, err := l.java(c.version)()
		if err != nil {
			return nil, err
		}
		logging, err := filepath.Abs("peer")
		if err != nil {
			return nil, err
		}
		flags := append(quickJVM(dir, "512m"), "-Drocketmq.client.logRoot="+dir, "-Drocketmq.client.logLevel=WARN",
			"-Drocketmq.client.localOffsetStoreDir="+filepath.Join(dir, "offsets"))
		if c.flag != "" {
			flags = append(flags, c.flag)
		}
		path := strings.Join([]string{logging, filepath.Join(built, "classes"), filepath.Join(built, "lib", "*")}, ":")
		cmd = exec.Command("java", append(flags, "-cp", path, "com.github.liftoffmq.interop.Program")...)
	} else {
		built, err := l.golang()
		if err != nil {
			return nil, err
		}
		cmd = exec.Command(filepath.Join(built, "goclient"))
		cmd.Env = append(cmd.Environ(), "HOME="+dir)
	}
	p := &program{client: c, waiting: map[string]chan url.Values{}}
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.proc, err = start(dir, c.name, "", cmd); err != nil {
		return nil, err
	}
	go p.readLoop(out) // ends with the process
	return p, nil
}

// readLoop gives each answer to the call that waits for it.
func (p *program) readLoop(out io.Reader) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		answer, err := url.ParseQuery(strings.TrimSuffix(line, "\n"))
		if err != nil {
			fmt.Fprintf(p.proc.out, "answered with what is no form (%v): %.200q\n", err, line)
			continue
		}
		p.mu.Lock()
		waiting := p.waiting[answer.Get("id")]
		delete(p.waiting, answer.Get("id"))
		p.mu.Unlock()
		if waiting != nil {
			waiting <- answer
		}
	}
}

// call has the program do one thing. The arguments are names and values in turn.
func (p *program) call(op string, args ...any) (url.Values, error) {
	return p.do(op, form(args...))
}

func (p *program) do(op string, values url.Values) (url.Values, error) {
	answers := make(chan url.Values, 1)
	p.mu.Lock()
	p.last++
	id := strconv.Itoa(p.last)
	p.waiting[id] = answers
	values.Set("op", op)
	values.Set("id", id)
	_, err := io.WriteString(p.in, values.Encode()+"\n")
	p.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("cannot tell the %s program: %w\n%s", p.client.name, err, p.proc.out)
	}
	select {
	case answer := <-answers:
		if answer.Has("error") {
			return nil, fmt.Errorf("%s client, %s %s: %s", p.client.name, op, values.Get("name"), answer.Get("error"))
		}
		return answer, nil
	case <-p.proc.ended:
		return nil, fmt.Errorf("the %s program ended (%v):\n%s", p.client.name, p.proc.cmd.ProcessState, p.proc.out)
	case <-time.After(2 * time.Minute):
		return nil, fmt.Errorf("%s client, %s %s: no answer in two minutes", p.client.name, op, values.Get("name"))
	}
}

func (p *program) close() {
	p.in.Close() // the program ends at the end of its input
	select {
	case <-p.proc.ended:
	case <-time.After(5 * time.Second):
	}
	p.proc.kill()
}

// programOn gives a test the program on a client.
func programOn(t *testing.T, c client) *program {
	t.Helper()
	p, err := theLab.program(c)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last that the %s program said:\n%s", c.name, p.proc.out)
		}
	})
	return p
}

// form makes a line's content from names and values in turn.
func form(args ...any) url.Values {
	values := url.Values{}
	for i := 0; i+1 < len(args); i += 2 {
		value := args[i+1]
		if yes, ok := value.(bool); ok && yes {
			value = 1
		}
		values.Add(args[i].(string), fmt.Sprint(value))
	}
	return values
}

// A message is one that a client sent or received.
type message struct {
	topic      string
	queue      int
	offset     int64 // in the queue
	id         string
	offsetID   string
	keys, tags string
	size       int
	sum        string // SHA-256 of the body
	body       string // "" when the body is long
	stored     int64  // ms
	at         int64  // ms, arrival
	seq        int    // arrival, across all consumers of a program
	times      int    // how often it was tried before
	overlapped bool
	properties map[string]string
}

// lines takes apart the lines of one value.
func lines(value string) []string {
	if value == "" {
		return nil
	}
	return strings.Split(value, "\n")
}

func parseMessages(text string) ([]message, error) {
	var all []message
	for _, line := range lines(text) {
		f, err := url.ParseQuery(line)
		if err != nil {
			return nil, err
		}
		var bad error
		number := func(name string) int64 {
			if !f.Has(name) {
				return 0
			}
			n, err := strconv.ParseInt(f.Get(name), 10, 64)
			bad = errors.Join(bad, err)
			return n
		}
		m := message{
			topic: f.Get("topic"), queue: int(number("queue")), offset: number("offset"), id: f.Get("msgId"),
			offsetID: f.Get("offsetMsgId"), keys: f.Get("keys"), tags: f.Get("tags"), size: int(number("size")),
			sum: f.Get("sha256"), stored: number("stored"), at: number("at"), seq: int(number("seq")), times: int(number("times")),
			overlapped: f.Get("overlapped") == "1", properties: map[string]string{},
		}
		if m.keys == "" {
			m.keys = f.Get("key") // what a send says
		}
		body, err := base64.URLEncoding.DecodeString(f.Get("body"))
		bad = errors.Join(bad, err)
		m.body = string(body)
		for name := range f {
			if own, ok := strings.CutPrefix(name, "p."); ok {
				m.properties[own] = f.Get(name)
			}
		}
		if bad != nil {
			return nil, fmt.Errorf("cannot read the message %q: %w", line, bad)
		}
		all = append(all, m)
	}
	return all, nil
}
