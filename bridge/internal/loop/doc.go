// Package loop serves plain HTTP/1 to many clients in few goroutines: event loops on epoll, Linux
// only. It is the second driver of package exchange. A client that waits costs some memory and a
// descriptor, and no goroutine; a request that is served at once costs a few system calls.
//
// A loop does what is frequent and short, and leaves everything else to net/http, which serves a
// connection from then on: a request that is malformed, or has a body that is large, chunked or
// late, or asks for another protocol or for an interim answer. The bytes that were read go along
// ([Handed]), so that such a request is answered by the same code in every case. What turns out to
// take long while a request is served - a client that does not take its answer, a file to send - goes
// on in a goroutine, where package blocking takes the exchange to its end (tail.go).
//
// Start with loop.go, and poller.go, which waits for events. conn.go is a client's connection, request.go and
// parse.go read requests, call.go drives an exchange, with what is in workspace.go: client.go is what the
// exchange sees of it, lean.go what it gives back while it waits. answer.go and relay.go send answers, and late.go waits for the end of
// a request that was answered. peer.go tells a client that has left from one that has only closed its
// sending side.
//
// What always holds:
//
//   - Everything of a connection and its request is used by one loop, until it is handed over. What
//     others report - the gate, the pool, a shared connection - is posted to the loop.
//   - A loop never waits for a client, for the application or for a lock that is held long. It does
//     look up files where a site's paths are files, as other servers with event loops do.
//   - A connection has one request at a time. The next one is read when the answer was written.
//   - What is held for a client is bounded: a header and a small body that are not complete, an
//     answer that is here whole or a piece of one. There is no read ahead.
package loop
