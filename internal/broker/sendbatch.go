package broker

import (
	"errors"
	"sync"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// sent is what a send's answer needs once its messages are stored.
type sent struct {
	head     protocol.Head
	asked    remoting.Asked
	queueID  int32
	first, n int                             // its messages in the batch's Puts
	uniqKey  []byte                          // lies in the batch's arena
	item     *protocol.LogicQueueMappingItem // of a static topic's logical queue, which is queueID then
	inner    bool                            // it was a batch and is one record
	in       *topicCounts                    // of where it is stored
	kind     messageKind
	timer    bool // the message may be recalled
}

// sendBatch is the messages that one read of a connection brought and that wait for the same mark.
type sendBatch struct {
	store.Batch
	b     *Broker
	conn  *remoting.Conn
	sends []sent
	arena []byte // properties as they are stored
	ids   []byte // for the answer that is being written
}

var sendBatches = sync.Pool{New: func() any { return new(sendBatch) }}

// batch returns the batch that a message with this level belongs to. A change of level puts the messages before it, so that
// the connection's order stays.
func (ss *session) batch(b *Broker, conn *remoting.Conn, wait store.Level) *sendBatch {
	if ss.sends != nil && ss.sends.Wait != wait {
		ss.put(b)
	}
	if ss.sends == nil {
		sb := sendBatches.Get().(*sendBatch)
		if sb.Done == nil {
			sb.Done = sb.done
		}
		sb.b, sb.conn, sb.Wait = b, conn, wait
		ss.sends = sb
	}
	return ss.sends
}

// put hands the connection's batch to the store. Its bytes are copied before Add returns; its answers come with done.
func (ss *session) put(b *Broker) {
	sb := ss.sends
	ss.sends = nil
	b.store.Add(&sb.Batch)
}

// add appends one message with all but its body and properties.
func (sb *sendBatch) add(t *topic, h *sendHeader, ss *session) *store.Put {
	if len(sb.Puts) < cap(sb.Puts) {
		sb.Puts = sb.Puts[:len(sb.Puts)+1]
	} else {
		sb.Puts = append(sb.Puts, store.Put{})
	}
	p := &sb.Puts[len(sb.Puts)-1]
	p.Queue = t.queue(h.queueID)
	p.Flag, p.SysFlag, p.ReconsumeTimes = h.flag, h.sysFlag|t.sysFlag, h.reconsumeTimes
	p.BornTimestamp, p.BornHost = h.bornTimestamp, ss.peer
	p.PreparedTransactionOffset, p.Err, p.Light, p.Inner = 0, nil, nil, 0
	return p
}

// properties are what a message is stored with: its own, a unique key if it has none, and the broker's.
func (sb *sendBatch) properties(cfg *settings, h *sendHeader, hasKey bool) (props, uniqKey []byte) {
	start := len(sb.arena)
	sb.arena = endProperties(append(sb.arena, h.properties...), start)
	if !hasKey {
		var room [64]byte
		sb.arena = message.AppendProperty(sb.arena, message.PropUniqKey, sb.b.uniqKeys.Append(room[:0], time.Now()))
	}
	sb.arena = append(sb.arena, cfg.properties...)
	props = sb.arena[start:len(sb.arena):len(sb.arena)]
	uniqKey, _ = message.Property(props, message.PropUniqKey)
	return props, uniqKey
}

// expect has a send be answered when its messages are stored, which are those from first on.
func (sb *sendBatch) expect(r *remoting.Request, h *sendHeader, t *topic, first int) *sent {
	sb.sends = append(sb.sends, sent{head: protocol.ResponseHead(&r.Header, 0, ""), asked: r.Asked(), queueID: h.toldID(), item: h.item,
		first: first, n: len(sb.Puts) - first, in: t.countsOf(sb.b.counts)})
	return &sb.sends[len(sb.sends)-1]
}

// drop takes messages away again, from one on.
func (sb *sendBatch) drop(first int) {
	clear(sb.Puts[first:])
	sb.Puts = sb.Puts[:first]
}

// done answers the sends of a batch, in one write.
func (sb *sendBatch) done(_ *store.Batch, err error) {
	b, cfg := sb.b, sb.b.settings.Load()
	out := sb.conn.Lock()
	for i := range sb.sends {
		s := &sb.sends[i]
		puts := sb.Puts[s.first : s.first+s.n]
		failure := err
		for j := range puts {
			if puts[j].Err != nil {
				failure = puts[j].Err
			}
			if failure != nil {
				b.uncountHalf(&puts[j], failure)
			}
		}
		if failure != nil {
			a := sendFailure(cfg, failure)
			s.head.Code, s.head.Remark = int32(a.Code), a.Remark
		}
		if !s.asked.Oneway {
			out = sb.appendSent(out, cfg, s, puts)
		}
	}
	sb.conn.Unlock(out)
	sb.took()
	sb.count(err)
	conn := sb.conn
	sb.release()
	conn.Flush()
}

// appendSent writes one send's answer.
func (sb *sendBatch) appendSent(out []byte, cfg *settings, s *sent, puts []store.Put) []byte {
	stored := s.head.Code == protocol.CodeSuccess || s.head.Code == protocol.CodeFlushDiskTimeout
	f := protocol.Begin(out, s.head)
	if stored {
		f.Int("queueId", int64(s.queueID))
		if len(s.uniqKey) > 0 {
			f.Bytes("transactionId", s.uniqKey)
			if s.inner {
				f.Bytes("batchUniqId", s.uniqKey)
			}
		}
		sb.ids = sb.ids[:0]
		for i := range puts {
			if i > 0 {
				sb.ids = append(sb.ids, ',')
			}
			sb.ids = message.AppendOffsetIDOf(sb.ids, cfg.idHost, puts[i].LogOffset)
		}
		f.Plain("msgId", sb.ids)
	}
	f.Str("TRACE_ON", cfg.traceOn)
	f.Str("MSG_REGION", cfg.RegionID)
	if stored && s.timer {
		if sb.ids = appendRecallHandle(sb.ids[:0], puts[0].Properties, cfg.Name); len(sb.ids) > 0 {
			f.Plain("recallHandle", sb.ids)
		}
	}
	if stored {
		offset := puts[0].QueueOffset
		if s.item != nil {
			offset = s.item.StaticWithin(offset)
		}
		f.Int("queueOffset", offset)
	}
	return f.End(0)
}

// took counts how long the sends took. Those that were answered alike, mostly all, are counted at once.
func (sb *sendBatch) took() {
	for i := 0; i < len(sb.sends); {
		first, n := &sb.sends[i], 1
		for i+n < len(sb.sends) && sb.sends[i+n].asked == first.asked && sb.sends[i+n].head.Code == first.head.Code {
			n++
		}
		sb.conn.Latencies.Took(first.asked, first.head.Code, int64(n))
		i += n
	}
}

// count counts what became of the sends. Those that follow each other into one queue are counted at once.
func (sb *sendBatch) count(err error) {
	b := sb.b
	if err != nil && !errors.Is(err, store.ErrFlushTimeout) {
		b.counters.putFailures.Add(int64(len(sb.Puts)))
		return
	}
	ms := int64(0)
	if len(sb.Puts) > 0 {
		ms = max(time.Now().UnixMilli()-sb.Puts[0].StoreTimestamp, 0)
	}
	var run *sent
	var messages, bytes, requests int64
	for i := range sb.sends {
		s := &sb.sends[i]
		n, size := sb.stored(s)
		if s.kind == kindDelay && n > 0 {
			b.counts.park(s.in, &sb.Puts[s.first])
		}
		if n == 0 {
			b.counters.putFailures.Add(int64(s.n))
			continue
		}
		if run != nil && (s.in != run.in || s.kind != run.kind || s.queueID != run.queueID) {
			b.counts.put(run.in, run.kind, messages, bytes, run.queueID, requests, requests*ms)
			messages, bytes, requests = 0, 0, 0
		}
		run, messages, bytes, requests = s, messages+n, bytes+size, requests+1
		s.in.sized(s.kind, size/n)
	}
	if run != nil {
		b.counts.put(run.in, run.kind, messages, bytes, run.queueID, requests, requests*ms)
	}
}

// stored is how many messages of a send are stored, and the size of their records.
func (sb *sendBatch) stored(s *sent) (messages, bytes int64) {
	for i := s.first; i < s.first+s.n; i++ {
		p := &sb.Puts[i]
		if p.Err != nil {
			return 0, 0
		}
		messages += int64(max(p.Inner, 1))
		bytes += int64(p.Size)
	}
	return messages, bytes
}

func (sb *sendBatch) release() {
	clear(sb.sends) // they hold slices of the arena
	for i := range sb.Puts {
		p := &sb.Puts[i]
		p.Body, p.Properties, p.Queue, p.Light = nil, nil, nil, nil
	}
	sb.Puts, sb.sends, sb.arena = sb.Puts[:0], sb.sends[:0], sb.arena[:0]
	sb.b, sb.conn = nil, nil
	if cap(sb.arena) <= 1<<20 && cap(sb.Puts) <= 4096 {
		sendBatches.Put(sb)
	}
}

// sendFailure maps what the store says to Apache's code, and tells the cause.
func sendFailure(cfg *settings, err error) *protocol.Error {
	switch {
	case errors.Is(err, store.ErrFlushTimeout) || errors.Is(err, store.ErrWriteTimeout):
		return &protocol.Error{Code: protocol.CodeFlushDiskTimeout, Remark: err.Error()}
	case errors.Is(err, store.ErrTooLarge):
		return illegal(cfg, err)
	case errors.Is(err, store.ErrInnerBatch):
		return &protocol.Error{Code: protocol.CodeMessageIllegal, Remark: "the message is illegal: " + err.Error()}
	case errors.Is(err, store.ErrTopic):
		return &protocol.Error{Code: protocol.CodeInvalidParameter, Remark: err.Error()}
	case errors.Is(err, store.ErrBusy):
		return protocol.Errorf(protocol.CodeSystemBusy, "[PC_SYNCHRONIZED]broker busy, start flow control for a while: %v", err)
	}
	return protocol.Errorf(protocol.CodeServiceNotAvailable, "service not available now: %v", err)
}
