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

func newSubscription(data protocol.SubscriptionData) *subscription {
	s := &subscription{SubscriptionData: data}
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
	sub, err := parseSubscription(topic, expression, expressionType)
	if err != nil {
		return nil, protocol.Errorf(protocol.CodeSubscriptionParseFailed, "parse the consumer's subscription failed: %v", err)
	}
	return sub, onlyTags(sub)
}

// onlyTags refuses what this broker cannot filter by; such a consumer would get messages that it does not want.
func onlyTags(sub *subscription) error {
	if sub.IsTag() {
		return nil
	}
	return protocol.Errorf(protocol.CodeSystemError, "The broker does not support consumer to filter message by %s", sub.ExpressionType)
}

func parseSubscription(topic, expression, expressionType []byte) (*subscription, error) {
	data := protocol.SubscriptionData{ExpressionType: string(expressionType)}
	if !data.IsTag() {
		data.Topic, data.SubString = string(topic), string(expression)
		return newSubscription(data), nil
	}
	if len(expression) == 0 || string(expression) == protocol.SubscribeAll {
		return everything, nil
	}
	data.Topic, data.SubString, data.ExpressionType = string(topic), string(expression), protocol.ExpressionTag
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
