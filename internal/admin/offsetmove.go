package admin

import (
	"context"
	"fmt"
	"strings"

	"github.com/liftoffmq/liftoff/internal/protocol"
)

// noOffset stands for the offset of a group that has none in a queue.
const noOffset = -1

// move is how a group's offset in a queue will change.
type move struct {
	queueAt
	from, to int64 // from may be noOffset
	end      int64 // the offset that the queue's next message will get
}

// moves plans to set a group's offsets in some queues of one topic, each to what to says; noOffset leaves it as it is.
func (a *Admin) moves(ctx context.Context, group string, queues []queueAt, to func(ctx context.Context, q queueAt, least, end int64) (int64, error)) ([]move, error) {
	all := make([]move, len(queues))
	for i, q := range queues {
		least, end, err := a.pool.QueueOffsets(ctx, q.addr, q.Topic, q.QueueID)
		if err != nil {
			return nil, err
		}
		from, known, err := a.pool.ConsumerOffset(ctx, q.addr, group, q.Topic, q.QueueID)
		if err != nil {
			return nil, err
		}
		if !known {
			from = noOffset
		}
		target, err := to(ctx, q, least, end)
		if err != nil {
			return nil, err
		}
		all[i] = move{q, from, target, end}
	}
	return all, nil
}

func (m *move) String() string {
	switch {
	case m.to == noOffset, m.to == m.from:
		return fmt.Sprintf("queue %d stays at %s", m.QueueID, offsetText(m.from))
	case m.from == noOffset:
		return fmt.Sprintf("queue %d from none to %d (%d messages to read)", m.QueueID, m.to, max(m.end-m.to, 0))
	case m.to < m.from:
		return fmt.Sprintf("queue %d from %d back to %d (%d messages again)", m.QueueID, m.from, m.to, m.from-m.to)
	}
	return fmt.Sprintf("queue %d from %d on to %d (%d messages skipped)", m.QueueID, m.from, m.to, m.to-m.from)
}

func offsetText(offset int64) string {
	if offset == noOffset {
		return "none"
	}
	return fmt.Sprint(offset)
}

// movesText lists moves, and their sum.
func movesText(all []move) string {
	var list []string
	var again, skipped int64
	for i := range all {
		m := &all[i]
		list = append(list, m.String())
		if m.from != noOffset && m.to != noOffset {
			again += max(m.from-m.to, 0)
			skipped += max(m.to-m.from, 0)
		}
	}
	return fmt.Sprintf("%s: in all %d messages again, %d skipped", strings.Join(list, "; "), again, skipped)
}

// sayWhoConsumes tells who will notice that a group's offsets change.
func (a *Admin) sayWhoConsumes(ctx context.Context, group string) (count int) {
	online, err := a.consumers(ctx, group)
	if err != nil {
		a.say("nobody consumes as group %s now", group)
		return 0
	}
	var ids []string
	for _, conn := range online.ConnectionSet {
		ids = append(ids, conn.ClientID)
	}
	a.say("group %s is consumed by %d clients now: %s", group, len(ids), listed(ids))
	return len(ids)
}

// byBroker parts queues by their broker, in order.
func byBroker(queues []queueAt) [][]queueAt {
	var all [][]queueAt
	for _, q := range queues {
		if n := len(all); n > 0 && all[n-1][0].BrokerName == q.BrokerName {
			all[n-1] = append(all[n-1], q)
		} else {
			all = append(all, []queueAt{q})
		}
	}
	return all
}

// rowsOf turns a broker's answer into rows.
func rowsOf(t protocol.QueueTable[int64]) []resetRow {
	sortQueues(t)
	rows := make([]resetRow, len(t))
	for i, e := range t {
		rows[i] = resetRow{MessageQueue: e.Queue, Offset: e.Value}
	}
	return rows
}
