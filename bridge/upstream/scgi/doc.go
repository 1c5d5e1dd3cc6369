// Package scgi implements [upstream.Codec] for SCGI, over the wire format of package
// bridge/scgi.
//
// What always holds:
//
//   - A connection carries one request.
//   - A server that has not received the last byte of the variables has not run the request.
//   - The end of the connection completes an answer. A connection that is reset truncates it,
//     and so does one that ends before the length that the header announces.
package scgi
