//go:build !linux

package remoting

import "sync"

// loop is not there: each connection has goroutines of its own.
type loop struct{}

type polled struct{ loop *loop }

func openLoops(Handler, *sync.WaitGroup) ([]*loop, error) { return nil, nil }

func (*loop) stop()                    {}
func (*loop) ring() bool               { return false }
func (*loop) adopt(*Conn) error        { panic("bug: there is no loop") }
func (*polled) dropLocked()            {}
func (*polled) shutdown()              {}
func (*polled) close()                 {}
func (*polled) isFull() bool           { return false }
func (*Conn) writeLocked(*outBuf, int) {}
func (*Conn) closeDeaf()               {}
