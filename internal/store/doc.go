// Package store keeps messages in a store directory, byte for byte the one of Apache RocketMQ.
//
// # The directory
//
//	commitlog/<20 digits>                      commitlog.go     the log: every message once, in order of arrival; the only truth
//	consumequeue/<topic>/<queueId>/<20 digits> consumequeue.go  where the nth message of a queue lies in the log
//	batchconsumequeue/<topic>/...              batchqueue.go    the same of topics with queue.type=BatchCQ
//	consumequeue_ext/<topic>/...               queueext.go      what the units of a queue have no room for (enableConsumeQueueExt)
//	index/<yyyyMMddHHmmssSSS>                  index.go         where messages of a key lie in the log
//	checkpoint                                 checkpoint.go    up to where the log and what follows it are durable
//	abort                                      abort.go         there while the store is open; found at open: it was killed
//	lock                                       dirlock.go       locked while the store is open
//	repairing/                                 repair.go        what a repair makes, until it is whole
//	damaged/<name>.<time>                      recover.go       files with good messages behind damage in the log, put aside
//
// At open they are read in this order: lock, commitlog, abort, checkpoint, batchconsumequeue, consumequeue, index,
// consumequeue_ext; then the end of the log is sought from the checkpoint on (scanner.go) and what lies behind that is dispatched
// again (recover.go). Store files are touched through logfile only. The files of timers are package timer's.
//
// # The way of a message
//
// put.go checks a batch and takes the append lock; commitlog.go gives each message its place, encodes it into the tail in
// memory (tail.go) and at Settle writes it, with all that others have put meanwhile; marks.go has who waits for which mark, and
// answers; dispatch.go makes the message visible in its queue, in light queues that it names (light.go), and the index;
// flush.go makes the log durable, behind.go queues and index; get.go reads it, scan.go and getat.go do for those who know its place,
// storetime.go and query.go find it; clean.go deletes it one day.
//
// # Locks
//
// The append lock, commitLog.mu, is held while a batch is encoded, never while anything is written, synced, dispatched or
// answered. dispatcher.mu is held while dispatching, and the append lock may be taken under it (topic.go). Done and
// Hooks.Arrived are called without either. Consume queues and the index have locks of their own, taken last.
//
// # Goroutines
//
// Open starts them, Close waits for them. None ticks while nothing is written, but cleanLoop.
//
//	writeLoop    goes on writing when a Put has done so long enough for others    woken by that Put
//	flushLoop    fsyncs the log: at once for who waits, else by time              woken by the writer, or by Settle if it does not do that itself
//	behindLoop   fsyncs queues and index, then moves the checkpoint               woken by the dispatcher
//	cleanLoop    looks at the disks, deletes files, lets idle queues rest         every cleanResourceInterval
//
// The writer and the dispatcher are no goroutines but roles: whoever settles and finds no writer at work is the writer
// until all is written, and who moves the mark that makes messages visible dispatches them.
//
// # While no broker runs
//
// offline.go opens a directory without recovering it and reads its log past damage. check.go compares everything with the log, checkqueue.go
// and checkindex.go beside it; repair.go makes anew what the log knows; dump.go shows single things; outlook.go tells what Open would do.
//
// # Those who build on it
//
// Delayed messages, timers, transactions and pops are no matter of the store: they follow a queue (Entries, Records, RecordAt) and
// end in Put. A filter that looks into records is Filter.Record. Replication would need another mark (marks.go).
package store
