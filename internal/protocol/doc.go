// Package protocol holds what goes over RocketMQ's wire: request and response codes, the frame and its two header
// serializations, and the header and body structs. It is data only: no sockets, no state.
//
// # Frame
//
//	 0        4        5              8
//	+--------+--------+--------------+----------------+---------------+
//	| length | ser 1B | headerLen 3B | header         | body          |   big-endian
//	+--------+--------+--------------+----------------+---------------+
//
// length counts all that follows it. ser is 0 for a JSON header and 1 for a ROCKETMQ (binary) one. An answer uses
// the serialization of its request.
package protocol
