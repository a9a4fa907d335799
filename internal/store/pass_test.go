package store

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// What is deleted stays deleted, or stays as it was, when there are too many open files.
func TestDeleteTopic_LeavesQueuesWholeThatItCannotDelete(t *testing.T) {
	t.Parallel()
	faults := &logfile.Faults{FS: logfile.NewMemory()}
	cfg := memoryConfig(t, faults)
	s := openTest(t, cfg)
	q := s.Queue("Topic", 0)
	for i := range 50 {
		putWait(t, s, Written, testPut(q, fmt.Sprint("old", i)))
	}
	awaitVisible(t, q, 50)
	check(t, s.flushBehind())
	q.units.idle()
	q.units.idle()
	for _, op := range []logfile.Op{logfile.OpList, logfile.OpRemove} {
		faults.Inject(logfile.Fault{Op: op, Path: "consumequeue/Topic", Err: syscall.EMFILE})
	}
	if err := s.DeleteTopic("Topic"); err == nil || q.MaxOffset() != 50 {
		t.Errorf("%v, and the queue ends at %d", err, q.MaxOffset())
	}
	faults.Heal()
	var want []string
	for i := range 3 {
		want = append(want, fmt.Sprint("new", i))
		putWait(t, s, Written, testPut(q, want[i]))
	}
	putWait(t, s, Written, testPut(s.Queue("Other", 0), "other"))
	awaitVisible(t, s.Queue("Other", 0), 1)
	check(t, s.flushBehind())
	wantBodies(t, bodies(t, s, q, 0), want)
	check(t, s.Close())
	s = openTest(t, cfg)
	wantBodies(t, bodies(t, s, s.Queue("Topic", 0), 0), want)
	check(t, s.Close())
}

// A sync that fails and may pass is made up for, though nobody used the queue meanwhile.
func TestConsumeQueue_KeepsFilesThatAreBeingSynced(t *testing.T) {
	t.Parallel()
	faults := &logfile.Faults{FS: logfile.NewMemory()}
	s := openTest(t, memoryConfig(t, faults))
	q := s.Queue("Topic", 0)
	putWait(t, s, Written, testPut(q, "one"))
	awaitVisible(t, q, 1)
	check(t, writeQueue(q.units))
	q.units.idle()
	hold := make(chan struct{})
	faults.Inject(logfile.Fault{Op: logfile.OpSyncDir, Path: "consumequeue/Topic", Err: syscall.EMFILE, Hold: hold})
	done := make(chan error)
	go func() { done <- q.units.flush() }()
	for syncing := false; !syncing; runtime.Gosched() {
		q.units.mu.Lock()
		syncing = q.units.syncing
		q.units.mu.Unlock()
	}
	q.units.idle()
	close(hold)
	if err := <-done; err == nil {
		t.Error("the sync succeeded")
	}
	faults.Heal()
	check(t, q.units.flush())
	check(t, s.Close())
}
