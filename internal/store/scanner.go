package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/liftoffmq/liftoff/internal/message"
)

// scanner reads the log record by record and believes nothing.
type scanner struct {
	store *Store
	clean bool
	small bool  // one record is wanted, not what follows it
	off   int64 // of the next record

	record   message.Dispatch
	messages int
	why      error // the log ends at off
	failed   error // the log cannot be read at off

	buf   []byte // holds the log from bufAt on
	bufAt int64
}

var errNothingHere = errors.New("nothing was written here")

// next reads the record at off, passing over a file's end, and reports whether there is a good one.
func (c *scanner) next() bool {
	files := c.store.log.files
	fileSize := files.FileSize()
	for {
		left := fileSize - c.off%fileSize
		if c.off >= files.End() || c.off < files.Start() {
			c.why = errNothingHere
			return false
		}
		if left < message.BlankSize {
			c.why = fmt.Errorf("%d bytes left in the file", left)
			return false
		}
		head := c.bytes(message.BlankSize)
		if head == nil {
			return false
		}
		size, kind := message.Peek(head)
		if kind == message.Blank && int64(size) == left {
			c.off += left
			continue
		}
		if kind != message.Record || int64(size) > left {
			c.why = errNothingHere
			return false
		}
		// Before memory is taken for a size that may be garbage, the record's own offset must be right.
		head = c.bytes(message.MinRecordSize)
		if head == nil {
			return false
		}
		if at := logOffsetOf(head); at != c.off {
			c.why = fmt.Errorf("record says that it lies at %d", at)
			return false
		}
		rec := c.bytes(size)
		if rec == nil {
			return false
		}
		if c.why = c.check(rec); c.why != nil {
			return false
		}
		c.off += int64(size)
		c.messages++
		return true
	}
}

// check decodes a whole record and compares its CRC.
func (c *scanner) check(rec []byte) error {
	if err := message.ReadDispatch(rec, &c.record); err != nil {
		return err
	}
	cfg := &c.store.cfg
	switch {
	case cfg.CheckCRCOnRecover && cfg.ForceVerifyPropCRC:
		if err := message.CheckRecord(rec); err != nil {
			return err
		}
	case cfg.CheckCRCOnRecover:
		if err := c.record.CheckBody(); err != nil {
			return err
		}
	}
	if slices.Contains(c.record.Topic, 0) {
		return fmt.Errorf("topic %q", c.record.Topic)
	}
	if c.record.QueueOffset < 0 || c.record.QueueID < 0 {
		return fmt.Errorf("queue %d, offset %d", c.record.QueueID, c.record.QueueOffset)
	}
	if !c.clean && lostPage(rec, c.record.LogOffset, len(rec)-len(c.record.Properties)) && message.CheckRecord(rec) != nil {
		return errors.New("a page of its properties was never written")
	}
	return nil
}

// lostPage says whether a page that reached the disk only as zeros lies in the part of a record that no CRC covers:
// topic and properties. A power cut leaves such pages. Properties that have zeros of their own are stored with a CRC.
func lostPage(rec []byte, off int64, props int) bool {
	for at := props; at < len(rec); {
		pageEnd := at + int(pageSize-(off+int64(at))%pageSize)
		end := min(pageEnd, len(rec))
		if allZero(rec[at:end]) {
			return true
		}
		at = end
	}
	return false
}

// bytes returns n bytes at off, which lie in one file.
func (c *scanner) bytes(n int) []byte {
	if at := c.off - c.bufAt; at >= 0 && at+int64(n) <= int64(len(c.buf)) {
		return c.buf[at : at+int64(n)]
	}
	files := c.store.log.files
	left := files.FileSize() - c.off%files.FileSize()
	if int64(n) > left {
		c.why = fmt.Errorf("record of %d bytes, the file has %d left", n, left)
		return nil
	}
	want := int(min(left, int64(max(n, 1<<20))))
	if c.small {
		want = int(min(left, int64(max(n, 4<<10))))
	}
	c.buf = slices.Grow(c.buf[:0], want)[:want]
	c.bufAt = c.off
	if _, err := files.ReadAt(c.buf, c.off); err != nil {
		c.buf = c.buf[:0]
		c.failed = err
		return nil
	}
	return c.buf[:n]
}
