package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/store"
)

// A subscription is what a group wants of one topic. It does not change.
type subscription struct {
	protocol.SubscriptionData
	codes  []int32      // sorted
	filter store.Filter // which messages are wanted
	size   int          // bytes of memory of an SQL expression that a request has brought

	refused error // why its expression was not taken from a heartbeat; then it wants nothing, and pulls are told
}

// wants says whether a message with this tags code is wanted, as far as the code tells.
func (s *subscription) wants(tagsCode int64) bool {
	return s.filter.Tags == nil || s.filter.Tags(tagsCode)
}

// newSubscription makes a filter of tags. One of another type has filters of its own (filters.go), and this one wants nothing.
func newSubscription(data protocol.SubscriptionData) *subscription {
	s := &subscription{SubscriptionData: data}
	if !s.IsTag() {
		s.filter.Tags = func(int64) bool { return false }
		return s
	}
	if !s.ClassFilterMode && s.SubString != protocol.SubscribeAll {
		s.codes = slices.Sorted(slices.Values(data.CodeSet))
		s.filter.Tags = s.hasCode
	}
	return s
}

func (s *subscription) hasCode(tagsCode int64) bool {
	_, ok := slices.BinarySearch(s.codes, int32(tagsCode))
	return ok
}

// errNoTag says that an expression of tags has none, in Apache's words first.
var errNoTag = errors.New("subString split error, the expression has no tag between its ||")

// everything is the subscription of a pull that names no expression.
var everything = newSubscription(protocol.SubscriptionData{SubString: protocol.SubscribeAll, ExpressionType: protocol.ExpressionTag})

// subscriptionOf is what a request of a group wants that brings its own expression, as a pull or a POP may; the subscription's filter
// is what Store.Get takes. One that wants everything costs nothing, and carries no topic. Whether SQL is enabled is not asked here.
func (b *Broker) subscriptionOf(group, topic, expression, expressionType []byte) (*subscription, error) {
	if err := checkExpression(len(expression)); err != nil {
		return nil, errParse(err, group, topic, expression)
	}
	if isTagType(expressionType) {
		sub, err := parseTags(topic, expression)
		if err != nil {
			return nil, errParse(err, group, topic, expression)
		}
		return sub, nil
	}
	sub, err := b.sql.subscribe(topic, expression, expressionType)
	if err != nil {
		return nil, errParse(err, group, topic, expression)
	}
	return b.sqlOfRetries(sub), nil
}

// sqlSubscription is what a group's consumers told with their heartbeat of a topic that they filter by SQL.
func (b *Broker) sqlSubscription(group, topic []byte, version int64) (*subscription, error) {
	sub, err := b.filters.subscription(group, topic, version)
	if err != nil {
		return nil, err
	}
	return b.sqlOfRetries(sub), b.checkSQL(sub.ExpressionType)
}

// sqlOfRetries makes a filter of a retry topic one that asks what the group wants of the message's first topic, with
// filterSupportRetry.
func (b *Broker) sqlOfRetries(sub *subscription) *subscription {
	if strings.HasPrefix(sub.Topic, retryPrefix) && b.settings.Load().FilterRetries {
		return b.filters.retried(sub)
	}
	return sub
}

func errParse(err error, group, topic, expression []byte) error {
	return protocol.Errorf(protocol.CodeSubscriptionParseFailed, "parse the consumer's subscription failed: %v (group %s, topic %s, expression %q)",
		err, group, topic, shown(string(expression)))
}

// expressionMax is how many bytes an expression may have: ten thousand tags of the usual length, and no room for a stranger to make each
// waiting pull cost megabytes.
const expressionMax = 256 << 10

func checkExpression(size int) error {
	if size > expressionMax {
		return fmt.Errorf("the expression has %d bytes, at most %d are taken; subscribe to * and filter in the consumer, or mark messages with fewer tags", size, expressionMax)
	}
	return nil
}

// refuseLong cuts expressions that are too long in what a heartbeat tells of a consumer, and returns why by topic.
func refuseLong(d *protocol.ConsumerData) (refused map[string]error) {
	for _, s := range d.SubscriptionDataSet {
		if s == nil {
			continue
		}
		tags := 0
		for _, tag := range s.TagsSet {
			tags += len(tag)
		}
		err := checkExpression(max(len(s.SubString), tags, len(s.TagsSet), len(s.CodeSet)))
		if err == nil {
			continue
		}
		if refused == nil {
			refused = map[string]error{}
		}
		refused[s.Topic] = err
		s.SubString, s.TagsSet, s.CodeSet = shown(s.SubString), []string{}, []int32{}
	}
	return refused
}

func isTagType(expressionType []byte) bool {
	return len(expressionType) == 0 || string(expressionType) == protocol.ExpressionTag
}

func parseTags(topic, expression []byte) (*subscription, error) {
	if len(expression) == 0 || string(expression) == protocol.SubscribeAll {
		return everything, nil
	}
	s := &subscription{SubscriptionData: protocol.SubscriptionData{Topic: string(topic), SubString: string(expression), ExpressionType: protocol.ExpressionTag}}
	for tag := range strings.SplitSeq(s.SubString, "||") {
		if tag = strings.TrimSpace(tag); tag != "" {
			s.codes = append(s.codes, message.JavaHash(0, tag))
		}
	}
	if len(s.codes) == 0 {
		return nil, errNoTag
	}
	slices.Sort(s.codes)
	s.filter.Tags = s.hasCode
	return s, nil
}

// sameExpression says whether two subscriptions want the same messages, as far as their text tells.
func sameExpression(a, b *protocol.SubscriptionData) bool {
	if a.IsTag() != b.IsTag() {
		return false
	}
	if a.SubString == b.SubString || !a.IsTag() {
		return a.SubString == b.SubString
	}
	tags := func(s *protocol.SubscriptionData) []string {
		return slices.Compact(slices.Sorted(slices.Values(s.TagsSet)))
	}
	return len(a.TagsSet) > 0 && slices.Equal(tags(a), tags(b))
}
