package filter

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// lexer gives the parser the words of an expression. Like Apache's it reads no more of them than the parser needs: it ends the
// expression at the first word, outside brackets, that cannot go on with it. What lies behind may be anything.
type lexer struct {
	text   string
	at     int // of the next word
	start  int // of the word given last
	tokens int
	depth  int    // of open brackets
	last   [3]int // the kinds of the words given last, the newest first

	names  map[string]int // of the properties, and their slots
	err    error          // the first one
	result *node
}

// Kinds of words that the parser does not tell apart or that are written like the characters they are.
const (
	tokEnd   = 0
	tokTrue  = -1
	tokFalse = -2
	tokID    = -3
	tokNum   = -4
)

// tokensMax bounds the work that an expression can make for each message. The strings of an IN do not count.
const tokensMax = 65_536

// Lex gives the parser the next word. It is what goyacc wants.
func (l *lexer) Lex(v *sqlSymType) int {
	if l.err != nil {
		return tokEnd
	}
	kind, text, err := l.scan()
	if err != nil {
		l.fail(err)
		return tokEnd
	}
	if l.depth == 0 && l.complete() && !l.goesOn(kind) {
		l.at = l.start
		return tokEnd
	}
	if kind != tokString && kind != ',' {
		l.tokens++
	}
	if l.tokens > tokensMax {
		l.fail(fmt.Errorf("the expression has more than %d words; IN ('a', 'b', ...) takes any number of strings", tokensMax))
		return tokEnd
	}
	l.last = [3]int{kind, l.last[0], l.last[1]}
	switch kind {
	case '(':
		l.depth++
	case ')':
		l.depth--
	case tokString:
		v.text = unquote(text)
	case tokTrue, tokFalse:
		v.node = newConstant(value{kind: kindBool, i: int64(kind - tokFalse)})
		v.node.boolean = true
		return tokOperand
	case tokID:
		v.node = l.property(text)
		return tokOperand
	case tokNum:
		val, err := number(text)
		l.fail(err)
		v.node = newConstant(val)
		return tokOperand
	}
	return kind
}

// Error takes the parser's complaint, which says less than the lexer knows.
func (l *lexer) Error(string) {
	word := "its end"
	if l.at > l.start {
		word = strconv.Quote(l.text[l.start:min(l.at, l.start+40)])
	}
	l.fail(fmt.Errorf("the expression is not understood at byte %d: %s is not expected there", l.start, word))
}

func (l *lexer) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// complete says whether the words so far may be a whole expression, as far as the last one tells.
func (l *lexer) complete() bool {
	switch l.last[0] {
	case ')', tokString, tokTrue, tokFalse, tokNull, tokID, tokNum:
		return true
	}
	return false
}

// goesOn says whether a word may follow something complete.
func (l *lexer) goesOn(kind int) bool {
	switch kind {
	case tokAnd, tokOr, '=', tokNotEqual, tokIs:
		return true
	case '>', tokGreaterEqual, '<', tokLessEqual, tokNot, tokBetween, tokIn, tokContains, tokStartsWith, tokEndsWith:
		// What IS NULL makes is not compared further.
		return !(l.last[0] == tokNull && (l.last[1] == tokIs || l.last[1] == tokNot && l.last[2] == tokIs))
	}
	return false
}

// property is the node of a property, which has the same slot wherever it is named.
func (l *lexer) property(name string) *node {
	slot, known := l.names[name]
	if !known {
		slot = len(l.names)
		l.names[name] = slot
	}
	return &node{op: opProperty, slot: slot}
}

var words = map[string]int{"NOT": tokNot, "AND": tokAnd, "OR": tokOr, "BETWEEN": tokBetween, "IN": tokIn, "TRUE": tokTrue, "FALSE": tokFalse,
	"NULL": tokNull, "IS": tokIs, "CONTAINS": tokContains, "STARTSWITH": tokStartsWith, "ENDSWITH": tokEndsWith}

// scan finds the next word: the longest that fits, as in a generated scanner.
func (l *lexer) scan() (kind int, text string, err error) {
	l.skip()
	l.start = l.at
	rest := l.text[l.at:]
	if rest == "" {
		return tokEnd, "", nil
	}
	kind, n := int(rest[0]), 1
	switch c := rest[0]; {
	case isLetter(c):
		for n < len(rest) && (isLetter(rest[n]) || isDigit(rest[n])) {
			n++
		}
		kind = tokID
		if n <= len("STARTSWITH") {
			if k, ok := words[strings.ToUpper(rest[:n])]; ok {
				kind = k
			}
		}
	case isDigit(c) || c == '.':
		kind, n = tokNum, numberLen(rest)
	case c == '\'':
		kind, n = tokString, stringLen(rest)
	case strings.HasPrefix(rest, "<>"):
		kind, n = tokNotEqual, 2
	case strings.HasPrefix(rest, ">="):
		kind, n = tokGreaterEqual, 2
	case strings.HasPrefix(rest, "<="):
		kind, n = tokLessEqual, 2
	case strings.IndexByte("=<>(),+-", c) < 0:
		n = 0
	}
	if n == 0 {
		return 0, "", fmt.Errorf("the expression is not understood at byte %d: no word begins with %q", l.start, rest[:1])
	}
	l.at += n
	return kind, rest[:n], nil
}

// skip passes over blanks and comments.
func (l *lexer) skip() {
	for {
		rest := l.text[l.at:]
		n := 0
		switch {
		case rest == "":
		case strings.IndexByte(" \t\n\r\f", rest[0]) >= 0:
			n = 1
		case strings.HasPrefix(rest, "--"): // to the end of the line; without one it is no comment
			n = strings.IndexAny(rest, "\r\n") + 1
		case strings.HasPrefix(rest, "/*"):
			if end := strings.Index(rest[2:], "*/"); end >= 0 {
				n = 2 + end + 2
			}
		}
		if n == 0 {
			return
		}
		l.at += n
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '$' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// digits counts those that s begins with.
func digits(s string) (n int) {
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

// exponent is the length of one that s begins with.
func exponent(s string) int {
	if len(s) < 2 || s[0]|0x20 != 'e' {
		return 0
	}
	n := 1
	if s[1] == '+' || s[1] == '-' {
		n = 2
	}
	if d := digits(s[n:]); d > 0 {
		return n + d
	}
	return 0
}

// numberLen is the length of the number that s begins with, 0 if there is none. An integer is 0 or begins with another digit, and
// may end with L; a number with a point or an exponent may begin as it likes.
func numberLen(s string) int {
	whole := digits(s)
	if whole < len(s) && s[whole] == '.' {
		part := digits(s[whole+1:])
		if whole+part == 0 {
			return 0
		}
		n := whole + 1 + part
		return n + exponent(s[n:])
	}
	if e := exponent(s[whole:]); e > 0 {
		return whole + e
	}
	if s[0] == '0' {
		return 1
	}
	if whole < len(s) && s[whole]|0x20 == 'l' {
		return whole + 1
	}
	return whole
}

// stringLen is the length of the string that s begins with, 0 if it does not end. Two quotes are one in it.
func stringLen(s string) int {
	end := 0
	for i := 1; i < len(s); i++ {
		n := strings.IndexByte(s[i:], '\'')
		if n < 0 {
			break
		}
		i += n
		end = i + 1
		if i++; i == len(s) || s[i] != '\'' {
			break
		}
	}
	return end
}

func unquote(s string) string { return strings.ReplaceAll(s[1:len(s)-1], "''", "'") }

// number reads one as Java does: an integer takes 32 bits if it can.
func number(s string) (value, error) {
	if strings.ContainsAny(s, ".eE") {
		f, _ := strconv.ParseFloat(s, 64)
		if math.IsInf(f, 0) {
			return value{}, fmt.Errorf("the number %s is greater than %v", shown(s), math.MaxFloat64)
		}
		if f == 0 {
			return value{}, fmt.Errorf("the number %s is less than %v, the least that a constant with a point or an exponent may be", shown(s), math.SmallestNonzeroFloat64)
		}
		return value{kind: kindDouble, f: f}, nil
	}
	i, err := strconv.ParseInt(strings.TrimRight(s, "lL"), 10, 64)
	if err != nil {
		return value{}, fmt.Errorf("the number %s is greater than %d", shown(s), math.MaxInt64)
	}
	if i <= math.MaxInt32 {
		return value{kind: kindInt, i: i}, nil
	}
	return value{kind: kindLong, i: i}, nil
}

// shown is a piece of the expression for a message.
func shown(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

// errNotBoolean is what an expression gets that is neither true nor false.
var errNotBoolean = errors.New("the expression will not result in a boolean value")
