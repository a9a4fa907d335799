package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/liftoffmq/liftoff/internal/logging"
	"github.com/liftoffmq/liftoff/internal/metrics"
	"github.com/liftoffmq/liftoff/internal/store/logfile"
)

// openFiles is how many files of the store may be open at once.
const openFiles = 1024

// Store is an open store directory.
type Store struct {
	cfg    Config
	hooks  Hooks
	logger *slog.Logger
	now    func() time.Time
	lock   io.Closer

	handles    *logfile.Handles // of queues; those of the log are apart, so that they never wait for one
	logHandles *logfile.Handles
	log        commitLog
	queues     queueTable
	index      *index // nil when messageIndexEnable is off
	checkpoint checkpoint
	dispatcher dispatcher
	cache      readCache
	holes      holes
	live       atomic.Pointer[live]

	full atomic.Pointer[error] // why the disk takes no more, for now

	flushMu     sync.Mutex  // one flush of the log at a time
	flushWanted atomic.Bool // a batch waits for flushed
	flushArmed  atomic.Bool // flushLoop knows that something is dirty
	flushTimer  *time.Timer // calls expireFlushes
	behindMu    sync.Mutex  // one flushBehind at a time; protects the field below
	behindErr   error       // why queues and index are not written any more
	behindArmed atomic.Bool // behindLoop knows that something is dirty

	checkpointTime atomic.Int64 // store time of the newest message that queues and index keep durably
	counters       counters
	fsync          *metrics.Histogram // µs, of the commit log
	opening        time.Duration      // how long Open took
	getters        sync.Pool          // of *getter
	unsettled      atomic.Bool        // there is something for Settle to do

	syncTook  atomic.Int64 // about how long an fsync of the log takes, in ns; 0 when unknown
	flushedMu sync.Mutex   // protects flushed
	flushed   waiters      // to be answered

	cleanMu      sync.Mutex      // one clean at a time; protects the two fields below
	cleanedTo    int64           // queues and index have nothing before this log offset
	notDeleted   map[string]bool // why the last round could not delete all of it
	manualRounds atomic.Int32    // of cleaning that DeleteExpired has asked for
	unmeasured   sync.Map        // *logging.Trouble of folders of which it cannot be told how full their disk is

	lateFlush    logging.Trouble // the log
	lateDispatch logging.Trouble // what is dispatched
	lateBehind   logging.Trouble // queues, index and checkpoint
	unread       logging.Trouble // what is asked for, while no file can be opened; of its end others tell
	undeleted    logging.Trouble // the log's expired files

	writeWake  chan struct{}
	flushWake  chan struct{}
	behindWake chan struct{}
	behindNow  chan struct{}
	refusing   chan struct{} // messages begin to be refused, for as long as the disk has no space
	stop       chan struct{}
	loops      sync.WaitGroup
}

// Open takes the store directory, makes it when it is not there, recovers it and starts what runs beside. ctx ends only
// the opening.
func Open(ctx context.Context, cfg Config, hooks Hooks) (*Store, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if err := cfg.FS.MkdirAll(cfg.RootDir); err != nil {
		return nil, fmt.Errorf("cannot make store folder %q: %w", cfg.RootDir, err)
	}
	lock, err := lockDir(cfg.FS, cfg.RootDir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, hooks: hooks, logger: cfg.Logger, now: cfg.now, lock: lock,
		handles:    logfile.NewHandles(openFiles),
		logHandles: logfile.NewHandles(openFiles),
		fsync:      metrics.NewHistogram(&metrics.Fsync),
		writeWake:  make(chan struct{}, 1),
		flushWake:  make(chan struct{}, 1),
		behindWake: make(chan struct{}, 1),
		behindNow:  make(chan struct{}, 1),
		refusing:   make(chan struct{}, 1),
		stop:       make(chan struct{}),
	}
	s.SetLive(cfg.Live)
	s.log.files = logfile.NewLog(cfg.FS, s.logHandles, cfg.CommitLogFileSize, cfg.CommitLogDirs...)
	s.log.tail.fileSize = cfg.CommitLogFileSize
	s.log.idle.L = &s.log.mu
	if s.log.ahead.Step = aheadSize; cfg.SyncFlush {
		s.log.ahead.Step = aheadSync
	}
	s.getters.New = func() any { return new(getter) }
	s.flushTimer = time.AfterFunc(time.Hour, s.expireFlushes)
	began := s.now()
	if err := s.load(ctx); err != nil {
		s.flushTimer.Stop()
		err = s.explainSizes(err)
		s.release()
		return nil, err
	}
	s.opening = s.now().Sub(began)
	s.checkDisks()
	s.loops.Go(s.writeLoop)
	s.loops.Go(s.flushLoop)
	s.loops.Go(s.behindLoop)
	s.loops.Go(s.cleanLoop)
	return s, nil
}

// Close refuses new batches, finishes those that were put, makes everything durable and leaves the directory as after a
// clean stop. Handles of the store must not be used afterwards.
func (s *Store) Close() error {
	l := &s.log
	s.Settle()
	l.mu.Lock()
	l.closing = true
	for l.writing {
		l.idle.Wait()
	}
	l.mu.Unlock()
	s.retryWrite()
	s.flushLog()
	close(s.stop)
	s.loops.Wait()
	s.flushTimer.Stop()

	behind := s.flushBehind()
	l.mu.Lock()
	err := l.err
	unwritten, unflushed := l.waiting.all(), l.flushing.all()
	l.mu.Unlock()
	s.answerFlushed()
	answer(unwritten, ErrClosed)
	answer(unflushed, ErrClosed)

	if err == nil {
		err = behind
	}
	if s.index != nil {
		err = errors.Join(err, s.index.close())
	}
	if err == nil { // else the next start has something to do
		err = s.leaveClean()
	}
	return errors.Join(err, s.release())
}

// leaveClean removes what says that the store is open.
func (s *Store) leaveClean() error {
	l := &s.log
	if err := l.files.DropFrom(l.written.Load(), s.cfg.FS.Remove); err != nil { // made ahead, not used
		return err
	}
	if err := l.files.Sync(); err != nil {
		return err
	}
	return s.removeAbort()
}

// release closes files and gives the directory back.
func (s *Store) release() error {
	err := s.log.files.Close()
	for _, q := range s.queues.all() {
		q.units.close()
		if q.ext != nil {
			err = errors.Join(err, q.ext.files.Close())
		}
		if q.batch != nil {
			err = errors.Join(err, q.batch.files.Close())
		}
	}
	return errors.Join(err, s.lock.Close())
}

func (s *Store) consumeQueueDir() string { return filepath.Join(s.cfg.RootDir, "consumequeue") }
