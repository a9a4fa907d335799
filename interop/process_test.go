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
	"syscall"
	"time"
)

// A process is a server or a client program, the leader of a process group of its own.
type process struct {
	cmd   *exec.Cmd
	out   *output
	ended chan struct{} // closed when it has ended and been waited for
}

// An output keeps what a process says in a file and watches for one text in it.
type output struct {
	file *os.File

	mu     sync.Mutex // protects the fields below
	tail   []byte     // the last of what was said
	alarm  string     // what no server may ever say, if it did
	await  string
	spoken chan struct{} // closed when await was said
}

const (
	tailMax  = 8 << 10
	linesMax = 12
)

// startMax is how long a server may take to start: a JVM on a busy machine takes its time.
const startMax = 3 * time.Minute

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail = append(o.tail, p...)
	for _, alarm := range []string{"DATA RACE", "panic", "level=ERROR"} {
		if bytes.Contains(p, []byte(alarm)) {
			o.alarm = alarm
		}
	}
	if o.await != "" && bytes.Contains(o.tail, []byte(o.await)) {
		o.await = ""
		close(o.spoken)
	}
	o.tail = o.tail[max(0, len(o.tail)-tailMax):]
	return o.file.Write(p)
}

// String is the last lines, without Java's stack frames: who reads of a failure wants to see the failure, too.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var said []string
	for line := range strings.Lines(string(o.tail)) {
		if !strings.HasPrefix(line, "\tat ") {
			said = append(said, line)
		}
	}
	return strings.Join(said[max(0, len(said)-linesMax):], "")
}

// start starts a command; what it says on standard error, and on standard output unless the command has a place for that
// already, goes to dir/NAME.out.
func start(dir, name, await string, cmd *exec.Cmd) (*process, error) {
	file, err := os.OpenFile(filepath.Join(dir, name+".out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{}), out: &output{file: file, await: await, spoken: make(chan struct{})}}
	cmd.Dir = dir
	cmd.Stderr = p.out
	if cmd.Stdout == nil {
		cmd.Stdout = p.out
	}
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	go func() {
		defer close(p.ended)
		defer file.Close()
		cmd.Wait() // how it ended is in cmd.ProcessState
	}()
	return p, nil
}

// ready waits until the process has said what start was to await.
func (p *process) ready() error {
	select {
	case <-p.out.spoken:
		return nil
	case <-p.ended:
		return fmt.Errorf("%s ended (%v) before it was ready:\n%s", p.cmd.Path, p.cmd.ProcessState, p.out)
	case <-time.After(startMax):
		return fmt.Errorf("%s is not ready after %v:\n%s", p.cmd.Path, startMax, p.out)
	}
}

// stop asks the process to end, as an operator does, and waits for that.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(time.Minute):
		p.kill()
		return fmt.Errorf("%s had to be killed a minute after SIGTERM:\n%s", p.cmd.Path, p.out)
	}
}

// kill ends the process and its group at once and waits for that.
func (p *process) kill() {
	select {
	case <-p.ended:
		return
	default:
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended just now
	<-p.ended
}
