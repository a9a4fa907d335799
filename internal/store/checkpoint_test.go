package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

func TestGolden_CheckpointIsRead(t *testing.T) {
	t.Parallel()
	c, err := readCheckpoint(logfile.Disk{}, "testdata/golden/store/checkpoint")
	want := checkpoint{physicTime: 0x1a1fb72f297, logicsTime: 0x1a1fb72f297, logicsOffset: 0x28dea}
	if err != nil || c != want {
		t.Errorf("got %+v %v, want %+v", c, err, want)
	}
}

func TestCheckpoint_IsOursUntilApacheWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "checkpoint")
	read := func() checkpoint {
		t.Helper()
		c, err := readCheckpoint(logfile.Disk{}, path)
		check(t, err)
		return c
	}
	if c := read(); c != (checkpoint{}) {
		t.Errorf("no file: %+v", c)
	}
	check(t, os.WriteFile(path, nil, 0o644))
	if c := read(); c != (checkpoint{}) {
		t.Errorf("just made: %+v", c)
	}
	check(t, os.Remove(path))

	want := checkpoint{physicTime: 1, logicsTime: 2, indexTime: 3, masterFlushed: 4, confirmed: 5, logicsOffset: 6, ours: true}
	for range 2 {
		check(t, want.write(logfile.Disk{}, path))
		if c := read(); c != want {
			t.Errorf("got %+v, want %+v", c, want)
		}
		want.logicsOffset = 1 << 40
	}
	if st, err := os.Stat(path); err != nil || st.Size() != 4096 {
		t.Errorf("%v bytes, %v", st.Size(), err)
	}
	// Apache changes a field and leaves the rest.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	_, err = f.WriteAt([]byte{9}, 47)
	check(t, err)
	check(t, f.Close())
	if c := read(); c.ours || c.physicTime != 1 {
		t.Errorf("changed by another: %+v", c)
	}
}

func TestCheckpoint_RefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "checkpoint")
	for _, content := range [][]byte{make([]byte, 40), append(make([]byte, 40), 0xFF, 0, 0, 0, 0, 0, 0, 0)} {
		check(t, os.WriteFile(path, content, 0o644))
		if c, err := readCheckpoint(logfile.Disk{}, path); err == nil {
			t.Errorf("%d bytes: %+v", len(content), c)
		}
	}
}
