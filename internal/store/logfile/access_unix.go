//go:build unix

package logfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// MayWrite says why this process may not read and write a file, or make files in a folder. It tries nothing.
func MayWrite(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	mode := uint32(unix.R_OK | unix.W_OK)
	if st.IsDir() {
		mode |= unix.X_OK
	}
	return unix.Access(path, mode)
}
