// Package mux carries several requests at the same time on one connection.
//
// A [Conn] owns the connection and two goroutines. Each request is a [Stream]. The reading
// goroutine decodes events and stores them in their streams; the owner of a stream takes
// them with [Stream.Next]. The writing goroutine writes everything that streams have
// queued since its last write, in one write. In the place of both, an event loop can drive
// the connection ([Loop]), until the loop ends.
//
// What always holds:
//
//   - An event reaches the stream of its request, or no stream. The id of a request that
//     ended before its answer did is never used again on the connection.
//   - One stream cannot stop the others: what has come waits for the owner of a stream for
//     lagMax at most, in total; then that stream's answer is cut.
//   - Answers that wait for their owners, and requests that wait to be written, are charged
//     to a budget ([Memory]), except chunkMin bytes of each answer and outMin bytes of each
//     connection.
//   - A connection ends once, with one error. All its streams get that error.
//   - Close returns after both goroutines have ended, and outside a step of the loop.
//
// Reading begins in conn.go: the life of a connection, and what is read from it. write.go
// is what is written to it, driven.go is both in an event loop, stream.go a request's part, chunk.go the memory of answers,
// ids.go the request ids.
package mux
