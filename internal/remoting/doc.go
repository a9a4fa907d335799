// Package remoting is RocketMQ's remoting protocol over TCP: a server, and connections that carry requests in both
// directions. It knows frames and headers, and no topics.
//
// # How a connection is served
//
// One goroutine reads a connection. All requests that one read brought are handed to the Handler one after the other,
// decoded in place; then Handler.Flush is called once, so that a busy connection gets large batches and a quiet one low
// latency, with no setting. Answers collect in the connection and leave in one write.
//
// A connection that waits holds no buffer. Answers are written by whoever has them: if the socket takes them at once
// that is all; if not, a drain goroutine lives until the peer has read them, and while more than outHigh bytes
// wait, the connection is not read any further. A peer that reads nothing for drainTimeout is closed.
//
// # Goroutines
//
//	Server.acceptLoop   owner Server     woken by a new connection; ends at Close
//	Server.idleLoop     owner Server     ticks while there are connections, closes silent ones; ends at Close
//	Conn.readLoop       owner Server or Dial's caller; ends when the connection does
//	Conn.drainLoop      owner Conn       exists only while a peer does not read; ends when all is written or closed
package remoting
