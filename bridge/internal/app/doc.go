// Package app is an application as the sites in front of it share it: the settings, the gate,
// the connections, the processes, and what is remembered of sites. It knows nothing of how a
// request is answered.
//
// Start with application.go, which owns everything. gate.go, connections.go and spawn.go make
// the configurations of packages admission, pool and supervise from the settings; configure.go
// changes them while requests run; members.go adds and removes instances that run already,
// drain.go drains them; processes.go connects the processes to the gate and the pool, and
// spawned.go stands for them before they are started; ready.go asks an instance whether it is
// ready; sites.go is what sites have in common with those before them. refusals.go and stall.go
// tell the log what would be too much to tell line by line. authorizer.go is an application in its
// second role: it is asked before another one. holds.go has clients held, gone.go tells the application
// which of them are gone.
//
// What always holds:
//
//   - Prepare changes nothing that a request, a connection or a process notices; Commit does
//     not fail.
//   - Close ends in this order: requests that wait, abandoned answers, connections, processes, the
//     authorizer.
//   - Routes and client keys of two sites are never the same, and those of a site stay the
//     same when another comes in its place.
package app
