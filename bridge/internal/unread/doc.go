// Package unread tells how much of what was written to a connection the other side has
// not read. It is asked of the kernel, and the other side notices none of it: a process
// that does not come back to its connection is told from one that takes its time.
//
// Only Linux is known, and only connections within this network namespace: what is on its
// way to another machine, or into a container, is [ErrNotHere]. Elsewhere everything is an
// [errors.ErrUnsupported].
//
// A unix socket tells by SIOCOUTQ whether all has been read, which costs next to nothing.
// How many bytes have not, and everything about TCP, is asked over netlink (unix_diag and
// inet_diag, see sock_diag(7)), for which no privileges are needed.
package unread
