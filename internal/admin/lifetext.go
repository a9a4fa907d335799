package admin

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// print writes the life on one screen.
func (l *life) print(w io.Writer) {
	fmt.Fprintf(w, "message  %s\n", l.ID)
	fmt.Fprintf(w, "topic    %s", l.Topic)
	if l.Tags != "" {
		fmt.Fprintf(w, "   tag %s", l.Tags)
	}
	if l.Keys != "" {
		fmt.Fprintf(w, "   keys %s", l.Keys)
	}
	fmt.Fprintf(w, "\nborn     %s at %s\n", clock(l.Born), l.BornHost)
	for i, s := range l.Stored {
		what := "stored  "
		if i > 0 {
			what = "  again "
		}
		fmt.Fprintf(w, "%s %s in queue %d at offset %d of %s\n", what, clock(s.Stored), s.QueueID, s.QueueOffset, brokerText(s))
		fmt.Fprintf(w, "         log offset %d, %d bytes, offset id %s\n", s.LogOffset, s.Size, s.OffsetID)
	}
	if len(l.Stored) == 0 {
		fmt.Fprintln(w, "stored   not in its topic; see what happened")
	}
	fmt.Fprintf(w, "body     %d bytes: %s\n", l.BodySize, l.Body)

	fmt.Fprintln(w, "\nwhat happened")
	for _, s := range l.Steps {
		until := ""
		if s.Until > 0 {
			until = ", due " + clock(s.Until)
			if d := time.Until(time.UnixMilli(s.Until)); d > 0 {
				until += fmt.Sprintf(", in %s", d.Round(time.Second))
			}
		}
		fmt.Fprintf(w, "  %s  %s%s  [%s %d @%d, %s]\n", clock(s.Time), s.What, until, s.Where.Topic, s.Where.QueueID, s.Where.QueueOffset, s.Where.Broker)
	}
	l.printGroups(w)
	l.printTraces(w)
}

func brokerText(s stay) string {
	if s.Broker == "" {
		return s.Addr
	}
	return fmt.Sprintf("%s (%s)", s.Broker, s.Addr)
}

func (l *life) printGroups(w io.Writer) {
	fmt.Fprintln(w, "\ngroups")
	if len(l.Groups) == 0 {
		fmt.Fprintln(w, "  no group consumes the topic, nor ever did")
		return
	}
	t := newTable("  GROUP", "STATE", "TRIES", "OFFSET", "MESSAGE AT", "BEHIND", "CONSUMERS")
	for _, g := range l.Groups {
		t.row("  "+g.Group, g.State, g.Tries, unknown(g.Offset), unknown(g.QueueOffset), g.Behind, len(g.Consumers))
	}
	t.print(w)
	for _, g := range l.Groups {
		for i, why := range g.Why {
			head := g.Group + ":"
			if i > 0 {
				head = strings.Repeat(" ", len(head))
			}
			fmt.Fprintf(w, "  %s %s\n", head, why)
		}
	}
}

func unknown(offset int64) string {
	if offset < 0 {
		return "-"
	}
	return fmt.Sprint(offset)
}

func (l *life) printTraces(w io.Writer) {
	if len(l.Traces) == 0 {
		return
	}
	fmt.Fprintln(w, "\nwhat clients traced")
	for _, t := range l.Traces {
		how := "well"
		if !t.Success {
			how = "failed"
		}
		what := t.Kind
		switch t.Kind {
		case "Pub":
			what = fmt.Sprintf("sent by group %s, %s, in %d ms", t.Group, how, t.CostMS)
		case "SubBefore":
			what = fmt.Sprintf("group %s began to consume it, try %d; how it went is not traced", t.Group, t.Retries)
		case "SubAfter":
			what = fmt.Sprintf("consumed by group %s, try %d, %s, in %d ms", t.Group, t.Retries, how, t.CostMS)
		case "EndTransaction":
			what = fmt.Sprintf("transaction of group %s ended: %s", t.Group, t.State)
		case "Recall":
			what = fmt.Sprintf("recalled by group %s, %s", t.Group, how)
		}
		fmt.Fprintf(w, "  %s  %s  [%s]\n", clock(t.Time), what, t.Host)
	}
}
