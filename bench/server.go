//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const brokerName = "broker-a"

// A server is one side of the comparison while it runs: a NameServer and a broker, in one process or in two.
type server struct {
	name      string // as the table shows it
	addr      string // the broker's
	dir       string
	processes []*process
}

type process struct {
	cmd    *exec.Cmd
	output string // file with what it printed
	ended  chan struct{}
}

// ports is what a broker and its NameServer listen on. A broker also takes listenPort-2 and listenPort+1.
type ports struct{ namesrv, broker int }

func freePorts() (ports, error) {
	for range 100 {
		var held []net.Listener
		listen := func(port int) int {
			l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
			if err != nil {
				return 0
			}
			held = append(held, l)
			return l.Addr().(*net.TCPAddr).Port
		}
		namesrv, broker := listen(0), listen(0)
		free := namesrv > 0 && broker > 2 && broker < 65535 && listen(broker-2) > 0 && listen(broker+1) > 0
		for _, l := range held {
			l.Close()
		}
		if free {
			return ports{namesrv, broker}, nil
		}
	}
	return ports{}, errors.New("cannot find free ports for a broker (it wants three: p, p-2, p+1)")
}

// writeProperties writes the broker's configuration: the same text for both servers, all else their defaults but that they filter by SQL.
func writeProperties(dir string, p ports, extra ...string) (string, error) {
	lines := append([]string{
		"brokerClusterName=DefaultCluster", "brokerName=" + brokerName, "brokerId=0", "brokerIP1=127.0.0.1",
		fmt.Sprintf("namesrvAddr=127.0.0.1:%d", p.namesrv), fmt.Sprintf("listenPort=%d", p.broker),
		"storePathRootDir=" + filepath.Join(dir, "store"), "enablePropertyFilter=true",
	}, extra...)
	path := filepath.Join(dir, "broker.properties")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("cannot write the broker's properties: %w", err)
	}
	return path, nil
}

// start runs a program in the server's directory. It dies with the generator, however that ends.
func (s *server) start(what string, env []string, command string, args ...string) error {
	path := filepath.Join(s.dir, what+".out")
	output, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("cannot keep the output of %s: %w", what, err)
	}
	defer output.Close()
	p := &process{cmd: exec.Command(command, args...), output: path, ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = s.dir, output, output
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("cannot start %s of %s: %w", what, s.name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is seen in its output
	}()
	s.processes = append(s.processes, p)
	return nil
}

// firstAccepted sends to a server that has just been started until a message is accepted, and returns how long that
// took since begun. The topic does not exist: the broker makes it from TBW102, as it does by default.
func (s *server) firstAccepted(begun time.Time) (time.Duration, error) {
	properties := joinProperties("UNIQ_KEY", strings.Repeat("0", uniqueKeyLen), "WAIT", "true")
	last := errors.New("nothing tried")
	for time.Since(begun) < 90*time.Second {
		for _, p := range s.processes {
			select {
			case <-p.ended:
				return 0, fmt.Errorf("cannot start %s, a process ended; its last words:\n%s", s.name, tail(p.output))
			default:
			}
		}
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			var a answer
			born := strconv.FormatInt(time.Now().UnixMilli(), 10)
			a, err = exchange(c, request{code: codeSend, fields: sendFields("BenchStart", "BenchStart", 0, born, properties, false),
				body: []byte("first")}, 2*time.Second)
			c.Close()
			if err == nil && a.code == answerOK {
				return time.Since(begun), nil
			}
			if err == nil {
				err = fmt.Errorf("it answers %d %q", a.code, a.remark())
			}
		}
		last = err
		time.Sleep(time.Millisecond)
	}
	return 0, fmt.Errorf("cannot start %s: no message accepted within 90 s: %w\n%s", s.name, last,
		tail(s.processes[len(s.processes)-1].output))
}

func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data[max(len(data)-2000, 0):])
}

// pause stops the server's processes where they are, so that it takes nothing from the other one; resume lets them go on.
func (s *server) pause()  { s.signal(syscall.SIGSTOP) }
func (s *server) resume() { s.signal(syscall.SIGCONT) }

func (s *server) signal(sig syscall.Signal) {
	for _, p := range s.processes {
		_ = p.cmd.Process.Signal(sig) // when it has ended, the next use says so
	}
}

// stop kills the processes and removes their files: nobody needs a store in order.
func (s *server) stop() {
	s.signal(syscall.SIGKILL)
	for _, p := range s.processes {
		<-p.ended
	}
	_ = os.RemoveAll(s.dir) // it lies in the run's own directory, which is removed as well
}

// cpu is the processor time that all threads of the server have taken, ended ones too, from the kernel's nanosecond
// clock of each process.
func (s *server) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, p := range s.processes {
		d, err := processCPU(p.cmd.Process.Pid)
		if err != nil {
			return 0, fmt.Errorf("cannot read the processor time of %s: %w\n%s", s.name, err, tail(p.output))
		}
		sum += d
	}
	return sum, nil
}

func processCPU(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED: what the scheduler counted, not ticks
	clockID := ^pid<<3 | scheduled
	var ts syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, uintptr(clockID), uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0, errno
	}
	return time.Duration(ts.Nano()), nil
}

// memory is what a server keeps resident.
type memory struct {
	Resident  int64 `json:"resident_bytes"`  // everything, mapped files too
	Anonymous int64 `json:"anonymous_bytes"` // without mapped files: heap, stacks
}

func (s *server) memory() (memory, error) {
	var m memory
	for _, p := range s.processes {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		if err != nil {
			return m, fmt.Errorf("cannot read the memory of %s: %w", s.name, err)
		}
		m.Resident += statusBytes(status, "VmRSS:")
		m.Anonymous += statusBytes(status, "RssAnon:")
	}
	return m, nil
}

func statusBytes(status []byte, key string) int64 {
	_, rest, ok := bytes.Cut(status, []byte("\n"+key))
	if !ok {
		return 0
	}
	words := bytes.Fields(rest)
	if len(words) == 0 {
		return 0
	}
	kilobytes, _ := strconv.ParseInt(string(words[0]), 10, 64) // 0 shows as unknown
	return kilobytes << 10
}

// machineBusy is the processor time that everything on this machine has taken.
func machineBusy() time.Duration {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	var ticks int64
	for i, word := range bytes.Fields(line) {
		switch i {
		case 1, 2, 3, 6, 7, 8: // user, nice, system, irq, softirq, steal
			n, _ := strconv.ParseInt(string(word), 10, 64)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// ownCPU is the generator's own processor time.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
