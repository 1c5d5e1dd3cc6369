// Package uwsgi encodes requests in the uwsgi protocol: variables in, bytes out. It does no
// I/O, keeps no time and starts no goroutines. Reading begins in header.go.
//
// A request is a packet with the variables, and the body behind it. An answer has no format
// of its own: it is all that the application sends until it closes the connection.
//
// What always holds:
//
//   - modifier1 is 0: the request is for a WSGI application, or for whatever plugin the
//     server has in that place. modifier2 is 0.
//   - Sizes have 16 bits, little-endian, and are never truncated: what does not fit is
//     refused with a [*TooLargeError].
//   - No name is empty, for uWSGI refuses a request with such a variable.
package uwsgi
