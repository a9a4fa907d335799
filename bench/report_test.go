package main

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the expected output anew")

func sampleReport() *report {
	us := func(n int) time.Duration { return time.Duration(n) * time.Microsecond }
	r := &report{Date: "2026-01-02 03:04 UTC", Processor: "Some Processor @ 2.50GHz", Cores: 2, Kernel: "6.1.0", Go: "go1.26",
		Java: `openjdk version "17.0.15"`, Liftoff: "abc1234", Warmup: "30s", Round: "4s", Rounds: 3, Seconds: 812,
		Warnings: []string{"the stores lie in memory"}}
	add := func(scenario, title string, theirs, ours sample) {
		r.Rows = append(r.Rows, row{Scenario: scenario, Title: title, Server: "Apache", Median: theirs, Rounds: []sample{theirs}},
			row{Scenario: scenario, Title: title, Server: "Liftoff", Median: ours, Rounds: []sample{ours}})
	}
	add("send/128/JSON/16x4", "send, 128 B, JSON, 64 in flight on 4 conn",
		sample{Rate: 45120, P50: us(1210), P99: us(4100), P999: us(12000), Cost: 22.01, Others: 0.25},
		sample{Rate: 1410000, P50: us(120), P99: us(400), P999: us(2100), Cost: 1.12})
	add("quiet", "quiet, 3,000 msg/s, 8 long polls, end to end",
		sample{Rate: 3000, P50: us(1500), P99: us(38000), P999: us(121000), Cost: 290},
		sample{Rate: 3000, P50: us(150), P99: us(9000), P999: us(12000), Cost: 30})
	add("sync", "SYNC_FLUSH, 128 B, 1 in flight on 64 conn", sample{Rate: 5000, Cost: 50}, sample{Rate: 4500, Cost: 50.5})
	r.set("start", "start to first accepted message", unitSeconds, "Apache", 4.123)
	r.set("start", "start to first accepted message", unitSeconds, "Liftoff", 0.0854)
	r.set("idle", "idle, part of one core", unitPercent, "Apache", 8.21)
	r.set("idle", "idle, part of one core", unitPercent, "Liftoff", 0.7)
	r.set("memory-idle", "resident memory, idle", unitBytes, "Liftoff", 23.4e6)
	return r
}

func TestReport_PrintsATable(t *testing.T) {
	t.Parallel()
	r := sampleReport()
	got := r.text(r.judge())
	const file = "testdata/report.txt"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for line := range strings.Lines(got) {
		if n := len([]rune(line)); n > 121 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

func TestReport_JudgesOnlyWhatWasMeasured(t *testing.T) {
	t.Parallel()
	r := sampleReport()
	met := map[string]bool{}
	for _, v := range r.judge() {
		met[v.What] = v.Met
	}
	want := map[string]bool{
		"send/128/JSON/16x4, cost a message": true, "quiet, cost a message": true, "quiet, p99": false, "sync, rate": false,
		"sync, cost a message": false, "idle, part of one core": false, "resident memory when idle": true,
		"start to first accepted message": true,
	}
	if len(met) != len(want) {
		t.Errorf("judged %v", met)
	}
	for what, is := range want {
		if met[what] != is {
			t.Errorf("%s: met is %v", what, met[what])
		}
	}
}

func TestMedian_OfRounds(t *testing.T) {
	t.Parallel()
	check := func(want float64, of ...float64) {
		t.Helper()
		if got := median(of); got != want {
			t.Errorf("median of %v is %v, want %v", of, got, want)
		}
	}
	check(0)
	check(3, 3)
	check(2, 9, 1, 2)
	check(2.5, 9, 1, 2, 3)
	got := medianSample([]sample{{Cost: 1, P99: 30}, {Cost: 9, P99: 10}, {Cost: 2, P99: 20}})
	if got.Cost != 2 || got.P99 != 20 {
		t.Errorf("each number's median is taken by itself: got %+v", got)
	}
}

func TestShort_HasThreeDigits(t *testing.T) {
	t.Parallel()
	check := func(d time.Duration, want string) {
		t.Helper()
		if got := short(d); got != want {
			t.Errorf("%d ns is %q, want %q", d, got, want)
		}
	}
	check(999, "999ns")
	check(1234, "1.23µs")
	check(123456, "123µs")
	check(12345678, "12.3ms")
	check(1234567890, "1.23s")
	check(0, "0ns")
}

func TestThousands(t *testing.T) {
	t.Parallel()
	check := func(v float64, want string) {
		t.Helper()
		if got := thousands(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
	check(0, "0")
	check(999, "999")
	check(1000, "1,000")
	check(1234567.4, "1,234,567")
	check(-1234, "-1,234")
	check(-123, "-123")
}
