//go:build unix

package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestBrokerDryRun_TellsThatTheStoreIsOfAnotherUser(t *testing.T) {
	t.Parallel()
	dir, file := closedStore(t)
	tmp := t.TempDir()
	program := filepath.Join(tmp, "liftoff") // the test's own lies where no other user may look
	data, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = errors.Join(os.WriteFile(program, data, 0o755), os.Chmod(filepath.Dir(tmp), 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		c := exec.Command(program, append([]string{"broker", "-c", file}, args...)...)
		c.Env = append(os.Environ(), "LIFTOFF_TEST_IS_LIFTOFF=1")
		c.Dir = "/"
		if os.Geteuid() == 0 { // who may do everything
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		out, err := c.CombinedOutput()
		if err == nil {
			t.Errorf("%v: it ends well", args)
		}
		return string(out)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chmod(path, st.Mode().Perm()&^0o222)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // or it cannot be removed
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error { return os.Chmod(path, 0o755) })
	})
	out := run("--dry-run")
	for _, want := range []string{"! cannot write to " + dir + ": permission denied", "files and folders more", "run the broker as the user", "would not start"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not told:\n%s", want, out)
		}
	}
	if out := run(); !strings.Contains(out, "permission denied") {
		t.Errorf("the start says\n%s", out)
	}
}
