//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// buildLiftoff builds the program of this module, as it lies there, and returns its path.
func buildLiftoff(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "liftoff")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/liftoffmq/liftoff/cmd/liftoff")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build Liftoff: %w\n%s", err, output)
	}
	return program, nil
}

// startLiftoff starts NameServer and broker, in one process, and returns how long the first message took.
func startLiftoff(program, dir string, extra ...string) (*server, time.Duration, error) {
	p, err := freePorts()
	if err != nil {
		return nil, 0, err
	}
	properties, err := writeProperties(dir, p, extra...)
	if err != nil {
		return nil, 0, err
	}
	s := &server{name: "Liftoff", addr: "127.0.0.1:" + strconv.Itoa(p.broker), dir: dir}
	begun := time.Now()
	err = s.start("server", nil, program, "server", "-c", properties, "--namesrv-port", strconv.Itoa(p.namesrv))
	var took time.Duration
	if err == nil {
		took, err = s.firstAccepted(begun)
	}
	if err != nil {
		s.stop()
		return nil, 0, err
	}
	return s, took, nil
}

// liftoffVersion is the commit that the program was built from, marked when there are changes on top of it.
func liftoffVersion(ctx context.Context) string {
	output, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--tags").Output()
	if err != nil {
		return "(unknown commit)"
	}
	return strings.TrimSpace(string(output))
}
