// Command peers compares Sluice with other servers: the same load on the same machine with the same FastCGI
// application. Begin with main.go; peer.go lists the servers, scenario.go the loads.
//
//	go run ./integration/peers [--rounds N] [--duration D] [--peers a,b] [--parked N,M] [--crowds a,b] [--all] [--docs DIR]
//
// Each scenario (a request) runs against each peer (a proxy with its configuration) in interleaved rounds,
// so that disturbances affect all peers. The first round is a warm-up and is not counted. The report has the
// medians of the other rounds.
//
// The numbers:
//
//   - The load is wrk on 127.0.0.1 with one thread; latencies and errors are those of wrk.
//   - CPU per request is the user and system time of the proxy's process tree during the round, from
//     /proc, divided by the requests that wrk completed. This is the number to compare: requests per
//     second also depend on the processor time that is left for wrk and the application.
//   - Peak memory is the sum of VmHWM over the process tree. Pages that the processes share are counted
//     once for each process.
//   - The memory of parked long-polls (--parked) is the growth of the proportional set size of the process tree
//     (PSS), with proxy and application started anew.
//   - Goodput (--crowds) is the share of short pages that are answered within a second while others ask for
//     more than the application has threads for. It closes connections beyond those at once.
//   - The size of every answer is checked; a peer that answers anything but the application's answer is
//     reported as failed.
//
// What always holds:
//
//   - A peer that is not installed, does not build or fails has a row that says so.
//   - All files are in one temporary directory, and all servers listen on loopback or on unix sockets.
//     Every server has a process group of its own, which has ended when the command returns, also after
//     an interrupt.
//   - All Caddys are one program, cmd/caddy, and differ only in their configuration.
//
// A new proxy is a value in [peers], a new load a value in [scenarios].
package main
