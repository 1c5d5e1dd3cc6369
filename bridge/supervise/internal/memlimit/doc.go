// Package memlimit measures the memory of child processes and has the kernel limit it, where
// this process may make cgroups (version 2) for them. Elsewhere on Linux it only measures, by
// /proc; on other systems it does neither.
//
// It decides nothing: its caller looks at the sizes, and ends what is too large.
//
// What always holds:
//
//   - A cgroup is made only below one that is delegated to this process: a cgroup has one
//     writer.
//   - A cgroup is recorded before it is made, so that another process can remove it if this
//     one is killed.
//   - Kill and Close end only processes that are in a cgroup of this package, or in the session
//     of a child, whose leader is known by its start time.
//
// memlimit.go has the interfaces; new_linux.go chooses between cgroup_controller_linux.go, below
// which are delegation_linux.go and cgroup_linux.go, and proc_controller_linux.go.
package memlimit
