package broker

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// Checking back: the producers of an undecided half message are asked what has become of its transaction (CHECK_TRANSACTION_STATE 39).
//
// A round of checks is made when a half message is due, and not before transactionCheckInterval is over since the last. Each one that is
// due is stored again with one check more, and one living producer of its group is asked, each in its turn; its answer is an
// END_TRANSACTION like any other. After transactionCheckMax checks, or one when it is older than fileReservedTime, it goes to
// TRANS_CHECK_MAX_TIME_TOPIC instead. So a check counts whether or not a producer was there to be asked, as in Apache.
//
// A checker looks at what has come since it last did, and not at what it knows: its costs follow the half messages and the undecided
// ones. With none undecided it waits for the next half message.
type checker struct {
	*halves
	last time.Time // of the last round
	turn int       // counts those who were asked

	watching bool
	woken    <-chan struct{}
	unwatch  func()

	positions [2]int64 // as they were last stored: of the half messages and of the op messages
}

const (
	copyBatch    = 64      // half messages that are stored again together
	copyBytesMax = 1 << 20 // and the bytes of their bodies at which no more come to them

	// holdBackMax is how many half messages may come behind an undecided one before it is stored again, so that what is kept in memory
	// and what a start reads stays bounded.
	holdBackMax = 1 << 20
)

// followHalves checks half messages until ctx ends.
func (b *Broker) followHalves(ctx context.Context) {
	c := &checker{halves: b.halves, last: time.Now()} // producers are given an interval to come back after a start
	c.positions = [2]int64{b.offsets.query(transGroup, topicHalf, 0), b.offsets.query(transGroup, topicOp, 0)}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next := c.look(ctx)
		if ctx.Err() != nil {
			c.watch(false)
			return
		}
		if c.watch(c.mustWatch(next)) && c.q.MaxOffset() > c.scannedTo() {
			continue // came before the watch
		}
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-c.woken:
		}
	}
}

// mustWatch says whether a half message that comes now may be due before the next look.
func (c *checker) mustWatch(next time.Time) bool {
	cfg := c.b.settings.Load()
	soonest := time.Now().Add(cfg.TransactionTimeout)
	if floor := c.last.Add(cfg.TransactionCheckInterval); soonest.Before(floor) {
		soonest = floor
	}
	return next.IsZero() || next.After(soonest)
}

// watch begins or ends to be woken by half messages, and says whether it began now.
func (c *checker) watch(on bool) (began bool) {
	if on == c.watching {
		return false
	}
	c.watching = on
	if !on {
		c.unwatch()
		c.woken = nil
		return false
	}
	c.woken, c.unwatch = c.b.watches.watch(c.q)
	return true
}

func (h *halves) scannedTo() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.scanned
}

// look does what is due, and says when to look again; zero is when the next half message has come.
func (c *checker) look(ctx context.Context) (next time.Time) {
	c.followOrders()
	before := c.scannedTo()
	unread := c.scan() // the store has told it
	cfg, now := c.b.settings.Load(), time.Now()
	c.hold(ctx, holdBackMax)
	floor := c.last.Add(cfg.TransactionCheckInterval)
	if !now.Before(floor) {
		c.round(ctx, cfg, now)
	}
	c.advance()
	due, any := c.firstDue()
	if c.scannedTo() != before || unread != nil { // more are coming, and need not wake it each
		if soon := c.clock(now.Add(cfg.TransactionTimeout)); !any || soon < due {
			due, any = soon, true
		}
	}
	if !any {
		return time.Time{}
	}
	next = c.b.started.Add(durationMS(due + 1))
	if floor = c.last.Add(cfg.TransactionCheckInterval); next.Before(floor) {
		next = floor
	}
	return next
}

// followOrders begins anew when someone else has set the positions.
func (c *checker) followOrders() {
	for _, topic := range []string{topicHalf, topicOp} {
		c.b.offsets.takeReset([]byte(transGroup), []byte(topic), 0)
	}
	now := [2]int64{c.b.offsets.query(transGroup, topicHalf, 0), c.b.offsets.query(transGroup, topicOp, 0)}
	if now != c.positions {
		c.b.log.Warn("positions of transactions were changed from outside", "group", transGroup, "half_from", c.positions[0], "half_to", now[0],
			"op_from", c.positions[1], "op_to", now[1])
		c.positions = now
		c.load()
	}
}

// firstDue forgets those that have ended, and returns when the first of the others is due.
func (h *halves) firstDue() (due int64, any bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open = slices.DeleteFunc(h.open, func(o openHalf) bool { return o.offset < h.base || h.states.get(o.offset).isFinished() })
	if cap(h.open) > 1024 && len(h.open) < cap(h.open)/8 {
		h.open = slices.Clone(h.open)
	}
	for _, o := range h.open {
		if !any || o.due < due {
			due, any = o.due, true
		}
	}
	return due, any
}

// take takes the next undecided half messages that are wanted, of those from *at on in open, and makes whoever wants to end them wait.
func (h *halves) take(at *int, wanted func(openHalf) bool) (taken []openHalf) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ; *at < len(h.open) && len(taken) < copyBatch; *at++ {
		o := h.open[*at]
		if o.offset < h.base {
			continue
		}
		if s := h.states.get(o.offset); s&halfStates == halfOpen && wanted(o) {
			h.states.set(o.offset, s|halfMoving)
			taken = append(taken, o)
		}
	}
	return taken
}

// round checks the half messages that are due.
func (c *checker) round(ctx context.Context, cfg *settings, now time.Time) {
	begin := c.clock(now)
	var r roundResult
	for at := 0; ctx.Err() == nil; {
		taken := c.take(&at, func(o openHalf) bool { return o.due < begin })
		if len(taken) == 0 {
			break
		}
		c.last = now
		if err := c.check(cfg, taken, &r); err != nil {
			c.b.log.Error("half messages could not be checked", "err", err)
			c.postpone(begin + cfg.TransactionCheckInterval.Milliseconds())
			break
		}
	}
	if r.checked > 0 || r.givenUp > 0 {
		c.b.log.Info("transactions were checked", "asked", r.asked, "nobody_to_ask", r.checked-r.asked, "given_up", r.givenUp, "ended_before", r.ended)
	}
}

// postpone makes those that are due wait until the next round.
func (h *halves) postpone(due int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.open {
		h.open[i].due = max(h.open[i].due, due)
	}
}

// roundResult is what came of a round.
type roundResult struct {
	checked, asked, givenUp, ended int
	conns                          map[string][]*remoting.Conn // by producer group
}

// copied is a half message that is being stored again.
type copied struct {
	openHalf
	half message.Message // as it was read
	to   halfState       // what becomes of the old one; halfOpen when it cannot be stored again
	put  int             // its copy; -1 when there is none
	asks []byte          // the properties that its producer is shown
}

// check stores half messages again with one check more, or puts them aside, and asks their producers. An op message behind the copies
// tells that the old ones are done with: who reads the queue without knowing of copies, as Apache's broker does, asks about each once.
func (c *checker) check(cfg *settings, taken []openHalf, r *roundResult) error {
	defer func() { c.restore(taken) }() // which is left over by an error or a panic: who wants to end one would wait for ever
	for len(taken) > 0 {
		var puts []store.Put
		var all []copied
		var ended []int64
		for bytes := 0; len(all) < len(taken) && bytes < copyBytesMax; {
			m := copied{openHalf: taken[len(all)], to: halfGone, put: -1}
			isThere, err := c.readHalf(m.offset, &m.half)
			if err != nil {
				return err
			}
			if isThere {
				if !survived(c.b.log, "half message is left as it is", func() { puts = c.prepare(cfg, &m, puts) }, "queue_offset", m.offset) {
					m.to, m.put, m.asks = halfOpen, -1, nil
				}
				bytes += len(m.half.Body)
			} else {
				c.b.log.Warn("half message cannot be read any more", "queue_offset", m.offset)
			}
			all = append(all, m)
			if m.to != halfOpen {
				ended = append(ended, m.offset)
			}
		}
		puts = c.appendOps(puts, cfg, ended)
		if err := c.b.putAsIs(puts); err != nil {
			return err
		}
		c.moved(all, puts, c.clock(time.Now().Add(cfg.TransactionCheckInterval)))
		taken = taken[len(all):]
		for i := range all {
			r.count(&all[i], all[i].asks != nil && c.ask(cfg, &all[i], puts, r))
		}
	}
	return nil
}

func (r *roundResult) count(m *copied, asked bool) {
	switch m.to {
	case halfMoved, halfOpen:
		r.checked++
		if asked {
			r.asked++
		}
	case halfGivenUp:
		r.givenUp++
	case halfCommitted:
		r.ended++
	}
}

// readHalf reads the half message at a queue offset, with bytes of its own, and says whether it is there still.
func (h *halves) readHalf(offset int64, m *message.Message) (isThere bool, err error) {
	rec, res := h.b.readOn(h.q, offset, 1, maxPullBytes, nil)
	if len(rec) == 0 && res.Err != nil {
		return false, res.Err
	}
	return len(rec) > 0 && message.Decode(rec, m) == nil && m.QueueOffset == offset, nil
}

// prepare decides what becomes of a half message that is due, and adds what is to be stored for that.
func (c *checker) prepare(cfg *settings, m *copied, puts []store.Put) []store.Put {
	f := inspectHalf(&m.half)
	if m.offset < c.fresh && c.findCommitted(&f) {
		m.to = halfCommitted // the broker was killed before its op message was stored
		return puts
	}
	props := message.AppendPropertiesWithout(nil, m.half.Properties, message.PropTransactionCheckTimes, message.PropPreparedQueueOffset, message.PropCRC32)
	checks := f.checks
	discard := f.checks > 0 && f.checks >= cfg.TransactionCheckMax
	if !discard {
		checks++
		discard = f.checks > 0 && time.Now().UnixMilli()-m.half.BornTimestamp > cfg.FileReserved.Milliseconds() // asked once, for the clock may be ahead
	}
	props = message.AppendProperty(props, message.PropTransactionCheckTimes, strconv.Itoa(checks))
	to := c.q
	m.to, m.asks = halfMoved, props
	if discard {
		m.to, m.asks = halfGivenUp, nil
		to = c.givenUpQueue()
		c.b.log.Warn("half message is given up", "topic", string(f.topic), "group", string(f.group), "key", string(f.uniqKey), "checks", f.checks,
			"born", time.UnixMilli(m.half.BornTimestamp), "into", topicCheckMax)
	}
	put := copyOf(&m.half, to, withRoot(props, f.root))
	if err := c.b.store.Check(&put); err != nil { // it must not keep the others from being stored
		m.to, m.asks = halfOpen, m.half.Properties
		c.b.log.Error("half message stays where it is, and its checks are not counted: it cannot be stored again", "topic", string(f.topic),
			"group", string(f.group), "key", string(f.uniqKey), "queue_offset", m.offset, "err", err)
		return puts
	}
	m.put = len(puts)
	return append(puts, put)
}

// givenUpQueue is where half messages go after the last check.
func (h *halves) givenUpQueue() *store.Queue {
	if _, err := h.b.topics.createRetry(topicCheckMax, 1, false, 0); err != nil {
		h.b.log.Error("topic could not be created", "topic", topicCheckMax, "err", err)
	}
	return h.b.store.Queue(topicCheckMax, 0)
}

func withRoot(props []byte, root int64) []byte {
	return message.AppendProperty(slices.Clip(props), message.PropPreparedQueueOffset, strconv.FormatInt(root, 10))
}

func copyOf(m *message.Message, q *store.Queue, props []byte) store.Put {
	p := store.Put{Message: *m, Queue: q}
	p.Properties, p.Err = props, nil
	return p
}

// restore gives back what take has taken.
func (h *halves) restore(taken []openHalf) {
	if len(taken) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range taken {
		h.states.set(o.offset, h.states.get(o.offset)&^halfStates)
	}
	h.settled.Broadcast()
}

// moved notes what became of half messages and where their copies are.
func (c *checker) moved(all []copied, puts []store.Put, due int64) {
	c.mu.Lock()
	for i := range all {
		m := &all[i]
		if m.to == halfOpen {
			c.keepLocked(m.offset, due)
			continue
		}
		c.states.set(m.offset, m.to)
		if m.to != halfMoved {
			continue
		}
		at := puts[m.put].QueueOffset
		when := due
		if m.asks == nil {
			when = m.due
		}
		c.current[m.root] = at
		c.states.set(at, c.states.get(at)|halfListed|halfLooked)
		c.open = append(c.open, openHalf{at, m.root, when})
	}
	c.settled.Broadcast()
	c.mu.Unlock()
	for i := range all {
		if to := all[i].to; to == halfGivenUp || to == halfCommitted {
			if topic, ok := message.Property(all[i].half.Properties, message.PropRealTopic); ok {
				c.b.halfCounts.add(string(topic), -1)
			}
		}
	}
}

// keepLocked gives back a half message that is to be looked at again at a time.
func (h *halves) keepLocked(offset, due int64) {
	h.states.set(offset, h.states.get(offset)&^halfStates)
	for i := range h.open {
		if o := &h.open[i]; o.offset == offset {
			o.due = max(o.due, due)
		}
	}
}

// hold stores half messages again that have too many behind them, unchanged and without a check. No op message tells of the old ones:
// Apache's broker would take the copies of those that are immune still for decided. The position moves past them.
func (c *checker) hold(ctx context.Context, behind int64) {
	limit := c.q.MaxOffset() - behind
	if limit <= c.base {
		return
	}
	var taken []openHalf
	defer func() { c.restore(taken) }()
	for at := 0; ctx.Err() == nil; {
		taken = c.take(&at, func(o openHalf) bool { return o.offset < limit })
		if len(taken) == 0 {
			return
		}
		var puts []store.Put
		var all []copied
		for _, o := range taken {
			m := copied{openHalf: o, to: halfGone, put: -1}
			isThere, err := c.readHalf(o.offset, &m.half)
			if err != nil {
				return // the store has told it
			}
			if isThere {
				props := message.AppendPropertiesWithout(nil, m.half.Properties, message.PropPreparedQueueOffset, message.PropCRC32)
				put := copyOf(&m.half, c.q, withRoot(props, o.root))
				if m.to = halfOpen; c.b.store.Check(&put) == nil {
					m.to, m.put = halfMoved, len(puts)
					puts = append(puts, put)
				}
			}
			all = append(all, m)
		}
		if err := c.b.putAsIs(puts); err != nil {
			c.b.log.Error("half messages could not be stored again", "err", err)
			return
		}
		c.moved(all, puts, 0)
		taken = nil
	}
}

// ask asks a producer of a half message's group what has become of the transaction, and says whether there was one.
func (c *checker) ask(cfg *settings, m *copied, puts []store.Put, r *roundResult) bool {
	group, _ := message.Property(m.asks, message.PropProducerGroup)
	conns, known := r.conns[string(group)]
	if !known {
		if r.conns == nil {
			r.conns = map[string][]*remoting.Conn{}
		}
		conns = c.b.clients.producersOf(string(group))
		r.conns[string(group)] = conns
	}
	if len(conns) == 0 {
		return false
	}
	shown := &m.half
	if m.put >= 0 {
		shown = &puts[m.put].Message
	}
	call := checkCall(cfg, m, shown)
	for range conns {
		c.turn++
		if conns[c.turn%len(conns)].Notify(call) == nil {
			return true
		}
	}
	return false
}

// checkCall is the question. The message is shown as it will be when it is committed, but for its place, which is p's.
func checkCall(cfg *settings, m *copied, p *message.Message) *remoting.Call {
	shownAs := m.half
	shownAs.Properties, shownAs.QueueOffset, shownAs.LogOffset = m.asks, p.QueueOffset, p.LogOffset
	f := inspectHalf(&shownAs)
	shownAs.Topic, shownAs.QueueID = string(f.topic), max(f.queueID, 0)
	key := string(f.uniqKey)
	return &remoting.Call{Code: protocol.ReqCheckTransactionState, Ext: [][2]string{
		{"topic", topicHalf},
		{"tranStateTableOffset", strconv.FormatInt(p.QueueOffset, 10)},
		{"commitLogOffset", strconv.FormatInt(p.LogOffset, 10)},
		{"msgId", key}, {"transactionId", key},
		{"offsetMsgId", string(message.AppendOffsetIDOf(nil, cfg.idHost, p.LogOffset))},
		{"bname", cfg.Name},
	}, Body: shownAs.AppendRecord(nil, false)}
}

// advance moves the positions behind all that has ended, and forgets what lies before them.
func (c *checker) advance() {
	c.mu.Lock()
	end := c.scanned
	base := c.base
	for base < end && c.states.get(base).isFinished() {
		base++
	}
	c.mu.Unlock()
	opBase := c.opBase
	_, _ = c.readOps(opBase, func(m *message.Message) bool { // what cannot be read now is next time
		for offset := range opOffsets(m) {
			if offset >= base {
				return false
			}
		}
		opBase = m.QueueOffset + 1
		return true
	})
	c.mu.Lock()
	c.base, c.opBase = base, opBase
	c.states.dropBefore(base)
	for root, at := range c.current {
		if at < base {
			delete(c.current, root)
		}
	}
	for root, done := range c.late {
		if done { // the log tells of it by now
			delete(c.late, root)
		}
	}
	c.mu.Unlock()
	c.save(base, opBase)
}

// save keeps the positions, first that of the half messages: op messages too many do no harm.
func (c *checker) save(base, opBase int64) {
	if base != c.positions[0] && (base > 0 || c.positions[0] >= 0) {
		c.b.offsets.commitText(transGroup, topicHalf, 0, base)
		c.positions[0] = base
	}
	if opBase != c.positions[1] && (opBase > 0 || c.positions[1] >= 0) {
		c.b.offsets.commitText(transGroup, topicOp, 0, opBase)
		c.positions[1] = opBase
	}
}
