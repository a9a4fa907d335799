package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

const testFileSize = 8192

// onBoth runs a test on the disk and on its twin in memory.
func onBoth(t *testing.T, test func(t *testing.T, fs FS, dir string)) {
	t.Parallel()
	t.Run("disk", func(t *testing.T) { t.Parallel(); test(t, Disk{}, filepath.Join(t.TempDir(), "log")) })
	t.Run("memory", func(t *testing.T) { t.Parallel(); test(t, NewMemory(), "/log") })
}

func newTestLog(t *testing.T, fs FS, dirs ...string) *Log {
	t.Helper()
	l := NewLog(fs, NewHandles(2), testFileSize, dirs...)
	if err := l.Load(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func fill(t *testing.T, l *Log, files int) {
	t.Helper()
	for i := range files {
		if _, err := l.WriteAt(bytes.Repeat([]byte{byte(i + 1)}, testFileSize), int64(i*testFileSize)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLog_ReadsBackWhatWasWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, fs FS, dir string) {
		l := newTestLog(t, fs, dir)
		fill(t, l, 5)
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		l.Close()
		l = newTestLog(t, fs, dir)
		if l.Start() != 0 || l.End() != 5*testFileSize || l.Len() != 5 {
			t.Fatalf("got files from %d to %d", l.Start(), l.End())
		}
		for i := range 5 {
			var b [10]byte
			if _, err := l.ReadAt(b[:], int64(i*testFileSize+100)); err != nil || b[0] != byte(i+1) || b[9] != byte(i+1) {
				t.Fatalf("file %d: got %v, %v", i, b, err)
			}
		}
		if open := l.handles.Open(); open > 2 {
			t.Errorf("%d files open, want 2", open)
		}
	})
}

func TestLog_RefusesPositionsOutside(t *testing.T) {
	onBoth(t, func(t *testing.T, fs FS, dir string) {
		l := newTestLog(t, fs, dir)
		fill(t, l, 2)
		var b [10]byte
		for _, off := range []int64{-1, testFileSize - 5, 2 * testFileSize, 1 << 40} {
			if _, err := l.ReadAt(b[:], off); !errors.Is(err, ErrOutside) {
				t.Errorf("read at %d: got %v", off, err)
			}
		}
		for _, off := range []int64{testFileSize - 5, 3 * testFileSize} {
			if _, err := l.WriteAt(b[:], off); !errors.Is(err, ErrOutside) {
				t.Errorf("write at %d: got %v", off, err)
			}
		}
	})
}

func TestLog_LoadsOnlyWholeFiles(t *testing.T) {
	onBoth(t, func(t *testing.T, fs FS, dir string) {
		l := newTestLog(t, fs, dir)
		fill(t, l, 3)
		l.Close()
		name := filepath.Join(dir, FileName(3*testFileSize))
		f, err := fs.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Load(); err != nil || l.Len() != 3 {
			t.Fatalf("with an empty last file: %d files, %v", l.Len(), err)
		}
		f.Close()
		if f, err = fs.Create(name); err != nil { // Load has removed it
			t.Fatal(err)
		}
		if err := f.Truncate(100); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := l.Load(); !errors.Is(err, ErrFileSize) {
			t.Errorf("with a short file: got %v", err)
		}
		if err := fs.Remove(name); err != nil {
			t.Fatal(err)
		}
		if err := fs.Remove(filepath.Join(dir, FileName(testFileSize))); err != nil {
			t.Fatal(err)
		}
		if err := l.Load(); err == nil {
			t.Error("with a gap: no error")
		}
	})
}

func TestLog_RotatesOverFolders(t *testing.T) {
	onBoth(t, func(t *testing.T, fs FS, dir string) {
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		l := newTestLog(t, fs, a, b)
		fill(t, l, 4)
		for i, dir := range []string{a, b, a, b} {
			f, err := fs.Open(filepath.Join(dir, FileName(int64(i*testFileSize))))
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		l.Avoid([]string{a})
		if err := l.Extend(4 * testFileSize); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Open(filepath.Join(b, FileName(4*testFileSize)))
		if err != nil {
			t.Fatal("an avoided folder got a file")
		}
		f.Close()
	})
}

func TestLog_IsWithoutGapsWhenThePowerIsCutWhileFilesGo(t *testing.T) {
	t.Parallel()
	memory := NewMemory()
	l := newTestLog(t, memory, "/a", "/b")
	fill(t, l, 4)
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.RemoveFirst(); err != nil {
			t.Fatal(err)
		}
	}
	if err := memory.SyncDir("/b"); err != nil { // its disk is the quicker one
		t.Fatal(err)
	}
	if l = newTestLog(t, memory.Crash(nil), "/a", "/b"); l.Len() != 2 {
		t.Errorf("%d files are left", l.Len())
	}
}

func TestLog_RemovesUnderReaders(t *testing.T) {
	onBoth(t, func(t *testing.T, fs FS, dir string) {
		l := newTestLog(t, fs, dir)
		fill(t, l, 8)
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				var b [64]byte
				for {
					for i := range 8 {
						_, err := l.ReadAt(b[:], int64(i*testFileSize+10))
						if err == nil && b[0] != byte(i+1) {
							t.Errorf("file %d: got %d", i, b[0])
						}
						if i == 6 && err != nil {
							return
						}
					}
				}
			})
		}
		for l.Len() > 1 {
			if err := l.RemoveFirst(); err != nil {
				t.Error(err)
				break
			}
		}
		readers.Wait()
		if l.Start() != 7*testFileSize {
			t.Errorf("log starts at %d", l.Start())
		}
		if err := l.RemoveFrom(0); err != nil || l.Len() != 0 || l.handles.Open() != 0 {
			t.Errorf("%d files, %d open, %v", l.Len(), l.handles.Open(), err)
		}
	})
}

func TestLog_ZeroesToTheEndOfAFile(t *testing.T) {
	onBoth(t, func(t *testing.T, fs FS, dir string) {
		l := newTestLog(t, fs, dir)
		fill(t, l, 2)
		if err := l.Zero(100); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, testFileSize)
		if _, err := l.ReadAt(b, 0); err != nil || b[99] != 1 || !bytes.Equal(b[100:], make([]byte, testFileSize-100)) {
			t.Errorf("got %d then %d, %v", b[99], b[100], err)
		}
		if _, err := l.ReadAt(b[:1], testFileSize); err != nil || b[0] != 2 {
			t.Errorf("the next file has %d, %v", b[0], err)
		}
	})
}

func TestFaults_FailAsInjected(t *testing.T) {
	t.Parallel()
	faults := &Faults{FS: NewMemory()}
	l := newTestLog(t, faults, "/log")
	fill(t, l, 1)
	faults.Inject(Fault{Op: OpWrite, Path: "/log/", After: 1, Times: 1, Short: 3, Err: syscall.EIO})
	for i, want := range []error{nil, syscall.EIO, nil} {
		if _, err := l.WriteAt([]byte("abcdef"), int64(i*100)); !errors.Is(err, want) {
			t.Errorf("write %d: got %v, want %v", i, err, want)
		}
	}
	var b [6]byte
	if _, err := l.ReadAt(b[:], 100); err != nil || string(b[:]) != "abc\x01\x01\x01" {
		t.Errorf("a short write left %q, %v", b, err)
	}
	faults.Inject(Fault{Op: OpSync, Err: syscall.EIO})
	if err := l.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: got %v", err)
	}
}

// A file whose sync failed is not synced again: the kernel has forgotten what it could not write.
func TestLog_SyncsAgainWhatItCouldNot(t *testing.T) {
	t.Parallel()
	for _, op := range []Op{OpSync, OpSyncDir} {
		memory := NewMemory()
		faults := &Faults{FS: memory}
		l := newTestLog(t, faults, "/log")
		fill(t, l, 2)
		faults.Inject(Fault{Op: op, Times: 1, Err: syscall.ENOSPC})
		if err := l.Sync(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%s: got %v", op, err)
		}
		if err := l.Sync(); op == OpSync {
			if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, ErrSync) {
				t.Errorf("%s again: got %v", op, err)
			}
			continue
		} else if err != nil {
			t.Fatalf("%s again: %v", op, err)
		}
		after := newTestLog(t, memory.Crash(nil), "/log")
		var b [1]byte
		if _, err := after.ReadAt(b[:], testFileSize); err != nil || b[0] != 2 {
			t.Errorf("%s: a power cut left %v, %v", op, b, err)
		}
	}
}

func TestHandles_TellASyncThatFailedBeforeAClose(t *testing.T) {
	t.Parallel()
	faults := &Faults{FS: NewMemory()}
	l := NewLog(faults, NewHandles(1), testFileSize, "/log")
	faults.Inject(Fault{Op: OpSync, Path: FileName(0), Times: 1, Err: syscall.EIO})
	fill(t, l, 5) // more than twice as many as may be open
	if err := l.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
	}
}

// A file that is being synced to be closed is not durable yet.
func TestLog_SyncWaitsForOneThatGoesOn(t *testing.T) {
	t.Parallel()
	faults := &Faults{FS: NewMemory()}
	l := NewLog(faults, NewHandles(1), testFileSize, "/log")
	hold := make(chan struct{})
	faults.Inject(Fault{Op: OpSync, Path: FileName(0), Times: 1, Err: syscall.EIO, Hold: hold})
	filled, synced := make(chan struct{}), make(chan error, 1)
	fill(t, l, 1)
	other := NewLog(faults, l.handles, testFileSize, "/other")
	go func() {
		defer close(filled)
		for i := range int64(3) { // more than twice as many as may be open
			_, _ = other.WriteAt([]byte{1}, i*testFileSize)
		}
	}()
	for begun := false; !begun; runtime.Gosched() {
		faults.mu.Lock()
		begun = faults.faults[0].seen > 0
		faults.mu.Unlock()
	}
	go func() { synced <- l.Sync() }()
	select {
	case err := <-synced:
		t.Errorf("got %v, though the file is not synced yet", err)
		synced <- err
	case <-time.After(50 * time.Millisecond):
	}
	close(hold)
	if err := <-synced; !errors.Is(err, ErrSync) {
		t.Errorf("got %v", err)
	}
	<-filled
}

func TestMemory_CrashLosesWhatWasNotSynced(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	check := func(what string, left *Memory, name, want string) {
		t.Helper()
		f, err := left.Open(name)
		if err != nil {
			if want != "" {
				t.Errorf("%s: %v", what, err)
			}
			return
		}
		size, _ := f.Size()
		b := make([]byte, size)
		_, _ = f.ReadAt(b, 0)
		if got := string(b); got != want {
			t.Errorf("%s: %s has %q, want %q", what, name, got, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(m.MkdirAll("/d"))
	f, err := m.Create("/d/f")
	must(err)
	_, err = f.WriteAt([]byte("one"), 0)
	must(err)
	check("nothing synced", m.Crash(nil), "/d/f", "")
	must(f.Sync())
	check("no name", m.Crash(nil), "/d/f", "")
	must(m.SyncDir("/d"))
	_, err = f.WriteAt([]byte("two"), 0)
	must(err)
	check("second write", m.Crash(nil), "/d/f", "one")
	check("still running", m, "/d/f", "two")
	must(m.Remove("/d/f"))
	check("removed", m.Crash(nil), "/d/f", "one")
	must(m.SyncDir("/d"))
	check("removed for good", m.Crash(nil), "/d/f", "")

	seen := map[string]bool{}
	f, err = m.Create("/d/g")
	must(err)
	must(f.Sync())
	must(m.SyncDir("/d"))
	_, err = f.WriteAt(bytes.Repeat([]byte("x"), 2*memoryPage), 0)
	must(err)
	for i := range 50 {
		left := m.Crash(rand.New(rand.NewPCG(uint64(i), 0)))
		if f, err := left.Open("/d/g"); err == nil {
			size, _ := f.Size()
			b := make([]byte, size)
			_, _ = f.ReadAt(b, 0)
			seen[fmt.Sprint(size, bytes.IndexByte(b, 0), bytes.IndexByte(b, 'x'))] = true
		}
	}
	if len(seen) < 4 {
		t.Errorf("chance left only %v", seen)
	}
}

func TestDisk_LocksOut(t *testing.T) {
	t.Parallel()
	for name, fs := range map[string]FS{"disk": Disk{}, "memory": NewMemory()} {
		path := filepath.Join(t.TempDir(), "lock")
		lock, err := fs.Lock(path)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := fs.Lock(path); !errors.Is(err, ErrLocked) {
			t.Errorf("%s: second lock: got %v", name, err)
		}
		if err := lock.Close(); err != nil {
			t.Error(name, err)
		}
		again, err := fs.Lock(path)
		if err != nil {
			t.Fatal(name, err)
		}
		again.Close()
	}
}

func TestUsage_IsKnownWhereServersRun(t *testing.T) {
	t.Parallel()
	use, err := Disk{}.Usage(t.TempDir())
	switch runtime.GOOS {
	case "linux", "darwin", "freebsd", "windows":
		if err != nil || use.Used <= 0 || use.Available < 0 || use.Ratio() <= 0 {
			t.Errorf("%+v, %v", use, err)
		}
		if _, err := (Disk{}).Usage(filepath.Join(t.TempDir(), "none")); err == nil {
			t.Error("a folder that is not there has a use")
		}
	}
}

func TestUsage_RatioRoundsUp(t *testing.T) {
	t.Parallel()
	check := func(u Usage, want float64) {
		t.Helper()
		if got := u.Ratio(); got != want {
			t.Errorf("%v: got %v, want %v", u, got, want)
		}
	}
	check(Usage{}, -1)
	check(Usage{Used: 1, Available: 99}, 0.01)
	check(Usage{Used: 901, Available: 99}, 0.91)
	check(Usage{Used: 900, Available: 100}, 0.90)
}

func TestLog_NeedsNoSyncOfAFileThatIsRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	faults := &Faults{FS: NewMemory()}
	l := newTestLog(t, faults, "/log")
	fill(t, l, 2)
	hold := make(chan struct{})
	faults.Inject(Fault{Op: OpSync, Path: FileName(0), Times: 1, Hold: hold})
	synced := make(chan error)
	go func() { synced <- l.Sync() }()
	inUse := func() bool {
		l.handles.mu.Lock()
		defer l.handles.mu.Unlock()
		return l.find(0).users > 0
	}
	for !inUse() {
		time.Sleep(time.Millisecond)
	}
	if err := l.RemoveFrom(1); err != nil {
		t.Fatal(err)
	}
	close(hold)
	if err := <-synced; err != nil {
		t.Error(err)
	}
}
