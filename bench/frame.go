package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// serialization is how a frame's header is written; it is the top byte of the frame's second word.
type serialization byte

const (
	jsonHeader   serialization = 0
	binaryHeader serialization = 1 // Apache's name for it is ROCKETMQ
)

func (s serialization) String() string {
	if s == binaryHeader {
		return "ROCKETMQ"
	}
	return "JSON"
}

// The request codes that the generator sends.
const (
	codePull           = 11
	codeCreateTopic    = 17
	codeCreateTopics   = 18
	codeMaxOffset      = 30
	codeHeartbeat      = 34
	codeEndTransaction = 37
	codeSend           = 310
	codeSendBatch      = 320
)

// The answers that it tells apart.
const (
	answerOK       = 0
	answerNotFound = 19
	answerRetry    = 20
	answerMoved    = 21
)

const (
	javaLanguage  = 0
	clientVersion = 513 // V5_5_0
	flagResponse  = 1
	frameSizeMax  = 64 << 20
)

type field struct{ key, value string }

// A request as the Java client 5.5.0 would send it.
type request struct {
	code   int
	flag   int
	opaque int32
	fields []field
	body   []byte
}

// appendTo writes the request as one frame:
//
//	0          4                        5                   8
//	+----------+------------------------+-------------------+--------+------+
//	| length   | serialization 1B       | header length 3B  | header | body |
//	+----------+------------------------+-------------------+--------+------+
//
// length counts everything after itself.
func (r request) appendTo(out []byte, s serialization) []byte {
	start := len(out)
	out = append(out, 0, 0, 0, 0, 0, 0, 0, 0)
	if s == jsonHeader {
		out = r.appendJSON(out)
	} else {
		out = r.appendBinary(out)
	}
	headerSize := len(out) - start - 8
	out = append(out, r.body...)
	binary.BigEndian.PutUint32(out[start:], uint32(len(out)-start-4))
	binary.BigEndian.PutUint32(out[start+4:], uint32(s)<<24|uint32(headerSize))
	return out
}

func (r request) appendJSON(out []byte) []byte {
	out = append(out, `{"code":`...)
	out = strconv.AppendInt(out, int64(r.code), 10)
	out = append(out, `,"extFields":{`...)
	for i, f := range r.fields {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendJSONString(out, f.key)
		out = append(out, ':')
		out = appendJSONString(out, f.value)
	}
	out = append(out, `},"flag":`...)
	out = strconv.AppendInt(out, int64(r.flag), 10)
	out = append(out, `,"language":"JAVA","opaque":`...)
	out = strconv.AppendInt(out, int64(r.opaque), 10)
	return append(out, `,"serializeTypeCurrentRPC":"JSON","version":513}`...)
}

// appendJSONString writes what the generator needs of JSON strings: ASCII, with the two separators of properties escaped.
func appendJSONString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < 0x20:
			out = append(out, `\u00`...)
			out = append(out, "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// appendBinary writes a ROCKETMQ header:
//
//	0        2            3           5          9        13           17 (+remark)   21
//	+--------+------------+-----------+----------+--------+------------+--------------+---------+
//	| code   | language 1 | version 2 | opaque 4 | flag 4 | remark n 4 | fields' n 4  | fields  |
//	+--------+------------+-----------+----------+--------+------------+--------------+---------+
//
// and each field as key length 2, key, value length 4, value.
func (r request) appendBinary(out []byte) []byte {
	out = binary.BigEndian.AppendUint16(out, uint16(r.code))
	out = append(out, javaLanguage)
	out = binary.BigEndian.AppendUint16(out, clientVersion)
	out = binary.BigEndian.AppendUint32(out, uint32(r.opaque))
	out = binary.BigEndian.AppendUint32(out, uint32(r.flag))
	out = binary.BigEndian.AppendUint32(out, 0)
	sizeAt := len(out)
	out = binary.BigEndian.AppendUint32(out, 0)
	for _, f := range r.fields {
		out = binary.BigEndian.AppendUint16(out, uint16(len(f.key)))
		out = append(out, f.key...)
		out = binary.BigEndian.AppendUint32(out, uint32(len(f.value)))
		out = append(out, f.value...)
	}
	binary.BigEndian.PutUint32(out[sizeAt:], uint32(len(out)-sizeAt-4))
	return out
}

// An answer is a view of a frame; it is valid as long as the frame's bytes are.
type answer struct {
	code       int
	opaque     int32
	isResponse bool // otherwise it is a request that the server started
	binary     bool
	header     []byte
	body       []byte
}

var errFrame = errors.New("cannot read the answer's frame")

// parseAnswer reads a frame without its length word. It looks only for what the generator needs: a full JSON parse of
// each answer would cost the generator more than a good server needs to give it.
func parseAnswer(frame []byte) (answer, error) {
	if len(frame) < 4 {
		return answer{}, errFrame
	}
	word := binary.BigEndian.Uint32(frame)
	headerSize := int(word & 0xFFFFFF)
	if 4+headerSize > len(frame) {
		return answer{}, errFrame
	}
	a := answer{header: frame[4 : 4+headerSize], body: frame[4+headerSize:]}
	if serialization(word>>24) == binaryHeader {
		if headerSize < 21 {
			return answer{}, errFrame
		}
		a.binary = true
		a.code = int(int16(binary.BigEndian.Uint16(a.header)))
		a.opaque = int32(binary.BigEndian.Uint32(a.header[5:]))
		a.isResponse = binary.BigEndian.Uint32(a.header[9:])&flagResponse != 0
		return a, nil
	}
	code, ok1 := jsonInt(a.header, codeKey)
	opaque, ok2 := jsonInt(a.header, opaqueKey)
	flag, ok3 := jsonInt(a.header, flagKey)
	if !ok1 || !ok2 || !ok3 {
		return answer{}, fmt.Errorf("%w: %q", errFrame, a.header)
	}
	a.code, a.opaque, a.isResponse = code, int32(opaque), flag&flagResponse != 0
	return a, nil
}

// Keys are looked for without their first quotation mark: a search that begins with a rarer letter is twice as fast.
var codeKey, opaqueKey, flagKey = []byte(`code":`), []byte(`opaque":`), []byte(`flag":`)

// jsonInt finds a key with a bare number. Keys inside extFields have quoted values, so they cannot be taken for it.
func jsonInt(header, key []byte) (int, bool) {
	for at := 0; ; {
		next := bytes.Index(header[at:], key)
		if next < 0 {
			return 0, false
		}
		at += next + len(key)
		if begin := at - len(key); begin == 0 || header[begin-1] != '"' {
			continue
		}
		n, digits, sign := 0, 0, 1
		for i, c := range header[at:] {
			if i == 0 && c == '-' {
				sign = -1
				continue
			}
			if c < '0' || c > '9' || digits > 10 {
				break
			}
			n, digits = n*10+int(c-'0'), digits+1
		}
		if digits > 0 {
			return sign * n, true
		}
	}
}

// number returns an extension field that holds a whole number.
func (a answer) number(key string) (int64, error) {
	v, ok := a.field(key)
	if !ok {
		return 0, fmt.Errorf("cannot find %q in an answer of code %d", key, a.code)
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cannot read %q of an answer: %w", key, err)
	}
	return n, nil
}

func (a answer) field(key string) (string, bool) {
	if !a.binary {
		quoted := `"` + key + `":"`
		at := bytes.Index(a.header, []byte(quoted))
		if at < 0 {
			return "", false
		}
		rest := a.header[at+len(quoted):]
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			return "", false
		}
		return string(rest[:end]), true
	}
	h := a.header[13:]
	remark := int(binary.BigEndian.Uint32(h))
	if remark < 0 || 8+remark > len(h) {
		return "", false
	}
	h = h[8+remark:]
	for len(h) >= 2 {
		n := int(binary.BigEndian.Uint16(h))
		if 2+n+4 > len(h) {
			return "", false
		}
		name := h[2 : 2+n]
		size := int(binary.BigEndian.Uint32(h[2+n:]))
		h = h[2+n+4:]
		if size < 0 || size > len(h) {
			return "", false
		}
		if string(name) == key {
			return string(h[:size]), true
		}
		h = h[size:]
	}
	return "", false
}

// remark is the server's reason, for error messages.
func (a answer) remark() string {
	if !a.binary {
		at := bytes.Index(a.header, []byte(`"remark":"`))
		if at < 0 {
			return ""
		}
		rest := a.header[at+len(`"remark":"`):]
		if end := bytes.IndexByte(rest, '"'); end >= 0 {
			rest = rest[:end]
		}
		return string(rest)
	}
	n := int(binary.BigEndian.Uint32(a.header[13:]))
	if n < 0 || 17+n > len(a.header) {
		return ""
	}
	return string(a.header[17 : 17+n])
}

// Where a stored record keeps what the generator reads. IPv4 hosts, as on loopback.
const (
	recordQueueOffset = 20
	recordBodySize    = 84
	recordBody        = 88
)

// walkRecords calls visit for each stored record of a pull's answer.
func walkRecords(body []byte, visit func(queueOffset int64, body []byte)) error {
	for len(body) > 0 {
		if len(body) < recordBody {
			return fmt.Errorf("cannot read the records of a pull: %d bytes are left over", len(body))
		}
		size := int(binary.BigEndian.Uint32(body))
		bodySize := int(binary.BigEndian.Uint32(body[recordBodySize:]))
		if size < recordBody || size > len(body) || bodySize < 0 || recordBody+bodySize > size {
			return fmt.Errorf("cannot read the records of a pull: a record of %d bytes, %d are there", size, len(body))
		}
		visit(int64(binary.BigEndian.Uint64(body[recordQueueOffset:])), body[recordBody:recordBody+bodySize])
		body = body[size:]
	}
	return nil
}
