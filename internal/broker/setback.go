package broker

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"time"
)

// An offset that goes back is logged with who set it, from where and to where. Of a group in a topic the first is logged at once; those
// that follow within warnBackEvery, as when a client rewinds all its queues, are kept and logged together, with the next one or
// before the file of offsets is written.
const (
	warnBackEvery = 10 * time.Second
	setbacksMax   = 256 // queues that one line names
)

// setbacks are a group's offsets in a topic that were set back and are not logged yet. Protected by groupOffsets.mu.
type setbacks struct {
	group, topic string
	warned       time.Time // when one was last logged
	byQueue      map[int32]*setback
	more         int // commits for queues beyond setbacksMax
}

type setback struct {
	from, to int64 // before the first and behind the last
	times    int
	addr     net.Addr // of who did it last
}

// backLocked notes that an offset goes back, and says whether that is to be logged now. of.mu is held.
func (o *offsets) backLocked(of *groupOffsets, group, topic []byte, queue int32, from, to int64, by committer) (now bool) {
	b := &of.backs
	if time.Since(b.warned) >= warnBackEvery {
		b.warned = time.Now()
		return true
	}
	if b.byQueue == nil {
		b.group, b.topic, b.byQueue = string(group), string(topic), map[int32]*setback{}
		o.backMu.Lock()
		o.back = append(o.back, of)
		o.backMu.Unlock()
	}
	s := b.byQueue[queue]
	if s == nil {
		if len(b.byQueue) == setbacksMax {
			b.more++
			return false
		}
		s = &setback{from: from}
		b.byQueue[queue] = s
	}
	s.to, s.addr = to, by.RemoteAddr()
	s.times++
	return false
}

// sayBacks logs what was set back and is not logged yet.
func (o *offsets) sayBacks() {
	o.backMu.Lock()
	list := o.back
	o.back = nil
	o.backMu.Unlock()
	for _, of := range list {
		of.mu.Lock()
		b := of.backs
		of.backs = setbacks{warned: time.Now()}
		of.mu.Unlock()
		queues := make([]string, 0, len(b.byQueue))
		for _, id := range slices.Sorted(maps.Keys(b.byQueue)) {
			s := b.byQueue[id]
			queues = append(queues, fmt.Sprintf("queue_id=%d from=%d to=%d times=%d addr=%v", id, s.from, s.to, s.times, s.addr))
		}
		o.log.Warn("consumer offsets were set back by commits, too", "group", b.group, "topic", b.topic, "queues", queues, "more_unnamed", b.more)
	}
}

// changesOf names the queues whose offsets differ, -1 for none, and says how many more do.
func changesOf(old, now map[int32]int64) (queues []string, more int) {
	all := maps.Clone(now)
	for id := range old {
		if _, ok := now[id]; !ok {
			all[id] = -1
		}
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		from, known := old[id]
		if !known {
			from = -1
		}
		switch {
		case from == all[id]:
		case len(queues) == setbacksMax:
			more++
		default:
			queues = append(queues, fmt.Sprintf("queue_id=%d from=%d to=%d", id, from, all[id]))
		}
	}
	return queues, more
}
