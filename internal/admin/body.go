package admin

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const previewMax = 120 // characters

// preview is the beginning of the body in one line.
func preview(c *copyOf) string {
	body, err := c.PlainBody()
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
