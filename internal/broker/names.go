package broker

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

// Names that mean something. Part of the wire and of the format of state files.
const (
	retryPrefix  = "%RETRY%"
	dlqPrefix    = "%DLQ%"
	systemPrefix = "rmq_sys_"
	sysGroups    = "CID_RMQ_SYS_"
	toolsGroup   = "TOOLS_CONSUMER" // of RocketMQ's tools

	topicAutoCreate  = protocol.TopicAutoCreate
	topicSchedule    = "SCHEDULE_TOPIC_XXXX"
	topicBenchmark   = "BenchmarkTest"
	topicHalf        = "RMQ_SYS_TRANS_HALF_TOPIC"
	topicOp          = "RMQ_SYS_TRANS_OP_HALF_TOPIC"
	topicRocksHalf   = "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC"
	topicRocksOp     = "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC"
	topicTrace       = "RMQ_SYS_TRACE_TOPIC"
	topicCheckMax    = "TRANS_CHECK_MAX_TIME_TOPIC"
	topicSelfTest    = "SELF_TEST_TOPIC"
	topicOffsetMoved = "OFFSET_MOVED_EVENT"
	topicRocksOffset = "CHECKPOINT_TOPIC"
	topicTimer       = "rmq_sys_wheel_timer"
)

const (
	topicLengthMax = 127
	groupLengthMax = 120
	retryLengthMax = 255 // of retry and dead letter topics
)

// isNotAllowedSend says whether clients must not send to a topic.
func isNotAllowedSend(topic string) bool {
	switch topic {
	case topicSchedule, topicHalf, topicOp, topicRocksHalf, topicRocksOp, topicCheckMax, topicSelfTest, topicOffsetMoved:
		return true
	}
	return false
}

// hasIllegalCharacter says whether a name has other characters than topics and groups may have.
func hasIllegalCharacter(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '%', c == '-', c == '_', c == '|':
		default:
			return true
		}
	}
	return false
}

func invalidName(remark string) error {
	return &protocol.Error{Code: protocol.CodeInvalidParameter, Remark: remark}
}

// shown keeps a stranger's name short enough for a remark.
func shown(name string) string {
	if len(name) <= 2*retryLengthMax {
		return name
	}
	cut := 2 * retryLengthMax
	for cut > 0 && !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut] + "..."
}

func isBlank(s string) bool { return strings.TrimSpace(s) == "" }

// checkTopicName says why there can be no topic of that name, in Apache's words.
func checkTopicName(topic string) error {
	switch isRetry := strings.HasPrefix(topic, retryPrefix) || strings.HasPrefix(topic, dlqPrefix); {
	case isBlank(topic):
		return invalidName("The specified topic is blank.")
	case hasIllegalCharacter(topic):
		return invalidName("The specified topic: " + shown(topic) + ", contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")
	case isRetry && len(topic) > retryLengthMax:
		return invalidName("The specified topic is DLQ or Retry topic: " + shown(topic) + ", and it's longer than topic max length: 255")
	case !isRetry && len(topic) > topicLengthMax:
		return invalidName("The specified topic: " + shown(topic) + ", is longer than topic max length: 127")
	}
	return nil
}

// whyNoGroup says why a group was not made for who asked for it: there can be none of its name, or none shall be made so.
func whyNoGroup(cfg *settings, group string) string {
	if err := checkGroupName(group); err != nil {
		return remoting.ErrorAnswer(err).Remark
	}
	return fmt.Sprintf("autoCreateSubscriptionGroup=%t", cfg.AutoCreateGroup)
}

// checkGroupName says why there can be no group of that name, in Apache's words.
func checkGroupName(group string) error {
	switch {
	case isBlank(group):
		return invalidName("The specified group is blank.")
	case hasIllegalCharacter(group):
		return invalidName("The specified group: " + shown(group) + ", contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")
	case len(group) > groupLengthMax:
		return invalidName("The specified group: " + shown(group) + ", is longer than group max length: 120")
	}
	return nil
}
