package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// resetRow is a queue whose offset was set. What was before is known when it was set queue by queue.
type resetRow struct {
	protocol.MessageQueue
	Offset int64 `json:"offset"`
	old    *move
}

// reset sets a group's offsets in a topic to where a time is, or to the end.
type reset struct {
	a                     *Admin
	group, topic, cluster string
	broker                string // its address, when only one is meant
	at                    int64  // ms, or -1 for the end
	force                 bool   // forwards too
	dryRun                bool
	rows                  []resetRow
	byQueue               bool // rows have what was before
}

// toEnd is the time that stands for the end of each queue. Part of the wire format.
const toEnd = -1

// target is where the group shall go on in a queue.
func (r *reset) target(ctx context.Context, q queueAt, _, end int64) (int64, error) {
	if r.at == toEnd {
		return end, nil
	}
	return r.a.pool.SearchOffset(ctx, q.addr, q.Topic, q.QueueID, r.at)
}

// run says what will change, and changes it.
func (r *reset) run(ctx context.Context) error {
	queues, err := r.a.queues(ctx, r.topic, routeTopicOf(r.topic, r.cluster), protocol.PermRead)
	if err != nil {
		return err
	}
	if r.broker != "" {
		queues = slices.DeleteFunc(queues, func(q queueAt) bool { return q.addr != r.broker })
	}
	if len(queues) == 0 {
		return fmt.Errorf("topic %s has no queues at %s to reset", r.topic, cmp.Or(r.broker, "any broker"))
	}
	var changes []change
	for _, some := range byBroker(queues) {
		moves, err := r.a.moves(ctx, r.group, some, r.target)
		if err != nil {
			return err
		}
		ahead := false
		for i := range moves {
			if m := &moves[i]; !r.force && m.from != noOffset && m.to > m.from {
				m.to, ahead = noOffset, true
			}
		}
		b := member{name: some[0].BrokerName, addr: some[0].addr}
		name := fmt.Sprintf("reset group %s in topic %s at %s", r.group, r.topic, b)
		changes = append(changes, change{what: fmt.Sprintf("%s: %s", name, movesText(moves)), name: name, do: func(ctx context.Context) error {
			return r.at1(ctx, b, moves, ahead)
		}})
	}
	r.a.sayWhoConsumes(ctx, r.group)
	if r.at == toEnd && r.force {
		r.a.say("what is stored until then is skipped too")
	}
	return r.a.carry(ctx, r.dryRun, changes)
}

// at1 resets at one broker. When some queues are to stay, the others are set one by one, for not every broker lets those stay that would go ahead.
func (r *reset) at1(ctx context.Context, b member, moves []move, some bool) error {
	h := &protocol.ResetOffsetHeader{Group: r.group, Topic: r.topic, Timestamp: r.at, IsForce: r.force}
	if !some {
		h.Offset = new(int64)
		*h.Offset = -1
		return r.ask(ctx, b, h, moves)
	}
	for i, m := range moves {
		if m.to == noOffset || m.to == m.from {
			continue
		}
		one := *h
		one.QueueID, one.Offset = &m.QueueID, &m.to
		if err := r.ask(ctx, b, &one, moves[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// ask lets a broker reset, or sets the offsets itself when the broker would leave it to consumers, of which there are none.
func (r *reset) ask(ctx context.Context, b member, h *protocol.ResetOffsetHeader, moves []move) error {
	t, err := r.a.pool.ResetOffsets(ctx, b.addr, h)
	if err == nil {
		r.rows = append(r.rows, rowsOf(t)...)
		return nil
	}
	if !refused(err, protocol.CodeConsumerNotOnline) {
		return err
	}
	r.byQueue = true
	for _, m := range moves {
		row := resetRow{m.MessageQueue, m.to, &m}
		if m.to == noOffset {
			row.Offset = m.from
		} else if err := r.a.pool.CommitOffset(ctx, b.addr, r.group, m.Topic, m.QueueID, m.to); err != nil {
			return err
		}
		r.rows = append(r.rows, row)
	}
	return nil
}

// print prints the new offsets as Apache's tool does, after one of two head lines.
func (r *reset) print(w io.Writer, head, headByQueue, last string) {
	if !r.byQueue {
		fmt.Fprintf(w, "%s%-40s  %-40s  %-40s\n", head, "#brokerName", "#queueId", "#offset")
		for _, row := range r.rows {
			fmt.Fprintf(w, "%-40s  %-40d  %-40d\n", clip(row.BrokerName, 32), row.QueueID, row.Offset)
		}
		return
	}
	fmt.Fprintf(w, "%s%-20s  %-20s  %-20s  %-20s  %-20s  %-20s\n", headByQueue, "#brokerName", "#queueId", "#brokerOffset", "#consumerOffset", "#timestampOffset", last)
	for _, row := range r.rows {
		m := row.old
		if m == nil {
			m = &move{from: row.Offset, to: row.Offset}
		}
		fmt.Fprintf(w, "%-20s  %-20d  %-20d  %-20d  %-20d  %-20d\n", clip(row.BrokerName, 32), row.QueueID, m.end, m.from, m.to, row.Offset)
	}
}

// finish shows what was set, also when it ended with an error.
func (r *reset) finish(err error, text func(io.Writer)) error {
	if r.dryRun || err != nil && len(r.rows) == 0 {
		return err
	}
	rows := r.rows
	if rows == nil {
		rows = []resetRow{}
	}
	if otherwise := r.a.show(rows, text); err == nil {
		err = otherwise
	}
	return err
}

func (r *reset) flags(c *cobra.Command) {
	required(c, &r.group, "group", "g", "`GROUP`")
	required(c, &r.topic, "topic", "t", "`TOPIC`")
	c.Flags().StringVarP(&r.cluster, "cluster", "c", "", "for a light queue: the parent `TOPIC`")
	boolFlag(c, &r.force, "force", "f", true, "forwards too; false lets offsets go back only")
	dryRunFlag(c, &r.dryRun)
}

func (a *Admin) resetOffsetByTime() *cobra.Command {
	r := &reset{a: a}
	var at string
	var queue int32
	var offset int64
	var c *cobra.Command
	c = a.command("resetOffsetByTime", "Let a group go on where a time is", func(ctx context.Context) error {
		var err error
		if at == "now" {
			r.at = time.Now().UnixMilli()
		} else if r.at, err = timeArg(at); err != nil {
			return err
		}
		switch given := c.Flags().Changed; {
		case given("queue") && (queue < 0 || r.broker == ""), given("offset") && !given("queue"):
			return misuse(fmt.Errorf("one queue is named by --broker and --queue, and an offset needs both"))
		case given("queue"):
			var to *int64
			if given("offset") {
				to = &offset
			}
			return r.one(ctx, queue, to, at)
		}
		err = r.run(ctx)
		says := fmt.Sprintf("group[%s], topic[%s], force[%v], timestamp(string)[%s], timestamp(long)[%d]\n", r.group, r.topic, r.force, at, r.at)
		return r.finish(err, func(w io.Writer) {
			r.print(w, "start reset consumer offset by specified, "+says, "reset consumer offset by specified consumerG"+strings.TrimPrefix(says, "g"), "#resetOffset")
		})
	})
	r.flags(c)
	required(c, &at, "timestamp", "s", "`TIME`: now, ms, or 2006-01-02#15:04:05:000")
	c.Flags().StringVarP(&r.broker, "broker", "b", "", "only at the broker with this `ADDRESS`")
	c.Flags().Int32VarP(&queue, "queue", "q", noOffset, "with -b: only the queue with this `ID`")
	c.Flags().Int64VarP(&offset, "offset", "o", noOffset, "with -q: to this `OFFSET` instead")
	return c
}

// one resets one queue of one broker.
func (r *reset) one(ctx context.Context, queue int32, to *int64, at string) error {
	a := r.a
	b := member{addr: r.broker}
	moves, err := a.moves(ctx, r.group, []queueAt{{protocol.MessageQueue{Topic: r.topic, QueueID: queue}, r.broker}}, func(ctx context.Context, q queueAt, least, end int64) (int64, error) {
		switch {
		case to == nil:
			return r.target(ctx, q, least, end)
		case *to < least || *to > end:
			return 0, fmt.Errorf("offset %d is not in queue %d of topic %s at %s: it has the offsets from %d to %d", *to, queue, r.topic, r.broker, least, end)
		}
		return *to, nil
	})
	if err != nil {
		return err
	}
	m := moves[0]
	a.sayWhoConsumes(ctx, r.group)
	name := fmt.Sprintf("reset group %s in topic %s at %s", r.group, r.topic, b)
	err = a.carry(ctx, r.dryRun, []change{{what: fmt.Sprintf("%s: %s", name, movesText(moves)), name: name, do: func(ctx context.Context) error {
		if err := a.pool.CommitOffset(ctx, r.broker, r.group, r.topic, queue, m.to); err != nil {
			return err
		}
		r.rows = append(r.rows, resetRow{MessageQueue: m.MessageQueue, Offset: m.to})
		if settings, err := a.pool.BrokerConfig(ctx, r.broker); err == nil && settings["useServerSideResetOffset"] == "false" {
			// Asked for one queue, such a broker would send all of the group's consumers back to the time.
			a.say("the broker has useServerSideResetOffset=false: consumers that are running go on where they are, and may put their own offset back")
			return nil
		}
		_, err := a.pool.ResetOffsets(ctx, r.broker, &protocol.ResetOffsetHeader{Group: r.group, Topic: r.topic, QueueID: &queue, Offset: &m.to})
		return err
	}}})
	return r.finish(err, func(w io.Writer) {
		fmt.Fprintf(w, "start reset consumer offset by specified, group[%s], topic[%s], queueId[%d], broker[%s], timestamp(string)[%s], timestamp(long)[%d]\n", r.group, r.topic, queue,
			r.broker, at, r.at)
		fmt.Fprintf(w, "reset consumer offset to %d\n", m.to)
	})
}

func (a *Admin) skipAccumulatedMessage() *cobra.Command {
	r := &reset{a: a, at: toEnd}
	c := a.command("skipAccumulatedMessage", "Let a group skip all that it has not consumed yet", func(ctx context.Context) error {
		return r.finish(r.run(ctx), func(w io.Writer) { r.print(w, "", "", "#rollbackOffset") })
	})
	r.flags(c)
	return c
}

func (a *Admin) cloneGroupOffset() *cobra.Command {
	var from, to, topic, offline string
	var dryRun bool
	c := a.command("cloneGroupOffset", "Let a group go on in a topic where another one is", func(ctx context.Context) error {
		queues, err := a.queues(ctx, topic, "", protocol.PermRead)
		if err != nil {
			return err
		}
		copied := 0
		var changes []change
		for _, some := range byBroker(queues) {
			moves, err := a.moves(ctx, to, some, func(ctx context.Context, q queueAt, _, _ int64) (int64, error) {
				offset, known, err := a.pool.ConsumerOffset(ctx, q.addr, from, q.Topic, q.QueueID)
				if !known {
					return noOffset, err
				}
				copied++
				return offset, err
			})
			if err != nil {
				return err
			}
			b := member{name: some[0].BrokerName, addr: some[0].addr}
			name := fmt.Sprintf("copy the offsets of group %s in topic %s to group %s at %s", from, topic, to, b)
			changes = append(changes, change{what: fmt.Sprintf("%s: %s", name, movesText(moves)), name: name, do: func(ctx context.Context) error {
				for _, m := range moves {
					if m.to == noOffset || m.to == m.from {
						continue
					}
					if err := a.pool.CommitOffset(ctx, m.addr, to, topic, m.QueueID, m.to); err != nil {
						return err
					}
				}
				return nil
			}})
		}
		if copied == 0 {
			return fmt.Errorf("group %s has no offsets in topic %s that could be copied", from, topic)
		}
		if a.sayWhoConsumes(ctx, to) > 0 {
			a.say("they go on where they are, and may put their own offsets back; stop them first")
		}
		if err := a.carry(ctx, dryRun, changes); err != nil || dryRun {
			return err
		}
		shown := struct {
			From  string `json:"srcGroup"`
			To    string `json:"destGroup"`
			Topic string `json:"topic"`
		}{from, to, topic}
		return a.show(shown, func(w io.Writer) {
			fmt.Fprintf(w, "clone group offset success. srcGroup[%s], destGroup=[%s], topic[%s]", from, to, topic)
		})
	})
	required(c, &from, "srcGroup", "s", "`GROUP` that has the offsets")
	required(c, &to, "destGroup", "d", "`GROUP` that shall have them")
	required(c, &topic, "topic", "t", "`TOPIC`")
	c.Flags().StringVarP(&offline, "offline", "o", "", "without effect")
	dryRunFlag(c, &dryRun)
	return c
}
