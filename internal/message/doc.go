// Package message is the message: its fields, its properties, its ids, and the one record layout that the commit log
// and a pull's answer share.
//
// Nothing here allocates on the way of a message: a record is encoded into the caller's buffer, and what is read from one
// is borrowed from it. The slow forms (maps, strings) say so.
//
//	message.go     Message, the record: AppendRecord, Decode
//	dispatch.go    Dispatch: the few fields of a record that the consume queues and the index need
//	properties.go  name 0x01 value 0x02, repeated: iterate, look up, append, delete
//	names.go       names of the properties that RocketMQ itself uses
//	sysflag.go     the bits of SysFlag
//	batch.go       the body of a batch (request code 320)
//	offsetid.go    the id that names a record by its host and log offset
//	uniqkey.go     the id that the sending client gives
//	hash.go        String.hashCode as Java computes it: tags codes and index keys
package message
