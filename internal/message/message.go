package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
)

// A record is one message as it lies in the commit log and as a pull answers it.
//
//	 0         4         8         12        16        20              28              36
//	+---------+---------+---------+---------+---------+---------------+---------------+
//	| size 4B | magic 4B| body CRC| queue id| flag 4B | queue offset 8| log offset 8B |
//	+---------+---------+---------+---------+---------+---------------+---------------+
//	 36        40              48             48+b            56+b          56+b+s
//	+---------+---------------+--------------+---------------+-------------+
//	| sysFlag | born time 8B  | born host b  | store time 8B | store host s|
//	+---------+---------------+--------------+---------------+-------------+
//	 56+b+s      60+b+s         68+b+s
//	+-----------+--------------+-----------+------+--------------+-------+----------+------------+
//	| reconsume | prepared tx  | body len 4| body | topic len t  | topic | props 2B | properties |
//	| times 4B  | offset 8B    |           |      | v1: 1B v2: 2B|       | len      |            |
//	+-----------+--------------+-----------+------+--------------+-------+----------+------------+
//
// Big-endian, lengths signed, times in ms since 1970. A host is 4 bytes of IPv4 or 16 of IPv6 and a 4-byte port; the two
// V6 bits of sysFlag say which. Body CRC is CRC-32 (IEEE) with the top bit cleared. Version 2 is written only for a topic
// longer than 127 bytes. With enabledAppendPropCRC, or when they hold a zero byte, the properties end in a CRC of all bytes before it, 20 bytes:
// __CRC32# 0x01, ten digits, the last digit first, 0x02.
//
// Where the next record does not fit into a file, the rest of it is one blank: size 4B (all that is left), magicBlank.
const (
	magicV1    = 0xDAA320A7
	magicV2    = 0xDAA320AB
	magicBlank = 0xCBD43194

	atMagic       = 4
	atBodyCRC     = 8
	atQueueID     = 12
	atFlag        = 16
	atQueueOffset = 20
	atLogOffset   = 28
	atSysFlag     = 36
	atBornTime    = 40
	atBornHost    = 48

	hostV4, hostV6 = 8, 20
	fixedSize      = 91 // IPv4 hosts, version 1, nothing in it
	crcSize        = len(PropCRC32) + 1 + 10 + 1
	crcMask        = 0x7FFFFFFF
	maxTopicV1     = 127
)

// BlankSize is what a blank takes at least, so what a file must still have behind its last record.
const BlankSize = 8

// MinRecordSize is the size of the smallest record there can be.
const MinRecordSize = fixedSize

var (
	// ErrDamaged is wrapped by all errors about bytes that are no record, no batch or no id.
	ErrDamaged = errors.New("damaged")
	// ErrTooLong is wrapped by what Check finds.
	ErrTooLong = errors.New("too long")
)

// Message is one message and its place in the store. What Decode sets in it is borrowed from the record.
type Message struct {
	Topic                     string
	QueueID                   int32
	Flag                      int32 // the application's, not looked at
	SysFlag                   int32 // the two V6 bits follow the hosts, whatever is given
	ReconsumeTimes            int32
	BornTimestamp             int64 // ms
	BornHost                  netip.AddrPort
	StoreHost                 netip.AddrPort
	PreparedTransactionOffset int64 // log offset of the half message that this one commits
	Body                      []byte
	Properties                []byte

	// Given at append.
	QueueOffset    int64
	LogOffset      int64
	StoreTimestamp int64 // ms

	// Set by Decode; AppendRecord computes them.
	BodyCRC uint32
	Size    int32
}

// Kind is what the first eight bytes of a place in the log say is there.
type Kind int

// What Peek finds.
const (
	Bad    Kind = iota // nothing that we write: damaged, torn, or never written
	Record             // a record of the told size
	Blank              // the rest of the file is empty; the next record begins the next file
)

// Peek reads the size and kind of what begins at rec, which must have 8 bytes for anything but Bad. The size is positive
// and says nothing about how much of rec is there.
func Peek(rec []byte) (size int, kind Kind) {
	if len(rec) < BlankSize {
		return 0, Bad
	}
	size = int(int32(binary.BigEndian.Uint32(rec)))
	switch binary.BigEndian.Uint32(rec[atMagic:]) {
	case magicV1, magicV2:
		if size >= MinRecordSize {
			return size, Record
		}
	case magicBlank:
		if size >= BlankSize {
			return size, Blank
		}
	}
	return 0, Bad
}

// AppendBlank appends the 8 bytes that end a file in which size bytes are left.
func AppendBlank(dst []byte, size int32) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	return binary.BigEndian.AppendUint32(dst, magicBlank)
}

// Check says whether the message fits into the record's length fields, and how large the record is. withCRC as for AppendRecord.
func (m *Message) Check(withCRC bool) (size int, err error) {
	if n := len(m.Topic); n > MaxProperties {
		return 0, fmt.Errorf("topic of %d bytes: %w", n, ErrTooLong)
	}
	if n := len(m.properties(withCRC)) + m.crcExtra(withCRC); n > MaxProperties {
		return 0, fmt.Errorf("properties of %d bytes, %d are possible: %w", n, MaxProperties, ErrTooLong)
	}
	size = m.RecordSize(withCRC)
	if size != int(int32(size)) {
		return 0, fmt.Errorf("body of %d bytes: %w", len(m.Body), ErrTooLong)
	}
	return size, nil
}

// RecordSize is the number of bytes that AppendRecord appends.
func (m *Message) RecordSize(withCRC bool) int {
	n := fixedSize + len(m.Body) + len(m.Topic) + len(m.properties(withCRC)) + m.crcExtra(withCRC)
	if len(m.Topic) > maxTopicV1 {
		n++
	}
	if isV6(m.BornHost.Addr()) {
		n += hostV6 - hostV4
	}
	if isV6(m.StoreHost.Addr()) {
		n += hostV6 - hostV4
	}
	return n
}

// AppendRecord appends the record to dst; withCRC adds the CRC property. The message must have passed Check.
// It allocates only when dst has no room.
func (m *Message) AppendRecord(dst []byte, withCRC bool) []byte {
	be := binary.BigEndian
	start := len(dst)
	sysFlag := m.SysFlag &^ (FlagBornHostV6 | FlagStoreHostV6)
	if isV6(m.BornHost.Addr()) {
		sysFlag |= FlagBornHostV6
	}
	if isV6(m.StoreHost.Addr()) {
		sysFlag |= FlagStoreHostV6
	}
	magic := uint32(magicV1)
	if len(m.Topic) > maxTopicV1 {
		magic = magicV2
	}

	dst = append(dst, 0, 0, 0, 0) // the size, when it is known
	dst = be.AppendUint32(dst, magic)
	dst = be.AppendUint32(dst, crc32.ChecksumIEEE(m.Body)&crcMask)
	dst = be.AppendUint32(dst, uint32(m.QueueID))
	dst = be.AppendUint32(dst, uint32(m.Flag))
	dst = be.AppendUint64(dst, uint64(m.QueueOffset))
	dst = be.AppendUint64(dst, uint64(m.LogOffset))
	dst = be.AppendUint32(dst, uint32(sysFlag))
	dst = be.AppendUint64(dst, uint64(m.BornTimestamp))
	dst = appendHost(dst, m.BornHost)
	dst = be.AppendUint64(dst, uint64(m.StoreTimestamp))
	dst = appendHost(dst, m.StoreHost)
	dst = be.AppendUint32(dst, uint32(m.ReconsumeTimes))
	dst = be.AppendUint64(dst, uint64(m.PreparedTransactionOffset))
	dst = be.AppendUint32(dst, uint32(len(m.Body)))
	dst = append(dst, m.Body...)
	if magic == magicV2 {
		dst = be.AppendUint16(dst, uint16(len(m.Topic)))
	} else {
		dst = append(dst, byte(len(m.Topic)))
	}
	dst = append(dst, m.Topic...)
	props := m.properties(withCRC)
	extra := m.crcExtra(withCRC)
	dst = be.AppendUint16(dst, uint16(len(props)+extra))
	dst = append(dst, props...)
	be.PutUint32(dst[start:], uint32(len(dst)-start+extra))
	if !withCRC {
		return dst
	}
	if n := len(props); n > 0 && props[n-1] != valueEnd {
		dst = append(dst, valueEnd)
	}
	return appendCRC(dst, crc32.ChecksumIEEE(dst[start:])&crcMask)
}

// properties leaves out the CRC property of a record that is stored once more, for it gets a new one.
func (m *Message) properties(withCRC bool) []byte {
	if !withCRC {
		return m.Properties
	}
	return DeleteProperty(m.Properties, PropCRC32)
}

// crcExtra is how much longer the CRC makes the properties; an open last entry is closed before it.
func (m *Message) crcExtra(withCRC bool) int {
	if !withCRC {
		return 0
	}
	if props := m.properties(true); len(props) > 0 && props[len(props)-1] != valueEnd {
		return crcSize + 1
	}
	return crcSize
}

func appendCRC(dst []byte, crc uint32) []byte {
	dst = append(dst, PropCRC32...)
	dst = append(dst, nameEnd)
	for range 10 {
		dst = append(dst, '0'+byte(crc%10))
		crc /= 10
	}
	return append(dst, valueEnd)
}

// isV6 says whether a host is written as IPv6. A dual-stack listener reports IPv4 peers as mapped addresses; to Apache
// they are IPv4, and so they are here.
func isV6(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6()
}

func appendHost(dst []byte, host netip.AddrPort) []byte {
	if a := host.Addr(); isV6(a) {
		ip := a.As16()
		dst = append(dst, ip[:]...)
	} else if a.IsValid() {
		ip := a.Unmap().As4()
		dst = append(dst, ip[:]...)
	} else {
		dst = append(dst, 0, 0, 0, 0)
	}
	return binary.BigEndian.AppendUint32(dst, uint32(host.Port()))
}

// layout is where the parts of one record lie that have no fixed place. All of them are within the record.
type layout struct {
	storeTime int // the store host follows
	reconsume int
	body      int
	bodyEnd   int
	topic     int
	topicEnd  int
	props     int // they end with the record
	size      int
}

// measure finds the parts of the record that begins at rec and checks every length. Bytes behind it do not matter.
func (l *layout) measure(rec []byte) error {
	be := binary.BigEndian
	size, kind := Peek(rec)
	if kind != Record {
		return fmt.Errorf("no record here: %w", ErrDamaged)
	}
	if size > len(rec) {
		return fmt.Errorf("record of %d bytes, %d are there: %w", size, len(rec), ErrDamaged)
	}
	rec = rec[:size]
	sysFlag := be.Uint32(rec[atSysFlag:])
	l.size = size
	l.storeTime = atBornHost + hostV4
	if sysFlag&FlagBornHostV6 != 0 {
		l.storeTime = atBornHost + hostV6
	}
	l.reconsume = l.storeTime + 8 + hostV4
	if sysFlag&FlagStoreHostV6 != 0 {
		l.reconsume = l.storeTime + 8 + hostV6
	}
	l.body = l.reconsume + 4 + 8 + 4
	if l.body > size {
		return fmt.Errorf("record of %d bytes with IPv6 hosts: %w", size, ErrDamaged)
	}
	bodyLen := int(int32(be.Uint32(rec[l.body-4:])))
	if bodyLen < 0 || bodyLen > size-l.body {
		return fmt.Errorf("body of %d bytes in a record of %d: %w", bodyLen, size, ErrDamaged)
	}
	l.bodyEnd = l.body + bodyLen

	rest := rec[l.bodyEnd:]
	var topicLen int
	if be.Uint32(rec[atMagic:]) == magicV2 {
		if len(rest) < 2 {
			return fmt.Errorf("no topic: %w", ErrDamaged)
		}
		topicLen = int(int16(be.Uint16(rest)))
		l.topic = l.bodyEnd + 2
	} else {
		if len(rest) < 1 {
			return fmt.Errorf("no topic: %w", ErrDamaged)
		}
		topicLen = int(int8(rest[0]))
		l.topic = l.bodyEnd + 1
	}
	if topicLen < 0 || topicLen > size-l.topic-2 {
		return fmt.Errorf("topic of %d bytes in a record of %d: %w", topicLen, size, ErrDamaged)
	}
	l.topicEnd = l.topic + topicLen
	l.props = l.topicEnd + 2
	if n := int(int16(be.Uint16(rec[l.topicEnd:]))); n < 0 || n != size-l.props {
		return fmt.Errorf("properties of %d bytes, the record has room for %d: %w", n, size-l.props, ErrDamaged)
	}
	return nil
}

// QueueOffsetOf is the queue offset of the record that begins at rec, which Peek has found to be one.
func QueueOffsetOf(rec []byte) int64 { return int64(binary.BigEndian.Uint64(rec[atQueueOffset:])) }

// Decode reads the record that begins at rec, which may be followed by others: m.Size says where it ends. Body and
// Properties are parts of rec; a topic equal to the one m had before is not allocated again. CRCs are not looked at.
func Decode(rec []byte, m *Message) error {
	be := binary.BigEndian
	var l layout
	if err := l.measure(rec); err != nil {
		return err
	}
	rec = rec[:l.size]
	m.Size = int32(l.size)
	m.BodyCRC = be.Uint32(rec[atBodyCRC:])
	m.QueueID = int32(be.Uint32(rec[atQueueID:]))
	m.Flag = int32(be.Uint32(rec[atFlag:]))
	m.QueueOffset = int64(be.Uint64(rec[atQueueOffset:]))
	m.LogOffset = int64(be.Uint64(rec[atLogOffset:]))
	m.SysFlag = int32(be.Uint32(rec[atSysFlag:]))
	m.BornTimestamp = int64(be.Uint64(rec[atBornTime:]))
	m.BornHost = hostOf(rec[atBornHost:l.storeTime])
	m.StoreTimestamp = int64(be.Uint64(rec[l.storeTime:]))
	m.StoreHost = hostOf(rec[l.storeTime+8 : l.reconsume])
	m.ReconsumeTimes = int32(be.Uint32(rec[l.reconsume:]))
	m.PreparedTransactionOffset = int64(be.Uint64(rec[l.reconsume+4:]))
	m.Body = rec[l.body:l.bodyEnd:l.bodyEnd]
	if topic := rec[l.topic:l.topicEnd]; string(topic) != m.Topic {
		m.Topic = string(topic)
	}
	m.Properties = rec[l.props:l.size:l.size]
	return nil
}

// hostOf reads the 8 or 20 bytes of a host. The port's upper half is always 0.
func hostOf(b []byte) netip.AddrPort {
	ip, port := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a, uint16(port))
}

// CheckBody compares the body with the CRC that the record was stored with.
func (m *Message) CheckBody() error {
	return checkBody(m.Body, m.BodyCRC)
}

func checkBody(body []byte, want uint32) error {
	// An empty body has no CRC worth the name, and Apache does not look at it either.
	if got := crc32.ChecksumIEEE(body) & crcMask; len(body) > 0 && got != want {
		return fmt.Errorf("body with CRC %d, stored with %d: %w", got, want, ErrDamaged)
	}
	return nil
}

// CheckRecord compares a whole record with its CRC property (forceVerifyPropCRC). A record that has none is refused.
func CheckRecord(rec []byte) error {
	var l layout
	if err := l.measure(rec); err != nil {
		return err
	}
	digits, ok := Property(rec[l.props:l.size], PropCRC32)
	if !ok || len(digits) != 10 || l.size-l.props < crcSize {
		return fmt.Errorf("record without the property %s: %w", PropCRC32, ErrDamaged)
	}
	var want uint64
	for i := len(digits) - 1; i >= 0; i-- {
		want = want*10 + uint64(digits[i]-'0')
	}
	if got := uint64(crc32.ChecksumIEEE(rec[:l.size-crcSize]) & crcMask); got != want {
		return fmt.Errorf("record with CRC %d, stored with %d: %w", got, want, ErrDamaged)
	}
	return nil
}
