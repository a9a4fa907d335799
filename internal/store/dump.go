package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// ErrStop is what a function returns that wants no more of what it is called for.
var ErrStop = errors.New("stop")

// Records calls got for each good record of the log from an offset on, and bad, if given, for what lies between them. A record is only
// good until got returns. Either may return ErrStop.
func (o *Offline) Records(ctx context.Context, from int64, got func(rec []byte, m *message.Dispatch) error, bad func(Stretch) error) error {
	err := o.scanLog(ctx, from, logVisit{record: got, bad: func(s Stretch) error {
		if bad == nil || s.Tail && s.Dirt == s.From {
			return nil
		}
		return bad(s)
	}})
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// QueueUnit is one unit of a queue.
type QueueUnit struct {
	Topic     string `json:"topic"`
	QueueID   int32  `json:"queueId"`
	Offset    int64  `json:"queueOffset"`     // of its first message
	Count     int64  `json:"count,omitempty"` // of messages; 0: a plain queue's one
	LogOffset int64  `json:"logOffset"`
	Size      int32  `json:"size"`
	TagsCode  int64  `json:"tagsCode"`
	Filler    bool   `json:"filler,omitempty"` // no message has this offset
}

// Units calls got for each unit of the queues of a topic, of all when it is empty, up to where a broker takes them to end. It may return
// ErrStop.
func (o *Offline) Units(ctx context.Context, topic string, got func(QueueUnit) error) error {
	s := o.view(nil)
	each := func(dir string, batch bool, size int64) error {
		return s.eachQueueDir(dir, nil, func(q *Queue) error {
			if topic != "" && q.topic != topic {
				return nil
			}
			v := &queueView{topic: q.topic, id: q.id, batch: batch, dir: queueDir(dir, q.topic, q.id)}
			runs, _, err := logfile.Runs(o.cfg.FS, o.handles, size, v.dir)
			if err != nil || len(runs) == 0 {
				return err
			}
			v.files = runs[len(runs)-1]
			return v.each(ctx, got)
		})
	}
	err := each(s.consumeQueueDir(), false, o.cfg.ConsumeQueueFileSize)
	if err == nil {
		err = each(s.batchQueueDir(), true, o.cfg.BatchConsumeQueueFileSize)
	}
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

func (v *queueView) each(ctx context.Context, got func(QueueUnit) error) error {
	perFile := v.files.FileSize() / v.unitSize()
	if perFile == 0 {
		return nil
	}
	chunk := make([]place, 512)
	behind := v.files.End() / v.files.FileSize() * perFile
	for n := v.files.Start() / v.files.FileSize() * perFile; n < behind; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		k, err := v.read(n, chunk)
		if err != nil {
			return fmt.Errorf("cannot read %q: %w", v.dir, err)
		}
		for _, p := range chunk[:k] {
			if !p.isGood {
				return nil
			}
			u := QueueUnit{Topic: v.topic, QueueID: v.id, Offset: p.base, LogOffset: p.logOffset, Size: p.size, TagsCode: p.tagsCode, Filler: p.filler()}
			if v.batch {
				u.Count = p.behind - p.base
			}
			if err := got(u); err != nil {
				return err
			}
		}
		n += int64(k)
	}
	return nil
}

// IndexItem is one entry of an index file.
type IndexItem struct {
	File      string `json:"file"`
	Number    int32  `json:"number"`
	Hash      int32  `json:"hash"` // of topic#key
	LogOffset int64  `json:"logOffset"`
	StoreTime int64  `json:"storeTime"` // ms, to the second
	Prev      int32  `json:"prev"`      // entry of the same slot before it, 0: none
}

// IndexEntries calls got for each entry of the index, oldest first. It may return ErrStop.
func (o *Offline) IndexEntries(ctx context.Context, got func(IndexItem) error) error {
	if !o.knowsShape {
		return errors.New("cannot tell how many slots index files have; give -c FILE, which has maxHashSlotNum and maxIndexNum")
	}
	c := o.newChecker(func(Finding) {})
	x := &c.index
	if err := x.open(c); err != nil {
		return err
	}
	defer x.close()
	for e, more := x.peek(c); more; e, more = x.peek(c) {
		f := x.files[x.at]
		item := IndexItem{File: filepath.Base(f.path), Number: x.n, Hash: e.hash, LogOffset: e.logOffset, StoreTime: f.head.beginTime + int64(e.seconds)*1000, Prev: e.prev}
		if x.n%4096 == 0 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
		}
		if err := got(item); errors.Is(err, ErrStop) {
			return nil
		} else if err != nil {
			return err
		}
		x.take(c, e)
	}
	return nil
}

// IndexHash is what index entries have of a topic and key.
func IndexHash(topic, key string) int32 {
	return indexHash(message.JavaHash(message.JavaHash(0, topic)*31+'#', key))
}

// CheckpointOf is what the file checkpoint says.
type CheckpointOf struct {
	LogTime      int64 `json:"physicMsgTimestamp"`
	QueueTime    int64 `json:"logicsMsgTimestamp"`
	IndexTime    int64 `json:"indexMsgTimestamp"`
	MasterOffset int64 `json:"masterFlushedOffset"`
	Confirmed    int64 `json:"confirmPhyOffset"`
	QueueOffset  int64 `json:"logicsPhyOffset"`
	Liftoff      bool  `json:"liftoff"` // written by Liftoff last
}

// Checkpoint reads the file checkpoint.
func (o *Offline) Checkpoint() (CheckpointOf, error) {
	c, err := readCheckpoint(o.cfg.FS, o.view(nil).checkpointPath())
	return CheckpointOf{c.physicTime, c.logicsTime, c.indexTime, c.masterFlushed, c.confirmed, c.logicsOffset, c.ours}, err
}
