//go:build !race

package remoting

import (
	"syscall"
	"unsafe"
)

// onSocket reads or writes a socket. It does not tell Go's scheduler that it enters the kernel: it never waits there, and telling costs
// more than it gives. From a goroutine that has told, the processor is taken after 20 µs, which a write to a peer on the same machine takes,
// and must be got back.
func onSocket(call uintptr, fd int, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
