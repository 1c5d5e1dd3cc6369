// Package supervise owns the application's process: it makes the listening
// socket, starts the program with that socket as file descriptor 0 - as the
// FastCGI specification has it (section 2.2) and PHP, libfcgi, Perl's FCGI, flup
// and Trac expect - and starts it again when it ends.
//
// How soon depends on what it was good for. One that has served a request is followed
// at once, and if that happens again and again, after pauses that stay below a quarter
// of its life, 5 s at most: an application that flaps and serves is better than none.
// One that never served is followed after 1 s, then 2 s, up to a minute, and when ten
// have died so within ten minutes (Config.SpawnBudget), not at all, but for one every
// ten minutes: Refusing then says that requests had better be refused. The first that
// serves ends that. When children die in numbers, the log says so once at the beginning,
// once a minute and once at the end, with how the last of them died.
//
// It runs one process. It does not yet limit memory or recycle processes.
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
//     processes that are provably the killed one's: recorded with their start time, or
//     with the random SLUICE_SPAWN in their environment that every child is given.
package supervise
