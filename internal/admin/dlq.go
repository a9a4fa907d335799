package admin

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

func (a *Admin) dlqCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "dlq",
		Short: "List, export and send again dead letters",
		Long:  "List, export and send again the dead letters of consumer groups: messages that failed too often, in the topic %DLQ%GROUP.",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.dlqList(), a.dlqResend(), a.dlqExport())
	return c
}

// letterCommand makes a command about dead letters.
func (a *Admin) letterCommand(name, short string, run func(ctx context.Context, f *letterFilter) error) *cobra.Command {
	var f letterFilter
	c := a.command(name, short, func(ctx context.Context) error {
		if err := f.readTimes(time.Now()); err != nil {
			return err
		}
		return run(ctx, &f)
	})
	c.Flags().StringVarP(&f.group, "group", "g", "", "consumer `GROUP` that failed with them")
	c.Flags().StringVarP(&f.topic, "topic", "t", "", "only those that came from this `TOPIC`")
	c.Flags().StringSliceVar(&f.names, "id", nil, "only those with this `ID` or key; several are separated by commas")
	c.Flags().StringVar(&f.from, "from", "", "only those that are dead since this `TIME` or later: 2006-01-02 15:04:05, or 90m for so long ago")
	c.Flags().StringVar(&f.to, "to", "", "only those that are dead since this `TIME` or earlier")
	return c
}

func (a *Admin) dlqList() *cobra.Command {
	var most int
	c := a.letterCommand("list", "List dead letters; without --group, the groups that have some", func(ctx context.Context, f *letterFilter) error {
		if f.group == "" {
			return a.listDeadGroups(ctx)
		}
		return a.listLetters(ctx, f, most)
	})
	c.Flags().IntVar(&most, "max", 50, "list so many at most, the newest")
	c.Example = "  liftoff dlq list\n  liftoff dlq list -g billing --from 2h"
	return c
}

// deadGroup is a group that has dead letters.
type deadGroup struct {
	Group   string `json:"group"`
	Letters int64  `json:"deadLetters"`
	Newest  int64  `json:"newest"` // when the last one came, Unix ms
}

func (a *Admin) listDeadGroups(ctx context.Context) error {
	topics, err := a.names.Topics(ctx)
	if err != nil {
		return err
	}
	groups := []deadGroup{}
	for _, topic := range topics {
		name, dead := strings.CutPrefix(topic, dlqPrefix)
		if !dead {
			continue
		}
		route, err := a.names.RouteByTopic(ctx, topic)
		if refused(err, protocol.CodeTopicNotExist) {
			continue
		} else if err != nil {
			return err
		}
		g := deadGroup{Group: name}
		for _, m := range routeMasters(route) {
			stats, err := a.pool.TopicStats(ctx, m.addr, topic)
			if err != nil {
				return err
			}
			for _, e := range stats.OffsetTable {
				g.Letters += e.Value.MaxOffset - e.Value.MinOffset
				g.Newest = max(g.Newest, e.Value.LastUpdateTimestamp)
			}
		}
		if g.Letters > 0 {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(x, y deadGroup) int { return cmp.Compare(x.Group, y.Group) })
	return a.show(groups, func(w io.Writer) {
		if len(groups) == 0 {
			fmt.Fprintln(w, "no group has dead letters")
			return
		}
		t := newTable("GROUP", "DEAD LETTERS", "NEWEST")
		for _, g := range groups {
			newest := "-"
			if g.Newest > 0 {
				newest = clock(g.Newest)
			}
			t.row(g.Group, g.Letters, newest)
		}
		t.print(w)
	})
}

func (a *Admin) listLetters(ctx context.Context, f *letterFilter, most int) error {
	if most < 1 {
		return misuse(errors.New("--max must be at least 1"))
	}
	queues, err := a.deadQueues(ctx, f.group)
	if err != nil {
		return err
	}
	if f.topic == "" && len(f.names) == 0 && f.to == "" { // the newest are at the ends
		for i := range queues {
			queues[i].first = max(queues[i].first, queues[i].next-int64(most))
		}
	}
	list := []letter{}
	newestFirst := func(x, y letter) int {
		return cmp.Or(cmp.Compare(y.Since, x.Since), cmp.Compare(x.Broker, y.Broker), cmp.Compare(x.QueueID, y.QueueID), cmp.Compare(y.QueueOffset, x.QueueOffset))
	}
	err = a.letters(ctx, queues, f, func(c *copyOf) error {
		l := newLetter(c)
		l.Preview = preview(c)
		if list = append(list, l); len(list) > 2*most+1000 {
			slices.SortStableFunc(list, newestFirst)
			list = list[:most]
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(list, newestFirst)
	list = list[:min(len(list), most)]
	return a.show(list, func(w io.Writer) {
		if len(list) == 0 {
			fmt.Fprintf(w, "group %s has no such dead letters\n", f.group)
			return
		}
		t := newTable("DEAD SINCE", "ID", "TOPIC", "TRIES", "KEYS", "PLACE", "BODY")
		for _, l := range list {
			t.row(clock(l.Since), l.ID, l.Topic, l.Tries, l.Keys, fmt.Sprintf("%s/%d@%d", l.Broker, l.QueueID, l.QueueOffset), l.Preview)
		}
		t.print(w)
	})
}

func (a *Admin) dlqExport() *cobra.Command {
	var path string
	c := a.letterCommand("export", "Write dead letters as JSON, one a line", func(ctx context.Context, f *letterFilter) error {
		return a.exportLetters(ctx, f, path)
	})
	c.Flags().StringVarP(&path, "output", "o", "", "write to this new `FILE`; - for the output, as when nothing is said")
	need(c, "group")
	return c
}

func (a *Admin) exportLetters(ctx context.Context, f *letterFilter, path string) (err error) {
	queues, err := a.deadQueues(ctx, f.group)
	if err != nil {
		return err
	}
	to := a.Out
	if path != "" && path != "-" {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // bodies may be nobody else's business
		if err != nil {
			return fmt.Errorf("cannot export: %w", err)
		}
		to = file
		defer func() { err = errors.Join(err, file.Close()) }()
	}
	out := bufio.NewWriter(to)
	p := a.progress("dead letters exported", 0)
	defer p.end()
	n := 0
	err = a.letters(ctx, queues, f, func(c *copyOf) error {
		l := newLetter(c)
		l.whole(c)
		line, err := fastjson.MarshalStandard(l)
		if err != nil {
			return err
		}
		n++
		p.add(1)
		_, err = out.Write(append(line, '\n'))
		return err
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("cannot export more than %d dead letters: %w", n, err)
	}
	p.end()
	a.say("%d dead letters exported", n)
	return nil
}
