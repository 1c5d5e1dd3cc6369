// Package unread asks the kernel how many of the bytes written to a connection its peer has not read.
// The peer notices nothing. This shows whether a process has returned to its connection. Begin with
// unread.go.
//
// It works on Linux, for connections within this network namespace. A peer on another machine or in a
// container is [ErrNotHere]. On other systems [Of] returns nil.
//
// For a unix socket, SIOCOUTQ says at almost no cost whether everything was read. The number of bytes,
// and everything about TCP, is asked over netlink (unix_diag and inet_diag, see sock_diag(7)), without
// privileges.
package unread
