// Package supervise owns the application's process: it makes the listening
// socket, starts the program with that socket as file descriptor 0 - as the
// FastCGI specification has it (section 2.2) and PHP, libfcgi, Perl's FCGI, flup
// and Trac expect - and starts it again, with growing pauses, when it ends.
//
// It runs one process. It does not yet limit memory, count restarts against a
// budget or recycle processes.
//
// What always holds:
//
//   - The listening socket is made once and outlives every child, so that
//     connections made during a restart queue instead of failing.
//   - A unix socket lies in a directory that only its owner can enter.
//   - A child gets that socket, a pipe for its output, and nothing else that is
//     open; and of the environment only what is on a list (see Config.EnvCopy).
//   - At most one child lives at a time. Every child is the leader of a session and
//     process group of its own, and Close ends the whole group.
//   - On Linux the child, not its group, is sent SIGTERM if Sluice dies without a
//     Close, and the next Start ends what is left of the group. It touches only
//     processes that are provably the killed one's.
package supervise
