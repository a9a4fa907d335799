package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// What a group has done with a message, by Apache's names.
const (
	trackConsumed     = "CONSUMED"
	trackFiltered     = "CONSUMED_BUT_FILTERED"
	trackPull         = "PULL"
	trackNotYet       = "NOT_CONSUME_YET"
	trackOffline      = "NOT_ONLINE"
	trackBroadcasting = "CONSUME_BROADCASTING"
	trackUnknown      = "UNKNOWN"
)

// track is what a group has done with a message.
type track struct {
	Group string `json:"consumerGroup"`
	Type  string `json:"trackType"`
	Why   string `json:"exceptionDesc,omitempty"`
}

func (t track) String() string {
	return fmt.Sprintf("MessageTrack [consumerGroup=%s, trackType=%s, exceptionDesc=%s]", t.Group, t.Type, orNull(t.Why, t.Why != ""))
}

// tracks says what each group that consumes a message's topic has done with it.
func (a *Admin) tracks(ctx context.Context, f *found) ([]track, error) {
	brokers, err := a.brokers(ctx, f.Topic)
	if err != nil {
		return nil, err
	}
	var groups []string
	for _, b := range brokers {
		some, err := a.pool.TopicGroups(ctx, b.addr, f.Topic)
		if err != nil {
			return nil, err
		}
		groups = append(groups, some...)
	}
	slices.Sort(groups)
	var all []track
	for _, group := range slices.Compact(groups) {
		all = append(all, a.track(ctx, f, group))
	}
	return all, nil
}

func (a *Admin) track(ctx context.Context, f *found, group string) track {
	t := track{Group: group, Type: trackUnknown}
	online, err := a.consumers(ctx, group)
	if err == nil && online.ConsumeType == protocol.ConsumeActively {
		t.Type = trackPull
		return t
	}
	var consumed bool
	if err == nil {
		consumed, err = a.consumed(ctx, f, group)
	}
	var no *protocol.Error
	switch {
	case errors.As(err, &no) && no.Code == protocol.CodeConsumerNotOnline:
		t.Type, t.Why = trackOffline, fmt.Sprintf("CODE:%d DESC:%s", no.Code, no.Remark)
	case errors.As(err, &no) && no.Code == protocol.CodeBroadcastConsumption:
		t.Type = trackBroadcasting
	case err != nil:
		t.Why = err.Error()
	case !consumed:
		t.Type = trackNotYet
	default:
		t.Type = trackConsumed
		tags, _ := f.property(message.PropTags)
		if s := online.SubscriptionTable[f.Topic]; s != nil && len(s.TagsSet) > 0 && !slices.Contains(s.TagsSet, tags) && !slices.Contains(s.TagsSet, protocol.SubscribeAll) {
			t.Type = trackFiltered
		}
	}
	return t
}

// consumed says whether a group is behind a message.
func (a *Admin) consumed(ctx context.Context, f *found, group string) (bool, error) {
	stats, err := a.consumeStats(ctx, "", group, "")
	if err != nil {
		return false, err
	}
	for _, e := range stats.OffsetTable {
		if e.Queue.Topic == f.Topic && e.Queue.QueueID == f.QueueID && e.Queue.BrokerName == f.broker && e.Value.ConsumerOffset > f.QueueOffset {
			return true, nil
		}
	}
	return false, nil
}

// printTracks prints them behind a message. Apache's tool ends the lines in one command only.
func printTracks(w io.Writer, all []track, end string) {
	if len(all) == 0 {
		fmt.Fprint(w, "\n\nWARN: No Consumer")
		return
	}
	fmt.Fprint(w, "\n\n")
	for _, t := range all {
		fmt.Fprint(w, t, end)
	}
}
