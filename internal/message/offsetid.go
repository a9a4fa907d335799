package message

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
)

const upperHex = "0123456789ABCDEF"

func appendHex(dst, src []byte) []byte {
	for _, b := range src {
		dst = append(dst, upperHex[b>>4], upperHex[b&15])
	}
	return dst
}

// AppendOffsetID appends the id that a send is answered with: upper-case hex of the store host's IP (4 or 16 bytes),
// its port (4) and the record's log offset (8), 32 or 56 characters.
func AppendOffsetID(dst []byte, host netip.AddrPort, logOffset int64) []byte {
	var buf [hostV6 + 8]byte
	b := appendHost(buf[:0], host)
	b = binary.BigEndian.AppendUint64(b, uint64(logOffset))
	return appendHex(dst, b)
}

// OffsetIDHost is the part of such an id that all records of one store host have in common; AppendOffsetIDOf appends an id
// given that part.
func OffsetIDHost(host netip.AddrPort) []byte {
	id := AppendOffsetID(nil, host, 0)
	return id[:len(id)-16]
}

// AppendOffsetIDOf appends the id of a record of the host whose part of the id is given.
func AppendOffsetIDOf(dst, host []byte, logOffset int64) []byte {
	dst = append(dst, host...)
	dst = binary.BigEndian.AppendUint64(dst, upperHexOf(uint32(logOffset>>32)))
	return binary.BigEndian.AppendUint64(dst, upperHexOf(uint32(logOffset)))
}

// upperHexOf is the eight digits of a number, all made at once: a batch's answer has an id for each of its messages.
func upperHexOf(n uint32) uint64 {
	const each = 0x0101010101010101
	d := uint64(n) // its digits are spread, one to a byte
	d = (d | d<<16) & 0x0000FFFF0000FFFF
	d = (d | d<<8) & 0x00FF00FF00FF00FF
	d = (d | d<<4) & 0x0F0F0F0F0F0F0F0F
	letters := (d + 6*each) >> 4 & each // 1 for A to F
	return d + '0'*each + letters*('A'-'0'-10)
}

// ParseOffsetID reads such an id, in either case.
func ParseOffsetID[T ~string | ~[]byte](id T) (host netip.AddrPort, logOffset int64, err error) {
	var buf [hostV6 + 8]byte
	if len(id) != 2*(hostV4+8) && len(id) != 2*(hostV6+8) {
		return host, 0, fmt.Errorf("message id of %d characters, not 32 or 56: %w", len(id), ErrDamaged)
	}
	b := buf[:len(id)/2]
	if _, err := hex.Decode(b, []byte(id)); err != nil {
		return host, 0, fmt.Errorf("message id %q is not hexadecimal: %w", string(id), ErrDamaged)
	}
	host = hostOf(b[:len(b)-8])
	logOffset = int64(binary.BigEndian.Uint64(b[len(b)-8:]))
	if logOffset < 0 {
		return host, 0, fmt.Errorf("message id %q with a negative offset: %w", string(id), ErrDamaged)
	}
	return host, logOffset, nil
}
