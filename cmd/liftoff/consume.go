package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
)

const (
	onlookerGroup = "liftoff-consume" // of who is in no group: keeps no offsets and shares with nobody
	pullMax       = 32
	pullSuspend   = 15 * time.Second
	callTimeout   = 5 * time.Second
	shareInterval = 5 * time.Second        // how often a group's queues are shared out anew
	retryInterval = 500 * time.Millisecond // after a failure
	topicInterval = 100 * time.Millisecond // for a topic that does not exist yet
	topicPatience = time.Second            // and how long that is nothing to speak of
)

// consumeFlags are the flags of `liftoff consume`.
type consumeFlags struct {
	clientFlags
	group  string
	tag    string
	from   string
	count  int
	follow bool
}

func (p *program) consumeCommand() *cobra.Command {
	var f consumeFlags
	c := &cobra.Command{
		Use:   "consume --topic TOPIC [flags]",
		Short: "Print messages",
		Long: "Print the messages of a topic. Without --group every message is printed and nothing is remembered; with it the messages are\n" +
			"shared with the other consumers of the group, and the next run goes on where this one ended.",
		Example: `  liftoff consume --topic hello --follow
  liftoff consume --topic orders --tag 'paid || cancelled' --from last --follow
  liftoff consume --topic orders --group bookkeeping --count 100`,
		Args: noCommand,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.from != "first" && f.from != "last" {
				return misuse{fmt.Errorf("--from=%s is wrong: it must be first or last", f.from)}
			}
			if f.count < 0 {
				return misuse{fmt.Errorf("--count=%d is wrong: it must be at least 0, which is all", f.count)}
			}
			if f.group != "" && !groupName.MatchString(f.group) {
				return misuse{fmt.Errorf("--group=%s is wrong: a group's name has 1 to 255 of a-z, A-Z, 0-9, _, -, %% and |", f.group)}
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return explainCall(p.consume(ctx, &f))
		},
	}
	f.add(c)
	c.Flags().StringVarP(&f.group, "group", "g", "", "consumer `GROUP`")
	c.Flags().StringVar(&f.tag, "tag", "", "only messages with these `TAGS`, such as 'a || b'")
	c.Flags().StringVar(&f.from, "from", "first", "where to begin, unless the group has begun before: first or last")
	c.Flags().IntVar(&f.count, "count", 0, "end after `N` messages; 0 is all")
	c.Flags().BoolVarP(&f.follow, "follow", "f", false, "wait for more at the end")
	return c
}

// groupName is what RocketMQ's clients, and brokers that make the group, take for one.
var groupName = regexp.MustCompile(`^[%|a-zA-Z0-9_-]{1,255}$`)

// consumer prints the messages of its share of a topic's queues. A goroutine for each queue pulls; Run prints what they bring, so
// that an offset is committed only after its message was printed.
type consumer struct {
	*session
	flags *consumeFlags
	group string
	id    string   // of the client
	tags  []string // wanted; nil for all
	begun bool     // the queues have been found once
	err   io.Writer

	brought chan batch
	changed chan struct{} // the group has; holds one
	pulling map[queue]context.CancelFunc
	pulls   sync.WaitGroup
	done    map[queue]bool // read to the end, when not following
}

// batch is what one pull brought. The puller waits until it was printed.
type batch struct {
	queue    queue
	messages []message.Message
	printed  chan<- struct{}
	end      bool // nothing follows
	err      error
}

func (p *program) consume(ctx context.Context, f *consumeFlags) error {
	c := &consumer{flags: f, group: cmp.Or(f.group, onlookerGroup), err: p.err, brought: make(chan batch), changed: make(chan struct{}, 1),
		pulling: make(map[queue]context.CancelFunc), done: make(map[queue]bool)}
	if f.tag != protocol.SubscribeAll {
		for tag := range strings.SplitSeq(f.tag, "||") {
			if tag = strings.TrimSpace(tag); tag != "" {
				c.tags = append(c.tags, tag)
			}
		}
	}
	host, _ := os.Hostname()
	c.id = fmt.Sprintf("%s@%d#%d", host, os.Getpid(), rand.Uint32())
	var err error
	if c.session, err = f.connect(notices{c}); err != nil {
		return err
	}
	defer c.pool.Close()
	return c.run(ctx, p.out)
}

// notices takes what brokers tell a consumer: that its group has changed.
type notices struct{ c *consumer }

func (n notices) Serve(r *remoting.Request) {
	if r.Code != protocol.ReqNotifyConsumerIDsChanged {
		remoting.Respond(r, func(*remoting.Request) (*remoting.Answer, error) {
			return nil, protocol.Errorf(protocol.CodeRequestCodeNotSupported, "liftoff consume does not serve %s", protocol.RequestName(int(r.Code)))
		})
		return
	}
	select {
	case n.c.changed <- struct{}{}:
	default:
	}
}

func (n notices) Flush(c *remoting.Conn) { c.Flush() }
func (n notices) Closed(*remoting.Conn)  {}

// run consumes until ctx ends, the count is reached, or there is nothing left and the flags do not say to wait.
func (c *consumer) run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer c.leave()
	defer c.pulls.Wait()
	defer cancel()

	if err := c.share(ctx); err != nil {
		return ended(ctx, err)
	}
	c.begun = true
	again := time.NewTicker(shareInterval)
	defer again.Stop()
	for count := 0; c.flags.follow || len(c.done) < len(c.pulling); {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			c.shareAgain(ctx)
		case <-c.changed:
			c.shareAgain(ctx)
		case b := <-c.brought:
			if b.err != nil {
				return ended(ctx, b.err)
			}
			for i := range b.messages {
				if !c.wants(&b.messages[i]) {
					continue
				}
				if err := printMessage(out, b.queue, &b.messages[i]); err != nil {
					return err
				}
				if count++; count == c.flags.count {
					return c.commit(ctx, b.queue, b.messages[i].QueueOffset+1)
				}
			}
			if b.end {
				c.done[b.queue] = true
			}
			if len(b.messages) > 0 {
				if err := c.commit(ctx, b.queue, b.messages[len(b.messages)-1].QueueOffset+1); err != nil && !c.flags.follow {
					return ended(ctx, err)
				}
			}
			close(b.printed)
		}
	}
	return nil
}

// ended keeps quiet about errors that only say that ctx has ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// share finds the queues that are this consumer's and pulls from them. For a topic that does not exist yet it waits, for a moment or,
// when following, for ever: a topic that a message has just made is known to the NameServers a little later.
func (c *consumer) share(ctx context.Context) error {
	patience := time.Now().Add(topicPatience)
	for told := false; ; {
		mine, err := c.mine(ctx)
		if err == nil {
			return c.pullFrom(ctx, mine)
		}
		late := time.Now().After(patience)
		if !refusedWith(err, protocol.CodeTopicNotExist) || late && !c.flags.follow {
			return err
		}
		if late && !told {
			fmt.Fprintf(c.err, "liftoff: topic %s does not exist yet: waiting for its first message\n", c.flags.topic)
			told = true
		}
		if !pause(ctx, topicInterval) {
			return ctx.Err()
		}
	}
}

// shareAgain is share for later, when failures are passing ones.
func (c *consumer) shareAgain(ctx context.Context) {
	if mine, err := c.mine(ctx); err == nil {
		_ = c.pullFrom(ctx, mine)
	}
}

// mine asks for the topic's queues and, in a group, takes the share of this consumer: all clients sort queues and consumers alike and
// give each consumer a run of the queues.
func (c *consumer) mine(ctx context.Context) ([]queue, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	route, err := c.names.RouteByTopic(ctx, c.flags.topic)
	if err != nil {
		return nil, err
	}
	all := queues(route, protocol.PermRead)
	slices.SortFunc(all, func(a, b queue) int { return cmp.Or(cmp.Compare(a.broker, b.broker), cmp.Compare(a.id, b.id)) })
	if c.flags.group == "" || len(all) == 0 {
		return all, nil
	}
	for _, addr := range brokers(all) {
		if err := c.pool.Heartbeat(ctx, addr, c.heartbeat()); err != nil {
			return nil, err
		}
	}
	consumers, err := c.pool.Consumers(ctx, all[0].addr, c.group)
	if err != nil {
		return nil, err
	}
	slices.Sort(consumers)
	at := slices.Index(consumers, c.id)
	if at < 0 {
		return nil, fmt.Errorf("group %s: the broker at %s does not know this consumer", c.group, all[0].addr)
	}
	each, more := len(all)/len(consumers), len(all)%len(consumers)
	begin := at*each + min(at, more)
	if at < more {
		each++
	}
	return all[begin : begin+each], nil
}

func brokers(all []queue) []string {
	var addrs []string
	for _, q := range all {
		if !slices.Contains(addrs, q.addr) {
			addrs = append(addrs, q.addr)
		}
	}
	return addrs
}

func (c *consumer) heartbeat() *protocol.HeartbeatData {
	sub := &protocol.SubscriptionData{Topic: c.flags.topic, SubString: protocol.SubscribeAll, TagsSet: []string{}, CodeSet: []int32{},
		SubVersion: 1, ExpressionType: protocol.ExpressionTag}
	if c.tags != nil {
		sub.SubString = c.flags.tag
	}
	for _, tag := range c.tags {
		sub.TagsSet = append(sub.TagsSet, tag)
		sub.CodeSet = append(sub.CodeSet, message.JavaHash(0, tag))
	}
	from := "CONSUME_FROM_FIRST_OFFSET"
	if c.flags.from == "last" {
		from = "CONSUME_FROM_LAST_OFFSET"
	}
	return &protocol.HeartbeatData{ClientID: c.id, ProducerDataSet: []*protocol.ProducerData{}, ConsumerDataSet: []*protocol.ConsumerData{{
		GroupName: c.group, ConsumeType: "CONSUME_PASSIVELY", MessageModel: "CLUSTERING", ConsumeFromWhere: from,
		SubscriptionDataSet: []*protocol.SubscriptionData{sub}}}}
}

// wants says whether a message has one of the tags; the broker has only compared their hashes.
func (c *consumer) wants(m *message.Message) bool {
	tag, _ := message.Property(m.Properties, message.PropTags)
	return c.tags == nil || slices.Contains(c.tags, string(tag))
}

// pullFrom makes the queues that are pulled from those of mine.
func (c *consumer) pullFrom(ctx context.Context, mine []queue) error {
	for q, cancel := range c.pulling {
		if !slices.Contains(mine, q) {
			cancel()
			delete(c.pulling, q)
			delete(c.done, q)
		}
	}
	for _, q := range mine {
		if c.pulling[q] != nil {
			continue
		}
		begin, end, err := c.begin(ctx, q)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		c.pulling[q] = cancel
		c.pulls.Go(func() { c.pullLoop(ctx, q, begin, end) })
	}
	return nil
}

// begin says where to go on in a queue, and where it ends at present.
func (c *consumer) begin(ctx context.Context, q queue) (begin, end int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	least, next, err := c.pool.QueueOffsets(ctx, q.addr, c.flags.topic, q.id)
	if err != nil {
		return 0, 0, err
	}
	if c.flags.group != "" {
		if at, known, err := c.pool.ConsumerOffset(ctx, q.addr, c.group, c.flags.topic, q.id); err != nil || known {
			return at, next, err
		}
	}
	// A queue that comes later, to one who reads all, had nothing before.
	if c.flags.from == "last" && (!c.begun || c.flags.group != "") {
		return next, next, nil
	}
	return least, next, nil
}

// pullLoop brings the messages of a queue from begin on: up to end, or for ever when following.
func (c *consumer) pullLoop(ctx context.Context, q queue, begin, end int64) {
	pull := &client.Pull{Group: c.group, Topic: c.flags.topic, QueueID: q.id, Offset: begin, Max: pullMax, Expression: c.flags.tag}
	if c.flags.follow {
		pull.Suspend = pullSuspend
	}
	for failed := false; ; {
		b := batch{queue: q}
		if c.flags.follow || pull.Offset < end {
			call, cancel := context.WithTimeout(ctx, pull.Suspend+callTimeout)
			pulled, err := c.pool.Pull(call, q.addr, pull)
			cancel()
			switch {
			case ctx.Err() != nil:
				return
			case err != nil && c.flags.follow:
				if !failed {
					fmt.Fprintf(c.err, "liftoff: %v; trying again\n", err)
				}
				failed = true
				if !pause(ctx, retryInterval) {
					return
				}
				continue
			case err != nil:
				b.err = err
			default:
				failed = false
				b.messages, pull.Offset = pulled.Messages, pulled.Next
			}
		}
		b.end = !c.flags.follow && pull.Offset >= end
		if len(b.messages) == 0 && !b.end && b.err == nil {
			continue
		}
		printed := make(chan struct{})
		b.printed = printed
		select {
		case c.brought <- b:
		case <-ctx.Done():
			return
		}
		select {
		case <-printed:
		case <-ctx.Done():
			return
		}
		if b.end {
			return
		}
	}
}

// commit says how far the group has got in a queue.
func (c *consumer) commit(ctx context.Context, q queue, next int64) error {
	if c.flags.group == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	return c.pool.CommitOffset(ctx, q.addr, c.group, c.flags.topic, q.id, next)
}

// leave lets the group's other consumers have the queues at once.
func (c *consumer) leave() {
	if c.flags.group == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var all []queue
	for q := range c.pulling {
		all = append(all, q)
	}
	for _, addr := range brokers(all) {
		_ = c.pool.LeaveGroup(ctx, addr, c.id, c.group) // it is noticed soon anyway
	}
}

// pause waits; it is false when ctx ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// printMessage writes one line: queue, offset, time, what a consumer may choose by, and the body.
func printMessage(out io.Writer, q queue, m *message.Message) error {
	var line bytes.Buffer
	fmt.Fprintf(&line, "%s @%d  %s  ", q, m.QueueOffset, time.UnixMilli(m.StoreTimestamp).Format("2006-01-02 15:04:05.000"))
	if tag, ok := message.Property(m.Properties, message.PropTags); ok {
		fmt.Fprintf(&line, "tag=%s  ", tag)
	}
	if keys, ok := message.Property(m.Properties, message.PropKeys); ok {
		fmt.Fprintf(&line, "key=%s  ", keys)
	}
	if body, err := m.PlainBody(); err != nil {
		fmt.Fprintf(&line, "(%d bytes: %v)", len(m.Body), err)
	} else if utf8.Valid(body) {
		line.Write(body)
	} else {
		fmt.Fprintf(&line, "%q", body)
	}
	line.WriteByte('\n')
	_, err := out.Write(line.Bytes())
	return err
}
