// Package admin is what an operator does to a whole cluster: the commands of mqadmin, and those that RocketMQ lacks.
//
//	admin.go    Admin: the cluster that commands talk to, and what every command gets
//	mqadmin.go  the list of mqadmin's commands, and their command line as Apache's tool takes it
//	complete.go what the shell completes
//	target.go   which brokers a command is for
//	output.go   results as text or, with --json, for machines; progress of what takes long
//	text.go javatext.go
//	            values as Apache's tool prints them
//	every.go    what is done again and again
//	flags.go    flags as Apache's tool has them; names.go has names of the system
//	change.go   what a command is about to change: said first, done then, or with --dry-run not
//
// Each command of mqadmin is a method of Admin in a file of its family, which builds a [cobra.Command]:
//
//	topic.go topicstatus.go topicroute.go orderconf.go allocate.go
//	group.go broker.go namesrv.go controller.go
//	statictopic.go  over mapping.go, which says which broker has which queue of a static topic
//	export.go flow.go compaction.go
//	messagequery.go messageprint.go         messages, found and printed; message.go track.go are what is shown of one
//	connection.go consumerstatus.go progressof.go  who consumes, what they do and how far they are; consumers.go asks
//	tracequery.go                           what clients traced of a message
//	offsetreset.go                          offsets moved; offsetmove.go says from where to where
//	sending.go monitor.go consumequeue.go   sends measured, groups watched, consume queues shown
//	user.go acl.go copy.go                  users, and what they may do; both copied from broker to broker
//	coldread.go engines.go lite.go          limits of cold reads, what brokers keep things in, lite topics
//
// queues.go says where topics are, sender.go sends, javatext.go prints as Java does.
//
// And so are the tools that RocketMQ lacks:
//
//	trace.go        one message's whole life: life.go and grouplife.go gather it, clienttrace.go reads what clients traced, lifetext.go prints it
//	backup.go       topics, groups and offsets in a file; restore.go brings them back
//	top.go          brokers, topics and groups as they change: what is asked for; topview.go shows it
//	dlq.go          dead letters, listed and exported; deadletter.go reads them, dlqresend.go sends them again
//
// A command collects a value with the answers and hands it to Admin.show, which prints it as JSON or lets the command print the text. The
// text has the columns of Apache's tool, because scripts read them. All that commands ask of servers goes through package client, so that they work
// with Apache's servers and with ours.
//
// A command fails with an error and exit code 1, where Apache's prints a stack trace and ends with 0.
package admin
