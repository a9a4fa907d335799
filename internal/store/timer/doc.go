// Package timer keeps which messages wait for which time: the timer wheel and the timer log of a store directory, byte for byte those
// of Apache RocketMQ. It knows no messages, only where they lie in the commit log.
//
//	timerlog/<20 digits>  log.go         a record for each message that waits, in order of arrival
//	timerwheel            wheel.go       a slot for each moment: where the newest record for it lies
//	config/timercheck     checkpoint.go  up to where wheel and log are durable, what was taken in and what was delivered
//	config/timermetrics   metrics.go     how many messages of each topic wait
//
// A time is a whole number of precisions. The slot of time T is due when the clock has reached T + precision: a message asked for
// any moment within (T, T+precision] is in it, so none comes early, and none late by more than a precision.
//
// # Cost
//
// A message that waits is 52 bytes in the timer log and nothing in memory. What is in memory is one bit for each slot, which says
// whether somebody waits there (150 KB), pages of the wheel that were changed or looked at lately, and up to 64 KiB of new records.
// Nothing here ticks: who owns a Timer asks Next when to come again.
//
// # Crashes
//
// Log and wheel are written behind. Flush makes them durable, in this order: log, wheel, checkpoint. The wheel in its file is
// therefore never ahead of the durable log, and Open makes it again from there on: each record of the log that is newer than
// the checkpoint is put into its slot once more, which changes nothing when it is there already.
//
// What the caller has taken in since is found again by its place in the queue: the checkpoint tells the queue's position, and Logged
// which messages behind it are in the timer log already.
//
// # Goroutines
//
// One goroutine of the caller changes a Timer. The wheel may be asked by others meanwhile. Flushes run on a goroutine of their own,
// started by a timer while there is something to flush; Close waits for it.
package timer
