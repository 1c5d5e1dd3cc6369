// Package mux carries several requests at the same time on one connection.
//
// A [Conn] owns the connection and two goroutines. Each request is a [Stream]. The reading
// goroutine decodes events and stores them in their streams; the owner of a stream takes
// them with [Stream.Next]. The writing goroutine writes everything that streams have
// queued since its last write, in one write.
//
// What always holds:
//
//   - An event reaches the stream of its request, or no stream. The id of a request that
//     ended before its answer did is never used again on the connection.
//   - One stream cannot stop the others: the goroutines wait for the owner of a stream for
//     lagMax at most, in total, and then cut that stream's answer.
//   - Answers that wait for their owners, and requests that wait to be written, are charged
//     to a budget ([Memory]), except chunkMin bytes of each answer and outMin bytes of each
//     connection.
//   - A connection ends once, with one error. All its streams get that error.
//   - Close returns after both goroutines have ended.
//
// Reading begins in conn.go: the life of a connection, and what is read from it. write.go
// is what is written to it, stream.go a request's part, chunk.go the memory of answers,
// ids.go the request ids.
package mux
