package message

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// plainMax bounds what a compressed body may become.
const plainMax = 64 << 20

// PlainBody is the body as its producer gave it: decompressed if it is compressed with zlib, as Java's clients do unless told otherwise. Others
// are errors.
func (m *Message) PlainBody() ([]byte, error) {
	if m.SysFlag&FlagCompressed == 0 {
		return m.Body, nil
	}
	switch m.SysFlag & FlagCompression {
	case 0, FlagCompressionZlib:
	case FlagCompressionLZ4:
		return nil, errors.New("compressed with LZ4")
	default:
		return nil, errors.New("compressed with Zstandard")
	}
	r, err := zlib.NewReader(bytes.NewReader(m.Body))
	if err != nil {
		return nil, fmt.Errorf("cannot decompress: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(r, plainMax+1))
	if err == nil && len(body) > plainMax {
		err = fmt.Errorf("more than %d MiB", plainMax>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot decompress: %w", err)
	}
	return body, nil
}
