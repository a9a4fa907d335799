// Package broker is the broker: the handlers of its request codes and its own state.
//
// broker.go is its life, handlers.go the table of what it answers. A file a family of codes, each of which begins with them:
//
//	messages     send.go, reply.go, pull.go, pop.go, poll.go, ack.go, invisible.go, sendback.go, recall.go, timer.go, transaction.go, resumecheck.go, query.go
//	lite topics  litesub.go, litepop.go, liteinfo.go; liteexpire.go lets them go
//	the rest     offset.go, reset.go, client.go, ask.go, lock.go, queuestate.go, assign.go, popmode.go, topic.go, mapping.go, group.go,
//	             stats.go, consumestats.go, brokerstats.go, brokerconfig.go, clean.go, member.go, coldread.go, rocksdb.go, users.go
//
// A send has its header in sendheader.go, what it looks at in facts.go, and its way to the store and back in sendbatch.go; a pop looks for
// messages in popwalk.go.
//
// State lies in parts that each have their own lock. Those with a file below config/ are topics.go, groups.go, offsets.go, filters.go,
// mapping.go, popmode.go, poporder.go, schedule.go and halfcounts.go: saved.go writes a table with a log of its changes beside it,
// behind.go any file a while after a change. In memory only are clients.go, lock.go, what waits for a message (hold.go, pophold.go) and what
// is popped (inflight.go, pending.go). settings.go is the configuration of the moment. What goes in and out is counted by counters.go, and
// samples.go remembers what the counters were.
//
// divert.go parks messages in queues of the system, and followers (follow.go) bring them back: schedulefollow.go those delayed by a level,
// timerfollow.go timed ones, checkback.go half messages of which nobody tells (halves.go), revive.go popped ones. put.go stores what the
// broker itself has to say.
//
// # Goroutines
//
// Requests are served where their connection is: in a loop of package remoting, or elsewhere when they may have to wait. Those that wait
// long, for a disk, another client or another broker, run beside it in a goroutine of their own (Broker.beside), and Close waits for them;
// how many are served at once, and how much waits for its turn, is bounded (beside.go). Besides:
//
//	registrar.registerLoop   owner registrar   one a NameServer; woken by its period and by changes of topics; ends with Run
//	registrar.beatLoop       owner registrar   one a NameServer with enableSlaveActingMaster; woken by brokerHeartbeatInterval; ends with Run
//	holds' timer             owner holds       fires at the earliest deadline of a waiting pull or pop
//	behind's timer           owner saved (of topics, groups and filters), offsets, schedule, halfCounts; writes the file a while after a change
//	samples' timer           owner samples     looks every ten seconds at counters that have moved
//	filters' timer           owner filters     forgets filters of groups that have been gone for long
//	lites' timers            owner lites       fire when a group's block of a lite topic ends, and when what could not be read is tried again
//	clients' timer           owner clients     looks for clients that have stopped to send heartbeats
//	wakePops                 owner Broker      after a pop that has left messages on the disk; ends with the pops that wait for them
//	followers                owner Broker      woken by messages in the queue that each follows, or by time; end at Close
//
// A timer fires only while there is something for it to do.
package broker
