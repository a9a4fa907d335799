// Package remoting is RocketMQ's remoting protocol over TCP: a server, and connections that carry requests in both
// directions. It knows frames and headers, and no topics.
//
// # How a connection is served
//
// All requests that one read brought are handed to the Handler one after the other, decoded in place; then Handler.Flush is called once, and
// Settler.Settle when no other connection has anything either. So a busy server gets large batches and a quiet one low latency, with no
// setting. Answers collect in the connection and leave in one write.
//
// On Linux the plain connections of a server are served by a few loops (loop_linux.go). A handler that may have to wait asks
// Request.Elsewhere, and its connection gets a goroutine until its socket is empty. Any other connection (TLS, behind a PROXY header, dialed)
// has a goroutine that reads it.
//
// A connection in a loop that waits holds no buffer. Answers are written by whoever has them: if the socket takes them at once
// that is all; if not, the loop goes on when it does, and while more than outHigh bytes
// wait, the connection is not read any further. A peer that reads nothing for drainTimeout is closed; so is one that has begun a PROXY header
// or a TLS handshake and not ended it within greetTimeout.
//
// # Goroutines
//
//	Server.acceptLoop    owner Server     woken by a new connection; ends at Close
//	Server.idleLoop      owner Server     ticks while there are connections, closes silent ones; ends at Close
//	loop.run             owner Server     waits for its connections; ends at Close, or when it was replaced
//	watcher.watchLoop    owner Server     ticks while the loops have something to do; ends at Close
//	Conn.awayLoop        owner its loop   serves a connection that is away from it; ends when its socket is empty
//	Conn.readLoop        owner Server or Dial's caller   of a connection without a loop; ends when the connection does, as greetLoop and upgradeLoop
//	Conn.drainLoop       owner Conn       writes to a connection without a loop; ends when all is written or it is closed
//	Conn.finish          owner Server     tells the handler of a connection's end
package remoting
