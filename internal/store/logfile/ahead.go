package logfile

import "io"

// Ahead makes a file ready for what is written to it in turn: it takes the disk's space in large pieces, and writes zeros before the bytes. A
// kernel that is handed a few KiB of a file's new pages makes them one by one, finds and reserves space for each, at 2 to 4 µs a page. In
// one large write to space that is there they take less than 1, and a write into pages that are there a fifth of that.
//
// All of it may be left out, so whoever writes seldom does: quiet files take no space for nothing.
type Ahead struct {
	// Step is how many bytes of zeros are written at once, at most 512 KiB.
	Step int64

	zeroed   int64 // where zeros are written to
	reserved int64 // where space is taken to
}

const (
	zerosMost = 512 << 10
	// As much space is taken at once as the file has behind it, within these.
	reserveLeast = 1 << 20
	reserveMost  = 64 << 20
)

var zeros [zerosMost]byte

// Writer is what Ahead needs of a File or a Log.
type Writer interface {
	io.WriterAt
	Reserve(off, n int64) error
}

// Prepare makes [from, to) ready and what follows, but nothing before from, and nothing outside [begin, end), which is a file or what is
// written of it in turn. An error is left to the write that follows to meet.
func (a *Ahead) Prepare(w Writer, from, to, begin, end int64) {
	if a.zeroed < from || a.zeroed > end {
		a.zeroed = min(end, (from+a.Step-1)/a.Step*a.Step)
	}
	for a.zeroed < to {
		n := min(end-a.zeroed, a.Step-a.zeroed%a.Step)
		if a.reserved < a.zeroed+n || a.reserved > end {
			space := min(max(a.zeroed-begin, reserveLeast), reserveMost, end-a.zeroed)
			_ = w.Reserve(a.zeroed, space)
			a.reserved = a.zeroed + space
		}
		if _, err := w.WriteAt(zeros[:n], a.zeroed); err != nil {
			return
		}
		a.zeroed += n
	}
}
