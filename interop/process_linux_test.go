package interop

import "syscall"

// ownGroup makes a process the leader of a group of its own, and lets it end when the tests are ended by force.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
