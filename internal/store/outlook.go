package store

import (
	"context"
	"fmt"
	"math"

	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// Outlook is what the next Open will do before it serves.
type Outlook struct {
	Clean        bool
	From         int64 // log offset from which on the log is read
	FilesEnd     int64 // behind the last file of the log
	LikelyEnd    int64 // where data end in the last file, as the file system tells
	Checkpoint   bool  // there is one
	OwnLast      bool  // it is Liftoff's
	LogFiles     int
	WrongFiles   []string      // that Open refuses, and why; with any, nothing else is told but Sizes
	Sizes        []SizeSetting // that do not fit, when there are wrong files
	QueueCount   int
	IndexFiles   int
	QueuesBehind bool // they are made anew from the log
	IndexAgain   bool // index files are made again, as far as recovery reads
	OldestStart  int64
}

// Outlook says what Open with this configuration would do. It reads next to nothing.
func (o *Offline) Outlook(ctx context.Context) (Outlook, error) {
	out := Outlook{Clean: o.clean, FilesEnd: o.logFilesEnd(), OldestStart: o.LogStart()}
	for _, odd := range o.oddLog {
		if odd.Size > 0 || odd.Start < out.FilesEnd {
			out.WrongFiles = append(out.WrongFiles, fmt.Sprintf("%s is %d bytes long, mappedFileSizeCommitLog is %d", o.name(odd.Path), odd.Size, o.cfg.CommitLogFileSize))
		}
	}
	for i, run := range o.runs {
		out.LogFiles += run.Len()
		if i > 0 {
			out.WrongFiles = append(out.WrongFiles, fmt.Sprintf("the log goes from %d to %d and goes on at %d only", o.runs[i-1].Start(), o.runs[i-1].End(), run.Start()))
		}
	}
	s := o.view(nil)
	if len(o.runs) > 0 {
		s.log.files = o.runs[len(o.runs)-1]
		out.LikelyEnd = dataEnd(s.log.files)
	} else {
		s.log.files = logfile.NewLog(o.cfg.FS, o.handles, o.cfg.CommitLogFileSize)
	}
	if err := o.outlookQueues(ctx, s, &out); err != nil {
		return out, err
	}
	if err := o.outlookIndex(&out); err != nil {
		return out, err
	}
	if len(out.WrongFiles) > 0 {
		var err error
		if out.Sizes, err = o.Sizes(); err != nil {
			return out, err
		}
	}
	cp, err := readCheckpoint(o.cfg.FS, s.checkpointPath())
	out.Checkpoint, out.OwnLast = err != nil || cp != checkpoint{}, cp.ours
	if err != nil {
		cp = checkpoint{}
	}
	s.checkpoint = cp
	out.IndexAgain = !o.clean && !cp.ours && out.IndexFiles > 0
	if out.IndexAgain { // recovery reads what it may lack; which part that is shows only when its files are opened
		s.index = &index{}
	}
	if err := s.checkLogIsThere(); err != nil && len(out.WrongFiles) == 0 {
		out.WrongFiles = append(out.WrongFiles, err.Error())
	}
	out.QueuesBehind = s.queuesAreBehind(o.clean) && s.log.files.Len() > 0
	if s.log.files.Len() > 0 {
		if out.From, _, err = s.recoverFrom(o.clean); err != nil {
			return out, err
		}
	}
	return out, nil
}

// dataEnd is where what was ever written to the last file ends, to some MiB.
func dataEnd(files *logfile.Log) int64 {
	start := files.End() - files.FileSize()
	lo, hi := start, files.End()
	const step = 1 << 20
	for hi-lo > step { // data are one piece, at the begin
		mid := lo + (hi-lo)/2
		next, err := files.NextData(mid)
		if err != nil || next < files.End() {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// outlookQueues finds queues and how far they reach, from which recovery may begin.
func (o *Offline) outlookQueues(ctx context.Context, s *Store, out *Outlook) error {
	refused := func(odd []logfile.FileInfo, setting string, size int64) {
		for i, f := range odd {
			if f.Size == 0 && i == len(odd)-1 {
				continue
			}
			if len(out.WrongFiles) < 20 {
				out.WrongFiles = append(out.WrongFiles, fmt.Sprintf("%s is %d bytes long, %s is %d", o.name(f.Path), f.Size, setting, size))
			}
		}
	}
	each := func(dir string, batch bool, size int64, setting string) error {
		found := func(topic string) {
			if batch {
				s.queues.batch[topic] = true
			}
		}
		return s.eachQueueDir(dir, found, func(q *Queue) error {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			out.QueueCount++
			sub := queueDir(dir, q.topic, q.id)
			runs, odd, err := logfile.Runs(o.cfg.FS, o.handles, size, sub)
			if err != nil {
				return err
			}
			refused(odd, setting, size)
			switch {
			case len(runs) == 0 || len(odd) > 0:
			case batch:
				return q.batch.load()
			default:
				_, reached, err := q.units.findEnd(runs[len(runs)-1], math.MaxInt64, nil)
				if err != nil {
					return err
				}
				q.units.reached.Store(reached)
			}
			return nil
		})
	}
	if err := each(s.batchQueueDir(), true, o.cfg.BatchConsumeQueueFileSize, "mapperFileSizeBatchConsumeQueue"); err != nil {
		return err
	}
	if err := each(s.consumeQueueDir(), false, o.cfg.ConsumeQueueFileSize, "mappedFileSizeConsumeQueue"); err != nil {
		return err
	}
	if !o.cfg.ConsumeQueueExt {
		return nil
	}
	dirs, err := queueDirs(o.cfg.FS, s.queueExtDir())
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		_, odd, err := logfile.Runs(o.cfg.FS, o.handles, o.cfg.ConsumeQueueExtFileSize, dir)
		if err != nil {
			return err
		}
		refused(odd, "mappedFileSizeConsumeQueueExt", o.cfg.ConsumeQueueExtFileSize)
	}
	return nil
}

func (o *Offline) outlookIndex(out *Outlook) error {
	dir := o.cfg.indexDir()
	entries, err := o.cfg.FS.List(dir)
	if err != nil {
		return fmt.Errorf("cannot list index %q: %w", dir, err)
	}
	shape := o.cfg.indexShape()
	for _, e := range entries {
		if e.Dir || !isIndexName(e.Name) {
			continue
		}
		out.IndexFiles++
		if e.Size != 0 && e.Size != shape.size() && o.cfg.MessageIndexEnable {
			out.WrongFiles = append(out.WrongFiles, fmt.Sprintf("index/%s is %d bytes long, maxHashSlotNum %d and maxIndexNum %d make %d", e.Name, e.Size, shape.slots, shape.entries, shape.size()))
		}
	}
	return nil
}
