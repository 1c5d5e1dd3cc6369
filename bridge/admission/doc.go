// Package admission decides who may start, who waits and who is refused. It
// knows nothing of HTTP, sockets or processes.
//
// This first version is a plain queue: a number of slots, and a bounded
// first-in-first-out line of requests that wait for one. It does not tell slow
// requests from fast ones.
//
// What always holds:
//
//   - At most Config.Slots grants are out at a time, and each is released
//     exactly once.
//   - A request whose context ended before it was granted never holds a slot:
//     leaving the line and being granted exclude each other under one mutex. One
//     that leaves in the instant it is granted gives the slot back at once.
//   - Nobody waits longer than Config.Timeout.
package admission
