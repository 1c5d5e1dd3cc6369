// Package lastcall closes listening sockets without losing the connections that wait there to be
// accepted. The kernel resets those when a socket is closed, although their clients have been told that
// they are connected. So new clients are turned away first: the file of a unix socket is removed, and
// on Linux a TCP socket takes no more SYN. Then whoever accepts gets what is left, and the socket is
// closed.
//
// What always holds: the socket is closed, after [patience] at the latest. Until then it must be
// accepted from.
package lastcall
