package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/message"
)

// ownGroup is a producer group that nobody else has.
func ownGroup() string { return fmt.Sprint(now()) }

func (a *Admin) sendMessage() *cobra.Command {
	var topic, body, keys, tags, broker string
	var queue int32
	var trace bool
	c := a.command("sendMessage", "Send a message", func(ctx context.Context) error {
		if queue >= 0 && broker == "" {
			return misuse(errors.New("the broker must be named when the queue is"))
		}
		s, err := a.newSender(ctx, topic, ownGroup())
		if err == nil && queue >= 0 {
			err = s.only(broker, queue)
		}
		if err != nil {
			return err
		}
		properties := make(map[string]string)
		if keys != "" {
			properties[message.PropKeys] = keys
		}
		if tags != "" {
			properties[message.PropTags] = tags
		}
		begun := time.Now()
		r, err := s.send(ctx, []byte(body), properties)
		if err != nil {
			return err
		}
		if trace {
			if err := a.traceSent(ctx, r, s, begun, tags, keys, len(body)); err != nil {
				a.say("the message is sent, and its trace is not: %v", err)
			}
		}
		return a.show(r, func(w io.Writer) {
			const columns = "%-32s  %-4v  %-20s    %s\n"
			fmt.Fprintf(w, columns, "#Broker Name", "#QID", "#Send Result", "#MsgId")
			fmt.Fprintf(w, columns, r.BrokerName, r.QueueID, r.Status, r.MsgID)
		})
	})
	required(c, &topic, "topic", "t", "`TOPIC`")
	required(c, &body, "body", "p", "`TEXT` of the message")
	c.Flags().StringVarP(&keys, "key", "k", "", "`KEYS`, separated by blanks")
	c.Flags().StringVarP(&tags, "tags", "c", "", "`TAG`")
	c.Flags().StringVarP(&broker, "broker", "b", "", "with -i: `NAME` of the broker")
	c.Flags().Int32VarP(&queue, "qid", "i", -1, "with -b: `ID` of the queue")
	boolFlag(c, &trace, "msgTraceEnable", "m", false, "trace it, as clients do")
	return c
}

// traceSent traces that a message was sent: a record of the kind that readTraces reads, under the message's id and keys.
func (a *Admin) traceSent(ctx context.Context, r *sent, s *sender, begun time.Time, tags, keys string, size int) error {
	to, err := a.newSender(ctx, defaultTrace, "_INNER_TRACE_PRODUCER")
	if err != nil {
		return err
	}
	addr := ""
	for _, q := range s.queues {
		if q.BrokerName == r.BrokerName {
			addr = q.addr
		}
	}
	fields := []string{"Pub", fmt.Sprint(begun.UnixMilli()), "DefaultRegion", s.group, s.topic, r.MsgID, tags, keys, addr, fmt.Sprint(size),
		fmt.Sprint(time.Since(begun).Milliseconds()), "0", r.OffsetMsgID, fmt.Sprint(r.Status == "SEND_OK")}
	_, err = to.send(ctx, []byte(strings.Join(fields, traceFields)+traceRecords), map[string]string{message.PropKeys: strings.TrimSpace(r.MsgID + " " + keys)})
	return err
}

func (a *Admin) sendMsgStatus() *cobra.Command {
	var broker string
	var size, count int
	c := a.command("sendMsgStatus", "Send messages to a broker's own topic", func(ctx context.Context) error {
		const word = "hello jodie"
		body, err := bodyOf(word, size)
		if err != nil {
			return err
		}
		s, err := a.newSender(ctx, broker, "PID_SMSC")
		if err != nil {
			return err
		}
		if _, err := s.send(ctx, []byte(strings.Repeat(word, 2)), nil); err != nil {
			return err
		}
		for range count {
			begun := time.Now()
			r, err := s.send(ctx, body, nil)
			if err != nil {
				return err
			}
			took := time.Since(begun).Milliseconds()
			shown := struct {
				MS int64 `json:"rtMs"`
				*sent
			}{took, r}
			if err := a.show(shown, func(w io.Writer) { fmt.Fprintf(w, "rt=%dms, SendResult=%s\n", took, r) }); err != nil {
				return err
			}
		}
		return nil
	})
	required(c, &broker, "brokerName", "b", "`NAME` of the broker")
	c.Flags().IntVarP(&size, "messageSize", "s", 128, "`BYTES` of each message, about")
	c.Flags().IntVarP(&count, "count", "c", 50, "send `N` messages")
	return c
}

// bodyOf makes a body of a word again and again, with size bytes or the rest of a word more. What no frame holds is refused.
func bodyOf(word string, size int) ([]byte, error) {
	if size > client.FrameMax {
		return nil, misuse(fmt.Errorf("-s %d is wrong: a message has %d bytes at most", size, client.FrameMax))
	}
	return bytes.Repeat([]byte(word), (size+len(word)-1)/len(word)), nil
}

// sendTime is how long a send took.
type sendTime struct {
	Broker  string `json:"brokerName"`
	QueueID int32  `json:"queueId"`
	OK      bool   `json:"ok"`
	MS      int64  `json:"rtMs"`
}

// average is the mean of what all sends but the first took.
func average(elapsed time.Duration, amount int) float64 {
	if amount <= 1 {
		return math.NaN()
	}
	return float64(elapsed.Milliseconds()) / float64(amount-1)
}

func (a *Admin) checkMsgSendRT() *cobra.Command {
	var topic string
	var amount, size int
	c := a.command("checkMsgSendRT", "Measure how long sends to a topic take", func(ctx context.Context) error {
		body, err := bodyOf("a", size)
		if err != nil {
			return err
		}
		s, err := a.newSender(ctx, topic, ownGroup())
		if err != nil {
			return err
		}
		const columns = "%-32s  %-4v  %-20v    %v\n"
		if err := a.text(columns, "#Broker Name", "#QID", "#Send Result", "#RT"); err != nil {
			return err
		}
		var elapsed time.Duration
		var failed error
		failures := 0
		for i := range amount {
			q, begun := s.next(), time.Now()
			_, err := s.send(ctx, body, nil)
			if err != nil {
				failed = err
				failures++
			}
			took := time.Since(begun)
			if i > 0 {
				elapsed += took
			}
			t := sendTime{q.BrokerName, q.QueueID, err == nil, took.Milliseconds()}
			if err := a.show(t, func(w io.Writer) { fmt.Fprintf(w, columns, t.Broker, t.QueueID, t.OK, t.MS) }); err != nil {
				return err
			}
		}
		if err := a.text("Avg RT: %.2f\n", average(elapsed, amount)); err != nil {
			return err
		}
		return failedSends(failures, amount, failed)
	})
	required(c, &topic, "topic", "t", "`TOPIC`")
	c.Flags().IntVarP(&amount, "amount", "a", 100, "send `N` messages")
	c.Flags().IntVarP(&size, "size", "s", 128, "`BYTES` of each message")
	return c
}

// failedSends is the error of sends of which some have failed.
func failedSends(failures, amount int, last error) error {
	if failures == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d messages were not sent, the last because: %w", failures, amount, last)
}

// clusterTime is how long sends to a broker took.
type clusterTime struct {
	Cluster  string  `json:"cluster"`
	Broker   string  `json:"broker"`
	RT       float64 `json:"rtMs"`
	OK       int     `json:"successCount"`
	Failures int     `json:"failCount"`
}

func (a *Admin) clusterRT() *cobra.Command {
	var cluster, room string
	var amount, size, rounds int
	var interval int64
	var asLog bool
	c := a.command("clusterRT", "Measure again and again how long sends to each broker take", func(ctx context.Context) error {
		body, err := bodyOf("a", size)
		if err != nil {
			return err
		}
		const columns = "%-24s  %-24s  %-8v  %-16v  %-16v\n"
		if !asLog {
			if err := a.text("%-24s  %-24s  %-4s  %-8s  %-8s\n", "#Cluster Name", "#Broker Name", "#RT", "#successCount", "#failCount"); err != nil {
				return err
			}
		}
		return again(ctx, interval, rounds, func() error {
			all, err := a.masters(ctx, target{cluster: cluster})
			if err != nil {
				return err
			}
			for _, m := range all {
				t := a.timeSends(ctx, m, body, amount)
				if err := a.show(t, func(w io.Writer) {
					if asLog {
						at := time.Now().In(time.FixedZone("GMT+8", 8*3600)).Format(timeSeconds)
						fmt.Fprintf(w, "%s|%s|%s|%s|%.0f\n", at, room, t.Cluster, t.Broker, math.Floor(t.RT+0.5))
					} else {
						fmt.Fprintf(w, columns, t.Cluster, t.Broker, fmt.Sprintf("%.2f", t.RT), t.OK, t.Failures)
					}
				}); err != nil {
					return err
				}
			}
			return nil
		})
	})
	c.Flags().IntVarP(&amount, "amount", "a", 100, "send `N` messages to each broker")
	c.Flags().IntVarP(&size, "size", "s", 128, "`BYTES` of each message")
	c.Flags().StringVarP(&cluster, "cluster", "c", "", "`CLUSTER`; all unless given")
	boolFlag(c, &asLog, "printLog", "p", false, "print lines for a log")
	c.Flags().StringVarP(&room, "machineRoom", "m", "noname", "`NAME` of where this is, for such lines")
	c.Flags().Int64VarP(&interval, "interval", "i", 10, "wait `SECONDS` before the next round")
	roundsFlag(c, &rounds)
	return c
}

// timeSends sends to the topic that has a broker's name.
func (a *Admin) timeSends(ctx context.Context, m member, body []byte, amount int) *clusterTime {
	t := &clusterTime{Cluster: m.cluster, Broker: m.name}
	s, err := a.newSender(ctx, m.name, ownGroup())
	if err != nil {
		a.say("%s: %v", m, err)
		t.Failures = amount
		return t
	}
	var elapsed time.Duration
	for i := range amount {
		begun := time.Now()
		if _, err := s.send(ctx, body, nil); err != nil {
			if t.Failures++; t.Failures == 1 {
				a.say("%s: %v", m, err)
			}
		} else {
			t.OK++
		}
		if i > 0 {
			elapsed += time.Since(begun)
		}
	}
	if amount > 1 {
		t.RT = average(elapsed, amount)
	}
	return t
}
