package protocol

import (
	"encoding/binary"
	"strconv"
	"unicode/utf8"
)

// Frame writes one frame into a growing buffer without allocating: Begin, then the fields, then End, then the body.
// It is a value on the caller's stack; between Begin and End nothing else may be appended to the buffer.
type Frame struct {
	buf   []byte
	start int // where the length word lies
	ext   int // binary: where the ext length lies; JSON: 0 until the first field
	Head
}

// Head is what a header says besides its fields.
type Head struct {
	Serialization Serialization
	Language      Language
	Version       int32
	Code          int32
	Opaque        int32
	Flag          int32
	Remark        string
}

// ResponseHead is the head of an answer to h, in the serialization of h.
func ResponseHead(h *Header, code int, remark string) Head {
	return Head{Serialization: h.Serialization, Version: VersionCurrent, Code: int32(code), Opaque: h.Opaque,
		Flag: flagResponse, Remark: remark}
}

// RequestHead is the head of a request that we start.
func RequestHead(ser Serialization, code int, opaque int32, oneway bool) Head {
	h := Head{Serialization: ser, Version: VersionCurrent, Code: int32(code), Opaque: opaque}
	if oneway {
		h.Flag = flagOneway
	}
	return h
}

// Begin starts a frame at the end of dst.
func Begin(dst []byte, head Head) Frame {
	f := Frame{start: len(dst), Head: head}
	dst = append(dst, 0, 0, 0, 0, byte(head.Serialization), 0, 0, 0)
	if head.Serialization == RocketMQ {
		dst = binary.BigEndian.AppendUint16(dst, uint16(head.Code))
		dst = append(dst, byte(head.Language))
		dst = binary.BigEndian.AppendUint16(dst, uint16(head.Version))
		dst = binary.BigEndian.AppendUint32(dst, uint32(head.Opaque))
		dst = binary.BigEndian.AppendUint32(dst, uint32(head.Flag))
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(head.Remark)))
		dst = append(dst, head.Remark...)
		f.ext = len(dst)
		dst = append(dst, 0, 0, 0, 0)
	} else {
		dst = append(dst, `{"code":`...)
		dst = strconv.AppendInt(dst, int64(head.Code), 10)
	}
	f.buf = dst
	return f
}

// open writes the key of a field and leaves the value to the caller.
func (f *Frame) open(key string) {
	if f.Serialization == RocketMQ {
		f.buf = binary.BigEndian.AppendUint16(f.buf, uint16(len(key)))
		f.buf = append(f.buf, key...)
		return
	}
	if f.ext == 0 {
		f.ext = 1
		f.buf = append(f.buf, `,"extFields":{"`...)
	} else {
		f.buf = append(f.buf, `,"`...)
	}
	f.buf = append(f.buf, key...)
	f.buf = append(f.buf, '"', ':')
}

// Str writes a text field.
func (f *Frame) Str(key, value string) {
	if f.openText(key, len(value)) {
		f.buf = append(f.buf, value...)
	} else {
		f.buf = appendQuoted(f.buf, value)
	}
}

// Bytes writes a text field.
func (f *Frame) Bytes(key string, value []byte) {
	if f.openText(key, len(value)) {
		f.buf = append(f.buf, value...)
	} else {
		f.buf = appendQuoted(f.buf, value)
	}
}

// Plain writes a text field that has nothing to escape: no control characters, quotes, backslashes, only ASCII.
func (f *Frame) Plain(key string, value []byte) {
	if f.openText(key, len(value)) {
		f.buf = append(f.buf, value...)
	} else {
		f.buf = append(append(append(f.buf, '"'), value...), '"')
	}
}

// openText writes the key of a text field of n bytes, and says whether the bytes follow as they are; else in JSON's quotes.
func (f *Frame) openText(key string, n int) bool {
	f.open(key)
	if f.Serialization != RocketMQ {
		return false
	}
	f.buf = binary.BigEndian.AppendUint32(f.buf, uint32(n))
	return true
}

// Int writes a number field.
func (f *Frame) Int(key string, value int64) {
	f.open(key)
	if f.Serialization == RocketMQ {
		at := len(f.buf)
		f.buf = append(f.buf, 0, 0, 0, 0)
		f.buf = strconv.AppendInt(f.buf, value, 10)
		binary.BigEndian.PutUint32(f.buf[at:], uint32(len(f.buf)-at-4))
		return
	}
	f.buf = append(f.buf, '"')
	f.buf = strconv.AppendInt(f.buf, value, 10)
	f.buf = append(f.buf, '"')
}

// End finishes the header and returns the buffer; the caller appends the body, bodyLen bytes.
func (f *Frame) End(bodyLen int) []byte {
	if f.Serialization == RocketMQ {
		binary.BigEndian.PutUint32(f.buf[f.ext:], uint32(len(f.buf)-f.ext-4))
	} else {
		if f.ext != 0 {
			f.buf = append(f.buf, '}')
		}
		f.buf = append(f.buf, `,"flag":`...)
		f.buf = strconv.AppendInt(f.buf, int64(f.Flag), 10)
		f.buf = append(f.buf, `,"language":"`...)
		f.buf = append(f.buf, f.Language.String()...)
		f.buf = append(f.buf, `","opaque":`...)
		f.buf = strconv.AppendInt(f.buf, int64(f.Opaque), 10)
		if f.Remark != "" {
			f.buf = append(f.buf, `,"remark":`...)
			f.buf = appendQuoted(f.buf, f.Remark)
		}
		f.buf = append(f.buf, `,"serializeTypeCurrentRPC":"JSON","version":`...)
		f.buf = strconv.AppendInt(f.buf, int64(f.Version), 10)
		f.buf = append(f.buf, '}')
	}
	header := len(f.buf) - f.start - 8
	binary.BigEndian.PutUint32(f.buf[f.start:], uint32(4+header+bodyLen))
	f.buf[f.start+5] = byte(header >> 16)
	f.buf[f.start+6] = byte(header >> 8)
	f.buf[f.start+7] = byte(header)
	return f.buf
}

const hexDigits = "0123456789ABCDEF"

// appendQuoted writes a JSON string as Apache's writer does: control characters as \uXXXX, all else as it is.
// Bytes that are not UTF-8 become U+FFFD, for Java's decoder would do the same.
func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r != utf8.RuneError || n != 1 {
				i += n
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\uFFFD"...)
		} else {
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			case '\b':
				dst = append(dst, '\\', 'b')
			case '\f':
				dst = append(dst, '\\', 'f')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
