// Package supervise owns the application's processes: it makes their listening sockets,
// starts the program with such a socket as file descriptor 0 - as the FastCGI
// specification has it (section 2.2) and PHP, libfcgi, Perl's FCGI, flup and Trac expect -
// starts it again when it ends, and replaces it when that is wanted. It sends no requests:
// whoever does (Config.Front) is told where to, and tells what comes of them.
//
// An instance is a socket and the process that serves it, one after another. One is
// usual, and the cure of what a herd of forked copies needs in memory; with
// Config.MaxInstances there are more when requests wait.
//
// When a process has ended by itself, the next is started on the same socket, where
// connections queue meanwhile. How soon depends on what the last was good for. One that
// has served and then exited with status 0 has done what it was to do: it is followed at
// once, and nobody is alarmed. One that has served and ended in another way is followed at
// once, too, but if that happens again and again, after pauses that stay below a quarter of
// its life, 5 s at most: an application that flaps and serves is better than none. One that
// never served is followed after 1 s, then 2 s, up to a minute, and when ten have died so
// within ten minutes (Config.SpawnBudget), not at all, but for one every ten minutes:
// Refusing then says that requests had better be refused. The first that serves ends that.
// When children die in numbers, the log says so once at the beginning, once a minute and
// once at the end, with how the last of them died. A route that was in flight whenever one
// died is suspected of it.
//
// A process that is to be replaced - a restart, its requests or its time are up, it uses
// too much memory, it hangs over a request - is followed by one on a socket of its own,
// which is ready before the old one gets no more requests; that one ends when those it
// has are done. Where there is no room for both, or only one port, it ends first, and
// requests wait.
//
// What always holds:
//
//   - A listening socket outlives the children that serve it one after another, so that
//     connections made meanwhile queue instead of failing. What was sent to one address
//     is never answered by a process that was started on another.
//   - At most one child lives at a time on a socket, and there is at most one socket more
//     than there are instances: that of the process which replaces another, or of the one
//     which is replaced.
//   - A child that serves is not ended before its requests are, unless it uses too much
//     memory, answers nobody for too long, or does not finish in Config.DrainTimeout.
//   - A unix socket lies in a directory that only its owner can enter.
//   - A child gets that socket, a pipe for its output, and nothing else that is
//     open; and of the environment only what is on a list (see Config.EnvCopy).
//   - Every child is the leader of a session and process group of its own, and when it
//     ends, or Close ends it, the whole group does.
//   - On Linux the child, not its group, is sent SIGTERM if Sluice dies without a
//     Close, and the next Start ends what is left of the group. It touches only
//     processes that are provably the killed one's: recorded with their start time, or
//     with the random SLUICE_SPAWN in their environment that every child is given, or in
//     a cgroup that was made for them.
//   - A file system, a kernel or a log that does not answer holds up what needs it, and
//     nothing else: Snapshot, Prepare, Restart and Close come back.
//
// Where things are: keeper.go looks at everything whenever something has happened, on one
// goroutine, which everything belongs to and which waits for nothing else; executor.go,
// errand.go and log.go do what may take a while. state.go is the state of an instance,
// slot.go what belongs to one; opening.go, spawn.go, start.go and expose.go are its
// beginning, drain.go, death.go, clean.go, storm.go and stuck.go its ends; renewal.go,
// scale.go, rest.go, hang.go, pressure.go, suspects.go and concurrency.go are what is found
// out, and done, about all of them; configure.go changes what they go by. group.go, child.go,
// launch.go and reexec.go are the real processes behind it, meter.go their memory.
package supervise
