package message

import (
	"encoding/binary"
	"fmt"
)

// The body of a batch (code 320) is its messages, one behind the other:
//
//	 0         4         8         12        16         20     20+n       22+n
//	+---------+---------+---------+---------+----------+------+----------+------------+
//	| size 4B | magic 4B| CRC 4B  | flag 4B | body len | body | props len| properties |
//	|         | 0       | 0       |         | 4B       | n    | 2B       |            |
//	+---------+---------+---------+---------+----------+------+----------+------------+
//
// Size, magic and CRC are not looked at by any broker, so clients write what they like there; the two lengths count.
const batchFixed = 22

// BatchEntry is one message of a batch. Slices are parts of the batch's body.
type BatchEntry struct {
	Flag       int32
	Body       []byte
	Properties []byte
}

// NextInBatch takes the first message off a batch's body; the batch ends where rest is empty.
func NextInBatch(body []byte, e *BatchEntry) (rest []byte, err error) {
	be := binary.BigEndian
	if len(body) < batchFixed {
		return nil, fmt.Errorf("message in a batch of %d bytes: %w", len(body), ErrDamaged)
	}
	bodyLen := int(int32(be.Uint32(body[16:])))
	if bodyLen < 0 || bodyLen > len(body)-batchFixed {
		return nil, fmt.Errorf("body of %d bytes in a batch with %d left: %w", bodyLen, len(body), ErrDamaged)
	}
	propsAt := 20 + bodyLen + 2
	propsLen := int(int16(be.Uint16(body[propsAt-2:])))
	if propsLen < 0 || propsLen > len(body)-propsAt {
		return nil, fmt.Errorf("properties of %d bytes in a batch with %d left: %w", propsLen, len(body)-propsAt, ErrDamaged)
	}
	end := propsAt + propsLen
	e.Flag = int32(be.Uint32(body[12:]))
	e.Body = body[20 : 20+bodyLen : 20+bodyLen]
	e.Properties = body[propsAt:end:end]
	return body[end:], nil
}

// AppendToBatch appends a message to a batch's body, as a client does. Properties must be within MaxProperties.
func AppendToBatch(dst []byte, e BatchEntry) []byte {
	be := binary.BigEndian
	dst = be.AppendUint32(dst, uint32(batchFixed+len(e.Body)+len(e.Properties)))
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = be.AppendUint32(dst, uint32(e.Flag))
	dst = be.AppendUint32(dst, uint32(len(e.Body)))
	dst = append(dst, e.Body...)
	dst = be.AppendUint16(dst, uint16(len(e.Properties)))
	return append(dst, e.Properties...)
}
