package namesrv

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// Bounds of what is remembered for the sake of a good remark. The oldest is forgotten first.
const (
	goneGroupsMax = 64
	goneTopicsMax = 200_000 // of all groups that are gone
	deletedMax    = 1024
)

// gone remembers what was here. The lock is that of routes.
type gone struct {
	started time.Time
	groups  []goneGroup    // oldest first
	topics  int            // of all of them
	deleted []deletedTopic // oldest first
}

// goneGroup is a broker group that has no member any more.
type goneGroup struct {
	name   string
	why    string // of its last member: address and what happened
	when   time.Time
	topics map[string]*topic
}

// deletedTopic was taken off by request while its brokers were here.
type deletedTopic struct {
	name string
	why  string
	when time.Time
}

func (g *gone) groupGone(name, why string, topics map[string]*topic, now time.Time) {
	g.groupBack(name)
	if len(topics) > goneTopicsMax {
		topics = nil
	}
	g.groups = append(g.groups, goneGroup{name, why, now, topics})
	g.topics += len(topics)
	for len(g.groups) > goneGroupsMax || g.topics > goneTopicsMax {
		g.forget(0)
	}
}

func (g *gone) groupBack(name string) {
	if i := slices.IndexFunc(g.groups, func(have goneGroup) bool { return have.name == name }); i >= 0 {
		g.forget(i)
	}
}

func (g *gone) forget(i int) {
	g.topics -= len(g.groups[i].topics)
	g.groups = slices.Delete(g.groups, i, i+1)
}

func (g *gone) topicDeleted(name, why string) {
	g.back(name)
	if len(g.deleted) == deletedMax {
		g.deleted = slices.Delete(g.deleted, 0, 1)
	}
	g.deleted = append(g.deleted, deletedTopic{name, why, time.Now()})
}

// back is called when a topic comes, or comes again.
func (g *gone) back(name string) {
	g.deleted = slices.DeleteFunc(g.deleted, func(d deletedTopic) bool { return d.name == name })
}

// ago is a time as an operator wants to read it.
func ago(t, now time.Time) string {
	return fmt.Sprintf("%s, %s ago", t.Format("2006-01-02 15:04:05"), now.Sub(t).Round(time.Second))
}

// noRoute says why there is no route to a topic.
func (r *routes) noRoute(name string, now time.Time) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var was []string
	for i := len(r.gone.groups) - 1; i >= 0; i-- {
		g := &r.gone.groups[i]
		if _, there := g.topics[name]; there {
			was = append(was, fmt.Sprintf("%s (%s at %s)", g.name, g.why, ago(g.when, now)))
		}
	}
	if len(was) > 0 {
		return "It was on " + strings.Join(was, " and on ") + "; no broker that is registered now has it."
	}
	for _, d := range r.gone.deleted {
		if d.name == name {
			return fmt.Sprintf("It was taken off: %s, at %s.", d.why, ago(d.when, now))
		}
	}
	switch last := len(r.gone.groups) - 1; {
	case len(r.groups) == 0 && last < 0:
		return fmt.Sprintf("No broker has registered with this name server since it started at %s.", ago(r.gone.started, now))
	case len(r.groups) == 0:
		g := &r.gone.groups[last]
		return fmt.Sprintf("No broker is registered with this name server; the last was %s (%s at %s).", g.name, g.why, ago(g.when, now))
	}
	text := "No broker has registered this topic; 1 broker group is registered. "
	if n := len(r.groups); n > 1 {
		text = fmt.Sprintf("No broker has registered this topic; %d broker groups are registered. ", n)
	}
	if group, retry := strings.CutPrefix(name, "%RETRY%"); retry {
		if group, topic, popped := strings.Cut(group, "+"); popped {
			return text + "It is created when group " + group + " has popped a message of topic " + topic + " and not acknowledged it in time."
		}
		return text + "It is created when the first consumer of group " + group + " connects."
	}
	if r.topics[protocol.TopicAutoCreate] != nil {
		return text + "It is created by the first message to it, or by hand."
	}
	return text + "No broker creates topics on the first message to them (autoCreateTopicEnable=false): create it first."
}
