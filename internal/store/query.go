package store

import (
	"bytes"
	"errors"
	"io/fs"

	"github.com/liftoffmq/liftoff/internal/message"
)

// KeyKind is what kind of key a Query looks for.
type KeyKind uint8

// A key is a message's unique key or one of its keys, or its tag.
const (
	AnyKey KeyKind = iota
	UniqueKey
	TagKey
)

// maxQueryBytes bounds the answer of a Query; the first message is always in it.
const maxQueryBytes = 8 << 20

// KeyQuery asks for messages of a topic by key.
type KeyQuery struct {
	Topic, Key string
	Kind       KeyKind
	Begin, End int64 // store times in ms, both included
	Max        int   // messages
}

// QueryResult is what a Query found.
type QueryResult struct {
	Records []byte // one after the other, oldest first
	Count   int
	// IndexTime and IndexOffset tell how far the index has come: store time and log offset of its newest entry.
	IndexTime, IndexOffset int64
}

// Query finds messages by key, the newest ones if there are more than asked for. The index knows only hashes of keys, so
// each message is looked at: what is returned has the topic and the key. It fails when one that is there cannot be read now, for that may
// be the one that is asked for.
func (s *Store) Query(q KeyQuery) (QueryResult, error) {
	var r QueryResult
	if s.index == nil {
		return r, nil
	}
	r.IndexTime, r.IndexOffset = s.index.newest()
	var found [][]byte
	size := 0
	seen := map[int64]bool{} // a message is in the index once for each of its keys
	var failed error
	err := s.index.query(q, func(logOffset int64) bool {
		if seen[logOffset] {
			return true
		}
		rec, err := s.MessageAt(logOffset)
		if err != nil && !errors.Is(err, ErrNoMessage) && !s.isGone(logOffset, err) {
			failed = err
			return false
		}
		if err != nil || !hasKey(rec, &q) {
			return true // deleted since, or another key with that hash
		}
		if len(found) > 0 && size+len(rec) > maxQueryBytes {
			return false
		}
		seen[logOffset] = true
		found = append(found, rec)
		size += len(rec)
		return len(found) < q.Max
	})
	if err = errors.Join(err, failed); err != nil {
		return QueryResult{}, err
	}
	r.Count = len(found)
	for i := len(found) - 1; i >= 0; i-- {
		r.Records = append(r.Records, found[i]...)
	}
	return r, nil
}

// hasKey says whether a record is what a query asks for.
func hasKey(rec []byte, q *KeyQuery) bool {
	var m message.Dispatch
	if err := message.ReadDispatch(rec, &m); err != nil || string(m.Topic) != q.Topic {
		return false
	}
	if m.StoreTimestamp < q.Begin || m.StoreTimestamp > q.End {
		return false
	}
	switch q.Kind {
	case TagKey:
		return string(m.Tags) == q.Key
	case UniqueKey:
		return string(m.UniqKey) == q.Key
	}
	if string(m.UniqKey) == q.Key {
		return true
	}
	for keys := m.Keys; len(keys) > 0; {
		key, rest, _ := bytes.Cut(keys, []byte{' '})
		if string(key) == q.Key {
			return true
		}
		keys = rest
	}
	return false
}

// query calls yield for messages that may have the key, newest first, until it returns false. Times are exact to the
// second only. No lock is held meanwhile.
func (x *index) query(q KeyQuery, yield func(logOffset int64) bool) error {
	hash := message.JavaHash(0, q.Topic)*31 + '#'
	if q.Kind == TagKey {
		hash = (hash*31+'T')*31 + '#'
	}
	c := indexQuery{x: x, hash: indexHash(message.JavaHash(hash, q.Key)), begin: q.Begin, end: q.End, left: indexChainMax, last: -1, yield: yield}
	x.mu.Lock()
	files := append([]*indexFile(nil), x.files...)
	x.mu.Unlock()
	for i := len(files) - 1; i >= 0; i-- {
		if more, err := c.file(files[i]); err != nil || !more {
			return err
		}
	}
	return nil
}

type indexQuery struct {
	x          *index
	hash       int32
	begin, end int64
	left       int   // entries that may still be looked at
	last       int64 // log offset of the last one yielded
	yield      func(logOffset int64) bool
}

// file follows the key's chain in one file and says whether to go on with older ones.
func (c *indexQuery) file(f *indexFile) (more bool, err error) {
	x := c.x
	x.mu.Lock()
	head := f.head
	if head.next == 1 || head.beginTime > c.end {
		x.mu.Unlock()
		return true, nil
	}
	if head.endTime < c.begin {
		x.mu.Unlock()
		return false, nil
	}
	if err := x.acquire(f); err != nil {
		x.mu.Unlock()
		if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile, and so are all older ones
			return false, nil
		}
		return false, err
	}
	n, err := f.slot(c.hash % f.shape.slots)
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		x.release(f)
		x.mu.Unlock()
	}()
	// Numbers must fall, whatever a damaged file says, so this ends.
	for next := head.next; err == nil && n > 0 && n < next; {
		if c.left--; c.left < 0 {
			return false, nil
		}
		x.mu.Lock()
		e, pending := f.pendingEntry(n)
		x.mu.Unlock()
		if !pending {
			if e, err = f.fileEntry(n); err != nil {
				break
			}
		}
		if e.seconds < 0 {
			break
		}
		from := head.beginTime + int64(e.seconds)*1000
		if n == 1 { // its seconds are counted from the file before
			from = head.beginTime
		}
		if from+999 < c.begin {
			return false, nil
		}
		if e.hash == c.hash && from <= c.end && e.logOffset != c.last {
			c.last = e.logOffset
			if !c.yield(e.logOffset) {
				return false, nil
			}
		}
		next, n = n, e.prev
	}
	return head.beginTime >= c.begin, err
}
