package broker

import (
	"errors"
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
	if !s.ClassFilterMode && s.IsTag() && s.SubString != protocol.SubscribeAll {
		s.codes = slices.Sorted(slices.Values(data.CodeSet))
		s.filter.Tags = s.hasCode
	}
	return s
}

func (s *subscription) hasCode(tagsCode int64) bool {
	_, ok := slices.BinarySearch(s.codes, int32(tagsCode))
	return ok
}

// errNoTag says that an expression of tags has none.
var errNoTag = errors.New("subString split error")

// everything is the subscription of a pull that names no expression.
var everything = newSubscription(protocol.SubscriptionData{SubString: protocol.SubscribeAll, ExpressionType: protocol.ExpressionTag})

// subscriptionOf is what a request wants that brings its own expression, as a pull or a POP may; the subscription's filter is what
// Store.Get takes. One that wants everything costs nothing, and carries no topic.
func (b *Broker) subscriptionOf(topic, expression, expressionType []byte) (*subscription, error) {
	if isTagType(expressionType) {
		sub, err := parseTags(topic, expression)
		if err != nil {
			return nil, errParse(err)
		}
		return sub, nil
	}
	if err := b.checkSQL(string(expressionType)); err != nil {
		return nil, err
	}
	sub, err := b.sql.subscribe(topic, expression, expressionType)
	if err != nil {
		return nil, errParse(err)
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

func errParse(err error) error {
	return protocol.Errorf(protocol.CodeSubscriptionParseFailed, "parse the consumer's subscription failed: %v", err)
}

func isTagType(expressionType []byte) bool {
	return len(expressionType) == 0 || string(expressionType) == protocol.ExpressionTag
}

func parseTags(topic, expression []byte) (*subscription, error) {
	if len(expression) == 0 || string(expression) == protocol.SubscribeAll {
		return everything, nil
	}
	data := protocol.SubscriptionData{Topic: string(topic), SubString: string(expression), ExpressionType: protocol.ExpressionTag}
	for _, tag := range strings.Split(data.SubString, "||") {
		if tag = strings.TrimSpace(tag); tag != "" {
			data.TagsSet = append(data.TagsSet, tag)
			data.CodeSet = append(data.CodeSet, message.JavaHash(0, tag))
		}
	}
	if len(data.TagsSet) == 0 {
		return nil, errNoTag
	}
	return newSubscription(data), nil
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
