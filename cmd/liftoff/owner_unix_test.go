//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestExplainOwner_SaysWhoseTheFolderIs(t *testing.T) {
	t.Parallel()
	dir, owner := "/", 0
	if os.Geteuid() == 0 {
		dir, owner = t.TempDir(), 65534
		if err := os.Chown(dir, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	check := func(err error, more string) {
		t.Helper()
		if got := explainOwner(err); got.Error() != err.Error()+more {
			t.Errorf("%v, want %q behind it", got, more)
		}
	}
	this := userName(os.Geteuid())
	check(fmt.Errorf("cannot lock: %w", &fs.PathError{Op: "open", Path: dir, Err: syscall.EACCES}), fmt.Sprintf("; it is of user %s, this runs as %s", userName(owner), this))
	inside := filepath.Join(dir, "none", "lock")
	check(&fs.PathError{Op: "open", Path: inside, Err: syscall.EACCES}, fmt.Sprintf("; the folder %s is of user %s, this runs as %s", dir, userName(owner), this))
	check(&fs.PathError{Op: "open", Path: inside, Err: syscall.EIO}, "")
	check(&fs.PathError{Op: "open", Path: os.Args[0], Err: syscall.EACCES}, "") // one's own
}
