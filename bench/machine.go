//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// describeMachine notes what a reader of the numbers has to know about where they come from.
func (r *report) describeMachine(dir string, o options) {
	r.Date = time.Now().UTC().Format("2006-01-02 15:04 UTC")
	r.Cores = runtime.NumCPU()
	r.Go = runtime.Version()
	r.Warmup, r.Round, r.Rounds = o.warmup.String(), o.time.String(), o.rounds
	r.Processor = "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := bytes.Cut(info, []byte("model name")); ok {
			line, _, _ := bytes.Cut(rest, []byte("\n"))
			r.Processor = strings.Trim(string(line), "\t :")
		}
	}
	var name syscall.Utsname
	if err := syscall.Uname(&name); err == nil {
		var release []byte
		for _, c := range name.Release {
			if c == 0 {
				break
			}
			release = append(release, byte(c))
		}
		r.Kernel = string(release)
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err == nil {
		const tmpfs = 0x01021994
		if fs.Type == tmpfs {
			r.Warnings = append(r.Warnings, "the stores lie in memory (tmpfs): SYNC_FLUSH says nothing here; use --dir")
		}
		if free := int64(fs.Bavail) * fs.Bsize; free < diskWanted {
			r.Warnings = append(r.Warnings, fmt.Sprintf("only %s free for the stores; the full run wants %s: use --dir",
				unitBytes.format(float64(free)), unitBytes.format(diskWanted)))
		}
		if used := 1 - float64(fs.Bavail)/float64(fs.Blocks); used > 0.85 {
			r.Warnings = append(r.Warnings, fmt.Sprintf("the stores' disk is %.0f %% full: brokers refuse messages near 90 %%", 100*used))
		}
	}
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		var load float64
		if _, err := fmt.Sscan(string(data), &load); err == nil && load > 0.5*float64(r.Cores) {
			r.Warnings = append(r.Warnings, fmt.Sprintf("the machine was not quiet at the start: load %.1f on %d cores", load, r.Cores))
		}
	}
	for _, w := range r.Warnings {
		say("warning: %s", w)
	}
}

const diskWanted = 20e9

// roundMemory is what the files of a round's messages fill, and some more.
const roundMemory = 3 << 29

// warmMemory fills a file and removes it, so that the next pages that files need are among those that this machine has already. Where it
// is virtual, its host may have to give it the others first: some 13 µs a page instead of 1, and the faster server, which fills more pages
// in a round, would pay for most of them.
func warmMemory(dir string) error {
	f, err := os.CreateTemp(dir, "memory-")
	if err != nil {
		return fmt.Errorf("cannot make a file to have memory ready for the page cache: %w", err)
	}
	block := make([]byte, 1<<20)
	for at := 0; at < roundMemory && err == nil; at += len(block) {
		_, err = f.Write(block)
	}
	if errors.Is(err, syscall.ENOSPC) { // as much as there is will do
		err = nil
	}
	if err = errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
		return fmt.Errorf("cannot fill a file to have memory ready for the page cache: %w", err)
	}
	return nil
}
