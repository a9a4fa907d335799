package message

import "math"

// JavaHash continues Java's String.hashCode over UTF-8 text: JavaHash(JavaHash(0, "a"), "b") is the hash of "ab" (as long
// as the cut is between characters). Java computes it over UTF-16 units and reads damaged UTF-8 as U+FFFD; so does this.
func JavaHash[T ~string | ~[]byte](h int32, text T) int32 {
	const (
		p2 = 31 * 31
		p4 = p2 * p2
		p8 = p4 * p4 & math.MaxUint32
	)
	i := 0
	// Eight at a time, for this runs several times for each message: each byte is added to 31 times the one before, in four parts of a word,
	// then each of these to 31*31 times the one before, in two. No part grows into the next.
	for ; i+8 <= len(text); i += 8 {
		t := text[i : i+8]
		w := uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
			uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
		if w&0x8080808080808080 != 0 {
			break
		}
		w = w&0x00ff00ff00ff00ff*31 + w>>8&0x00ff00ff00ff00ff
		w = w&0x0000ffff0000ffff*p2 + w>>16&0x0000ffff0000ffff
		h = int32(uint32(h)*p8 + uint32(w)*p4 + uint32(w>>32))
	}
	for ; i < len(text); i++ {
		if text[i] >= 0x80 {
			return javaHashSlow(h, []byte(text[i:]))
		}
		h = h*31 + int32(text[i])
	}
	return h
}

func javaHashSlow(h int32, text []byte) int32 {
	for len(text) > 0 {
		r, n := javaRune(text)
		text = text[n:]
		if r >= 0x10000 {
			r -= 0x10000
			h = h*31 + (0xD800 + r>>10)
			h = h*31 + (0xDC00 + r&0x3FF)
		} else {
			h = h*31 + r
		}
	}
	return h
}

// javaRune decodes one character as Java's UTF-8 decoder does. Go's takes one byte for each damaged one; Java takes as
// many as could still have become a character, so the two give different numbers of U+FFFD.
func javaRune(b []byte) (r rune, n int) {
	const bad = 0xFFFD
	at := func(i int) int32 {
		if i < len(b) {
			return int32(b[i])
		}
		return -1 // the end is no continuation
	}
	cont := func(c int32) bool { return c >= 0 && c&0xC0 == 0x80 }
	b0, b1 := at(0), at(1)
	switch {
	case b0 < 0x80:
		return b0, 1
	case b0 >= 0xC2 && b0 <= 0xDF:
		if !cont(b1) {
			return bad, 1
		}
		return b0&0x1F<<6 | b1&0x3F, 2
	case b0 >= 0xE0 && b0 <= 0xEF:
		if !cont(b1) || b0 == 0xE0 && b1 < 0xA0 {
			return bad, 1
		}
		if !cont(at(2)) {
			return bad, 2
		}
		r = b0&0x0F<<12 | b1&0x3F<<6 | at(2)&0x3F
		if r >= 0xD800 && r <= 0xDFFF {
			r = bad
		}
		return r, 3
	case b0 >= 0xF0 && b0 <= 0xF4:
		if !cont(b1) || b0 == 0xF0 && b1 < 0x90 || b0 == 0xF4 && b1 > 0x8F {
			return bad, 1
		}
		if !cont(at(2)) {
			return bad, 2
		}
		if !cont(at(3)) {
			return bad, 3
		}
		return b0&0x07<<18 | b1&0x3F<<12 | at(2)&0x3F<<6 | at(3)&0x3F, 4
	}
	return bad, 1
}

// TagsCode is what a consume queue keeps of a message's tag: the hash, by which the broker filters, and 0 without a tag.
func TagsCode(tags []byte) int64 {
	return int64(JavaHash(0, tags))
}
