package broker

import (
	"errors"
	"slices"

	"github.com/liftoffmq/liftoff/internal/protocol"
	"github.com/liftoffmq/liftoff/internal/remoting"
	"github.com/liftoffmq/liftoff/internal/store"
)

// CLEAN_EXPIRED_CONSUMEQUEUE 306, CLEAN_UNUSED_TOPIC 316, DELETE_EXPIRED_COMMITLOG 329.
//
// Behaviour: files go now that would go later: those of the log that are older than fileReservedTime, also in the rounds that follow;
// those of consume queues that point to nothing any more; the queues of topics that are not there any more, and groups' offsets in them. Each is
// named in the log.
// Differs from Apache: a queue whose messages are all gone goes on with its offsets, for those of its consumers do. Offsets in a topic
// go with its queues, for its messages begin at 0 when it is made again. When not one topic of
// users is there, and queues are, nothing is removed: then topics.json was lost, and not the topics.

func (b *Broker) cleanQueues(r *remoting.Request) (*remoting.Answer, error) {
	b.log.Info("request to delete files of consume queues that point to nothing any more", "addr", r.Conn.RemoteAddr())
	b.store.DeleteBehind()
	return nil, nil
}

func (b *Broker) deleteExpiredLog(r *remoting.Request) (*remoting.Answer, error) {
	b.log.Info("request to delete expired files of the commit log", "addr", r.Conn.RemoteAddr())
	b.store.DeleteExpired()
	return nil, nil
}

func (b *Broker) cleanUnusedTopics(r *remoting.Request) (*remoting.Answer, error) {
	b.log.Info("request to remove the queues of topics that are not there any more", "addr", r.Conn.RemoteAddr())
	unused := b.unknownTopics()
	if len(unused) == 0 {
		return nil, nil
	}
	if !slices.ContainsFunc(b.topics.names(), func(name string) bool { return !b.topics.isSystem(name) }) {
		return nil, protocol.Errorf(protocol.CodeSystemError, "nothing is removed: %d topics have messages and not one topic is known, so it seems that config/topics.json was lost (the first is %s)",
			len(unused), shown(unused[0]))
	}
	defer b.topics.deleting(unused...)()
	unused = slices.DeleteFunc(unused, func(name string) bool { return b.topics.find(name) != nil }) // made just now
	for _, name := range unused {
		for _, q := range b.store.Queues(name) {
			b.log.Info("queue of a topic that is not there any more is removed", "topic", name, "queue_id", q.ID(), "min", q.MinOffset(), "max", q.MaxOffset())
		}
		b.counts.forgetTopic(name)
	}
	return nil, errors.Join(b.deleteMessages(unused...))
}

// unknownTopics are those that have queues in the store, and are not there.
func (b *Broker) unknownTopics() []string {
	return slices.DeleteFunc(b.store.Topics(), func(name string) bool {
		return b.topics.isSystem(name) || store.IsLight([]byte(name)) || b.topics.find(name) != nil
	})
}

// missTopics warns of topics whose messages are in the store, and which are not in topics.json: it was lost, or is an older one.
func (b *Broker) missTopics() {
	missed := b.unknownTopics()
	if len(missed) == 0 {
		return
	}
	slices.Sort(missed)
	names := make([]string, 0, missedNames)
	for _, name := range missed[:min(len(missed), missedNames)] {
		names = append(names, shown(name))
	}
	b.log.Warn("topics that have messages are not in topics.json, so that clients cannot reach them: bring it back from a copy, or the topics with "+
		"liftoff restore or mqadmin updateTopic; if they were deleted, mqadmin cleanUnusedTopic removes the messages", "file", b.topics.file.path, "topics", len(missed), "names", names)
}

const missedNames = 10
