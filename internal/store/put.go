package store

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/liftoffmq/liftoff/internal/message"
)

var (
	// ErrTooLarge says that a message is larger than the store takes.
	ErrTooLarge = errors.New("message is too large")
	// ErrFlushTimeout says that a batch was stored but not made durable within SyncFlushTimeout.
	ErrFlushTimeout = errors.New("not flushed in time")
	// ErrWriteTimeout says that a batch was not even written within that time. It may be later.
	ErrWriteTimeout = errors.New("not written in time")
	// ErrBusy says that the disk does not keep up: too much is waiting for it already.
	ErrBusy = errors.New("store is busy")
	// ErrClosed says that the store is being closed.
	ErrClosed = errors.New("store is shutting down")
	// ErrTopic says that a topic cannot be stored: its name cannot be a folder's, or its queues are of a kind we lack.
	ErrTopic = errors.New("topic cannot be stored")
)

// Level says what a batch waits for before it is done.
type Level uint8

// A message is visible to other processes' reads, and survives SIGKILL, once Written. It survives a power cut once Flushed.
const (
	Written Level = iota
	Flushed
)

// Put is one message to store. Queue and the message's fields down to Properties are given by the caller and must stay as
// they are until its batch is done, but Topic and QueueID, which are the queue's. The rest of the message is the answer.
type Put struct {
	message.Message
	Queue *Queue
	// Light are the queues that INNER_MULTI_DISPATCH names, nil for a name that is no light queue's. No list at all for messages
	// without that property.
	Light []*Queue
	// Inner is how many messages the body of an inner batch has, 0 for a message that is none.
	Inner   int
	lightAt int  // where offsets go in Properties
	crc     bool // its record gets a CRC

	// Err says why this message alone was not stored; others of its batch may be.
	Err error
}

// Batch is some messages that are stored in their order, next to each other, with one answer. It may be used again once
// it is done.
type Batch struct {
	Puts []Put
	Wait Level
	// Patient says that the batch is not done when the disk has no space while it is written, but when it is written in the end: for
	// what must not be told that it failed and be there all the same. It may take for ever; a store that is closed or fails tells.
	Patient bool

	// Done is called once, on whichever goroutine moved the mark that the batch waited for, or settles, perhaps before Put
	// returns. It must not block. A non-nil error goes for every message without one of its own: ErrFlushTimeout
	// means stored, any other not stored as far as is known.
	Done func(*Batch, error)

	end      int64     // log offset behind the last message
	deadline time.Time // of Flushed
	next     *Batch    // in a list of waiters
}

// Put stores a batch and returns without waiting for the disk, but for its own turn at writing: who finds no other
// goroutine at it writes what is there, for others too. Batches put one after the other by one goroutine are
// stored in that order.
func (s *Store) Put(b *Batch) {
	s.Add(b)
	s.settle(false)
}

// Add is the first half of Put: the batch has its place, and waits for a Settle. So many batches share one write.
func (s *Store) Add(b *Batch) {
	for i := range b.Puts {
		s.prepare(&b.Puts[i])
	}
	l := &s.log
	b.next = nil

	l.mu.Lock()
	if err := s.refusal(); err != nil {
		l.mu.Unlock()
		b.Done(b, err)
		return
	}
	before := l.appended
	now := s.now()
	for i := range b.Puts {
		if p := &b.Puts[i]; p.Err == nil {
			s.append(p, now.UnixMilli())
		}
	}
	if l.appended == before {
		l.mu.Unlock()
		b.Done(b, nil)
		return
	}
	b.end = l.appended
	if b.Wait == Flushed {
		s.awaitFlush(b)
	} else {
		l.waiting.push(b)
	}
	s.unsettled.Store(true)
	l.mu.Unlock()
}

// Settle is the second half of Put, for all batches that were added: they are written, or are going to be. Batches that were flushed are
// answered. Where an fsync is quick (flushQuick) it is waited for.
func (s *Store) Settle() { s.settle(true) }

func (s *Store) settle(mayFlush bool) {
	if !s.unsettled.Load() || !s.unsettled.Swap(false) {
		return
	}
	s.answerFlushed()
	l := &s.log
	l.mu.Lock()
	flush := l.flushing.first != nil
	if l.writing || l.waiting.first == nil {
		l.mu.Unlock()
	} else {
		l.writing = true
		s.write(writeRounds)
	}
	if flush { // who does it writes them first
		s.flush(mayFlush)
	}
}

// Check says why a message would not be stored, as far as that lies with the message itself, for who must know before it is put
// together with others.
func (s *Store) Check(p *Put) error {
	s.prepare(p)
	return p.Err
}

// prepare checks what can be checked outside the append lock.
func (s *Store) prepare(p *Put) {
	m := &p.Message
	if p.Queue == nil {
		p.Err = fmt.Errorf("%w: there is no queue for it", ErrTopic)
		return
	}
	m.Topic, m.QueueID = p.Queue.topic, p.Queue.id
	m.StoreHost = s.cfg.StoreHost
	p.Err = p.Queue.refused
	if p.Err != nil {
		return
	}
	p.crc = s.cfg.AppendPropCRC || bytes.IndexByte(m.Properties, 0) >= 0 // else recovery might take it for a damaged one (lostPage)
	switch {
	case p.Light != nil:
		p.makeRoom()
	case p.Inner != 0:
		p.makeBaseRoom()
	}
	if m.SysFlag&message.FlagInnerBatch != 0 && (p.Queue.batch == nil || p.Inner <= 0 || p.Inner > batchMax) {
		p.Err = ErrInnerBatch
		return
	}
	most := s.live.Load().MaxMessageSize
	if n := len(m.Body); n > most {
		p.Err = fmt.Errorf("%w: body of %d bytes, maxMessageSize is %d", ErrTooLarge, n, most)
		return
	}
	size, err := m.Check(p.crc)
	if err != nil {
		p.Err = fmt.Errorf("%w: %w", ErrTooLarge, err)
		return
	}
	if limit := most + 64<<10; size > limit {
		p.Err = fmt.Errorf("%w: record of %d bytes, possible are %d", ErrTooLarge, size, limit)
	} else if int64(size)+message.BlankSize > s.cfg.CommitLogFileSize {
		p.Err = fmt.Errorf("%w: record of %d bytes, a file of the log has %d", ErrTooLarge, size, s.cfg.CommitLogFileSize)
	}
	m.Size = int32(size)
}

// refusal says why nothing can be stored now. The caller holds the append lock.
func (s *Store) refusal() error {
	l := &s.log
	switch {
	case l.closing:
		return ErrClosed
	case l.err != nil:
		return l.err
	case l.stuck != nil:
		return l.stuck
	}
	if err := s.full.Load(); err != nil {
		return *err
	}
	if behind := l.appended - s.dispatcher.dispatched.Load(); behind > maxBehind {
		return s.busy(behind)
	}
	return nil
}

// busy names what is slow.
func (s *Store) busy(behind int64) error {
	what := "dispatching to consume queues"
	switch written := s.log.written.Load(); {
	case s.log.appended-written > behind/2:
		what = "writing to " + s.log.files.NewestDir()
	case s.cfg.SyncFlush && written-s.log.flushed.Load() > behind/2:
		what = "fsync of " + s.log.files.NewestDir()
	}
	return fmt.Errorf("%w: %s is %d MiB behind", ErrBusy, what, behind>>20)
}

// Writable says why Put would refuse a batch now: the disk is full or failed, the store is closing. Nil if it would not.
func (s *Store) Writable() error {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.refusal()
}
