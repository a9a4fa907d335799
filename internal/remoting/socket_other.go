//go:build !unix

package remoting

const directIO = false

func (c *Conn) read() error {
	var in inbound
	defer in.release()
	return c.readStream(&in)
}

func writeFD(uintptr, []byte) (int, error) { panic("bug: no direct writes here") }

func (c *Conn) gone() bool { return false }

func isReset(error) bool { return false }
