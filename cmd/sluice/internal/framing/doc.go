// Package framing checks HTTP/1 requests on a client's connection before net/http reads
// them. It enforces RFC 9112 where net/http is lenient, and so refuses requests that another
// server may understand differently or may end at another byte (request smuggling).
//
// A [Listener]'s connections follow the requests as their bytes pass: request line,
// header, and the body up to its end, which is where the next request begins. Of a valid
// request net/http gets every byte, except for
//
//   - one empty line before a request line (RFC 9112, section 2.2),
//   - chunk extensions and trailer fields, which are checked and left out: no CGI
//     application can be sent them, and net/http does not take all that are legal.
//
// Where a request is not valid, net/http gets a few bytes (poison) instead of the rest, and finds the
// request malformed: in a header it writes its 400, in a body the handler's Read fails.
// That 400 is replaced by an answer that names the reason. In either case the connection
// is read for a moment before it is closed, so that the client receives the answer and no
// reset.
//
// What always holds:
//
//   - The byte that would complete a header or a chunk's header that is refused never
//     reaches net/http.
//   - The requests that net/http reads are those that were followed: the fuzz test
//     compares them.
//   - Answers to earlier requests on the connection are not touched: net/http asks for
//     the last byte of poison in a header only after it has written them.
//   - What is kept of a connection is bounded: a line that has begun, of a header
//     (Listener.MaxHeader) or of a trailer (maxTrailer).
package framing
