//go:build linux || darwin || freebsd

package logfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// Usage asks the partition. What is kept for the system may be in use, so that less than nothing is available.
func (Disk) Usage(dir string) (Usage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Usage{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	unit := int64(st.Bsize)
	return Usage{Used: int64(st.Blocks-st.Bfree) * unit, Available: max(int64(st.Bavail), 0) * unit}, nil
}
