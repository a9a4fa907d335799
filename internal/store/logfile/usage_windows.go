package logfile

import (
	"os"

	"golang.org/x/sys/windows"
)

// Usage asks the volume. Its size is what a quota leaves to this user.
func (Disk) Usage(dir string) (Usage, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return Usage{}, &os.PathError{Op: "GetDiskFreeSpaceEx", Path: dir, Err: err}
	}
	var available, size uint64
	if err := windows.GetDiskFreeSpaceEx(name, &available, &size, nil); err != nil {
		return Usage{}, &os.PathError{Op: "GetDiskFreeSpaceEx", Path: dir, Err: err}
	}
	return Usage{Used: int64(size - min(size, available)), Available: int64(available)}, nil
}
