package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

const (
	sendGroup   = "liftoff-send"
	sendTimeout = 5 * time.Second
	// newTopicQueues is how many queues a topic gets that does not exist yet, as with RocketMQ's clients.
	newTopicQueues = 4
	// sendLines is up to how many messages each has a line of its own in the output.
	sendLines = 20
)

// sendFlags are the flags of `liftoff send`.
type sendFlags struct {
	clientFlags
	tag        string
	keys       []string
	properties map[string]string
	count      int
}

func (p *program) sendCommand() *cobra.Command {
	var f sendFlags
	c := &cobra.Command{
		Use:   "send --topic TOPIC [flags] BODY",
		Short: "Send a message",
		Long:  "Send a message. With - for BODY each line of the standard input is one.",
		Example: `  liftoff send --topic hello "Hello, world"
  liftoff send --topic orders --tag paid --key 4711 --property amount=12 '{"id":4711}'
  tail -f access.log | liftoff send --topic log -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return misuse{fmt.Errorf("one BODY is needed and there are %d; put it in quotes, or say - for the standard input", len(args))}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if f.count < 1 {
				return misuse{fmt.Errorf("--count=%d is wrong: it must be at least 1", f.count)}
			}
			return p.send(c.Context(), &f, args[0])
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.tag, "tag", "", "`TAG` that consumers can choose by")
	c.Flags().StringArrayVar(&f.keys, "key", nil, "`KEY` to find the message by; may be given again")
	c.Flags().StringToStringVar(&f.properties, "property", nil, "`NAME=VALUE` of a property; may be given again")
	c.Flags().IntVar(&f.count, "count", 1, "send it `N` times")
	return c
}

func (p *program) send(ctx context.Context, f *sendFlags, body string) error {
	s, err := f.connect(nil)
	if err != nil {
		return err
	}
	defer s.pool.Close()
	to := &sender{session: s, flags: f, ids: message.NewUniqKeys(netip.IPv4Unspecified(), uint16(os.Getpid()), uint32(time.Now().UnixNano()))}
	begun := time.Now()
	if body == "-" {
		err = p.sendInput(ctx, to)
	} else {
		for range f.count {
			if err = p.sendOne(ctx, to, []byte(body)); err != nil {
				break
			}
		}
	}
	if to.sent > sendLines {
		took := time.Since(begun)
		fmt.Fprintf(p.out, "sent %d messages to %s in %s, %.0f a second\n", to.sent, f.topic, took.Round(time.Millisecond), float64(to.sent)/took.Seconds())
	}
	return explainCall(err)
}

func (p *program) sendInput(ctx context.Context, to *sender) error {
	in := bufio.NewReader(p.in)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			if err := p.sendOne(ctx, to, []byte(strings.TrimRight(string(line), "\r\n"))); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("cannot read the standard input: %w", err)
		}
	}
}

func (p *program) sendOne(ctx context.Context, to *sender, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	q, sent, err := to.send(ctx, body)
	if err != nil {
		return err
	}
	to.sent++
	if to.sent <= sendLines {
		fmt.Fprintf(p.out, "sent to %s, queue %s, offset %d, id %s\n", to.flags.topic, q, sent.QueueOffset, sent.MsgID)
	}
	if to.sent == sendLines && (to.flags.count > sendLines) {
		fmt.Fprintln(p.out, "...")
	}
	if sent.Code != protocol.CodeSuccess {
		fmt.Fprintf(p.err, "liftoff: it is stored, but not yet as safely as the broker should keep it (code %d)\n", sent.Code)
	}
	return nil
}

// sender sends to the queues of a topic in turn.
type sender struct {
	*session
	flags  *sendFlags
	ids    *message.UniqKeys
	queues []queue
	first  int // the queue to begin with, or all single messages would go to the same
	sent   int
}

func (s *sender) send(ctx context.Context, body []byte) (queue, *client.Sent, error) {
	if s.queues == nil {
		if err := s.route(ctx); err != nil {
			return queue{}, nil, err
		}
	}
	q := s.queues[(s.first+s.sent)%len(s.queues)]
	now := time.Now()
	props := map[string]string{message.PropUniqKey: string(s.ids.Append(nil, now)), message.PropWait: "true"}
	for name, value := range s.flags.properties {
		props[name] = value
	}
	if s.flags.tag != "" {
		props[message.PropTags] = s.flags.tag
	}
	if len(s.flags.keys) > 0 {
		props[message.PropKeys] = strings.Join(s.flags.keys, " ")
	}
	sent, err := s.pool.Send(ctx, q.addr, &client.Outgoing{Group: sendGroup, Topic: s.flags.topic, QueueID: q.id, BornTimestamp: now.UnixMilli(),
		Properties: props, Body: body, DefaultTopic: protocol.TopicAutoCreate, DefaultTopicQueues: newTopicQueues})
	return q, sent, err
}

// route finds where the topic is; one that does not exist yet is made where the topic TBW102 is, which brokers have that
// make topics on their first message.
func (s *sender) route(ctx context.Context) error {
	route, err := s.names.RouteByTopic(ctx, s.flags.topic)
	if refusedWith(err, protocol.CodeTopicNotExist) {
		standard, otherwise := s.names.RouteByTopic(ctx, protocol.TopicAutoCreate)
		if otherwise != nil {
			return err
		}
		for i := range standard.QueueDatas {
			d := &standard.QueueDatas[i]
			d.WriteQueueNums = min(d.WriteQueueNums, newTopicQueues)
		}
		route, err = standard, nil
	}
	if err != nil {
		return err
	}
	if s.queues = queues(route, protocol.PermWrite); len(s.queues) == 0 {
		return fmt.Errorf("topic %s: no broker takes messages for it at present", s.flags.topic)
	}
	s.first = rand.IntN(len(s.queues))
	return nil
}
