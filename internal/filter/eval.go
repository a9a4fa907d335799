package filter

import (
	"bytes"
	"encoding/binary"
	"math/bits"
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
	if n := len(e.ordered); n > slotsMax {
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
	f := frame{slots: room[:len(e.ordered)]}
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
	// The same, by hand, for it is most of an evaluation: eight bytes at a time are searched for the next end of a name or value.
	const nameEnd, valueEnd = 1, 2
	begin, split := 0, -1 // of the entry, and where its name ends
	for at := 0; at < len(properties); at += 8 {
		ends := endsIn(properties[at:])
		for ; ends != 0; ends &= ends - 1 {
			i := at + bits.TrailingZeros64(ends)/8
			switch c := properties[i]; {
			case c == nameEnd && split < 0:
				split = i
			case c == valueEnd:
				if split > begin {
					e.set(slots, properties[begin:split], properties[split+1:i])
				}
				begin, split = i+1, -1
			}
		}
	}
	if split > begin {
		e.set(slots, properties[begin:split], properties[split+1:])
	}
}

// endsIn has the highest bit of each of b's first eight bytes set that is 0, 1 or 2, and perhaps of some behind such a byte.
func endsIn(b []byte) uint64 {
	const each = 0x0101010101010101
	var word uint64
	if len(b) >= 8 {
		word = binary.LittleEndian.Uint64(b)
	} else {
		var room [8]byte
		for i := range room {
			room[i] = 0xFF
		}
		copy(room[:], b)
		word = binary.LittleEndian.Uint64(room[:])
	}
	return (word - 3*each) &^ word & (0x80 * each)
}

// set keeps the value of a property if the expression names it. One without a value is not there, but neither does it hide another.
func (e *Expr) set(slots [][]byte, name, v []byte) {
	if len(v) == 0 {
		return
	}
	for slot, want := range e.ordered {
		if len(want) == len(name) && want[0] == name[0] && string(name) == want {
			slots[slot] = v
			return
		}
	}
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
