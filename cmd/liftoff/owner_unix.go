//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// explainOwner adds to an error of a file that may not be used whose it is, when it is another user's.
func explainOwner(err error) error {
	var at *fs.PathError
	if !errors.Is(err, fs.ErrPermission) || !errors.As(err, &at) {
		return err
	}
	what, path := "it", at.Path
	st, statErr := os.Stat(path)
	for statErr != nil && path != filepath.Dir(path) { // it could not be made, or not be looked at
		what, path = "the folder "+filepath.Dir(path), filepath.Dir(path)
		st, statErr = os.Stat(path)
	}
	if statErr != nil {
		return err
	}
	owner, ok := st.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return err
	}
	return fmt.Errorf("%w; %s is of user %s, this runs as %s", err, what, userName(int(owner.Uid)), userName(os.Geteuid()))
}

func userName(id int) string {
	if u, err := user.LookupId(strconv.Itoa(id)); err == nil {
		return u.Username
	}
	return strconv.Itoa(id)
}
