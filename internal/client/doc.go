// Package client is how any part talks to a broker or NameServer: one typed call for each request code that we use.
//
//	pool.go         Pool: connections by address, dialed when needed
//	nameservers.go  NameServers: the calls to a list of NameServers, none of which knows the others
//	send.go pull.go offset.go heartbeat.go topic.go group.go query.go broker.go
//	                the calls to a broker, by the families of package broker
//	consumer.go access.go coldread.go lite.go state.go queuestate.go
//	                and what they have for operators only
//	controller.go   the calls to controllers
//
// Every call takes a context, which bounds it, and every error names the request, the address and, where there is one, the
// topic or group. A refusal is a *protocol.Error, to be found with errors.As.
//
// # Goroutines
//
//	Pool.dial      owner Pool    one while a connection is being made; ends with it, or at Close
//	Conn.readLoop  owner Pool    see package remoting; Close waits for them
package client
