// Package sockdiag asks Linux about single sockets of this network namespace: sock_diag(7),
// inet_diag and unix_diag, for which no privileges are needed. On other systems it is empty.
//
// The kernel answers while a question is being sent, so nothing waits. Questions are asked for thousands
// of waiting requests, and before each request to PHP over TCP, so they allocate nothing. Package
// netlink, which acceptqueue uses for dumps, takes some 50 allocations and a page for each question.
//
// What always holds:
//
//   - An answer is used only for the question with its sequence number.
//   - A question about one end of a connection is never answered about the other end.
package sockdiag
