package remoting

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// What a HAProxy PROXY header begins with, of version 1 and 2.
const (
	proxyV1 = "PROXY "
	proxyV2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// proxyLineMax is the longest line of version 1 that Apache reads, without its end.
const proxyLineMax = 108

// readProxyHeader reads the PROXY header that a load balancer has put before the first frame, if there is one, and returns the address of
// the client that it tells of. It is nil when it tells of none: of the balancer's own health checks, or of a client that came over no IP.
func readProxyHeader(r *bufio.Reader) (*net.TCPAddr, error) {
	var from netip.AddrPort
	begins, err := beginsProxyHeader(r)
	switch {
	case begins == proxyV1:
		from, err = readProxyLine(r)
	case begins == proxyV2:
		from, err = readProxyBlock(r)
	}
	switch {
	case isTimeout(err):
		return nil, fmt.Errorf("cannot read PROXY header: it is not complete after %v", greetTimeout)
	case err != nil:
		return nil, fmt.Errorf("cannot read PROXY header: %w", err)
	case from.Port() == 0:
		return nil, nil
	}
	return net.TCPAddrFromAddrPort(from), nil
}

// beginsProxyHeader returns what a header begins with, if there is one. An error is that not enough came in time.
func beginsProxyHeader(r *bufio.Reader) (string, error) {
	first, err := r.Peek(1)
	if err != nil {
		return "", nil
	}
	for _, begins := range []string{proxyV1, proxyV2} {
		if first[0] != begins[0] {
			continue
		}
		b, err := r.Peek(len(begins))
		switch {
		case isTimeout(err):
			return "", err
		case err == nil && string(b) == begins:
			return begins, nil
		}
	}
	return "", nil
}

// readProxyLine reads version 1: PROXY TCP4 <client> <server> <client's port> <server's port>.
func readProxyLine(r *bufio.Reader) (from netip.AddrPort, err error) {
	raw, err := proxyLine(r)
	line, ends := strings.CutSuffix(string(raw), "\r\n")
	if len(line) > proxyLineMax || err == nil && !ends {
		return from, fmt.Errorf("its line %q does not end with \\r\\n within %d bytes", line[:min(len(line), proxyLineMax)], proxyLineMax)
	} else if err != nil {
		return from, err
	}
	f := strings.Split(line, " ")
	is := netip.Addr.Is4
	switch f[1] {
	case "UNKNOWN":
		return from, nil
	case "TCP6":
		is = netip.Addr.Is6
	case "TCP4":
	default:
		return from, fmt.Errorf("%q in %q is neither TCP4, TCP6 nor UNKNOWN", f[1], line)
	}
	if len(f) != 6 {
		return from, fmt.Errorf("%q has %d words instead of 6", line, len(f))
	}
	var pair [2]netip.AddrPort // client and server
	for i := range pair {
		a, err := netip.ParseAddr(f[2+i])
		if err != nil || !is(a) {
			return from, fmt.Errorf("%q in %q is no address of %s", f[2+i], line, f[1])
		}
		port, err := strconv.ParseUint(f[4+i], 10, 16)
		if err != nil || port == 0 {
			return from, fmt.Errorf("%q in %q is no port", f[4+i], line)
		}
		pair[i] = netip.AddrPortFrom(a, uint16(port))
	}
	return pair[0], nil
}

// proxyLine takes a line off r, or as much as shows that it is too long: who sends no more must not hold the connection.
func proxyLine(r *bufio.Reader) ([]byte, error) {
	for {
		b, _ := r.Peek(r.Buffered())
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			_, err := r.Discard(i + 1)
			return b[:i+1], err
		}
		if len(b) > proxyLineMax+len("\r\n") {
			return b, nil
		}
		if _, err := r.Peek(len(b) + 1); err != nil {
			return b, err
		}
	}
}

// readProxyBlock reads version 2.
//
//	12 bytes that tell it | version 2 and command, 4 bits each | address family and transport, 4 bits each | length 2
//	the client's address, the server's, their ports of 2 bytes | what Apache calls TLVs, up to the length
func readProxyBlock(r *bufio.Reader) (from netip.AddrPort, err error) {
	var head [len(proxyV2) + 4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return from, err
	}
	version, kind, length := head[12], head[13], int(binary.BigEndian.Uint16(head[14:]))
	switch version {
	case 0x20: // LOCAL: the balancer itself, whatever follows
		_, err = r.Discard(length)
		return from, err
	case 0x21:
	default:
		return from, fmt.Errorf("version and command are 0x%02x; known are 0x20 (LOCAL) and 0x21 (PROXY)", version)
	}
	size, need := 0, 0 // of an address, and of everything
	switch kind {
	case 0x00: // unspecified
	case 0x11, 0x12:
		size, need = 4, 12
	case 0x21, 0x22:
		size, need = 16, 36
	case 0x31, 0x32: // sockets of one host
		need = 216
	default:
		return from, fmt.Errorf("address family and transport 0x%02x are not known", kind)
	}
	if length < need {
		return from, fmt.Errorf("its length of %d bytes is below %d, which addresses of kind 0x%02x have", length, need, kind)
	}
	if size > 0 {
		var block [36]byte
		if _, err := io.ReadFull(r, block[:need]); err != nil {
			return from, err
		}
		addr, _ := netip.AddrFromSlice(block[:size])
		from = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(block[2*size:]))
		length -= need
	}
	_, err = r.Discard(length)
	return from, err
}
