package message

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"
)

// A unique key is what the sending client names its message by (the property UNIQ_KEY, "msgId" to users):
//
//	 0      4 (16)   6 (18)     10 (22)          14 (26)     16 (28)
//	+------+--------+----------+----------------+-----------+
//	| IP   | pid 2B | hash 4B  | ms since the   | counter   |   upper-case hex: 32 (56) characters
//	|      |        |          | 1st, 00:00  4B | 2B        |
//	+------+--------+----------+----------------+-----------+
//
// The hash is any number that tells two clients of one process apart. The month is the client's local one.
const uniqFixed = 2 + 4 + 4 + 2

// UniqKey is the parts of a unique key.
type UniqKey struct {
	Addr    netip.Addr
	PID     uint16
	Hash    uint32
	InMonth time.Duration // since the first of some month, 00:00 where the client is
	Counter uint16
}

// ParseUniqKey reads a key that a Java-like client made; users may put any text there, which is an error here.
func ParseUniqKey[T ~string | ~[]byte](key T) (UniqKey, error) {
	var buf [16 + uniqFixed]byte
	if len(key) != 2*(4+uniqFixed) && len(key) != 2*(16+uniqFixed) {
		return UniqKey{}, fmt.Errorf("unique key of %d characters, not 32 or 56: %w", len(key), ErrDamaged)
	}
	b := buf[:len(key)/2]
	if _, err := hex.Decode(b, []byte(key)); err != nil {
		return UniqKey{}, fmt.Errorf("unique key %q is not hexadecimal: %w", string(key), ErrDamaged)
	}
	ip := len(b) - uniqFixed
	addr, _ := netip.AddrFromSlice(b[:ip])
	be := binary.BigEndian
	return UniqKey{
		Addr:    addr,
		PID:     be.Uint16(b[ip:]),
		Hash:    be.Uint32(b[ip+2:]),
		InMonth: time.Duration(be.Uint32(b[ip+6:])) * time.Millisecond,
		Counter: be.Uint16(b[ip+10:]),
	}, nil
}

// Born is about when the message was made: in the month of now, or in the one before if that would be later than now.
func (k UniqKey) Born(now time.Time) time.Time {
	t := monthOf(now).Add(k.InMonth)
	if t.After(now) {
		t = monthOf(monthOf(now).Add(-time.Hour)).Add(k.InMonth)
	}
	return t
}

func monthOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, t.Location())
}

// UniqKeys makes unique keys for one client. It may be used by many goroutines.
type UniqKeys struct {
	prefix  []byte // hex of all that does not change
	counter atomic.Uint32
}

// NewUniqKeys starts with the client's own address and whatever else tells it from others.
func NewUniqKeys(addr netip.Addr, pid uint16, hash uint32) *UniqKeys {
	var b []byte
	if isV6(addr) {
		ip := addr.As16()
		b = append(b, ip[:]...)
	} else if addr.IsValid() {
		ip := addr.Unmap().As4()
		b = append(b, ip[:]...)
	} else {
		b = append(b, 0, 0, 0, 0)
	}
	b = binary.BigEndian.AppendUint16(b, pid)
	b = binary.BigEndian.AppendUint32(b, hash)
	return &UniqKeys{prefix: appendHex(nil, b)}
}

// Append appends the next key. Two of one millisecond differ in the counter.
func (u *UniqKeys) Append(dst []byte, now time.Time) []byte {
	var b [6]byte
	binary.BigEndian.PutUint32(b[:], uint32(now.Sub(monthOf(now)).Milliseconds()))
	binary.BigEndian.PutUint16(b[4:], uint16(u.counter.Add(1)-1))
	return appendHex(append(dst, u.prefix...), b[:])
}
