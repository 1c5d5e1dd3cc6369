// Package http1 is HTTP/1.1 (RFC 9112) towards an application: it encodes requests, and
// finds out where answers end. It works on bytes, and does no I/O. Reading begins in
// request.go; answer.go and chunked.go decode answers.
//
// A [Request] is encoded from its parts; nothing of it is copied from another message. The
// fields that say where a body ends, and what becomes of the connection, are written here
// alone. The length of the body is always known, so requests are never chunked.
//
// A [Decoder] finds where an answer ends (section 6.3), in pieces of any size. It passes
// headers on as they are, and bodies without the chunked coding. Trailer fields are dropped.
//
// What always holds:
//
//   - No method, target, host, field or value ends a line, or the header.
//   - An answer has ended only if nothing of it can be missing.
//   - A connection is not used again after an answer to HEAD, nor after a 204 or 304 that
//     announces a body: some servers send one.
//   - An answer whose end could be understood in two ways is an error.
//
// The decoder is stricter than net/http.ReadResponse, as the fuzz test shows. Each of these
// is an error here:
//
//   - Content-Length beside Transfer-Encoding, whichever would win, and two lines of
//     Content-Length, or a list of lengths, unless all are the same
//   - Transfer-Encoding other than chunked, more than one line of it, and any in HTTP/1.0
//   - a line that ends in LF alone, also in the chunked coding and the trailer
//   - a line that continues another, white space before a colon, and a name that is no token
//   - control characters in a value
//   - a status line without three digits from 100 to 999, and versions other than 1.0 and 1.1
//   - 101 without Upgrade in the request
//   - white space in the line of a chunk's size, except in an extension
package http1
