// Package supervise keeps the processes of an application running: it decides when they are
// started, replaced and ended. It sends no requests: Config.Front does, is told where to send
// them, and reports the answers.
//
// An instance is a listening socket and the processes that serve it, one after another. How a
// process gets the socket is Config.Socket: it inherits the socket, as file descriptor 0 by default,
// as the FastCGI specification has it (section 2.2) and PHP, libfcgi, Perl's FCGI, flup and Trac
// expect; or it makes the socket, where it is told to. There is usually one instance; with
// Config.MaxInstances more are started when requests wait.
//
// When a process ends by itself, the next one is started on the same socket, where connections
// queue meanwhile; where processes make the socket, no requests are sent until the next one listens.
// The pause before that depends on the exit:
//
//   - The process had answered a request and exited with status 0: none. This is no error.
//   - It had answered a request and ended otherwise: none the first time, then up to 5 s, but
//     not more than a quarter of its life. An application that serves and crashes is better than
//     none.
//   - It had answered nothing: 1 s, doubled up to a minute. After ten such exits in ten minutes
//     (Config.SpawnBudget) the breaker opens: one process is tried every ten minutes, and
//     Refusing tells to refuse requests, until a process serves.
//
// Processes that end again and again are a crash loop, which is logged once a minute. A route
// that was in flight at each of the last exits is a suspect, and may be refused
// (Config.Quarantine).
//
// A process is replaced after a restart, a number of requests or a time, and when it uses too
// much memory or hangs over a request: a new instance is started, and gets the requests when it
// is ready; the old one is drained and ended. Where there is no memory for both, or only one
// port, the old one ends first and requests wait.
//
// What always holds:
//
//   - A listening socket that processes inherit outlives them: connections that are made between
//     two of them queue. A port at which a process is to listen is nobody else's meanwhile
//     (SocketPort, on Linux). A request that was sent to one address is never answered by a process of another.
//   - At most one process lives on a socket, and there is at most one socket more than
//     instances: of the process that replaces another, or of the one that is replaced.
//   - A process that serves ends after its requests, unless it uses too much memory, answers
//     nothing for too long, or Config.DrainTimeout is over.
//   - The environment of a process has only variables that are configured or on a list
//     (Config.EnvCopy).
//   - A file system, a kernel or a log that does not answer delays only what needs it: Snapshot,
//     Prepare, Restart and Close return.
//
// Reading begins at supervisor.go: one goroutine owns all instances, and makes a pass over them
// whenever something has happened. program.go is what it needs of the application. state.go is
// the state machine of an instance, instance.go what belongs to one. create.go, spawn.go,
// handover.go, readiness.go and rotation.go are its start; drain.go, exit_handling.go and stuck.go its end;
// replacement.go, autoscale.go, idle.go, timeouts.go, memory_limits.go, breaker.go, suspects.go,
// crash_loop.go and concurrency.go are about all instances.
// group.go and configure.go are the interface for other goroutines; executor.go, query.go and
// log.go do what may block. The packages below have the processes themselves: internal/proc
// starts, signals and reaps them, internal/memlimit limits their memory.
package supervise
