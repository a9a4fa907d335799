package store

import (
	"fmt"
	"time"

	"github.com/liftoffmq/liftoff/internal/logging"
)

// progress keeps how far a recovery has come, in the checkpoint, so that one that is killed goes on from there. The caller of its functions
// holds dispatcher.mu; nothing else runs yet.
type progress struct {
	store *Store
	from  int64     // log offset where the recovery began
	doubt bool      // what was there before may not be durable
	due   time.Time // the next time

	trouble logging.Trouble
}

// progressShare is how much longer a recovery goes on than it has waited for the disk to keep its progress.
const progressShare = 8

// keep says in the checkpoint that the messages before off are in queues and index, when it is time to: each was read and put there.
func (p *progress) keep(off int64, now time.Time) error {
	s := p.store
	if now.Before(p.due) {
		return nil
	}
	err := p.write(off)
	wait := checkpointInterval
	if err == nil {
		wait = max(wait, progressShare*s.now().Sub(now))
		if lasted, over := p.trouble.Passed(); over {
			s.logger.Info("how far recovery has come is kept again", "log_offset", off, "after", lasted)
		}
	} else if mayPass(err) {
		if p.trouble.Failed(err) {
			s.logger.Warn("cannot keep how far recovery has come, trying again", "log_offset", off, "err", logging.Advised(err))
		}
		err = nil
	}
	p.due = s.now().Add(wait)
	if err != nil {
		return fmt.Errorf("cannot keep how far recovery has come: %w", err)
	}
	return nil
}

func (p *progress) write(off int64) error {
	s := p.store
	d := &s.dispatcher
	if p.doubt { // of queues all that they have, for it is not known which of it belongs to the messages so far
		s.log.files.Doubt(p.from)
		if err := s.doubtQueues(p.from, s.log.files.End()); err != nil {
			return err
		}
	}
	if err := s.log.files.Sync(); err != nil {
		return fmt.Errorf("cannot flush commit log: %w", err)
	}
	if err := s.flushQueues(d.dirty); err != nil {
		return err
	}
	s.log.flushTime.Store(d.newestTime)
	mark := d.dispatchMark
	mark.reached = min(mark.reached, off)
	if err := s.writeCheckpoint(mark); err != nil {
		return err
	}
	for _, q := range d.dirty {
		q.dirty = false
	}
	d.dirty, p.doubt = nil, false
	return nil
}

// beginAnew makes the checkpoint say that no message is known to be in queues and index, before all are put there again. Queues that lack some
// would be believed after a kill once the furthest of them is back, and files of theirs that a power cut has torn would not be given up.
func (s *Store) beginAnew() error {
	s.checkpoint = checkpoint{masterFlushed: s.checkpoint.masterFlushed, confirmed: s.checkpoint.confirmed}
	if s.index != nil {
		if err := s.index.flush(); err != nil { // that files which were not believed are gone
			return err
		}
	}
	s.log.flushTime.Store(0)
	return s.writeCheckpoint(dispatchMark{})
}
