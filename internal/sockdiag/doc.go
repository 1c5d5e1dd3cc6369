// Package sockdiag asks Linux about single sockets of this network namespace: sock_diag(7),
// inet_diag and unix_diag, for which no privileges are needed. On other systems it is empty.
//
// The kernel has answered when a question is sent, so nothing waits. Package netlink, which
// dumps of many sockets go through elsewhere, takes some 50 allocations and a page for each
// question; these are asked for thousands of requests that wait, and before each request to
// PHP over TCP.
//
// What always holds:
//
//   - An answer is taken for that to the question before it, and for no other.
//   - A question about one of the two ends of a connection is never answered about the other.
package sockdiag
