package filter

import (
	"cmp"
	"errors"
	"math"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// value is a string, number or boolean of an expression, or NULL.
type value struct {
	kind kind
	i    int64 // of kindBool, kindInt and kindLong
	f    float64
	s    []byte
}

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindInt // 32 bits
	kindLong
	kindDouble
	kindString
)

func (v value) isNumber() bool { return v.kind >= kindInt && v.kind <= kindDouble }

// negative is NULL for what is no number, a string that looks like one included.
func (v value) negative() value {
	switch v.kind {
	case kindInt:
		return value{kind: kindInt, i: int64(-int32(v.i))}
	case kindLong:
		return value{kind: kindLong, i: -v.i}
	case kindDouble:
		return value{kind: kindDouble, f: -v.f}
	}
	return value{}
}

// compare says whether a is less than (negative), equal to (0) or greater than b, neither of which is NULL. A string is read as what
// the other one is, two strings as numbers; it is not ok when that cannot be.
func compare(a, b value) (c int, ok bool) {
	switch {
	case a.kind == kindString && b.kind == kindString:
		x, okX := parseDouble(a.s)
		y, okY := parseDouble(b.s)
		return compareDoubles(x, y), okX && okY
	case a.kind == kindBool && b.kind == kindString:
		return 0, false // only the other way round
	case a.kind == kindString:
		if a, ok = a.as(b.kind); !ok {
			return 0, false
		}
	case b.kind == kindString:
		if b, ok = b.as(a.kind); !ok {
			return 0, false
		}
	}
	switch {
	case a.kind == kindBool && b.kind == kindBool:
		return cmp.Compare(a.i, b.i), true
	case a.kind == kindBool || b.kind == kindBool:
		return -1, true
	case a.kind == kindDouble || b.kind == kindDouble:
		return compareDoubles(a.double(), b.double()), true
	}
	return cmp.Compare(a.i, b.i), true
}

// as reads a string.
func (v value) as(k kind) (value, bool) {
	switch k {
	case kindBool:
		return value{kind: k, i: int64(isTrue(v.s))}, true
	case kindInt:
		i, ok := parseInt(v.s, math.MaxInt32)
		return value{kind: k, i: i}, ok
	case kindLong:
		i, ok := parseInt(v.s, math.MaxInt64)
		return value{kind: k, i: i}, ok
	}
	f, ok := parseDouble(v.s)
	return value{kind: k, f: f}, ok
}

func (v value) double() float64 {
	if v.kind == kindDouble {
		return v.f
	}
	return float64(v.i)
}

// compareDoubles orders as Java's Double.compare: -0 before 0, NaN behind all and equal to itself.
func compareDoubles(x, y float64) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	case math.IsNaN(x) || math.IsNaN(y):
		return boolInt(math.IsNaN(x)) - boolInt(math.IsNaN(y))
	}
	return boolInt(math.Signbit(y)) - boolInt(math.Signbit(x))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// isTrue is 1 for the word true, in letters of any size.
func isTrue(s []byte) int {
	return boolInt(len(s) == 4 && s[0]|0x20 == 't' && s[1]|0x20 == 'r' && s[2]|0x20 == 'u' && s[3]|0x20 == 'e')
}

// parseInt reads an integer from -most-1 to most as Java does: a sign and digits, of any script.
func parseInt(s []byte, most uint64) (int64, bool) {
	negative := false
	if len(s) > 1 && (s[0] == '-' || s[0] == '+') {
		negative = s[0] == '-'
		if negative {
			most++
		}
		s = s[1:]
	}
	if len(s) == 0 {
		return 0, false
	}
	var n uint64
	for len(s) > 0 {
		d, size := uint64(s[0]-'0'), 1
		if s[0] >= utf8.RuneSelf {
			d, size = digit(s)
		}
		if d > 9 || n > most/10 {
			return 0, false
		}
		if n = n*10 + d; n > most {
			return 0, false
		}
		s = s[size:]
	}
	if negative {
		return -int64(n), true
	}
	return int64(n), true
}

// digit reads one that is not ASCII. Its value is more than 9 if it is none, or lies beyond the characters of 16 bits, of which
// Java's reader sees two halves.
func digit(s []byte) (d uint64, size int) {
	r, size := utf8.DecodeRune(s)
	if r <= 0xFFFF {
		for _, digits := range unicode.Nd.R16 {
			if r >= rune(digits.Lo) && r <= rune(digits.Hi) {
				return uint64(r-rune(digits.Lo)) % 10, size
			}
		}
	}
	return 10, size
}

// parseDouble reads a number as Java's Double.valueOf does: with blanks around it, in decimal or hexadecimal, with a letter for its
// type behind it, or a word.
func parseDouble(s []byte) (float64, bool) {
	for len(s) > 0 && s[0] <= ' ' {
		s = s[1:]
	}
	for len(s) > 0 && s[len(s)-1] <= ' ' {
		s = s[:len(s)-1]
	}
	unsigned := s
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		unsigned = s[1:]
	}
	switch string(unsigned) {
	case "":
		return 0, false
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1 - 2*boolInt(s[0] == '-')), true
	}
	if n := len(unsigned) - 1; unsigned[n]|0x20 == 'f' || unsigned[n]|0x20 == 'd' {
		unsigned, s = unsigned[:n], s[:len(s)-1]
	}
	if !isFloat(unsigned) {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(s), 64)
	return f, err == nil || errors.Is(err, strconv.ErrRange)
}

// isFloat says whether s is written as Java writes floating-point numbers, which strconv reads too, among others.
func isFloat(s []byte) bool {
	base := 10
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		base = 16
		s = s[2:]
	}
	whole := digitsIn(s, base)
	if s = s[whole:]; len(s) > 0 && s[0] == '.' {
		part := digitsIn(s[1:], base)
		whole += part
		s = s[1+part:]
	}
	if whole == 0 || len(s) == 0 {
		return whole > 0 && base == 10
	}
	if letter := s[0] | 0x20; base == 10 && letter != 'e' || base == 16 && letter != 'p' {
		return false
	}
	if s = s[1:]; len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	n := digitsIn(s, 10)
	return n > 0 && n == len(s)
}

// digitsIn counts those that s begins with.
func digitsIn(s []byte, base int) (n int) {
	for n < len(s) && (isDigit(s[n]) || base == 16 && s[n]|0x20 >= 'a' && s[n]|0x20 <= 'f') {
		n++
	}
	return n
}
