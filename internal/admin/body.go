package admin

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/liftoffmq/liftoff/internal/message"
)

const (
	plainMax   = 64 << 20 // a body that grows beyond is cut off
	previewMax = 120      // characters
)

// plainBody is the body as its producer gave it to its client, which may have compressed it.
func (c *copyOf) plainBody() ([]byte, error) {
	if c.SysFlag&message.FlagCompressed == 0 {
		return c.Body, nil
	}
	switch c.SysFlag & message.FlagCompression {
	case 0, message.FlagCompressionZlib:
	case message.FlagCompressionLZ4:
		return nil, errors.New("compressed with LZ4")
	default:
		return nil, errors.New("compressed with Zstandard")
	}
	r, err := zlib.NewReader(bytes.NewReader(c.Body))
	if err != nil {
		return nil, fmt.Errorf("cannot decompress the body: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(r, plainMax))
	if err != nil {
		return nil, fmt.Errorf("cannot decompress the body: %w", err)
	}
	return body, nil
}

// preview is the beginning of the body in one line.
func preview(c *copyOf) string {
	body, err := c.plainBody()
	if err != nil {
		return fmt.Sprintf("(%d bytes, %v)", len(c.Body), err)
	}
	head := body[:min(len(body), 4*previewMax)]
	for cut := 0; cut < utf8.UTFMax-1 && len(head) < len(body) && !utf8.Valid(head); cut++ {
		head = head[:len(head)-1] // of a character that was cut in two
	}
	if !utf8.Valid(head) {
		return fmt.Sprintf("(%d bytes, no text)", len(body))
	}
	var line strings.Builder
	n := 0
	for _, r := range string(head) {
		if n++; n > previewMax {
			line.WriteString("...")
			break
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		line.WriteRune(r)
	}
	return line.String()
}
