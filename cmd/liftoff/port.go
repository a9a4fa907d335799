package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/liftoffmq/liftoff/internal/store"
)

// explainOpen adds to an error of opening a daemon what can be done about it.
func explainOpen(err error, setting string) error {
	return explainLock(explainOwner(explainListen(err, setting)))
}

// explainLock adds to the error that a broker runs on a store which one, and what can be done about it.
func explainLock(err error) error {
	var locked *store.Locked
	if !errors.As(err, &locked) {
		return err
	}
	who := "that broker"
	if path, err := filepath.Abs(locked.File); err == nil {
		if name := fileHolder("/proc", path); name != "" {
			who = name
		}
	}
	return fmt.Errorf("%w; end %s, or give each broker a store of its own with storePathRootDir, or --data", err, who)
}

// explainListen adds to an error of listening what can be done about it.
func explainListen(err error, setting string) error {
	var op *net.OpError
	switch {
	case err == nil || !errors.As(err, &op):
		return err
	case errors.Is(err, syscall.EADDRINUSE):
		do := "end it, or choose"
		who := "some other program, perhaps a RocketMQ that is still running,"
		if addr, ok := op.Addr.(*net.TCPAddr); ok {
			if name := portHolder("/proc", addr.Port); name != "" {
				who = name
			}
			if strings.HasSuffix(who, ownPort) {
				do = "choose"
			}
		}
		return fmt.Errorf("%w: %s has that port; %s another port with %s", err, who, do, setting)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: it is not an address of this host; choose another with bindAddress, or --bind", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: this user may not listen on that port; choose another with %s", err, setting)
	}
	return err
}

// portHolder names the process that listens on a port, where /proc tells and the process is one of this user; else nothing.
func portHolder(proc string, port int) string {
	inodes := make(map[string]bool)
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		data, err := os.ReadFile(filepath.Join(proc, table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	return holder(proc, func(_ int, file string) bool { return inodes[file] })
}

// ownPort is said of a port that this process has.
const ownPort = ", this server itself with its other daemon or its second port,"

// fileHolder names another process that has a file open, the same way.
func fileHolder(proc, path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return holder(proc, func(pid int, file string) bool { return pid != os.Getpid() && file == path })
}

// holder names the first process that has what is asked for open: a file, or a socket as "socket:[inode]".
func holder(proc string, has func(pid int, file string) bool) string {
	links, _ := filepath.Glob(filepath.Join(proc, "[0-9]*/fd/*"))
	for _, link := range links {
		process := filepath.Dir(filepath.Dir(link))
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			continue
		}
		if file, err := os.Readlink(link); err != nil || !has(pid, file) {
			continue
		}
		who := fmt.Sprintf("%s (process %d)", commandName(process), pid)
		if pid == os.Getpid() {
			who += ownPort
		}
		return who
	}
	return ""
}

// commandName is what a process was started as; of Java, the class.
func commandName(process string) string {
	line, err := os.ReadFile(filepath.Join(process, "cmdline"))
	args := strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
	if err != nil || args[0] == "" {
		return "a program"
	}
	name := filepath.Base(args[0])
	for _, arg := range args[1:] {
		if name == "java" && strings.HasPrefix(arg, "org.apache.rocketmq.") {
			return "java " + arg[strings.LastIndexByte(arg, '.')+1:]
		}
	}
	return name
}
