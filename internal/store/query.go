package store

import (
	"bytes"
	"errors"

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
