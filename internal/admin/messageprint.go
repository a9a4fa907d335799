package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// readMax is how many messages a request reads.
const readMax = 32

// pullStatus names what a pull has brought, as Java does.
func pullStatus(code int) string {
	switch code {
	case protocol.CodePullNotFound:
		return "NO_NEW_MSG"
	case protocol.CodePullRetryImmediately:
		return "NO_MATCHED_MSG"
	case protocol.CodePullOffsetMoved:
		return "OFFSET_ILLEGAL"
	}
	return "FOUND"
}

// printFlags are the flags of the commands that print messages.
type printFlags struct {
	topic, charset, expression, begin, end string
	body                                   bool
}

func (f *printFlags) add(c *cobra.Command) {
	required(c, &f.topic, "topic", "t", "`TOPIC`")
	c.Flags().StringVarP(&f.charset, "charsetName", "c", "UTF-8", "`CHARSET` of the bodies")
	c.Flags().StringVarP(&f.expression, "subExpression", "s", "*", "`EXPRESSION` of tags, such as 'TagA || TagB'")
	c.Flags().StringVarP(&f.begin, "beginTimestamp", "b", "", "stored from `TIME` on: ms, or 2006-01-02#15:04:05:000")
	c.Flags().StringVarP(&f.end, "endTimestamp", "e", "", "stored until `TIME`, the same")
}

// span is the range of a queue's offsets between two times, or all that it has.
func (a *Admin) span(ctx context.Context, q queueAt, begin, end string) (from, to int64, err error) {
	if from, to, err = a.pool.QueueOffsets(ctx, q.addr, q.Topic, q.QueueID); err != nil {
		return 0, 0, err
	}
	for _, bound := range []struct {
		text   string
		offset *int64
	}{{begin, &from}, {end, &to}} {
		if bound.text == "" {
			continue
		}
		at, err := timeArg(bound.text)
		if err != nil {
			return 0, 0, err
		}
		if *bound.offset, err = a.pool.SearchOffset(ctx, q.addr, q.Topic, q.QueueID, at); err != nil {
			return 0, 0, err
		}
	}
	return from, to, nil
}

// printFound prints messages a line each.
func (a *Admin) printFound(all []*found, decode charset, withBody bool) error {
	for _, m := range all {
		body := "NOT PRINT BODY"
		if withBody {
			body = decode(m.Body)
		}
		if err := a.show(m.shown(withBody), func(w io.Writer) { fmt.Fprintf(w, "MSGID: %s %s BODY: %s\n", m.id(), m.javaText(), body) }); err != nil {
			return err
		}
	}
	return nil
}

// text prints what belongs to the text only.
func (a *Admin) text(format string, args ...any) error {
	if a.json {
		return nil
	}
	return a.show(nil, func(w io.Writer) { fmt.Fprintf(w, format, args...) })
}

func (a *Admin) printMsg() *cobra.Command {
	var f printFlags
	var parent string
	c := a.command("printMsg", "Print the messages of a topic", func(ctx context.Context) error {
		decode, err := charsetNamed(f.charset)
		if err != nil {
			return err
		}
		queues, err := a.queues(ctx, f.topic, parent, protocol.PermRead)
		if err != nil {
			return err
		}
		spans := make([][2]int64, len(queues))
		var total int64
		for i, q := range queues {
			if spans[i][0], spans[i][1], err = a.span(ctx, q, f.begin, f.end); err != nil {
				return err
			}
			total += max(spans[i][1]-spans[i][0], 0)
		}
		p := a.progress("messages read", total)
		defer p.end()
		for i, q := range queues {
			if err := a.printQueue(ctx, q, &f, decode, spans[i], p); err != nil {
				return err
			}
		}
		return nil
	})
	f.add(c)
	boolFlag(c, &f.body, "printBody", "d", true, "print the bodies")
	c.Flags().StringVarP(&parent, "lmqParentTopic", "l", "", "`TOPIC` that a light queue belongs to")
	return c
}

func (a *Admin) printQueue(ctx context.Context, q queueAt, f *printFlags, decode charset, span [2]int64, p *progress) error {
	if err := a.text("minOffset=%d, maxOffset=%d, %s\n", span[0], span[1], javaQueue(q.MessageQueue)); err != nil {
		return err
	}
	for offset := span[0]; offset < span[1]; {
		r, err := a.readQueue(ctx, q, f.expression, offset, readMax)
		if err != nil {
			return err
		}
		p.add(r.Next - offset)
		stuck := r.Next <= offset
		offset = r.Next
		switch status := pullStatus(r.Code); {
		case r.Code == protocol.CodeSuccess:
			err = a.printFound(r.found, decode, f.body)
		case r.Code == protocol.CodePullRetryImmediately && !stuck:
			err = a.text("%s no matched msg. status=%s, offset=%d\n", javaQueue(q.MessageQueue), status, offset)
		default:
			err, offset = a.text("%s print msg finished. status=%s, offset=%d\n", javaQueue(q.MessageQueue), status, offset), span[1]
		}
		if err != nil {
			return err
		}
	}
	return a.text("--------------------------------------------------------\n")
}

// tagCount is how often a tag was met.
type tagCount struct {
	Tag   string `json:"tag"`
	Count int64  `json:"count"`
}

func (a *Admin) printMsgByQueue() *cobra.Command {
	var f printFlags
	var broker string
	var queue int32
	var print, count bool
	c := a.command("printMsgByQueue", "Print the messages of a queue, or count them by tag", func(ctx context.Context) error {
		decode, err := charsetNamed(f.charset)
		if err != nil {
			return err
		}
		b, err := a.brokerNamed(ctx, f.topic, broker)
		if err != nil {
			return err
		}
		q := queueAt{protocol.MessageQueue{Topic: f.topic, BrokerName: broker, QueueID: queue}, b.addr}
		from, to, err := a.span(ctx, q, f.begin, f.end)
		if err != nil {
			return err
		}
		p := a.progress("messages read", to-from)
		defer p.end()
		counts := make(map[string]int64)
		for offset := from; offset < to; {
			r, err := a.readQueue(ctx, q, f.expression, offset, readMax)
			if err != nil {
				return err
			}
			p.add(r.Next - offset)
			if r.Next <= offset || r.Code == protocol.CodePullNotFound || r.Code == protocol.CodePullOffsetMoved {
				break
			}
			offset = r.Next
			for _, m := range r.found {
				if tag, _ := m.property(message.PropTags); tag != "" {
					counts[tag]++
				}
			}
			if print {
				if err := a.printFound(r.found, decode, f.body); err != nil {
					return err
				}
			}
		}
		if !count {
			return nil
		}
		var list []tagCount
		for tag, n := range counts {
			list = append(list, tagCount{tag, n})
		}
		slices.SortFunc(list, func(x, y tagCount) int { return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Tag, y.Tag)) })
		for _, t := range list {
			if err := a.show(t, func(w io.Writer) { fmt.Fprintf(w, "Tag: %-30s Count: %d\n", t.Tag, t.Count) }); err != nil {
				return err
			}
		}
		return nil
	})
	f.add(c)
	required(c, &broker, "brokerName", "a", "`NAME` of the broker")
	c.Flags().Int32VarP(&queue, "queueId", "i", 0, "`ID` of the queue")
	boolFlag(c, &print, "printMsg", "p", false, "print the messages")
	boolFlag(c, &f.body, "printBody", "d", false, "print their bodies too")
	boolFlag(c, &count, "calculate", "f", false, "count the messages by tag")
	need(c, "queueId")
	return c
}

func (a *Admin) consumeMessage() *cobra.Command {
	var topic, broker, group, begin, end string
	var queue int32
	var offset, number int64
	var c *cobra.Command
	c = a.command("consumeMessage", "Print messages of a topic or a queue; nobody's offsets change", func(ctx context.Context) error {
		given := func(flag string) bool { return c.Flags().Changed(flag) }
		switch {
		case number <= 0:
			return misuse(fmt.Errorf("messageNumber must be positive; it is %d", number))
		case given("queueId") && broker == "":
			return misuse(errors.New("queueId needs brokerName beside it"))
		case given("offset") && !given("queueId"):
			return misuse(errors.New("offset needs queueId beside it"))
		}
		if err := checkSpan(begin, end); err != nil {
			return err
		}
		queues, err := a.queues(ctx, topic, "", protocol.PermRead)
		if err != nil {
			return err
		}
		if given("queueId") {
			if i := slices.IndexFunc(queues, func(q queueAt) bool { return q.BrokerName == broker && q.QueueID == queue }); i >= 0 {
				return a.consumeFrom(ctx, queues[i], offset, number, begin, end)
			}
			return fmt.Errorf("topic %s has no queue %d at broker %s", topic, queue, broker)
		}
		for _, q := range queues {
			if number <= 0 {
				break
			}
			from, to, err := a.span(ctx, q, begin, end)
			if err != nil {
				return err
			}
			if to-from > number {
				if err := a.text("The older %d message of the %d queue will be provided\n", number, q.QueueID); err != nil {
					return err
				}
				to, number = from+number-1, 0
			} else {
				number -= max(to-from, 0)
			}
			if err := a.consumeQueue(ctx, q, from, to); err != nil {
				return err
			}
		}
		return nil
	})
	required(c, &topic, "topic", "t", "`TOPIC`")
	c.Flags().StringVarP(&broker, "brokerName", "b", "", "`NAME` of the broker")
	c.Flags().Int32VarP(&queue, "queueId", "i", 0, "`ID` of the queue")
	c.Flags().Int64VarP(&offset, "offset", "o", 0, "`OFFSET` in the queue to begin at")
	c.Flags().StringVarP(&group, "consumerGroup", "g", "", "`GROUP` in whose name to read; without effect")
	c.Flags().StringVarP(&begin, "beginTimestamp", "s", "", "stored from `TIME` on: ms, or 2006-01-02#15:04:05:000")
	c.Flags().StringVarP(&end, "endTimestamp", "e", "", "stored until `TIME`, the same")
	c.Flags().Int64VarP(&number, "MessageNumber", "c", 128, "at most `N` messages")
	return c
}

// checkSpan refuses times that are yet to come, or the wrong way round.
func checkSpan(begin, end string) error {
	var from, to int64 = 0, math.MaxInt64
	var err error
	now := time.Now().UnixMilli()
	if begin != "" {
		if from, err = timeArg(begin); err != nil {
			return err
		} else if from > now {
			return misuse(errors.New("beginTimestamp must lie before now"))
		}
	}
	if end != "" {
		if to, err = timeArg(end); err != nil {
			return err
		} else if to > now {
			return misuse(errors.New("endTimestamp must lie before now"))
		}
	}
	if from > to {
		return misuse(errors.New("beginTimestamp must not lie behind endTimestamp"))
	}
	return nil
}

// consumeFrom prints what one queue has from an offset on.
func (a *Admin) consumeFrom(ctx context.Context, q queueAt, offset, number int64, begin, end string) error {
	from, to, err := a.span(ctx, q, begin, end)
	if err != nil {
		return err
	}
	if offset > to {
		return a.text("%s no matched msg, offset=%d\n", javaQueue(q.MessageQueue), offset)
	}
	if from = max(from, offset); to-from > number {
		if err := a.text("The oldler %d message will be provided\n", number); err != nil {
			return err
		}
		to = from + number - 1
	}
	return a.consumeQueue(ctx, q, from, to)
}

// consumeQueue prints the messages from one offset to another, that one too.
func (a *Admin) consumeQueue(ctx context.Context, q queueAt, from, to int64) error {
	decode, _ := charsetNamed("UTF-8")
	for offset := from; offset <= to; {
		r, err := a.readQueue(ctx, q, protocol.SubscribeAll, offset, int32(min(to-offset+1, readMax)))
		if err != nil {
			return err
		}
		stuck := r.Next <= offset
		offset = r.Next
		switch status := pullStatus(r.Code); {
		case r.Code == protocol.CodeSuccess:
			if err = a.text("Consume ok\n"); err == nil {
				err = a.printFound(r.found, decode, true)
			}
		case r.Code == protocol.CodePullRetryImmediately && !stuck:
			err = a.text("%s no matched msg. status=%s, offset=%d\n", javaQueue(q.MessageQueue), status, offset)
		default:
			return a.text("%s print msg finished. status=%s, offset=%d\n", javaQueue(q.MessageQueue), status, offset)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
