package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// uniqueMax is how many messages with one unique key are looked for.
const uniqueMax = 32

// forever is a time behind all messages, as Java's tool gives it.
var forever = time.UnixMilli(math.MaxInt64)

func daysAgo(n int) time.Time { return time.Now().Add(-time.Duration(n) * 24 * time.Hour) }

// messageFlags are the flags of commands that look for messages by id.
type messageFlags struct {
	topic, ids, cluster, group, client string
}

func (f *messageFlags) add(c *cobra.Command) {
	required(c, &f.topic, "topic", "t", "`TOPIC`")
	required(c, &f.ids, "msgId", "i", "`ID` of the message")
	c.Flags().StringVarP(&f.cluster, "cluster", "c", "", "`CLUSTER` to look in; of a light queue the parent topic")
	c.Flags().StringVarP(&f.group, "consumerGroup", "g", "", "with -d: `GROUP` of the consumer that shall consume it now")
	c.Flags().StringVarP(&f.client, "clientId", "d", "", "with -g: `ID` of the consumer that shall consume it now")
}

func (a *Admin) queryMsgById() *cobra.Command {
	var f messageFlags
	var resend, bodyFormat, unit string
	c := a.command("queryMsgById", "Show the message with an id", func(ctx context.Context) error {
		for id := range strings.SplitSeq(f.ids, ",") {
			if id = strings.TrimSpace(id); id == "" {
				continue
			}
			var err error
			switch {
			case f.group != "" && f.client != "":
				err = a.pushMessage(ctx, &f, id)
			case resend != "":
				if strings.EqualFold(resend, "true") {
					err = a.resendMessage(ctx, &f, id)
				}
			default:
				err = a.showMessage(ctx, &f, id, bodyFormat)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	f.add(c)
	c.Flags().Lookup("msgId").Usage = "`ID` of the message; several are separated by commas"
	c.Flags().StringVarP(&resend, "sendMessage", "s", "", "`true` to send it once more instead")
	c.Flags().StringVarP(&unit, "unitName", "u", "", "`UNIT` of the producer that sends it once more; without effect")
	c.Flags().StringVarP(&bodyFormat, "bodyFormat", "f", "", "`CHARSET` to print the body in")
	return c
}

// showMessage prints one message and who has consumed it.
func (a *Admin) showMessage(ctx context.Context, f *messageFlags, id, bodyFormat string) error {
	m, err := a.findMessage(ctx, f.cluster, f.topic, id)
	if err != nil {
		return err
	}
	return a.printMessage(ctx, m, bodyFormat)
}

// printMessage prints a message that was found, with its offset id.
func (a *Admin) printMessage(ctx context.Context, m *found, bodyFormat string) error {
	var text *string
	if bodyFormat != "" {
		decode, err := charsetNamed(bodyFormat)
		if err != nil {
			return err
		}
		body := decode(m.Body)
		text = &body
	}
	return a.showFound(ctx, m, "", func(w io.Writer, path string, all []track) {
		m.printDetails(w, true, path, text)
		printTracks(w, all, "\n")
	})
}

// showFound gathers what belongs to a message and shows it.
func (a *Admin) showFound(ctx context.Context, m *found, suffix string, text func(w io.Writer, bodyPath string, all []track)) error {
	if m.plain != nil {
		a.say("the body of message %s stays as it was stored: %v", m.id(), m.plain)
	}
	path := ""
	if !a.json {
		var err error
		if path, err = a.saveBody(m, suffix); err != nil {
			return err
		}
	}
	all, err := a.tracks(ctx, m)
	if err != nil {
		a.say("cannot say who has consumed it: %v", err)
	}
	shown := m.shown(true)
	shown.Consumers = all
	return a.show(shown, func(w io.Writer) { text(w, path, all) })
}

// pushMessage lets one consumer consume a message now.
func (a *Admin) pushMessage(ctx context.Context, f *messageFlags, id string) error {
	info, err := a.runningInfo(ctx, f.group, f.client, false)
	if err != nil {
		return err
	}
	if info.Properties[protocol.RunningConsumeType] != protocol.ConsumePassively {
		return fmt.Errorf("this %s client is not push consumer ,not support direct push", f.client)
	}
	m, err := a.findMessage(ctx, f.cluster, f.topic, id)
	if err != nil {
		return err
	}
	r, err := a.pool.ConsumeDirectly(ctx, m.addr, f.group, f.client, f.topic, m.offsetID())
	if err != nil {
		return err
	}
	return a.show(r, func(w io.Writer) {
		remark := "null"
		if r.Remark != nil {
			remark = *r.Remark
		}
		fmt.Fprintf(w, "ConsumeMessageDirectlyResult [order=%v, autoCommit=%v, consumeResult=%s, remark=%s, spentTimeMills=%d]", r.Order, r.AutoCommit,
			r.ConsumeResult, remark, r.SpentTimeMills)
	})
}

// resendMessage sends a message once more, with its properties, its unique key among them.
func (a *Admin) resendMessage(ctx context.Context, f *messageFlags, id string) error {
	m, err := a.findMessage(ctx, f.cluster, f.topic, id)
	if err != nil {
		return err
	}
	properties := make(map[string]string)
	for _, p := range m.properties {
		properties[p.name] = p.value
	}
	s, err := a.newSender(ctx, m.Topic, "ReSendMsgById")
	if err != nil {
		return err
	}
	r, err := s.send(ctx, m.Body, properties)
	if err != nil {
		return err
	}
	return a.show(r, func(w io.Writer) { fmt.Fprintf(w, "prepare resend msg. originalMsgId=%s%s", id, r) })
}

func (a *Admin) queryMsgByUniqueKey() *cobra.Command {
	var f messageFlags
	var showAll bool
	var begin, end string
	c := a.command("queryMsgByUniqueKey", "Show the message that a producer gave an id", func(ctx context.Context) error {
		if f.group != "" && f.client != "" {
			return a.pushMessage(ctx, &f, f.ids)
		}
		q := &client.Query{Topic: f.topic, Key: f.ids, Unique: true, Kind: "U", Max: uniqueMax, Begin: time.Now().Add(-36 * time.Hour), End: time.Now().Add(36 * time.Hour)}
		if begin != "" && end != "" {
			var err error
			if q.Begin, q.End, err = spanArg(begin, end); err != nil {
				return err
			}
		}
		all, err := a.queryMessages(ctx, f.cluster, q)
		if err != nil {
			return err
		}
		slices.SortStableFunc(all, func(x, y *found) int { return cmp.Compare(x.StoreTimestamp, y.StoreTimestamp) })
		if !showAll {
			all = all[:1]
		}
		for i, m := range all {
			suffix := ""
			if i > 0 {
				suffix = "_" + strconv.Itoa(i)
			}
			if err := a.showFound(ctx, m, suffix, func(w io.Writer, path string, all []track) {
				m.printDetails(w, false, path, nil)
				printTracks(w, all, "")
			}); err != nil {
				return err
			}
		}
		return nil
	})
	f.add(c)
	c.Flags().BoolVarP(&showAll, "showAll", "a", false, "print all messages with this id, at most 32")
	c.Flags().StringVarP(&begin, "startTime", "s", "", "with -e: stored from `TIME` on, in ms; 36 hours ago unless given")
	c.Flags().StringVarP(&end, "endTime", "e", "", "with -s: stored until `TIME`, in ms")
	return c
}

// spanArg reads two times in ms.
func spanArg(begin, end string) (from, to time.Time, err error) {
	first, err1 := timeArg(begin)
	last, err2 := timeArg(end)
	return time.UnixMilli(first), time.UnixMilli(last), errors.Join(err1, err2)
}

// keyFlags are the flags of commands that look for messages by key.
type keyFlags struct {
	begin, end int64
	most       int32
}

func (f *keyFlags) add(c *cobra.Command, mostLetter string) {
	c.Flags().Int64VarP(&f.begin, "beginTimestamp", "b", 0, "stored from `TIME` on, in ms")
	c.Flags().Int64VarP(&f.end, "endTimestamp", "e", math.MaxInt64, "stored until `TIME`, in ms")
	c.Flags().Int32VarP(&f.most, "maxNum", mostLetter, 64, "at most `N` messages of each broker")
}

func (a *Admin) queryMsgByKey() *cobra.Command {
	var f keyFlags
	var topic, key, cluster, kind, lastKey string
	c := a.command("queryMsgByKey", "Find messages by key", func(ctx context.Context) error {
		if kind != "K" && kind != "T" {
			return misuse(fmt.Errorf("index type error, just support K for keys or T for tags: it is %q", kind))
		}
		all, err := a.queryMessages(ctx, cluster, &client.Query{Topic: topic, Key: key, Kind: kind, LastKey: lastKey, Max: f.most,
			Begin: time.UnixMilli(f.begin), End: time.UnixMilli(f.end)})
		if err != nil {
			return err
		}
		shown := make([]*shownMessage, len(all))
		for i, m := range all {
			shown[i] = m.shown(true)
		}
		return a.show(shown, func(w io.Writer) {
			fmt.Fprintf(w, "%-50s %4s %40s %-200s\n", "#Message ID", "#QID", "#Offset", "#IndexKey")
			for _, m := range all {
				hour := m.StoreTimestamp / time.Hour.Milliseconds() * time.Hour.Milliseconds()
				last := fmt.Sprintf("%d@%s@%s@%s@%s@%d", hour, topic, kind, key, m.id(), m.LogOffset)
				fmt.Fprintf(w, "%-50s %4d %40d %-200s\n", m.id(), m.QueueID, m.QueueOffset, last)
			}
		})
	})
	required(c, &topic, "topic", "t", "`TOPIC`")
	required(c, &key, "msgKey", "k", "`KEY`")
	f.add(c, "m")
	c.Flags().StringVarP(&cluster, "cluster", "c", "", "`CLUSTER` to look in; of a light queue the parent topic")
	c.Flags().StringVarP(&kind, "keyType", "p", "K", "K for keys, T for tags")
	c.Flags().StringVarP(&lastKey, "lastKey", "l", "", "`INDEXKEY` of the last message shown before, of brokers with RocksDB")
	return c
}

func (a *Admin) queryMsgByOffset() *cobra.Command {
	var topic, broker, bodyFormat, routeTopic string
	var queue int32
	var offset int64
	c := a.command("queryMsgByOffset", "Show the message at an offset of a queue", func(ctx context.Context) error {
		b, err := a.brokerNamed(ctx, cmp.Or(routeTopic, topic), broker)
		if err != nil {
			return err
		}
		q := queueAt{protocol.MessageQueue{Topic: topic, BrokerName: broker, QueueID: queue}, b.addr}
		r, err := a.readQueue(ctx, q, protocol.SubscribeAll, offset, 1)
		if err != nil {
			return err
		}
		if len(r.found) == 0 || r.found[0].QueueOffset != offset {
			return fmt.Errorf("no message at offset %d of queue %d of topic %s at %s: it has the offsets from %d on, and before %d", offset, queue, topic, b, r.Min, r.Max)
		}
		return a.printMessage(ctx, r.found[0], bodyFormat)
	})
	required(c, &topic, "topic", "t", "`TOPIC`")
	required(c, &broker, "brokerName", "b", "`NAME` of the broker")
	c.Flags().Int32VarP(&queue, "queueId", "i", 0, "`ID` of the queue")
	c.Flags().Int64VarP(&offset, "offset", "o", 0, "`OFFSET` in the queue")
	c.Flags().StringVarP(&bodyFormat, "bodyFormat", "f", "", "`CHARSET` to print the body in")
	c.Flags().StringVarP(&routeTopic, "routeTopic", "r", "", "`TOPIC` on the same brokers, for a light queue")
	need(c, "queueId", "offset")
	return c
}

// reading is what was read from a queue.
type reading struct {
	*client.Pulled
	found []*found
}

// readQueue reads messages from an offset on, without being a consumer.
func (a *Admin) readQueue(ctx context.Context, q queueAt, expression string, offset int64, most int32) (*reading, error) {
	p, err := a.pool.Pull(ctx, q.addr, &client.Pull{Group: toolsGroup, Topic: q.Topic, QueueID: q.QueueID, Offset: offset, Max: most, Expression: expression})
	if err != nil {
		return nil, err
	}
	r := &reading{Pulled: p}
	tags := tagsOf(expression)
	for _, m := range p.Messages {
		f := newFound(m, q.BrokerName, q.addr)
		if tag, _ := f.property(message.PropTags); len(tags) > 0 && !slices.Contains(tags, tag) {
			continue // another with the same hash
		}
		f.QueueID = q.QueueID
		f.set(message.PropMinOffset, strconv.FormatInt(p.Min, 10))
		f.set(message.PropMaxOffset, strconv.FormatInt(p.Max, 10))
		r.found = append(r.found, f)
	}
	return r, nil
}

// set gives a property a value.
func (f *found) set(name, value string) {
	for i := range f.properties {
		if f.properties[i].name == name {
			f.properties[i].value = value
			return
		}
	}
	f.properties = append(f.properties, pair{name, value})
}

// tagsOf are the tags of an expression, none when it takes all.
func tagsOf(expression string) []string {
	var tags []string
	for tag := range strings.SplitSeq(expression, "||") {
		if tag = strings.TrimSpace(tag); tag == protocol.SubscribeAll {
			return nil
		} else if tag != "" {
			tags = append(tags, tag)
		}
	}
	return tags
}
