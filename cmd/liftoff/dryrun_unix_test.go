//go:build unix

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestBrokerDryRun_TellsThatTheStoreIsOfAnotherUser(t *testing.T) {
	t.Parallel()
	dir, file := closedStore(t)
	run := asAnotherUser(t)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
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
	out := run("broker", "-c", file, "--dry-run")
	for _, want := range []string{"! cannot write to " + dir + ": permission denied", "files and folders more", "run the broker as the user", "would not start"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not told:\n%s", want, out)
		}
	}
	if out := run("broker", "-c", file); !strings.Contains(out, "permission denied") {
		t.Errorf("the start says\n%s", out)
	}
}

// asAnotherUser gives what runs this program as a user who may not do everything, and returns what it says. It must not end well.
func asAnotherUser(t *testing.T) func(args ...string) string {
	t.Helper()
	tmp := t.TempDir()
	program := filepath.Join(tmp, "liftoff") // the test's own lies where no other user may look
	data, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = errors.Join(os.WriteFile(program, data, 0o755), os.Chmod(filepath.Dir(tmp), 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c := exec.CommandContext(ctx, program, args...)
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
}

// Hours later offsets would be lost, or the next file of the log could not be made.
func TestBroker_RefusesAStoreWithAFolderThatItCannotWriteTo(t *testing.T) {
	t.Parallel()
	dir, file := closedStore(t)
	run := asAnotherUser(t)
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chmod(path, 0o777))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"config", "commitlog"} {
		path := filepath.Join(dir, folder)
		if err := os.Chmod(path, 0o555); err != nil {
			t.Fatal(err)
		}
		if out := run("broker", "-c", file); !strings.Contains(out, "cannot write to the store: make files in "+path+": permission denied") {
			t.Errorf("with %s the start says\n%s", folder, out)
		}
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
}
