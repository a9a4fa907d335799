package broker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// attribute is one of the free settings that a topic or a group may have.
type attribute struct {
	fixed bool // cannot be changed once the topic or group is there
	check func(value string) error
}

func oneOf(values ...string) func(string) error {
	return func(v string) error {
		if !slices.Contains(values, v) {
			return fmt.Errorf("value is not in set: [%s]", strings.Join(values, ", "))
		}
		return nil
	}
}

func from(low, high int64) func(string) error {
	return func(v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return protocol.Errorf(protocol.CodeSystemError, "For input string: %q", v) // as Java says it
		}
		if n < low || n > high {
			return fmt.Errorf("value is not in range(%d, %d)", low, high)
		}
		return nil
	}
}

func isBool(v string) error {
	if !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
		return protocol.Errorf(protocol.CodeSystemError, "boolean attribute format is wrong.")
	}
	return nil
}

func anything(string) error { return nil }

// The attributes that Apache knows. Part of the format of topics.json and subscriptionGroup.json.
const (
	attrQueueType   = "queue.type"
	attrMessageType = "message.type"
	attrReserveTime = "reserve.time"

	attrPriorityFactor = "priority.factor"
)

// typePriority is the message type of topics whose queues are priorities. Part of the format.
const typePriority = "PRIORITY"

func topicAttribute(key string) (attribute, bool) {
	switch key {
	case attrQueueType:
		return attribute{true, oneOf("BatchCQ", "SimpleCQ")}, true
	case "cleanup.policy":
		return attribute{true, oneOf("DELETE", "COMPACTION")}, true
	case attrMessageType:
		return attribute{false, oneOf("UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "PRIORITY", typeLite, "MIXED")}, true
	case attrReserveTime: // kept, and without effect but with tiered storage
		return attribute{false, from(-1, 1<<63-1)}, true
	case attrLiteExpiration:
		return attribute{false, from(-1, 30*24*60)}, true
	}
	return attribute{}, false
}

func groupAttribute(key string) (attribute, bool) {
	switch key {
	case attrPriorityFactor:
		return attribute{false, from(0, 100)}, true
	case attrLiteBindTopic, attrLiteWildcard:
		return attribute{false, anything}, true
	case attrLiteModel:
		return attribute{false, oneOf("Shared", liteExclusive)}, true
	case attrLiteResetExclusive, attrLiteResetUnsubscribe:
		return attribute{false, isBool}, true
	case "lite.sub.client.quota":
		return attribute{false, from(-1, 1<<63-1)}, true
	case "lite.sub.client.max.event.cnt":
		return attribute{false, from(10, 1<<63-1)}, true
	}
	return attribute{}, false
}

// parseAttributes reads "+key=value,-key" into a map whose keys still begin with + or -. Commas at the end do not count.
func parseAttributes(text string) (map[string]string, error) {
	changes := map[string]string{}
	text = strings.TrimRight(text, ",")
	if text == "" {
		return changes, nil
	}
	for _, kv := range strings.Split(text, ",") {
		key, value, isSet := strings.Cut(kv, "=")
		switch {
		case isSet && !strings.Contains(key, "+"):
			return nil, fmt.Errorf("add/alter attribute format is wrong: %s", key)
		case !isSet && !strings.Contains(key, "-"):
			return nil, fmt.Errorf("delete attribute format is wrong: %s", key)
		}
		if _, twice := changes[key]; twice {
			return nil, fmt.Errorf("key duplication: %s", key)
		}
		changes[key] = value
	}
	return changes, nil
}

// alterAttributes returns the attributes after changes. create says that there is nothing yet which could be changed.
func alterAttributes(create bool, known func(string) (attribute, bool), current, changes map[string]string) (map[string]string, error) {
	altered := make(map[string]string, len(current)+len(changes))
	maps.Copy(altered, current)
	seen := map[string]bool{}
	for _, signed := range slices.Sorted(maps.Keys(changes)) {
		if len(signed) < 2 || strings.ContainsAny(signed[1:], "+-") {
			return nil, protocol.Errorf(protocol.CodeSystemError, "kv string format wrong.")
		}
		sign, key, value := signed[0], signed[1:], changes[signed]
		if seen[key] {
			return nil, fmt.Errorf("alter duplication key. key: %s", key)
		}
		seen[key] = true
		_, there := current[key]
		switch {
		case create && sign != '+':
			return nil, fmt.Errorf("only add attribute is supported while creating topic. key: %s", key)
		case sign != '+' && sign != '-':
			return nil, fmt.Errorf("wrong format key: %s", key)
		case sign == '-' && !there:
			return nil, fmt.Errorf("attempt to delete a nonexistent key: %s", key)
		}
		a, ok := known(key)
		switch {
		case !ok:
			return nil, fmt.Errorf("unsupported key: %s", key)
		case !create && a.fixed:
			return nil, fmt.Errorf("attempt to update an unchangeable attribute. key: %s", key)
		case sign == '-':
			delete(altered, key)
			continue
		}
		if err := a.check(value); err != nil {
			return nil, err
		}
		altered[key] = value
	}
	return altered, nil
}
