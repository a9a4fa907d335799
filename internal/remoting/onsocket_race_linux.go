//go:build race

package remoting

import "syscall"

// onSocket reads or writes a socket, with the calls that the race detector knows: what comes before a write comes before the read of it.
func onSocket(call uintptr, fd int, b []byte) (n int, err error) {
	for {
		if call == fromSocket {
			n, err = syscall.Read(fd, b)
		} else {
			n, err = syscall.Write(fd, b)
		}
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}
