package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/liftoffmq/liftoff/internal/message"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// plan is what Check has found that can be mended from the log.
type plan struct {
	extend  []logfile.FileInfo // the newest file of the log, when it is too short
	odd     []logfile.FileInfo // files of the log that nothing explains: what they have is not known, so nothing may be made anew or cut
	away    bool               // files of the log are missing: the same
	tail    *Stretch           // what is to be cut behind the last good record
	damaged bool               // there is damage that cannot be mended
	queues  []*queueView       // to be made anew
	behind  []*queueView       // to be completed
	index   bool               // to be made anew
	// The index lacks the newest messages, as after a kill. The next start completes it, for which checkpoint and abort must stay.
	indexBehind bool
	checkpoint  bool
}

func (p *plan) empty() bool {
	return len(p.extend) == 0 && len(p.odd) == 0 && !p.away && p.tail == nil && len(p.queues) == 0 && len(p.behind) == 0 && !p.index && !p.checkpoint
}

// leavesRest says whether the next start has something to do that a repair must not take from it.
func (p *plan) leavesRest() bool { return p.indexBehind && !p.index }

// Repair mends what the last Check has found and can be mended from the log, and tells each step. dry: it only tells. What it
// replaces it puts into the folder damaged. again says that the log has changed its files, so that a new Check is due, and then
// a new Repair.
func (o *Offline) Repair(ctx context.Context, dry bool, tell func(string), progress func(done, total int64)) (again bool, err error) {
	p := &o.plan
	if p.empty() {
		return false, nil
	}
	if len(p.odd) > 0 {
		tell(fmt.Sprintf("leaves log, queues and index as they are: what is to be done with %s must be known first, see log-file-size above", o.name(p.odd[0].Path)))
		return false, nil
	}
	if p.away {
		tell("leaves log, queues and index as they are: files of the log are missing, see log-file-missing above")
		return false, nil
	}
	r := repair{o: o, dry: dry, tell: tell, suffix: "." + o.cfg.now().Format("20060102150405")}
	for _, odd := range p.extend {
		if err := r.extend(odd); err != nil {
			return false, err
		}
	}
	if len(p.extend) > 0 {
		if !dry {
			*p = plan{}
			return true, o.load()
		}
		tell("would look again then, for the file may have more messages")
	}
	if p.tail != nil {
		if err := r.cutTail(*p.tail); err != nil {
			return false, err
		}
	}
	if err := r.derived(ctx, progress); err != nil {
		return false, err
	}
	if !dry {
		*p = plan{}
	}
	return false, nil
}

type repair struct {
	o      *Offline
	dry    bool
	tell   func(string)
	suffix string // of names in damaged/
}

// does tells a step and says whether to take it.
func (r *repair) does(did, would string) bool {
	if r.dry {
		r.tell("would " + would)
	} else {
		r.tell(did)
	}
	return !r.dry
}

func (r *repair) damagedPath(path string) string {
	return filepath.Join(r.o.cfg.RootDir, "damaged", filepath.FromSlash(r.o.name(path))+r.suffix)
}

// putAside moves a file or folder to damaged/.
func (r *repair) putAside(path string) error {
	to := r.damagedPath(path)
	fs := r.o.cfg.FS
	if err := fs.MkdirAll(filepath.Dir(to)); err != nil {
		return err
	}
	if err := fs.Rename(path, to); err != nil {
		return fmt.Errorf("cannot put %q aside: %w", path, err)
	}
	return errors.Join(fs.SyncDir(filepath.Dir(path)), fs.SyncDir(filepath.Dir(to)))
}

// extend gives a file of the log its length.
func (r *repair) extend(odd logfile.FileInfo) error {
	o := r.o
	size := o.cfg.CommitLogFileSize
	if !r.does(fmt.Sprintf("gave %s its length of %d bytes, it had %d", o.name(odd.Path), size, odd.Size),
		fmt.Sprintf("give %s its length of %d bytes, it has %d", o.name(odd.Path), size, odd.Size)) {
		return nil
	}
	f, err := o.cfg.FS.Open(odd.Path)
	if err != nil {
		return fmt.Errorf("cannot open %q: %w", odd.Path, err)
	}
	if err = f.Truncate(size); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot give %q its length: %w", odd.Path, err)
	}
	return nil
}

// cutTail clears what lies behind the last good record, and keeps the bytes.
func (r *repair) cutTail(tail Stretch) error {
	o := r.o
	name, at := o.place(tail.From)
	if !r.does(fmt.Sprintf("cut the log at %d (%s:%d), the %d bytes behind it are in damaged/", tail.From, name, at, tail.Dirt-tail.From),
		fmt.Sprintf("cut the log at %d (%s:%d) and keep the %d bytes behind it in damaged/", tail.From, name, at, tail.Dirt-tail.From)) {
		return nil
	}
	run := o.runs[len(o.runs)-1]
	for from := tail.From; from < tail.Dirt; {
		fileEnd := (from/run.FileSize() + 1) * run.FileSize()
		to := min(fileEnd, tail.Dirt)
		if err := r.keepBytes(run, from, to); err != nil {
			return err
		}
		if err := run.Zero(from); err != nil {
			return fmt.Errorf("cannot clear log behind %d: %w", from, err)
		}
		from = fileEnd
	}
	return run.Sync()
}

// keepBytes copies a part of the log to damaged/.
func (r *repair) keepBytes(run *logfile.Log, from, to int64) error {
	fs := r.o.cfg.FS
	path := filepath.Join(r.o.cfg.RootDir, "damaged", "commitlog", logfile.FileName(from)+r.suffix)
	if err := fs.MkdirAll(filepath.Dir(path)); err != nil {
		return err
	}
	f, err := fs.Create(path)
	if err != nil {
		return fmt.Errorf("cannot create %q: %w", path, err)
	}
	buf := make([]byte, 1<<20)
	for at := from; err == nil && at < to; {
		b := buf[:min(int64(len(buf)), to-at)]
		if _, err = run.ReadAt(b, at); err == nil {
			_, err = f.WriteAt(b, at-from)
		}
		at += int64(len(b))
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot keep what is cut from the log: %w", err)
	}
	return fs.SyncDir(filepath.Dir(path))
}

// derived makes queues, index and checkpoint anew from the log.
func (r *repair) derived(ctx context.Context, progress func(done, total int64)) error {
	o, p := r.o, &r.o.plan
	p.index = p.index || p.indexBehind && p.checkpoint
	for _, v := range p.queues {
		what := fmt.Sprintf("queue %d of topic %q", v.id, v.topic)
		r.does("makes "+what+" anew from the log", "make "+what+" anew from the log")
	}
	for _, v := range p.behind {
		what := fmt.Sprintf("%d messages into queue %d of topic %q", v.missing, v.id, v.topic)
		r.does("puts "+what, "put "+what)
	}
	if p.index {
		r.does("makes the index anew from the log", "make the index anew from the log")
	}
	if p.leavesRest() {
		r.tell("leaves checkpoint and abort as they are: the next start puts the newest messages into the index")
	} else {
		r.does("writes the checkpoint", "write the checkpoint")
	}
	if r.dry {
		return nil
	}
	// A queue must not be looked for in files that are gone.
	o.handles = logfile.NewHandles(openFiles)
	return r.dispatch(ctx, progress)
}

func isThere(fs logfile.FS, dir string) bool {
	entries, err := fs.List(dir)
	return err == nil && len(entries) > 0
}

// dispatch reads the log and feeds what is made anew. That is made in a folder of its own and takes the place of what is there when it is
// whole and durable, so that a repair that is interrupted has changed nothing.
func (r *repair) dispatch(ctx context.Context, progress func(done, total int64)) error {
	o, p := r.o, &r.o.plan
	there, s := o.view(nil), o.view(nil)
	there.cfg.ConsumeQueueExt, s.cfg.ConsumeQueueExt = false, false
	s.cfg.RootDir = filepath.Join(o.cfg.RootDir, "repairing")
	if err := o.cfg.FS.RemoveAll(s.cfg.RootDir); err != nil {
		return fmt.Errorf("cannot remove what an earlier repair has left: %w", err)
	}
	wanted := map[queueKey]*Queue{}
	for i, v := range append(slices.Clone(p.queues), p.behind...) {
		s := s
		if i >= len(p.queues) {
			s = there
		}
		if v.batch {
			s.queues.batch[v.topic] = true
		}
		q := s.addQueue(v.topic, v.id)
		q.emptiedAt = v.restarted
		var err error
		if v.batch {
			err = q.batch.load()
		} else {
			err = q.units.load(0, nil)
		}
		if err != nil {
			return err
		}
		wanted[queueKey{v.topic, v.id}] = q
	}
	if p.index {
		s.cfg.MessageIndexEnable = true
		if err := s.openIndex(true); err != nil {
			return err
		}
	}
	var newest, newestTime, flushed int64
	start, end := o.LogStart(), o.logFilesEnd()
	err := o.scanLog(ctx, start, logVisit{
		record: func(_ []byte, m *message.Dispatch) error {
			newest, newestTime = m.LogOffset, m.StoreTimestamp
			if s.index != nil && m.LogOffset-flushed > 256<<20 {
				flushed = m.LogOffset
				if err := s.index.flush(); err != nil {
					return err
				}
			}
			return r.gather(s, wanted, m)
		},
		progress: func(off int64) {
			if progress != nil {
				progress(off-start, end-start)
			}
		},
	})
	if err == nil {
		err = s.putGathered()
	}
	if err != nil {
		return err
	}
	for _, q := range append(s.queues.all(), there.queues.all()...) {
		err := q.flush()
		q.units.close()
		if err != nil {
			return err
		}
	}
	if s.index != nil {
		if err := s.index.close(); err != nil {
			return err
		}
	}
	if err := r.swap(s); err != nil {
		return err
	}
	if p.leavesRest() {
		return nil
	}
	return r.writeCheckpoint(there, newest, newestTime)
}

// swap puts what was made anew in the place of what is there.
func (r *repair) swap(made *Store) error {
	o, p := r.o, &r.o.plan
	move := func(from, to string) error {
		fs := o.cfg.FS
		if isThere(fs, to) {
			if err := r.putAside(to); err != nil {
				return err
			}
		}
		if !isThere(fs, from) {
			return nil // the log has nothing for it
		}
		if err := fs.MkdirAll(filepath.Dir(to)); err != nil {
			return err
		}
		if err := fs.Rename(from, to); err != nil {
			return fmt.Errorf("cannot put %q in its place: %w", to, err)
		}
		return fs.SyncDir(filepath.Dir(to))
	}
	for _, v := range p.queues {
		kind := "consumequeue"
		if v.batch {
			kind = "batchconsumequeue"
		}
		sub := queueDir(kind, v.topic, v.id)
		if err := move(filepath.Join(made.cfg.RootDir, sub), filepath.Join(o.cfg.RootDir, sub)); err != nil {
			return err
		}
	}
	if p.index {
		if err := move(filepath.Join(made.cfg.RootDir, "index"), filepath.Join(o.cfg.RootDir, "index")); err != nil {
			return err
		}
	}
	if err := o.cfg.FS.RemoveAll(made.cfg.RootDir); err != nil {
		return fmt.Errorf("cannot remove %q: %w", made.cfg.RootDir, err)
	}
	return nil
}

// gather is Store.gather but for queues that are as they were.
func (r *repair) gather(s *Store, wanted map[queueKey]*Queue, m *message.Dispatch) error {
	put := func(topic string, id int32, offset, tagsCode int64) error {
		if q := wanted[queueKey{topic, id}]; q != nil && q.refused == nil && m.LogOffset >= q.emptiedAt {
			return s.enqueue(q, m, offset, tagsCode)
		}
		return nil
	}
	if message.InConsumeQueue(m.SysFlag) && len(wanted) > 0 {
		tagsCode := s.tagsCode(m)
		if err := put(string(m.Topic), m.QueueID, m.QueueOffset, tagsCode); err != nil {
			return err
		}
		if inLight(m) {
			for name, at := range lightOffsets(m) {
				if err := put(string(name), 0, at, tagsCode); err != nil {
					return err
				}
			}
		}
	}
	g := &s.dispatcher.gathered
	if s.index != nil {
		g.keys = appendKeys(g.keys, m)
	}
	if len(g.keys)+len(g.units) >= gatherMost {
		return s.putGathered()
	}
	return nil
}

// writeCheckpoint says that all is durable. When the whole store is sound now, it is left as after a clean stop.
func (r *repair) writeCheckpoint(s *Store, newest, newestTime int64) error {
	o := r.o
	s.checkpoint = o.checkpoint
	s.log.flushTime.Store(newestTime)
	if err := s.writeCheckpoint(dispatchMark{newest, newestTime, s.queues.reach()}); err != nil {
		return err
	}
	if o.plan.damaged || o.clean {
		return nil
	}
	r.tell("removed abort: the store is as after a clean stop")
	return s.removeAbort()
}
