package fastjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth bounds nesting. RocketMQ's deepest is about eight.
const maxDepth = 100

// ErrSyntax is wrapped by every error about text that is not JSON even to a forgiving reader.
var ErrSyntax = errors.New("not JSON")

// Standard rewrites one value to standard JSON without spaces. The result is at most a few times as long as data.
func Standard(data []byte) ([]byte, error) {
	s := scanner{in: bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), out: make([]byte, 0, len(data)+len(data)/8)}
	if err := s.value(0); err != nil {
		return nil, err
	}
	s.space()
	// Zeros are what a crash leaves behind a file's end.
	if rest := bytes.TrimRight(s.in[s.at:], "\x00"); len(rest) > 0 {
		return nil, s.bad("something behind the end")
	}
	return s.out, nil
}

type scanner struct {
	in    []byte
	at    int
	out   []byte
	inKey bool // in an object that is a key
}

func (s *scanner) bad(what string) error {
	return fmt.Errorf("%w: %s at byte %d", ErrSyntax, what, s.at)
}

// peek skips space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.at < len(s.in) {
		return s.in[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.in) {
		switch c := s.in[s.at]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\b':
			s.at++
		case c == '/' && s.at+1 < len(s.in) && s.in[s.at+1] == '/':
			end := bytes.IndexByte(s.in[s.at:], '\n')
			if end < 0 {
				end = len(s.in) - s.at
			}
			s.at += end
		case c == '/' && s.at+1 < len(s.in) && s.in[s.at+1] == '*':
			end := bytes.Index(s.in[s.at+2:], []byte("*/"))
			if end < 0 {
				return // the slash is the error
			}
			s.at += 2 + end + 2
		default:
			return
		}
	}
}

func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return s.bad("nesting too deep")
	}
	switch c := s.peek(); {
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"' || c == '\'':
		return s.text(c)
	case c == '-' || c == '+' || c == '.' || c >= '0' && c <= '9':
		return s.number()
	case isWord(c):
		return s.word()
	case c == 0 && s.at >= len(s.in):
		return s.bad("end where a value should be")
	}
	return s.bad("no value")
}

func (s *scanner) object(depth int) error {
	s.at++
	s.out = append(s.out, '{')
	for first := true; ; first = false {
		c := s.peek()
		for c == ',' { // trailing, or doubled
			s.at++
			c = s.peek()
		}
		if c == '}' {
			s.at++
			s.out = append(s.out, '}')
			return nil
		}
		if !first {
			s.out = append(s.out, ',')
		}
		if err := s.key(c, depth); err != nil {
			return err
		}
		if s.peek() != ':' {
			return s.bad("no colon behind a key")
		}
		s.at++
		s.out = append(s.out, ':')
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if c := s.peek(); c != ',' && c != '}' {
			return s.bad("neither comma nor brace behind a value")
		}
	}
}

// key copies a key, which may be bare. An object as a key, which Java writes for a map by queue, becomes a string of its JSON.
func (s *scanner) key(c byte, depth int) error {
	switch {
	case c == '"' || c == '\'':
		return s.text(c)
	case c == '{':
		if s.inKey { // escapes of escapes would grow without end
			return s.bad("an object as a key of a key")
		}
		begin := len(s.out)
		s.inKey = true
		err := s.object(depth + 1)
		s.inKey = false
		if err != nil {
			return err
		}
		text, err := json.Marshal(string(s.out[begin:]))
		s.out = append(s.out[:begin], text...)
		return err
	case c == '[':
		return s.bad("a list as a key")
	}
	begin := s.at
	for s.at < len(s.in) && (isWord(s.in[s.at]) || s.in[s.at] == '-' || s.in[s.at] == '.') {
		s.at++
	}
	if s.at == begin {
		return s.bad("no key")
	}
	s.out = append(s.out, '"')
	s.out = append(s.out, s.in[begin:s.at]...)
	s.out = append(s.out, '"')
	return nil
}

func (s *scanner) array(depth int) error {
	s.at++
	s.out = append(s.out, '[')
	for first := true; ; first = false {
		c := s.peek()
		for c == ',' {
			s.at++
			c = s.peek()
		}
		if c == ']' {
			s.at++
			s.out = append(s.out, ']')
			return nil
		}
		if !first {
			s.out = append(s.out, ',')
		}
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if c := s.peek(); c != ',' && c != ']' {
			return s.bad("neither comma nor bracket behind a value")
		}
	}
}

// text copies a string and makes every escape and byte in it standard.
func (s *scanner) text(quote byte) error {
	s.at++
	s.out = append(s.out, '"')
	for s.at < len(s.in) {
		c := s.in[s.at]
		switch {
		case c == quote:
			s.at++
			s.out = append(s.out, '"')
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c == '"':
			s.at++
			s.out = append(s.out, '\\', '"')
		case c < ' ':
			s.at++
			s.out = appendControl(s.out, c)
		case c < utf8.RuneSelf:
			s.at++
			s.out = append(s.out, c)
		default:
			r, n := utf8.DecodeRune(s.in[s.at:])
			s.at += n
			s.out = utf8.AppendRune(s.out, r) // a damaged one becomes U+FFFD
		}
	}
	return s.bad("a string without an end")
}

func (s *scanner) escape() error {
	if s.at+1 >= len(s.in) {
		return s.bad("an escape without an end")
	}
	c := s.in[s.at+1]
	hex := func(n int) error {
		if s.at+2+n > len(s.in) {
			return s.bad("an escape without an end")
		}
		digits := s.in[s.at+2 : s.at+2+n]
		for _, d := range digits {
			if !(d >= '0' && d <= '9' || d|0x20 >= 'a' && d|0x20 <= 'f') {
				return s.bad("an escape with a wrong digit")
			}
		}
		s.out = append(s.out, '\\', 'u')
		s.out = append(s.out, "00"[:4-n]...)
		s.out = append(s.out, digits...)
		s.at += 2 + n
		return nil
	}
	switch c {
	case 'u':
		return hex(4)
	case 'x':
		return hex(2)
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.out = append(s.out, '\\', c)
	case '\'':
		s.out = append(s.out, '\'')
	case '0', '1', '2', '3', '4', '5', '6', '7':
		s.out = appendControl(s.out, c-'0')
	case 'v':
		s.out = appendControl(s.out, '\v')
	default:
		return s.bad("an unknown escape")
	}
	s.at += 2
	return nil
}

func appendControl(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// number copies a number. Java writes the type of a few behind them: 5L.
func (s *scanner) number() error {
	begin := s.at
	if s.in[s.at] == '+' {
		s.at++
		begin++
	}
	if s.at < len(s.in) && s.in[s.at] == '-' {
		s.at++
	}
	digits := func() bool {
		from := s.at
		for s.at < len(s.in) && s.in[s.at] >= '0' && s.in[s.at] <= '9' {
			s.at++
		}
		return s.at > from
	}
	whole := s.at
	if !digits() {
		return s.bad("no number")
	}
	if s.in[whole] == '0' && s.at > whole+1 {
		return s.bad("a number with a leading zero")
	}
	if s.at < len(s.in) && s.in[s.at] == '.' {
		s.at++
		if !digits() {
			return s.bad("no digit behind a point")
		}
	}
	if s.at < len(s.in) && s.in[s.at]|0x20 == 'e' {
		s.at++
		if s.at < len(s.in) && (s.in[s.at] == '+' || s.in[s.at] == '-') {
			s.at++
		}
		if !digits() {
			return s.bad("no digit in an exponent")
		}
	}
	s.out = append(s.out, s.in[begin:s.at]...)
	if s.at < len(s.in) && bytes.IndexByte([]byte("LSBFD"), s.in[s.at]) >= 0 {
		s.at++
	}
	return nil
}

func (s *scanner) word() error {
	begin := s.at
	for s.at < len(s.in) && isWord(s.in[s.at]) {
		s.at++
	}
	switch w := string(s.in[begin:s.at]); w {
	case "true", "false", "null":
		s.out = append(s.out, w...)
	case "undefined", "NaN":
		s.out = append(s.out, "null"...)
	default:
		s.at = begin
		return s.bad("an unknown word")
	}
	return nil
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$'
}
