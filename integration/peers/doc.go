// Command peers measures Sluice beside the servers people use today: the same
// load, through the same machine, into the same FastCGI application.
//
//	go run ./integration/peers [--rounds N] [--duration D] [--peers a,b] [--parked N,M] [--out FILE]
//
// Each scenario (what is asked for) runs against each peer (a proxy with its
// configuration) in interleaved rounds, so that whatever disturbs the machine
// disturbs everyone. The first round warms up and is not counted. What is
// reported is the median of the counted rounds.
//
// How the numbers come about:
//
//   - Load is wrk on 127.0.0.1, one thread; latencies and errors are wrk's own.
//   - CPU per request is user plus system time of the proxy's whole process
//     tree over the round, from /proc, divided by the requests wrk completed.
//     It is the figure to compare: requests per second also depend on what is
//     left of the machine for wrk and the application.
//   - Peak memory is the sum of VmHWM over the process tree. Pages that
//     processes of one tree share are counted once per process.
//   - Memory of parked long-polls (--parked) is by how much the resident size of the
//     process tree grew, with proxy and application started anew.
//   - Every reply is checked for its size; a peer that answers with anything
//     but the application's reply is reported as failed.
//
// What always holds:
//
//   - A peer that is not installed, does not build or breaks on the way has a
//     row that says so.
//   - Everything lives in one temporary directory and listens on loopback or on
//     unix sockets. Every server has a process group of its own, which is gone
//     when the command returns, interrupts included.
//   - All Caddys are one program, cmd/caddy, so that they differ in nothing but their
//     configuration.
//
// A new proxy is a value in [peers], a new load a value in [scenarios].
package main
