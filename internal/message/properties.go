package message

import (
	"encoding/binary"
	"iter"
	"maps"
	"math/bits"
	"slices"
)

// Properties are text: name 0x01 value 0x02, repeated. Brokers and Java clients write the last 0x02, others leave it out;
// both are read. An entry without 0x01, without a name or without a value is not there at all, as in Apache's reader, and
// of two entries with one name the last counts.
const (
	nameEnd  = 1
	valueEnd = 2
)

// MaxProperties is the length in bytes that the record's 2-byte signed length field can tell.
const MaxProperties = 1<<15 - 1

// A propertyWalk finds one entry after the other. Names and values are too short for bytes.IndexByte to be worth its call, so it looks at
// eight bytes at once and remembers which of them may be marks.
type propertyWalk struct {
	props []byte
	at    int    // of the next word
	marks uint64 // of the word before it, the high bit of each byte
	begin int    // of the entry
}

// next is the next well-formed entry; without one the name is nil.
func (w *propertyWalk) next() (name, value []byte) {
	const each = 0x0101010101010101
	props, at, marks, begin := w.props, w.at, w.marks, w.begin
	nameAt := -1
	for {
		for marks == 0 {
			if at >= len(props) {
				w.at, w.marks, w.begin = at, 0, len(props)
				if nameAt > begin && nameAt < len(props)-1 && begin < len(props) {
					return props[begin:nameAt], props[nameAt+1:]
				}
				return nil, nil
			}
			var word uint64
			if at+8 <= len(props) {
				word = binary.LittleEndian.Uint64(props[at:])
			} else {
				word = lastWord(props[at:])
			}
			marks = (word - (valueEnd+1)*each) &^ word & (0x80 * each) // of bytes below 3, and perhaps of a 3 behind them
			at += 8
		}
		mark := at - 8 + bits.TrailingZeros64(marks)/8
		marks &= marks - 1
		switch props[mark] {
		case nameEnd:
			if nameAt < 0 {
				nameAt = mark
			}
		case valueEnd:
			if nameAt > begin && nameAt < mark-1 {
				w.at, w.marks, w.begin = at, marks, mark+1
				return props[begin:nameAt], props[nameAt+1 : mark]
			}
			begin, nameAt = mark+1, -1
		}
	}
}

// lastWord is up to seven bytes and no marks.
func lastWord(b []byte) uint64 {
	word := uint64(0xFFFFFFFFFFFFFFFF)
	for i := len(b) - 1; i >= 0; i-- {
		word = word<<8 | uint64(b[i])
	}
	return word
}

// Properties iterates over names and values, which are parts of props.
func Properties(props []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		w := propertyWalk{props: props}
		for name, value := w.next(); name != nil; name, value = w.next() {
			if !yield(name, value) {
				return
			}
		}
	}
}

// Property looks one up. The value is a part of props.
func Property(props []byte, name string) (value []byte, ok bool) {
	for n, v := range Properties(props) {
		if string(n) == name {
			value, ok = v, true
		}
	}
	return value, ok
}

// AppendProperty appends one to props, which may be nil. It closes a last entry that was left open, and does not look
// for an entry of the same name; SetProperty does.
func AppendProperty[V ~string | ~[]byte](props []byte, name string, value V) []byte {
	if n := len(props); n > 0 && props[n-1] != valueEnd {
		props = append(props, valueEnd)
	}
	props = append(props, name...)
	props = append(props, nameEnd)
	props = append(props, value...)
	return append(props, valueEnd)
}

// DeleteProperty returns props without the entries of that name: props itself when there is none, else a copy.
func DeleteProperty(props []byte, name string) []byte {
	if _, ok := Property(props, name); !ok {
		return props
	}
	return AppendPropertiesWithout(make([]byte, 0, len(props)), props, name)
}

// AppendPropertiesWithout appends those of props that have none of the names. It does not look at what dst ends with.
func AppendPropertiesWithout(dst, props []byte, names ...string) []byte {
next:
	for name, value := range Properties(props) {
		for _, n := range names {
			if string(name) == n {
				continue next
			}
		}
		dst = append(dst, name...)
		dst = append(dst, nameEnd)
		dst = append(dst, value...)
		dst = append(dst, valueEnd)
	}
	return dst
}

// SetProperty returns props with the property set to value, without changing the bytes of props itself.
func SetProperty[V ~string | ~[]byte](props []byte, name string, value V) []byte {
	return AppendProperty(slices.Clip(DeleteProperty(props, name)), name, value)
}

// ParseProperties is the map form, for slow paths.
func ParseProperties(props []byte) map[string]string {
	m := make(map[string]string)
	for name, value := range Properties(props) {
		m[string(name)] = string(value)
	}
	return m
}

// AppendProperties appends a map, sorted by name so that equal maps give equal bytes.
func AppendProperties(dst []byte, m map[string]string) []byte {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		dst = AppendProperty(dst, name, m[name])
	}
	return dst
}
