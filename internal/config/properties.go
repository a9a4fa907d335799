package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Property is one key and its value, and the line it begins on.
type Property struct {
	Key   string
	Value string
	Line  int // from 1
}

// SyntaxError is what is wrong with a properties file as such.
type SyntaxError struct {
	Line int
	Text string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// ParseProperties reads a .properties file as java.util.Properties does, keeps the order and keeps repeated keys.
//
//	# comment            ! comment
//	key = value          key: value          key value
//	key = a value that \
//	      goes on        (leading blanks of the next line do not count; those at the end of a value do)
//	\t \n \r \f \\ \= \: \# \! \uXXXX, and any other character after a backslash is itself
//
// In one thing it differs: Java reads each byte as a Latin-1 character, so a file in UTF-8 gives it broken names. Here a file that is
// valid UTF-8 is read as that, and any other as Latin-1. A byte order mark at the beginning is skipped.
func ParseProperties(data []byte) ([]Property, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		data = latin1(data)
	}
	var props []Property
	r := lineReader{data: data, next: 1}
	for {
		line, number, more := r.logicalLine()
		if !more {
			return props, nil
		}
		key, value := splitProperty(line)
		p := Property{Line: number}
		var err error
		if p.Key, err = unescape(key); err == nil {
			p.Value, err = unescape(value)
		}
		if err != nil {
			return nil, &SyntaxError{Line: number, Text: err.Error()}
		}
		props = append(props, p)
	}
}

func latin1(data []byte) []byte {
	out := make([]byte, 0, len(data)+len(data)/8)
	for _, b := range data {
		out = utf8.AppendRune(out, rune(b))
	}
	return out
}

// lineReader cuts the text into logical lines: comments and empty lines left out, continued lines put together.
type lineReader struct {
	data []byte
	next int // number of the line that data begins with
}

// natural takes one line, without its end, off the text.
func (r *lineReader) natural() (line []byte) {
	i := bytes.IndexAny(r.data, "\r\n")
	if i < 0 {
		line, r.data = r.data, nil
		return line
	}
	line = r.data[:i]
	if bytes.HasPrefix(r.data[i:], []byte("\r\n")) {
		i++
	}
	r.data = r.data[i+1:]
	r.next++
	return line
}

func (r *lineReader) logicalLine() (line []byte, number int, more bool) {
	for len(r.data) > 0 {
		first := r.next
		part := trimBlanks(r.natural())
		if len(part) == 0 || part[0] == '#' || part[0] == '!' {
			continue
		}
		for continues(part) {
			line = append(line, part[:len(part)-1]...)
			if part = nil; len(r.data) == 0 {
				return line, first, true // a backslash ends the text; Java takes even a lone one for a property
			}
			part = trimBlanks(r.natural())
			// A comment is one only at the beginning of a logical line, and a lone backslash has not begun one.
			if len(line) == 0 && len(part) > 0 && (part[0] == '#' || part[0] == '!') {
				part = nil
			}
		}
		if line = append(line, part...); len(line) > 0 {
			return line, first, true
		}
	}
	return nil, 0, false
}

// continues is true for an odd number of backslashes at the end: an even one is escaped backslashes.
func continues(line []byte) bool {
	n := len(line) - len(bytes.TrimRight(line, `\`))
	return n%2 == 1
}

const blanks = " \t\f"

func trimBlanks(line []byte) []byte { return bytes.TrimLeft(line, blanks) }

// splitProperty parts a logical line at its first =, : or blank that is not escaped. One = or : may follow the blanks.
func splitProperty(line []byte) (key, value []byte) {
	i := 0
	for i < len(line) && !strings.ContainsRune("=:"+blanks, rune(line[i])) {
		if line[i] == '\\' {
			i++
		}
		i++
	}
	if i >= len(line) {
		return line, nil
	}
	key, value = line[:i], trimBlanks(line[i:])
	if len(value) > 0 && (value[0] == '=' || value[0] == ':') {
		value = trimBlanks(value[1:])
	}
	return key, value
}

func unescape(b []byte) (string, error) {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b), nil
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			if b[i] != '\\' {
				out = append(out, b[i])
			}
			continue
		}
		i++
		switch b[i] {
		case 't':
			out = append(out, '\t')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 'f':
			out = append(out, '\f')
		case 'u':
			unit, err := hex4(b[i+1:])
			if err != nil {
				return "", err
			}
			i += 4
			// Characters beyond the first plane are written as two units.
			if bytes.HasPrefix(b[i+1:], []byte(`\u`)) && utf16.IsSurrogate(unit) {
				low, err := hex4(b[i+3:])
				if r := utf16.DecodeRune(unit, low); err == nil && r != utf8.RuneError {
					unit = r
					i += 6
				}
			}
			out = utf8.AppendRune(out, unit)
		default:
			out = append(out, b[i])
		}
	}
	return string(out), nil
}

func hex4(b []byte) (rune, error) {
	if len(b) < 4 {
		return 0, fmt.Errorf(`\u%s is not followed by four hexadecimal digits`, b)
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, fmt.Errorf(`\u%s is not followed by four hexadecimal digits`, b[:4])
		}
	}
	return r, nil
}

// AppendProperty appends "key=value\n", escaped so that Java reads the same: characters that are not ASCII become \uXXXX.
func AppendProperty(b []byte, key, value string) []byte {
	b = escape(b, key, true)
	b = append(b, '=')
	b = escape(b, value, false)
	return append(b, '\n')
}

func escape(b []byte, s string, key bool) []byte {
	for i, r := range s {
		switch {
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\f':
			b = append(b, `\f`...)
		case r == '\\':
			b = append(b, `\\`...)
		case r == ' ' && (key || i == 0), key && strings.ContainsRune("=:#!", r):
			b = append(b, '\\', byte(r))
		case r < ' ' || r > '~':
			for _, unit := range utf16.Encode([]rune{r}) {
				b = fmt.Appendf(b, `\u%04X`, unit)
			}
		default:
			b = append(b, byte(r))
		}
	}
	return b
}

// WriteProperties gives a properties file new values. Lines of keys that are not in changes stay as they are, with all comments; a key
// that stands there several times keeps its last line; new keys are appended in alphabetical order.
func WriteProperties(old []byte, changes map[string]string) ([]byte, error) {
	props, err := ParseProperties(old)
	if err != nil {
		return nil, err
	}
	begins := make(map[int]string) // line -> key that is to be replaced
	last := make(map[string]int)
	for _, p := range props {
		if _, changed := changes[p.Key]; changed {
			begins[p.Line] = p.Key
			last[p.Key] = p.Line
		}
	}
	var out []byte
	r := lineReader{data: old, next: 1}
	for len(r.data) > 0 {
		number, before := r.next, r.data
		line := r.natural()
		key, replaced := begins[number]
		if !replaced {
			out = append(out, before[:len(before)-len(r.data)]...)
			continue
		}
		for continues(line) && len(r.data) > 0 {
			line = r.natural()
		}
		if last[key] == number {
			out = AppendProperty(out, key, changes[key])
		}
	}
	if len(out) > 0 && out[len(out)-1] != '\n' && out[len(out)-1] != '\r' {
		out = append(out, '\n')
	}
	open := continues(bytes.TrimRight(out, "\r\n")) // the last line would take over what is appended
	for _, key := range sortedKeys(changes) {
		if _, there := last[key]; there {
			continue
		}
		if open {
			out, open = append(out, "\n\n"...), false // two: the first may belong to a carriage return
		}
		out = AppendProperty(out, key, changes[key])
	}
	return out, nil
}
