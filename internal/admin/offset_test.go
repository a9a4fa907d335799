package admin

import (
	"fmt"
	"strings"
	"testing"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// offsets are where a group is in the queues of a topic at the first broker, -1 for nowhere.
func (c *cluster) offsets(t *testing.T, group, topic string, queues int32) string {
	t.Helper()
	var all []int64
	for q := range queues {
		offset, known, err := c.pool.ConsumerOffset(t.Context(), c.brokers[0], group, topic, q)
		if err != nil {
			t.Fatal(err)
		}
		if !known {
			offset = -1
		}
		all = append(all, offset)
	}
	return fmt.Sprint(all)
}

func TestOffsets_MoveAsSaidAndNotOtherwise(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 3)
	c.topic(t, "others", 1)
	for range 5 {
		for q := range int32(3) {
			c.send(t, c.brokers[0], "orders", q, "x", nil)
		}
		c.send(t, c.brokers[0], "others", 0, "x", nil)
	}
	c.join(t, "10.0.0.1@7", "shop", "orders")
	c.join(t, "10.0.0.2@7", "copy", "orders")
	commit := func(topic string, queue int32, offset int64) {
		if err := c.pool.CommitOffset(t.Context(), c.brokers[0], "shop", topic, queue, offset); err != nil {
			t.Fatal(err)
		}
	}
	commit("orders", 0, 3)
	commit("orders", 1, 5)
	commit("others", 0, 2)
	run := func(wantErr, wantSaid, wantOut, wantOffsets, args string) {
		t.Helper()
		r := mqadmin(t, append(strings.Fields(args), "-n", c.addr)...)
		if (r.err != nil) != (wantErr != "") || r.err != nil && !strings.Contains(r.err.Error(), wantErr) {
			t.Errorf("%s: %v, want %q", args, r.err, wantErr)
		}
		if !strings.Contains(r.said, wantSaid) {
			t.Errorf("%s says %q, want %q", args, r.said, wantSaid)
		}
		if got := steady(r.out); got != wantOut {
			t.Errorf("%s prints:\n%s\nwant:\n%s", args, got, wantOut)
		}
		if got := c.offsets(t, "shop", "orders", 3) + c.offsets(t, "shop", "others", 1); got != wantOffsets {
			t.Errorf("%s: offsets are %s, want %s", args, got, wantOffsets)
		}
	}
	table := func(offsets ...int) string {
		text := fmt.Sprintf("%-40s  %-40s  %s\n", "#brokerName", "#queueId", "#offset")
		for q, offset := range offsets {
			text += fmt.Sprintf("%-40s  %-40d  %d\n", "broker-a", q, offset)
		}
		return text
	}
	const began = "[3 5 -1][2]"
	run("", "queue 0 from 3 on to 5 (2 messages skipped); queue 1 stays at 5; queue 2 from none to 5 (0 messages to read): in all 0 messages again, 2 skipped\nnothing was changed", "", began,
		"skipAccumulatedMessage -g shop -t orders --dry-run")
	run("", "group shop is consumed by 1 clients now: 10.0.0.1@7\nwould reset group shop in topic orders at broker-a", "", began, "resetOffsetByTime -g shop -t orders -s 0 --dry-run")
	run("", "queue 0 stays at 3; queue 1 stays at 5; queue 2 from none to 5", "#brokerName                               #queueId                                  #offset\n"+
		"broker-a                                  2                                         5\n", "[3 5 5][2]", "skipAccumulatedMessage -g shop -t orders -f false")
	says := "group[shop], topic[orders], force[true], timestamp(string)[0], timestamp(long)[0]\n"
	run("", "in all 13 messages again, 0 skipped", "start reset consumer offset by specified, "+says+table(0, 0, 0), "[0 0 0][2]", "resetOffsetByTime -g shop -t orders -s 0")
	run("", "queue 1 from 0 on to 2 (2 messages skipped)", "start reset consumer offset by specified, group[shop], topic[orders], queueId[1], broker[HOST], timestamp(string)[0], timestamp(long)[0]\n"+
		"reset consumer offset to 2\n", "[0 2 0][2]", "resetOffsetByTime -g shop -t orders -s 0 -q 1 -o 2 -b "+c.brokers[0])
	run("it has the offsets from 0 to 5", "", "", "[0 2 0][2]", "resetOffsetByTime -g shop -t orders -s 0 -q 1 -o 6 -b "+c.brokers[0])
	run("an offset needs both", "", "", "[0 2 0][2]", "resetOffsetByTime -g shop -t orders -s 0 -o 6")
	run(`cannot read "later" as a time`, "", "", "[0 2 0][2]", "resetOffsetByTime -g shop -t orders -s later")
	run("has no queues at 127.0.0.1:1", "", "", "[0 2 0][2]", "resetOffsetByTime -g shop -t orders -s 0 -b 127.0.0.1:1")
	run("", "group copy is consumed by 1 clients now: 10.0.0.2@7\nthey go on where they are", "clone group offset success. srcGroup[shop], destGroup=[copy], topic[orders]", "[0 2 0][2]",
		"cloneGroupOffset -s shop -d copy -t orders")
	if got := c.offsets(t, "copy", "orders", 3) + c.offsets(t, "copy", "others", 1); got != "[0 2 0][-1]" {
		t.Errorf("copied %s", got)
	}
	run("has no offsets in topic orders", "", "", "[0 2 0][2]", "cloneGroupOffset -s nobody -d copy -t orders")
}

// When the broker leaves it to consumers and there are none, the offsets are set one by one.
func TestReset_WithoutConsumers(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.topic(t, "orders", 1)
	for range 3 {
		c.send(t, c.brokers[0], "orders", 0, "x", nil)
	}
	if err := c.pool.UpdateBrokerConfig(t.Context(), c.brokers[0], map[string]string{"useServerSideResetOffset": "false"}); err != nil {
		t.Fatal(err)
	}
	group := protocol.NewSubscriptionGroupConfig("shop")
	if err := c.pool.CreateGroup(t.Context(), c.brokers[0], &group); err != nil {
		t.Fatal(err)
	}
	if err := c.pool.CommitOffset(t.Context(), c.brokers[0], "shop", "orders", 0, 2); err != nil {
		t.Fatal(err)
	}
	check(t, `reset consumer offset by specified consumerGroup[shop], topic[orders], force[true], timestamp(string)[0], timestamp(long)[0]
#brokerName           #queueId              #brokerOffset         #consumerOffset       #timestampOffset      #resetOffset
broker-a              0                     3                     2                     0                     0
`, "resetOffsetByTime", "-n", c.addr, "-g", "shop", "-t", "orders", "-s", "0")
	if got := c.offsets(t, "shop", "orders", 1); got != "[0]" {
		t.Errorf("offsets are %s", got)
	}
}
