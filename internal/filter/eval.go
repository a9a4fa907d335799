package filter

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/liftoffmq/liftoff/internal/message"
)

// Result is what an expression is for a message.
type Result int8

// A message is wanted only if the expression is True.
const (
	Null Result = iota
	False
	True
	Failed // something could not be compared, such as a word with a number
)

func (r Result) String() string { return [...]string{"NULL", "FALSE", "TRUE", "failed"}[r] }

// frame is one evaluation: the values of the properties that the expression names, nil for those that are not there. Values are
// parts of the message's properties, and never empty.
type frame struct {
	slots [][]byte
}

// slotsMax is how many properties an expression may name before its evaluations share frames.
const slotsMax = 8

var frames = sync.Pool{New: func() any { return new(frame) }}

// Eval evaluates the expression for properties as they lie in a record.
func (e *Expr) Eval(properties []byte) Result {
	if n := len(e.names); n > slotsMax {
		f := frames.Get().(*frame)
		if cap(f.slots) < n {
			f.slots = make([][]byte, n)
		}
		f.slots = f.slots[:n]
		e.find(f.slots, properties)
		r := f.truth(e.root)
		clear(f.slots)
		frames.Put(f)
		return r
	}
	var room [slotsMax][]byte
	f := frame{slots: room[:len(e.names)]}
	e.find(f.slots, properties)
	return f.truth(e.root)
}

// find looks for the properties that the expression names. Of two of the same name the last counts.
func (e *Expr) find(slots [][]byte, properties []byte) {
	if len(slots) > slotsMax {
		for name, v := range message.Properties(properties) {
			if slot, ok := e.names[string(name)]; ok {
				slots[slot] = v
			}
		}
		return
	}
	// The same, by hand and in one loop, for it is most of an evaluation.
	for rest := properties; len(rest) > 0; {
		first, slot, size := firstBytes(rest), 0, 0
		for i := range e.wanted {
			w := &e.wanted[i]
			if first&w.mask == w.first && (w.rest == "" || len(rest) >= w.size && string(rest[8:w.size]) == w.rest) {
				slot, size = i, w.size
				break
			}
		}
		v := rest[size:]
		n := bytes.IndexByte(v, valueEnd)
		if n >= 0 {
			rest = v[n+1:]
		} else {
			n, rest = len(v), nil
		}
		// One without a value is not there, but neither does it hide another.
		if size > 0 && n > 0 {
			slots[slot] = v[:n]
		}
	}
}

// wanted is a property's name with its end, so that the beginning of an entry is compared at once.
type wanted struct {
	first, mask uint64 // as firstBytes, and which bytes of it count
	rest        string // behind the first eight bytes
	size        int
}

func newWanted(name string) wanted {
	name += nameEnd
	w := wanted{first: firstBytes([]byte(name)), mask: ^uint64(0), size: len(name)}
	if len(name) < 8 {
		w.mask >>= 64 - 8*len(name)
		w.first &= w.mask
	} else {
		w.rest = name[8:]
	}
	return w
}

const (
	nameEnd  = "\x01"
	valueEnd = 2
)

// firstBytes are b's first eight bytes, the first one lowest, 0 for those that b does not have.
func firstBytes(b []byte) (word uint64) {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b)
	}
	for i, c := range b {
		word |= uint64(c) << (8 * i)
	}
	return word
}

// truth evaluates a node that is a boolean.
func (f *frame) truth(n *node) Result {
	switch n.op {
	case opAnd, opOr:
		return f.logic(n)
	case opNot:
		return negated(f.truth(n.left))
	case opEqual:
		return f.equal(n)
	case opGreater, opGreaterEqual, opLess, opLessEqual:
		return f.order(n)
	case opIn:
		return f.in(n)
	case opContains, opStartsWith, opEndsWith:
		return f.search(n)
	case opCast:
		if f.slots[n.left.slot] == nil {
			return Null
		}
		return False // a property is a string, whatever it says
	}
	if n.val.kind == kindNull {
		return Null
	}
	return truth(n.val.i != 0)
}

func truth(b bool) Result {
	if b {
		return True
	}
	return False
}

func negated(r Result) Result {
	switch r {
	case True:
		return False
	case False:
		return True
	}
	return r
}

// logic goes on only until the result is known, so that what would fail behind does not.
func (f *frame) logic(n *node) Result {
	all, decides := True, False
	if n.op == opOr {
		all, decides = False, True
	}
	for _, below := range n.list {
		switch r := f.truth(below); r {
		case decides, Failed:
			return r
		case Null:
			all = Null
		}
	}
	return all
}

// value evaluates a node of any kind. It is not ok when something could not be compared.
func (f *frame) value(n *node) (v value, ok bool) {
	switch {
	case n.op == opProperty:
		if s := f.slots[n.slot]; s != nil {
			return value{kind: kindString, s: s}, true
		}
		return value{}, true
	case n.op == opConstant:
		return n.val, true
	case n.op == opNegative:
		v, ok = f.value(n.left)
		return v.negative(), ok
	}
	switch r := f.truth(n); r {
	case Null:
		return value{}, true
	case Failed:
		return value{}, false
	default:
		return value{kind: kindBool, i: int64(r - False)}, true
	}
}

// equal is peculiar about NULL, see the package's comment.
func (f *frame) equal(n *node) Result {
	if n.left.op == opProperty && n.right.op == opConstant { // as most are
		s, v := f.slots[n.left.slot], &n.right.val
		switch {
		case s == nil && v.kind != kindNull:
			return Null
		case v.kind == kindString:
			return truth(string(s) == string(v.s))
		case v.kind == kindBool:
			return truth(isTrue(s) == int(v.i))
		}
	}
	left, ok := f.value(n.left)
	if !ok {
		return Failed
	}
	right, ok := f.value(n.right)
	switch {
	case !ok:
		return Failed
	case left.kind == kindNull && right.kind == kindNull:
		return True
	case left.kind == kindNull:
		return Null
	case right.kind == kindNull:
		return False
	case left.kind == kindString && right.kind == kindString:
		return truth(bytes.Equal(left.s, right.s))
	}
	c, ok := compare(left, right)
	if !ok {
		return Failed
	}
	return truth(c == 0)
}

func (f *frame) order(n *node) Result {
	left, ok := f.value(n.left)
	if !ok {
		return Failed
	}
	if left.kind == kindNull {
		return Null
	}
	right, ok := f.value(n.right)
	if !ok {
		return Failed
	}
	if right.kind == kindNull {
		return Null
	}
	c, ok := compare(left, right)
	if !ok {
		return Failed
	}
	switch n.op {
	case opGreater:
		return truth(c > 0)
	case opGreaterEqual:
		return truth(c >= 0)
	case opLess:
		return truth(c < 0)
	}
	return truth(c <= 0)
}

func (f *frame) in(n *node) Result {
	s := f.slots[n.left.slot]
	if s == nil {
		return Null
	}
	_, found := n.set[string(s)]
	return truth(found != n.not)
}

// search looks for a piece in a string. Without a string or a piece it is FALSE, also when it is to be absent.
func (f *frame) search(n *node) Result {
	if len(n.val.s) == 0 {
		return False
	}
	var s []byte
	if n.left.op == opProperty {
		s = f.slots[n.left.slot]
	} else if v, ok := f.value(n.left); !ok {
		return Failed
	} else if v.kind == kindString {
		s = v.s
	}
	if s == nil {
		return False
	}
	var found bool
	switch n.op {
	case opContains:
		found = bytes.Contains(s, n.val.s)
	case opStartsWith:
		found = bytes.HasPrefix(s, n.val.s)
	default:
		found = bytes.HasSuffix(s, n.val.s)
	}
	return truth(found != n.not)
}
