package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// Serialization is how a frame's header is written. Part of the wire format; do not change.
type Serialization byte

// The two serializations that RocketMQ knows.
const (
	JSON     Serialization = 0
	RocketMQ Serialization = 1
)

// Language is the implementation language that a peer claims. Part of the wire format; do not change.
type Language byte

// languageNames are the names that JSON headers carry, by their number in binary headers.
var languageNames = [...]string{"JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO",
	"PHP", "OMS", "RUST", "NODE_JS"}

// Languages that we need to name ourselves.
const (
	LanguageJava  Language = 0
	LanguageCPP   Language = 1
	LanguageOther Language = 7
	LanguageGo    Language = 9
)

// String returns Apache's name of the language, "OTHER" for a number it does not know.
func (l Language) String() string {
	if int(l) < len(languageNames) {
		return languageNames[l]
	}
	return "OTHER"
}

// Versions of the protocol that change what a peer understands. The number is the ordinal of Apache's MQVersion.
const (
	VersionV3_1_8        = 63
	VersionV3_4_9        = 121
	VersionV4_9_4        = 401
	VersionCurrent       = 513 // V5_5_0, what we answer with
	flagResponse   int32 = 1
	flagOneway     int32 = 2
)

// MaxFrame is the largest frame that Apache accepts unless told otherwise, in bytes, the four of the length word counted: the largest
// length that may stand there is 16777212.
const MaxFrame = 16 << 20

// Field is one extension field of a header. Key and Value borrow the bytes that they were decoded from.
type Field struct{ Key, Value []byte }

// Header is the decoded header of a request or an answer. Its slices borrow the buffer that it was decoded from and
// are valid as long as that is. The zero value is ready for DecodeHeader, and may be reused.
type Header struct {
	Code          int32
	Language      Language
	Version       int32
	Opaque        int32
	Flag          int32
	Remark        []byte
	Fields        []Field
	Serialization Serialization
}

// IsResponse says that the frame answers a request.
func (h *Header) IsResponse() bool { return h.Flag&flagResponse != 0 }

// IsOneway says that the sender expects no answer.
func (h *Header) IsOneway() bool { return h.Flag&flagOneway != 0 }

// Get returns the value of a field, and whether it is there.
func (h *Header) Get(key string) ([]byte, bool) {
	for i := range h.Fields {
		if string(h.Fields[i].Key) == key {
			return h.Fields[i].Value, true
		}
	}
	return nil, false
}

// IsNull says whether a field's value stands for an absent one: in binary headers Apache reads an empty text as none.
func (h *Header) IsNull(value []byte) bool { return len(value) == 0 && h.Serialization == RocketMQ }

var errHeader = errors.New("malformed header")

// fieldsMax bounds how many extension fields one header may have. Apache's largest request has about 25.
const fieldsMax = 4096

// DecodeHeader reads a header. JSON escapes are resolved in place, so data is changed; h borrows data.
func DecodeHeader(h *Header, ser Serialization, data []byte) error {
	*h = Header{Fields: h.Fields[:0], Serialization: ser}
	switch ser {
	case JSON:
		return decodeJSON(h, data)
	case RocketMQ:
		return decodeBinary(h, data)
	}
	return fmt.Errorf("cannot read header: unknown serialization %d (0 is JSON, 1 is ROCKETMQ)", ser)
}

// The binary header.
//
//	code 2 | language 1 | version 2 | opaque 4 | flag 4 | remark length 4, remark | ext length 4, entries
//	entry: key length 2, key | value length 4, value
func decodeBinary(h *Header, b []byte) error {
	if len(b) < 21 {
		return fmt.Errorf("%w: %d bytes are too few for a ROCKETMQ header", errHeader, len(b))
	}
	h.Code = int32(int16(binary.BigEndian.Uint16(b)))
	h.Language = Language(b[2])
	h.Version = int32(int16(binary.BigEndian.Uint16(b[3:])))
	h.Opaque = int32(binary.BigEndian.Uint32(b[5:]))
	h.Flag = int32(binary.BigEndian.Uint32(b[9:]))
	n := int(int32(binary.BigEndian.Uint32(b[13:])))
	b = b[17:]
	if n < 0 || n > len(b)-4 {
		return fmt.Errorf("%w: remark length %d, %d bytes left", errHeader, n, len(b))
	}
	if n > 0 {
		h.Remark = b[:n]
	}
	ext := int(int32(binary.BigEndian.Uint32(b[n:])))
	b = b[n+4:]
	if ext < 0 || ext > len(b) {
		return fmt.Errorf("%w: ext fields length %d, %d bytes left", errHeader, ext, len(b))
	}
	for b = b[:ext]; len(b) > 0; {
		if len(b) < 2 {
			return fmt.Errorf("%w: torn ext field", errHeader)
		}
		kn := int(binary.BigEndian.Uint16(b))
		b = b[2:]
		if kn > len(b)-4 {
			return fmt.Errorf("%w: ext key length %d, %d bytes left", errHeader, kn, len(b))
		}
		vn := int(int32(binary.BigEndian.Uint32(b[kn:])))
		key := b[:kn]
		b = b[kn+4:]
		if vn < 0 || vn > len(b) {
			return fmt.Errorf("%w: value length %d of ext field, %d bytes left", errHeader, vn, len(b))
		}
		if len(h.Fields) == fieldsMax {
			return fmt.Errorf("%w: more than %d ext fields", errHeader, fieldsMax)
		}
		h.Fields = append(h.Fields, Field{key, b[:vn]})
		b = b[vn:]
	}
	return nil
}

// scanner reads just as much JSON as headers need, in place.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

// next skips white space and returns the byte there, 0 at the end.
func (s *scanner) next() byte {
	if s.i < len(s.b) && s.b[s.i] > ' ' {
		return s.b[s.i]
	}
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) fail(what string) error {
	return fmt.Errorf("%w: %s at byte %d of the JSON header", errHeader, what, s.i)
}

func (s *scanner) expect(c byte) error {
	if s.next() != c {
		return s.fail("expected " + strconv.QuoteRune(rune(c)))
	}
	s.i++
	return nil
}

// str reads a string; the result lies in the input, escapes resolved in place (they only ever shrink). Header strings are
// short, so eight bytes at a time are looked at here rather than by a call.
func (s *scanner) str() ([]byte, error) {
	if s.i >= len(s.b) || s.b[s.i] != '"' {
		if err := s.expect('"'); err != nil {
			return nil, err
		}
		s.i--
	}
	b, start := s.b, s.i+1
	i := start
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		if m := zeroBytes(x^(ones*'"')) | zeroBytes(x^(ones*'\\')); m != 0 {
			i += bits.TrailingZeros64(m) / 8
			break
		}
	}
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			s.i = i + 1
			return b[start:i], nil
		case '\\':
			return s.escaped(start, i)
		}
	}
	return nil, s.fail("unterminated string")
}

const ones = 0x0101010101010101

// zeroBytes has the top bit set of the lowest byte of x that is zero; what lies above that byte is undefined.
func zeroBytes(x uint64) uint64 { return (x - ones) &^ x & (ones << 7) }

// escaped continues a string that began at start from its first backslash on.
func (s *scanner) escaped(start, at int) ([]byte, error) {
	b, w := s.b, at
	for i := at; i < len(b); {
		c := b[i]
		i++
		if c == '"' {
			s.i = i
			return b[start:w], nil
		}
		if c != '\\' {
			b[w] = c
			w++
			continue
		}
		if i >= len(b) {
			break
		}
		c = b[i]
		i++
		switch c {
		case 'u':
			r, ok := unhex(b, i, 4)
			if !ok {
				return nil, s.fail("bad \\u escape")
			}
			i += 4
			if r < utf8.RuneSelf {
				b[w] = byte(r)
				w++
				continue
			}
			if r >= 0xD800 && r < 0xDC00 && i+6 <= len(b) && b[i] == '\\' && b[i+1] == 'u' {
				if low, ok := unhex(b, i+2, 4); ok && low >= 0xDC00 && low < 0xE000 {
					r = (r-0xD800)<<10 + (low - 0xDC00) + 0x10000
					i += 6
				}
			}
			w += utf8.EncodeRune(b[w:w+utf8.UTFMax], r) // at least six bytes were read for these four
			continue
		case 'x':
			r, ok := unhex(b, i, 2)
			if !ok {
				return nil, s.fail("bad \\x escape")
			}
			i += 2
			w += utf8.EncodeRune(b[w:w+2], r)
			continue
		case 'n':
			c = '\n'
		case 't':
			c = '\t'
		case 'r':
			c = '\r'
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'v':
			c = '\v'
		case '0', '1', '2', '3', '4', '5', '6', '7':
			c -= '0'
		}
		b[w] = c
		w++
	}
	return nil, s.fail("unterminated string")
}

func unhex(b []byte, i, n int) (r rune, ok bool) {
	if i+n > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+n] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// scalar reads a string, number, true, false or null as text; null is nil.
func (s *scanner) scalar() ([]byte, error) {
	if s.next() == '"' {
		return s.str()
	}
	start := s.i
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c == '-', c == '+', c == '.', c == 'E':
			s.i++
			continue
		}
		break
	}
	if s.i == start {
		return nil, s.fail("expected a value")
	}
	if v := s.b[start:s.i]; string(v) != "null" {
		return v, nil
	}
	return nil, nil
}

// value reads a scalar; a list or an object, which no field of a request is, is passed over and nil.
func (s *scanner) value() ([]byte, error) {
	if c := s.next(); c == '{' || c == '[' {
		return nil, s.skip()
	}
	return s.scalar()
}

// number reads a whole number that fits 32 bits; null is 0.
func (s *scanner) number() (int32, error) {
	v, err := s.scalar()
	if err != nil || v == nil {
		return 0, err
	}
	n, ok := ParseInt(v)
	if !ok {
		n, ok = looseInt(v)
	}
	if !ok || n != int64(int32(n)) {
		return 0, s.fail("expected a 32-bit number")
	}
	return int32(n), nil
}

// looseInt reads what clients in languages with one kind of number write for a whole one, 106.0 or 1.06e2, as Apache does.
func looseInt(v []byte) (int64, bool) {
	const longest = 32 // digits of a number that makes sense
	if len(v) > longest {
		return 0, false
	}
	x, err := strconv.ParseFloat(string(v), 64)
	return int64(x), err == nil && x == math.Trunc(x) && math.Abs(x) <= math.MaxInt32
}

// skip passes over one value of any kind. Depth is bounded by counting, not by recursion.
func (s *scanner) skip() error {
	for depth := 0; ; {
		switch s.next() {
		case '{', '[':
			depth++
			s.i++
		case '}', ']':
			depth--
			s.i++
		case ',', ':':
			if depth == 0 {
				return s.fail("expected a value")
			}
			s.i++
		default:
			if _, err := s.scalar(); err != nil {
				return err
			}
		}
		if depth == 0 {
			return nil
		}
		if depth < 0 {
			return s.fail("unbalanced value")
		}
	}
}

// member moves to an object's next member and reads its key up to the colon; ok is false behind the last one. first tells
// whether the object's brace has just been read.
func (s *scanner) member(first bool) (key []byte, ok bool, err error) {
	switch c := s.next(); {
	case c == '}':
		s.i++
		return nil, false, nil
	case !first && c != ',':
		return nil, false, s.fail("expected ',' or '}'")
	case !first:
		s.i++
	}
	switch s.next() {
	case '"':
		key, err = s.str()
	case '}': // behind a comma, which Apache passes over
		s.i++
		return nil, false, nil
	default:
		key, err = s.scalar() // Apache's JSON writer leaves integer keys bare
	}
	if err != nil {
		return nil, false, err
	}
	return key, true, s.expect(':')
}

func decodeJSON(h *Header, data []byte) error {
	s := scanner{b: data}
	if err := s.expect('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		key, ok, err := s.member(first)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		switch string(key) {
		case "code":
			h.Code, err = s.number()
		case "flag":
			h.Flag, err = s.number()
		case "opaque":
			h.Opaque, err = s.number()
		case "version":
			h.Version, err = s.number()
		case "language":
			var v []byte
			v, err = s.scalar()
			h.Language = parseLanguage(v)
		case "remark":
			h.Remark, err = s.scalar()
		case "extFields":
			err = decodeExtFields(h, &s)
		default:
			err = s.skip()
		}
		if err != nil {
			return err
		}
	}
	if s.next() != 0 {
		return s.fail("trailing data")
	}
	return nil
}

func decodeExtFields(h *Header, s *scanner) error {
	if s.next() != '{' {
		_, err := s.scalar() // null
		return err
	}
	s.i++
	for first := true; ; first = false {
		key, ok, err := s.member(first)
		if err != nil || !ok {
			return err
		}
		v, err := s.value()
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		if len(h.Fields) == fieldsMax {
			return s.fail("too many ext fields")
		}
		h.Fields = append(h.Fields, Field{key, v})
	}
}

func parseLanguage(v []byte) Language {
	for i, n := range languageNames {
		if n == string(v) {
			return Language(i)
		}
	}
	return LanguageOther
}

// IsTrue says whether a header's value means true: in any case of letters, as Java reads it, for clients in Python write True. It allocates
// nothing.
func IsTrue(v []byte) bool {
	return len(v) == 4 && (string(v) == "true" || v[0]|0x20 == 't' && v[1]|0x20 == 'r' && v[2]|0x20 == 'u' && v[3]|0x20 == 'e')
}

// ParseInt reads a decimal number out of a header's value. It allocates nothing.
func ParseInt(b []byte) (int64, bool) {
	neg := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg = b[0] == '-'
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	if neg {
		if n > 1<<63 {
			return 0, false
		}
		return -int64(n), true
	}
	if n > 1<<63-1 {
		return 0, false
	}
	return int64(n), true
}
