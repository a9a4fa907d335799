package broker

import (
	"context"
	"errors"
	"time"

	"github.com/liftoffmq/liftoff/internal/store"
)

// followLites lets lite topics go that had no message for as long as their parent says, and clients that have said nothing for long.
// Consumption does not count, as with Apache: what nobody has consumed by then goes too.
func (b *Broker) followLites(ctx context.Context) {
	cfg := b.settings.Load()
	if !cfg.LightQueues || !cfg.MultiDispatch { // they are read at the start only
		return
	}
	clients, topics := time.NewTimer(positive(cfg.LiteClientInterval)), time.NewTimer(positive(cfg.LiteExpiryInterval))
	defer clients.Stop()
	defer topics.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-clients.C:
			cfg = b.settings.Load()
			b.lites.expireClients(time.Now().Add(-cfg.LiteClientMax))
			clients.Reset(positive(cfg.LiteClientInterval))
		case <-topics.C:
			if cfg = b.settings.Load(); time.Since(b.started) >= cfg.LiteLeast {
				b.expireLites(cfg, time.Now())
			}
			topics.Reset(positive(cfg.LiteExpiryInterval))
		}
	}
}

// positive keeps a loop from spinning.
func positive(d time.Duration) time.Duration { return max(d, 10*time.Millisecond) }

// expireClients forgets clients that have said nothing since a time, and what was popped and left long ago.
func (l *lites) expireClients(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, c := range l.clients {
		if c.updated.Before(since) {
			l.b.log.Info("client of lite topics is forgotten: it has not told its subscriptions for long", "client", id, "group", c.group, "topic", c.topic, "subscriptions", len(c.queues))
			l.dropLocked(c)
		}
	}
	before := time.Now().Add(-liteBlockKept).UnixMilli()
	for key, x := range l.blocks {
		if !x.taking && x.info != nil && x.info.LastConsumed < before && x.heapAt < 0 {
			l.removeBlockLocked(key)
		}
	}
}

// expireLites deletes the lite topics whose time is over now.
func (b *Broker) expireLites(cfg *settings, now time.Time) {
	for _, name := range b.topics.names() {
		t := b.topics.find(name)
		if t == nil {
			continue
		}
		ttl := time.Duration(t.liteTTL()) * time.Minute
		if ttl <= 0 {
			continue
		}
		before := now.Add(-max(ttl, cfg.LiteLeast)).UnixMilli()
		var quiet []store.Quiet
		for _, q := range b.store.LiteQueues(name) {
			end := q.MaxOffset()
			last, ok := b.store.StoreTime(q, end-1)
			isLeft := q.MinOffset() < end // by the log; if it cannot be read that is no reason to delete it
			if ok && last < before || !ok && !isLeft {
				quiet = append(quiet, store.Quiet{Queue: q, End: end})
			}
		}
		if len(quiet) == 0 {
			continue
		}
		gone, err := b.deleteQuietLites(name, quiet)
		if err != nil {
			b.log.Error("cannot delete lite topics, or not all that belonged to them", "topic", name, "err", err)
		}
		b.log.Info("lite topics have expired", "topic", name, "lite_topics", gone, "minutes", t.liteTTL())
	}
}

// deleteQuietLites deletes lite topics of a parent that have got no message, and returns how many. Only when the disk has no offsets of
// groups in them any more their messages begin at 0. One that comes before goes on where the others were, which fits the offsets that a
// kill leaves; groups without one begin there (liteOffset).
func (b *Broker) deleteQuietLites(parent string, quiet []store.Quiet) (gone int, err error) {
	deleted, err := b.store.DeleteQuiet(quiet)
	groups := b.groups.boundTo()[parent]
	for _, d := range deleted {
		b.forgetLite(parent, groups, d.Queue)
	}
	unwritten := b.offsets.writeRemoved()
	if unwritten == nil {
		for _, d := range deleted {
			b.store.BeginAnew(d)
		}
	}
	return len(deleted), errors.Join(err, unwritten)
}

// forgetLite forgets what is known of groups in a lite topic that is gone. What they have in hand goes first, for an acknowledgement moves
// the offset.
func (b *Broker) forgetLite(parent string, groups []string, q *store.Queue) {
	for _, group := range groups {
		b.lites.removeBlock(liteKey{group, q.Topic()})
		b.lites.removeLag(liteKey{group, parent}, q.Topic())
		b.offsets.remove(group, q.Topic())
	}
	b.offsets.remove(toolsGroup, q.Topic())
	b.lites.abandon(q.Topic())
}

// deleteLitesOf deletes all lite topics of a topic that is not there any more, their offsets first as those of other topics.
func (b *Broker) deleteLitesOf(parent string) error {
	var names []string
	groups, queues := b.groups.boundTo()[parent], b.store.LiteQueues(parent)
	for _, q := range queues {
		b.forgetLite(parent, groups, q)
		names = append(names, q.Topic())
	}
	if len(names) == 0 {
		return nil
	}
	unwritten := b.offsets.writeRemoved()
	err := b.store.DeleteTopic(names...)
	for _, q := range queues { // what a pop that had begun has taken meanwhile
		b.forgetLite(parent, groups, q)
	}
	return errors.Join(err, unwritten)
}
