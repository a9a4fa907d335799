package store

import (
	"bytes"
	"iter"
	"strconv"

	"github.com/liftoffmq/liftoff/internal/message"
)

// Light queues (LMQ). A message may be found in more queues than its own: those of the topics %LMQ%..., each with the one queue 0,
// that its property INNER_MULTI_DISPATCH names, separated by commas. It lies in the log once. The offsets that it has in them are in
// INNER_MULTI_QUEUE_OFFSET, in the order of the names, with nothing for a name that is no light queue's. They are given under the
// append lock like its own; the dispatcher reads them out of the record. Names and format are part of the format; do not change.

// LightPrefix begins the names of light queues' topics.
const LightPrefix = "%LMQ%"

// LitePrefix begins the names of those light queues that are lite topics: %LMQ%$parent$lite. Part of the format.
const LitePrefix = LightPrefix + "$"

// IsLight says whether a topic or a group is one of light queues.
func IsLight[T ~string | ~[]byte](name T) bool {
	return hasPrefix(name, LightPrefix)
}

// AllowsLight says whether a topic's messages can be in light queues too. A half message cannot before it is committed.
func AllowsLight[T ~string | ~[]byte](topic T) bool {
	for _, prefix := range [...]string{LightPrefix, "%RETRY%", "%DLQ%", "rmq_sys_", "RMQ_SYS_TRANS_"} {
		if hasPrefix(topic, prefix) {
			return false
		}
	}
	return string(topic) != scheduleTopic && string(topic) != checkMaxTopic
}

func hasPrefix[T ~string | ~[]byte](s T, prefix string) bool {
	return len(s) >= len(prefix) && string(s[:len(prefix)]) == prefix
}

// offsetDigits is the most that an offset in a queue takes.
const offsetDigits = 19

// makeRoom leaves room behind a message's properties for its offsets in light queues, which are known under the append lock only.
// Such a message is answered when its master has it, so WAIT goes.
func (p *Put) makeRoom() {
	props := message.DeleteProperty(message.DeleteProperty(p.Properties, message.PropMultiQueueOffset), message.PropWait)
	room := make([]byte, 0, len(props)+len(message.PropMultiQueueOffset)+3+len(p.Light)*(offsetDigits+1))
	room = message.AppendProperty(append(room, props...), message.PropMultiQueueOffset, "")
	p.lightAt = len(room) - 1 // behind the name
	p.Properties = room[:cap(room)]
}

// placeLight gives the message its offsets in light queues. The caller holds the append lock.
func (s *Store) placeLight(p *Put) {
	l := &s.log
	b := p.Properties[:p.lightAt]
	for i, q := range p.Light {
		if i > 0 {
			b = append(b, ',')
		}
		if q == nil {
			continue
		}
		if q.loose {
			s.tie(q)
		}
		if q.placed != l.appended+1 { // else it is named twice
			q.placed = l.appended + 1
			q.next++
			if !q.counted {
				q.counted = true
				l.lights++
			}
		}
		b = strconv.AppendInt(b, q.next-1, 10)
	}
	p.Properties = append(b, 2)
	p.Size = int32(p.RecordSize(p.crc))
}

// WatchLite adds to the number of those who want Hooks.Arrived to be called for every lite topic.
func (s *Store) WatchLite(delta int32) { s.queues.liteWatchers.Add(delta) }

// LiteQueues returns the queues of a parent topic's lite topics that have had messages, in no order; with "" those of all.
func (s *Store) LiteQueues(parent string) (queues []*Queue) {
	prefix := LitePrefix
	if parent != "" {
		prefix += parent + "$"
	}
	t := &s.queues
	t.mu.RLock()
	defer t.mu.RUnlock()
	for topic, byID := range t.topics {
		if q := byID[0]; q != nil && hasPrefix(topic, prefix) && q.MaxOffset() > 0 {
			queues = append(queues, q)
		}
	}
	return queues
}

// LightQueues is how many light queues have messages.
func (s *Store) LightQueues() int {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.lights
}

// inLight says whether a message is in light queues.
func inLight(m *message.Dispatch) bool {
	return m.MultiDispatch != nil && m.MultiOffset != nil && AllowsLight(m.Topic)
}

// lightOffsets are the light queues that a message names, and its offsets in them.
func lightOffsets(m *message.Dispatch) iter.Seq2[[]byte, int64] {
	return func(yield func([]byte, int64) bool) {
		names, offsets := m.MultiDispatch, m.MultiOffset
		for more := true; more; {
			var name, offset []byte
			name, names, more = bytes.Cut(names, []byte{','})
			offset, offsets, _ = bytes.Cut(offsets, []byte{','})
			at, err := strconv.ParseInt(string(offset), 10, 64)
			if err != nil || at < 0 || !IsLight(name) || !IsQueueName(string(name)) {
				continue
			}
			if !yield(name, at) {
				return
			}
		}
	}
}

// dispatchLight puts a message's place into its light queues. The caller holds dispatcher.mu.
func (s *Store) dispatchLight(m *message.Dispatch, tagsCode int64) error {
	for name, at := range lightOffsets(m) {
		q := s.queues.findBytes(name, 0)
		if q == nil {
			q = s.addQueue(string(name), 0)
		}
		if q.refused != nil || m.LogOffset < q.emptiedAt {
			continue
		}
		if err := s.enqueue(q, m, at, tagsCode); err != nil {
			return err
		}
	}
	return nil
}
