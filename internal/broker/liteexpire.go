package broker

import (
	"context"
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
		gone, err := b.store.DeleteQuiet(quiet)
		if err != nil {
			b.log.Error("cannot delete lite topics", "topic", name, "err", err)
		}
		b.log.Info("lite topics have expired", "topic", name, "lite_topics", len(gone), "minutes", t.liteTTL())
		b.forgetLites(name, gone)
	}
	if err := b.offsets.writeRemoved(); err != nil {
		b.log.Error("lite topics have expired, but not all that belonged to them", "file", b.offsets.path, "err", err)
	}
}

// forgetLites forgets what is known of groups in lite topics that are gone.
func (b *Broker) forgetLites(parent string, gone []*store.Queue) {
	groups := b.groups.boundTo()[parent]
	for _, q := range gone {
		for _, group := range groups {
			b.offsets.remove(group, q.Topic())
			b.lites.removeBlock(liteKey{group, q.Topic()})
			b.lites.removeLag(liteKey{group, parent}, q.Topic())
		}
		b.offsets.remove(toolsGroup, q.Topic())
		b.lites.abandon(q.Topic())
	}
}

// deleteLitesOf deletes all lite topics of a topic.
func (b *Broker) deleteLitesOf(parent string) error {
	queues := b.store.LiteQueues(parent)
	var names []string
	for _, q := range queues {
		names = append(names, q.Topic())
	}
	err := b.store.DeleteTopic(names...)
	if err == nil {
		b.forgetLites(parent, queues)
	}
	return err
}
