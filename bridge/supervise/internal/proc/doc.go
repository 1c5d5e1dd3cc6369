// Package proc starts child processes, signals them and reaps them. It decides nothing: when
// a child is started and ended is up to its caller.
//
// Reading begins at launcher.go: what the children of an application share. child.go is one
// child, launch.go its start, reexec.go what its process does before it executes the command.
// socket.go is what it listens on, handover.go how it gets that, port.go a port that is held for it;
// output.go is what it writes. rundir.go records what runs, and
// sweep.go ends what a killed process of this program has left running.
//
// What always holds:
//
//   - A child is the leader of a session and a process group of its own. When it has exited, or
//     is killed, the whole group is.
//   - A child inherits its socket, unless it is to make that itself, a pipe for its output, and no
//     other descriptor that is open.
//   - No signal reaches another process: a child's id is in use until the child is reaped, and
//     is not signalled after that.
//   - A command runs only after its process was recorded. What is recorded is removed only when
//     nothing of it is left.
//   - A sweep kills only processes that are provably those of the record: by their start time,
//     by a random token in their environment (SLUICE_SPAWN), or by their cgroup.
//   - On Linux a child, not its group, is sent SIGTERM when this process ends without reaping
//     it.
package proc
