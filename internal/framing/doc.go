// Package framing checks HTTP/1 requests on a client's connection before net/http reads them. It
// enforces RFC 9112 where net/http is lenient, and refuses requests that another server may
// understand differently or may end at another byte (request smuggling). Begin with scanner.go;
// conn.go puts the scanner into a connection.
//
// The connections of a [Listener] follow the requests as their bytes pass: request line, header, and
// body up to its end, where the next request begins. Of a valid request net/http gets every byte,
// except for
//
//   - one empty line before a request line (RFC 9112, section 2.2),
//   - chunk extensions and trailer fields, which are checked and dropped: CGI cannot express them,
//     and net/http does not accept all legal ones.
//
// In place of the rest of an invalid request, net/http gets a few bytes (poison) that make it refuse
// the request: in a header it writes its 400, in a body the handler's Read fails. The 400 is replaced
// by an answer with the reason. In either case the connection is read for a moment before it is
// closed, so that the client receives the answer and no reset.
//
// A connection that the server's handler takes over carries another protocol from then on, and is
// not checked any more ([Hijack]).
//
// What always holds:
//
//   - The byte that would complete a refused header or chunk header never reaches net/http.
//   - net/http reads the same requests as the scanner. The fuzz test compares them.
//   - Answers to earlier requests on the connection are not touched: net/http reads the last byte of
//     poison in a header only after it has written them.
//   - The memory for a connection is bounded: one incomplete line of a header (Listener.MaxHeader) or
//     of a trailer (maxTrailer).
package framing
