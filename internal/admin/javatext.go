package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// How Java prints things, because scripts read it.

// javaList is a list as Java prints it, null for none.
func javaList(l []string) string {
	if l == nil {
		return "null"
	}
	return "[" + strings.Join(l, ", ") + "]"
}

// pair is an entry of a Java map, in the order in which it was put.
type pair struct{ name, value string }

// javaMap prints a java.util.HashMap made with room for so many entries, in the order in which Java walks over it: by the bucket that the hash of
// the name chooses, within one in the order of putting.
func javaMap(room int, pairs []pair) string {
	size := uint32(1)
	for int(size) < room || int(size)*3/4 < len(pairs) {
		size *= 2
	}
	bucket := func(p pair) uint32 {
		h := uint32(message.JavaHash(0, p.name))
		return (h ^ h>>16) & (size - 1)
	}
	sorted := slices.SortedStableFunc(slices.Values(pairs), func(x, y pair) int { return cmp.Compare(bucket(x), bucket(y)) })
	texts := make([]string, len(sorted))
	for i, p := range sorted {
		texts[i] = p.name + "=" + p.value
	}
	return "{" + strings.Join(texts, ", ") + "}"
}

// javaQueue prints a MessageQueue.
func javaQueue(q protocol.MessageQueue) string {
	return fmt.Sprintf("MessageQueue [topic=%s, brokerName=%s, queueId=%d]", q.Topic, q.BrokerName, q.QueueID)
}

// orNull is null for what is not there.
func orNull(s string, there bool) string {
	if !there {
		return "null"
	}
	return s
}

// clip cuts a text off behind so many characters.
func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most])
	}
	return s
}

// The forms in which Apache's tool prints a time in ms, always local.
const (
	timeSeconds = "2006-01-02 15:04:05"
	timeMillis  = "2006-01-02 15:04:05,000"
	timeDigits  = "20060102150405.000" // without the point
)

func timeText(ms int64, layout string) string {
	s := time.UnixMilli(ms).Format(layout)
	if layout == timeDigits {
		s = strings.Replace(s, ".", "", 1)
	}
	return s
}

// timeArg reads a time as the tool takes it: ms since 1970, or 2006-01-02#15:04:05:000, local.
func timeArg(s string) (int64, error) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return ms, nil
	}
	// Go wants a point or comma before fractions.
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		if t, err := time.ParseInLocation("2006-01-02#15:04:05.000", s[:i]+"."+s[i+1:], time.Local); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, misuse(fmt.Errorf("cannot read %q as a time: it must be milliseconds since 1970, or like 2006-01-02#15:04:05:000", s))
}
