package logfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestDisk_FolderIsNotThereUntilItsNameIsDurable runs itself once more, in a process that may open no more files.
func TestDisk_FolderIsNotThereUntilItsNameIsDurable(t *testing.T) {
	const name = "LIFTOFF_TEST_FOLDER"
	dir := os.Getenv(name)
	if dir == "" {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
		c.Env = append(os.Environ(), name+"="+filepath.Join(t.TempDir(), "a", "b"))
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := (Disk{}).SyncDir(os.TempDir()); err != nil { // Go takes what it needs for itself
		t.Fatal(err)
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	few := was
	few.Cur = 40
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	var last int
	for {
		fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY, 0)
		if err != nil {
			break
		}
		last = fd
	}
	for range 2 {
		if err := (Disk{}).MkdirAll(dir); !IsOutOfFiles(err) {
			t.Errorf("without descriptors: %v", err)
		}
		if _, err := os.Stat(filepath.Dir(dir)); !os.IsNotExist(err) {
			t.Errorf("a folder is there whose name is not durable: %v", err)
		}
	}
	if err := syscall.Close(last); err != nil {
		t.Fatal(err)
	}
	if err := (Disk{}).MkdirAll(dir); err != nil {
		t.Errorf("with one: %v", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Error(err)
	}
}

func TestReserve_TakesSpaceThatIsNoData(t *testing.T) {
	t.Parallel()
	file, err := Disk{}.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	if err := file.Reserve(0, 1<<20); err != nil {
		t.Fatal(err)
	}
	st, err := file.(diskFile).f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if blocks := st.Sys().(*syscall.Stat_t).Blocks; blocks == 0 {
		t.Skip("this file system takes no space ahead")
	}
	// Recovery asks it where the log's data end.
	if next, err := file.NextData(0, 1<<20); err != nil || next != 1<<20 {
		t.Errorf("data at %d, %v", next, err)
	}
}
