// Bench gives Apache RocketMQ and Liftoff the same load in turn, on the same machine, and prints one table.
//
//	go run ./bench            about 25 minutes
//	go run ./bench --quick    some five minutes
//	go run ./bench --guard    about four minutes, fails when a bar is missed by far, for continuous integration
//
// README.md says what each number means and how it is taken. The way through the code:
//
//	main.go      flags, and the order of what is measured
//	apache.go    fetches Apache RocketMQ through Maven, and starts it
//	liftoff.go   builds Liftoff from this module, and starts it
//	server.go    a running NameServer and broker: processor time, memory, pause, stop
//	loop.go      the load generator's one thread: epoll over its connections
//	send.go      sends in a closed loop: so many in flight, a new one for each answer
//	pull.go      a backlog read from its beginning
//	filter.go    the same backlog through a filter in SQL
//	pop.go       the same backlog popped, each message acknowledged
//	transaction.go  half messages and their commits
//	quiet.go     messages at an even pace, and consumers that wait for them
//	timer.go     messages that wait for a time, many at once
//	rest.go      start, idle, connections that do nothing, topics without messages
//	machine.go   what the report says about the machine
//	plan.go      the loads, in rounds
//	frame.go     requests and answers as bytes
//	report.go    medians, bars, the table
//
// The generator uses nothing of Liftoff: a mistake in our encoders must not be hidden by the same mistake here.
//
// Goroutines: the main one does everything, generator included, and stays on its thread; one a server process waits for
// its end (owner: process); one sends at an even pace while the quiet scenario runs (owner: quietLoad.run).
package main
