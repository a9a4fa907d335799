package broker

import "github.com/liftoffmq/liftoff/internal/protocol"

// What hot handlers need that read their header's fields in place: each field that must be there has a bit.

func parseInt32(v []byte) (int32, bool) {
	n, ok := protocol.ParseInt(v)
	return int32(n), ok && n == int64(int32(n))
}

// errNotNumber refuses a field in Apache's words.
func errNotNumber[K string | []byte](key K, v []byte) error {
	return protocol.Errorf(protocol.CodeSystemError, "the custom field <%s> has the value %q, which is not a number", key, v)
}

// missingField refuses a request that has not all fields that it needs, in Apache's words. names are those of the bits, the lowest first.
func missingField(have, need uint16, names ...string) error {
	for i, name := range names {
		if need&^have&(1<<i) != 0 {
			return protocol.Errorf(protocol.CodeSystemError, "the custom field <%s> is null", name)
		}
	}
	return nil
}
