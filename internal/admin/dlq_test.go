package admin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/liftoffmq/liftoff/internal/client"
	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// deadLetters makes dead letters of group billing, from topics orders and bills, at two brokers. They have the ids dead0, dead1, ...
func deadLetters(t *testing.T, n int) *cluster {
	t.Helper()
	c := startCluster(t, "broker-a", "broker-b")
	c.topic(t, "orders", 1)
	c.topic(t, "bills", 1)
	for _, addr := range c.brokers {
		c.group(t, addr, "billing", "orders")
	}
	for i := range n {
		addr, topic := c.brokers[i%2], []string{"orders", "bills"}[i%2]
		id := fmt.Sprint("dead", i)
		offsetID := c.send(t, addr, topic, 0, fmt.Sprint("body ", i), map[string]string{message.PropUniqKey: id, message.PropKeys: fmt.Sprint("key", i), "mine": "kept"})
		_, logOffset, err := message.ParseOffsetID(offsetID)
		if err != nil {
			t.Fatal(err)
		}
		c.giveBack(t, addr, "billing", stay{LogOffset: logOffset, OffsetID: offsetID, Topic: topic}, -1)
	}
	waitFor(t, "dead letters", func() bool { return len(c.letters(t, "--max", "1000")) == n })
	return c
}

// letters is what `liftoff dlq list` says.
func (c *cluster) letters(t *testing.T, args ...string) []letter {
	t.Helper()
	r := tool(t, c, append([]string{"dlq", "list", "-g", "billing", "--json"}, args...)...)
	var list []letter
	if r.err != nil || json.Unmarshal([]byte(r.out), &list) != nil {
		t.Fatalf("%+v", r)
	}
	return list
}

// read reads a queue.
func (c *cluster) read(t *testing.T, addr, topic string) []copyOf {
	t.Helper()
	var all []copyOf
	for offset := int64(0); ; {
		p, err := c.pool.Pull(t.Context(), addr, &client.Pull{Group: toolsGroup, Topic: topic, Offset: offset, Max: 32})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range p.Messages {
			all = append(all, newCopy(member{}, m))
		}
		if offset = p.Next; offset >= p.Max {
			return all
		}
	}
}

func TestDLQ_ListsNewestFirst(t *testing.T) {
	t.Parallel()
	c := deadLetters(t, 7)
	list := c.letters(t)
	if l := list[0]; l.ID != "dead6" || l.Topic != "orders" || l.Group != "billing" || l.Tries != 1 || l.Keys != "key6" || l.Preview != "body 6" || l.Broker != "broker-a" || l.OriginID == "" {
		t.Errorf("%+v", l)
	}
	check := func(want int, args ...string) {
		t.Helper()
		if got := c.letters(t, args...); len(got) != want {
			t.Errorf("%v lists %d, want %d: %+v", args, len(got), want, got)
		}
	}
	check(3, "--max", "3")
	check(3, "-t", "bills")
	check(2, "--id", "dead1,key4,dead1")
	check(7, "--from", "1h")
	check(0, "--to", "1h")
	check(7, "--from", time.Now().Add(-time.Minute).Format(time.RFC3339), "--to", fmt.Sprint(time.Now().Add(time.Minute).UnixMilli()))
	if r := tool(t, c, "dlq", "list"); r.err != nil || !strings.Contains(r.out, "billing  7 ") {
		t.Errorf("%+v", r)
	}
	if r := tool(t, c, "dlq", "list", "-g", "billing"); r.err != nil || !strings.Contains(r.out, "dead3") || !strings.Contains(r.out, "body 3") {
		t.Errorf("%+v", r)
	}
	if r := tool(t, c, "dlq", "list", "-g", "nobody"); r.err != nil || !strings.Contains(r.out, "no such dead letters") {
		t.Errorf("%+v", r)
	}
	if r := tool(t, c, "dlq", "list", "-g", "billing", "--from", "yesterday"); r.err == nil || !strings.Contains(r.err.Error(), `--from: "yesterday" is not a time such as`) {
		t.Errorf("%+v", r)
	}
}

func TestDLQ_ResendsOnceToTheGroup(t *testing.T) {
	t.Parallel()
	c := deadLetters(t, 70)
	r := tool(t, c, "dlq", "resend", "-g", "billing", "--dry-run")
	if r.err != nil || !strings.Contains(r.said, "would send 70 dead letters of group billing (35 of topic bills, 35 of topic orders) to %RETRY%billing, for this group only") {
		t.Errorf("%+v", r)
	}
	if n := len(c.read(t, c.brokers[0], "%RETRY%billing")); n != 0 {
		t.Errorf("a dry run has sent %d", n)
	}
	// In parts, as if it had been interrupted.
	if r := tool(t, c, "dlq", "resend", "-g", "billing", "--id", "dead0,dead1,dead2"); r.err != nil || !strings.Contains(r.said, "3 dead letters sent again, 0 were already") {
		t.Errorf("%+v", r)
	}
	waitFor(t, "index", func() bool { return len(lifeOf(t, c, "dead2").Steps) == 3 })
	if r := tool(t, c, "dlq", "resend", "-g", "billing"); r.err != nil || !strings.Contains(r.said, "67 dead letters sent again, 3 were already") {
		t.Errorf("%+v", r)
	}
	waitFor(t, "index", func() bool { return len(lifeOf(t, c, "dead69").Steps) == 3 })
	if r := tool(t, c, "dlq", "resend", "-g", "billing"); r.err != nil || !strings.Contains(r.said, "0 dead letters sent again, 70 were already") {
		t.Errorf("%+v", r)
	}
	seen := map[string]bool{}
	for i, addr := range c.brokers {
		for _, m := range c.read(t, addr, "%RETRY%billing") {
			seen[m.id()] = true
			if m.props[message.PropRetryTopic] != []string{"orders", "bills"}[i] || m.props["mine"] != "kept" || m.ReconsumeTimes != 0 || !strings.HasPrefix(string(m.Body), "body ") {
				t.Errorf("%+v %v", m.Message, m.props)
			}
		}
	}
	if len(seen) != 70 {
		t.Errorf("%d messages came, 70 were dead", len(seen))
	}
	g := groupIn(t, lifeOf(t, c, "dead4"), "billing")
	if g.State != stateNotYet || !strings.Contains(strings.Join(g.Why, ";"), "waits for its first try after it was sent again") {
		t.Errorf("%+v", g)
	}
	if n := len(c.letters(t, "--max", "100")); n != 70 {
		t.Errorf("%d dead letters are left, want all", n)
	}
	if r := tool(t, c, "dlq", "resend", "-g", "billing", "--id", "dead0", "--again"); r.err != nil || !strings.Contains(r.said, "1 dead letters sent again") {
		t.Errorf("%+v", r)
	}
}

func TestDLQ_ResendsToTheTopic(t *testing.T) {
	t.Parallel()
	c := deadLetters(t, 4)
	if r := tool(t, c, "dlq", "resend", "-g", "billing", "-t", "orders", "--to-topic"); r.err != nil || !strings.Contains(r.said, "will send 2 dead letters of group billing (2 of topic orders) to their topics") {
		t.Errorf("%+v", r)
	}
	var got []string
	for _, m := range c.read(t, c.brokers[0], "orders") {
		got = append(got, m.id()+" "+m.props[propResentFrom]+m.props[message.PropRetryTopic])
	}
	if want := "[dead0  dead2  dead0 broker-a/0/0 dead2 broker-a/0/1]"; fmt.Sprint(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if r := tool(t, c, "dlq", "resend", "-g", "nobody"); r.err != nil || !strings.Contains(r.said, "nothing to send") {
		t.Errorf("%+v", r)
	}
	// Consumers that do not listen to the retry topic would never get them.
	h := &protocol.HeartbeatData{ClientID: "popper", ConsumerDataSet: []*protocol.ConsumerData{{GroupName: "billing", ConsumeType: consumePop, MessageModel: protocol.Clustering,
		SubscriptionDataSet: []*protocol.SubscriptionData{{Topic: "orders", SubString: "*", TagsSet: []string{}, CodeSet: []int32{}, SubVersion: 1, ExpressionType: "TAG"}}}}}
	if err := c.pool.Heartbeat(t.Context(), c.brokers[1], h); err != nil {
		t.Fatal(err)
	}
	if r := tool(t, c, "dlq", "resend", "-g", "billing"); r.err == nil || !strings.Contains(r.err.Error(), "do not listen to %RETRY%billing; send to the topics") {
		t.Errorf("%+v", r)
	}
}

func TestDLQ_ExportsWholeMessages(t *testing.T) {
	t.Parallel()
	c := deadLetters(t, 5)
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	if r := tool(t, c, "dlq", "export", "-g", "billing", "-o", path); r.err != nil || !strings.Contains(r.said, "5 dead letters exported") {
		t.Fatalf("%+v", r)
	}
	if r := tool(t, c, "dlq", "export", "-g", "billing", "-o", path); r.err == nil {
		t.Error("a file that is there is overwritten")
	}
	if r := tool(t, c, "dlq", "export", "-g", "billing", "-o", "-"); r.err != nil || strings.Count(r.out, "\n") != 5 {
		t.Errorf("to the output: %+v", r)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		var l letter
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil || l.Body == nil || !strings.HasPrefix(*l.Body, "body ") || l.Properties["mine"] != "kept" {
			t.Errorf("%v %s", err, lines.Bytes())
		}
	}
	if n != 5 {
		t.Errorf("%d lines", n)
	}
}
