package filter

import (
	"errors"
	"fmt"
)

//go:generate go run golang.org/x/tools/cmd/goyacc@v0.52.0 -l -p sql -v "" -o sql.go sql.y

// Expr is an expression that was understood. It does not change, and may be evaluated by many at once.
type Expr struct {
	root    *node
	names   map[string]int // slots of the properties
	wanted  []wanted       // by slot
	ignored string
}

// Parse reads an expression. It refuses what Apache's broker refuses, and what would be too much work for each message.
func Parse(text string) (*Expr, error) {
	l := &lexer{text: text, names: map[string]int{}}
	sqlParse(l)
	if l.err != nil {
		return nil, l.err
	}
	l.skip()
	e := &Expr{root: l.result, names: l.names, wanted: make([]wanted, len(l.names)), ignored: text[l.at:]}
	for name, slot := range l.names {
		e.wanted[slot] = newWanted(name)
	}
	return e, nil
}

// Ignored is the end of the expression that was not looked at, because it cannot belong to what stands before; usually nothing.
func (e *Expr) Ignored() string { return e.ignored }

// node is one operation of an expression.
type node struct {
	op      op
	boolean bool // the result is a boolean or NULL
	not     bool // of opIn, opContains, opStartsWith, opEndsWith
	depth   int  // of what is below
	slot    int  // of opProperty
	left    *node
	right   *node
	list    []*node // of opAnd, opOr, instead of left and right
	val     value   // of opConstant, and what opContains and its like look for
	set     map[string]struct{}
}

type op uint8

const (
	opProperty op = iota
	opConstant
	opNegative
	opCast // a property as a boolean
	opNot
	opAnd
	opOr
	opEqual
	opGreater
	opGreaterEqual
	opLess
	opLessEqual
	opIn
	opContains
	opStartsWith
	opEndsWith
)

// depthMax is how deep operations may lie in each other: evaluating descends as deep. AND and OR next to each other lie flat.
const depthMax = 1_000

// made notes how deep a new node is.
func made(l sqlLexer, n *node) *node {
	for _, below := range [...]*node{n.left, n.right} {
		if below != nil {
			n.depth = max(n.depth, below.depth+1)
		}
	}
	return checked(l, n)
}

func checked(l sqlLexer, n *node) *node {
	if n.depth > depthMax {
		refuse(l, fmt.Errorf("the expression is nested deeper than %d", depthMax))
	}
	return n
}

func refuse(l sqlLexer, err error) { l.(*lexer).fail(err) }

func newConstant(v value) *node { return &node{op: opConstant, val: v} }

// boolean makes a node one that is true or false, if it can.
func boolean(l sqlLexer, n *node) *node {
	switch {
	case n.boolean:
		return n
	case n.op != opProperty:
		refuse(l, errNotBoolean)
	}
	return made(l, &node{op: opCast, boolean: true, left: n})
}

// newLogic joins two conditions, and what is joined in the same way already.
func newLogic(l sqlLexer, o op, left, right *node) *node {
	left, right = boolean(l, left), boolean(l, right)
	if left.op != o {
		left = &node{op: o, boolean: true, depth: left.depth + 1, list: []*node{left}}
	}
	left.list = append(left.list, right)
	left.depth = max(left.depth, right.depth+1)
	return checked(l, left)
}

func newNot(l sqlLexer, n *node) *node {
	return made(l, &node{op: opNot, boolean: true, left: boolean(l, n)})
}

func newNegative(l sqlLexer, n *node) *node { return made(l, &node{op: opNegative, left: n}) }

var errNull = errors.New("'NULL' cannot be compared; write IS NULL or IS NOT NULL")

func newEqual(l sqlLexer, left, right *node) *node {
	if left.isNull() || right.isNull() {
		refuse(l, errNull)
	}
	if left.op == opConstant && right.op == opConstant && left.boolean && !right.boolean {
		refuse(l, errors.New("'TRUE' and 'FALSE' cannot be compared with a constant of another type"))
	}
	return made(l, &node{op: opEqual, boolean: true, left: left, right: right})
}

func (n *node) isNull() bool { return n.op == opConstant && n.val.kind == kindNull }

func newIsNull(l sqlLexer, n *node) *node {
	return made(l, &node{op: opEqual, boolean: true, left: n, right: newConstant(value{})})
}

// newOrder compares by size, which only numbers can be, or what may turn out to be one.
func newOrder(l sqlLexer, o op, left, right *node) *node {
	for _, n := range [...]*node{left, right} {
		if n.boolean || n.op == opConstant && !n.val.isNumber() {
			refuse(l, errors.New("a string, a boolean or NULL cannot be compared by size: <, <=, >, >= and BETWEEN are for numbers"))
		}
	}
	return made(l, &node{op: o, boolean: true, left: left, right: right})
}

func newBetween(l sqlLexer, n, low, high *node) *node {
	if low.op == opConstant && high.op == opConstant && low.val.isNumber() && high.val.isNumber() {
		if c, _ := compare(high.val, low.val); c < 0 {
			refuse(l, errors.New("of the values of BETWEEN the first must be less than or equal to the second"))
		}
	}
	return newLogic(l, opAnd, newOrder(l, opGreaterEqual, n, low), newOrder(l, opLessEqual, n, high))
}

func newNotBetween(l sqlLexer, n, low, high *node) *node {
	return newLogic(l, opOr, newOrder(l, opLess, n, low), newOrder(l, opGreater, n, high))
}

func newIn(l sqlLexer, n *node, texts []string, not bool) *node {
	if n.op != opProperty {
		refuse(l, errors.New("before IN must be a property"))
	}
	set := make(map[string]struct{}, len(texts))
	for _, t := range texts {
		set[t] = struct{}{}
	}
	return made(l, &node{op: opIn, boolean: true, left: n, set: set, not: not})
}

func newSearch(l sqlLexer, o op, n *node, text string, not bool) *node {
	return made(l, &node{op: o, boolean: true, left: n, val: value{kind: kindString, s: []byte(text)}, not: not})
}
