package broker

import (
	"errors"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store"
)

// halves is what is known of the half messages: which of them are undecided, and what the others came to.
//
// A half message waits in queue 0 of RMQ_SYS_TRANS_HALF_TOPIC. When its transaction ends, an op message in queue 0 of
// RMQ_SYS_TRANS_OP_HALF_TOPIC says so: tag d, and as its body the half message's queue offset. RocketMQ 5 puts many into one, each with a comma
// behind it ("17,18,"), and reads both.
// A half message whose producers were asked is stored again at the end of its queue, with TRANSACTION_CHECK_TIMES, and that copy stands
// for it from then on. So the undecided ones are always among the newest, and two positions say where reading must begin after a start:
// base, before which no half message is undecided, and the first op message that tells of one behind base. They are the consumer
// offsets of CID_RMQ_SYS_TRANS, as in Apache, and may lie too far back.
//
// The states of the half messages from base on, a byte each, are in memory; a new half message costs nothing there, for 0 is undecided.
// The first copy of a transaction, its root, is what tells it from others: TRAN_PREPARED_QUEUE_OFFSET of every later copy. That is
// how the end of a transaction finds the copy that stands for it, and why a decision counts once whatever copy it names. What
// memory does not tell (a decision before base, or before the last start) is in the log: the committed message, by its unique key.
type halves struct {
	b   *Broker
	q   *store.Queue // of half messages
	ops *store.Queue

	mu      sync.Mutex      // protects the fields below
	settled sync.Cond       // a half message is not being moved any more
	base    int64           // half messages before it are not undecided
	opBase  int64           // op messages before it are about those only
	opsRead int64           // op messages before it have been read
	opsEnd  int64           // and those before it are to be, before half messages are looked at
	loaded  time.Time       // when that began
	states  halfWindow      // from base on
	current map[int64]int64 // the copy that stands for a root, where that is another
	open    []openHalf      // the undecided ones before scanned; some may have ended since
	scanned int64           // half messages before it have been looked at
	fresh   int64           // half messages from it on have come since the start
	late    map[int64]bool  // roots that memory knows nothing more of and that are being committed; true when it was stored
}

// openHalf is a half message of which nobody has told what became of it.
type openHalf struct {
	offset int64
	root   int64
	due    int64 // from when on its producers may be asked, ms as halves.clock has them
}

// halfState is what is known of one half message.
type halfState uint8

const (
	halfOpen        halfState = iota // undecided, or not stored yet
	halfCommitting                   // the decision is being stored
	halfRollingBack                  // the same
	halfMoving                       // a copy is being stored
	halfCommitted
	halfRolledBack
	halfEnded   // by an op message from before the start: committed, rolled back or given up
	halfMoved   // a copy stands for it
	halfGivenUp // it is in TRANS_CHECK_MAX_TIME_TOPIC, and may be decided still
	halfGone    // its record cannot be read any more

	halfStates = 0x0f
	halfListed = 0x10 // it is in open
	halfLooked = 0x20 // the log was searched for its committed message
)

// isFinished says whether nothing needs to be remembered of it.
func (s halfState) isFinished() bool { return s&halfStates > halfMoving }

// openMax is how many undecided half messages are remembered one by one. Those behind are read when there is room.
const openMax = 1 << 20

// transGroup is the group whose consumer offsets are the positions in both queues.
const transGroup = sysGroups + "TRANS"

// unreadPatience is how long the checks wait for an op message that cannot be read: no longer than a bad sector is worth.
const unreadPatience = 10 * time.Minute

// openHalves finds the undecided half messages.
func openHalves(b *Broker) *halves {
	h := &halves{b: b, q: b.store.Queue(topicHalf, 0), ops: b.store.Queue(topicOp, 0)}
	h.settled.L = &h.mu
	h.load()
	return h
}

// load reads what the op messages tell and then the half messages that are left.
func (h *halves) load() {
	h.b.halfCounts.begin()
	h.mu.Lock()
	h.base = h.position(h.q)
	h.opBase = h.position(h.ops)
	h.states = halfWindow{}
	h.current, h.late = map[int64]int64{}, map[int64]bool{}
	h.open, h.scanned, h.fresh = nil, h.base, h.q.MaxOffset()
	h.opsRead, h.opsEnd, h.loaded = h.opBase, h.ops.MaxOffset(), time.Now()
	h.mu.Unlock()
	_ = h.scan() // goes on with the first look
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.open); n > 0 {
		h.b.log.Info("transactions are undecided", "half_messages", n, "from", h.base, "to", h.fresh)
	}
}

// position is where to begin in one of the two queues.
func (h *halves) position(q *store.Queue) int64 {
	at := h.b.offsets.query(transGroup, q.Topic(), 0)
	return min(max(at, q.MinOffset()), q.MaxOffset())
}

// readEnded learns what had ended when load was called. Whose end cannot be read now must not be taken to be undecided.
func (h *halves) readEnded() (err error) {
	h.mu.Lock()
	from, end, loaded := h.opsRead, h.opsEnd, h.loaded
	h.mu.Unlock()
	if from >= end {
		return nil
	}
	for {
		from, err = h.readOps(from, func(m *message.Message) bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			for offset := range opOffsets(m) {
				if offset >= h.base && offset < h.fresh {
					h.states.set(offset, halfEnded)
				}
			}
			return m.QueueOffset+1 < end
		})
		if err == nil || time.Since(loaded) < unreadPatience {
			break
		}
		h.b.log.Error("an op message cannot be read: the transactions that it ended may be checked again", "queue_offset", from, "err", err)
		from++
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.opsRead = from; err == nil {
		h.opsRead = h.opsEnd
	}
	return err
}

// isUnread says whether an op message that has not been read yet may tell that a half message has ended. mu is held.
func (h *halves) isUnread(offset int64) bool { return h.opsRead < h.opsEnd && offset < h.fresh }

// readOps gives op messages to a function until it returns false. It returns where to go on when one cannot be read.
func (h *halves) readOps(from int64, each func(*message.Message) bool) (next int64, err error) {
	var m message.Message
	var buf []byte
	for from < h.ops.MaxOffset() {
		records, res := h.b.readOn(h.ops, from, 32, 1<<20, buf[:0])
		buf = records
		for len(records) > 0 {
			if err := message.Decode(records, &m); err != nil {
				h.b.log.Error("cannot read op message of a transaction", "queue_offset", from, "err", err)
				break
			}
			records = records[m.Size:]
			if !each(&m) {
				return m.QueueOffset + 1, nil
			}
		}
		if res.Err != nil || res.NextOffset <= from {
			return max(res.NextOffset, from), res.Err
		}
		from = res.NextOffset
	}
	return from, nil
}

// opOffsets are the half messages that an op message tells of.
func opOffsets(m *message.Message) func(yield func(int64) bool) {
	return func(yield func(int64) bool) {
		if tag, _ := message.Property(m.Properties, message.PropTags); string(tag) != opTag {
			return
		}
		for rest := m.Body; len(rest) > 0; {
			n, digits := int64(0), 0
			for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
				if digits < 18 {
					n = n*10 + int64(rest[digits]-'0')
				}
				digits++
			}
			if digits > 0 && digits <= 18 && (digits == len(rest) || rest[digits] == ',') && !yield(n) {
				return
			}
			for digits < len(rest) && rest[digits] != ',' {
				digits++
			}
			rest = rest[min(digits+1, len(rest)):]
		}
	}
}

// opTag is the tag of an op message. Part of the format.
const opTag = "d"

// scan looks at the half messages that have come since it was last called, and lists those that are undecided. It stops before one
// that cannot be read now.
func (h *halves) scan() error {
	var m message.Message
	var buf []byte
	if err := h.readEnded(); err != nil {
		return err
	}
	for {
		from, n := h.nextRun()
		if n == 0 {
			return nil
		}
		records, res := h.b.readOn(h.q, from, n, 1<<20, buf[:0])
		buf = records
		next := from
		for len(records) > 0 {
			if err := message.Decode(records, &m); err != nil {
				h.b.log.Error("cannot read half message", "queue_offset", next, "err", err)
				break
			}
			records = records[m.Size:]
			h.gone(next, m.QueueOffset)
			survived(h.b.log, "half message is passed over", func() { h.list(&m) }, "queue_offset", m.QueueOffset)
			next = m.QueueOffset + 1
		}
		behind := max(res.NextOffset, next, from+1)
		if res.Err != nil {
			behind = max(res.NextOffset, next)
		}
		h.gone(next, behind)
		h.mu.Lock()
		h.scanned = max(h.scanned, behind)
		h.mu.Unlock()
		if res.Err != nil {
			return res.Err
		}
	}
}

// nextRun returns the next half messages to be looked at, at most as many as are read at once.
func (h *halves) nextRun() (from int64, n int) {
	end := h.q.MaxOffset()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.open) >= openMax {
		return 0, 0
	}
	wanted := func(at int64) bool {
		s := h.states.get(at)
		return s&halfListed == 0 && !s.isFinished()
	}
	for h.scanned < end && !wanted(h.scanned) {
		h.scanned++
	}
	for n < 32 && h.scanned+int64(n) < end && wanted(h.scanned+int64(n)) {
		n++
	}
	return h.scanned, n
}

// gone notes that the half messages of [from, to) cannot be read, because their file was deleted.
func (h *halves) gone(from, to int64) {
	if from >= to {
		return
	}
	h.b.log.Warn("half messages cannot be read any more", "from", from, "to", to)
	h.mu.Lock()
	defer h.mu.Unlock()
	for ; from < to; from++ {
		if s := h.states.get(from); !s.isFinished() {
			h.states.set(from, halfGone)
		}
	}
	h.settled.Broadcast()
}

// clock is the time in ms since the broker's start, by a clock that nobody sets.
func (h *halves) clock(t time.Time) int64 { return t.Sub(h.b.started).Milliseconds() }

// list remembers an undecided half message.
func (h *halves) list(m *message.Message) {
	f := inspectHalf(m)
	now := time.Now()
	due := h.clock(now) + f.wait(h.b.settings.Load(), m, now.UnixMilli())
	h.mu.Lock()
	s := h.states.get(m.QueueOffset)
	if s&halfListed != 0 || s.isFinished() {
		h.mu.Unlock()
		return
	}
	h.states.set(m.QueueOffset, s|halfListed)
	h.open = append(h.open, openHalf{m.QueueOffset, f.root, due})
	superseded := false
	if f.root != m.QueueOffset {
		superseded = h.supersede(f.root, m.QueueOffset)
	}
	isOld := m.QueueOffset < h.fresh
	h.mu.Unlock()
	if isOld && !superseded {
		h.b.halfCounts.found(string(f.topic))
	}
}

// supersede makes a copy stand for its transaction, and says whether another undecided one has until now. mu is held.
func (h *halves) supersede(root, copied int64) bool {
	before, moved := h.current[root]
	if !moved {
		before = root
	}
	h.current[root] = copied
	if before < h.base || before == copied {
		return false
	}
	if s := h.states.get(before); !s.isFinished() {
		h.states.set(before, halfMoved)
		return s&halfListed != 0
	}
	return false
}

// A claim is the right to end a transaction.
type claim struct {
	root   int64
	at     int64     // the copy that stands for it; before base when late
	before halfState // what it goes back to when the decision could not be stored
	late   bool
}

// What can be said to who wants to end a transaction.
var (
	errEndedAlike    = errors.New("it was ended in that way before")
	errEndedUnalike  = errors.New("the transaction was ended in the other way before, and the first decision counts")
	errEndingNow     = errors.New("the transaction is being ended by another request now")
	errEndUnread     = errors.New("whether the transaction was ended cannot be read from the disk now; the broker's log says why, try again")
	errEndedLong     = errors.New("the transaction was ended before")                  // which way is in the log
	errEndedNotKnown = errors.New("it is not known whether the transaction was ended") // the same
)

// claim takes the right to end a transaction of which offset is one copy. With errEndedNotKnown the right is taken, but the log must be
// searched before it is used; with any other error it is not.
func (h *halves) claim(offset, root int64, commit bool) (claim, error) {
	next, other, done := halfRollingBack, halfCommitting, halfRolledBack
	if commit {
		next, other, done = halfCommitting, halfRollingBack, halfCommitted
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		c := claim{root: root, at: offset}
		if at, ok := h.current[root]; ok {
			c.at = at
		}
		if c.at < h.base {
			c.late = true
			return c, h.claimedLate(root, commit)
		}
		if h.isUnread(c.at) {
			return c, errEndUnread
		}
		s := h.states.get(c.at)
		c.before = s
		switch s & halfStates {
		case halfMoving:
			h.settled.Wait() // for one write of the log
			continue
		case halfOpen, halfGivenUp:
			h.states.set(c.at, s&^halfStates|next)
			if s&halfStates == halfOpen && s&halfLooked == 0 && c.at < h.fresh {
				return c, errEndedNotKnown
			}
			return c, nil
		case done:
			return c, errEndedAlike
		case next, other:
			return c, errEndingNow
		case halfCommitted, halfRolledBack:
			return c, errEndedUnalike
		}
		c.late = true
		return c, h.claimedLate(root, commit)
	}
}

// claimedLate says what is known of a transaction that memory knows nothing more of. mu is held.
func (h *halves) claimedLate(root int64, commit bool) error {
	switch stored, committing := h.late[root]; {
	case !committing:
		return errEndedLong
	case !stored:
		return errEndingNow
	case commit:
		return errEndedAlike
	}
	return errEndedUnalike
}

// claimLate takes the right to commit what memory knows nothing of, and says whether nobody else has it.
func (h *halves) claimLate(root int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, busy := h.late[root]; busy {
		return false
	}
	h.late[root] = false
	return true
}

// settle notes what came of a claim.
func (h *halves) settle(c claim, to halfState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case c.late && to == halfOpen:
		delete(h.late, c.root)
	case c.late:
		h.late[c.root] = true
	case to == halfOpen:
		h.states.set(c.at, c.before|halfLooked)
	default:
		h.states.set(c.at, to)
	}
}

// findCommitted says whether the log has the message that committed a transaction.
func (h *halves) findCommitted(f *halfFacts) bool {
	if len(f.uniqKey) == 0 {
		return false
	}
	topics := []string{string(f.topic)}
	if f.delayed {
		topics = append(topics, topicSchedule, topicTimer)
	}
	for _, topic := range topics {
		found := h.find(topic, f, func(m *message.Message) bool {
			if m.SysFlag&message.FlagTransaction != message.FlagTransactionCommit {
				return false
			}
			var half message.Message
			rec, err := h.b.store.MessageAt(m.PreparedTransactionOffset)
			if f.root < 0 || err != nil || message.Decode(rec, &half) != nil || half.Topic != topicHalf {
				return true // its half message is gone, the key is all there is
			}
			of := inspectHalf(&half)
			return of.root == f.root
		})
		if found {
			return true
		}
	}
	return false
}

// findGivenUp says whether a half message was put aside after the last check.
func (h *halves) findGivenUp(f *halfFacts) bool {
	return len(f.uniqKey) > 0 && h.find(topicCheckMax, f, func(*message.Message) bool { return true })
}

// find says whether one of the messages with a half message's unique key is as wanted.
func (h *halves) find(topic string, f *halfFacts, wanted func(*message.Message) bool) bool {
	res, err := h.b.store.Query(store.KeyQuery{Topic: topic, Key: string(f.uniqKey), Kind: store.UniqueKey, End: 1<<63 - 1, Max: queryUniqueMax})
	if err != nil {
		h.b.log.Error("cannot search for what became of a transaction", "topic", topic, "err", err)
		return false
	}
	var m message.Message
	for rest := res.Records; len(rest) > 0 && message.Decode(rest, &m) == nil; rest = rest[m.Size:] {
		if wanted(&m) {
			return true
		}
	}
	return false
}
