package logfile

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestPhysicalMemory_IsThatOfTheContainer(t *testing.T) {
	t.Parallel()
	check := func(want int64, files map[string]string) {
		t.Helper()
		root := t.TempDir()
		for name, text := range files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := memoryLimit(root); got != want {
			t.Errorf("%v: %d, want %d", files, got, want)
		}
	}
	const groups, v2, v1 = "proc/self/cgroup", "sys/fs/cgroup", "sys/fs/cgroup/memory"
	const two, one = "0::/a.slice/b.service\n", "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/\n"
	check(math.MaxInt64, nil)
	check(math.MaxInt64, map[string]string{groups: two, v2 + "/a.slice/b.service/memory.max": "max\n"})
	check(1<<30, map[string]string{groups: two, v2 + "/a.slice/b.service/memory.max": "1073741824\n", v2 + "/a.slice/memory.max": "max\n"})
	check(1<<20, map[string]string{groups: two, v2 + "/a.slice/b.service/memory.max": "1073741824\n", v2 + "/a.slice/memory.max": "1048576\n"})
	check(1<<30, map[string]string{groups: "0::/\n", v2 + "/memory.max": "1073741824\n"})
	check(1<<30, map[string]string{groups: one, v1 + "/docker/x/memory.limit_in_bytes": "1073741824\n", v1 + "/memory.limit_in_bytes": "9223372036854771712\n"})
	check(1<<20, map[string]string{groups: one, v1 + "/memory.limit_in_bytes": "1048576\n"})
	if n := PhysicalMemory(); n <= 0 || n > memoryLimit("/") {
		t.Errorf("here it is %d", n)
	}
}
