// Package broker is the broker: the handlers of its request codes and its own state.
//
// broker.go is its life, handlers.go the table of what it answers. A file a family of codes: send.go, sendback.go, pull.go, offset.go,
// client.go, topic.go, group.go, query.go, lock.go, assign.go, stats.go, brokerconfig.go. State lies in parts that each
// have their own lock and file: topics.go, groups.go, offsets.go, clients.go; hold.go keeps pulls that wait for a message.
// schedule.go delivers delayed messages, timerfollow.go timed ones. divert.go parks messages in queues of the system, and followers (follow.go) bring them back.
//
// # Goroutines
//
// Requests are served in their connection's goroutine, those marked slow in one of their own. Besides:
//
//	registrar.registerLoop   owner registrar   woken by its period and by topic changes; ends at Close
//	holds' timer             owner holds       fires at the earliest deadline of a waiting pull
//	saved's timer            owner topics, groups  writes the whole file a while after a change
//	offsets' timer           owner offsets     writes consumerOffset.json a while after a commit
//	behind's timer           owner schedule    writes delayOffset.json a while after a delivery
//	clients' timer           owner clients     looks for clients that have stopped to send heartbeats
//	followers                owner Broker      woken by messages in the queue that each follows, or by time; end at Close
//
// A timer fires only while there is something for it to do.
package broker
