package store

import (
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/metrics"
)

// Info is a look at the store.
type Info struct {
	LogStart   int64 // log offset of the oldest byte
	Appended   int64
	Written    int64
	Flushed    int64
	Dispatched int64

	WriteTime      int64 // store time of the newest written message, ms
	FlushTime      int64 // the same of the newest flushed one
	CheckpointTime int64 // and of queues and index
	OpenFiles      int
	FlushWaiters   int // messages whose senders wait until they are flushed

	Opening time.Duration      // how long opening and recovery took
	Fsync   *metrics.Histogram // of the commit log, in microseconds

	LogDiskRatio   float64 // part in use of the log's partition, the emptiest if there are several; -1 unknown
	QueueDiskRatio float64 // of the consume queues' partition

	PutMessages int64 // since the store was opened
	PutBytes    int64
	GetMessages int64
	GetBytes    int64
	GetFound    int64 // Gets that found something
	GetMissed   int64 // Gets that found nothing
}

// BehindBytes is how much is stored and not visible to consumers yet.
func (i Info) BehindBytes() int64 { return i.Appended - i.Dispatched }

// counters count what is read; what is put is counted under the append lock.
type counters struct {
	getMessages atomic.Int64
	getBytes    atomic.Int64
	getFound    atomic.Int64
	getMissed   atomic.Int64
}

func (c *counters) got(r *GetResult) {
	if r.Status != Found {
		c.getMissed.Add(1)
		return
	}
	c.getFound.Add(1)
	c.getMessages.Add(int64(r.Count))
	c.getBytes.Add(int64(r.Bytes))
}

// Stats looks at the store.
func (s *Store) Stats() Info {
	l := &s.log
	log, queues := s.diskRatios()
	info := Info{
		LogStart:       l.files.Start(),
		Written:        l.written.Load(),
		Flushed:        l.flushed.Load(),
		Dispatched:     s.dispatcher.dispatched.Load(),
		WriteTime:      l.writeTime.Load(),
		FlushTime:      l.flushTime.Load(),
		OpenFiles:      s.handles.Open() + s.logHandles.Open(),
		LogDiskRatio:   log.ratio,
		QueueDiskRatio: queues,
		GetMessages:    s.counters.getMessages.Load(),
		GetBytes:       s.counters.getBytes.Load(),
		GetFound:       s.counters.getFound.Load(),
		GetMissed:      s.counters.getMissed.Load(),
		Opening:        s.opening,
		Fsync:          s.fsync,
		CheckpointTime: s.checkpointTime.Load(),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for b := l.flushing.first; b != nil; b = b.next {
		info.FlushWaiters += len(b.Puts)
	}
	info.Appended, info.PutMessages, info.PutBytes = l.appended, l.putMessages, l.putBytes
	return info
}

// DispatchLag is how much older the newest message is that consumers can see than the newest one that is written.
func (s *Store) DispatchLag() time.Duration {
	written, newest := s.log.written.Load(), s.log.writeTime.Load()
	if s.dispatcher.dispatched.Load() >= written {
		return 0
	}
	s.dispatcher.mu.Lock()
	defer s.dispatcher.mu.Unlock()
	if s.dispatcher.newestTime == 0 || s.dispatcher.dispatched.Load() >= written {
		return 0
	}
	return time.Duration(max(newest-s.dispatcher.newestTime, 0)) * time.Millisecond
}
