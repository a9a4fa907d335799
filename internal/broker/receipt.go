package broker

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// A receipt says which delivery of a message an acknowledgement is for. Clients get it as the property POP_CK or make it of the
// answer's header, and bring it back as extraInfo. Part of the wire format; fields separated by a space:
//
//	start offset of the pop in its queue, pop time ms, invisible time ms, revive queue, retry flag, broker name, queue, offset
//
// The offset at the end may be missing. Orderly pops have reviveQueue orderlyRevive.
type receipt struct {
	start, popTime, invisible int64
	reviveQueue               int32
	broker                    []byte // part of what was parsed
}

// orderlyRevive is the revive queue of orderly pops, which have none. Part of the wire format.
const orderlyRevive = 999

// Retry flags: which topic a message was popped from. Part of the wire format.
const (
	flagNormal  = '0'
	flagRetryV1 = '1'
	flagRetryV2 = '2'
)

// Separators between group and topic in the name of a group's pop retry topic. Part of the format.
const (
	popRetryV1 = "_"
	popRetryV2 = "+"
)

func popRetryTopic(group, topic, separator string) string {
	return retryPrefix + group + separator + topic
}

// popNormalTopic is the topic whose pop retry topic of a group this is, or the topic itself.
func popNormalTopic(topic, group string) string {
	if popped := poppedTopic(topic, group); popped != "" {
		return popped
	}
	return topic
}

// poppedTopic is the topic whose pops read a retry topic, "" where the topic is none of theirs.
func poppedTopic(topic, group string) string {
	rest, ok := strings.CutPrefix(topic, retryPrefix+group)
	if !ok || len(rest) < 2 || rest[0] != popRetryV1[0] && rest[0] != popRetryV2[0] {
		return ""
	}
	return rest[1:]
}

// retryFlag is how receipts and answers name the kind of a topic.
func retryFlag(topic string) byte {
	switch {
	case !strings.HasPrefix(topic, retryPrefix):
		return flagNormal
	case strings.Contains(topic, popRetryV2):
		return flagRetryV2
	}
	return flagRetryV1
}

// receiptMax is longer than any receipt: six numbers and a broker's name.
const receiptMax = 1024

// parseReceipt reads a receipt that a client brings. It is a stranger's.
func parseReceipt(text []byte) (receipt, error) {
	var r receipt
	if len(text) > receiptMax {
		return r, protocol.Errorf(protocol.CodeInvalidParameter, "the receipt handle (extraInfo) has %d bytes, possible are %d", len(text), receiptMax)
	}
	malformed := func(why string) error {
		return protocol.Errorf(protocol.CodeInvalidParameter,
			"the receipt handle (extraInfo) is malformed: %s; it is %q, and should be: start offset, pop time, invisible time, revive queue, retry flag, broker name, queue", why, text)
	}
	rest := text
	for i, name := range [...]string{"start offset", "pop time", "invisible time", "revive queue", "retry flag", "broker name"} {
		var field []byte
		var more bool
		field, rest, more = bytes.Cut(rest, []byte{' '})
		if i < 4 {
			n, ok := protocol.ParseInt(field)
			if !ok || n < 0 && i != 2 {
				return r, malformed("its " + name + " is no number that can be")
			}
			switch i {
			case 0:
				r.start = n
			case 1:
				r.popTime = n
			case 2:
				r.invisible = n
			case 3:
				if r.reviveQueue = int32(n); int64(r.reviveQueue) != n {
					return r, malformed("its revive queue is no number that can be")
				}
			}
		}
		if i == 5 {
			if r.broker = field; len(field) == 0 {
				return r, malformed("it has no broker name")
			}
			break
		}
		if !more {
			return r, malformed("it ends behind its " + name)
		}
	}
	return r, nil
}

// appendReceipt writes the receipt of a message, as the property POP_CK has it.
func appendReceipt(dst []byte, r *receipt, topic string, queueID int32, offset int64) []byte {
	for _, n := range [...]int64{r.start, r.popTime, r.invisible, int64(r.reviveQueue)} {
		dst = append(strconv.AppendInt(dst, n, 10), ' ')
	}
	dst = append(dst, retryFlag(topic), ' ')
	dst = append(append(dst, r.broker...), ' ')
	dst = append(strconv.AppendInt(dst, int64(queueID), 10), ' ')
	return strconv.AppendInt(dst, offset, 10)
}

// appendStartOffset adds an entry to the field startOffsetInfo of a pop's answer: `flag queue offset;...`.
func appendStartOffset(dst []byte, topic string, queueID int32, offset int64) []byte {
	dst = appendQueueKey(dst, topic, queueID)
	return strconv.AppendInt(dst, offset, 10)
}

func appendQueueKey(dst []byte, topic string, queueID int32) []byte {
	if len(dst) > 0 {
		dst = append(dst, ';')
	}
	dst = append(dst, retryFlag(topic), ' ')
	return append(strconv.AppendInt(dst, int64(queueID), 10), ' ')
}

// appendOffsets adds an entry to the field msgOffsetInfo: `flag queue offset,offset;...`.
func appendOffsets(dst []byte, topic string, queueID int32, offsets []int64) []byte {
	dst = appendQueueKey(dst, topic, queueID)
	for i, o := range offsets {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, o, 10)
	}
	return dst
}

// appendOrderCount adds an entry to the field orderCountInfo: how often a message was delivered before, `flag qo<queue>%<offset> count`.
func appendOrderCount(dst []byte, topic string, queueID int32, offset int64, count int) []byte {
	if len(dst) > 0 {
		dst = append(dst, ';')
	}
	dst = append(dst, retryFlag(topic), ' ', 'q', 'o')
	dst = append(strconv.AppendInt(dst, int64(queueID), 10), '%')
	dst = append(strconv.AppendInt(dst, offset, 10), ' ')
	return strconv.AppendInt(dst, int64(count), 10)
}

// appendQueueCount is the same for a whole queue, which old clients look at: `flag queue count`.
func appendQueueCount(dst []byte, topic string, queueID int32, count int) []byte {
	return strconv.AppendInt(appendQueueKey(dst, topic, queueID), int64(count), 10)
}
