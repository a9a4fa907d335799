package logfile

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// PhysicalMemory is how much memory there is for the process in bytes: the machine's, or less in a container or service that may use less; 0 when
// unknown.
func PhysicalMemory() int64 {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 0
	}
	return min(int64(info.Totalram)*int64(info.Unit), memoryLimit("/"))
}

// memoryLimit is the least that the process's control groups, of version 2 and 1, may use of memory. In a container the group's own folder may
// be the root of those that are seen.
func memoryLimit(root string) int64 {
	limit := int64(math.MaxInt64)
	groups, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	for line := range strings.Lines(string(groups)) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, _ := strings.Cut(line, ":")
		top, file := filepath.Join(root, "sys/fs/cgroup"), "memory.max"
		switch controllers {
		case "memory":
			top, file = filepath.Join(top, "memory"), "memory.limit_in_bytes"
		case "":
		default:
			continue
		}
		for dir := filepath.Join("/", group); ; dir = filepath.Dir(dir) {
			text, _ := os.ReadFile(filepath.Join(top, dir, file))
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 { // else it is "max"
				limit = min(limit, n)
			}
			if dir == "/" {
				break
			}
		}
	}
	return limit
}
