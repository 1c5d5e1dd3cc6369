// Package acceptqueue asks the kernel about a listening socket of this machine:
// how many connections wait there to be accepted, and how many it lets wait. It
// connects to nothing; the application notices none of it.
//
// The answer comes over netlink (unix_diag and inet_diag, see sock_diag(7)), for
// which no privileges are needed. Only Linux is known; elsewhere everything is
// [ErrUnsupported].
//
// What always holds:
//
//   - A socket is seen only from its own network namespace. One of a container
//     that has its own, or of another machine, is [ErrNotHere].
//   - The kernel picks the listening sockets, so that [Of] costs the same on a
//     busy machine as on an idle one.
package acceptqueue
