package timer

import (
	"errors"
	"slices"
	"testing"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// While nobody takes, a message that is late already gets the slot of its time: the checkpoint must not be behind that.
func TestFlush_KeepsWhatComesLate(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	w := open(t, cfg)
	for n, due := range []int64{now + 1000, now - 3000, now - 5000} {
		add(t, w, entry(int64(n), due))
		w.Reached(int64(n) + 1)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	again := cfg
	again.FS = cfg.FS.(*logfile.Memory).Kill()
	_, got := drain(t, open(t, again), now+10_000, 3)
	equal(t, "after a kill", got, 2, 1, 0)
}

// What was delivered while Flush made the messages durable may be lost with the power: the durable checkpoint must not say that it was.
func TestFlush_MakesDurableOnlyWhatWasDeliveredBefore(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t)
	clock := now
	cfg.clock = func() int64 { return clock }
	var w *Timer
	deliver := func() {}
	var failed error
	cfg.Sync = func() error {
		deliver()
		return failed
	}
	w = open(t, cfg)
	add(t, w, entry(1, now+1000), entry(2, now+2000), entry(3, now+3000))
	left := func() []int64 {
		t.Helper()
		again := cfg
		again.FS, again.Sync = cfg.FS.(*logfile.Memory).Crash(nil), nil
		_, got := drain(t, open(t, again), now+200_000, 3)
		return got
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	clock = now + 2000
	if _, got := drain(t, w, clock, 3); !slices.Equal(got, []int64{1}) {
		t.Fatal(got)
	}
	failed = errors.New("not durable")
	if err := w.Flush(); !errors.Is(err, failed) {
		t.Error(err)
	}
	if got := left(); !slices.Equal(got, []int64{1, 2, 3}) {
		t.Errorf("before its delivery is durable: got %v", got)
	}
	failed = nil
	deliver = func() {
		clock = now + 3000
		if _, got := drain(t, w, clock, 3); !slices.Equal(got, []int64{2}) {
			t.Error(got)
		}
		deliver = func() {}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := left(); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("after one delivery is durable: got %v", got)
	}
	again := cfg
	again.FS, again.Sync = cfg.FS.(*logfile.Memory).Kill(), nil
	if _, got := drain(t, open(t, again), now+200_000, 3); !slices.Equal(got, []int64{3}) {
		t.Errorf("after a kill: got %v", got)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := left(); !slices.Equal(got, []int64{3}) {
		t.Errorf("after both are durable: got %v", got)
	}
}
