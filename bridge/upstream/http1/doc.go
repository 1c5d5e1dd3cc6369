// Package http1 implements [upstream.Codec] for HTTP/1.1, over the wire format of package
// bridge/http1. Reading begins in codec.go.
//
// What always holds:
//
//   - A connection carries one request at a time, and another one only after an answer whose
//     end was announced, if neither side has said that the connection is to be closed.
//   - An application that has not received the last byte of a header has not run the request.
//   - The end of the connection completes an answer without a length, and truncates all others.
//   - What comes while there is no request, such as a 408 before the application closes an
//     unused connection, is the answer to none.
package http1
