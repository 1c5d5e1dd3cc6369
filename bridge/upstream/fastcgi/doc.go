// Package fastcgi implements [upstream.Codec] for FastCGI 1.0, over the wire format of
// package fcgi.
//
// What always holds:
//
//   - A request is BEGIN_REQUEST for the role of a responder or an authorizer, PARAMS and STDIN.
//   - A record for another request than the current one is an error, never a part of the
//     answer.
//   - Only END_REQUEST completes an answer. The end of the connection truncates it.
//
// Reading begins in codec.go, what is sent; decoder.go is what is received.
package fastcgi
