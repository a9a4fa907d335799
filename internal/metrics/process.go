package metrics

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// started is when the process began to be measured.
var started = time.Now()

// addProcess adds what the Go runtime and the kernel say of this process, under the names that Prometheus' own libraries use.
func addProcess(s *Snapshot) {
	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(samples)
	for i, m := range []*Metric{&Goroutines, &HeapBytes, &GCCycles} {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			s.Add(m, float64(samples[i].Value.Uint64()))
		}
	}
	s.Add(&ProcessStart, float64(started.UnixMilli())/1000)
	s.Add(&BuildInfo, 1, "goversion", runtime.Version())
	if cpu, ok := processorTime(); ok {
		s.Add(&ProcessCPU, cpu.Seconds())
	}
	if data, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := strings.Fields(string(data)); len(f) > 1 {
			if pages, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				s.AddInt(&ProcessResident, pages*int64(os.Getpagesize()))
			}
		}
	}
	if dir, err := os.Open("/proc/self/fd"); err == nil {
		if names, err := dir.Readdirnames(-1); err == nil {
			s.AddInt(&ProcessFiles, int64(len(names)-1))
		}
		_ = dir.Close()
	}
}
