// Package acceptqueue asks the kernel how many connections wait to be accepted at a listening socket
// of this machine, and how many may. It does not connect, so the application notices nothing. Begin
// with queue.go.
//
// The answer comes over netlink (unix_diag and inet_diag, see sock_diag(7)), without privileges. On
// systems other than Linux the error is always [ErrUnsupported].
//
// What always holds:
//
//   - Only sockets of this network namespace are seen. A socket of another machine, or of a container
//     with a namespace of its own, is [ErrNotHere].
//   - The kernel selects the listening sockets, so that [Of] costs the same on a busy machine as on an
//     idle one.
package acceptqueue
