package message

import (
	"bytes"
	"iter"
	"maps"
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

// nextProperty takes the first entry off props. A malformed one has a nil name.
func nextProperty(props []byte) (name, value, rest []byte) {
	entry := props
	if end := bytes.IndexByte(props, valueEnd); end >= 0 {
		entry, rest = props[:end], props[end+1:]
	}
	if at := bytes.IndexByte(entry, nameEnd); at > 0 && at < len(entry)-1 {
		return entry[:at], entry[at+1:], rest
	}
	return nil, nil, rest
}

// Properties iterates over names and values, which are parts of props.
func Properties(props []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for len(props) > 0 {
			var name, value []byte
			name, value, props = nextProperty(props)
			if name != nil && !yield(name, value) {
				return
			}
		}
	}
}

// Property looks one up. The value is a part of props.
func Property(props []byte, name string) (value []byte, ok bool) {
	for len(props) > 0 {
		var n, v []byte
		n, v, props = nextProperty(props)
		if n != nil && string(n) == name {
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
