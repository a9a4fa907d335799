package filter

// What parts of an expression take in memory, in bytes, roundly.
const (
	exprSize = 512
	nodeSize = 128
	nameSize = 192 // of a property's, with its slots
	setSize  = 192 // of the strings of an IN
	wordSize = 96  // of each
)

// Size is about how many bytes of memory the expression takes without its text: up to more than a hundred for each byte of that.
func (e *Expr) Size() int {
	size := exprSize + e.root.size()
	for name := range e.names {
		size += nameSize + len(name)
	}
	return size
}

func (n *node) size() int {
	if n == nil {
		return 0
	}
	size := nodeSize + len(n.val.s) + 8*cap(n.list) + wordSize*len(n.set) + n.left.size() + n.right.size()
	if n.set != nil {
		size += setSize
	}
	for _, below := range n.list {
		size += below.size()
	}
	return size
}
